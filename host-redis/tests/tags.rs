//! The script that takes reads most delivery tags without decoding the payload: what it finds so is what JSON says, or it
//! finds nothing.

mod support;

use std::{collections::BTreeSet, path::Path};

use keyrail_core::kombu::{Envelope, Json};
use redis::{Script, aio::MultiplexedConnection};
use serde_json::Value;
use support::RedisServer;

/// For each payload the tag as it is written, the tag as it is decoded, and whether the server's reader reads it.
const BOTH: &str = concat!(
    include_str!("../src/executor/tag.lua"),
    r"
    local out = {}
    for at, payload in ipairs(ARGV) do
        local read = pcall(cjson.decode, payload)
        out[at] = {written_tag(payload) or false, decoded_tag(payload) or false, read and 1 or 0}
    end
    return out"
);

type Tags = (Option<Vec<u8>>, Option<Vec<u8>>, bool);

struct Reader {
    _server: RedisServer,
    connection: MultiplexedConnection,
    script: Script,
}

impl Reader {
    async fn start() -> Self {
        let server = RedisServer::start();
        let client = redis::Client::open(server.url()).expect("a URL");
        let connection = client.get_multiplexed_async_connection().await.expect("Redis");
        Reader { _server: server, connection, script: Script::new(BOTH) }
    }

    async fn read(&mut self, payloads: &[impl AsRef<[u8]>]) -> Vec<Tags> {
        let mut tags = Vec::with_capacity(payloads.len());
        for part in payloads.chunks(2000) {
            let mut script = self.script.prepare_invoke();
            for payload in part {
                script.arg(payload.as_ref());
            }
            let read: Vec<Tags> = script.invoke_async(&mut self.connection).await.expect("tags");
            tags.extend(read);
        }
        tags
    }

    /// Compares what is written with what both readers decode; how many tags were read as written, and how many of those
    /// payloads are JSON.
    async fn compare(&mut self, payloads: &[String]) -> (usize, usize) {
        let (mut written, mut right) = (0, 0);
        for (payload, (fast, decoded, read)) in payloads.iter().zip(self.read(payloads).await) {
            let Some(fast) = fast else { continue };
            written += 1;
            // What is decoded only with its surrogates replaced has a name that is no tag.
            if read || decoded.is_some() {
                assert_eq!(Some(&fast), decoded.as_ref(), "{payload}");
            }
            if let Ok(json) = serde_json::from_str::<Value>(payload) {
                right += 1;
                assert!(read, "JSON to one and not to the other: {payload}");
                let tag = json["properties"]["delivery_tag"].as_str().map(str::as_bytes);
                assert_eq!(Some(&*fast), tag, "{payload}");
                // A Kombu restores it as it is.
                assert!(json["headers"].is_object(), "{payload}");
                let info = json["properties"].get("delivery_info");
                assert!(info.is_none_or(Value::is_object), "{payload}");
            }
        }
        (written, right)
    }
}

/// Deterministic: a payload that fails once fails again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const TAGS: [&str; 3] = [
    "11111111-2222-4333-8444-555555555555",
    "aaaaaaaa-BBBB-4ccc-8ddd-eeeeeeeeeeee",
    "not-a-uuid-but-of-the-same-length-zz",
];

