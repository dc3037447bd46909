//! A dump of the binding tables that Kombu keeps in Redis: the key of each set, and its members.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Layout, Matcher, Member};
use crate::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, QueueDefinition, Router,
    Table, Topology,
};

/// Every set of bindings by its key in Redis, as `SMEMBERS` answers: a JSON object of lists of texts.
///
/// ```
/// use keyrail_core::{Dialect, kombu::{BindingSets, Layout}};
///
/// let json = r#"{"_kombu.binding.orders": ["order.#\u0006\u0016^order\\..*?$\u0006\u0016billing"]}"#;
/// let sets: BindingSets = serde_json::from_str(json)?;
/// let topology = sets.topology(&Layout::default(), &Default::default())?;
/// assert_eq!(&*topology.bindings[0].routing_key, b"order.#");
/// assert_eq!(BindingSets::of(&topology, &Layout::default(), Dialect::Kombu57)?, sets);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BindingSets(pub BTreeMap<Box<str>, BTreeSet<Box<str>>>);

/// Why a dump and a topology do not go together. Nothing is taken over then.
///
/// ```
/// use keyrail_core::{Dialect, Topology, kombu::{BindingSets, Layout}};
///
/// let topology = Topology::from_lines("orders topic else lost: order.# -> audit")?;
/// let error = BindingSets::of(&topology, &Layout::default(), Dialect::Kombu57).unwrap_err();
/// assert_eq!(error.to_string(), "exchanges[0]: Kombu's sets know no alternate exchange");
/// assert_eq!((&*error.path, error.code()), ("exchanges[0]", "invalid-binding-sets"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingSetsError {
    /// The place: a key and a member of the dump, or `bindings[3]` of the topology.
    pub path: Box<str>,
    /// What is wrong there.
    pub reason: Box<str>,
}

impl BindingSets {
    /// The topology that Kombu's publishers see in these sets.
    ///
    /// A dump does not say what kind an exchange has. It is what `kinds` says of it, or else topic if a member has a
    /// pattern, and direct if none has.
    ///
    /// ```
    /// use keyrail_core::{ExchangeKind, kombu::{BindingSets, Layout}};
    ///
    /// let sets: BindingSets = serde_json::from_str(r#"{"_kombu.binding.news": ["\u0006\u0016\u0006\u0016reader"]}"#)?;
    /// let kinds = [("news".into(), ExchangeKind::Fanout)].into();
    /// let topology = sets.topology(&Layout::default(), &kinds)?;
    /// assert_eq!(topology.exchanges[0].kind, ExchangeKind::Fanout); // not a direct one
    /// assert_eq!(topology.bindings[0].destination.name(), "reader");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A key that is no binding set, a member that Kombu did not write, a pattern that cannot be executed.
    pub fn topology(
        &self,
        layout: &Layout,
        kinds: &BTreeMap<Box<str>, ExchangeKind>,
    ) -> Result<Topology, BindingSetsError> {
        let mut topology = Topology::default();
        let mut queues = BTreeSet::new();
        let prefix = layout.binding_table("");
        for (key, members) in &self.0 {
            let wrong = |reason: String| error(shown(key), reason);
            let exchange = key.strip_prefix(&*prefix);
            let exchange = exchange.ok_or_else(|| {
                wrong(alloc::format!("no key of a binding set, they begin with `{prefix}`"))
            })?;
            let rows = members.iter().map(|row| {
                let member = Member::parse(row.as_bytes(), &layout.sep);
                member.map_err(|problem| {
                    error(alloc::format!("{}: {}", shown(key), shown(row)), problem.to_string())
                })
            });
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            let topic = rows.iter().any(|row| !row.pattern.is_empty());
            let inferred = if topic { ExchangeKind::Topic } else { ExchangeKind::Direct };
            let kind = kinds.get(exchange).copied().unwrap_or(inferred);
            if !Router::is_predeclared(exchange) {
                topology.exchanges.push(ExchangeDefinition::durable(exchange, kind));
            }
            for row in rows {
                if queues.insert(row.queue.clone()) {
                    topology.queues.push(queue(&row.queue));
                }
                topology.bindings.push(binding(exchange, kind, &row).map_err(|reason| {
                    error(alloc::format!("{}: queue `{}`", shown(key), row.queue), reason)
                })?);
            }
        }
        Ok(topology)
    }

