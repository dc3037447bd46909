//! Whole keys: the bindings of a direct exchange.

use super::{
    entries::{Entries, Entry},
    leaf::Leaf,
};
use crate::{
    hash::{IN_PLACE, hash, tag},
    id::{BindingId, QueueId},
    same::same,
    slots::Slots,
    tags::Tags,
};

/// A hash table over binding keys. A look-up reads a slot of the table and a leaf.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    seed: u64,
    table: Tags<u32>,
    leaves: Slots<Leaf>,
}

/// What is said of a key at a glance.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Quick<'a> {
    Queue(QueueId),
    Several(&'a Entries),
    Nothing,
    Unsure,
}

impl Keys {
    pub(crate) fn new(seed: u64) -> Self {
        Keys { seed, ..Keys::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Adds a binding, and says which leaf has its key.
    pub(crate) fn insert(&mut self, key: &[u8], entry: Entry) -> u32 {
        let tag = tag(hash(self.seed, key));
        if let Some(&number) = self.table.find(tag, |number| self.has(*number, key))
            && let Some(leaf) = self.leaves.get_mut(number)
        {
            leaf.entries.insert(entry);
            return number;
        }
        let number = self.leaves.insert(Leaf::new(key, entry));
        self.table.insert(tag, number);
        number
    }

    pub(crate) fn remove(&mut self, number: u32, binding: BindingId) {
        let Some(leaf) = self.leaves.get_mut(number) else { return };
        if leaf.entries.remove(binding) {
            let tag = tag(hash(self.seed, leaf.key()));
            self.table.remove(tag, |other| *other == number);
            self.leaves.remove(number);
        }
    }

    pub(crate) fn key(&self, number: u32) -> &[u8] {
        self.leaves.get(number).map_or(&[], Leaf::key)
    }

    /// The bindings of this key.
    pub(crate) fn find(&self, key: &[u8]) -> Option<&Entries> {
        let number = self.table.find(tag(hash(self.seed, key)), |number| self.has(*number, key))?;
        self.leaves.get(*number).map(|leaf| &leaf.entries)
    }

    /// The only queue of this key, or that nothing has this key, if that is said without a call: then whoever asks needs no
    /// frame, and most messages are answered so.
    #[inline(always)]
    pub(crate) fn quick(&self, key: &[u8]) -> Quick<'_> {
        if key.len() > IN_PLACE {
            return Quick::Unsure;
        }
        let Some(number) = self.table.first(tag(hash(self.seed, key))) else { return Quick::Nothing };
        match self.leaves.get(*number) {
            Some(leaf) if same(leaf.key(), key) => {
                leaf.entries.only_queue().map_or(Quick::Several(&leaf.entries), Quick::Queue)
            }
            _ => Quick::Unsure,
        }
    }

    fn has(&self, number: u32, key: &[u8]) -> bool {
        self.leaves.get(number).is_some_and(|leaf| leaf.key() == key)
    }
}
