//! A topology as data: keyrail's own JSON.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ApplyTo, Binding, BindingRef, ByteString, Destination, Dialect, Exchange, ExchangeId, ExchangeKind,
    Policy, PolicyError, Queue, Router, Table,
    error::{BindError, DeclareError, Error},
    id::BindingId,
    sort,
};

/// Exchanges, queues and bindings by name, as read from and written to JSON.
///
/// ```
/// use keyrail_core::{Router, Topology};
///
/// let topology: Topology = serde_json::from_str(r#"{
///     "exchanges": [{"name": "logs", "kind": "topic"}],
///     "queues": [{"name": "errors"}],
///     "bindings": [{"source": "logs", "destination": {"queue": "errors"}, "routingKey": "*.error"}]
/// }"#)?;
/// let router = topology.router()?;
/// assert_eq!(Topology::of(&router), topology);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Topology {
    /// The exchanges; those that every router or RabbitMQ virtual host has from the start may be left out.
    pub exchanges: Vec<ExchangeDefinition>,
    /// The queues.
    pub queues: Vec<QueueDefinition>,
    /// The bindings, the implicit ones of the default exchange apart.
    pub bindings: Vec<BindingDefinition>,
    /// The policies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyDefinition>,
}

/// One exchange of a [`Topology`].
///
/// ```
/// use keyrail_core::{ExchangeDefinition, ExchangeKind};
///
/// let json = r#"{"name": "orders", "kind": "topic", "alternateExchange": "lost"}"#;
/// let orders: ExchangeDefinition = serde_json::from_str(json)?;
/// assert_eq!((orders.kind, orders.alternate_exchange.as_deref()), (ExchangeKind::Topic, Some("lost")));
/// assert!(!orders.durable && orders.arguments.is_empty()); // what may be left out
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExchangeDefinition {
    /// Its name, at most 255 bytes.
    pub name: Box<str>,
    /// How it chooses among its bindings.
    pub kind: ExchangeKind,
    /// Whether it is meant to survive a restart.
    #[serde(default, skip_serializing_if = "is_false")]
    pub durable: bool,
    /// Whether it goes with its last binding.
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto_delete: bool,
    /// Whether clients may not publish to it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub internal: bool,
    /// The exchange that is asked when no binding matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate_exchange: Option<Box<str>>,
    /// Its other arguments.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub arguments: Table,
}

/// One queue of a [`Topology`].
///
/// ```
/// use keyrail_core::{QueueDefinition, Topology, Value};
///
/// let json = r#"{"name": "mail", "durable": true, "arguments": {"x-max-length": 1000}}"#;
/// let mail: QueueDefinition = serde_json::from_str(json)?;
/// let router = Topology { queues: vec![mail], ..Topology::default() }.router()?;
/// let mail = router.queue_properties(router.queue("mail").unwrap()).unwrap();
/// assert!(mail.is_durable() && !mail.is_exclusive());
/// assert_eq!(mail.argument_table().get("x-max-length"), Some(&Value::I64(1000)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueDefinition {
    /// Its name, at most 255 bytes.
    pub name: Box<str>,
    /// Whether it is meant to survive a restart.
    #[serde(default, skip_serializing_if = "is_false")]
    pub durable: bool,
    /// Whether a broker deletes it with its last consumer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto_delete: bool,
    /// Whether only one connection may use it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exclusive: bool,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub arguments: Table,
}

/// One binding of a [`Topology`].
///
/// ```
/// use keyrail_core::{BindingDefinition, Dialect, DestinationName};
///
/// let json = r##"{"source":"orders","destination":{"queue":"audit"},"routingKey":"order.#"}"##;
/// let binding: BindingDefinition = serde_json::from_str(json)?;
/// assert_eq!(binding.destination, DestinationName::Queue("audit".into()));
/// assert_eq!(binding.dialect, Dialect::Amqp); // unless it is said
/// assert_eq!(binding.to_string(), "binding `order.#` of `orders` to queue `audit`");
/// assert_eq!(serde_json::to_string(&binding)?, json);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BindingDefinition {
    /// The exchange that asks it.
    pub source: Box<str>,
    /// Where it leads.
    pub destination: DestinationName,
    /// The binding key.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub routing_key: ByteString,
    /// The arguments: what a headers exchange compares.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub arguments: Table,
    /// How `*` and `#` are read.
    #[serde(default, skip_serializing_if = "is_amqp")]
    pub dialect: Dialect,
    /// The regular expression that Kombu stored with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Box<str>>,
}

