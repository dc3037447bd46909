//! What becomes of a message is the same however its producer's tables are read, and alone as in a batch.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use keyrail_core::{
    Dialect, Outcome, Routes, Table, Topology, Value,
    kombu::{Member, SEPARATOR},
};
use keyrail_redis::{
    Confirm, Connection, Freshness, Message, ProduceError, Producer, ProducerOptions, RetryPolicy,
};
use support::{PATIENCE, RedisServer, proxy::Proxy};

const WAYS: [Freshness; 3] = [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish];

async fn producer(server: &RedisServer, transport: &str, options: ProducerOptions) -> Producer {
    let connection = Connection::new(&server.url()).expect("a URL");
    let connection = connection.transport_options(transport.parse().expect("options"));
    Producer::connect(&connection, options).await.expect("a producer")
}

/// The answers to this message alone, and in a batch behind another one to the same exchange.
async fn both_ways(producer: &Producer, message: &Message) -> [Result<Confirm, ProduceError>; 2] {
    let first = message.clone().routing_key("kept");
    let mut batch = producer.publish_all(&[first, message.clone()]).await;
    [producer.publish(message).await, batch.pop().expect("two answers")]
}

/// Somebody may have unbound one queue and left the others, so that the exchange is there and the message finds nobody.
#[tokio::test]
async fn what_finds_nobody_is_declared_again() {
    let topology = Topology::from_lines("e topic: a.* -> q\ne: kept -> kept").expect("a topology");
    let row = Member::topic("a.*", "q", Dialect::Kombu57).expect("a key").to_bytes(SEPARATOR).expect("a row");
    let row = String::from_utf8(row).expect("text");
    for freshness in WAYS {
        let server = RedisServer::start();
        let options = ProducerOptions::new().exchange("e").freshness(freshness);
        let options = options.declare(topology.clone(), Dialect::Kombu57);
        let producer = producer(&server, "{}", options).await;
        for in_a_batch in [false, true] {
            producer.publish(&Message::text("x").routing_key("kept")).await.expect("published");
            assert_eq!(server.command(&["SREM", "_kombu.binding.e", &row]), ":1\r\n");
            // So that the change was announced.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let messages = ["kept", "a.b"].map(|key| Message::text("x").routing_key(key));
            let confirm = match in_a_batch {
                false => producer.publish(&messages[1]).await,
                true => producer.publish_all(&messages).await.pop().expect("an answer"),
            };
            assert_eq!(confirm.expect("published").queues, ["q"], "{freshness:?} {in_a_batch}");
            assert_eq!(server.command(&["SISMEMBER", "_kombu.binding.e", &row]), ":1\r\n");
        }
        assert_eq!(server.command(&["LLEN", "q"]), ":2\r\n", "{freshness:?}");
        // Or all of them: there is no such exchange then.
        for in_a_batch in [false, true] {
            server.command(&["FLUSHALL"]);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let message = Message::text("x").routing_key("a.b");
            let confirm = match in_a_batch {
                false => producer.publish(&message).await,
                true => producer.publish_all(&[message.clone(), message]).await.pop().expect("an answer"),
            };
            assert_eq!(confirm.expect("published").queues, ["q"], "{freshness:?} {in_a_batch}");
        }
    }
}

