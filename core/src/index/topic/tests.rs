//! The index against a search of every pattern, on many patterns of few words.

use alloc::{string::String, vec::Vec};

use super::*;
use crate::{Dialect, QueueId, kombu::GluedPattern};

/// Integer noise: the same on every target.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 33) % bound
    }

    fn key(&mut self, words: &[&str], longest: u64) -> String {
        let count = self.below(longest + 1);
        let words: Vec<_> = (0..count).map(|_| words[self.below(words.len() as u64) as usize]).collect();
        words.join(".")
    }
}

const WORDS: [&str; 8] = ["a", "b", "", "long-enough", "exactly8", "nine-long", "*", "#"];
const LITERALS: usize = 6;

/// The definition, tried in every way.
fn matches(pattern: &[&str], key: &[&str]) -> bool {
    match pattern {
        [] => key.is_empty(),
        ["#", rest @ ..] => (0..=key.len()).any(|taken| matches(rest, &key[taken..])),
        [word, rest @ ..] => key
            .split_first()
            .is_some_and(|(first, key)| (*word == "*" || word == first) && matches(rest, key)),
    }
}

fn words(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

fn found(index: &TopicIndex, key: &str, scratch: &mut TopicScratch) -> Vec<u32> {
    let mut found = Vec::new();
    index.matches(key.as_bytes(), scratch, &mut Work::default(), &mut |entry| found.push(entry.binding.0));
    let once = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), once, "a binding comes twice for {key:?}");
    found
}

fn entry(binding: u32) -> Entry {
    Entry::new(BindingId(binding), QueueId(binding).into())
}

#[test]
fn finds_what_a_search_finds_while_patterns_come_and_go() {
    for seed in 0..6 {
        let mut noise = Noise(seed);
        let mut index = TopicIndex::new(3);
        let mut scratch = TopicScratch::default();
        let mut patterns: Vec<(u32, String, Spot)> = Vec::new();
        let mut memory = Words::default();
        for binding in 0..1500 {
            let pattern = noise.key(&WORDS, 6);
            let spot = index.insert(pattern.as_bytes(), entry(binding), &mut memory);
            assert_eq!(index.key(spot), pattern.as_bytes());
            patterns.push((binding, pattern, spot));
            if binding % 3 == 0 {
                let gone = noise.below(patterns.len() as u64) as usize;
                let (gone, _, spot) = patterns.swap_remove(gone);
                index.remove(spot, BindingId(gone), &mut memory);
            }
            if binding % 20 == 0 {
                let key = noise.key(&WORDS[..LITERALS], 7);
                let key_words = words(&key);
                let mut expected: Vec<_> = patterns
                    .iter()
                    .filter(|(_, pattern, _)| matches(&words(pattern), &key_words))
                    .map(|(binding, ..)| *binding)
                    .collect();
                expected.sort_unstable();
                assert_eq!(found(&index, &key, &mut scratch), expected, "{key:?}");
            }
        }
        for (binding, _, spot) in patterns {
            index.remove(spot, BindingId(binding), &mut memory);
        }
        assert!(index.is_clean());
    }
}

/// A key that the pattern probably matches: each `*` a word, each `#` some.
fn key_of(noise: &mut Noise, pattern: &str) -> String {
    let mut key = Vec::new();
    for word in words(pattern) {
        match word {
            "*" => key.push("b"),
            "#" => key.extend((0..noise.below(4)).map(|_| "b")),
            // Sometimes a near miss.
            _ if noise.below(150) == 0 => key.push("c"),
            word => key.push(word),
        }
    }
    key.join(".")
}

#[test]
fn long_keys_agree_with_the_reference() {
    let mut noise = Noise(7);
    let mut scratch = TopicScratch::default();
    let mut hits = 0;
    for _ in 0..40 {
        let mut index = TopicIndex::new(3);
        // Mostly literal words, so that wildcards stand anywhere in up to a hundred words.
        let alphabet = ["a", "a", "a", "a", "b", "b", "", "*", "a", "a", "b", "#"];
        let choice = if noise.below(2) == 0 { &alphabet[..] } else { &alphabet[..11] };
        let patterns: Vec<String> = (0..30).map(|_| noise.key(choice, 100)).collect();
        for (binding, pattern) in (0..).zip(&patterns) {
            index.insert(pattern.as_bytes(), entry(binding), &mut Words::default());
        }
        let reference: Vec<_> =
            patterns.iter().map(|pattern| GluedPattern::compile(pattern, Dialect::Amqp).unwrap()).collect();
        for pattern in &patterns {
            let key = key_of(&mut noise, pattern);
            let expected: Vec<u32> =
                (0..).zip(&reference).filter(|(_, p)| p.matches(key.as_bytes())).map(|(at, _)| at).collect();
            hits += expected.len();
            assert_eq!(found(&index, &key, &mut scratch), expected, "{key:?}");
        }
    }
    assert!(hits > 600, "only {hits} matches: the keys say too little");
}

#[test]
fn more_shapes_than_the_dictionary_holds() {
    let mut index = TopicIndex::new(3);
    let mut scratch = TopicScratch::default();
    // Every way to put a star into eight words: 256 shapes, one pattern each.
    for stars in 0..256_u32 {
        let pattern: Vec<_> = (0..8).map(|at| if stars >> at & 1 == 1 { "*" } else { "a" }).collect();
        index.insert(pattern.join(".").as_bytes(), entry(stars), &mut Words::default());
    }
    assert_eq!(found(&index, "a.a.a.a.a.a.a.a", &mut scratch).len(), 256);
    assert_eq!(found(&index, "b.a.a.a.a.a.a.a", &mut scratch).len(), 128);
    assert_eq!(found(&index, "b.b.b.b.b.b.b.b", &mut scratch), [255]);
    assert!(found(&index, "a.a.a.a.a.a.a", &mut scratch).is_empty());
}

#[test]
fn keys_beyond_amqp_and_wildcards_far_from_the_ends() {
    let mut index = TopicIndex::new(3);
    let mut scratch = TopicScratch::default();
    let long = "x".repeat(300);
    let deep = ["a"; 100].join(".");
    let starred_end = alloc::format!("#.{deep}.*");
    for (binding, pattern) in [
        &*long,
        "*",
        "#",
        &alloc::format!("{deep}.*"),
        &alloc::format!("{deep}.*.{deep}.#"),
        &alloc::format!("{long}.#"),
        &starred_end,
    ]
    .into_iter()
    .enumerate()
    {
        index.insert(pattern.as_bytes(), entry(binding as u32), &mut Words::default());
    }
    assert_eq!(found(&index, &long, &mut scratch), [0, 1, 2, 5]);
    assert_eq!(found(&index, &alloc::format!("{deep}.b"), &mut scratch), [2, 3, 6]);
    assert_eq!(found(&index, &alloc::format!("{deep}.b.{deep}"), &mut scratch), [2, 4]);
    assert_eq!(found(&index, &alloc::format!("b.{deep}.b"), &mut scratch), [2, 6]);
    assert_eq!(found(&index, &alloc::format!("{long}.b"), &mut scratch), [2, 5]);
    assert_eq!(found(&index, "a", &mut scratch), [1, 2]);
    assert_eq!(found(&index, "", &mut scratch), [2]);
}
