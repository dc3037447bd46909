use alloc::{vec, vec::Vec};

use crate::id::BindingId;

/// What is kept in [`Chunks`]: something of one binding.
pub(crate) trait Sorted {
    /// The binding, by which the list is sorted.
    fn binding(&self) -> BindingId;
}

impl Sorted for BindingId {
    fn binding(&self) -> BindingId {
        *self
    }
}

/// A list sorted by binding, in pieces: whatever its length, coming and going moves a few hundred values at most, and
/// walking through it is walking through slices.
///
/// Appending fills the pieces, and a new binding usually has the largest number.
#[derive(Clone, Debug)]
pub(crate) enum Chunks<T> {
    One(Vec<T>),
    /// None of them empty.
    Many(Vec<Vec<T>>),
}

/// The most values in a piece.
const FULL: usize = 512;

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Chunks::One(Vec::new())
    }
}

impl<T: Sorted> Chunks<T> {
    /// Adds a value of a binding that has none here yet.
    pub(crate) fn insert(&mut self, value: T) {
        let id = value.binding();
        let chunks = match self {
            Chunks::One(chunk) if chunk.len() < FULL => {
                let at = place(chunk, id);
                chunk.insert(at, value);
                return;
            }
            Chunks::One(chunk) => {
                *self = Chunks::Many(vec![core::mem::take(chunk)]);
                match self {
                    Chunks::Many(chunks) => chunks,
                    Chunks::One(_) => return,
                }
            }
            Chunks::Many(chunks) => chunks,
        };
        let at = chunk_of(chunks, id);
        let last = chunks.len() - 1;
        let chunk = &mut chunks[at];
        if chunk.len() < FULL {
            let place = place(chunk, id);
            chunk.insert(place, value);
        } else if at == last && chunk.last().is_some_and(|other| other.binding() < id) {
            chunks.push(vec![value]);
        } else {
            let mut upper = chunk.split_off(FULL / 2);
            let lower =
                if upper.first().is_some_and(|other| other.binding() < id) { &mut upper } else { chunk };
            let place = place(lower, id);
            lower.insert(place, value);
            chunks.insert(at + 1, upper);
        }
    }

    /// Removes what is kept of a binding; false if that is nothing.
    pub(crate) fn remove(&mut self, id: BindingId) -> bool {
        let find = |chunk: &Vec<T>| chunk.binary_search_by_key(&id, T::binding).ok();
        match self {
            Chunks::One(chunk) => {
                let Some(at) = find(chunk) else { return false };
                chunk.remove(at);
                if chunk.is_empty() {
                    *chunk = Vec::new();
                }
            }
            Chunks::Many(chunks) => {
                let number = chunk_of(chunks, id);
                let Some(at) = find(&chunks[number]) else { return false };
                chunks[number].remove(at);
                if chunks[number].is_empty() {
                    chunks.remove(number);
                }
                match chunks.as_mut_slice() {
                    [] => *self = Chunks::default(),
                    [one] if one.len() <= FULL / 2 => *self = Chunks::One(core::mem::take(one)),
                    _ => {}
                }
            }
        }
        true
    }
}

impl<T: Clone> Chunks<T> {
    /// A list of what is sorted already.
    pub(crate) fn of_sorted(values: &[T]) -> Self {
        if values.len() <= FULL {
            return Chunks::One(values.to_vec());
        }
        Chunks::Many(values.chunks(FULL).map(<[T]>::to_vec).collect())
    }
}

impl<T> Chunks<T> {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Chunks::One(chunk) if chunk.is_empty())
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.slices().next()?.first()
    }

    pub(crate) fn len(&self) -> usize {
        self.slices().map(<[T]>::len).sum()
    }

    #[inline(always)]
    pub(crate) fn slices(&self) -> impl DoubleEndedIterator<Item = &[T]> {
        let chunks = match self {
            Chunks::One(chunk) => core::slice::from_ref(chunk),
            Chunks::Many(chunks) => chunks,
        };
        chunks.iter().map(Vec::as_slice)
    }

    #[inline(always)]
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.slices().flatten()
    }
}

/// The piece that has this binding or would get it.
fn chunk_of<T: Sorted>(chunks: &[Vec<T>], id: BindingId) -> usize {
    let after = chunks.partition_point(|chunk| chunk.first().is_some_and(|first| first.binding() <= id));
    after.saturating_sub(1)
}

fn place<T: Sorted>(chunk: &[T], id: BindingId) -> usize {
    match chunk.last() {
        Some(last) if last.binding() > id => chunk.partition_point(|other| other.binding() < id),
        _ => chunk.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn stays_sorted_while_values_come_and_go() {
        let (mut chunks, mut expected, mut noise) = (Chunks::default(), BTreeSet::new(), 1_u32);
        for round in 0..30_000 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = BindingId(noise >> 17);
            if round % 3 < 2 && expected.insert(id) {
                chunks.insert(id);
            } else if round % 3 == 2 {
                assert_eq!(chunks.remove(id), expected.remove(&id));
            }
        }
        assert!(expected.len() > 5_000 && chunks.iter().eq(&expected) && chunks.len() == expected.len());
        assert!(chunks.slices().all(|chunk| !chunk.is_empty() && chunk.len() <= FULL));
        for id in expected {
            assert!(chunks.remove(id) && !chunks.remove(id));
        }
        assert!(matches!(chunks, Chunks::One(chunk) if chunk.capacity() == 0));
    }

    #[test]
    fn appending_fills_the_pieces() {
        let mut chunks = Chunks::default();
        (0..100_000).for_each(|n| chunks.insert(BindingId(n)));
        assert_eq!(chunks.slices().filter(|chunk| chunk.len() < FULL).count(), 1);
    }
}
