//! Taking, registering, acking and restoring on a cluster: with a hash tag before all keys as on one server, without one
//! refused.

mod support;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use keyrail_core::{
    Dialect, ExchangeKind, Topology,
    kombu::{Envelope, Layout},
};
use keyrail_redis::{
    Bind, Connection, Consumer, ConsumerOptions, Delivery, Executor, Host, Message, Next, Outgoing, Producer,
    ProducerOptions, Redis, Requeue, SimpleQueue,
    doctor::{Code, Doctor, Limits},
    load,
};
use support::{
    PATIENCE, RedisServer,
    cluster::{cluster, until},
    doctor::topic,
};

fn connection(nodes: &[RedisServer; 3], prefix: &str) -> Connection {
    let urls = nodes.each_ref().map(|node| format!("redis+cluster://127.0.0.1:{}", node.port));
    let options = format!(r#"{{"global_keyprefix": "{prefix}"}}"#);
    Connection::new(&urls.join(";")).expect("URLs").transport_options(options.parse().expect("options"))
}

async fn host(connection: &Connection) -> Host<Redis> {
    let redis = connection.connect().await.expect("a cluster");
    Host::from_tables(redis, connection.options().layout.clone(), load::Options::default())
}

/// The answer of whichever node has the key.
fn ask(nodes: &[RedisServer; 3], args: &[&str]) -> String {
    let mut answers = nodes.iter().map(|node| node.command(args));
    answers.find(|answer| !answer.starts_with("-MOVED")).expect("an owner")
}

async fn next(consumer: &mut Consumer) -> Delivery {
    match consumer.next(PATIENCE).await.expect("taken") {
        Next::Delivery(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

fn body(delivery: &Delivery) -> String {
    delivery.message().body.as_text().expect("text").to_owned()
}

#[tokio::test]
async fn kombus_own_layout_is_refused_where_a_message_could_get_lost() {
    let nodes = cluster().await;
    let host = host(&connection(&nodes, "")).await;
    let refusals = [
        host.consumer(vec!["q".into()], ConsumerOptions::default()).map(drop).expect_err("two slots"),
        host.get("q").await.map(drop).expect_err("two slots"),
        host.restore(Duration::from_secs(1)).await.map(drop).expect_err("two slots"),
    ];
    for error in refusals {
        assert_eq!(error.code(), "not-expressible", "{error}");
        assert!(error.to_string().contains("`global_keyprefix` a hash tag"), "{error}");
    }
    // Nothing was taken to find that out.
    let producer =
        Producer::connect(&connection(&nodes, ""), ProducerOptions::new()).await.expect("a producer");
    producer.publish(&Message::text("x").routing_key("q")).await.expect("published");
    assert!(host.get("q").await.is_err());
    assert_eq!(ask(&nodes, &["LLEN", "q"]), ":1\r\n");
    assert_eq!(ask(&nodes, &["EXISTS", "unacked"]), ":0\r\n");
}

/// A name with this beginning whose list lies on this node.
fn on(node: &RedisServer, beginning: &str) -> String {
    let mut names = (0..).map(|n| format!("{beginning}{n}"));
    names.find(|name| node.command(&["LLEN", name]).starts_with(':')).expect("a name")
}

/// Whatever lies on several nodes is several steps.
#[tokio::test]
async fn in_kombus_own_layout_bindings_and_copies_lie_on_several_nodes() {
    let mut nodes = cluster().await;
    let host = host(&connection(&nodes, "")).await;
    let queues = nodes.each_ref().map(|node| on(node, "q"));
    let bind = async |source: &str, kind: ExchangeKind, queue: &str, key: &str, dialect: Dialect| {
        let binding =
            serde_json::json!({"source": source, "destination": {"queue": queue}, "routingKey": key});
        let binding = serde_json::from_value(binding).expect("a binding");
        host.bind(&Bind { binding, kind: Some(kind), dialect }).await.expect("bound")
    };
    for queue in &queues {
        for (dialect, replaced) in [(Dialect::Kombu56, None), (Dialect::Kombu57, Some(Dialect::Kombu56))] {
            let bound = bind("orders", ExchangeKind::Topic, queue, "*.paid", dialect).await;
            assert_eq!((bound.new, bound.replaced), (true, Vec::from_iter(replaced)));
        }
        assert!(!bind("orders", ExchangeKind::Topic, queue, "*.paid", Dialect::Kombu57).await.new);
        bind("shards", ExchangeKind::ConsistentHash, queue, "1", Dialect::Amqp).await;
    }
    assert_eq!(ask(&nodes, &["SCARD", "_kombu.binding.orders"]), ":3\r\n");
    assert_eq!(ask(&nodes, &["SCARD", "_kombu.binding_permanent.orders"]), ":3\r\n");
    assert_eq!(ask(&nodes, &["HLEN", "keyrail.bucket"]), ":3\r\n");
    assert_eq!(ask(&nodes, &["HKEYS", "keyrail.exchange"]).matches("$6\r\n").count(), 2);
    let outgoing = Outgoing::new("orders", "a.paid", Envelope::text("x"));
    let published = host.publish(&outgoing).await.expect("published");
    assert_eq!(BTreeSet::from_iter(&published.queues), BTreeSet::from_iter(&queues));
    for queue in &queues {
        assert_eq!(ask(&nodes, &["LLEN", queue]), ":1\r\n");
    }
    // Putting, counting and clearing need no register.
    let simple = SimpleQueue::open(&host, &queues[0]).await.expect("a queue");
    simple.put(&Envelope::text("y")).await.expect("put");
    assert_eq!(simple.qsize().await.expect("counted"), 2);
    simple.clear().await.expect("cleared");
    assert_eq!(simple.qsize().await.expect("counted"), 0);
    // A node that is gone takes no copy, and who has one is told. The tables are a file's: they lie on no node.
    let lines = queues.each_ref().map(|queue| format!("orders topic: *.paid -> {queue}")).join("\n");
    let router = Topology::from_lines(&lines).expect("lines").router().expect("a topology");
    let redis = connection(&nodes, "").connect().await.expect("a cluster");
    let host = Host::fixed(redis, Layout::default(), router);
    host.publish(&outgoing).await.expect("published");
    nodes[2].stop();
    let error = host.publish(&outgoing).await.expect_err("a node is gone");
    assert_eq!(error.code(), "partly-published", "{error}");
    assert_eq!(queues.each_ref().map(|queue| error.to_string().contains(&**queue)), [true, true, false]);
    assert_eq!(ask(&nodes, &["LLEN", &queues[1]]), ":3\r\n");
}

#[tokio::test]
async fn with_a_hash_tag_a_cluster_delivers_as_one_server_does() {
    let nodes = cluster().await;
    let connection = connection(&nodes, "{shop}.");
    let host = host(&connection).await;
    let options = ProducerOptions::new().once(Duration::from_secs(60));
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    let put = async |queue: &str, body: &str, priority: u8| {
        let message = Message::text(body).routing_key(queue).priority(i64::from(priority));
        producer.publish(&message).await.expect("published");
    };
    // Across queues and priority lists.
    for (queue, body, priority) in [("a", "late", 9), ("b", "soon", 3), ("a", "first", 0), ("b", "second", 0)]
    {
        put(queue, body, priority).await;
    }
    let queues = || vec!["a".to_owned(), "b".to_owned()];
    let options = ConsumerOptions { prefetch: 2, ..ConsumerOptions::default() };
    let mut consumer = host.consumer(queues(), options).expect("a consumer");
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    assert_eq!([body(&first), body(&second)], ["first", "second"]);
    assert_eq!(ask(&nodes, &["HLEN", "{shop}.unacked"]), ":2\r\n");
    assert_eq!(ask(&nodes, &["ZCARD", "{shop}.unacked_index"]), ":2\r\n");
    assert!(first.ack().await.expect("acked"));
    let soon = next(&mut consumer).await;
    assert_eq!(body(&soon), "soon");
    assert!(second.requeue(Requeue::Last).await.expect("requeued"));
    assert!(soon.ack().await.expect("acked"));
    let again = next(&mut consumer).await;
    assert_eq!((body(&again).as_str(), again.redelivered()), ("second", true));
    again.ack().await.expect("acked");
    next(&mut consumer).await.ack().await.expect("acked");
    // Waiting ends with a push, on the node that has the list.
    let waiting = tokio::spawn(async move {
        let delivery = next(&mut consumer).await;
        (consumer, delivery)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    put("b", "pushed", 6).await;
    let (consumer, delivery) = waiting.await.expect("a task");
    assert_eq!(body(&delivery), "pushed");
    // What it holds goes back in order when it is closed.
    consumer.close().await.expect("closed");
    assert_eq!(ask(&nodes, &["LLEN", "{shop}.b\x06\x166"]), ":1\r\n");
    assert_eq!(ask(&nodes, &["EXISTS", "{shop}.unacked", "{shop}.unacked_index"]), ":0\r\n");
    assert_eq!(host.get("b").await.expect("got").expect("a message").body.as_text(), Some("pushed"));
}

/// Nobody announces a change to a client of all nodes, so what is known is read again: not with each publish, and never
/// later than a second after the change.
#[tokio::test]
async fn a_change_of_a_table_is_followed_within_a_second() {
    let nodes = cluster().await;
    for prefix in ["", "{shop}."] {
        let connection = connection(&nodes, prefix);
        let (host, options) = (host(&connection).await, ProducerOptions::new().exchange("orders"));
        let producer = Producer::connect(&connection, options).await.expect("a producer");
        let bind = async |queue: &str| {
            let binding =
                serde_json::json!({"source": "orders", "destination": {"queue": queue}, "routingKey": "k"});
            let binding = serde_json::from_value(binding).expect("a binding");
            let bind = Bind { binding, kind: Some(ExchangeKind::Direct), dialect: Dialect::Kombu57 };
            host.bind(&bind).await.expect("bound");
        };
        let reads = || nodes.iter().map(|node| node.calls(&["smembers"])[0]).sum::<u64>();
        bind("a").await;
        let message = Message::text("x").routing_key("k");
        assert_eq!(producer.publish(&message).await.expect("published").queues, ["a"]);
        bind("b").await;
        let bound = Instant::now();
        let before = reads();
        let mut published = 0;
        // Being used keeps no table alive.
        while bound.elapsed() < Duration::from_secs(1) {
            producer.publish(&message).await.expect("published");
            published += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let read = reads() - before;
        assert!(read <= 8 && read < published / 4, "{read} tables were read for {published} messages");
        let confirm = producer.publish(&message).await.expect("published");
        assert_eq!(
            BTreeSet::from_iter(&*confirm.queues),
            BTreeSet::from(["a", "b"].map(String::from).each_ref())
        );
    }
    // What was declared again is read again at once.
    let topology: Topology = serde_json::from_value(serde_json::json!({
        "exchanges": [{"name": "declared", "kind": "direct"}],
        "queues": [{"name": "a"}],
        "bindings": [{"source": "declared", "destination": {"queue": "a"}, "routingKey": "k"}],
    }))
    .expect("a topology");
    let options = ProducerOptions::new().exchange("declared").declare(topology, Dialect::Kombu57);
    let producer = Producer::connect(&connection(&nodes, ""), options).await.expect("a producer");
    let message = Message::text("x").routing_key("k");
    assert_eq!(producer.publish(&message).await.expect("published").queues, ["a"]);
    let deleted = nodes.iter().filter(|node| node.command(&["DEL", "_kombu.binding.declared"]) == ":1\r\n");
    assert_eq!(deleted.count(), 1);
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_eq!(producer.publish(&message).await.expect("published").queues, ["a"]);
}

#[tokio::test]
async fn what_a_dead_consumer_held_is_restored_on_its_node() {
    let nodes = cluster().await;
    let connection = connection(&nodes, "{shop}.");
    let producer = Producer::connect(&connection, ProducerOptions::new()).await.expect("a producer");
    for n in 0..50 {
        let message = Message::text(n.to_string()).routing_key("q").priority(n % 10);
        producer.publish(&message).await.expect("published");
    }
    let dead = host(&connection).await;
    let queues = ["q".to_owned()];
    let take = keyrail_redis::Take {
        layout: dead.layout(),
        queues: &queues,
        limit: 50,
        in_turn: true,
        owner: Some("dead"),
    };
    assert_eq!(dead.executor().take(&take).await.expect("taken").len(), 50);
    assert_eq!(ask(&nodes, &["HLEN", "{shop}.unacked"]), ":50\r\n");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let living = host(&connection).await;
    assert_eq!(living.restore(Duration::from_secs(1)).await.expect("restored").restored, 50);
    let mut queue = SimpleQueue::open(&living, "q").await.expect("a queue");
    for _ in 0..50 {
        let message = queue.get(PATIENCE).await.expect("got").expect("a message");
        message.ack().await.expect("acked");
    }
    assert_eq!(ask(&nodes, &["EXISTS", "{shop}.unacked"]), ":0\r\n");
}

/// What grows with the nodes is what they can do together: each does the work of the tags that lie on it and no more.
/// Counted in commands, since nodes that share two cores do not get faster.
#[tokio::test]
async fn tags_on_different_nodes_share_the_work() {
    let nodes = cluster().await;
    // One tag for each node.
    let mut tags: [Option<String>; 3] = [None, None, None];
    for n in 0.. {
        if tags.iter().all(Option::is_some) {
            break;
        }
        let tag = format!("{{shop{n}}}.");
        let owner = nodes.iter().position(|node| !node.command(&["EXISTS", &tag]).starts_with('-'));
        tags[owner.expect("an owner")].get_or_insert(tag);
    }
    let tags = tags.map(|tag| tag.expect("a tag"));
    let work = async |tag: &str| {
        let connection = connection(&nodes, tag);
        let producer = Producer::connect(&connection, ProducerOptions::new()).await.expect("a producer");
        let batch: Vec<Message> = (0..300).map(|n| Message::text(n.to_string()).routing_key("q")).collect();
        for answer in producer.publish_all(&batch).await {
            answer.expect("published");
        }
        let host = host(&connection).await;
        let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
        for _ in 0..300 {
            next(&mut consumer).await.ack().await.expect("acked");
        }
        consumer.close().await.expect("closed");
    };
    // Published, and acked; and whether any was registered here, which goes in batches.
    let done = |node: &RedisServer| {
        let calls = node.calls(&["lpush", "hdel", "hset"]);
        (calls[0], calls[1], calls[2] > 0)
    };
    for tag in [&tags[0], &tags[0], &tags[0]] {
        work(tag).await;
    }
    assert_eq!(nodes.each_ref().map(done), [(900, 900, true), (0, 0, false), (0, 0, false)]);
    for node in &nodes {
        node.command(&["CONFIG", "RESETSTAT"]);
    }
    for tag in &tags {
        work(tag).await;
    }
    assert_eq!(nodes.each_ref().map(done), [(300, 300, true); 3]);
    until("nothing is left", || nodes.iter().all(|node| node.command(&["DBSIZE"]) == ":0\r\n")).await;
}

/// Each message of a pipeline has its own answer, on whichever node its queue lies.
#[tokio::test]
async fn a_node_that_is_gone_takes_no_answers_of_the_others_with_it() {
    const COUNT: usize = 64;
    let mut nodes = cluster().await;
    let producer =
        Producer::connect(&connection(&nodes, ""), ProducerOptions::new()).await.expect("a producer");
    let messages: Vec<Message> =
        (0..COUNT).map(|n| Message::text("x").exchange("").routing_key(format!("b{n}"))).collect();
    let own: Vec<bool> = messages
        .iter()
        .enumerate()
        .map(|(n, _)| nodes[0].command(&["LLEN", &format!("b{n}")]).starts_with(':'))
        .collect();
    nodes[0].stop();
    let answers = producer.publish_all(&messages).await;
    for (n, (answer, gone)) in answers.iter().zip(&own).enumerate() {
        match answer {
            Ok(confirm) => assert!(!gone && confirm.queues == [format!("b{n}")], "b{n}"),
            Err(error) => assert!(*gone, "b{n}: {error}"),
        }
    }
    let there = |node: &RedisServer| {
        (0..COUNT).filter(|n| node.command(&["LLEN", &format!("b{n}")]) == ":1\r\n").count()
    };
    let gone = own.iter().filter(|gone| **gone).count();
    assert!(gone > 10 && gone < COUNT - 10, "{gone}");
    assert_eq!(nodes[1..].iter().map(there).sum::<usize>(), COUNT - gone);
}

/// An examination needs no step of several keys; a repair and its record are one.
#[tokio::test]
async fn the_doctor_examines_everywhere_and_repairs_in_one_slot() {
    let nodes = cluster().await;
    for prefix in ["", "{shop}."] {
        let table = format!("{prefix}_kombu.binding.orders");
        for dialect in [Dialect::Kombu57, Dialect::Kombu56] {
            let row = String::from_utf8(topic("a.*", "q", dialect)).expect("text");
            assert_eq!(ask(&nodes, &["SADD", &table, &row]), ":1\r\n");
        }
        let doctor =
            Doctor::connect(&connection(&nodes, prefix), Limits::default()).await.expect("a cluster");
        let report = doctor.examine().await.expect("examined");
        let twins = || report.findings.iter().filter(|finding| finding.code == Code::StaleTwin);
        assert_eq!(twins().count(), 1, "{prefix}: {report:?}");
        let repaired = doctor.repair(&report, &[Code::StaleTwin]).await;
        if prefix.is_empty() {
            for error in [repaired.map(drop), doctor.undo("x").await.map(drop)] {
                let error = error.expect_err("two slots");
                assert_eq!(error.code(), "not-expressible", "{error}");
                assert!(error.to_string().contains("`global_keyprefix` a hash tag"), "{error}");
            }
            assert_eq!(ask(&nodes, &["SCARD", &table]), ":2\r\n");
            continue;
        }
        let record = repaired.expect("repaired").record.expect("a record");
        assert_eq!(ask(&nodes, &["SCARD", &table]), ":1\r\n");
        assert_eq!(doctor.undo(&record).await.expect("taken back").undone, 1);
        assert_eq!(ask(&nodes, &["SCARD", &table]), ":2\r\n");
    }
}
