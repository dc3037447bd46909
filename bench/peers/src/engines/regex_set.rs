use keyrail_workload::Kind;
use regex::bytes::{RegexSet, RegexSetBuilder};

use crate::engine::{Engine, Job};

/// One automaton for all bindings, built lazily: each pattern is a regular expression, `#` is any words with their
/// dots.
pub(crate) struct RegexList {
    set: RegexSet,
    queues: Vec<u32>,
    found: Vec<u32>,
}

impl Engine for RegexList {
    fn build(job: &Job<'_>) -> Result<Self, String> {
        job.only(Kind::Topic)?;
        let rows = job.rows().collect::<Result<Vec<_>, _>>()?;
        let set = RegexSetBuilder::new(rows.iter().map(|(pattern, _)| expression(pattern)))
            .unicode(false)
            .dot_matches_new_line(true)
            // The default refuses a thousand bindings. The cache of states takes 1 GiB for 100 keys of the fourth hostile
            // table; with less it is emptied over and over, and a key costs a hundred milliseconds.
            .size_limit(usize::MAX)
            .dfa_size_limit(4 << 30)
            .build();
        let queues = rows.iter().map(|(_, queue)| *queue).collect();
        Ok(RegexList { set: set.map_err(|error| error.to_string())?, queues, found: Vec::new() })
    }

    #[inline]
    fn route(&mut self, _: usize, key: &str) {
        self.found.clear();
        self.found.extend(self.set.matches(key.as_bytes()).iter().map(|pattern| self.queues[pattern]));
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(&self.found);
    }
}

fn expression(pattern: &str) -> String {
    let mut words: Vec<&str> = pattern.split('.').collect();
    words.dedup_by(|a, b| *a == "#" && *b == "#");
    if words == ["#"] {
        return "^.*$".to_string();
    }
    let mut expression = String::from("^");
    let mut dot = false;
    for (at, word) in words.into_iter().enumerate() {
        match word {
            // A leading `#` brings the dots behind its words, any other those before.
            "#" if at == 0 => expression.push_str("(?:.*\\.)?"),
            "#" => expression.push_str("(?:\\..*)?"),
            _ => {
                if dot {
                    expression.push_str("\\.");
                }
                dot = true;
                match word {
                    "*" => expression.push_str("[^.]*"),
                    literal => expression.push_str(&regex::escape(literal)),
                }
            }
        }
    }
    expression + "$"
}
