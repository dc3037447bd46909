//! RabbitMQ's `definitions.json`.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use serde::Deserialize;

use crate::{
    ApplyTo, BindingDefinition, ByteString, DestinationName, Dialect, ExchangeDefinition, PolicyDefinition,
    QueueDefinition, Table, Topology, TopologyError,
    error::{DeclareError, Error},
    exchange::ALTERNATE_EXCHANGE,
};

/// What RabbitMQ exports (`rabbitmqctl export_definitions`, the management page), as far as routing goes.
///
/// Fields that do not bear on routing (users, permissions, limits …) are skipped.
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
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Definitions {
    #[serde(default)]
    exchanges: Vec<DefinedExchange>,
    #[serde(default)]
    queues: Vec<DefinedQueue>,
    #[serde(default)]
    bindings: Vec<DefinedBinding>,
    #[serde(default)]
    policies: Vec<DefinedPolicy>,
}

/// Exports of one virtual host leave the `vhost` fields out; the root one stands for them.
fn root_vhost() -> Box<str> {
    "/".into()
}

#[derive(Clone, Debug, Deserialize)]
struct DefinedExchange {
    name: Box<str>,
    #[serde(default = "root_vhost")]
    vhost: Box<str>,
    #[serde(rename = "type")]
    kind: Box<str>,
    #[serde(default)]
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    arguments: Table,
}

#[derive(Clone, Debug, Deserialize)]
struct DefinedQueue {
    name: Box<str>,
    #[serde(default = "root_vhost")]
    vhost: Box<str>,
    #[serde(default)]
    durable: bool,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default)]
    arguments: Table,
}

#[derive(Clone, Debug, Deserialize)]
struct DefinedBinding {
    source: Box<str>,
    #[serde(default = "root_vhost")]
    vhost: Box<str>,
    destination: Box<str>,
    destination_type: DestinationType,
    #[serde(default)]
    routing_key: ByteString,
    #[serde(default)]
    arguments: Table,
}

#[derive(Clone, Debug, Deserialize)]
struct DefinedPolicy {
    name: Box<str>,
    #[serde(default = "root_vhost")]
    vhost: Box<str>,
    pattern: Box<str>,
    #[serde(default, rename = "apply-to")]
    apply_to: ApplyTo,
    #[serde(default)]
    priority: i64,
    #[serde(default)]
    definition: Table,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DestinationType {
    Queue,
    Exchange,
}

/// Why definitions could not be taken over.
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
}

impl Definitions {
    /// The virtual hosts in which something is defined, sorted.
    pub fn vhosts(&self) -> Vec<&str> {
        let exchanges = self.exchanges.iter().map(|exchange| &*exchange.vhost);
        let queues = self.queues.iter().map(|queue| &*queue.vhost);
        let bindings = self.bindings.iter().map(|binding| &*binding.vhost);
        let policies = self.policies.iter().map(|policy| &*policy.vhost);
        let mut vhosts: Vec<_> = exchanges.chain(queues).chain(bindings).chain(policies).collect();
        vhosts.sort_unstable();
        vhosts.dedup();
        vhosts
    }

    /// The topology of one virtual host. Bindings of the default exchange are implicit and left out.
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
            if &*exchange.vhost == vhost {
                let exchange = exchange.definition().map_err(|error| invalid(at, error))?;
                topology.exchanges.push(exchange);
            }
        }
        let queues = self.queues.iter().filter(|queue| &*queue.vhost == vhost);
        topology.queues.extend(queues.map(DefinedQueue::definition));
        let bindings = self.bindings.iter().filter(|binding| &*binding.vhost == vhost);
        let explicit = bindings.filter(|binding| !binding.source.is_empty());
        topology.bindings.extend(explicit.map(DefinedBinding::definition));
        let policies = self.policies.iter().filter(|policy| &*policy.vhost == vhost);
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
            internal: self.internal,
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
        }
    }
}

impl core::error::Error for DefinitionsError {}

#[cfg(test)]
mod tests {
    #[cfg(feature = "regex")]
    use super::*;

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
}
