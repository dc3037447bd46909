//! The producer on a real Redis: tables that are kept, confirms, retries, batches, what comes back.

mod support;

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, Outcome, QueueDefinition,
    Table, Topology, Value,
    kombu::{Layout, Member, SEPARATOR},
};
use keyrail_redis::{
    Connection, Freshness, Host, Message, Producer, ProducerOptions, RetryPolicy, Serializer,
    TransportOptions, load,
};
use support::{PATIENCE, RedisServer, free_port};

/// A topic exchange `orders` with so many queues, each bound to a key of its own, and `all` to every key.
fn orders(queues: usize) -> Topology {
    let queue = |n: usize| format!("q{n}");
    let mut topology = Topology {
        exchanges: vec![exchange("orders", ExchangeKind::Topic)],
        queues: (0..queues).map(|n| definition(&queue(n))).collect(),
        bindings: (0..queues).map(|n| binding("orders", &format!("order.{n}.*"), &queue(n))).collect(),
        policies: Vec::new(),
    };
    topology.queues.push(definition("all"));
    topology.bindings.push(binding("orders", "everything.#", "all"));
    topology
}

fn exchange(name: &str, kind: ExchangeKind) -> ExchangeDefinition {
    ExchangeDefinition::durable(name, kind)
}

fn definition(name: &str) -> QueueDefinition {
    QueueDefinition {
        name: name.into(),
        durable: true,
        auto_delete: false,
        exclusive: false,
        arguments: Table::new(),
    }
}

fn binding(exchange: &str, key: &str, queue: &str) -> BindingDefinition {
    BindingDefinition {
        source: exchange.into(),
        destination: DestinationName::Queue(queue.into()),
        routing_key: key.into(),
        arguments: Table::new(),
        dialect: Dialect::Kombu57,
        pattern: None,
    }
}

async fn import(server: &RedisServer, topology: &Topology) {
    let connection = Connection::new(&server.url()).expect("a URL");
    let redis = connection.connect().await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    host.import(topology, Dialect::Kombu57).await.expect("imported");
}

async fn producer(server: &RedisServer, options: ProducerOptions) -> Producer {
    let connection = Connection::new(&server.url()).expect("a URL");
    Producer::connect(&connection, options.exchange("orders")).await.expect("a producer")
}

fn order(key: &str) -> Message {
    Message::text("x").routing_key(key)
}

/// Publishes until the message reaches these queues: a change takes one push to arrive.
async fn until_routed(producer: &Producer, key: &str, queues: &[&str]) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let confirm = producer.publish(&order(key)).await.expect("published");
        if confirm.queues == queues {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{key} still goes to {:?}", confirm.queues);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn row(key: &str, queue: &str) -> String {
    let member = Member::topic(key, queue, Dialect::Kombu57).expect("a key");
    String::from_utf8(member.to_bytes(SEPARATOR).expect("a row")).expect("text")
}

const TABLE: &str = "_kombu.binding.orders";

#[tokio::test]
async fn once_the_table_is_read_a_copy_costs_one_push_at_10_and_at_10_000_bindings() {
    for bindings in [10, 10_000] {
        let server = RedisServer::start();
        import(&server, &orders(bindings)).await;
        let producer = producer(&server, ProducerOptions::new()).await;
        producer.publish(&order("order.3.paid")).await.expect("published");
        server.command(&["CONFIG", "RESETSTAT"]);
        for n in 0..100 {
            let confirm =
                producer.publish(&order(&format!("order.{}.paid", n % 10))).await.expect("published");
            assert_eq!(confirm.queues, [format!("q{}", n % 10)]);
        }
        let calls = server.calls(&["lpush", "smembers", "hgetall", "type", "scard", "evalsha", "exec"]);
        assert_eq!(calls, [100, 0, 0, 0, 0, 0, 0], "{bindings} bindings");
    }
}

