//! What is printed of a message that was sent, and of the result of a task.

use std::{
    borrow::Cow,
    future::Future,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use keyrail_redis::{
    Channel, Executor, Host, Outgoing, Planned, Published,
    celery::{Results, StoredResult},
};
use serde::Serialize;

use super::super::{
    Failure,
    failure::tell,
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
    /// A text of JSON, or of what Python takes for JSON.
    #[serde(skip)]
    result: Option<String>,
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
            let mut line = serde_json::to_string(self).map_err(io::Error::other)?;
            if let Some(result) = &self.result {
                line.pop();
                line = format!("{line},\"result\":{result}}}");
            }
            writeln!(out, "{line}")?;
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
        tell("nothing was sent: these are the commands");
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
    answer.result = found.as_ref().ok().map(|stored| match stored.read() {
        Ok(result) => result.to_json().to_string(),
        Err(_) => stored.text().into_owned(),
    });
    if json {
        answer.print(true)?;
    }
    let stored = found?;
    if !json {
        // Of what only Python reads the whole is shown as it is.
        let result = stored.read().map_or_else(|_| stored.text().into(), |read| read.result.to_string());
        let mut out = io::stdout().lock();
        writeln!(out, "{} {result}", Style::of_stdout().dim(stored.status()))?;
        out.flush()?;
    }
    Ok(if stored.status() == "SUCCESS" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn result<E: Executor>(host: &Host<E>, id: &str, limit: Duration) -> Result<StoredResult, Failure> {
    match Results::new(host).wait_stored(id, limit).await? {
        Some(stored) if stored.is_ready() => Ok(stored),
        _ => Err(Failure::failed(format!(
            "task `{id}` was sent, and has no result after {} s; is a worker running, with its results in this Redis?",
            limit.as_secs_f64()
        ))),
    }
}
