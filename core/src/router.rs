use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};

use crate::{
    Binding, ByteString, Destination, Dialect, Exchange, ExchangeId, ExchangeKind, Limits, Message, Outcome,
    Policy, Queue, QueueId, Routes, Table, Trace,
    chunks::Chunks,
    error::{BindError, DeclareError, DeleteError, MAX_SHORT_STRING, PublishError},
    hash::spread,
    id::BindingId,
    index::{Index, Matcher, Quick, Words},
    slots::Slots,
    tags::Tags,
};

mod bindings;
mod bulk;
mod lookup;
mod policies;
mod store;

use bindings::BindingEntry;
pub(crate) use bulk::{BindingPart, Content, PartError, PartProblem, Parts};

/// Exchanges, queues and bindings, and the way of a message through them.
///
/// Everything is declared as in AMQP and answered as RabbitMQ 3.10 does. Ids are dense numbers; look names up once
/// ([`exchange`](Self::exchange), [`queue`](Self::queue)) and route with ids.
///
/// ```
/// use keyrail_core::{Binding, Exchange, ExchangeKind, Message, Outcome, Queue, Router, Routes};
///
/// let mut router = Router::new();
/// let events = router.declare_exchange("events", Exchange::new(ExchangeKind::Topic))?;
/// let audit = router.declare_queue("audit", Queue::new())?;
/// router.bind(events, audit, &Binding::new("order.#"))?;
///
/// let mut routes = Routes::new(); // one per thread or task, kept
/// assert_eq!(router.route(events, &Message::new("order.eu.paid"), &mut routes), Outcome::Routed);
/// assert_eq!(routes.queues(), [audit]);
/// assert_eq!(router.queue_name(audit), Some("audit"));
/// # Ok::<(), keyrail_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Router {
    exchanges: Slots<ExchangeEntry>,
    exchange_names: Tags<u32>,
    queues: Slots<QueueEntry>,
    queue_names: Tags<u32>,
    bindings: Slots<BindingEntry>,
    /// What few bindings have beside their ends and their key.
    extras: Slots<bindings::Extra>,
    /// Bindings by content, so that binding twice is one binding and unbinding finds it.
    identities: Tags<u32>,
    /// Bindings of exchanges that look at headers too.
    headers_bindings: usize,
    /// Bindings of exchanges that choose among them.
    chosen_bindings: usize,
    policies: BTreeMap<Box<str>, Policy>,
    seed: u64,
    identity: Identity,
    revision: u64,
    limits: Limits,
    words: Words,
}

/// Tells a router from every other that is alive, copies of it included.
#[derive(Debug, Default)]
pub(crate) struct Identity(Arc<()>);

impl Clone for Identity {
    fn clone(&self) -> Self {
        Identity::default()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ExchangeEntry {
    pub(crate) name: Box<str>,
    pub(crate) exchange: Exchange,
    policy: Option<Box<policies::Applied>>,
    pub(crate) index: Index,
    /// Bindings that have this exchange as their source.
    outgoing: Chunks<BindingId>,
    /// Bindings that lead here.
    incoming: Chunks<BindingId>,
}

#[derive(Clone, Debug)]
struct QueueEntry {
    name: Box<str>,
    queue: Queue,
    incoming: Chunks<BindingId>,
}

/// A binding of a [`Router`], seen from outside.
///
/// ```
/// use keyrail_core::{Destination, Topology};
///
/// let router = Topology::from_lines("orders topic: order.# -> audit")?.router()?;
/// let binding = router.bindings().next().unwrap();
/// assert_eq!(router.exchange_name(binding.source), Some("orders"));
/// assert_eq!(binding.destination, Destination::Queue(router.queue("audit").unwrap()));
/// assert_eq!(binding.key, b"order.#");
/// assert!(binding.arguments.is_empty() && binding.pattern.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BindingRef<'a> {
    /// The exchange that asks it.
    pub source: ExchangeId,
    /// Where it leads.
    pub destination: Destination,
    /// The binding key.
    pub key: &'a [u8],
    /// The arguments.
    pub arguments: &'a Table,
    /// How the key is read.
    pub dialect: Dialect,
    /// The regular expression that Kombu stored with it.
    pub pattern: Option<&'a str>,
}

impl Default for Router {
    fn default() -> Self {
        Router::new()
    }
}

impl Router {
    /// The nameless exchange: it is always there, and every queue is bound to it by its own name.
    ///
    /// ```
    /// use keyrail_core::{Message, Outcome, Queue, Router, Routes};
    ///
    /// let mut router = Router::new();
    /// let mail = router.declare_queue("mail", Queue::new())?;
    /// let mut routes = Routes::new();
    /// let outcome = router.route(Router::DEFAULT_EXCHANGE, &Message::new("mail"), &mut routes);
    /// assert_eq!((outcome, routes.queues()), (Outcome::Routed, &[mail][..]));
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Source
    /// AMQP 0-9-1 §3.1.3.1; vectors `default-001` to `default-006`.
    pub const DEFAULT_EXCHANGE: ExchangeId = ExchangeId(0);

