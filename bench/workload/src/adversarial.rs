//! Four tables that each break a common way to match topics. A key is 255 bytes at most, as in AMQP.

use crate::{Random, Row};

/// One table and its keys.
#[derive(Debug)]
pub struct Adversary {
    /// The bindings.
    pub rows: Vec<Row>,
    /// What is published.
    pub keys: Vec<String>,
}

/// The most words that 255 bytes hold.
const WORDS: usize = 128;
const LETTERS: [&str; 4] = ["a", "b", "c", "d"];

/// All four, in the order of their numbers.
///
/// INVARIANT: they share one stream of random numbers, so none can be made alone.
pub fn adversaries() -> [Adversary; 4] {
    let random = &mut Random::new(0xBAD);
    [chains(random), lattice(), deep(random), anywhere(random)]
}

/// `#.a.#.b.#…`, half of them ending in a `z` that never comes, against long keys of few letters that almost match:
/// exponential for whoever backtracks, quadratic for whoever remembers pairs of places.
fn chains(random: &mut Random) -> Adversary {
    let mut rows = Vec::new();
    for queue in 0..200 {
        let mut words = vec!["#"];
        for _ in 0..3 + queue % 10 {
            words.extend([*random.pick(&LETTERS[..3]), "#"]);
        }
        if queue % 2 == 0 {
            words.push("z");
        }
        rows.push((words.join("."), queue));
    }
    rows.push((["#.a"; 12].join(".") + ".#.z", 200));
    rows.push((["*.#"; 20].join(".") + ".z", 201));
    let keys = (0..50).map(|number| match number % 5 {
        0 => ["a"; WORDS].join("."),
        _ => long_key(&LETTERS[..1 + number % 3], random),
    });
    Adversary { rows, keys: keys.collect() }
}

/// Every way to replace words of `a.a.a.a.a.a.a.a.a.a.a.a.z` by `*`, against keys that end otherwise: a trie has 2^12
/// paths to walk, for nothing.
fn lattice() -> Adversary {
    let rows = (0..1 << 12).map(|stars: u64| {
        let words: String = (0..12).map(|place| if stars >> place & 1 == 1 { "*." } else { "a." }).collect();
        (words + "z", stars)
    });
    let rows = rows.collect();
    let base = "a.".repeat(12);
    let keys =
        (0..50).map(|number| if number % 5 == 0 { format!("{base}z") } else { format!("{base}y{number}") });
    Adversary { rows, keys: keys.collect() }
}

/// Patterns of 128 words with 60 to 120 leading words in common, every tenth with a `#` somewhere.
fn deep(random: &mut Random) -> Adversary {
    const BINDINGS: usize = 10_000;
    let rows: Vec<Row> = (0..BINDINGS)
        .map(|number| {
            let shared = 60 + random.index(60);
            let mut words = vec!["a"; shared];
            words.extend((shared..WORDS).map(|_| *random.pick(&LETTERS)));
            if number % 10 == 0 {
                words[1 + random.index(WORDS - 2)] = "#";
            }
            (words.join("."), number as u64)
        })
        .collect();
    let keys = (0..200).map(|_| rows[random.index(BINDINGS)].0.replace('#', "a")).collect();
    Adversary { rows, keys }
}

/// `#.w.#`, `#.x.#.w.#` and `#.x.w.#.x`: a word that may stand anywhere, against keys that have most of the words.
/// No prefix narrows the search, and some 500 bindings match.
fn anywhere(random: &mut Random) -> Adversary {
    let letters: Vec<String> =
        ('a'..='z').chain('A'..='Z').chain('0'..='9').map(|letter| letter.to_string()).collect();
    let rows = (0..10_000).map(|queue: u64| {
        let w = if queue.is_multiple_of(10) { random.pick(&letters).clone() } else { format!("w{queue}") };
        let x = random.pick(&letters);
        let pattern = match queue % 3 {
            0 => format!("#.{w}.#"),
            1 => format!("#.{x}.#.{w}.#"),
            _ => format!("#.{x}.{w}.#.{x}"),
        };
        (pattern, queue)
    });
    let rows = rows.collect();
    let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
    let keys = (0..100).map(|_| long_key(&letters, random)).collect();
    Adversary { rows, keys }
}

fn long_key(letters: &[&str], random: &mut Random) -> String {
    let words: Vec<&str> = (0..WORDS).map(|_| *random.pick(letters)).collect();
    words.join(".")
}
