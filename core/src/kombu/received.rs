//! A message as a consumer finds it in Redis, whoever wrote it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::{fmt, mem};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::json::Json;
use super::priority::Priority;
use crate::ByteString;

/// A message read back from its envelope.
///
/// Nothing is decoded but the body's base64: a compressed or pickled body stays bytes.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Json, Received};
///
/// let bytes = Envelope::text("hello").to_bytes("news", "a.b", "t1");
/// let received = Received::read(serde_json::from_slice(&bytes).unwrap()).unwrap();
/// assert_eq!(received.body, b"hello");
/// assert_eq!((&*received.exchange, &*received.routing_key, &*received.delivery_tag), ("news", &b"a.b"[..], "t1"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The body, still compressed if the header `compression` says so.
    pub body: Vec<u8>,
    /// Such as `application/json`.
    pub content_type: Option<String>,
    /// Such as `utf-8` or `binary`.
    pub content_encoding: Option<String>,
    /// An object.
    pub headers: Json,
    /// An object.
    pub properties: Json,
    /// The exchange of the publish; empty where nothing is said.
    pub exchange: String,
    /// The routing key of the publish; empty where nothing is said.
    ///
    /// [`Json`] has no bytes that are no UTF-8: whoever wants those reads the text with
    /// [`read_text`](super::read_text) and puts it here.
    pub routing_key: ByteString,
    /// What tells this copy from others.
    pub delivery_tag: String,
    /// Whether it was given out before.
    pub redelivered: bool,
}

impl Received {
    /// Reads an envelope.
    ///
    /// # Errors
    /// What makes Kombu raise after it has taken the message out of its list, so that it is lost. Whoever takes messages
    /// should put these aside instead.
    ///
    /// ```
    /// use keyrail_core::kombu::{Json, Received};
    ///
    /// assert_eq!(Received::read(Json::Null).unwrap_err().code(), "envelope-not-object");
    /// ```
    pub fn read(envelope: Json) -> Result<Self, EnvelopeError> {
        let Json::Object(mut members) = envelope else {
            return Err(EnvelopeError::NotAnObject);
        };
        // Of equal names the last one counts, as in Python.
        let mut take = |name| {
            let member = members.iter_mut().rev().find(|(known, _)| known == name);
            member.map(|(_, value)| mem::take(value))
        };
        let Some(properties @ Json::Object(_)) = take("properties") else {
            return Err(EnvelopeError::Missing { field: "properties" });
        };
        let delivery_tag = match properties.member("delivery_tag") {
            Some(Json::String(tag)) => tag.clone(),
            Some(Json::Int(tag)) => format!("{tag}"),
            _ => {
                return Err(EnvelopeError::Missing { field: "delivery_tag" });
            }
        };
        if matches!(properties.member("delivery_info"), Some(info) if !matches!(info, Json::Object(_))) {
            return Err(EnvelopeError::Missing { field: "delivery_info" });
        }
        let body = take("body").ok_or(EnvelopeError::Missing { field: "body" })?;
        let body = decode(body, properties.member("body_encoding").unwrap_or(&Json::Null))?;

        let headers = match take("headers") {
            Some(headers @ Json::Object(_)) => headers,
            _ => Json::Object(Vec::new()),
        };
        let info = properties.member("delivery_info").unwrap_or(&Json::Null);
        let text = |name| info.member(name).and_then(Json::as_str).map(String::from);
        let flag = |from: &Json| from.member("redelivered") == Some(&Json::Bool(true));
        Ok(Received {
            body,
            content_type: take("content-type").and_then(into_text),
            content_encoding: take("content-encoding").and_then(into_text),
            exchange: text("exchange").unwrap_or_default(),
            routing_key: text("routing_key").unwrap_or_default().into(),
            redelivered: take("redelivered") == Some(Json::Bool(true)) || flag(&headers) || flag(info),
            headers,
            properties,
            delivery_tag,
        })
    }

    /// The priority in Kombu's sense, **0 is taken first**.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, Received};
    ///
    /// let bytes = Envelope::text("x").priority(255).to_bytes("", "q", "t");
    /// let received = Received::read(serde_json::from_slice(&bytes).unwrap()).unwrap();
    /// assert_eq!(received.priority().get(), 9);
    /// ```
    pub fn priority(&self) -> Priority {
        self.properties.member("priority").map_or(Priority::FIRST, Priority::of)
    }
}

fn into_text(value: Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text),
        _ => None,
    }
}

fn decode(body: Json, encoding: &Json) -> Result<Vec<u8>, EnvelopeError> {
    match (encoding, body) {
        (Json::String(base64), Json::String(text)) if base64 == "base64" => from_base64(&text),
        (Json::String(base64), _) if base64 == "base64" => Err(EnvelopeError::Body),
        (Json::String(utf8), body) if utf8 == "utf-8" => plain(body),
        (Json::Null, body) => plain(body),
        (Json::String(other), _) => Err(EnvelopeError::BodyEncoding { found: other.as_str().into() }),
        (other, _) => Err(EnvelopeError::BodyEncoding { found: other.to_python().into() }),
    }
}

/// A text as it is, or the object that Kombu makes of bytes.
fn plain(body: Json) -> Result<Vec<u8>, EnvelopeError> {
    if let Json::String(text) = body {
        return Ok(text.into_bytes());
    }
    let member = |name| body.member(name).and_then(Json::as_str);
    match (member("__type__"), member("__value__")) {
        (Some("bytes"), Some(text)) => Ok(text.as_bytes().to_vec()),
        (Some("base64"), Some(text)) => from_base64(text),
        _ => Err(EnvelopeError::Body),
    }
}

