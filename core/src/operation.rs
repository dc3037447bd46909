//! AMQP's methods on a topology, by name, with a broker's rules and answers.

use alloc::{borrow::Cow, boxed::Box};

use serde::{Deserialize, Serialize};

use crate::{
    Binding, ByteString, DestinationName, Dialect, Exchange, ExchangeKind, PolicyDefinition, Queue, Router,
    Table,
    error::{BindError, DeclareError, DeleteError, Error},
};

/// One AMQP method, or change of a policy, that changes or checks a topology.
///
/// As data it has the method's name in `op` and the method's fields, in JSON's spelling.
///
/// ```
/// use keyrail_core::{Operation, Router};
///
/// let mut router = Router::with_predeclared_exchanges();
/// for json in [
///     r#"{"op": "queue.declare", "queue": "errors"}"#,
///     r#"{"op": "queue.bind", "queue": "errors", "exchange": "amq.topic", "routingKey": "*.error"}"#,
/// ] {
///     router.apply(&serde_json::from_str(json)?)?;
/// }
/// let missing: Operation = serde_json::from_str(
///     r#"{"op": "queue.bind", "queue": "nope", "exchange": "amq.topic"}"#)?;
/// assert_eq!(router.apply(&missing).unwrap_err().reply().code, 404);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Operation {
    /// Declares an exchange; passive asks whether it exists and compares nothing.
    #[serde(rename = "exchange.declare")]
    ExchangeDeclare {
        /// The name.
        exchange: Box<str>,
        /// The exchange type by its AMQP word; `direct` if it is not said.
        #[serde(default = "direct")]
        kind: Box<str>,
        /// Only ask.
        #[serde(default)]
        passive: bool,
        /// Survives a restart.
        #[serde(default)]
        durable: bool,
        /// Goes with its last binding.
        #[serde(default)]
        auto_delete: bool,
        /// Takes no publishes.
        #[serde(default)]
        internal: bool,
        /// Arguments, `alternate-exchange` among them.
        #[serde(default)]
        arguments: Table,
    },
    /// Deletes an exchange; what does not exist is no error.
    #[serde(rename = "exchange.delete")]
    ExchangeDelete {
        /// The name.
        exchange: Box<str>,
        /// Refuse if it is the source of a binding.
        #[serde(default)]
        if_unused: bool,
    },
    /// Declares a queue; passive asks whether it exists and compares nothing.
    #[serde(rename = "queue.declare")]
    QueueDeclare {
        /// The name.
        queue: Box<str>,
        /// Only ask.
        #[serde(default)]
        passive: bool,
        /// Survives a restart.
        #[serde(default)]
        durable: bool,
        /// Goes with its last consumer.
        #[serde(default)]
        auto_delete: bool,
        /// Used by one connection.
        #[serde(default)]
        exclusive: bool,
        /// Arguments.
        #[serde(default)]
        arguments: Table,
    },
    /// Deletes a queue; what does not exist is no error. A topology has neither messages nor consumers, so `ifUnused`
    /// and `ifEmpty` hold.
    #[serde(rename = "queue.delete")]
    QueueDelete {
        /// The name.
        queue: Box<str>,
        /// Refuse if it has consumers.
        #[serde(default)]
        if_unused: bool,
        /// Refuse if it has messages.
        #[serde(default)]
        if_empty: bool,
    },
    /// Binds a queue.
    #[serde(rename = "queue.bind")]
    QueueBind(QueueBinding),
    /// Removes a binding of a queue; what does not exist is no error.
    #[serde(rename = "queue.unbind")]
    QueueUnbind(QueueBinding),
    /// Binds an exchange to an exchange.
    #[serde(rename = "exchange.bind")]
    ExchangeBind(ExchangeBinding),
    /// Removes a binding between exchanges; what does not exist is no error.
    #[serde(rename = "exchange.unbind")]
    ExchangeUnbind(ExchangeBinding),
    /// Sets a policy, or replaces the one of this name. No method of AMQP: RabbitMQ has it in its HTTP API.
    #[serde(rename = "policy.set")]
    PolicySet(PolicyDefinition),
    /// Removes a policy; what does not exist is no error.
    #[serde(rename = "policy.clear")]
    PolicyClear {
        /// The name.
        name: Box<str>,
    },
}

