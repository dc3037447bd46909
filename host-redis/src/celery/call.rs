//! A task's message, read; and how a task ends.

use std::{any::Any, time::Duration};

use keyrail_core::kombu::Json;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};

use super::{limits::Limits, stored, time};
use crate::{Body, Delivery, Undecoded};

/// A call of a task.
///
/// ```
/// use keyrail_core::kombu::{Json, Layout, Task};
/// use keyrail_redis::{Host, Memory, Outgoing, celery::Worker, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let kwargs = vec![("unit".to_owned(), Json::from("cm"))];
/// let task = Task { args: vec![Json::from(2)], kwargs, ..Task::new("shop.measure", "id-1") };
/// host.publish(&Outgoing::new("", "celery", task.envelope())).await.unwrap();
///
/// let (told, called) = tokio::sync::oneshot::channel();
/// # let told = std::sync::Mutex::new(Some(told));
/// let worker = Worker::new(&host, "w1@here").task("shop.measure", move |call| {
///     let told = told.lock().unwrap().take();
///     async move {
///         assert_eq!((&*call.id, &call.args[0], &call.kwargs["unit"]), ("id-1", &2.into(), &"cm".into()));
///         told.map(|told| told.send(call.retries));
///         Ok("done".into())
///     }
/// });
/// worker.run(async { assert_eq!(called.await, Ok(0)) }).await.unwrap();
/// # });
/// ```
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
    /// When the hard time limit of this run is over.
    hard_limit: Option<Instant>,
    /// When the soft one is.
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

    /// How long this run may still take until its hard time limit is over, when it is dropped where it waits and has failed;
    /// nothing if it has none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Layout, Task};
    /// use keyrail_redis::{Host, Memory, Outgoing, celery::{Results, Worker}, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let task = Task { time_limit: Some(60.0), ..Task::new("shop.render", "id-1") };
    /// host.publish(&Outgoing::new("", "celery", task.envelope())).await.unwrap();
    /// let worker = Worker::new(&host, "w1@here")
    ///     .task("shop.render", async |call| Ok((call.time_left() > Some(Duration::from_secs(30))).into()));
    /// let results = Results::new(&host);
    /// worker.run(async { drop(results.wait("id-1", Duration::from_secs(10)).await) }).await.unwrap();
    /// assert_eq!(results.get("id-1").await.unwrap().unwrap().result, true);
    /// # });
    /// ```
    pub fn time_left(&self) -> Option<Duration> {
        self.hard_limit.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// The call for a run that starts now.
    pub(super) fn starting(&self, hard_limit: Option<Instant>, soft_limit: Option<Instant>) -> Call {
        Call { hard_limit, soft_limit, ..self.clone() }
    }
}

/// Why a task failed, in Python's words, since its callers raise it.
///
/// ```
/// use keyrail_redis::celery::{TaskFailure, TaskResult};
///
/// let failure = TaskFailure {
///     exc_module: "shop.errors".into(),
///     exc_args: Some(vec!["card".into(), 402.into()]),
///     ..TaskFailure::new("Refused", "card 402")
/// };
/// let stored = TaskResult::failure("id-1", &failure).to_json();
/// assert_eq!(stored["result"]["exc_type"], "Refused");
/// assert_eq!(stored["result"]["exc_message"], serde_json::json!(["card", 402]));
/// ```
///
/// # Source
/// Celery's `celery.backends.base.Backend.prepare_exception`.
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
    /// Whether it is not the task that failed, but what it ran on. Its message goes back to its queue then, and only one
    /// that was delivered [`DELIVERIES`] times gets this as its result.
    pub lost: bool,
}

/// How often a message is delivered whose task was lost each time.
///
/// ```
/// use keyrail_core::kombu::{Layout, Task};
/// use keyrail_redis::{Host, Memory, Outgoing, celery::{self, Results, TaskFailure, Worker}, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let task = Task::new("shop.render", "id-1");
/// host.publish(&Outgoing::new("", "celery", task.envelope())).await.unwrap();
/// let runs = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
/// # let counted = runs.clone();
/// let worker = Worker::new(&host, "w1@here").task("shop.render", move |_| {
///     counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///     async { Err(TaskFailure::lost("killed by the system")) }
/// });
/// let results = Results::new(&host);
/// let lost = async { drop(results.wait("id-1", std::time::Duration::from_secs(10)).await) };
/// worker.run(lost).await.unwrap();
/// assert_eq!(results.get("id-1").await.unwrap().unwrap().status, "FAILURE");
/// assert_eq!(runs.load(std::sync::atomic::Ordering::Relaxed), celery::DELIVERIES);
/// # });
/// ```
pub const DELIVERIES: u64 = 3;

impl TaskFailure {
    /// A built-in exception.
    ///
    /// ```
    /// use keyrail_redis::celery::TaskFailure;
    ///
    /// let failure = TaskFailure::new("ValueError", "below zero");
    /// assert_eq!((&*failure.exc_module, failure.lost), ("builtins", false));
    /// ```
    pub fn new(exc_type: &str, exc_message: &str) -> Self {
        TaskFailure {
            exc_type: exc_type.into(),
            exc_message: exc_message.into(),
            exc_args: None,
            exc_module: "builtins".into(),
            traceback: None,
            lost: false,
        }
    }

