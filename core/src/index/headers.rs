//! The bindings of a headers exchange, found by the headers that they share with a message.
//!
//! A binding that wants all of its arguments is found by one of them, the one that the fewest bindings are found by; a
//! binding that wants any is found by each. A message looks up each of its headers, once with its value and once for
//! its presence, and only what is found is compared. Hashes lead to bindings and decide nothing.

use alloc::{boxed::Box, vec::Vec};

use super::entries::Entry;
use crate::{
    Message, Value,
    chunks::Chunks,
    error::BindError,
    hash::{hash, join, tag},
    id::BindingId,
    message::BCC,
    slots::Slots,
    sort,
    tags::Tags,
    work::Work,
};

mod pattern;

pub(crate) use pattern::{HeadersPattern, SortedHeaders};

#[derive(Clone, Debug, Default)]
pub(crate) struct HeadersIndex {
    seed: u64,
    patterns: Slots<Kept>,
    anchors: Slots<Anchor>,
    by_hash: Tags<u32>,
    /// Bindings that want all of no arguments.
    always: Chunks<Entry>,
    /// The arguments of all patterns, and one for each pattern.
    states: usize,
}

#[derive(Clone, Debug)]
struct Kept {
    entry: Entry,
    pattern: HeadersPattern,
    /// The bits of what it wants all of: a message that lacks one of them lacks an argument.
    needed: u64,
    /// The anchors that lead here, and the place in the list of each.
    places: Box<[(u32, u32)]>,
}

/// A header with its value, or the presence of one.
#[derive(Clone, Debug)]
struct Anchor {
    hash: u64,
    patterns: Vec<u32>,
}

/// Where a pattern is kept: its number, if it wants anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot(Option<u32>);

/// Memory that a match needs, kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct HeadersScratch {
    hashes: Vec<u64>,
    order: Vec<u32>,
}