/// The binding of a queue to an exchange, as a method names it.
///
/// ```
/// use keyrail_core::{Operation, Queue, QueueBinding, Router};
///
/// let mut router = Router::with_predeclared_exchanges();
/// router.declare_queue("audit", Queue::new())?;
/// let binding = QueueBinding {
///     queue: "audit".into(),
///     exchange: "amq.topic".into(),
///     routing_key: "order.#".into(),
///     ..QueueBinding::default()
/// };
/// router.apply(&Operation::QueueBind(binding.clone()))?;
/// assert_eq!(router.counts().2, 1);
/// router.apply(&Operation::QueueUnbind(binding))?;
/// assert_eq!(router.counts().2, 0);
/// # Ok::<(), keyrail_core::Error>(())
/// ```
///
/// # Source
/// `queue.bind` and `queue.unbind` of AMQP 0-9-1; vectors `unbind-001` to `unbind-006`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueBinding {
    /// The queue.
    pub queue: Box<str>,
    /// The exchange.
    pub exchange: Box<str>,
    /// The binding key.
    #[serde(default)]
    pub routing_key: ByteString,
    /// Arguments.
    #[serde(default)]
    pub arguments: Table,
    /// How `*` and `#` are read.
    #[serde(default)]
    pub dialect: Dialect,
    /// The regular expression that Kombu stored.
    #[serde(default)]
    pub pattern: Option<Box<str>>,
}

/// The binding of an exchange to an exchange, as a method names it.
///
/// ```
/// use keyrail_core::{ExchangeBinding, Operation, Router};
///
/// let mut router = Router::with_predeclared_exchanges();
/// let binding = ExchangeBinding {
///     source: "amq.topic".into(),
///     destination: "amq.fanout".into(),
///     routing_key: "order.#".into(),
///     ..ExchangeBinding::default()
/// };
/// router.apply(&Operation::ExchangeBind(binding))?;
/// let fanout = router.exchange("amq.fanout").unwrap();
/// assert_eq!(router.bindings_to(fanout).next().unwrap().key, b"order.#");
/// # Ok::<(), keyrail_core::Error>(())
/// ```
///
/// # Source
/// `exchange.bind` and `exchange.unbind`, RabbitMQ's extension of AMQP 0-9-1; vectors `e2e-001` to `e2e-014`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExchangeBinding {
    /// The exchange that gets the messages.
    pub destination: Box<str>,
    /// The exchange that they come from.
    pub source: Box<str>,
    /// The binding key.
    #[serde(default)]
    pub routing_key: ByteString,
    /// Arguments.
    #[serde(default)]
    pub arguments: Table,
    /// How `*` and `#` are read.
    #[serde(default)]
    pub dialect: Dialect,
}

impl QueueBinding {
    fn destination(&self) -> DestinationName {
        DestinationName::Queue(name(&self.queue).into())
    }

    fn binding(&self) -> Binding<'_> {
        let binding = Binding::new(&self.routing_key).arguments(&self.arguments).dialect(self.dialect);
        match &self.pattern {
            Some(pattern) => binding.pattern(pattern),
            None => binding,
        }
    }
}

impl ExchangeBinding {
    fn destination(&self) -> DestinationName {
        DestinationName::Exchange(name(&self.destination).into())
    }

    fn binding(&self) -> Binding<'_> {
        Binding::new(&self.routing_key).arguments(&self.arguments).dialect(self.dialect)
    }
}

fn direct() -> Box<str> {
    ExchangeKind::Direct.as_str().into()
}

