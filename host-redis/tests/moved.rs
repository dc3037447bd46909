//! An address that leads to another server from now on, behind a name, a proxy or a virtual address: a failover ends no
//! connection, so whoever stays on his would never hear of it.

mod support;

use std::time::Duration;

use keyrail_core::kombu::{Envelope, Layout};
use keyrail_redis::{
    Connection, Consumer, ConsumerOptions, Freshness, Host, Message, Next, Outgoing, Producer,
    ProducerOptions, Redis, RedisOptions, RetryPolicy, load,
};
use support::{PATIENCE, RedisServer, cluster::until, free_port, next, proxy::Proxy, put};
use tokio::time::{sleep, timeout};

async fn host(url: &str) -> Host<Redis> {
    let (redis, _) = Redis::connect(url, RedisOptions::default()).await.expect("Redis");
    Host::from_tables(redis, Layout::default(), load::Options::default())
}

fn consumer(host: &Host<Redis>) -> Consumer {
    host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer")
}

fn follow(replica: &RedisServer, port: u16) {
    replica.command(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
}

#[tokio::test]
async fn consumers_and_producers_follow_a_failover_behind_one_address() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    old.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    follow(&new, old.port);
    until("the replica follows", || new.command(&["INFO", "replication"]).contains("master_link_status:up"))
        .await;
    old.command(&["SADD", "_kombu.binding.e", "q\x06\x16\x06\x16q"]);
    let proxy = Proxy::to(old.port);
    let host = host(&proxy.url()).await;
    let mut consumer = consumer(&host);
    let mut producers = Vec::new();
    for freshness in [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish] {
        let wait = Duration::from_millis(50);
        let retry = RetryPolicy {
            max_retries: Some(600),
            interval_start: wait,
            interval_max: wait,
            ..RetryPolicy::default()
        };
        let connection = Connection::new(&proxy.url()).expect("a URL");
        let options = ProducerOptions::new().retry(retry).freshness(freshness);
        producers.push(Producer::connect(&connection, options).await.expect("a producer"));
    }
    put(&host, "held").await;
    let held = next(&mut consumer).await;
    until("the replica knows", || new.command(&["HLEN", "unacked"]) == ":1\r\n").await;

    new.command(&["REPLICAOF", "NO", "ONE"]);
    follow(&old, new.port);
    proxy.lead_to(new.port);
    assert!(timeout(PATIENCE, held.ack()).await.expect("an end").expect("acked"), "the new one knew of it");
    for producer in &producers {
        for exchange in ["e", ""] {
            let message = Message::text("x").exchange(exchange).routing_key("q");
            timeout(PATIENCE, producer.publish(&message)).await.expect("an end").expect("published");
            assert!(next(&mut consumer).await.ack().await.expect("acked"));
        }
    }
    assert_eq!(consumer.close().await.expect("closed"), 0);
    assert_eq!(new.command(&["DEL", "_kombu.binding.e"]), ":1\r\n");
    assert_eq!(new.command(&["DBSIZE"]), ":0\r\n");
}

/// The old one may be cut off from the new one: taking from its empty lists writes nothing that it would refuse.
#[tokio::test]
async fn a_consumer_that_waits_does_not_stay_with_an_empty_replica() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let proxy = Proxy::to(old.port);
    let mut consumer = consumer(&host(&proxy.url()).await);
    assert!(matches!(consumer.next(Duration::from_millis(200)).await, Ok(Next::Idle)));
    follow(&old, free_port());
    // Whoever waits connects anew, as long as the address leads to the old one.
    assert!(matches!(consumer.next(Duration::from_millis(300)).await, Ok(Next::Idle)));
    proxy.lead_to(new.port);
    put(&host(&new.url()).await, "x").await;
    assert!(next(&mut consumer).await.ack().await.expect("acked"));
}

/// Where the same server answers again, it is not connected to again and again.
#[tokio::test]
async fn a_server_that_is_a_replica_for_a_while_keeps_its_connections() {
    let server = RedisServer::start();
    let host = host(&server.url()).await;
    follow(&server, free_port());
    sleep(Duration::from_millis(1100)).await;
    server.command(&["CONFIG", "RESETSTAT"]);
    for _ in 0..200 {
        let error = host.publish(&Outgoing::new("", "q", Envelope::text("x"))).await.expect_err("no writes");
        assert_eq!(error.code(), "redis-unavailable");
        sleep(Duration::from_millis(2)).await;
    }
    // What connects says PING.
    let connected = server.calls(&["ping"])[0];
    assert!((1..=2).contains(&connected), "{connected}");
    server.command(&["REPLICAOF", "NO", "ONE"]);
    put(&host, "x").await;
    assert_eq!(server.command(&["LLEN", "q"]), ":1\r\n");
}