    /// The exchanges that RabbitMQ declares in every virtual host, and whether they are internal.
    const PREDECLARED: [(&'static str, ExchangeKind, bool); 6] = [
        ("amq.direct", ExchangeKind::Direct, false),
        ("amq.fanout", ExchangeKind::Fanout, false),
        ("amq.headers", ExchangeKind::Headers, false),
        ("amq.match", ExchangeKind::Headers, false),
        ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
        ("amq.topic", ExchangeKind::Topic, false),
    ];

    /// A router with the default exchange and nothing else.
    ///
    /// ```
    /// use keyrail_core::Router;
    ///
    /// let router = Router::new();
    /// assert_eq!(router.counts(), (1, 0, 0)); // exchanges, queues, bindings
    /// assert_eq!(router.exchange(""), Some(Router::DEFAULT_EXCHANGE));
    /// assert_eq!(router.exchange("amq.topic"), None);
    /// ```
    pub fn new() -> Self {
        Router::with_seed(0)
    }

    /// A router whose hash tables are seeded by the host, so that whoever chooses names and keys cannot choose
    /// collisions. The seed never changes an answer or an order.
    ///
    /// ```
    /// use keyrail_core::{Queue, Router};
    ///
    /// let (mut plain, mut seeded) = (Router::new(), Router::with_seed(0x9e37_79b9_7f4a_7c15));
    /// for router in [&mut plain, &mut seeded] {
    ///     router.declare_queue("mail", Queue::new())?;
    ///     router.declare_queue("audit", Queue::new())?;
    /// }
    /// assert!(seeded.queues().eq(plain.queues()));
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn with_seed(seed: u64) -> Self {
        let mut router = Router {
            exchanges: Slots::default(),
            exchange_names: Tags::default(),
            queues: Slots::default(),
            queue_names: Tags::default(),
            bindings: Slots::default(),
            extras: Slots::default(),
            identities: Tags::default(),
            headers_bindings: 0,
            chosen_bindings: 0,
            policies: BTreeMap::new(),
            seed: spread(seed),
            identity: Identity::default(),
            revision: 0,
            limits: Limits::default(),
            words: Words::default(),
        };
        router.add_exchange("", Exchange::new(ExchangeKind::Direct).durable(true));
        router
    }

    /// A router as a fresh RabbitMQ virtual host: with `amq.direct`, `amq.fanout`, `amq.headers`, `amq.match`,
    /// `amq.topic` and `amq.rabbitmq.trace`.
    ///
    /// ```
    /// use keyrail_core::Router;
    ///
    /// let router = Router::with_predeclared_exchanges();
    /// let names: Vec<_> = router.exchanges().map(|(_, name, _)| name).collect();
    /// let theirs = ["amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.rabbitmq.trace", "amq.topic"];
    /// assert_eq!(names[1..], theirs); // the first is the default exchange
    /// ```
    ///
    /// # Source
    /// Vectors `direct-008`, `fanout-005`, `headers-030`, `errors-010`.
    pub fn with_predeclared_exchanges() -> Self {
        let mut router = Router::new();
        router.predeclare_exchanges();
        router
    }

    /// Adds those exchanges of a fresh RabbitMQ virtual host that are not there, to a seeded router for instance.
    ///
    /// ```
    /// use keyrail_core::Router;
    ///
    /// let mut router = Router::with_seed(7);
    /// router.predeclare_exchanges();
    /// let trace = router.exchange("amq.rabbitmq.trace").unwrap();
    /// assert!(router.exchange_properties(trace).unwrap().is_internal());
    /// router.predeclare_exchanges(); // nothing is missing any more
    /// assert_eq!(router.counts().0, 7);
    /// ```
    pub fn predeclare_exchanges(&mut self) {
        for (name, kind, internal) in Self::PREDECLARED {
            if self.exchange(name).is_none() {
                self.add_exchange(name, Exchange::new(kind).durable(true).internal(internal));
            }
        }
    }

    /// Whether this is one of the exchanges that every router, or every RabbitMQ virtual host, has from the start.
    ///
    /// ```
    /// use keyrail_core::Router;
    ///
    /// assert!(Router::is_predeclared("amq.topic") && Router::is_predeclared(""));
    /// assert!(!Router::is_predeclared("amq.orders")); // reserved, and not there
    /// ```
    pub fn is_predeclared(name: &str) -> bool {
        name.is_empty() || Self::PREDECLARED.iter().any(|(predeclared, ..)| *predeclared == name)
    }

    /// A number that grows with every change to exchanges, queues, bindings and policies. Whoever keeps ids or results beside
    /// the router drops them when it moves.
    ///
    /// ```
    /// use keyrail_core::{Queue, Router};
    ///
    /// let mut router = Router::new();
    /// let before = router.revision();
    /// router.declare_queue("mail", Queue::new())?;
    /// assert_eq!(router.revision(), before + 1);
    /// router.declare_queue("mail", Queue::new())?; // it is there already
    /// assert_eq!(router.revision(), before + 1);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Whose answers are whose, and of when.
    #[inline(always)]
    pub(crate) const fn version(&self) -> (&Arc<()>, u64) {
        (&self.identity.0, self.revision)
    }

    #[inline(always)]
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether exchange and routing key decide alone where a message goes.
    #[inline(always)]
    pub(crate) const fn depends_on_key_alone(&self, message: &Message<'_>) -> bool {
        self.chosen_bindings == 0
            && (message.header_table().is_none()
                || (self.headers_bindings == 0 && !message.has_selected_keys()))
    }

    /// The most steps that a route from this exchange takes, whatever its key (up to the longest that
    /// [`Limits::key_bytes`] allows) and headers; exchanges that it goes on to take their own. `None` if there is no
    /// such exchange.
    ///
    /// A step is what [`Routes::work`] counts. What is put out is not: a queue takes its time in any case.
    ///
    /// ```
    /// use keyrail_core::{Binding, Exchange, ExchangeKind, Queue, Router};
    ///
    /// let mut router = Router::new();
    /// let logs = router.declare_exchange("logs", Exchange::new(ExchangeKind::Topic))?;
    /// let audit = router.declare_queue("audit", Queue::new())?;
    /// router.bind(logs, audit, &Binding::new("#.error.#"))?;
    /// let one = router.worst_case(logs).unwrap();
    /// router.bind(logs, audit, &Binding::new("#.error.#.disk.#"))?;
    /// assert!(router.worst_case(logs).unwrap() > one);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn worst_case(&self, exchange: ExchangeId) -> Option<u64> {
        self.exchange_entry(exchange).map(|entry| entry.index.worst_case(self.limits.key_bytes))
    }

