//! The words of a key, each hashed once.

use alloc::{boxed::Box, vec::Vec};

use super::cut::{Room, SHORT};
use crate::hash::{GOLDEN, MIX};

pub(crate) use super::cut::any_word_hash;

/// One word of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// The hash of its bytes.
    pub(crate) hash: u64,
    /// The hash of the word at this position, counted from the front.
    pub(crate) placed: u64,
    /// The sum of `placed` up to and with this word.
    pub(crate) sum: u64,
}

impl Word {
    /// What is no word.
    pub(crate) const NONE: Word = Word { start: 0, end: 0, hash: 0, placed: 0, sum: 0 };
}

/// The words of one key, in memory that is kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// For a key of AMQP's length; made at the first.
    short: Option<Box<Room>>,
    /// The words of a longer key, which only `CC` and Kombu know: the word at position `n` is at `n + 1`; what is at 0 is
    /// no word and has the sum 0.
    long: Vec<Word>,
}

/// The words of a key as the index reads them. There are two kinds, so that the common one costs no checks.
pub(crate) trait Text: Copy {
    /// The number of words.
    fn count(self) -> usize;

    /// The word at a position; some word or other beyond the last.
    fn word(self, at: usize) -> Word;

    /// All words, in order.
    fn list(&self) -> &[Word];

    /// The sum of the placed hashes of so many words from the front.
    fn sum(self, count: usize) -> u64;
}

/// The words of a key that is not longer than AMQP's longest.
#[derive(Clone, Copy)]
pub(crate) struct ShortText<'a> {
    room: &'a Room,
    count: usize,
}

impl Text for ShortText<'_> {
    #[inline(always)]
    fn count(self) -> usize {
        self.count
    }

    #[inline(always)]
    fn word(self, at: usize) -> Word {
        *self.room.before(at + 1)
    }

    #[inline(always)]
    fn list(&self) -> &[Word] {
        self.room.list(self.count)
    }

    #[inline(always)]
    fn sum(self, count: usize) -> u64 {
        self.room.before(count).sum
    }
}

/// The words of a key of any length.
#[derive(Clone, Copy)]
pub(crate) struct LongText<'a>(&'a [Word]);

impl Text for LongText<'_> {
    fn count(self) -> usize {
        self.0.len().saturating_sub(1)
    }

    fn word(self, at: usize) -> Word {
        self.0.get(at + 1).copied().unwrap_or(Word::NONE)
    }

    fn list(&self) -> &[Word] {
        self.0.get(1..).unwrap_or_default()
    }

    fn sum(self, count: usize) -> u64 {
        self.0.get(count).map_or(0, |word| word.sum)
    }
}

impl Words {
    /// Splits a key of at most 255 bytes at its dots and hashes its words; `None` for a longer one.
    ///
    /// The empty key has no words (vector `topic-012`).
    #[inline(always)]
    pub(crate) fn split(&mut self, seed: u64, key: &[u8]) -> Option<ShortText<'_>> {
        if key.len() > SHORT {
            return None;
        }
        let room = match &mut self.short {
            Some(room) => room,
            none => none.insert(Room::new()),
        };
        let count = room.cut(seed, key);
        Some(ShortText { room, count })
    }

    /// The same where there is no hurry.
    #[inline(never)]
    pub(crate) fn split_apart(&mut self, seed: u64, key: &[u8]) -> Option<ShortText<'_>> {
        self.split(seed, key)
    }

    /// Splits a key of any length.
    #[cold]
    pub(crate) fn split_long(&mut self, seed: u64, key: &[u8]) -> LongText<'_> {
        self.long.clear();
        self.long.push(Word::NONE);
        let (mut start, mut sum) = (0, 0_u64);
        for (at, word) in key.split(|byte| *byte == b'.').enumerate().filter(|_| !key.is_empty()) {
            let end = start + word.len();
            let hash = any_word_hash(seed, word);
            let placed = placed(hash, at);
            sum = sum.wrapping_add(placed);
            self.long.push(Word { start: start as u32, end: end as u32, hash, placed, sum });
            start = end + 1;
        }
        LongText(&self.long)
    }
}

/// Memory, not content: a copy begins with none.
impl Clone for Words {
    fn clone(&self) -> Self {
        Words::default()
    }
}

