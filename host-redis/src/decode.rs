//! Messages as people and programs see them.

use std::{fmt, io};

use base64::{Engine, engine::general_purpose::STANDARD};
use keyrail_core::{ByteString, kombu};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, value::RawValue};

use crate::{Compression, payload, read_json};

/// A message out of a queue or off a channel.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Json};
/// use keyrail_redis::ReceivedMessage;
///
/// let sent = Envelope::json(&Json::from("resize")).header("tenant", "a").reply_to("answers");
/// let message = ReceivedMessage::decode("jobs", &sent.to_bytes("", "jobs", "tag-1"));
/// assert_eq!(message.body.as_json().unwrap(), "resize");
/// assert_eq!((&message.headers["tenant"], &message.properties["reply_to"]), (&"a".into(), &"answers".into()));
/// assert_eq!(serde_json::to_value(&message).unwrap()["contentType"], "application/json");
/// ```
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
    /// Why the body is not what its content type says, if it is not. In JSON `undecoded`, with a `code` and a `reason`.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    /// use keyrail_redis::{Body, ReceivedMessage};
    ///
    /// let packed = Envelope::text("hello").header("compression", "rot13").to_bytes("", "q", "t");
    /// let message = ReceivedMessage::decode("q", &packed);
    /// assert_eq!(message.body, Body::Bytes(b"hello".to_vec()));
    /// let why = message.undecoded.unwrap();
    /// assert_eq!((why.code(), &*why.to_string()), ("unknown-compression", "there is no compression `rot13` here"));
    /// ```
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecoded: Option<Undecoded>,
}

/// Why a body was not decoded: it is there as it was sent.
///
/// ```
/// use keyrail_core::kombu::Envelope;
/// use keyrail_redis::{Body, ReceivedMessage, Undecoded};
///
/// let pickle = Envelope::bytes(b"\x80\x04N.").content_type("application/x-python-serialize");
/// let message = ReceivedMessage::decode("jobs", &pickle.to_bytes("", "jobs", "tag-1"));
/// assert_eq!(message.body, Body::Bytes(b"\x80\x04N.".to_vec()));
/// let why = message.undecoded.unwrap();
/// assert!(matches!(why, Undecoded::ContentType { .. }));
/// assert_eq!(why.code(), "content-type-not-decoded");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undecoded {
    /// Nobody here has such a compression.
    UnknownCompression {
        /// What the header `compression` says.
        name: Box<str>,
    },
    /// It is not compressed as it says.
    Corrupt {
        /// How it says.
        compression: Compression,
        /// What the codec said.
        reason: Box<str>,
    },
    /// It would have more bytes than are unpacked.
    TooLarge {
        /// How it is compressed.
        compression: Compression,
        /// The most bytes.
        limit: u64,
    },
    /// `application/json` that is no JSON: text if it is UTF-8.
    NotJson {
        /// Where and why.
        reason: Box<str>,
    },
    /// A text that is no UTF-8.
    NotUtf8 {
        /// The first byte that is not.
        offset: usize,
    },
    /// A text in an encoding that is not read here: text if it is UTF-8 nevertheless.
    ContentEncoding {
        /// The encoding.
        content_encoding: Box<str>,
    },
    /// A content type that is never decoded: pickle and YAML can run code, others are not known.
    ContentType {
        /// The content type.
        content_type: Box<str>,
    },
    /// No envelope at all: the body is the payload.
    NoEnvelope {
        /// Why.
        reason: Box<str>,
    },
}

impl Undecoded {
    /// The stable word for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Undecoded::UnknownCompression { .. } => "unknown-compression",
            Undecoded::Corrupt { .. } => "corrupt-compression",
            Undecoded::TooLarge { .. } => "body-too-large",
            Undecoded::NotJson { .. } => "not-json",
            Undecoded::NotUtf8 { .. } => "not-utf8",
            Undecoded::ContentEncoding { .. } => "content-encoding-not-decoded",
            Undecoded::ContentType { .. } => "content-type-not-decoded",
            Undecoded::NoEnvelope { .. } => "no-envelope",
        }
    }
}

impl fmt::Display for Undecoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undecoded::UnknownCompression { name } => {
                write!(f, "there is no compression `{}` here", name.escape_debug())
            }
            Undecoded::Corrupt { compression, reason } => {
                write!(f, "it is no `{}`, as its header says: {reason}", compression.content_type())
            }
            Undecoded::TooLarge { compression, limit } => {
                write!(f, "unpacked from `{}` it has more than {limit} bytes", compression.content_type())
            }
            Undecoded::NotJson { reason } => write!(f, "it is no JSON, as its content type says: {reason}"),
            Undecoded::NotUtf8 { offset } => {
                write!(f, "it is no text in UTF-8: byte {offset} is the first that is not")
            }
            Undecoded::ContentEncoding { content_encoding } => {
                write!(f, "the content encoding `{}` is not decoded", content_encoding.escape_debug())
            }
            Undecoded::ContentType { content_type } => {
                write!(f, "the content type `{}` is not decoded", content_type.escape_debug())
            }
            Undecoded::NoEnvelope { reason } => write!(f, "the payload is no message: {reason}"),
        }
    }
}

