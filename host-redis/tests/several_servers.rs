//! Sentinels that promote a replica, and a cluster of three nodes, all on this machine.

mod support;

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, QueueDefinition, Table,
    Topology,
    kombu::{Envelope, Member, SEPARATOR},
};
use keyrail_redis::{
    Connection, ConsumerOptions, Freshness, Host, Message, Outgoing, Producer, ProducerOptions, RetryPolicy,
    load,
};
use support::{
    Folder, PATIENCE, RedisServer,
    cluster::{cluster, until},
    free_port,
};

/// A topic exchange that gives everything to so many queues.
fn news(queues: usize) -> Topology {
    let name = |n: usize| format!("news{n}");
    Topology {
        exchanges: vec![ExchangeDefinition::durable("news", ExchangeKind::Topic)],
        queues: (0..queues)
            .map(|n| QueueDefinition {
                name: name(n).into(),
                durable: true,
                auto_delete: false,
                exclusive: false,
                arguments: Table::new(),
            })
            .collect(),
        bindings: (0..queues)
            .map(|n| BindingDefinition {
                source: "news".into(),
                destination: DestinationName::Queue(name(n).into()),
                routing_key: "#".into(),
                arguments: Table::new(),
                dialect: Dialect::Kombu57,
                pattern: None,
            })
            .collect(),
        policies: Vec::new(),
    }
}

fn options(queues: usize) -> ProducerOptions {
    let patient = RetryPolicy {
        max_retries: Some(600),
        interval_start: Duration::from_millis(100),
        ..RetryPolicy::celery()
    };
    ProducerOptions::new().exchange("news").declare(news(queues), Dialect::Kombu57).retry(patient)
}

