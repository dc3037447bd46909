//! Queues with `x-expires` and their bindings: written, refreshed and kept alive as Kombu 5.7 does.

mod support;

use std::{sync::Arc, time::Duration};

use keyrail_core::{
    Dialect, Topology,
    kombu::{Command, Layout, Plan},
};
use keyrail_redis::{
    Connection, Consumer, ConsumerOptions, Delivery, Executor, Freshness, Memory, Message, Next, Producer,
    ProducerOptions, Redis, RedisOptions, Swept,
};
use support::{PATIENCE, RedisServer, cluster::until, host, on_both};

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

/// Of two messages, one is held, and one waits in a list that would have expired three times meanwhile. The bindings are
/// not written again for that.
async fn one_held_and_one_waiting(server: &RedisServer, url: &str) -> (Consumer, Delivery) {
    let connection = Connection::new(url).expect("a URL");
    let mut consumer = declaring(&connection, topology(900), "eq").await;
    until("it is declared", || score(server).is_some()).await;
    let producer = Producer::connect(&connection, ProducerOptions::new().exchange("orders")).await;
    let producer = producer.expect("a producer");
    for body in ["1", "2"] {
        let confirm = producer.publish(&Message::text(body).routing_key("k")).await.expect("published");
        assert_eq!(confirm.queues, ["eq"]);
    }
    let held = consumer.next(PATIENCE).await.expect("taken").delivery().expect("a delivery");
    server.command(&["CONFIG", "RESETSTAT"]);
    tokio::time::sleep(Duration::from_millis(2700)).await;
    let calls = server.calls(&["sadd", "pexpire"]);
    assert_eq!(calls[0], 0, "written again");
    assert!(calls[1] > 0, "not kept alive");
    assert_eq!(server.command(&["LLEN", "eq"]), ":1\r\n");
    (consumer, held)
}

/// A consumer of this queue that declares this topology.
async fn declaring(connection: &Connection, topology: Topology, queue: &str) -> Consumer {
    let declare = Some((Arc::new(topology), Dialect::Kombu57));
    let options = ConsumerOptions { prefetch: 1, declare, ..ConsumerOptions::default() };
    let redis = connection.connect().await.expect("Redis");
    host(redis).consumer(vec![queue.into()], options).expect("a consumer")
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
    let (mut consumer, held) = one_held_and_one_waiting(&server, &server.url()).await;
    held.ack().await.expect("acked");
    assert!(matches!(consumer.next(PATIENCE).await, Ok(Next::Delivery(_))));
    wipe(&server);
    later(21).await;
    until("it is refreshed", || score(&server).is_some()).await;
    assert_refreshed(&server);
    // Nobody keeps alive what nobody consumes any more.
    consumer.close().await.expect("closed");
    server.command(&["CONFIG", "RESETSTAT"]);
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(server.calls(&["pexpire"]), [0]);
}

/// A user may lack what a sweep needs: his lists live on, and his topology is not written anew each second.
#[tokio::test]
async fn a_sweep_that_is_refused_stops_nothing_else() {
    let server = RedisServer::start();
    server.command(&["ACL", "SETUSER", "some", "on", ">pw", "~*", "&*", "+@all", "-zrangebyscore"]);
    let url = format!("redis://some:pw@127.0.0.1:{}/0", server.port);
    let redis = Connection::new(&url).expect("a URL").connect().await.expect("Redis");
    redis.sweep(&Layout::default()).await.expect_err("refused");
    let (consumer, _held) = one_held_and_one_waiting(&server, &url).await;
    consumer.close().await.expect("closed");
}

/// The clock of this machine may be another: the server's is asked, and only where something expires.
#[tokio::test]
async fn deadlines_are_by_the_clock_of_the_server() {
    let server = RedisServer::start();
    let connection = Connection::new(&server.url()).expect("a URL");
    let redis = connection.connect().await.expect("Redis");
    let host = host(redis);
    let mut stays = topology(900);
    stays.queues.retain(|queue| &*queue.name == "stays");
    server.command(&["CONFIG", "RESETSTAT"]);
    host.import(&stays, Dialect::Kombu57).await.expect("imported");
    assert_eq!(server.calls(&["time", "zadd"]), [0, 0]);
    let before = host.executor().now().await.expect("now") * 1000.0;
    server.command(&["CONFIG", "RESETSTAT"]);
    host.import(&topology(7_200_000), Dialect::Kombu57).await.expect("imported");
    assert_eq!(server.calls(&["time", "zadd"]), [1, 1]);
    let after = host.executor().now().await.expect("now") * 1000.0;
    let deadline = score(&server).expect("a deadline") as f64;
    assert!((before.floor()..=after).contains(&(deadline - 14_400_000.0)), "{before} {deadline} {after}");
}

async fn run(executor: &impl Executor, commands: Vec<Command>) {
    executor.run(&Plan { atomic: false, commands }).await.expect("run");
}

async fn keys(executor: &impl Executor) -> Vec<String> {
    let mut keys = executor.keys("").await.expect("keys");
    keys.sort();
    keys
}

