//! Sets of queues under small numbers, so that JavaScript makes the names of each set once.

use keyrail_core::Routes;

/// The sets that routes have led to since the last change, each once, numbered in the order of their coming.
///
/// It only grows; JavaScript, which keeps as many arrays of names, says when to forget.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The queues of all sets, one set after the other.
    ids: Vec<u32>,
    /// Where each set ends in `ids`.
    ends: Vec<u32>,
    /// Open addressing with steps of one: the number of a set and one, or 0. At most half of it is taken.
    places: Vec<u32>,
}

const SMALLEST: usize = 64;

impl Answers {
    /// The number of this set of queues, which has it from now on.
    #[inline]
    pub(crate) fn number(&mut self, routes: &Routes) -> u32 {
        if self.ends.len() * 2 >= self.places.len() {
            self.grow();
        }
        let queues = routes.queues();
        let mask = self.places.len() - 1;
        let mut at = hash(queues.iter().map(|queue| queue.index())) & mask;
        loop {
            let number = match self.places[at] {
                0 => break,
                taken => taken - 1,
            };
            let known = self.get(number);
            if known.len() == queues.len() && known.iter().zip(queues).all(|(id, queue)| *id == queue.index())
            {
                return number;
            }
            at = (at + 1) & mask;
        }
        self.ids.extend(queues.iter().map(|queue| queue.index()));
        self.ends.push(self.ids.len() as u32);
        self.places[at] = self.ends.len() as u32;
        self.ends.len() as u32 - 1
    }

    /// The queues of a set; none if there is no such number.
    pub(crate) fn get(&self, number: u32) -> &[u32] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends.get(number - 1).copied().unwrap_or_default() };
        let end = self.ends.get(number).copied().unwrap_or_default();
        self.ids.get(start as usize..end as usize).unwrap_or_default()
    }

    pub(crate) fn forget(&mut self) {
        self.ids.clear();
        self.ends.clear();
        self.places.fill(0);
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.places.len() * 2).max(SMALLEST);
        self.places = vec![0; size];
        for number in 0..self.ends.len() as u32 {
            let mut at = hash(self.get(number).iter().copied()) & (size - 1);
            while self.places[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.places[at] = number + 1;
        }
    }
}

/// Ids are dense and nobody chooses them, so spreading them is enough.
#[inline(always)]
fn hash(ids: impl Iterator<Item = u32>) -> usize {
    let spread = ids.fold(0_u32, |hash, id| (hash.rotate_left(5) ^ id).wrapping_mul(0x9e37_79b1));
    (spread >> 7) as usize ^ spread as usize
}
