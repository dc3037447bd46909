//! A task's message, read; and how a task ends.

use std::{any::Any, time::Duration};

use keyrail_core::kombu::Json;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};

use super::{limits::Limits, time};
use crate::{Body, Delivery};

/// A call of a task.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name of the task.
    pub name: String,
    /// The id of this call, under which its result is stored.
    pub id: String,
    /// The positional arguments.
    pub args: Vec<Value>,
    /// The arguments with names.
    pub kwargs: Map<String, Value>,
    /// How often it was tried before, as its caller says.
    pub retries: u64,
    /// Whether the message was delivered before: the task may have run already.
    pub redelivered: bool,
    /// The task that this one belongs to in the end.
    pub root_id: Option<String>,
    /// The task that called it.
    pub parent_id: Option<String>,
    /// When the soft time limit of this run is over.
    soft_limit: Option<Instant>,
}

impl Call {
    /// Ends when the soft time limit of this run is over, and never if it has none. Celery raises
    /// `SoftTimeLimitExceeded` inside a task then; here a task that wants to end in good order waits for this beside its
    /// work, and returns what it has, or [`TaskFailure::soft_time_limit_exceeded`].
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Host, Memory, celery::{TaskFailure, Worker}, load};
    ///
    /// # async fn render() -> Result<serde_json::Value, TaskFailure> { Ok(1.into()) }
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let worker = Worker::new(&host, "w1@here").task("shop.render", async |call| {
    ///     tokio::select! {
    ///         rendered = render() => rendered,
    ///         () = call.soft_time_limit() => Err(TaskFailure::soft_time_limit_exceeded()),
    ///     }
    /// });
    /// ```
    pub async fn soft_time_limit(&self) {
        match self.soft_limit {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// The call for a run that starts now.
    pub(super) fn starting(&self, soft_limit: Option<Instant>) -> Call {
        Call { soft_limit, ..self.clone() }
    }
}

/// Why a task failed, in Python's words, since its callers raise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFailure {
    /// The name of the exception, `ValueError`.
    pub exc_type: String,
    /// Its message.
    pub exc_message: String,
    /// What the exception is made of, if that is something else than its message alone.
    pub exc_args: Option<Vec<Value>>,
    /// The module that it comes from; `builtins` for Python's own.
    pub exc_module: String,
    /// What Celery shows as the traceback.
    pub traceback: Option<String>,
}

impl TaskFailure {
    /// A built-in exception.
    pub fn new(exc_type: &str, exc_message: &str) -> Self {
        TaskFailure {
            exc_type: exc_type.into(),
            exc_message: exc_message.into(),
            exc_args: None,
            exc_module: "builtins".into(),
            traceback: None,
        }
    }

    /// Python's `args` of the exception.
    pub(super) fn args(&self) -> Vec<Value> {
        self.exc_args.clone().unwrap_or_else(|| vec![self.exc_message.as_str().into()])
    }

    pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        TaskFailure::new("RuntimeError", &format!("the task panicked: {}", text.unwrap_or_default()))
    }
}

/// How a task ended.
pub(super) enum Ended {
    Done(Value),
    Failed(TaskFailure),
    /// Its time was over before it began.
    Revoked,
}

/// A message that is a task.
pub(super) struct Task {
    pub(super) call: Call,
    pub(super) eta: Option<String>,
    pub(super) expires: Option<String>,
    pub(super) ignore_result: bool,
    pub(super) limits: Limits,
    pub(super) group: Option<String>,
    pub(super) argsrepr: String,
    pub(super) kwargsrepr: String,
    /// What should follow, if anything, or else keeps it from being run.
    follows: Option<&'static str>,
}

impl Task {
    /// Reads protocol 2, or says why it is none.
    pub(super) fn read(delivery: &Delivery) -> Result<Self, Box<str>> {
        let received = delivery.received();
        let header = |name| received.headers.member(name);
        let text = |name| header(name).and_then(Json::as_str).map(str::to_owned);
        let (Some(name), Some(id)) = (text("task"), text("id")) else {
            return Err("it has no headers `task` and `id`".into());
        };
        let (args, kwargs, follows) = match delivery.message().body {
            Body::Json(body) => call(body)?,
            // Its caller is to hear of it, and it is a task.
            Body::Wide(_) => (Vec::new(), Map::new(), Some("wide")),
            _ => {
                let content_type = received.content_type.as_deref().unwrap_or("nothing");
                return Err(format!("its body is {content_type}, expected application/json").into());
            }
        };
        let number = |name| match header(name) {
            Some(Json::Int(number)) => u64::try_from(*number).unwrap_or_default(),
            _ => 0,
        };
        Ok(Task {
            call: Call {
                name,
                id,
                args,
                kwargs,
                retries: number("retries"),
                redelivered: delivery.redelivered(),
                root_id: text("root_id"),
                parent_id: text("parent_id"),
                soft_limit: None,
            },
            eta: text("eta"),
            expires: text("expires"),
            limits: Limits::read(header("timelimit"))?,
            ignore_result: header("ignore_result") == Some(&Json::Bool(true)),
            group: text("group"),
            argsrepr: text("argsrepr").unwrap_or_default(),
            kwargsrepr: text("kwargsrepr").unwrap_or_default(),
            follows,
        })
    }

    /// How long to wait until it is due.
    pub(super) fn wait(&self) -> Option<Duration> {
        let left = time::parse(self.eta.as_deref()?)? - time::now();
        // Beyond what a duration holds nobody waits.
        (left > 0.0)
            .then(|| Duration::try_from_secs_f64(left).unwrap_or(Duration::from_secs(u64::from(u32::MAX))))
    }

    pub(super) fn is_expired(&self) -> bool {
        self.expires.as_deref().and_then(time::parse).is_some_and(|expires| expires <= time::now())
    }

    /// Why it cannot be run.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        Some(match self.follows? {
            "callbacks" => "this worker runs no callbacks (`link`)",
            "errbacks" => "this worker runs no errbacks (`link_error`)",
            "chain" => "this worker runs no chains",
            "wide" => "this worker takes no whole numbers of more than 64 bits",
            _ => "this worker runs no chords",
        })
    }
}

/// The arguments, and what should follow.
type Called = (Vec<Value>, Map<String, Value>, Option<&'static str>);

fn call(body: Value) -> Result<Called, Box<str>> {
    let Value::Array(parts) = body else { return Err("its body is no list".into()) };
    let Ok([Value::Array(args), Value::Object(kwargs), embed]) = <[Value; 3]>::try_from(parts) else {
        return Err("its body is not [args, kwargs, embed]".into());
    };
    let full = |value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    let follows = ["callbacks", "errbacks", "chain", "chord"].into_iter().find(|name| full(&embed[*name]));
    Ok((args, kwargs, follows))
}