#[tokio::test]
async fn fifty_tasks_share_one_reading_and_one_connection() {
    let server = RedisServer::start();
    import(&server, &orders(100)).await;
    let producer = Arc::new(producer(&server, ProducerOptions::new()).await);
    server.command(&["CONFIG", "RESETSTAT"]);
    let tasks = (0..50).map(|n| {
        let producer = producer.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                producer.publish(&order(&format!("order.{n}.paid"))).await.expect("published");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a task");
    }
    // One reading of the rows, one of keyrail's own set.
    assert_eq!(server.calls(&["lpush", "smembers"]), [1000, 2]);
    assert!((0..50).all(|n| server.command(&["LLEN", &format!("q{n}")]) == ":20\r\n"));
}

#[tokio::test]
async fn changes_of_others_are_followed() {
    let server = RedisServer::start();
    import(&server, &orders(3)).await;
    let producer = producer(&server, ProducerOptions::new()).await;
    until_routed(&producer, "order.1.paid", &["q1"]).await;
    server.command(&["SADD", TABLE, &row("order.1.*", "late")]);
    until_routed(&producer, "order.1.paid", &["late", "q1"]).await;
    server.command(&["SREM", TABLE, &row("order.1.*", "q1")]);
    until_routed(&producer, "order.1.paid", &["late"]).await;
    server.command(&["DEL", TABLE]);
    until_routed(&producer, "order.1.paid", &[]).await;
    server.command(&["FLUSHALL"]);
    let deadline = std::time::Instant::now() + PATIENCE;
    let error = loop {
        match producer.publish(&order("order.1.paid")).await {
            Err(error) => break error,
            Ok(_) => assert!(std::time::Instant::now() < deadline, "the exchange is still known"),
        }
    };
    assert_eq!(error.code(), "exchange-not-found");
}

#[tokio::test]
async fn a_new_connection_knows_nothing_of_the_old_table() {
    let server = RedisServer::start();
    import(&server, &orders(3)).await;
    for freshness in [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish] {
        let options = ProducerOptions::new().freshness(freshness).retry(RetryPolicy::celery());
        let producer = producer(&server, options).await;
        until_routed(&producer, "order.2.paid", &["q2"]).await;
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        server.command(&["SADD", TABLE, &row("order.2.*", "later")]);
        let confirm = producer.publish(&order("order.2.paid")).await.expect("published");
        assert_eq!(confirm.queues, ["later", "q2"], "{freshness:?}");
        server.command(&["SREM", TABLE, &row("order.2.*", "later")]);
    }
}

/// Passes bytes on until it is told to say nothing more on the connections that it has; new ones are served.
struct Proxy {
    port: u16,
    generation: Arc<AtomicU64>,
}

impl Proxy {
    fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let generation = Arc::new(AtomicU64::new(0));
        let current = generation.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let mine = current.load(SeqCst);
                for (mut from, mut to) in [
                    (client.try_clone().expect("a socket"), server.try_clone().expect("a socket")),
                    (server, client),
                ] {
                    let current = current.clone();
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while let Ok(length @ 1..) = from.read(&mut buffer) {
                            if current.load(SeqCst) != mine {
                                // Half-open: neither an answer nor an end.
                                std::thread::sleep(PATIENCE);
                                return;
                            }
                            if to.write_all(&buffer[..length]).is_err() {
                                return;
                            }
                        }
                    });
                }
            }
        });
        Proxy { port, generation }
    }

    fn freeze(&self) {
        self.generation.fetch_add(1, SeqCst);
    }
}

#[tokio::test]
async fn a_half_open_connection_is_given_up_together_with_its_table() {
    let server = RedisServer::start();
    import(&server, &orders(3)).await;
    let proxy = Proxy::start(server.port);
    for freshness in [Freshness::Tracked, Freshness::Strict] {
        let options: TransportOptions = r#"{"socket_timeout": 0.3}"#.parse().expect("options");
        let connection = Connection::new(&format!("redis://127.0.0.1:{}/0", proxy.port)).expect("a URL");
        let options = (connection.transport_options(options), ProducerOptions::new().exchange("orders"));
        let producer =
            Producer::connect(&options.0, options.1.freshness(freshness)).await.expect("a producer");
        until_routed(&producer, "order.2.paid", &["q2"]).await;
        proxy.freeze();
        server.command(&["SADD", TABLE, &row("order.2.*", "later")]);
        server.command(&["DEL", "q2", "later"]);
        let error = producer.publish(&order("order.2.paid")).await.expect_err("nobody answers");
        assert_eq!(error.code(), "redis-timeout", "{freshness:?}");
        assert_eq!(server.command(&["EXISTS", "q2", "later"]), ":0\r\n", "{freshness:?}");
        let confirm = producer.publish(&order("order.2.paid")).await.expect("published");
        assert_eq!(confirm.queues, ["later", "q2"], "{freshness:?}");
        server.command(&["SREM", TABLE, &row("order.2.*", "later")]);
    }
}

