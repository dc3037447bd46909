use std::{
    process::{ExitCode, Stdio},
    str::FromStr,
};

use keyrail_redis::celery::{Call, TaskFailure, Worker};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{Failure, consume::interrupt, open::Source};

/// Run Celery tasks as programs, as a Celery worker that `celery inspect` and Flower see.
///
/// A program gets `[args, kwargs]` as JSON on standard input and the call in KEYRAIL_TASK_ID and KEYRAIL_TASK_NAME. What
/// it prints is the result, as JSON if it is JSON and else as text; if it exits with another status than 0, the task has
/// failed with what it wrote to standard error. A message is acked when its result is stored: if the worker dies before,
/// the task is run again.
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

    /// The name of this worker [default: keyrail@<host>]
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
    let stop = interrupt()?;
    let host = args.source.tables("").await?;
    let name = args.hostname.unwrap_or_else(|| format!("keyrail@{}", machine()));
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

async fn execute(path: String, call: Call) -> Result<Value, TaskFailure> {
    let failed = |error: std::io::Error| TaskFailure::new("OSError", &format!("{path}: {error}"));
    let mut command = Command::new(&path);
    command.env("KEYRAIL_TASK_ID", &call.id).env("KEYRAIL_TASK_NAME", &call.name).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let input = json!([call.args, call.kwargs]).to_string();
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program need not read what it does not want.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write);
    let output = output.map_err(failed)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if !output.status.success() {
        let failure = TaskFailure::new("RuntimeError", &format!("{path}: {}", output.status));
        return Err(TaskFailure { traceback: Some(text(&output.stderr)), ..failure });
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_else(|_| text(&output.stdout).into()))
}

fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".into() } else { name.trim().into() }
}
