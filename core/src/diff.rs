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
///
/// ```
/// use keyrail_core::{Topology, diff::Options};
///
/// let before = Topology::from_lines("logs topic: # -> all")?;
/// let after = Topology::from_lines("logs topic: # -> all\nlogs: *.error -> errors")?;
/// assert!(before.diff(&after, &Options::default())?.behaves_differently());
/// let options = Options::default().witnesses(1).line_feeds(false);
/// let diff = before.diff(&after, &options)?;
/// assert!(diff.behaviour.iter().all(|exchange| exchange.witnesses.len() <= 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// use keyrail_core::{Topology, diff::Options};
    ///
    /// let before = Topology::from_lines("logs topic: a -> q")?;
    /// let after = Topology::from_lines("logs topic: a -> q\nlogs: b -> r\nlogs: c -> s")?;
    /// let witnesses = |most: usize| {
    ///     let diff = before.diff(&after, &Options::default().witnesses(most)).unwrap();
    ///     diff.behaviour.into_iter().find(|exchange| &*exchange.exchange == "logs").unwrap().witnesses
    /// };
    /// assert_eq!((witnesses(1).len(), witnesses(5).len()), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn witnesses(self, witnesses: usize) -> Self {
        Options { witnesses, ..self }
    }

    /// Sets whether keys with line feeds count.
    ///
    /// ```
    /// use keyrail_core::{Dialect, Topology, diff::Options};
    ///
    /// let before = Topology::from_lines("logs topic: a.b -> q")?;
    /// let (after, _) = before.in_dialect(Dialect::Kombu57); // Python's `$` takes `a.b\n` too
    /// assert!(before.diff(&after, &Options::default())?.behaves_differently());
    /// assert!(before.diff(&after, &Options::default().line_feeds(false))?.behaves_the_same());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn line_feeds(self, line_feeds: bool) -> Self {
        Options { line_feeds, ..self }
    }

    /// Sets what deciding may take.
    ///
    /// ```
    /// use keyrail_core::{Topology, diff::Options, pattern::Budget};
    ///
    /// let before = Topology::from_lines("logs topic: a.# -> q")?;
    /// let after = Topology::from_lines("logs topic: a -> q\nlogs: a.*.# -> q")?;
    /// assert!(before.diff(&after, &Options::default())?.behaves_the_same());
    /// let diff = before.diff(&after, &Options::default().budget(Budget::new(0)))?;
    /// assert!(!diff.behaves_the_same() && !diff.behaves_differently()); // undecided
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
/// ```
/// use keyrail_core::{Topology, diff::Options};
///
/// let before = Topology::from_lines("logs topic: *.error -> errors\nlogs: db.error -> errors")?;
/// let after = Topology::from_lines("logs topic: *.error -> errors")?;
/// let diff = before.diff(&after, &Options::default())?;
/// assert_eq!(diff.structure.bindings.removed.len(), 1);
/// assert!(diff.behaves_the_same()); // the other binding matches all that this one did
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use keyrail_core::{Topology, diff::{Options, Verdict}};
///
/// let before = Topology::from_lines("logs topic: # -> all\nmail direct: a -> all")?;
/// let after = Topology::from_lines("logs topic: # -> all\nmail direct: b -> all")?;
/// let diff = before.diff(&after, &Options::default())?;
/// let differing = diff.behaviour.iter().filter(|exchange| exchange.verdict == Verdict::Differs);
/// assert!(differing.map(|exchange| &*exchange.exchange).eq(["mail"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use keyrail_core::{Topology, diff::{Options, Verdict}};
///
/// let before = Topology::from_lines("logs topic: a.* -> q")?;
/// let verdict = |lines: &str| {
///     let diff = before.diff(&Topology::from_lines(lines).unwrap(), &Options::default()).unwrap();
///     diff.behaviour.iter().find(|exchange| &*exchange.exchange == "logs").unwrap().verdict
/// };
/// assert_eq!(verdict("logs topic: a.* -> q\nlogs: a.b -> q"), Verdict::Same);
/// assert_eq!(verdict("logs topic: a.# -> q"), Verdict::Differs);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use keyrail_core::{Topology, diff::Options};
///
/// let before = Topology::from_lines("files headers: {format: \"pdf\"} -> print\nqueue view")?;
/// let after = Topology::from_lines("files headers: {format: \"pdf\"} -> print, view")?;
/// let diff = before.diff(&after, &Options::default())?;
/// let files = diff.behaviour.iter().find(|exchange| &*exchange.exchange == "files").unwrap();
/// let witness = &files.witnesses[0];
/// assert_eq!(witness.headers.get("format").and_then(|value| value.as_str()), Some("pdf"));
/// assert_eq!(witness.before.queues, ["print".into()]);
/// assert_eq!(witness.after.queues, ["print".into(), "view".into()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use keyrail_core::{Topology, diff::{Answer, Options}};
///
/// let before = Topology::from_lines("logs topic internal: # -> all")?;
/// let after = Topology::from_lines("logs topic: # -> all")?;
/// let diff = before.diff(&after, &Options::default())?;
/// let logs = diff.behaviour.iter().find(|exchange| &*exchange.exchange == "logs").unwrap();
/// assert_eq!(logs.witnesses[0].before, Answer { outcome: "internal-exchange", queues: vec![] });
/// assert_eq!(logs.witnesses[0].after, Answer { outcome: "routed", queues: vec!["all".into()] });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// `routed`, `unroutable`, `unknown-exchange`, or `internal-exchange` where publishing is refused.
    pub outcome: &'static str,
    /// The queues that get it, by name.
    pub queues: Vec<Box<str>>,
}

