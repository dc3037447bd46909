//! A caller's time limits: what becomes of a task that takes too long.

mod support;

use std::{
    future::pending,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use keyrail_core::kombu::{Json, Layout, Task};
use keyrail_redis::{
    Executor, Host, News, Outgoing, Redis, RedisOptions,
    celery::{Call, Results, TaskFailure, Worker},
    load,
};
use serde_json::Value;
use support::{Folder, PATIENCE, RedisServer, keyrail, text};

type Answer = Result<Value, TaskFailure>;

/// What is left of a task after a worker ran it.
struct Left {
    /// The stored result, without its date.
    stored: String,
    /// The last event of the task.
    event: Value,
}

/// Has a worker run a task with these limits, `[hard, soft]`.
async fn run<R>(limits: [Option<f64>; 2], task: impl Fn(Call) -> R + Send + Sync + 'static) -> Left
where
    R: Future<Output = Answer> + Send + 'static,
{
    let [time_limit, soft_time_limit] = limits;
    let call = Task { time_limit, soft_time_limit, ..Task::new("shop.slow", "id-1") };
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    let mut watching = host.listen("celeryev", "#").await.expect("it listens");
    let worker = Worker::new(&host, "w1@here").task_events(true).task("shop.slow", task);
    host.publish(&Outgoing::new("", "celery", call.envelope())).await.expect("sent");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run(async { drop(stopped.await) }));
    let result = Results::new(&host).wait("id-1", PATIENCE).await.expect("a result").expect("stored");
    let stored = host.executor().get("celery-task-meta-id-1").await.expect("Redis").expect("stored");
    let date = result.date_done.expect("it is ready");
    let event = loop {
        let News::Message(message) = watching.next(PATIENCE).await.expect("an event") else {
            panic!("no event")
        };
        let body = message.body.as_json().expect("JSON").clone();
        let events = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        let ends =
            |event: &Value| ["task-failed", "task-succeeded"].map(Value::from).contains(&event["type"]);
        if let Some(event) = events.into_iter().find(ends) {
            break event;
        }
    };
    stop.send(()).expect("it runs");
    worker.await.expect("no panic").expect("it worked");
    // It was acked, and is nowhere any more.
    assert_eq!(server.command(&["EXISTS", "unacked", "unacked_index", "celery"]), ":0\r\n");
    Left { stored: String::from_utf8(stored).expect("text").replace(&date, "DATE"), event }
}

/// As Celery 5.7.0 with a pool of processes was seen to store it.
fn failed(exc_type: &str, args: &str) -> String {
    let exception = format!(
        r#"{{"exc_type": "{exc_type}", "exc_message": [{args}], "exc_module": "billiard.exceptions"}}"#
    );
    let rest = r#""traceback": null, "children": [], "date_done": "DATE", "task_id": "id-1"}"#;
    format!(r#"{{"status": "FAILURE", "result": {exception}, {rest}"#)
}

/// Tells when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_task_is_dropped_at_its_hard_limit() {
    let gone = Arc::new(AtomicBool::new(false));
    let seen = gone.clone();
    let left = run([Some(0.25), None], move |_| {
        let mark = Dropped(seen.clone());
        async move {
            let _mark = mark;
            pending().await
        }
    })
    .await;
    assert!(gone.load(Ordering::Relaxed), "it still runs");
    assert_eq!(left.stored, failed("TimeLimitExceeded", "0.25"));
    assert_eq!(left.event["type"], "task-failed");
    assert_eq!(left.event["exception"], "TimeLimitExceeded(0.25)");
}

/// A whole number stays one, as the caller wrote it.
#[tokio::test]
async fn a_limit_is_repeated_as_it_was_written() {
    let left = run([Some(1.0), None], |_| pending()).await;
    assert_eq!(left.stored, failed("TimeLimitExceeded", "1"));
    assert_eq!(left.event["exception"], "TimeLimitExceeded(1)");
}

#[tokio::test]
async fn a_task_that_is_asked_to_end_may_fail() {
    let left = run([Some(600.0), Some(0.1)], async |call| {
        call.soft_time_limit().await;
        Err(TaskFailure::soft_time_limit_exceeded())
    })
    .await;
    assert_eq!(left.stored, failed("SoftTimeLimitExceeded", ""));
    assert_eq!(left.event["exception"], "SoftTimeLimitExceeded()");
}

#[tokio::test]
async fn a_task_that_is_asked_to_end_may_answer() {
    let left = run([None, Some(0.1)], async |call| {
        call.soft_time_limit().await;
        Ok("half".into())
    })
    .await;
    assert!(left.stored.starts_with(r#"{"status": "SUCCESS", "result": "half""#), "{}", left.stored);
    assert_eq!(left.event["type"], "task-succeeded");
}

#[tokio::test]
async fn a_task_that_does_not_hear_of_it_is_stopped_at_the_hard_limit() {
    let left = run([Some(0.5), Some(0.1)], |_| pending()).await;
    assert_eq!(left.stored, failed("TimeLimitExceeded", "0.5"));
}

/// Neither is asked for, nor over in time.
#[tokio::test]
async fn a_task_in_time_is_left_alone() {
    for limits in [[None, None], [Some(0.0), Some(0.0)], [Some(600.0), Some(300.0)]] {
        let left = run(limits, async |call| {
            tokio::select! {
                () = call.soft_time_limit() => Err(TaskFailure::soft_time_limit_exceeded()),
                () = tokio::time::sleep(Duration::from_millis(50)) => Ok(5.into()),
            }
        })
        .await;
        assert!(left.stored.starts_with(r#"{"status": "SUCCESS", "result": 5,"#), "{}", left.stored);
    }
}

/// It is set aside, and its caller hears of it; what comes after it is run.
#[tokio::test]
async fn limits_that_are_none_go_to_quarantine() {
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    let bad = Task::new("shop.add", "id-0").envelope().header("timelimit", Json::from("soon"));
    for envelope in [bad, Task::new("shop.add", "id-1").envelope()] {
        host.publish(&Outgoing::new("", "celery", envelope)).await.expect("sent");
    }
    let worker = Worker::new(&host, "w1@here").task("shop.add", async |_| Ok(5.into()));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run(async { drop(stopped.await) }));
    assert!(Results::new(&host).wait("id-1", PATIENCE).await.expect("Redis").is_some());
    stop.send(()).expect("it runs");
    worker.await.expect("no panic").expect("it worked");
    assert_eq!(server.command(&["LLEN", "keyrail.quarantine.celery"]), ":1\r\n");
    let answer = Results::new(&host).get("id-0").await.expect("Redis").expect("its caller hears of it");
    let failure = answer.outcome().expect("it is ready").expect_err("it failed");
    assert_eq!((&*failure.exc_type, &*failure.exc_module), ("InvalidTaskError", "celery.exceptions"));
    assert!(failure.exc_message.contains("`timelimit` is \"soon\""), "{}", failure.exc_message);
}

/// `keyrail worker`, which ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Each leaves a child of its own running, which the group takes along.
const PROGRAMS: [(&str, &str); 3] = [
    ("deaf", "trap '' TERM\nsleep 600 &\necho $! >\"$0.child\"\nwhile :; do wait; done\n"),
    ("fails", "trap 'echo cleaned up >&2; exit 3' TERM\nsleep 600 &\nwait\n"),
    ("answers", "trap 'echo half; exit 0' TERM\nsleep 600 &\nwait\n"),
];

/// A shell script.
fn program(folder: &Folder, name: &str, script: &str) -> String {
    let path = folder.path(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}")).expect("a script");
    assert!(Command::new("chmod").args(["+x", &path]).status().expect("chmod").success());
    path
}

#[test]
fn a_program_is_asked_to_end_and_then_killed_with_all_it_started() {
    let (server, folder) = (RedisServer::start(), Folder::new());
    let url = server.url();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
    command.args(["worker", "--redis", &url, "-c", "1"]).stdin(Stdio::null()).stderr(Stdio::piped());
    for (name, script) in PROGRAMS {
        let path = program(&folder, name, script);
        command.args(["--task", &format!("{name}={path}")]);
    }
    let mut worker = Running(command.spawn().expect("keyrail starts"));
    let mut err = BufReader::new(worker.0.stderr.take().expect("piped"));
    let mut until = |part: &str| {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(err.read_line(&mut line).expect("a line") > 0, "it ends without `{part}`");
        }
    };
    until("is ready");
    let call = |name: &str, limits: &[&str]| {
        let call = ["publish", "--redis", &url, "--task", name, "--task-id", name, "--wait", "60", "--json"];
        let answer = keyrail(call.into_iter().chain(limits.iter().copied()));
        serde_json::from_slice::<Value>(&answer.stdout).expect("JSON")["result"].clone()
    };

    let failed = call("fails", &["--soft-time-limit", "0.3", "--time-limit", "600"]);
    assert_eq!((&failed["status"], &failed["traceback"]), (&"FAILURE".into(), &"cleaned up".into()));
    assert_eq!(failed["result"]["exc_type"], "SoftTimeLimitExceeded");
    until("soft time limit of 0.3 s is over for task `fails`: `fails`");
    let answered = call("answers", &["--soft-time-limit", "0.3"]);
    assert_eq!((&answered["status"], &answered["result"]), (&"SUCCESS".into(), &"half".into()));

    let killed = call("deaf", &["--soft-time-limit", "0.2", "--time-limit", "0.5"]);
    assert_eq!(killed["result"]["exc_type"], "TimeLimitExceeded");
    until("hard time limit of 0.5 s is over, task `deaf` is stopped: `deaf`");
    let child = std::fs::read_to_string(folder.path("deaf.child")).expect("it had started a child");
    let stat = Path::new("/proc").join(child.trim()).join("stat");
    let begun = std::time::Instant::now();
    // Dead, or waiting for somebody to take notice.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(begun.elapsed() < PATIENCE, "process {child} lives");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The worker's limits are for tasks whose callers give none, each by itself.
#[test]
fn a_workers_limits_hold_where_a_caller_gives_none() {
    let (server, folder) = (RedisServer::start(), Folder::new());
    let url = server.url();
    let naps = program(&folder, "naps", "exec sleep 600\n");
    let answers = program(&folder, "answers", "trap 'echo half; exit 0' TERM\nsleep 600 &\nwait\n");
    let worker = |limits: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
        command.args(["worker", "--redis", &url, "--task", &format!("naps={naps}")]).args(limits);
        command.args(["--task", &format!("answers={answers}")]).stdin(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().expect("keyrail starts"))
    };
    let call = |name: &str, limits: &[&str]| {
        let call = ["publish", "--redis", &url, "--task", name, "--wait", "60", "--json"];
        let answer = keyrail(call.into_iter().chain(limits.iter().copied()));
        let answer: Value = serde_json::from_slice(&answer.stdout).expect("JSON");
        let result = answer["result"]["result"].clone();
        (result["exc_type"].clone(), result["exc_message"].clone(), result)
    };
    let hard = worker(&["--time-limit", "1"]);
    // As Celery's flags, which read whole numbers as others, too.
    let (kind, message, _) = call("naps", &[]);
    assert_eq!((kind, message), ("TimeLimitExceeded".into(), serde_json::json!([1.0])));
    let (kind, message, _) = call("naps", &["--time-limit", "0.3"]);
    assert_eq!((kind, message), ("TimeLimitExceeded".into(), serde_json::json!([0.3])));
    drop(hard);
    let soft = worker(&["--soft-time-limit", "0.5", "--time-limit", "600"]);
    assert_eq!(call("naps", &[]).0, "SoftTimeLimitExceeded");
    assert_eq!(call("answers", &["--time-limit", "300"]).2, "half");
    let (kind, message, _) = call("naps", &["--time-limit", "0.2"]);
    assert_eq!((kind, message), ("TimeLimitExceeded".into(), serde_json::json!([0.2])));
    drop(soft);
    for (limits, expected) in [
        (["--time-limit", "10", "--soft-time-limit", "20"], "is over after --time-limit 10"),
        (["--time-limit", "0", "--soft-time-limit", "1"], "expected a number of seconds above 0"),
    ] {
        let task = ["worker", "--redis", &url, "--task", "cat=/bin/cat"];
        let refused = keyrail(task.into_iter().chain(limits));
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(text(&refused.stderr).contains(expected), "{refused:?}");
    }
}

/// What it left behind holds its outputs for a second more; that is none of its time.
#[test]
fn a_program_that_ended_in_time_is_not_late() {
    let (server, folder) = (RedisServer::start(), Folder::new());
    let url = server.url();
    let leaves = program(&folder, "leaves", "sleep 600 &\necho $! >\"$0.child\"\nsleep 0.7\necho done\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
    command.args(["worker", "--redis", &url, "-c", "1", "--task", &format!("leaves={leaves}")]);
    let _worker =
        Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("keyrail starts"));
    let sent =
        ["publish", "--redis", &url, "--task", "leaves", "--wait", "60", "--json", "--time-limit", "1.4"];
    let answer: Value = serde_json::from_slice(&keyrail(sent).stdout).expect("JSON");
    let child = std::fs::read_to_string(folder.path("leaves.child")).expect("it had started a child");
    let _ = Command::new("kill").arg(child.trim()).status();
    assert_eq!(answer["result"]["result"], "done", "{answer}");
}

/// As Celery writes them: whole numbers without a point, null for none.
#[test]
fn limits_are_sent_as_celery_writes_them() {
    let server = RedisServer::start();
    let url = server.url();
    for (flags, written) in [
        (vec!["--time-limit", "30", "--soft-time-limit", "20"], r#""timelimit": [30, 20], "#),
        (vec!["--time-limit", "0.25"], r#""timelimit": [0.25, null], "#),
        (vec!["--soft-time-limit", "1.5"], r#""timelimit": [null, 1.5], "#),
        (vec![], r#""timelimit": [null, null], "#),
    ] {
        let sent = keyrail(["publish", "--redis", &url, "--task", "t"].into_iter().chain(flags));
        assert!(sent.status.success(), "{sent:?}");
        let message = server.command(&["RPOP", "celery"]);
        assert!(message.contains(written), "{message}");
    }
    for (flags, expected) in [
        (
            vec!["--time-limit", "10", "--soft-time-limit", "20"],
            "--soft-time-limit 20 is over after --time-limit 10",
        ),
        (vec!["--time-limit", "0"], "expected a number of seconds above 0"),
        (vec!["--soft-time-limit", "soon"], "expected a number of seconds"),
    ] {
        let refused = keyrail(["publish", "--redis", &url, "--task", "t"].into_iter().chain(flags));
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(text(&refused.stderr).contains(expected), "{refused:?}");
    }
    let refused = keyrail(["publish", "--redis", &url, "-k", "q", "-b", "x", "--time-limit", "1"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(server.command(&["EXISTS", "celery", "q"]), ":0\r\n");
}
