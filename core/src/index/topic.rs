//! Topic patterns in RabbitMQ's dialect, found by their shape.
//!
//! Patterns are grouped by *shape*: how many words, which of them are `*`, where the one `#` stands. Within a shape a
//! pattern is its literal words, so one look-up tells whether a routing key has it, and a route asks each shape that the
//! key can have. A dictionary over (position, word) leaves most shapes out first: where no pattern of a shape has this
//! word at this position, the shape is not asked. What has several `#` is in [`Many`].
//!
//! No operation moves more than a few thousand entries, whatever the size of the table: [`Segmented`], [`Pages`].

use super::{
    entries::Entry,
    pages::Pages,
    segmented::Segmented,
    words::{Word, Words, placed, spread},
};
use crate::{id::BindingId, stamps::Stamps};

mod leaf;
mod many;
mod shape;

use leaf::Leaf;
use many::Many;
use shape::{FILTERED, Form, POSITIONS, Shapes};

/// The topic patterns of one exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicIndex {
    seed: u64,
    shapes: Shapes,
    /// Leaves by the hash of shape and literal words.
    table: Segmented<u32>,
    leaves: Pages<Leaf>,
    dictionary: Segmented<Known>,
    many: Many,
}

/// A word at a position, and which shapes have patterns with it there.
///
/// Words whose hashes collide share one; and the set may name a shape whose last such pattern is gone: either costs a
/// look-up and changes no answer.
#[derive(Clone, Copy, Debug)]
struct Known {
    hash: u64,
    patterns: u32,
    shapes: u128,
}

/// Memory that a match needs, kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct TopicScratch {
    words: Words,
    many: Stamps,
}

/// Tables of so few shapes are asked without the dictionary, which would cost more than it saves.
const FEW: usize = 8;

impl TopicIndex {
    pub(crate) fn new(seed: u64) -> Self {
        TopicIndex { seed: spread(seed), ..TopicIndex::default() }
    }

    pub(crate) fn insert(&mut self, key: &[u8], entry: Entry) {
        let mut words = Words::default();
        words.split(self.seed, key);
        let words = words.as_slice();
        let Some(form) = Form::of(key, words) else {
            self.many.insert(key, words, entry);
            return;
        };
        if let Some(leaf) = self.find(&form, key, words).and_then(|leaf| self.leaves.get_mut(leaf)) {
            leaf.entries.insert(entry);
            return;
        }
        let shape = self.shapes.take(form);
        let hash = form.hash(self.shape_seed(shape), words);
        self.shapes.note(shape, hash);
        let leaf = self.leaves.insert(Leaf::new(hash, key, entry));
        let leaves = &self.leaves;
        self.table.insert(hash, leaf, |leaf| leaves.get(*leaf).map_or(0, |leaf| leaf.hash));
        self.learn(&form, shape, words);
    }

    pub(crate) fn remove(&mut self, key: &[u8], binding: BindingId) {
        let mut words = Words::default();
        words.split(self.seed, key);
        let words = words.as_slice();
        let Some(form) = Form::of(key, words) else {
            self.many.remove(key, words, binding);
            return;
        };
        let Some(id) = self.find(&form, key, words) else { return };
        let Some(leaf) = self.leaves.get_mut(id) else { return };
        if !leaf.entries.remove(binding) {
            return;
        }
        let hash = leaf.hash;
        self.table.remove(hash, |other| *other == id);
        self.leaves.remove(id);
        for hash in literals(&form, words) {
            let Some(known) = self.dictionary.find_mut(hash, |known| known.hash == hash) else { continue };
            known.patterns -= 1;
            if known.patterns == 0 {
                self.dictionary.remove(hash, |known| known.hash == hash);
            }
        }
        if let Some(shape) = self.shapes.find(&form) {
            self.shapes.release(shape);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shapes.len() == 0 && self.many.is_empty()
    }

    /// Whether no part of any pattern is left.
    #[cfg(test)]
    pub(crate) fn is_clean(&self) -> bool {
        self.is_empty() && self.table.is_empty() && self.dictionary.is_empty() && self.leaves.is_empty()
    }

    /// Calls `found` with each binding whose pattern matches, each once.
    pub(crate) fn matches(&self, key: &[u8], scratch: &mut TopicScratch, found: &mut impl FnMut(Entry)) {
        scratch.words.split(self.seed, key);
        let words = scratch.words.as_slice();
        let (mut filtered, others) = self.shapes.of_length(words.len());
        if self.shapes.len() > FEW {
            filtered = self.narrow(filtered, words);
        }
        let (low, high) = (filtered as u64, (filtered >> 64) as u64);
        for (base, mut set) in [(0, low), (64, high)] {
            while set != 0 {
                self.ask(base + set.trailing_zeros(), key, words, found);
                set &= set - 1;
            }
        }
        for shape in others.into_iter().flatten() {
            self.ask(*shape, key, words, found);
        }
        self.many.matches(key, words, &mut scratch.many, found);
    }

    /// Leaves out the shapes that have no pattern with one of these words at its position.
    #[inline(always)]
    fn narrow(&self, mut shapes: u128, words: &[Word]) -> u128 {
        for (position, word) in words.iter().take(POSITIONS).enumerate() {
            let literal = self.shapes.literal(position);
            if shapes & literal == 0 {
                continue;
            }
            let known = self.dictionary.find(word.placed, |known| known.hash == word.placed);
            shapes &= known.map_or(0, |known| known.shapes) | !literal;
        }
        shapes
    }

    #[inline(always)]
    fn ask(&self, shape: u32, key: &[u8], words: &[Word], found: &mut impl FnMut(Entry)) {
        let Some(shape) = self.shapes.get(shape) else { return };
        let hash = shape.form.hash(shape.seed, words);
        if !shape.may_have(hash) {
            return;
        }
        let leaf = self.table.find(hash, |leaf| {
            let leaf = self.leaves.get(*leaf);
            leaf.is_some_and(|leaf| leaf.hash == hash && shape.form.verify(leaf.key(), key, words))
        });
        if let Some(leaf) = leaf.and_then(|leaf| self.leaves.get(*leaf)) {
            leaf.entries.for_each(found);
        }
    }

    fn find(&self, form: &Form, key: &[u8], words: &[Word]) -> Option<u32> {
        let hash = form.hash(self.shape_seed(self.shapes.find(form)?), words);
        let same =
            |leaf: &u32| self.leaves.get(*leaf).is_some_and(|leaf| leaf.hash == hash && leaf.key() == key);
        self.table.find(hash, same).copied()
    }

    fn shape_seed(&self, shape: u32) -> u64 {
        self.shapes.get(shape).map_or(0, |shape| shape.seed)
    }

    fn learn(&mut self, form: &Form, shape: u32, words: &[Word]) {
        let bit = if shape < FILTERED { 1 << shape } else { 0 };
        for hash in literals(form, words) {
            match self.dictionary.find_mut(hash, |known| known.hash == hash) {
                Some(known) => {
                    known.patterns += 1;
                    known.shapes |= bit;
                }
                None => {
                    self.dictionary.insert(hash, Known { hash, patterns: 1, shapes: bit }, |known| known.hash)
                }
            }
        }
    }
}

/// The literal words of a pattern that the dictionary knows, as hashes with their positions.
fn literals(form: &Form, words: &[Word]) -> impl Iterator<Item = u64> {
    let stars = form.stars;
    let prefix = words.iter().take((form.prefix as usize).min(POSITIONS)).enumerate();
    prefix.filter(move |(at, _)| stars >> at & 1 == 0).map(|(at, word)| placed(word.hash, at))
}

#[cfg(test)]
mod tests;
