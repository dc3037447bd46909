//! RabbitMQ's policies: settings for all exchanges and queues whose name a pattern finds.

use alloc::boxed::Box;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Table, Value,
    error::{PRECONDITION_FAILED, Reply},
    exchange::ALTERNATE_EXCHANGE,
};

mod pattern;

use pattern::Pattern;

/// What is set of a policy, its name apart. Routing asks for the `alternate-exchange` in its definition alone.
///
/// One policy applies to an exchange at a time: the one with the highest priority of those whose pattern finds its name,
/// the first by name among equals (RabbitMQ leaves that open). It hides the others whole, also one that sets an alternate
/// where it does not. What an exchange was declared with wins over its policy.
///
/// ```
/// use keyrail_core::{Exchange, ExchangeKind, Policy, Router};
///
/// let mut router = Router::new();
/// let orders = router.declare_exchange("shop.orders", Exchange::new(ExchangeKind::Topic))?;
/// # #[cfg(feature = "regex")] {
/// router.set_policy("lost", Policy::new("^shop\\.")?.alternate("unrouted"));
/// assert_eq!(router.alternate_exchange(orders), Some("unrouted"));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// # Source
/// Vectors of the category `policy`; `rabbit_policy.erl` of RabbitMQ 3.10.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pattern: Pattern,
    apply_to: ApplyTo,
    priority: i64,
    definition: Table,
}

/// What a policy may apply to, by RabbitMQ's words. Routing asks whether exchanges are among it.
///
/// ```
/// use keyrail_core::{ApplyTo, Policy, Router};
///
/// let mut router = Router::with_predeclared_exchanges();
/// let topic = router.exchange("amq.topic").unwrap();
/// # #[cfg(feature = "regex")] {
/// router.set_policy("lost", Policy::new("")?.alternate("lost").apply_to(ApplyTo::QuorumQueues));
/// assert_eq!(router.applied_policy(topic), None); // it is for queues
/// # }
/// let words = ["all", "exchanges", "queues", "classic_queues", "quorum_queues", "streams"];
/// assert_eq!(ApplyTo::ALL.map(ApplyTo::as_str), words);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApplyTo {
    /// Exchanges and queues.
    #[default]
    All,
    /// Exchanges.
    Exchanges,
    /// Queues of every type, streams among them.
    Queues,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Streams.
    Streams,
}

/// Why a policy was refused.
///
/// ```
/// use keyrail_core::{Policy, PolicyError, Table};
///
/// let error = Policy::new("^(shop").unwrap_err();
/// assert!(error.to_string().starts_with("the policy's pattern `^(shop` cannot be used: "));
/// assert_eq!((error.code(), error.reply().code), ("invalid-policy-pattern", 406));
/// # #[cfg(feature = "regex")] {
/// let error = Policy::new("")?.definition(Table::from_iter([("alternate-exchange", 1)])).unwrap_err();
/// assert_eq!(error, PolicyError::InvalidAlternate { tag: 'l' });
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// The pattern is no regular expression, or has something that cannot be done in linear time.
    InvalidPattern {
        /// The pattern.
        pattern: Box<str>,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// The `alternate-exchange` of the definition is not a long string of UTF-8.
    InvalidAlternate {
        /// The field type octet that was given.
        tag: char,
    },
}

impl ApplyTo {
    /// Every one, in the order of this list.
    pub const ALL: [Self; 6] = [
        ApplyTo::All,
        ApplyTo::Exchanges,
        ApplyTo::Queues,
        ApplyTo::ClassicQueues,
        ApplyTo::QuorumQueues,
        ApplyTo::Streams,
    ];

    /// RabbitMQ's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ApplyTo::All => "all",
            ApplyTo::Exchanges => "exchanges",
            ApplyTo::Queues => "queues",
            ApplyTo::ClassicQueues => "classic_queues",
            ApplyTo::QuorumQueues => "quorum_queues",
            ApplyTo::Streams => "streams",
        }
    }
}

impl Policy {
    /// A policy for all exchanges and queues whose name this pattern finds, anywhere in it: priority 0, and an empty
    /// definition.
    ///
    /// The pattern is a regular expression over bytes, as Erlang runs it, without what needs backtracking: back
    /// references, possessive quantifiers, and look-around but for looking ahead from the start, as in `^(?!amq\.)`.
    ///
    /// ```
    /// use keyrail_core::{Exchange, ExchangeKind, Policy, Router};
    ///
    /// let mut router = Router::new();
    /// let orders = router.declare_exchange("shop.orders", Exchange::new(ExchangeKind::Topic))?;
    /// # #[cfg(feature = "regex")] {
    /// router.set_policy("orders", Policy::new("orders")?); // anywhere in the name
    /// assert_eq!(router.applied_policy(orders), Some("orders"));
    /// # }
    /// let error = Policy::new(r"(a)\1").unwrap_err();
    /// assert_eq!(error.code(), "invalid-policy-pattern");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PolicyError::InvalidPattern`]. Without the cargo feature `regex` every pattern is.
    /// # Source
    /// `tests/vectors/policy-patterns.tsv`.
    pub fn new(pattern: &str) -> Result<Self, PolicyError> {
        let pattern = Pattern::compile(pattern)?;
        Ok(Policy { pattern, apply_to: ApplyTo::All, priority: 0, definition: Table::new() })
    }

