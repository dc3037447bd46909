//! Taking messages so that none is lost: each is registered before it is seen, and leaves only when it is settled.

use std::{sync::Arc, time::Duration};

use keyrail_core::{Dialect, Topology};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::timeout_at,
};
use uuid::Uuid;

use crate::{ExecuteError, Executor, Host, QueueOrder, RestoreOptions, TransportOptions, deadline::deadline};

mod delivery;
mod driver;
mod giving;
mod keeper;
mod loose;
pub(crate) mod outage;
mod register;
mod unread;

use delivery::Request;
pub use delivery::{Delivery, Requeue, Settlement};
use driver::Driver;
use unread::{Event, Unread};

/// Takes from several queues, the most urgent priority step first.
///
/// A task of its own takes ahead, up to [`prefetch`](ConsumerOptions::prefetch) messages, sends acks in batches, keeps
/// what is held alive, restores what others left behind, and connects again when the connection breaks. What it holds
/// stays registered in Redis: if the process dies, any other consumer, Kombu's too, puts it back into its queue once the
/// visibility timeout has passed. [`close`](Self::close) puts it back at once. A consumer that is dropped does the same
/// in the background, with what was handed out as soon as the last of its deliveries is dropped.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::{Router, kombu::{Envelope, Layout}};
/// use keyrail_redis::{ConsumerOptions, Host, Memory, Next, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// host.publish(&Outgoing::new("", "billing", Envelope::text("42 EUR"))).await.unwrap();
///
/// let mut consumer = host.consumer(vec!["billing".into()], ConsumerOptions::default()).unwrap();
/// let Next::Delivery(delivery) = consumer.next(Duration::from_secs(5)).await.unwrap() else { panic!() };
/// assert_eq!(delivery.message().body.as_text(), Some("42 EUR"));
/// assert!(delivery.ack().await.unwrap(), "it was still ours");
/// assert_eq!(consumer.close().await.unwrap(), 0, "nothing was held any more");
/// # });
/// ```
#[derive(Debug)]
pub struct Consumer {
    events: mpsc::UnboundedReceiver<Result<Event, ExecuteError>>,
    requests: mpsc::UnboundedSender<Request>,
    unread: Arc<Unread>,
    /// Where Redis is.
    address: Box<str>,
    /// Ends the keeping alive when the consumer ends.
    _keeper: Option<oneshot::Sender<()>>,
}

/// How a [`Consumer`] works, by the words of Kombu where it has them.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{ConsumerOptions, Host, Memory, Next, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// for text in ["a", "b"] {
///     host.publish(&Outgoing::new("", "jobs", Envelope::text(text))).await.unwrap();
/// }
/// let options = ConsumerOptions { prefetch: 1, ..ConsumerOptions::default() };
/// let mut consumer = host.consumer(vec!["jobs".into()], options).unwrap();
/// let first = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
/// let second = consumer.next(Duration::from_millis(50)).await.unwrap();
/// assert!(matches!(second, Next::Idle), "one is held");
/// first.ack().await.unwrap();
/// assert!(consumer.next(Duration::from_secs(5)).await.unwrap().delivery().is_some());
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// How many messages may be held at once, those that wait in this process included, and what went to quarantine until
    /// it is read of; 0 for no limit. Default 64.
    pub prefetch: usize,
    /// Which of several queues comes first within a priority step; a more urgent step of any queue comes before. Default
    /// round robin.
    pub queue_order_strategy: QueueOrder,
    /// Nothing is registered: a message is gone once it is taken, whatever happens to this process. Default false.
    pub no_ack: bool,
    /// After how long an unacked delivery counts as left behind, by the server's clock. All peers should agree on it.
    /// Default an hour, as Kombu's.
    pub visibility_timeout: Duration,
    /// Whether what is held is kept from being restored for as long as this process lives. Kombu does not do this, so
    /// that a task which takes longer than the visibility timeout is run twice there. Default true.
    pub heartbeat: bool,
    /// How often to look for what others left behind; zero for never. Default 10 seconds, and at least four times in a
    /// visibility timeout.
    pub restore_interval: Duration,
    /// The most deliveries that are put back each time. Default all.
    pub restore_limit: Option<u64>,
    /// How long the lock of a restorer that dies keeps others from restoring. Default 30 seconds.
    pub mutex_expire: Duration,
    /// The longest wait of one command for a message, never more than a second; then all lists are looked at. With more
    /// than two queues they are looked at after 200 ms, since not all of them are waited for. Default a second.
    pub polling_interval: Duration,
    /// Declares these exchanges, queues and bindings at the start and after an outage, as Kombu's `Consumer` does, topic
    /// bindings with the text of this dialect. Queues with `x-expires` live on as long as the consumer does, and their
    /// bindings are refreshed as Kombu 5.7 refreshes them. What contradicts a declaration in Redis is not written but named
    /// in the log; [`Host::import`](crate::Host::import) returns it as an error. Default nothing.
    pub declare: Option<(Arc<Topology>, Dialect)>,
}

