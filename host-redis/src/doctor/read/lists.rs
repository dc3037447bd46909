//! Lists: queues, quarantine, and replies to remote control.

use std::collections::BTreeSet;

use redis::{Script, Value};

use super::{
    Reader,
    keys::Keys,
    wire::{ask, cmd, number, text},
};
use crate::{
    ExecuteError,
    doctor::state::{List, ReplyList},
    payload,
};

const LOOK: &str = include_str!("look.lua");

impl Reader<'_> {
    pub(super) async fn lists(&mut self, keys: &Keys) -> Result<(), ExecuteError> {
        self.types_of_queues(keys).await?;
        self.quarantines(&keys.quarantines).await?;
        let (replies, lists): (Vec<_>, Vec<_>) = keys.lists.iter().partition(|key| is_reply(key));
        self.replies(replies).await?;
        let limit = self.limits.lists;
        if lists.len() > limit {
            self.state.complete = false;
            self.left_out(format!(
                "{} lists behind the first {limit}: raise --max-lists",
                lists.len() - limit
            ));
        }
        let look = Script::new(LOOK);
        for key in lists.into_iter().take(limit) {
            if self.is_enough() {
                self.state.complete = false;
                self.left_out(format!("lists from `{key}` on: what cannot be read is enough for one run"));
                break;
            }
            let list = self.list(&look, key).await?;
            if list.length > 0 {
                self.looked.lists += 1;
                self.looked.payloads += list.looked;
                self.kept += list.poison.iter().map(|(payload, _)| payload.len()).sum::<usize>();
                self.state.lists.insert(key.clone(), list);
            }
        }
        if !self.redis.link().is_cluster() {
            let patterns = self.redis.send(&cmd("PUBSUB", &[b"NUMPAT"])).await?;
            match patterns {
                Value::Int(patterns) => self.state.subscriptions = u64::try_from(patterns).ok(),
                _ => self.left_out("who listens: this user may not PUBSUB NUMPAT".into()),
            }
        }
        Ok(())
    }

    async fn list(&self, look: &Script, key: &str) -> Result<List, ExecuteError> {
        let mut script = look.prepare_invoke();
        script.key(key).arg(self.limits.payloads).arg(self.limits.payload_bytes);
        let answer = script.invoke_async(&mut self.redis.link().clone()).await;
        let answer: Value = answer.map_err(|error| self.redis.error(error))?;
        let Value::Array(parts) = answer else { return Ok(List::default()) };
        let mut parts = parts.into_iter();
        let length = parts.next().as_ref().map(number).unwrap_or_default().unsigned_abs();
        let mut list = List { length, ..List::default() };
        while let (Some(read), Some(Value::BulkString(payload))) = (parts.next(), parts.next()) {
            list.looked += 1;
            match reason(number(&read) == 1, &payload) {
                None => list.messages += 1,
                Some(Verdict::Poison(reason)) => list.poison.push((payload, reason)),
                Some(Verdict::Unknown) => {}
            }
        }
        Ok(list)
    }

    /// The keys of queues that are known by name, and are no lists.
    async fn types_of_queues(&mut self, keys: &Keys) -> Result<(), ExecuteError> {
        let bound = self.state.tables.values().flat_map(|table| table.members());
        let bound = bound.map(|(_, member)| member.queue.clone());
        let declared = self.state.own.queues.iter().map(|queue| queue.name.to_string());
        let queues: BTreeSet<String> = bound.chain(declared).collect();
        let lists = queues.iter().flat_map(|queue| self.layout.lists(queue));
        let lists: Vec<String> = lists.filter(|key| !keys.lists.contains(key)).collect();
        let types = ask(self.redis, lists.iter().map(|key| cmd("TYPE", &[key.as_bytes()])).collect()).await?;
        for (key, kind) in lists.into_iter().zip(types) {
            match text(kind).as_deref() {
                Some("none" | "list") | None => {}
                Some(found) => self.state.wrong.push((key, "list", found.into())),
            }
        }
        Ok(())
    }

    async fn quarantines(&mut self, queues: &BTreeSet<String>) -> Result<(), ExecuteError> {
        for queue in queues {
            let key = crate::quarantine_list(self.layout, queue);
            if self.is_of_type(&key, "list").await? {
                let length = ask(self.redis, vec![cmd("LLEN", &[key.as_bytes()])]).await?;
                let length = length.first().map(number).unwrap_or_default().unsigned_abs();
                self.state.quarantines.push((queue.clone(), length));
            }
        }
        Ok(())
    }

    /// Their payloads are not read, since reading makes a list look used.
    async fn replies(&mut self, lists: Vec<&String>) -> Result<(), ExecuteError> {
        for key in lists {
            let left = ask(self.redis, vec![cmd("PTTL", &[key.as_bytes()])]).await?;
            let expires = left.first().map(number).unwrap_or_default() != -1;
            // Refused where the server forgets what is used seldom instead of what was not used for long.
            let idle = self.redis.send(&cmd("OBJECT", &[b"IDLETIME", key.as_bytes()])).await?;
            let idle = match idle {
                Value::Int(seconds) => u64::try_from(seconds).ok(),
                _ => None,
            };
            self.state.replies.push(ReplyList { key: key.clone(), idle, expires });
        }
        Ok(())
    }
}

/// Whether replies to remote control come to a queue of this name: `<id>.reply.celery.pidbox`.
fn is_reply(queue: &str) -> bool {
    queue.ends_with(".pidbox") && queue.contains(".reply.")
}

enum Verdict {
    Poison(Box<str>),
    /// This reader is stricter than Python.
    Unknown,
}

/// Why a payload is no message; nothing if it is one.
fn reason(server_reads: bool, payload: &[u8]) -> Option<Verdict> {
    match payload::json(payload) {
        Err(_) if server_reads => Some(Verdict::Unknown),
        Err(error) => Some(Verdict::Poison(format!("no JSON: {error}").into())),
        Ok(_) => payload::message(payload).err().map(Verdict::Poison),
    }
}
