use std::collections::HashSet;

use crate::{
    Random, Row, Zipf,
    vocabulary::{Shape, Vocabulary},
};

/// A direct exchange's bindings, and keys of which 80% are bound. One binding in twenty repeats a key.
///
/// INVARIANT: as with topics, draw in the order of the methods: repeated keys come before the others here.
#[derive(Debug)]
pub struct DirectWorkload {
    vocabulary: Vocabulary,
    bound: Vec<String>,
    rows: Vec<Row>,
    random: Random,
}

impl DirectWorkload {
    /// The table of this size.
    pub fn new(bindings: usize) -> Self {
        let vocabulary = Vocabulary::new(bindings);
        let mut random = Random::new(0xD1EC7 + bindings as u64);
        let queues = (bindings as u64 / 4).max(4);
        let mut seen = HashSet::with_capacity(bindings);
        let mut bound: Vec<String> = Vec::with_capacity(bindings);
        let mut rows: Vec<Row> = Vec::with_capacity(bindings);
        while rows.len() < bindings {
            let key = if !bound.is_empty() && random.percent(5) {
                random.pick(&bound).clone()
            } else {
                let key = vocabulary.pattern(Shape::Literal, &mut random);
                if !seen.insert(key.clone()) {
                    continue;
                }
                bound.push(key.clone());
                key
            };
            rows.push((key, random.below(queues)));
        }
        DirectWorkload { vocabulary, bound, rows, random }
    }

    /// Every binding.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Keys of which the first bound come far more often than the last.
    pub fn repeated_keys(&mut self, count: usize) -> impl Iterator<Item = String> {
        let popularity = Zipf::new(self.bound.len(), 0);
        (0..count).map(move |_| self.key(|random, _| popularity.draw(random)))
    }

    /// Keys that favour none of those bound.
    pub fn spread_keys(&mut self, count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|_| self.key(Random::index))
    }

    fn key(&mut self, choose: impl Fn(&mut Random, usize) -> usize) -> String {
        if self.random.percent(80) {
            self.bound[choose(&mut self.random, self.bound.len())].clone()
        } else {
            self.vocabulary.free_key(&mut self.random)
        }
    }
}