/// The hash of a word at a position counted from the front: times a power of an odd number, so that words that follow each
/// other have the same sum anywhere but for a factor, which [`behind`] takes back.
#[inline(always)]
pub(crate) fn placed(hash: u64, position: usize) -> u64 {
    hash.wrapping_mul(placed_factor(position))
}

/// What the hash of a word is multiplied with at a position counted from the front.
#[inline(always)]
pub(crate) const fn placed_factor(position: usize) -> u64 {
    GOLDEN.wrapping_pow(position as u32 + 1)
}

/// The same at a position of the words behind a `#`, counted from the first of them.
pub(crate) const fn placed_factor_behind(position: usize) -> u64 {
    MIX.wrapping_mul(placed_factor(position))
}

/// What words behind so many others have as a sum, made the same wherever they stand; and unlike that of words in front.
#[inline(always)]
pub(crate) fn behind(sum: u64, words: usize) -> u64 {
    sum.wrapping_mul(match BACK.get(words) {
        Some(back) => *back,
        None => MIX.wrapping_mul(INVERSE.wrapping_pow(words as u32)),
    })
}

/// Times [`GOLDEN`] this is one.
const INVERSE: u64 = {
    // Newton's method: every round doubles the number of right bits.
    let (mut inverse, mut round) = (GOLDEN, 0);
    while round < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(GOLDEN.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
};
const _: () = assert!(GOLDEN.wrapping_mul(INVERSE) == 1);

/// The factors for keys of AMQP's length.
static BACK: [u64; SHORT + 2] = {
    let (mut back, mut at) = ([MIX; SHORT + 2], 1);
    while at < back.len() {
        back[at] = back[at - 1].wrapping_mul(INVERSE);
        at += 1;
    }
    back
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn both(seed: u64, key: &[u8]) -> Vec<Word> {
        let mut words = Words::default();
        let short = words.split(seed, key).unwrap();
        let short: Vec<Word> = (0..short.count()).map(|at| short.word(at)).collect();
        let long = words.split_long(seed, key);
        assert_eq!(long.count(), short.len());
        for (at, word) in short.iter().enumerate() {
            let other = long.word(at);
            assert_eq!((word.start, word.end, word.hash), (other.start, other.end, other.hash));
            assert_eq!((word.placed, word.sum), (other.placed, long.sum(at + 1)));
        }
        short
    }

    #[test]
    fn equal_words_hash_alike_wherever_they_stand() {
        for word in ["", "a", "ab", "1234567", "12345678", "123456789", "1234567890123456", "é"] {
            let mut hashes = vec![];
            for before in ["", "q.", "longer-than-eight."] {
                for after in ["", ".q", ".longer-than-eight"] {
                    let key = [before, word, after].concat();
                    let words = both(1, key.as_bytes());
                    if let Some(found) = words.get(usize::from(!before.is_empty())) {
                        assert_eq!(&key[found.start as usize..found.end as usize], word);
                        hashes.push(found.hash);
                    }
                }
            }
            hashes.dedup();
            assert_eq!(hashes.len(), 1, "{word:?}");
        }
    }

    #[test]
    fn words_behind_others_have_one_sum_wherever_they_stand() {
        let mut words = Words::default();
        let mut sums = vec![];
        for before in [0, 1, 2, 100, 300] {
            let key = ["x."].repeat(before).concat() + "a.bc.d";
            let text = words.split_long(1, key.as_bytes());
            let sum = text.sum(before + 3).wrapping_sub(text.sum(before));
            sums.push(behind(sum, before));
            assert_ne!(behind(sum, before), text.sum(3), "unlike the same words in front");
        }
        sums.dedup();
        assert_eq!(sums.len(), 1);
        let other = words.split_long(1, b"bc.a.d").sum(3);
        assert_ne!(behind(other, 0), sums[0]);
    }

    #[test]
    fn splits_as_a_plain_split_does() {
        let longest = ["."; 255].concat();
        for key in [
            "",
            ".",
            "..",
            "a",
            "a.",
            ".a",
            "a.b",
            "abcdefgh.ijk",
            "abcdefg.hijklmno.p",
            ".........",
            &longest,
        ] {
            let plain: Vec<&str> = if key.is_empty() { vec![] } else { key.split('.').collect() };
            let words = both(1, key.as_bytes());
            let ours: Vec<&str> =
                words.iter().map(|word| &key[word.start as usize..word.end as usize]).collect();
            assert_eq!(ours, plain, "{key:?}");
        }
        assert!(Words::default().split(1, &[b'a'; 256]).is_none());
    }
}
