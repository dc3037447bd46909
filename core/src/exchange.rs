use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Table, Value, error::DeclareError, index::HashSource};

/// The name of the argument that holds an exchange's alternate.
pub(crate) const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

/// How an exchange chooses among its bindings.
///
/// ```
/// use keyrail_core::ExchangeKind;
///
/// assert_eq!("x-consistent-hash".parse(), Ok(ExchangeKind::ConsistentHash));
/// assert!(ExchangeKind::ALL.into_iter().all(|kind| kind.as_str().parse() == Ok(kind)));
/// let error = "Topic".parse::<ExchangeKind>().unwrap_err();
/// assert_eq!(error.code(), "unknown-exchange-kind");
/// assert!(error.to_string().starts_with("exchange type `Topic` is unknown, expected one of direct fanout"));
/// ```
///
/// # Source
/// AMQP 0-9-1 §3.1.3; vectors `errors-004`, and those of each kind's category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ExchangeKind {
    /// The binding key equals the routing key.
    Direct,
    /// Every binding matches.
    Fanout,
    /// The binding's arguments are compared with the message's headers; `x-match` says how.
    Headers,
    /// The binding key is a pattern over the words of the routing key; see [`Dialect`](crate::Dialect).
    Topic,
    /// One destination, chosen by a hash of the routing key, a header or a property; the binding key is a weight.
    /// RabbitMQ's plugin `rabbitmq_consistent_hash_exchange`, bit for bit.
    ///
    /// Every destination owns as many buckets as its first binding's weight says, in the order of binding. Removing any
    /// binding of a destination takes all its buckets away (vector `consistent-hash-013`).
    #[serde(rename = "x-consistent-hash")]
    ConsistentHash,
    /// One binding, chosen by [`Message::random`](crate::Message::random); the key does not matter. RabbitMQ's plugin
    /// `rabbitmq_random_exchange`.
    #[serde(rename = "x-random")]
    Random,
}

impl ExchangeKind {
    /// Every kind, in the order of this list.
    pub const ALL: [Self; 6] = [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Headers,
        ExchangeKind::Topic,
        ExchangeKind::ConsistentHash,
        ExchangeKind::Random,
    ];

    /// RabbitMQ's word for it: `direct`, `fanout`, `headers`, `topic`, `x-consistent-hash` or `x-random`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Headers => "headers",
            ExchangeKind::Topic => "topic",
            ExchangeKind::ConsistentHash => "x-consistent-hash",
            ExchangeKind::Random => "x-random",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads RabbitMQ's word, which is lower case.
impl FromStr for ExchangeKind {
    type Err = DeclareError;

    fn from_str(word: &str) -> Result<Self, DeclareError> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| DeclareError::UnknownKind { found: word.into() })
    }
}

/// What is declared of an exchange, its name apart.
///
/// ```
/// use keyrail_core::{Exchange, ExchangeKind};
///
/// let exchange = Exchange::new(ExchangeKind::Topic).durable(true).alternate("unrouted");
/// assert_eq!(exchange.alternate_exchange(), Some("unrouted"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    kind: ExchangeKind,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    arguments: Table,
}

impl Exchange {
    /// An exchange of this kind: not durable, not auto-deleted, not internal, without arguments.
    ///
    /// ```
    /// use keyrail_core::{Exchange, ExchangeKind};
    ///
    /// let orders = Exchange::new(ExchangeKind::Topic);
    /// assert_eq!(orders.kind(), ExchangeKind::Topic);
    /// assert!(!orders.is_durable() && !orders.is_auto_delete() && !orders.is_internal());
    /// assert!(orders.argument_table().is_empty());
    /// ```
    pub const fn new(kind: ExchangeKind) -> Self {
        Exchange { kind, durable: false, auto_delete: false, internal: false, arguments: Table::new() }
    }

    /// Whether it is meant to survive a restart. Compared when declared again; routing does not ask.
    ///
    /// ```
    /// use keyrail_core::{Exchange, ExchangeKind, Router};
    ///
    /// let mut router = Router::new();
    /// router.declare_exchange("orders", Exchange::new(ExchangeKind::Topic).durable(true))?;
    /// let error = router.declare_exchange("orders", Exchange::new(ExchangeKind::Topic)).unwrap_err();
    /// assert_eq!(error.to_string(), "`orders` exists with another `durable`");
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn durable(self, durable: bool) -> Self {
        Exchange { durable, ..self }
    }

    /// Whether it is deleted when its last binding (as a source) is removed.
    ///
    /// ```
    /// use keyrail_core::{Binding, Exchange, ExchangeKind, Queue, Router};
    ///
    /// let mut router = Router::new();
    /// let orders = router.declare_exchange("orders", Exchange::new(ExchangeKind::Fanout).auto_delete(true))?;
    /// let mail = router.declare_queue("mail", Queue::new())?;
    /// router.bind(orders, mail, &Binding::new(""))?;
    /// router.delete_queue(mail); // and with it the only binding
    /// assert_eq!(router.exchange("orders"), None);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Source
    /// Vectors `lifecycle-001` to `lifecycle-010`.
    pub fn auto_delete(self, auto_delete: bool) -> Self {
        Exchange { auto_delete, ..self }
    }

