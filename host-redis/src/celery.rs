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
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{Consumer, ConsumerOptions, Delivery, ExecuteError, Executor, Host, HostError, Next, names};

mod call;
mod control;
mod desk;
mod events;
mod fate;
mod held;
mod job;
mod limits;
mod node;
mod python;
mod results;
mod stored;
mod time;

pub use call::{Call, DELIVERIES, TaskFailure};
use desk::Desk;
pub use events::Events;
use job::{Hands, Job};
use limits::{Limit, Limits};
use node::Node;
pub use results::{Results, TaskResult};
pub use stored::StoredResult;

/// A worker: takes task messages, runs what is registered under their names, stores the results.
///
/// A message is acked when its result is stored. If the worker dies before, another one runs the task again
/// (`acks_late`), so a task must bear being run twice. A task that is not yet due (`eta`) is held without being run a
/// second time elsewhere, however long.
///
/// Not done: signatures that should follow a task (`link`, chains, chords) fail the task instead of being forgotten;
/// bodies in pickle or YAML fail it, too, and go to quarantine; revoking by id.
///
/// A caller's `time_limit` drops the task where it waits, and fails it as Celery's pool does; it is acked then. At its
/// `soft_time_limit` a task is asked to end: see [`Call::soft_time_limit`]. Where a caller leaves one of them out, or writes 0,
/// the worker's holds. A task that blocks its thread instead of waiting can be neither stopped nor asked.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Layout, Task};
/// use keyrail_redis::{Host, Memory, Outgoing, celery::{Results, Worker}, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let worker = Worker::new(&host, "w1@here")
///     .queues(vec!["shop".into()])
///     .concurrency(2)
///     .task("shop.hello", async |call| Ok(format!("hello, {}", call.id).into()));
/// host.publish(&Outgoing::new("", "shop", Task::new("shop.hello", "id-1").envelope())).await.unwrap();
///
/// let results = Results::new(&host);
/// let until_done = async { drop(results.wait("id-1", Duration::from_secs(10)).await) };
/// worker.run(until_done).await.unwrap();
/// assert_eq!(results.get("id-1").await.unwrap().unwrap().result, "hello, id-1");
/// # });
/// ```
///
/// # Source
/// Celery's `celery.worker`.
pub struct Worker<E: Executor> {
    host: Host<E>,
    node: Arc<Node<E>>,
    queues: Vec<String>,
    tasks: Arc<HashMap<String, Handler>>,
    concurrency: usize,
    result_expires: Duration,
    limits: Limits,
    options: ConsumerOptions,
    ready: Option<Box<dyn FnOnce() + Send>>,
    at_once: Pin<Box<dyn Future<Output = ()> + Send>>,
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

/// Tasks that are taken ahead for each that may run, as Celery's.
const PREFETCH_MULTIPLIER: usize = 4;

/// How long a worker that stops waits for Redis to take what is done.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same of one that is told to stop at once.
const IN_HASTE: Duration = Duration::from_secs(1);

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
            limits: Limits::default(),
            options: ConsumerOptions::default(),
            ready: None,
            at_once: Box::pin(std::future::pending()),
        }
    }

    /// Called once, when the worker takes tasks and hears remote control.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Host, Memory, celery::Worker, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let (say, ready) = tokio::sync::oneshot::channel();
    /// let worker = Worker::new(&host, "w1@here").when_ready(move || drop(say.send("ready")));
    /// worker.run(async { assert_eq!(ready.await, Ok("ready")) }).await.unwrap();
    /// # });
    /// ```
    #[must_use]
    pub fn when_ready(mut self, call: impl FnOnce() + Send + 'static) -> Self {
        self.ready = Some(Box::new(call));
        self
    }

    /// Registers what runs under a name. An error, or a panic, becomes the result `FAILURE`.
    ///
    /// What the task is called with is a [`Call`]; what it returns becomes its result, any JSON.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Layout, Task};
    /// use keyrail_redis::{Host, Memory, Outgoing, celery::{Results, TaskFailure, Worker}, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let worker = Worker::new(&host, "w1@here")
    ///     .task("shop.refuse", async |_| Err(TaskFailure::new("ValueError", "below zero")));
    /// host.publish(&Outgoing::new("", "celery", Task::new("shop.refuse", "id-1").envelope())).await.unwrap();
    /// let results = Results::new(&host);
    /// worker.run(async { drop(results.wait("id-1", Duration::from_secs(10)).await) }).await.unwrap();
    /// let result = results.get("id-1").await.unwrap().unwrap();
    /// assert_eq!(result.outcome().unwrap().unwrap_err().exc_type, "ValueError");
    /// # });
    /// ```
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
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Layout, Task};
    /// use keyrail_redis::{Host, Memory, Outgoing, celery::Worker, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// for queue in ["shop", "celery"] {
    ///     host.publish(&Outgoing::new("", queue, Task::new("shop.hello", queue).envelope())).await.unwrap();
    /// }
    /// let worker = Worker::new(&host, "w1@here").queues(vec!["shop".into()]);
    /// let worker = worker.task("shop.hello", async |_| Ok("hello".into()));
    /// # let results = keyrail_redis::celery::Results::new(&host);
    /// worker.run(async { drop(results.wait("shop", Duration::from_secs(10)).await) }).await.unwrap();
    /// assert_eq!(host.counts(&["shop", "celery"]).await.unwrap(), [0, 1]);
    /// # });
    /// ```
    #[must_use]
    pub fn queues(mut self, queues: Vec<String>) -> Self {
        self.queues = queues;
        self
    }

    /// How many tasks run at once, at least one. Four times as many are taken ahead.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    /// use keyrail_core::kombu::{Layout, Task};
    /// use keyrail_redis::{Host, Memory, Outgoing, celery::{Results, Worker}, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// for id in ["1", "2", "3"] {
    ///     host.publish(&Outgoing::new("", "celery", Task::new("shop.count", id).envelope())).await.unwrap();
    /// }
    /// static AT_WORK: AtomicUsize = AtomicUsize::new(0);
    /// let worker = Worker::new(&host, "w1@here").concurrency(1).task("shop.count", async |_| {
    ///     assert_eq!(AT_WORK.fetch_add(1, Relaxed), 0, "nobody else");
    ///     tokio::task::yield_now().await;
    ///     Ok(AT_WORK.fetch_sub(1, Relaxed).into())
    /// });
    /// let results = Results::new(&host);
    /// worker.run(async { drop(results.wait("3", std::time::Duration::from_secs(10)).await) }).await.unwrap();
    /// for id in ["1", "2", "3"] {
    ///     assert_eq!(results.get(id).await.unwrap().unwrap().status, "SUCCESS");
    /// }
    /// # });
    /// ```
    #[must_use]
    pub const fn concurrency(mut self, tasks: usize) -> Self {
        self.concurrency = if tasks == 0 { 1 } else { tasks };
        self
    }

    /// How long a task may run whose caller does not say it, Celery's `--time-limit`. Zero is no limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Host, Memory, celery::Worker, load};
    ///
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let worker = Worker::new(&host, "w1@here")
    ///     .time_limit(Duration::from_secs(300))
    ///     .soft_time_limit(Duration::from_secs(240))
    ///     .task("shop.render", async |call| {
    ///         Ok(call.time_left().expect("there is a limit").as_secs().into())
    ///     });
    /// ```
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limits.hard = Limit::of_a_worker(limit);
        self
    }

    /// When a task is asked to end whose caller does not say it, Celery's `--soft-time-limit`. Zero is no limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Layout, Task};
    /// use keyrail_redis::{Host, Memory, Outgoing, celery::{Results, Worker}, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "celery", Task::new("shop.render", "id-1").envelope())).await.unwrap();
    /// let worker = Worker::new(&host, "w1@here").soft_time_limit(Duration::from_millis(50));
    /// let worker = worker.task("shop.render", async |call| {
    ///     call.soft_time_limit().await;
    ///     Ok("as far as it came".into())
    /// });
    /// let results = Results::new(&host);
    /// worker.run(async { drop(results.wait("id-1", Duration::from_secs(10)).await) }).await.unwrap();
    /// assert_eq!(results.get("id-1").await.unwrap().unwrap().result, "as far as it came");
    /// # });
    /// ```
    #[must_use]
    pub fn soft_time_limit(mut self, limit: Duration) -> Self {
        self.limits.soft = Limit::of_a_worker(limit);
        self
    }

    /// Whether events of tasks are told from the beginning, Celery's `-E`; else from the moment on when somebody asks.
    ///
    /// ```
    /// use keyrail_core::kombu::{Layout, Task};
    /// use keyrail_redis::{Host, Memory, News, Outgoing, celery::Worker, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "celery", Task::new("shop.hello", "id-1").envelope())).await.unwrap();
    /// let mut flower = host.listen("celeryev", "task.#").await.unwrap();
    /// let worker = Worker::new(&host, "w1@here").task_events(true).task("shop.hello", async |_| Ok("hello".into()));
    /// let mut told = None;
    /// worker.run(async { told = Some(flower.next(std::time::Duration::from_secs(10)).await) }).await.unwrap();
    /// let Some(Ok(News::Message(events))) = told else { panic!() };
    /// assert_eq!(events.body.as_json().unwrap()[0]["type"], "task-received");
    /// # });
    /// ```
    #[must_use]
    pub fn task_events(self, told: bool) -> Self {
        self.node.events.store(told, Ordering::Relaxed);
        self
    }

    /// How to consume; the prefetch follows from the concurrency.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use keyrail_core::{Dialect, Topology, kombu::Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, celery::Worker, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// // As Celery declares its queue when it starts.
    /// let topology = Topology::from_lines("celery direct durable: celery -> celery").unwrap();
    /// let declare = Some((Arc::new(topology), Dialect::Kombu57));
    /// let options = ConsumerOptions { declare, ..ConsumerOptions::default() };
    /// let worker = Worker::new(&host, "w1@here").consumer_options(options);
    /// let is_declared = async || host.table(None).await.unwrap().router.queue("celery").is_some();
    /// worker.run(async { while !is_declared().await { tokio::task::yield_now().await } }).await.unwrap();
    /// # });
    /// ```
    #[must_use]
    pub fn consumer_options(mut self, options: ConsumerOptions) -> Self {
        self.options = options;
        self
    }

    /// When a worker that stops waits no longer for what runs: it is dropped, and its messages go back with the others. That
    /// takes a second at most, however Redis is. Celery's second signal.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Layout, Task};
    /// use keyrail_redis::{Host, Memory, Outgoing, celery::Worker, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "celery", Task::new("shop.long", "id-1").envelope())).await.unwrap();
    /// let worker = Worker::new(&host, "w1@here")
    ///     .task("shop.long", async |_| Ok(std::future::pending().await))
    ///     .at_once(tokio::time::sleep(Duration::from_millis(400)));
    /// worker.run(tokio::time::sleep(Duration::from_millis(200))).await.unwrap();
    /// assert_eq!(host.count("celery").await.unwrap(), 1, "broken off, and in its queue again");
    /// # });
    /// ```
    #[must_use]
    pub fn at_once(mut self, told: impl Future<Output = ()> + Send + 'static) -> Self {
        self.at_once = Box::pin(told);
        self
    }

    /// Works until `stop` ends; then takes no more, waits for the tasks that run, and puts the others back. If Redis does
    /// not take their results within 5 s, these go back too, and run again.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Layout, Task};
    /// use keyrail_redis::{Host, Memory, Outgoing, celery::{Results, Worker}, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "celery", Task::new("shop.slow", "id-1").envelope())).await.unwrap();
    /// let (begins, begun) = tokio::sync::watch::channel(false);
    /// let worker = Worker::new(&host, "w1@here").task("shop.slow", move |_| {
    ///     begins.send_replace(true);
    ///     async { tokio::time::sleep(Duration::from_millis(50)).await; Ok("done".into()) }
    /// });
    /// # let mut begun = begun;
    /// // Told to stop as soon as it works, it still ends what runs.
    /// worker.run(async { drop(begun.wait_for(|begun| *begun).await) }).await.unwrap();
    /// assert_eq!(Results::new(&host).get("id-1").await.unwrap().unwrap().result, "done");
    /// # });
    /// ```
    ///
    /// # Errors
    /// What keeps it from starting, and what keeps it from putting back what it holds.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), HostError> {
        let mut stop = pin!(stop);
        // Before the first is bound.
        for queue in &self.queues {
            names::check_queue(self.host.layout(), queue.as_bytes())?;
        }
        self.host.check_one_slot()?;
        let prefetch = self.concurrency * PREFETCH_MULTIPLIER;
        let desk = self.desk(prefetch);
        let mut control = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            control = desk.open() => control?,
        };
        let mut consumer = self.host.consumer(
            self.queues.clone(),
            ConsumerOptions { prefetch, no_ack: false, ..self.options.clone() },
        )?;
        if let Some(ready) = self.ready.take() {
            ready();
        }
        let mut running = JoinSet::new();
        let closing = Closing(&desk.hands);
        let job = |delivery| Job::new(&desk, &self.tasks, delivery).run();
        let mut at_once = self.at_once.fuse();
        let work = async {
            let taking = take(&mut consumer, &mut running, &desk, job);
            let failed = tokio::select! {
                biased;
                () = stop => None,
                error = taking => Some(error),
            };
            // What runs may end; what has not begun goes back.
            drop(closing);
            let drained = async { while running.join_next().await.is_some() {} };
            let in_haste = tokio::select! {
                biased;
                () = &mut at_once => true,
                () = drained => false,
            };
            (failed, in_haste)
        };
        let (failed, in_haste) = tokio::select! {
            biased;
            ended = work => ended,
            () = desk.tend(&mut control) => unreachable!("it never ends"),
        };
        if in_haste {
            tracing::warn!("told to end at once: what runs is broken off, and goes back");
            let _ = timeout(IN_HASTE, running.shutdown()).await;
        }
        // A Redis that does not answer keeps nobody from stopping.
        let end = async {
            let (closed, _) = tokio::join!(consumer.close(), timeout(PATIENCE, desk.close(control)));
            closed
        };
        let hurry = async {
            if !in_haste {
                at_once.await;
            }
            sleep(IN_HASTE).await;
        };
        let closed = tokio::select! {
            closed = end => closed,
            () = hurry => Err(ExecuteError::Timeout {
                address: self.host.executor().describe().into(),
                milliseconds: IN_HASTE.as_millis() as u64,
            }),
        };
        closed?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn desk(&self, prefetch: usize) -> Desk<E> {
        let mut tasks: Vec<String> = self.tasks.keys().cloned().collect();
        tasks.sort_unstable();
        Desk {
            node: self.node.clone(),
            queues: self.queues.clone(),
            tasks,
            concurrency: self.concurrency,
            prefetch,
            result_expires: self.result_expires,
            limits: self.limits.clone(),
            hands: Hands::new(self.concurrency),
        }
    }
}

