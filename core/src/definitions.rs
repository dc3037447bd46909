//! RabbitMQ's `definitions.json`.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ApplyTo, BindingDefinition, ByteString, DestinationName, Dialect, ExchangeDefinition, PolicyDefinition,
    QueueDefinition, Table, Topology, TopologyError,
    error::{DeclareError, Error},
    exchange::ALTERNATE_EXCHANGE,
    kombu::Json,
};

mod export;
mod plain;

/// What RabbitMQ exports (`rabbitmqctl export_definitions`, the management page), as far as routing goes.
///
/// Fields that do not bear on routing (users, permissions, limits …) are kept and written again.
///
/// ```
/// use keyrail_core::Definitions;
///
/// let definitions: Definitions = serde_json::from_str(r#"{
///     "rabbit_version": "3.10.8",
///     "exchanges": [{"name": "logs", "vhost": "/", "type": "topic", "durable": true, "auto_delete": false,
///                    "internal": false, "arguments": {}}],
///     "queues": [{"name": "errors", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {}}],
///     "bindings": [{"source": "logs", "vhost": "/", "destination": "errors", "destination_type": "queue",
///                   "routing_key": "*.error", "arguments": {}}]
/// }"#)?;
/// let router = definitions.topology("/")?.router()?;
/// assert!(router.exchange("logs").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Definitions {
    #[serde(default)]
    exchanges: Vec<DefinedExchange>,
    #[serde(default)]
    queues: Vec<DefinedQueue>,
    #[serde(default)]
    bindings: Vec<DefinedBinding>,
    #[serde(default)]
    policies: Vec<DefinedPolicy>,
    #[serde(flatten)]
    others: Others,
}

/// What RabbitMQ writes and routing does not ask for: kept as it is.
type Others = BTreeMap<Box<str>, Json>;

