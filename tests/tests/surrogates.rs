//! Routing keys that are no UTF-8, in an envelope's JSON and back.

use keyrail_core::kombu::{Envelope, Json, Received, read_text, without_surrogates};
use proptest::prelude::*;

/// The routing key's JSON text in the envelope of a message that was published with this key.
fn written(key: &[u8]) -> String {
    let envelope = String::from_utf8(Envelope::text("x").to_bytes("e", key, "t")).expect("text");
    let (_, behind) = envelope.split_once(r#""routing_key": "#).expect("a routing key");
    behind.split_once(r#"}, "priority""#).expect("a priority").0.to_owned()
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    // Bytes of characters that were cut, beside any others.
    let pieces = prop_oneof![
        any::<Vec<u8>>(),
        "\\PC{0,3}".prop_map(String::into_bytes),
        Just("\u{1f600}".as_bytes()[..3].to_vec()),
        Just(b"\xed\xb3\xbf".to_vec()),
        Just(b"\\\"\n".to_vec()),
    ];
    proptest::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn bytes_come_back(key in bytes()) {
        let text = written(&key);
        prop_assert!(text.is_ascii());
        let read = read_text(&text).expect("a text");
        prop_assert_eq!(&*read, &*key);
    }

    /// What is text is written and read as ever.
    #[test]
    fn text_stays_what_it_was(text in any::<String>()) {
        prop_assert_eq!(written(text.as_bytes()), Json::from(&*text).to_python());
        for json in [Json::from(&*text).to_python(), serde_json::to_string(&text).expect("JSON")] {
            let read = read_text(&json).expect("a text");
            prop_assert_eq!(read.as_str(), Some(&*text));
            prop_assert_eq!(&*without_surrogates(json.as_bytes()), json.as_bytes());
        }
    }

    /// What is read exactly and what a strict reader makes of it differ in nothing but the bytes that are no text.
    #[test]
    fn strict_readers_see_the_same_text(key in bytes()) {
        let envelope = Envelope::text("x").to_bytes("e", &key, "t");
        let read: Json = serde_json::from_slice(&without_surrogates(&envelope)).expect("JSON");
        let received = Received::read(read).expect("a message");
        let mut expected = String::new();
        for chunk in key.utf8_chunks() {
            expected.push_str(chunk.valid());
            chunk.invalid().iter().for_each(|_| expected.push(char::REPLACEMENT_CHARACTER));
        }
        prop_assert_eq!(received.routing_key.as_str(), Some(&*expected));
        prop_assert_eq!(received.body, b"x");
    }

    #[test]
    fn any_escapes_are_read_or_refused(json in "[\\\\\"ud89abcDF0]{0,24}") {
        let text = format!("\"{json}\"");
        let strict = serde_json::from_str::<String>(&text);
        // Who reads it strictly and who reads it exactly agree on what is a text, quotes inside apart.
        if let Ok(strict) = strict {
            let read = read_text(&text).expect("a text");
            prop_assert_eq!(read.as_str(), Some(&*strict));
        }
        let _ = read_text(&json);
        let _ = without_surrogates(json.as_bytes());
    }
}