/// One of two topologies cannot be built.
///
/// ```
/// use keyrail_core::{Topology, diff::Options};
///
/// let good = Topology::from_lines("logs topic: # -> all")?;
/// let mut bad = good.clone();
/// bad.queues.clear();
/// let error = good.diff(&bad, &Options::default()).unwrap_err();
/// assert_eq!(error.to_string(), "the second topology: bindings[0]: there is no queue `all`");
/// assert!(error.second && error.error.error.code() == "queue-not-found");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffError {
    /// Whether it is the second one.
    pub second: bool,
    /// What is wrong with it.
    pub error: TopologyError,
}

impl Diff {
    /// Whether any message tells the two apart.
    ///
    /// ```
    /// use keyrail_core::{Topology, diff::Options};
    ///
    /// let before = Topology::from_lines("logs topic: a.# -> q")?;
    /// let after = Topology::from_lines("logs topic: a.*.# -> q")?; // not `a` alone
    /// assert!(before.diff(&after, &Options::default())?.behaves_differently());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn behaves_differently(&self) -> bool {
        self.behaviour.iter().any(|exchange| exchange.verdict == Verdict::Differs)
    }

    /// Whether it is certain that no message tells the two apart.
    ///
    /// ```
    /// use keyrail_core::{Topology, diff::Options};
    ///
    /// let before = Topology::from_lines("logs topic: a.#.# -> q")?;
    /// let after = Topology::from_lines("logs topic: a.# -> q")?;
    /// assert!(before.diff(&after, &Options::default())?.behaves_the_same());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// use keyrail_core::{Topology, diff::Options};
    ///
    /// let before = Topology::from_lines("logs topic: *.error -> errors")?;
    /// let after = Topology::from_lines("logs topic: #.error -> errors")?;
    /// let diff = before.diff(&after, &Options::default())?;
    /// let logs = diff.behaviour.iter().find(|exchange| &*exchange.exchange == "logs").unwrap();
    /// assert_eq!(logs.witnesses[0].routing_key.to_string(), "error");
    /// assert_eq!(logs.witnesses[0].after.queues, ["errors".into()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
