//! What Kombu 5.7.0 left in Redis and said to it, recorded in `tests/captures`, against what keyrail leaves and says for
//! the same calls: byte for byte, delivery tags apart.

mod support;

use std::{collections::BTreeMap, path::Path, time::Duration};

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, QueueDefinition, Table,
    Topology, Value as Field,
    kombu::{Json, translate},
};
use keyrail_redis::{Compression, Connection, Executor, Message, Producer, ProducerOptions, Serializer};
use serde_json::Value;
use support::RedisServer;

fn capture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/captures/{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}

/// Each copy of ours has a tag of its own, so tags are compared by being there.
fn without_tags(text: &str) -> String {
    let mut parts = text.split(r#""delivery_tag": ""#);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (tag, rest) = part.split_once('"').expect("a tag ends");
        assert_eq!(tag.len(), 36, "{tag} is no UUID");
        out.push_str(r#""delivery_tag": "TAG""#);
        out.push_str(rest);
    }
    out
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// The lists and sets of a server, as the captures show them.
async fn state(connection: &Connection) -> BTreeMap<String, Vec<String>> {
    let redis = connection.connect().await.expect("Redis");
    let client = redis::Client::open(format!("redis://{connection}/{}", connection.options().layout.db));
    let mut raw = client.expect("a URL").get_multiplexed_async_connection().await.expect("Redis");
    let mut state = BTreeMap::new();
    for key in redis.keys("").await.expect("keys") {
        // Keyrail's own, of which Kombu knows nothing.
        if key.starts_with("keyrail.") {
            continue;
        }
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut raw).await.expect("a type");
        let mut read = match &*kind {
            "list" => redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).to_owned(),
            "set" => redis::cmd("SMEMBERS").arg(&key).to_owned(),
            _ => continue,
        };
        let items: Vec<Vec<u8>> = read.query_async(&mut raw).await.expect("items");
        let mut items: Vec<String> = items.iter().map(|item| without_tags(&escaped(item))).collect();
        if kind == "set" {
            items.sort();
        }
        read.arg(&key);
        state.insert(escaped(key.as_bytes()), items);
    }
    state
}

/// The lists and sets of a capture.
fn recorded(capture: &Value) -> BTreeMap<String, Vec<String>> {
    let mut state = BTreeMap::new();
    for (key, entry) in capture["state"].as_object().expect("an object") {
        let (field, sorted) = match entry["type"].as_str() {
            Some("list") => ("items_head_to_tail", false),
            Some("set") => ("members", true),
            _ => continue,
        };
        let items = entry[field].as_array().expect("a list").iter();
        let mut items: Vec<String> = items.map(|item| without_tags(item.as_str().expect("text"))).collect();
        if sorted {
            items.sort();
        }
        state.insert(key.clone(), items);
    }
    state
}

async fn connect(server: &RedisServer, options: &str, topology: Option<Topology>) -> (Connection, Producer) {
    let connection = Connection::new(&format!("redis://127.0.0.1:{}/0", server.port)).expect("a URL");
    let connection = connection.transport_options(options.parse().expect("options"));
    let mut options = ProducerOptions::new();
    if let Some(topology) = topology {
        options = options.declare(topology, Dialect::Kombu57);
    }
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    (connection, producer)
}

fn n(n: i64) -> Message {
    Message::value(Json::from_iter([("n", Json::from(n))]))
}

fn topology(exchange: &str, kind: ExchangeKind, rows: &[(&str, &str)]) -> Topology {
    let mut topology = Topology {
        exchanges: vec![ExchangeDefinition {
            name: exchange.into(),
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            alternate_exchange: None,
            arguments: Table::new(),
        }],
        queues: Vec::new(),
        bindings: Vec::new(),
        policies: Vec::new(),
    };
    for (key, queue) in rows {
        if topology.queues.iter().all(|known| *known.name != **queue) {
            topology.queues.push(QueueDefinition {
                name: (*queue).into(),
                durable: true,
                auto_delete: false,
                exclusive: false,
                arguments: Table::new(),
            });
        }
        topology.bindings.push(BindingDefinition {
            source: exchange.into(),
            destination: DestinationName::Queue((*queue).into()),
            routing_key: (*key).into(),
            arguments: Table::new(),
            dialect: Dialect::Kombu57,
            pattern: None,
        });
    }
    topology
}

