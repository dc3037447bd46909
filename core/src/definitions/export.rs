//! From a topology to RabbitMQ's definitions.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

use super::{
    DefinedBinding, DefinedExchange, DefinedPolicy, DefinedQueue, Definitions, DefinitionsError,
    DestinationType, Others, name_of, plain,
};
use crate::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, PolicyDefinition, QueueDefinition,
    Table, Topology, exchange::ALTERNATE_EXCHANGE, kombu::Json,
};

impl Definitions {
    /// Definitions of one virtual host, as RabbitMQ imports them (`rabbitmqctl import_definitions`, the management page).
    ///
    /// Arguments become plain JSON, as in RabbitMQ's own exports: a number keeps its value and not its AMQP type.
    ///
    /// ```
    /// use keyrail_core::{Definitions, Dialect, Topology};
    ///
    /// let topology = Topology::from_lines("orders topic durable: order.# -> audit")?;
    /// let definitions = Definitions::of("shop", &topology)?;
    /// assert_eq!(definitions.vhosts(), ["shop"]);
    /// assert_eq!(definitions.topology("shop")?, topology);
    /// let (kombus, _) = topology.in_dialect(Dialect::Kombu57);
    /// assert_eq!(Definitions::of("shop", &kombus).unwrap_err().code(), "not-expressible");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DefinitionsError::NotExpressible`]: a binding of a Kombu dialect, a table that plain JSON cannot hold, an
    /// exclusive queue.
    /// # Source
    /// `tests/vectors/definitions`: what RabbitMQ 3.10.8 exports after importing these.
    pub fn of(vhost: &str, topology: &Topology) -> Result<Self, DefinitionsError> {
        let mut definitions = Definitions::default();
        let vhosts = Json::Array(Vec::from([Json::from_iter([("name", Json::from(vhost))])]));
        definitions.others.insert("vhosts".into(), vhosts);
        definitions.set_topology(vhost, topology)?;
        Ok(definitions)
    }

    /// Replaces one virtual host. What stays by name (a binding by all that it is) keeps the fields that routing does not
    /// ask for; other virtual hosts, users, permissions and the like stay as they are.
    ///
    /// ```
    /// use keyrail_core::{Definitions, Topology};
    ///
    /// let json = r#"{"users": [{"name": "guest"}], "queues": [{"name": "log", "vhost": "ops"}]}"#;
    /// let mut definitions: Definitions = serde_json::from_str(json)?;
    /// definitions.set_topology("shop", &Topology::from_lines("queue mail")?)?;
    /// assert_eq!(definitions.vhosts(), ["ops", "shop"]);
    /// let json = serde_json::to_value(&definitions)?;
    /// assert_eq!(json["users"][0]["name"], "guest");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DefinitionsError::NotExpressible`]; nothing has changed then.
    pub fn set_topology(&mut self, vhost: &str, topology: &Topology) -> Result<(), DefinitionsError> {
        check(topology)?;
        // An export of one virtual host leaves its name out everywhere.
        let named = self.vhost_fields().any(|vhost| vhost.is_some());
        let vhost_field = || (named || self.is_empty()).then(|| vhost.into());

        let here = |it: &Option<Box<str>>| name_of(it) == vhost;
        let (mut exchanges, mut beside) = split(
            &self.exchanges,
            |it| here(&it.vhost),
            |it| (it.name.clone(), (it.others.clone(), it.internal)),
        );
        for exchange in &topology.exchanges {
            let (others, internal) = beside.remove(&exchange.name).unwrap_or((Others::new(), Some(false)));
            let mut defined = defined_exchange(exchange, vhost_field(), others);
            if internal.unwrap_or_default() == exchange.internal {
                defined.internal = internal;
            }
            exchanges.push(defined);
        }
        let (mut queues, mut beside) =
            split(&self.queues, |it| here(&it.vhost), |it| (it.name.clone(), it.others.clone()));
        for queue in &topology.queues {
            let others = beside.remove(&queue.name).unwrap_or_default();
            queues.push(defined_queue(queue, vhost_field(), others));
        }
        let (mut policies, mut beside) =
            split(&self.policies, |it| here(&it.vhost), |it| (it.name.clone(), it.others.clone()));
        for policy in &topology.policies {
            let others = beside.remove(&policy.name).unwrap_or_default();
            policies.push(defined_policy(policy, vhost_field(), others));
        }
        let (mut bindings, mut beside) =
            split(&self.bindings, |it| here(&it.vhost), |it| (identity(&it.definition()), it.others.clone()));
        for binding in &topology.bindings {
            let others = beside.remove(&identity(binding)).unwrap_or_default();
            bindings.push(defined_binding(binding, vhost_field(), others));
        }
        (self.exchanges, self.queues, self.policies, self.bindings) = (exchanges, queues, policies, bindings);
        Ok(())
    }