/// One policy of a [`Topology`]; see [`Policy`].
///
/// ```
/// use keyrail_core::{ApplyTo, PolicyDefinition, Topology};
///
/// let json = r#"{"name": "lost", "pattern": "^shop", "definition": {"alternate-exchange": "unrouted"}}"#;
/// let lost: PolicyDefinition = serde_json::from_str(json)?;
/// assert_eq!((lost.apply_to, lost.priority), (ApplyTo::All, 0)); // unless it is said
/// # #[cfg(feature = "regex")] {
/// let router = Topology { policies: vec![lost.clone()], ..Topology::default() }.router()?;
/// assert_eq!(Topology::of(&router).policies, [lost]);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyDefinition {
    /// Its name.
    pub name: Box<str>,
    /// The regular expression that finds names.
    pub pattern: Box<str>,
    /// What it applies to.
    #[serde(default, skip_serializing_if = "applies_to_all")]
    pub apply_to: ApplyTo,
    /// The highest one applies.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// What it sets; routing asks for `alternate-exchange`.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub definition: Table,
}

/// The end of a binding by name: `{"queue": "audit"}` or `{"exchange": "audit"}`.
///
/// ```
/// use keyrail_core::DestinationName;
///
/// let audit: DestinationName = serde_json::from_str(r#"{"exchange": "audit"}"#)?;
/// assert_eq!(audit, DestinationName::Exchange("audit".into()));
/// assert_eq!((audit.kind(), audit.name()), ("exchange", "audit"));
/// assert_eq!(audit.to_string(), "exchange audit");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DestinationName {
    /// A queue.
    Queue(Box<str>),
    /// An exchange.
    Exchange(Box<str>),
}

/// Why a [`Topology`] could not be built, and where in it the culprit stands.
///
/// ```
/// use keyrail_core::Topology;
///
/// let topology: Topology = serde_json::from_str(r#"{
///     "queues": [{"name": "audit"}],
///     "bindings": [{"source": "orders", "destination": {"queue": "audit"}}]
/// }"#)?;
/// let error = topology.router().unwrap_err();
/// assert_eq!(error.to_string(), "bindings[0]: there is no exchange `orders`");
/// assert_eq!((error.path.as_str(), error.error.code()), ("bindings[0]", "exchange-not-found"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyError {
    /// The place in the document, `bindings[3]` for instance.
    pub path: String,
    /// What is wrong there.
    pub error: Error,
}

impl Topology {
    /// Everything that `router` holds, the predeclared exchanges apart.
    ///
    /// ```
    /// use keyrail_core::{Queue, Router, Topology};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// router.declare_queue("mail", Queue::new().durable(true))?;
    /// let topology = Topology::of(&router);
    /// assert!(topology.exchanges.is_empty());
    /// assert_eq!(serde_json::to_string(&topology.queues)?, r#"[{"name":"mail","durable":true}]"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Cost
    /// Everything is copied; the bindings of consistent-hash exchanges are also sorted.
    pub fn of(router: &Router) -> Self {
        let exchanges = router.exchanges().filter(|(_, name, _)| !Router::is_predeclared(name));
        Topology {
            exchanges: exchanges.map(|(_, name, exchange)| ExchangeDefinition::of(name, exchange)).collect(),
            queues: router.queues().map(|(_, name, queue)| QueueDefinition::of(name, queue)).collect(),
            bindings: in_order(router).map(|binding| BindingDefinition::of(router, &binding)).collect(),
            policies: router.policies().map(|(name, policy)| PolicyDefinition::of(name, policy)).collect(),
        }
    }

    /// Builds a router, RabbitMQ's predeclared exchanges included.
    ///
    /// ```
    /// use keyrail_core::{Message, Outcome, Routes, Topology};
    ///
    /// let topology = Topology::from_lines("orders topic: order.# -> audit")?;
    /// let router = topology.router()?;
    /// let mut routes = Routes::new();
    /// let orders = router.exchange("orders").unwrap();
    /// assert_eq!(router.route(orders, &Message::new("order.eu"), &mut routes), Outcome::Routed);
    /// assert!(router.exchange("amq.topic").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first thing that cannot be declared, with its place; names that begin with `amq.` are allowed here.
    /// # Cost
    /// Everything is declared and bound one by one; a [snapshot](Router::snapshot) of the router is loaded faster.
    pub fn router(&self) -> Result<Router, TopologyError> {
        self.router_without(|_, error| Err(error))
    }

