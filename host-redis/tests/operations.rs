//! AMQP's operations on the topology in Redis, in memory and on a server.

mod support;

use keyrail_core::Dialect;
use keyrail_core::{
    BindingDefinition, DestinationName, Operation, QueueBinding, Table,
    kombu::{Command, Layout, Member, Plan},
};
use keyrail_redis::{Bind, Executor, Host, Memory, Redis, RedisOptions, Reply, load};
use support::{
    RedisServer, on_both,
    operations::{exchange, queue},
};

fn bind(key: &str, dialect: Dialect) -> QueueBinding {
    let (queue, exchange, routing_key) = ("billing".into(), "orders".into(), key.into());
    QueueBinding { queue, exchange, routing_key, dialect, ..QueueBinding::default() }
}

fn delete(if_empty: bool) -> Operation {
    Operation::QueueDelete { queue: "billing".into(), if_unused: false, if_empty }
}

async fn members<E: Executor>(host: &Host<E>, key: String) -> Vec<Vec<u8>> {
    let plan = Plan { atomic: false, commands: vec![Command::SMembers { key }] };
    match host.executor().run(&plan).await.expect("read").pop() {
        Some(Reply::Members(members)) => members,
        other => panic!("{other:?}"),
    }
}

async fn add<E: Executor>(host: &Host<E>, commands: Vec<Command>) {
    host.executor().run(&Plan { atomic: false, commands }).await.expect("written");
}

fn row(key: &str, queue: &str, dialect: Dialect) -> Vec<u8> {
    Member::topic(key, queue, dialect).expect("a key").to_bytes(&Layout::default().sep).expect("a row")
}

async fn hosted<E: Executor>(executor: E) -> Host<E> {
    let host = Host::from_tables(executor, Layout::default(), load::Options::default());
    for operation in [exchange("orders", "topic"), queue("billing"), queue("audit")] {
        host.apply(&operation).await.expect("declared");
    }
    host
}

async fn a_deletion_knows_the_rows_of_every_dialect_and_process<E: Executor>(executor: E) {
    let host = hosted(executor).await;
    let layout = host.layout().clone();
    host.apply(&Operation::QueueBind(bind("a.#", Dialect::Amqp))).await.expect("bound");
    host.apply(&Operation::QueueBind(bind("a.*", Dialect::Kombu57))).await.expect("bound");
    let table = layout.binding_table("orders");
    // A twin of Kombu 5.6 and somebody else's row.
    let foreign = row("a.*", "audit", Dialect::Kombu56);
    let commands = [row("a.*", "billing", Dialect::Kombu56), foreign.clone()];
    add(&host, commands.into_iter().map(|member| Command::SAdd { key: table.clone(), member }).collect())
        .await;
    add(&host, layout.lists("billing").map(|key| Command::LPush { key, value: b"x".into() }).collect()).await;
    assert_eq!(members(&host, table.clone()).await.len(), 4);
    let error = host.apply(&delete(true)).await.expect_err("it has messages");
    assert_eq!(error.code(), "queue-not-empty");
    assert_eq!(members(&host, table.clone()).await.len(), 4);
    host.apply(&delete(false)).await.expect("deleted");
    assert_eq!(members(&host, table).await, [foreign]);
    assert!(members(&host, layout.permanent_table("orders")).await.is_empty());
    assert_eq!(host.count("billing").await.expect("counted"), 0);
}

async fn an_unbind_removes_the_row_that_was_written<E: Executor>(executor: E) {
    let host = hosted(executor).await;
    let table = host.layout().binding_table("orders");
    for dialect in Dialect::ALL {
        let binding = bind("*.paid", dialect);
        host.apply(&Operation::QueueBind(binding.clone())).await.expect("bound");
        assert_eq!(members(&host, table.clone()).await, [row("*.paid", "billing", dialect)]);
        host.apply(&Operation::QueueUnbind(binding)).await.expect("unbound");
        assert!(members(&host, table.clone()).await.is_empty(), "{dialect:?}");
    }
}

