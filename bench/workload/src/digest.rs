/// A number that two routers have in common if they gave every key the same set of queues.
///
/// Per key `h` is the sum of `(queue + 1) * 0x9E3779B1` over the set, and `d` becomes `(d ^ h) * 16777619`, all
/// modulo 2^32: the order of the queues does not count, that of the keys does.
#[derive(Clone, Copy, Debug)]
pub struct Digest {
    state: u32,
    keys: usize,
    queues: u64,
    first: u32,
}

impl Digest {
    /// So many keys even the slowest engine answers.
    pub const FIRST: usize = 200;

    /// The digest of no keys.
    pub const fn new() -> Self {
        Digest { state: 2_166_136_261, keys: 0, queues: 0, first: 2_166_136_261 }
    }

    /// Adds what one key matched, in any order and with duplicates; leaves it sorted and without.
    pub fn add(&mut self, queues: &mut Vec<u32>) {
        queues.sort_unstable();
        queues.dedup();
        let term = |&queue: &u32| queue.wrapping_add(1).wrapping_mul(0x9E37_79B1);
        let sum = queues.iter().map(term).fold(0, u32::wrapping_add);
        self.state = (self.state ^ sum).wrapping_mul(16_777_619);
        self.keys += 1;
        self.queues += queues.len() as u64;
        if self.keys <= Self::FIRST {
            self.first = self.state;
        }
    }

    /// Over all keys so far.
    pub const fn value(&self) -> u32 {
        self.state
    }

    /// Over the first 200 keys, or those there were.
    pub const fn first(&self) -> u32 {
        self.first
    }

    /// How many keys were added.
    pub const fn keys(&self) -> usize {
        self.keys
    }

    /// Queues per key.
    pub fn average(&self) -> f64 {
        self.queues as f64 / self.keys.max(1) as f64
    }
}

impl Default for Digest {
    fn default() -> Self {
        Digest::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_duplicates_of_queues_do_not_count_and_the_order_of_keys_does() {
        let digest = |answers: &[&[u32]]| {
            let mut digest = Digest::new();
            answers.iter().for_each(|queues| digest.add(&mut queues.to_vec()));
            digest.value()
        };
        assert_eq!(digest(&[&[1, 2, 1]]), digest(&[&[2, 1]]));
        assert_ne!(digest(&[&[1], &[2]]), digest(&[&[2], &[1]]));
        assert_ne!(digest(&[&[]]), digest(&[]));
    }
}
