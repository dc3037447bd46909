//! Cutting a key at its dots, and hashing its words.
//!
//! What every key costs that is matched, so instructions are counted here. The dots of 64 bytes are the bits of one
//! number, found sixteen bytes at a time where the processor can. A word of at most sixteen bytes is two reads of eight,
//! masked, and one multiplication, with no branch on its length.

use alloc::boxed::Box;

use super::words::Word;
use crate::hash::{GOLDEN, MIX, block, fold, fold_here};

/// The longest key of AMQP, which has 256 words at most.
pub(super) const SHORT: usize = 255;
/// A power of two, so that a masked place is inside without a check.
const ROOM: usize = 512;

/// Room for the words of a key of AMQP's length, so that none is checked for room.
#[derive(Debug)]
pub(super) struct Room {
    /// The word at position `n` is at `n + 1`; what is at 0 is no word, and has the sum 0.
    words: [Word; ROOM],
    text: Padded,
}

/// A key of AMQP's length and a dot, with room behind them, so that sixteen bytes can be read from any place in it.
type Padded = [u8; 256 + 16];

impl Room {
    #[cold]
    pub(super) fn new() -> Box<Self> {
        Box::new(Room { words: [Word::NONE; ROOM], text: [0; 256 + 16] })
    }

    /// The word in front of this position.
    #[inline(always)]
    pub(super) fn before(&self, position: usize) -> &Word {
        &self.words[position % ROOM]
    }

    /// The first so many words.
    #[inline(always)]
    pub(super) fn list(&self, count: usize) -> &[Word] {
        self.words.get(1..=count).unwrap_or_default()
    }

    /// Cuts a key of at most 255 bytes; returns how many words there are. One of 16 to 63 bytes, which most are, is cut in
    /// place, but where code is downloaded before it runs.
    #[inline(always)]
    pub(super) fn cut(&mut self, seed: u64, key: &[u8]) -> usize {
        if matches!(key.len(), 16..64) { self.cut_usual(seed, key) } else { self.cut_other(seed, key) }
    }

    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    fn cut_usual(&mut self, seed: u64, key: &[u8]) -> usize {
        let Some(space) = self.text.first_chunk_mut() else { return 0 };
        let dots = copy(key, space);
        let mut state = State::new(seed);
        self.take(dots, 0, &mut state);
        state.count
    }

    /// For a shorter or longer key.
    #[inline(never)]
    fn cut_other(&mut self, seed: u64, key: &[u8]) -> usize {
        let mut state = State::new(seed);
        if key.is_empty() {
            return 0;
        }
        for base in (0..=key.len().min(SHORT)).step_by(64) {
            let rest = key.get(base..).unwrap_or_default();
            let Some(space) = self.text.get_mut(base..).and_then(<[u8]>::first_chunk_mut) else { break };
            let dots = if rest.len() < 16 { copy_short(rest, space) } else { copy(rest, space) };
            self.take(dots, base, &mut state);
        }
        state.count
    }

    /// Takes in the words that end where these bits are, from a place of the key on.
    #[inline(always)]
    fn take(&mut self, mut dots: u64, base: usize, state: &mut State) {
        let State { seeds, count, start, sum, factor } = state;
        // INVARIANT: 255 bytes have 256 words at most.
        let mut places = self.words.get_mut(1 + *count..).unwrap_or_default().iter_mut();
        let before = *count + places.len();
        while dots != 0 {
            let Some(word) = places.next() else { break };
            let end = base + dots.trailing_zeros() as usize;
            let hash = word_hash(&self.text, *seeds, *start, end - *start);
            let placed = hash.wrapping_mul(*factor);
            *factor = factor.wrapping_mul(GOLDEN);
            *sum = sum.wrapping_add(placed);
            *word = Word { start: *start as u32, end: end as u32, hash, placed, sum: *sum };
            *start = end + 1;
            dots &= dots - 1;
        }
        *count = before - places.len();
    }
}