#[tokio::test]
async fn strict_follows_a_model_of_random_binds_unbinds_and_publishes() {
    let server = RedisServer::start();
    import(&server, &orders(0)).await;
    let producer = producer(&server, ProducerOptions::new().freshness(Freshness::Strict)).await;
    let (mut seed, mut model) = (0x2545_f491_4f6c_dd1d_u64, BTreeSet::new());
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for step in 0..600 {
        let (queue, key) = (format!("m{}", random(5)), ["a.*", "a.#", "*.b", "a.b"][random(4) as usize]);
        match random(3) {
            0 => {
                server.command(&["SADD", TABLE, &row(key, &queue)]);
                model.insert((queue, key));
            }
            1 => {
                server.command(&["SREM", TABLE, &row(key, &queue)]);
                model.remove(&(queue, key));
            }
            _ => {
                let confirm = producer.publish(&order("a.b")).await.expect("published");
                let expected: BTreeSet<&String> = model.iter().map(|(queue, _)| queue).collect();
                assert_eq!(confirm.queues.iter().collect::<BTreeSet<_>>(), expected, "step {step}");
            }
        }
    }
}

/// One queue is bound at a time, `v0`, `v1`, …, and each change is one step on the server. A publish that began after
/// change `n` and ended before change `m` may go to `vn` up to `vm`, and to one of them alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_strict_publish_is_routed_by_a_table_older_than_its_start() {
    let server = Arc::new(RedisServer::start());
    import(&server, &orders(0)).await;
    server.command(&["SADD", TABLE, &row("k", "v0")]);
    let (done, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = {
        let (server, done, changes) = (server.clone(), done.clone(), changes.clone());
        std::thread::spawn(move || {
            let mut version = 0;
            while !done.load(SeqCst) {
                let (old, new) = (row("k", &format!("v{version}")), row("k", &format!("v{}", version + 1)));
                let script = "redis.call('SADD', KEYS[1], ARGV[1]) redis.call('SREM', KEYS[1], ARGV[2])";
                server.command(&["EVAL", script, "1", TABLE, &new, &old]);
                version += 1;
                changes.store(version, SeqCst);
                // From bursts to pauses longer than a publish.
                std::thread::sleep(Duration::from_micros((version * 7919) % 3000));
            }
        })
    };
    let mut overtaken = 0;
    let producers = [
        producer(&server, ProducerOptions::new().freshness(Freshness::Strict)).await,
        producer(&server, ProducerOptions::new().freshness(Freshness::Strict)).await,
    ];
    let tasks = producers.map(|producer| {
        let changes = changes.clone();
        tokio::spawn(async move {
            let mut overtaken = 0;
            for _ in 0..300 {
                let before = changes.load(SeqCst);
                let confirm = producer.publish(&order("k")).await.expect("published");
                // The writer counts a change only after it was made.
                let after = changes.load(SeqCst) + 1;
                let [queue] = &*confirm.queues else { panic!("{:?}", confirm.queues) };
                let version: u64 = queue[1..].parse().expect("a version");
                assert!((before..=after).contains(&version), "{queue} between v{before} and v{after}");
                overtaken += u64::from(after > before + 1);
            }
            overtaken
        })
    });
    for task in tasks {
        overtaken += task.await.expect("a task");
    }
    done.store(true, SeqCst);
    writer.join().expect("the writer");
    assert!(overtaken > 0, "no change fell into a publish, so nothing was shown");
}

