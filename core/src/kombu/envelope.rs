//! The message as it lies in a Redis list or travels on a fanout channel.

use alloc::borrow::Cow;
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::json::{Json, write_members, write_plain, write_string};
use super::priority::Priority;
use super::surrogates::write_bytes;

/// A message to be published, before it has an address and a delivery tag.
///
/// The bytes are those that Kombu 5.7 writes for the same message: the same order, the same blanks, the body in base64.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Json};
///
/// let envelope = Envelope::json(&Json::from_iter([("n", Json::from(1))])).correlation_id("c1");
/// let bytes = envelope.to_bytes("orders", "order.paid", "t1");
/// let text = String::from_utf8(bytes).unwrap();
/// assert!(text.starts_with(r#"{"body": "eyJuIjogMX0=", "content-encoding": "utf-8", "#));
/// assert!(text.ends_with(r#""body_encoding": "base64", "delivery_tag": "t1"}}"#));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    body: Vec<u8>,
    content_type: Cow<'static, str>,
    content_encoding: Cow<'static, str>,
    headers: Vec<(Cow<'static, str>, Json)>,
    properties: Vec<(String, Json)>,
    delivery_mode: u8,
    expiration: Option<u64>,
    priority: Json,
}

/// The properties that [`Envelope`] writes itself, behind all others.
const OWN: [&str; 6] =
    ["delivery_mode", "expiration", "delivery_info", "priority", "body_encoding", "delivery_tag"];

