use alloc::{boxed::Box, vec::Vec};
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};

use crate::{
    Binding, ByteString, Destination, Dialect, Exchange, ExchangeId, Limits, Message, Outcome, Queue, QueueId,
    Routes, Table, Trace,
    error::{BindError, DeclareError, DeleteError, MAX_SHORT_STRING, PublishError},
    exchange::ExchangeKind,
    id::BindingId,
    id_list::IdList,
    index::{Index, Matcher, Place},
    slots::Slots,
    walk::walk,
};

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
    exchange_names: HashMap<Box<str>, ExchangeId, FixedState>,
    queues: Slots<QueueEntry>,
    queue_names: HashMap<Box<str>, QueueId, FixedState>,
    bindings: Slots<BindingEntry>,
    /// Bindings by content, so that binding twice is one binding and unbinding finds it.
    identities: HashTable<BindingId>,
    hasher: FixedState,
    revision: u64,
    limits: Limits,
}

#[derive(Clone, Debug)]
pub(crate) struct ExchangeEntry {
    pub(crate) name: Box<str>,
    pub(crate) exchange: Exchange,
    pub(crate) index: Index,
    /// Bindings that have this exchange as their source.
    outgoing: IdList,
    /// Bindings that lead here.
    incoming: IdList,
}

#[derive(Clone, Debug)]
struct QueueEntry {
    name: Box<str>,
    queue: Queue,
    incoming: IdList,
}

#[derive(Clone, Debug)]
struct BindingEntry {
    source: ExchangeId,
    destination: Destination,
    key: ByteString,
    arguments: Table,
    /// [`Table::identity`] of the arguments.
    identity: Box<[u8]>,
    dialect: Dialect,
    pattern: Option<Box<str>>,
    place: Place,
}

