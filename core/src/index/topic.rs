//! Topic patterns in RabbitMQ's dialect, found by their shape.
//!
//! Patterns are grouped by *shape*: how many words, which of them are `*`, where the one `#` stands. Within a shape a
//! pattern is its literal words, so one look-up tells whether a routing key has it, and a route asks each shape that the
//! key can have. A dictionary over (position, word) leaves most shapes out first: where no pattern of a shape has this
//! word at this position, the shape is not asked. What has several `#` is in [`Many`].
//!
//! No operation moves more than a few thousand entries, whatever the size of the table: [`Tags`], [`Slots`].

use alloc::vec::Vec;
use core::hint::black_box;

use super::{
    entries::Entry,
    leaf::Leaf,
    words::{Text, Words, placed},
};
use crate::{automaton, hash::tag, id::BindingId, slots::Slots, tags::Tags, work::Work};

mod bulk;
mod known;
mod many;
mod shape;

pub(crate) use bulk::Bulk;
use known::Dictionary;
use many::{Asked, Many};
pub(crate) use shape::Form;
use shape::{FILTERED, POSITIONS, Shapes};

/// The topic patterns of one exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicIndex {
    seed: u64,
    shapes: Shapes,
    /// Leaves by the hash of shape and literal words.
    table: Tags<u32>,
    leaves: Slots<Leaf>,
    dictionary: Dictionary,
    many: Many,
}

/// Where a pattern is kept: the number of its leaf, or with [`MANY`] that of a pattern with several `#`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot(u32);

const MANY: u32 = 1 << 31;

/// Memory that a match needs, kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct TopicScratch {
    words: Words,
    many: Asked,
    hits: Hits,
    staged: Vec<Staged>,
}

/// What is left of the shapes of a set when their filters were asked: at most as many as are in a set.
#[derive(Debug)]
struct Hits([Staged; FILTERED as usize]);

impl Default for Hits {
    fn default() -> Self {
        Hits([Staged { shape: 0, number: 0 }; FILTERED as usize])
    }
}

/// What a look-up goes on with when those before it have begun.
#[derive(Clone, Copy, Debug)]
struct Staged {
    shape: u32,
    /// First the tag, then the leaf.
    number: u32,
}

/// Tables of so few shapes are asked without the dictionary, which would cost more than it saves.
const FEW: usize = 4;
/// From so many leaves on they do not fit into the fast caches, and a route reads ahead. Tests take both ways.
const STAGED: usize = if cfg!(test) { 64 } else { 1 << 18 };

impl TopicScratch {
    /// Counts on with every pattern that is asked one by one, and every shape that no dictionary leaves out.
    #[inline(always)]
    pub(crate) const fn costs(&self) -> u32 {
        self.many.costs
    }

    #[inline(always)]
    pub(crate) const fn set_costs(&mut self, costs: u32) {
        self.many.costs = costs;
    }
}

impl TopicIndex {
    pub(crate) fn new(seed: u64) -> Self {
        TopicIndex { seed, many: Many::new(seed), ..TopicIndex::default() }
    }

    /// Adds a binding, and says where its pattern is kept. `words` is memory to work with.
    pub(crate) fn insert(&mut self, key: &[u8], entry: Entry, words: &mut Words) -> Spot {
        match words.split_apart(self.seed, key) {
            Some(text) => self.insert_text(key, text, entry),
            None => self.insert_text(key, words.split_long(self.seed, key), entry),
        }
    }