/// The server behind the address may be another one, which knows a part of it: the message would find that alone.
#[tokio::test]
async fn each_new_connection_declares() {
    let topology = Topology::from_lines("e direct: k -> q\ne: k -> r").expect("a topology");
    for freshness in WAYS {
        let (first, second) = (RedisServer::start(), RedisServer::start());
        second.command(&["SADD", "_kombu.binding.e", "k\x06\x16\x06\x16q"]);
        let proxy = Proxy::to(first.port);
        let options = ProducerOptions::new().exchange("e").routing_key("k").freshness(freshness);
        let options = options.declare(topology.clone(), Dialect::Kombu57).retry(RetryPolicy::celery());
        let connection = Connection::new(&proxy.url()).expect("a URL");
        let producer = Producer::connect(&connection, options).await.expect("a producer");
        for server in [&first, &second] {
            let mut confirm = producer.publish(&Message::text("x")).await.expect("published");
            confirm.queues.sort_unstable();
            assert_eq!(confirm.queues, ["q", "r"], "{freshness:?}");
            assert_eq!(server.command(&["LLEN", "r"]), ":1\r\n", "{freshness:?}");
            proxy.lead_to(second.port);
            proxy.cut();
            // The end of the connection arrives.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn what_nobody_gets_goes_to_the_dead_letter_queue() {
    let server = RedisServer::start();
    server.command(&["SADD", "_kombu.binding.e", "kept\x06\x16\x06\x16kept"]);
    for freshness in WAYS {
        let options = ProducerOptions::new().exchange("e").mandatory(true).freshness(freshness);
        let producer = producer(&server, r#"{"deadletter_queue": "dead"}"#, options).await;
        for answer in both_ways(&producer, &Message::text("x").routing_key("lost")).await {
            let confirm = answer.expect("published");
            assert_eq!((confirm.outcome, confirm.dead_lettered), (Outcome::Routed, true), "{freshness:?}");
            assert_eq!(confirm.queues, ["dead"]);
        }
        assert_eq!(server.command(&["LLEN", "dead"]), ":2\r\n", "{freshness:?}");
        server.command(&["DEL", "dead"]);
    }
}

/// On the default exchange keys are queues, those of `CC` and `BCC` too.
#[tokio::test]
async fn a_queue_that_is_named_twice_gets_one_copy() {
    let server = RedisServer::start();
    let names = |names: &[&str]| Value::Array(names.iter().map(|name| (*name).into()).collect());
    let message = Message::text("x").exchange("").routing_key("q");
    let message = message.header("CC", names(&["q", "r", "r"])).header("BCC", names(&["r", "s", "q"]));
    for freshness in WAYS {
        let producer = producer(&server, "{}", ProducerOptions::new().freshness(freshness)).await;
        let batch = producer.publish_all(std::slice::from_ref(&message)).await;
        for answer in batch.into_iter().chain([producer.publish(&message).await]) {
            assert_eq!(answer.expect("published").queues, ["q", "r", "s"], "{freshness:?}");
        }
        for queue in ["q", "r", "s"] {
            assert_eq!(server.command(&["LLEN", queue]), ":2\r\n", "{freshness:?} {queue}");
            server.command(&["DEL", queue]);
        }
    }
}

/// What reads its table for each message does so in a batch, too.
#[tokio::test]
async fn each_message_of_a_batch_reads_the_table_if_that_was_asked_for() {
    let server = RedisServer::start();
    server.command(&["SADD", "_kombu.binding.e", "k\x06\x16\x06\x16q"]);
    let reads = || server.calls(&["smembers"])[0];
    let mut counts = BTreeMap::new();
    for freshness in WAYS {
        let options = ProducerOptions::new().exchange("e").routing_key("k").freshness(freshness);
        let producer = producer(&server, "{}", options).await;
        let before = reads();
        for answer in producer.publish_all(&vec![Message::text("x"); 5]).await {
            assert_eq!(answer.expect("published").queues, ["q"]);
        }
        counts.insert(format!("{freshness:?}"), reads() - before);
    }
    let one = counts["Tracked"];
    assert!(one > 0);
    assert_eq!((counts["Strict"], counts["EachPublish"]), (one, 5 * one), "{counts:?}");
}

/// Who listens to a channel is known only when the message is gone.
#[tokio::test]
async fn a_fanout_that_nobody_hears_reached_nobody() {
    let server = RedisServer::start();
    server.command(&["HSET", "keyrail.exchange", "news", r#"{"name":"news","kind":"fanout"}"#]);
    let redis = Connection::new(&server.url()).expect("a URL").connect().await.expect("Redis");
    let host = support::host(redis);
    let news = Message::text("x").exchange("news").routing_key("k");
    for freshness in WAYS {
        for once in [false, true] {
            let options = ProducerOptions::new().freshness(freshness);
            let options = if once { options.once(Duration::from_secs(60)) } else { options };
            let producer = producer(&server, "{}", options).await;
            // In a batch and alone.
            let told = async |message: &Message| {
                let batch = producer.publish_all(std::slice::from_ref(message)).await;
                let both = batch.into_iter().chain([producer.publish(message).await]);
                let told = both.map(|answer| match answer {
                    Ok(confirm) => Ok((confirm.outcome, confirm.fanout[0].receivers)),
                    Err(error) => Err(error.code()),
                });
                told.collect::<Vec<_>>()
            };
            let mandatory = news.clone().mandatory(true);
            assert_eq!(told(&news).await, [Ok((Outcome::Unroutable, 0)); 2], "{freshness:?} {once}");
            assert_eq!(told(&mandatory).await, [Err("no-route"); 2], "{freshness:?} {once}");
            let listener = host.listen("news", "k").await.expect("a listener");
            assert_eq!(told(&news).await, [Ok((Outcome::Routed, 1)); 2], "{freshness:?} {once}");
            assert_eq!(told(&mandatory).await, [Ok((Outcome::Routed, 1)); 2], "{freshness:?} {once}");
            drop(listener);
            let deadline = Instant::now() + PATIENCE;
            while server.command(&["PUBSUB", "NUMPAT"]) != ":0\r\n" {
                assert!(Instant::now() < deadline, "it still listens");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// A consistent-hash exchange may choose by a property or a header instead of the routing key, as the core does.
#[tokio::test]
async fn an_exchange_chooses_by_what_it_was_declared_to() {
    let lines = |what: &str, chosen: &str| {
        format!("{what} x-consistent-hash {{{chosen}}}: 1 -> a\n{what}: 1 -> b\n{what}: 1 -> c\n")
    };
    let topology = ["message_id", "correlation_id", "timestamp"]
        .map(|name| lines(name, &format!(r#"hash-property: "{name}""#)))
        .concat()
        + &lines("tenant", r#"hash-header: "tenant""#);
    let topology = Topology::from_lines(&topology).expect("a topology");
    let server = RedisServer::start();
    let redis = Connection::new(&server.url()).expect("a URL").connect().await.expect("Redis");
    support::host(redis).import(&topology, Dialect::Kombu57).await.expect("imported");
    let router = topology.router().expect("a router");
    let expected = |exchange: &str, n: u32| {
        let text = n.to_string();
        let headers = Table::from_iter([("tenant", text.as_str())]);
        let (id, message) = router.message(exchange, b"k", Some(&headers)).expect("a message");
        let message = message.message_id(&text).correlation_id(&text).timestamp(n.into());
        let mut routes = Routes::new();
        assert_eq!(router.route(id, &message, &mut routes), Outcome::Routed);
        router.queue_name(routes.queues()[0]).expect("a name").to_owned()
    };
    for freshness in WAYS {
        let producer = producer(&server, "{}", ProducerOptions::new().freshness(freshness)).await;
        for exchange in ["message_id", "correlation_id", "timestamp", "tenant"] {
            let message = |n: u32| {
                let message = Message::text("x").exchange(exchange).routing_key("k");
                match exchange {
                    "tenant" => message.header("tenant", n.to_string().as_str()),
                    "timestamp" => message.property("timestamp", i64::from(n)),
                    name => message.property(name, n.to_string()),
                }
            };
            let batch: Vec<Message> = (0..16).map(message).collect();
            let mut reached = BTreeSet::new();
            for (n, answer) in (0..).zip(producer.publish_all(&batch).await) {
                let queues = answer.expect("published").queues;
                assert_eq!(queues, [expected(exchange, n)], "{freshness:?} {exchange} {n}");
                reached.extend(queues);
            }
            assert_eq!(reached.len(), 3, "{freshness:?} {exchange}: {reached:?}");
            let confirm = producer.publish(&message(3)).await.expect("published");
            assert_eq!(confirm.queues, [expected(exchange, 3)], "{freshness:?} {exchange}");
        }
    }
}

/// That one of two queues gets none of 64 messages happens once in 2^63 times.
#[tokio::test]
async fn a_random_exchange_reaches_every_queue() {
    let server = RedisServer::start();
    let redis = Connection::new(&server.url()).expect("a URL").connect().await.expect("Redis");
    let topology = Topology::from_lines("dice x-random: k -> a\ndice: k -> b").expect("a topology");
    support::host(redis).import(&topology, Dialect::Kombu57).await.expect("imported");
    for freshness in WAYS {
        let options = ProducerOptions::new().exchange("dice").routing_key("k").freshness(freshness);
        let producer = producer(&server, "{}", options).await;
        let mut reached = BTreeSet::new();
        for answer in producer.publish_all(&vec![Message::text("x"); 64]).await {
            let queues = answer.expect("published").queues;
            assert_eq!(queues.len(), 1, "{freshness:?}");
            reached.extend(queues);
        }
        assert_eq!(reached.len(), 2, "{freshness:?}: {reached:?}");
    }
}