    /// Builds a router; a binding that cannot be bound is left out if `refused` says so.
    pub(crate) fn router_without(
        &self,
        mut refused: impl FnMut(usize, BindError) -> Result<(), BindError>,
    ) -> Result<Router, TopologyError> {
        let mut router = Router::with_predeclared_exchanges();
        for (at, exchange) in self.exchanges.iter().enumerate() {
            exchange.declare(&mut router).map_err(|error| place("exchanges", at, error))?;
        }
        for (at, queue) in self.queues.iter().enumerate() {
            queue.declare(&mut router).map_err(|error| place("queues", at, error))?;
        }
        for (at, binding) in self.bindings.iter().enumerate() {
            if let Err(error) = binding.bind(&mut router) {
                refused(at, error).map_err(|error| place("bindings", at, error))?;
            }
        }
        for (at, policy) in self.policies.iter().enumerate() {
            policy.set(&mut router).map_err(|error| place("policies", at, error))?;
        }
        Ok(router)
    }
}

/// Every binding, those of a consistent-hash exchange in the order of its buckets: so they are dealt out alike when they
/// are bound again. (Where a destination has bindings and lost its buckets it gets new ones then, as when RabbitMQ
/// imports its own export.)
fn in_order(router: &Router) -> impl Iterator<Item = BindingRef<'_>> {
    let sorted: Vec<BindingId> = router.binding_ids().collect();
    let mut ids = sorted.clone();
    let hashing = router.exchanges().filter(|(.., exchange)| exchange.kind() == ExchangeKind::ConsistentHash);
    for (exchange, ..) in hashing {
        let bound: Vec<BindingId> = router.binding_ids_from(exchange).collect();
        let mut order: Vec<_> = router.ring(exchange).collect();
        let mut owners = order.clone();
        sort::sort(&mut owners);
        order.extend(bound.iter().filter(|id| owners.binary_search(id).is_err()));
        // Of the places that the exchange's bindings have among all, each gets the next in order.
        for (place, id) in bound.iter().zip(order) {
            if let Ok(at) = sorted.binary_search(place) {
                ids[at] = id;
            }
        }
    }
    ids.into_iter().filter_map(|id| router.binding(id))
}

fn place(list: &str, at: usize, error: impl Into<Error>) -> TopologyError {
    TopologyError { path: alloc::format!("{list}[{at}]"), error: error.into() }
}

impl ExchangeDefinition {
    /// A durable exchange without an alternate exchange or arguments.
    ///
    /// ```
    /// use keyrail_core::{ExchangeDefinition, ExchangeKind};
    ///
    /// let orders = ExchangeDefinition::durable("orders", ExchangeKind::Topic);
    /// assert!(orders.durable && !orders.internal && orders.alternate_exchange.is_none());
    /// ```
    pub fn durable(name: &str, kind: ExchangeKind) -> Self {
        ExchangeDefinition {
            name: name.into(),
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            alternate_exchange: None,
            arguments: Table::new(),
        }
    }

    pub(crate) fn of(name: &str, exchange: &Exchange) -> Self {
        let arguments = exchange.argument_table().iter();
        let others = arguments.filter(|(name, _)| *name != crate::exchange::ALTERNATE_EXCHANGE.as_bytes());
        ExchangeDefinition {
            name: name.into(),
            kind: exchange.kind(),
            durable: exchange.is_durable(),
            auto_delete: exchange.is_auto_delete(),
            internal: exchange.is_internal(),
            alternate_exchange: exchange.alternate_exchange().map(Into::into),
            arguments: others.map(|(name, value)| (name, value.clone())).collect(),
        }
    }

    fn declare(&self, router: &mut Router) -> Result<ExchangeId, DeclareError> {
        let exchange = Exchange::new(self.kind)
            .durable(self.durable)
            .auto_delete(self.auto_delete)
            .internal(self.internal)
            .arguments(self.arguments.clone())?;
        let exchange = match &self.alternate_exchange {
            Some(alternate) => exchange.alternate(alternate),
            None => exchange,
        };
        router.import_exchange(&self.name, exchange)
    }
}

