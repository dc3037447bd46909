//! What lies beside Kombu's keys and needs more than a set: the buckets of consistent-hash exchanges, and policies. In
//! memory and on a server.

mod support;

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeKind, Operation, PolicyDefinition, QueueBinding,
    Router, Table, Topology,
    kombu::{Envelope, Layout},
};
use keyrail_redis::{
    Bind, Connection, Executor, Freshness, Host, Memory, Message, Outgoing, Producer, ProducerOptions, Redis,
    RedisOptions, load,
};
use support::{
    RedisServer, on_both,
    operations::{exchange, queue},
};

fn binding(exchange: &str, queue: &str, key: &str) -> QueueBinding {
    let (queue, exchange, routing_key) = (queue.into(), exchange.into(), key.into());
    QueueBinding { queue, exchange, routing_key, ..QueueBinding::default() }
}

fn policy(name: &str, pattern: &str, alternate: &str, priority: i64) -> Operation {
    Operation::PolicySet(PolicyDefinition {
        name: name.into(),
        pattern: pattern.into(),
        apply_to: keyrail_core::ApplyTo::Exchanges,
        priority,
        definition: Table::from_iter([("alternate-exchange", alternate)]),
    })
}

fn tables<E: Executor>(executor: E) -> Host<E> {
    Host::from_tables(executor, Layout::default(), load::Options::default())
}

/// The queues that own the buckets, in order, with their weights.
fn owners(router: &Router, exchange: &str) -> Vec<(String, String)> {
    let Some(id) = router.exchange(exchange) else { return Vec::new() };
    let owners = router.bucket_owners(id).map(|owner| {
        let queue = DestinationName::of(router, owner.destination).name().to_owned();
        (queue, String::from_utf8_lossy(owner.key).into_owned())
    });
    owners.collect()
}

/// Random operations on Redis and on a router that was never written down.
async fn buckets_are_dealt_out_as_in_a_router_that_lives_on<E: Executor>(executor: E) {
    let host = tables(executor);
    let mut model = Router::with_predeclared_exchanges();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut operations =
        vec![exchange("spread", "x-consistent-hash"), exchange("other", "x-consistent-hash")];
    operations.extend((0..6).map(|n| queue(&format!("q{n}"))));
    for _ in 0..120 {
        let name = format!("q{}", random(6));
        let exchange_name = if random(4) == 0 { "other" } else { "spread" };
        let bound = binding(exchange_name, &name, &format!("{}", 1 + random(3)));
        operations.push(match random(12) {
            0..7 => Operation::QueueBind(bound),
            7..11 => Operation::QueueUnbind(bound),
            _ => Operation::QueueDelete { queue: name.as_str().into(), if_unused: false, if_empty: false },
        });
        if matches!(operations.last(), Some(Operation::QueueDelete { .. })) {
            operations.push(queue(&name));
        }
    }
    operations.push(Operation::ExchangeDelete { exchange: "other".into(), if_unused: false });
    operations.push(exchange("other", "x-consistent-hash"));
    operations.push(Operation::QueueBind(binding("other", "q3", "2")));
    let mut most = 0;
    for (step, operation) in operations.iter().enumerate() {
        let answers = (model.apply(operation).is_ok(), host.apply(operation).await.is_ok());
        assert_eq!(answers.0, answers.1, "step {step}: {operation:?}");
        let table = host.table(None).await.expect("loaded");
        for name in ["spread", "other"] {
            let expected = owners(&model, name);
            assert_eq!(owners(&table.router, name), expected, "`{name}` after step {step}: {operation:?}");
            most = most.max(expected.len());
        }
    }
    assert!(most >= 4, "{most} owners are no order");
    for n in 0..200 {
        let key = format!("k{n}");
        let (id, message) = model.message("spread", &key, None).expect("a message");
        let mut trace = keyrail_core::Trace::new();
        let _ = model.explain(id, &message, &mut trace);
        let expected: Vec<String> = trace.queues().map(Into::into).collect();
        let sent = host.publish(&Outgoing::new("spread", &key, Envelope::text("x"))).await.expect("sent");
        assert_eq!(sent.queues, expected, "{key}");
    }
}

async fn a_binding_and_an_import_bring_buckets_once<E: Executor>(executor: E) {
    let host = tables(executor);
    let bind = |queue: &str, key: &str| Bind {
        binding: BindingDefinition {
            source: "spread".into(),
            destination: DestinationName::Queue(queue.into()),
            routing_key: key.into(),
            arguments: Table::new(),
            dialect: Dialect::Amqp,
            pattern: None,
        },
        kind: Some(ExchangeKind::ConsistentHash),
        dialect: Dialect::Amqp,
    };
    // Not in the order of their names; the second of `z`, and the same again, bring nothing.
    for (queue, key) in [("z", "2"), ("a", "1"), ("z", "1"), ("m", "3"), ("z", "2"), ("a", "1")] {
        host.bind(&bind(queue, key)).await.expect("bound");
    }
    let expected =
        [("z", "2"), ("a", "1"), ("m", "3")].map(|(queue, key)| (queue.to_owned(), key.to_owned()));
    let table = host.table(Some("spread")).await.expect("loaded");
    assert_eq!(owners(&table.router, "spread"), expected);
    for key in ["0", "-1", "heavy", ""] {
        let error = host.bind(&bind("b", key)).await.expect_err("no weight");
        assert_eq!(error.code(), "invalid-weight", "{error}");
    }
    let printed = Topology::of(&table.router);
    let copy = tables(Memory::new());
    for _ in 0..2 {
        copy.import(&printed, Dialect::Kombu57).await.expect("imported");
        let table = copy.table(None).await.expect("loaded");
        assert_eq!(owners(&table.router, "spread"), expected);
    }
}

