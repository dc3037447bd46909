//! Callers that wait less long than it takes to find out that a connection is dead, or to make a new one.

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use keyrail_redis::{Connection, Freshness, Message, Producer, ProducerOptions, TransportOptions};
use support::{PATIENCE, RedisServer, proxy::Proxy};
use tokio::time::timeout;

async fn producer(url: &str, options: &str, freshness: Freshness) -> Producer {
    let options: TransportOptions = options.parse().expect("options");
    let connection = Connection::new(url).expect("a URL").transport_options(options);
    Producer::connect(&connection, ProducerOptions::new().freshness(freshness)).await.expect("a producer")
}

fn message() -> Message {
    Message::text("x").exchange("").routing_key("q")
}

/// As `curl -m` in front of `keyrail serve` behind a proxy that lost its connections.
async fn until_published(producer: &Producer, patience: Duration) -> u32 {
    let deadline = Instant::now() + PATIENCE / 4;
    let mut refused = 0;
    while !matches!(timeout(patience, producer.publish(&message())).await, Ok(Ok(_))) {
        refused += 1;
        assert!(Instant::now() < deadline, "still on the dead connection after {refused} publishes");
    }
    refused
}

#[tokio::test]
async fn a_dead_connection_is_given_up_though_every_caller_goes_away_first() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    // By the limit of an answer, and by the trial of a connection that nothing was heard of.
    for (options, freshness) in [
        (r#"{"socket_timeout": 0.6, "health_check_interval": 0}"#, Freshness::Tracked),
        (
            r#"{"socket_timeout": 60, "health_check_interval": 0.4, "socket_connect_timeout": 0.6}"#,
            Freshness::Tracked,
        ),
        (
            r#"{"socket_timeout": 60, "health_check_interval": 0.4, "socket_connect_timeout": 0.6}"#,
            Freshness::Strict,
        ),
    ] {
        let producer = producer(&proxy.url(), options, freshness).await;
        producer.publish(&message()).await.expect("published");
        proxy.freeze();
        let refused = until_published(&producer, Duration::from_millis(100)).await;
        assert!(refused > 0, "{options}: nothing was frozen");
    }
}

#[tokio::test]
async fn who_waits_for_an_attempt_to_connect_takes_its_error() {
    const CALLERS: usize = 8;
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    let options = r#"{"socket_connect_timeout": 1}"#;
    let producer = Arc::new(producer(&proxy.url(), options, Freshness::Tracked).await);
    proxy.swallow_answers(true);
    assert!(proxy.cut() > 0);
    let refused = async |producer: &Producer| producer.publish(&message()).await.expect_err("nobody answers");
    // Who still finds the old connection hears that it broke. Who finds none waits for an attempt to make one.
    while refused(&producer).await.code() != "redis-unreachable" {}
    let started = Instant::now();
    let tasks = (0..CALLERS).map(|_| {
        let producer = producer.clone();
        tokio::spawn(async move { refused(&producer).await.code() })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.expect("a task"), "redis-unreachable");
    }
    // One after the other they would take a second each.
    assert!(started.elapsed() < Duration::from_secs(CALLERS as u64 - 2), "{:?}", started.elapsed());
    proxy.swallow_answers(false);
    producer.publish(&message()).await.expect("published");
    assert_eq!(server.command(&["LLEN", "q"]), ":1\r\n");
}

#[tokio::test]
async fn a_connection_is_made_though_it_takes_longer_than_any_caller_waits() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    let producer = producer(&proxy.url(), "{}", Freshness::Tracked).await;
    producer.publish(&message()).await.expect("published");
    // A publish takes one answer, a connection at least three.
    proxy.slow_answers(80);
    assert!(proxy.cut() > 0);
    let refused = until_published(&producer, Duration::from_millis(150)).await;
    assert!(refused > 0, "it did not take long");
}

/// Whoever waits for the whole time of an answer gets an error, and nobody after it goes on the same way.
#[tokio::test]
async fn a_connection_that_answers_nothing_in_time_is_given_up() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    for freshness in [Freshness::Tracked, Freshness::Strict] {
        let producer = producer(&proxy.url(), r#"{"socket_timeout": 0.3}"#, freshness).await;
        producer.publish(&message()).await.expect("published");
        proxy.freeze();
        let error = producer.publish(&message()).await.expect_err("nobody answers");
        assert_eq!(error.code(), "redis-timeout", "{freshness:?}: {error}");
        producer.publish(&message()).await.expect("published on a new connection");
    }
}
