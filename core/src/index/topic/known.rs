//! The dictionary: which shapes have a pattern with this word at this position.

use crate::{
    hash::tag,
    tags::{Tags, Vacant},
};

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

/// The shapes that have patterns with this word there.
#[inline(always)]
pub(crate) fn shapes(dictionary: &Tags<Known>, placed: u64) -> u128 {
    let known = dictionary.find(tag(placed), |_| true);
    known.map_or(0, |known| u128::from(known.low) | u128::from(known.high) << 64)
}

/// Counts so many patterns more with this word there, of the shapes in `bits`.
pub(crate) fn learn(dictionary: &mut Tags<Known>, placed: u64, bits: u128, patterns: u32) {
    let (low, high) = (bits as u64, (bits >> 64) as u64);
    match dictionary.find_mut(tag(placed), |_| true) {
        Some(known) => {
            known.patterns += patterns;
            known.low |= low;
            known.high |= high;
        }
        None => {
            dictionary.insert(tag(placed), Known { patterns, low, high });
        }
    }
}

/// Counts one pattern less; the word goes with its last.
pub(crate) fn forget(dictionary: &mut Tags<Known>, placed: u64) {
    let Some(known) = dictionary.find_mut(tag(placed), |_| true) else { return };
    if known.patterns > 1 {
        known.patterns -= 1;
    } else {
        dictionary.remove(tag(placed), |_| true);
    }
}
