//! Bindings in Redis, one at a time.

use keyrail_core::{
    BindError, BindingDefinition, Destination, DestinationName, Dialect, Exchange, ExchangeDefinition,
    ExchangeKind, Queue, Router,
    kombu::{Command, Member, Plan},
};

use crate::{
    Executor, Host, HostError, Reply, Table,
    declare::{ATTEMPTS, moved},
    load, names,
    registry::{self, BucketOwner},
};

/// A binding to be written to Redis.
///
/// ```
/// use keyrail_core::{BindingDefinition, Dialect, ExchangeKind, kombu::{Envelope, Layout}};
/// use keyrail_redis::{Bind, Host, Memory, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let json = r#"{"source": "orders", "destination": {"queue": "billing"}, "routingKey": "*.paid"}"#;
/// let binding: BindingDefinition = serde_json::from_str(json).unwrap();
/// host.bind(&Bind { binding, kind: Some(ExchangeKind::Topic), dialect: Dialect::Kombu57 }).await.unwrap();
/// let sent = host.publish(&Outgoing::new("orders", "eu.paid", Envelope::text("42 EUR"))).await.unwrap();
/// assert_eq!(sent.queues, ["billing"]);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Bind {
    /// The binding.
    pub binding: BindingDefinition,
    /// The type of its exchange, if the caller knows it.
    pub kind: Option<ExchangeKind>,
    /// The dialect of a topic binding's text.
    pub dialect: Dialect,
}

/// What became of a binding that was written.
///
/// ```
/// use keyrail_core::{BindingDefinition, Dialect, ExchangeKind, kombu::Layout};
/// use keyrail_redis::{Bind, Host, Memory, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let json = r#"{"source": "orders", "destination": {"queue": "billing"}, "routingKey": "*.paid"}"#;
/// let binding: BindingDefinition = serde_json::from_str(json).unwrap();
/// let bind = |dialect| Bind { binding: binding.clone(), kind: Some(ExchangeKind::Topic), dialect };
/// let bound = host.bind(&bind(Dialect::Kombu56)).await.unwrap();
/// assert!(bound.new && bound.is_kombus && bound.replaced.is_empty());
/// assert_eq!(host.bind(&bind(Dialect::Kombu57)).await.unwrap().replaced, [Dialect::Kombu56]);
/// assert!(!host.bind(&bind(Dialect::Kombu57)).await.unwrap().new, "binding twice is binding once");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The type of the exchange.
    pub kind: ExchangeKind,
    /// Whether that is a guess; see [`load::is_guessed`].
    pub is_guessed: bool,
    /// Whether there was no such binding before.
    pub new: bool,
    /// The dialects in which Kombu's table had the same key for the same queue, and has it no more.
    pub replaced: Vec<Dialect>,
    /// Whether it is in Kombu's table, where Kombu's publishers find it, or in keyrail's own keys.
    pub is_kombus: bool,
}

impl<E: Executor> Host<E> {
    /// Writes a binding, with the types of its exchanges where Kombu cannot tell them: that of `bind`, and for an exchange
    /// that it leads to that of [`load::Options::kinds`]. Binding twice is binding once.
    ///
    /// ```
    /// use keyrail_core::{BindingDefinition, Dialect, ExchangeKind, kombu::Layout};
    /// use keyrail_redis::{Bind, Host, Memory, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let json = r#"{"source": "orders", "destination": {"queue": "billing"}, "routingKey": "paid"}"#;
    /// let binding: BindingDefinition = serde_json::from_str(json).unwrap();
    /// let bind = |kind| Bind { binding: binding.clone(), kind: Some(kind), dialect: Dialect::Kombu57 };
    /// host.bind(&bind(ExchangeKind::Topic)).await.unwrap();
    /// let error = host.bind(&bind(ExchangeKind::Direct)).await.unwrap_err();
    /// assert_eq!(error.to_string(), "exchange `orders` is topic already and cannot become direct");
    /// # });
    /// ```
    ///
    /// # Errors
    /// A binding that no router takes, a type that contradicts the one that is known, a key that cannot be written;
    /// nothing is written then. Those of the executor: on a cluster whose tables lie on several servers a part may be
    /// written, and binding again completes it.
    /// # Cost
    /// Reads the tables that the exchange reaches.
    /// # Source
    /// AMQP 0-9-1 `queue.bind`; Kombu's `kombu.transport.redis.Channel._queue_bind`.
    pub async fn bind(&self, bind: &Bind) -> Result<Bound, HostError> {
        for _ in 0..ATTEMPTS {
            if let Some(bound) = self.try_bind(bind).await? {
                return Ok(bound);
            }
        }
        Err(moved(&[registry::exchanges_key(self.layout())]))
    }

