//! The binding table of one exchange, as a router.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::member::{Matcher, MatcherError, Member, MemberError};
use super::names::Layout;
use crate::router::Router;
use crate::sort;
use crate::{
    BindError, Binding, DeclareError, Dialect, ExchangeDefinition, ExchangeId, ExchangeKind,
    MAX_SHORT_STRING, QueueDefinition, Table, Topology, TopologyError,
};

/// What Kombu's publishers read before every publish, read once: a router with one exchange and its bindings.
///
/// ```
/// use keyrail_core::{Message, Routes, kombu::{BindingTable, Layout}};
///
/// let rows = [&b"a.*\x06\x16^a\\.[^\\.]+$\x06\x16q1"[..], b"no row"];
/// let table = BindingTable::read("news", None, rows, &Layout::default())?;
/// let mut routes = Routes::new();
/// let _ = table.router.route(table.exchange, &Message::new("a.b"), &mut routes);
/// assert_eq!(routes.len(), 1);
/// assert_eq!(table.quarantine[0].to_string(), "row `no row` is ignored: binding member has 1 field, expected 3");
/// # Ok::<(), keyrail_core::TopologyError>(())
/// ```
#[derive(Debug)]
pub struct BindingTable {
    /// The router.
    pub router: Router,
    /// The exchange in it.
    pub exchange: ExchangeId,
    /// The rows that route nothing, in order.
    pub quarantine: Vec<QuarantinedRow>,
}

/// A row that routes nothing, because routing by it would be wrong. Its neighbours are not affected.
///
/// ```
/// use keyrail_core::kombu::{BindingTable, Layout};
///
/// let table = BindingTable::read("news", None, [b"\xff"], &Layout::default())?;
/// assert_eq!(table.quarantine[0].error.code(), "member-not-utf8");
/// # Ok::<(), keyrail_core::TopologyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRow {
    /// The row as Redis holds it.
    pub row: Box<[u8]>,
    /// Why.
    pub error: RowError,
}

impl fmt::Display for QuarantinedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row `{}` is ignored: {}", self.row.escape_ascii(), self.error)
    }
}

/// Why a row is in quarantine.
///
/// ```
/// use keyrail_core::kombu::{Member, RowError, SEPARATOR};
///
/// let error = RowError::Member(Member::parse(b"x", SEPARATOR).unwrap_err());
/// assert_eq!(error.code(), "member-field-count");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowError {
    /// It is no row.
    Member(MemberError),
    /// Its text cannot be executed.
    Matcher(MatcherError),
    /// Its queue cannot be declared.
    Declare(DeclareError),
    /// It cannot be bound.
    Bind(BindError),
}

