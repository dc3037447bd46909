//! Queues with `x-expires` and their bindings: written, refreshed and kept alive as Kombu 5.7 does.

mod support;

use std::{sync::Arc, time::Duration};

use keyrail_core::{Dialect, Topology, kombu::Layout};
use keyrail_redis::{Connection, ConsumerOptions, Host, Message, Next, Producer, ProducerOptions, load};
use support::{PATIENCE, RedisServer};

const TABLE: &str = "_kombu.binding.orders";
const DEADLINES: &str = "_kombu.binding_deadlines";

/// An expiring queue and one that stays, on one exchange.
fn topology(expires: u64) -> Topology {
    serde_json::from_value(serde_json::json!({
        "exchanges": [{"name": "orders", "kind": "direct"}],
        "queues": [{"name": "eq", "arguments": {"x-expires": expires}}, {"name": "stays"}],
        "bindings": [
            {"source": "orders", "destination": {"queue": "eq"}, "routingKey": "k", "dialect": "kombu57"},
            {"source": "orders", "destination": {"queue": "stays"}, "routingKey": "s", "dialect": "kombu57"},
        ],
    }))
    .expect("a topology")
}

fn score(server: &RedisServer) -> Option<u64> {
    server.command(&["ZSCORE", DEADLINES, "orders"]).lines().nth(1)?.parse().ok()
}

/// Both rows are there, the second one also among the permanent ones.
fn wipe(server: &RedisServer) {
    for key in [TABLE, "_kombu.binding_permanent.orders", DEADLINES] {
        assert_eq!(server.command(&["DEL", key]), ":1\r\n", "{key}");
    }
}

#[track_caller]
fn assert_refreshed(server: &RedisServer) {
    // The row that expires and its deadline, and nothing of what does not expire: somebody may have taken it away.
    assert_eq!(server.command(&["SMEMBERS", TABLE]), "*1\r\n$7\r\nk\x06\x16\x06\x16eq\r\n");
    assert_eq!(server.command(&["EXISTS", "_kombu.binding_permanent.orders"]), ":0\r\n");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis();
    let ahead = i128::from(score(server).expect("a deadline")) - i128::try_from(now).expect("a time");
    assert!((3_500_000..=3_601_000).contains(&ahead), "{ahead}");
}

/// Lets the clock of this process run ahead, and no other's.
async fn later(minutes: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(minutes * 60)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_producer_refreshes_what_expires_every_twenty_minutes() {
    let server = RedisServer::start();
    let connection = Connection::new(&server.url()).expect("a URL");
    let options = ProducerOptions::new().exchange("orders").declare(topology(30_000), Dialect::Kombu57);
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    let publish = async |queue: &str, key: &str| {
        let confirm = producer.publish(&Message::text("x").routing_key(key)).await.expect("published");
        assert_eq!(confirm.queues, [queue]);
    };
    publish("eq", "k").await;
    server.command(&["CONFIG", "RESETSTAT"]);
    later(19).await;
    publish("stays", "s").await;
    assert_eq!(server.calls(&["zadd", "sadd"]), [0, 0], "before its time");
    later(2).await;
    publish("stays", "s").await;
    assert_eq!(server.calls(&["zadd", "sadd"]), [1, 1], "once it is time");
    publish("stays", "s").await;
    assert_eq!(server.calls(&["zadd", "sadd"]), [1, 1], "and not again at once");
    wipe(&server);
    later(21).await;
    producer.publish(&Message::text("x").exchange("").routing_key("any")).await.expect("published");
    assert_refreshed(&server);
}

#[tokio::test]
async fn a_consumer_refreshes_what_expires_and_lets_its_lists_live() {
    let server = RedisServer::start();
    let connection = Connection::new(&server.url()).expect("a URL");
    let redis = connection.connect().await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    let declare = Some((Arc::new(topology(900)), Dialect::Kombu57));
    let options = ConsumerOptions { prefetch: 1, declare, ..ConsumerOptions::default() };
    let mut consumer = host.consumer(vec!["eq".into()], options).expect("a consumer");
    support::cluster::until("it is declared", || score(&server).is_some()).await;
    let producer = Producer::connect(&connection, ProducerOptions::new().exchange("orders")).await;
    let producer = producer.expect("a producer");
    for body in ["1", "2"] {
        let confirm = producer.publish(&Message::text(body).routing_key("k")).await.expect("published");
        assert_eq!(confirm.queues, ["eq"]);
    }
    // One is held, one waits in a list that would expire three times meanwhile.
    let held = consumer.next(PATIENCE).await.expect("taken").delivery().expect("a delivery");
    tokio::time::sleep(Duration::from_millis(2700)).await;
    assert_eq!(server.command(&["LLEN", "eq"]), ":1\r\n");
    held.ack().await.expect("acked");
    assert!(matches!(consumer.next(PATIENCE).await, Ok(Next::Delivery(_))));
    wipe(&server);
    later(21).await;
    support::cluster::until("it is refreshed", || score(&server).is_some()).await;
    assert_refreshed(&server);
    // Nobody keeps alive what nobody consumes any more.
    consumer.close().await.expect("closed");
    server.command(&["CONFIG", "RESETSTAT"]);
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(server.calls(&["pexpire"]), [0]);
}