impl From<&TransportOptions> for ConsumerOptions {
    /// What a connection's transport options say about consuming.
    fn from(options: &TransportOptions) -> Self {
        ConsumerOptions {
            no_ack: !options.ack_emulation,
            visibility_timeout: options.visibility_timeout,
            queue_order_strategy: options.queue_order_strategy,
            restore_interval: options
                .unacked_restore_interval
                .saturating_mul(options.unacked_restore_throttle.max(1)),
            restore_limit: options.unacked_restore_limit,
            mutex_expire: options.unacked_mutex_expire,
            polling_interval: options.polling_interval,
            ..ConsumerOptions::default()
        }
    }
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        ConsumerOptions {
            prefetch: 64,
            queue_order_strategy: QueueOrder::default(),
            no_ack: false,
            visibility_timeout: Duration::from_secs(3600),
            heartbeat: true,
            restore_interval: Duration::from_secs(10),
            restore_limit: None,
            mutex_expire: RestoreOptions::default().mutex_expire,
            polling_interval: Duration::from_secs(1),
            declare: None,
        }
    }
}

/// What came of waiting for a message.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Command, Layout, Plan};
/// use keyrail_redis::{ConsumerOptions, Executor, Host, Memory, Next, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let push = Command::LPush { key: "jobs".into(), value: b"no message".to_vec() };
/// host.executor().run(&Plan { atomic: false, commands: vec![push] }).await.unwrap();
/// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
/// match consumer.next(Duration::from_secs(5)).await.unwrap() {
///     Next::Delivery(delivery) => drop(delivery.ack()),
///     Next::Quarantined { list, .. } => assert_eq!(list, "keyrail.quarantine.jobs"),
///     Next::Idle => panic!("it was there"),
/// }
/// # });
/// ```
#[derive(Clone, Debug)]
pub enum Next {
    /// A message.
    Delivery(Delivery),
    /// Bytes that are no message; they lie in this list now.
    Quarantined {
        /// The queue they came from.
        queue: String,
        /// The quarantine list.
        list: String,
        /// What is wrong with them.
        reason: Box<str>,
    },
    /// Nothing came in time.
    Idle,
}

impl Next {
    /// The delivery, if it is one.
    pub fn delivery(self) -> Option<Delivery> {
        match self {
            Next::Delivery(delivery) => Some(delivery),
            Next::Quarantined { .. } | Next::Idle => None,
        }
    }
}

