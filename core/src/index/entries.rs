//! The destinations behind one pattern: almost always one.

use alloc::{boxed::Box, vec::Vec};

use crate::{
    Destination,
    id::{BindingId, ExchangeId, QueueId},
};

/// A binding and where it leads, so that a route need not look the binding up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) binding: BindingId,
    destination: u32,
}

/// Marks an exchange among the packed destinations; ids stay far below.
const EXCHANGE: u32 = 1 << 31;

impl Entry {
    pub(crate) fn new(binding: BindingId, destination: Destination) -> Self {
        let destination = match destination {
            Destination::Queue(queue) => queue.0,
            Destination::Exchange(exchange) => exchange.0 | EXCHANGE,
        };
        Entry { binding, destination }
    }

    #[inline(always)]
    pub(crate) fn destination(self) -> Destination {
        if self.destination & EXCHANGE == 0 {
            Destination::Queue(QueueId(self.destination))
        } else {
            Destination::Exchange(ExchangeId(self.destination & !EXCHANGE))
        }
    }
}

/// One entry or more, sorted by binding.
#[derive(Clone, Debug)]
#[allow(clippy::box_collection)] // Eight bytes instead of twenty-four in every leaf, for the few that need more.
pub(crate) struct Entries {
    first: Entry,
    more: Option<Box<Vec<Entry>>>,
}

impl Entries {
    pub(crate) fn new(entry: Entry) -> Self {
        Entries { first: entry, more: None }
    }

    pub(crate) fn insert(&mut self, mut entry: Entry) {
        if entry.binding < self.first.binding {
            core::mem::swap(&mut entry, &mut self.first);
        }
        let more = self.more.get_or_insert_default();
        let at = more.partition_point(|other| other.binding < entry.binding);
        more.insert(at, entry);
    }

    /// Removes an entry; true if it was the last.
    pub(crate) fn remove(&mut self, binding: BindingId) -> bool {
        let Some(more) = &mut self.more else { return self.first.binding == binding };
        if self.first.binding == binding {
            self.first = more.remove(0);
        } else if let Ok(at) = more.binary_search_by_key(&binding, |entry| entry.binding) {
            more.remove(at);
        }
        if more.is_empty() {
            self.more = None;
        }
        false
    }

    #[inline(always)]
    pub(crate) fn for_each(&self, found: &mut impl FnMut(Entry)) {
        found(self.first);
        if let Some(more) = &self.more {
            more.iter().copied().for_each(found);
        }
    }
}

/// Any number of entries, sorted by binding: compact, and cheap to append to, since a new binding usually has the
/// largest number.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntryList(Vec<Entry>);

impl EntryList {
    pub(crate) fn insert(&mut self, entry: Entry) {
        let at = match self.0.last() {
            Some(last) if last.binding > entry.binding => {
                self.0.partition_point(|other| other.binding < entry.binding)
            }
            _ => self.0.len(),
        };
        self.0.insert(at, entry);
    }

    pub(crate) fn remove(&mut self, binding: BindingId) {
        if let Ok(at) = self.0.binary_search_by_key(&binding, |entry| entry.binding) {
            self.0.remove(at);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline(always)]
    pub(crate) fn for_each(&self, found: &mut impl FnMut(Entry)) {
        self.0.iter().copied().for_each(found);
    }
}
