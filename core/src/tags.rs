//! A hash table of small values that grows by splitting: extendible hashing over small tables.
//!
//! Growing an ordinary table moves every entry at once; here a full segment of about a thousand entries is split in two
//! and nothing else is touched, so that no single insertion pays for the size of the table. A slot keeps 32 bits of the
//! hash beside the value, which is a number of what is kept elsewhere: a look-up reads one cache line where nothing is
//! found, and splitting reads nothing but the slots.

use alloc::{vec, vec::Vec};

/// A value that can say that there is none.
pub(crate) trait Vacant: Copy {
    const VACANT: Self;

    fn is_vacant(&self) -> bool;
}

impl Vacant for u32 {
    const VACANT: Self = u32::MAX;

    #[inline(always)]
    fn is_vacant(&self) -> bool {
        *self == u32::MAX
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Tags<V> {
    /// Two to the power of how many low bits of a tag choose a segment, less one.
    mask: u32,
    directory: Vec<u32>,
    segments: Vec<Segment<V>>,
    length: usize,
}

#[derive(Clone, Debug)]
struct Segment<V> {
    slots: Vec<Slot<V>>,
    /// How many low bits its tags have in common.
    depth: u32,
    used: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slot<V> {
    tag: u32,
    value: V,
}

/// A segment of so many slots is split, not doubled.
const SLOTS: usize = 2048;
const SMALLEST: usize = 8;
/// A directory of so many bits serves eight million entries; beyond that, segments double after all.
const MAX_DEPTH: u32 = 13;

impl<V> Default for Tags<V> {
    fn default() -> Self {
        Tags { mask: 0, directory: vec![0], segments: vec![Segment::new()], length: 0 }
    }
}

impl<V> Segment<V> {
    const fn new() -> Self {
        // Nothing is allocated for a table that stays empty.
        Segment { slots: Vec::new(), depth: 0, used: 0 }
    }

    /// The slot where a search for a tag begins: its upper bits choose it, as the number of slots is a power of two.
    #[inline(always)]
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.slots.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        // Five eighths: a search that finds nothing looks at four slots on average at worst, and at two mostly.
        self.used as usize * 8 >= self.slots.len() * 5
    }
}

impl<V: Vacant> Tags<V> {
    /// The value under this tag that is the one meant, as `eq` says.
    #[inline(always)]
    pub(crate) fn find(&self, tag: u32, mut eq: impl FnMut(&V) -> bool) -> Option<&V> {
        let (slots, mut at) = self.segment(tag);
        loop {
            // A segment without slots ends here; others have a vacant one.
            let slot = slots.get(at)?;
            if slot.value.is_vacant() {
                return None;
            }
            if slot.tag == tag && eq(&slot.value) {
                return Some(&slot.value);
            }
            at = (at + 1) & (slots.len() - 1);
        }
    }

    /// The first value under this tag, which nearly always is the only one; or [`Vacant::VACANT`], if rarely, which is none.
    /// Where it is not the one meant, [`find`](Self::find) finds what else there is: a quick way for most messages.
    #[inline(always)]
    pub(crate) fn first(&self, tag: u32) -> Option<&V> {
        let (slots, mut at) = self.segment(tag);
        loop {
            let slot = slots.get(at)?;
            if slot.tag == tag {
                return Some(&slot.value);
            }
            if slot.value.is_vacant() {
                return None;
            }
            at = (at + 1) & (slots.len() - 1);
        }
    }

    /// The slots that have a tag, and where a search for it begins.
    #[inline(always)]
    fn segment(&self, tag: u32) -> (&[Slot<V>], usize) {
        let number = self.directory.get((tag & self.mask) as usize);
        match number.and_then(|number| self.segments.get(*number as usize)) {
            Some(segment) => (&segment.slots, segment.home(tag)),
            None => (&[], 0),
        }
    }

    pub(crate) fn find_mut(&mut self, tag: u32, mut eq: impl FnMut(&V) -> bool) -> Option<&mut V> {
        let number = *self.directory.get((tag & self.mask) as usize)?;
        let segment = self.segments.get_mut(number as usize)?;
        let at = segment.position(tag, &mut eq)?;
        Some(&mut segment.slots.get_mut(at)?.value)
    }

    /// Reads what a look-up of this tag begins with, so that it is in the cache by then: several of these overlap,
    /// while look-ups wait for each other where it is open what they find.
    #[inline(always)]
    pub(crate) fn touch(&self, tag: u32) -> u32 {
        let number = self.directory.get((tag & self.mask) as usize).copied().unwrap_or_default();
        let slot =
            self.segments.get(number as usize).and_then(|segment| segment.slots.get(segment.home(tag)));
        slot.map_or(0, |slot| slot.tag)
    }

    /// Adds a value, whatever there is under its tag already. Returns how many entries were moved for it.
    pub(crate) fn insert(&mut self, tag: u32, value: V) -> usize {
        let mut moved = 0;
        loop {
            let number = self.directory[(tag & self.mask) as usize] as usize;
            let segment = &mut self.segments[number];
            if !segment.is_full() {
                segment.put(tag, value);
                self.length += 1;
                return moved;
            }
            moved += segment.used as usize;
            if segment.slots.len() < SLOTS || !self.split(number) {
                self.segments[number].double();
            }
        }
    }

    /// Makes room for so many entries at once, if there are none yet, so that putting them in splits next to nothing.
    pub(crate) fn reserve(&mut self, entries: usize) {
        if !self.is_empty() || entries == 0 {
            return;
        }
        // Segments that are half full on average: hardly one comes to five eighths.
        let segments = entries.div_ceil(SLOTS / 2).next_power_of_two().min(1 << MAX_DEPTH);
        let depth = segments.trailing_zeros();
        let slots = if segments > 1 { SLOTS } else { (entries * 2).next_power_of_two().max(SMALLEST) };
        self.segments = (0..segments).map(|_| Segment::sized(slots, depth)).collect();
        self.directory = (0..segments as u32).collect();
        self.mask = segments as u32 - 1;
    }

    pub(crate) fn remove(&mut self, tag: u32, mut eq: impl FnMut(&V) -> bool) -> Option<V> {
        let number = *self.directory.get((tag & self.mask) as usize)?;
        let segment = self.segments.get_mut(number as usize)?;
        let at = segment.position(tag, &mut eq)?;
        let value = segment.take(at);
        self.length -= 1;
        if self.length == 0 {
            *self = Tags::default();
        }
        Some(value)
    }

    /// How many tables of slots there are, each of some thousand at most; they stay until the last entry goes.
    pub(crate) const fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Every tag and value, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &V)> {
        let slots = self.segments.iter().flat_map(|segment| &segment.slots);
        slots.filter(|slot| !slot.value.is_vacant()).map(|slot| (slot.tag, &slot.value))
    }

    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Splits a segment by the next bit of the tags; false if there are no more bits to split by.
    fn split(&mut self, number: usize) -> bool {
        let depth = self.segments[number].depth;
        if depth == MAX_DEPTH {
            return false;
        }
        if 1 << depth > self.mask {
            self.directory.extend_from_within(..);
            self.mask = self.mask << 1 | 1;
        }
        let old = core::mem::replace(&mut self.segments[number], Segment::sized(SLOTS, depth + 1));
        let mut new = Segment::sized(SLOTS, depth + 1);
        let mut first = None;
        for slot in old.slots.iter().filter(|slot| !slot.value.is_vacant()) {
            first = Some(slot.tag);
            let side = if slot.tag >> depth & 1 == 0 { &mut self.segments[number] } else { &mut new };
            side.put(slot.tag, slot.value);
        }
        let Some(first) = first else { return false };
        let fresh = self.segments.len() as u32;
        self.segments.push(new);
        // The places of the directory that led here agree in the bits that the tags had in common.
        let common = (1_u32 << depth) - 1;
        let mut at = (first & common) | 1 << depth;
        while at <= self.mask {
            self.directory[at as usize] = fresh;
            at += 1 << (depth + 1);
        }
        true
    }
}

impl<V: Vacant> Segment<V> {
    fn sized(slots: usize, depth: u32) -> Self {
        let slots = vec![Slot { tag: 0, value: V::VACANT }; slots];
        Segment { slots, depth, used: 0 }
    }

