//! What a router holds, by name and by id.

use super::{BindingRef, ExchangeEntry, Router};
use crate::{Binding, Destination, Exchange, ExchangeId, Queue, QueueId, chunks::Chunks, id::BindingId};

impl Router {
    /// The exchange of this name.
    ///
    /// ```
    /// use keyrail_core::{Exchange, ExchangeKind, Router};
    ///
    /// let mut router = Router::new();
    /// let orders = router.declare_exchange("orders", Exchange::new(ExchangeKind::Topic))?;
    /// assert_eq!(router.exchange("orders"), Some(orders));
    /// assert_eq!(router.exchange("Orders"), None); // names are compared byte by byte
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Cost
    /// One look-up in a hash table, whatever the number of exchanges.
    pub fn exchange(&self, name: &str) -> Option<ExchangeId> {
        let same = |id: &u32| self.exchanges.get(*id).is_some_and(|entry| *entry.name == *name);
        self.exchange_names.find(self.name_tag(name), same).map(|id| ExchangeId(*id))
    }

    /// The queue of this name.
    ///
    /// ```
    /// use keyrail_core::{Queue, Router};
    ///
    /// let mut router = Router::new();
    /// let mail = router.declare_queue("mail", Queue::new())?;
    /// assert_eq!(router.queue("mail"), Some(mail));
    /// router.delete_queue(mail);
    /// assert_eq!(router.queue("mail"), None);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Cost
    /// One look-up in a hash table, whatever the number of queues.
    pub fn queue(&self, name: &str) -> Option<QueueId> {
        let same = |id: &u32| self.queues.get(*id).is_some_and(|entry| *entry.name == *name);
        self.queue_names.find(self.name_tag(name), same).map(|id| QueueId(*id))
    }

    /// The name of an exchange.
    ///
    /// ```
    /// use keyrail_core::{ExchangeId, Router};
    ///
    /// let router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// assert_eq!(router.exchange_name(topic), Some("amq.topic"));
    /// assert_eq!(router.exchange_name(Router::DEFAULT_EXCHANGE), Some(""));
    /// assert_eq!(router.exchange_name(ExchangeId::from_index(99)), None);
    /// ```
    pub fn exchange_name(&self, exchange: ExchangeId) -> Option<&str> {
        self.exchange_entry(exchange).map(|entry| &*entry.name)
    }

    /// The name of a queue.
    ///
    /// ```
    /// use keyrail_core::{Message, Queue, Router, Routes};
    ///
    /// let mut router = Router::new();
    /// router.declare_queue("mail", Queue::new())?;
    /// let mut routes = Routes::new();
    /// let _ = router.route(Router::DEFAULT_EXCHANGE, &Message::new("mail"), &mut routes);
    /// let names = routes.queues().iter().filter_map(|queue| router.queue_name(*queue));
    /// assert!(names.eq(["mail"]));
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn queue_name(&self, queue: QueueId) -> Option<&str> {
        self.queues.get(queue.0).map(|entry| &*entry.name)
    }

    /// What was declared of an exchange.
    ///
    /// ```
    /// use keyrail_core::{ExchangeKind, Router};
    ///
    /// let router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// let properties = router.exchange_properties(topic).unwrap();
    /// assert!(properties.kind() == ExchangeKind::Topic && properties.is_durable());
    /// ```
    pub fn exchange_properties(&self, exchange: ExchangeId) -> Option<&Exchange> {
        self.exchange_entry(exchange).map(|entry| &entry.exchange)
    }

    /// What was declared of a queue.
    ///
    /// ```
    /// use keyrail_core::{Queue, Router};
    ///
    /// let mut router = Router::new();
    /// let mail = router.declare_queue("mail", Queue::new().durable(true))?;
    /// assert!(router.queue_properties(mail).unwrap().is_durable());
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn queue_properties(&self, queue: QueueId) -> Option<&Queue> {
        self.queues.get(queue.0).map(|entry| &entry.queue)
    }

    /// Every exchange, the default one included, in the order of ids.
    ///
    /// ```
    /// use keyrail_core::{ExchangeKind, Router};
    ///
    /// let router = Router::with_predeclared_exchanges();
    /// let headers = router.exchanges().filter(|(.., exchange)| exchange.kind() == ExchangeKind::Headers);
    /// assert!(headers.map(|(_, name, _)| name).eq(["amq.headers", "amq.match"]));
    /// ```
    pub fn exchanges(&self) -> impl Iterator<Item = (ExchangeId, &str, &Exchange)> {
        self.exchanges.iter().map(|(id, entry)| (ExchangeId(id), &*entry.name, &entry.exchange))
    }

