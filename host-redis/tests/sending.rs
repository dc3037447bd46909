//! `publish`, `result` and `worker`: what is sent arrives as it was written, or is refused by name before it is sent.

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use support::{Folder, RedisServer, fail, keyrail, succeed, text};

const WIDE: &str = "12345678901234567890123";

/// The one message of a queue, its body decoded from base64.
fn message(redis: &RedisServer, queue: &str) -> (Value, String) {
    let reply = redis.command(&["RPOP", queue]);
    let payload = reply.split("\r\n").nth(1).expect("a payload");
    let envelope: Value = serde_json::from_str(payload).expect("an envelope");
    let body = envelope["body"].as_str().expect("a body");
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).expect("base64");
    (envelope, text(&bytes))
}

#[test]
fn whole_numbers_of_any_length_are_sent_and_printed_as_they_were_written() {
    let redis = RedisServer::start();
    let url = redis.url();
    let body = format!(r#"{{"n": {WIDE}}}"#);
    succeed(["publish", "--redis", &url, "-k", "q", "-j", &body]);
    assert_eq!(message(&redis, "q").1, body);
    succeed(["publish", "--redis", &url, "-k", "q", "-j", "[18446744073709551615, -9223372036854775809]"]);
    assert_eq!(message(&redis, "q").1, "[18446744073709551615, -9223372036854775809]");
    let kwargs = format!(r#"{{"x": -{WIDE}}}"#);
    succeed(["publish", "--redis", &url, "--task", "t", "--args", &format!("[{WIDE}]"), "--kwargs", &kwargs]);
    let (envelope, arguments) = message(&redis, "celery");
    assert!(arguments.starts_with(&format!(r#"[[{WIDE}], {{"x": -{WIDE}}}, "#)), "{arguments}");
    assert_eq!(envelope["headers"]["argsrepr"], format!("({WIDE},)"));

    succeed(["publish", "--redis", &url, "-k", "q", "-j", &body]);
    succeed(["publish", "--redis", &url, "-k", "q", "-j", &body]);
    let got = succeed(["consume", "--redis", &url, "-q", "q", "-n", "1"]);
    assert!(got.contains(&body), "{got}");
    let got = succeed(["consume", "--redis", &url, "-q", "q", "-n", "1", "--json"]);
    assert!(got.contains(&format!(r#""body":{body}"#)) && got.lines().count() == 1, "{got}");
}

#[test]
fn a_number_that_cannot_be_held_is_refused_by_name() {
    let redis = RedisServer::start();
    let url = redis.url();
    for args in [
        vec!["publish", "--redis", &url, "-k", "q", "-b", "x", "-H", "a:=12345678901234567890123"],
        vec!["publish", "--redis", &url, "-k", "q", "-b", "x", "-P", "app_id:=[12345678901234567890123]"],
        vec!["result", "--redis", &url, "id", "--success", "[12345678901234567890123]"],
        vec!["result", "--redis", &url, "id", "--status", "PROGRESS", "--about", WIDE],
    ] {
        let output = keyrail(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let err = text(&output.stderr);
        assert!(err.contains(&format!("the whole number {WIDE} has more than 64 bits")), "{args:?}: {err}");
    }
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
    redis.command(&["SET", "celery-task-meta-id", &format!(r#"{{"status": "SUCCESS", "result": {WIDE}}}"#)]);
    let line = fail(1, ["result", "--redis", &url, "id"]);
    assert!(line.contains(WIDE), "{line}");
}

#[test]
fn what_kombu_would_raise_on_is_not_sent() {
    let redis = RedisServer::start();
    let url = redis.url();
    let folder = Folder::new();
    let file = folder.file("body", "{");
    for content in [["-b", "not json"], ["-f", &file]] {
        let [flag, value] = content;
        let args = ["publish", "--redis", &url, "-k", "q", flag, value, "--content-type", "application/json"];
        let line = fail(2, args);
        assert!(line.contains("--content-type application/json: the body is no JSON"), "{line}");
    }
    assert_eq!(redis.command(&["EXISTS", "q"]), ":0\r\n");
    // What Python wrote, and what JSON is.
    for body in [r#""\ud800""#, "[1]"] {
        succeed(["publish", "--redis", &url, "-k", "q", "-b", body, "--content-type", "application/json"]);
        assert_eq!(message(&redis, "q").1, body);
    }
}

#[test]
fn properties_and_headers_that_would_vanish_are_refused() {
    let redis = RedisServer::start();
    let url = redis.url();
    for (flag, given, expected) in [
        ("-P", &["priority=3"][..], "use --priority"),
        ("-P", &["expiration=3"], "use --expiration"),
        ("-P", &["content_type=a/b"], "use --content-type"),
        ("-P", &["delivery_tag=zzz"], "`delivery_tag` cannot be set so"),
        ("-P", &["delivery_info:={}"], "`delivery_info` cannot be set so"),
        ("-P", &["type=a", "type=b"], "--property: `type` is given twice"),
        ("-H", &["a=1", "b=1", "a=2"], "--header: `a` is given twice"),
        // Kombu unpacks by it, and raises on what nobody has packed.
        ("-H", &["compression=gzip"], "use --compression"),
        ("-H", &["compression=nope"], "use --compression"),
    ] {
        let mut args = vec!["publish", "--redis", &url, "-k", "q", "-b", "x"];
        for one in given {
            args.extend([flag, one]);
        }
        let output = keyrail(&args);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {err}");
        assert!(err.contains(expected), "{args:?}: {err}");
    }
    assert_eq!(redis.command(&["EXISTS", "q"]), ":0\r\n");
    succeed(["publish", "--redis", &url, "-k", "q", "-b", "x", "--compression", "gzip"]);
    let packed = succeed(["consume", "--redis", &url, "-q", "q", "-n", "1", "--json"]);
    assert!(
        packed.contains(r#""compression":"application/x-gzip""#) && packed.contains(r#""body":"x""#),
        "{packed}"
    );
    // An unknown one may be somebody's own.
    let output = keyrail(["publish", "--redis", &url, "-k", "q", "-b", "x", "-P", "corelation_id=1"]);
    assert_eq!(output.status.code(), Some(0));
    let warning = text(&output.stderr);
    assert!(warning.starts_with("keyrail: warning: `corelation_id` is no property of AMQP"), "{warning}");
    assert!(warning.contains("correlation_id"), "{warning}");
    assert_eq!(message(&redis, "q").0["properties"]["corelation_id"], "1");
    // A body that was forgotten, and one that is empty on purpose.
    let forgotten = keyrail(["publish", "--redis", &url, "-k", "q"]);
    assert!(text(&forgotten.stderr).contains("the body is empty"), "{forgotten:?}");
    assert_eq!(text(&keyrail(["publish", "--redis", &url, "-k", "q", "-b", ""]).stderr), "");
}

#[test]
fn the_id_of_a_task_is_told_though_no_result_comes() {
    let redis = RedisServer::start();
    let url = redis.url();
    let publish = ["publish", "--redis", &url, "--task", "t", "--task-id", "id-1"];
    let json = keyrail(publish.iter().copied().chain(["--wait", "0.1", "--json"]));
    assert_eq!(json.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(answer, json!({"outcome": "routed", "queues": ["celery"], "receivers": 0, "taskId": "id-1"}));
    assert!(text(&json.stderr).contains("has no result after 0.1 s"), "{json:?}");
    let plain = keyrail(publish.iter().copied().chain(["--wait", "0.1"]));
    assert_eq!((plain.status.code(), text(&plain.stdout)), (Some(1), "celery\ntask id-1\n".into()));

    // Known before the wait is over, and told when somebody interrupts it.
    for (flag, first) in [(None, "celery\n"), (Some("--json"), "")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
        command.args(publish).args(["--wait", "600"]).args(flag).stdin(Stdio::null());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("keyrail starts");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        if !first.is_empty() {
            out.read_line(&mut line).expect("a line");
            assert_eq!(line, first);
            line.clear();
        } else {
            // Sent, so that it waits.
            while redis.command(&["LLEN", "celery"]) != ":4\r\n" {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        let pid = child.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -INT \"$0\"", &pid]).status().expect("sh").success());
        out.read_line(&mut line).expect("a line");
        assert!(line.contains("id-1"), "{line}");
        assert_eq!(child.wait().expect("keyrail").code(), Some(1));
    }
}

/// A worker that ends with the test.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_worker_says_what_it_cannot_run_and_why_a_task_failed() {
    let redis = RedisServer::start();
    let (url, folder) = (redis.url(), Folder::new());
    let (plain, script) = (folder.file("plain", "x"), folder.path("fail.sh"));
    std::fs::write(&script, "#!/bin/sh\necho 'first line' >&2\necho 'no paper left' >&2\nexit 3\n")
        .expect("a script");
    assert!(Command::new("chmod").args(["+x", &script]).status().expect("chmod").success());
    for (tasks, status, expected) in [
        (vec!["t=./nonexist".to_owned()], 1, "--task t: `./nonexist` cannot be run: No such file"),
        (vec![format!("t={plain}")], 1, "it may not be executed"),
        (vec![format!("t={}", folder.path(""))], 1, "it is no file"),
        (vec!["t=no-such-program".into()], 1, "there is no such program in PATH"),
        (vec!["a=cat".into(), "a=sh".into()], 2, "--task: `a` is given twice"),
    ] {
        let flags = tasks.iter().flat_map(|task| ["--task", task]);
        let output = keyrail(["worker", "--redis", &url].into_iter().chain(flags));
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{tasks:?}: {err}");
        assert!(err.contains(expected), "{tasks:?}: {err}");
    }

    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
    command.args(["worker", "--redis", &url, "-n", "w1@%h", "-c", "1"]);
    command.args([
        "--task",
        &format!("fail={script}"),
        "--task",
        "cat=cat",
        "--task",
        &format!("wide={}", folder.path("wide.sh")),
    ]);
    std::fs::write(folder.path("wide.sh"), format!("#!/bin/sh\necho '[{WIDE}]'\n")).expect("a script");
    assert!(Command::new("chmod").args(["+x", &folder.path("wide.sh")]).status().expect("chmod").success());
    command.env("KEYRAIL_LOG", "keyrail=debug").stdin(Stdio::null()).stderr(Stdio::piped());
    let mut worker = Worker(command.spawn().expect("keyrail starts"));
    let mut err = BufReader::new(worker.0.stderr.take().expect("piped"));
    let mut until = |part: &str| {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(err.read_line(&mut line).expect("a line") > 0, "it ends without `{part}`");
        }
        line
    };
    assert!(until("is ready").starts_with("w1@"));
    let call = |task: &str, id: &str, args: &str| {
        keyrail(["publish", "--redis", &url, "--task", task, "--task-id", id, "--args", args, "--wait", "60"])
    };
    let failed = text(&call("fail", "f1", "[]").stdout);
    assert!(failed.contains("exit status: 3: no paper left"), "{failed}");
    let line = until("failed");
    assert!(line.starts_with("keyrail: warning: task `fail` failed: `f1`: RuntimeError: "), "{line}");
    assert_eq!(call("cat", "c1", "[1]").status.code(), Some(0));
    until("debug: task `cat` succeeded: `c1`");
    // Of numbers that no program would get, or no result could hold, the caller hears.
    for (task, args) in [("cat", format!("[{WIDE}]")), ("wide", "[]".into())] {
        let refused = text(&call(task, &format!("wide-{task}"), &args).stdout);
        assert!(refused.contains("more than 64 bits"), "{refused}");
    }
}

#[test]
fn a_publish_can_be_followed_in_the_log() {
    let redis = RedisServer::start();
    let args = ["publish", "--redis", &redis.url(), "-k", "q", "-b", "x"];
    let output = support::keyrail_with(&[("KEYRAIL_LOG", "debug")], Stdio::null(), args);
    assert!(
        text(&output.stderr).contains(r#"keyrail: debug: published outcome="routed" queues=["q"]"#),
        "{output:?}"
    );
}
