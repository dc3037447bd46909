//! `keyrail worker` and programs that fail, are killed, leave children behind or print too much: no place is lost, no task
//! either, and it can be stopped.

mod support;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use keyrail_core::kombu::{Json, Task};
use keyrail_redis::{Outgoing, Redis, RedisOptions};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use support::{Folder, PATIENCE, RedisServer, free_port, keyrail, succeed, text};

/// A Redis, and programs in a folder.
struct Site {
    server: RedisServer,
    folder: Folder,
}

impl Site {
    fn new() -> Self {
        Site { server: RedisServer::start(), folder: Folder::new() }
    }

    /// A shell script; `$0` names it.
    fn script(&self, name: &str, body: &str) -> String {
        let path = self.folder.file(name, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
        command.args(["worker", "--redis", &self.server.url(), "-n", "w@test"]).args(args);
        // One that a failing test leaves running ends with it.
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        command
    }

    /// A worker that is ready.
    fn worker(&self, args: &[&str]) -> Worker {
        self.start(self.command(args))
    }

    fn start(&self, mut command: Command) -> Worker {
        let log = self.folder.path("worker.log");
        command.stderr(fs::File::create(&log).expect("a file"));
        let mut worker = Worker { child: command.spawn().expect("a worker"), log };
        until("the worker is ready", || worker.log().contains("is ready"));
        worker.child.try_wait().expect("a child");
        worker
    }

    fn publish(&self, task: &str, id: &str) {
        succeed(["publish", "--redis", &self.server.url(), "--task", task, "--task-id", id]);
    }

    fn ask(&self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        self.server.command(&words).trim_end().to_owned()
    }

    fn number(&self, command: &str) -> i64 {
        let answer = self.ask(command);
        answer.strip_prefix(':').and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
    }

    /// What is stored of a task, once it is there.
    fn result(&self, id: &str) -> Value {
        let key = format!("celery-task-meta-{id}");
        until(&format!("`{id}` has a result"), || self.number(&format!("EXISTS {key}")) == 1);
        let stored = self.ask(&format!("GET {key}"));
        let document = stored.split_once("\r\n").expect("a bulk string").1;
        serde_json::from_str(document).unwrap_or_else(|error| panic!("{stored}: {error}"))
    }

    fn assert_succeeds(&self, id: &str, result: &str) {
        let stored = self.result(id);
        assert_eq!((&stored["status"], &stored["result"]), (&"SUCCESS".into(), &result.into()), "{stored}");
    }

    /// The exception's type and message.
    fn failure(&self, id: &str) -> (String, String) {
        let stored = self.result(id);
        assert_eq!(stored["status"], "FAILURE", "{stored}");
        let part = |value: &Value| value.as_str().expect("a text").to_owned();
        (part(&stored["result"]["exc_type"]), part(&stored["result"]["exc_message"][0]))
    }

    /// More of the task `fail` than a worker takes ahead, each with a line in its log.
    fn a_dozen_fail(&self) {
        let ids: Vec<String> = (0..12).map(|n| format!("f{n}")).collect();
        for id in &ids {
            self.publish("fail", id);
        }
        for id in &ids {
            assert_eq!(self.failure(id).0, "RuntimeError");
        }
        self.all_is_acked();
    }

    fn all_is_acked(&self) {
        until("all is acked", || self.number("EXISTS unacked unacked_index celery") == 0);
    }

    /// The process that a script wrote down.
    fn written_pid(&self, file: &str) -> Pid {
        let path = self.folder.path(file);
        let read =
            || fs::read_to_string(&path).unwrap_or_default().trim().parse().ok().and_then(Pid::from_raw);
        until("a process is written down", || read().is_some());
        read().expect("a process")
    }
}

struct Worker {
    child: Child,
    log: String,
}

impl Worker {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("small")).expect("a process")
    }

    fn tell(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    /// How it ends, and how long that takes.
    fn end(&mut self) -> (ExitStatus, Duration) {
        let since = Instant::now();
        until("the worker ends", || self.child.try_wait().expect("a child").is_some());
        (self.child.wait().expect("ended"), since.elapsed())
    }

    #[track_caller]
    fn ends_well(&mut self) {
        let (status, _) = self.end();
        assert!(status.success(), "{status}\n{}", self.log());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn lives(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    // A zombie is dead.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

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

/// Ctrl-C goes to the whole group of the terminal.
#[test]
fn an_interrupt_is_not_for_the_programs() {
    let site = Site::new();
    let slow = site.script("slow", "echo $$ > $0.pid; sleep 1; echo slept");
    let mut worker = site.worker(&["--task", &format!("slow={slow}")]);
    site.publish("slow", "s");
    site.written_pid("slow.pid");
    kill_process_group(worker.pid(), Signal::INT).expect("it runs");
    worker.ends_well();
    site.assert_succeeds("s", "slept");
    site.all_is_acked();
}

/// By systemd without `KillMode=mixed`, for instance.
#[test]
fn a_task_that_is_killed_together_with_its_worker_goes_back() {
    let site = Site::new();
    let slow = site.script("slow", "echo $$ > $0.pid; exec sleep 300");
    let mut worker = site.worker(&["--task", &format!("slow={slow}")]);
    site.publish("slow", "s");
    let program = site.written_pid("slow.pid");
    worker.tell(Signal::TERM);
    thread::sleep(Duration::from_millis(200));
    kill_process(program, Signal::TERM).expect("it runs");
    worker.ends_well();
    assert_eq!(site.number("EXISTS unacked celery-task-meta-s"), 0, "{}", worker.log());
    assert_eq!(site.number("LLEN celery"), 1, "it runs again");
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
fn a_second_signal_ends_at_once_and_the_task_goes_back() {
    let site = Site::new();
    let hangs = site.script("hangs", "sleep 300 & echo $! > $0.pid; wait");
    let mut worker = site.worker(&["-c", "2", "--task", &format!("hangs={hangs}")]);
    site.publish("hangs", "h1");
    let child = site.written_pid("hangs.pid");
    site.publish("hangs", "h2");
    worker.tell(Signal::TERM);
    thread::sleep(Duration::from_millis(300));
    assert!(worker.child.try_wait().expect("a child").is_none(), "it waits for what runs");
    worker.tell(Signal::INT);
    worker.ends_well();
    assert_eq!((site.number("LLEN celery"), site.number("EXISTS unacked")), (2, 0), "{}", worker.log());
    until("what the program started is dead", || !lives(child));
}

/// A terminal that is closed, and Ctrl-\\: neither leaves programs behind that nobody waits for.
#[test]
fn a_terminal_that_goes_ends_a_worker_in_order() {
    let site = Site::new();
    let slow = site.script("slow", "echo $$ > $0.pid; sleep 1; echo slept");
    let mut worker = site.worker(&["--task", &format!("slow={slow}")]);
    site.publish("slow", "s");
    site.written_pid("slow.pid");
    // Twice: of the system and of a shell. It asks for nothing more.
    for _ in 0..2 {
        worker.tell(Signal::HUP);
        thread::sleep(Duration::from_millis(100));
    }
    worker.ends_well();
    site.assert_succeeds("s", "slept");
    site.all_is_acked();

    let hangs = site.script("hangs", "echo $$ > $0.pid; exec sleep 300");
    let mut worker = site.worker(&["--task", &format!("hangs={hangs}")]);
    site.publish("hangs", "h");
    let program = site.written_pid("hangs.pid");
    worker.tell(Signal::QUIT);
    worker.ends_well();
    until("its program is dead", || !lives(program));
    assert_eq!((site.number("LLEN celery"), site.number("EXISTS unacked")), (1, 0), "{}", worker.log());
}

/// As `nohup` starts it.
#[test]
fn a_hangup_that_was_ignored_stays_so() {
    let site = Site::new();
    let worker = site.command(&["--task", "cat=/bin/cat"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(worker.get_program()).args(worker.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut worker = site.start(command);
    worker.tell(Signal::HUP);
    thread::sleep(Duration::from_millis(300));
    assert!(worker.child.try_wait().expect("a child").is_none(), "{}", worker.log());
    site.publish("cat", "c");
    site.result("c");
    worker.tell(Signal::TERM);
    worker.ends_well();
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

/// Whoever asks for an end must not wait for a server that hangs.
#[test]
fn a_redis_that_hangs_keeps_nobody_from_stopping() {
    let site = Site::new();
    let mut workers = [(); 2].map(|()| site.worker(&["--task", "cat=/bin/cat"]));
    let mut consume = Command::new(env!("CARGO_BIN_EXE_keyrail"));
    consume.args(["consume", "--redis", &site.server.url(), "-q", "q"]).stderr(Stdio::null());
    succeed(["publish", "--redis", &site.server.url(), "-k", "q", "-b", "x"]);
    let consume = consume.stdout(Stdio::null()).spawn().expect("a consumer");
    let mut consume = Worker { child: consume, log: site.folder.path("none") };
    until("the message is printed and acked", || site.number("EXISTS q unacked") == 0);
    let redis = site.ask("INFO server");
    let redis = redis.lines().find_map(|line| line.strip_prefix("process_id:")).expect("a process");
    let redis = Pid::from_raw(redis.parse().expect("a number")).expect("a process");
    kill_process(redis, Signal::STOP).expect("it runs");
    // Past the next heartbeat, so that all of them wait for an answer.
    thread::sleep(Duration::from_millis(2500));
    let [patient, hasty] = &mut workers;
    for worker in [&*patient, &*hasty, &consume] {
        worker.tell(Signal::TERM);
    }
    thread::sleep(Duration::from_millis(200));
    hasty.tell(Signal::TERM);
    let in_haste = hasty.end().1;
    let patiently = [patient.end().1, consume.end().1];
    kill_process(redis, Signal::CONT).expect("it is there");
    assert!(in_haste < Duration::from_secs(4), "{in_haste:?}");
    assert!(patiently.iter().all(|took| *took < Duration::from_secs(15)), "{patiently:?}");
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