    /// What this router takes in.
    ///
    /// ```
    /// use keyrail_core::Router;
    ///
    /// let limits = Router::new().limits();
    /// assert_eq!((limits.key_bytes, limits.bindings, limits.steps), (255, 4_000_000, u64::MAX));
    /// ```
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Sets what this router takes in from now on; what it holds already stays.
    ///
    /// ```
    /// use keyrail_core::{Binding, Limits, Queue, Router};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// let mail = router.declare_queue("mail", Queue::new())?;
    /// router.set_limits(Limits::default().key_bytes(8));
    /// router.bind(topic, mail, &Binding::new("mail.*"))?;
    /// let error = router.bind(topic, mail, &Binding::new("order.mail")).unwrap_err();
    /// assert_eq!(error.to_string(), "the binding key has 10 bytes, at most 8 are allowed");
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    // --- Declare, bind, delete -----------------------------------------------------------------------------------

    /// Declares an exchange, or finds that it is there with the same properties.
    ///
    /// ```
    /// use keyrail_core::{Exchange, ExchangeKind, Router};
    ///
    /// let mut router = Router::new();
    /// let orders = router.declare_exchange("orders", Exchange::new(ExchangeKind::Topic))?;
    /// assert_eq!(router.declare_exchange("orders", Exchange::new(ExchangeKind::Topic)), Ok(orders));
    /// let error = router.declare_exchange("orders", Exchange::new(ExchangeKind::Fanout)).unwrap_err();
    /// assert_eq!(error.to_string(), "`orders` exists with another `type`");
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`DeclareError::Inequivalent`] if it exists with another type, flag or alternate exchange (other arguments are
    /// not compared), [`Reserved`](DeclareError::Reserved) for a new name that begins with `amq.`,
    /// [`EmptyName`](DeclareError::EmptyName) and [`NameTooLong`](DeclareError::NameTooLong).
    /// # Source
    /// Vectors `errors-003`, `errors-005`, `alternate-012`.
    /// # Cost
    /// A look-up; a new name is matched with the pattern of every policy.
    pub fn declare_exchange(&mut self, name: &str, exchange: Exchange) -> Result<ExchangeId, DeclareError> {
        check_name(name)?;
        if let Some((id, entry)) = self.exchange(name).and_then(|id| Some((id, self.exchange_entry(id)?))) {
            return match entry.exchange.inequivalence(&exchange) {
                None => Ok(id),
                Some(property) => Err(DeclareError::Inequivalent { name: name.into(), property }),
            };
        }
        check_reserved(name)?;
        Ok(self.add_exchange(name, exchange))
    }

    /// Declares a queue, or finds that it is there with the same properties.
    ///
    /// ```
    /// use keyrail_core::{Queue, Router};
    ///
    /// let mut router = Router::new();
    /// let mail = router.declare_queue("mail", Queue::new())?;
    /// assert_eq!(router.declare_queue("mail", Queue::new()), Ok(mail));
    /// let error = router.declare_queue("mail", Queue::new().durable(true)).unwrap_err();
    /// assert_eq!(error.to_string(), "`mail` exists with another `durable`");
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`declare_exchange`](Self::declare_exchange).
    /// # Source
    /// Vectors `errors-006`, `errors-009`.
    /// # Cost
    /// A look-up, whatever the number of queues.
    pub fn declare_queue(&mut self, name: &str, queue: Queue) -> Result<QueueId, DeclareError> {
        check_name(name)?;
        if let Some((id, entry)) = self.queue(name).and_then(|id| Some((id, self.queues.get(id.0)?))) {
            return match entry.queue.inequivalence(&queue) {
                None => Ok(id),
                Some(property) => Err(DeclareError::Inequivalent { name: name.into(), property }),
            };
        }
        check_reserved(name)?;
        Ok(self.add_queue(name, queue))
    }

