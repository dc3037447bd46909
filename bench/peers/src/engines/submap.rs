use std::collections::BTreeSet;

use keyrail_workload::Kind;
use submap::SubMap;

use crate::engine::{Engine, Job};

/// A tree of ordered maps; its answer is an ordered set, so that no queue comes twice.
pub(crate) struct Submap {
    map: SubMap<u32>,
    found: BTreeSet<u32>,
}

impl Engine for Submap {
    const SEMANTICS: &'static str = "nats";

    fn build(job: &Job<'_>) -> Result<Self, String> {
        job.only(Kind::Topic)?;
        let mut map = SubMap::new().separator('.').match_any("*").wildcard("#");
        for row in job.rows() {
            let (pattern, queue) = row?;
            map.register_client(&queue);
            map.subscribe(pattern, &queue);
        }
        Ok(Submap { map, found: BTreeSet::new() })
    }

    #[inline]
    fn route(&mut self, _: usize, key: &str) {
        self.found = self.map.get_subscribers(key);
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(&self.found);
    }
}
