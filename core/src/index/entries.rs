//! Where a binding leads, and the bindings behind one key: almost always one.

use alloc::{boxed::Box, vec::Vec};

use crate::{
    Destination,
    chunks::{Chunks, Sorted},
    id::{BindingId, ExchangeId, QueueId},
};

/// A binding and where it leads, so that a route need not look the binding up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) binding: BindingId,
    pub(crate) target: Target,
}

#[cfg(test)]
impl Entry {
    /// The entry of a plain binding.
    pub(crate) fn new(binding: BindingId, destination: Destination) -> Self {
        Entry { binding, target: Target::new(destination, false) }
    }
}

/// A destination in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target(u32);

/// Marks an exchange; ids stay far below.
const EXCHANGE: u32 = 1 << 31;
/// Marks a binding beside which another with the same key may lead to the same queue: it has arguments, a pattern or a
/// dialect. All others are told apart by their destinations alone.
const SPECIAL: u32 = 1 << 30;

impl Target {
    pub(crate) fn new(destination: Destination, special: bool) -> Self {
        let special = if special { SPECIAL } else { 0 };
        match destination {
            Destination::Queue(queue) => Target(queue.0 | special),
            Destination::Exchange(exchange) => Target(exchange.0 | EXCHANGE | special),
        }
    }

    #[inline(always)]
    pub(crate) const fn destination(self) -> Destination {
        let number = self.0 & !(EXCHANGE | SPECIAL);
        if self.0 & EXCHANGE == 0 {
            Destination::Queue(QueueId(number))
        } else {
            Destination::Exchange(ExchangeId(number))
        }
    }

    #[inline(always)]
    pub(crate) const fn is_exchange(self) -> bool {
        self.0 & EXCHANGE != 0
    }

    /// The destination as a number, the same for the same destination.
    pub(crate) const fn number(self) -> u32 {
        self.0 & !SPECIAL
    }

    /// The queue, if this is one and no other binding of the same key leads there.
    #[inline(always)]
    pub(crate) const fn plain_queue(self) -> Option<QueueId> {
        if self.0 & (EXCHANGE | SPECIAL) == 0 { Some(QueueId(self.0)) } else { None }
    }
}

impl Sorted for Entry {
    fn binding(&self) -> BindingId {
        self.binding
    }
}

/// One entry or more, sorted by binding.
#[derive(Clone, Debug)]
pub(crate) struct Entries {
    first: Entry,
    more: Option<Box<Chunks<Entry>>>,
}

impl Entries {
    pub(crate) const fn new(entry: Entry) -> Self {
        Entries { first: entry, more: None }
    }

    pub(crate) fn insert(&mut self, mut entry: Entry) {
        if entry.binding < self.first.binding {
            core::mem::swap(&mut entry, &mut self.first);
        }
        self.more.get_or_insert_default().insert(entry);
    }

    /// Removes an entry; true if it was the last.
    pub(crate) fn remove(&mut self, binding: BindingId) -> bool {
        let Some(more) = &mut self.more else { return self.first.binding == binding };
        if self.first.binding == binding {
            if let Some(first) = more.first().copied() {
                more.remove(first.binding);
                self.first = first;
            }
        } else {
            more.remove(binding);
        }
        if more.is_empty() {
            self.more = None;
        }
        false
    }

    /// The target of the first, and read for that alone: what follows finds it in the cache.
    #[inline(always)]
    pub(crate) const fn touch(&self) -> u32 {
        self.first.target.0
    }

    #[inline(always)]
    pub(crate) fn for_each(&self, found: &mut impl FnMut(Entry)) {
        found(self.first);
        if let Some(more) = &self.more {
            more.iter().copied().for_each(found);
        }
    }

    /// The queue, if a plain binding to it is all there is.
    #[inline(always)]
    pub(crate) fn only_queue(&self) -> Option<QueueId> {
        if self.more.is_some() { None } else { self.first.target.plain_queue() }
    }

    /// Adds the queues, if there are only queues and no two are the same.
    #[inline(always)]
    pub(crate) fn plain_queues(&self, queues: &mut Vec<QueueId>) -> bool {
        let before = queues.len();
        let mut all = self.first.target.0;
        queues.push(QueueId(self.first.target.0));
        for slice in self.more.iter().flat_map(|more| more.slices()) {
            all = slice.iter().fold(all, |all, entry| all | entry.target.0);
            queues.extend(slice.iter().map(|entry| QueueId(entry.target.0)));
        }
        // One that is not plain takes all of them back: the message has to be walked.
        let plain = Target(all).plain_queue().is_some();
        if !plain {
            queues.truncate(before);
        }
        plain
    }
}
