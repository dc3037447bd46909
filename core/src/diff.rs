//! What differs between two topologies: as data, and in what messages do.
//!
//! ```
//! use keyrail_core::{Topology, diff::{Options, Verdict}};
//!
//! let topology = |key: &str| -> Topology {
//!     serde_json::from_value(serde_json::json!({
//!         "exchanges": [{"name": "logs", "kind": "topic"}],
//!         "queues": [{"name": "errors"}],
//!         "bindings": [{"source": "logs", "destination": {"queue": "errors"}, "routingKey": key}]
//!     })).unwrap()
//! };
//! let diff = topology("*.error").diff(&topology("#.error"), &Options::default())?;
//! assert!(diff.behaves_differently());
//! let logs = diff.behaviour.iter().find(|exchange| &*exchange.exchange == "logs").unwrap();
//! assert_eq!(logs.verdict, Verdict::Differs);
//! let witness = &logs.witnesses[0];
//! assert_eq!(witness.routing_key.to_string(), "error");
//! assert!(witness.before.queues.is_empty());
//! assert_eq!(witness.after.queues, ["errors".into()]);
//! # Ok::<(), keyrail_core::diff::DiffError>(())
//! ```

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use serde::Serialize;

use crate::{
    BindingDefinition, ByteString, Dialect, ExchangeKind, Router, Table, Topology, TopologyError,
    kombu::translate, pattern::Budget,
};

mod behaviour;
mod headers;
mod local;
mod structure;

pub use structure::{Added, Change, Changes, Structure};

/// How to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How many witnesses to show for an exchange; 5 unless it is said.
    pub witnesses: usize,
    /// Whether keys with line feeds count. They do unless it is said; RabbitMQ and Kombu differ on nearly all of them,
    /// and nobody publishes them.
    pub line_feeds: bool,
    /// What deciding may take, all together; what it does not suffice for is [`Verdict::Undecided`]. 200 million units
    /// unless it is said, which is a second or two.
    pub budget: Budget,
}

impl Options {
    /// Sets how many witnesses to show for an exchange, at least one.
    pub const fn witnesses(self, witnesses: usize) -> Self {
        Options { witnesses, ..self }
    }

    /// Sets whether keys with line feeds count.
    pub const fn line_feeds(self, line_feeds: bool) -> Self {
        Options { line_feeds, ..self }
    }

    /// Sets what deciding may take.
    pub const fn budget(self, budget: Budget) -> Self {
        Options { budget, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options { witnesses: 5, line_feeds: true, budget: Budget::new(200_000_000) }
    }
}

/// What [`Topology::diff`] found.
///
/// # JSON
/// `{"structure": {"exchanges": {…}, "queues": {…}, "bindings": {…}}, "behaviour": [{"exchange": "logs", "verdict":
/// "differs", "witnesses": [{"routingKey": "error", "before": {…}, "after": {…}}]}]}`
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// What was added, removed and changed.
    pub structure: Structure,
    /// Every exchange that one can publish to on either side, by name; the default exchange first.
    pub behaviour: Vec<ExchangeDiff>,
}

/// What messages published to one exchange do on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeDiff {
    /// Its name; empty for the default exchange.
    pub exchange: Box<str>,
    /// Whether any message tells the two sides apart.
    pub verdict: Verdict,
    /// Messages that do, each with another change of queues.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witness>,
}

/// Whether any message tells two topologies apart. Messages with `CC` or `BCC` are not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// None does: every message gets the same queues on both sides.
    Same,
    /// One does, and here it is.
    Differs,
    /// None was found, and it is not certain that there is none: the budget was spent, there are too many combinations of
    /// headers, or a binding is matched by a text that Kombu did not write.
    Undecided,
}

/// A message that tells two topologies apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// Its routing key, of at most 255 bytes.
    pub routing_key: ByteString,
    /// Its headers, where it needs any.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub headers: Table,
    /// What becomes of it in the first topology.
    pub before: Answer,
    /// What becomes of it in the second one.
    pub after: Answer,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// `routed`, `unroutable`, `unknown-exchange`, or `internal-exchange` where publishing is refused.
    pub outcome: &'static str,
    /// The queues that get it, by name.
    pub queues: Vec<Box<str>>,
}