/// Lets nothing begin any more when it is dropped, also together with the future that works.
struct Closing<'a>(&'a Hands);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.slots.close();
    }
}

/// Takes messages and has them worked on, until the consumer ends.
async fn take<E: Executor, J: Future<Output = ()> + Send + 'static>(
    consumer: &mut Consumer,
    running: &mut JoinSet<()>,
    desk: &Desk<E>,
    job: impl Fn(Delivery) -> J,
) -> ExecuteError {
    let mut waiting = 0;
    loop {
        // What is not yet due takes no place from what is.
        let waits = desk.hands.waiting();
        if waits != waiting {
            waiting = waits;
            consumer.set_prefetch(desk.prefetch + waiting);
        }
        tokio::select! {
            biased;
            Some(ended) = running.join_next() => {
                if let Err(error) = ended {
                    tracing::error!("a task was broken off, and its message goes back: {error}");
                }
            }
            next = consumer.next(Duration::from_secs(3600)) => match next {
                Ok(Next::Delivery(delivery)) => {
                    running.spawn(job(delivery));
                }
                Ok(Next::Quarantined { .. } | Next::Idle) => {}
                // Its task is gone.
                Err(ExecuteError::Closed) => return ExecuteError::Closed,
                Err(error) => tracing::error!(code = error.code(), "{error}"),
            },
        }
    }
}
