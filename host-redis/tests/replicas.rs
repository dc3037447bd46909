//! Waiting for replicas that are missing, slow or out of sight: the message is published all the same, and once.

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use keyrail_redis::{
    Confirm, Connection, Freshness, Message, Producer, ProducerOptions, RetryPolicy, TransportOptions,
};
use support::{PATIENCE, RedisServer, cluster::until, free_port, proxy::Proxy};
use tokio::time::timeout;

/// One who waits longer for replicas than for an answer, and tries everything again.
async fn producer(url: &str, limit: Duration, freshness: Freshness) -> Arc<Producer> {
    let options: TransportOptions = r#"{"socket_timeout": 0.5}"#.parse().expect("options");
    let connection = Connection::new(url).expect("a URL").transport_options(options);
    let retry = RetryPolicy { max_retries: Some(2), ..RetryPolicy::celery() };
    let options = ProducerOptions::new().replicas(1, limit).retry(retry).freshness(freshness);
    Arc::new(Producer::connect(&connection, options).await.expect("a producer"))
}

async fn publish(producer: &Producer) -> Confirm {
    let message = Message::text("x").exchange("").routing_key("q");
    timeout(PATIENCE, producer.publish(&message)).await.expect("an end").expect("published")
}

#[tokio::test]
async fn a_replica_that_is_missing_makes_nobody_publish_again() {
    let server = RedisServer::start();
    let limit = Duration::from_millis(1200);
    for freshness in [Freshness::Tracked, Freshness::Strict] {
        let producer = producer(&server.url(), limit, freshness).await;
        let started = Instant::now();
        let confirm = publish(&producer).await;
        assert_eq!((confirm.replicas, confirm.attempts), (Some(0), 1), "{freshness:?}");
        assert!(started.elapsed() >= limit, "it was waited for");
        assert_eq!(server.command(&["LLEN", "q"]), ":1\r\n");
        server.command(&["DEL", "q"]);
    }
}

/// Each waits in its turn, and nobody for so long that others give the connection up.
#[tokio::test]
async fn many_who_wait_for_a_missing_replica_time_nobody_out() {
    const COUNT: usize = 12;
    let server = RedisServer::start();
    let producer = producer(&server.url(), Duration::from_millis(700), Freshness::Tracked).await;
    server.command(&["CONFIG", "RESETSTAT"]);
    let tasks = (0..COUNT).map(|_| {
        let producer = producer.clone();
        tokio::spawn(async move { publish(&producer).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        let confirm = task.await.expect("a task");
        assert_eq!((confirm.replicas, confirm.attempts), (Some(0), 1));
    }
    assert_eq!(server.command(&["LLEN", "q"]), format!(":{COUNT}\r\n"));
    assert_eq!(server.calls(&["hello", "ping"]), [0, 0], "on the connection that was there");
}

#[tokio::test]
async fn a_connection_that_breaks_while_it_waits_is_no_error_of_the_publish() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    let producer = producer(&proxy.url(), PATIENCE, Freshness::Tracked).await;
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { publish(&producer).await }
    });
    let deadline = Instant::now() + PATIENCE;
    while !server.command(&["CLIENT", "LIST"]).contains("cmd=wait ") {
        assert!(Instant::now() < deadline, "nobody waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(proxy.cut() > 0);
    let confirm = waiting.await.expect("a task");
    assert_eq!((confirm.replicas, confirm.attempts), (Some(0), 1));
    assert_eq!(server.command(&["LLEN", "q"]), ":1\r\n");
}

#[tokio::test]
async fn a_batch_waits_for_replicas_too() {
    let server = RedisServer::start();
    for freshness in [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish] {
        let producer = producer(&server.url(), Duration::from_millis(50), freshness).await;
        let message = Message::text("x").exchange("").routing_key("q");
        for answer in producer.publish_all(&[message.clone(), message]).await {
            assert_eq!(answer.expect("published").replicas, Some(0), "{freshness:?}");
        }
    }
    assert_eq!(server.command(&["LLEN", "q"]), ":6\r\n");
}

/// Two wait for a replica that is not there, one after the other. When it is the other's turn the connection is gone, and
/// a new one leads to another server, which never had the message and would say that its replica has everything.
#[tokio::test]
async fn what_another_connection_says_of_replicas_is_not_believed() {
    let (server, another) = (RedisServer::start(), RedisServer::start());
    another.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    let port = another.port.to_string();
    let replica = RedisServer::start_on(free_port(), &["--replicaof", "127.0.0.1", &port]);
    until("the replica follows", || {
        replica.command(&["INFO", "replication"]).contains("master_link_status:up")
    })
    .await;
    let proxy = Proxy::to(server.port);
    let connection = Connection::new(&proxy.url()).expect("a URL");
    let options = ProducerOptions::new().replicas(1, PATIENCE);
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    let cut = async {
        let asks = || server.command(&["CLIENT", "LIST"]).contains("cmd=wait ");
        until("somebody waits", asks).await;
        // Both have what the server said to their pushes, which it was sent before.
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.lead_to(another.port);
        assert!(proxy.cut() > 0);
    };
    let (one, other, ()) = tokio::join!(publish(&producer), publish(&producer), cut);
    assert_eq!([one.replicas, other.replicas], [Some(0); 2]);
    assert_eq!([one.attempts, other.attempts], [1; 2]);
    assert_eq!(server.command(&["LLEN", "q"]), ":2\r\n");
    assert_eq!(another.command(&["EXISTS", "q"]), ":0\r\n");
    assert_eq!(publish(&producer).await.replicas, Some(1), "what is written there now, it has");
}

/// A WAIT holds up what is sent after it, so no second one may lie there.
#[tokio::test]
async fn one_waits_for_replicas_at_a_time() {
    let server = RedisServer::start();
    let producer = producer(&server.url(), PATIENCE, Freshness::Tracked).await;
    let look = async {
        let waiting = || {
            let clients = server.command(&["CLIENT", "LIST"]);
            clients.lines().find(|line| line.contains("cmd=wait ")).map(str::to_owned)
        };
        until("somebody waits", || waiting().is_some()).await;
        assert_eq!(server.command(&["LLEN", "q"]), ":2\r\n", "both were sent before");
        for _ in 0..20 {
            let client = waiting().expect("it waits on");
            assert!(client.contains(" qbuf=0 "), "something lies behind it: {client}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let both = async { tokio::join!(publish(&producer), publish(&producer)) };
    tokio::select! {
        ended = both => panic!("nobody waits any more: {ended:?}"),
        () = look => {}
    }
}
