//! What a consumer would stumble over, or nobody would ever see: for those who take messages from people.

use std::fmt;

use serde::de::IgnoredAny;

/// Why a part of a message should not be sent as it is.
///
/// ```
/// use keyrail_redis::sendable::{self, Unsendable};
///
/// let error = sendable::property("priority").unwrap_err();
/// assert_eq!(error, Unsendable::OwnPlace { name: "priority".into() });
/// assert_eq!((error.code(), error.to_string()), ("invalid-property", "`priority` cannot be set so".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsendable {
    /// A body that is none of its content type.
    NotJson {
        /// Where and why.
        reason: Box<str>,
    },
    /// The header `compression` on a body that nobody has packed.
    Compression,
    /// A property that has a place of its own: `priority`, `expiration`, `content_type`.
    OwnPlace {
        /// The property.
        name: Box<str>,
    },
    /// A property that the transport writes.
    Transport {
        /// The property.
        name: Box<str>,
    },
}

impl Unsendable {
    /// The stable word for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Unsendable::NotJson { .. } => "not-json",
            Unsendable::Compression => "invalid-header",
            Unsendable::OwnPlace { .. } | Unsendable::Transport { .. } => "invalid-property",
        }
    }
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsendable::NotJson { reason } => {
                write!(f, "the body is no JSON, and a Kombu consumer would raise: {reason}")
            }
            Unsendable::Compression => f.write_str(
                "the header `compression` says how a body is packed, and a Kombu consumer would raise on one that is not",
            ),
            Unsendable::OwnPlace { name } => write!(f, "`{name}` cannot be set so"),
            Unsendable::Transport { name } => {
                write!(f, "`{name}` cannot be set so; Kombu's transport writes it, and so does keyrail")
            }
        }
    }
}

impl std::error::Error for Unsendable {}

/// Kombu decodes JSON by its content type, and raises where it is none.
///
/// # Errors
/// [`Unsendable::NotJson`].
///
/// ```
/// use keyrail_redis::sendable;
///
/// assert!(sendable::body("text/plain", b"hello").is_ok());
/// assert_eq!(sendable::body("application/json", b"hello").unwrap_err().code(), "not-json");
/// ```
pub fn body(content_type: &str, body: &[u8]) -> Result<(), Unsendable> {
    if content_type != "application/json" {
        return Ok(());
    }
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(Unsendable::NotJson { reason: crate::json_error(&error).into() }),
    }
}

/// A header that somebody sets by its name.
///
/// # Errors
/// [`Unsendable::Compression`]: whoever packs the body writes it.
///
/// ```
/// assert!(keyrail_redis::sendable::header("compression").is_err());
/// ```
pub fn header(name: &str) -> Result<(), Unsendable> {
    if name == "compression" { Err(Unsendable::Compression) } else { Ok(()) }
}

/// The properties of AMQP that may be set by their name.
///
/// ```
/// use keyrail_redis::sendable;
///
/// assert!(sendable::PROPERTIES.iter().all(|name| sendable::property(name) == Ok(true)));
/// ```
pub const PROPERTIES: [&str; 8] =
    ["app_id", "cluster_id", "correlation_id", "message_id", "reply_to", "timestamp", "type", "user_id"];

/// A property that somebody sets by its name. Says whether it is one of [`PROPERTIES`]: others are sent, and nobody may
/// look for them.
///
/// # Errors
/// One that would not be honoured.
///
/// ```
/// use keyrail_redis::sendable;
///
/// assert_eq!(sendable::property("reply_to"), Ok(true));
/// assert_eq!(sendable::property("colour"), Ok(false));
/// assert_eq!(sendable::property("delivery_tag").unwrap_err().code(), "invalid-property");
/// ```
pub fn property(name: &str) -> Result<bool, Unsendable> {
    match name {
        "priority" | "expiration" | "content_type" | "content-type" => {
            Err(Unsendable::OwnPlace { name: name.into() })
        }
        "delivery_mode" | "delivery_info" | "delivery_tag" | "body_encoding" => {
            Err(Unsendable::Transport { name: name.into() })
        }
        name => Ok(PROPERTIES.contains(&name)),
    }
}