    /// Adds a binding from an exchange to a queue or another exchange; false if it was there already.
    ///
    /// A binding is identified by its ends, key, arguments (typed, in any order), dialect and pattern.
    ///
    /// ```
    /// use keyrail_core::{Binding, Exchange, ExchangeKind, Queue, Router};
    ///
    /// let mut router = Router::new();
    /// let orders = router.declare_exchange("orders", Exchange::new(ExchangeKind::Topic))?;
    /// let archive = router.declare_exchange("archive", Exchange::new(ExchangeKind::Fanout))?;
    /// let billing = router.declare_queue("billing", Queue::new())?;
    /// assert!(router.bind(orders, billing, &Binding::new("order.*.paid"))?);
    /// assert!(!router.bind(orders, billing, &Binding::new("order.*.paid"))?); // it is there already
    /// assert!(router.bind(orders, archive, &Binding::new("order.#"))?); // from exchange to exchange
    /// assert_eq!(router.bindings_from(orders).count(), 2);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`BindError`], and nothing is changed then.
    /// # Cost
    /// Microseconds, whatever the size of the table; a headers binding compiles its arguments.
    /// # Source
    /// Vectors of the categories `unbind`, `e2e`, `headers`.
    pub fn bind(
        &mut self,
        source: ExchangeId,
        destination: impl Into<Destination>,
        binding: &Binding<'_>,
    ) -> Result<bool, BindError> {
        let destination = destination.into();
        let kind = self.check_ends(source, destination)?;
        let identity = identity(binding);
        let hash = self.identity_hash(source, destination, binding, &identity);
        if self.find(hash, source, destination, binding, &identity).is_some() {
            return Ok(false);
        }
        self.check_binding(binding)?;
        let name = self.exchange_name(source).unwrap_or_default();
        let matcher = Matcher::compile(kind, name, binding)?;

        let id = self.insert_binding(hash, source, destination, binding, identity, matcher);
        self.check_cost(id, source, binding)?;
        Ok(true)
    }

