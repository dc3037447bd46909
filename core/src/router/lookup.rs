//! What a router holds, by name and by id.

use super::{BindingRef, ExchangeEntry, Router};
use crate::{Binding, Destination, Exchange, ExchangeId, Queue, QueueId, id::BindingId, id_list::IdList};

impl Router {
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

    /// The binding with these ends and this content.
    pub(crate) fn binding_id(
        &self,
        source: ExchangeId,
        destination: Destination,
        binding: &Binding<'_>,
    ) -> Option<BindingId> {
        self.find(source, destination, binding, &super::identity(binding))
    }

    /// The bindings whose source is this exchange, oldest place first.
    pub(crate) fn binding_ids_from(&self, source: ExchangeId) -> &[BindingId] {
        self.exchange_entry(source).map_or(&[], |entry| entry.outgoing.as_slice())
    }

    fn binding_refs<'a>(&'a self, ids: &'a [BindingId]) -> impl Iterator<Item = BindingRef<'a>> {
        ids.iter().filter_map(|id| self.binding(*id))
    }

    pub(crate) fn exchange_entry(&self, exchange: ExchangeId) -> Option<&ExchangeEntry> {
        self.exchanges.get(exchange.0)
    }

    pub(crate) fn binding(&self, binding: BindingId) -> Option<BindingRef<'_>> {
        self.bindings.get(binding.0).map(super::BindingEntry::as_ref)
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