/// How far a key is cut.
struct State {
    seeds: Seeds,
    count: usize,
    /// Where the next word begins.
    start: usize,
    sum: u64,
    /// What the hash of the next word is multiplied with, as in [`placed`](super::words::placed).
    factor: u64,
}

impl State {
    #[inline(always)]
    const fn new(seed: u64) -> Self {
        State { seeds: Seeds::new(seed), count: 0, start: 0, sum: 0, factor: GOLDEN }
    }
}

/// Copies 64 bytes of a key, or what there is and a dot behind it, and says which bytes are dots. There are sixteen bytes.
#[inline(always)]
fn copy(rest: &[u8], space: &mut [u8; 80]) -> u64 {
    let length = rest.len().min(64);
    let (Some(first), Some(last)) = (rest.first_chunk::<16>(), rest[..length].last_chunk::<16>()) else {
        return 0;
    };
    // The last word ends as the others do, with a dot.
    space[length] = b'.';
    space[..16].copy_from_slice(first);
    let mut dots = dots_of(first);
    if length > 32 {
        space[16..32].copy_from_slice(block::<1>(rest));
        dots |= dots_of(block::<1>(rest)) << 16;
        if length > 48 {
            space[32..48].copy_from_slice(block::<2>(rest));
            dots |= dots_of(block::<2>(rest)) << 32;
        }
    }
    // The last sixteen, which may overlap those before.
    let at = length - 16;
    space[at..length].copy_from_slice(last);
    dots | (dots_of(last) | 1 << 16) << at
}

/// The same for fewer than sixteen bytes.
#[inline(always)]
fn copy_short(rest: &[u8], space: &mut [u8; 80]) -> u64 {
    let text = rest.iter().chain(b".").rev().fold(0, |all, byte| all << 8 | u128::from(*byte)).to_le_bytes();
    space[..16].copy_from_slice(&text);
    dots_of(&text)
}

