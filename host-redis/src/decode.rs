//! Messages as people and programs see them.

use base64::{Engine, engine::general_purpose::STANDARD};
use keyrail_core::{ByteString, kombu};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, value::RawValue};

use crate::{Compression, payload, read_json};

/// A message out of a queue or off a channel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedMessage {
    /// The queue; empty if it came off a channel, and left out of JSON then.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub queue: String,
    /// The channel of a fanout message, if it came off one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The exchange it was published to, as the publisher wrote it.
    pub exchange: String,
    /// The routing key it was published with.
    pub routing_key: ByteString,
    /// Whether it was delivered before.
    pub redelivered: bool,
    /// What the body is said to be.
    pub content_type: Option<String>,
    /// The headers.
    pub headers: Map<String, Value>,
    /// The properties, those apart that only say how to deliver and to read it.
    pub properties: Map<String, Value>,
    /// The body.
    #[serde(flatten)]
    pub body: Body,
}

/// The body of a message.
///
/// Kombu's compressions are undone, up to 64 MiB. Only JSON and text are decoded. Pickle and YAML can run code, so they
/// stay bytes, and so does what cannot be decompressed.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `application/json` that is JSON.
    Json(Value),
    /// The same with a whole number beyond 64 bits, which a [`Value`] would round.
    Wide(kombu::Json),
    /// Text in UTF-8.
    Text(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Body {
    fn read(raw: &[u8], content_type: Option<&str>, compression: Option<&kombu::Json>) -> Self {
        let content_type = content_type.unwrap_or_default();
        let raw = match compression {
            None | Some(kombu::Json::Null) => raw.to_vec(),
            Some(name) => {
                let codec = name.as_str().and_then(|name| name.parse::<Compression>().ok());
                match codec.and_then(|codec| codec.decompress(raw, UNPACKED).ok()) {
                    Some(unpacked) => unpacked,
                    None => return Body::Bytes(raw.to_vec()),
                }
            }
        };
        if content_type == "application/json"
            && let Ok(value) = serde_json::from_slice(&raw)
        {
            return match is_rounded(&value).then(|| read_json(&raw)) {
                Some(Ok(exact)) if is_wide(&exact) => Body::Wide(exact),
                _ => Body::Json(value),
            };
        }
        let readable = content_type.starts_with("text/")
            || matches!(content_type, "" | "application/data" | "application/json" | "application/xml");
        match String::from_utf8(raw) {
            Ok(text) if readable => Body::Text(text),
            Ok(text) => Body::Bytes(text.into_bytes()),
            Err(error) => Body::Bytes(error.into_bytes()),
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Body::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value, if it is JSON.
    pub const fn as_json(&self) -> Option<&Value> {
        match self {
            Body::Json(value) => Some(value),
            _ => None,
        }
    }
}

/// Whether a number of it may have been a whole one that does not fit.
fn is_rounded(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() >= 9e18),
        Value::Array(items) => items.iter().any(is_rounded),
        Value::Object(members) => members.values().any(is_rounded),
        _ => false,
    }
}

fn is_wide(json: &kombu::Json) -> bool {
    match json {
        kombu::Json::BigInt(number) => number.as_u64().is_none(),
        kombu::Json::Array(items) => items.iter().any(is_wide),
        kombu::Json::Object(members) => members.iter().any(|(_, value)| is_wide(value)),
        _ => false,
    }
}

/// `body` for JSON and text, `bodyBase64` for bytes.
impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Body::Json(value) => map.serialize_entry("body", value)?,
            Body::Wide(value) => {
                let text = RawValue::from_string(value.to_python()).map_err(serde::ser::Error::custom)?;
                map.serialize_entry("body", &text)?;
            }
            Body::Text(text) => map.serialize_entry("body", text)?,
            Body::Bytes(bytes) => map.serialize_entry("bodyBase64", &STANDARD.encode(bytes))?,
        }
        map.end()
    }
}

/// The most bytes that a compressed body may stand for.
const UNPACKED: u64 = 64 << 20;

/// Properties that are shown elsewhere or concern the transport alone.
const SHOWN_ELSEWHERE: [&str; 3] = ["body_encoding", "delivery_info", "delivery_tag"];

impl ReceivedMessage {
    /// Reads a payload. What Kombu could not read becomes a body of bytes, so that a reader sees it.
    pub fn decode(queue: &str, payload: &[u8]) -> Self {
        match payload::message(payload) {
            Ok(read) => ReceivedMessage::of(queue, &read),
            Err(_) => ReceivedMessage::unread(queue, payload),
        }
    }

    /// The same of what came off a channel.
    pub fn heard(channel: &str, payload: &[u8]) -> Self {
        ReceivedMessage { channel: Some(channel.into()), ..ReceivedMessage::decode("", payload) }
    }