    /// What ran the task is gone, and nobody knows how far it came: Celery's `WorkerLostError`.
    ///
    /// ```
    /// let lost = keyrail_redis::celery::TaskFailure::lost("killed by the system");
    /// assert_eq!((&*lost.exc_type, lost.lost), ("WorkerLostError", true));
    /// ```
    pub fn lost(message: &str) -> Self {
        TaskFailure {
            exc_module: "billiard.exceptions".into(),
            lost: true,
            ..TaskFailure::new("WorkerLostError", message)
        }
    }

    fn of_kombu(exc_type: &str, message: &str) -> Self {
        TaskFailure { exc_module: "kombu.exceptions".into(), ..TaskFailure::new(exc_type, message) }
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
    /// What keeps it from being run.
    pub(super) refused: Option<TaskFailure>,
    /// Whether all of it can be read here. If not, somebody should look at it.
    pub(super) is_readable: bool,
}

impl Task {
    /// Reads protocol 2, or says why it is none. What has a name and an id is a task, whose caller is to hear of it, whatever
    /// its body is and its times are.
    pub(super) fn read(delivery: &Delivery) -> Result<Self, Box<str>> {
        let received = delivery.received();
        let header = |name| received.headers.member(name);
        let text = |name| header(name).and_then(Json::as_str).map(str::to_owned);
        let (Some(name), Some(id)) = (text("task"), text("id")) else {
            return Err("it has no headers `task` and `id`".into());
        };
        let message = delivery.message();
        let nothing = || (Vec::new(), Map::new());
        let ((args, kwargs), mut refused, mut is_readable) = match message.body {
            Body::Json(body) => match call(body) {
                Ok((args, kwargs, follows)) => ((args, kwargs), follows.map(not_done), true),
                Err(reason) => (nothing(), Some(TaskFailure::of_kombu("DecodeError", reason)), false),
            },
            Body::Wide(_) => (nothing(), Some(not_done("wide")), true),
            body => {
                let refused = unreadable(&body, received.content_type.as_deref(), message.undecoded.as_ref());
                (nothing(), Some(refused), false)
            }
        };
        let limits = Limits::read(header("timelimit"));
        let [eta, expires] = ["eta", "expires"].map(|name| time_of(name, header(name)).err());
        if let Some(reason) = limits.as_ref().err().or(eta.as_ref()).or(expires.as_ref()) {
            (refused, is_readable) = (Some(invalid(reason)), false);
        }
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
                hard_limit: None,
                soft_limit: None,
            },
            eta: text("eta"),
            expires: text("expires"),
            limits: limits.unwrap_or_default(),
            ignore_result: header("ignore_result") == Some(&Json::Bool(true)),
            group: text("group"),
            argsrepr: text("argsrepr").unwrap_or_default(),
            kwargsrepr: text("kwargsrepr").unwrap_or_default(),
            refused,
            is_readable,
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
}

/// Whether a header is a moment or nothing. One that nobody can read would be passed over: a task would run before its time,
/// or behind it.
fn time_of(name: &str, header: Option<&Json>) -> Result<(), Box<str>> {
    match header {
        None | Some(Json::Null) => Ok(()),
        Some(found) if found.as_str().and_then(time::parse).is_some() => Ok(()),
        Some(found) => {
            let found: String = found.to_python().chars().take(60).collect();
            Err(format!("its header `{name}` is {found}, expected a time in ISO 8601 or null").into())
        }
    }
}

/// A header that is none, in Celery's word.
fn invalid(reason: &str) -> TaskFailure {
    let failure = TaskFailure::new("InvalidTaskError", reason);
    TaskFailure { exc_module: "celery.exceptions".into(), ..failure }
}

/// What this worker does not do.
fn not_done(what: &str) -> TaskFailure {
    let reason = match what {
        "callbacks" => "this worker runs no callbacks (`link`)",
        "errbacks" => "this worker runs no errbacks (`link_error`)",
        "chain" => "this worker runs no chains",
        "wide" => "this worker takes no whole numbers of more than 64 bits",
        _ => "this worker runs no chords",
    };
    TaskFailure::new("NotImplementedError", reason)
}

/// Kombu's words for a body that is not read: of another serialiser, or no JSON though it is said to be.
fn unreadable(body: &Body, content_type: Option<&str>, why: Option<&Undecoded>) -> TaskFailure {
    let content_type = content_type.unwrap_or("of no type");
    if content_type != "application/json" {
        let reason = format!("the body is {content_type}, and this worker reads application/json only");
        return TaskFailure::of_kombu("ContentDisallowed", &reason);
    }
    // Python writes NaN, and a surrogate that stands alone, and reads them.
    let pythons = body.as_text().and_then(stored::pythons);
    let reason = pythons.map(str::to_owned).or_else(|| why.map(ToString::to_string)).unwrap_or_default();
    TaskFailure::of_kombu("DecodeError", &format!("the body cannot be read: {reason}"))
}

/// The arguments, and what should follow.
type Called = (Vec<Value>, Map<String, Value>, Option<&'static str>);

fn call(body: Value) -> Result<Called, &'static str> {
    let Value::Array(parts) = body else { return Err("the body is no list") };
    let Ok([Value::Array(args), Value::Object(kwargs), embed]) = <[Value; 3]>::try_from(parts) else {
        return Err("the body is not [args, kwargs, embed]");
    };
    let full = |value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    let follows = ["callbacks", "errbacks", "chain", "chord"].into_iter().find(|name| full(&embed[*name]));
    Ok((args, kwargs, follows))
}
