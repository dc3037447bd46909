use std::{
    ffi::OsString,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use keyrail_core::{
    Outcome,
    kombu::{Envelope, Json, Priority, Task},
};
use keyrail_redis::{Compression, Executor, Host, HostError, Memory, Outgoing, json_error, load, read_json};

use super::{
    Failure, guess,
    header::{self, Header},
    open::{Source, limits_in_order, seconds},
};

mod answer;
mod check;

/// Publish a message, or send a Celery task.
///
/// Every queue gets a copy with a delivery tag of its own, all in one transaction. With --topology and no --redis
/// beside it nothing is sent: the Redis commands are printed instead. Exits with 1 if nobody gets the message.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail publish --redis redis://127.0.0.1/0 -x orders -k order.eu.paid --json-body '{\"total\": 42}'
  keyrail publish --redis redis://127.0.0.1/0 -k billing --body 'straight into the queue billing'
  keyrail publish --redis redis://127.0.0.1/0 -x news --type fanout --body hello
  keyrail publish --redis redis://127.0.0.1/0 --task shop.tasks.add --args '[2, 3]' --wait 10
  keyrail publish --topology definitions.json -x shop.orders -k order.eu.paid --body hello")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// The exchange; empty for the default exchange, whose routing key is the queue
    #[arg(long, short = 'x', value_name = "NAME", default_value = "")]
    exchange: String,

    /// The routing key; any bytes
    #[arg(long, short = 'k', value_name = "KEY")]
    key: Option<OsString>,

    /// The body as text
    #[arg(long, short = 'b', value_name = "TEXT", group = "content")]
    body: Option<String>,

    /// The body as JSON
    #[arg(long, short = 'j', value_name = "JSON", group = "content")]
    json_body: Option<String>,

    /// The body as the bytes of a file; - for standard input
    #[arg(long, short = 'f', value_name = "FILE", group = "content")]
    body_file: Option<PathBuf>,

    /// What the body is [default: application/json, text/plain or application/data, by the flag it came with]
    #[arg(long, value_name = "TYPE", conflicts_with = "task")]
    content_type: Option<String>,

    /// A header: name=text, or name:=json for a number or a boolean (priority:=9)
    #[arg(long = "header", short = 'H', value_name = "NAME=TEXT")]
    headers: Vec<Header>,

    /// A property by its wire name: correlation_id=c1, timestamp:=1700000000
    #[arg(long = "property", short = 'P', value_name = "NAME=TEXT")]
    properties: Vec<Header>,

    /// From 0 to 9, and as everywhere in Kombu on Redis 0 is taken first
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: u8,

    /// Compress the body: gzip, bzip2, lzma, zstd or brotli
    #[arg(long, value_name = "NAME", value_parser = |name: &str| name.parse::<Compression>())]
    compression: Option<Compression>,

    /// Write so many seconds as the message's expiration. Nobody on Redis honours it, readers only see it
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    expiration: Option<Duration>,

    /// Write the queue into each copy as its address: if a Kombu consumer crashes, only that queue gets it again
    #[arg(long)]
    return_to_queue: bool,

    /// Send this Celery task; it goes to the queue `celery` unless --exchange or --key say otherwise
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "content",
        help_heading = "Celery",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    task: Option<String>,

    /// The task's positional arguments, a JSON list
    #[arg(long, value_name = "JSON", requires = "task", help_heading = "Celery")]
    args: Option<String>,

    /// The task's arguments with names, a JSON object
    #[arg(long, value_name = "JSON", requires = "task", help_heading = "Celery")]
    kwargs: Option<String>,

    /// The task's id [default: a random one]
    #[arg(long, value_name = "ID", requires = "task", help_heading = "Celery")]
    task_id: Option<String>,

    /// Kill the task if it runs for so many seconds
    #[arg(long, value_name = "SECONDS", requires = "task", conflicts_with = "content", value_parser = limit, help_heading = "Celery")]
    time_limit: Option<f64>,

    /// Ask the task to end if it runs for so many seconds
    #[arg(long, value_name = "SECONDS", requires = "task", conflicts_with = "content", value_parser = limit, help_heading = "Celery")]
    soft_time_limit: Option<f64>,

    /// Wait so many seconds for the task's result in this Redis, and print it. What was sent is printed before, or with
    /// --json together with it, also when no result comes
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "task",
        conflicts_with = "dry_run",
        value_parser = seconds,
        help_heading = "Celery"
    )]
    wait: Option<Duration>,

    /// Print the Redis commands and send nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    args.source.require()?;
    let task = task(&args)?;
    let outgoing = outgoing(&args, task.as_ref())?;
    if args.source.is_offline() {
        if args.wait.is_some() {
            return Err(Failure::usage("--wait: a file has no results; give --redis URL"));
        }
        let router = args.source.router(Some(&args.exchange)).await?;
        let host = Host::fixed(Memory::new(), args.source.layout()?, router);
        return dry_run(&args, &host, &outgoing).await;
    }
    let host = args.source.host(&args.exchange).await?;
    if args.dry_run {
        return dry_run(&args, &host, &outgoing).await;
    }
    let sent = match host.publish(&outgoing).await {
        Ok(sent) => sent,
        Err(error @ HostError::Publish(_)) => return Err(args.source.failed(error)),
        Err(error) => return Err(Failure::of(&host, error).await),
    };
    tracing::debug!(outcome = sent.outcome.as_str(), queues = ?sent.queues, "published");
    guess::warn(&args.source, &sent.guessed);
    if sent.outcome != Outcome::Routed {
        return answer::unroutable(args.json, &outgoing, sent);
    }
    if outgoing.envelope.body().is_empty() && args.body.is_none() && args.body_file.is_none() {
        tracing::warn!("the body is empty; --body, --json-body or --body-file gives one");
    }
    match (task, args.wait) {
        (Some(task), Some(limit)) => {
            // An interrupt must not lose the id of what was sent.
            let stop = super::consume::interrupt()?;
            answer::wait(args.json, &host, sent, task.id, limit, stop).await
        }
        (task, _) => answer::sent(args.json, sent, task.map(|task| task.id)),
    }
}

