//! What a consumer declares: beside its taking, again after an outage, and before the command takes anything.

mod support;

use std::sync::Arc;

use keyrail_core::{Dialect, Topology};
use keyrail_redis::{Connection, Consumer, ConsumerOptions, Message, Producer, ProducerOptions};
use support::{Folder, PATIENCE, RedisServer, cluster::until, host, keyrail, succeed, text};

const TABLE: &str = "_kombu.binding.orders";

/// A queue on an exchange; nothing expires, or it does after half a minute.
fn topology(expires: bool) -> Topology {
    let arguments = if expires { serde_json::json!({"x-expires": 30_000}) } else { serde_json::json!({}) };
    serde_json::from_value(serde_json::json!({
        "exchanges": [{"name": "orders", "kind": "direct"}],
        "queues": [{"name": "q", "arguments": arguments}],
        "bindings": [
            {"source": "orders", "destination": {"queue": "q"}, "routingKey": "k", "dialect": "kombu57"},
        ],
    }))
    .expect("a topology")
}

async fn consumer(connection: &Connection, expires: bool) -> Consumer {
    let declare = Some((Arc::new(topology(expires)), Dialect::Kombu57));
    let options = ConsumerOptions { declare, ..ConsumerOptions::default() };
    let redis = connection.connect().await.expect("Redis");
    host(redis).consumer(vec!["q".into()], options).expect("a consumer")
}

fn is_declared(server: &RedisServer) -> bool {
    server.command(&["SMEMBERS", TABLE]) == "*1\r\n$6\r\nk\x06\x16\x06\x16q\r\n"
}

/// Publishes to this exchange, and takes and acks what comes of it.
async fn passes(connection: &Connection, consumer: &mut Consumer, exchange: &str, key: &str) {
    let producer = Producer::connect(connection, ProducerOptions::new()).await.expect("a producer");
    let message = Message::text("x").exchange(exchange).routing_key(key);
    assert_eq!(producer.publish(&message).await.expect("published").queues, ["q"]);
    let delivery = consumer.next(PATIENCE).await.expect("taken").delivery().expect("a delivery");
    assert!(delivery.ack().await.expect("acked"));
}

/// A server without persistence comes back empty, and nobody else would bind the queue again.
#[tokio::test]
async fn what_was_declared_is_declared_again_after_an_outage() {
    for expires in [false, true] {
        let mut server = RedisServer::start();
        let connection = Connection::new(&server.url()).expect("a URL");
        let mut consumer = consumer(&connection, expires).await;
        until("it is declared", || is_declared(&server)).await;
        for _ in 0..2 {
            passes(&connection, &mut consumer, "orders", "k").await;
            server.restart();
            until("it is declared again", || is_declared(&server)).await;
        }
        passes(&connection, &mut consumer, "orders", "k").await;
        consumer.close().await.expect("closed");
    }
}

/// What cannot be declared is tried again and keeps nothing from being taken.
#[tokio::test]
async fn what_cannot_be_declared_yet_stops_nobody() {
    let server = RedisServer::start();
    server.command(&["SET", "keyrail.queue", "no hash"]);
    let connection = Connection::new(&server.url()).expect("a URL");
    let mut consumer = consumer(&connection, false).await;
    passes(&connection, &mut consumer, "", "q").await;
    assert_eq!(server.command(&["EXISTS", TABLE]), ":0\r\n", "half declared");
    server.command(&["DEL", "keyrail.queue"]);
    until("it is declared", || is_declared(&server)).await;
    passes(&connection, &mut consumer, "orders", "k").await;
    consumer.close().await.expect("closed");
}

/// The command may take what is there and be gone in a moment; what it is to declare is there before.
#[tokio::test]
async fn the_command_declares_before_it_takes() {
    let server = RedisServer::start();
    let connection = Connection::new(&server.url()).expect("a URL");
    let producer = Producer::connect(&connection, ProducerOptions::new()).await.expect("a producer");
    producer.publish(&Message::text("x").routing_key("q")).await.expect("published");
    let folder = Folder::new();
    let file = folder.file("t.json", serde_json::to_string(&topology(false)).expect("JSON"));
    let args = ["consume", "--redis", &server.url(), "-q", "q", "--declare", "--topology", &file, "-n", "1"];

    assert_eq!(succeed(args), "q q x\n");
    assert!(is_declared(&server));

    // What cannot be declared yet is told and stops nobody.
    server.command(&["FLUSHALL"]);
    server.command(&["SET", "keyrail.queue", "no hash"]);
    producer.publish(&Message::text("y").routing_key("q")).await.expect("published");
    let output = keyrail(args);
    let told = text(&output.stderr);
    assert!(told.starts_with("keyrail: `keyrail.queue` holds another type"), "{told}");
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "q q y\n"));
    assert_eq!(server.command(&["EXISTS", TABLE, "q", "unacked"]), ":0\r\n");
}
