//! What cannot go where it belongs: it stays registered, is named once and tried less and less often, and is in nobody's way.

mod support;

use std::time::{Duration, Instant};

use keyrail_core::kombu::{Envelope, Layout};
use keyrail_redis::{Consumer, ConsumerOptions, Host, Next, Outgoing, Redis, RedisOptions, load};
use support::{PATIENCE, RedisServer, next};

async fn host(server: &RedisServer) -> Host<Redis> {
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    Host::from_tables(redis, Layout::default(), load::Options::default())
}

async fn put(host: &Host<Redis>, queue: &str) {
    host.publish(&Outgoing::new("", queue, Envelope::text("x"))).await.expect("published");
}

async fn until_held(server: &RedisServer, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while server.command(&["HLEN", "unacked"]) != format!(":{count}\r\n") {
        assert!(Instant::now() < deadline, "they are taken ahead");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What cannot go back is tried less and less often, whatever else succeeds, and named once; the rest goes.
#[tokio::test]
async fn what_cannot_be_reclaimed_is_named_once_and_the_rest_is_back() {
    let server = RedisServer::start();
    let host = host(&server).await;
    let options = ConsumerOptions { restore_interval: Duration::ZERO, ..ConsumerOptions::default() };
    let mut consumer = host.consumer(vec!["q".into()], options).expect("a consumer");
    put(&host, "q").await;
    let held = next(&mut consumer).await;
    let owner = held.id().split(['#', '.']).nth(1).expect("an owner").to_owned();
    assert!(held.ack().await.expect("acked"));
    // What its lost answers took: more than is moved in one step, and what goes first has no list to go to.
    server.command(&["SET", "wrong", "x"]);
    let mut register = vec!["HSET".to_owned(), "unacked".to_owned()];
    for place in 0..=130 {
        let queue = if place == 130 { "wrong" } else { "good" };
        let payload = String::from_utf8(Envelope::text("x").to_bytes("", queue, "t")).expect("text");
        register.push(format!("t#{owner}.9.{place}#{queue}"));
        register.push(format!(r#"[{payload}, "", "{queue}"]"#));
    }
    server.command(&register.iter().map(String::as_str).collect::<Vec<_>>());
    // A take that fails is one whose messages may be registered.
    server.command(&["SET", "unacked_index", "x"]);
    put(&host, "q").await;
    assert_of_another_type(&mut consumer, "unacked_index").await;
    server.command(&["DEL", "unacked_index"]);
    let mut named = 0;
    let mut listen = async |consumer: &mut Consumer, limit: Duration| {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            match consumer.next(Duration::from_millis(100)).await {
                Ok(Next::Delivery(delivery)) => assert!(delivery.ack().await.expect("acked")),
                Ok(_) => {}
                Err(error) => {
                    assert!(error.to_string().contains("`wrong`"), "{error}");
                    named += 1;
                }
            }
        }
    };
    listen(&mut consumer, Duration::from_millis(500)).await;
    assert_eq!(server.command(&["LLEN", "good"]), ":130\r\n");
    server.command(&["CONFIG", "RESETSTAT"]);
    listen(&mut consumer, Duration::from_secs(1)).await;
    let looks = server.calls(&["hscan"])[0];
    assert!((1..10).contains(&looks), "{looks}");
    server.command(&["DEL", "wrong"]);
    let deadline = Instant::now() + PATIENCE;
    while server.command(&["LLEN", "wrong"]) != ":1\r\n" {
        assert!(Instant::now() < deadline, "it is back");
        listen(&mut consumer, Duration::from_millis(50)).await;
    }
    assert_eq!(named, 1);
}

async fn assert_of_another_type(consumer: &mut Consumer, key: &str) {
    let error = consumer.next(PATIENCE).await.expect_err("another type");
    assert_eq!(error.code(), "wrong-type");
    assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
}

/// A body that its encoding denies, which only its reader finds.
const POISON: &str = r#"{"body": "_", "properties": {"delivery_tag": "t", "body_encoding": "base64"}}"#;

#[tokio::test]
async fn what_cannot_be_put_aside_is_named_once() {
    let server = RedisServer::start();
    let host = host(&server).await;
    let queues = ["a", "b", "q"].map(str::to_owned).to_vec();
    let mut consumer = host.consumer(queues, ConsumerOptions::default()).expect("a consumer");
    let asides = ["a", "b"].map(|queue| format!("keyrail.quarantine.{queue}"));
    for (queue, aside) in ["a", "b"].iter().zip(&asides) {
        server.command(&["SET", aside, "x"]);
        server.command(&["LPUSH", queue, POISON]);
        assert_of_another_type(&mut consumer, aside).await;
    }
    for _ in 0..5 {
        put(&host, "q").await;
        assert!(next(&mut consumer).await.ack().await.expect("acked"));
        assert!(matches!(consumer.next(Duration::from_millis(50)).await, Ok(Next::Idle)));
    }
    for aside in asides {
        server.command(&["DEL", &aside]);
        let Ok(Next::Quarantined { list, .. }) = consumer.next(PATIENCE).await else {
            panic!("not put aside")
        };
        assert_eq!(list, aside);
    }
    assert_eq!(consumer.close().await.expect("closed"), 0);
}

#[tokio::test]
async fn closing_goes_on_behind_a_list_that_takes_nothing() {
    let server = RedisServer::start();
    let host = host(&server).await;
    let queues = ["bad", "q"].map(str::to_owned).to_vec();
    let consumer = host.consumer(queues, ConsumerOptions::default()).expect("a consumer");
    put(&host, "q").await;
    until_held(&server, 1).await;
    put(&host, "bad").await;
    until_held(&server, 2).await;
    server.command(&["SET", "bad", "x"]);
    let error = consumer.close().await.expect_err("one stays");
    assert_eq!(error.code(), "wrong-type");
    assert_eq!(server.command(&["LLEN", "q"]), ":1\r\n");
    assert_eq!(server.command(&["HLEN", "unacked"]), ":1\r\n");
}