/// Exports of one virtual host leave the `vhost` fields out; the root one stands for them.
fn name_of(vhost: &Option<Box<str>>) -> &str {
    vhost.as_deref().unwrap_or("/")
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct DefinedExchange {
    name: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vhost: Option<Box<str>>,
    #[serde(rename = "type")]
    kind: Box<str>,
    #[serde(default)]
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    /// RabbitMQ 3.10 leaves it out of most exports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    internal: Option<bool>,
    #[serde(default, serialize_with = "plain::serialize")]
    arguments: Table,
    #[serde(flatten)]
    others: Others,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct DefinedQueue {
    name: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vhost: Option<Box<str>>,
    #[serde(default)]
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default, serialize_with = "plain::serialize")]
    arguments: Table,
    #[serde(flatten)]
    others: Others,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct DefinedBinding {
    source: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vhost: Option<Box<str>>,
    destination: Box<str>,
    destination_type: DestinationType,
    #[serde(default)]
    routing_key: ByteString,
    #[serde(default, serialize_with = "plain::serialize")]
    arguments: Table,
    #[serde(flatten)]
    others: Others,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct DefinedPolicy {
    name: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vhost: Option<Box<str>>,
    pattern: Box<str>,
    #[serde(default, rename = "apply-to")]
    apply_to: ApplyTo,
    #[serde(default)]
    priority: i64,
    #[serde(default, serialize_with = "plain::serialize")]
    definition: Table,
    #[serde(flatten)]
    others: Others,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DestinationType {
    Queue,
    Exchange,
}

/// Why definitions could not be taken over.
///
/// ```
/// use keyrail_core::{Definitions, DefinitionsError};
///
/// let json = r#"{"queues": [{"name": "mail", "vhost": "shop"}],
///                "exchanges": [{"name": "x", "vhost": "shop", "type": "topc"}]}"#;
/// let definitions: Definitions = serde_json::from_str(json)?;
/// let error = definitions.topology("/").unwrap_err();
/// assert_eq!(error.to_string(), "nothing is defined in the virtual host `/`, expected one of `shop`");
/// let error = definitions.topology("shop").unwrap_err();
/// assert_eq!(error.code(), "unknown-exchange-kind");
/// assert!(error.to_string().starts_with("exchanges[0]: exchange type `topc` is unknown"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DefinitionsError {
    /// Nothing is defined in this virtual host, and these are the ones that have something.
    UnknownVhost {
        /// The name that was asked for.
        vhost: Box<str>,
        /// The names in the file.
        known: Vec<Box<str>>,
    },
    /// Something in it cannot be declared.
    Invalid(TopologyError),
    /// Something that the file cannot say.
    NotExpressible {
        /// The place in the topology, `bindings[3]` for instance.
        path: Box<str>,
        /// What it is, and what the file can say instead.
        reason: Box<str>,
    },
}

impl Definitions {
    /// The virtual hosts in which something is defined, sorted.
    ///
    /// ```
    /// use keyrail_core::Definitions;
    ///
    /// let json = r#"{"queues": [{"name": "mail", "vhost": "shop"}, {"name": "log", "vhost": "ops"}]}"#;
    /// let definitions: Definitions = serde_json::from_str(json)?;
    /// assert_eq!(definitions.vhosts(), ["ops", "shop"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn vhosts(&self) -> Vec<&str> {
        let exchanges = self.exchanges.iter().map(|exchange| name_of(&exchange.vhost));
        let queues = self.queues.iter().map(|queue| name_of(&queue.vhost));
        let bindings = self.bindings.iter().map(|binding| name_of(&binding.vhost));
        let policies = self.policies.iter().map(|policy| name_of(&policy.vhost));
        let mut vhosts: Vec<_> = exchanges.chain(queues).chain(bindings).chain(policies).collect();
        vhosts.sort_unstable();
        vhosts.dedup();
        vhosts
    }

    /// The topology of one virtual host. Bindings of the default exchange are implicit and left out.
    ///
    /// ```
    /// use keyrail_core::Definitions;
    ///
    /// let json = r#"{"queues": [{"name": "mail", "vhost": "shop"}, {"name": "log", "vhost": "ops"}]}"#;
    /// let definitions: Definitions = serde_json::from_str(json)?;
    /// let shop = definitions.topology("shop")?;
    /// assert_eq!(shop.to_lines(), "queue mail\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A virtual host without definitions, an exchange type that is not supported, an alternate exchange that is not
    /// text; with the place in the file.
    pub fn topology(&self, vhost: &str) -> Result<Topology, DefinitionsError> {
        let known = self.vhosts();
        if !known.is_empty() && !known.contains(&vhost) {
            let known = known.into_iter().map(Into::into).collect();
            return Err(DefinitionsError::UnknownVhost { vhost: vhost.into(), known });
        }
        let mut topology = Topology::default();
        for (at, exchange) in self.exchanges.iter().enumerate() {
            if name_of(&exchange.vhost) == vhost {
                let exchange = exchange.definition().map_err(|error| invalid(at, error))?;
                topology.exchanges.push(exchange);
            }
        }
        let queues = self.queues.iter().filter(|queue| name_of(&queue.vhost) == vhost);
        topology.queues.extend(queues.map(DefinedQueue::definition));
        let bindings = self.bindings.iter().filter(|binding| name_of(&binding.vhost) == vhost);
        let explicit = bindings.filter(|binding| !binding.source.is_empty());
        topology.bindings.extend(explicit.map(DefinedBinding::definition));
        let policies = self.policies.iter().filter(|policy| name_of(&policy.vhost) == vhost);
        topology.policies.extend(policies.map(DefinedPolicy::definition));
        Ok(topology)
    }
}

fn invalid(at: usize, error: DeclareError) -> DefinitionsError {
    let path = alloc::format!("exchanges[{at}]");
    DefinitionsError::Invalid(TopologyError { path, error: Error::Declare(error) })
}

impl DefinedExchange {
    fn definition(&self) -> Result<ExchangeDefinition, DeclareError> {
        let alternate_exchange = match self.arguments.get(ALTERNATE_EXCHANGE) {
            None => None,
            Some(value) => match value.as_str() {
                Some(name) => Some(name.into()),
                None => return Err(DeclareError::InvalidAlternate { tag: value.tag() }),
            },
        };
        let others = self.arguments.iter().filter(|(name, _)| *name != ALTERNATE_EXCHANGE.as_bytes());
        Ok(ExchangeDefinition {
            name: self.name.clone(),
            kind: self.kind.parse()?,
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal.unwrap_or_default(),
            alternate_exchange,
            arguments: others.map(|(name, value)| (name, value.clone())).collect(),
        })
    }
}

impl DefinedQueue {
    fn definition(&self) -> QueueDefinition {
        QueueDefinition {
            name: self.name.clone(),
            durable: self.durable,
            auto_delete: self.auto_delete,
            exclusive: false,
            arguments: self.arguments.clone(),
        }
    }
}

impl DefinedPolicy {
    fn definition(&self) -> PolicyDefinition {
        PolicyDefinition {
            name: self.name.clone(),
            pattern: self.pattern.clone(),
            apply_to: self.apply_to,
            priority: self.priority,
            definition: self.definition.clone(),
        }
    }
}

impl DefinedBinding {
    fn definition(&self) -> BindingDefinition {
        let destination = match self.destination_type {
            DestinationType::Queue => DestinationName::Queue(self.destination.clone()),
            DestinationType::Exchange => DestinationName::Exchange(self.destination.clone()),
        };
        BindingDefinition {
            source: self.source.clone(),
            destination,
            routing_key: self.routing_key.clone(),
            arguments: self.arguments.clone(),
            dialect: Dialect::Amqp,
            pattern: None,
        }
    }
}

impl DefinitionsError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            DefinitionsError::UnknownVhost { .. } => "unknown-vhost",
            DefinitionsError::Invalid(error) => error.error.code(),
            DefinitionsError::NotExpressible { .. } => "not-expressible",
        }
    }
}

