//! `keyrail worker` and programs that fail, are killed, leave children behind or print too much: no place is lost, and no
//! task either. How it is stopped: `worker_stops.rs`.

mod support;

use std::{
    fs,
    process::{Command, Stdio},
};

use keyrail_core::kombu::{Json, Task};
use keyrail_redis::{Outgoing, Redis, RedisOptions};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use support::{
    RedisServer, free_port, keyrail, succeed, text,
    worker::{Site, Worker, lives, until},
};

/// `keyrail worker ... 2>&1 | head -1`: the log has no reader any more.
#[test]
fn a_log_that_nobody_reads_strands_nothing() {
    let site = Site::new();
    let fail = site.script("fail", "cat >/dev/null; exit 3");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = site.command(&["-c", "2", "--task", &format!("fail={fail}")]);
    command.stderr(writer.try_clone().expect("a clone"));
    let mut worker = Worker { child: command.spawn().expect("a worker"), log: site.folder.path("none") };
    site.a_dozen_fail();
    worker.tell(Signal::TERM);
    worker.ends_well();
    // Other commands that warn go on, too.
    let url = site.server.url();
    site.server.command(&["RPUSH", "q", "garbage"]);
    succeed(["publish", "--redis", &url, "-k", "q", "-b", "good"]);
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
        command.args(args).args(["--redis", &url]).stderr(writer.try_clone().expect("a clone"));
        command.output().expect("it runs")
    };
    let consumed = run(&["consume", "-q", "q", "-n", "1", "--timeout", "60"]);
    assert!(consumed.status.success(), "{consumed:?}");
    assert!(text(&consumed.stdout).contains("good"), "{consumed:?}");
    let published = run(&["publish", "-k", "q"]);
    assert!(published.status.success(), "{published:?}");
    assert_eq!(run(&["publish", "-x", "nowhere", "-k", "q"]).status.code(), Some(1));
}

/// Ctrl-S in a terminal, or a pager that nobody turns: the log has a reader who does not read.
#[test]
fn a_log_that_takes_no_more_stops_no_worker() {
    let site = Site::new();
    let fail = site.script("fail", "cat >/dev/null; exit 3");
    let (_reader, writer) = support::full_pipe();
    let mut command = site.command(&["-c", "2", "--task", &format!("fail={fail}")]);
    command.stderr(writer);
    let mut worker = Worker { child: command.spawn().expect("a worker"), log: site.folder.path("none") };
    site.a_dozen_fail();
    worker.tell(Signal::TERM);
    worker.ends_well();
}

/// What a program says last may have no end.
#[test]
fn a_long_last_line_is_told_in_short() {
    let site = Site::new();
    let loud = site.script("loud", "cat >/dev/null; head -c 300000 /dev/zero | tr '\\0' x >&2; exit 3");
    let worker = site.worker(&["--task", &format!("loud={loud}")]);
    site.publish("loud", "l");
    let stored = keyrail(["result", "--redis", &site.server.url(), "l", "--wait", "60"]);
    let stored: Value = serde_json::from_slice(&stored.stdout).expect("JSON");
    let message = stored["result"]["exc_message"][0].as_str().expect("a text");
    assert!(message.ends_with("xxx...") && message.len() < 2000, "{} bytes", message.len());
    // All of it is the traceback.
    assert_eq!(stored["traceback"].as_str().map(str::len), Some(300_000));
    assert!(worker.log().len() < 4000, "{} bytes", worker.log().len());
}

/// Nothing is written for the good one either.
#[test]
fn a_queue_that_cannot_be_is_refused_before_anything_is_written() {
    let site = Site::new();
    let url = site.server.url();
    let args = ["worker", "--redis", &url, "--task", "cat=/bin/cat", "-q", "good", "-q", "bad\x06\x163"];
    let line = support::fail(1, args);
    assert!(line.contains("queue"), "{line}");
    assert_eq!(site.ask("KEYS *"), "*0");
}

