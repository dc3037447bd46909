//! JSON objects whose values stay the bytes they came in.

use std::fmt;

use keyrail_core::{ByteString, kombu::read_text};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// An object in its order, values unread: a number too large for any type of ours survives.
#[derive(Debug, Default)]
struct RawObject(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(RawObject(members))
    }
}

impl RawObject {
    /// The object under this name, or an empty one.
    fn object(&self, name: &str) -> RawObject {
        self.value(name).and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
    }

    /// The same, but nothing if what stands there is anything else: whoever writes it back would drop it.
    fn kept(&self, name: &str) -> Option<RawObject> {
        match self.value(name) {
            Some(value) if value.get() != "null" => serde_json::from_str(value.get()).ok(),
            _ => Some(RawObject::default()),
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.value(name).and_then(|value| value.get().parse().ok())
    }

    /// Of equal names the last one counts.
    fn value(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn set(&mut self, name: &str, text: String) -> Option<()> {
        let value = RawValue::from_string(text).ok()?;
        match self.0.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.into(), value)),
        }
        Some(())
    }

    /// With Python's blanks.
    fn text(&self) -> String {
        let members = self.0.iter().map(|(name, value)| {
            let name = keyrail_core::kombu::Json::from(name.as_str()).to_python();
            format!("{name}: {}", value.get())
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
    }
}

/// The payload with Kombu's two marks of a message that was delivered before, and the header with which RabbitMQ counts
/// deliveries; everything else keeps its bytes.
/// A payload that is no object stays as it is, and so does one with a part that cannot be read, a name with half a
/// surrogate pair for instance.
pub(crate) fn redelivered(payload: &[u8]) -> Vec<u8> {
    mark(payload).unwrap_or_else(|| payload.to_vec())
}

/// The routing key of a payload to the byte, if it names one.
pub(crate) fn routing_key(payload: &[u8]) -> Option<ByteString> {
    let envelope: RawObject = serde_json::from_slice(payload).ok()?;
    let info = envelope.object("properties").object("delivery_info");
    info.value("routing_key").and_then(|key| read_text(key.get()))
}

fn mark(payload: &[u8]) -> Option<Vec<u8>> {
    let mut envelope: RawObject = serde_json::from_slice(payload).ok()?;
    let mut headers = envelope.kept("headers")?;
    headers.set("redelivered", "true".into())?;
    let count = headers.number("x-delivery-count").unwrap_or_default();
    headers.set("x-delivery-count", count.saturating_add(1).to_string())?;
    let mut properties = envelope.kept("properties")?;
    let mut info = properties.kept("delivery_info")?;
    info.set("redelivered", "true".into())?;
    properties.set("delivery_info", info.text())?;
    envelope.set("headers", headers.text())?;
    envelope.set("properties", properties.text())?;
    Some(envelope.text().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_as_kombu_does_and_keeps_the_rest() {
        let payload = r#"{"body": "MTIz", "headers": {"n": 123456789012345678901234567890}, "properties": {"delivery_info": {"exchange": "", "routing_key": "q"}, "delivery_tag": "t"}}"#;
        let marked = r#"{"body": "MTIz", "headers": {"n": 123456789012345678901234567890, "redelivered": true, "x-delivery-count": 1}, "properties": {"delivery_info": {"exchange": "", "routing_key": "q", "redelivered": true}, "delivery_tag": "t"}}"#;
        assert_eq!(String::from_utf8(redelivered(payload.as_bytes())).unwrap(), marked);
        let twice = marked.replace("\"x-delivery-count\": 1", "\"x-delivery-count\": 2");
        assert_eq!(redelivered(marked.as_bytes()), twice.as_bytes());
        assert_eq!(redelivered(b"no object"), b"no object");
    }

    #[test]
    fn drops_nothing_that_it_cannot_read() {
        for payload in [
            r#"{"headers": {"\ud800": 1, "n": 2}, "properties": {"delivery_tag": "t"}}"#,
            r#"{"headers": {}, "properties": {"\ud800": 1, "delivery_tag": "t"}}"#,
            r#"{"headers": {}, "properties": {"delivery_info": {"\udc00": 1}, "delivery_tag": "t"}}"#,
            r#"{"headers": [1], "properties": {"delivery_tag": "t"}}"#,
        ] {
            assert_eq!(String::from_utf8(redelivered(payload.as_bytes())).unwrap(), payload);
        }
        let marked = r#"{"headers": {"redelivered": true, "x-delivery-count": 1}, "properties": {"delivery_info": {"redelivered": true}}}"#;
        for payload in ["{}", r#"{"headers": null, "properties": {"delivery_info": null}}"#] {
            assert_eq!(String::from_utf8(redelivered(payload.as_bytes())).unwrap(), marked);
        }
    }
}
