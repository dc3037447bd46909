/// A stream of numbers from a seed: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream that this seed begins.
    pub const fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, by the high half of a product: no division and no retry, so that each draw takes one
    /// number of the stream.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// [`below`](Self::below) for indices.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.index(values.len())]
    }
}

/// The law of Zipf and Mandelbrot over `0..length` with whole-number weights: rank `r` weighs
/// `floor(2^32 / (r + 1 + flatness))`. Floating point would tie the bytes to a platform's `pow`.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// INVARIANT: rising, since every weight is at least one.
    sums: Vec<u64>,
}

impl Zipf {
    /// A distribution over `0..length`; the larger `flatness`, the less the first ranks stand out.
    pub fn new(length: usize, flatness: u64) -> Self {
        let weights = (1..=length as u64).map(|rank| (1 << 32) / (rank + flatness));
        let sums = weights.scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Zipf { sums: sums.collect() }
    }

    /// A rank, 0 the likeliest.
    pub fn draw(&self, random: &mut Random) -> usize {
        let total = self.sums.last().copied().unwrap_or(1);
        let at = random.below(total);
        self.sums.partition_point(|&sum| sum <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_are_those_of_splitmix64() {
        // The reference implementation's output for the seed 1234567.
        let mut random = Random::new(1_234_567);
        let numbers: [u64; 3] = std::array::from_fn(|_| random.next());
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn low_ranks_come_most_often_and_every_rank_can_come() {
        let zipf = Zipf::new(4, 0);
        let mut random = Random::new(1);
        let mut counts = [0; 4];
        (0..10_000).for_each(|_| counts[zipf.draw(&mut random)] += 1);
        assert!(counts.is_sorted_by(|a, b| a > b) && counts[3] > 0, "{counts:?}");
    }
}
