//! Two calls for those who want two.

use std::time::Duration;

use keyrail_core::kombu::{Envelope, Member, plan};
use uuid::Uuid;

use crate::{
    Consumer, ConsumerOptions, Delivery, ExecuteError, Executor, Host, HostError, Next, deadline::deadline,
};

/// Kombu's `SimpleQueue`: a queue with a direct exchange of its name, bound by its name. Kombu's finds what this one puts,
/// and the other way round.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Envelope, Json, Layout};
/// use keyrail_redis::{Host, Memory, SimpleQueue, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let mut queue = SimpleQueue::open(&host, "jobs").await.unwrap();
/// queue.put(&Envelope::json(&Json::from("resize"))).await.unwrap();
/// let job = queue.get(Duration::from_secs(5)).await.unwrap().expect("a job");
/// assert_eq!(job.message().body.as_json().unwrap(), "resize");
/// job.ack().await.unwrap();
/// assert!(queue.get(Duration::from_millis(100)).await.unwrap().is_none());
/// # });
/// ```
#[derive(Debug)]
pub struct SimpleQueue<E> {
    host: Host<E>,
    name: String,
    options: ConsumerOptions,
    /// From the first get on.
    consumer: Option<Consumer>,
}

impl<E: Executor> SimpleQueue<E> {
    /// Declares exchange, queue and binding, as Kombu does.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Executor, Host, Memory, SimpleQueue, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// SimpleQueue::open(&host, "jobs").await.unwrap();
    /// assert_eq!(host.executor().keys("_kombu.binding.").await.unwrap(), ["_kombu.binding.jobs"]);
    /// let error = SimpleQueue::open(&host, "jobs\u{6}\u{16}3").await.unwrap_err();
    /// assert!(error.to_string().contains("separator"), "{error}");
    /// # });
    /// ```
    ///
    /// # Errors
    /// A name that a row of the binding table cannot hold; those of the executor.
    /// # Source
    /// Kombu's `kombu.simple.SimpleQueue`.
    pub async fn open(host: &Host<E>, name: &str) -> Result<Self, HostError> {
        SimpleQueue::open_with(host, name, ConsumerOptions::default()).await
    }

    /// The same, getting by these options, for instance those of a connection
    /// (`ConsumerOptions::from(connection.options())`); one message is held at most, whatever they say.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, SimpleQueue, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let options = ConsumerOptions { no_ack: true, ..ConsumerOptions::default() };
    /// let mut queue = SimpleQueue::open_with(&host, "jobs", options).await.unwrap();
    /// queue.put(&Envelope::text("resize")).await.unwrap();
    /// let job = queue.get(Duration::from_secs(5)).await.unwrap().expect("a job");
    /// assert_eq!(job.id(), "", "registered nowhere, and gone with this process");
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(host: &Host<E>, name: &str, options: ConsumerOptions) -> Result<Self, HostError> {
        let mut binding = plan::bind(host.layout(), name, &Member::plain(name, name))?;
        binding.atomic &= !host.executor().spreads();
        host.executor().run(&binding).await?;
        let options = ConsumerOptions { prefetch: 1, ..options };
        Ok(SimpleQueue { host: host.clone(), name: name.into(), options, consumer: None })
    }

    /// Puts a message into the queue.
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn put(&self, envelope: &Envelope) -> Result<(), ExecuteError> {
        let publish = plan::Publish::new(&self.name, &self.name, envelope);
        let tag = || Uuid::new_v4().to_string();
        let plan = plan::publish(self.host.layout(), &publish, [self.name.as_str()], tag);
        self.host.executor().run(&plan).await.map(drop)
    }

    /// The next message, waiting for it at most so long. It stays held until it is acked, rejected or requeued, and no
    /// other one is taken meanwhile.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{Host, Memory, SimpleQueue, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let mut queue = SimpleQueue::open(&host, "jobs").await.unwrap();
    /// for text in ["a", "b"] {
    ///     queue.put(&Envelope::text(text)).await.unwrap();
    /// }
    /// let a = queue.get(Duration::from_secs(5)).await.unwrap().expect("a");
    /// assert!(queue.get(Duration::from_millis(50)).await.unwrap().is_none(), "a is held");
    /// a.ack().await.unwrap();
    /// assert!(queue.get(Duration::from_secs(5)).await.unwrap().is_some());
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`Consumer::next`].
    pub async fn get(&mut self, limit: Duration) -> Result<Option<Delivery>, ExecuteError> {
        let (host, name, options) = (&self.host, &self.name, &self.options);
        let consumer =
            self.consumer.get_or_insert_with(|| Consumer::start(host, vec![name.clone()], options.clone()));
        let deadline = deadline(limit);
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            match consumer.next(left).await? {
                Next::Delivery(delivery) => return Ok(Some(delivery)),
                Next::Idle => return Ok(None),
                // Kept and logged; others follow.
                Next::Quarantined { .. } => {}
            }
        }
    }

    /// How many messages wait, those apart that are held; Kombu's `qsize`.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{Host, Memory, SimpleQueue, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let queue = SimpleQueue::open(&host, "jobs").await.unwrap();
    /// queue.put(&Envelope::text("resize")).await.unwrap();
    /// assert_eq!(queue.qsize().await.unwrap(), 1);
    /// queue.clear().await.unwrap();
    /// assert_eq!(queue.qsize().await.unwrap(), 0);
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn qsize(&self) -> Result<i64, HostError> {
        self.host.count(&self.name).await
    }

    /// Deletes every message that waits.
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn clear(&self) -> Result<(), ExecuteError> {
        let mut purge = plan::purge(self.host.layout(), &self.name);
        purge.atomic &= !self.host.executor().spreads();
        self.host.executor().run(&purge).await.map(drop)
    }

    /// Puts back what is held.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{Host, Memory, SimpleQueue, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let mut queue = SimpleQueue::open(&host, "jobs").await.unwrap();
    /// queue.put(&Envelope::text("resize")).await.unwrap();
    /// queue.get(Duration::from_secs(5)).await.unwrap().expect("a job, which is not acked");
    /// queue.close().await.unwrap();
    /// assert_eq!(host.count("jobs").await.unwrap(), 1);
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`Consumer::close`].
    pub async fn close(self) -> Result<(), ExecuteError> {
        match self.consumer {
            Some(consumer) => consumer.close().await.map(drop),
            None => Ok(()),
        }
    }
}
