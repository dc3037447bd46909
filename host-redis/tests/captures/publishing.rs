//! What a producer writes: envelopes, lists, channels.

use std::time::Duration;

use keyrail_core::{
    Dialect, ExchangeKind, Table, Value as Field,
    kombu::{Envelope, Json, Received},
};
use keyrail_redis::{
    Body, Compression, Connection, Executor, Message, Producer, ProducerOptions, ReceivedMessage, Serializer,
};
use serde_json::Value;

use crate::{
    stage::{check, connect, n, topology},
    support::RedisServer,
    wire::{Monitor, capture, pushes, recorded, said_effects, state, without_tags, words},
};

#[tokio::test]
async fn messages_without_an_exchange() {
    let hello = Json::from_iter([("hello", Json::from("world")), ("n", Json::from(1))]);
    check("publish_default_exchange", "{}", None, &[Message::value(hello).routing_key("plain")]).await;
    let list = Field::Array(vec![Field::I64(1), Field::Table(Table::from_iter([("a", "b")]))]);
    let properties = Message::value(Json::from_iter([("x", Json::from(1))]))
        .routing_key("pr")
        .header("x-str", "s")
        .header("x-int", 7)
        .header("x-null", Field::Void)
        .header("x-list", list)
        .transient()
        .expiration(Duration::from_millis(1500))
        .reply_to("rq")
        .correlation_id("cid-1")
        .property("message_id", "mid-1")
        .property("type", "my.type")
        .property("app_id", "app")
        .property("user_id", "guest")
        .property("timestamp", 1_700_000_000)
        .property("cluster_id", "c")
        .property("custom_prop", Json::from_iter([Json::from(1), Json::from(2)]));
    check("publish_properties", "{}", None, &[properties]).await;
}

