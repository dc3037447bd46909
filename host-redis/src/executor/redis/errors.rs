//! What the client's errors mean.

use std::time::Duration;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::RedisOptions;
use crate::ExecuteError;

pub(crate) fn silent(address: &str, limit: Duration) -> ExecuteError {
    let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    ExecuteError::Timeout { address: address.into(), milliseconds }
}

/// Something accepts connections and then says nothing.
pub(crate) fn mute(address: &str, options: &RedisOptions) -> ExecuteError {
    let reason =
        format!("nothing there answers as Redis does within {} ms", options.connect_timeout.as_millis());
    ExecuteError::Unreachable { address: address.into(), reason: reason.into() }
}

pub(crate) fn foreign(address: Box<str>) -> ExecuteError {
    ExecuteError::NotRedis { address, reason: "its answer is not of Redis' protocol".into() }
}

/// What a failure to connect means.
pub(crate) fn connect_error(address: &str, options: &RedisOptions, error: &RedisError) -> ExecuteError {
    let reason = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    let reason: Box<str> = reason.trim_end_matches('.').into();
    let address: Box<str> = address.into();
    match error.kind() {
        _ if error.is_timeout() => mute(&address, options),
        // The client keeps nothing of the server's own words.
        ErrorKind::AuthenticationFailed => {
            ExecuteError::Authentication { address, reason: "it does not know this user and password".into() }
        }
        ErrorKind::Extension | ErrorKind::Server(_) => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => ExecuteError::Authentication { address, reason },
            _ => command_error(&address, options, error),
        },
        // A peer that hangs up on the greeting has accepted the connection, so something listens there.
        ErrorKind::Io if error.is_connection_dropped() && !error.is_connection_refusal() => {
            ExecuteError::NotRedis { address, reason: "it hangs up on the greeting".into() }
        }
        ErrorKind::Io => ExecuteError::Unreachable { address, reason: unreached(error).into() },
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => foreign(address),
        _ => command_error(&address, options, error),
    }
}

/// Why no connection came about. TLS names what a peer objects to by a word alone.
fn unreached(error: &RedisError) -> String {
    let reason = error.to_string();
    match reason.contains("fatal alert") {
        true => format!(
            "it refuses this side's certificate, or that there is none (ssl_certfile, ssl_keyfile): {reason}"
        ),
        false => reason,
    }
}

/// What a failed command means.
pub(crate) fn command_error(address: &str, options: &RedisOptions, error: &RedisError) -> ExecuteError {
    let address: Box<str> = address.into();
    if error.is_timeout() {
        return silent(&address, options.response_timeout);
    }
    match error.kind() {
        ErrorKind::Parse => foreign(address),
        ErrorKind::Io if error.is_connection_refusal() => {
            ExecuteError::Unreachable { address, reason: error.to_string().into() }
        }
        // Of a cluster: at this moment there is a connection to none of its nodes.
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => {
            ExecuteError::Disconnected { address, reason: error.to_string().into() }
        }
        ErrorKind::Extension | ErrorKind::Server(_) if error.code().is_some_and(unavailable) => {
            let message = words(error.code().unwrap_or_default(), error.detail()).into();
            ExecuteError::Unavailable { address, message }
        }
        ErrorKind::Extension | ErrorKind::Server(_) => {
            let message = match (error.code(), error.detail()) {
                _ if error.kind() == ErrorKind::Server(ServerErrorKind::CrossSlot) => {
                    "the keys lie in several slots of the cluster, and one step on one server cannot reach them".into()
                }
                (Some(code), detail) => words(code, detail),
                _ => error.to_string(),
            };
            ExecuteError::Server { message: message.into() }
        }
        _ => ExecuteError::Server { message: error.to_string().into() },
    }
}

/// The server's own words, as `redis-cli` shows them; nothing of where in a script it said them.
pub(crate) fn words(code: &str, detail: Option<&str>) -> String {
    let detail = detail.unwrap_or_default();
    let said = detail.split_once(" script: ").map_or(detail, |(said, _)| said).trim_end_matches([',', '.']);
    if said.is_empty() { code.into() } else { format!("{code} {said}") }
}

/// Whether the server took the login and refuses the command.
pub(crate) fn is_not_permitted(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}

/// What a server answers before it executes anything, and will not answer for ever.
pub(crate) fn unavailable(code: &str) -> bool {
    matches!(code, "LOADING" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "NOREPLICAS")
}
