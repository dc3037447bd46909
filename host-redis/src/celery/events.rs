//! Celery's events: what workers and producers tell whoever watches, Flower for instance.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use keyrail_core::kombu::{Envelope, Json, Task, plan};
use tokio::sync::Notify;
use uuid::Uuid;

use super::time;
use crate::{ExecuteError, Executor, Host};

/// The exchange of events: topic for AMQP, fanout on Redis.
const EXCHANGE: &str = "celeryev";

/// So many events of tasks may wait to be sent. News that nobody takes is not worth more memory.
const BACKLOG: usize = 1024;

/// The events of one node.
///
/// ```
/// use keyrail_core::kombu::{Layout, Task};
/// use keyrail_redis::{Host, Memory, News, celery::Events, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let mut watching = host.listen("celeryev", "#").await.unwrap();
/// let events = Events::new(&host, "shop@here");
/// events.task_sent(&Task::new("shop.add", "id-1"), "celery", "", "celery").await.unwrap();
/// let News::Message(event) = watching.next(std::time::Duration::from_secs(5)).await.unwrap() else { panic!() };
/// assert_eq!(event.body.as_json().unwrap()["type"], "task-sent");
/// # });
/// ```
#[derive(Debug)]
pub struct Events<E: Executor> {
    host: Host<E>,
    hostname: String,
    /// Lamport's clock, by which Celery orders events.
    clock: AtomicU64,
    /// Events of tasks, which are sent together.
    waiting: Mutex<Vec<Json>>,
    filled: Notify,
}

impl<E: Executor> Events<E> {
    /// The events of whoever has this name, `name@host`.
    pub fn new(host: &Host<E>, hostname: &str) -> Self {
        Events {
            host: host.clone(),
            hostname: hostname.into(),
            clock: AtomicU64::new(0),
            waiting: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// Tells that a task was sent to this queue, as Celery's producers do where `task_send_sent_event` is set.
    ///
    /// ```
    /// use keyrail_core::kombu::{Json, Layout, Task};
    /// use keyrail_redis::{Host, Memory, News, Outgoing, celery::Events, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let mut flower = host.listen("celeryev", "task.#").await.unwrap();
    /// let task = Task { args: vec![Json::from(2)], ..Task::new("shop.add", "id-1") };
    /// host.publish(&Outgoing::new("", "shop", task.envelope())).await.unwrap();
    /// Events::new(&host, "shop@here").task_sent(&task, "shop", "", "shop").await.unwrap();
    /// let News::Message(event) = flower.next(std::time::Duration::from_secs(5)).await.unwrap() else { panic!() };
    /// let event = event.body.as_json().unwrap();
    /// assert_eq!((&event["uuid"], &event["queue"]), (&"id-1".into(), &"shop".into()));
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of the executor. The task is on its way in any case.
    /// # Source
    /// Celery's `celery.app.amqp.AMQP`, where a producer sends `task-sent`.
    pub async fn task_sent(
        &self,
        task: &Task,
        queue: &str,
        exchange: &str,
        routing_key: &str,
    ) -> Result<(), ExecuteError> {
        let root_id = task.root_id.as_deref().unwrap_or(&task.id);
        let event = self.event(
            "task-sent",
            [
                ("uuid", Json::from(&*task.id)),
                ("root_id", Json::from(root_id)),
                ("parent_id", Json::from(task.parent_id.as_deref())),
                ("name", Json::from(&*task.name)),
                ("args", Json::from(task.argsrepr())),
                ("kwargs", Json::from(task.kwargsrepr())),
                ("retries", Json::from(task.retries)),
                ("eta", Json::from(task.eta.as_deref())),
                ("expires", Json::from(task.expires.as_deref())),
                ("queue", Json::from(queue)),
                ("exchange", Json::from(exchange)),
                ("routing_key", Json::from(routing_key)),
            ],
        );
        self.publish("task.sent", &event).await
    }

    /// The next tick of the clock.
    pub(super) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What the clock shows.
    pub(super) fn time(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// An event of this moment.
    fn event<const COUNT: usize>(&self, kind: &str, fields: [(&str, Json); COUNT]) -> Json {
        let head = [
            ("hostname", Json::from(&*self.hostname)),
            ("utcoffset", Json::from(0.0)),
            ("pid", Json::from(std::process::id())),
            ("clock", Json::Int(i64::try_from(self.tick()).unwrap_or(i64::MAX))),
        ];
        let tail = [("timestamp", Json::from(time::now())), ("type", Json::from(kind))];
        head.into_iter().chain(fields).chain(tail).collect()
    }

    /// Sends an event by itself. An event is news: one that cannot be sent is not worth waiting for.
    pub(super) async fn send<const COUNT: usize>(&self, kind: &str, fields: [(&str, Json); COUNT]) {
        let event = self.event(kind, fields);
        if let Err(error) = self.publish(&kind.replace('-', "."), &event).await {
            tracing::debug!("event `{kind}` is lost: {error}");
        }
    }

    /// An event of a task: it goes with the others of its moment, by the next [`flush`](Self::flush).
    pub(super) fn add<const COUNT: usize>(&self, kind: &str, fields: [(&str, Json); COUNT]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < BACKLOG {
            // Within the lock, so that the clock agrees with the order.
            waiting.push(self.event(kind, fields));
            self.filled.notify_one();
        }
    }

    /// Ends when there is something to flush.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Sends what waits, as one message. Abandoned, it leaves that to the next one.
    pub(super) async fn flush(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return;
        }
        let mut unsent = Unsent { waiting: &self.waiting, body: Json::Array(waiting) };
        if let Err(error) = self.publish("task.multi", &unsent.body).await {
            tracing::debug!("events of tasks are lost: {error}");
        }
        unsent.body = Json::Null;
    }

    async fn publish(&self, key: &str, body: &Json) -> Result<(), ExecuteError> {
        let envelope = Envelope::json(body).transient().header("hostname", &*self.hostname);
        let publish = plan::Publish::new(EXCHANGE, key, &envelope);
        let plan = plan::publish_fanout(self.host.layout(), &publish, &Uuid::new_v4().to_string());
        self.host.executor().run(&plan).await.map(drop)
    }
}

/// Events on their way.
struct Unsent<'a> {
    waiting: &'a Mutex<Vec<Json>>,
    body: Json,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if let Json::Array(unsent) = std::mem::replace(&mut self.body, Json::Null) {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).splice(0..0, unsent);
        }
    }
}
