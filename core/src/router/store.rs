//! How a router keeps what it holds: every binding is known to the table, to the index of its source, to both ends
//! and to the set of identities, and leaves all of them at once.

use alloc::vec::Vec;

use super::{
    ExchangeEntry, QueueEntry, Router,
    bindings::{self, BindingEntry, Extra},
    is_reserved,
};
use crate::{
    Binding, Destination, Exchange, ExchangeId, ExchangeKind, Queue, QueueId,
    chunks::Chunks,
    error::{BindError, DeclareError, MAX_SHORT_STRING},
    hash::{hash, tag},
    id::BindingId,
    index::{Entry, Index, Matcher, Place, Target},
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
            outgoing: Chunks::default(),
            incoming: Chunks::default(),
        }));
        self.exchange_names.insert(self.name_tag(name), id.0);
        self.revision += 1;
        id
    }

    pub(super) fn add_queue(&mut self, name: &str, queue: Queue) -> QueueId {
        let entry = QueueEntry { name: name.into(), queue, incoming: Chunks::default() };
        let id = QueueId(self.queues.insert(entry));
        self.queue_names.insert(self.name_tag(name), id.0);
        self.revision += 1;
        id
    }

    /// The tag of a name in the tables of names.
    pub(super) fn name_tag(&self, name: &str) -> u32 {
        tag(hash(self.seed, name.as_bytes()))
    }

    pub(super) fn remove_queue(&mut self, queue: QueueId) -> Option<QueueEntry> {
        let entry = self.queues.remove(queue.0)?;
        self.queue_names.remove(self.name_tag(&entry.name), |id| *id == queue.0);
        Some(entry)
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

    pub(super) fn incoming(&mut self, destination: Destination) -> Option<&mut Chunks<BindingId>> {
        match destination {
            Destination::Queue(id) => self.queues.get_mut(id.0).map(|entry| &mut entry.incoming),
            Destination::Exchange(id) => self.exchanges.get_mut(id.0).map(|entry| &mut entry.incoming),
        }
    }

    /// Makes a binding known in every place; the matcher is compiled, so that nothing can fail any more.
    pub(super) fn insert_binding(
        &mut self,
        hash: u64,
        source: ExchangeId,
        destination: Destination,
        binding: &Binding<'_>,
        identity: Vec<u8>,
        mut matcher: Matcher,
    ) -> BindingId {
        let target = Target::new(destination, !bindings::is_plain(binding, &identity));
        let words = match &mut matcher {
            Matcher::Words(_, words) => words.take(),
            _ => None,
        };
        // Filled in below: only the index knows the place, and it wants the number.
        let entry = BindingEntry { source, target, place: Place::Always, extra: bindings::NONE };
        let id = BindingId(self.bindings.insert(entry));
        let mut place = Place::Always;
        if let Some(entry) = self.exchanges.get_mut(source.0) {
            entry.outgoing.insert(id);
            count_kind(entry.exchange.kind(), &mut self.headers_bindings, &mut self.chosen_bindings, 1);
            let key = words.as_deref().unwrap_or(binding.key);
            place = entry.index.insert(Entry { binding: id, target }, key, matcher, &mut self.words);
        }
        let extra = Extra::of(binding, identity, words, place.keeps_key());
        let extra = extra.map_or(bindings::NONE, |extra| self.extras.insert(extra));
        if let Some(entry) = self.bindings.get_mut(id.0) {
            (entry.place, entry.extra) = (place, extra);
        }
        if let Some(incoming) = self.incoming(destination) {
            incoming.insert(id);
        }
        self.identities.insert(tag(hash), id.0);
        self.revision += 1;
        id
    }

    /// Takes a binding out of every place that knows it.
    pub(super) fn remove_binding(&mut self, id: BindingId) {
        let Some(&entry) = self.bindings.get(id.0) else { return };
        self.identities.remove(tag(self.hash_of(&entry)), |other| *other == id.0);
        let moved = match self.extras.remove(entry.extra) {
            None => self.remove_from_source(id, &entry, &[]),
            Some(extra) => self.remove_from_source(id, &entry, extra.words()),
        };
        if let Some(moved) = moved.and_then(|moved| self.bindings.get_mut(moved.0)) {
            moved.place = entry.place;
        }
        if let Some(incoming) = self.incoming(entry.target.destination()) {
            incoming.remove(id);
        }
        self.bindings.remove(id.0);
    }

    /// Returns the binding that has the place of the removed one from now on, if any.
    fn remove_from_source(&mut self, id: BindingId, entry: &BindingEntry, words: &[u8]) -> Option<BindingId> {
        let source = self.exchanges.get_mut(entry.source.0)?;
        source.outgoing.remove(id);
        count_kind(source.exchange.kind(), &mut self.headers_bindings, &mut self.chosen_bindings, -1);
        source.index.remove(Entry { binding: id, target: entry.target }, words, entry.place, &mut self.words)
    }

    /// Removes bindings that led to a destination that is gone; returns their sources.
    pub(super) fn remove_incoming(&mut self, incoming: &Chunks<BindingId>) -> Vec<ExchangeId> {
        // From the end: taking the last of a sorted list moves nothing.
        let sources = incoming.iter().rev().filter_map(|id| {
            let source = self.bindings.get(id.0)?.source;
            self.remove_binding(*id);
            Some(source)
        });
        sources.collect()
    }

    /// Removes an exchange with its bindings; returns the exchanges that had a binding to it.
    pub(super) fn remove_exchange(&mut self, exchange: ExchangeId) -> Vec<ExchangeId> {
        let Some(entry) = self.exchange_entry(exchange) else { return Vec::new() };
        let name = self.name_tag(&entry.name);
        // While the exchange is still there: the keys of its bindings are in its index.
        let outgoing: Vec<BindingId> = entry.outgoing.iter().copied().collect();
        self.exchange_names.remove(name, |id| *id == exchange.0);
        for id in outgoing.iter().rev() {
            self.remove_binding(*id);
        }
        match self.exchanges.remove(exchange.0) {
            Some(entry) => self.remove_incoming(&entry.incoming),
            None => Vec::new(),
        }
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

/// Counts bindings by what decides beside the routing key.
fn count_kind(kind: ExchangeKind, headers: &mut usize, chosen: &mut usize, by: isize) {
    let count = match kind {
        ExchangeKind::Headers => headers,
        ExchangeKind::ConsistentHash | ExchangeKind::Random => chosen,
        ExchangeKind::Direct | ExchangeKind::Fanout | ExchangeKind::Topic => return,
    };
    *count = count.saturating_add_signed(by);
}