    /// Whether clients may not publish to it; bindings and alternates may lead to it all the same.
    ///
    /// ```
    /// use keyrail_core::{Message, Outcome, Routes, Topology};
    ///
    /// let lines = "orders topic: # -> exchange archive\narchive fanout internal: -> files";
    /// let router = Topology::from_lines(lines)?.router()?;
    /// assert_eq!(router.message("archive", "order.paid", None).unwrap_err().code(), "internal-exchange");
    /// let (orders, message) = router.message("orders", "order.paid", None)?;
    /// assert_eq!(router.route(orders, &message, &mut Routes::new()), Outcome::Routed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Vectors `internal-001` to `internal-005`.
    pub fn internal(self, internal: bool) -> Self {
        Exchange { internal, ..self }
    }

    /// Names the exchange that is asked when no binding of this one matches. It need not exist.
    ///
    /// ```
    /// use keyrail_core::{Binding, Exchange, ExchangeKind, Message, Outcome, Queue, Router, Routes};
    ///
    /// let mut router = Router::new();
    /// let orders = router.declare_exchange("orders", Exchange::new(ExchangeKind::Topic).alternate("lost"))?;
    /// let lost = router.declare_exchange("lost", Exchange::new(ExchangeKind::Fanout))?;
    /// let unrouted = router.declare_queue("unrouted", Queue::new())?;
    /// router.bind(lost, unrouted, &Binding::new(""))?;
    /// let mut routes = Routes::new();
    /// assert_eq!(router.route(orders, &Message::new("order.paid"), &mut routes), Outcome::Routed);
    /// assert_eq!(routes.queues(), [unrouted]);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Source
    /// Vectors `alternate-001` to `alternate-015`.
    pub fn alternate(mut self, exchange: &str) -> Self {
        self.arguments.push(ALTERNATE_EXCHANGE, exchange);
        self
    }

    /// Replaces all arguments.
    ///
    /// ```
    /// use keyrail_core::{Exchange, ExchangeKind, Table};
    ///
    /// let arguments = Table::from_iter([("alternate-exchange", "lost"), ("owner", "billing")]);
    /// let orders = Exchange::new(ExchangeKind::Topic).arguments(arguments)?;
    /// assert_eq!(orders.alternate_exchange(), Some("lost"));
    /// let error = Exchange::new(ExchangeKind::Topic).arguments(Table::from_iter([("alternate-exchange", 1)]));
    /// assert_eq!(error.unwrap_err().code(), "invalid-alternate-exchange");
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`DeclareError::InvalidAlternate`] if `alternate-exchange` is there and not a long string of UTF-8; of a
    /// consistent-hash exchange, what is wrong with `hash-header` and `hash-property` (vector `consistent-hash-023`).
    pub fn arguments(self, arguments: Table) -> Result<Self, DeclareError> {
        if self.kind == ExchangeKind::ConsistentHash {
            HashSource::of(&arguments)?;
        }
        match arguments.get(ALTERNATE_EXCHANGE) {
            Some(value) if value.as_str().is_none() => {
                Err(DeclareError::InvalidAlternate { tag: value.tag() })
            }
            _ => Ok(Exchange { arguments, ..self }),
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> ExchangeKind {
        self.kind
    }

    /// Whether it was declared durable.
    pub const fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whether it goes with its last binding.
    pub const fn is_auto_delete(&self) -> bool {
        self.auto_delete
    }

    /// Whether publishing to it is refused.
    pub const fn is_internal(&self) -> bool {
        self.internal
    }

    /// The name of its alternate exchange.
    pub fn alternate_exchange(&self) -> Option<&str> {
        self.arguments.get(ALTERNATE_EXCHANGE).and_then(Value::as_str)
    }

    /// All its arguments.
    pub const fn argument_table(&self) -> &Table {
        &self.arguments
    }

    /// The first property in which RabbitMQ would call another declaration of this exchange different.
    /// Arguments other than `alternate-exchange` are not compared.
    pub(crate) fn inequivalence(&self, other: &Exchange) -> Option<&'static str> {
        if self.kind != other.kind {
            Some("type")
        } else if self.durable != other.durable {
            Some("durable")
        } else if self.auto_delete != other.auto_delete {
            Some("auto_delete")
        } else if self.internal != other.internal {
            Some("internal")
        } else if self.alternate_exchange() != other.alternate_exchange() {
            Some(ALTERNATE_EXCHANGE)
        } else {
            None
        }
    }
}