    /// The sets that hold these bindings. Bindings of the dialect `amqp` are written in `dialect`.
    ///
    /// ```
    /// use keyrail_core::{Dialect, Topology, kombu::{BindingSets, Layout}};
    ///
    /// let topology = Topology::from_lines("stock topic: usd.* -> prices")?;
    /// let sets = BindingSets::of(&topology, &Layout::default(), Dialect::Kombu57)?;
    /// let member = sets.0["_kombu.binding.stock"].first().unwrap();
    /// assert_eq!(&**member, "usd.*\x06\x16^usd\\.[^\\.]+$\x06\x16prices");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What Kombu's sets cannot say: bindings between exchanges, alternate exchanges, policies, kinds but direct, topic
    /// and fanout, keys that the dialect cannot write.
    pub fn of(topology: &Topology, layout: &Layout, dialect: Dialect) -> Result<Self, BindingSetsError> {
        let mut sets = BindingSets::default();
        let mut kinds: BTreeMap<&str, ExchangeKind> = BTreeMap::new();
        let router = Router::with_predeclared_exchanges();
        kinds.extend(router.exchanges().map(|(_, name, exchange)| (name, exchange.kind())));
        for (at, exchange) in topology.exchanges.iter().enumerate() {
            if exchange.alternate_exchange.is_some() {
                let path = alloc::format!("exchanges[{at}]");
                return Err(error(path, "Kombu's sets know no alternate exchange".into()));
            }
            kinds.insert(&exchange.name, exchange.kind);
        }
        if !topology.policies.is_empty() {
            return Err(error("policies[0]".into(), "Kombu's sets know no policies".into()));
        }
        for (at, binding) in topology.bindings.iter().enumerate() {
            let wrong = |reason: String| error(alloc::format!("bindings[{at}]"), reason);
            let kind = kinds.get(&*binding.source).copied();
            let kind =
                kind.ok_or_else(|| wrong(alloc::format!("there is no exchange `{}`", binding.source)))?;
            let member = member(binding, kind, dialect).map_err(wrong)?;
            let row = member.to_bytes(&layout.sep).map_err(|problem| wrong(problem.to_string()))?;
            let row = String::from_utf8(row).map_err(|_| wrong("the row is not UTF-8".into()))?;
            let key = layout.binding_table(&binding.source).into_boxed_str();
            sets.0.entry(key).or_default().insert(row.into());
        }
        Ok(sets)
    }
}

fn member(binding: &BindingDefinition, kind: ExchangeKind, dialect: Dialect) -> Result<Member, String> {
    let DestinationName::Queue(queue) = &binding.destination else {
        return Err("Kombu's sets know no binding to an exchange".into());
    };
    let key = binding.routing_key.as_str().ok_or("the binding key is not UTF-8")?;
    let written = if binding.dialect == Dialect::Amqp { dialect } else { binding.dialect };
    match (kind, &binding.pattern) {
        (ExchangeKind::Direct | ExchangeKind::Fanout, _) => Ok(Member::plain(key, queue)),
        (ExchangeKind::Topic, Some(pattern)) => {
            Ok(Member { routing_key: key.into(), pattern: pattern.to_string(), queue: queue.to_string() })
        }
        (ExchangeKind::Topic, None) => {
            Member::topic(key, queue, written).map_err(|problem| problem.to_string())
        }
        (kind, _) => Err(alloc::format!("Kombu's sets know no {kind} exchange")),
    }
}