/// A machine without memory kills what it likes.
#[test]
fn a_task_that_is_killed_runs_again_and_not_for_ever() {
    let site = Site::new();
    let once =
        site.script("once", "echo x >> $0.runs; [ $(wc -l < $0.runs) -gt 1 ] || kill -KILL $$; echo again");
    let always = site.script("always", "echo x >> $0.runs; kill -KILL $$");
    let fault = site.script("fault", "echo x >> $0.runs; kill -SEGV $$");
    let tasks = [format!("once={once}"), format!("always={always}"), format!("fault={fault}")];
    let _worker = site.worker(&["-c", "1", "--task", &tasks[0], "--task", &tasks[1], "--task", &tasks[2]]);
    for task in ["once", "always", "fault"] {
        site.publish(task, task);
    }
    site.assert_succeeds("once", "again");
    let (kind, message) = site.failure("always");
    assert!(kind == "WorkerLostError" && message.contains("SIGKILL"), "{kind}: {message}");
    // What ends itself would do so again.
    assert_eq!(site.failure("fault").0, "RuntimeError");
    site.all_is_acked();
    let runs = |name: &str| fs::read_to_string(site.folder.path(name)).expect("a file").lines().count();
    assert_eq!((runs("once.runs"), runs("always.runs"), runs("fault.runs")), (2, 3, 1));
}

/// It runs again, and not beside what it had started the first time.
#[test]
fn what_a_killed_program_started_is_killed_too() {
    let site = Site::new();
    let body = "cat >/dev/null; [ ! -e $0.child ] || { echo again; exit; }\n\
                sleep 300 >/dev/null 2>&1 & echo $! > $0.child; kill -KILL $$";
    let killed = site.script("killed", body);
    let _worker = site.worker(&["-c", "1", "--task", &format!("killed={killed}")]);
    site.publish("killed", "k");
    site.assert_succeeds("k", "again");
    let child = site.written_pid("killed.child");
    until("what it had started is dead", || !lives(child));
}

/// It is JSON, and no result here: it must not become a text.
#[test]
fn json_that_no_value_holds_fails() {
    let site = Site::new();
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for (name, printed) in [("deep", &*deep), ("wide", "[1e400]")] {
        let prints = site.script(name, &format!("cat >/dev/null; echo '{printed}'"));
        let _worker = site.worker(&["--task", &format!("{name}={prints}")]);
        site.publish(name, name);
        let (kind, message) = site.failure(name);
        assert!(kind == "OverflowError" && message.contains("it printed JSON"), "{kind}: {message}");
    }
}

#[test]
fn a_program_that_leaves_its_outputs_open_frees_its_place() {
    let site = Site::new();
    let leave = site.script("leave", "sleep 300 & echo $! > $0.$KEYRAIL_TASK_ID; echo '\"done\"'");
    let mut worker = site.worker(&["-c", "1", "--task", &format!("leave={leave}")]);
    for id in ["l1", "l2"] {
        site.publish("leave", id);
    }
    let left = [site.written_pid("leave.l1"), site.written_pid("leave.l2")];
    for id in ["l1", "l2"] {
        site.assert_succeeds(id, "done");
    }
    worker.tell(Signal::TERM);
    worker.ends_well();
    for process in left {
        // What was left behind on purpose lives on.
        kill_process(process, Signal::KILL).expect("it lives");
    }
}

#[test]
fn a_result_that_has_no_place_stops_no_worker() {
    let site = Site::new();
    let echo = site.script("echo", "cat >/dev/null; echo ok");
    for id in ["p1", "p2", "p3"] {
        site.ask(&format!("LPUSH celery-task-meta-{id} x"));
    }
    let worker = site.worker(&["-c", "2", "--task", &format!("echo={echo}")]);
    for id in ["p1", "p2", "p3", "good"] {
        site.publish("echo", id);
    }
    site.assert_succeeds("good", "ok");
    site.all_is_acked();
    assert_eq!(site.ask("LRANGE celery-task-meta-p1 0 -1"), "*1\r\n$1\r\nx", "it is as it was");
    assert!(worker.log().contains("`celery-task-meta-p1` holds another type"), "{}", worker.log());
}

