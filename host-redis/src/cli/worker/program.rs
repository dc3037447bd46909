//! A task's program: how it is started, what it is given, and what is made of what it leaves.

use std::{
    borrow::Cow,
    io,
    os::unix::process::ExitStatusExt,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use keyrail_redis::{
    celery::{Call, TaskFailure},
    json_error, wide_number,
};
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group},
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::{super::signals::Signals, output::Output};

/// How programs are run.
#[derive(Clone)]
pub(super) struct Runner {
    pub(super) signals: Signals,
    /// The most bytes that are kept of each output.
    pub(super) max_output: usize,
}

/// How long a program that has ended may leave its outputs open, in the hands of others that it started.
const LINGER: Duration = Duration::from_secs(1);

/// How long a program may be missing or written to, while it is replaced.
const REPLACED: Duration = Duration::from_secs(10);

impl Runner {
    pub(super) async fn run(self, path: String, call: Call) -> Result<Value, TaskFailure> {
        let mut child = self.start(&path, &call).await?;
        // INVARIANT: dropped before the child is, whose number nobody else has till then.
        let mut group = Group::of(&child);
        let input = json!([call.args, call.kwargs]).to_string();
        let (mut stdout, mut stderr) = (Output::new(self.max_output), Output::new(self.max_output));
        let (stdin, pipes) = (child.stdin.take(), (child.stdout.take(), child.stderr.take()));
        let write = async {
            if let Some(mut stdin) = stdin {
                // A program need not read what it does not want.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let mut asked = false;
        let status = {
            let talk = async {
                tokio::join!(write, stdout.read_from(pipes.0, false), stderr.read_from(pipes.1, true))
            };
            let mut talk = pin!(talk);
            let mut talks = true;
            let status = loop {
                tokio::select! {
                    biased;
                    status = child.wait() => break status,
                    // It may close its outputs and go on.
                    _ = &mut talk, if talks => talks = false,
                    () = call.soft_time_limit(), if !asked => {
                        asked = true;
                        group.signal(Signal::TERM);
                    }
                }
            };
            if !asked && status.as_ref().is_ok_and(is_lost) {
                // It may run again, and not beside what is left of it. Its number was free for no time.
                group.signal(Signal::KILL);
            }
            group.ended();
            // It ended in time, and nothing of this is its.
            let linger = call.time_left().map_or(LINGER, |left| LINGER.min(left / 2));
            if talks && timeout(linger, talk).await.is_err() {
                tracing::debug!("`{path}` has ended, and what it started holds its outputs open");
            }
            status
        };
        let status = status.map_err(|error| TaskFailure::lost(&format!("{path}: {error}")))?;
        if asked && !status.success() {
            let traceback = Some(stderr.text());
            return Err(TaskFailure { traceback, ..TaskFailure::soft_time_limit_exceeded() });
        }
        outcome(&path, status, &stdout, &stderr).map_err(|failure| *failure)
    }

    /// Starts it in a process group of its own: what the terminal or a supervisor tells the worker is not for it. A shortage
    /// is waited for, since it is this machine's and not the task's.
    async fn start(&self, path: &str, call: &Call) -> Result<Child, TaskFailure> {
        let begun = Instant::now();
        let mut delay = Duration::from_millis(20);
        loop {
            let error = match command(path, call).spawn() {
                Ok(child) => return Ok(child),
                Err(error) => error,
            };
            let lost = || TaskFailure::lost(&format!("{path}: {error}"));
            match passes(&error) {
                Passes::Never => return Err(TaskFailure::new("OSError", &format!("{path}: {error}"))),
                Passes::Soon if begun.elapsed() > REPLACED => return Err(lost()),
                Passes::Soon | Passes::Sometime => {}
            }
            if delay == Duration::from_millis(20) {
                tracing::warn!("`{path}` cannot be started yet: {error}");
            }
            tokio::select! {
                () = sleep(delay) => {}
                () = self.signals.first() => return Err(lost()),
            }
            delay = (delay * 2).min(Duration::from_secs(1));
        }
    }
}

fn command(path: &str, call: &Call) -> Command {
    let mut command = Command::new(path);
    command.env("KEYRAIL_TASK_ID", &call.id).env("KEYRAIL_TASK_NAME", &call.name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    command
}

/// Whether a program that cannot be started can be later. It was there when the worker began.
enum Passes {
    Never,
    Soon,
    Sometime,
}

fn passes(error: &io::Error) -> Passes {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM) => Passes::Sometime,
        Some(Errno::TXTBSY | Errno::NOENT) => Passes::Soon,
        _ => Passes::Never,
    }
}

/// A program and what it started, killed together if nobody waits for them any more.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::debug!("the process group {group} gets no signal: {error}");
        }
    }

    /// The program has ended, and its id may soon be another one's.
    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// By these a system or a supervisor ends what it did not start; by others a program ends itself.
const FROM_OUTSIDE: [Signal; 5] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::KILL, Signal::TERM];

fn is_lost(status: &ExitStatus) -> bool {
    status.signal().and_then(Signal::from_named_raw).is_some_and(|signal| FROM_OUTSIDE.contains(&signal))
}

/// The most of a line that goes into a message, and into the log.
const MESSAGE: usize = 1000;

fn short(line: &str) -> Cow<'_, str> {
    match line.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}...", &line[..end]).into(),
        None => line.into(),
    }
}

fn outcome(
    path: &str,
    status: ExitStatus,
    stdout: &Output,
    stderr: &Output,
) -> Result<Value, Box<TaskFailure>> {
    if !status.success() {
        let wrote = stderr.text();
        let why = wrote.lines().next_back().map(|line| format!(": {}", short(line))).unwrap_or_default();
        let message = format!("{path}: {status}{why}");
        let failure = match is_lost(&status) {
            true => TaskFailure::lost(&message),
            false => TaskFailure::new("RuntimeError", &message),
        };
        return Err(TaskFailure { traceback: Some(wrote), ..failure }.into());
    }
    if let Some(limit) = stdout.overflown() {
        let message =
            format!("{path}: it printed more than {limit} bytes; raise the limit with --max-output");
        return Err(TaskFailure::new("OverflowError", &message).into());
    }
    let printed = stdout.text();
    match (serde_json::from_slice(stdout.bytes()), wide_number(&printed)) {
        (Ok(_), Some(wide)) => {
            let message = format!("{path}: it printed the whole number {wide}, which has more than 64 bits");
            Err(TaskFailure::new("OverflowError", &message).into())
        }
        (Ok(value), _) => Ok(value),
        // It nests deeper than is read, or a number has no end.
        (Err(error), _) if serde_json::from_slice::<IgnoredAny>(stdout.bytes()).is_ok() => {
            let message = format!("{path}: it printed JSON that cannot be a result: {}", json_error(&error));
            Err(TaskFailure::new("OverflowError", &message).into())
        }
        (Err(_), _) => Ok(printed.into()),
    }
}