impl Consumer {
    /// Starts the task that takes. Needs a Tokio runtime.
    pub(crate) fn start<E: Executor>(host: &Host<E>, queues: Vec<String>, options: ConsumerOptions) -> Self {
        let (out, events) = mpsc::unbounded_channel();
        let (requests, incoming) = mpsc::unbounded_channel();
        let unread = Arc::new(Unread::default());
        // Short, because it is in every delivery's name; random, because two consumers must not share it.
        let owner = Uuid::new_v4().simple().to_string()[..16].to_owned();
        let stop = sweep(host.clone(), &options);
        let back = Arc::new(Notify::new());
        let keeper = options.declare.clone();
        let keeper = keeper.map(|declare| keeper::keep(host.clone(), declare, back.clone()));
        let unseen = unread.clone();
        let address = host.executor().describe().into();
        let driver = Driver::new(host.clone(), queues, options, owner, out, incoming, unseen, stop, back);
        tokio::spawn(driver.run());
        Consumer { events, requests, unread, address, _keeper: keeper }
    }

    /// The next message, waiting for it at most so long. May be abandoned: nothing is lost then.
    ///
    /// A broken connection is no error: messages come again once Redis can be reached.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, Next, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
    /// assert!(matches!(consumer.next(Duration::from_millis(20)).await, Ok(Next::Idle)));
    /// host.publish(&Outgoing::new("", "jobs", Envelope::text("resize"))).await.unwrap();
    /// while let Next::Delivery(delivery) = consumer.next(Duration::from_millis(200)).await.unwrap() {
    ///     assert_eq!(delivery.message().body.as_text(), Some("resize"));
    ///     delivery.ack().await.unwrap();
    /// }
    /// # });
    /// ```
    ///
    /// # Errors
    /// What somebody has to mend: a key of another type ([`ExecuteError::WrongType`]; the other queues go on), a login
    /// that is refused, an answer that is an error. Each is reported once, and the consumer tries on.
    /// [`ExecuteError::Closed`] if there is no consumer any more.
    /// # Cost
    /// What was taken ahead comes without asking Redis. The body is read here, in the time of whoever asks.
    pub async fn next(&mut self, limit: Duration) -> Result<Next, ExecuteError> {
        // Beyond a century there is no instant, and nobody waits that long.
        let deadline = deadline(limit);
        loop {
            let event = match self.events.try_recv() {
                Ok(event) => event,
                Err(_) => match timeout_at(deadline, self.events.recv()).await {
                    Ok(Some(event)) => event,
                    Ok(None) => return Err(ExecuteError::Closed),
                    Err(_) => return Ok(Next::Idle),
                },
            };
            match event? {
                Event::Quarantined { queue, list, reason } => {
                    self.unread.one_aside_less();
                    return Ok(Next::Quarantined { queue, list, reason });
                }
                Event::Delivery(inner) => {
                    if !inner.hand_out() {
                        self.unread.one_less();
                        continue;
                    }
                    match Delivery::read(inner, &self.requests) {
                        Ok(delivery) => {
                            self.unread.one_less();
                            return Ok(Next::Delivery(delivery));
                        }
                        // It is put aside first, and named then. Until the task knows of it, it takes the room of one that
                        // nobody has read.
                        Err((delivery, reason)) => {
                            let _ = self.requests.send(Request::Poison { delivery, reason });
                        }
                    }
                }
            }
        }
    }

    /// Puts back everything that is held, to be taken next and in the old order; how many went back. Messages come on.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "jobs", Envelope::text("resize"))).await.unwrap();
    /// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
    /// consumer.next(Duration::from_secs(5)).await.unwrap().delivery().expect("a job");
    /// assert_eq!(consumer.recover().await, Ok(1));
    /// let again = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().expect("the job");
    /// assert!(again.redelivered());
    /// # });
    /// ```
    ///
    /// # Errors
    /// What could not be put back is still held.
    pub async fn recover(&self) -> Result<usize, ExecuteError> {
        self.ask(|done| Request::Recover { done }).await
    }

