use std::{
    collections::HashSet,
    os::unix::fs::PermissionsExt,
    path::Path,
    pin::pin,
    process::{ExitCode, Stdio},
    str::FromStr,
};

use keyrail_redis::{
    celery::{Call, TaskFailure, Worker},
    wide_number,
};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{Failure, consume::interrupt, open::Source};

/// Run Celery tasks as programs, as a Celery worker that `celery inspect` and Flower see.
///
/// A program gets `[args, kwargs]` as JSON on standard input and the call in KEYRAIL_TASK_ID and KEYRAIL_TASK_NAME. What
/// it prints is the result, as JSON if it is JSON and else as text; if it exits with another status than 0, the task has
/// failed: with that status and the last line it wrote to standard error as the message, and all of that as the
/// traceback. A message is acked when its result is stored: if the worker dies before, the task is run again.
///
/// A program runs in a process group of its own. At the soft time limit of its task the group gets SIGTERM; a program that
/// fails then has failed with SoftTimeLimitExceeded. At the hard one the group is killed: TimeLimitExceeded.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail worker --redis redis://127.0.0.1/0 --task shop.resize=./resize.sh
  keyrail worker --redis redis://127.0.0.1/0 -q images -c 4 --task shop.echo=/bin/cat")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// A task and the program that runs it; may be given several times
    #[arg(long = "task", value_name = "NAME=PROGRAM", required = true)]
    tasks: Vec<Program>,

    /// A queue to take from; may be given several times [default: celery]
    #[arg(long = "queue", short = 'q', value_name = "NAME")]
    queues: Vec<String>,

    /// The name of this worker, as Celery reads it: NAME@HOST, or a HOST alone; %h is this machine's
    /// [default: keyrail@%h]
    #[arg(long, short = 'n', value_name = "NAME@HOST")]
    hostname: Option<String>,

    /// How many programs run at once [default: one per core]
    #[arg(long, short = 'c', value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,
}

/// `NAME=PROGRAM`.
#[derive(Clone)]
struct Program {
    task: String,
    path: String,
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((task, path)) if !task.is_empty() && !path.is_empty() => {
                Ok(Program { task: task.into(), path: path.into() })
            }
            _ => Err("expected NAME=PROGRAM".into()),
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    if args.source.redis.is_none() {
        return Err(Failure::usage("a file holds no messages; worker needs --redis URL"));
    }
    let name = node_name(args.hostname.as_deref().unwrap_or_default(), &machine())?;
    check(&args.tasks)?;
    let stop = interrupt()?;
    let host = args.source.tables("").await?;
    let mut worker = Worker::new(&host, &name).consumer_options(args.source.consumer_options()?);
    if !args.queues.is_empty() {
        worker = worker.queues(args.queues);
    }
    if let Some(concurrency) = args.concurrency {
        worker = worker.concurrency(concurrency.into());
    }
    for Program { task, path } in args.tasks {
        worker = worker.task(&task, move |call| execute(path.clone(), call));
    }
    let name = super::show::clean(&name);
    worker.when_ready(move || eprintln!("{name} is ready")).run(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Each task has one program, which is there: else every call of it would fail.
fn check(tasks: &[Program]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for Program { task, path } in tasks {
        if !seen.insert(task) {
            return Err(Failure::usage(format!("--task: `{task}` is given twice")));
        }
        if let Err(reason) = runnable(path) {
            return Err(Failure::failed(format!("--task {task}: `{path}` cannot be run: {reason}")));
        }
    }
    Ok(())
}

/// Looks where a shell would: in PATH, unless the name has a folder.
fn runnable(path: &str) -> Result<(), String> {
    let executable = |path: &Path| match path.metadata() {
        Ok(about) if !about.is_file() => Err("it is no file".to_owned()),
        Ok(about) if about.permissions().mode() & 0o111 == 0 => Err("it may not be executed".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if path.contains('/') {
        return executable(Path::new(path));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&folders).any(|folder| executable(&folder.join(path)).is_ok()) {
        true => Ok(()),
        false => Err("there is no such program in PATH".into()),
    }
}

/// A name without `@` is a host, as in Celery.
fn node_name(given: &str, machine: &str) -> Result<String, Failure> {
    let given = given.replace("%h", machine);
    let (name, host) = given.split_once('@').unwrap_or(("", &given));
    if host.contains('@') || given.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(Failure::usage(format!("--hostname: `{given}` is no name, expected NAME@HOST")));
    }
    let or = |part: &str, other: &str| if part.is_empty() { other.to_owned() } else { part.to_owned() };
    Ok(format!("{}@{}", or(name, "keyrail"), or(host, machine)))
}

async fn execute(path: String, call: Call) -> Result<Value, TaskFailure> {
    let failed = |error: std::io::Error| TaskFailure::new("OSError", &format!("{path}: {error}"));
    let mut command = Command::new(&path);
    command.env("KEYRAIL_TASK_ID", &call.id).env("KEYRAIL_TASK_NAME", &call.name).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    let id = child.id();
    let input = json!([call.args, call.kwargs]).to_string();
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program need not read what it does not want.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let mut ended = pin!(async { tokio::join!(child.wait_with_output(), write).0 });
    // INVARIANT: dropped before the child is, whose number nobody else has till then.
    let mut group = Group::of(id);
    let mut asked = false;
    let output = loop {
        tokio::select! {
            biased;
            output = &mut ended => break output.map_err(failed),
            () = call.soft_time_limit(), if !asked => {
                asked = true;
                group.signal(Signal::TERM);
            }
        }
    };
    group.leave();
    let output = output?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if !output.status.success() {
        let wrote = text(&output.stderr);
        if asked {
            return Err(TaskFailure { traceback: Some(wrote), ..TaskFailure::soft_time_limit_exceeded() });
        }
        let why = wrote.lines().next_back().map(|line| format!(": {line}")).unwrap_or_default();
        let failure = TaskFailure::new("RuntimeError", &format!("{path}: {}{why}", output.status));
        return Err(TaskFailure { traceback: Some(wrote), ..failure });
    }
    let printed = text(&output.stdout);
    match (serde_json::from_slice(&output.stdout), wide_number(&printed)) {
        (Ok(_), Some(wide)) => {
            let message = format!("{path}: it printed the whole number {wide}, which has more than 64 bits");
            Err(TaskFailure::new("OverflowError", &message))
        }
        (Ok(value), _) => Ok(value),
        (Err(_), _) => Ok(printed.into()),
    }
}

/// A program with all that it started, as long as they stay together. Whoever drops it before the program has ended kills
/// them: the task has met its hard time limit.
struct Group(Option<Pid>);

impl Group {
    /// That of a child that leads one.
    fn of(child: Option<u32>) -> Self {
        Group(child.and_then(|id| Pid::from_raw(id.try_into().ok()?)))
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0
            && let Err(error) = kill_process_group(leader, signal)
        {
            tracing::debug!("the process group {leader} gets no signal: {error}");
        }
    }

    /// The program has ended; what it left behind stays.
    fn leave(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".into() } else { name.trim().into() }
}
