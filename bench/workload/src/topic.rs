use std::collections::HashSet;

use crate::{
    Random, Row, Zipf,
    vocabulary::{Shape, Vocabulary},
};

/// A topic exchange's bindings, and keys to publish to it.
///
/// Of twenty bindings twelve are literal, five have one `*`, two end in `#` and one is something else. One binding in
/// twenty repeats a pattern for another queue, and four bindings share a queue, so that duplicates matter.
///
/// INVARIANT: the keys continue the stream of random numbers that the bindings began; draw in the order of the
/// methods below.
#[derive(Debug)]
pub struct TopicWorkload {
    vocabulary: Vocabulary,
    patterns: Vec<String>,
    rows: Vec<Row>,
    random: Random,
}

impl TopicWorkload {
    /// The table of this size.
    pub fn new(bindings: usize) -> Self {
        let vocabulary = Vocabulary::new(bindings);
        let mut random = Random::new(0xA11CE + bindings as u64);
        let (patterns, mut rows) = bind(bindings, &vocabulary, &mut random);
        // So that the order of the lines says nothing about their shapes.
        for last in (1..rows.len()).rev() {
            rows.swap(last, random.index(last + 1));
        }
        TopicWorkload { vocabulary, patterns, rows, random }
    }

    /// Every binding.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The bindings whose only `#` is their last word: what MQTT and NATS can say too.
    pub fn trailing_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|(pattern, _)| {
            let body = pattern.strip_suffix(".#").unwrap_or(if pattern == "#" { "" } else { pattern });
            body.split('.').all(|word| word != "#")
        })
    }

    /// Keys of which no two are the same, 70% made from a binding. Hostile to caches.
    pub fn unique_keys(&mut self, count: usize) -> Vec<String> {
        // A table of ten bindings has few keys to give: after this many repeats something else is tried.
        const TRIES: usize = 13;
        let mut seen = HashSet::with_capacity(count);
        let mut keys = Vec::with_capacity(count);
        while keys.len() < count {
            let fresh = (0..TRIES).map(|_| self.key()).find(|key| !seen.contains(key));
            if let Some(key) = fresh {
                seen.insert(key.clone());
                keys.push(key);
            }
        }
        keys
    }

    /// Draws from a `pool` of those keys, the first far more often than the last. Friendly to caches.
    pub fn repeated_keys<'k>(
        &mut self,
        keys: &'k [String],
        pool: usize,
        count: usize,
    ) -> impl Iterator<Item = &'k str> {
        let popularity = Zipf::new(pool, 0);
        let stride = keys.len() / pool;
        (0..count).map(move |_| keys[popularity.draw(&mut self.random) * stride].as_str())
    }

    fn key(&mut self) -> String {
        let TopicWorkload { vocabulary, patterns, random, .. } = self;
        if random.percent(70) {
            let pattern = random.pick(patterns.as_slice());
            vocabulary.matching_key(pattern, random)
        } else {
            vocabulary.free_key(random)
        }
    }
}

/// The distinct patterns in the order of their making, and the bindings.
fn bind(bindings: usize, vocabulary: &Vocabulary, random: &mut Random) -> (Vec<String>, Vec<Row>) {
    // By the place in twenty, not by chance: the mix is exact at every size.
    const SHAPES: [Shape; 20] = {
        use Shape::{Literal as L, OneStar as S, Other as O, TrailingHash as H};
        [L, S, L, H, L, L, S, L, O, L, L, S, L, S, L, H, L, S, L, L]
    };
    // Small vocabularies run out of patterns; after this many repeats a repeat is taken.
    const PATIENCE: u32 = 200;

    let queues = (bindings as u64 / 4).max(4);
    let mut patterns: Vec<String> = Vec::with_capacity(bindings);
    let mut rows: Vec<Row> = Vec::with_capacity(bindings);
    let mut seen: HashSet<String> = HashSet::with_capacity(bindings);
    let mut pairs: HashSet<(usize, u64)> = HashSet::with_capacity(bindings);
    let mut repeats = 0;
    while rows.len() < bindings {
        let (pattern, queue) = if !patterns.is_empty() && random.percent(5) {
            let at = random.index(patterns.len());
            let queue = random.below(queues);
            if pairs.insert((at, queue)) {
                rows.push((patterns[at].clone(), queue));
            }
            continue;
        } else if bindings >= 1000 && rows.len() == bindings / 2 && !seen.contains("#") {
            ("#".to_string(), 0)
        } else {
            let pattern = vocabulary.pattern(SHAPES[rows.len() % SHAPES.len()], random);
            if seen.contains(&pattern) {
                repeats += 1;
                if repeats < PATIENCE {
                    continue;
                }
            }
            repeats = 0;
            (pattern, random.below(queues))
        };
        seen.insert(pattern.clone());
        pairs.insert((patterns.len(), queue));
        patterns.push(pattern.clone());
        rows.push((pattern, queue));
    }
    (patterns, rows)
}
