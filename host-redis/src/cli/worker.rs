use std::{
    collections::HashSet, os::unix::fs::PermissionsExt, path::Path, process::ExitCode, str::FromStr,
    time::Duration,
};

use keyrail_redis::celery::Worker;
use rustix::process::{Resource, getrlimit};

use super::{
    Failure,
    failure::tell,
    log,
    open::{Source, limits_in_order, seconds},
    signals::Signals,
};

mod output;
mod program;

use program::Runner;

/// Run Celery tasks as programs, as a Celery worker that `celery inspect` and Flower see.
///
/// A program gets `[args, kwargs]` as JSON on standard input and the call in KEYRAIL_TASK_ID and KEYRAIL_TASK_NAME. What
/// it prints is the result, as JSON if it is JSON and else as text; if it exits with another status than 0, the task has
/// failed: with that status and the last line it wrote to standard error as the message, and all of that as the
/// traceback. A message is acked when its result is stored: if the worker dies before, the task is run again.
///
/// A program runs in a process group of its own. At the soft time limit of its task the group gets SIGTERM; a program that
/// fails then has failed with SoftTimeLimitExceeded. At the hard one the group is killed: TimeLimitExceeded. A limit that the
/// caller of a task gives goes before the worker's, each by itself.
///
/// SIGINT, SIGTERM and SIGHUP stop it: it takes no more, waits for the programs that run, and puts back what it holds. A second
/// SIGINT or SIGTERM, or SIGQUIT, kills them, and their messages go back, too. Ctrl-C is the worker's alone; under systemd write
/// KillMode=mixed. A program that was killed from outside (SIGKILL by the system, SIGTERM) has not failed: its message goes
/// back, and the third time its task has failed with WorkerLostError.
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

    /// Kill a program that runs for so many seconds, unless the caller of its task gives a limit
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Limits")]
    time_limit: Option<Duration>,

    /// Ask a program to end that runs for so many seconds, unless the caller of its task gives such a limit
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Limits")]
    soft_time_limit: Option<Duration>,

    /// The most bytes a program may print as its result; of standard error the last so many are kept
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 10 << 20,
        value_parser = clap::value_parser!(u32).range(1..=256 << 20),
        help_heading = "Limits"
    )]
    max_output: u32,
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
    let (hard, soft) = (args.time_limit, args.soft_time_limit);
    limits_in_order(hard.map(|limit| limit.as_secs_f64()), soft.map(|limit| limit.as_secs_f64()))?;
    check(&args.tasks)?;
    log::never_wait();
    let signals = Signals::listen()?;
    let host = tokio::select! {
        biased;
        () = signals.first() => return Ok(ExitCode::SUCCESS),
        host = args.source.tables("") => host?,
    };
    let mut worker = Worker::new(&host, &name)
        .consumer_options(args.source.consumer_options()?)
        .time_limit(hard.unwrap_or_default())
        .soft_time_limit(soft.unwrap_or_default());
    if !args.queues.is_empty() {
        worker = worker.queues(args.queues);
    }
    if let Some(concurrency) = args.concurrency {
        worker = worker.concurrency(concurrency.into());
    }
    check_files(args.concurrency.map_or_else(cores, usize::from));
    let runner = Runner { signals: signals.clone(), max_output: args.max_output as usize };
    for Program { task, path } in args.tasks {
        let runner = runner.clone();
        worker = worker.task(&task, move |call| runner.clone().run(path.clone(), call));
    }
    let name = super::show::clean(&name);
    let worker = worker.when_ready(move || tell(format_args!("{name} is ready"))).at_once(signals.second());
    worker.run(signals.first()).await?;
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

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Files that the worker itself may have open, and those of each program: three pipes and a handle.
const FILES: u64 = 40;
const FILES_OF_A_PROGRAM: u64 = 4;

/// Too few open files keep programs waiting for each other.
fn check_files(concurrency: usize) {
    let needed = FILES + FILES_OF_A_PROGRAM * concurrency as u64;
    if let Some(allowed) = getrlimit(Resource::Nofile).current.filter(|allowed| *allowed < needed) {
        tracing::warn!(
            "{concurrency} programs at once may need {needed} open files, and {allowed} are allowed (ulimit -n): some \
             will wait"
        );
    }
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

fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".into() } else { name.trim().into() }
}
