//! What is printed of a message that was sent, and of the result of a task.

use std::{
    borrow::Cow,
    future::Future,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use keyrail_redis::{Channel, Executor, Host, Outgoing, Planned, Published, celery::Results};
use serde::Serialize;
use serde_json::Value;

use super::super::{
    Failure,
    show::{Style, count},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    outcome: &'static str,
    queues: Vec<String>,
    receivers: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guessed: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
}

impl Answer {
    fn new(sent: Published, task_id: Option<String>) -> Self {
        let receivers = sent.fanout.iter().map(|fanout| fanout.receivers).sum();
        let (outcome, queues, guessed) = (sent.outcome.as_str(), sent.queues, sent.guessed);
        Answer { outcome, queues, receivers, guessed, task_id, result: None }
    }

    fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string(self).map_err(io::Error::other)?)?;
            return out.flush();
        }
        let style = Style::of_stdout();
        for queue in &self.queues {
            writeln!(out, "{}", style.queue(queue))?;
        }
        if self.receivers > 0 {
            let receivers = usize::try_from(self.receivers).unwrap_or(usize::MAX);
            writeln!(out, "{}", style.dim(count(receivers, "receiver")))?;
        }
        if let Some(task_id) = &self.task_id {
            writeln!(out, "{} {task_id}", style.dim("task"))?;
        }
        out.flush()
    }
}

/// Where it went.
pub(super) fn sent(json: bool, sent: Published, task_id: Option<String>) -> Result<ExitCode, Failure> {
    Answer::new(sent, task_id).print(json)?;
    Ok(ExitCode::SUCCESS)
}

/// As the npm package's `plan`: commands by their arguments, which any client takes.
#[derive(Serialize)]
struct PlanAnswer<'a> {
    outcome: &'static str,
    queues: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    channels: &'a [Channel],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    guessed: &'a [String],
    atomic: bool,
    commands: Vec<Vec<String>>,
}

/// What would be sent.
pub(super) fn planned(json: bool, outgoing: &Outgoing, planned: &Planned) -> Result<ExitCode, Failure> {
    let Planned { routed, plan } = planned;
    let mut out = io::stdout().lock();
    if json {
        let text = |arg: &Cow<'_, [u8]>| String::from_utf8_lossy(arg).into_owned();
        let answer = PlanAnswer {
            outcome: routed.outcome.as_str(),
            queues: &routed.queues,
            channels: &routed.channels,
            guessed: &routed.guessed,
            atomic: plan.atomic,
            commands: plan.commands.iter().map(|command| command.args().iter().map(text).collect()).collect(),
        };
        writeln!(out, "{}", serde_json::to_string(&answer).map_err(io::Error::other)?)?;
    }
    if plan.commands.is_empty() {
        return Err(nobody(outgoing));
    }
    if !json {
        write!(out, "{plan}")?;
        out.flush()?;
        eprintln!("nothing was sent: these are the commands");
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// That it went nowhere.
pub(super) fn unroutable(json: bool, outgoing: &Outgoing, sent: Published) -> Result<ExitCode, Failure> {
    if json {
        Answer::new(sent, None).print(true)?;
    }
    Err(nobody(outgoing))
}

pub(super) fn nobody(outgoing: &Outgoing) -> Failure {
    let from = match outgoing.exchange.as_str() {
        "" => "the default exchange".into(),
        exchange => format!("exchange `{exchange}`"),
    };
    Failure::failed(format!("unroutable: nobody gets `{}` from {from}", outgoing.routing_key))
}

/// Where the task went, and what a worker stores under its id. People see the first before the second; a program gets
/// one object, whatever comes.
pub(super) async fn wait<E: Executor>(
    json: bool,
    host: &Host<E>,
    sent: Published,
    id: String,
    limit: Duration,
    stop: impl Future<Output = ()>,
) -> Result<ExitCode, Failure> {
    let mut answer = Answer::new(sent, Some(id.clone()));
    if !json {
        answer.print(false)?;
    }
    let found = tokio::select! {
        found = result(host, &id, limit) => found,
        () = stop => Err(Failure::failed(format!("interrupted; task `{id}` was sent, and has no result yet"))),
    };
    answer.result = found.as_ref().ok().cloned();
    if json {
        answer.print(true)?;
    }
    let result = found?;
    if !json {
        let style = Style::of_stdout();
        let mut out = io::stdout().lock();
        writeln!(out, "{} {}", style.dim(result["status"].as_str().unwrap_or("?")), result["result"])?;
        out.flush()?;
    }
    Ok(if result["status"] == "SUCCESS" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn result<E: Executor>(host: &Host<E>, id: &str, limit: Duration) -> Result<Value, Failure> {
    match Results::new(host).wait(id, limit).await? {
        Some(result) if result.is_ready() => Ok(result.to_json()),
        _ => Err(Failure::failed(format!(
            "task `{id}` was sent, and has no result after {} s; is a worker running, with its results in this Redis?",
            limit.as_secs_f64()
        ))),
    }
}
