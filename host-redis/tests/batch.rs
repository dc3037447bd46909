//! A batch beside tables that change.

mod support;

use keyrail_redis::{Connection, Freshness, Message, Producer, ProducerOptions};
use support::{RedisServer, proxy::Proxy};

const TABLE: &str = "_kombu.binding.orders";

/// Four pipelines of 64 messages may be under way. The fifth waits for the answer to the first, and is routed after that:
/// by what the server said meanwhile.
#[tokio::test]
async fn what_waits_for_an_answer_is_routed_after_it() {
    let server = RedisServer::start();
    server.command(&["SADD", TABLE, "k\x06\x16\x06\x16before"]);
    let proxy = Proxy::to(server.port);
    let connection = Connection::new(&proxy.url()).expect("a URL");
    let options = ProducerOptions::new().exchange("orders").routing_key("k");
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    // With its table and without anything to wait for, it sends four pipelines before anybody else has a turn.
    assert_eq!(producer.publish(&Message::text("x")).await.expect("published").queues, ["before"]);
    proxy.hold_requests(true);
    let batch: Vec<Message> = (0..320).map(|n| Message::text(n.to_string())).collect();
    let change = async {
        server.command(&["SADD", TABLE, "k\x06\x16\x06\x16after"]);
        server.command(&["SREM", TABLE, "k\x06\x16\x06\x16before"]);
        // The change is announced before any of these is answered.
        assert_eq!(server.command(&["LLEN", "before"]), ":1\r\n");
        proxy.hold_requests(false);
    };
    let (answers, ()) = tokio::join!(biased; producer.publish_all(&batch), change);
    for (n, answer) in answers.into_iter().enumerate() {
        let queue = if n < 256 { "before" } else { "after" };
        assert_eq!(answer.expect("published").queues, [queue], "{n}");
    }
    assert_eq!(server.command(&["LLEN", "before"]), ":257\r\n");
    assert_eq!(server.command(&["LLEN", "after"]), ":64\r\n");
}

/// What waits before the server is overtaken there by a change. A strict producer routes it again, in a batch too.
#[tokio::test]
async fn a_strict_batch_is_overtaken_by_no_change() {
    let server = RedisServer::start();
    server.command(&["SADD", TABLE, "k\x06\x16\x06\x16before"]);
    let proxy = Proxy::to(server.port);
    let connection = Connection::new(&proxy.url()).expect("a URL");
    let options = ProducerOptions::new().exchange("orders").routing_key("k").freshness(Freshness::Strict);
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    assert_eq!(producer.publish(&Message::text("x")).await.expect("published").queues, ["before"]);
    proxy.hold_requests(true);
    let batch = [Message::text("1"), Message::text("2")];
    let change = async {
        server.command(&["SADD", TABLE, "k\x06\x16\x06\x16after"]);
        server.command(&["SREM", TABLE, "k\x06\x16\x06\x16before"]);
        proxy.hold_requests(false);
    };
    let (answers, ()) = tokio::join!(biased; producer.publish_all(&batch), change);
    for answer in answers {
        assert_eq!(answer.expect("published").queues, ["after"]);
    }
    assert_eq!(server.command(&["LLEN", "before"]), ":1\r\n");
    assert_eq!(server.command(&["LLEN", "after"]), ":2\r\n");
}

/// A batch remembers the table of its last message, which is that of one exchange alone. The default one has none.
#[tokio::test]
async fn each_message_of_a_batch_is_routed_by_its_own_exchange() {
    let server = RedisServer::start();
    for exchange in ["orders", "invoices"] {
        let row = format!("k\x06\x16\x06\x16{exchange}.q");
        server.command(&["SADD", &format!("_kombu.binding.{exchange}"), &row]);
    }
    for freshness in [Freshness::Tracked, Freshness::EachPublish, Freshness::Strict] {
        let connection = Connection::new(&server.url()).expect("a URL");
        let options = ProducerOptions::new().routing_key("k").freshness(freshness);
        let producer = Producer::connect(&connection, options).await.expect("a producer");
        let exchanges = ["orders", "invoices", "invoices", "", "orders", "orders", "", "invoices"];
        let batch = exchanges.map(|exchange| Message::text("x").exchange(exchange));
        for (exchange, answer) in exchanges.iter().zip(producer.publish_all(&batch).await) {
            let queue = if exchange.is_empty() { "k".to_owned() } else { format!("{exchange}.q") };
            assert_eq!(answer.expect("published").queues, [queue], "{freshness:?}");
        }
        for (queue, copies) in [("orders.q", 3), ("invoices.q", 3), ("k", 2)] {
            assert_eq!(server.command(&["LLEN", queue]), format!(":{copies}\r\n"), "{freshness:?}");
            server.command(&["DEL", queue]);
        }
    }
}