    fn insert_text(&mut self, key: &[u8], words: impl Text, entry: Entry) -> Spot {
        let Some(form) = Form::of(key, words) else {
            return Spot(self.many.insert(key, words, entry) | MANY);
        };
        if let Some(number) = self.find(&form, key, words)
            && let Some(leaf) = self.leaves.get_mut(number)
        {
            leaf.entries.insert(entry);
            return Spot(number);
        }
        let shape = self.shapes.take(form);
        let hash = form.hash(self.shapes.seed(shape), words);
        self.shapes.note(shape, hash, words.list().last().map_or(0, |word| word.hash));
        let number = self.leaves.insert(Leaf::new(key, entry));
        self.table.insert(tag(hash), number);
        let bit = if shape < FILTERED { 1 << shape } else { 0 };
        for hash in literals(&form, words) {
            self.dictionary.learn(hash, bit, 1);
        }
        Spot(number)
    }

    pub(crate) fn remove(&mut self, spot: Spot, binding: BindingId, words: &mut Words) {
        if spot.0 & MANY != 0 {
            self.many.remove(spot.0 & !MANY, binding);
            return;
        }
        let Some(leaf) = self.leaves.get_mut(spot.0) else { return };
        if !leaf.entries.remove(binding) {
            return;
        }
        let Some(leaf) = self.leaves.remove(spot.0) else { return };
        match words.split_apart(self.seed, leaf.key()) {
            Some(text) => self.forget(spot.0, leaf.key(), text),
            None => self.forget(spot.0, leaf.key(), words.split_long(self.seed, leaf.key())),
        }
    }

    /// Takes a pattern out of whatever leads to its leaf.
    fn forget(&mut self, number: u32, key: &[u8], words: impl Text) {
        let Some(form) = Form::of(key, words) else { return };
        let Some(shape) = self.shapes.find(&form) else { return };
        let hash = form.hash(self.shapes.seed(shape), words);
        self.table.remove(tag(hash), |other| *other == number);
        for hash in literals(&form, words) {
            self.dictionary.forget(hash);
        }
        self.shapes.release(shape);
    }

