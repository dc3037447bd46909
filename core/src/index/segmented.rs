//! A hash table that grows by splitting: extendible hashing over small tables.
//!
//! Growing an ordinary table moves every entry at once; here a full segment of a few thousand entries is split in two
//! and nothing else is touched, so that no single insertion pays for the size of the table.

use alloc::{vec, vec::Vec};

use hashbrown::HashTable;

/// A segment is split when it holds this many: seven eighths of 2,048 buckets.
const FULL: usize = 1792;
/// A directory of so many bits serves seven million entries; only hashes that are all alike need more, and their
/// segment then grows beyond `FULL`.
const MAX_BITS: u32 = 13;

#[derive(Clone, Debug)]
pub(crate) struct Segmented<T> {
    bits: u32,
    /// Two to the power of `bits`, less one.
    mask: usize,
    directory: Vec<u32>,
    segments: Vec<Segment<T>>,
}

#[derive(Clone, Debug)]
struct Segment<T> {
    depth: u32,
    table: HashTable<T>,
}

impl<T> Default for Segmented<T> {
    fn default() -> Self {
        Segmented {
            bits: 0,
            mask: 0,
            directory: vec![0],
            segments: vec![Segment { depth: 0, table: HashTable::new() }],
        }
    }
}

impl<T> Segmented<T> {
    /// The low bits choose a bucket inside a segment and the highest ones its tag: these are neither.
    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        let at = (hash >> 32) as usize & self.mask;
        self.directory.get(at).map_or(0, |segment| *segment as usize)
    }

    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        self.segments.get(self.place(hash))?.table.find(hash, eq)
    }

    pub(crate) fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let place = self.place(hash);
        self.segments.get_mut(place)?.table.find_mut(hash, eq)
    }

    pub(crate) fn insert(&mut self, hash: u64, value: T, hasher: impl Fn(&T) -> u64) {
        let mut place = self.place(hash);
        while self.segments[place].table.len() >= FULL && self.split(place, &hasher) {
            place = self.place(hash);
        }
        self.segments[place].table.insert_unique(hash, value, hasher);
    }

    pub(crate) fn remove(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<T> {
        let place = self.place(hash);
        let table = &mut self.segments.get_mut(place)?.table;
        let value = table.find_entry(hash, eq).ok()?.remove().0;
        if table.is_empty() && self.segments.iter().all(|segment| segment.table.is_empty()) {
            *self = Segmented::default();
        }
        Some(value)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.table.is_empty())
    }

    /// Splits a segment by the next bit of the hash; false if there are no more bits to split by.
    fn split(&mut self, place: usize, hasher: impl Fn(&T) -> u64) -> bool {
        let depth = self.segments[place].depth;
        if depth == self.bits {
            if self.bits == MAX_BITS {
                return false;
            }
            self.directory.extend_from_within(..);
            self.bits += 1;
            self.mask = (1 << self.bits) - 1;
        }
        let bit = 1_u64 << (32 + depth);
        let segment = &mut self.segments[place];
        segment.depth += 1;
        let (mut left, mut right) = (HashTable::with_capacity(FULL / 2), HashTable::with_capacity(FULL / 2));
        for value in segment.table.drain() {
            let hash = hasher(&value);
            let side = if hash & bit == 0 { &mut left } else { &mut right };
            side.insert_unique(hash, value, &hasher);
        }
        segment.table = left;
        let new = self.segments.len() as u32;
        self.segments.push(Segment { depth: depth + 1, table: right });
        for (at, segment) in self.directory.iter_mut().enumerate() {
            if *segment as usize == place && at >> depth & 1 == 1 {
                *segment = new;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    const fn spread(n: u64) -> u64 {
        (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn no_insertion_moves_more_than_a_segment() {
        let hashed = Cell::new(0);
        let hasher = |n: &u64| {
            hashed.set(hashed.get() + 1);
            spread(*n)
        };
        let mut table = Segmented::default();
        for n in 0..100_000 {
            hashed.set(0);
            table.insert(spread(n), n, hasher);
            assert!(hashed.get() <= 4096, "insertion {n} moved {}", hashed.get());
        }
        assert!((0..100_000).all(|n| table.find(spread(n), |other| *other == n) == Some(&n)));
        assert!((100_000..101_000).all(|n| table.find(spread(n), |other| *other == n).is_none()));
        for n in 0..100_000 {
            assert_eq!(table.remove(spread(n), |other| *other == n), Some(n));
        }
        assert!(table.is_empty() && table.segments.len() == 1);
    }

    #[test]
    fn equal_hashes_are_kept_apart() {
        let mut table = Segmented::default();
        for n in 0..5_000_u32 {
            table.insert(7, n, |_| 7);
        }
        assert_eq!(table.find(7, |n| *n == 4_999), Some(&4_999));
        assert_eq!(table.remove(7, |n| *n == 0), Some(0));
        assert_eq!(table.find(7, |n| *n == 0), None);
    }
}