    /// Every queue, in the order of ids.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let router = Topology::from_lines("orders topic: order.# -> audit\nqueue mail")?.router()?;
    /// let idle = router.queues().filter(|(id, ..)| router.bindings_to(*id).next().is_none());
    /// assert!(idle.map(|(_, name, _)| name).eq(["mail"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn queues(&self) -> impl Iterator<Item = (QueueId, &str, &Queue)> {
        self.queues.iter().map(|(id, entry)| (QueueId(id), &*entry.name, &entry.queue))
    }

    /// Every binding but the implicit ones of the default exchange.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let router = Topology::from_lines("a topic: x.* -> mail\nb fanout: -> mail")?.router()?;
    /// let sources = router.bindings().map(|binding| router.exchange_name(binding.source).unwrap());
    /// assert!(sources.eq(["a", "b"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bindings(&self) -> impl Iterator<Item = BindingRef<'_>> {
        self.bindings.iter().map(|(_, entry)| self.binding_ref(entry))
    }

    /// The bindings whose source is this exchange. The implicit ones of the default exchange are not stored.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let router = Topology::from_lines("a topic: x.* -> mail\na: y.# -> mail\nb fanout: -> mail")?.router()?;
    /// let from_a = router.bindings_from(router.exchange("a").unwrap());
    /// assert!(from_a.map(|binding| binding.key).eq([&b"x.*"[..], b"y.#"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Vectors `introspection-001` to `introspection-006`.
    pub fn bindings_from(&self, source: ExchangeId) -> impl Iterator<Item = BindingRef<'_>> {
        self.binding_refs(self.exchange_entry(source).map(|entry| &entry.outgoing))
    }

    /// The bindings that lead to this queue or exchange, the implicit ones apart.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let router = Topology::from_lines("a topic: x.* -> mail, exchange b\nb fanout: -> mail")?.router()?;
    /// let [mail, b] = [router.queue("mail").unwrap().into(), router.exchange("b").unwrap().into()];
    /// let count = |destination: keyrail_core::Destination| router.bindings_to(destination).count();
    /// assert_eq!((count(mail), count(b)), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Vectors `introspection-001` to `introspection-006`.
    pub fn bindings_to(&self, destination: impl Into<Destination>) -> impl Iterator<Item = BindingRef<'_>> {
        let ids = match destination.into() {
            Destination::Queue(queue) => self.queues.get(queue.0).map(|entry| &entry.incoming),
            Destination::Exchange(exchange) => self.exchange_entry(exchange).map(|entry| &entry.incoming),
        };
        self.binding_refs(ids)
    }

    /// The bindings that own the buckets of a consistent-hash exchange, in the order of these; none of any other exchange.
    ///
    /// Bindings alone do not say them: they belong to the first binding of a destination, in the order of binding, and
    /// unbinding any of its bindings takes them away. [`deal_buckets`](Self::deal_buckets) is the way back.
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let lines = "spread x-consistent-hash: 1 -> small\nspread: 3 -> large\nspread: 5 -> small";
    /// let router = Topology::from_lines(lines)?.router()?;
    /// let owners = router.bucket_owners(router.exchange("spread").unwrap());
    /// assert!(owners.map(|binding| binding.key).eq([&b"1"[..], b"3"])); // the second of `small` owns none
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// RabbitMQ 3.10; vectors `consistent-hash-001` to `consistent-hash-031`.
    pub fn bucket_owners(&self, exchange: ExchangeId) -> impl Iterator<Item = BindingRef<'_>> {
        self.ring(exchange).filter_map(|id| self.binding(id))
    }

    /// The number of exchanges (the default one included), queues and bindings (the implicit ones not).
    ///
    /// ```
    /// use keyrail_core::Topology;
    ///
    /// let router = Topology::from_lines("orders topic: order.# -> audit, mail")?.router()?;
    /// assert_eq!(router.counts(), (8, 2, 2)); // RabbitMQ's own exchanges are among the eight
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.exchanges.len(), self.queues.len(), self.bindings.len())
    }

    /// The binding with these ends and this content.
    pub(crate) fn binding_id(
        &self,
        source: ExchangeId,
        destination: Destination,
        binding: &Binding<'_>,
    ) -> Option<BindingId> {
        let identity = super::identity(binding);
        let hash = self.identity_hash(source, destination, binding, &identity);
        self.find(hash, source, destination, binding, &identity)
    }

    fn binding_refs<'a>(
        &'a self,
        ids: Option<&'a Chunks<BindingId>>,
    ) -> impl Iterator<Item = BindingRef<'a>> {
        ids.into_iter().flat_map(Chunks::iter).filter_map(|id| self.binding(*id))
    }

    #[inline(always)]
    pub(crate) fn exchange_entry(&self, exchange: ExchangeId) -> Option<&ExchangeEntry> {
        self.exchanges.get_near(exchange.0)
    }

    pub(crate) fn binding(&self, binding: BindingId) -> Option<BindingRef<'_>> {
        self.bindings.get(binding.0).map(|entry| self.binding_ref(entry))
    }

    /// The number of every binding, in the order of [`bindings`](Self::bindings).
    pub(crate) fn binding_ids(&self) -> impl Iterator<Item = BindingId> {
        self.bindings.iter().map(|(id, _)| BindingId(id))
    }

    /// The numbers of the bindings whose source is this exchange, sorted.
    pub(crate) fn binding_ids_from(&self, source: ExchangeId) -> impl Iterator<Item = BindingId> {
        self.exchange_entry(source).into_iter().flat_map(|entry| entry.outgoing.iter().copied())
    }

    pub(crate) fn exchange_bound(&self) -> usize {
        self.exchanges.bound()
    }

    pub(crate) fn binding_bound(&self) -> usize {
        self.bindings.bound()
    }

    pub(crate) fn queue_bound(&self) -> usize {
        self.queues.bound()
    }
}
