//! Taking in memory, by the rules of the take script.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
};

use keyrail_core::kombu::{Command, plan, without_surrogates};

use super::{
    super::{Take, Taken, pop_order, quarantine_list, take::BATCH_BYTES},
    Entry, Store, Value,
    held::now,
};
use crate::ExecuteError;

impl Store {
    pub(super) fn take(&mut self, take: &Take<'_>) -> Result<Vec<Taken>, ExecuteError> {
        let Take { layout, queues, limit, in_turn, owner } = *take;
        if owner.is_some() {
            self.check(&layout.unacked(), Some("hash"), "HSET")?;
            self.check(&layout.unacked_index(), Some("zset"), "ZADD")?;
        }
        let order = pop_order(layout, queues);
        let (mut out, mut count, mut bytes) = (Vec::new(), 0, 0);
        for step in order.chunks(queues.len().max(1)) {
            let mut open: Vec<bool> = step.iter().map(|(_, list)| self.is_list(list, &mut out)).collect();
            let (mut at, mut passed) = (0, 0);
            while count < limit && bytes < BATCH_BYTES && passed < step.len() {
                let (queue, list) = &step[at];
                let next = if open[at] { self.last(list) } else { None };
                let Some(payload) = next else {
                    (at, passed) = ((at + 1) % step.len(), passed + 1);
                    continue;
                };
                let queue = queues[*queue].clone();
                let size = payload.len();
                match self.take_one(take, &queue, list, payload, count) {
                    Ok(taken) => {
                        out.push(taken);
                        (count, bytes, passed) = (count + 1, bytes + size, 0);
                        at = if in_turn { (at + 1) % step.len() } else { at };
                    }
                    Err(key) => {
                        out.push(Taken::WrongType { key, command: "LPUSH" });
                        open[at] = false;
                    }
                }
            }
        }
        Ok(out)
    }

    fn is_list(&mut self, list: &str, out: &mut Vec<Taken>) -> bool {
        match self.entry(list).map(|entry| &entry.value) {
            Some(Value::List(_)) => true,
            Some(_) => {
                out.push(Taken::WrongType { key: list.into(), command: "RPOP" });
                false
            }
            None => false,
        }
    }

    fn last(&mut self, list: &str) -> Option<Vec<u8>> {
        match self.entry(list) {
            Some(Entry { value: Value::List(messages), .. }) => messages.back().cloned(),
            _ => None,
        }
    }

    /// The message, or the quarantine list if that is none.
    fn take_one(
        &mut self,
        take: &Take<'_>,
        queue: &str,
        list: &str,
        payload: Vec<u8>,
        place: usize,
    ) -> Result<Taken, String> {
        let Take { layout, owner, .. } = *take;
        let pop = Command::RPop { key: list.into() };
        let Some(tag) = tag_of(&payload) else {
            let quarantine = quarantine_list(layout, queue);
            let push = Command::LPush { key: quarantine.clone(), value: payload };
            if self.check_command(&push).is_err() {
                return Err(quarantine);
            }
            self.execute(&push);
            self.execute(&pop);
            return Ok(Taken::Quarantined { queue: queue.into(), list: quarantine });
        };
        let mut delivery = String::new();
        if let Some(owner) = owner {
            delivery = plan::delivery(&tag, &format!("{owner}.{place}"), queue);
            let registered = registered(&payload);
            for command in plan::register(layout, &delivery, queue, &registered, now()).commands {
                self.execute(&command);
            }
        }
        self.execute(&pop);
        Ok(Taken::Message { delivery, queue: queue.into(), list: list.into(), payload })
    }
}

/// The name of a payload's delivery tag, by the rules of the take script; nothing if the payload is no message.
fn tag_of(payload: &[u8]) -> Option<String> {
    // The script's reader minds neither bytes that are no text nor Python's word for them.
    let payload = without_surrogates(payload);
    let payload = String::from_utf8_lossy(&payload);
    let message: serde_json::Value = serde_json::from_str(&payload).ok()?;
    let properties = message.get("properties")?;
    // Kombu raises on it.
    if properties.get("delivery_info").is_some_and(|info| !info.is_object()) {
        return None;
    }
    match properties.get("delivery_tag")? {
        serde_json::Value::String(tag) => Some(tag.clone()),
        serde_json::Value::Number(tag) => {
            let tag = tag.as_f64().filter(|tag| tag.is_finite() && tag.fract() == 0.0)?;
            if tag.abs() < EXACT {
                return Some(format!("{tag:.0}"));
            }
            let mut hasher = DefaultHasher::new();
            payload.hash(&mut hasher);
            Some(format!("{:016x}", hasher.finish()))
        }
        _ => None,
    }
}

/// What is registered for a payload, by the rules of the take script: a Kombu that restores it needs headers that are an
/// object.
fn registered(payload: &[u8]) -> Cow<'_, [u8]> {
    let text = without_surrogates(payload);
    let text = String::from_utf8_lossy(&text);
    let message: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    match (message.get("headers"), payload.iter().rposition(|byte| *byte == b'}')) {
        (Some(headers), Some(end)) if !headers.is_object() => {
            [&payload[..end], br#", "headers": {}}"#].concat().into()
        }
        _ => payload.into(),
    }
}

/// 2^53: numbers from here on are read as a neighbour's, whose name they must not get.
const EXACT: f64 = 9_007_199_254_740_992.0;
