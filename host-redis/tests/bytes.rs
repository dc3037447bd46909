//! Routing keys that are no UTF-8, from the publish to the restore.

mod support;

use std::time::Duration;

use keyrail_core::{
    BindingDefinition, ByteString, DestinationName, Dialect, ExchangeKind, Table,
    kombu::{Command, Envelope, Plan},
};
use keyrail_redis::{
    Bind, Connection, ConsumerOptions, Executor, Freshness, Host, Memory, Message, Next, Producer,
    ProducerOptions, Redis, RedisOptions,
};
use support::{PATIENCE, RedisServer, host, on_both};

const KEY: &[u8] = b"\xff.end";

fn wanted(exchange: &str, kind: ExchangeKind, key: &[u8], queue: &str) -> Bind {
    let binding = BindingDefinition {
        source: exchange.into(),
        destination: DestinationName::Queue(queue.into()),
        routing_key: key.into(),
        arguments: Table::new(),
        dialect: Dialect::Kombu57,
        pattern: None,
    };
    Bind { binding, kind: Some(kind), dialect: Dialect::Kombu57 }
}

async fn bind<E: Executor>(host: &Host<E>, exchange: &str, kind: ExchangeKind, key: &[u8], queue: &str) {
    host.bind(&wanted(exchange, kind, key, queue)).await.expect("bound");
}

async fn push(executor: &impl Executor, list: &str, value: Vec<u8>) {
    let push = Command::LPush { key: list.into(), value };
    executor.run(&Plan { atomic: false, commands: vec![push] }).await.expect("pushed");
}

