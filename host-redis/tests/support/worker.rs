//! `keyrail worker` beside a Redis of its own, with programs in a folder.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Folder, PATIENCE, RedisServer, succeed};

/// A Redis, and programs in a folder.
pub(crate) struct Site {
    pub(crate) server: RedisServer,
    pub(crate) folder: Folder,
}

impl Site {
    pub(crate) fn new() -> Self {
        Site { server: RedisServer::start(), folder: Folder::new() }
    }

    /// A shell script; `$0` names it.
    pub(crate) fn script(&self, name: &str, body: &str) -> String {
        let path = self.folder.file(name, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
        command.args(["worker", "--redis", &self.server.url(), "-n", "w@test"]).args(args);
        // One that a failing test leaves running ends with it.
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        command
    }

    /// A worker that is ready.
    pub(crate) fn worker(&self, args: &[&str]) -> Worker {
        self.start(self.command(args))
    }

    pub(crate) fn start(&self, mut command: Command) -> Worker {
        let log = self.folder.path("worker.log");
        command.stderr(fs::File::create(&log).expect("a file"));
        let mut worker = Worker { child: command.spawn().expect("a worker"), log };
        until("the worker is ready", || worker.log().contains("is ready"));
        worker.child.try_wait().expect("a child");
        worker
    }

    pub(crate) fn publish(&self, task: &str, id: &str) {
        succeed(["publish", "--redis", &self.server.url(), "--task", task, "--task-id", id]);
    }

    pub(crate) fn ask(&self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        self.server.command(&words).trim_end().to_owned()
    }

    pub(crate) fn number(&self, command: &str) -> i64 {
        let answer = self.ask(command);
        answer.strip_prefix(':').and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
    }

    /// What is stored of a task, once it is there.
    pub(crate) fn result(&self, id: &str) -> Value {
        let key = format!("celery-task-meta-{id}");
        until(&format!("`{id}` has a result"), || self.number(&format!("EXISTS {key}")) == 1);
        let stored = self.ask(&format!("GET {key}"));
        let document = stored.split_once("\r\n").expect("a bulk string").1;
        serde_json::from_str(document).unwrap_or_else(|error| panic!("{stored}: {error}"))
    }

    pub(crate) fn assert_succeeds(&self, id: &str, result: &str) {
        let stored = self.result(id);
        assert_eq!((&stored["status"], &stored["result"]), (&"SUCCESS".into(), &result.into()), "{stored}");
    }

    /// The exception's type and message.
    pub(crate) fn failure(&self, id: &str) -> (String, String) {
        let stored = self.result(id);
        assert_eq!(stored["status"], "FAILURE", "{stored}");
        let part = |value: &Value| value.as_str().expect("a text").to_owned();
        (part(&stored["result"]["exc_type"]), part(&stored["result"]["exc_message"][0]))
    }

    /// More of the task `fail` than a worker takes ahead, each with a line in its log.
    pub(crate) fn a_dozen_fail(&self) {
        let ids: Vec<String> = (0..12).map(|n| format!("f{n}")).collect();
        for id in &ids {
            self.publish("fail", id);
        }
        for id in &ids {
            assert_eq!(self.failure(id).0, "RuntimeError");
        }
        self.all_is_acked();
    }

    pub(crate) fn all_is_acked(&self) {
        until("all is acked", || self.number("EXISTS unacked unacked_index celery") == 0);
    }

    /// The process that a script wrote down.
    pub(crate) fn written_pid(&self, file: &str) -> Pid {
        let path = self.folder.path(file);
        let read =
            || fs::read_to_string(&path).unwrap_or_default().trim().parse().ok().and_then(Pid::from_raw);
        until("a process is written down", || read().is_some());
        read().expect("a process")
    }
}

pub(crate) struct Worker {
    pub(crate) child: Child,
    pub(crate) log: String,
}

impl Worker {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("small")).expect("a process")
    }

    pub(crate) fn tell(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    /// How it ends, and how long that takes.
    pub(crate) fn end(&mut self) -> (ExitStatus, Duration) {
        let since = Instant::now();
        until("the worker ends", || self.child.try_wait().expect("a child").is_some());
        (self.child.wait().expect("ended"), since.elapsed())
    }

    #[track_caller]
    pub(crate) fn ends_well(&mut self) {
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
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn lives(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    // A zombie is dead.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
