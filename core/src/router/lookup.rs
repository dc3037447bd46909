//! What a router holds, by name and by id.

use super::{BindingRef, ExchangeEntry, Router};
use crate::{Binding, Destination, Exchange, ExchangeId, Queue, QueueId, chunks::Chunks, id::BindingId};

impl Router {
    /// The exchange of this name.
    pub fn exchange(&self, name: &str) -> Option<ExchangeId> {
        let same = |id: &u32| self.exchanges.get(*id).is_some_and(|entry| *entry.name == *name);
        self.exchange_names.find(self.name_tag(name), same).map(|id| ExchangeId(*id))
    }

    /// The queue of this name.
    pub fn queue(&self, name: &str) -> Option<QueueId> {
        let same = |id: &u32| self.queues.get(*id).is_some_and(|entry| *entry.name == *name);
        self.queue_names.find(self.name_tag(name), same).map(|id| QueueId(*id))
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
        self.bindings.iter().map(|(_, entry)| self.binding_ref(entry))
    }

    /// The bindings whose source is this exchange. The implicit ones of the default exchange are not stored.
    pub fn bindings_from(&self, source: ExchangeId) -> impl Iterator<Item = BindingRef<'_>> {
        self.binding_refs(self.exchange_entry(source).map(|entry| &entry.outgoing))
    }

    /// The bindings that lead to this queue or exchange, the implicit ones apart.
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
    /// # Source
    /// RabbitMQ 3.10; vectors `consistent-hash-001` to `consistent-hash-031`.
    pub fn bucket_owners(&self, exchange: ExchangeId) -> impl Iterator<Item = BindingRef<'_>> {
        self.ring(exchange).filter_map(|id| self.binding(id))
    }

    /// The number of exchanges (the default one included), queues and bindings (the implicit ones not).
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
