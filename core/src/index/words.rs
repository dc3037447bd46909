//! The words of a key, each hashed once.

use alloc::{boxed::Box, vec::Vec};

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
    const NONE: Word = Word { start: 0, end: 0, hash: 0, placed: 0, sum: 0 };
}

/// The words of one key, in memory that is kept from call to call.
#[derive(Debug)]
pub(crate) struct Words {
    /// Room for the words of a key of AMQP's length, so that none is checked for room; made at the first key.
    words: Option<Box<[Word; SHORT + 1]>>,
    /// The words of a longer key.
    long: Vec<Word>,
    length: usize,
    /// A copy of a key of AMQP's length with room behind it, so that eight bytes can be read from any place in it.
    padded: [u8; SHORT + 9],
}

/// The longest key that is padded; longer ones, which only `CC` and Kombu know, are read with care.
const SHORT: usize = 255;

const DOTS: u64 = u64::from_le_bytes([b'.'; 8]);
const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
/// Odd, and without a pattern in its bits (2^64 divided by the golden ratio).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const MIX: u64 = 0xd6e8_feb8_6659_fd93;

impl Default for Words {
    fn default() -> Self {
        Words { words: None, long: Vec::new(), length: 0, padded: [0; SHORT + 9] }
    }
}

impl Words {
    /// Splits `key` at its dots and hashes its words, from a seed that whoever chooses keys does not know.
    ///
    /// The empty key has no words (vector `topic-012`).
    #[inline]
    pub(crate) fn split(&mut self, seed: u64, key: &[u8]) {
        self.length = 0;
        self.long.clear();
        if key.is_empty() {
            return;
        }
        if key.len() > SHORT {
            self.split_long(seed, key);
            return;
        }
        self.padded[..key.len()].copy_from_slice(key);
        // What stands behind the key is left over from a longer one, dots among it.
        self.padded[key.len()..key.len() + 8].fill(0);
        let words = self.words.get_or_insert_with(|| Box::new([Word::NONE; SHORT + 1]));
        let mut cut = Cut { words, seed, length: 0, start: 0, sum: 0, odd: GOLDEN };
        let mut at = 0;
        while at < key.len() {
            let other = load(&self.padded, at) ^ DOTS;
            // The high bit of every byte of `other` that is zero, exactly.
            let mut dots = !(((other & LOW) + LOW) | other | LOW);
            while dots != 0 {
                let end = at + (dots.trailing_zeros() >> 3) as usize;
                cut.push(&self.padded, end);
                dots &= dots - 1;
            }
            at += 8;
        }
        cut.push(&self.padded, key.len());
        self.length = cut.length;
    }

    #[cold]
    fn split_long(&mut self, seed: u64, key: &[u8]) {
        let mut buffer = [0; SHORT + 9];
        let (mut start, mut sum) = (0, 0_u64);
        for word in key.split(|byte| *byte == b'.') {
            let end = start + word.len();
            let hash = match buffer.get_mut(..word.len()) {
                Some(space) if word.len() <= SHORT => {
                    space.copy_from_slice(word);
                    word_hash(seed, &buffer, 0, word.len())
                }
                // No binding key has such a word unless the limits were raised; then all that counts is that it is
                // the same on both sides.
                _ => word.chunks(8).fold(seed.wrapping_add(word.len() as u64), |hash, bytes| {
                    let mut block = [0; 8];
                    block[..bytes.len()].copy_from_slice(bytes);
                    fold(hash ^ u64::from_le_bytes(block), MIX)
                }),
            };
            let placed = placed(hash, self.long.len());
            sum = sum.wrapping_add(placed);
            self.long.push(Word { start: start as u32, end: end as u32, hash, placed, sum });
            start = end + 1;
        }
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[Word] {
        match &self.words {
            Some(words) if self.long.is_empty() => words.get(..self.length).unwrap_or_default(),
            _ => &self.long,
        }
    }
}

/// Where the cutting of a key has come to.
struct Cut<'a> {
    words: &'a mut [Word; SHORT + 1],
    seed: u64,
    length: usize,
    start: usize,
    sum: u64,
    /// What [`placed`] multiplies by at this position.
    odd: u64,
}

