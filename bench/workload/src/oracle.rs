use std::collections::HashMap;

use crate::{Bindings, Kind, headers};

/// How many words `#` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// AMQP and MQTT.
    ZeroOrMore,
    /// NATS, and the regular expressions of Kombu.
    OneOrMore,
}

type Words<'t> = Vec<&'t [u8]>;

/// Every answer without an index: each binding is asked by the definition of its kind.
///
/// INVARIANT: topic bindings are kept by their first word, which leaves out only those whose literal first word is
/// not the key's. That is no index to get wrong, and makes a million bindings bearable.
#[derive(Debug)]
pub struct Oracle<'t> {
    kind: Kind,
    hash: Hash,
    by_first: HashMap<&'t [u8], Vec<(Words<'t>, u32)>>,
    headers: Vec<(headers::Plain<'t>, u32)>,
    /// Direct and fanout.
    rows: Vec<(&'t [u8], u32)>,
}

impl<'t> Oracle<'t> {
    /// Takes in a table.
    ///
    /// # Errors
    /// The line and the reason, for a line that is no headers binding.
    pub fn new(kind: Kind, hash: Hash, table: &'t Bindings) -> Result<Self, (usize, String)> {
        let mut oracle =
            Oracle { kind, hash, by_first: HashMap::new(), headers: Vec::new(), rows: Vec::new() };
        for (line, (pattern, queue)) in (1..).zip(table.iter()) {
            match kind {
                Kind::Topic => {
                    let words = words(pattern);
                    let first = words.first().copied().unwrap_or_default();
                    oracle.by_first.entry(first).or_default().push((words, queue));
                }
                Kind::Headers => {
                    let plain = headers::Plain::parse(pattern).map_err(|reason| (line, reason))?;
                    oracle.headers.push((plain, queue));
                }
                Kind::Direct | Kind::Fanout => oracle.rows.push((pattern, queue)),
            }
        }
        // Found again by halving; a table of direct bindings has a million lines.
        oracle.rows.sort_unstable();
        Ok(oracle)
    }

    /// Writes the queues that get `key` into `queues`, possibly more than once.
    ///
    /// # Errors
    /// The reason, for a key that is no line of headers.
    pub fn route(&self, key: &[u8], queues: &mut Vec<u32>) -> Result<(), String> {
        queues.clear();
        match self.kind {
            Kind::Topic => self.topic(key, queues),
            Kind::Fanout => queues.extend(self.rows.iter().map(|(_, queue)| queue)),
            Kind::Direct => {
                let start = self.rows.partition_point(|(pattern, _)| *pattern < key);
                let equal = self.rows[start..].iter().take_while(|(pattern, _)| *pattern == key);
                queues.extend(equal.map(|(_, queue)| queue));
            }
            Kind::Headers => {
                let message = headers::Plain::parse(key)?;
                let matching = self.headers.iter().filter(|(binding, _)| binding.matches(&message));
                queues.extend(matching.map(|(_, queue)| queue));
            }
        }
        Ok(())
    }

    fn topic(&self, key: &[u8], queues: &mut Vec<u32>) {
        let key = words(key);
        let mut firsts = vec![key.first().copied().unwrap_or_default(), b"*", b"#"];
        firsts.sort_unstable();
        firsts.dedup();
        let mut reached = Reached::default();
        for (pattern, queue) in firsts.into_iter().filter_map(|first| self.by_first.get(first)).flatten() {
            if reached.matches(pattern, &key, self.hash) {
                queues.push(*queue);
            }
        }
    }
}

/// Whether a topic binding matches a key, by the definition alone.
pub fn topic_matches(pattern: &[u8], key: &[u8], hash: Hash) -> bool {
    Reached::default().matches(&words(pattern), &words(key), hash)
}

/// The empty key has no words, as in RabbitMQ; every other has one more than it has dots.
fn words(key: &[u8]) -> Words<'_> {
    if key.is_empty() { Vec::new() } else { key.split(|&byte| byte == b'.').collect() }
}

/// `now[n]`: the words of the pattern so far can take the first `n` words of the key.
#[derive(Default)]
struct Reached {
    now: Vec<bool>,
    next: Vec<bool>,
}

impl Reached {
    fn matches(&mut self, pattern: &[&[u8]], key: &[&[u8]], hash: Hash) -> bool {
        let same = |(word, key): (&&[u8], &&[u8])| *word == b"*" || word == key;
        if !pattern.contains(&&b"#"[..]) {
            return pattern.len() == key.len() && pattern.iter().zip(key).all(same);
        }
        let literal = pattern.iter().zip(key).take_while(|(word, _)| **word != b"#");
        if !literal.into_iter().all(same) {
            return false;
        }
        let Reached { now, next } = self;
        now.clear();
        now.resize(key.len() + 1, false);
        now[0] = true;
        for word in pattern {
            next.clear();
            next.resize(key.len() + 1, false);
            if *word == b"#" {
                let mut before = false;
                for (at, &here) in now.iter().enumerate() {
                    next[at] = before || (here && hash == Hash::ZeroOrMore);
                    before |= here;
                }
            } else {
                for (at, pair) in key.iter().enumerate() {
                    next[at + 1] = now[at] && same((word, pair));
                }
            }
            std::mem::swap(now, next);
        }
        now[key.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_takes_any_number_of_words_or_at_least_one() {
        for (pattern, key, amqp, nats) in [
            ("#", "", true, false),
            ("#", "a.b", true, true),
            ("a.#", "a", true, false),
            ("a.#", "a.b.c", true, true),
            ("a.#.b", "a.b", true, false),
            ("a.#.b", "a.x.b", true, true),
            ("#.#", "a", true, false),
            ("a.*", "a", false, false),
            ("a.*", "a.", true, true),
            ("*", "", false, false),
            ("#.a.#.b", "a.b.a", false, false),
            ("#.a.#.b", "x.a.a.b.b", true, true),
        ] {
            let matches = |hash| topic_matches(pattern.as_bytes(), key.as_bytes(), hash);
            assert_eq!(
                (matches(Hash::ZeroOrMore), matches(Hash::OneOrMore)),
                (amqp, nats),
                "{pattern} {key}"
            );
        }
    }
}
