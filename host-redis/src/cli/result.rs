use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use keyrail_redis::{
    celery::{Results, TaskFailure, TaskResult},
    wide_number,
};
use serde_json::Value;

use super::{
    Failure,
    open::{Source, seconds},
};

/// Read the result of a Celery task, or write it: whoever did the work can answer for a worker.
///
/// The result is printed as the JSON that Celery stores. What has succeeded stays so, as in Celery.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail result --redis redis://127.0.0.1/0 3f0e…  --wait 10
  keyrail result --redis redis://127.0.0.1/0 3f0e…  --success '{\"total\": 42}'
  keyrail result --redis redis://127.0.0.1/0 3f0e…  --failure 'ValueError: below zero'
  keyrail result --redis redis://127.0.0.1/0 3f0e…  --status PROGRESS --about '{\"done\": 40}'

Exit status: 0 succeeded or written, 1 failed, not ready, or not written, 2 wrong usage.")]
#[group(id = "write", multiple = false, args = ["success", "failure", "status"])]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// The task's id
    #[arg(value_name = "ID")]
    task_id: String,

    /// Wait so many seconds until the task is ready
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "write")]
    wait: Option<Duration>,

    /// Write that the task returned this JSON
    #[arg(long, value_name = "JSON")]
    success: Option<String>,

    /// Write that the task raised this
    #[arg(long, value_name = "EXCEPTION: MESSAGE")]
    failure: Option<String>,

    /// Write that the task is that far, in Celery's word or one of your own
    #[arg(long, value_name = "WORD")]
    status: Option<String>,

    /// What a task of that status says about itself, as JSON
    #[arg(long, value_name = "JSON", requires = "status")]
    about: Option<String>,

    /// How many seconds a result that is written is kept
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = seconds)]
    expires: Duration,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    if args.source.redis.is_none() {
        return Err(Failure::usage("results lie in a Redis; give --redis URL"));
    }
    let host = args.source.tables("").await?;
    let results = Results::new(&host).expires(args.expires);
    let id = &args.task_id;
    if let Some(result) = written(&args)? {
        return match results.store(&result).await? {
            true => Ok(ExitCode::SUCCESS),
            false => Err(Failure::failed(format!("task `{id}` has succeeded already, and stays so"))),
        };
    }
    let stored = match args.wait {
        Some(limit) => results.wait(id, limit).await?,
        None => results.get(id).await?,
    };
    let stored = stored.ok_or_else(|| Failure::failed(format!("task `{id}` has no result")))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", stored.to_json())?;
    out.flush()?;
    Ok(match stored.outcome() {
        Some(Ok(_)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn written(args: &Args) -> Result<Option<TaskResult>, Failure> {
    let id = &args.task_id;
    let about = args.about.as_deref().map(|text| json("--about", text)).transpose()?;
    Ok(match (&args.success, &args.failure, &args.status) {
        (Some(text), ..) => Some(TaskResult::success(id, json("--success", text)?)),
        (_, Some(text), _) => Some(TaskResult::failure(id, &raised(text))),
        (.., Some(word)) => Some(TaskResult::progress(id, word, about.unwrap_or_default())),
        _ => None,
    })
}

/// `ValueError: below zero`.
fn raised(text: &str) -> TaskFailure {
    match text.split_once(": ") {
        Some((kind, message))
            if kind.chars().all(|c| c.is_alphanumeric() || c == '_') && !kind.is_empty() =>
        {
            TaskFailure::new(kind, message)
        }
        _ => TaskFailure::new("Exception", text),
    }
}

fn json(flag: &str, text: &str) -> Result<Value, Failure> {
    let value = serde_json::from_str(text).map_err(|error| {
        Failure::usage(format!("{flag}: `{text}` is no JSON: {}", keyrail_redis::json_error(&error)))
    })?;
    match wide_number(text) {
        Some(wide) => Err(Failure::usage(format!("{flag}: the whole number {wide} has more than 64 bits"))),
        None => Ok(value),
    }
}
