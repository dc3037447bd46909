//! Queues that expire when nobody uses them (`x-expires`), and their bindings, as Kombu 5.7 keeps both.
//!
//! A table of bindings gets a deadline, twice the queue's time and at least an hour ahead. Whoever holds the binding moves
//! the deadline on when a third of that has passed; the row goes with it, so that a table that was wiped is there again.

use std::{collections::HashMap, time::Duration};

use keyrail_core::{
    DestinationName, Topology,
    kombu::{Layout, Plan, plan},
};

use crate::registry;

/// What of a topology expires.
#[derive(Clone, Debug)]
pub(crate) struct Expiring {
    /// The expiring queues, their bindings, and the exchanges that these come from.
    pub(crate) topology: Topology,
    /// Milliseconds of each queue.
    queues: HashMap<Box<str>, u64>,
}

/// Kombu's `MIN_BINDING_TTL`.
const SHORTEST: u64 = 3_600_000;

impl Expiring {
    /// Nothing if nothing expires.
    pub(crate) fn of(topology: &Topology) -> Option<Self> {
        let queues = topology.queues.iter();
        let queues =
            queues.filter_map(|queue| Some((queue.name.clone(), registry::expires_ms(&queue.arguments)?)));
        let queues: HashMap<Box<str>, u64> = queues.collect();
        if queues.is_empty() {
            return None;
        }
        let mut part = topology.clone();
        part.policies.clear();
        part.queues.retain(|queue| queues.contains_key(&queue.name));
        part.bindings.retain(|binding| match &binding.destination {
            DestinationName::Queue(queue) => queues.contains_key(queue),
            DestinationName::Exchange(_) => false,
        });
        part.exchanges.retain(|exchange| part.bindings.iter().any(|binding| binding.source == exchange.name));
        Some(Expiring { topology: part, queues })
    }

    /// After how long the bindings are to be refreshed.
    pub(crate) fn refresh_every(&self) -> Duration {
        let shortest = self.queues.values().map(|expires| expires.saturating_mul(2).max(SHORTEST)).min();
        Duration::from_millis(shortest.unwrap_or(SHORTEST) / 3)
    }

    /// After how long a consumer is to let the lists live on.
    pub(crate) fn keep_alive_every(&self) -> Duration {
        let shortest = self.queues.values().copied().min().unwrap_or(SHORTEST);
        Duration::from_millis((shortest / 3).max(1)).min(self.refresh_every())
    }

    /// Lets the lists live on.
    pub(crate) fn keep_alive(&self, layout: &Layout) -> Plan {
        let lists = self.queues.iter().map(|(queue, expires)| plan::keep_alive(layout, queue, *expires));
        Plan { atomic: false, commands: lists.flat_map(|plan| plan.commands).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_kombus() {
        let with = |expires: &[i64]| {
            let queues: Vec<_> = expires
                .iter()
                .enumerate()
                .map(|(n, expires)| {
                    serde_json::json!({"name": format!("q{n}"), "arguments": {"x-expires": expires}})
                })
                .collect();
            serde_json::from_value(serde_json::json!({"queues": queues})).expect("a topology")
        };
        assert!(Expiring::of(&with(&[])).is_none());
        for (expires, refresh, keep) in [
            (&[30_000][..], 1_200_000, 10_000),
            (&[7_200_000], 4_800_000, 2_400_000),
            (&[7_200_000, 3000], 1_200_000, 1000),
            (&[1], 1_200_000, 1),
        ] {
            let expiring = Expiring::of(&with(expires)).expect("expires");
            let times = (expiring.refresh_every().as_millis(), expiring.keep_alive_every().as_millis());
            assert_eq!(times, (refresh, keep), "{expires:?}");
        }
    }
}