impl Serialize for Undecoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("code", self.code())?;
        map.serialize_entry("reason", &self.to_string())?;
        map.end()
    }
}

/// The body of a message.
///
/// Kombu's compressions are undone, up to 64 MiB. Only JSON and text are decoded. Pickle and YAML can run code, so they
/// stay bytes, and so does what cannot be decompressed: [`ReceivedMessage::undecoded`] says why.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Json};
/// use keyrail_redis::{Body, ReceivedMessage};
///
/// let body = |envelope: Envelope| ReceivedMessage::decode("q", &envelope.to_bytes("", "q", "tag")).body;
/// assert_eq!(body(Envelope::json(&Json::from(42))).as_json(), Some(&42.into()));
/// assert_eq!(body(Envelope::text("42 EUR")).as_text(), Some("42 EUR"));
/// assert_eq!(body(Envelope::bytes([0xff]).content_encoding("binary")), Body::Bytes(vec![0xff]));
/// ```
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
    /// The body, and why it is not what its content type says.
    fn read(
        raw: &[u8],
        content_type: Option<&str>,
        content_encoding: Option<&str>,
        compression: Option<&kombu::Json>,
    ) -> (Self, Option<Undecoded>) {
        let content_type = content_type.unwrap_or_default();
        let raw = match compression {
            None | Some(kombu::Json::Null) => raw.to_vec(),
            Some(name) => match unpack(raw, name) {
                Ok(unpacked) => unpacked,
                Err(why) => return (Body::Bytes(raw.to_vec()), Some(why)),
            },
        };
        let mut why = None;
        if content_type == "application/json" {
            match serde_json::from_slice(&raw) {
                Ok(value) => {
                    let body = match is_rounded(&value).then(|| read_json(&raw)) {
                        Some(Ok(exact)) if is_wide(&exact) => Body::Wide(exact),
                        _ => Body::Json(value),
                    };
                    return (body, None);
                }
                Err(error) => why = Some(Undecoded::NotJson { reason: crate::json_error(&error).into() }),
            }
        }
        let text = content_type.starts_with("text/") || content_type == "application/xml";
        let readable = text || matches!(content_type, "" | "application/data" | "application/json");
        if !readable {
            why = Some(Undecoded::ContentType { content_type: content_type.into() });
        }
        // JSON is UTF-8 whatever is said of it, to Kombu too.
        if let (true, None, Some(name)) = (readable, &why, content_encoding)
            && !is_read(name)
        {
            why = Some(Undecoded::ContentEncoding { content_encoding: name.into() });
        }
        match String::from_utf8(raw) {
            Ok(text) if readable => (Body::Text(text), why),
            Ok(text) => (Body::Bytes(text.into_bytes()), why),
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                let why = why.or_else(|| text.then_some(Undecoded::NotUtf8 { offset }));
                (Body::Bytes(error.into_bytes()), why)
            }
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

/// Whether a text in this encoding is one in UTF-8, by Python's names; bytes have none.
fn is_read(content_encoding: &str) -> bool {
    let name = content_encoding.to_ascii_lowercase().replace('_', "-");
    let read = ["", "utf-8", "utf8", "us-ascii", "ascii", "binary", "ascii-8bit"];
    read.contains(&&*name)
}

fn unpack(raw: &[u8], name: &kombu::Json) -> Result<Vec<u8>, Undecoded> {
    let unknown = |name: &str| Undecoded::UnknownCompression { name: name.into() };
    let Some(name) = name.as_str() else { return Err(unknown(&name.to_python())) };
    let compression: Compression = name.parse().map_err(|_| unknown(name))?;
    compression.decompress(raw, UNPACKED).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => Undecoded::TooLarge { compression, limit: UNPACKED },
        _ => Undecoded::Corrupt { compression, reason: error.to_string().into() },
    })
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
    ///
    /// ```
    /// use keyrail_redis::{Body, ReceivedMessage};
    ///
    /// let message = ReceivedMessage::decode("jobs", b"no envelope");
    /// assert_eq!(message.body, Body::Bytes(b"no envelope".to_vec()));
    /// assert_eq!(message.undecoded.unwrap().code(), "no-envelope");
    /// ```
    ///
    /// # Cost
    /// Reads all of the payload, and unpacks a compressed body up to 64 MiB.
    pub fn decode(queue: &str, payload: &[u8]) -> Self {
        match payload::message(payload) {
            Ok(read) => ReceivedMessage::of(queue, &read),
            Err(reason) => ReceivedMessage::unread(queue, payload, reason),
        }
    }

    /// The same of what came off a channel.
    ///
    /// ```
    /// let heard = keyrail_redis::ReceivedMessage::heard("/0.news", b"{}");
    /// assert_eq!((heard.channel.as_deref(), &*heard.queue), (Some("/0.news"), ""));
    /// ```
    pub fn heard(channel: &str, payload: &[u8]) -> Self {
        ReceivedMessage { channel: Some(channel.into()), ..ReceivedMessage::decode("", payload) }
    }

    /// The same of a message that was read.
    pub(crate) fn of(queue: &str, read: &kombu::Received) -> Self {
        let headers = object(&read.headers);
        let mut properties = object(&read.properties);
        properties.retain(|name, _| !SHOWN_ELSEWHERE.contains(&name.as_str()));
        let compression = read.headers.member("compression");
        let (content_type, content_encoding) =
            (read.content_type.as_deref(), read.content_encoding.as_deref());
        let (body, undecoded) = Body::read(&read.body, content_type, content_encoding, compression);
        ReceivedMessage {
            queue: queue.into(),
            channel: None,
            exchange: read.exchange.clone(),
            routing_key: read.routing_key.clone(),
            redelivered: read.redelivered,
            body,
            undecoded,
            content_type: read.content_type.clone(),
            headers,
            properties,
        }
    }

    fn unread(queue: &str, payload: &[u8], reason: Box<str>) -> Self {
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
            undecoded: Some(Undecoded::NoEnvelope { reason }),
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
    fn what_is_not_decoded_says_why() {
        let why =
            |envelope: Envelope| ReceivedMessage::decode("q", &envelope.to_bytes("", "q", "t")).undecoded;
        for (envelope, code, words) in [
            (Envelope::text("x").header("compression", "rot13"), "unknown-compression", "`rot13`"),
            (Envelope::text("x").header("compression", 7), "unknown-compression", "`7`"),
            (
                Envelope::text("x").header("compression", "gzip"),
                "corrupt-compression",
                "`application/x-gzip`",
            ),
            (Envelope::text("{").content_type("application/json"), "not-json", "line 1 column 1"),
            (Envelope::bytes(*b"a\xff").content_type("text/plain"), "not-utf8", "byte 1 is"),
            (Envelope::text("x").content_type("a/b"), "content-type-not-decoded", "`a/b`"),
            (Envelope::text("x").content_encoding("utf-16"), "content-encoding-not-decoded", "`utf-16`"),
            (
                Envelope::bytes(*b"caf\xe9").content_type("text/plain").content_encoding("latin-1"),
                "content-encoding-not-decoded",
                "`latin-1`",
            ),
            (
                Envelope::bytes(*b"x").content_encoding("x-nobody-knows"),
                "content-encoding-not-decoded",
                "`x-nobody-knows`",
            ),
        ] {
            let why = why(envelope.clone()).unwrap_or_else(|| panic!("{envelope:?}"));
            assert_eq!(why.code(), code);
            assert!(why.to_string().contains(words), "{why}");
        }
        // What nobody said is a text, and bytes that nobody called one.
        for envelope in [Envelope::text("x"), Envelope::bytes(*b"\xff"), Envelope::json(&Json::Null)] {
            assert_eq!(why(envelope), None);
        }
        // Python has many names for these, and reads JSON whatever is said of it.
        for name in ["UTF-8", "utf8", "us-ascii", "ASCII", "binary", "ascii-8bit", ""] {
            assert_eq!(why(Envelope::text("x").content_encoding(name)), None, "{name}");
        }
        assert_eq!(why(Envelope::json(&Json::Null).content_encoding("utf-16")), None);
        let message = ReceivedMessage::decode("q", b"no json");
        assert_eq!(message.undecoded.expect("a reason").code(), "no-envelope");
        let lie = Envelope::text("x").header("compression", "rot13").to_bytes("", "q", "t");
        let shown = serde_json::to_value(ReceivedMessage::decode("q", &lie)).expect("JSON");
        assert_eq!(
            (&shown["undecoded"]["code"], &shown["bodyBase64"]),
            (&"unknown-compression".into(), &"eA==".into())
        );
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
            let read = |bytes: &[u8]| {
                let packed = codec.compress(bytes).unwrap();
                let envelope = Envelope::bytes(packed).content_type("text/plain");
                let envelope = envelope.header("compression", codec.content_type());
                ReceivedMessage::decode("q", &envelope.to_bytes("e", "k", "t"))
            };
            let hello = read(b"hello");
            assert_eq!((hello.body, hello.undecoded), (Body::Text("hello".into()), None), "{codec:?}");
            // A bomb: it stays what it was, and says so.
            let bomb = read(&vec![0; 65 << 20]);
            assert!(matches!(bomb.body, Body::Bytes(_)), "{codec:?}");
            let limit = 64 << 20;
            assert_eq!(bomb.undecoded, Some(Undecoded::TooLarge { compression: codec, limit }));
        }
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_bytes() {
        for payload in [&b"no json"[..], b"[]", b"{}", b"\xff"] {
            assert_eq!(ReceivedMessage::decode("q", payload).body, Body::Bytes(payload.to_vec()));
        }
    }
}
