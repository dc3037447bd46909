//! Servers that take no writes for a while, forget everything, or hold what is of no use: consumers and workers go on.

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, Topology,
    kombu::{Envelope, Layout},
};
use keyrail_redis::{
    Connection, Consumer, ConsumerOptions, Freshness, Host, Message, Next, Outgoing, Producer,
    ProducerOptions, Redis, RedisOptions, Requeue, RetryPolicy, SimpleQueue, TransportOptions,
    celery::Worker, load,
};
use support::{PATIENCE, RedisServer, free_port, keyrail_with, next, put, succeed, text};

async fn host(server: &RedisServer) -> Host<Redis> {
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    Host::from_tables(redis, Layout::default(), load::Options::default())
}

/// Makes a server the replica of nobody: it keeps what it has, and answers READONLY to who writes.
fn freeze(server: &RedisServer) {
    server.command(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
}

fn thaw(server: &RedisServer) {
    server.command(&["REPLICAOF", "NO", "ONE"]);
}

#[tokio::test]
async fn what_is_settled_waits_for_a_server_that_takes_no_writes() {
    let server = RedisServer::start();
    let host = host(&server).await;
    for body in ["acked", "requeued", "unread"] {
        put(&host, body).await;
    }
    let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
    let (acked, requeued) = (next(&mut consumer).await, next(&mut consumer).await);
    freeze(&server);
    server.command(&["CONFIG", "RESETSTAT"]);
    let (acked, requeued) = (acked.ack(), requeued.requeue(Requeue::Last));
    let unread = next(&mut consumer).await;
    // It mends itself, so nobody is told, and it is not asked again and again.
    assert!(matches!(consumer.next(Duration::from_secs(1)).await, Ok(Next::Idle)));
    let tries = server.calls(&["evalsha"])[0];
    assert!((2..100).contains(&tries), "{tries}");
    thaw(&server);
    assert!(acked.await.expect("acked after all"));
    assert!(requeued.await.expect("put back after all"));
    assert!(unread.ack().await.expect("acked"));
    let again = next(&mut consumer).await;
    assert_eq!(again.message().body.as_text(), Some("requeued"));
    assert!(again.ack().await.expect("acked"));
    assert_eq!(consumer.close().await.expect("closed"), 0);
    assert_eq!(server.command(&["DBSIZE"]), ":0\r\n");
}

/// Taking from empty lists writes nothing that would be refused, and says nothing of what is.
#[tokio::test]
async fn an_ack_that_is_refused_is_not_sent_without_a_rest() {
    let server = RedisServer::start();
    let host = host(&server).await;
    put(&host, "x").await;
    let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
    let delivery = next(&mut consumer).await;
    freeze(&server);
    server.command(&["CONFIG", "RESETSTAT"]);
    let acked = delivery.ack();
    assert!(matches!(consumer.next(Duration::from_secs(1)).await, Ok(Next::Idle)));
    let tries = server.calls(&["evalsha"])[0];
    assert!((2..100).contains(&tries), "{tries}");
    thaw(&server);
    assert!(acked.await.expect("acked after all"));
}

/// A server without memory takes back what it was asked to as soon as it has some, and says so meanwhile.
#[tokio::test]
async fn what_is_settled_waits_for_memory_and_for_snapshots() {
    let server = RedisServer::start();
    let host = host(&server).await;
    for body in ["acked", "requeued"] {
        put(&host, body).await;
    }
    let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
    let (acked, requeued) = (next(&mut consumer).await, next(&mut consumer).await);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let requeued = requeued.requeue(Requeue::Last);
    assert_refused(&mut consumer, "OOM").await;
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(requeued.await.expect("put back after all"));
    let requeued = next(&mut consumer).await;
    // Without its folder it can write no snapshot.
    server.lose_folder();
    server.command(&["CONFIG", "SET", "save", "3600 100000"]);
    server.command(&["BGSAVE"]);
    let deadline = Instant::now() + PATIENCE;
    while !server.command(&["SET", "probe", "x"]).starts_with("-MISCONF") {
        assert!(Instant::now() < deadline, "a snapshot fails");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let acked = acked.ack();
    assert_refused(&mut consumer, "MISCONF").await;
    server.command(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
    assert!(acked.await.expect("acked after all"));
    assert!(requeued.ack().await.expect("acked"));
    assert_eq!(consumer.close().await.expect("closed"), 0);
    server.command(&["DEL", "probe"]);
    assert_eq!(server.command(&["DBSIZE"]), ":0\r\n");
}

async fn assert_refused(consumer: &mut Consumer, code: &str) {
    let error = consumer.next(PATIENCE).await.expect_err("refused");
    assert!(error.to_string().contains(code), "{error}");
}

/// To several queues it is one step, whose errors are the server's as those of a single command are.
#[tokio::test]
async fn a_producer_waits_for_a_server_that_takes_no_writes() {
    let server = RedisServer::start();
    let mut topology = orders();
    let second =
        BindingDefinition { destination: DestinationName::Queue("r".into()), ..topology.bindings[0].clone() };
    topology.bindings.push(second);
    let connection = Connection::new(&server.url()).expect("a URL");
    let wait = Duration::from_millis(20);
    let policy = RetryPolicy { interval_start: wait, interval_max: wait, ..RetryPolicy::default() };
    let often = ProducerOptions::new().exchange("orders").retry(policy).declare(topology, Dialect::Kombu57);
    let ways = [often.clone(), often.clone().once(PATIENCE), often.freshness(Freshness::Strict)];
    for (round, options) in ways.into_iter().enumerate() {
        let producer = Producer::connect(&connection, options).await.expect("a producer");
        let message = Message::text("x").routing_key("order.paid");
        assert_eq!(producer.publish(&message).await.expect("published").queues, ["q", "r"]);
        freeze(&server);
        let later = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            thaw(&server);
        };
        let batch = [message.clone(), message.clone()];
        let alone = [Message::text("x").exchange("").routing_key("s")];
        let (one, all, alone, ()) = tokio::join!(
            producer.publish(&message),
            producer.publish_all(&batch),
            producer.publish_all(&alone),
            later
        );
        assert_eq!(alone[0].as_ref().expect("published after all").queues, ["s"]);
        for confirm in all.into_iter().chain([one]) {
            assert_eq!(confirm.expect("published after all").queues, ["q", "r"]);
        }
        for queue in ["q", "r"] {
            assert_eq!(server.command(&["LLEN", queue]), format!(":{}\r\n", 4 * (round + 1)));
        }
    }
}

/// A take that failed makes a consumer look for what it took. What it has in hand, or has yet to settle, is not that.
#[tokio::test]
async fn what_is_yet_to_be_settled_is_not_taken_for_lost() {
    let server = RedisServer::start();
    let host = host(&server).await;
    for body in ["1", "2", "3", "4"] {
        put(&host, body).await;
    }
    let options = ConsumerOptions { prefetch: 3, ..ConsumerOptions::default() };
    let mut consumer = host.consumer(vec!["q".into()], options).expect("a consumer");
    let (acked, requeued) = (next(&mut consumer).await, next(&mut consumer).await);
    let in_hand = next(&mut consumer).await;
    freeze(&server);
    let (acked, requeued) = (acked.ack(), requeued.requeue(Requeue::Last));
    // There is room now, and a message for it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    thaw(&server);
    assert!(acked.await.expect("acked after all"));
    assert!(requeued.await.expect("put back after all"));
    assert!(in_hand.ack().await.expect("still held"));
    for (body, again) in [("4", false), ("2", true)] {
        let delivery = next(&mut consumer).await;
        assert_eq!((delivery.message().body.as_text(), delivery.redelivered()), (Some(body), again));
        assert!(delivery.ack().await.expect("acked"));
    }
    assert_eq!(consumer.close().await.expect("closed"), 0);
    assert_eq!(server.command(&["DBSIZE"]), ":0\r\n");
}

/// An error that does not go away by itself is told, and whoever has mended it may try again.
#[tokio::test]
async fn what_could_not_be_settled_is_still_held() {
    let server = RedisServer::start();
    let host = host(&server).await;
    put(&host, "1").await;
    put(&host, "2").await;
    let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
    let (acked, requeued) = (next(&mut consumer).await, next(&mut consumer).await);
    server.command(&["RENAME", "unacked", "kept"]);
    server.command(&["SADD", "unacked", "no hash"]);
    assert_eq!(acked.ack().await.expect_err("a set").code(), "wrong-type");
    assert_eq!(requeued.requeue(Requeue::Last).await.expect_err("a set").code(), "wrong-type");
    server.command(&["DEL", "unacked"]);
    server.command(&["RENAME", "kept", "unacked"]);
    assert!(requeued.requeue(Requeue::Last).await.expect("put back after all"));
    assert!(acked.ack().await.expect("acked after all"));
    // What was refused is told, too, as often as the key was found to be of another type.
    let again = loop {
        match consumer.next(PATIENCE).await {
            Ok(next) => break next.delivery().expect("a delivery"),
            Err(error) => {
                assert!(error.code() == "wrong-type" || error.to_string().contains("WRONGTYPE"), "{error}");
            }
        }
    };
    assert_eq!((again.message().body.as_text(), again.redelivered()), (Some("2"), true));
    assert!(again.ack().await.expect("acked"));
    assert_eq!(server.command(&["DBSIZE"]), ":0\r\n");
}

#[tokio::test]
async fn what_is_no_message_is_put_aside_once_that_can_be_done() {
    let server = RedisServer::start();
    let host = host(&server).await;
    // Its reader alone finds that out.
    let poison = r#"{"body": "", "properties": {"delivery_tag": "t", "body_encoding": "rot13"}}"#;
    server.command(&["LPUSH", "q", poison]);
    let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
    let deadline = Instant::now() + PATIENCE;
    while server.command(&["HLEN", "unacked"]) != ":1\r\n" {
        assert!(Instant::now() < deadline, "it is taken ahead");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    freeze(&server);
    let (put_aside, ()) = tokio::join!(consumer.next(PATIENCE), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        thaw(&server);
    });
    assert!(matches!(put_aside, Ok(Next::Quarantined { .. })), "{put_aside:?}");
    assert_eq!(server.command(&["LLEN", "keyrail.quarantine.q"]), ":1\r\n");
    assert_eq!(server.command(&["EXISTS", "q", "unacked", "unacked_index"]), ":0\r\n");
}

/// What was called back can be handed out to nobody, so it must go as soon as it can.
#[tokio::test]
async fn a_recover_that_fails_strands_nothing() {
    let server = RedisServer::start();
    let host = host(&server).await;
    let bodies: Vec<String> = (0..4).map(|n| n.to_string()).collect();
    let options = ConsumerOptions { prefetch: 4, ..ConsumerOptions::default() };
    let mut consumer = host.consumer(vec!["q".into()], options).expect("a consumer");
    for body in &bodies {
        put(&host, body).await;
    }
    let deadline = Instant::now() + PATIENCE;
    // Halves are taken, so three or four, as they come.
    while ![":3\r\n", ":4\r\n"].contains(&&*server.command(&["HLEN", "unacked"])) {
        assert!(Instant::now() < deadline, "they are taken ahead");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    freeze(&server);
    assert_eq!(consumer.recover().await.expect_err("no writes").code(), "redis-unavailable");
    thaw(&server);
    for body in &bodies {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.message().body.as_text(), Some(&**body));
        assert!(delivery.ack().await.expect("acked"));
    }
    assert_eq!(consumer.close().await.expect("closed"), 0);
    assert_eq!(server.command(&["DBSIZE"]), ":0\r\n");
}

fn orders() -> Topology {
    Topology {
        exchanges: vec![ExchangeDefinition::durable("orders", ExchangeKind::Topic)],
        bindings: vec![BindingDefinition {
            source: "orders".into(),
            destination: DestinationName::Queue("q".into()),
            routing_key: "order.*".into(),
            arguments: keyrail_core::Table::new(),
            dialect: Dialect::Kombu57,
            pattern: None,
        }],
        ..Topology::default()
    }
}

#[tokio::test]
async fn a_consumer_declares_again_what_a_restart_forgot() {
    let mut server = RedisServer::start();
    let options = ConsumerOptions {
        declare: Some((Arc::new(orders()), Dialect::Kombu57)),
        ..ConsumerOptions::default()
    };
    let host = host(&server).await;
    let mut consumer = host.consumer(vec!["q".into()], options).expect("a consumer");
    for _ in 0..2 {
        let deadline = Instant::now() + PATIENCE;
        while server.command(&["SCARD", "_kombu.binding.orders"]) != ":1\r\n" {
            assert!(Instant::now() < deadline, "the binding is there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let sent = host.publish(&Outgoing::new("orders", "order.paid", Envelope::text("x"))).await;
        assert_eq!(sent.expect("published").queues, ["q"]);
        next(&mut consumer).await.ack().await.expect("acked");
        server.restart();
    }
}

/// A delivery of Kombu's that is two hours old, which is young where all peers say twelve.
async fn two_hours_old(server: &RedisServer) {
    let payload = String::from_utf8(Envelope::text("x").to_bytes("", "q", "t")).expect("text");
    let record = format!(r#"[{payload}, "", "q"]"#);
    server.command(&["HSET", "unacked", "t", &record]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let since = (now - Duration::from_secs(7200)).as_secs().to_string();
    server.command(&["ZADD", "unacked_index", &since, "t"]);
}

const TWELVE_HOURS: &str = r#"{"visibility_timeout": 43200}"#;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_restores_what_is_young_by_the_transport_options() {
    let server = RedisServer::start();
    two_hours_old(&server).await;
    let options: TransportOptions = TWELVE_HOURS.parse().expect("options");
    let options = ConsumerOptions::from(&options);
    let host = host(&server).await;
    let mut queue = SimpleQueue::open_with(&host, "q", options.clone()).await.expect("a queue");
    assert!(queue.get(Duration::from_millis(300)).await.expect("nothing").is_none());
    queue.close().await.expect("closed");
    let env = [("KEYRAIL_TRANSPORT_OPTIONS", TWELVE_HOURS)];
    let url = server.url();
    let consume = ["consume", "--redis", &url, "-q", "q", "-n", "1", "--timeout", "0.3"];
    let ended = keyrail_with(&env, std::process::Stdio::null(), consume);
    assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stderr));
    let worker = ["worker", "--redis", &url, "-q", "q", "--task", "t=/bin/cat"];
    let mut worker = std::process::Command::new(env!("CARGO_BIN_EXE_keyrail"))
        .args(worker)
        .envs(env)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("a worker");
    let deadline = Instant::now() + PATIENCE;
    while !server.command(&["PUBSUB", "NUMPAT"]).starts_with(":1") {
        assert!(Instant::now() < deadline, "the worker listens");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    worker.kill().expect("killed");
    worker.wait().expect("ended");
    assert_eq!(server.command(&["HLEN", "unacked"]), ":1\r\n");
    // The flag wins, and an hour is the default.
    assert!(succeed(["consume", "--redis", &url, "-q", "q", "-n", "1", "--timeout", "60"]).contains("again"));
}

#[test]
fn a_list_of_another_type_stops_no_other_queue() {
    let server = RedisServer::start();
    let url = server.url();
    server.command(&["SET", "bad", "x"]);
    succeed(["publish", "--redis", &url, "-k", "good", "-b", "x"]);
    let consume = ["consume", "--redis", &url, "-q", "bad", "-q", "good", "-n", "1", "--timeout", "60"];
    let got = keyrail_with(&[], std::process::Stdio::null(), consume);
    assert_eq!(got.status.code(), Some(0), "{}", text(&got.stderr));
    assert!(text(&got.stdout).starts_with("good "), "{}", text(&got.stdout));
    assert!(text(&got.stderr).contains("`bad`"), "{}", text(&got.stderr));
    let alone = support::fail(1, ["consume", "--redis", &url, "-q", "bad", "-n", "1"]);
    assert!(alone.contains("`bad`"), "{alone}");
}

/// Whoever asks a worker to stop must not wait for a server that may never take writes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_though_its_results_cannot_be_stored() {
    let server = Arc::new(RedisServer::start());
    let host = host(&server).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stop = std::sync::Mutex::new(Some(stop));
    let frozen = server.clone();
    let stop = Arc::new(stop);
    let worker = Worker::new(&host, "keyrail@test").task("t.freeze", move |_| {
        let (frozen, stop) = (frozen.clone(), stop.clone());
        async move {
            freeze(&frozen);
            drop(stop.lock().expect("nobody panicked").take());
            Ok(serde_json::Value::Null)
        }
    });
    let url = server.url();
    tokio::task::spawn_blocking(move || succeed(["publish", "--redis", &url, "--task", "t.freeze"]))
        .await
        .expect("sent");
    let started = Instant::now();
    let ended = worker.run(async { drop(stopped.await) }).await;
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert_eq!(ended.expect_err("it could not put back in time").code(), "redis-timeout");
    thaw(&server);
    assert_eq!(server.command(&["HLEN", "unacked"]), ":1\r\n", "not acked: it runs again");
}
