//! The Redis commands of Kombu's wire, as data.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::json::Json;

/// A Redis command that somebody else sends: a client over TCP, a browser over HTTP, or an executor in memory.
///
/// The list is closed and an executor handles all of it; a new command breaks its build on purpose.
///
/// ```
/// use keyrail_core::kombu::Command;
///
/// let push = Command::LPush { key: "celery\x06\x163".into(), value: b"{}".to_vec() };
/// assert_eq!(push.args(), [&b"LPUSH"[..], b"celery\x06\x163", b"{}"]);
/// assert_eq!(push.to_string(), r#"LPUSH "celery\x06\x163" "{}""#);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Puts a message behind all others of its list: pops take from the right.
    LPush {
        /// The list.
        key: String,
        /// The message.
        value: Vec<u8>,
    },
    /// Puts a message before all others of its list.
    RPush {
        /// The list.
        key: String,
        /// The message.
        value: Vec<u8>,
    },
    /// Takes the next message.
    RPop {
        /// The list.
        key: String,
    },
    /// Counts the messages.
    LLen {
        /// The list.
        key: String,
    },
    /// Sends a fanout message to whoever listens now.
    Publish {
        /// The channel.
        channel: String,
        /// The message.
        payload: Vec<u8>,
    },
    /// Adds a row to a binding table.
    SAdd {
        /// The table.
        key: String,
        /// The row.
        member: Vec<u8>,
    },
    /// Removes a row from a binding table.
    SRem {
        /// The table.
        key: String,
        /// The row.
        member: Vec<u8>,
    },
    /// Reads a binding table.
    SMembers {
        /// The table.
        key: String,
    },
    /// Deletes a list.
    Del {
        /// The list.
        key: String,
    },
    /// Lets a list of an expiring queue live on for so long.
    PExpire {
        /// The list.
        key: String,
        /// How long.
        milliseconds: u64,
    },
    /// Registers a delivery.
    HSet {
        /// The hash of unacked deliveries.
        key: String,
        /// The delivery.
        field: String,
        /// The message and where it goes back to.
        value: Vec<u8>,
    },
    /// Forgets a delivery.
    HDel {
        /// The hash of unacked deliveries.
        key: String,
        /// The delivery.
        field: String,
    },
    /// Registers the time of a delivery.
    ZAdd {
        /// The sorted set of times.
        key: String,
        /// Unix time in seconds.
        score: f64,
        /// The delivery.
        member: String,
    },
    /// Moves the deadline of an exchange's table, never to an earlier time (`GT`).
    ZAddGt {
        /// The sorted set of deadlines.
        key: String,
        /// Unix time in milliseconds, by the server's clock.
        score: u64,
        /// The exchange.
        member: String,
    },
    /// Forgets the time of a delivery.
    ZRem {
        /// The sorted set of times.
        key: String,
        /// The delivery.
        member: String,
    },
    /// Stores the result of a Celery task for so long.
    SetEx {
        /// The result's key.
        key: String,
        /// How long.
        seconds: u64,
        /// The result.
        value: Vec<u8>,
    },
}