    fn position(&self, tag: u32, eq: &mut impl FnMut(&V) -> bool) -> Option<usize> {
        let mut at = self.home(tag);
        loop {
            let slot = self.slots.get(at)?;
            if slot.value.is_vacant() {
                return None;
            }
            if slot.tag == tag && eq(&slot.value) {
                return Some(at);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    fn put(&mut self, tag: u32, value: V) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(tag);
        while !self.slots[at].value.is_vacant() {
            at = (at + 1) & mask;
        }
        self.slots[at] = Slot { tag, value };
        self.used += 1;
    }

    /// Empties a slot and moves those back that had to pass it, so that no search stops short.
    fn take(&mut self, at: usize) -> V {
        let mask = self.slots.len() - 1;
        let value = self.slots[at].value;
        let (mut hole, mut next) = (at, at);
        loop {
            next = (next + 1) & mask;
            let slot = self.slots[next];
            if slot.value.is_vacant() {
                break;
            }
            let home = self.home(slot.tag);
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.slots[hole] = slot;
                hole = next;
            }
        }
        self.slots[hole].value = V::VACANT;
        self.used -= 1;
        value
    }

    fn double(&mut self) {
        let slots = (self.slots.len() * 2).max(SMALLEST);
        let old = core::mem::replace(self, Segment::sized(slots, self.depth));
        for slot in old.slots.into_iter().filter(|slot| !slot.value.is_vacant()) {
            self.put(slot.tag, slot.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{hash, tag};

    fn tag_of(n: u32) -> u32 {
        tag(hash(3, &n.to_le_bytes()))
    }

    #[test]
    fn no_insertion_moves_more_than_a_segment() {
        let mut table = Tags::default();
        for n in 0..300_000_u32 {
            let moved = table.insert(tag_of(n), n);
            assert!(moved <= 4096, "insertion {n} moved {moved}");
        }
        assert_eq!(table.len(), 300_000);
        assert!((0..300_000).all(|n| table.find(tag_of(n), |other| *other == n) == Some(&n)));
        assert!((300_000..310_000).all(|n| table.find(tag_of(n), |other| *other == n).is_none()));
        for n in (0..300_000).rev() {
            assert_eq!(table.remove(tag_of(n), |other| *other == n), Some(n));
            assert_eq!(table.remove(tag_of(n), |other| *other == n), None);
        }
        assert!(table.is_empty() && table.segments.len() == 1 && table.segments[0].slots.is_empty());
    }

    #[test]
    fn equal_tags_are_kept_apart() {
        let mut table = Tags::default();
        for n in 0..5_000_u32 {
            table.insert(7, n);
        }
        assert_eq!(table.find(7, |n| *n == 4_999), Some(&4_999));
        assert_eq!(table.remove(7, |n| *n == 0), Some(0));
        assert_eq!(table.find(7, |n| *n == 0), None);
        assert_eq!(table.find_mut(7, |n| *n == 3_000), Some(&mut 3_000));
        assert_eq!(table.find(8, |_| true), None);
    }

    #[test]
    fn what_comes_and_goes_is_found_in_between() {
        let (mut table, mut there) = (Tags::default(), [false; 4096]);
        let mut noise = 9_u32;
        for _ in 0..200_000 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = noise >> 20;
            // Few tags, close together: searches run over each other.
            let tag = (n / 7) << 20;
            let known = there[n as usize];
            there[n as usize] = !known;
            assert_eq!(table.find(tag, |other| *other == n).is_some(), known);
            if known {
                assert_eq!(table.remove(tag, |other| *other == n), Some(n));
            } else {
                table.insert(tag, n);
            }
        }
        assert_eq!(table.len(), there.iter().filter(|there| **there).count());
    }
}