#[test]
fn a_result_that_is_too_large_fails() {
    let mut site = Site::new();
    site.server = RedisServer::start_on(free_port(), &["--proto-max-bulk-len", "1mb"]);
    let large = site.script("large", "head -c 2000000 /dev/zero | tr '\\0' x");
    let endless = site.script("endless", "head -c 9000000 /dev/zero | tr '\\0' x; echo last words >&2");
    let loud = site
        .script("loud", "head -c 9000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo last words >&2; exit 1");
    let tasks = [format!("large={large}"), format!("endless={endless}"), format!("loud={loud}")];
    let limit = ["-c", "1", "--max-output", "2500000"];
    let tasks = tasks.iter().flat_map(|task| ["--task", task]).collect::<Vec<_>>();
    let _worker = site.worker(&[&limit[..], &tasks[..]].concat());
    for task in ["large", "endless", "loud"] {
        site.publish(task, task);
    }
    let (kind, message) = site.failure("large");
    assert!(kind == "OverflowError" && message.contains("which Redis does not take"), "{kind}: {message}");
    let (kind, message) = site.failure("endless");
    assert!(kind == "OverflowError" && message.contains("more than 2500000 bytes"), "{kind}: {message}");
    assert!(message.contains("--max-output"), "{message}");
    // Its traceback is as large as the limit, and too large for this Redis.
    assert_eq!(site.failure("loud").0, "OverflowError");
    site.all_is_acked();
}

#[test]
fn a_shortage_of_files_is_waited_for() {
    let site = Site::new();
    let nap = site.script("nap", "cat >/dev/null; sleep 0.3; echo ok");
    let worker = site.command(&["-c", "30", "--task", &format!("nap={nap}")]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 60; exec \"$0\" \"$@\""])
        .arg(worker.get_program())
        .args(worker.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let worker = site.start(command);
    assert!(worker.log().contains("60 are allowed (ulimit -n)"), "{}", worker.log());
    let ids: Vec<String> = (0..30).map(|n| format!("n{n}")).collect();
    for id in &ids {
        site.publish("nap", id);
    }
    for id in &ids {
        site.assert_succeeds(id, "ok");
    }
    site.all_is_acked();
}

#[test]
fn a_program_that_is_replaced_is_waited_for() {
    let site = Site::new();
    let moved = site.script("moved", "cat >/dev/null; echo moved");
    let written = site.folder.path("written");
    fs::copy("/bin/true", &written).expect("a program");
    let tasks = [format!("moved={moved}"), format!("written={written}")];
    let worker = site.worker(&["-c", "2", "--task", &tasks[0], "--task", &tasks[1]]);
    fs::rename(&moved, format!("{moved}.old")).expect("moved");
    let busy = fs::File::options().write(true).open(&written).expect("open");
    for task in ["moved", "written"] {
        site.publish(task, task);
    }
    until("both are missed", || worker.log().matches("cannot be started yet").count() == 2);
    fs::rename(format!("{moved}.old"), &moved).expect("moved back");
    drop(busy);
    site.assert_succeeds("moved", "moved");
    site.assert_succeeds("written", "");
    site.all_is_acked();
}

#[test]
fn a_worker_binds_again_what_redis_forgot() {
    let site = Site::new();
    let worker = site.worker(&["-q", "a", "-q", "b", "--task", "cat=/bin/cat"]);
    let bound = || {
        ["a", "b", "celery.pidbox"]
            .iter()
            .all(|name| site.number(&format!("SCARD _kombu.binding.{name}")) == 1)
    };
    until("it is bound", bound);
    site.ask("FLUSHALL");
    assert!(!bound(), "it is forgotten");
    for kind in ["normal", "pubsub"] {
        site.ask(&format!("CLIENT KILL TYPE {kind}"));
    }
    until("it is bound again", bound);
    drop(worker);
}

