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

impl Policy {
    /// A policy for all exchanges and queues whose name this pattern finds, anywhere in it: priority 0, and an empty
    /// definition.
    ///
    /// The pattern is a regular expression over bytes, as Erlang runs it, without what needs backtracking: back
    /// references, possessive quantifiers, and look-around but for looking ahead from the start, as in `^(?!amq\.)`.
    ///
    /// # Errors
    /// [`PolicyError::InvalidPattern`]. Without the cargo feature `regex` every pattern is.
    pub fn new(pattern: &str) -> Result<Self, PolicyError> {
        let pattern = Pattern::compile(pattern)?;
        Ok(Policy { pattern, apply_to: ApplyTo::All, priority: 0, definition: Table::new() })
    }

    /// Sets what it applies to.
    pub fn apply_to(self, apply_to: ApplyTo) -> Self {
        Policy { apply_to, ..self }
    }

    /// Sets its priority; the highest one applies.
    pub fn priority(self, priority: i64) -> Self {
        Policy { priority, ..self }
    }

    /// Adds an alternate exchange to the definition. It need not exist.
    pub fn alternate(mut self, exchange: &str) -> Self {
        self.definition.push(ALTERNATE_EXCHANGE, exchange);
        self
    }

    /// Replaces the definition.
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