/// What Kombu and keyrail write is read without decoding, or nothing is gained.
#[tokio::test]
async fn envelopes_of_kombu_and_keyrail_are_read_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures");
    let mut payloads = Vec::new();
    for entry in std::fs::read_dir(folder).expect("captures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let capture: Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
        for list in capture["state"].as_object().into_iter().flat_map(|state| state.values()) {
            for item in list["items_head_to_tail"].as_array().into_iter().flatten() {
                payloads
                    .extend(item.as_str().filter(|item| item.starts_with(r#"{"body": "#)).map(String::from));
            }
        }
    }
    assert!(payloads.len() >= 50, "{} payloads in the captures", payloads.len());
    let envelope = Envelope::text("caf\u{e9} {}").header("n", 1).header("text", "caf\u{e9} \" {");
    for envelope in [
        Envelope::text(""),
        Envelope::json(&Json::from_iter([("properties", Json::from("{"))])),
        Envelope::bytes(*b"\xff\0").priority(9).expiration_ms(1500),
        envelope.property("correlation_id", "c-1").property("reply_to", "replies"),
    ] {
        for key in ["", "order.eu.paid", "a b"] {
            payloads.push(String::from_utf8(envelope.to_bytes("news", key, TAGS[0])).expect("text"));
        }
    }
    let mut reader = Reader::start().await;
    let decoded: BTreeSet<&String> = {
        let tags = reader.read(&payloads).await;
        payloads
            .iter()
            .zip(tags)
            .filter(|(_, (fast, ..))| fast.is_none())
            .map(|(payload, _)| payload)
            .collect()
    };
    let (written, right) = reader.compare(&payloads).await;
    // Kombu also writes what only Python reads, `NaN` for instance.
    assert!(right >= 100 && right + 5 >= written, "{written} read as written, {right} of them JSON");
    // What another language wrote by hand, and a typed property, which is an object.
    assert!(decoded.len() * 20 <= payloads.len(), "{} of {}: {decoded:#?}", decoded.len(), payloads.len());
}

/// Every short sequence of the parts that could lead astray, between a beginning and an end as Kombu writes them.
#[tokio::test]
async fn no_sequence_of_parts_makes_another_tag() {
    let tag = TAGS[0];
    let parts = [
        r#", "properties": {"#,
        r#""properties": {"delivery_tag": "b"}, "#,
        r#""delivery_info": {"#,
        r#""delivery_info": {"exchange": "e"}"#,
        r#""delivery_tag": "c""#,
        r#""a": "{""#,
        r#""a": "}""#,
        r#""a": ", \"properties\": {""#,
        r#""a": {"#,
        r#""a": ["#,
        "]",
        "}",
        ", ",
        "\"",
        "\\",
        "1",
    ];
    let mut payloads = Vec::new();
    for begin in [
        r#"{"headers": {}, "n": 1"#,
        r#"{"headers": {"n": 1"#,
        r#"{"headers": {}, "properties": {"#,
        r#"{"headers": {}, "properties": {"delivery_info": {"n": 1"#,
    ] {
        for n in 0..parts.len().pow(4) {
            let mut payload = begin.to_owned();
            for at in 0..4 {
                payload.push_str(parts[n / parts.len().pow(at) % parts.len()]);
            }
            payload.push_str(&format!(r#", "delivery_tag": "{tag}"}}}}"#));
            payloads.push(payload);
        }
    }
    let (written, right) = Reader::start().await.compare(&payloads).await;
    assert!(written > 4000 && right > 20, "{written} read as written, {right} of them JSON");
}

/// JSON of any shape, its names and texts such as would be mistaken for the end of an envelope.
#[tokio::test]
async fn hostile_payloads_have_the_tag_that_json_says() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut payloads: Vec<String> = (0..32_000).map(|_| whole(&mut dice)).collect();
    // The same, cut and patched: mostly no JSON any more.
    let patches = [
        "\"",
        "\\",
        "{",
        "}",
        "}}",
        ", ",
        r#", "properties": {"#,
        r#""delivery_info": {"#,
        "\\ud800",
        "\u{e9}",
    ];
    for at in 0..payloads.len() {
        let mut text: Vec<char> = payloads[at].chars().collect();
        for _ in 0..=dice.below(2) {
            let from = dice.below(text.len());
            let to = (from + dice.below(4)).min(text.len());
            let patch: Vec<char> = dice.one(&patches).chars().collect();
            text.splice(from..to, patch);
        }
        payloads.push(text.into_iter().collect());
    }
    let (written, right) = Reader::start().await.compare(&payloads).await;
    assert!(written > 3000 && right > 3000, "{written} read as written, {right} of them JSON");
}

/// An envelope, or something that resembles one.
fn whole(dice: &mut Dice) -> String {
    let mut members = Vec::new();
    if dice.below(16) > 0 {
        members.push(r#""headers": {}"#.to_owned());
    }
    for _ in 0..=dice.below(3) {
        let name = dice.one(&["body", "body", "headers", "headers", "x", "\\u00e9", "properties"]);
        members.push(format!("\"{name}\": {}", value(dice, 2)));
    }
    let last = if dice.below(8) == 0 { "headers" } else { "properties" };
    members.push(format!("\"{last}\": {}", properties(dice)));
    if dice.below(20) == 0 {
        members.push(format!("\"properties\": {}", value(dice, 1)));
    }
    object(dice, &members)
}

fn properties(dice: &mut Dice) -> String {
    let mut members = Vec::new();
    for _ in 0..dice.below(3) {
        let name = dice.one(&["reply_to", "priority", "delivery_tag", "properties"]);
        let depth = usize::from(dice.below(12) == 0);
        members.push(format!("\"{name}\": {}", value(dice, depth)));
    }
    let info = [text(dice), text(dice)].map(|text| format!("\"exchange\": {text}"));
    let from = dice.below(2);
    let info = object(dice, &info[from..]);
    members.push(format!(
        "\"{}\": {info}",
        dice.one(&["delivery_info", "delivery_info", "delivery_info", "delivery_info", "other"])
    ));
    if dice.below(2) == 0 {
        members.push(format!("\"body_encoding\": {}", text(dice)));
    }
    let name = if dice.below(8) == 0 { "tag" } else { "delivery_tag" };
    members.push(format!("\"{name}\": \"{}\"", dice.one(&TAGS)));
    object(dice, &members)
}

fn object(dice: &mut Dice, members: &[String]) -> String {
    let comma = if dice.below(40) == 0 { "," } else { ", " };
    format!("{{{}}}", members.join(comma))
}

fn value(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth == 0 { 3 } else { 5 }) {
        0 => "1".into(),
        1 | 2 => text(dice),
        3 => format!("[{}, {}]", value(dice, depth - 1), value(dice, depth - 1)),
        _ => properties(dice),
    }
}

/// A text in JSON.
fn text(dice: &mut Dice) -> String {
    if dice.below(4) > 0 {
        return format!("\"{}\"", dice.one(&["", "a.b", "work"]));
    }
    let texts = [
        "{",
        "}",
        "}}",
        "{}",
        ", ",
        ": {",
        r#"\", \"properties\": {\"delivery_info\": {}"#,
        r#", \"delivery_tag\": \"11111111-2222-4333-8444-555555555555\"}}"#,
        "\\\\",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\udcff",
    ];
    format!("\"{}\"", dice.one(&texts))
}