    /// The binding key of a pattern.
    pub(crate) fn key(&self, spot: Spot) -> &[u8] {
        if spot.0 & MANY != 0 {
            return self.many.key(spot.0 & !MANY);
        }
        self.leaves.get(spot.0).map_or(&[], Leaf::key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.many.is_empty()
    }

    /// Whether no part of any pattern is left.
    #[cfg(test)]
    pub(crate) fn is_clean(&self) -> bool {
        self.is_empty() && self.shapes.is_clean() && self.dictionary.is_empty() && self.leaves.is_empty()
    }

    /// The most steps that a route takes here, whatever its key, with what it spends on an automaton.
    pub(crate) fn worst_case(&self, words: usize) -> u64 {
        let steps = self.steps(words);
        steps + automaton::cost(self.patterns(), words, steps)
    }

    /// The most steps that matching a key of so many words takes: a word looked up, a shape asked, a state moved.
    pub(crate) fn steps(&self, words: usize) -> u64 {
        let shapes = self.shapes.worst_case();
        words as u64 * (1 + self.many.states() as u64) + shapes
    }

    /// How many patterns there are.
    pub(crate) fn patterns(&self) -> usize {
        self.leaves.len() + self.many.len()
    }

    /// The pattern with this number; `Some(None)` if it is gone, `None` behind the last.
    pub(crate) fn pattern(&self, number: u32) -> Option<Option<&[u8]>> {
        let number = number as usize;
        if number < self.leaves.bound() {
            return Some(self.leaves.get(number as u32).map(Leaf::key));
        }
        self.many.pattern((number - self.leaves.bound()) as u32)
    }

    /// Calls `found` with each binding whose pattern matches, each once.
    #[inline(always)]
    pub(crate) fn matches(
        &self,
        key: &[u8],
        scratch: &mut TopicScratch,
        work: &mut Work,
        found: &mut impl FnMut(Entry),
    ) {
        let TopicScratch { words, many, hits, staged } = scratch;
        match words.split(self.seed, key) {
            Some(text) => self.matches_text(key, text, many, hits, staged, work, found),
            None => self.matches_long(key, scratch, work, found),
        }
    }

    /// The same where it is one of several ways to match: compiled once for all who listen.
    #[inline(never)]
    pub(crate) fn matches_apart(
        &self,
        key: &[u8],
        scratch: &mut TopicScratch,
        work: &mut Work,
        mut found: &mut dyn FnMut(Entry),
    ) {
        self.matches(key, scratch, work, &mut found);
    }

    /// For a key that is longer than AMQP's longest.
    #[cold]
    #[inline(never)]
    fn matches_long(
        &self,
        key: &[u8],
        scratch: &mut TopicScratch,
        work: &mut Work,
        mut found: &mut dyn FnMut(Entry),
    ) {
        let TopicScratch { words, many, hits, staged } = scratch;
        self.matches_text(key, words.split_long(self.seed, key), many, hits, staged, work, &mut found);
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // The memory of one route taken apart.
    fn matches_text(
        &self,
        key: &[u8],
        words: impl Text,
        many: &mut Asked,
        hits: &mut Hits,
        staged: &mut Vec<Staged>,
        work: &mut Work,
        found: &mut impl FnMut(Entry),
    ) {
        let shapes = self.shapes.of_length(words.count());
        work.add(words.count());
        let mut filtered = shapes.filtered;
        if self.shapes.len() > FEW {
            filtered = self.narrow(filtered, words);
        }
        if self.table.len() >= STAGED {
            many.costs = many.costs.wrapping_add(shapes.others.len() as u32);
            self.ask_staged(filtered, &shapes.others, key, words, staged, work, found);
        } else {
            let (mut base, mut set, mut rest) = (0, filtered as u64, (filtered >> 64) as u64);
            let mut count = 0;
            loop {
                if set == 0 {
                    if rest == 0 {
                        break;
                    }
                    (base, set, rest) = (64, rest, 0);
                }
                work.add(1);
                let number = base + set.trailing_zeros();
                set &= set - 1;
                let Some(shape) = self.shapes.get(number) else { continue };
                let hash = shape.form.hash(shape.seed, words);
                if shape.may_have(hash) {
                    hits.0[count % FILTERED as usize] = Staged { shape: number, number: tag(hash) };
                    count += 1;
                }
            }
            if count > 0 {
                self.ask(hits, count, key, words, found);
            }
            if !shapes.others.is_empty() {
                many.costs = many.costs.wrapping_add(shapes.others.len() as u32);
                self.ask_others(&shapes.others, key, words, work, found);
            }
        }
        if !self.many.is_empty() {
            self.many.matches(key, words, many, work, found);
        }
    }

    /// More shapes than the dictionary holds.
    #[cold]
    #[inline(never)]
    fn ask_others(
        &self,
        others: &[u32],
        key: &[u8],
        words: impl Text,
        work: &mut Work,
        found: &mut impl FnMut(Entry),
    ) {
        for shape in others {
            work.add(1);
            self.ask_at_length(*shape, key, words, found);
        }
    }

    /// Leaves out the shapes that have no pattern with one of these words at its place.
    #[inline(always)]
    fn narrow(&self, shapes: u128, words: impl Text) -> u128 {
        let words = words.list();
        if self.table.len() >= STAGED {
            let ahead = words.iter().take(POSITIONS).map(|word| self.dictionary.touch(word));
            black_box(ahead.fold(0, |all, one| all ^ one));
        }
        self.dictionary.narrow(self.shapes.narrow_by_last(shapes, words), words, self.shapes.starred())
    }

    /// Looks up what no filter left out: so many hits.
    ///
    /// Not inlined, and in two rounds: each has the registers for itself.
    #[inline(never)]
    fn ask(
        &self,
        hits: &mut Hits,
        count: usize,
        key: &[u8],
        words: impl Text,
        found: &mut impl FnMut(Entry),
    ) {
        let mut kept = 0;
        for at in 0..count.min(hits.0.len()) {
            let Staged { shape, number } = hits.0[at];
            if let Some(leaf) = self.table.first(number) {
                hits.0[kept % FILTERED as usize] = Staged { shape, number: *leaf };
                kept += 1;
            }
        }
        for hit in hits.0.get(..kept).unwrap_or_default() {
            let Some(shape) = self.shapes.get(hit.shape) else { continue };
            match self.leaves.get(hit.number) {
                Some(leaf) if shape.form.verify(leaf.key(), key, words) => leaf.entries.for_each(found),
                _ => self.ask_at_length(hit.shape, key, words, found),
            }
        }
    }

    /// The same for one shape, where the first leaf of a tag is not the one: another may have the same tag.
    #[inline(never)]
    fn ask_at_length(&self, shape: u32, key: &[u8], words: impl Text, found: &mut impl FnMut(Entry)) {
        let Some(shape) = self.shapes.get(shape) else { return };
        let hash = shape.form.hash(shape.seed, words);
        if !shape.may_have(hash) {
            return;
        }
        let mut leaf = None;
        self.table.find(tag(hash), |number| {
            leaf = self.leaves.get(*number).filter(|leaf| shape.form.verify(leaf.key(), key, words));
            leaf.is_some()
        });
        if let Some(leaf) = leaf {
            leaf.entries.for_each(found);
        }
    }

    /// The same for a table that memory is slow for: every look-up begins before the first goes on, so that they wait
    /// together and not one after another.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)] // One route taken apart.
    fn ask_staged(
        &self,
        filtered: u128,
        others: &[u32],
        key: &[u8],
        words: impl Text,
        staged: &mut Vec<Staged>,
        work: &mut Work,
        found: &mut impl FnMut(Entry),
    ) {
        staged.clear();
        let mut ahead = 0;
        each_shape(filtered, others, |number| {
            work.add(1);
            let Some(shape) = self.shapes.get(number) else { return };
            let hash = shape.form.hash(shape.seed, words);
            if shape.may_have(hash) {
                ahead ^= self.table.touch(tag(hash));
                staged.push(Staged { shape: number, number: tag(hash) });
            }
        });
        black_box(ahead);
        let asked = staged.len();
        for at in 0..asked {
            let Some(&Staged { shape, number: tag }) = staged.get(at) else { break };
            self.table.find(tag, |leaf| {
                ahead ^= self.leaves.get(*leaf).map_or(0, |leaf| leaf.entries.touch());
                staged.push(Staged { shape, number: *leaf });
                false
            });
        }
        black_box(ahead);
        for &Staged { shape, number } in staged.iter().skip(asked) {
            if let (Some(shape), Some(leaf)) = (self.shapes.get(shape), self.leaves.get(number))
                && shape.form.verify(leaf.key(), key, words)
            {
                leaf.entries.for_each(found);
            }
        }
    }

    fn find(&self, form: &Form, key: &[u8], words: impl Text) -> Option<u32> {
        let hash = form.hash(self.shapes.seed(self.shapes.find(form)?), words);
        let same = |leaf: &u32| self.leaves.get(*leaf).is_some_and(|leaf| leaf.key() == key);
        self.table.find(tag(hash), same).copied()
    }
}

#[inline(always)]
fn each_shape(filtered: u128, others: &[u32], mut ask: impl FnMut(u32)) {
    for (base, mut set) in [(0, filtered as u64), (64, (filtered >> 64) as u64)] {
        while set != 0 {
            ask(base + set.trailing_zeros());
            set &= set - 1;
        }
    }
    for shape in others {
        ask(*shape);
    }
}

/// The literal words of a pattern that the dictionary knows, as hashes with their positions.
fn literals(form: &Form, words: impl Text) -> impl Iterator<Item = u64> {
    let stars = form.stars;
    let positions = (form.prefix as usize).min(POSITIONS);
    (0..positions).filter(move |at| stars >> at & 1 == 0).map(move |at| placed(words.word(at).hash, at))
}

#[cfg(test)]
mod tests;
