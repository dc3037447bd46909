//! A batch beside tables that change.

mod support;

use keyrail_redis::{Connection, Message, Producer, ProducerOptions};
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
