use std::collections::BTreeMap;

use keyrail_workload::Kind;
use matchit::Router;

use crate::engine::{Engine, Job};

/// A radix tree of URLs, with keys for routes: direct tables only, since a route may not overlap another.
pub(crate) struct Matchit {
    router: Router<Vec<u32>>,
    found: Vec<u32>,
}

impl Engine for Matchit {
    fn build(job: &Job<'_>) -> Result<Self, String> {
        job.only(Kind::Direct)?;
        let mut queues: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for row in job.rows() {
            let (key, queue) = row?;
            queues.entry(key).or_default().push(queue);
        }
        let mut router = Router::new();
        for (key, queues) in queues {
            router.insert(key, queues).map_err(|error| error.to_string())?;
        }
        Ok(Matchit { router, found: Vec::new() })
    }

    #[inline]
    fn route(&mut self, _: usize, key: &str) {
        self.found.clear();
        if let Ok(found) = self.router.at(key) {
            self.found.extend_from_slice(found.value);
        }
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(&self.found);
    }
}
