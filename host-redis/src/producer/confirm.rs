//! What is known of a publish, and why one failed.

use std::fmt;

use keyrail_core::{ByteString, Outcome};

use super::Message;
use crate::{ExecuteError, Fanout, HostError};

/// What is known once a publish has returned: Redis has executed it.
///
/// ```no_run
/// use std::time::Duration;
/// use keyrail_redis::{Connection, Message, Producer, ProducerOptions};
///
/// # async fn confirm() -> Result<(), Box<dyn std::error::Error>> {
/// let options = ProducerOptions::new().replicas(1, Duration::from_millis(100));
/// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, options).await?;
/// let confirm = producer.publish(&Message::text("resize").routing_key("jobs")).await?;
/// assert_eq!(confirm.queues, ["jobs"]);
/// println!("sent {} times, on {:?} replicas", confirm.attempts, confirm.replicas);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// Routed if at least one queue or subscriber got it.
    pub outcome: Outcome,
    /// The queues that hold a copy now.
    pub queues: Vec<String>,
    /// The fanout channels on which it was sent.
    pub fanout: Vec<Fanout>,
    /// Whether nobody was bound, and the dead-letter queue got it.
    pub dead_lettered: bool,
    /// How many replicas are known to have it, if the producer waits for replicas: 0 also where nobody can tell any more,
    /// since the connection broke meanwhile. The message is published all the same.
    pub replicas: Option<u32>,
    /// How often it was sent. More than once, and a copy of an earlier time may lie in a queue too, with the same
    /// delivery tag.
    pub attempts: u32,
}

/// Why a message was not published, or not known to be.
///
/// ```
/// use std::collections::BTreeMap;
/// use keyrail_redis::{Message, ProduceError};
///
/// let error = Message::json(&BTreeMap::from([((1, 2), 3)])).unwrap_err();
/// assert!(matches!(error, ProduceError::Serialize { .. }));
/// assert_eq!(error.code(), "not-serializable");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ProduceError {
    /// The body cannot be written as it was asked.
    Serialize {
        /// Why.
        reason: Box<str>,
    },
    /// The body cannot be compressed.
    Compress {
        /// What the codec said.
        reason: Box<str>,
    },
    /// Nobody gets the message, and it is mandatory: here it is again. AMQP's reply is 312 NO_ROUTE.
    Returned {
        /// The exchange.
        exchange: Box<str>,
        /// The routing key.
        routing_key: ByteString,
        /// The message.
        message: Box<Message>,
    },
    /// The tables changed between reading and publishing, each time that it was tried. Nothing was written.
    TableMoved {
        /// The exchange.
        exchange: Box<str>,
        /// How often it was tried.
        attempts: u32,
    },
    /// On a cluster, where queues lie on several servers, some of them took their copy and others did not.
    PartlyPublished {
        /// Those that did.
        queues: Vec<String>,
        /// What stopped the first of the others.
        error: ExecuteError,
    },
    /// Routing, loading or executing failed.
    Host(HostError),
}

impl ProduceError {
    /// The stable word for this error.
    pub fn code(&self) -> &'static str {
        match self {
            ProduceError::Serialize { .. } => "not-serializable",
            ProduceError::Compress { .. } => "not-compressible",
            ProduceError::Returned { .. } => "no-route",
            ProduceError::TableMoved { .. } => "table-moved",
            ProduceError::PartlyPublished { .. } => "partly-published",
            ProduceError::Host(error) => error.code(),
        }
    }

    /// Whether trying again may help.
    pub(super) const fn is_temporary(&self) -> bool {
        matches!(self, ProduceError::Host(HostError::Execute(error)) if error.is_temporary())
    }
}

impl fmt::Display for ProduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProduceError::Serialize { reason } => write!(f, "the body cannot be written: {reason}"),
            ProduceError::Compress { reason } => write!(f, "the body cannot be compressed: {reason}"),
            ProduceError::Returned { exchange, routing_key, .. } => {
                write!(
                    f,
                    "no route: nobody gets `{routing_key}` from exchange `{exchange}`, and it is mandatory"
                )
            }
            ProduceError::TableMoved { exchange, attempts } => write!(
                f,
                "the bindings of `{exchange}` changed during each of {attempts} attempts to publish; nothing was written"
            ),
            ProduceError::PartlyPublished { queues, error } => {
                write!(f, "only some queues took their copy ({}): {error}", queues.join(", "))
            }
            ProduceError::Host(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ProduceError {}

impl<E: Into<HostError>> From<E> for ProduceError {
    fn from(error: E) -> Self {
        ProduceError::Host(error.into())
    }
}