impl Command {
    /// The command's name.
    ///
    /// ```
    /// use keyrail_core::kombu::Command;
    ///
    /// assert_eq!(Command::SMembers { key: "k".into() }.name(), "SMEMBERS");
    /// ```
    pub const fn name(&self) -> &'static str {
        match self {
            Command::LPush { .. } => "LPUSH",
            Command::RPush { .. } => "RPUSH",
            Command::RPop { .. } => "RPOP",
            Command::LLen { .. } => "LLEN",
            Command::Publish { .. } => "PUBLISH",
            Command::SAdd { .. } => "SADD",
            Command::SRem { .. } => "SREM",
            Command::SMembers { .. } => "SMEMBERS",
            Command::Del { .. } => "DEL",
            Command::PExpire { .. } => "PEXPIRE",
            Command::HSet { .. } => "HSET",
            Command::HDel { .. } => "HDEL",
            Command::ZAdd { .. } | Command::ZAddGt { .. } => "ZADD",
            Command::ZRem { .. } => "ZREM",
            Command::SetEx { .. } => "SETEX",
        }
    }

    /// The key it touches, which decides about the slot in a cluster; for a fanout message the channel.
    ///
    /// ```
    /// use keyrail_core::kombu::Command;
    ///
    /// assert_eq!(Command::LLen { key: "q".into() }.key(), "q");
    /// ```
    pub fn key(&self) -> &str {
        match self {
            Command::LPush { key, .. }
            | Command::RPush { key, .. }
            | Command::RPop { key }
            | Command::LLen { key }
            | Command::SAdd { key, .. }
            | Command::SRem { key, .. }
            | Command::SMembers { key }
            | Command::Del { key }
            | Command::PExpire { key, .. }
            | Command::HSet { key, .. }
            | Command::HDel { key, .. }
            | Command::ZAdd { key, .. }
            | Command::ZAddGt { key, .. }
            | Command::ZRem { key, .. }
            | Command::SetEx { key, .. } => key,
            Command::Publish { channel, .. } => channel,
        }
    }

    /// The name and the arguments as they go over the wire.
    ///
    /// ```
    /// use keyrail_core::kombu::Command;
    ///
    /// let add = Command::ZAdd { key: "unacked_index".into(), score: 1795358854.75, member: "t1".into() };
    /// assert_eq!(add.args()[2], &b"1795358854.75"[..]);
    /// ```
    pub fn args(&self) -> Vec<Cow<'_, [u8]>> {
        let mut args = Vec::with_capacity(4);
        args.push(Cow::Borrowed(self.name().as_bytes()));
        args.push(Cow::Borrowed(self.key().as_bytes()));
        match self {
            Command::RPop { .. } | Command::LLen { .. } | Command::SMembers { .. } | Command::Del { .. } => {}
            Command::LPush { value, .. } | Command::RPush { value, .. } => args.push(Cow::Borrowed(value)),
            Command::Publish { payload, .. } => args.push(Cow::Borrowed(payload)),
            Command::SAdd { member, .. } | Command::SRem { member, .. } => args.push(Cow::Borrowed(member)),
            Command::PExpire { milliseconds, .. } => {
                args.push(Cow::Owned(milliseconds.to_string().into_bytes()))
            }
            Command::HSet { field, value, .. } => {
                args.push(Cow::Borrowed(field.as_bytes()));
                args.push(Cow::Borrowed(value));
            }
            Command::HDel { field, .. } => args.push(Cow::Borrowed(field.as_bytes())),
            Command::ZAdd { score, member, .. } => {
                // Python's client writes the score as `repr` does.
                args.push(Cow::Owned(Json::Float(*score).to_python().into_bytes()));
                args.push(Cow::Borrowed(member.as_bytes()));
            }
            Command::ZAddGt { score, member, .. } => {
                args.push(Cow::Borrowed(b"GT"));
                args.push(Cow::Owned(score.to_string().into_bytes()));
                args.push(Cow::Borrowed(member.as_bytes()));
            }
            Command::ZRem { member, .. } => args.push(Cow::Borrowed(member.as_bytes())),
            Command::SetEx { seconds, value, .. } => {
                args.push(Cow::Owned(seconds.to_string().into_bytes()));
                args.push(Cow::Borrowed(value));
            }
        }
        args
    }
}

impl fmt::Display for Command {
    /// As redis-cli takes it: arguments in double quotes, bytes that are not printable ASCII as `\xNN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        for arg in &self.args()[1..] {
            f.write_str(" \"")?;
            for &byte in arg.iter() {
                match byte {
                    b'"' => f.write_str("\\\"")?,
                    b'\\' => f.write_str(r"\\")?,
                    b'\n' => f.write_str(r"\n")?,
                    b'\r' => f.write_str(r"\r")?,
                    b'\t' => f.write_str(r"\t")?,
                    b' '..=b'~' => f.write_char(char::from(byte))?,
                    _ => write!(f, "\\x{byte:02x}")?,
                }
            }
            f.write_char('"')?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_what_redis_cli_reads() {
        let member = "a.*\x06\x16^a\\.[^\\.]+$\x06\x16uq".as_bytes().to_vec();
        let add = Command::SAdd { key: "_kombu.binding.ua.topic".into(), member };
        assert_eq!(add.to_string(), r#"SADD "_kombu.binding.ua.topic" "a.*\x06\x16^a\\.[^\\.]+$\x06\x16uq""#);
        let del = Command::Del { key: "\"\u{e9}\n".into() };
        assert_eq!(del.to_string(), r#"DEL "\"\xc3\xa9\n""#);
    }

    #[test]
    fn arguments() {
        let key = String::from("k");
        let field = String::from("f");
        for (command, args) in [
            (Command::RPush { key: key.clone(), value: b"v".to_vec() }, "RPUSH k v"),
            (Command::PExpire { key: key.clone(), milliseconds: 30_000 }, "PEXPIRE k 30000"),
            (Command::HSet { key: key.clone(), field: field.clone(), value: b"v".to_vec() }, "HSET k f v"),
            (Command::HDel { key: key.clone(), field: field.clone() }, "HDEL k f"),
            (
                Command::ZAdd { key: key.clone(), score: 1795358854.6965454, member: field.clone() },
                "ZADD k 1795358854.6965454 f",
            ),
            (Command::SetEx { key: key.clone(), seconds: 60, value: b"v".to_vec() }, "SETEX k 60 v"),
            (Command::ZRem { key, member: field }, "ZREM k f"),
        ] {
            assert_eq!(command.args().join(&b' '), args.as_bytes());
        }
    }
}
