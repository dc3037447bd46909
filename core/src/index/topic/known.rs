//! The dictionary: which shapes have a pattern with this word at this position.
//!
//! A table of words says it exactly. In front of that, while there are not too many words, lies an array of sets by some
//! bits of the hash, where words that share these bits share a set: asking it takes a fourth of the instructions, and what
//! it says too much costs a shape asked in vain.

use alloc::{vec, vec::Vec};

use super::shape::POSITIONS;
use crate::{
    hash::tag,
    index::words::Word,
    tags::{Tags, Vacant},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Dictionary {
    words: Tags<Known>,
    /// As many sets as there are words or twice as many, a power of two; none if there are more than [`MOST`].
    front: Vec<u128>,
    /// Where the bits of a tag begin that choose a set.
    shift: u32,
    /// Words that went since the front was made, whose bits may still be there.
    gone: usize,
}

/// The front is made anew now and then, and no operation moves more entries than these.
const MOST: usize = 4096;
/// Nor goes through the slots of more segments of the table.
const SEGMENTS: usize = 32;

/// A word at a position, found by its placed hash.
///
/// Words whose hashes share a tag share one; and the set may name a shape whose last such pattern is gone: either costs
/// a look-up and changes no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// How many patterns have the word there; none where there is no word.
    patterns: u32,
    low: u64,
    high: u64,
}

impl Vacant for Known {
    const VACANT: Self = Known { patterns: 0, low: 0, high: 0 };

    #[inline(always)]
    fn is_vacant(&self) -> bool {
        self.patterns == 0
    }
}

impl Dictionary {
    /// Leaves out the shapes that have no pattern with one of these words at its position, but for those that have no
    /// literal word there.
    #[inline(always)]
    pub(crate) fn narrow(&self, mut shapes: u128, words: &[Word], free: &[u128; POSITIONS]) -> u128 {
        if self.front.is_empty() {
            return self.narrow_exactly(shapes, words, free);
        }
        for (word, free) in words.iter().zip(free) {
            let Some(set) = self.front.get((tag(word.placed) >> self.shift) as usize) else { return shapes };
            shapes &= set | free;
        }
        shapes
    }

    #[inline(never)]
    fn narrow_exactly(&self, mut shapes: u128, words: &[Word], free: &[u128; POSITIONS]) -> u128 {
        for (word, free) in words.iter().zip(free) {
            let known = self.words.find(tag(word.placed), |_| true);
            shapes &= known.map_or(0, Known::shapes) | free;
        }
        shapes
    }

    /// Reads what asking for a word begins with, so that it is in the cache by then.
    #[inline(always)]
    pub(crate) fn touch(&self, word: &Word) -> u32 {
        self.words.touch(tag(word.placed))
    }

    /// Counts so many patterns more with this word there, of the shapes in `bits`.
    pub(crate) fn learn(&mut self, placed: u64, bits: u128, patterns: u32) {
        let (low, high) = (bits as u64, (bits >> 64) as u64);
        if let Some(set) = self.front.get_mut((tag(placed) >> self.shift) as usize) {
            *set |= bits;
        }
        match self.words.find_mut(tag(placed), |_| true) {
            Some(known) => {
                known.patterns += patterns;
                known.low |= low;
                known.high |= high;
            }
            None => {
                self.words.insert(tag(placed), Known { patterns, low, high });
                // Half as many, so that words that come and go at the limit do not make it anew each time.
                let most = if self.front.is_empty() { MOST / 2 } else { usize::MAX };
                if (self.front.len() + 1..=most).contains(&self.words.len()) {
                    self.make_front();
                }
            }
        }
    }

    /// Counts one pattern less; the word goes with its last.
    pub(crate) fn forget(&mut self, placed: u64) {
        let Some(known) = self.words.find_mut(tag(placed), |_| true) else { return };
        if known.patterns > 1 {
            known.patterns -= 1;
            return;
        }
        self.words.remove(tag(placed), |_| true);
        self.gone += 1;
        if self.words.is_empty() {
            *self = Dictionary::default();
        } else if self.gone > self.words.len() {
            self.make_front();
        }
    }

