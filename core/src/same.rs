//! Comparing short texts where they are met on the way of a message: in place, as a call costs more than the comparison.

use crate::hash::{IN_PLACE, block};

/// Whether two texts are the same.
#[inline(always)]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if a.len() > IN_PLACE {
        return a == b;
    }
    let (Some(first), Some(last)) = (a.first_chunk::<16>(), a.last_chunk::<16>()) else {
        return same_short(a, b);
    };
    let (Some(other_first), Some(other_last)) = (b.first_chunk::<16>(), b.last_chunk::<16>()) else {
        return false;
    };
    (word(first) ^ word(other_first)) | (word(last) ^ word(other_last)) == 0
        && (a.len() <= 32 || word(block::<1>(a)) == word(block::<1>(b)))
        && (a.len() <= 48 || word(block::<2>(a)) == word(block::<2>(b)))
}

/// For fewer than sixteen bytes, as many of each.
#[inline(always)]
fn same_short(a: &[u8], b: &[u8]) -> bool {
    match (a.first_chunk::<8>(), a.last_chunk::<8>(), b.first_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(first), Some(last), Some(other_first), Some(other_last)) => {
            first == other_first && last == other_last
        }
        _ => match (a.first_chunk::<4>(), a.last_chunk::<4>(), b.first_chunk::<4>(), b.last_chunk::<4>()) {
            (Some(first), Some(last), Some(other_first), Some(other_last)) => {
                first == other_first && last == other_last
            }
            // Three bytes at most.
            _ => a.first() == b.first() && a.get(1) == b.get(1) && a.last() == b.last(),
        },
    }
}

#[inline(always)]
const fn word(bytes: &[u8; 16]) -> u128 {
    u128::from_le_bytes(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_byte_is_compared() {
        let text: Vec<u8> = (0..100).collect();
        for length in 0..text.len() {
            let text = &text[..length];
            assert!(same(text, &[text].concat()));
            assert!(!same(text, &[text, b"x"].concat()) && !same(&[text, b"x"].concat(), text));
            for at in 0..length {
                let mut other = text.to_vec();
                other[at] ^= 0x20;
                assert!(!same(text, &other) && !same(&other, text), "byte {at} of {length}");
            }
        }
    }
}