impl RowError {
    /// The stable word, of the error inside.
    pub fn code(&self) -> &'static str {
        match self {
            RowError::Member(error) => error.code(),
            RowError::Matcher(error) => error.code(),
            RowError::Declare(error) => error.code(),
            RowError::Bind(error) => error.code(),
        }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowError::Member(error) => error.fmt(f),
            RowError::Matcher(error) => error.fmt(f),
            RowError::Declare(error) => error.fmt(f),
            RowError::Bind(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RowError {}

impl BindingTable {
    /// Reads the rows of `exchange`, in any order: a set has none, and routes should not change with it.
    ///
    /// Kombu stores no types. Without a `kind` it is a topic exchange if any row has a stored text, else a direct one.
    ///
    /// ```
    /// use keyrail_core::{ExchangeKind, kombu::{BindingTable, Layout}};
    ///
    /// let table = BindingTable::read("news", None, [b"red\x06\x16\x06\x16q1"], &Layout::default())?;
    /// let kind = table.router.exchange_properties(table.exchange).map(|exchange| exchange.kind());
    /// assert_eq!(kind, Some(ExchangeKind::Direct)); // no row has a stored text
    /// let error = BindingTable::read("", None, [b"red\x06\x16\x06\x16q1"], &Layout::default()).unwrap_err();
    /// assert_eq!(error.error.code(), "empty-name");
    /// # Ok::<(), keyrail_core::TopologyError>(())
    /// ```
    ///
    /// # Errors
    /// The name of the exchange is empty or too long. A bad row is no error, it goes to quarantine.
    ///
    /// # Cost
    /// Linear in the rows, but for sorting them.
    pub fn read<R: AsRef<[u8]>>(
        exchange: &str,
        kind: Option<ExchangeKind>,
        rows: impl IntoIterator<Item = R>,
        layout: &Layout,
    ) -> Result<Self, TopologyError> {
        let mut rows: Vec<R> = rows.into_iter().collect();
        sort::sort_by(&mut rows, |a, b| a.as_ref().cmp(b.as_ref()));
        let members: Vec<_> = rows.iter().map(|row| Member::parse(row.as_ref(), &layout.sep)).collect();
        let topic = || members.iter().flatten().any(|member| !member.pattern.is_empty());
        let inferred = || if topic() { ExchangeKind::Topic } else { ExchangeKind::Direct };
        let mut router = declare(exchange, kind.unwrap_or_else(inferred), members.iter().flatten())?;
        // INVARIANT: declared just now, or predeclared with its own kind.
        let id = router.exchange(exchange).unwrap_or(Router::DEFAULT_EXCHANGE);
        let kind = router.exchange_properties(id).map(|exchange| exchange.kind());

        let mut quarantine = Vec::new();
        for (row, member) in rows.iter().zip(members) {
            let bound = member.map_err(RowError::Member).and_then(|row| bind(&mut router, id, kind, &row));
            if let Err(error) = bound {
                quarantine.push(QuarantinedRow { row: row.as_ref().into(), error });
            }
        }
        Ok(BindingTable { router, exchange: id, quarantine })
    }
}

/// By way of a topology, where names that begin with `amq.` are allowed: Kombu gives them to queues without a name.
fn declare<'m>(
    exchange: &str,
    kind: ExchangeKind,
    members: impl Iterator<Item = &'m Member>,
) -> Result<Router, TopologyError> {
    let definition = ExchangeDefinition::durable(exchange, kind);
    let mut names: Vec<&str> = members.map(|member| &*member.queue).collect();
    sort::sort(&mut names);
    names.dedup();
    let queue = |name: &str| QueueDefinition {
        name: name.into(),
        durable: true,
        auto_delete: false,
        exclusive: false,
        arguments: Table::new(),
    };
    Topology {
        exchanges: if Router::is_predeclared(exchange) && !exchange.is_empty() {
            Vec::new()
        } else {
            [definition].into()
        },
        queues: names.into_iter().filter(|name| name.len() <= MAX_SHORT_STRING).map(queue).collect(),
        bindings: Vec::new(),
        policies: Vec::new(),
    }
    .router()
}

/// Binds one row as Kombu's publishers would follow it.
fn bind(
    router: &mut Router,
    exchange: ExchangeId,
    kind: Option<ExchangeKind>,
    member: &Member,
) -> Result<(), RowError> {
    let mut binding = Binding::new(&member.routing_key).dialect(Dialect::Kombu57);
    if kind == Some(ExchangeKind::Topic) {
        if let Matcher::Words { dialect, .. } = member.matcher().map_err(RowError::Matcher)? {
            binding = binding.dialect(dialect);
        }
        binding = binding.pattern(&member.pattern);
    }
    let length = member.queue.len();
    let queue = router.queue(&member.queue);
    let queue = queue.ok_or(RowError::Declare(DeclareError::NameTooLong { length }))?;
    router.bind(exchange, queue, &binding).map(drop).map_err(RowError::Bind)
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use super::*;
    use crate::{Error, Message, Routes};

    fn queues(table: &BindingTable, key: &str) -> Vec<String> {
        let mut routes = Routes::new();
        let _ = table.router.route(table.exchange, &Message::new(key), &mut routes);
        routes.into_iter().filter_map(|id| table.router.queue_name(id)).map(str::to_string).collect()
    }

    fn read(kind: Option<ExchangeKind>, rows: &[&[u8]]) -> BindingTable {
        BindingTable::read("x", kind, rows, &Layout::default()).unwrap()
    }

    const STAR: &[u8] = b"a.*\x06\x16^a\\.[^\\.]+$\x06\x16new";
    const OLD_STAR: &[u8] = b"a.*\x06\x16^a\\..*?[^\\.]$\x06\x16old";

    #[test]
    fn the_stored_text_decides() {
        let table = read(None, &[STAR, OLD_STAR]);
        assert_eq!(queues(&table, "a.b"), ["old", "new"]);
        assert_eq!(queues(&table, "a.b.c"), ["old"]);
        // Whoever takes it for a direct exchange compares the keys.
        let direct = read(Some(ExchangeKind::Direct), &[STAR]);
        assert_eq!((queues(&direct, "a.b").len(), queues(&direct, "a.*").len()), (0, 1));
    }

    #[test]
    fn the_order_of_rows_does_not_matter() {
        let rows: [&[u8]; 3] = [b"k\x06\x16\x06\x16c", b"k\x06\x16\x06\x16a", b"k\x06\x16\x06\x16amq.gen-1"];
        let mut turned = rows;
        turned.reverse();
        assert_eq!(queues(&read(None, &rows), "k"), ["a", "amq.gen-1", "c"]);
        assert_eq!(queues(&read(None, &turned), "k"), ["a", "amq.gen-1", "c"]);
    }

    #[test]
    fn bad_rows_and_their_neighbours() {
        let long = [b"k\x06\x16\x06\x16".as_slice(), &[b'q'; 256]].concat();
        let table = read(
            None,
            &[STAR, b"*a\x06\x16^*a$\x06\x16q", b"a\x06\x16\xff\x06\x16q", b"", &long, b"k\x06\x16\x06\x16"],
        );
        let mut codes: Vec<&str> = table.quarantine.iter().map(|row| row.error.code()).collect();
        codes.sort_unstable();
        let expected = [
            "invalid-pattern",
            "member-empty-queue",
            "member-field-count",
            "member-not-utf8",
            "name-too-long",
        ];
        assert_eq!(codes, expected);
        assert_eq!(queues(&table, "a.b"), ["new"]);
    }

    #[test]
    fn names() {
        let read = |name: &str| BindingTable::read(name, None, [STAR], &Layout::default());
        assert_eq!(queues(&read("amq.topic").unwrap(), "a.b"), ["new"]);
        assert!(matches!(read("").unwrap_err().error, Error::Declare(_)));
        assert!(matches!(read(&"x".repeat(256)).unwrap_err().error, Error::Declare(_)));
    }
}