    /// Takes a new binding back if a route could cost too much with it.
    fn check_cost(
        &mut self,
        id: BindingId,
        source: ExchangeId,
        binding: &Binding<'_>,
    ) -> Result<(), BindError> {
        let limit = self.limits.steps;
        if limit == u64::MAX {
            return Ok(());
        }
        let Some(steps) = self.worst_case(source).filter(|steps| *steps > limit) else { return Ok(()) };
        self.remove_binding(id);
        self.revision -= 1;
        Err(BindError::TooCostly {
            key: alloc::format!("{}", ByteString::from(binding.key)).into(),
            steps,
            limit,
        })
    }

    /// Whether the table takes one more binding, and this key.
    fn check_binding(&self, binding: &Binding<'_>) -> Result<(), BindError> {
        let Limits { key_bytes: limit, bindings, .. } = self.limits;
        if binding.key.len() > limit {
            return Err(BindError::KeyTooLong { length: binding.key.len(), limit });
        }
        if self.bindings.len() >= bindings {
            return Err(BindError::TableFull { limit: bindings });
        }
        if core::str::from_utf8(binding.key).is_err() {
            let key = alloc::format!("{}", ByteString::from(binding.key)).into();
            return Err(BindError::KeyNotUtf8 { key });
        }
        Ok(())
    }