impl Envelope {
    /// A body of bytes: `application/data`, `binary`.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// assert_eq!(Envelope::bytes(b"\x00\xff").body(), b"\x00\xff");
    /// ```
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Envelope {
            body: body.into(),
            content_type: Cow::Borrowed("application/data"),
            content_encoding: Cow::Borrowed("binary"),
            headers: Vec::new(),
            properties: Vec::new(),
            delivery_mode: 2,
            expiration: None,
            priority: Json::Int(0),
        }
    }

    /// A body of text: `text/plain`, `utf-8`.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// assert_eq!(Envelope::text("hello").body(), b"hello");
    /// ```
    pub fn text(body: &str) -> Self {
        Envelope::utf8(body, "text/plain")
    }

    /// A JSON body: `application/json`, `utf-8`.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, Json};
    ///
    /// assert_eq!(Envelope::json(&Json::from("caf\u{e9}")).body(), br#""caf\u00e9""#);
    /// ```
    pub fn json(body: &Json) -> Self {
        Envelope::of_json(body.to_bytes())
    }

    /// A body that is written as Python's `json` writes it.
    pub(super) fn of_json(body: Vec<u8>) -> Self {
        Envelope::utf8(body, "application/json")
    }

    /// Sets headers of different names; there must be none yet.
    pub(super) fn with_headers<const COUNT: usize>(mut self, headers: [(&'static str, Json); COUNT]) -> Self {
        self.headers.reserve(COUNT);
        self.headers.extend(headers.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)));
        self
    }

    fn utf8(body: impl Into<Vec<u8>>, content_type: &'static str) -> Self {
        Envelope {
            content_type: Cow::Borrowed(content_type),
            content_encoding: Cow::Borrowed("utf-8"),
            ..Envelope::bytes(body)
        }
    }

    /// Replaces the body by its compressed form, and says so in the header that Kombu reads.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let envelope = Envelope::text("hello").compressed(*b"\x78\x9c", "application/x-gzip");
    /// let text = String::from_utf8(envelope.to_bytes("", "q", "t")).unwrap();
    /// assert!(text.contains(r#""content-type": "text/plain", "headers": {"compression": "application/x-gzip"}"#));
    /// ```
    #[must_use]
    pub fn compressed(mut self, body: impl Into<Vec<u8>>, compression: &str) -> Self {
        self.body = body.into();
        self.header("compression", compression)
    }

    /// The body before base64.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// assert_eq!(Envelope::bytes("x").body(), b"x");
    /// ```
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Replaces the body by another one, a compressed one for instance.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// assert_eq!(Envelope::text("x").with_body("y"), Envelope::text("y"));
    /// ```
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the content type.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let xml = Envelope::text("<x/>").content_type("application/xml");
    /// assert!(xml.to_bytes("", "q", "t").windows(15).any(|part| part == b"application/xml"));
    /// ```
    #[must_use]
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = Cow::Owned(content_type.into());
        self
    }

    /// Sets the content encoding: `utf-8` for text, `binary` for anything else.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let packed = Envelope::bytes(b"\x81").content_type("application/x-msgpack").content_encoding("binary");
    /// assert_eq!(packed.body(), b"\x81");
    /// ```
    #[must_use]
    pub fn content_encoding(mut self, content_encoding: &str) -> Self {
        self.content_encoding = Cow::Owned(content_encoding.into());
        self
    }

    /// Sets a header; a name set before keeps its place.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let envelope = Envelope::text("x").header("tenant", "a").header("tenant", "b");
    /// assert!(String::from_utf8(envelope.to_bytes("", "q", "t")).unwrap().contains(r#""headers": {"tenant": "b"}"#));
    /// ```
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Json>) -> Self {
        set(&mut self.headers, name, value.into());
        self
    }

    /// Sets a property under its wire name, in the order of the calls.
    ///
    /// The six that Kombu's transport adds (`delivery_mode`, `expiration`, `delivery_info`, `priority`, `body_encoding`,
    /// `delivery_tag`) are not taken from here.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let envelope = Envelope::text("x").property("timestamp", 1_700_000_000).property("delivery_tag", "mine");
    /// let text = String::from_utf8(envelope.to_bytes("", "q", "t")).unwrap();
    /// assert!(text.contains(r#""properties": {"timestamp": 1700000000, "delivery_mode": 2, "#));
    /// assert!(!text.contains("mine"));
    /// ```
    #[must_use]
    pub fn property(mut self, name: &str, value: impl Into<Json>) -> Self {
        if !OWN.contains(&name) {
            set(&mut self.properties, name, value.into());
        }
        self
    }

    /// The property of this name, if it was set.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, Json};
    ///
    /// let envelope = Envelope::text("x").message_id("m1");
    /// assert_eq!(envelope.property_value("message_id").and_then(Json::as_str), Some("m1"));
    /// assert_eq!(envelope.property_value("timestamp"), None);
    /// ```
    pub fn property_value(&self, name: &str) -> Option<&Json> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Sets `reply_to`.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// assert_eq!(Envelope::text("x").reply_to("q"), Envelope::text("x").property("reply_to", "q"));
    /// ```
    #[must_use]
    pub fn reply_to(self, queue: &str) -> Self {
        self.property("reply_to", queue)
    }

    /// Sets `correlation_id`.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// assert_eq!(Envelope::text("x").correlation_id("c"), Envelope::text("x").property("correlation_id", "c"));
    /// ```
    #[must_use]
    pub fn correlation_id(self, id: &str) -> Self {
        self.property("correlation_id", id)
    }

    /// Sets `message_id`.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// assert_eq!(Envelope::text("x").message_id("m"), Envelope::text("x").property("message_id", "m"));
    /// ```
    #[must_use]
    pub fn message_id(self, id: &str) -> Self {
        self.property("message_id", id)
    }

    /// Marks the message transient (`delivery_mode` 1). Redis keeps it alike; readers only see the number.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let text = String::from_utf8(Envelope::text("x").transient().to_bytes("", "q", "t")).unwrap();
    /// assert!(text.contains(r#""delivery_mode": 1"#));
    /// ```
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.delivery_mode = 1;
        self
    }

    /// Sets the expiration in milliseconds. Kombu's Redis transport writes it and never honours it.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let text = String::from_utf8(Envelope::text("x").expiration_ms(1500).to_bytes("", "q", "t")).unwrap();
    /// assert!(text.contains(r#""delivery_mode": 2, "expiration": "1500""#));
    /// ```
    #[must_use]
    pub fn expiration_ms(mut self, milliseconds: u64) -> Self {
        self.expiration = Some(milliseconds);
        self
    }

    /// Sets the priority in Kombu's sense, **0 is taken first**; for an AMQP number see [`Priority::from_amqp`].
    ///
    /// Any JSON value is kept as it is, as Kombu does; [`priority_of`](Envelope::priority_of) says what it counts as.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, Priority};
    ///
    /// assert_eq!(Envelope::text("x").priority(Priority::LAST).priority_of().get(), 9);
    /// assert_eq!(Envelope::text("x").priority("7").priority_of().get(), 7);
    /// ```
    #[must_use]
    pub fn priority(mut self, priority: impl Into<Json>) -> Self {
        self.priority = priority.into();
        self
    }

    /// The priority that decides about the list.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, Priority};
    ///
    /// assert_eq!(Envelope::text("x").priority_of(), Priority::FIRST);
    /// ```
    pub fn priority_of(&self) -> Priority {
        Priority::of(&self.priority)
    }

    /// The finished bytes of one copy.
    ///
    /// A routing key may be any bytes, here and in the methods below. Those that are no UTF-8 are written as Python's
    /// `surrogateescape` does, which Kombu reads and gives back; [`read_text`](super::read_text) reads them.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let text = String::from_utf8(Envelope::text("x").to_bytes("news", "a.b", "t")).unwrap();
    /// assert!(text.contains(r#""delivery_info": {"exchange": "news", "routing_key": "a.b"}"#));
    /// ```
    pub fn to_bytes(
        &self,
        exchange: &str,
        routing_key: &(impl AsRef<[u8]> + ?Sized),
        delivery_tag: &str,
    ) -> Vec<u8> {
        self.addressed(exchange, routing_key).into_bytes(delivery_tag)
    }

    /// Everything but the delivery tag: copies of one publish differ in nothing else, so the work is done once.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let envelope = Envelope::text("x");
    /// let addressed = envelope.addressed("news", "a.b");
    /// assert_eq!(addressed.to_bytes("t1"), envelope.to_bytes("news", "a.b", "t1"));
    /// ```
    pub fn addressed(&self, exchange: &str, routing_key: &(impl AsRef<[u8]> + ?Sized)) -> Addressed {
        let mut bytes = Vec::with_capacity(self.body.len().div_ceil(3) * 4 + 512);
        self.write_addressed(&mut bytes, exchange, routing_key.as_ref());
        Addressed { bytes }
    }

    /// Writes the finished bytes of one copy behind what is there: for a buffer that is used again and again.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let (envelope, mut bytes) = (Envelope::text("x"), Vec::new());
    /// envelope.write(&mut bytes, "news", "a.b", "t1");
    /// assert_eq!(bytes, envelope.to_bytes("news", "a.b", "t1"));
    /// ```
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        exchange: &str,
        routing_key: &(impl AsRef<[u8]> + ?Sized),
        delivery_tag: &str,
    ) {
        self.write_addressed(out, exchange, routing_key.as_ref());
        write_tag(out, delivery_tag);
    }

    fn write_addressed(&self, out: &mut Vec<u8>, exchange: &str, routing_key: &[u8]) {
        let name = |out: &mut Vec<u8>, name: &Cow<'static, str>| match name {
            Cow::Borrowed(name) => write_plain(out, name),
            Cow::Owned(name) => write_string(out, name),
        };
        out.extend_from_slice(br#"{"body": ""#);
        write_base64(out, &self.body);
        out.extend_from_slice(br#"", "content-encoding": "#);
        name(out, &self.content_encoding);
        out.extend_from_slice(br#", "content-type": "#);
        name(out, &self.content_type);
        out.extend_from_slice(br#", "headers": "#);
        write_members(out, &self.headers, name);
        out.extend_from_slice(br#", "properties": {"#);
        for (name, value) in &self.properties {
            write_string(out, name);
            out.extend_from_slice(b": ");
            value.write(out);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(br#""delivery_mode": "#);
        out.push(b'0' + self.delivery_mode);
        if let Some(milliseconds) = self.expiration {
            out.extend_from_slice(br#", "expiration": ""#);
            out.extend_from_slice(milliseconds.to_string().as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(br#", "delivery_info": {"exchange": "#);
        write_string(out, exchange);
        out.extend_from_slice(br#", "routing_key": "#);
        write_bytes(out, routing_key);
        out.extend_from_slice(br#"}, "priority": "#);
        self.priority.write(out);
        out.extend_from_slice(br#", "body_encoding": "base64", "delivery_tag": "#);
    }
}

fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // There is room for all of it.
    let _ = STANDARD.encode_slice(bytes, &mut out[start..]);
}

/// What follows the address.
fn write_tag(out: &mut Vec<u8>, delivery_tag: &str) {
    write_string(out, delivery_tag);
    out.extend_from_slice(b"}}");
}

fn set<N>(members: &mut Vec<(N, Json)>, name: &str, value: Json)
where
    N: AsRef<str> + From<String>,
{
    match members.iter_mut().find(|(known, _)| known.as_ref() == name) {
        Some((_, old)) => *old = value,
        None => members.push((N::from(name.to_owned()), value)),
    }
}

/// A message with its address, still without the tag that tells its copies apart.
///
/// ```
/// use keyrail_core::kombu::Envelope;
///
/// let addressed = Envelope::text("x").addressed("news", "a.b");
/// assert_ne!(addressed.to_bytes("t1"), addressed.to_bytes("t2"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addressed {
    bytes: Vec<u8>,
}

impl Addressed {
    /// The finished bytes of the copy with this tag.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let copy = Envelope::text("x").addressed("", "q").to_bytes("t1");
    /// assert!(copy.ends_with(br#""delivery_tag": "t1"}}"#));
    /// ```
    pub fn to_bytes(&self, delivery_tag: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + delivery_tag.len() + 4);
        bytes.extend_from_slice(&self.bytes);
        Addressed { bytes }.into_bytes(delivery_tag)
    }

    /// The same, for the last copy or the only one.
    ///
    /// ```
    /// use keyrail_core::kombu::Envelope;
    ///
    /// let addressed = Envelope::text("x").addressed("", "q");
    /// assert_eq!(addressed.clone().into_bytes("t1"), addressed.to_bytes("t1"));
    /// ```
    #[must_use]
    pub fn into_bytes(self, delivery_tag: &str) -> Vec<u8> {
        let mut bytes = self.bytes;
        write_tag(&mut bytes, delivery_tag);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(envelope: &Envelope, routing_key: &str, tag: &str, captured: &str) {
        assert_eq!(String::from_utf8(envelope.to_bytes("", routing_key, tag)).unwrap(), captured);
    }

    /// Lists that Kombu 5.7.0 left in Redis.
    #[test]
    fn kombus_bytes() {
        let body = Json::from_iter([("hello", Json::from("world")), ("n", Json::from(1))]);
        check(
            &Envelope::json(&body),
            "plain",
            "fc1324e2-b6ba-47f2-934a-72879dbd4bc0",
            r#"{"body": "eyJoZWxsbyI6ICJ3b3JsZCIsICJuIjogMX0=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {}, "properties": {"delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "plain"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "fc1324e2-b6ba-47f2-934a-72879dbd4bc0"}}"#,
        );
        check(
            &Envelope::text("plain text \u{e9}"),
            "s.text",
            "e2e70af3-f14d-4dc4-8198-bc754363fd88",
            r#"{"body": "cGxhaW4gdGV4dCDDqQ==", "content-encoding": "utf-8", "content-type": "text/plain", "headers": {}, "properties": {"delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "s.text"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "e2e70af3-f14d-4dc4-8198-bc754363fd88"}}"#,
        );
        check(
            &Envelope::bytes(*b"\x00\xff raw"),
            "s.bytes",
            "604411d5-9e8c-49d0-b383-2e184ebf217d",
            r#"{"body": "AP8gcmF3", "content-encoding": "binary", "content-type": "application/data", "headers": {}, "properties": {"delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "s.bytes"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "604411d5-9e8c-49d0-b383-2e184ebf217d"}}"#,
        );
        let mixed = [Json::from(1), Json::from(2.5), Json::Null, Json::from(true), Json::from("caf\u{e9}")];
        check(
            &Envelope::json(&Json::from_iter(mixed)),
            "s.json",
            "be28cb2f",
            r#"{"body": "WzEsIDIuNSwgbnVsbCwgdHJ1ZSwgImNhZlx1MDBlOSJd", "content-encoding": "utf-8", "content-type": "application/json", "headers": {}, "properties": {"delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "s.json"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "be28cb2f"}}"#,
        );
    }

    #[test]
    fn kombus_bytes_with_every_property() {
        let list = Json::from_iter([Json::from(1), Json::from_iter([("a", Json::from("b"))])]);
        let envelope = Envelope::json(&Json::from_iter([("x", Json::from(1))]))
            .header("x-str", "s")
            .header("x-int", 7)
            .header("x-null", Json::Null)
            .header("x-list", list)
            .reply_to("rq")
            .correlation_id("cid-1")
            .message_id("mid-1")
            .property("type", "my.type")
            .property("app_id", "app")
            .property("user_id", "guest")
            .property("timestamp", 1_700_000_000)
            .property("cluster_id", "c")
            .property("custom_prop", Json::from_iter([Json::from(1), Json::from(2)]))
            .transient()
            .expiration_ms(1500);
        check(
            &envelope,
            "pr",
            "c20211b9-0cc1-40ad-9860-74e31664dc5b",
            r#"{"body": "eyJ4IjogMX0=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"x-str": "s", "x-int": 7, "x-null": null, "x-list": [1, {"a": "b"}]}, "properties": {"reply_to": "rq", "correlation_id": "cid-1", "message_id": "mid-1", "type": "my.type", "app_id": "app", "user_id": "guest", "timestamp": 1700000000, "cluster_id": "c", "custom_prop": [1, 2], "delivery_mode": 1, "expiration": "1500", "delivery_info": {"exchange": "", "routing_key": "pr"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "c20211b9-0cc1-40ad-9860-74e31664dc5b"}}"#,
        );
    }

    #[test]
    fn hostile_names_stay_inside_their_quotes() {
        let bytes = Envelope::text("").header("\"}", "\\\"").to_bytes("\"", "\n", "\"}}");
        let value: Json = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value.member("headers").unwrap().member("\"}").unwrap().as_str(), Some("\\\""));
        assert_eq!(
            value.member("properties").unwrap().member("delivery_tag").unwrap().as_str(),
            Some("\"}}")
        );
    }
}