/// Publishes all and compares what lies in Redis then.
async fn check(name: &str, options: &str, topology: Option<Topology>, messages: &[Message]) {
    let server = RedisServer::start();
    let (connection, producer) = connect(&server, options, topology).await;
    for message in messages {
        producer.publish(message).await.expect("published");
    }
    assert_eq!(state(&connection).await, recorded(&capture(name)), "{name}");
}

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
    let (connection, producer) = connect(&server, "{}", None).await;
    for (key, message) in &messages {
        producer.publish(&message.clone().routing_key(*key)).await.expect("published");
    }
    let mut expected = recorded(&all);
    // Keyrail writes neither YAML nor pickle.
    expected.retain(|key, _| !["s.yaml", "s.pickle"].contains(&&**key));
    assert_eq!(state(&connection).await, expected);
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
async fn rows_and_copies() {
    let red = topology("ex.direct", ExchangeKind::Direct, &[("red", "dq1"), ("green", "dq1"), ("", "dq2")]);
    check("bind_direct", "{}", Some(red), &[n(1).exchange("ex.direct").routing_key("nobody's")]).await;
    let fan = topology("ex.fan", ExchangeKind::Fanout, &[("", "fq1"), ("some.key", "fq2"), ("#", "fq3")]);
    check("bind_fanout", "{}", Some(fan), &[n(1).exchange("ex.fan")]).await;
    let two = topology("ex.d2", ExchangeKind::Direct, &[("k", "d2a"), ("k", "d2b")]);
    check("publish_direct_two_queues", "{}", Some(two), &[n(1).exchange("ex.d2").routing_key("k")]).await;
    let ov = topology("ex.ov", ExchangeKind::Topic, &[("a.*", "ov"), ("#.b", "ov"), ("a.b", "ov")]);
    let to = |n: Message, key: &str| n.exchange("ex.ov").routing_key(key);
    check("publish_topic_overlap", "{}", Some(ov), &[to(n(1), "a.b"), to(n(2), "zzz")]).await;
}

/// All keys but the one whose text no Python can compile, which keyrail does not write.
#[tokio::test]
async fn topic_rows() {
    let keys = [
        "a.b",
        "*.b",
        "a.*",
        "a.#",
        "#",
        "#.z",
        "",
        "a-b_c d",
        "x+(y)",
        "caf\u{e9}.\u{2192}",
        "a..b",
        "a*",
        "**",
        "#a",
        "tab\tnul\0",
    ];
    let named: Vec<(String, &str)> =
        keys.iter().enumerate().map(|(n, key)| (format!("tq{n:02}"), *key)).collect();
    let rows = named.iter().filter(|(_, key)| translate(key, Dialect::Kombu57).is_ok());
    let rows: Vec<(&str, &str)> = rows.map(|(queue, key)| (*key, &**queue)).collect();
    assert_eq!(rows.len(), keys.len() - 1);
    let server = RedisServer::start();
    let topology = topology("ex.topic", ExchangeKind::Topic, &rows);
    let (connection, producer) = connect(&server, "{}", Some(topology)).await;
    producer.publish(&n(1).exchange("ex.topic").routing_key("no.one.x")).await.expect("published");
    let mut expected = recorded(&capture("bind_topic"));
    for rows in expected.values_mut() {
        rows.retain(|row| !row.ends_with("tq12"));
    }
    let mut ours = state(&connection).await;
    ours.retain(|key, _| expected.contains_key(key));
    assert_eq!(ours, expected);
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
            assert_eq!(confirm.fanout[0].subscribers, 1);
            let message = heard.next().await.expect("heard");
            let payload = String::from_utf8(message.payload).expect("text");
            ours.push((message.channel, without_tags(&payload)));
        }
    }
    assert_eq!(ours, said("publish_fanout_prefix_variants"));
}

#[tokio::test]
async fn an_expiring_queue() {
    let mut eq = topology("ex.exp", ExchangeKind::Direct, &[("k", "eq")]);
    eq.queues[0].arguments = Table::from_iter([("x-expires", Field::I64(30_000))]);
    let message = |number| n(number).exchange("ex.exp").routing_key("k");
    check("bind_expiring_queue", "{}", Some(eq), &[message(1), message(2).priority(9)]).await;
}