/// Tables whose time has come go, those with a permanent binding stay, and so does what is no table.
async fn what_is_overdue_is_swept(executor: impl Executor) {
    let layout = Layout { global_keyprefix: "p:".into(), ..Layout::default() };
    assert_eq!(executor.sweep(&layout).await.expect("swept"), Swept::default());
    let member = |exchange: &str| (layout.binding_table(exchange), b"k\x06\x16\x06\x16q".to_vec());
    let mut commands = Vec::new();
    for exchange in ["gone", "stays", "later"] {
        let (key, member) = member(exchange);
        commands.push(Command::SAdd { key, member });
    }
    let (_, permanent) = member("stays");
    commands.push(Command::SAdd { key: layout.permanent_table("stays"), member: permanent });
    commands.push(Command::ZAdd {
        key: layout.binding_table("plus"),
        score: 1.0,
        member: "another's".into(),
    });
    let now = executor.now().await.expect("now") * 1000.0;
    for (exchange, score) in
        [("gone", now - 1.0), ("stays", 1.0), ("plus", 1.0), ("unknown", 1.0), ("later", now + 60_000.0)]
    {
        commands.push(Command::ZAdd { key: layout.binding_deadlines(), score, member: exchange.into() });
    }
    run(&executor, commands).await;
    assert_eq!(executor.sweep(&layout).await.expect("swept"), Swept { due: 4, deleted: 1 });
    let left = [
        "p:_kombu.binding.later",
        "p:_kombu.binding.plus",
        "p:_kombu.binding.stays",
        "p:_kombu.binding_deadlines",
        "p:_kombu.binding_permanent.stays",
    ];
    assert_eq!(keys(&executor).await, left);
    assert_eq!(executor.sweep(&layout).await.expect("swept"), Swept::default());
    assert_eq!(keys(&executor).await, left);
}

/// A hundred at a time, the oldest first; another type is named.
async fn a_sweep_is_bounded(executor: impl Executor) {
    let layout = Layout::default();
    let add =
        |n: u16| Command::ZAdd { key: layout.binding_deadlines(), score: n.into(), member: n.to_string() };
    run(&executor, (0..150).map(add).collect()).await;
    assert_eq!(executor.sweep(&layout).await.expect("swept"), Swept { due: 100, deleted: 0 });
    assert_eq!(executor.sweep(&layout).await.expect("swept"), Swept { due: 50, deleted: 0 });
    assert_eq!(keys(&executor).await, Vec::<String>::new());
    run(&executor, vec![Command::LPush { key: layout.binding_deadlines(), value: b"x".to_vec() }]).await;
    let error = executor.sweep(&layout).await.expect_err("a list");
    assert_eq!(error.code(), "wrong-type");
    assert!(error.to_string().contains("_kombu.binding_deadlines"), "{error}");
}

on_both!(what_is_overdue_is_swept, a_sweep_is_bounded);

/// Whoever consumes what expires sweeps once a minute; a producer that had the table in its cache hears of it.
#[tokio::test]
async fn a_consumer_of_what_expires_sweeps_and_no_other() {
    let server = RedisServer::start();
    let connection = Connection::new(&server.url()).expect("a URL");
    let overdue = || {
        let row = "k\x06\x16\x06\x16old";
        assert_eq!(server.command(&["SADD", "_kombu.binding.old", row]), ":1\r\n");
        assert_eq!(server.command(&["ZADD", DEADLINES, "1", "old"]), ":1\r\n");
    };
    let is_gone = || server.command(&["EXISTS", "_kombu.binding.old"]) == ":0\r\n";
    overdue();
    let options = ProducerOptions::new().exchange("old").freshness(Freshness::Tracked);
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    let message = Message::text("x").routing_key("k");
    assert_eq!(producer.publish(&message).await.expect("published").queues, ["old"]);

    let stays: Topology =
        serde_json::from_value(serde_json::json!({"queues": [{"name": "stays"}]})).expect("one");
    let other = declaring(&connection, stays, "stays").await;
    until("it is declared", || server.command(&["HEXISTS", "keyrail.queue", "stays"]) == ":1\r\n").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!is_gone(), "a consumer of nothing that expires");

    let consumer = declaring(&connection, topology(900), "eq").await;
    until("it sweeps at its start", is_gone).await;
    until("its own table is there", || score(&server).is_some()).await;
    let deadline = std::time::Instant::now() + PATIENCE;
    let refused = loop {
        match producer.publish(&message).await {
            Err(error) => break error,
            Ok(_) => assert!(std::time::Instant::now() < deadline, "the producer does not hear of it"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(refused.code(), "exchange-not-found");
    overdue();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!is_gone(), "a minute is not over");
    later(1).await;
    until("it sweeps again", is_gone).await;
    assert_eq!(server.command(&["EXISTS", TABLE]), ":1\r\n");
    consumer.close().await.expect("closed");
    other.close().await.expect("closed");
}