    /// Nothing if somebody declared an exchange otherwise since its table was read; nothing is written then.
    async fn try_bind(&self, bind: &Bind) -> Result<Option<Bound>, HostError> {
        let binding = &bind.binding;
        let table = self.table(Some(&binding.source)).await?;
        let known = table.router.exchange(&binding.source);
        let known = known.and_then(|id| table.router.exchange_properties(id));
        let kind = match (known, bind.kind) {
            (Some(known), told) => agreed(&binding.source, known.kind(), told)?,
            (None, Some(kind)) => kind,
            (None, None) => return Err(BindError::ExchangeNotFound { name: binding.source.clone() }.into()),
        };
        let destination = self.destination_exchange(binding, &table).await?;
        let told = match (self.tables(), &binding.destination) {
            (Ok((_, options)), DestinationName::Exchange(name)) => options.kinds.get(&**name).copied(),
            _ => None,
        };
        if let Some(known) = &destination {
            agreed(binding.destination.name(), known.kind(), told)?;
        }
        let destination_kind = destination.as_ref().map(Exchange::kind);
        names::check_ends(
            self.layout(),
            (&binding.source, kind),
            &binding.destination,
            destination_kind.or(told),
        )?;
        check(binding, kind, destination)?;
        let mut plan = registry::bind(self.layout(), kind, binding, bind.dialect)?;
        let exchanges = registry::exchanges_key(self.layout());
        let registry = self.executor().hash(&exchanges).await?;
        let registered = |name: &str| -> Result<Option<ExchangeDefinition>, HostError> {
            let found = registry.iter().find(|(known, _)| known == name);
            Ok(found.map(|(name, value)| registry::entry(&exchanges, name, value)).transpose()?)
        };
        if registered(&binding.source)?.is_some_and(|registered| registered.kind != kind) {
            return Ok(None);
        }
        // A type that was told and is not in Redis is told to everyone from now on.
        for (name, told) in [(binding.destination.name(), told), (&*binding.source, bind.kind)] {
            let Some(kind) = told.filter(|_| !Router::is_predeclared(name)) else { continue };
            match registered(name)? {
                Some(registered) if registered.kind != kind => return Ok(None),
                Some(_) => {}
                None => {
                    let exchange = keyrail_core::ExchangeDefinition::durable(name, kind);
                    plan.commands.insert(0, registry::declare_exchange(self.layout(), &exchange));
                }
            }
        }
        let owns = known.is_some_and(|_| owns_buckets(&table.router, binding));
        if kind == ExchangeKind::ConsistentHash && !owns {
            let turn = registry::next_turn(&registry::buckets(self.executor(), self.layout()).await?);
            let owner = BucketOwner { turn, binding: binding.clone() };
            plan.commands.push(registry::own_buckets(self.layout(), &owner));
        }
        let is_type = |command: &Command| command.key() == exchanges;
        if self.executor().spreads() {
            // The tables lie on several servers: types first, so that nobody finds a row without its exchange's.
            let (types, rows): (Vec<_>, _) = plan.commands.into_iter().partition(is_type);
            let types = Plan { atomic: types.len() > 1, commands: types };
            if !types.commands.is_empty()
                && self.executor().run_adding(&types, std::slice::from_ref(&exchanges)).await?.is_none()
            {
                return Ok(None);
            }
            plan = Plan { atomic: false, commands: rows };
        } else {
            plan.atomic = plan.commands.len() > 1;
        }
        let replies = match plan.commands.iter().any(is_type) {
            true => self.executor().run_adding(&plan, std::slice::from_ref(&exchanges)).await?,
            false => Some(self.executor().run(&plan).await?),
        };
        let is_guessed = known.is_some_and(|exchange| load::is_guessed(exchange.argument_table()));
        let bound =
            |replies: Vec<_>| Bound { is_guessed, ..self.bound(kind, &binding.source, &plan, &replies) };
        Ok(replies.map(bound))
    }

