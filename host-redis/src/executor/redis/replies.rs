//! What the server's answers mean.

use ::redis::Value;
use keyrail_core::kombu::Command;

use super::super::Reply;
use super::errors::server_error;
use crate::ExecuteError;

pub(super) fn reply(address: &str, asked: &Command, value: Value) -> Result<Reply, ExecuteError> {
    answer(address, asked.name(), asked.key(), value)
}

/// The same, where there is no more than the name of a command and its key.
pub(super) fn answer(
    address: &str,
    command: &'static str,
    key: &str,
    value: Value,
) -> Result<Reply, ExecuteError> {
    Ok(match value {
        Value::Int(count) => Reply::Count(count),
        Value::Nil => Reply::Value(None),
        Value::Okay => Reply::Done,
        Value::BulkString(bytes) => Reply::Value(Some(bytes)),
        Value::Array(items) | Value::Set(items) => {
            Reply::Members(items.into_iter().filter_map(bytes).collect())
        }
        Value::ServerError(error) => {
            return Err(match error.code() {
                "WRONGTYPE" => ExecuteError::WrongType { key: key.into(), command },
                code => server_error(address, code, error.details()),
            });
        }
        other => {
            let message = format!("{command} got {other:?}");
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
