//! Values under small numbers in pages, so that growing never moves what is there.

use alloc::vec::Vec;

const BITS: u32 = 10;
const PAGE: usize = 1 << BITS;

#[derive(Clone, Debug)]
pub(crate) struct Pages<T> {
    pages: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    length: u32,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Pages { pages: Vec::new(), free: Vec::new(), length: 0 }
    }
}

impl<T> Pages<T> {
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if let Some(number) = self.free.pop() {
            if let Some(slot) = self.slot_mut(number) {
                *slot = Some(value);
            }
            return number;
        }
        let number = self.length;
        if (number as usize).is_multiple_of(PAGE) {
            // The first page grows with its content, later ones come whole.
            let capacity = if self.pages.is_empty() { 4 } else { PAGE };
            self.pages.push(Vec::with_capacity(capacity));
        }
        if let Some(page) = self.pages.last_mut() {
            page.push(Some(value));
        }
        self.length += 1;
        number
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let value = self.slot_mut(number)?.take()?;
        self.free.push(number);
        if self.free.len() == self.length as usize {
            *self = Pages::default();
        }
        Some(value)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    #[inline(always)]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.pages.get((number >> BITS) as usize)?.get(number as usize % PAGE)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.slot_mut(number)?.as_mut()
    }

    fn slot_mut(&mut self, number: u32) -> Option<&mut Option<T>> {
        self.pages.get_mut((number >> BITS) as usize)?.get_mut(number as usize % PAGE)
    }
}