    /// What the server's counts say about a binding that was written.
    fn bound(&self, kind: ExchangeKind, source: &str, plan: &Plan, replies: &[Reply]) -> Bound {
        let (table, own) = (self.layout().binding_table(source), registry::bindings_key(self.layout()));
        let mut bound = Bound { kind, is_guessed: false, new: false, replaced: Vec::new(), is_kombus: true };
        for (command, reply) in plan.commands.iter().zip(replies) {
            let counts = matches!(reply, Reply::Count(1..));
            match command {
                Command::SAdd { key, .. } if *key == table => bound.new = counts,
                Command::SAdd { key, .. } if *key == own => (bound.new, bound.is_kombus) = (counts, false),
                Command::SRem { key, member } if *key == table && counts => {
                    let twin = Member::parse(member, &self.layout().sep).ok();
                    bound.replaced.extend(twin.as_ref().and_then(dialect_of));
                }
                _ => {}
            }
        }
        bound
    }

    /// The exchange that a binding leads to, if it leads to one. What `table` reaches of the topology need not hold it yet.
    async fn destination_exchange(
        &self,
        binding: &BindingDefinition,
        table: &Table,
    ) -> Result<Option<Exchange>, HostError> {
        let DestinationName::Exchange(name) = &binding.destination else { return Ok(None) };
        let find = |router: &Router| router.exchange_properties(router.exchange(name)?).cloned();
        match find(&table.router) {
            Some(exchange) => Ok(Some(exchange)),
            None => Ok(find(&self.table(Some(name)).await?.router)),
        }
    }
}

/// The type of an exchange that is known, if what was told about it is not another one.
fn agreed(name: &str, known: ExchangeKind, told: Option<ExchangeKind>) -> Result<ExchangeKind, HostError> {
    match told {
        Some(kind) if kind != known => {
            let reason = format!("exchange `{name}` is {known} already and cannot become {kind}");
            Err(HostError::NotExpressible { reason: reason.into() })
        }
        _ => Ok(known),
    }
}

/// The dialect in which the text of a row was written.
pub(crate) fn dialect_of(row: &Member) -> Option<Dialect> {
    let wrote = |dialect: &Dialect| {
        Member::topic(&row.routing_key, &row.queue, *dialect).is_ok_and(|written| written == *row)
    };
    Dialect::ALL.into_iter().find(wrote)
}

/// Whether the destination has buckets already, or this very binding is there and lost them: it brings none then.
fn owns_buckets(router: &Router, binding: &BindingDefinition) -> bool {
    let Some(exchange) = router.exchange(&binding.source) else { return false };
    let Ok(destination) = binding.destination.find(router) else { return false };
    let owner = router.bucket_owners(exchange).any(|owner| owner.destination == destination);
    let mut bound = router.bindings_from(exchange).filter(|bound| bound.destination == destination);
    owner || bound.any(|bound| BindingDefinition::of(router, &bound) == *binding)
}

/// Tries the binding on a copy of the topology, so that nothing is written which no router could load.
fn check(
    binding: &BindingDefinition,
    kind: ExchangeKind,
    exchange: Option<Exchange>,
) -> Result<(), HostError> {
    let mut trial = Router::with_predeclared_exchanges();
    let source = match trial.exchange(&binding.source) {
        Some(source) => source,
        None => trial.declare_exchange(&binding.source, Exchange::new(kind))?,
    };
    let destination: Destination = match &binding.destination {
        DestinationName::Queue(queue) => trial.declare_queue(queue, Queue::new())?.into(),
        DestinationName::Exchange(name) => {
            let Some(known) = exchange else {
                return Err(BindError::ExchangeNotFound { name: name.clone() }.into());
            };
            match trial.exchange(name) {
                Some(id) => id.into(),
                None => trial.declare_exchange(name, known)?.into(),
            }
        }
    };
    trial.bind(source, destination, &binding.binding())?;
    Ok(())
}