impl Cut<'_> {
    #[inline(always)]
    fn push(&mut self, padded: &[u8; SHORT + 9], end: usize) {
        let hash = word_hash(self.seed, padded, self.start, end);
        let placed = hash.wrapping_mul(self.odd);
        self.odd = self.odd.wrapping_add(GOLDEN.wrapping_mul(2));
        self.sum = self.sum.wrapping_add(placed);
        // INVARIANT: 255 bytes have 256 words at most.
        self.words[self.length & SHORT] =
            Word { start: self.start as u32, end: end as u32, hash, placed, sum: self.sum };
        self.length += 1;
        self.start = end + 1;
    }
}

/// The hash of a word at a position counted from the front.
#[inline(always)]
pub(crate) fn placed(hash: u64, position: usize) -> u64 {
    hash.wrapping_mul(GOLDEN.wrapping_mul(2 * position as u64 + 1))
}

/// The hash of a word at a position counted from the end.
#[inline(always)]
pub(crate) fn placed_from_end(hash: u64, position: usize) -> u64 {
    hash.wrapping_mul(MIX.wrapping_mul(2 * position as u64 + 1))
}

/// Spreads a sum of placed words over all bits.
#[inline(always)]
pub(crate) fn finish(sum: u64) -> u64 {
    fold(sum ^ MIX, GOLDEN)
}

/// A seed of few bits as one of many.
pub(crate) fn spread(seed: u64) -> u64 {
    fold(seed ^ GOLDEN, MIX) | 1
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Eight bytes from any place of the key. The place is masked so that the compiler sees that it is inside.
#[inline(always)]
fn load(padded: &[u8; SHORT + 9], at: usize) -> u64 {
    let at = at & 255;
    match padded[at..at + 8].first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => 0,
    }
}

#[inline(always)]
fn word_hash(seed: u64, padded: &[u8; SHORT + 9], start: usize, end: usize) -> u64 {
    let length = end - start;
    let mut hash = seed.wrapping_add(length as u64);
    if length <= 8 {
        return fold(hash ^ (load(padded, start) & !u64::MAX.unbounded_shl(8 * length as u32)), MIX);
    }
    let mut at = start;
    while at + 8 < end {
        hash = fold(hash ^ load(padded, at), MIX);
        at += 8;
    }
    // The last eight bytes, which may overlap those before.
    fold(hash ^ load(padded, end - 8), MIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn equal_words_hash_alike_wherever_they_stand() {
        let texts = ["", "a", "ab", "1234567", "12345678", "123456789", "1234567890123456", "x.y", "é"];
        let mut words = Words::default();
        for word in texts.iter().filter(|word| !word.contains('.')) {
            let mut hashes = vec![];
            for before in ["", "q.", "longer-than-eight."] {
                for after in ["", ".q", ".longer-than-eight"] {
                    let key = [before, word, after].concat();
                    words.split(1, key.as_bytes());
                    let at = usize::from(!before.is_empty());
                    if let Some(found) = words.as_slice().get(at) {
                        assert_eq!(
                            &key.as_bytes()[found.start as usize..found.end as usize],
                            word.as_bytes()
                        );
                        hashes.push(found.hash);
                    }
                }
            }
            hashes.dedup();
            assert_eq!(hashes.len(), 1, "{word:?}");
        }
    }

    #[test]
    fn splits_as_a_plain_split_does() {
        let mut words = Words::default();
        for key in ["", ".", "..", "a", "a.", ".a", "a.b", "abcdefgh.ijk", "abcdefg.hijklmno.p", "........."]
        {
            words.split(1, key.as_bytes());
            let plain: Vec<&str> = if key.is_empty() { vec![] } else { key.split('.').collect() };
            let ours: Vec<&str> =
                words.as_slice().iter().map(|word| &key[word.start as usize..word.end as usize]).collect();
            assert_eq!(ours, plain, "{key:?}");
        }
    }
}
