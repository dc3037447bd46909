//! How a router keeps what it holds: every binding is known to the table, to the index of its source, to both ends
//! and to the set of identities, and leaves all of them at once.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::{BindingEntry, BindingRef, ExchangeEntry, QueueEntry, Router, is_reserved};
use crate::{
    Binding, Destination, Dialect, Exchange, ExchangeId, ExchangeKind, Queue, QueueId,
    error::{BindError, DeclareError, MAX_SHORT_STRING},
    id::BindingId,
    id_list::IdList,
    index::{Entry, Index, Matcher, Place},
};

impl Router {
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

    pub(super) fn add_exchange(&mut self, name: &str, exchange: Exchange) -> ExchangeId {
        let policy = self.policy_for(name);
        let id = ExchangeId(self.exchanges.insert(ExchangeEntry {
            name: name.into(),
            index: Index::new(self.seed, &exchange),
            exchange,
            policy,
            outgoing: IdList::default(),
            incoming: IdList::default(),
        }));
        self.exchange_names.insert(name.into(), id);
        self.revision += 1;
        id
    }

    pub(super) fn add_queue(&mut self, name: &str, queue: Queue) -> QueueId {
        let entry = QueueEntry { name: name.into(), queue, incoming: IdList::default() };
        let id = QueueId(self.queues.insert(entry));
        self.queue_names.insert(name.into(), id);
        self.revision += 1;
        id
    }

    pub(super) fn check_ends(
        &self,
        source: ExchangeId,
        destination: Destination,
    ) -> Result<ExchangeKind, BindError> {
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

    pub(super) fn find(
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

    pub(super) fn incoming(&mut self, destination: Destination) -> Option<&mut IdList> {
        match destination {
            Destination::Queue(id) => self.queues.get_mut(id.0).map(|entry| &mut entry.incoming),
            Destination::Exchange(id) => self.exchanges.get_mut(id.0).map(|entry| &mut entry.incoming),
        }
    }

    /// Makes a binding known in every place; the matcher is compiled, so that nothing can fail any more.
    pub(super) fn insert_binding(
        &mut self,
        source: ExchangeId,
        destination: Destination,
        binding: &Binding<'_>,
        identity: Vec<u8>,
        matcher: Matcher,
    ) {
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
            entry.index.insert(Entry::new(id, destination), binding.key, matcher)
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
    }

    /// Takes a binding out of every place that knows it.
    pub(super) fn remove_binding(&mut self, id: BindingId) {
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
    pub(super) fn remove_incoming(&mut self, incoming: &IdList) -> Vec<ExchangeId> {
        // From the end: taking the last of a sorted list moves nothing.
        let ids = incoming.as_slice().iter().rev();
        let sources = ids.filter_map(|id| {
            let source = self.bindings.get(id.0)?.source;
            self.remove_binding(*id);
            Some(source)
        });
        sources.collect()
    }

    /// Removes an exchange with its bindings; returns the exchanges that had a binding to it.
    pub(super) fn remove_exchange(&mut self, exchange: ExchangeId) -> Vec<ExchangeId> {
        let Some(entry) = self.exchanges.remove(exchange.0) else { return Vec::new() };
        self.exchange_names.remove(&entry.name);
        for id in entry.outgoing.as_slice().iter().rev() {
            self.remove_binding(*id);
        }
        self.remove_incoming(&entry.incoming)
    }

    /// Deletes those of `sources` that are auto-delete and have no binding left, then those that led to them.
    pub(super) fn collapse(&mut self, mut sources: Vec<ExchangeId>) {
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
    pub(super) fn parts(&self) -> Parts<'_> {
        let pattern = self.pattern.as_deref();
        (self.source, self.destination, &self.key, &self.identity, self.dialect, pattern)
    }

    pub(super) fn hash(&self, hasher: &FixedState) -> u64 {
        hasher.hash_one(self.parts())
    }

    pub(super) fn as_ref(&self) -> BindingRef<'_> {
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
