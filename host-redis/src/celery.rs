//! Running Celery's tasks: message protocol 2, results, remote control and events, as Celery 5.7 does it on Redis.
//!
//! ```
//! use keyrail_core::kombu::{Json, Layout, Task};
//! use keyrail_redis::{Host, Memory, Outgoing, celery::{TaskFailure, Worker}, load};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
//! let worker = Worker::new(&host, "w1@here").task("shop.add", async |call| {
//!     let sum = call.args.iter().filter_map(serde_json::Value::as_i64).sum::<i64>();
//!     if sum < 0 { return Err(TaskFailure::new("ValueError", "below zero")) }
//!     Ok(sum.into())
//! });
//! let mut task = Task::new("shop.add", "id-1");
//! task.args = vec![Json::from(2), Json::from(3)];
//! host.publish(&Outgoing::new("", "celery", task.envelope())).await.unwrap();
//!
//! // It works until this future ends.
//! worker.run(tokio::time::sleep(std::time::Duration::from_millis(300))).await.unwrap();
//! let stored = keyrail_redis::Executor::get(host.executor(), "celery-task-meta-id-1").await.unwrap().unwrap();
//! let result: serde_json::Value = serde_json::from_slice(&stored).unwrap();
//! assert_eq!((&result["status"], &result["result"]), (&"SUCCESS".into(), &5.into()));
//! # });
//! ```

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use keyrail_core::kombu::{Member, plan};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use crate::{ConsumerOptions, Delivery, ExecuteError, Executor, Host, HostError, News, Next};

mod call;
mod control;
mod events;
mod held;
mod limits;
mod node;
mod python;
mod results;
mod time;

pub use call::{Call, TaskFailure};
use call::{Ended, Task};
use control::Facts;
pub use events::Events;
use held::Stage;
use node::Node;
pub use results::{Results, TaskResult};

/// A worker: takes task messages, runs what is registered under their names, stores the results.
///
/// A message is acked when its result is stored. If the worker dies before, another one runs the task again
/// (`acks_late`), so a task must bear being run twice. A task that is not yet due (`eta`) is held without being run a
/// second time elsewhere, however long.
///
/// Not done: signatures that should follow a task (`link`, chains, chords) fail the task instead of being forgotten;
/// bodies in pickle or YAML go to quarantine; revoking by id.
///
/// A caller's `time_limit` drops the task where it waits, and fails it as Celery's pool does; it is acked then. At its
/// `soft_time_limit` a task is asked to end: see [`Call::soft_time_limit`]. One that blocks its thread instead of waiting
/// can be neither stopped nor asked.
pub struct Worker<E: Executor> {
    host: Host<E>,
    node: Arc<Node<E>>,
    queues: Vec<String>,
    tasks: Arc<HashMap<String, Handler>>,
    concurrency: usize,
    result_expires: Duration,
    options: ConsumerOptions,
    ready: Option<Box<dyn FnOnce() + Send>>,
}

type Running = Pin<Box<dyn Future<Output = Result<Value, TaskFailure>> + Send>>;
type Handler = Arc<dyn Fn(Call) -> Running + Send + Sync>;

impl<E: Executor> fmt::Debug for Worker<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tasks: Vec<_> = self.tasks.keys().collect();
        tasks.sort_unstable();
        f.debug_struct("Worker").field("queues", &self.queues).field("tasks", &tasks).finish_non_exhaustive()
    }
}

/// Between two `worker-heartbeat` events, as Celery's.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Tasks that are taken ahead for each that may run, as Celery's.
const PREFETCH_MULTIPLIER: usize = 4;

impl<E: Executor> Worker<E> {
    /// A worker under a node name, `name@host`, on the queue `celery`, running as many tasks at once as there are cores.
    pub fn new(host: &Host<E>, name: &str) -> Self {
        Worker {
            host: host.clone(),
            node: Arc::new(Node::new(host, name)),
            queues: vec!["celery".into()],
            tasks: Arc::default(),
            concurrency: std::thread::available_parallelism().map_or(1, usize::from),
            result_expires: Duration::from_secs(86_400),
            options: ConsumerOptions::default(),
            ready: None,
        }
    }

    /// Called once, when the worker takes tasks and hears remote control.
    #[must_use]
    pub fn when_ready(mut self, call: impl FnOnce() + Send + 'static) -> Self {
        self.ready = Some(Box::new(call));
        self
    }