impl fmt::Display for DefinitionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DefinitionsError::UnknownVhost { vhost, known } => {
                write!(f, "nothing is defined in the virtual host `{vhost}`, expected one of")?;
                known.iter().try_for_each(|name| write!(f, " `{name}`"))
            }
            DefinitionsError::Invalid(error) => error.fmt(f),
            DefinitionsError::NotExpressible { path, reason } => write!(f, "{path}: {reason}"),
        }
    }
}

impl core::error::Error for DefinitionsError {}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::Value;

    /// Exported by a real RabbitMQ.
    const SHOP: &str = include_str!("../../examples/shop/definitions.json");

    #[test]
    #[cfg(feature = "regex")]
    fn a_policy_routes() {
        let definitions: Definitions = serde_json::from_str(
            r#"{"exchanges": [{"name": "a", "type": "direct"}, {"name": "b", "type": "direct"}],
                "policies": [{"name": "p", "vhost": "/", "pattern": "^a", "apply-to": "exchanges", "priority": 2,
                              "definition": {"alternate-exchange": "lost"}}]}"#,
        )
        .unwrap();
        let router = definitions.topology("/").unwrap().router().unwrap();
        let alternate = |name| router.alternate_exchange(router.exchange(name).unwrap());
        assert_eq!((alternate("a"), alternate("b")), (Some("lost"), None));
    }

    #[test]
    fn an_export_comes_out_as_it_went_in() {
        let json: Json = serde_json::from_str(SHOP).unwrap();
        let mut definitions: Definitions = serde_json::from_str(SHOP).unwrap();
        assert_eq!(serde_json::to_value(&definitions).unwrap(), json);
        let vhost = alloc::string::String::from(definitions.vhosts()[0]);
        let topology = definitions.topology(&vhost).unwrap();
        definitions.set_topology(&vhost, &topology).unwrap();
        assert_eq!(serde_json::to_value(&definitions).unwrap(), json);
    }

    #[test]
    fn unknown_fields_stay_with_what_stays() {
        let text = r#"{"rabbit_version": "3.10.8", "users": [{"name": "guest", "limits": {}}],
            "exchanges": [{"name": "x", "vhost": "a", "type": "topic", "durable": true, "auto_delete": false,
                           "internal": false, "arguments": {}, "colour": [1, {"deep": null}]}],
            "queues": [{"name": "gone", "vhost": "a", "durable": true, "auto_delete": false, "arguments": {},
                        "type": "quorum"},
                       {"name": "q", "vhost": "b", "durable": true, "auto_delete": false, "arguments": {},
                        "type": "quorum"}],
            "bindings": [], "policies": []}"#;
        let mut definitions: Definitions = serde_json::from_str(text).unwrap();
        let mut topology = definitions.topology("a").unwrap();
        topology.queues.clear();
        topology.exchanges[0].alternate_exchange = Some("lost".into());
        definitions.set_topology("a", &topology).unwrap();
        let mut expected: Json = serde_json::from_str(text).unwrap();
        expected["queues"].as_array_mut().unwrap().remove(0);
        expected["exchanges"][0]["arguments"]["alternate-exchange"] = "lost".into();
        assert_eq!(serde_json::to_value(&definitions).unwrap(), expected);
    }

    #[test]
    fn what_the_file_cannot_say_is_refused_and_named() {
        let table = |value: Value| Table::from_iter([("h", value)]);
        let nested = Value::Array(alloc::vec![Value::I32(1)]);
        for (arguments, dialect, expected) in [
            (Table::new(), Dialect::Kombu57, "dialect"),
            (table(Value::Decimal { scale: 1, digits: 2 }), Dialect::Amqp, "`h` is a decimal"),
            (table(Value::LongString([0xff].into())), Dialect::Amqp, "not UTF-8"),
            (table(nested), Dialect::Amqp, "inside a list"),
            (table(Value::Void), Dialect::Amqp, "`h` is void"),
            (Table::from_iter([("h", 1), ("h", 2)]), Dialect::Amqp, "`h` is there twice"),
        ] {
            let topology = Topology {
                bindings: alloc::vec![BindingDefinition {
                    source: "amq.headers".into(),
                    destination: DestinationName::Queue("q".into()),
                    routing_key: ByteString::default(),
                    arguments,
                    dialect,
                    pattern: None,
                }],
                ..Topology::default()
            };
            let error = Definitions::of("/", &topology).unwrap_err();
            assert_eq!(error.code(), "not-expressible");
            let shown = alloc::format!("{error}");
            assert!(shown.starts_with("bindings[0]: ") && shown.contains(expected), "{shown}");
        }
    }
}