fn outgoing(args: &Args, task: Option<&Task>) -> Result<Outgoing, Failure> {
    let mut envelope = match (task, &args.body, &args.json_body, &args.body_file) {
        (Some(task), ..) => task.envelope(),
        (_, Some(text), ..) => Envelope::text(text),
        (_, _, Some(text), _) => Envelope::json(&json("--json-body", text)?),
        (_, _, _, Some(path)) => Envelope::bytes(bytes(path, &args.source.limits())?),
        _ => Envelope::bytes(Vec::new()),
    };
    if let Some(content_type) = &args.content_type {
        check::is_readable(content_type, envelope.body())?;
        envelope = envelope.content_type(content_type);
    }
    check::headers(&args.headers)?;
    if let Some(task) = task {
        check::of_a_task(task, &args.headers, &args.properties)?;
    }
    check::properties(&args.properties)?;
    for property in &args.properties {
        envelope = envelope.property(property.name(), property.json());
    }
    if let Some(compression) = args.compression {
        let packed =
            compression.compress(envelope.body()).map_err(|error| Failure::failed(error.to_string()))?;
        envelope = envelope.compressed(packed, compression.content_type());
    }
    if let Some(expiration) = args.expiration {
        envelope = envelope.expiration_ms(u64::try_from(expiration.as_millis()).unwrap_or(u64::MAX));
    }
    let default_key = if task.is_some() && args.exchange.is_empty() { "celery" } else { "" };
    let key = args.key.as_deref().map_or(default_key.as_bytes(), OsStrExt::as_bytes);
    if args.exchange.is_empty() && key.is_empty() {
        return Err(Failure::usage("nothing says where to; give --exchange NAME, or the queue with --key"));
    }
    Ok(Outgoing {
        headers: header::table(&args.headers),
        return_to_queue: args.return_to_queue,
        ..Outgoing::new(&args.exchange, key, envelope.priority(Priority::new(args.priority)))
    })
}

fn task(args: &Args) -> Result<Option<Task>, Failure> {
    let Some(name) = &args.task else { return Ok(None) };
    let id = args.task_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut task = Task::new(name, &id);
    task.priority = Priority::new(args.priority).into();
    (task.time_limit, task.soft_time_limit) = (args.time_limit, args.soft_time_limit);
    limits_in_order(args.time_limit, args.soft_time_limit)?;
    match args.args.as_deref().map(|text| json("--args", text)).transpose()? {
        None => {}
        Some(Json::Array(list)) => task.args = list,
        Some(_) => return Err(Failure::usage("--args is no JSON list, expected one like [2, 3]")),
    }
    match args.kwargs.as_deref().map(|text| json("--kwargs", text)).transpose()? {
        None => {}
        Some(Json::Object(members)) => task.kwargs = members,
        Some(_) => return Err(Failure::usage("--kwargs is no JSON object, expected one like {\"x\": 2}")),
    }
    Ok(Some(task))
}

/// Seconds above zero as they are written: the task's exception repeats them.
fn limit(text: &str) -> Result<f64, String> {
    seconds(text).map(|seconds| text.parse().unwrap_or(seconds.as_secs_f64()))
}

fn json(flag: &str, text: &str) -> Result<Json, Failure> {
    read_json(text.as_bytes())
        .map_err(|error| Failure::usage(format!("{flag}: `{text}` is no JSON: {}", json_error(&error))))
}

fn bytes(path: &Path, limits: &load::Limits) -> Result<Vec<u8>, Failure> {
    Ok(match path.to_str() {
        Some("-") => load::read_bytes(path, io::stdin().lock(), limits)?,
        _ => load::bytes(path, limits)?,
    })
}

async fn dry_run<E: Executor>(args: &Args, host: &Host<E>, outgoing: &Outgoing) -> Result<ExitCode, Failure> {
    let planned = host.plan_publish(outgoing).await.map_err(|error| args.source.failed(error))?;
    guess::warn(&args.source, &planned.routed.guessed);
    answer::planned(args.json, outgoing, &planned)
}