    /// Registers what runs under a name. An error, or a panic, becomes the result `FAILURE`.
    #[must_use]
    pub fn task<F, R>(mut self, name: &str, run: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, TaskFailure>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |call| Box::pin(run(call)));
        Arc::make_mut(&mut self.tasks).insert(name.into(), handler);
        self
    }

    /// The queues to take from, instead of `celery`.
    #[must_use]
    pub fn queues(mut self, queues: Vec<String>) -> Self {
        self.queues = queues;
        self
    }

    /// How many tasks run at once, at least one. Four times as many are taken ahead.
    #[must_use]
    pub const fn concurrency(mut self, tasks: usize) -> Self {
        self.concurrency = if tasks == 0 { 1 } else { tasks };
        self
    }

    /// Whether events of tasks are told from the beginning, Celery's `-E`; else from the moment on when somebody asks.
    #[must_use]
    pub fn task_events(self, told: bool) -> Self {
        self.node.events.store(told, Ordering::Relaxed);
        self
    }

    /// How to consume; the prefetch follows from the concurrency.
    #[must_use]
    pub fn consumer_options(mut self, options: ConsumerOptions) -> Self {
        self.options = options;
        self
    }

    /// Works until `stop` ends; then takes no more, waits for the tasks that run, and puts the others back. If Redis does
    /// not take their results within 5 s, these go back too, and run again.
    ///
    /// # Errors
    /// What keeps it from starting, and what keeps it from putting back what it holds.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), HostError> {
        let (executor, layout) = (self.host.executor(), self.host.layout());
        for queue in &self.queues {
            executor.run(&plan::bind(layout, queue, &Member::plain(queue, queue))?).await?;
        }
        control::bind(&self.node).await?;
        let mut control = self.host.listen(control::EXCHANGE, "").await?;
        let prefetch = self.concurrency * PREFETCH_MULTIPLIER;
        let options = ConsumerOptions { prefetch, no_ack: false, ..self.options.clone() };
        let mut consumer = self.host.consumer(self.queues.clone(), options)?;
        self.node.start().await;
        if let Some(ready) = self.ready.take() {
            ready();
        }
        let slots = Arc::new(Semaphore::new(self.concurrency));
        let mut running: JoinSet<bool> = JoinSet::new();
        let mut beat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refresh = tokio::time::interval_at(Instant::now() + control::REFRESH, control::REFRESH);
        let mut stop = pin!(stop);
        // What is not yet due takes no place from what is.
        let mut waiting = 0;
        let mut failed = None;
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = beat.tick() => self.node.heartbeat().await,
                _ = refresh.tick() => lost("is not refreshed", control::bind(&self.node).await),
                () = self.node.news.filled() => self.node.news.flush().await,
                news = control.next(Duration::from_secs(3600)) => {
                    if let Ok(News::Message(message)) = news {
                        control::answer(&self.node, &self.facts(prefetch + waiting), &message).await;
                    }
                }
                Some(ended) = running.join_next() => {
                    if ended.unwrap_or_default() {
                        waiting -= 1;
                        consumer.set_prefetch(prefetch + waiting);
                    }
                }
                next = consumer.next(Duration::from_secs(3600)) => match next {
                    Ok(Next::Delivery(delivery)) => {
                        let job = self.job(delivery, slots.clone());
                        if job.task.as_ref().is_ok_and(|task| task.wait().is_some()) {
                            waiting += 1;
                            consumer.set_prefetch(prefetch + waiting);
                        }
                        running.spawn(job.run());
                    }
                    Ok(Next::Quarantined { .. } | Next::Idle) => {}
                    // Its task is gone.
                    Err(ExecuteError::Closed) => {
                        failed = Some(ExecuteError::Closed);
                        break;
                    }
                    Err(error) => tracing::error!(code = error.code(), "{error}"),
                },
            }
        }
        // What runs may end; what has not begun goes back.
        slots.close();
        while running.join_next().await.is_some() {}
        drop(control);
        // A Redis that does not answer keeps nobody from stopping.
        let farewell = async {
            lost("stays", control::unbind(&self.node).await);
            self.node.stop().await;
        };
        let _ = tokio::time::timeout(PATIENCE, farewell).await;
        consumer.close().await?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn facts(&self, prefetch: usize) -> Facts<'_> {
        let mut tasks: Vec<&str> = self.tasks.keys().map(String::as_str).collect();
        tasks.sort_unstable();
        let Worker { queues, concurrency, result_expires, .. } = self;
        Facts { tasks, queues, concurrency: *concurrency, prefetch, result_expires: *result_expires }
    }

    fn job(&self, delivery: Delivery, slots: Arc<Semaphore>) -> Job<E> {
        let task = Task::read(&delivery).map(Arc::new);
        Job {
            node: self.node.clone(),
            tasks: self.tasks.clone(),
            result_expires: self.result_expires,
            delivery,
            task,
            slots,
        }
    }
}

