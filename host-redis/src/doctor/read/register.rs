//! The register of what was delivered and not yet acked.

use std::collections::BTreeSet;

use redis::Cmd;

use super::{
    Reader,
    own::is_nil,
    wire::{ask, ask_at_once, ask_one, cmd, entries_page, number, pairs, scan_entries, text},
};
use crate::{ExecuteError, payload, restore};

impl Reader<'_> {
    pub(super) async fn register(&mut self) -> Result<(), ExecuteError> {
        self.lock().await?;
        let (unacked, index) = (self.layout.unacked(), self.layout.unacked_index());
        let records = self.is_of_type(&unacked, "hash").await?;
        let times = self.is_of_type(&index, "zset").await?;
        // What is missing in a key of another type is not missing.
        let readable = !self.state.wrong.iter().any(|(key, ..)| *key == unacked || *key == index);
        if records {
            self.records(&unacked, &index, readable).await?;
        }
        if times {
            self.times(&unacked, &index, readable).await?;
        }
        Ok(())
    }

    async fn lock(&mut self) -> Result<(), ExecuteError> {
        let mutex = self.layout.unacked_mutex();
        if self.is_of_type(&mutex, "string").await? {
            let left = ask_one(self.redis, cmd("PTTL", &[mutex.as_bytes()])).await?;
            self.state.register.eternal_lock = number(&left) == -1;
        }
        Ok(())
    }

    /// Page by page: what is well is forgotten.
    async fn records(&mut self, unacked: &str, index: &str, readable: bool) -> Result<(), ExecuteError> {
        let (limit, mut cursor) = (self.limits.deliveries, 0);
        let mut suspects = BTreeSet::new();
        loop {
            let (next, page) = entries_page(self.redis, "HSCAN", unacked, cursor).await?;
            let mut page = pairs(page);
            let room = limit.saturating_sub(self.looked.deliveries);
            let more = page.len() > room || (next != 0 && page.len() == room);
            page.truncate(room);
            self.looked.deliveries += page.len();
            page.retain(|(name, _)| !suspects.contains(name));
            self.page(unacked, index, readable, page, &mut suspects).await?;
            if self.is_enough() {
                self.left_out("deliveries: what cannot be read is enough for one run".into());
                return Ok(());
            }
            if more {
                self.left_out(format!("deliveries behind the first {limit}: raise --max-deliveries"));
                return Ok(());
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn page(
        &mut self,
        unacked: &str,
        index: &str,
        readable: bool,
        page: Vec<(Vec<u8>, Vec<u8>)>,
        suspects: &mut BTreeSet<Vec<u8>>,
    ) -> Result<(), ExecuteError> {
        let scores = page.iter().filter(|_| readable);
        let scores = scores.map(|(name, _)| cmd("ZSCORE", &[index.as_bytes(), name])).collect();
        let scores = ask(self.redis, scores).await?;
        for (at, (name, record)) in page.into_iter().enumerate() {
            let score = scores.get(at);
            let missing = score.is_some_and(is_nil) && self.is_unindexed(unacked, index, &name).await?;
            let unreadable = self.is_unreadable(unacked, &name, &record).await?;
            if missing || unreadable {
                suspects.insert(name.clone());
            }
            if unreadable {
                self.kept += record.len();
                let score = score.cloned().and_then(text);
                self.state.register.unreadable.push((name, record, score));
            } else if missing {
                self.state.register.unindexed.push(name);
            }
        }
        Ok(())
    }

    /// Whether the delivery has a record and no time, at one moment.
    async fn is_unindexed(&self, unacked: &str, index: &str, name: &[u8]) -> Result<bool, ExecuteError> {
        let questions =
            vec![cmd("ZSCORE", &[index.as_bytes(), name]), cmd("HEXISTS", &[unacked.as_bytes(), name])];
        let answers = ask_at_once(self.redis, questions).await?;
        Ok(matches!(&answers[..], [time, there] if is_nil(time) && number(there) == 1))
    }

    /// Whether Kombu raises when it comes to restore this record: its sweep ends there, each time.
    async fn is_unreadable(&self, unacked: &str, name: &[u8], record: &[u8]) -> Result<bool, ExecuteError> {
        let Some(payload) = restore::payload_of(record) else { return Ok(true) };
        if payload::json(payload).is_ok() {
            return Ok(false);
        }
        // Not JSON to a strict reader; Python's is less strict, and so is the server's.
        let mut look = Cmd::new();
        look.arg("EVAL").arg(LOOK_RECORD).arg(1).arg(unacked).arg(name);
        Ok(number(&ask_one(self.redis, look).await?) == 0)
    }

    async fn times(&mut self, unacked: &str, index: &str, readable: bool) -> Result<(), ExecuteError> {
        let limit = self.limits.deliveries;
        let (entries, all) = scan_entries(self.redis, "ZSCAN", index, limit.saturating_mul(2)).await?;
        let entries = pairs(entries);
        if !all {
            self.left_out(format!("times of deliveries behind the first {limit}: raise --max-deliveries"));
        }
        // As seconds; what was held for twice the time should have been restored once.
        let due = self.state.now_ms as f64 / 1000.0 - 2.0 * self.visibility - SLACK;
        for (_, score) in &entries {
            let score = std::str::from_utf8(score).ok().and_then(|score| score.parse::<f64>().ok());
            if let Some(score) = score.filter(|score| *score < due) {
                let register = &mut self.state.register;
                register.overdue += 1;
                register.oldest = Some(register.oldest.map_or(score, |oldest| oldest.min(score)));
            }
        }
        if !readable {
            return Ok(());
        }
        let there = entries.iter().map(|(name, _)| cmd("HEXISTS", &[unacked.as_bytes(), name])).collect();
        let there = ask(self.redis, there).await?;
        let suspects =
            entries.iter().zip(there).filter(|(_, there)| number(there) == 0).map(|(pair, _)| pair);
        for (name, score) in suspects {
            let questions =
                vec![cmd("HEXISTS", &[unacked.as_bytes(), name]), cmd("ZSCORE", &[index.as_bytes(), name])];
            let answers = ask_at_once(self.redis, questions).await?;
            if matches!(&answers[..], [there, time] if number(there) == 0 && !is_nil(time)) {
                let score = String::from_utf8_lossy(score).into_owned();
                self.state.register.unrecorded.push((name.clone(), score));
            }
        }
        Ok(())
    }
}

/// Workers look for what is overdue every hundred seconds.
const SLACK: f64 = 300.0;

/// Whether the server takes a record for JSON; yes if it is gone.
const LOOK_RECORD: &str = "local record = redis.call('HGET', KEYS[1], ARGV[1])
return (not record or pcall(cjson.decode, record)) and 1 or 0";