    /// The same of a message that was read.
    pub(crate) fn of(queue: &str, read: &kombu::Received) -> Self {
        let headers = object(&read.headers);
        let mut properties = object(&read.properties);
        properties.retain(|name, _| !SHOWN_ELSEWHERE.contains(&name.as_str()));
        ReceivedMessage {
            queue: queue.into(),
            channel: None,
            exchange: read.exchange.clone(),
            routing_key: read.routing_key.clone(),
            redelivered: read.redelivered,
            body: Body::read(&read.body, read.content_type.as_deref(), read.headers.member("compression")),
            content_type: read.content_type.clone(),
            headers,
            properties,
        }
    }

    fn unread(queue: &str, payload: &[u8]) -> Self {
        ReceivedMessage {
            queue: queue.into(),
            channel: None,
            exchange: String::new(),
            routing_key: ByteString::default(),
            redelivered: false,
            content_type: None,
            headers: Map::new(),
            properties: Map::new(),
            body: Body::Bytes(payload.into()),
        }
    }
}

/// How often a message was delivered before: as the header says, and at least once if it is marked.
pub(crate) fn delivery_count(read: &kombu::Received) -> u64 {
    let counted = match read.headers.member("x-delivery-count") {
        Some(kombu::Json::Int(count)) => u64::try_from(*count).unwrap_or_default(),
        _ => 0,
    };
    counted.max(u64::from(read.redelivered))
}

/// A whole number beyond 64 bits is shown as its digits, as a text.
fn object(json: &kombu::Json) -> Map<String, Value> {
    match value(json) {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn value(json: &kombu::Json) -> Value {
    match json {
        kombu::Json::BigInt(number) => number.as_u64().map_or_else(|| number.as_str().into(), Value::from),
        kombu::Json::Array(items) => items.iter().map(value).collect(),
        kombu::Json::Object(members) => {
            members.iter().map(|(name, item)| (name.clone(), value(item))).collect()
        }
        plain => serde_json::to_value(plain).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyrail_core::kombu::{Envelope, Json};

    #[test]
    fn json_and_text_are_read_and_nothing_else() {
        let read = |envelope: Envelope| ReceivedMessage::decode("q", &envelope.to_bytes("e", "k", "t")).body;
        let json = Envelope::json(&Json::from_iter([("n", Json::from(1))]));
        assert_eq!(read(json), Body::Json(serde_json::json!({"n": 1})));
        assert_eq!(read(Envelope::text("caf\u{e9}")), Body::Text("caf\u{e9}".into()));
        assert_eq!(read(Envelope::bytes(*b"\xff\0")), Body::Bytes(vec![0xff, 0]));
        for unsafe_type in ["application/x-python-serialize", "application/x-yaml", "application/x-msgpack"] {
            let body = read(Envelope::bytes("cos\nsystem\n").content_type(unsafe_type));
            assert_eq!(body, Body::Bytes(b"cos\nsystem\n".to_vec()), "{unsafe_type}");
        }
        // Not what its header says: shown as it is.
        for codec in ["application/x-gzip", "application/zstd", "rot13"] {
            let lie = Envelope::json(&Json::Null).header("compression", codec);
            assert_eq!(read(lie), Body::Bytes(b"null".to_vec()), "{codec}");
        }
    }

    #[test]
    fn whole_numbers_of_any_length_arrive_as_they_were_written() {
        let digits = "12345678901234567890123";
        let wide = read_json(format!(r#"{{"n": [{digits}, 1.5]}}"#).as_bytes()).unwrap();
        let number = read_json(digits.as_bytes()).unwrap();
        let envelope = Envelope::json(&wide).header("n", number.clone()).property("n", number);
        let read = ReceivedMessage::decode("q", &envelope.to_bytes("e", "k", "t"));
        assert_eq!((&read.body, read.body.as_json()), (&Body::Wide(wide), None));
        assert_eq!((&read.headers["n"], &read.properties["n"]), (&digits.into(), &digits.into()));
        let shown = serde_json::to_string(&read).unwrap();
        assert!(shown.contains(r#""body":{"n": [12345678901234567890123, 1.5]}"#), "{shown}");
        // What fits stays what it was.
        let fits = Envelope::json(&read_json(b"[18446744073709551615, 1e300]").unwrap());
        let read = ReceivedMessage::decode("q", &fits.to_bytes("e", "k", "t"));
        assert_eq!(read.body, Body::Json(serde_json::json!([u64::MAX, 1e300])));
    }

    #[test]
    fn what_kombu_compresses_is_read_up_to_a_limit() {
        for codec in Compression::ALL {
            let body = |bytes: &[u8]| {
                let packed = codec.compress(bytes).unwrap();
                let envelope = Envelope::bytes(packed).content_type("text/plain");
                let envelope = envelope.header("compression", codec.content_type());
                ReceivedMessage::decode("q", &envelope.to_bytes("e", "k", "t")).body
            };
            assert_eq!(body(b"hello"), Body::Text("hello".into()), "{codec:?}");
            // A bomb: it stays what it was.
            assert!(matches!(body(&vec![0; 65 << 20]), Body::Bytes(_)), "{codec:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_bytes() {
        for payload in [&b"no json"[..], b"[]", b"{}", b"\xff"] {
            assert_eq!(ReceivedMessage::decode("q", payload).body, Body::Bytes(payload.to_vec()));
        }
    }
}
