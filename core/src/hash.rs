//! Hashes of names and keys, begun with a seed that whoever chooses them does not know.

/// Odd, and without a pattern in its bits (2^64 divided by the golden ratio).
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
pub(crate) const MIX: u64 = 0xd6e8_feb8_6659_fd93;

/// The hash of some bytes: sixteen of them a step.
///
/// A step multiplies two halves, each of which has the seed in it: no text makes either 0, which would hide the other.
#[inline(always)]
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let other = seed.rotate_left(32);
    let seed = seed ^ (bytes.len() as u64).wrapping_mul(GOLDEN);
    let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) else {
        return short(seed, other ^ MIX, bytes);
    };
    let mut hash = step(seed, other, first);
    if bytes.len() > 32 {
        hash = step(hash, other, block::<1>(bytes));
        if bytes.len() > 48 {
            hash = step(hash, other, block::<2>(bytes));
            if bytes.len() > IN_PLACE {
                hash = middle(hash, other, bytes);
            }
        }
    }
    // The last sixteen, which may overlap those before.
    step(hash, other, last)
}

/// Texts of so many bytes are hashed and compared in place; longer ones need a call.
pub(crate) const IN_PLACE: usize = 64;

/// Sixteen bytes after as many for each block before; there are enough.
#[inline(always)]
pub(crate) fn block<const N: usize>(bytes: &[u8]) -> &[u8; 16] {
    bytes.get(16 * N..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; 16])
}

/// What stands between the first 48 bytes and the last sixteen.
#[inline(never)]
fn middle(mut hash: u64, other: u64, bytes: &[u8]) -> u64 {
    for block in bytes.as_chunks::<16>().0.iter().skip(3) {
        hash = step(hash, other, block);
    }
    hash
}

#[inline(always)]
fn step(hash: u64, other: u64, block: &[u8; 16]) -> u64 {
    let both = u128::from_le_bytes(*block);
    fold(both as u64 ^ hash, (both >> 64) as u64 ^ other)
}

#[inline(always)]
fn short(seed: u64, other: u64, bytes: &[u8]) -> u64 {
    let (low, high) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
            }
            _ => (bytes.iter().fold(0, |low, byte| low << 8 | u64::from(*byte)), 0),
        },
    };
    fold(fold(low ^ seed, high ^ other), GOLDEN)
}

/// Both hashes as one.
#[inline(always)]
pub(crate) fn join(a: u64, b: u64) -> u64 {
    fold(a ^ GOLDEN, b ^ MIX)
}

/// A seed of few bits as one of many.
pub(crate) fn spread(seed: u64) -> u64 {
    fold(seed ^ GOLDEN, MIX) | 1
}

/// Multiplies, and lays the upper half over the lower.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    fold_here(a, b)
}

/// The same in place also where that takes many instructions, for what is done for each word of a key.
#[inline(always)]
pub(crate) fn fold_here(a: u64, b: u64) -> u64 {
    let (low, high) = if cfg!(target_arch = "wasm32") { by_halves(a, b) } else { at_once(a, b) };
    low ^ high
}

#[inline(always)]
fn at_once(a: u64, b: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    (product as u64, (product >> 64) as u64)
}

/// The same product. WebAssembly multiplies no more than 64 bits; the compiler would call a function for it that takes
/// three times as long.
#[inline(always)]
fn by_halves(a: u64, b: u64) -> (u64, u64) {
    const HALF: u64 = 0xffff_ffff;
    let (low, high) = ((a & HALF) * (b & HALF), (a >> 32) * (b >> 32));
    let cross = (a >> 32) * (b & HALF) + (low >> 32);
    let other = (a & HALF) * (b >> 32) + (cross & HALF);
    (other << 32 | low & HALF, high + (cross >> 32) + (other >> 32))
}

/// The bits of a hash that a [`Tags`](crate::tags::Tags) table keeps.
#[inline(always)]
pub(crate) const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, vec::Vec};

    #[test]
    fn every_byte_and_the_length_count() {
        let bytes: Vec<u8> = (0..64).collect();
        let mut seen = BTreeSet::new();
        for length in 0..bytes.len() {
            assert!(seen.insert(hash(1, &bytes[..length])));
            for at in 0..length {
                let mut other = bytes[..length].to_vec();
                other[at] ^= 0x40;
                assert!(seen.insert(hash(1, &other)), "byte {at} of {length}");
            }
        }
        assert!(seen.insert(hash(2, &bytes)));
        assert!(seen.insert(hash(1, &[0, 0])));
    }

    #[test]
    fn halves_give_the_same_product() {
        let mut value = 1_u64;
        let mut next = || {
            value = value.wrapping_mul(MIX).rotate_left(29) ^ GOLDEN;
            value
        };
        let ends = [0, 1, u64::MAX, 1 << 32, (1 << 32) - 1, u64::MAX << 32];
        for a in ends.into_iter().chain(core::iter::repeat_with(&mut next).take(10_000)).collect::<Vec<_>>() {
            for b in [a, a.rotate_left(17), !a].into_iter().chain(ends) {
                assert_eq!(by_halves(a, b), at_once(a, b), "{a:#x} times {b:#x}");
            }
        }
    }

    #[test]
    fn tags_spread() {
        let tags: BTreeSet<u32> = (0..100_000_u32).map(|n| tag(hash(7, &n.to_le_bytes())) >> 12).collect();
        // A random function leaves about 91,000 of 2^20 places taken.
        assert!(tags.len() > 90_000 && tags.len() < 96_500, "{}", tags.len());
    }
}