#[tokio::test]
async fn what_nobody_gets_is_an_outcome_an_error_or_a_dead_letter() {
    let server = RedisServer::start();
    import(&server, &orders(1)).await;
    let lost = order("nothing.like.it");
    let plain = producer(&server, ProducerOptions::new()).await;
    let confirm = plain.publish(&lost).await.expect("published");
    assert_eq!((confirm.outcome, confirm.queues.len()), (Outcome::Unroutable, 0));
    let strict = producer(&server, ProducerOptions::new().mandatory(true).freshness(Freshness::Strict)).await;
    for producer in [producer(&server, ProducerOptions::new().mandatory(true)).await, strict] {
        match producer.publish(&lost).await {
            Err(keyrail_redis::ProduceError::Returned { exchange, routing_key, message }) => {
                assert_eq!(
                    (&*exchange, &*routing_key, *message),
                    ("orders", &b"nothing.like.it"[..], lost.clone())
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(producer.publish(&lost.clone().mandatory(false)).await.is_ok());
        let batch = producer.publish_all(&[order("order.0.x"), lost.clone(), order("order.0.y")]).await;
        let codes: Vec<_> =
            batch.iter().map(|answer| answer.as_ref().map_err(|error| error.code())).collect();
        assert!(matches!(codes[..], [Ok(_), Err("no-route"), Ok(_)]), "{codes:?}");
    }
    let options: TransportOptions = r#"{"deadletter_queue": "dead"}"#.parse().expect("options");
    let connection = Connection::new(&server.url()).expect("a URL").transport_options(options);
    let options = ProducerOptions::new().exchange("orders").mandatory(true);
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    let confirm = producer.publish(&lost).await.expect("published");
    assert!(confirm.dead_lettered);
    assert_eq!(confirm.queues, ["dead"]);
    assert_eq!(server.command(&["LLEN", "dead"]), ":1\r\n");
}

#[tokio::test]
async fn a_publish_outlives_a_restart_as_the_policy_says() {
    let mut server = RedisServer::start();
    import(&server, &orders(1)).await;
    let patient = RetryPolicy {
        max_retries: Some(400),
        interval_start: Duration::from_millis(50),
        ..RetryPolicy::celery()
    };
    let options = ProducerOptions::new().declare(orders(1), Dialect::Kombu57).retry(patient);
    let producer = Arc::new(producer(&server, options).await);
    producer.publish(&order("order.0.x")).await.expect("published");
    let hasty = self::producer(&server, ProducerOptions::new()).await;
    server.stop();
    let error = hasty.publish(&order("order.0.x")).await.expect_err("nobody is there");
    assert!(["redis-unreachable", "redis-disconnected"].contains(&error.code()), "{error}");
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.publish(&order("order.0.x")).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let server = RedisServer::start_on(server.port, &[]);
    let confirm = waiting.await.expect("a task").expect("published");
    assert!(confirm.attempts > 1, "{confirm:?}");
    // The new server knew nothing: it was declared there again.
    assert_eq!(confirm.queues, ["q0"]);
    assert_eq!(server.command(&["LLEN", "q0"]), ":1\r\n");
    server.command(&["FLUSHALL"]);
    until_routed(&producer, "order.0.x", &["q0"]).await;
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_each_message_its_own_answer() {
    let server = RedisServer::start();
    import(&server, &orders(2)).await;
    server.command(&["SADD", TABLE, &row("order.1.*", "q0")]);
    server.command(&["SET", "broken", "x"]);
    server.command(&["SADD", TABLE, &row("broken", "broken")]);
    let producer = producer(&server, ProducerOptions::new()).await;
    let mut messages: Vec<Message> =
        (0..1000).map(|n| Message::text(format!("{n}")).routing_key("order.0.x")).collect();
    messages[500] = order("broken");
    messages[501] = order("order.1.x");
    messages[502] = order("unknown").exchange("unknown");
    let answers = producer.publish_all(&messages).await;
    assert_eq!(answers.len(), 1000);
    for (n, answer) in answers.iter().enumerate() {
        match n {
            500 => assert_eq!(answer.as_ref().expect_err("no list").code(), "wrong-type"),
            501 => assert_eq!(answer.as_ref().expect("published").queues, ["q0", "q1"]),
            502 => assert_eq!(answer.as_ref().expect_err("no exchange").code(), "exchange-not-found"),
            _ => assert_eq!(answer.as_ref().expect("published").queues, ["q0"]),
        }
    }
    assert_eq!(server.command(&["LLEN", "q0"]), ":998\r\n");
    let redis = Connection::new(&server.url()).expect("a URL").connect().await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    let mut last = None;
    while let Some(message) = host.get("q0").await.expect("got") {
        // The message for two queues waits for its script, and comes when it comes.
        let Ok(n) = message.body.as_text().expect("text").parse::<u32>() else { continue };
        assert!(last < Some(n), "{n} after {last:?}");
        last = Some(n);
    }
    assert_eq!(last, Some(999));
}

/// Nothing was executed then, so no retry policy is needed.
#[tokio::test]
async fn a_server_that_forgot_its_scripts_gets_each_copy_once() {
    const WINDOW: Duration = Duration::from_secs(60);
    let server = RedisServer::start();
    for queue in ["a", "b"] {
        server.command(&["SADD", TABLE, &row("both", queue)]);
    }
    for freshness in [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish] {
        for options in [ProducerOptions::new(), ProducerOptions::new().once(WINDOW)] {
            let producer = producer(&server, options.freshness(freshness)).await;
            producer.publish(&order("both")).await.expect("published");
            let forget = || assert_eq!(server.command(&["SCRIPT", "FLUSH"]), "+OK\r\n");
            forget();
            let mut answers = vec![producer.publish(&order("both")).await];
            forget();
            let batch: Vec<Message> = (0..100).map(|_| order("both")).collect();
            answers.extend(producer.publish_all(&batch).await);
            for answer in answers {
                let confirm = answer.expect("published");
                assert_eq!((confirm.attempts, confirm.queues.len()), (1, 2), "{freshness:?}");
            }
            for queue in ["a", "b"] {
                assert_eq!(server.command(&["LLEN", queue]), ":102\r\n", "{freshness:?} {queue}");
                server.command(&["DEL", queue]);
            }
        }
    }
}

#[tokio::test]
async fn a_confirm_counts_the_replicas() {
    let primary = RedisServer::start();
    primary.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    import(&primary, &orders(1)).await;
    let replica =
        RedisServer::start_on(free_port(), &["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    let deadline = std::time::Instant::now() + PATIENCE;
    while !replica.command(&["INFO", "replication"]).contains("master_link_status:up") {
        assert!(std::time::Instant::now() < deadline, "the replica does not connect");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let one = producer(&primary, ProducerOptions::new().replicas(1, PATIENCE)).await;
    assert_eq!(one.publish(&order("order.0.x")).await.expect("published").replicas, Some(1));
    let two = producer(&primary, ProducerOptions::new().replicas(2, Duration::from_millis(50))).await;
    assert_eq!(two.publish(&order("order.0.x")).await.expect("published").replicas, Some(1));
    let none = producer(&primary, ProducerOptions::new()).await;
    assert_eq!(none.publish(&order("order.0.x")).await.expect("published").replicas, None);
}

#[tokio::test]
async fn an_expiring_queue_is_bound_and_kept_as_kombu_does() {
    let server = RedisServer::start();
    let mut topology = Topology {
        exchanges: vec![exchange("orders", ExchangeKind::Direct)],
        queues: vec![definition("eq")],
        bindings: vec![binding("orders", "k", "eq")],
        policies: Vec::new(),
    };
    topology.queues[0].arguments = Table::from_iter([("x-expires", Value::I64(30_000))]);
    let producer = producer(&server, ProducerOptions::new().declare(topology, Dialect::Kombu57)).await;
    producer.publish(&order("k").priority(9)).await.expect("published");
    assert_eq!(server.command(&["SMEMBERS", TABLE]), "*1\r\n$7\r\nk\x06\x16\x06\x16eq\r\n");
    assert_eq!(server.command(&["EXISTS", "_kombu.binding_permanent.orders"]), ":0\r\n");
    let deadline = server.command(&["ZSCORE", "_kombu.binding_deadlines", "orders"]);
    let deadline: u64 = deadline.lines().nth(1).expect("a score").parse().expect("a number");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis();
    let ahead = i128::from(deadline) - i128::try_from(now).expect("a time");
    assert!((3_500_000..=3_601_000).contains(&ahead), "{ahead}");
    let left = server.command(&["PTTL", "eq\x06\x169"]);
    let left: u64 = left.trim_start_matches(':').trim_end().parse().expect("a number");
    assert!((20_000..=30_000).contains(&left), "{left}");
}

#[tokio::test]
async fn bad_rows_bad_keys_and_bad_bodies_stop_nobody_else() {
    let server = RedisServer::start();
    import(&server, &orders(1)).await;
    let mut rows =
        vec!["no row".to_owned(), "*a\x06\x16^*a$\x06\x16bad".into(), "k\x06\x16^k$\x06\x16".into()];
    rows.push(format!("{}\x06\x16^k$\x06\x16long", "k".repeat(300)));
    rows.push("k\x06\x16^(?P<x>k)\\d$\x06\x16foreign".into());
    for row in &rows {
        server.command(&["SADD", TABLE, row]);
    }
    for freshness in [Freshness::Tracked, Freshness::Strict] {
        let producer = producer(&server, ProducerOptions::new().freshness(freshness)).await;
        assert_eq!(producer.publish(&order("order.0.x")).await.expect("published").queues, ["q0"]);
        assert_eq!(producer.quarantine("orders").await.expect("loaded").len(), rows.len());
        for (message, code) in [
            (order(&"k".repeat(256)), "key-too-long"),
            (order("k").exchange("unknown"), "exchange-not-found"),
            (order("k").header("CC", 3), "invalid-sender-selected"),
            (Message::bytes("x").serializer(Serializer::Json), "not-serializable"),
            (Message::value(keyrail_core::kombu::Json::Null).serializer(Serializer::Raw), "not-serializable"),
        ] {
            let error = producer.publish(&message).await.expect_err(code);
            assert_eq!(error.code(), code, "{error}");
        }
    }
    let map = std::collections::HashMap::from([((1, 2), 3)]);
    assert_eq!(Message::json(&map).expect_err("no text as key").code(), "not-serializable");
    // Another library's table.
    server.command(&["ZADD", "_kombu.binding.plus", "1", "x"]);
    for freshness in [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish] {
        let producer = producer(&server, ProducerOptions::new().freshness(freshness)).await;
        let error = producer.publish(&order("k").exchange("plus")).await.expect_err("a zset");
        assert_eq!(error.code(), "table-type");
    }
    // A key of another type where a list belongs: named, and no other copy is written.
    server.command(&["SADD", TABLE, &row("order.0.*", "unlisted")]);
    server.command(&["SET", "unlisted", "x"]);
    server.command(&["DEL", "q0"]);
    for freshness in [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish] {
        let producer = producer(&server, ProducerOptions::new().freshness(freshness)).await;
        let error = producer.publish(&order("order.0.x")).await.expect_err("no list");
        assert!(error.code() == "wrong-type" && error.to_string().contains("`unlisted`"), "{error}");
        assert_eq!(server.command(&["EXISTS", "q0"]), ":0\r\n");
    }
}

/// Every table has the predeclared exchanges, but only a publish to that one fans out.
#[tokio::test]
async fn the_predeclared_fanout_exchange_has_a_channel() {
    let redis = RedisServer::start();
    let connection = Connection::new(&redis.url()).expect("a URL");
    let host = Host::from_tables(
        connection.connect().await.expect("Redis"),
        Layout::default(),
        load::Options::default(),
    );
    let mut topology = orders(1);
    // Of the dialect `amqp`: a copy that waits, beside the channel.
    topology.bindings.push(BindingDefinition { dialect: Dialect::Amqp, ..binding("amq.fanout", "", "all") });
    topology.bindings.push(BindingDefinition {
        destination: DestinationName::Exchange("amq.fanout".into()),
        ..binding("orders", "both.*", "")
    });
    host.import(&topology, Dialect::Amqp).await.expect("imported");
    let producer = producer(&redis, ProducerOptions::new()).await;
    let published = async |exchange: &str, key: &str| {
        let message = Message::text("x").exchange(exchange).routing_key(key);
        let confirm = producer.publish(&message).await.expect("published");
        let channels: Vec<String> = confirm.fanout.into_iter().map(|sent| sent.channel).collect();
        (confirm.queues, channels)
    };
    let channel = |key| Layout::default().fanout_channel("amq.fanout", key);
    assert_eq!(published("amq.fanout", "").await, (vec!["all".into()], vec![channel("")]));
    assert_eq!(published("orders", "both.x").await, (vec!["all".into()], vec![channel("both.x")]));
    assert_eq!(published("orders", "order.0.x").await, (vec!["q0".into()], Vec::new()));
}
