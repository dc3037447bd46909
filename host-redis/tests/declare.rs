//! What is declared stays as it was declared first, whoever comes later, and however many at once.

mod support;

use std::sync::Arc;

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeKind, PolicyDefinition, QueueDefinition, Table,
    Topology, Value, kombu::Layout,
};
use keyrail_redis::{
    Bind, Connection, Executor, Host, Memory, Message, Producer, ProducerOptions, Redis, RedisOptions, load,
    registry,
};
use support::{Folder, RedisServer, cluster::cluster, fail, on_both, operations, succeed};

on_both!(
    what_contradicts_is_refused_by_name_and_nothing_is_written,
    what_is_equal_stays_as_it_was,
    of_many_who_declare_at_once_one_wins,
    an_entry_that_cannot_be_read_is_named,
);

fn topology(json: &str) -> Topology {
    serde_json::from_str(json).expect("a topology")
}

fn host<E: Executor>(executor: E) -> Host<E> {
    Host::from_tables(executor, Layout::default(), load::Options::default())
}

/// An exchange and a queue with every property that is compared.
const FIRST: &str = r#"{
    "exchanges": [{"name": "e", "kind": "topic", "durable": true, "alternateExchange": "other",
                   "arguments": {"x-note": "first"}}],
    "queues": [{"name": "q", "durable": true, "arguments": {"x-expires": 60000, "x-max-priority": 9}}],
    "bindings": [{"source": "e", "destination": {"queue": "q"}, "routingKey": "a.*", "dialect": "kombu57"}]
}"#;