    /// Sets what it applies to.
    ///
    /// ```
    /// use keyrail_core::{ApplyTo, Policy, Router};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// # #[cfg(feature = "regex")] {
    /// let policy = Policy::new("")?.alternate("lost");
    /// router.set_policy("lost", policy.clone().apply_to(ApplyTo::Queues));
    /// assert_eq!(router.alternate_exchange(topic), None);
    /// router.set_policy("lost", policy.apply_to(ApplyTo::Exchanges));
    /// assert_eq!(router.alternate_exchange(topic), Some("lost"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply_to(self, apply_to: ApplyTo) -> Self {
        Policy { apply_to, ..self }
    }

    /// Sets its priority; the highest one applies.
    ///
    /// ```
    /// use keyrail_core::{Policy, Router};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// # #[cfg(feature = "regex")] {
    /// router.set_policy("a", Policy::new("")?.alternate("low"));
    /// router.set_policy("b", Policy::new("")?.alternate("high").priority(1));
    /// assert_eq!(router.alternate_exchange(topic), Some("high"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn priority(self, priority: i64) -> Self {
        Policy { priority, ..self }
    }

    /// Adds an alternate exchange to the definition. It need not exist.
    ///
    /// ```
    /// use keyrail_core::Policy;
    ///
    /// # #[cfg(feature = "regex")] {
    /// let policy = Policy::new("^shop")?.alternate("unrouted");
    /// assert_eq!(policy.alternate_exchange(), Some("unrouted"));
    /// assert_eq!((policy.pattern(), policy.priority_number()), ("^shop", 0));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn alternate(mut self, exchange: &str) -> Self {
        self.definition.push(ALTERNATE_EXCHANGE, exchange);
        self
    }

    /// Replaces the definition.
    ///
    /// ```
    /// use keyrail_core::{Policy, Table, Value};
    ///
    /// # #[cfg(feature = "regex")] {
    /// let definition = Table::from_iter([("max-length", Value::from(10)), ("alternate-exchange", "lost".into())]);
    /// let policy = Policy::new("^shop")?.definition(definition)?;
    /// assert_eq!(policy.alternate_exchange(), Some("lost"));
    /// assert_eq!(policy.definition_table().get("max-length"), Some(&Value::I64(10))); // kept for a broker
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PolicyError::InvalidAlternate`].
    pub fn definition(self, definition: Table) -> Result<Self, PolicyError> {
        match definition.get(ALTERNATE_EXCHANGE) {
            Some(value) if value.as_str().is_none() => {
                Err(PolicyError::InvalidAlternate { tag: value.tag() })
            }
            _ => Ok(Policy { definition, ..self }),
        }
    }

    /// The text of its pattern.
    pub fn pattern(&self) -> &str {
        self.pattern.text()
    }

    /// What it applies to.
    pub const fn applies_to(&self) -> ApplyTo {
        self.apply_to
    }

    /// Its priority.
    pub const fn priority_number(&self) -> i64 {
        self.priority
    }

    /// Its definition.
    pub const fn definition_table(&self) -> &Table {
        &self.definition
    }

    /// The alternate exchange that it sets.
    pub fn alternate_exchange(&self) -> Option<&str> {
        self.definition.get(ALTERNATE_EXCHANGE).and_then(Value::as_str)
    }

    /// Whether it is for the exchange of this name.
    pub(crate) fn finds_exchange(&self, name: &str) -> bool {
        matches!(self.apply_to, ApplyTo::All | ApplyTo::Exchanges) && self.pattern.finds(name)
    }
}

impl PolicyError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            PolicyError::InvalidPattern { .. } => "invalid-policy-pattern",
            PolicyError::InvalidAlternate { .. } => "invalid-alternate-exchange",
        }
    }

    /// What comes closest: AMQP has no method for policies, and RabbitMQ's HTTP API answers with status 400.
    pub const fn reply(&self) -> Reply {
        PRECONDITION_FAILED
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::InvalidPattern { pattern, reason } => {
                write!(f, "the policy's pattern `{pattern}` cannot be used: {reason}")
            }
            PolicyError::InvalidAlternate { tag } => write!(
                f,
                "`{ALTERNATE_EXCHANGE}` has the field type `{tag}`, expected a long string (S) of UTF-8"
            ),
        }
    }
}

impl core::error::Error for PolicyError {}