/// A bit for each byte that is a dot.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
fn dots_of(block: &[u8; 16]) -> u64 {
    use safe_arch::{cmp_eq_mask_i8_m128i, load_unaligned_m128i, move_mask_i8_m128i, set_splat_i8_m128i};
    let same = cmp_eq_mask_i8_m128i(load_unaligned_m128i(block), set_splat_i8_m128i(b'.' as i8));
    move_mask_i8_m128i(same) as u64
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
#[inline(always)]
fn dots_of(block: &[u8; 16]) -> u64 {
    let both = u128::from_le_bytes(*block);
    dots_of_eight(both as u64) | dots_of_eight((both >> 64) as u64) << 8
}

/// The same for eight bytes on any processor.
#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
#[inline(always)]
const fn dots_of_eight(block: u64) -> u64 {
    const DOTS: u64 = u64::from_le_bytes([b'.'; 8]);
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    /// Moves the lowest bit of each byte into the highest byte, in its order; no two meet.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let other = block ^ DOTS;
    // The high bit of every byte that is a dot.
    let high = !(((other & LOW) + LOW) | other | LOW);
    (high >> 7).wrapping_mul(GATHER) >> 56
}

/// What hashes of words begin with: whoever chooses words knows neither.
#[derive(Clone, Copy)]
struct Seeds {
    low: u64,
    high: u64,
}

impl Seeds {
    #[inline(always)]
    const fn new(seed: u64) -> Self {
        Seeds { low: seed, high: seed.rotate_left(32) ^ MIX }
    }
}

/// The hash of a word with a dot behind it: with that, no two words of at most sixteen bytes are the same in the bytes that
/// are read.
#[inline(always)]
fn word_hash(text: &Padded, seeds: Seeds, start: usize, length: usize) -> u64 {
    let (Some(low), Some(high)) = (MASKS.get(length + 8), MASKS.get(length)) else {
        return long_hash(text, seeds, start, length);
    };
    let (first, second) = load(text, start);
    fold_here(first & low ^ seeds.low, second & high ^ seeds.high)
}

/// For the first eight bytes of a word of so many, from 8 on; for the next eight bytes, from 0 on. Both take in the dot.
static MASKS: [u64; 25] = {
    let (mut masks, mut at) = ([!0; 25], 0);
    while at < 16 {
        masks[at] = if at < 8 { 0 } else { !0 >> (56 - 8 * (at - 8)) };
        at += 1;
    }
    masks
};

/// For a word of more than sixteen bytes.
#[inline(never)]
fn long_hash(text: &Padded, seeds: Seeds, start: usize, length: usize) -> u64 {
    let mut hash = seeds.low ^ (length as u64).wrapping_mul(GOLDEN);
    let mut step = |at: usize| {
        let (first, second) = load(text, at);
        hash = fold(first ^ hash, second ^ seeds.high);
    };
    (0..length / 16).for_each(|block| step(start + 16 * block));
    // The last sixteen bytes, which may overlap those before.
    step((start + length).saturating_sub(16));
    hash
}

/// Sixteen bytes from any place of a key. The place is masked so that the compiler sees that it is inside.
#[inline(always)]
fn load(text: &Padded, at: usize) -> (u64, u64) {
    let both =
        text[at & SHORT..(at & SHORT) + 16].first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
    (both as u64, (both >> 64) as u64)
}

/// The hash of a word of any length; of one that fits a short key the same as there.
pub(crate) fn any_word_hash(seed: u64, word: &[u8]) -> u64 {
    if word.len() > SHORT {
        // No binding key has such a word unless the limits were raised; then all that counts is that it is the same on
        // both sides.
        return crate::hash::hash(seed, word);
    }
    let mut text: Padded = [b'.'; 256 + 16];
    text[..word.len()].copy_from_slice(word);
    word_hash(&text, Seeds::new(seed), 0, word.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, vec::Vec};

    #[test]
    fn dots_are_found_wherever_they_stand() {
        for dots in 0..1_u32 << 16 {
            for other in [b'/', b'-', 0, 0xae, 0xff] {
                let block: [u8; 16] =
                    core::array::from_fn(|at| if dots >> at & 1 == 1 { b'.' } else { other });
                assert_eq!(dots_of(&block), u64::from(dots));
                let halves =
                    block.as_chunks::<8>().0.iter().map(|half| dots_of_eight(u64::from_le_bytes(*half)));
                assert_eq!(halves.rev().fold(0, |all, half| all << 8 | half), u64::from(dots));
            }
        }
    }

    #[test]
    fn every_byte_and_the_length_of_a_word_count() {
        let mut seen = BTreeSet::new();
        for byte in [0, b'a', b'-', 0xff] {
            for length in 0..80 {
                let word = [byte].repeat(length);
                assert!(seen.insert(any_word_hash(1, &word)) || length == 0, "{length} of {byte}");
                for at in 0..length {
                    let mut other = word.clone();
                    other[at] ^= 0x40;
                    assert!(seen.insert(any_word_hash(1, &other)), "byte {at} of {length} of {byte}");
                }
            }
        }
    }

    #[test]
    fn a_word_has_one_hash_wherever_it_stands() {
        let mut room = Room::new();
        for length in 0..40 {
            let word: Vec<u8> = (0..length).map(|at| b'a' + at % 26).collect();
            let hash = any_word_hash(7, &word);
            for before in 0..200 {
                let front = if before == 0 { Vec::new() } else { [&b"y".repeat(before)[..], b"."].concat() };
                for behind in [&b""[..], b".", b".other"] {
                    let key = [&front[..], &word, behind].concat();
                    if key.is_empty() {
                        continue;
                    }
                    let words = usize::from(before > 0) + 1 + usize::from(!behind.is_empty());
                    assert_eq!(room.cut(7, &key), words, "{key:?}");
                    assert_eq!(room.before(1 + usize::from(before > 0)).hash, hash, "{key:?}");
                }
            }
        }
    }
}