impl HeadersIndex {
    pub(crate) fn new(seed: u64) -> Self {
        HeadersIndex { seed, ..HeadersIndex::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.always.is_empty()
    }

    /// Whether no part of any pattern is left.
    #[cfg(test)]
    pub(crate) fn is_clean(&self) -> bool {
        self.is_empty() && self.anchors.is_empty() && self.by_hash.is_empty() && self.states == 0
    }

    /// The most steps that a route takes here: all bindings compared, argument by argument.
    pub(crate) const fn worst_case(&self) -> u64 {
        self.states as u64
    }

    pub(crate) fn insert(&mut self, entry: Entry, pattern: HeadersPattern) -> Spot {
        if pattern.wanted().len() == 0 {
            if !pattern.is_any() {
                self.always.insert(entry);
            }
            return Spot(None);
        }
        let mut hashes: Vec<u64> =
            pattern.wanted().map(|(name, value)| self.wanted_hash(name, value)).collect();
        sort::sort(&mut hashes);
        hashes.dedup();
        let mut needed = 0;
        if !pattern.is_any() {
            needed = hashes.iter().fold(0, |bits, hash| bits | bit(*hash));
            let rarest = hashes.iter().copied().min_by_key(|hash| self.uses(*hash));
            hashes.clear();
            hashes.extend(rarest);
        }
        self.states += pattern.wanted().len() + 1;
        let id = self.patterns.insert(Kept { entry, pattern, needed, places: Box::default() });
        let places: Box<[(u32, u32)]> = hashes.into_iter().map(|hash| self.list(hash, id)).collect();
        if let Some(kept) = self.patterns.get_mut(id) {
            kept.places = places;
        }
        Spot(Some(id))
    }

    pub(crate) fn remove(&mut self, spot: Spot, binding: BindingId) {
        let Spot(Some(id)) = spot else {
            self.always.remove(binding);
            return;
        };
        let Some(kept) = self.patterns.remove(id) else { return };
        self.states -= kept.pattern.wanted().len() + 1;
        for (number, at) in kept.places {
            self.unlist(number, at);
        }
    }

    /// Calls `found` with each binding that matches; one that wants any of its arguments may come several times.
    pub(crate) fn matches(
        &self,
        message: &Message<'_>,
        scratch: &mut HeadersScratch,
        work: &mut Work,
        found: &mut impl FnMut(Entry),
    ) {
        self.always.iter().copied().for_each(&mut *found);
        let Some(table) = message.header_table().filter(|_| !self.patterns.is_empty()) else { return };
        let HeadersScratch { hashes, order } = scratch;
        hashes.clear();
        let mut bits = 0;
        for (name, value) in table.iter().filter(|(name, _)| *name != BCC) {
            let name = hash(self.seed, name);
            for hash in [join(name, value.match_hash(self.seed)), join(name, PRESENT)] {
                bits |= bit(hash);
                hashes.push(hash);
            }
        }
        work.add(hashes.len());
        // Sorted for the first binding that is compared.
        let (mut sorted, mut order) = (None, Some(order));
        for hash in hashes.iter() {
            let Some(anchor) = self.anchor(*hash).and_then(|number| self.anchors.get(number)) else {
                continue;
            };
            for kept in anchor.patterns.iter().filter_map(|id| self.patterns.get(*id)) {
                work.add(1);
                if kept.needed & !bits != 0 {
                    continue;
                }
                if let Some(order) = order.take() {
                    sorted = Some(SortedHeaders::sort(Some(table), order));
                }
                let Some(headers) = &sorted else { return };
                work.add(kept.pattern.wanted().len());
                if kept.pattern.matches(headers) {
                    found(kept.entry);
                }
            }
        }
    }

    /// Void in a binding asks for presence alone.
    fn wanted_hash(&self, name: &[u8], value: &Value) -> u64 {
        let value = if matches!(value, Value::Void) { PRESENT } else { value.match_hash(self.seed) };
        join(hash(self.seed, name), value)
    }

    fn anchor(&self, hash: u64) -> Option<u32> {
        let same = |number: &u32| self.anchors.get(*number).is_some_and(|anchor| anchor.hash == hash);
        self.by_hash.find(tag(hash), same).copied()
    }

    fn uses(&self, hash: u64) -> usize {
        let anchor = self.anchor(hash).and_then(|number| self.anchors.get(number));
        anchor.map_or(0, |anchor| anchor.patterns.len())
    }

    /// Makes a pattern known to an anchor; says to which, and where in its list.
    fn list(&mut self, hash: u64, id: u32) -> (u32, u32) {
        let number = self.anchor(hash).unwrap_or_else(|| {
            let number = self.anchors.insert(Anchor { hash, patterns: Vec::new() });
            self.by_hash.insert(tag(hash), number);
            number
        });
        let patterns = self.anchors.get_mut(number).map(|anchor| &mut anchor.patterns);
        let at = patterns.map_or(0, |patterns| {
            patterns.push(id);
            patterns.len() - 1
        });
        (number, at as u32)
    }

    fn unlist(&mut self, number: u32, at: u32) {
        let Some(anchor) = self.anchors.get_mut(number) else { return };
        anchor.patterns.swap_remove(at as usize);
        if let Some(moved) = anchor.patterns.get(at as usize).and_then(|id| self.patterns.get_mut(*id))
            && let Some(place) = moved.places.iter_mut().find(|(other, _)| *other == number)
        {
            place.1 = at;
        }
        if anchor.patterns.is_empty()
            && let Some(anchor) = self.anchors.remove(number)
        {
            self.by_hash.remove(tag(anchor.hash), |other| *other == number);
        }
    }
}

/// One of 64 bits for a hash.
#[inline(always)]
const fn bit(hash: u64) -> u64 {
    1 << (hash & 63)
}

/// Stands for the value where only presence counts.
const PRESENT: u64 = 0x7072_6573_656e_7421;

impl HeadersPattern {
    /// Decides how the arguments of a binding are compared.
    pub(crate) fn of(binding: &crate::Binding<'_>) -> Result<Self, BindError> {
        const NONE: &crate::Table = &crate::Table::new();
        HeadersPattern::compile(binding.arguments.unwrap_or(NONE))
    }
}
