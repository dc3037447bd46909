//! What is registered as delivered, in memory.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keyrail_core::kombu::{Command, Layout, plan};

use super::{
    super::{GiveBack, Held, Overdue, PutBack, Reply, Restore},
    Entry, Store, Value,
};
use crate::ExecuteError;

/// Unix time in seconds.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Store {
    fn check_register(&mut self, layout: &Layout, commands: [&'static str; 2]) -> Result<(), ExecuteError> {
        self.check(&layout.unacked(), Some("hash"), commands[0])?;
        self.check(&layout.unacked_index(), Some("zset"), commands[1])
    }

    pub(super) fn settle(
        &mut self,
        layout: &Layout,
        deliveries: &[String],
    ) -> Result<Vec<bool>, ExecuteError> {
        self.check_register(layout, ["HDEL", "ZREM"])?;
        Ok(deliveries.iter().map(|delivery| self.forget(layout, delivery)).collect())
    }

    /// Whether it was registered.
    fn forget(&mut self, layout: &Layout, delivery: &str) -> bool {
        let settled = plan::ack(layout, delivery).commands;
        settled.iter().map(|command| self.execute(command)).last() == Some(Reply::Count(1))
    }

    pub(super) fn give_back(&mut self, back: &GiveBack<'_>) -> Result<bool, ExecuteError> {
        let GiveBack { layout, delivery, list, payload, next } = *back;
        let (key, value) = (list.to_owned(), payload.to_vec());
        let push = if next { Command::RPush { key, value } } else { Command::LPush { key, value } };
        self.check_register(layout, ["HDEL", "ZREM"])?;
        self.check_command(&push)?;
        let held = self.forget(layout, delivery);
        if held {
            self.execute(&push);
        }
        Ok(held)
    }

    fn times(&mut self, layout: &Layout) -> Vec<(String, f64)> {
        match self.entry(&layout.unacked_index()) {
            Some(Entry { value: Value::SortedSet(times), .. }) => {
                times.iter().map(|(delivery, since)| (delivery.clone(), *since)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn record(&mut self, layout: &Layout, delivery: &str) -> Option<Vec<u8>> {
        match self.entry(&layout.unacked()) {
            Some(Entry { value: Value::Hash(records), .. }) => records.get(delivery).cloned(),
            _ => None,
        }
    }

    pub(super) fn touch(&mut self, layout: &Layout, deliveries: &[String]) -> Result<(), ExecuteError> {
        self.check(&layout.unacked_index(), Some("zset"), "ZADD")?;
        if let Some(Entry { value: Value::SortedSet(times), .. }) = self.entry(&layout.unacked_index()) {
            for delivery in deliveries {
                if let Some(since) = times.get_mut(delivery) {
                    *since = now();
                }
            }
        }
        Ok(())
    }

    pub(super) fn overdue(&mut self, overdue: &Overdue<'_>) -> Result<Vec<Held>, ExecuteError> {
        let Overdue { layout, before, skip, limit } = *overdue;
        self.check_register(layout, ["HGET", "ZREVRANGEBYSCORE"])?;
        let mut due = self.times(layout);
        due.retain(|(_, since)| *since <= before);
        due.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
        let page = due.into_iter().skip(skip).take(limit);
        Ok(page
            .map(|(delivery, since)| {
                let record = self.record(layout, &delivery);
                Held { delivery: delivery.into(), since: since.to_string(), record }
            })
            .collect())
    }

    pub(super) fn owned(&mut self, layout: &Layout, owner: &str) -> Result<Vec<Held>, ExecuteError> {
        let mark = format!("#{owner}.");
        let Some(Entry { value: Value::Hash(records), .. }) = self.entry(&layout.unacked()) else {
            return Ok(Vec::new());
        };
        let owned = records.iter().filter(|(delivery, _)| delivery.contains(&mark));
        Ok(owned
            .map(|(delivery, record)| Held {
                delivery: delivery.clone().into(),
                since: String::new(),
                record: Some(record.clone()),
            })
            .collect())
    }

    pub(super) fn restore(&mut self, restore: &Restore<'_>) -> Result<Option<Vec<PutBack>>, ExecuteError> {
        let Restore { layout, lock, deliveries } = *restore;
        if let Some((token, limit)) = lock {
            match &mut self.lock {
                Some((held, end)) if held == token => *end = Instant::now() + limit,
                _ => return Ok(None),
            }
        }
        let restored = deliveries.iter().map(|(held, lists, payload)| {
            // In here every name is text.
            let name = String::from_utf8_lossy(&held.delivery);
            let times = self.times(layout);
            let since = times.iter().find(|(delivery, _)| *delivery == name);
            let unchanged =
                held.since.is_empty() || since.is_some_and(|(_, since)| since.to_string() == held.since);
            if self.record(layout, &name).is_none() {
                self.forget(layout, &name);
                return PutBack::Gone;
            }
            if !unchanged || lists.is_empty() {
                return PutBack::Gone;
            }
            let push = |list: &String| Command::RPush { key: list.clone(), value: payload.clone() };
            if let Some(list) = lists.iter().find(|list| self.check_command(&push(list)).is_err()) {
                return PutBack::WrongType(list.clone());
            }
            for list in lists {
                self.execute(&push(list));
            }
            self.forget(layout, &name);
            PutBack::Done
        });
        Ok(Some(restored.collect()))
    }

    pub(super) fn lock(&mut self, token: &str, limit: Duration) -> bool {
        let free = self.lock.as_ref().is_none_or(|(_, end)| *end <= Instant::now());
        if free {
            self.lock = Some((token.into(), Instant::now() + limit));
        }
        free
    }

    pub(super) fn unlock(&mut self, token: &str) {
        if self.lock.as_ref().is_some_and(|(held, _)| held == token) {
            self.lock = None;
        }
    }
}
