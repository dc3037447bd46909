//! A payload's JSON, whoever wrote it: Python's may hold surrogates that stand alone, which is how it keeps bytes that are
//! no UTF-8.

use std::borrow::Cow;

use keyrail_core::kombu::{Json, Received, without_surrogates};

use crate::{raw, read_json};

/// The payload as a value: U+FFFD stands for what is no text.
pub(crate) fn json(payload: &[u8]) -> Result<Json, serde_json::Error> {
    read_json(payload).or_else(|error| match without_surrogates(payload) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(text) => read_json(&text),
    })
}

/// The message, its routing key to the byte; or why Kombu would raise on it.
pub(crate) fn message(payload: &[u8]) -> Result<Received, Box<str>> {
    let refused = |error: serde_json::Error| error.to_string().into_boxed_str();
    let json = json(payload).map_err(refused)?;
    let mut received = Received::read(json).map_err(|error| error.to_string().into_boxed_str())?;
    // The mark of what was replaced; it may also be the publisher's own.
    if received.routing_key.as_str().is_some_and(|key| key.contains(char::REPLACEMENT_CHARACTER))
        && let Some(exact) = raw::routing_key(payload)
    {
        received.routing_key = exact;
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use keyrail_core::kombu::Envelope;

    use super::*;

    #[test]
    fn a_routing_key_is_read_to_the_byte() {
        for key in [&b"a.b"[..], b"\xff.end", b"\xc3.\xa9", "\u{fffd}".as_bytes(), b"\xef\xbf\xbd\xff", b""] {
            let payload = Envelope::text("x").header("n", 1).to_bytes("e", key, "t");
            let received = message(&payload).expect("a message");
            assert_eq!((&*received.routing_key, &*received.body), (key, &b"x"[..]));
            // Marks leave it as it is.
            let again = message(&raw::redelivered(&payload)).expect("a message");
            assert_eq!(&*again.routing_key, key);
            assert!(again.redelivered);
        }
    }

    #[test]
    fn surrogates_anywhere_else_are_replaced_and_other_errors_stay() {
        let payload = br#"{"body": "eA==", "headers": {"\ud800": "\udfff"}, "properties": {"body_encoding": "base64", "delivery_tag": "\udc80"}}"#;
        let received = message(payload).expect("a message");
        assert_eq!(received.delivery_tag, "\u{fffd}");
        assert_eq!(received.headers.member("\u{fffd}"), Some(&Json::from("\u{fffd}")));
        for bad in [&br#"{"body": "\udcff", NaN}"#[..], br#"{"body": "\x"}"#, b"\xff"] {
            assert!(message(bad).is_err());
        }
    }
}