impl Router {
    /// Does what a broker does on this method, in its order of checks; on an error nothing has changed.
    ///
    /// Carriage returns and line feeds are removed from names, as RabbitMQ does everywhere but in a publish
    /// (vector `errors-011`).
    ///
    /// ```
    /// use keyrail_core::{Operation, QueueBinding, Queue, Router};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// let (queue, exchange) = ("audit".into(), "amq.fanout".into());
    /// let bind = Operation::QueueBind(QueueBinding { queue, exchange, ..QueueBinding::default() });
    /// let error = router.apply(&bind).unwrap_err();
    /// assert_eq!(error.to_string(), "there is no queue `audit`");
    /// assert_eq!((error.reply().code, error.reply().name), (404, "NOT_FOUND"));
    /// router.declare_queue("audit", Queue::new())?;
    /// assert_eq!(router.apply(&bind), Ok(()));
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The [`Error`] of the verb; [`Error::reply`] is a broker's answer.
    /// # Cost
    /// What the method of [`Router`] costs to which the operation leads; names are looked up, arguments copied.
    pub fn apply(&mut self, operation: &Operation) -> Result<(), Error> {
        match operation {
            Operation::ExchangeDeclare {
                exchange,
                kind,
                passive,
                durable,
                auto_delete,
                internal,
                arguments,
            } => {
                let name = &*name(exchange);
                if *passive {
                    return self.exchange_exists(name).map_err(Error::from);
                }
                let declared = Exchange::new(kind.parse()?)
                    .durable(*durable)
                    .auto_delete(*auto_delete)
                    .internal(*internal)
                    .arguments(arguments.clone())?;
                self.declare_exchange(name, declared)?;
            }
            Operation::ExchangeDelete { exchange, if_unused } => {
                self.delete_exchange_named(&name(exchange), *if_unused)?;
            }
            Operation::QueueDeclare { queue, passive, durable, auto_delete, exclusive, arguments } => {
                let name = &*name(queue);
                if *passive {
                    return match self.queue(name) {
                        Some(_) => Ok(()),
                        None => Err(DeclareError::QueueNotFound { name: name.into() }.into()),
                    };
                }
                let declared = Queue::new()
                    .durable(*durable)
                    .auto_delete(*auto_delete)
                    .exclusive(*exclusive)
                    .arguments(arguments.clone());
                self.declare_queue(name, declared)?;
            }
            Operation::QueueDelete { queue, .. } => {
                if let Some(queue) = self.queue(&name(queue)) {
                    self.delete_queue(queue);
                }
            }
            Operation::QueueBind(queue) => {
                self.bind_named(&queue.exchange, &queue.destination(), &queue.binding())?;
            }
            Operation::QueueUnbind(queue) => {
                self.unbind_named(&queue.exchange, &queue.destination(), &queue.binding())?;
            }
            Operation::ExchangeBind(exchange) => {
                self.bind_named(&exchange.source, &exchange.destination(), &exchange.binding())?;
            }
            Operation::ExchangeUnbind(exchange) => {
                self.unbind_named(&exchange.source, &exchange.destination(), &exchange.binding())?;
            }
            Operation::PolicySet(policy) => policy.set(self)?,
            Operation::PolicyClear { name } => {
                self.clear_policy(name);
            }
        }
        Ok(())
    }

    fn exchange_exists(&self, name: &str) -> Result<(), DeclareError> {
        match self.exchange(name) {
            Some(Router::DEFAULT_EXCHANGE) => Err(DeclareError::EmptyName),
            Some(_) => Ok(()),
            None => Err(DeclareError::ExchangeNotFound { name: name.into() }),
        }
    }

    fn delete_exchange_named(&mut self, name: &str, if_unused: bool) -> Result<(), DeleteError> {
        // `amq.` is refused even where there is no such exchange (vector `errors-007`).
        if name.starts_with("amq.") {
            return Err(DeleteError::Reserved { name: name.into() });
        }
        let Some(exchange) = self.exchange(name) else { return Ok(()) };
        let bindings = self.exchange_entry(exchange).map_or(0, |entry| entry.uses());
        if if_unused && bindings > 0 {
            return Err(DeleteError::ExchangeInUse { name: name.into(), bindings });
        }
        self.delete_exchange(exchange).map(drop)
    }

    fn bind_named(
        &mut self,
        source: &str,
        destination: &DestinationName,
        binding: &Binding<'_>,
    ) -> Result<(), BindError> {
        let source = &*name(source);
        refuse_default(source, destination)?;
        let destination = destination.find(self)?;
        let source =
            self.exchange(source).ok_or_else(|| BindError::ExchangeNotFound { name: source.into() })?;
        self.bind(source, destination, binding).map(drop)
    }

    fn unbind_named(
        &mut self,
        source: &str,
        destination: &DestinationName,
        binding: &Binding<'_>,
    ) -> Result<(), BindError> {
        let source = &*name(source);
        refuse_default(source, destination)?;
        match (self.exchange(source), destination.find(self)) {
            (Some(source), Ok(destination)) => self.unbind(source, destination, binding).map(drop),
            _ => Ok(()),
        }
    }
}

/// The default exchange is refused before anything is looked up (vector `default-004`).
fn refuse_default(source: &str, destination: &DestinationName) -> Result<(), BindError> {
    let default_destination = matches!(destination, DestinationName::Exchange(name) if name.is_empty());
    if source.is_empty() || default_destination { Err(BindError::DefaultExchange) } else { Ok(()) }
}

fn name(name: &str) -> Cow<'_, str> {
    if name.contains(['\r', '\n']) {
        Cow::Owned(name.chars().filter(|c| !matches!(c, '\r' | '\n')).collect())
    } else {
        Cow::Borrowed(name)
    }
}