/// A row as Kombu's publishers follow it.
fn binding(exchange: &str, kind: ExchangeKind, row: &Member) -> Result<BindingDefinition, String> {
    let (dialect, pattern) = match kind {
        ExchangeKind::Topic => match row.matcher().map_err(|problem| problem.to_string())? {
            Matcher::Words { dialect, .. } => (dialect, Some(row.pattern.as_str().into())),
            _ => (Dialect::Kombu57, Some(row.pattern.as_str().into())),
        },
        // PUB/SUB, where the key is compared after all.
        ExchangeKind::Fanout => (Dialect::Kombu57, None),
        _ => (Dialect::Amqp, None),
    };
    Ok(BindingDefinition {
        source: exchange.into(),
        destination: DestinationName::Queue(row.queue.as_str().into()),
        routing_key: row.routing_key.as_str().into(),
        arguments: Table::new(),
        dialect,
        pattern,
    })
}

fn queue(name: &str) -> QueueDefinition {
    QueueDefinition {
        name: name.into(),
        durable: true,
        auto_delete: false,
        exclusive: false,
        arguments: Table::new(),
    }
}

fn error(path: String, reason: String) -> BindingSetsError {
    BindingSetsError { path: path.into(), reason: reason.into() }
}

/// A key or row in backticks, its separators visible, and not longer than a line.
fn shown(text: &str) -> String {
    let short: String = text.escape_debug().take(80).collect();
    alloc::format!("`{short}`")
}

impl BindingSetsError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        "invalid-binding-sets"
    }
}

impl fmt::Display for BindingSetsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

impl core::error::Error for BindingSetsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Topology, BindingSetsError> {
        let sets: BindingSets = serde_json::from_str(json).unwrap();
        let kinds = [("news".into(), ExchangeKind::Fanout)].into();
        sets.topology(&Layout::default(), &kinds)
    }

    #[test]
    fn a_dump_comes_out_as_it_went_in() {
        let json = r#"{
            "_kombu.binding.celery": ["celery\u0006\u0016\u0006\u0016celery"],
            "_kombu.binding.news": ["\u0006\u0016\u0006\u0016reader"],
            "_kombu.binding.stock": ["usd.*\u0006\u0016^usd\\.[^\\.]+$\u0006\u0016new",
                                     "usd.*\u0006\u0016^usd\\..*?[^\\.]$\u0006\u0016old"]}"#;
        let topology = read(json).unwrap();
        let kinds: Vec<_> = topology.exchanges.iter().map(|exchange| exchange.kind).collect();
        assert_eq!(kinds, [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic]);
        let dialects: Vec<_> = topology.bindings[2..].iter().map(|binding| binding.dialect).collect();
        assert_eq!(dialects, [Dialect::Kombu56, Dialect::Kombu57]);
        assert_eq!(topology.router().unwrap().counts().2, 4);
        let sets = BindingSets::of(&topology, &Layout::default(), Dialect::Kombu57).unwrap();
        assert_eq!(sets, serde_json::from_str(json).unwrap());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, path) in [
            (r#"{"celery": []}"#, "`celery`"),
            (r#"{"_kombu.binding.x": ["a"]}"#, "`_kombu.binding.x`: `a`"),
            (
                r#"{"_kombu.binding.x": ["a.**\u0006\u0016^a\\.**$\u0006\u0016q"]}"#,
                "`_kombu.binding.x`: queue `q`",
            ),
        ] {
            assert_eq!(&*read(json).unwrap_err().path, path, "{json}");
        }
        for (lines, path) in [
            ("h headers: {a: 1} -> q", "bindings[0]"),
            ("a topic: x -> exchange a", "bindings[0]"),
            ("a topic else b: x -> q", "exchanges[0]"),
            ("a topic: x -> q\npolicy p x {alternate-exchange: \"b\"}", "policies[0]"),
            ("a topic: x.** -> q", "bindings[0]"),
        ] {
            let topology = Topology::from_lines(lines).unwrap();
            let error = BindingSets::of(&topology, &Layout::default(), Dialect::Kombu57).unwrap_err();
            assert_eq!(&*error.path, path, "{lines}: {error}");
        }
    }
}
