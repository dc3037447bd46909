use std::collections::HashSet;
use std::fmt::Write;

use crate::{Random, Zipf};

const SYLLABLES: [&str; 32] = [
    "or", "der", "pay", "ment", "us", "er", "in", "vo", "ice", "ship", "stock", "cart", "log", "met", "ric",
    "au", "dit", "mail", "sms", "push", "feed", "rank", "item", "lot", "geo", "map", "bill", "tax", "kyc",
    "risk", "ops", "hub",
];

/// Words of a key by their place: `region.service.entity.event.status.version`.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    words: Vec<String>,
    popularity: Zipf,
}

/// What a binding key looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Literal,
    OneStar,
    TrailingHash,
    Other,
}

impl Vocabulary {
    /// The words that fit a table of `bindings`: the larger it is, the more services and entities there are.
    pub(crate) fn new(bindings: usize) -> Self {
        let sizes = [
            (bindings / 20).clamp(3, 24),
            (bindings.isqrt() * 2).clamp(4, 2000),
            (bindings / 4).clamp(8, 250_000),
            (bindings / 10).clamp(4, 40),
            16,
            8,
        ];
        // Shared by the levels: a word has one place only.
        let mut seen = HashSet::new();
        let levels = sizes.into_iter().enumerate().map(|(level, size)| {
            // Entities are many and none stands out much.
            let flatness = size as u64 / if level == 2 { 4 } else { 16 };
            Level { words: words(size, level as u64 + 1, &mut seen), popularity: Zipf::new(size, flatness) }
        });
        Vocabulary { levels: levels.collect() }
    }

    /// A word for this place of a key; places beyond the sixth take the words of the sixth.
    fn word(&self, place: usize, random: &mut Random) -> &str {
        let level = &self.levels[place.min(self.levels.len() - 1)];
        &level.words[level.popularity.draw(random)]
    }

    pub(crate) fn pattern(&self, shape: Shape, random: &mut Random) -> String {
        let count = word_count(random);
        let mut words: Vec<&str> = (0..count).map(|place| self.word(place, random)).collect();
        match shape {
            Shape::Literal => {}
            Shape::OneStar => words[random.index(count)] = "*",
            Shape::TrailingHash => {
                let kept = if random.percent(2) { 1 } else { 2 + random.index(count - 2) };
                words.truncate(kept);
                if kept >= 2 && random.percent(10) {
                    words[random.index(kept)] = "*";
                }
                words.push("#");
            }
            Shape::Other => words = other(words, random),
        }
        words.join(".")
    }

    /// A key that nobody made to match.
    pub(crate) fn free_key(&self, random: &mut Random) -> String {
        let mut key = String::new();
        for place in 0..word_count(random) {
            separate(&mut key, place);
            if place == 2 && random.percent(50) {
                push_id(&mut key, random);
            } else {
                key.push_str(self.word(place, random));
            }
        }
        key
    }

    /// A key that this pattern matches: a word for each `*`, up to two for each `#`, some never seen before.
    pub(crate) fn matching_key(&self, pattern: &str, random: &mut Random) -> String {
        let mut key = String::new();
        let mut place = 0;
        for word in pattern.split('.') {
            let (fillers, known) = match word {
                "*" => (1, 60),
                "#" => (random.below(3), 70),
                literal => {
                    separate(&mut key, place);
                    key.push_str(literal);
                    place += 1;
                    continue;
                }
            };
            for _ in 0..fillers {
                separate(&mut key, place);
                if random.percent(known) {
                    key.push_str(self.word(place, random));
                } else {
                    push_id(&mut key, random);
                }
                place += 1;
            }
        }
        if place == 0 {
            key.push_str(self.word(0, random));
        }
        key
    }
}

/// Patterns in which `#` stands elsewhere than last, or `*` stands twice.
fn other<'v>(words: Vec<&'v str>, random: &mut Random) -> Vec<&'v str> {
    let count = words.len();
    let tail = |length: usize| &words[count - length..];
    match random.below(100) {
        0..=39 => {
            let head = 1 + random.index(2);
            let length = 1 + random.index(2);
            [&words[..head], &["#"], tail(length.min(count - head))].concat()
        }
        40..=69 => {
            let first = random.index(count);
            let second = (first + 1 + random.index(count - 1)) % count;
            let mut words = words;
            words[first] = "*";
            words[second] = "*";
            words
        }
        70..=79 => {
            let length = 1 + random.index(2);
            [&["#"], tail(length)].concat()
        }
        80..=84 => vec!["#", words[2], "#"],
        85..=89 => vec![words[0], "#", words[2], "#", words[count - 1]],
        _ => vec!["*", "*", words[2], "#"],
    }
}

fn word_count(random: &mut Random) -> usize {
    match random.below(100) {
        0..=19 => 3,
        20..=64 => 4,
        65..=89 => 5,
        _ => 6,
    }
}

fn separate(key: &mut String, place: usize) {
    if place > 0 {
        key.push('.');
    }
}

/// A word that a key has and no vocabulary: an order number, a session.
fn push_id(key: &mut String, random: &mut Random) {
    let id = random.below(100_000_000);
    write!(key, "id{id}").expect("a String takes everything");
}

fn words(count: usize, level: u64, seen: &mut HashSet<String>) -> Vec<String> {
    let mut random = Random::new(0xC0FFEE ^ level.wrapping_mul(0x1234_5678_9ABC_DEF1));
    let mut words = Vec::with_capacity(count);
    while words.len() < count {
        let syllables = 1 + random.below(3) + u64::from(count > 1000);
        let mut word: String = (0..syllables).map(|_| *random.pick(&SYLLABLES)).collect();
        if count > 20_000 {
            // So many words are not words but entity ids.
            word.truncate(4);
            write!(word, "{}", random.below(10_000_000)).expect("a String takes everything");
        }
        if word.len() <= 16 && seen.insert(word.clone()) {
            words.push(word);
        }
    }
    words
}
