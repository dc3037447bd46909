//! Patterns put in by the numbers of their words: what a snapshot is loaded with.
//!
//! A large table says few words in few forms. Each word is hashed once, not once for each pattern, so that putting a
//! pattern in is adding numbers up and copying its text; and the dictionary learns a word once with all its patterns.

use alloc::vec::Vec;
use core::ops::Range;

use super::{FILTERED, Form, Leaf, POSITIONS, Spot, TopicIndex, shape::is_star};
use crate::{
    hash::tag,
    index::{
        entries::Entry,
        words::{any_word_hash, placed, placed_factor, placed_factor_behind},
    },
};

/// Words and forms by number, and what the dictionary of the exchange at hand has still to learn.
#[derive(Debug)]
pub(crate) struct Bulk {
    /// The words, a dot behind each.
    text: Vec<u8>,
    words: Vec<(Range<usize>, u64)>,
    forms: Vec<Template>,
    /// For each of the positions that the dictionary knows, the words there.
    counts: [Vec<Count>; POSITIONS],
    /// The position and the word of every count that is not zero.
    touched: Vec<(usize, u32)>,
    /// Grows with every exchange.
    turn: u32,
    key: Vec<u8>,
    sum: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    patterns: u32,
    shapes: u128,
}

/// A form, and its shape in the exchange at hand.
#[derive(Debug)]
struct Template {
    form: Form,
    /// At which turn the shape was asked for last.
    turn: u32,
    shape: u32,
    seed: u64,
}

impl Bulk {
    pub(crate) fn new(seed: u64, words: &[&[u8]], forms: impl Iterator<Item = Form>) -> Self {
        let mut text = Vec::with_capacity(words.iter().map(|word| word.len() + 1).sum());
        let words = words.iter().map(|word| {
            let start = text.len();
            text.extend_from_slice(word);
            text.push(b'.');
            (start..text.len(), any_word_hash(seed, word))
        });
        let words: Vec<_> = words.collect();
        Bulk {
            text,
            words,
            forms: forms.map(|form| Template { form, turn: 0, shape: 0, seed: 0 }).collect(),
            counts: Default::default(),
            touched: Vec::new(),
            turn: 1,
            key: Vec::new(),
            sum: 0,
        }
    }

    /// Makes the pattern of this form and these literal words the one at hand, and says its key; `None` if there is no
    /// such word.
    pub(crate) fn compose(&mut self, form: u32, literals: &[u32]) -> Option<&[u8]> {
        let Bulk { text, words, forms, key, .. } = self;
        let Form { prefix, suffix, hash, stars, end_stars } = forms.get(form as usize)?.form;
        let (mut sum, mut literals) = (0_u64, literals.iter());
        let mut push = |key: &mut Vec<u8>, is_star: bool, factor: u64| {
            if is_star {
                key.extend_from_slice(b"*.");
                return Some(());
            }
            let (range, hash) = words.get(*literals.next()? as usize)?;
            key.extend_from_slice(text.get(range.clone())?);
            sum = sum.wrapping_add(hash.wrapping_mul(factor));
            Some(())
        };
        key.clear();
        for at in 0..prefix as usize {
            push(key, is_star(stars, at), placed_factor(at))?;
        }
        if hash {
            key.extend_from_slice(b"#.");
        }
        for at in 0..suffix as usize {
            push(key, is_star(end_stars, suffix as usize - 1 - at), placed_factor_behind(at))?;
        }
        key.pop();
        self.sum = sum;
        Some(key)
    }

    /// The key of the pattern at hand.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl TopicIndex {
    /// Makes room for so many patterns, if there are none yet.
    pub(crate) fn reserve(&mut self, patterns: usize) {
        self.table.reserve(patterns);
    }

    /// Adds the pattern that `bulk` has at hand, made of `form` and `literals`, unless it is there already.
    pub(crate) fn insert_composed(
        &mut self,
        bulk: &mut Bulk,
        form: u32,
        literals: &[u32],
        entry: Entry,
    ) -> Option<Spot> {
        let Bulk { forms, words, counts, touched, key, sum, turn, .. } = bulk;
        let template = forms.get_mut(form as usize)?;
        let known =
            if template.turn == *turn { Some(template.shape) } else { self.shapes.find(&template.form) };
        let seed = match known {
            Some(_) if template.turn == *turn => template.seed,
            Some(shape) => self.shapes.seed(shape),
            None => template.form.seed(),
        };
        let hash = seed.wrapping_add(*sum);
        let same = |leaf: &u32| self.leaves.get(*leaf).is_some_and(|leaf| leaf.key() == &**key);
        if self.table.find(tag(hash), same).is_some() {
            return None;
        }
        let shape = match known {
            Some(shape) => {
                self.shapes.again(shape);
                shape
            }
            None => self.shapes.take(template.form),
        };
        (template.turn, template.shape, template.seed) = (*turn, shape, seed);
        let last = literals.last().and_then(|last| words.get(*last as usize));
        self.shapes.note(shape, hash, last.map_or(0, |(_, hash)| *hash));
        let number = self.leaves.insert(Leaf::new(key, entry));
        self.table.insert(tag(hash), number);
        let bit = if shape < FILTERED { 1 << shape } else { 0 };
        let Form { prefix, stars, .. } = template.form;
        let positions = (0..POSITIONS.min(prefix as usize)).filter(|at| !is_star(stars, *at));
        for (position, word) in positions.zip(literals) {
            let counts = &mut counts[position];
            if counts.len() <= *word as usize {
                counts.resize(words.len(), Count::default());
            }
            let count = &mut counts[*word as usize];
            if count.patterns == 0 {
                touched.push((position, *word));
            }
            count.patterns += 1;
            count.shapes |= bit;
        }
        Some(Spot(number))
    }

    /// Lets the dictionary learn what was put in. Other exchanges come after this one.
    pub(crate) fn finish_bulk(&mut self, bulk: &mut Bulk) {
        for (position, word) in bulk.touched.drain(..) {
            let count = core::mem::take(&mut bulk.counts[position][word as usize]);
            let (_, hash) = bulk.words[word as usize];
            self.dictionary.learn(placed(hash, position), count.shapes, count.patterns);
        }
        bulk.turn += 1;
    }
}