async fn a_refusal_writes_nothing<E: Executor>(executor: E) {
    let host = hosted(executor).await;
    let before = host.executor().keys("").await.expect("keys");
    let mut nowhere = bind("k", Dialect::Amqp);
    nowhere.exchange = "nowhere".into();
    for (operation, code) in [
        (exchange("orders", "direct"), "inequivalent"),
        (exchange("orders", "no-type"), "unknown-exchange-kind"),
        (Operation::QueueBind(nowhere), "exchange-not-found"),
        (Operation::QueueBind(bind("a\x06\x16b", Dialect::Amqp)), "member-separator"),
        (Operation::QueueBind(bind(&"k".repeat(256), Dialect::Amqp)), "key-too-long"),
    ] {
        let error = host.apply(&operation).await.expect_err(code);
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(host.executor().keys("").await.expect("keys"), before, "{code}");
    }
}

async fn a_binding_may_lead_to_an_exchange_that_nothing_leads_to_yet<E: Executor>(executor: E) {
    let host = hosted(executor).await;
    host.apply(&exchange("audits", "fanout")).await.expect("declared");
    let to = |name: &str| Bind {
        binding: BindingDefinition {
            source: "orders".into(),
            destination: DestinationName::Exchange(name.into()),
            routing_key: "paid.#".into(),
            pattern: None,
            dialect: Dialect::Amqp,
            arguments: Table::new(),
        },
        kind: None,
        dialect: Dialect::Amqp,
    };
    host.bind(&to("audits")).await.expect("bound");
    let table = host.table(Some("orders")).await.expect("read");
    assert!(table.router.exchange("audits").is_some(), "reached from now on");
    let error = host.bind(&to("nowhere")).await.expect_err("nobody declared it");
    assert_eq!(error.code(), "exchange-not-found", "{error}");
}

/// Whoever wrote it and in whichever dialect, unless one is named; other queues and keys stay.
async fn an_unbind_finds_every_dialect<E: Executor>(executor: E) {
    let host = hosted(executor).await;
    let layout = host.layout().clone();
    let table = layout.binding_table("orders");
    let kept = [row("a.*", "audit", Dialect::Kombu56), row("a.b", "billing", Dialect::Kombu57)];
    let twins = [Dialect::Kombu56, Dialect::Kombu57].map(|dialect| row("a.*", "billing", dialect));
    for member in kept.iter().chain(&twins) {
        add(&host, vec![Command::SAdd { key: table.clone(), member: member.clone() }]).await;
    }
    let permanent = Command::SAdd { key: layout.permanent_table("orders"), member: twins[1].clone() };
    add(&host, vec![permanent]).await;
    let binding = BindingDefinition {
        source: "orders".into(),
        destination: DestinationName::Queue("billing".into()),
        routing_key: "a.*".into(),
        pattern: None,
        dialect: Dialect::Amqp,
        arguments: Table::new(),
    };
    assert!(host.unbind(&binding, Some(Dialect::Amqp)).await.expect("asked").is_empty());
    let dialects = |removed: Vec<BindingDefinition>| {
        let mut dialects: Vec<&str> = removed.iter().map(|binding| binding.dialect.as_str()).collect();
        dialects.sort_unstable();
        dialects.join(" ")
    };
    assert_eq!(dialects(host.unbind(&binding, None).await.expect("removed")), "kombu56 kombu57");
    let mut left = members(&host, table).await;
    left.sort_unstable();
    let mut expected = kept.to_vec();
    expected.sort_unstable();
    assert_eq!(left, expected);
    assert!(members(&host, layout.permanent_table("orders")).await.is_empty());
    assert!(host.unbind(&binding, None).await.expect("asked").is_empty());
}

on_both!(
    an_unbind_finds_every_dialect,
    a_binding_may_lead_to_an_exchange_that_nothing_leads_to_yet,
    a_deletion_knows_the_rows_of_every_dialect_and_process,
    an_unbind_removes_the_row_that_was_written,
    a_refusal_writes_nothing,
);