/// With line feeds, too, which Python's `encodebytes` writes.
fn from_base64(text: &str) -> Result<Vec<u8>, EnvelopeError> {
    STANDARD.decode(text).or_else(|_| {
        let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        STANDARD.decode(text).map_err(|_| EnvelopeError::Body)
    })
}

/// Why an element of a list is no message.
///
/// ```
/// use keyrail_core::kombu::{EnvelopeError, Json, Received};
///
/// let error = Received::read(Json::Object(vec![])).unwrap_err();
/// assert_eq!(error, EnvelopeError::Missing { field: "properties" });
/// assert_eq!(error.to_string(), "envelope has no usable `properties`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Not a JSON object.
    NotAnObject,
    /// A field that every reader needs is missing or of another type.
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// An encoding that no Kombu knows.
    BodyEncoding {
        /// What `body_encoding` says.
        found: Box<str>,
    },
    /// The body is not what its encoding says: padded base64 of the standard alphabet, or text.
    Body,
}

impl EnvelopeError {
    /// The stable word: `envelope-not-object`, `envelope-field`, `envelope-body-encoding` or `envelope-body`.
    pub const fn code(&self) -> &'static str {
        match self {
            EnvelopeError::NotAnObject => "envelope-not-object",
            EnvelopeError::Missing { .. } => "envelope-field",
            EnvelopeError::BodyEncoding { .. } => "envelope-body-encoding",
            EnvelopeError::Body => "envelope-body",
        }
    }
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvelopeError::NotAnObject => f.write_str("envelope is not a JSON object"),
            EnvelopeError::Missing { field } => write!(f, "envelope has no usable `{field}`"),
            EnvelopeError::BodyEncoding { found } => {
                write!(f, "body encoding `{found}` is unknown")
            }
            EnvelopeError::Body => f.write_str("body is not what its encoding says"),
        }
    }
}

impl core::error::Error for EnvelopeError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Received, EnvelopeError> {
        Received::read(serde_json::from_str(text).unwrap())
    }

    /// What Kombu 5.7.0 wrote with `body_encoding='utf-8'`, and what the least of writers must write.
    #[test]
    fn forms_of_the_body() {
        for (text, body) in [
            (
                r#"{"body": "/wA=", "properties": {"body_encoding": "base64", "delivery_tag": "t"}}"#,
                &b"\xff\0"[..],
            ),
            (
                r#"{"body": {"__type__": "base64", "__value__": "/wA="}, "properties": {"body_encoding": "utf-8", "delivery_tag": "t"}}"#,
                b"\xff\0",
            ),
            (
                r#"{"body": {"__type__": "bytes", "__value__": "plain text"}, "properties": {"body_encoding": "utf-8", "delivery_tag": "t"}}"#,
                b"plain text",
            ),
            (
                r#"{"body": "{\"a\": 1}", "properties": {"body_encoding": null, "delivery_tag": 7}}"#,
                b"{\"a\": 1}",
            ),
            (r#"{"body": "", "properties": {"delivery_tag": "t"}}"#, b""),
        ] {
            assert_eq!(read(text).unwrap().body, body, "{text}");
        }
    }

    #[test]
    fn base64_with_line_feeds() {
        for body in ["eHl6\\n", "eH\\r\\nl6", " eH l6"] {
            let text = format!(
                r#"{{"body": "{body}", "properties": {{"body_encoding": "base64", "delivery_tag": "t"}}}}"#
            );
            assert_eq!(read(&text).unwrap().body, b"xyz", "{body}");
        }
    }

    #[test]
    fn redelivered_wherever_it_stands() {
        for text in [
            r#"{"body": "", "redelivered": true, "properties": {"delivery_tag": "t"}}"#,
            r#"{"body": "", "headers": {"redelivered": true}, "properties": {"delivery_tag": "t"}}"#,
            r#"{"body": "", "properties": {"delivery_tag": "t", "delivery_info": {"redelivered": true}}}"#,
        ] {
            assert!(read(text).unwrap().redelivered, "{text}");
        }
    }

    #[test]
    fn poison() {
        for (text, code) in [
            ("[]", "envelope-not-object"),
            ("{}", "envelope-field"),
            (r#"{"properties": null}"#, "envelope-field"),
            (r#"{"body": "", "properties": {}}"#, "envelope-field"),
            (r#"{"properties": {"delivery_tag": "t"}}"#, "envelope-field"),
            (
                r#"{"body": "/wA", "properties": {"body_encoding": "base64", "delivery_tag": "t"}}"#,
                "envelope-body",
            ),
            (
                r#"{"body": "_wA=", "properties": {"body_encoding": "base64", "delivery_tag": "t"}}"#,
                "envelope-body",
            ),
            (
                r#"{"body": 1, "properties": {"body_encoding": "base64", "delivery_tag": "t"}}"#,
                "envelope-body",
            ),
            (r#"{"body": {"__type__": "x"}, "properties": {"delivery_tag": "t"}}"#, "envelope-body"),
            (
                r#"{"body": "", "properties": {"body_encoding": "rot13", "delivery_tag": "t"}}"#,
                "envelope-body-encoding",
            ),
            (
                r#"{"body": "", "properties": {"body_encoding": 5, "delivery_tag": "t"}}"#,
                "envelope-body-encoding",
            ),
        ] {
            assert_eq!(read(text).unwrap_err().code(), code, "{text}");
        }
    }
}
