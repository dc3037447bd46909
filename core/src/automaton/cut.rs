//! A key cut at its dots, each word as a number where it is short.

use core::ops::ControlFlow;

/// A word of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// At most seven bytes, and above them how many: the number is the word.
    Short(u64),
    /// Where a longer one begins and ends.
    Long(u32, u32),
}

const SHORT_BITS: u32 = 56;
/// Numbers of what is no short word have this in their uppermost byte.
pub(super) const NO_SHORT: u64 = 0xff << SHORT_BITS;

const DOTS: u64 = u64::from_le_bytes([b'.'; 8]);
const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// Calls `each` with every word until it breaks off. The empty key has none.
#[inline(always)]
pub(super) fn words<B>(key: &[u8], mut each: impl FnMut(Cut) -> ControlFlow<B>) -> ControlFlow<B> {
    if key.is_empty() {
        return ControlFlow::Continue(());
    }
    let (blocks, rest) = key.as_chunks::<8>();
    // The last word ends as the others do, with a dot.
    let over = 8 * rest.len() as u32;
    let last = match key.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last).unbounded_shr(64 - over),
        None => rest.iter().rev().fold(0, |block, byte| block << 8 | u64::from(*byte)),
    };
    let last = last | u64::from(b'.') << over;
    // What the blocks before have of the word, how many bits that is, and where the word began.
    let (mut before, mut bits, mut start) = (0, 0, 0);
    for at in 0..=blocks.len() {
        let block = blocks.get(at).map_or(last, |block| u64::from_le_bytes(*block));
        let (mut dots, mut from) = (dots(block), 0);
        while dots != 0 {
            let to = dots.trailing_zeros() & !7;
            let piece = block.unbounded_shr(from) & !(u64::MAX << (to - from));
            bits += to - from;
            let word = if bits <= SHORT_BITS {
                Cut::Short(
                    before | piece.unbounded_shl(bits - (to - from)) | u64::from(bits) << (SHORT_BITS - 3),
                )
            } else {
                Cut::Long(start, start + bits / 8)
            };
            each(word)?;
            start += bits / 8 + 1;
            (before, bits, from) = (0, 0, to + 8);
            dots &= dots - 1;
        }
        before |= block.unbounded_shr(from).unbounded_shl(bits);
        bits += 64 - from;
    }
    ControlFlow::Continue(())
}

/// The high bit of every byte that is a dot.
#[inline(always)]
const fn dots(block: u64) -> u64 {
    let other = block ^ DOTS;
    !(((other & LOW) + LOW) | other | LOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, vec, vec::Vec};

    fn short(word: &[u8]) -> u64 {
        word.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)) | (word.len() as u64) << SHORT_BITS
    }

    #[test]
    fn cuts_as_a_plain_split_does() {
        let mut keys = vec![vec![], vec![b'.'; 255], b"a\0.a.\0".to_vec(), b"\xff.\xae.\x2e\x2f".to_vec()];
        for length in 0..40 {
            for gap in 1..20 {
                keys.push((0..length).map(|at| if at % gap == gap - 1 { b'.' } else { b'a' + at }).collect());
            }
        }
        for key in keys {
            let mut found = vec![];
            let _ = words::<()>(&key, |word| {
                found.push(word);
                ControlFlow::Continue(())
            });
            let mut start = 0;
            let plain = key.split(|byte| *byte == b'.').filter(|_| !key.is_empty()).map(|word| {
                let (from, to) = (start, start + word.len());
                start = to + 1;
                if word.len() < 8 { Cut::Short(short(word)) } else { Cut::Long(from as u32, to as u32) }
            });
            assert_eq!(found, plain.collect::<Vec<_>>(), "{key:?}");
        }
    }

    #[test]
    fn breaks_off_where_it_is_told_to() {
        let mut words_seen = 0;
        let end = words(b"a.b.c.d", |_| {
            words_seen += 1;
            if words_seen == 2 { ControlFlow::Break(7) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((words_seen, format!("{end:?}")), (2, "Break(7)".into()));
    }
}