    /// Removes a binding; false if there is none, which is no error in AMQP.
    ///
    /// An auto-delete exchange that loses its last binding as a source goes with it, and so on up the line.
    ///
    /// ```
    /// use keyrail_core::{Binding, Exchange, ExchangeKind, Queue, Router};
    ///
    /// let mut router = Router::new();
    /// let orders = router.declare_exchange("orders", Exchange::new(ExchangeKind::Topic).auto_delete(true))?;
    /// let billing = router.declare_queue("billing", Queue::new())?;
    /// router.bind(orders, billing, &Binding::new("order.#"))?;
    /// assert!(!router.unbind(orders, billing, &Binding::new("order.*"))?); // another binding
    /// assert!(router.unbind(orders, billing, &Binding::new("order.#"))?);
    /// assert_eq!(router.exchange("orders"), None); // that was its last one
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`BindError::DefaultExchange`], for the implicit bindings too.
    /// # Source
    /// Vectors `unbind-001` to `unbind-006`, `lifecycle-001` to `lifecycle-010`.
    pub fn unbind(
        &mut self,
        source: ExchangeId,
        destination: impl Into<Destination>,
        binding: &Binding<'_>,
    ) -> Result<bool, BindError> {
        let destination = destination.into();
        if source == Self::DEFAULT_EXCHANGE || destination == Destination::Exchange(Self::DEFAULT_EXCHANGE) {
            return Err(BindError::DefaultExchange);
        }
        let identity = identity(binding);
        let hash = self.identity_hash(source, destination, binding, &identity);
        let Some(id) = self.find(hash, source, destination, binding, &identity) else { return Ok(false) };
        self.remove_binding(id);
        self.collapse(Vec::from([source]));
        self.revision += 1;
        Ok(true)
    }

    /// Deletes a queue and its bindings; false if there is none, which is no error in AMQP.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let mut router = Topology::from_lines("orders topic: order.# -> audit, billing")?.router()?;
    /// let audit = router.queue("audit").unwrap();
    /// assert!(router.delete_queue(audit));
    /// assert!(!router.delete_queue(audit)); // it is gone
    /// assert_eq!(router.bindings().count(), 1); // that of the other queue
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Vectors `unbind-007`, `lifecycle-003`, `lifecycle-012`.
    pub fn delete_queue(&mut self, queue: QueueId) -> bool {
        let Some(entry) = self.remove_queue(queue) else { return false };
        let sources = self.remove_incoming(&entry.incoming);
        self.collapse(sources);
        self.revision += 1;
        true
    }

    /// Deletes an exchange and its bindings on both sides; false if there is none, which is no error in AMQP.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let lines = "orders topic: order.# -> exchange archive\narchive fanout: -> files";
    /// let mut router = Topology::from_lines(lines)?.router()?;
    /// let archive = router.exchange("archive").unwrap();
    /// assert_eq!(router.delete_exchange(archive), Ok(true));
    /// assert_eq!(router.bindings().count(), 0); // those to it and those from it
    /// let topic = router.exchange("amq.topic").unwrap();
    /// assert_eq!(router.delete_exchange(topic).unwrap_err().code(), "reserved-name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DeleteError::DefaultExchange`], and [`DeleteError::Reserved`] for names that begin with `amq.`.
    /// # Source
    /// Vectors `unbind-008`, `errors-007`, `lifecycle-013`.
    pub fn delete_exchange(&mut self, exchange: ExchangeId) -> Result<bool, DeleteError> {
        if exchange == Self::DEFAULT_EXCHANGE {
            return Err(DeleteError::DefaultExchange);
        }
        let Some(entry) = self.exchange_entry(exchange) else { return Ok(false) };
        if is_reserved(&entry.name) {
            return Err(DeleteError::Reserved { name: entry.name.clone() });
        }
        let sources = self.remove_exchange(exchange);
        self.collapse(sources);
        self.revision += 1;
        Ok(true)
    }

    // --- Route ---------------------------------------------------------------------------------------------------

    /// Writes the queues that get `message` into `routes`, each once.
    ///
    /// Clears `routes` first, so that one value serves every publish; once it has grown, a call allocates nothing.
    ///
    /// ```
    /// use keyrail_core::{Message, Outcome, Routes, Topology};
    ///
    /// let lines = "orders topic: order.*.paid -> billing\norders: order.# -> audit";
    /// let router = Topology::from_lines(lines)?.router()?;
    /// let orders = router.exchange("orders").unwrap();
    /// let mut routes = Routes::new(); // kept from message to message
    /// assert_eq!(router.route(orders, &Message::new("order.eu.paid"), &mut routes), Outcome::Routed);
    /// let names = routes.queues().iter().filter_map(|queue| router.queue_name(*queue));
    /// assert!(names.eq(["billing", "audit"]));
    /// assert_eq!(router.route(orders, &Message::new("stock.eu"), &mut routes), Outcome::Unroutable);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Cost
    /// Time ≤ words × live trie nodes for a topic exchange, also with several `#`.
    /// An id of another router or of a deleted exchange gives [`Outcome::UnknownExchange`], never a panic.
    /// # Source
    /// AMQP 0-9-1 §3.1.3; vectors `tests/vectors/amqp.jsonl`; where Kombu differs, [`Dialect`].
    pub fn route(&self, exchange: ExchangeId, message: &Message<'_>, routes: &mut Routes) -> Outcome {
        routes.clear();
        let Some(entry) = self.exchange_entry(exchange) else { return Outcome::UnknownExchange };
        if entry.index.has_keys() {
            return self.route_key(exchange, entry, message, routes);
        }
        routes.fill(self, exchange, entry, message)
    }

    /// The same for a direct exchange.
    ///
    /// Not inlined, so that other exchanges do not pay for its registers; and nothing is called here but at the very end, so
    /// that what is answered at a glance needs little of a frame.
    #[inline(never)]
    fn route_key(
        &self,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
        routes: &mut Routes,
    ) -> Outcome {
        match entry.index.quick(message) {
            Quick::Queue(queue) => routes.fill_one(queue),
            Quick::Several(entries) => routes.fill_several(entries, self, exchange, entry, message),
            Quick::Nothing if entry.alternate_exchange().is_none() => Outcome::Unroutable,
            _ => routes.fill_keys(self, exchange, entry, message),
        }
    }

    /// Routes `message` and writes down why into `trace`: which exchanges were asked, which bindings matched, what
    /// became of duplicates, cycles and alternates. The same walk as [`route`](Self::route), so the two agree.
    ///
    /// ```
    /// use keyrail_core::{Message, Outcome, Topology, Trace};
    ///
    /// let lines = "orders topic else lost: order.*.paid -> billing\nlost fanout: -> unrouted";
    /// let router = Topology::from_lines(lines)?.router()?;
    /// let orders = router.exchange("orders").unwrap();
    /// let mut trace = Trace::new();
    /// assert_eq!(router.explain(orders, &Message::new("order.paid"), &mut trace), Outcome::Routed);
    /// assert!(trace.queues().eq(["unrouted"]));
    /// let why = trace.to_string();
    /// assert_eq!(why.lines().nth(1), Some("  no binding matches; alternate exchange `lost`"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Cost
    /// That of a route without what it remembers, and the names of all that it meets, which are allocated.
    pub fn explain(&self, exchange: ExchangeId, message: &Message<'_>, trace: &mut Trace) -> Outcome {
        trace.record(self, exchange, message)
    }

    /// Makes a message for [`route`](Self::route) with the checks of a broker's `basic.publish`.
    ///
    /// ```
    /// use keyrail_core::{Outcome, Router, Routes};
    ///
    /// let router = Router::with_predeclared_exchanges();
    /// let (exchange, message) = router.message("amq.topic", "order.paid", None)?;
    /// let mut routes = Routes::new();
    /// assert_eq!(router.route(exchange, &message, &mut routes), Outcome::Unroutable);
    /// let error = router.message("amq.rabbitmq.trace", "order.paid", None).unwrap_err();
    /// assert_eq!(error.to_string(), "exchange `amq.rabbitmq.trace` is internal and takes no publishes");
    /// assert_eq!(error.reply().code, 403);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// In this order: [`PublishError::ExchangeNotFound`], [`InternalExchange`](PublishError::InternalExchange),
    /// [`InvalidSenderSelected`](PublishError::InvalidSenderSelected), [`KeyTooLong`](PublishError::KeyTooLong).
    /// # Source
    /// Vectors `errors-001`, `internal-003`, `sender-selected-004`.
    /// # Cost
    /// A look-up of the name, and a search through the headers for `CC` and `BCC`.
    pub fn message<'a>(
        &self,
        exchange: &str,
        routing_key: &'a (impl AsRef<[u8]> + ?Sized),
        headers: Option<&'a Table>,
    ) -> Result<(ExchangeId, Message<'a>), PublishError> {
        let found = self.exchange(exchange).and_then(|id| Some((id, self.exchange_entry(id)?)));
        let Some((id, entry)) = found else {
            return Err(PublishError::ExchangeNotFound { name: exchange.into() });
        };
        if entry.exchange.is_internal() {
            return Err(PublishError::InternalExchange { name: exchange.into() });
        }
        let mut message = Message::new(routing_key);
        if let Some(headers) = headers {
            message = message.headers(headers)?;
        }
        let (length, limit) = (message.routing_key().len(), self.limits.key_bytes);
        if length > limit {
            return Err(PublishError::KeyTooLong { length, limit });
        }
        Ok((id, message))
    }
}

fn identity(binding: &Binding<'_>) -> Vec<u8> {
    binding.arguments.map(Table::identity).unwrap_or_default()
}

fn is_reserved(name: &str) -> bool {
    name.starts_with("amq.")
}

fn check_reserved(name: &str) -> Result<(), DeclareError> {
    if is_reserved(name) { Err(DeclareError::Reserved { name: name.into() }) } else { Ok(()) }
}

fn check_name(name: &str) -> Result<(), DeclareError> {
    if name.is_empty() {
        return Err(DeclareError::EmptyName);
    }
    if name.len() > MAX_SHORT_STRING {
        return Err(DeclareError::NameTooLong { length: name.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