/// A consumer takes it, puts it back and takes it again; the bytes in Redis are those of Python.
async fn a_key_of_bytes_outlives_a_requeue(executor: impl Executor) {
    let host = host(executor);
    push(host.executor(), "q", Envelope::text("x").to_bytes("t", KEY, "tag")).await;
    let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
    for again in [false, true] {
        let Ok(Next::Delivery(delivery)) = consumer.next(PATIENCE).await else { panic!("no message") };
        let message = delivery.message();
        assert_eq!((&*message.routing_key, &*message.exchange, message.redelivered), (KEY, "t", again));
        let json = serde_json::to_value(&message).expect("JSON");
        assert_eq!(json["routingKey"], serde_json::json!({"hex": "ff2e656e64"}));
        let text = std::str::from_utf8(delivery.payload()).expect("ASCII");
        assert!(text.contains(r#""routing_key": "\udcff.end""#), "{text}");
        let settled = if again { delivery.ack() } else { delivery.requeue(Default::default()) };
        assert!(settled.await.expect("settled"));
    }
    consumer.close().await.expect("closed");
    assert_eq!(host.count("q").await.expect("counted"), 0);
}

/// What a Kombu that died has registered goes back by its key.
async fn what_kombu_held_is_restored_by_a_key_of_bytes(executor: impl Executor) {
    let host = host(executor);
    bind(&host, "t", ExchangeKind::Topic, b"*.end", "ends").await;
    bind(&host, "t", ExchangeKind::Topic, b"*", "words").await;
    let payload = Envelope::text("x").to_bytes("t", KEY, "tag");
    let record = [b"[", &*payload, br#", "t", "\udcff.end"]"#].concat();
    let commands = vec![
        Command::ZAdd { key: "unacked_index".into(), score: 1.0, member: "tag".into() },
        Command::HSet { key: "unacked".into(), field: "tag".into(), value: record },
    ];
    host.executor().run(&Plan { atomic: false, commands }).await.expect("registered");
    let restored = host.restore(Duration::from_secs(1)).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count), (1, 0), "{restored:?}");
    assert_eq!(host.count("ends").await.expect("counted"), 1);
    assert_eq!(host.count("words").await.expect("counted"), 0);
    let message = host.get("ends").await.expect("got").expect("a message");
    assert_eq!((&*message.routing_key, message.redelivered), (KEY, true));
}

/// A tag that is none of ours to read is a name all the same, and what is no message still goes to quarantine.
async fn surrogates_elsewhere_are_no_poison(executor: impl Executor) {
    let host = host(executor);
    for tag in [r"\udc80", r"\ud800", r"\\udcff", "t"] {
        let payload = format!(
            r#"{{"body": "eA==", "headers": {{"\ud800": "\udfff"}}, "properties": {{"body_encoding": "base64", "delivery_tag": "{tag}"}}}}"#
        );
        push(host.executor(), "q", payload.into_bytes()).await;
    }
    push(host.executor(), "q", br#"{"body": "\udcff", "properties"}"#.to_vec()).await;
    for _ in 0..4 {
        let message = host.get("q").await.expect("got").expect("a message");
        assert_eq!(message.body.as_text(), Some("x"));
    }
    assert_eq!(host.get("q").await.expect("got"), None);
    let length = Command::LLen { key: "keyrail.quarantine.q".into() };
    let replies =
        host.executor().run(&Plan { atomic: false, commands: vec![length] }).await.expect("counted");
    assert_eq!(replies, [keyrail_redis::Reply::Count(1)]);
}

/// A binding whose key is no UTF-8 is refused by name, and nothing is written: a topology is text. (A publish with such a
/// key is matched all the same, by wildcards.)
async fn a_binding_of_bytes_is_refused(executor: impl Executor) {
    let host = host(executor);
    for kind in [ExchangeKind::Direct, ExchangeKind::Topic, ExchangeKind::Headers] {
        let error = host.bind(&wanted("x", kind, KEY, "q")).await.expect_err("bytes");
        assert_eq!(error.code(), "key-not-utf8");
        assert!(error.to_string().contains(r"\xff.end"), "{error}");
        assert_eq!(host.executor().keys("").await.expect("keys"), Vec::<String>::new());
    }
}

on_both!(
    a_key_of_bytes_outlives_a_requeue,
    what_kombu_held_is_restored_by_a_key_of_bytes,
    surrogates_elsewhere_are_no_poison,
    a_binding_of_bytes_is_refused,
);

/// Every kind of producer; on the default exchange, where a key names a list, bytes are refused before anything is sent.
#[tokio::test]
async fn producers_publish_keys_of_bytes_and_refuse_queues_of_bytes() {
    let server = RedisServer::start();
    let connection = Connection::new(&server.url()).expect("a URL");
    let host = host(connection.connect().await.expect("Redis"));
    bind(&host, "t", ExchangeKind::Topic, b"*.end", "q").await;
    for freshness in [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish] {
        for once in [None, Some(Duration::from_secs(60))] {
            let mut options = ProducerOptions::new().exchange("t").freshness(freshness);
            if let Some(window) = once {
                options = options.once(window);
            }
            let producer = Producer::connect(&connection, options).await.expect("a producer");
            let message = Message::text("x").routing_key(KEY);
            assert_eq!(producer.publish(&message).await.expect("published").queues, ["q"]);
            let got = host.get("q").await.expect("got").expect("a message");
            assert_eq!((&*got.routing_key, &*got.exchange), (KEY, "t"));
            let nowhere = message.clone().routing_key(ByteString::from(b"\xff".as_slice())).mandatory(true);
            let error = producer.publish(&nowhere).await.expect_err("returned");
            assert_eq!(error.code(), "no-route");
            assert!(error.to_string().contains(r"`\xff`"), "{error}");
            let message = message.exchange("").header("CC", keyrail_core::Value::Array(vec!["q".into()]));
            let error = producer.publish(&message).await.expect_err("no name");
            assert_eq!(error.code(), "not-expressible");
            assert!(error.to_string().contains(r"`\xff.end`"), "{error}");
            assert_eq!(host.count("q").await.expect("counted"), 0);
        }
    }
}
