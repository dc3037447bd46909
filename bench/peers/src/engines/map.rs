use std::hash::BuildHasher;

use hashbrown::{HashMap, hash_map::Entry};
use keyrail_core::{Message, Outcome, Routes};
use keyrail_workload::{Kind, Loaded};

use crate::engine::{Engine, Job};

/// A hash map from keys to queues. For a direct table it is all there is to do; for a topic table it holds the answer
/// to every key of the file, which no cache could beat.
pub(crate) struct Map<S> {
    map: HashMap<Box<str>, Queues, S>,
    found: Vec<u32>,
}

/// One queue costs no second look.
struct Queues {
    first: u32,
    rest: Vec<u32>,
}

impl<S: BuildHasher + Default> Engine for Map<S> {
    fn build(job: &Job<'_>) -> Result<Self, String> {
        let mut map: HashMap<Box<str>, Queues, S> = HashMap::default();
        let mut add = |key: &str, queue| match map.entry(key.into()) {
            Entry::Vacant(entry) => drop(entry.insert(Queues { first: queue, rest: Vec::new() })),
            Entry::Occupied(mut entry) => entry.get_mut().rest.push(queue),
        };
        match job.kind {
            Kind::Direct => {
                for row in job.rows() {
                    let (key, queue) = row?;
                    add(key, queue);
                }
            }
            Kind::Topic => {
                let loaded = Loaded::new(Kind::Topic, job.table).map_err(|error| error.to_string())?;
                let distinct: std::collections::HashSet<&&str> = job.keys.iter().collect();
                let mut routes = Routes::new();
                for key in distinct {
                    if loaded.route(&Message::new(key), &mut routes) == Outcome::Routed {
                        loaded.numbers(&routes).for_each(|queue| add(key, queue));
                    }
                }
            }
            kind => return Err(format!("a map from keys cannot hold a table of the kind {kind:?}")),
        }
        Ok(Map { map, found: Vec::new() })
    }

    #[inline]
    fn route(&mut self, _: usize, key: &str) {
        self.found.clear();
        if let Some(Queues { first, rest }) = self.map.get(key) {
            self.found.push(*first);
            self.found.extend_from_slice(rest);
        }
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(&self.found);
    }
}
