//! From a hash to a bucket, as RabbitMQ 3.10 does it: jump consistent hash (Lamping and Veach, 2014) on the random
//! numbers of Erlang's `exs1024`, seeded with the hash.

/// The bucket of `hash` among `buckets`, of which there are at least two.
///
/// # Cost
/// About ln(buckets) steps, after seeding sixteen words.
pub(super) fn bucket(hash: u32, buckets: u64) -> u64 {
    let mut random = Exs1024::new(hash);
    let (mut bucket, mut next) = (0, 0);
    while next < buckets {
        bucket = next;
        // A cast of what is too large gives the largest number, which ends the loop.
        next = ((bucket + 1) as f64 / random.next_fraction()) as u64;
    }
    bucket
}

/// Erlang's generator of that name: xorshift1024*, its seed three times the same number.
struct Exs1024 {
    state: [u64; 16],
    at: usize,
}

const MASK21: u64 = (1 << 21) - 1;

impl Exs1024 {
    fn new(hash: u32) -> Self {
        let scaled = |factor: u64| ((u64::from(hash) & MASK21) + 1).wrapping_mul(factor) & MASK21;
        let mut seed = (scaled(2_097_131) << 43) | (scaled(2_097_133) << 22) | (scaled(2_097_143) << 1) | 1;
        let mut state = [0; 16];
        // The word that was made last is read first.
        for word in state.iter_mut().rev() {
            seed ^= seed >> 12;
            seed ^= seed << 25;
            seed ^= seed >> 27;
            *word = seed.wrapping_mul(2_685_821_657_736_338_717);
        }
        Exs1024 { state, at: 0 }
    }

    /// From 0 to 1.
    fn next_fraction(&mut self) -> f64 {
        let first = self.state[self.at];
        self.at = (self.at + 1) % 16;
        let mut second = self.state[self.at];
        second ^= second << 31;
        second ^= second >> 11;
        let mixed = second ^ first ^ (first >> 30);
        self.state[self.at] = mixed;
        mixed.wrapping_mul(1_181_783_497_276_652_981) as f64 / 18_446_744_073_709_551_616.0
    }
}