/// A binding of a [`Router`], seen from outside.
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
    pub fn new() -> Self {
        Router::with_seed(0)
    }

    /// A router whose hash tables are seeded by the host, so that whoever chooses names and keys cannot choose
    /// collisions. The seed never changes an answer or an order.
    pub fn with_seed(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        let mut router = Router {
            exchanges: Slots::default(),
            exchange_names: HashMap::with_hasher(hasher.clone()),
            queues: Slots::default(),
            queue_names: HashMap::with_hasher(hasher.clone()),
            bindings: Slots::default(),
            identities: HashTable::new(),
            hasher,
            revision: 0,
            limits: Limits::default(),
        };
        router.add_exchange("", Exchange::new(ExchangeKind::Direct).durable(true));
        router
    }

    /// A router as a fresh RabbitMQ virtual host: with `amq.direct`, `amq.fanout`, `amq.headers`, `amq.match`,
    /// `amq.topic` and `amq.rabbitmq.trace`.
    pub fn with_predeclared_exchanges() -> Self {
        let mut router = Router::new();
        router.predeclare_exchanges();
        router
    }

    /// Adds those exchanges of a fresh RabbitMQ virtual host that are not there, to a seeded router for instance.
    pub fn predeclare_exchanges(&mut self) {
        for (name, kind, internal) in Self::PREDECLARED {
            if self.exchange(name).is_none() {
                self.add_exchange(name, Exchange::new(kind).durable(true).internal(internal));
            }
        }
    }

    /// Whether this is one of the exchanges that every router, or every RabbitMQ virtual host, has from the start.
    pub fn is_predeclared(name: &str) -> bool {
        name.is_empty() || Self::PREDECLARED.iter().any(|(predeclared, ..)| *predeclared == name)
    }

    /// A number that grows with every change to exchanges, queues and bindings. Whoever keeps ids or results beside
    /// the router drops them when it moves.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// What this router takes in.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Sets what this router takes in from now on; what it holds already stays.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    // --- Declare, bind, delete -----------------------------------------------------------------------------------

    /// Declares an exchange, or finds that it is there with the same properties.
    ///
    /// # Errors
    /// [`DeclareError::Inequivalent`] if it exists with another type, flag or alternate exchange (other arguments are
    /// not compared), [`Reserved`](DeclareError::Reserved) for a new name that begins with `amq.`,
    /// [`EmptyName`](DeclareError::EmptyName) and [`NameTooLong`](DeclareError::NameTooLong).
    /// # Source
    /// Vectors `errors-003`, `errors-005`, `alternate-012`.
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
    /// # Errors
    /// As [`declare_exchange`](Self::declare_exchange).
    /// # Source
    /// Vectors `errors-006`, `errors-009`.
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
        if self.find(source, destination, binding, &identity).is_some() {
            return Ok(false);
        }
        let Limits { key_bytes: limit, bindings } = self.limits;
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
        let name = self.exchange_name(source).unwrap_or_default();
        let matcher = Matcher::compile(kind, name, binding)?;

        let id = BindingId(self.bindings.insert(BindingEntry {
            source,
            destination,
            key: binding.key.into(),
            arguments: binding.arguments.cloned().unwrap_or_default(),
            identity: identity.into(),
            dialect: binding.dialect,
            pattern: binding.pattern.map(Into::into),
            place: Place::Always,
        }));
        let place = self.exchanges.get_mut(source.0).map(|entry| {
            entry.outgoing.insert(id);
            entry.index.insert(id, binding.key, matcher)
        });
        if let (Some(entry), Some(place)) = (self.bindings.get_mut(id.0), place) {
            entry.place = place;
        }
        if let Some(incoming) = self.incoming(destination) {
            incoming.insert(id);
        }
        let (bindings, hasher) = (&self.bindings, &self.hasher);
        let hash = |id: &BindingId| bindings.get(id.0).map_or(0, |entry| entry.hash(hasher));
        self.identities.insert_unique(hash(&id), id, hash);
        self.revision += 1;
        Ok(true)
    }

    /// Removes a binding; false if there is none, which is no error in AMQP.
    ///
    /// An auto-delete exchange that loses its last binding as a source goes with it, and so on up the line.
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
        let Some(id) = self.find(source, destination, binding, &identity(binding)) else {
            return Ok(false);
        };
        self.remove_binding(id);
        self.collapse(Vec::from([source]));
        self.revision += 1;
        Ok(true)
    }

    /// Deletes a queue and its bindings; false if there is none, which is no error in AMQP.
    pub fn delete_queue(&mut self, queue: QueueId) -> bool {
        let Some(entry) = self.queues.remove(queue.0) else { return false };
        self.queue_names.remove(&entry.name);
        let sources = self.remove_incoming(&entry.incoming);
        self.collapse(sources);
        self.revision += 1;
        true
    }

    /// Deletes an exchange and its bindings on both sides; false if there is none, which is no error in AMQP.
    ///
    /// # Errors
    /// [`DeleteError::DefaultExchange`], and [`DeleteError::Reserved`] for names that begin with `amq.`.
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
    /// # Cost
    /// Time ≤ words × live trie nodes for a topic exchange, also with several `#`.
    /// An id of another router or of a deleted exchange gives [`Outcome::UnknownExchange`], never a panic.
    /// # Source
    /// AMQP 0-9-1 §3.1.3; vectors `tests/vectors/amqp.jsonl`; where Kombu differs, [`Dialect`].
    pub fn route(&self, exchange: ExchangeId, message: &Message<'_>, routes: &mut Routes) -> Outcome {
        routes.clear();
        if self.exchange_entry(exchange).is_none() {
            return Outcome::UnknownExchange;
        }
        let (mut sink, scratch) = routes.parts();
        walk(self, exchange, message, scratch, &mut sink);
        if routes.is_empty() { Outcome::Unroutable } else { Outcome::Routed }
    }

    /// Routes `message` and writes down why into `trace`: which exchanges were asked, which bindings matched, what
    /// became of duplicates, cycles and alternates. The same walk as [`route`](Self::route), so the two agree.
    pub fn explain(&self, exchange: ExchangeId, message: &Message<'_>, trace: &mut Trace) -> Outcome {
        trace.record(self, exchange, message)
    }

    /// Makes a message for [`route`](Self::route) with the checks of a broker's `basic.publish`.
    ///
    /// # Errors
    /// In this order: [`PublishError::ExchangeNotFound`], [`InternalExchange`](PublishError::InternalExchange),
    /// [`InvalidSenderSelected`](PublishError::InvalidSenderSelected), [`KeyTooLong`](PublishError::KeyTooLong).
    /// # Source
    /// Vectors `errors-001`, `internal-003`, `sender-selected-004`.
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

    // --- Look up -------------------------------------------------------------------------------------------------

    /// The exchange of this name.
    pub fn exchange(&self, name: &str) -> Option<ExchangeId> {
        self.exchange_names.get(name).copied()
    }

    /// The queue of this name.
    pub fn queue(&self, name: &str) -> Option<QueueId> {
        self.queue_names.get(name).copied()
    }

    /// The name of an exchange.
    pub fn exchange_name(&self, exchange: ExchangeId) -> Option<&str> {
        self.exchange_entry(exchange).map(|entry| &*entry.name)
    }

    /// The name of a queue.
    pub fn queue_name(&self, queue: QueueId) -> Option<&str> {
        self.queues.get(queue.0).map(|entry| &*entry.name)
    }

    /// What was declared of an exchange.
    pub fn exchange_properties(&self, exchange: ExchangeId) -> Option<&Exchange> {
        self.exchange_entry(exchange).map(|entry| &entry.exchange)
    }

    /// What was declared of a queue.
    pub fn queue_properties(&self, queue: QueueId) -> Option<&Queue> {
        self.queues.get(queue.0).map(|entry| &entry.queue)
    }

    /// Every exchange, the default one included, in the order of ids.
    pub fn exchanges(&self) -> impl Iterator<Item = (ExchangeId, &str, &Exchange)> {
        self.exchanges.iter().map(|(id, entry)| (ExchangeId(id), &*entry.name, &entry.exchange))
    }

    /// Every queue, in the order of ids.
    pub fn queues(&self) -> impl Iterator<Item = (QueueId, &str, &Queue)> {
        self.queues.iter().map(|(id, entry)| (QueueId(id), &*entry.name, &entry.queue))
    }

    /// Every binding but the implicit ones of the default exchange.
    pub fn bindings(&self) -> impl Iterator<Item = BindingRef<'_>> {
        self.bindings.iter().map(|(_, entry)| entry.as_ref())
    }

    /// The bindings whose source is this exchange. The implicit ones of the default exchange are not stored.
    pub fn bindings_from(&self, source: ExchangeId) -> impl Iterator<Item = BindingRef<'_>> {
        let ids = self.exchange_entry(source).map_or(&[][..], |entry| entry.outgoing.as_slice());
        self.binding_refs(ids)
    }

    /// The bindings that lead to this queue or exchange, the implicit ones apart.
    pub fn bindings_to(&self, destination: impl Into<Destination>) -> impl Iterator<Item = BindingRef<'_>> {
        let ids = match destination.into() {
            Destination::Queue(queue) => self.queues.get(queue.0).map(|entry| &entry.incoming),
            Destination::Exchange(exchange) => self.exchange_entry(exchange).map(|entry| &entry.incoming),
        };
        self.binding_refs(ids.map_or(&[][..], IdList::as_slice))
    }

    /// The number of exchanges (the default one included), queues and bindings (the implicit ones not).
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.exchanges.len(), self.queues.len(), self.bindings.len())
    }

    // --- Inside --------------------------------------------------------------------------------------------------

    pub(crate) fn exchange_entry(&self, exchange: ExchangeId) -> Option<&ExchangeEntry> {
        self.exchanges.get(exchange.0)
    }

    #[inline]
    pub(crate) fn destination(&self, binding: BindingId) -> Option<Destination> {
        self.bindings.get(binding.0).map(|entry| entry.destination)
    }

    pub(crate) fn binding(&self, binding: BindingId) -> Option<BindingRef<'_>> {
        self.bindings.get(binding.0).map(BindingEntry::as_ref)
    }

    pub(crate) fn exchange_bound(&self) -> usize {
        self.exchanges.bound()
    }

    pub(crate) fn queue_bound(&self) -> usize {
        self.queues.bound()
    }

    /// Declares an exchange out of a topology, where a broker's own names are no error.
    pub(crate) fn import_exchange(
        &mut self,
        name: &str,
        exchange: Exchange,
    ) -> Result<ExchangeId, DeclareError> {
        if is_reserved(name) && name.len() <= MAX_SHORT_STRING && self.exchange(name).is_none() {
            return Ok(self.add_exchange(name, exchange));
        }
        self.declare_exchange(name, exchange)
    }

    /// Declares a queue out of a topology, where a broker's own names are no error.
    pub(crate) fn import_queue(&mut self, name: &str, queue: Queue) -> Result<QueueId, DeclareError> {
        if is_reserved(name) && name.len() <= MAX_SHORT_STRING && self.queue(name).is_none() {
            return Ok(self.add_queue(name, queue));
        }
        self.declare_queue(name, queue)
    }

    fn add_exchange(&mut self, name: &str, exchange: Exchange) -> ExchangeId {
        let id = ExchangeId(self.exchanges.insert(ExchangeEntry {
            name: name.into(),
            exchange,
            index: Index::default(),
            outgoing: IdList::default(),
            incoming: IdList::default(),
        }));
        self.exchange_names.insert(name.into(), id);
        self.revision += 1;
        id
    }

    fn add_queue(&mut self, name: &str, queue: Queue) -> QueueId {
        let entry = QueueEntry { name: name.into(), queue, incoming: IdList::default() };
        let id = QueueId(self.queues.insert(entry));
        self.queue_names.insert(name.into(), id);
        self.revision += 1;
        id
    }

    fn binding_refs<'a>(&'a self, ids: &'a [BindingId]) -> impl Iterator<Item = BindingRef<'a>> {
        ids.iter().filter_map(|id| self.binding(*id))
    }

    fn check_ends(&self, source: ExchangeId, destination: Destination) -> Result<ExchangeKind, BindError> {
        if source == Self::DEFAULT_EXCHANGE || destination == Destination::Exchange(Self::DEFAULT_EXCHANGE) {
            return Err(BindError::DefaultExchange);
        }
        let no_exchange =
            |id: ExchangeId| BindError::ExchangeNotFound { name: alloc::format!("{id}").into() };
        let entry = self.exchange_entry(source).ok_or_else(|| no_exchange(source))?;
        match destination {
            Destination::Exchange(id) if self.exchange_entry(id).is_none() => Err(no_exchange(id)),
            Destination::Queue(id) if self.queues.get(id.0).is_none() => {
                Err(BindError::QueueNotFound { name: alloc::format!("{id}").into() })
            }
            _ => Ok(entry.exchange.kind()),
        }
    }

    fn find(
        &self,
        source: ExchangeId,
        destination: Destination,
        binding: &Binding<'_>,
        identity: &[u8],
    ) -> Option<BindingId> {
        let parts = (source, destination, binding.key, identity, binding.dialect, binding.pattern);
        let same = |id: &BindingId| self.bindings.get(id.0).is_some_and(|entry| entry.parts() == parts);
        self.identities.find(self.hasher.hash_one(parts), same).copied()
    }

    fn incoming(&mut self, destination: Destination) -> Option<&mut IdList> {
        match destination {
            Destination::Queue(id) => self.queues.get_mut(id.0).map(|entry| &mut entry.incoming),
            Destination::Exchange(id) => self.exchanges.get_mut(id.0).map(|entry| &mut entry.incoming),
        }
    }

    /// Takes a binding out of every place that knows it.
    fn remove_binding(&mut self, id: BindingId) {
        let Some(entry) = self.bindings.remove(id.0) else { return };
        if let Ok(occupied) = self.identities.find_entry(entry.hash(&self.hasher), |other| *other == id) {
            occupied.remove();
        }
        if let Some(source) = self.exchanges.get_mut(entry.source.0) {
            source.outgoing.remove(id);
            source.index.remove(id, &entry.key, &entry.place);
        }
        if let Some(incoming) = self.incoming(entry.destination) {
            incoming.remove(id);
        }
    }

    /// Removes bindings that led to a destination that is gone; returns their sources.
    fn remove_incoming(&mut self, incoming: &IdList) -> Vec<ExchangeId> {
        let ids = incoming.as_slice().iter();
        let sources = ids.filter_map(|id| {
            let source = self.bindings.get(id.0)?.source;
            self.remove_binding(*id);
            Some(source)
        });
        sources.collect()
    }

    /// Removes an exchange with its bindings; returns the exchanges that had a binding to it.
    fn remove_exchange(&mut self, exchange: ExchangeId) -> Vec<ExchangeId> {
        let Some(entry) = self.exchanges.remove(exchange.0) else { return Vec::new() };
        self.exchange_names.remove(&entry.name);
        for id in entry.outgoing.as_slice() {
            self.remove_binding(*id);
        }
        self.remove_incoming(&entry.incoming)
    }

    /// Deletes those of `sources` that are auto-delete and have no binding left, then those that led to them.
    fn collapse(&mut self, mut sources: Vec<ExchangeId>) {
        while let Some(source) = sources.pop() {
            let unused = self
                .exchange_entry(source)
                .is_some_and(|entry| entry.exchange.is_auto_delete() && entry.outgoing.is_empty());
            if unused {
                sources.extend(self.remove_exchange(source));
            }
        }
    }
}

impl ExchangeEntry {
    /// How many bindings have this exchange as their source.
    pub(crate) fn uses(&self) -> usize {
        self.outgoing.len()
    }
}

/// Everything by which a binding is told from others.
type Parts<'a> = (ExchangeId, Destination, &'a [u8], &'a [u8], Dialect, Option<&'a str>);

impl BindingEntry {
    fn parts(&self) -> Parts<'_> {
        let pattern = self.pattern.as_deref();
        (self.source, self.destination, &self.key, &self.identity, self.dialect, pattern)
    }

    fn hash(&self, hasher: &FixedState) -> u64 {
        hasher.hash_one(self.parts())
    }

    fn as_ref(&self) -> BindingRef<'_> {
        BindingRef {
            source: self.source,
            destination: self.destination,
            key: &self.key,
            arguments: &self.arguments,
            dialect: self.dialect,
            pattern: self.pattern.as_deref(),
        }
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
