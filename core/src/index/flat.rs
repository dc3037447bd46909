//! The queues of a fanout exchange, one beside the other: a route copies them.

use alloc::vec::Vec;

use crate::id::{BindingId, QueueId};

/// Queues that differ, each with the binding that leads to it, in pages that growing does not move.
///
/// A removed queue gives its place to the last one, so coming and going costs the same whatever their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flat {
    pages: Vec<Page>,
    length: usize,
}

#[derive(Clone, Debug, Default)]
struct Page {
    queues: Vec<QueueId>,
    bindings: Vec<BindingId>,
}

const PAGE: usize = 2048;

impl Flat {
    /// Adds a queue that is not here, and says where.
    pub(crate) fn insert(&mut self, binding: BindingId, queue: QueueId) -> u32 {
        if self.length.is_multiple_of(PAGE) {
            let capacity = if self.length == 0 { 0 } else { PAGE };
            let (queues, bindings) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
            self.pages.push(Page { queues, bindings });
        }
        if let Some(page) = self.pages.last_mut() {
            page.queues.push(queue);
            page.bindings.push(binding);
        }
        self.length += 1;
        self.length as u32 - 1
    }

    /// Removes the queue at a place; the binding returned, if any, is found there from now on.
    pub(crate) fn remove(&mut self, at: u32) -> Option<BindingId> {
        let page = self.pages.last_mut()?;
        let (queue, binding) = (page.queues.pop()?, page.bindings.pop()?);
        self.length -= 1;
        if self.length.is_multiple_of(PAGE) {
            self.pages.pop();
        }
        let (page, place) = (at as usize / PAGE, at as usize % PAGE);
        let page = self.pages.get_mut(page)?;
        *page.queues.get_mut(place)? = queue;
        *page.bindings.get_mut(place)? = binding;
        Some(binding)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds all queues to others.
    #[inline(never)]
    pub(crate) fn copy(&self, queues: &mut Vec<QueueId>) {
        self.pages.iter().for_each(|page| queues.extend_from_slice(&page.queues));
    }

    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (BindingId, QueueId)> {
        self.pages.iter().flat_map(|page| page.bindings.iter().copied().zip(page.queues.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_binding_is_where_it_was_said_to_be() {
        let (mut flat, mut places, mut noise) = (Flat::default(), BTreeMap::new(), 1_u32);
        for round in 0..20_000_u32 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if round < 8_000 || noise >> 31 == 0 {
                places.insert(round, flat.insert(BindingId(round), QueueId(round * 2)));
            } else if let Some((&binding, _)) = places.range(noise % round..).next() {
                let at = places.remove(&binding).unwrap();
                if let Some(moved) = flat.remove(at) {
                    places.insert(moved.0, at);
                }
            }
        }
        assert!(places.len() > 5_000);
        let by_place: BTreeMap<u32, u32> = places.iter().map(|(binding, at)| (*at, *binding)).collect();
        assert!(
            flat.iter()
                .map(|(binding, queue)| (binding.0, queue.0))
                .eq(by_place.values().map(|b| (*b, b * 2)))
        );
        while let Some((binding, at)) = places.pop_first() {
            if let Some(moved) = flat.remove(at) {
                assert_ne!(moved.0, binding);
                places.insert(moved.0, at);
            }
        }
        assert!(flat.is_empty() && flat.pages.is_empty() && flat.remove(0).is_none());
    }
}
