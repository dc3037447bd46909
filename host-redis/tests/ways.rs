//! What becomes of a message is the same however its producer's tables are read, and alone as in a batch.

mod support;

use std::{collections::BTreeMap, time::Duration};

use keyrail_core::{
    Dialect, Outcome, Topology, Value,
    kombu::{Member, SEPARATOR},
};
use keyrail_redis::{Confirm, Connection, Freshness, Message, ProduceError, Producer, ProducerOptions};
use support::RedisServer;

const WAYS: [Freshness; 3] = [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish];

async fn producer(server: &RedisServer, transport: &str, options: ProducerOptions) -> Producer {
    let connection = Connection::new(&server.url()).expect("a URL");
    let connection = connection.transport_options(transport.parse().expect("options"));
    Producer::connect(&connection, options).await.expect("a producer")
}

/// The answers to this message alone, and in a batch behind another one to the same exchange.
async fn both_ways(producer: &Producer, message: &Message) -> [Result<Confirm, ProduceError>; 2] {
    let first = message.clone().routing_key("kept");
    let mut batch = producer.publish_all(&[first, message.clone()]).await;
    [producer.publish(message).await, batch.pop().expect("two answers")]
}

/// Somebody may have unbound one queue and left the others, so that the exchange is there and the message finds nobody.
#[tokio::test]
async fn what_finds_nobody_is_declared_again() {
    let topology: Topology = serde_json::from_value(serde_json::json!({
        "exchanges": [{"name": "e", "kind": "topic"}],
        "queues": [{"name": "q"}, {"name": "kept"}],
        "bindings": [
            {"source": "e", "destination": {"queue": "q"}, "routingKey": "a.*"},
            {"source": "e", "destination": {"queue": "kept"}, "routingKey": "kept"},
        ],
    }))
    .expect("a topology");
    let row = Member::topic("a.*", "q", Dialect::Kombu57).expect("a key").to_bytes(SEPARATOR).expect("a row");
    let row = String::from_utf8(row).expect("text");
    for freshness in WAYS {
        let server = RedisServer::start();
        let options = ProducerOptions::new().exchange("e").freshness(freshness);
        let options = options.declare(topology.clone(), Dialect::Kombu57);
        let producer = producer(&server, "{}", options).await;
        for in_a_batch in [false, true] {
            producer.publish(&Message::text("x").routing_key("kept")).await.expect("published");
            assert_eq!(server.command(&["SREM", "_kombu.binding.e", &row]), ":1\r\n");
            // So that the change was announced.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let messages = ["kept", "a.b"].map(|key| Message::text("x").routing_key(key));
            let confirm = match in_a_batch {
                false => producer.publish(&messages[1]).await,
                true => producer.publish_all(&messages).await.pop().expect("an answer"),
            };
            assert_eq!(confirm.expect("published").queues, ["q"], "{freshness:?} {in_a_batch}");
            assert_eq!(server.command(&["SISMEMBER", "_kombu.binding.e", &row]), ":1\r\n");
        }
        assert_eq!(server.command(&["LLEN", "q"]), ":2\r\n", "{freshness:?}");
        // Or all of them: there is no such exchange then.
        for in_a_batch in [false, true] {
            server.command(&["FLUSHALL"]);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let message = Message::text("x").routing_key("a.b");
            let confirm = match in_a_batch {
                false => producer.publish(&message).await,
                true => producer.publish_all(&[message.clone(), message]).await.pop().expect("an answer"),
            };
            assert_eq!(confirm.expect("published").queues, ["q"], "{freshness:?} {in_a_batch}");
        }
    }
}

#[tokio::test]
async fn what_nobody_gets_goes_to_the_dead_letter_queue() {
    let server = RedisServer::start();
    server.command(&["SADD", "_kombu.binding.e", "kept\x06\x16\x06\x16kept"]);
    for freshness in WAYS {
        let options = ProducerOptions::new().exchange("e").mandatory(true).freshness(freshness);
        let producer = producer(&server, r#"{"deadletter_queue": "dead"}"#, options).await;
        for answer in both_ways(&producer, &Message::text("x").routing_key("lost")).await {
            let confirm = answer.expect("published");
            assert_eq!((confirm.outcome, confirm.dead_lettered), (Outcome::Routed, true), "{freshness:?}");
            assert_eq!(confirm.queues, ["dead"]);
        }
        assert_eq!(server.command(&["LLEN", "dead"]), ":2\r\n", "{freshness:?}");
        server.command(&["DEL", "dead"]);
    }
}

/// On the default exchange keys are queues, those of `CC` and `BCC` too.
#[tokio::test]
async fn a_queue_that_is_named_twice_gets_one_copy() {
    let server = RedisServer::start();
    let names = |names: &[&str]| Value::Array(names.iter().map(|name| (*name).into()).collect());
    let message = Message::text("x").exchange("").routing_key("q");
    let message = message.header("CC", names(&["q", "r", "r"])).header("BCC", names(&["r", "s", "q"]));
    for freshness in WAYS {
        let producer = producer(&server, "{}", ProducerOptions::new().freshness(freshness)).await;
        let batch = producer.publish_all(std::slice::from_ref(&message)).await;
        for answer in batch.into_iter().chain([producer.publish(&message).await]) {
            assert_eq!(answer.expect("published").queues, ["q", "r", "s"], "{freshness:?}");
        }
        for queue in ["q", "r", "s"] {
            assert_eq!(server.command(&["LLEN", queue]), ":2\r\n", "{freshness:?} {queue}");
            server.command(&["DEL", queue]);
        }
    }
}

/// What reads its table for each message does so in a batch, too.
#[tokio::test]
async fn each_message_of_a_batch_reads_the_table_if_that_was_asked_for() {
    let server = RedisServer::start();
    server.command(&["SADD", "_kombu.binding.e", "k\x06\x16\x06\x16q"]);
    let reads = || server.calls(&["smembers"])[0];
    let mut counts = BTreeMap::new();
    for freshness in WAYS {
        let options = ProducerOptions::new().exchange("e").routing_key("k").freshness(freshness);
        let producer = producer(&server, "{}", options).await;
        let before = reads();
        for answer in producer.publish_all(&vec![Message::text("x"); 5]).await {
            assert_eq!(answer.expect("published").queues, ["q"]);
        }
        counts.insert(format!("{freshness:?}"), reads() - before);
    }
    let one = counts["Tracked"];
    assert!(one > 0);
    assert_eq!((counts["Strict"], counts["EachPublish"]), (one, 5 * one), "{counts:?}");
}