/// One of two topologies cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffError {
    /// Whether it is the second one.
    pub second: bool,
    /// What is wrong with it.
    pub error: TopologyError,
}

impl Diff {
    /// Whether any message tells the two apart.
    pub fn behaves_differently(&self) -> bool {
        self.behaviour.iter().any(|exchange| exchange.verdict == Verdict::Differs)
    }

    /// Whether it is certain that no message tells the two apart.
    pub fn behaves_the_same(&self) -> bool {
        self.behaviour.iter().all(|exchange| exchange.verdict == Verdict::Same)
    }
}

impl Topology {
    /// Compares with a later topology: what was changed, and for each exchange a message that gets other queues, or the
    /// statement that there is none.
    ///
    /// Exact for direct, topic and fanout exchanges, over exchange-to-exchange bindings and alternates. Headers exchanges
    /// are decided exactly as long as the names and values in their bindings have at most 512 combinations.
    ///
    /// # Errors
    /// [`DiffError`] if either cannot be built.
    /// # Cost
    /// What is the same on both sides is taken off first. A binding that is left is compared with those on the other side
    /// that lead from the same exchange to the same destination; only if they do not make up for it, keys are tried, and
    /// only if none of these tells the sides apart, all of them are searched.
    pub fn diff(&self, after: &Topology, options: &Options) -> Result<Diff, DiffError> {
        let build = |topology: &Topology, second| -> Result<Router, DiffError> {
            topology.router().map_err(|error| DiffError { second, error })
        };
        let (before, after) = (build(self, false)?, build(after, true)?);
        Ok(Diff {
            structure: Structure::of(&before, &after),
            behaviour: behaviour::compare([&before, &after], options),
        })
    }

    /// The topology as another dialect reads it, and the bindings whose keys that dialect cannot execute, which are left
    /// out. Stored patterns are dropped: the binding is bound anew.
    ///
    /// ```
    /// use keyrail_core::{Dialect, Topology, diff::Options};
    ///
    /// let topology: Topology = serde_json::from_str(r#"{
    ///     "exchanges": [{"name": "logs", "kind": "topic"}], "queues": [{"name": "q"}],
    ///     "bindings": [{"source": "logs", "destination": {"queue": "q"}, "routingKey": "a.*"}]
    /// }"#).unwrap();
    /// let [(old, _), (new, _)] = [Dialect::Kombu56, Dialect::Kombu57].map(|dialect| topology.in_dialect(dialect));
    /// let diff = old.diff(&new, &Options::default()).unwrap();
    /// let logs = diff.behaviour.iter().find(|exchange| &*exchange.exchange == "logs").unwrap();
    /// assert!(logs.witnesses[0].routing_key.starts_with(b"a.x.x")); // `*` was as many words as there were
    /// ```
    pub fn in_dialect(&self, dialect: Dialect) -> (Topology, Vec<BindingDefinition>) {
        let topics: Vec<&str> = self
            .exchanges
            .iter()
            .filter(|exchange| exchange.kind == ExchangeKind::Topic)
            .map(|exchange| &*exchange.name)
            .collect();
        let topics: hashbrown::HashSet<&str, foldhash::fast::FixedState> =
            topics.into_iter().chain(["amq.topic", "amq.rabbitmq.trace"]).collect();
        let mut refused = Vec::new();
        let mut bindings = Vec::with_capacity(self.bindings.len());
        for binding in &self.bindings {
            if !topics.contains(&*binding.source) {
                bindings.push(binding.clone());
                continue;
            }
            let fits = dialect == Dialect::Amqp
                || binding.routing_key.as_str().is_some_and(|key| translate(key, dialect).is_ok());
            if fits {
                bindings.push(BindingDefinition { dialect, pattern: None, ..binding.clone() });
            } else {
                refused.push(binding.clone());
            }
        }
        (Topology { bindings, ..self.clone() }, refused)
    }
}

impl fmt::Display for DiffError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} topology: {}", if self.second { "second" } else { "first" }, self.error)
    }
}

impl core::error::Error for DiffError {}
