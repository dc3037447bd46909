use alloc::vec::Vec;

/// Values under small numbers. The number of a removed value is given out again, the last freed first.
///
/// They lie in pages, so that growing never moves what is there.
#[derive(Clone, Debug)]
pub(crate) struct Slots<T> {
    pages: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    bound: usize,
}

const BITS: u32 = 10;
const PAGE: usize = 1 << BITS;

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { pages: Vec::new(), free: Vec::new(), bound: 0 }
    }
}

impl<T> Slots<T> {
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if let Some(number) = self.free.pop() {
            if let Some(slot) = self.slot_mut(number) {
                *slot = Some(value);
            }
            return number;
        }
        // INVARIANT: four billion values of any kind we keep do not fit into memory.
        let number = self.bound as u32;
        if self.bound.is_multiple_of(PAGE) {
            // The first page grows with its content, later ones come whole.
            self.pages.push(Vec::with_capacity(if self.bound == 0 { 0 } else { PAGE }));
        }
        if let Some(page) = self.pages.last_mut() {
            page.push(Some(value));
        }
        self.bound += 1;
        number
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let value = self.slot_mut(number)?.take()?;
        self.free.push(number);
        if self.free.len() == self.bound {
            *self = Slots::default();
        }
        Some(value)
    }

    #[inline(always)]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.pages.get((number >> BITS) as usize)?.get(number as usize % PAGE)?.as_ref()
    }

    /// The same, and cheaper for the first thousand.
    #[inline(always)]
    pub(crate) fn get_near(&self, number: u32) -> Option<&T> {
        match self.pages.first().and_then(|page| page.get(number as usize)) {
            Some(slot) => slot.as_ref(),
            None => self.get(number),
        }
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.slot_mut(number)?.as_mut()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        (0..).zip(self.pages.iter_mut().flatten()).filter_map(|(number, slot)| Some((number, slot.as_mut()?)))
    }

    fn slot_mut(&mut self, number: u32) -> Option<&mut Option<T>> {
        self.pages.get_mut((number >> BITS) as usize)?.get_mut(number as usize % PAGE)
    }

    /// One more than the largest number in use since nothing was.
    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        self.bound - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.pages.iter().flatten()).filter_map(|(number, slot)| Some((number, slot.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_again_and_the_last_one_frees_all() {
        let mut slots = Slots::default();
        let numbers: Vec<u32> = (0..5_000).map(|n| slots.insert(n)).collect();
        assert_eq!((slots.len(), slots.bound(), slots.get(4_999)), (5_000, 5_000, Some(&4_999)));
        assert_eq!((slots.remove(7), slots.remove(7), slots.get(7)), (Some(7), None, None));
        assert_eq!((slots.insert(70), slots.get(7), slots.get(5_000)), (7, Some(&70), None));
        assert_eq!(slots.iter().count(), 5_000);
        for number in numbers {
            assert!(slots.remove(number).is_some());
        }
        assert!(slots.is_empty() && slots.bound() == 0 && slots.pages.is_empty());
    }
}
