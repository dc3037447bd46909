//! What was found, and what was looked at.

use std::fmt;

use keyrail_core::{kombu::Member, lint::Severity};
use serde::Serialize;

use super::{Code, Repair, step::Step};

/// Something that is wrong in Redis, or may be.
///
/// ```no_run
/// use keyrail_redis::{Connection, doctor::{Code, Doctor, Limits}};
///
/// # async fn poison() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = Connection::new("redis://127.0.0.1/0")?;
/// let report = Doctor::connect(&connection, Limits::default()).await?.examine().await?;
/// for finding in report.findings.iter().filter(|finding| finding.code == Code::Poison) {
///     println!("{}: {} ({})", finding.culprit, finding.sentence, finding.repair);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # JSON
/// `{"code": "stale-twin", "severity": "warning", "culprit": {"type": "row", "exchange": "orders", "row": "…"},
/// "sentence": "…", "repair": "takes …", "repairable": true}`
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it is: a stable word.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    pub culprit: Culprit,
    /// What is wrong, for people.
    pub sentence: String,
    /// What repair would do, or what else helps.
    pub repair: &'static str,
    /// Whether repair would do anything.
    pub repairable: bool,
    /// What repair is, each one step on the server.
    #[serde(skip)]
    pub(crate) steps: Vec<Step>,
}

/// What a finding points at. What is no text is written with `\x06` for the bytes that cannot be printed.
///
/// ```
/// use keyrail_redis::doctor::Culprit;
///
/// let culprit = Culprit::Row { exchange: "orders".into(), row: "paid to billing".into() };
/// assert_eq!(culprit.to_string(), "row paid to billing of exchange orders");
/// let json = serde_json::json!({"type": "row", "exchange": "orders", "row": "paid to billing"});
/// assert_eq!(serde_json::to_value(&culprit).unwrap(), json);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Culprit {
    /// A row of a binding table.
    Row {
        /// The exchange.
        exchange: Box<str>,
        /// The row.
        row: Box<str>,
    },
    /// An exchange, by all of its table.
    Exchange {
        /// Its name.
        name: Box<str>,
    },
    /// A queue.
    Queue {
        /// Its name.
        name: Box<str>,
    },
    /// A key.
    Key {
        /// Its name.
        name: Box<str>,
    },
    /// A registered delivery.
    Delivery {
        /// Its name in the register.
        name: Box<str>,
    },
    /// An entry of a hash or a set.
    Entry {
        /// The key.
        key: Box<str>,
        /// The field or member.
        field: Box<str>,
    },
}

impl Culprit {
    pub(super) fn row(exchange: &str, row: &[u8]) -> Self {
        Culprit::Row { exchange: exchange.into(), row: printable(row) }
    }

    pub(super) fn member(exchange: &str, member: &Member) -> Self {
        let Member { routing_key, pattern, queue } = member;
        let row = match &**pattern {
            "" => format!("{routing_key} to {queue}"),
            text => format!("{routing_key} ({text}) to {queue}"),
        };
        Culprit::Row { exchange: exchange.into(), row: printable(row.as_bytes()) }
    }
}

/// Bytes as a text of one line.
pub(super) fn printable(bytes: &[u8]) -> Box<str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.into(),
        _ => bytes.escape_ascii().to_string().into(),
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Culprit::Row { exchange, row } => write!(f, "row {row} of exchange {exchange}"),
            Culprit::Exchange { name } => write!(f, "exchange {name}"),
            Culprit::Queue { name } => write!(f, "queue {name}"),
            Culprit::Key { name } => write!(f, "key {name}"),
            Culprit::Delivery { name } => write!(f, "delivery {name}"),
            Culprit::Entry { key, field } => write!(f, "entry {field} of {key}"),
        }
    }
}

impl Finding {
    pub(super) fn new(code: Code, culprit: Culprit, sentence: impl Into<String>, steps: Vec<Step>) -> Self {
        let repairable = code.repair() != Repair::Never && !steps.is_empty();
        let (severity, repair, sentence) = (code.severity(), code.remedy(), sentence.into());
        Finding { code, severity, culprit, sentence, repair, repairable, steps }
    }
}

/// What an examination found.
///
/// ```
/// use keyrail_redis::doctor::Report;
///
/// assert_eq!(Report::default().worst(), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The worst first; of one severity in the order of codes.
    pub findings: Vec<Finding>,
    /// How many more there are than the limit allows to name. What is repaired makes room for them.
    pub unnamed: usize,
    /// What was looked at.
    pub looked: Looked,
}

/// What was looked at. Counts are of what was read, not of what there is.
///
/// ```
/// use keyrail_redis::doctor::Report;
///
/// let json = serde_json::to_value(Report::default()).unwrap();
/// assert_eq!((&json["looked"]["keys"], &json["looked"]["leftOut"]), (&0.into(), &serde_json::json!([])));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Looked {
    /// Keys of any kind.
    pub keys: usize,
    /// Rows of binding tables.
    pub rows: usize,
    /// Lists that may be queues.
    pub lists: usize,
    /// Payloads in them.
    pub payloads: usize,
    /// Deliveries and times of the register.
    pub deliveries: usize,
    /// What was left out, because a limit was reached, each in words.
    pub left_out: Vec<String>,
}

impl Report {
    /// The severity of the worst finding.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// How many findings have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// `severity[code] culprit: sentence`, in one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}] {}: {}", self.severity, self.code, self.culprit, self.sentence)
    }
}
