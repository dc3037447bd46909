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
        ErrorKind::Server(ServerErrorKind::CrossSlot) => {
            let message =
                "the keys lie in several slots of the cluster, and one step on one server cannot reach them";
            ExecuteError::Server { message: message.into() }
        }
        ErrorKind::Extension | ErrorKind::Server(_) => match error.code() {
            Some(code) => server_error(&address, code, error.detail()),
            None => ExecuteError::Server { message: error.to_string().into() },
        },
        _ => ExecuteError::Server { message: error.to_string().into() },
    }
}

/// What an error means that a server answered, be it to a command or to one in a script.
pub(crate) fn server_error(address: &str, code: &str, detail: Option<&str>) -> ExecuteError {
    let message = words(code, detail).into_boxed_str();
    match message.split(' ').next().is_some_and(unavailable) {
        true => ExecuteError::Unavailable { address: address.into(), message },
        false => ExecuteError::Server { message },
    }
}

/// The server's own words, as `redis-cli` shows them; nothing of where in a script it said them.
fn words(code: &str, detail: Option<&str>) -> String {
    let said = detail.unwrap_or_default();
    let text = format!("{code} {said}");
    let text = within(&text).unwrap_or_else(|| text.split_once(" script: ").map_or(&*text, |(said, _)| said));
    text.trim_end_matches([',', '.', ' ']).into()
}

/// What a command in a script was told, where a server before 7.0 answers for the whole script:
/// `ERR Error running script (call to f_…): @user_script:7: @user_script: 7: -READONLY …`. Nothing if the script itself
/// is what failed, which has no code in front.
fn within(text: &str) -> Option<&str> {
    if !text.starts_with("ERR Error running script") && !text.starts_with(SCRIPT) {
        return None;
    }
    let (_, place) = text.rsplit_once(SCRIPT)?;
    let (_, said) = place.trim_start().split_once(": ")?;
    let said = said.strip_prefix('-').unwrap_or(said);
    let code = said.split(' ').next()?;
    (!code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(said)
}

const SCRIPT: &str = "@user_script:";

/// Whether the server took the login and refuses the command.
pub(crate) fn is_not_permitted(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}

/// Whether this is what a primary answers, to a command or to one in a script, that is none any more.
pub(crate) fn is_deposed(code: &str, detail: Option<&str>) -> bool {
    let words = words(code, detail);
    words.split(' ').next().is_some_and(|code| matches!(code, "READONLY" | "MASTERDOWN"))
}

/// What a server answers before it executes anything, and will not answer for ever.
fn unavailable(code: &str) -> bool {
    matches!(code, "LOADING" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "NOREPLICAS")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Redis 6.2.14 and 7.0.15 say it, where the test files of their own are run against the one that is there.
    #[test]
    fn what_a_script_was_told_is_read_from_every_server() {
        let at = "(call to f_f2a210a92ee9b873a0343caeefa2b3d62987e495): @user_script:1: ";
        let told = |code: &str, detail: &str| server_error("here", code, Some(detail));
        let unavailable =
            |message: &str| ExecuteError::Unavailable { address: "here".into(), message: message.into() };
        let server = |message: &str| ExecuteError::Server { message: message.into() };
        let read_only = "READONLY You can't write against a read only replica";
        let long = format!("Error running script {at}@user_script: 1: -{read_only}.");
        assert_eq!(told("ERR", &long), unavailable(read_only));
        // As `pcall` hands it on.
        assert_eq!(told("@user_script:", &format!("1: -{read_only}.")), unavailable(read_only));
        assert!(
            is_deposed("ERR", Some(&long)) && is_deposed("@user_script:", Some(&format!("1: -{read_only}.")))
        );
        let (code, detail) = read_only.split_once(' ').expect("a code");
        let since = format!("{detail}. script: f2a210a92ee9b873a0343caeefa2b3d62987e495, on @user_script:1.");
        assert_eq!(told(code, &since), unavailable(read_only));
        assert!(is_deposed(code, Some(&since)) && is_deposed("MASTERDOWN", None));
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(told("ERR", &format!("Error running script {at}{wrong}")), server(wrong));
        assert!(!is_deposed("WRONGTYPE", Some(read_only)) && !is_deposed("ERR", Some(read_only)));
        let own = format!("Error running script {at}user_script:1: attempt to index a nil value");
        assert_eq!(told("ERR", &own), server(&format!("ERR {own}")));
        // No server's, but nothing is lost of it.
        for odd in ["Error running script", "Error running script @user_script:", "@user_script:1: -"] {
            assert_eq!(told("ERR", odd), server(&format!("ERR {odd}")));
        }
        assert_eq!(told("CLUSTERDOWN", ""), unavailable("CLUSTERDOWN"));
        // Nothing was executed, and it passes by itself.
        for code in ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"] {
            let (long, said) = (format!("Error running script {at}{code} wait."), format!("{code} wait"));
            assert_eq!([told(code, "wait."), told("ERR", &long)], [unavailable(&said), unavailable(&said)]);
        }
        assert_eq!(server_error("here", "OOM", None), server("OOM"));
    }
}