/// One message on its way through the worker.
struct Job<E: Executor> {
    node: Arc<Node<E>>,
    tasks: Arc<HashMap<String, Handler>>,
    result_expires: Duration,
    delivery: Delivery,
    task: Result<Arc<Task>, Box<str>>,
    slots: Arc<Semaphore>,
}

impl<E: Executor> Job<E> {
    /// Whether the task had to wait for its time.
    async fn run(self) -> bool {
        let task = match &self.task {
            Ok(task) => task,
            Err(reason) => {
                let queue = self.delivery.queue();
                tracing::error!(queue, "a message that is no task goes to quarantine: {reason}");
                let _ = self.delivery.quarantine().await;
                return false;
            }
        };
        // Listed until it is acked or goes back.
        let line = self.node.held.enter(task, &self.delivery);
        self.node.received(task);
        let wait = task.wait();
        if let Some(wait) = wait {
            line.stage(Stage::Scheduled);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // The worker stops: the message goes back.
                () = closed(&self.slots) => return true,
            }
            line.stage(Stage::Reserved);
        }
        let Ok(_slot) = self.slots.acquire().await else { return wait.is_some() };
        let started = Instant::now();
        let ended = match (task.refusal(), self.tasks.get(&task.call.name)) {
            _ if task.is_expired() => Ended::Revoked,
            (Some(reason), _) => Ended::Failed(TaskFailure::new("NotImplementedError", reason)),
            (None, None) => {
                let failure = TaskFailure::new("NotRegistered", &task.call.name);
                Ended::Failed(TaskFailure { exc_module: "celery.exceptions".into(), ..failure })
            }
            (None, Some(handler)) => {
                tracing::debug!("task `{}` starts: `{}`", task.call.name, task.call.id);
                self.node.started(task, &line);
                let run = |call| AssertUnwindSafe(handler(call)).catch_unwind();
                match task.limits.hold(&task.call, run).await {
                    Ok(Ok(Ok(result))) => Ended::Done(result),
                    Ok(Ok(Err(failure))) | Err(failure) => Ended::Failed(failure),
                    Ok(Err(panic)) => Ended::Failed(TaskFailure::of_panic(&*panic)),
                }
            }
        };
        let (name, id) = (&task.call.name, &task.call.id);
        match &ended {
            Ended::Done(_) => tracing::debug!("task `{name}` succeeded: `{id}`"),
            Ended::Failed(failure) => {
                tracing::warn!("task `{name}` failed: `{id}`: {}: {}", failure.exc_type, failure.exc_message);
            }
            Ended::Revoked => tracing::warn!("task `{name}` came too late and was not run: `{id}`"),
        }
        tokio::select! {
            () = self.finish(task, &ended, started.elapsed()) => {}
            // Redis does not take the result, or the ack. What is not acked by now goes back.
            () = patience(&self.slots) => {
                tracing::error!("task `{}` is done, and its result cannot be stored: it will run again", task.call.id);
            }
        }
        wait.is_some()
    }

    async fn finish(&self, task: &Task, ended: &Ended, runtime: Duration) {
        self.node.ended(task, ended, runtime, self.result_expires).await;
        if let Err(error) = self.delivery.ack().await {
            tracing::error!(
                code = error.code(),
                "task `{}` is done and could not be acked: {error}",
                task.call.id
            );
        }
    }
}

/// A row that nobody routes by keeps nobody from working.
fn lost(what: &str, written: Result<(), HostError>) {
    if let Err(error) = written {
        tracing::debug!("the row of the remote control {what}: {error}");
    }
}

/// How long a worker that stops waits for Redis to take what is done.
const PATIENCE: Duration = Duration::from_secs(5);

async fn patience(slots: &Semaphore) {
    closed(slots).await;
    tokio::time::sleep(PATIENCE).await;
}

/// Ends when the semaphore is closed.
async fn closed(slots: &Semaphore) {
    while !slots.is_closed() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