/// Its caller waits for a word, and somebody should look at the message.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_cannot_be_read_fails_and_goes_to_quarantine() {
    let site = Site::new();
    let _worker = site.worker(&["--task", "t=/bin/cat"]);
    let (redis, _) = Redis::connect(&site.server.url(), RedisOptions::default()).await.expect("Redis");
    let host = support::host(redis);
    let pickle = "application/x-python-serialize";
    for (id, body, content_type) in [
        ("nan", r#"[[NaN], {}, {}]"#, "application/json"),
        ("lone", r#"[["\ud800"], {}, {}]"#, "application/json"),
        ("short", "[[]]", "application/json"),
        ("pickle", "\u{80}", pickle),
    ] {
        let envelope = Task::new("t", id).envelope().with_body(body).content_type(content_type);
        host.publish(&Outgoing::new("", "celery", envelope)).await.expect("published");
    }
    for (id, kind, reason) in [
        ("nan", "DecodeError", "NaN"),
        ("lone", "DecodeError", "surrogate"),
        ("short", "DecodeError", "[args, kwargs, embed]"),
        ("pickle", "ContentDisallowed", pickle),
    ] {
        let (found, message) = site.failure(id);
        assert!(found == kind && message.contains(reason), "{found}: {message}");
        assert_eq!(site.result(id)["result"]["exc_module"], "kombu.exceptions");
    }
    site.all_is_acked();
    assert_eq!(site.number("LLEN keyrail.quarantine.celery"), 4);
    // Such a task must not run before its time, or behind it.
    for (name, value) in
        [("eta", Json::from("soon")), ("eta", 7.into()), ("expires", "2026-13-01T00:00".into())]
    {
        let envelope = Task::new("t", "time").envelope().header(name, value);
        host.publish(&Outgoing::new("", "celery", envelope)).await.expect("published");
        let (found, message) = site.failure("time");
        assert!(found == "InvalidTaskError" && message.contains(&format!("`{name}`")), "{found}: {message}");
        assert_eq!(site.result("time")["result"]["exc_module"], "celery.exceptions");
        site.all_is_acked();
        site.ask("DEL celery-task-meta-time");
    }
    assert_eq!(site.number("LLEN keyrail.quarantine.celery"), 7);
}

/// What Python stores and JSON cannot hold is a result like any other.
#[test]
fn a_success_that_only_python_reads_stays() {
    let site = Site::new();
    let fail = site.script("fail", "cat >/dev/null; exit 3");
    let _worker = site.worker(&["--task", &format!("fail={fail}")]);
    let url = site.server.url();
    for (id, result) in [("n", "[NaN, -Infinity]"), ("w", "1180591620717411303424"), ("s", r#""\ud800""#)] {
        let key = format!("celery-task-meta-{id}");
        let document = format!(r#"{{"status": "SUCCESS", "result": {result}, "task_id": "{id}"}}"#);
        site.server.command(&["SET", &key, &document]);
        site.publish("fail", id);
        site.all_is_acked();
        assert_eq!(site.ask(&format!("GET {key}")), format!("${}\r\n{document}", document.len()));
        assert_eq!(succeed(["result", "--redis", &url, id]), format!("{document}\n"));
        let wait =
            ["publish", "--redis", &url, "--task", "x", "-k", "nobody", "--task-id", id, "--wait", "9"];
        let waited = keyrail(wait);
        assert!(waited.status.success(), "{waited:?}");
        assert!(text(&waited.stdout).ends_with(&format!("{document}\n")), "{waited:?}");
        let waited = text(&keyrail(wait.iter().chain(&["--json"])).stdout);
        assert!(waited.ends_with(&format!("\"result\":{document}}}\n")), "{waited}");
    }
    // A failure is what a second run may undo, and what is no result.
    for stored in [r#"{"status": "FAILURE", "result": NaN}"#, "garbage"] {
        site.server.command(&["SET", "celery-task-meta-f", stored]);
        site.publish("fail", "f");
        site.all_is_acked();
        assert_eq!(site.failure("f").0, "RuntimeError");
    }
}
