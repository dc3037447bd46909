//! What the server's answers mean.

use ::redis::Value;
use keyrail_core::kombu::Command;

use super::super::{Reply, Take, quarantine_list};
use super::errors::unavailable;
use crate::ExecuteError;

pub(super) fn reply(address: &str, asked: &Command, value: Value) -> Result<Reply, ExecuteError> {
    Ok(match value {
        Value::Int(count) => Reply::Count(count),
        Value::Nil => Reply::Value(None),
        Value::BulkString(bytes) => Reply::Value(Some(bytes)),
        Value::Array(items) | Value::Set(items) => {
            Reply::Members(items.into_iter().filter_map(bytes).collect())
        }
        Value::ServerError(error) => {
            return Err(match error.code() {
                "WRONGTYPE" => ExecuteError::WrongType { key: asked.key().into(), command: asked.name() },
                code if unavailable(code) => {
                    ExecuteError::Unavailable { address: address.into(), message: error.to_string().into() }
                }
                _ => ExecuteError::Server { message: error.to_string().into() },
            });
        }
        other => {
            let message = format!("{} got {other:?}", asked.name());
            return Err(ExecuteError::Server { message: message.into() });
        }
    })
}

pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

pub(super) fn text(value: Value) -> Option<String> {
    bytes(value).and_then(|bytes| String::from_utf8(bytes).ok())
}

/// The key at this place, from 1, of the keys that the take script got.
pub(super) fn of_wrong_type(take: &Take<'_>, order: &[(usize, String)], place: usize) -> ExecuteError {
    let layout = take.layout;
    let (key, command) = match place {
        1 => (layout.unacked(), "HSET"),
        2 => (layout.unacked_index(), "ZADD"),
        _ => match order.get(place.saturating_sub(3) / 2) {
            Some((_, list)) if place % 2 == 1 => (list.clone(), "RPOP"),
            Some((queue, _)) => (quarantine_list(layout, &take.queues[*queue]), "LPUSH"),
            None => (String::new(), "RPOP"),
        },
    };
    ExecuteError::WrongType { key: key.into(), command }
}