impl QueueDefinition {
    pub(crate) fn of(name: &str, queue: &Queue) -> Self {
        QueueDefinition {
            name: name.into(),
            durable: queue.is_durable(),
            auto_delete: queue.is_auto_delete(),
            exclusive: queue.is_exclusive(),
            arguments: queue.argument_table().clone(),
        }
    }

    fn declare(&self, router: &mut Router) -> Result<crate::QueueId, DeclareError> {
        let queue = Queue::new()
            .durable(self.durable)
            .auto_delete(self.auto_delete)
            .exclusive(self.exclusive)
            .arguments(self.arguments.clone());
        router.import_queue(&self.name, queue)
    }
}

impl BindingDefinition {
    /// Whether both lead from one exchange to one destination by the same key and the same arguments, in whatever order,
    /// however each of them is read: neither the dialect nor a pattern counts.
    ///
    /// ```
    /// use keyrail_core::{BindingDefinition, Dialect, Topology};
    ///
    /// let topology = Topology::from_lines("orders topic: order.*.paid -> billing").unwrap();
    /// let amqp = &topology.bindings[0];
    /// let kombus = BindingDefinition { dialect: Dialect::Kombu57, ..amqp.clone() };
    /// assert!(amqp != &kombus && amqp.is_same_but_for_dialect(&kombus));
    /// ```
    pub fn is_same_but_for_dialect(&self, other: &BindingDefinition) -> bool {
        self.source == other.source
            && self.destination == other.destination
            && self.routing_key == other.routing_key
            && self.arguments.identity() == other.arguments.identity()
    }

    /// A binding of `router`, by names.
    ///
    /// ```
    /// use keyrail_core::{BindingDefinition, Topology};
    ///
    /// let topology = Topology::from_lines("orders topic: order.# -> audit")?;
    /// let router = topology.router()?;
    /// let definitions = router.bindings().map(|binding| BindingDefinition::of(&router, &binding));
    /// assert!(definitions.eq(topology.bindings));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(router: &Router, binding: &BindingRef<'_>) -> Self {
        BindingDefinition {
            source: router.exchange_name(binding.source).unwrap_or_default().into(),
            destination: DestinationName::of(router, binding.destination),
            routing_key: binding.key.into(),
            arguments: binding.arguments.clone(),
            dialect: binding.dialect,
            pattern: binding.pattern.map(Into::into),
        }
    }

    /// The implicit binding of the default exchange: queue and key are one name.
    pub(crate) fn implicit(router: &Router, destination: Destination) -> Self {
        let destination = DestinationName::of(router, destination);
        BindingDefinition {
            source: "".into(),
            routing_key: ByteString::from(destination.name()),
            destination,
            arguments: Table::new(),
            dialect: Dialect::Amqp,
            pattern: None,
        }
    }

    /// The binding without its ends.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let topology = Topology::from_lines("orders topic: order.# -> audit")?;
    /// let mut router = topology.router()?;
    /// let (orders, mail) = (router.exchange("orders").unwrap(), router.declare_queue("mail", Default::default())?);
    /// router.bind(orders, mail, &topology.bindings[0].binding())?; // the same for another queue
    /// assert_eq!(router.bindings_to(mail).next().unwrap().key, b"order.#");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn binding(&self) -> Binding<'_> {
        let mut binding = Binding::new(&self.routing_key).dialect(self.dialect);
        if !self.arguments.is_empty() {
            binding = binding.arguments(&self.arguments);
        }
        match &self.pattern {
            Some(pattern) => binding.pattern(pattern),
            None => binding,
        }
    }

    fn bind(&self, router: &mut Router) -> Result<bool, BindError> {
        let (source, destination) = self.ends(router)?;
        router.bind(source, destination, &self.binding())
    }

    pub(crate) fn ends(&self, router: &Router) -> Result<(ExchangeId, Destination), BindError> {
        let destination = self.destination.find(router)?;
        let source = router.exchange(&self.source);
        let source = source.ok_or_else(|| BindError::ExchangeNotFound { name: self.source.clone() })?;
        Ok((source, destination))
    }
}

