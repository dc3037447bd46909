use std::hint::black_box;

use keyrail_core::{Message, Routes, Table};
use keyrail_workload::{Keys, Kind, Loaded, headers};

use crate::{
    ALLOCATOR,
    engine::{Engine, Job},
};

/// keyrail through its public API, every kind.
pub(crate) struct Keyrail<const MEMORY: u8> {
    loaded: Loaded,
    routes: Routes,
    /// Headers of the messages; none for other kinds.
    headers: Vec<Table>,
    bytes: isize,
}

/// What is remembered from key to key: answers and states of automata, states alone, or nothing.
pub(crate) const ANSWERS: u8 = 2;
pub(crate) const STATES: u8 = 1;
pub(crate) const NOTHING: u8 = 0;

impl<const MEMORY: u8> Engine for Keyrail<MEMORY> {
    fn build(job: &Job<'_>) -> Result<Self, String> {
        let mut loaded = Loaded::declare(job.kind, job.table).map_err(|error| error.to_string())?;
        // Names of exchanges and queues are no part of a binding, and no peer keeps any.
        let before = ALLOCATOR.held();
        loaded.bind_all(job.kind, job.table).map_err(|error| error.to_string())?;
        let bytes = ALLOCATOR.held() - before;
        let headers = if job.kind == Kind::Headers {
            let keys: Keys = job.keys.iter().collect();
            headers::parse_messages(&keys).map_err(|(line, reason)| format!("line {line}: {reason}"))?
        } else {
            Vec::new()
        };
        let routes = match MEMORY {
            NOTHING => Routes::without_memory(),
            STATES => Routes::without_cache(),
            _ => Routes::new(),
        };
        Ok(Keyrail { loaded, routes, headers, bytes })
    }

    #[inline]
    fn route(&mut self, number: usize, key: &str) {
        let mut message = Message::new(key);
        if let Some(table) = self.headers.get(number) {
            message = Message::new("").headers(table).unwrap_or(message);
        }
        let _ = black_box(self.loaded.route(&message, &mut self.routes));
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(self.loaded.numbers(&self.routes));
    }

    fn bytes(&self) -> Option<isize> {
        Some(self.bytes)
    }
}
