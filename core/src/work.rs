/// Counts the steps of a route in builds with debug assertions, and is nothing in others.
///
/// A step is whatever is repeated while a message is matched: a word looked up, a shape asked, a live state moved by a
/// word, a listed binding asked. What is put out is not counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    #[cfg(debug_assertions)]
    steps: u64,
}

impl Work {
    #[inline(always)]
    #[cfg_attr(not(debug_assertions), allow(unused_variables, clippy::unused_self))]
    pub(crate) fn add(&mut self, steps: usize) {
        #[cfg(debug_assertions)]
        {
            self.steps += steps as u64;
        }
    }

    /// The steps so far; 0 where none are counted.
    #[cfg_attr(not(debug_assertions), allow(clippy::unused_self))]
    pub(crate) const fn steps(&self) -> u64 {
        #[cfg(debug_assertions)]
        {
            self.steps
        }
        #[cfg(not(debug_assertions))]
        {
            0
        }
    }
}