    fn make_front(&mut self) {
        self.front = Vec::new();
        self.gone = 0;
        // A table that was large keeps its slots, and going through them would cost as if it still were.
        if self.words.len() > MOST || self.words.segments() > SEGMENTS {
            return;
        }
        // Two at least: a shift by all bits of a tag is none.
        let sets = self.words.len().next_power_of_two().max(2);
        self.front = vec![0; sets];
        self.shift = u32::BITS - sets.trailing_zeros();
        for (tag, known) in self.words.iter() {
            if let Some(set) = self.front.get_mut((tag >> self.shift) as usize) {
                *set |= known.shapes();
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.front.is_empty()
    }
}

impl Known {
    #[inline(always)]
    fn shapes(&self) -> u128 {
        u128::from(self.low) | u128::from(self.high) << 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash;

    fn placed(word: u32) -> u64 {
        hash(5, &word.to_le_bytes())
    }

    fn asked(dictionary: &Dictionary, word: u32) -> u128 {
        let word = Word { placed: placed(word), ..Word::NONE };
        dictionary.narrow(u128::MAX, &[word], &[0; POSITIONS])
    }

    #[test]
    fn nothing_that_is_known_is_left_out_and_little_else_is_said() {
        let mut dictionary = Dictionary::default();
        let bit = |word: u32| 1_u128 << (word % 128);
        let words = 2 * MOST as u32;
        for word in 0..words {
            dictionary.learn(placed(word), bit(word), 1);
            if word % 512 == 0 {
                assert!((0..=word).all(|word| asked(&dictionary, word) & bit(word) != 0));
            }
        }
        for word in 0..words - 10 {
            dictionary.forget(placed(word));
            if word % 512 == 0 {
                assert!((word + 1..words).all(|word| asked(&dictionary, word) & bit(word) != 0));
            }
        }
        let said: u32 = (0..words - 10).map(|word| asked(&dictionary, word).count_ones()).sum();
        assert!(said < words * 2, "{said} shapes are said of words that are gone");
        (words - 10..words).for_each(|word| dictionary.forget(placed(word)));
        assert!(dictionary.is_empty());
    }

    #[test]
    fn a_table_that_was_large_is_not_gone_through_for_each_word() {
        let mut dictionary = Dictionary::default();
        (0..200_000).for_each(|word| dictionary.learn(placed(word), 1, 1));
        (3..200_000).for_each(|word| dictionary.forget(placed(word)));
        assert!(dictionary.words.segments() > SEGMENTS && dictionary.front.is_empty());
        assert!((0..3).all(|word| asked(&dictionary, word) == 1));
        assert_eq!(asked(&dictionary, 5), 0);
        (0..3).for_each(|word| dictionary.forget(placed(word)));
        dictionary.learn(placed(7), 2, 1);
        assert!(dictionary.words.segments() == 1 && !dictionary.front.is_empty());
    }

    #[test]
    fn words_at_the_limit_do_not_make_the_front_anew_each_time() {
        let mut dictionary = Dictionary::default();
        (0..=MOST as u32).for_each(|word| dictionary.learn(placed(word), 1, 1));
        assert!(dictionary.front.is_empty());
        for word in MOST as u32 - 2..MOST as u32 + 2 {
            dictionary.forget(placed(word));
            dictionary.learn(placed(word), 1, 1);
            assert!(dictionary.front.is_empty());
        }
        (0..=MOST as u32 * 3 / 4).for_each(|word| dictionary.forget(placed(word)));
        assert!(!dictionary.front.is_empty());
    }

    #[test]
    fn words_that_come_and_go_leave_little_behind() {
        let mut dictionary = Dictionary::default();
        for word in 0..10_000 {
            dictionary.learn(placed(word), 1 << (word % 128), 1);
            if word >= 50 {
                dictionary.forget(placed(word - 50));
            }
        }
        let said: u32 = (20_000..21_000).map(|word| asked(&dictionary, word).count_ones()).sum();
        assert!(said < 4_000, "{said} shapes are said of a thousand words that never came");
    }
}
