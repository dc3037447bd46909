use keyrail_workload::Kind;

use crate::engine::{Engine, Job};

/// The least that a fanout can do: copies the queues.
pub(crate) struct Copy {
    queues: Vec<u32>,
    found: Vec<u32>,
}

impl Engine for Copy {
    fn build(job: &Job<'_>) -> Result<Self, String> {
        job.only(Kind::Fanout)?;
        Ok(Copy { queues: job.table.iter().map(|(_, queue)| queue).collect(), found: Vec::new() })
    }

    #[inline]
    fn route(&mut self, _: usize, _: &str) {
        self.found.clear();
        self.found.extend_from_slice(&self.queues);
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(&self.found);
    }
}