    /// Changes how many messages may be held at once. What is held beyond it stays.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// for text in ["a", "b"] {
    ///     host.publish(&Outgoing::new("", "jobs", Envelope::text(text))).await.unwrap();
    /// }
    /// let options = ConsumerOptions { prefetch: 1, ..ConsumerOptions::default() };
    /// let mut consumer = host.consumer(vec!["jobs".into()], options).unwrap();
    /// consumer.next(Duration::from_secs(5)).await.unwrap().delivery().expect("the first");
    /// consumer.set_prefetch(2);
    /// consumer.next(Duration::from_secs(5)).await.unwrap().delivery().expect("the second, beside it");
    /// # });
    /// ```
    pub fn set_prefetch(&self, prefetch: usize) {
        // Without a task behind it there is nothing to change.
        let _ = self.requests.send(Request::Prefetch(prefetch));
    }

    /// Takes no more from this queue. What was taken ahead goes back; how many did. What was handed out stays held.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, Next, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let mut consumer = host.consumer(vec!["a".into(), "b".into()], ConsumerOptions::default()).unwrap();
    /// consumer.cancel("a").await.unwrap();
    /// for queue in ["a", "b"] {
    ///     host.publish(&Outgoing::new("", queue, Envelope::text("x"))).await.unwrap();
    /// }
    /// let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
    /// assert_eq!(delivery.queue(), "b");
    /// assert_eq!(host.count("a").await.unwrap(), 1, "it stays there");
    /// # });
    /// ```
    ///
    /// # Errors
    /// What could not be put back is still held.
    pub async fn cancel(&self, queue: &str) -> Result<usize, ExecuteError> {
        let queue = queue.to_owned();
        self.ask(|done| Request::Cancel { queue, done }).await
    }

    /// Takes no more, sends the acks that are under way, and puts back everything that is held, to be taken next and in
    /// the old order; how many went back. Takes six seconds at most, however Redis is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "jobs", Envelope::text("resize"))).await.unwrap();
    /// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
    /// let held = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().expect("a job");
    /// assert_eq!(consumer.close().await.unwrap(), 1);
    /// assert_eq!(host.count("jobs").await.unwrap(), 1, "somebody else may have it");
    /// assert_eq!(held.ack().await.unwrap_err().code(), "consumer-closed");
    /// # });
    /// ```
    ///
    /// # Errors
    /// What could not be put back stays registered, and a restore will find it. [`ExecuteError::Timeout`] if Redis does not
    /// answer; as long as the runtime lives, what is held goes back when it does.
    pub async fn close(mut self) -> Result<usize, ExecuteError> {
        self.events.close();
        // The task behind it may be waiting for an answer, which takes longer than anybody should who wants to end.
        let limit = giving::CLOSING + Duration::from_secs(1);
        let closed = tokio::time::timeout(limit, self.ask(|done| Request::Close { done }));
        closed.await.unwrap_or_else(|_| {
            let milliseconds = limit.as_millis() as u64;
            Err(ExecuteError::Timeout { address: self.address.clone(), milliseconds })
        })
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, ExecuteError>>) -> Request,
    ) -> Result<T, ExecuteError> {
        let (done, answer) = oneshot::channel();
        self.requests.send(request(done)).map_err(|_| ExecuteError::Closed)?;
        answer.await.map_err(|_| ExecuteError::Closed)?
    }
}

/// Restores what others left behind, at once and then again and again until the other end is dropped.
fn sweep<E: Executor>(host: Host<E>, options: &ConsumerOptions) -> oneshot::Sender<()> {
    let (stop, mut stopped) = oneshot::channel();
    let timeout = options.visibility_timeout;
    let interval = options.restore_interval.min(timeout / 4).max(Duration::from_millis(20));
    let restore = RestoreOptions {
        visibility_timeout: timeout,
        limit: options.restore_limit,
        mutex_expire: options.mutex_expire,
    };
    if options.restore_interval.is_zero() {
        return stop;
    }
    tokio::spawn(async move {
        loop {
            match host.restore_with(&restore).await {
                Ok(report) if report.restored > 0 => {
                    tracing::info!(
                        "{} deliveries that were left behind are back in their queues",
                        report.restored
                    );
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(code = error.code(), "cannot restore what was left behind: {error}")
                }
            }
            tokio::select! {
                _ = &mut stopped => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    });
    stop
}