async fn what_contradicts_is_refused_by_name_and_nothing_is_written<E: Executor>(executor: E) {
    let host = host(executor);
    host.import(&topology(FIRST), Dialect::Kombu57).await.expect("imported");
    let before = everything(host.executor()).await;
    for (from, to, culprit, property) in [
        (r#""kind": "topic""#, r#""kind": "direct""#, "e", "type"),
        (r#""kind": "topic", "durable": true"#, r#""kind": "topic""#, "e", "durable"),
        (r#""kind": "topic","#, r#""kind": "topic", "autoDelete": true,"#, "e", "auto_delete"),
        (r#""kind": "topic","#, r#""kind": "topic", "internal": true,"#, "e", "internal"),
        (r#""alternateExchange": "other","#, "", "e", "alternate-exchange"),
        (r#""name": "q", "durable": true"#, r#""name": "q""#, "q", "durable"),
        (r#""name": "q","#, r#""name": "q", "exclusive": true,"#, "q", "exclusive"),
        (r#""x-expires": 60000"#, r#""x-expires": 60001"#, "q", "x-expires"),
        (r#", "x-max-priority": 9"#, "", "q", "x-max-priority"),
    ] {
        let changed = FIRST.replacen(from, to, 1);
        assert_ne!(changed, FIRST, "{from}");
        let mut changed = topology(&changed);
        // Neither what is new beside it.
        changed.queues.push(QueueDefinition { name: "new".into(), ..changed.queues[0].clone() });
        changed.bindings.push(BindingDefinition { routing_key: "new".into(), ..changed.bindings[0].clone() });
        changed.policies = vec![policy()];
        let error = host.import(&changed, Dialect::Kombu57).await.expect_err(property);
        assert_eq!(error.code(), "inequivalent", "{error}");
        assert_eq!(error.to_string(), format!("`{culprit}` exists with another `{property}`"));
        assert_eq!(everything(host.executor()).await, before, "{property}");
    }
}

async fn what_is_equal_stays_as_it_was<E: Executor>(executor: E) {
    let host = host(executor);
    // In other words than ours, and with an argument that no broker compares.
    let key = registry::exchanges_key(host.layout());
    let own = r#"{"durable":true, "kind":"topic","name":"e","alternateExchange":"other"}"#;
    let set = keyrail_core::kombu::Command::HSet { key, field: "e".into(), value: own.into() };
    run(host.executor(), set).await;
    for _ in 0..2 {
        host.import(&topology(FIRST), Dialect::Kombu57).await.expect("imported");
        let exchanges = host.executor().hash(&registry::exchanges_key(host.layout())).await.expect("a hash");
        assert_eq!(exchanges, [("e".to_owned(), own.as_bytes().to_vec())]);
    }
    let mut later = topology(FIRST);
    later.queues[0].arguments =
        Table::from_iter([("x-expires", Value::I64(60_000)), ("x-max-priority", Value::I8(9))]);
    later.queues.push(QueueDefinition { name: "later".into(), ..later.queues[0].clone() });
    host.import(&later, Dialect::Kombu57).await.expect("one number, however it is written");
    let queues = host.executor().hash(&registry::queues_key(host.layout())).await.expect("a hash");
    assert_eq!(queues.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["later", "q"]);
}

async fn of_many_who_declare_at_once_one_wins<E: Executor>(executor: E) {
    let host = Arc::new(host(executor));
    for round in 0..25 {
        let name = format!("e{round}");
        let ways = (0..6).map(|n: usize| {
            let (host, name) = (host.clone(), name.clone());
            tokio::spawn(async move {
                let kind = [ExchangeKind::Direct, ExchangeKind::Topic, ExchangeKind::Fanout][n % 3];
                let declared = match n {
                    0..3 => {
                        let json = format!(
                            r#"{{"exchanges": [{{"name": "{name}", "kind": "{kind}", "durable": true}}]}}"#
                        );
                        host.import(&topology(&json), Dialect::Kombu57).await.map(drop)
                    }
                    3 => host.apply(&operations::exchange(&name, &kind.to_string())).await,
                    _ => {
                        let binding = BindingDefinition {
                            source: name.as_str().into(),
                            destination: DestinationName::Queue("q".into()),
                            routing_key: "k".into(),
                            arguments: Table::new(),
                            dialect: Dialect::Kombu57,
                            pattern: None,
                        };
                        let bind = Bind { binding, kind: Some(kind), dialect: Dialect::Kombu57 };
                        host.bind(&bind).await.map(drop)
                    }
                };
                match declared {
                    Ok(()) => Some(kind),
                    Err(error) => {
                        assert!(["inequivalent", "not-expressible"].contains(&error.code()), "{error}");
                        assert!(error.to_string().contains(&name), "{error}");
                        None
                    }
                }
            })
        });
        let mut winners = Vec::new();
        for way in ways.collect::<Vec<_>>() {
            winners.extend(way.await.expect("a task"));
        }
        let table = host.table(Some(&name)).await.expect("a table");
        let exchange = table.router.exchange(&name).and_then(|id| table.router.exchange_properties(id));
        let kind = exchange.expect("declared").kind();
        assert!(!winners.is_empty() && winners.iter().all(|winner| *winner == kind), "{winners:?}, {kind}");
    }
}

async fn an_entry_that_cannot_be_read_is_named<E: Executor>(executor: E) {
    let host = host(executor);
    let key = registry::queues_key(host.layout());
    let set =
        keyrail_core::kombu::Command::HSet { key: key.clone(), field: "q".into(), value: "no JSON".into() };
    run(host.executor(), set).await;
    let error = host.import(&topology(FIRST), Dialect::Kombu57).await.expect_err("no JSON");
    assert_eq!(error.code(), "invalid-registry");
    assert!(error.to_string().contains(&format!("{key}[q]")), "{error}");
    assert_eq!(host.executor().keys("").await.expect("keys"), [key]);
}

fn policy() -> PolicyDefinition {
    serde_json::from_str(
        r#"{"name": "p", "pattern": ".*", "applyTo": "exchanges", "priority": 0,
                             "definition": {"alternate-exchange": "x"}}"#,
    )
    .expect("a policy")
}

async fn run<E: Executor>(executor: &E, command: keyrail_core::kombu::Command) {
    let plan = keyrail_core::kombu::Plan { atomic: false, commands: vec![command] };
    executor.run(&plan).await.expect("written");
}

/// Every key, and what keyrail's own hold.
async fn everything<E: Executor>(executor: &E) -> (Vec<String>, Vec<(String, Vec<u8>)>) {
    let layout = Layout::default();
    let mut fields = executor.hash(&registry::exchanges_key(&layout)).await.expect("a hash");
    fields.extend(executor.hash(&registry::queues_key(&layout)).await.expect("a hash"));
    (executor.keys("").await.expect("keys"), fields)
}

/// As one who declares what somebody else has declared otherwise.
async fn refused(url: &str, declared: &Topology) {
    let connection = Connection::new(url).expect("a URL");
    let options = ProducerOptions::new().exchange("e").declare(declared.clone(), Dialect::Kombu57);
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    let message = Message::text("x").routing_key("a.b");
    for _ in 0..2 {
        let error = producer.publish(&message).await.expect_err("another type");
        assert_eq!((error.code(), &*error.to_string()), ("inequivalent", "`e` exists with another `type`"));
    }
    for answer in producer.publish_all(&[message.clone(), message]).await {
        assert_eq!(answer.expect_err("another type").code(), "inequivalent");
    }
}

#[tokio::test]
async fn a_producer_a_consumer_and_an_import_are_told_what_they_contradict() {
    let server = RedisServer::start();
    let folder = Folder::new();
    let first = folder.file("first.json", FIRST);
    succeed(["topology", "import", "--topology", &first, "--redis", &server.url()]);
    let other = FIRST.replace("topic", "direct").replace("a.*", "new");
    refused(&server.url(), &topology(&other)).await;
    let other = folder.file("other.json", &other);
    let verbs: [&[&str]; 2] =
        [&["topology", "import"], &["consume", "--declare", "-q", "q", "--timeout", "1"]];
    for verb in verbs {
        let url = server.url();
        let args = [verb, &["--topology", &other, "--redis", &url]].concat();
        let output = support::keyrail(args);
        let line = support::text(&output.stderr);
        assert_eq!((output.status.code(), &*line), (Some(1), "keyrail: `e` exists with another `type`\n"));
    }
    assert_eq!(server.command(&["SCARD", "_kombu.binding.e"]), ":1\r\n");
    assert_eq!(server.command(&["EXISTS", "q"]), ":0\r\n");
    succeed(["topology", "import", "--topology", &first, "--redis", &server.url()]);
    let refused =
        fail(1, ["bind", "--redis", &server.url(), "-x", "e", "--type", "fanout", "-k", "k", "-q", "q"]);
    assert!(refused.contains("exchange `e` is topic already"), "{refused}");
}

/// There the tables lie on several servers, and each is asked before any is written.
#[tokio::test]
async fn on_a_cluster_nothing_is_written_either() {
    let nodes = cluster().await;
    let url = format!("redis+cluster://127.0.0.1:{}", nodes[0].port);
    let connection = Connection::new(&url).expect("a URL");
    let options = ProducerOptions::new().exchange("e").declare(topology(FIRST), Dialect::Kombu57);
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    let confirm = producer.publish(&Message::text("x").routing_key("a.b")).await.expect("published");
    assert_eq!(confirm.queues, ["q"]);
    let keys = || nodes.each_ref().map(|node| node.command(&["DBSIZE"]));
    let before = keys();
    let mut other = topology(FIRST);
    other.exchanges[0].kind = ExchangeKind::Direct;
    other
        .exchanges
        .push(keyrail_core::ExchangeDefinition { name: "new".into(), ..other.exchanges[0].clone() });
    other.policies = vec![policy()];
    refused(&url, &other).await;
    assert_eq!(keys(), before);
    let redis = connection.connect().await.expect("a cluster");
    let exchanges = redis.hash(&registry::exchanges_key(&Layout::default())).await.expect("a hash");
    assert_eq!(exchanges.len(), 1);
}
