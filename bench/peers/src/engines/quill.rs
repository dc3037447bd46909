use keyrail_workload::Kind;
use quill::{Pattern, Registry, Topic};

use crate::engine::{Engine, Job, mqtt};

/// A trie of words behind a lock.
pub(crate) struct Quill {
    registry: Registry<u32>,
    found: Vec<u32>,
}

impl Engine for Quill {
    fn rewrite(keys: String) -> String {
        keys.replace('.', "/")
    }

    fn build(job: &Job<'_>) -> Result<Self, String> {
        job.only(Kind::Topic)?;
        let registry = Registry::new();
        for row in job.rows() {
            let (pattern, queue) = row?;
            let pattern = Pattern::parse(&mqtt(pattern)).map_err(|error| error.to_string())?;
            registry.subscribe(pattern, queue);
        }
        Ok(Quill { registry, found: Vec::new() })
    }

    #[inline]
    fn route(&mut self, _: usize, key: &str) {
        self.found = Topic::parse(key).map(|topic| self.registry.matching(&topic)).unwrap_or_default();
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(&self.found);
    }
}
