//! What is registered as delivered: settling, returning, restoring, by scripts.

use std::time::Duration;

use ::redis::{Cmd, Value};
use keyrail_core::kombu::Layout;

use super::{
    super::{AT_ONCE, GiveBack, Held, Overdue, PutBack, Restore, take::BATCH_BYTES},
    Redis,
    replies::{bytes, text},
};
use crate::{ExecuteError, registry::LONGEST};

/// Name and value in a hash.
type Field = (Vec<u8>, Vec<u8>);

fn lost(what: &str) -> ExecuteError {
    ExecuteError::Server { message: format!("the script to {what} got lost").into() }
}

fn wrong_type(layout: &Layout, place: i64, commands: [&'static str; 2]) -> ExecuteError {
    match place {
        1 => ExecuteError::WrongType { key: layout.unacked().into(), command: commands[0] },
        _ => ExecuteError::WrongType { key: layout.unacked_index().into(), command: commands[1] },
    }
}

pub(super) async fn settle(
    redis: &Redis,
    layout: &Layout,
    deliveries: &[String],
) -> Result<Vec<bool>, ExecuteError> {
    let mut settled = Vec::with_capacity(deliveries.len());
    for part in deliveries.chunks(AT_ONCE) {
        let mut script = redis.scripts.settle.prepare_invoke();
        script.key(layout.unacked()).key(layout.unacked_index()).arg(part);
        match redis.invoke(&script).await? {
            Value::Array(known) if known.is_empty() => settled.resize(settled.len() + part.len(), true),
            Value::Array(known) if known.len() == part.len() => {
                settled.extend(known.into_iter().map(|known| known == Value::Int(1)));
            }
            Value::Int(place) => return Err(wrong_type(layout, place, ["HDEL", "ZREM"])),
            _ => return Err(lost("settle")),
        }
    }
    Ok(settled)
}

pub(super) async fn give_back(redis: &Redis, back: &GiveBack<'_>) -> Result<bool, ExecuteError> {
    let GiveBack { layout, delivery, list, payload, next } = *back;
    let push = if next { "RPUSH" } else { "LPUSH" };
    let mut script = redis.scripts.give_back.prepare_invoke();
    script.key(layout.unacked()).key(layout.unacked_index()).key(list);
    script.arg(delivery).arg(payload).arg(push);
    match redis.invoke(&script).await? {
        Value::Int(given) => Ok(given == 1),
        Value::Array(place) => Err(match place.first() {
            Some(Value::Int(place @ (1 | 2))) => wrong_type(layout, *place, ["HDEL", "ZREM"]),
            _ => ExecuteError::WrongType { key: list.into(), command: push },
        }),
        _ => Err(lost("give back")),
    }
}

pub(super) async fn touch(redis: &Redis, layout: &Layout, deliveries: &[String]) -> Result<(), ExecuteError> {
    for part in deliveries.chunks(AT_ONCE) {
        let mut script = redis.scripts.touch.prepare_invoke();
        script.key(layout.unacked_index()).arg(part);
        redis.invoke(&script).await?;
    }
    Ok(())
}

pub(super) async fn now(redis: &Redis) -> Result<f64, ExecuteError> {
    let Value::Array(parts) = redis.query(Cmd::new().arg("TIME")).await? else { return Err(lost("TIME")) };
    let mut parts = parts.into_iter().filter_map(text).map(|part| part.parse::<f64>().unwrap_or_default());
    Ok(parts.next().unwrap_or_default() + parts.next().unwrap_or_default() / 1e6)
}

pub(super) async fn overdue(redis: &Redis, overdue: &Overdue<'_>) -> Result<Vec<Held>, ExecuteError> {
    let Overdue { layout, before, skip, limit } = *overdue;
    let mut script = redis.scripts.overdue.prepare_invoke();
    script.key(layout.unacked()).key(layout.unacked_index());
    script.arg(before).arg(skip).arg(limit).arg(BATCH_BYTES);
    let parts = match redis.invoke(&script).await? {
        Value::Array(parts) => parts,
        Value::Int(place) => return Err(wrong_type(layout, place, ["HGET", "ZREVRANGEBYSCORE"])),
        _ => return Err(lost("read what is overdue")),
    };
    let held = |part| {
        let Value::Array(part) = part else { return None };
        let mut part = part.into_iter();
        let delivery = part.next().and_then(bytes)?;
        let since = part.next().and_then(text)?;
        Some(Held { delivery, since, record: part.next().and_then(bytes) })
    };
    Ok(parts.into_iter().filter_map(held).collect())
}

pub(super) async fn owned(redis: &Redis, layout: &Layout, owner: &str) -> Result<Vec<Held>, ExecuteError> {
    let (mut owned, mut cursor) = (Vec::new(), 0u64);
    loop {
        let mut scan = Cmd::new();
        scan.arg("HSCAN").arg(layout.unacked()).arg(cursor);
        scan.arg("MATCH").arg(format!("*#{owner}.*")).arg("COUNT").arg(AT_ONCE);
        let answer = scan.query_async(&mut redis.link.clone()).await;
        let (next, found): (u64, Vec<Field>) = answer.map_err(|error| redis.error(error))?;
        let held = |(delivery, record)| Held { delivery, since: String::new(), record: Some(record) };
        owned.extend(found.into_iter().map(held));
        cursor = next;
        if cursor == 0 {
            return Ok(owned);
        }
    }
}

pub(super) async fn restore(
    redis: &Redis,
    restore: &Restore<'_>,
) -> Result<Option<Vec<PutBack>>, ExecuteError> {
    let Restore { layout, lock, deliveries } = *restore;
    let (token, held_on) = lock.unwrap_or_default();
    let mut script = redis.scripts.restore.prepare_invoke();
    script.key(layout.unacked()).key(layout.unacked_index()).key(layout.unacked_mutex());
    let mut keys: Vec<&str> = Vec::new();
    script.arg(token).arg(milliseconds(held_on));
    for (held, lists, payload) in deliveries {
        script.arg(&held.delivery).arg(&held.since).arg(payload).arg(lists.len());
        for list in lists {
            let known = keys.iter().position(|key| key == list);
            script.arg(4 + known.unwrap_or(keys.len()));
            if known.is_none() {
                script.key(list);
                keys.push(list);
            }
        }
    }
    let put_back = |value| match value {
        Value::Int(1) => Some(PutBack::Done),
        Value::Int(0) => Some(PutBack::Gone),
        Value::Int(place) => {
            let place = usize::try_from(place.unsigned_abs()).ok()?.checked_sub(4)?;
            Some(PutBack::WrongType((*keys.get(place)?).to_owned()))
        }
        _ => None,
    };
    match redis.invoke(&script).await? {
        Value::Int(0) => Ok(None),
        Value::Array(parts) if parts.len() == deliveries.len() => {
            parts.into_iter().map(put_back).collect::<Option<_>>().map(Some).ok_or_else(|| lost("restore"))
        }
        _ => Err(lost("restore")),
    }
}

pub(super) async fn lock(
    redis: &Redis,
    layout: &Layout,
    token: &str,
    limit: Duration,
) -> Result<bool, ExecuteError> {
    let mut set = Cmd::new();
    set.arg("SET").arg(layout.unacked_mutex()).arg(token).arg("NX").arg("PX").arg(milliseconds(limit).max(1));
    Ok(redis.query(&set).await? != Value::Nil)
}

pub(super) async fn unlock(redis: &Redis, layout: &Layout, token: &str) -> Result<(), ExecuteError> {
    let mut script = redis.scripts.unlock.prepare_invoke();
    script.key(layout.unacked_mutex()).arg(token);
    redis.invoke(&script).await.map(drop)
}

fn milliseconds(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).min(LONGEST)
}
