//! What a producer does for every message.

use std::time::Duration;

use keyrail_core::{Dialect, Topology};

use super::Serializer;
use crate::{Compression, Freshness, RetryPolicy, load};

/// What messages do not say themselves.
///
/// ```
/// use keyrail_redis::{Compression, Freshness, ProducerOptions, RetryPolicy};
///
/// let options = ProducerOptions::new()
///     .exchange("orders")
///     .mandatory(true)
///     .compression(Compression::Zlib)
///     .retry(RetryPolicy::celery())
///     .freshness(Freshness::Strict);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProducerOptions {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) serializer: Option<Serializer>,
    pub(super) compression: Option<Compression>,
    pub(super) mandatory: bool,
    pub(super) retry: Option<RetryPolicy>,
    pub(super) once: Option<Duration>,
    pub(super) replicas: Option<(u32, Duration)>,
    pub(super) freshness: Freshness,
    pub(super) declare: Option<(Topology, Dialect)>,
    pub(super) tables: load::Options,
    pub(super) declared_queues_only: bool,
}

impl ProducerOptions {
    /// The default exchange, JSON, no compression, nothing tried again, tables tracked.
    pub fn new() -> Self {
        ProducerOptions::default()
    }

    /// The exchange of messages that name none.
    #[must_use]
    pub fn exchange(mut self, name: impl Into<String>) -> Self {
        self.exchange = name.into();
        self
    }

    /// The routing key of messages that name none.
    #[must_use]
    pub fn routing_key(mut self, key: impl Into<String>) -> Self {
        self.routing_key = key.into();
        self
    }

    /// The serializer of messages that name none.
    #[must_use]
    pub fn serializer(mut self, serializer: Serializer) -> Self {
        self.serializer = Some(serializer);
        self
    }

    /// The compression of messages that choose none.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Whether a message that reaches nobody comes back as an error.
    #[must_use]
    pub fn mandatory(mut self, mandatory: bool) -> Self {
        self.mandatory = mandatory;
        self
    }

    /// Tries again when Redis cannot be reached or does not answer. A copy whose first answer got lost is then in its
    /// queue twice, with the same delivery tag, unless [`once`](Self::once) is asked for.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Lets Redis remember for so long that it has a message, so that trying again leaves no second copy. The window must
    /// be longer than all waits of the retry policy together.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use keyrail_redis::{Connection, Message, Producer, ProducerOptions, RetryPolicy};
    ///
    /// # async fn once() -> Result<(), Box<dyn std::error::Error>> {
    /// let retry = RetryPolicy::celery(); // three times within 0.6 s, and up to 20 s for each answer
    /// let options = ProducerOptions::new().retry(retry).once(Duration::from_secs(120));
    /// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, options).await?;
    /// let confirm = producer.publish(&Message::text("42 EUR").routing_key("billing")).await?;
    /// println!("it was sent {} times and is there once", confirm.attempts);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cost
    /// A key that expires for each message (for each copy on a cluster), written by the script that pushes: a few
    /// microseconds of the server, and about 200 bytes for as long as the window.
    #[must_use]
    pub fn once(mut self, window: Duration) -> Self {
        self.once = Some(window);
        self
    }

    /// Waits after each publish until so many replicas have it, at most so long (`WAIT`). The other publishes on this
    /// producer wait meanwhile, half of `socket_connect_timeout` at a time. That too few have it is no error:
    /// [`Confirm::replicas`](crate::Confirm::replicas) says how many.
    #[must_use]
    pub fn replicas(mut self, count: u32, limit: Duration) -> Self {
        self.replicas = Some((count, limit));
        self
    }

    /// How current the tables are by which messages are routed.
    #[must_use]
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// Declares these exchanges, queues and bindings before the first publish of each connection, and again when a
    /// message finds nobody; topic bindings with the text of this dialect. An exchange or queue that is there with other
    /// properties is an error of each publish ([`HostError::Declare`](crate::HostError::Declare)).
    ///
    /// ```no_run
    /// use keyrail_core::{Dialect, Topology};
    /// use keyrail_redis::{Connection, Message, Producer, ProducerOptions};
    ///
    /// # async fn declare() -> Result<(), Box<dyn std::error::Error>> {
    /// let topology = Topology::from_lines("orders topic durable: order.*.paid -> billing").unwrap();
    /// let options = ProducerOptions::new().declare(topology, Dialect::Kombu57);
    /// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, options).await?;
    /// let paid = Message::text("42 EUR").exchange("orders").routing_key("order.eu.paid");
    /// assert_eq!(producer.publish(&paid).await?.queues, ["billing"], "though no consumer ever ran");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn declare(mut self, topology: Topology, dialect: Dialect) -> Self {
        self.declare = Some((topology, dialect));
        self
    }

    /// Types of exchanges that Redis does not tell, and the largest table to read.
    ///
    /// ```no_run
    /// use keyrail_core::ExchangeKind;
    /// use keyrail_redis::{Connection, Message, Producer, ProducerOptions, load};
    ///
    /// # async fn tables() -> Result<(), Box<dyn std::error::Error>> {
    /// let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
    /// let options = ProducerOptions::new().tables(load::Options { kinds, ..load::Options::default() });
    /// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, options).await?;
    /// let confirm = producer.publish(&Message::text("hello").exchange("news")).await?;
    /// println!("{} are listening", confirm.fanout[0].receivers);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn tables(mut self, options: load::Options) -> Self {
        self.tables = options;
        self
    }

    /// Whether the default exchange reaches only queues that were declared with keyrail, as in RabbitMQ. Kombu pushes to
    /// any list.
    ///
    /// ```no_run
    /// use keyrail_core::Outcome;
    /// use keyrail_redis::{Connection, Message, Producer, ProducerOptions};
    ///
    /// # async fn declared() -> Result<(), Box<dyn std::error::Error>> {
    /// let options = ProducerOptions::new().declared_queues_only(true);
    /// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, options).await?;
    /// let confirm = producer.publish(&Message::text("42 EUR").routing_key("biling")).await?;
    /// assert_eq!(confirm.outcome, Outcome::Unroutable, "there is no such queue");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn declared_queues_only(mut self, only: bool) -> Self {
        self.declared_queues_only = only;
        self
    }
}
