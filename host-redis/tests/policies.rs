//! What the options of a producer and of its connection say is done: how often it tries, how it writes what says nothing
//! of it, what is returned, and that the newest table counts.

mod support;

use std::time::{Duration, Instant};

use keyrail_core::{
    Dialect, Topology,
    kombu::{Member, SEPARATOR},
};
use keyrail_redis::{
    Body, Compression, Connection, Freshness, Message, ProduceError, Producer, ProducerOptions,
    ReceivedMessage, RetryPolicy, Serializer,
};
use support::{PATIENCE, RedisServer, free_port, succeed};

fn connection(server: &RedisServer, options: &str) -> Connection {
    let options = options.parse().expect("options");
    Connection::new(&server.url()).expect("a URL").transport_options(options)
}

/// Tries that the server refused, since `CONFIG RESETSTAT`.
fn refused(server: &RedisServer) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with("cmdstat_lpush:")).expect("a line");
    let (_, calls) = line.split_once("rejected_calls=").expect("a count");
    calls.split(',').next().expect("a number").parse().expect("a number")
}

#[tokio::test]
async fn a_producer_ends_where_its_policy_ends() {
    let server = RedisServer::start();
    let milliseconds = Duration::from_millis;
    let policy = RetryPolicy {
        max_retries: Some(3),
        interval_start: milliseconds(20),
        interval_step: milliseconds(20),
        interval_max: milliseconds(50),
    };
    let told = r#"{"max_retries": 3, "interval_start": 0.02, "interval_step": 0.02, "interval_max": 0.05}"#;
    let ways = [
        ("{}", ProducerOptions::new().retry(policy), 4, milliseconds(20 + 40 + 50)),
        (told, ProducerOptions::new(), 4, milliseconds(20 + 40 + 50)),
        // What a producer is told itself goes before what its connection is told.
        (
            told,
            ProducerOptions::new().retry(RetryPolicy { max_retries: Some(0), ..policy }),
            1,
            milliseconds(0),
        ),
        ("{}", ProducerOptions::new(), 1, milliseconds(0)),
    ];
    let message = Message::text("x").routing_key("q");
    for (transport, options, tries, waits) in ways {
        let producer = Producer::connect(&connection(&server, transport), options).await.expect("a producer");
        server.command(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
        server.command(&["CONFIG", "RESETSTAT"]);
        let started = Instant::now();
        let error = producer.publish(&message).await.expect_err("no writes");
        let waited = started.elapsed();
        assert_eq!(error.code(), "redis-unavailable", "{error}");
        assert_eq!(refused(&server), tries, "{transport}");
        assert!(waited >= waits, "{transport}: {waited:?} of {waits:?}");
        server.command(&["REPLICAOF", "NO", "ONE"]);
    }
    assert_eq!(server.command(&["EXISTS", "q"]), ":0\r\n");
}

#[tokio::test]
async fn what_a_message_does_not_say_its_producer_does() {
    let server = RedisServer::start();
    let options = ProducerOptions::new().serializer(Serializer::Msgpack).compression(Compression::Zlib);
    let producer = Producer::connect(&connection(&server, "{}"), options).await.expect("a producer");
    let body = serde_json::json!({"n": [1, "x"]});
    let message = Message::json(&body).expect("a body").routing_key("q");
    let own = message.clone().serializer(Serializer::Json).compression(None);
    let expected = [("application/x-msgpack", Some("application/x-gzip")), ("application/json", None)];
    for (message, (content_type, compression)) in [message, own].iter().zip(expected) {
        producer.publish(message).await.expect("published");
        let payload = server.command(&["RPOP", "q"]);
        let payload = payload.split_once("\r\n").expect("a length").1.trim_end();
        let envelope: serde_json::Value = serde_json::from_str(payload).expect("JSON");
        assert_eq!(envelope["content-type"], content_type);
        assert_eq!(envelope["headers"].get("compression").and_then(|name| name.as_str()), compression);
        let read = ReceivedMessage::decode("q", payload.as_bytes());
        match content_type {
            "application/json" => assert_eq!(read.body.as_json(), Some(&body)),
            _ => assert!(
                matches!(&read.body, Body::Bytes(packed) if packed[..3] == [0x81, 0xa1, b'n']),
                "{read:?}"
            ),
        }
    }
}

fn topology() -> Topology {
    serde_json::from_value(serde_json::json!({
        "exchanges": [{"name": "e", "kind": "topic"}],
        "queues": [{"name": "q"}],
        "bindings": [{"source": "e", "destination": {"queue": "q"}, "routingKey": "a.*"}],
    }))
    .expect("a topology")
}

#[tokio::test]
async fn a_mandatory_message_is_returned_however_fresh_the_table_is() {
    for freshness in [Freshness::Tracked, Freshness::EachPublish, Freshness::Strict] {
        let server = RedisServer::start();
        let options = ProducerOptions::new().exchange("e").mandatory(true).freshness(freshness);
        let options = options.declare(topology(), Dialect::Kombu57);
        let producer = Producer::connect(&connection(&server, "{}"), options).await.expect("a producer");
        let message = Message::text("x").routing_key("b.c");
        for _ in 0..2 {
            match producer.publish(&message).await {
                Err(ProduceError::Returned { exchange, routing_key, message: returned }) => {
                    assert_eq!((&*exchange, &*routing_key), ("e", &b"b.c"[..]));
                    assert_eq!(*returned, message);
                }
                other => panic!("{freshness:?}: {other:?}"),
            }
        }
        assert_eq!(producer.publish(&message.routing_key("a.b")).await.expect("published").queues, ["q"]);
        assert_eq!(server.command(&["LLEN", "q"]), ":1\r\n");
    }
}

/// Of a table that is gone nothing is remembered.
#[tokio::test]
async fn an_emptied_database_routes_nothing() {
    let server = RedisServer::start();
    for freshness in [Freshness::Tracked, Freshness::EachPublish, Freshness::Strict] {
        let url = server.url();
        succeed(["bind", "--redis", &url, "-x", "e", "--type", "topic", "-k", "a.*", "-q", "q"]);
        let options = ProducerOptions::new().exchange("e").freshness(freshness);
        let producer = Producer::connect(&connection(&server, "{}"), options).await.expect("a producer");
        let message = Message::text("x").routing_key("a.b");
        assert_eq!(producer.publish(&message).await.expect("published").queues, ["q"]);
        server.command(&["FLUSHALL"]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = producer.publish(&message).await;
            match answer {
                Err(error) => {
                    assert_eq!(error.code(), "exchange-not-found", "{error}");
                    break;
                }
                // Only who follows announcements may be late, by their way.
                Ok(confirm) => {
                    assert!(freshness == Freshness::Tracked && Instant::now() < deadline, "{confirm:?}")
                }
            }
        }
        server.command(&["FLUSHALL"]);
    }
}

/// Each of the three ways of writing takes the row of an older Kombu away, which would be matched beside the new one.
#[test]
fn a_binding_replaces_its_twin_of_kombu_5_6() {
    let row = |dialect| {
        let member = Member::topic("a.*", "q", dialect).expect("a key");
        String::from_utf8(member.to_bytes(SEPARATOR).expect("a row")).expect("text")
    };
    let (old, new) = (row(Dialect::Kombu56), row(Dialect::Kombu57));
    assert_ne!(old, new);
    let folder = support::Folder::new();
    let file = folder.file("e.json", serde_json::to_string(&topology()).expect("JSON"));
    let verbs: [&[&str]; 3] = [
        &["bind", "-x", "e", "--type", "topic", "-k", "a.*", "-q", "q", "--dialect", "kombu57"],
        &["topology", "import", "--topology", &file, "--dialect", "kombu57"],
        &["consume", "--topology", &file, "--declare", "-q", "q", "--timeout", "0.1"],
    ];
    for verb in verbs {
        let server = RedisServer::start();
        assert_eq!(server.command(&["SADD", "_kombu.binding.e", &old]), ":1\r\n");
        let url = server.url();
        let ran = support::keyrail(verb.iter().copied().chain(["--redis", &url]));
        assert!(ran.status.code().is_some_and(|code| code == 0 || verb[0] == "consume"), "{ran:?}");
        assert_eq!(server.command(&["SISMEMBER", "_kombu.binding.e", &old]), ":0\r\n", "{verb:?}");
        assert_eq!(server.command(&["SISMEMBER", "_kombu.binding.e", &new]), ":1\r\n", "{verb:?}");
    }
}

/// A policy is for what may pass: a key of another type, a message that nobody gets and an exchange that is not there
/// are as they are.
#[tokio::test]
async fn what_does_not_pass_is_tried_once() {
    let server = RedisServer::start();
    for queue in ["good", "broken"] {
        server.command(&["SADD", "_kombu.binding.e", &format!("{queue}\x06\x16\x06\x16{queue}")]);
    }
    server.command(&["SET", "broken", "no list"]);
    let retry = RetryPolicy { interval_step: Duration::ZERO, ..RetryPolicy::celery() };
    for freshness in [Freshness::Tracked, Freshness::EachPublish, Freshness::Strict] {
        let options = ProducerOptions::new().exchange("e").retry(retry).mandatory(true).freshness(freshness);
        let producer = Producer::connect(&connection(&server, "{}"), options).await.expect("a producer");
        // It has what it needs then: the table, and the script of a strict one.
        server.command(&["CONFIG", "RESETSTAT"]);
        producer.publish(&Message::text("x").routing_key("good")).await.expect("published");
        let one_reading = server.calls(&["hgetall"])[0];
        assert!(one_reading > 0);
        let message = |key: &str| Message::text("x").routing_key(key);
        for (message, code, sent, read) in [
            (message("broken"), "wrong-type", 1, 0),
            (message("nobody"), "no-route", 0, 0),
            (message("good").exchange("unknown"), "exchange-not-found", 0, 1),
        ] {
            server.command(&["CONFIG", "RESETSTAT"]);
            let error = producer.publish(&message).await.expect_err(code);
            assert_eq!(error.code(), code, "{freshness:?}: {error}");
            let calls = server.calls(&["lpush", "evalsha", "hgetall", "hello"]);
            assert_eq!(calls[0] + calls[1], sent, "{freshness:?} {code}");
            let read = if freshness == Freshness::EachPublish { 1 } else { read };
            // Nor is the connection given up, and with it the table.
            assert_eq!((calls[2], calls[3]), (read * one_reading, 0), "{freshness:?} {code}");
        }
    }
}
