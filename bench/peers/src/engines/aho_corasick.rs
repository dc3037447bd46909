use std::{collections::HashMap, ops::Range};

use aho_corasick::{AhoCorasick, MatchKind};
use keyrail_workload::Kind;

use crate::engine::{Engine, Job};

/// Finds the longest run of literal words of each pattern in the key, with one automaton for all runs, and then asks
/// the patterns that have such a run.
pub(crate) struct AhoCorasickVerify {
    runs: AhoCorasick,
    /// The patterns of each run.
    patterns: Vec<Vec<Pattern>>,
    /// Patterns without a literal word.
    always: Vec<Pattern>,
    /// When each run was last found: one key may have a run twice.
    seen: Vec<u32>,
    now: u32,
    /// The key between dots, and its words in it.
    key: String,
    words: Vec<Range<usize>>,
    found: Vec<u32>,
}

struct Pattern {
    words: Box<[Word]>,
    queue: u32,
}

enum Word {
    Star,
    Hash,
    Literal(Box<str>),
}

impl Engine for AhoCorasickVerify {
    fn build(job: &Job<'_>) -> Result<Self, String> {
        job.only(Kind::Topic)?;
        let mut by_run: HashMap<String, usize> = HashMap::new();
        let (mut runs, mut patterns, mut always): (Vec<String>, Vec<Vec<Pattern>>, Vec<Pattern>) =
            Default::default();
        for row in job.rows() {
            let (text, queue) = row?;
            let pattern = Pattern { words: text.split('.').map(Word::new).collect(), queue };
            let wild = |word: &&str| *word == "*" || *word == "#";
            let words: Vec<&str> = text.split('.').collect();
            let literal = words.split(wild).filter(|run| !run.is_empty());
            let longest = literal.map(|run| format!(".{}.", run.join("."))).max_by_key(String::len);
            match longest {
                None => always.push(pattern),
                Some(run) => {
                    let number = *by_run.entry(run.clone()).or_insert_with(|| {
                        runs.push(run);
                        patterns.push(Vec::new());
                        patterns.len() - 1
                    });
                    patterns[number].push(pattern);
                }
            }
        }
        let seen = vec![0; runs.len()];
        let runs = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&runs);
        let runs = runs.map_err(|error| error.to_string())?;
        let (key, words, found) = Default::default();
        Ok(AhoCorasickVerify { runs, patterns, always, seen, now: 0, key, words, found })
    }

    fn route(&mut self, _: usize, key: &str) {
        let AhoCorasickVerify { runs, patterns, always, seen, now, key: text, words, found } = self;
        found.clear();
        text.clear();
        text.extend([".", key, "."]);
        words.clear();
        let mut start = 1;
        for (at, _) in text.match_indices('.').skip(1) {
            words.push(start..at);
            start = at + 1;
        }
        *now += 1;
        let mut ask = |pattern: &Pattern| {
            if matches(&pattern.words, text, words) {
                found.push(pattern.queue);
            }
        };
        always.iter().for_each(&mut ask);
        for run in runs.find_overlapping_iter(text.as_str()) {
            let number = run.pattern().as_usize();
            if seen[number] != *now {
                seen[number] = *now;
                patterns[number].iter().for_each(&mut ask);
            }
        }
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(&self.found);
    }
}

impl Word {
    fn new(word: &str) -> Self {
        match word {
            "*" => Word::Star,
            "#" => Word::Hash,
            literal => Word::Literal(literal.into()),
        }
    }
}

/// Goes back to the last `#` alone: those before it need no second try.
fn matches(pattern: &[Word], text: &str, key: &[Range<usize>]) -> bool {
    let (mut p, mut k) = (0, 0);
    let mut retry = None;
    loop {
        match pattern.get(p) {
            Some(Word::Hash) => {
                p += 1;
                retry = Some((p, k));
                continue;
            }
            Some(word) if k < key.len() => {
                let same = match word {
                    Word::Literal(literal) => **literal == text[key[k].clone()],
                    Word::Star | Word::Hash => true,
                };
                if same {
                    (p, k) = (p + 1, k + 1);
                    continue;
                }
            }
            None if k == key.len() => return true,
            _ => {}
        }
        match &mut retry {
            Some((after, taken)) if *taken < key.len() => {
                *taken += 1;
                (p, k) = (*after, *taken);
            }
            _ => return false,
        }
    }
}