#[tokio::test]
async fn priorities_and_their_lists() {
    let steps: Vec<Message> =
        (0..10).map(|n: i64| Message::value(Json::from(n)).priority(n).routing_key("pq")).collect();
    check("publish_custom_priority_steps", r#"{"priority_steps": [1, 5], "sep": ":"}"#, None, &steps).await;
    let shown = |repr: &str| Message::value(Json::from_iter([("pri", Json::from(repr))])).routing_key("pq");
    let mut messages: Vec<Message> =
        (0..11).chain([255, -5]).map(|n: i64| shown(&n.to_string()).priority(n)).collect();
    messages.push(shown("None").priority(Json::Null));
    messages.push(shown("'7'").priority("7"));
    messages.push(shown("4.9").priority(4.9));
    // Kombu takes a priority of None for one that is not given.
    messages[13] = shown("None");
    check("publish_priorities", "{}", None, &messages).await;
}

#[tokio::test]
async fn serializers() {
    let all = capture("publish_text_bytes_serializers");
    let list =
        Json::from_iter([Json::from(1), Json::from(2.5), Json::Null, Json::from(true), "caf\u{e9}".into()]);
    let a = || Message::value(Json::from_iter([("a", Json::from(1))]));
    let messages = [
        ("s.text", Message::text("plain text \u{e9}")),
        ("s.bytes", Message::bytes(*b"\x00\xff raw")),
        ("s.json_str", Message::text("as json").serializer(Serializer::Json)),
        ("s.json", Message::value(list)),
        ("s.msgpack", a().serializer(Serializer::Msgpack)),
        ("s.raw_str", Message::text("raw str").serializer(Serializer::Raw)),
        ("s.raw_bytes", Message::bytes(*b"raw b").serializer(Serializer::Raw)),
        ("s.custom", Message::text("<x/>").content_type("application/xml")),
        ("s.custom_b", Message::bytes(*b"<x/>").content_type("application/xml").content_encoding("utf-8")),
    ];
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let (connection, producer) = connect(&server, "{}", None).await;
    for (key, message) in &messages {
        producer.publish(&message.clone().routing_key(*key)).await.expect("published");
    }
    let mut expected = recorded(&all);
    // Keyrail writes neither YAML nor pickle.
    expected.retain(|key, _| !["s.yaml", "s.pickle"].contains(&&**key));
    assert_eq!(state(&connection).await, expected);
    let mut said = said_effects(&all);
    said.retain(|effect| !effect.contains("\"s.yaml\"") && !effect.contains("\"s.pickle\""));
    assert_eq!(monitor.effects(&server), said);
}

#[tokio::test]
async fn compressions_say_the_same_and_are_read_both_ways() {
    let server = RedisServer::start();
    let (connection, producer) = connect(&server, "{}", None).await;
    let hello = Json::from_iter([("hello", Json::from("world".repeat(5)))]);
    for name in ["zlib", "gzip", "bzip2", "brotli", "lzma", "zstd"] {
        let compression: Compression = name.parse().expect("a compression");
        let message = Message::value(hello.clone()).compression(Some(compression));
        producer.publish(&message.routing_key(format!("c.{name}"))).await.expect("published");
    }
    let text = Message::text("text").compression(Some(Compression::Zlib)).routing_key("c.text");
    producer.publish(&text).await.expect("published");
    let (ours, theirs) = (state(&connection).await, recorded(&capture("publish_compression")));
    assert!(ours.keys().eq(theirs.keys()));
    for (key, theirs) in &theirs {
        // Compressors may differ in every byte; what surrounds the body and what is in it may not.
        assert_eq!(unpacked(&ours[key][0]), unpacked(&theirs[0]), "{key}");
    }
}

/// The message with its body decompressed.
fn unpacked(payload: &str) -> (String, Vec<u8>) {
    use base64::Engine;
    let value: Value = serde_json::from_str(payload).expect("JSON");
    let body = value["body"].as_str().expect("a body");
    let packed = base64::engine::general_purpose::STANDARD.decode(body).expect("base64");
    let compression = value["headers"]["compression"].as_str().expect("a compression");
    let compression: Compression = compression.parse().expect("a known compression");
    (payload.replace(body, ""), compression.decompress(&packed, 1 << 20).expect("decompressed"))
}

#[tokio::test]
async fn fanout_channels() {
    // What Kombu published, in order: channel and payload.
    let said = |name: &str| -> Vec<(String, String)> {
        let capture = capture(name);
        let lines = capture["monitor"].as_array().expect("lines").iter().filter_map(Value::as_str);
        let published = lines.filter_map(|line| line.split_once(r#""PUBLISH" ""#));
        let parts = published.filter_map(|(_, rest)| rest.strip_suffix('"')?.split_once(r#"" ""#));
        parts
            .map(|(channel, payload)| (channel.to_owned(), without_tags(&payload.replace(r#"\""#, "\""))))
            .collect()
    };
    let server = RedisServer::start();
    let variants = [
        (3, "{}", "{}"),
        (0, r#"{"fanout_prefix": false}"#, r#"{"fanout_prefix": false}"#),
        (0, r#"{"fanout_prefix": "/pfx."}"#, r#"{"fanout_prefix": "/pfx."}"#),
        (0, r#"{"fanout_prefix": "/x{db}y."}"#, r#"{"fanout_prefix": "/x{db}y."}"#),
        (0, r#"{"fanout_patterns": false}"#, r#"{"fanout_patterns": false}"#),
        (0, r#"{"global_keyprefix": "gk:"}"#, r#"{"global_keyprefix": "gk:"}"#),
        (
            0,
            r#"{"global_keyprefix": "gk:", "fanout_prefix": false}"#,
            r#"{"global_keyprefix": "gk:", "fanout_prefix": false}"#,
        ),
    ];
    let fan = || topology("ex.fan", ExchangeKind::Fanout, &[]);
    let listener = Connection::new(&server.url()).expect("a URL").connect().await.expect("Redis");
    let mut heard = listener.subscribe(&["*".into()]).await.expect("subscribed");
    let mut ours = Vec::new();
    for (db, options, body) in variants {
        let connection = Connection::new(&format!("redis://127.0.0.1:{}/{db}", server.port)).expect("a URL");
        let connection = connection.transport_options(options.parse().expect("options"));
        let options = ProducerOptions::new().exchange("ex.fan").declare(fan(), Dialect::Kombu57);
        let producer = Producer::connect(&connection, options).await.expect("a producer");
        let body: Json = serde_json::from_str(&format!(r#"{{"o": {body}}}"#)).expect("JSON");
        for key in ["a.b", ""] {
            let confirm =
                producer.publish(&Message::value(body.clone()).routing_key(key)).await.expect("published");
            assert_eq!(confirm.fanout[0].receivers, 1);
            let message = heard.next().await.expect("heard");
            let payload = String::from_utf8(message.payload).expect("text");
            ours.push((message.channel, without_tags(&payload)));
        }
    }
    assert_eq!(ours, said("publish_fanout_prefix_variants"));
    let to = |number: i64, key: &str| n(number).exchange("ex.fan").routing_key(key);
    check("publish_fanout", "{}", Some(fan()), &[to(1, ""), to(2, "a.b")]).await;
}

/// What nobody gets is nowhere, and with `deadletter_queue` there. Kombu drops what a topic exchange leads nowhere;
/// keyrail keeps it with the others.
#[tokio::test]
async fn messages_for_nobody() {
    let mut three = topology("ur.direct", ExchangeKind::Direct, &[]);
    three.exchanges.extend(topology("ur.topic", ExchangeKind::Topic, &[]).exchanges);
    three.exchanges.extend(topology("ur.fanout", ExchangeKind::Fanout, &[]).exchanges);
    let to = |prefix: &str, kind: &str| {
        let message = Message::value(Json::from_iter([("n", Json::from(kind))]));
        message.exchange(format!("{prefix}.{kind}")).routing_key("nope")
    };
    let kinds = ["direct", "topic", "fanout"];
    check("unroutable_no_deadletter", "{}", Some(three.clone()), &kinds.map(|kind| to("ur", kind))).await;

    for exchange in &mut three.exchanges {
        exchange.name = exchange.name.replace("ur.", "dl.").into();
    }
    let capture = capture("deadletter_queue");
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let (connection, producer) = connect(&server, r#"{"deadletter_queue": "dead"}"#, Some(three)).await;
    for kind in kinds {
        producer.publish(&to("dl", kind)).await.expect("published");
    }
    // An exchange that nobody knows is an error here and a dead letter there.
    let error = producer.publish(&to("dl", "unknown")).await.expect_err("unknown");
    assert_eq!(error.code(), "exchange-not-found");
    let (mut ours, mut theirs) = (monitor.effects(&server), said_effects(&capture));
    ours.retain(|effect| !effect.contains("dl.topic"));
    theirs.retain(|effect| !effect.contains("dl.unknown"));
    assert_eq!(ours, theirs);
    let mut theirs = recorded(&capture);
    let dead = theirs.get_mut("dead").expect("a list");
    dead.retain(|payload| !payload.contains("dl.unknown"));
    let mut ours = state(&connection).await;
    ours.get_mut("dead").expect("a list").retain(|payload| !payload.contains("dl.topic"));
    assert_eq!(ours, theirs);
}

/// Pushes that go together keep their order.
#[tokio::test]
async fn a_batch() {
    let capture = capture("producer_batch");
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let declared = topology("bt", ExchangeKind::Topic, &[("#", "bt1")]);
    let (connection, producer) = connect(&server, "{}", Some(declared)).await;
    let batch: Vec<Message> =
        (0..3).map(|number| n(number).exchange("bt").routing_key(format!("k{number}"))).collect();
    for answer in producer.publish_all(&batch).await {
        answer.expect("published");
    }
    assert_eq!(monitor.effects(&server), said_effects(&capture));
    assert_eq!(state(&connection).await, recorded(&capture));
}

/// Kombu's typed values are objects like others: who has them as data writes Kombu's bytes, in the body and in headers.
#[tokio::test]
async fn typed_values() {
    let capture = capture("publish_typed_json");
    let item = capture["state"]["tj"]["items_head_to_tail"][0].as_str().expect("a message");
    let read = Received::read(serde_json::from_str(item).expect("JSON")).expect("a message");
    let typed =
        |kind: &str, value: Json| Json::from_iter([("__type__", Json::from(kind)), ("__value__", value)]);
    let text = |kind: &str, value: &str| typed(kind, Json::from(value));
    let one = Json::from_iter([("hex", Json::from("00000000000000000000000000000001"))]);
    let values = Json::from_iter([
        ("dt", text("datetime", "2024-01-02T03:04:05.678901+00:00")),
        ("naive", text("datetime", "2024-01-02T03:04:05")),
        ("d", text("date", "2024-01-02")),
        ("t", text("time", "01:02:03")),
        ("dec", text("decimal", "1.10")),
        ("u", typed("uuid", one)),
        ("b", text("bytes", "abc")),
        ("b64", text("base64", "/wA=")),
        ("tup", Json::from_iter([Json::from(1), Json::from(2)])),
    ]);
    assert_eq!(serde_json::from_slice::<Json>(&read.body).expect("JSON"), values);
    assert_eq!(read.headers, values);
    let Json::Object(headers) = &values else { unreachable!() };
    let envelope = headers
        .iter()
        .fold(Envelope::json(&values), |envelope, (name, value)| envelope.header(name, value.clone()));
    check("publish_typed_json", "{}", None, &[Message::envelope(envelope).routing_key("tj")]).await;
}

/// Kombu may be told to write bodies as text. keyrail never does, since Kombu up to 5.3.7 loses such a message, and reads
/// them.
#[test]
fn bodies_as_text_are_read() {
    let pushes = pushes(&capture("publish_body_encoding_utf8"));
    let read = |n: usize| ReceivedMessage::decode("be", &words(&pushes[n])[2]).body;
    assert_eq!(read(0).as_json(), Some(&serde_json::json!({"a": "caf\u{e9}"})));
    assert_eq!(read(1).as_text(), Some("plain text"));
    assert_eq!(read(2), Body::Bytes(b"\xff\x00".to_vec()));
    assert_eq!(pushes.len(), 3);
}
