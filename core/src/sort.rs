//! Sorting that is fast where there is room and small where it is downloaded.
//!
//! The standard library's sort is compiled anew for each type, some 3 KB each time: a twentieth of the module for
//! JavaScript. There one heapsort sorts everything, through a table of two functions; it too takes `n log n` comparisons
//! at most.

use core::cmp::Ordering;

/// Sorts; what is equal comes in any order.
pub(crate) fn sort<T: Ord>(values: &mut [T]) {
    sort_by(values, T::cmp);
}

/// Sorts by this order; what is equal in it comes in any order.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn sort_by<T>(values: &mut [T], compare: impl FnMut(&T, &T) -> Ordering) {
    values.sort_unstable_by(compare);
}

#[cfg(target_family = "wasm")]
pub(crate) use small::sort_by;

#[cfg(any(target_family = "wasm", test))]
mod small {
    use super::Ordering;

    pub(crate) fn sort_by<T>(values: &mut [T], compare: impl FnMut(&T, &T) -> Ordering) {
        let length = values.len();
        heapsort(&mut Slice { values, compare }, length);
    }

    /// Values by their places, whatever they are.
    trait Places {
        fn less(&mut self, a: usize, b: usize) -> bool;
        fn swap(&mut self, a: usize, b: usize);
    }

    struct Slice<'a, T, F> {
        values: &'a mut [T],
        compare: F,
    }

    impl<T, F: FnMut(&T, &T) -> Ordering> Places for Slice<'_, T, F> {
        fn less(&mut self, a: usize, b: usize) -> bool {
            (self.compare)(&self.values[a], &self.values[b]).is_lt()
        }

        fn swap(&mut self, a: usize, b: usize) {
            self.values.swap(a, b);
        }
    }

    fn heapsort(places: &mut dyn Places, length: usize) {
        for root in (0..length / 2).rev() {
            sift(places, root, length);
        }
        for last in (1..length).rev() {
            places.swap(0, last);
            sift(places, 0, last);
        }
    }

    /// Lets the value at `root` sink to where no child is larger.
    fn sift(places: &mut dyn Places, mut root: usize, length: usize) {
        loop {
            let mut child = root * 2 + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && places.less(child, child + 1) {
                child += 1;
            }
            if !places.less(root, child) {
                return;
            }
            places.swap(root, child);
            root = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn the_small_one_sorts_like_the_fast_one() {
        let mut noise = 1_u32;
        for length in (0..70).chain([1_000, 4_097]) {
            for spread in [1, 3, 50, u32::MAX] {
                let mut small: Vec<u32> = core::iter::repeat_with(|| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (noise >> 8) % spread
                })
                .take(length)
                .collect();
                let mut fast = small.clone();
                small::sort_by(&mut small, |a, b| b.cmp(a));
                sort_by(&mut fast, |a, b| b.cmp(a));
                assert_eq!(small, fast, "{length} values below {spread}");
            }
        }
    }

    #[test]
    fn no_order_makes_the_small_one_slow() {
        const COUNT: u32 = 4_096;
        let inputs: [fn(u32) -> u32; 5] =
            [|at| at, |at| COUNT - at, |_| 7, |at| at % 2, |at| at.wrapping_mul(0x9e37_79b1)];
        for (at, input) in inputs.iter().enumerate() {
            let mut values: Vec<u32> = (0..COUNT).map(input).collect();
            let mut compared = 0_u32;
            small::sort_by(&mut values, |a, b| {
                compared += 1;
                a.cmp(b)
            });
            assert!(values.is_sorted());
            // Two for each of the levels that a value sinks, for all of them, and as many again to build the heap.
            assert!(compared <= COUNT * 12 * 2 + COUNT * 2, "input {at}: {compared}");
        }
    }
}