async fn a_policy_gives_an_alternate_until_it_is_cleared<E: Executor>(executor: E) {
    let host = tables(executor);
    for operation in [
        exchange("orders", "direct"),
        exchange("unrouted", "direct"),
        exchange("last", "direct"),
        queue("rest"),
        queue("urgent"),
        Operation::QueueBind(binding("unrouted", "rest", "k")),
        Operation::QueueBind(binding("last", "urgent", "other")),
        policy("all", "^orders$", "unrouted", 0),
        // An alternate of an alternate, by a policy too.
        policy("next", "^unrouted$", "last", 0),
    ] {
        host.apply(&operation).await.expect("applied");
    }
    let to = async |key: &str| {
        host.publish(&Outgoing::new("orders", key, Envelope::text("x"))).await.expect("sent").queues
    };
    assert_eq!(to("k").await, ["rest"]);
    assert_eq!(to("other").await, ["urgent"]);
    host.apply(&policy("better", "^ord", "last", 1)).await.expect("applied");
    assert!(to("k").await.is_empty());
    assert_eq!(to("other").await, ["urgent"]);
    host.apply(&Operation::PolicyClear { name: "better".into() }).await.expect("cleared");
    assert_eq!(to("k").await, ["rest"]);
    // They are printed and imported with everything else.
    let printed = Topology::of(&host.table(None).await.expect("loaded").router);
    assert_eq!(printed.policies.len(), 2);
    let copy = tables(Memory::new());
    copy.import(&printed, Dialect::Kombu57).await.expect("imported");
    assert_eq!(Topology::of(&copy.table(None).await.expect("loaded").router), printed);
    host.apply(&Operation::PolicyClear { name: "all".into() }).await.expect("cleared");
    assert!(to("k").await.is_empty());
    let error = host.apply(&policy("bad", "(?<=a)b", "last", 0)).await.expect_err("no pattern");
    assert!(error.to_string().contains("(?<=a)b"), "{error}");
}

on_both!(
    buckets_are_dealt_out_as_in_a_router_that_lives_on,
    a_binding_and_an_import_bring_buckets_once,
    a_policy_gives_an_alternate_until_it_is_cleared,
);

/// The tables that a producer keeps are forgotten when buckets or policies change.
#[tokio::test]
async fn a_strict_producer_follows_buckets_and_policies() {
    let server = RedisServer::start();
    let connection = Connection::new(&server.url()).expect("a URL");
    let host = tables(connection.connect().await.expect("Redis"));
    for operation in [
        exchange("spread", "x-consistent-hash"),
        exchange("unrouted", "direct"),
        queue("a"),
        queue("b"),
        queue("rest"),
        Operation::QueueBind(binding("unrouted", "rest", "k")),
    ] {
        host.apply(&operation).await.expect("applied");
    }
    let options = ProducerOptions::new().exchange("spread").freshness(Freshness::Strict);
    let producer = Producer::connect(&connection, options).await.expect("a producer");
    let to = async || producer.publish(&Message::text("x").routing_key("k")).await.expect("published").queues;
    for _ in 0..20 {
        assert!(to().await.is_empty());
        host.apply(&policy("all", "^spread$", "unrouted", 0)).await.expect("set");
        assert_eq!(to().await, ["rest"]);
        host.apply(&Operation::QueueBind(binding("spread", "a", "1"))).await.expect("bound");
        assert_eq!(to().await, ["a"]);
        host.apply(&Operation::QueueUnbind(binding("spread", "a", "1"))).await.expect("unbound");
        host.apply(&Operation::QueueBind(binding("spread", "b", "1"))).await.expect("bound");
        assert_eq!(to().await, ["b"]);
        host.apply(&Operation::QueueUnbind(binding("spread", "b", "1"))).await.expect("unbound");
        host.apply(&Operation::PolicyClear { name: "all".into() }).await.expect("cleared");
    }
}

/// What a file of another hand, or half a restore of a backup, leaves in the hash of buckets.
#[tokio::test]
async fn buckets_without_a_binding_are_passed_over_and_bad_ones_are_named() {
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = tables(redis);
    for operation in [
        exchange("spread", "x-consistent-hash"),
        queue("a"),
        queue("b"),
        Operation::QueueBind(binding("spread", "a", "1")),
    ] {
        host.apply(&operation).await.expect("applied");
    }
    let gone = r#"{"source":"spread","destination":{"queue":"b"},"routingKey":"1"}"#;
    server.command(&["HSET", "keyrail.bucket", gone, "0"]);
    let table = host.table(None).await.expect("loaded");
    assert_eq!(owners(&table.router, "spread"), [("a".to_owned(), "1".to_owned())]);
    // It does not come to life with its binding: who is bound now comes last.
    host.apply(&Operation::QueueBind(binding("spread", "b", "1"))).await.expect("bound");
    let table = host.table(None).await.expect("loaded");
    let names: Vec<String> = owners(&table.router, "spread").into_iter().map(|owner| owner.0).collect();
    assert_eq!(names, ["a", "b"]);
    for (field, value) in [("no binding", "1"), (gone, "first"), (gone, "-1")] {
        server.command(&["HSET", "keyrail.bucket", field, value]);
        let error = host.table(None).await.expect_err("a bad entry");
        assert!(error.to_string().contains("keyrail.bucket"), "{error}");
        server.command(&["HDEL", "keyrail.bucket", field]);
    }
}