    fn vhost_fields(&self) -> impl Iterator<Item = &Option<Box<str>>> {
        let exchanges = self.exchanges.iter().map(|it| &it.vhost);
        let queues = self.queues.iter().map(|it| &it.vhost);
        let policies = self.policies.iter().map(|it| &it.vhost);
        exchanges.chain(queues).chain(policies).chain(self.bindings.iter().map(|it| &it.vhost))
    }

    fn is_empty(&self) -> bool {
        self.vhost_fields().next().is_none()
    }
}

/// Those of other virtual hosts, and what the ones of this have beside what routing asks for.
fn split<T: Clone, K: Ord, V>(
    all: &[T],
    of_here: impl Fn(&T) -> bool,
    beside: impl Fn(&T) -> (K, V),
) -> (Vec<T>, BTreeMap<K, V>) {
    let here = all.iter().filter(|it| of_here(it)).map(beside).collect();
    (all.iter().filter(|it| !of_here(it)).cloned().collect(), here)
}

type Identity = (Box<str>, DestinationName, Vec<u8>, Vec<u8>);

fn identity(binding: &BindingDefinition) -> Identity {
    let BindingDefinition { source, destination, routing_key, arguments, .. } = binding;
    (source.clone(), destination.clone(), routing_key.to_vec(), arguments.identity())
}

fn check(topology: &Topology) -> Result<(), DefinitionsError> {
    let refused = |list: &str, at: usize, reason: Box<str>| DefinitionsError::NotExpressible {
        path: alloc::format!("{list}[{at}]").into(),
        reason,
    };
    for (at, exchange) in topology.exchanges.iter().enumerate() {
        plain::check(&exchange.arguments).map_err(|reason| refused("exchanges", at, reason))?;
    }
    for (at, queue) in topology.queues.iter().enumerate() {
        plain::check(&queue.arguments).map_err(|reason| refused("queues", at, reason))?;
        if queue.exclusive {
            return Err(refused(
                "queues",
                at,
                "an exclusive queue belongs to a connection, not to a file".into(),
            ));
        }
    }
    for (at, binding) in topology.bindings.iter().enumerate() {
        if binding.dialect != Dialect::Amqp || binding.pattern.is_some() {
            let reason = "RabbitMQ knows no dialect of Kombu, and no stored pattern".into();
            return Err(refused("bindings", at, reason));
        }
        if binding.routing_key.as_str().is_none() {
            return Err(refused("bindings", at, "the binding key is not UTF-8".into()));
        }
        plain::check(&binding.arguments).map_err(|reason| refused("bindings", at, reason))?;
    }
    for (at, policy) in topology.policies.iter().enumerate() {
        plain::check(&policy.definition).map_err(|reason| refused("policies", at, reason))?;
    }
    Ok(())
}

fn defined_exchange(
    exchange: &ExchangeDefinition,
    vhost: Option<Box<str>>,
    others: Others,
) -> DefinedExchange {
    let mut arguments = Table::new();
    if let Some(alternate) = &exchange.alternate_exchange {
        arguments.push(ALTERNATE_EXCHANGE, &**alternate);
    }
    for (name, value) in exchange.arguments.iter() {
        arguments.push(name, value.clone());
    }
    DefinedExchange {
        name: exchange.name.clone(),
        vhost,
        kind: exchange.kind.as_str().into(),
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: Some(exchange.internal),
        arguments,
        others,
    }
}

fn defined_queue(queue: &QueueDefinition, vhost: Option<Box<str>>, others: Others) -> DefinedQueue {
    DefinedQueue {
        name: queue.name.clone(),
        vhost,
        durable: queue.durable,
        auto_delete: queue.auto_delete,
        arguments: queue.arguments.clone(),
        others,
    }
}

fn defined_binding(binding: &BindingDefinition, vhost: Option<Box<str>>, others: Others) -> DefinedBinding {
    let (destination_type, destination) = match &binding.destination {
        DestinationName::Queue(name) => (DestinationType::Queue, name.clone()),
        DestinationName::Exchange(name) => (DestinationType::Exchange, name.clone()),
    };
    DefinedBinding {
        source: binding.source.clone(),
        vhost,
        destination,
        destination_type,
        routing_key: binding.routing_key.clone(),
        arguments: binding.arguments.clone(),
        others,
    }
}

fn defined_policy(policy: &PolicyDefinition, vhost: Option<Box<str>>, others: Others) -> DefinedPolicy {
    DefinedPolicy {
        name: policy.name.clone(),
        vhost,
        pattern: policy.pattern.clone(),
        apply_to: policy.apply_to,
        priority: policy.priority,
        definition: policy.definition.clone(),
        others,
    }
}