struct Sentinel(Child);

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn sentinels_lead_to_the_primary_and_to_the_next_one() {
    let mut primary = RedisServer::start();
    let replica =
        RedisServer::start_on(free_port(), &["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    let (folder, port) = (Folder::new(), free_port());
    let conf = folder.file(
        "sentinel.conf",
        format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor shop 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 5000\n",
            folder.path(""),
            primary.port
        ),
    );
    let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
    let mut command = Command::new(program);
    command.args([&*conf, "--sentinel"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _sentinel = Sentinel(command.spawn().expect("a sentinel"));
    until("the sentinel knows the replica", || {
        ask(port, &["SENTINEL", "REPLICAS", "shop"]).contains(&format!("127.0.0.1:{}", replica.port))
    })
    .await;
    until("the replica follows", || {
        replica.command(&["INFO", "replication"]).contains("master_link_status:up")
    })
    .await;

    // Nobody listens at the first one.
    let url = format!("sentinel://127.0.0.1:{};sentinel://127.0.0.1:{port}/0", free_port());
    let connection = Connection::new(&url).expect("URLs");
    let nameless = connection.connect().await.expect_err("no name");
    assert!(nameless.to_string().contains("`master_name`"), "{nameless}");
    let named = |name: &str| {
        let options = format!(r#"{{"master_name": "{name}", "socket_connect_timeout": 2}}"#);
        connection.clone().transport_options(options.parse().expect("options"))
    };
    let unknown = named("nobody").connect().await.expect_err("no such primary");
    assert!(["redis-unreachable", "redis-error"].contains(&unknown.code()), "{unknown}");

    let producer = Producer::connect(&named("shop"), options(1)).await.expect("a producer");
    assert_eq!(producer.publish(&Message::text("1")).await.expect("published").queues, ["news0"]);
    assert_eq!(primary.command(&["LLEN", "news0"]), ":1\r\n");
    // Whoever reads the table anew, in the transaction that pushes, goes along as well.
    let strict = options(1).freshness(Freshness::Strict);
    let strict = Producer::connect(&named("shop"), strict).await.expect("a producer");
    assert_eq!(strict.publish(&Message::text("1")).await.expect("published").queues, ["news0"]);
    primary.command(&["DEL", "news0"]);
    primary.stop();
    let confirm = producer.publish(&Message::text("2")).await.expect("published");
    assert!(confirm.attempts > 1, "{confirm:?}");
    assert!(replica.command(&["ROLE"]).contains("master"));
    let left = replica.command(&["LRANGE", "news0", "0", "0"]);
    assert!(left.contains(r#""body": "Mg==""#), "{left}");
    assert_eq!(strict.publish(&Message::text("2")).await.expect("published").queues, ["news0"]);
    // The table is the new primary's, and it is the new primary that tells of changes.
    let row = Member::topic("#", "late", Dialect::Kombu57).expect("a key");
    let row = String::from_utf8(row.to_bytes(SEPARATOR).expect("a row")).expect("text");
    for (command, queues) in [("SADD", &["late", "news0"][..]), ("SREM", &["news0"])] {
        assert_eq!(replica.command(&[command, "_kombu.binding.news", &row]), ":1\r\n");
        let deadline = Instant::now() + PATIENCE;
        while producer.publish(&Message::text("3")).await.expect("published").queues != queues {
            assert!(Instant::now() < deadline, "{command} is not seen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(strict.publish(&Message::text("3")).await.expect("published").queues, queues, "at once");
    }
}

/// Three sentinels, two of which agree, with a password of their own.
fn sentinels(primary: &RedisServer) -> Vec<(Sentinel, u16, Folder)> {
    let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
    let start = |_| {
        let (folder, port) = (Folder::new(), free_port());
        let conf = folder.file(
            "sentinel.conf",
            format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nrequirepass {PASSWORD}\nsentinel sentinel-pass {PASSWORD}\n\
                 sentinel monitor shop 127.0.0.1 {} 2\nsentinel down-after-milliseconds shop 5000\n",
                folder.path(""),
                primary.port
            ),
        );
        let mut command = Command::new(&program);
        command.args([&*conf, "--sentinel"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        (Sentinel(command.spawn().expect("a sentinel")), port, folder)
    };
    (0..3).map(start).collect()
}

const PASSWORD: &str = "sentinels-own";

/// Logs in first, which a sentinel without a password only refuses.
fn ask(port: u16, args: &[&str]) -> String {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let mut answer = String::new();
    for args in [&["AUTH", PASSWORD], args] {
        let parts: String = args.iter().map(|arg| format!("${}\r\n{arg}\r\n", arg.len())).collect();
        let _ = stream.write_all(format!("*{}\r\n{parts}", args.len()).as_bytes());
        let mut buffer = [0; 16384];
        let length = stream.read(&mut buffer).unwrap_or_default();
        answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
    }
    answer
}

/// The old primary lives on, as a replica: who holds a connection to it must not stay.
#[tokio::test]
async fn a_consumer_and_a_producer_go_with_a_failover_that_was_asked_for() {
    let primary = RedisServer::start();
    let replica =
        RedisServer::start_on(free_port(), &["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    let sentinels = sentinels(&primary);
    for (_, port, _) in &sentinels {
        until("the sentinels know each other and the replica", || {
            let known = ask(*port, &["SENTINEL", "MASTER", "shop"]);
            let counts = |name: &str, count: &str| known.contains(&format!("{name}\r\n$1\r\n{count}\r\n"));
            counts("num-other-sentinels", "2") && counts("num-slaves", "1")
        })
        .await;
    }
    until("the replica follows", || {
        replica.command(&["INFO", "replication"]).contains("master_link_status:up")
    })
    .await;

    let urls: Vec<_> =
        sentinels.iter().map(|(_, port, _)| format!("sentinel://127.0.0.1:{port}/0")).collect();
    let connection = |options: &str| {
        let options = format!(r#"{{"master_name": "shop", "socket_connect_timeout": 2{options}}}"#);
        Connection::new(&urls.join(";")).expect("URLs").transport_options(options.parse().expect("options"))
    };
    let password = format!(r#", "sentinel_kwargs": {{"password": "{PASSWORD}"}}"#);
    let refused = connection("").connect().await.expect_err("no password");
    assert!(refused.to_string().contains("NOAUTH") || refused.code() == "redis-authentication", "{refused}");
    let few = format!(r#"{password}, "min_other_sentinels": 3"#);
    let alone = connection(&few).connect().await.expect_err("two others");
    assert_eq!(alone.code(), "redis-unreachable", "{alone}");
    let connection = connection(&format!(r#"{password}, "min_other_sentinels": 2"#));

    let producer = Producer::connect(&connection, options(1)).await.expect("a producer");
    let layout = connection.options().layout.clone();
    let host =
        Host::from_tables(connection.connect().await.expect("Redis"), layout, load::Options::default());
    let consumer = ConsumerOptions { prefetch: 1, ..ConsumerOptions::default() };
    let mut consumer = host.consumer(vec!["news0".into()], consumer).expect("a consumer");
    for body in ["1", "2"] {
        producer.publish(&Message::text(body)).await.expect("published");
    }
    let held = consumer.next(PATIENCE).await.expect("a message").delivery().expect("a delivery");
    assert_eq!(held.message().body.as_text(), Some("1"));
    until("the replica has it", || replica.command(&["HLEN", "unacked"]) == ":1\r\n").await;
    until("a failover begins", || ask(sentinels[0].1, &["SENTINEL", "FAILOVER", "shop"]) == "+OK\r\n").await;
    until("the replica leads", || replica.command(&["ROLE"]).contains("master")).await;
    until("the primary follows", || primary.command(&["ROLE"]).contains("slave")).await;
    // Announced or not, whoever writes to the old one finds the new one.
    assert_eq!(producer.publish(&Message::text("3")).await.expect("published").queues, ["news0"]);
    assert!(held.ack().await.expect("acked"), "its registration has moved, too");
    for body in ["2", "3"] {
        let delivery = consumer.next(PATIENCE).await.expect("a message").delivery().expect("a delivery");
        assert_eq!(delivery.message().body.as_text(), Some(body));
        assert!(delivery.ack().await.expect("acked"));
    }
    assert_eq!(consumer.close().await.expect("closed"), 0);
    assert_eq!(replica.command(&["EXISTS", "news0", "unacked", "unacked_index"]), ":0\r\n");
}

#[tokio::test]
async fn a_cluster_takes_a_publish_to_many_queues() {
    let nodes = cluster().await;
    let urls = nodes.each_ref().map(|node| format!("redis+cluster://127.0.0.1:{}", node.port));
    let connection = Connection::new(&urls.join(";")).expect("URLs");
    let producer = Producer::connect(&connection, options(30)).await.expect("a producer");
    let confirm = producer.publish(&Message::text("x")).await.expect("published");
    assert_eq!(confirm.queues.len(), 30);
    // Every list is on the node that owns its slot, and each node has some.
    let lists = |node: &RedisServer| {
        (0..30).filter(|n| node.command(&["LLEN", &format!("news{n}")]) == ":1\r\n").count()
    };
    let spread = nodes.each_ref().map(lists);
    assert_eq!(spread.iter().sum::<usize>(), 30, "{spread:?}");
    assert!(spread.iter().all(|lists| *lists > 0), "{spread:?}");
    let batch: Vec<Message> =
        (0..300).map(|n| Message::text("x").exchange("").routing_key(format!("b{n}"))).collect();
    for answer in producer.publish_all(&batch).await {
        answer.expect("published");
    }

    // A change is followed within a second.
    let row = Member::topic("late.#", "late", Dialect::Kombu57).expect("a key");
    let row = String::from_utf8(row.to_bytes(SEPARATOR).expect("a row")).expect("text");
    assert!(nodes.iter().any(|node| node.command(&["SADD", "_kombu.binding.news", &row]) == ":1\r\n"));
    let deadline = Instant::now() + PATIENCE;
    while producer.publish(&Message::text("x").routing_key("late.x")).await.expect("published").queues.len()
        < 31
    {
        assert!(Instant::now() < deadline, "the new row is not seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // One queue that cannot take its copy is named together with those that did.
    let owner = nodes.iter().find(|node| node.command(&["DEL", "news0"]).starts_with(':')).expect("an owner");
    owner.command(&["SET", "news0", "no list"]);
    match producer.publish(&Message::text("x")).await {
        Err(keyrail_redis::ProduceError::PartlyPublished { queues, error }) => {
            assert_eq!(queues.len(), 29);
            assert_eq!(error.code(), "wrong-type");
        }
        other => panic!("{other:?}"),
    }

    // What needs one server says so; a host's publish does not, and tells as a producer's.
    let strict =
        Producer::connect(&connection, options(1).freshness(Freshness::Strict)).await.expect_err("a cluster");
    assert_eq!(strict.code(), "not-expressible");
    let redis = connection.connect().await.expect("a cluster");
    let host = Host::from_tables(redis, connection.options().layout.clone(), load::Options::default());
    let partly = host.publish(&Outgoing::new("news", "x", Envelope::text("x"))).await.expect_err("no list");
    assert_eq!(partly.code(), "partly-published", "{partly}");
    assert!(partly.to_string().ends_with("`news0` holds another type than LPUSH needs"), "{partly}");
}
