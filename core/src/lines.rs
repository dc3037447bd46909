//! Topologies in lines that people write: `logs topic: a.*.c -> q1`.

use alloc::{boxed::Box, string::String};
use core::fmt;

use crate::Topology;

mod parse;
mod scan;
mod table;
#[cfg(test)]
mod tests;
mod write;

/// What is wrong in a text of lines, and where. Nothing is taken from it then.
///
/// ```
/// use keyrail_core::Topology;
///
/// let error = Topology::from_lines("logs topic: *.error -> errors\nlogs: *.info - info").unwrap_err();
/// assert_eq!((error.line, error.code()), (2, "invalid-line"));
/// assert!(error.to_string().starts_with("line 2, column "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Counted from 1.
    pub line: usize,
    /// Characters, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: Box<str>,
    /// What to write instead; empty where that is clear.
    pub hint: Box<str>,
}

impl Topology {
    /// Reads lines.
    ///
    /// ```text
    /// # A line that begins with `#` is a comment.
    /// orders topic durable else lost: order.eu.*     -> eu, us, exchange archive
    /// orders:                         order.#        -> audit
    /// lost fanout internal:                          -> unrouted
    /// archive headers:  {x-match: "any", pages: 3}   -> files
    /// stock topic:      usd.* as kombu56             -> "a queue"
    /// queue files durable auto-delete {x-max-length: 1000}
    /// policy "no loss" "^stock" priority 3 on exchanges {alternate-exchange: "lost"}
    /// ```
    ///
    /// - An exchange is its name, then once its kind (`direct`, `fanout`, `headers`, `topic`, `x-consistent-hash`,
    ///   `x-random`) with `durable`, `auto-delete`, `internal`, `else ALTERNATE` and arguments in braces.
    /// - After a colon comes a binding: key, arguments, `as DIALECT` (`kombu57`, `kombu56`), `matching PATTERN` (a stored
    ///   regular expression), each of them optional; an arrow; queues, and exchanges after the word `exchange`.
    /// - A queue is there when something leads to it; a line of its own (`queue NAME`) says more: `durable`,
    ///   `auto-delete`, `exclusive`, arguments.
    /// - Names and keys are bare, or in double quotes with JSON's escapes if they hold blanks, quotes, braces, commas, a
    ///   colon, or are words of this format.
    /// - Arguments are as in JSON, names bare or quoted: text, whole numbers (64 bits), other numbers (doubles), `true`,
    ///   `false`, `null` (void), lists, tables. Other types have AMQP's octet before: `I(3)`, `T(1700000000)`,
    ///   `D(2, 314)`, `x("bytes")`; bytes that are not UTF-8 are `S(hex ff00)`.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let topology = Topology::from_lines("logs topic: a.*.c -> q1")?;
    /// assert_eq!((topology.exchanges.len(), topology.queues.len(), topology.bindings.len()), (1, 1, 1));
    /// let error = Topology::from_lines("logs topc: a.*.c -> q1").unwrap_err();
    /// assert_eq!((error.line, error.column), (1, 6));
    /// # Ok::<(), keyrail_core::LineError>(())
    /// ```
    ///
    /// # Errors
    /// The first thing that cannot be read, with its line and column.
    pub fn from_lines(text: &str) -> Result<Self, LineError> {
        parse::topology(text)
    }

    /// Writes lines: exchanges, queues, policies, bindings, each on a line of its own.
    /// [`from_lines`](Self::from_lines) reads the same topology, if every binding's ends are in it.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let topology: Topology = serde_json::from_str(r#"{
    ///     "exchanges": [{"name": "logs", "kind": "topic", "durable": true}],
    ///     "queues": [{"name": "errors"}],
    ///     "bindings": [{"source": "logs", "destination": {"queue": "errors"}, "routingKey": "*.error"}]
    /// }"#)?;
    /// let lines = topology.to_lines();
    /// assert_eq!(lines, "logs topic durable\nqueue errors\nlogs: *.error -> errors\n");
    /// assert_eq!(Topology::from_lines(&lines)?, topology);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_lines(&self) -> String {
        write::topology(self)
    }
}

impl LineError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        "invalid-line"
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LineError { line, column, reason, hint } = self;
        write!(f, "line {line}, column {column}: {reason}")?;
        if hint.is_empty() { Ok(()) } else { write!(f, "; {hint}") }
    }
}

impl core::error::Error for LineError {}

/// The words of the format. As names they are quoted.
const WORDS: [&str; 18] = [
    "exchange",
    "queue",
    "policy",
    "durable",
    "auto-delete",
    "internal",
    "exclusive",
    "else",
    "as",
    "matching",
    "priority",
    "on",
    "direct",
    "fanout",
    "headers",
    "topic",
    "x-consistent-hash",
    "x-random",
];