impl PolicyDefinition {
    /// A policy as data.
    ///
    /// ```
    /// use keyrail_core::{Policy, PolicyDefinition};
    ///
    /// # #[cfg(feature = "regex")] {
    /// let policy = PolicyDefinition::of("lost", &Policy::new("^shop")?.priority(2));
    /// assert_eq!(serde_json::to_string(&policy)?, r#"{"name":"lost","pattern":"^shop","priority":2}"#);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(name: &str, policy: &Policy) -> Self {
        PolicyDefinition {
            name: name.into(),
            pattern: policy.pattern().into(),
            apply_to: policy.applies_to(),
            priority: policy.priority_number(),
            definition: policy.definition_table().clone(),
        }
    }

    pub(crate) fn set(&self, router: &mut Router) -> Result<(), PolicyError> {
        let policy = Policy::new(&self.pattern)?.apply_to(self.apply_to).priority(self.priority);
        router.set_policy(&self.name, policy.definition(self.definition.clone())?);
        Ok(())
    }
}

impl DestinationName {
    /// The name of a destination of `router`; empty if there is no such queue or exchange.
    ///
    /// ```
    /// use keyrail_core::{DestinationName, QueueId, Topology};
    ///
    /// let router = Topology::from_lines("orders topic: order.# -> audit")?.router()?;
    /// let binding = router.bindings().next().unwrap();
    /// let audit = DestinationName::of(&router, binding.destination);
    /// assert_eq!(audit, DestinationName::Queue("audit".into()));
    /// assert_eq!(DestinationName::of(&router, QueueId::from_index(99).into()).name(), "");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(router: &Router, destination: Destination) -> Self {
        match destination {
            Destination::Queue(id) => {
                DestinationName::Queue(router.queue_name(id).unwrap_or_default().into())
            }
            Destination::Exchange(id) => {
                DestinationName::Exchange(router.exchange_name(id).unwrap_or_default().into())
            }
        }
    }

    /// The queue or exchange of this name.
    ///
    /// ```
    /// use keyrail_core::{DestinationName, Topology};
    ///
    /// let router = Topology::from_lines("orders topic: order.# -> audit")?.router()?;
    /// let find = |queue: &str| DestinationName::Queue(queue.into()).find(&router);
    /// assert_eq!(find("audit"), Ok(router.queue("audit").unwrap().into()));
    /// assert_eq!(find("orders").unwrap_err().to_string(), "there is no queue `orders`");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BindError::QueueNotFound`] or [`BindError::ExchangeNotFound`].
    pub fn find(&self, router: &Router) -> Result<Destination, BindError> {
        match self {
            DestinationName::Queue(name) => match router.queue(name) {
                Some(queue) => Ok(queue.into()),
                None => Err(BindError::QueueNotFound { name: name.clone() }),
            },
            DestinationName::Exchange(name) => match router.exchange(name) {
                Some(exchange) => Ok(exchange.into()),
                None => Err(BindError::ExchangeNotFound { name: name.clone() }),
            },
        }
    }

    /// `queue` or `exchange`.
    pub const fn kind(&self) -> &'static str {
        match self {
            DestinationName::Queue(_) => "queue",
            DestinationName::Exchange(_) => "exchange",
        }
    }

    /// The name.
    pub const fn name(&self) -> &str {
        match self {
            DestinationName::Queue(name) | DestinationName::Exchange(name) => name,
        }
    }
}

/// `queue q` or `exchange x`.
impl fmt::Display for DestinationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// ``binding `order.#` of `events` to queue `audit` ``.
impl fmt::Display for BindingDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("binding ")?;
        if !self.routing_key.is_empty() {
            write!(f, "`{}` ", self.routing_key)?;
        }
        write!(f, "of `{}` to {} `{}`", self.source, self.destination.kind(), self.destination.name())
    }
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.error)
    }
}

impl core::error::Error for TopologyError {}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_amqp(dialect: &Dialect) -> bool {
    *dialect == Dialect::Amqp
}

fn applies_to_all(apply_to: &ApplyTo) -> bool {
    *apply_to == ApplyTo::All
}

fn is_zero(priority: &i64) -> bool {
    *priority == 0
}

fn is_empty(key: &ByteString) -> bool {
    key.is_empty()
}
