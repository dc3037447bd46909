//! Taking, by a script.

use ::redis::Value;
use keyrail_core::kombu::Json;

use super::{
    super::{Take, Taken, pop_order, quarantine_list, take::BATCH_BYTES},
    Redis,
    replies::{bytes, text},
};
use crate::ExecuteError;

pub(super) async fn take(redis: &Redis, take: &Take<'_>) -> Result<Vec<Taken>, ExecuteError> {
    let Take { layout, queues, limit, in_turn, owner } = *take;
    if queues.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let order = pop_order(layout, queues);
    let mut script = redis.scripts.take.prepare_invoke();
    script.key(layout.unacked()).key(layout.unacked_index());
    for (queue, list) in &order {
        script.key(list).key(quarantine_list(layout, &queues[*queue]));
    }
    script
        .arg(limit)
        .arg(BATCH_BYTES)
        .arg(owner.unwrap_or_default())
        .arg(queues.len())
        .arg(u8::from(in_turn));
    for queue in queues {
        script.arg(format!("#{queue}"));
        script.arg(format!(", \"\", {}]", Json::from(queue.as_str()).to_python()));
    }
    let Value::Array(parts) = redis.invoke(&script).await? else { return Err(lost()) };
    read(take, &order, parts)
}

/// What the script's answer means.
fn read(take: &Take<'_>, order: &[(usize, String)], parts: Vec<Value>) -> Result<Vec<Taken>, ExecuteError> {
    // A place, a name and a payload for each message.
    let mut taken = Vec::with_capacity(parts.len() / 3);
    let mut parts = parts.into_iter();
    while let Some(part) = parts.next() {
        let Value::Int(place) = part else { return Err(lost()) };
        if place == 0 {
            let (key, command) = key_of(take, order, parts.next().and_then(number).ok_or_else(lost)?);
            if command.starts_with(['H', 'Z']) {
                return Err(ExecuteError::WrongType { key: key.into(), command });
            }
            taken.push(Taken::WrongType { key, command });
            continue;
        }
        let at = usize::try_from(place.unsigned_abs()).ok().and_then(|place| place.checked_sub(3));
        let (queue, list) = at.and_then(|at| order.get(at / 2)).ok_or_else(lost)?;
        let queue = take.queues[*queue].clone();
        taken.push(if place < 0 {
            Taken::Quarantined { list: quarantine_list(take.layout, &queue), queue }
        } else {
            let delivery = parts.next().and_then(text).ok_or_else(lost)?;
            let payload = parts.next().and_then(bytes).ok_or_else(lost)?;
            Taken::Message { delivery, queue, list: list.clone(), payload }
        });
    }
    Ok(taken)
}

fn lost() -> ExecuteError {
    ExecuteError::Server { message: "the take script got lost".into() }
}

fn number(value: Value) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    }
}

/// The key at this place, from 1, of the keys that the script got, and what needs it to be of another type.
fn key_of(take: &Take<'_>, order: &[(usize, String)], place: usize) -> (String, &'static str) {
    let layout = take.layout;
    match place {
        1 => (layout.unacked(), "HSET"),
        2 => (layout.unacked_index(), "ZADD"),
        _ => match order.get(place.saturating_sub(3) / 2) {
            Some((_, list)) if place % 2 == 1 => (list.clone(), "RPOP"),
            Some((queue, _)) => (quarantine_list(layout, &take.queues[*queue]), "LPUSH"),
            None => (String::new(), "RPOP"),
        },
    }
}
