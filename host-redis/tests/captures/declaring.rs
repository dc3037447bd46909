//! What a declaration writes: rows, deadlines, and nothing else.

use std::time::Duration;

use keyrail_core::{
    Dialect, ExchangeKind, Table, Value as Field,
    kombu::{Json, translate},
};
use keyrail_redis::Message;

use crate::{
    stage::{check, check_declared, connect, host, in_kombus_words, n, replay, take_all, topology},
    support::RedisServer,
    wire::{Monitor, capture, recorded, said_effects, state},
};

#[tokio::test]
async fn rows_and_copies() {
    let red = topology("ex.direct", ExchangeKind::Direct, &[("red", "dq1"), ("green", "dq1"), ("", "dq2")]);
    check_declared("bind_direct", red).await;
    let fan = topology("ex.fan", ExchangeKind::Fanout, &[("", "fq1"), ("some.key", "fq2"), ("#", "fq3")]);
    check_declared("bind_fanout", fan).await;
    let two = topology("ex.d2", ExchangeKind::Direct, &[("k", "d2a"), ("k", "d2b")]);
    check("publish_direct_two_queues", "{}", Some(two), &[n(1).exchange("ex.d2").routing_key("k")]).await;
    let ov = topology("ex.ov", ExchangeKind::Topic, &[("#.b", "ov"), ("a.*", "ov"), ("a.b", "ov")]);
    let to = |n: Message, key: &str| n.exchange("ex.ov").routing_key(key);
    check("publish_topic_overlap", "{}", Some(ov), &[to(n(1), "a.b"), to(n(2), "zzz")]).await;
}

/// Several bindings of one queue on two exchanges, in Kombu's order: that of a Python set.
#[tokio::test]
async fn several_bindings_of_a_queue() {
    let mut topology = topology("m.topic", ExchangeKind::Topic, &[("b.#", "mq"), ("a.*", "mq")]);
    let direct = super::stage::topology("m.direct", ExchangeKind::Direct, &[("k", "mq")]);
    topology.exchanges.extend(direct.exchanges);
    topology.bindings.splice(0..0, direct.bindings);
    check_declared("bind_multi", topology).await;
}

/// A queue on the default exchange leaves nothing, and neither does an exchange without bindings.
#[tokio::test]
async fn what_leaves_nothing() {
    let mut plain = topology("unused", ExchangeKind::Direct, &[]);
    plain.exchanges.clear();
    plain.queues = topology("", ExchangeKind::Direct, &[("", "plain")]).queues;
    check_declared("bind_default_exchange", plain).await;
    let mut declared = topology("re", ExchangeKind::Topic, &[]);
    declared.exchanges.extend(topology("rh", ExchangeKind::Headers, &[]).exchanges);
    check_declared("redeclare_errors", declared).await;
}

/// All keys but the one whose text no Python can compile, which keyrail does not write.
#[tokio::test]
async fn topic_rows() {
    let keys = [
        "a.b",
        "*.b",
        "a.*",
        "a.#",
        "#",
        "#.z",
        "",
        "a-b_c d",
        "x+(y)",
        "caf\u{e9}.\u{2192}",
        "a..b",
        "a*",
        "**",
        "#a",
        "tab\tnul\0",
    ];
    let named: Vec<(String, &str)> =
        keys.iter().enumerate().map(|(n, key)| (format!("tq{n:02}"), *key)).collect();
    let rows = named.iter().filter(|(_, key)| translate(key, Dialect::Kombu57).is_ok());
    let rows: Vec<(&str, &str)> = rows.map(|(queue, key)| (*key, &**queue)).collect();
    assert_eq!(rows.len(), keys.len() - 1);
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let topology = topology("ex.topic", ExchangeKind::Topic, &rows);
    let (connection, producer) = connect(&server, "{}", Some(topology)).await;
    producer.publish(&n(1).exchange("ex.topic").routing_key("no.one.x")).await.expect("published");
    let mut expected = recorded(&capture("bind_topic"));
    for rows in expected.values_mut() {
        rows.retain(|row| !row.ends_with("tq12"));
    }
    let mut ours = state(&connection).await;
    ours.retain(|key, _| expected.contains_key(key));
    assert_eq!(ours, expected);
    let of_rows = |effects: Vec<String>| -> Vec<String> {
        effects
            .into_iter()
            .filter(|effect| effect.contains(".ex.topic\"") && !effect.ends_with("tq12\""))
            .collect()
    };
    assert_eq!(of_rows(monitor.effects(&server)), of_rows(said_effects(&super::wire::capture("bind_topic"))));
}

#[tokio::test]
async fn an_expiring_queue() {
    let mut eq = topology("ex.exp", ExchangeKind::Direct, &[("k", "eq")]);
    eq.queues[0].arguments = Table::from_iter([("x-expires", Field::I64(30_000))]);
    let message = |number| n(number).exchange("ex.exp").routing_key("k");
    check("bind_expiring_queue", "{}", Some(eq), &[message(1), message(2).priority(9)]).await;
}

/// Kombu does not declare again what it has declared on this connection, and neither does a producer.
#[tokio::test]
async fn declared_once() {
    let dc = topology("dc", ExchangeKind::Direct, &[("k", "dc")]);
    let message = |n: i64| Message::value(Json::from(n)).exchange("dc").routing_key("k");
    check("publish_retry_declares_once", "{}", Some(dc), &[message(1), message(2)]).await;
}

/// Kombu knows these arguments and this expiration, and neither counts on Redis.
#[tokio::test]
async fn arguments_without_effect() {
    let mut qa = topology("qa", ExchangeKind::Direct, &[("k", "qa")]);
    let arguments = [("x-max-length", 1_i64), ("x-message-ttl", 10), ("x-max-priority", 5)];
    qa.queues[0].arguments = Table::from_iter(arguments.map(|(name, value)| (name, Field::I64(value))));
    let capture = capture("queue_args_ignored");
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let (connection, producer) = connect(&server, "{}", Some(qa)).await;
    for number in 0..3 {
        let message = n(number).exchange("qa").routing_key("k").expiration(Duration::from_millis(10));
        producer.publish(&message).await.expect("published");
    }
    let first = take_all(&connection, &["qa"], 1).await.remove(0);
    assert!(first.ack().await.expect("acked"));
    assert_eq!(in_kombus_words(monitor.effects(&server)), in_kombus_words(said_effects(&capture)));
    assert_eq!(state(&connection).await, recorded(&capture));
}

/// Where nothing says which type an exchange has, rows without a pattern are those of a direct one. Kombu takes a topic
/// exchange for one as well and misses the queue of `a.*`; keyrail sees its patterns (`ue_t` gets its copy).
#[tokio::test]
async fn exchanges_that_others_declared() {
    let server = RedisServer::start();
    let (connection, producer) = connect(&server, "{}", None).await;
    let capture = capture("undeclared_exchange");
    replay(&connection, &capture, &["SADD"]).await;
    for (exchange, key, to) in [("topic", "a.b", "topic"), ("fan", "", "fan"), ("direct", "k", "direct")] {
        let message = Message::value(Json::from_iter([("to", Json::from(to))]));
        let message = message.exchange(format!("ue.{exchange}")).routing_key(key);
        producer.publish(&message).await.expect("published");
    }
    let error = producer.publish(&n(1).exchange("ue.nothing").routing_key("k")).await.expect_err("unknown");
    assert_eq!(error.code(), "exchange-not-found");
    let mut ours = state(&connection).await;
    let copy = ours.remove("ue_t");
    assert_eq!(copy.as_ref(), ours.get("ue_t2"));
    assert_eq!(ours, recorded(&capture));

    let server = RedisServer::start();
    let (connection, producer) = connect(&server, "{}", None).await;
    let capture = super::wire::capture("publish_exchange_object_not_declared");
    replay(&connection, &capture, &["SADD"]).await;
    producer.publish(&n(1).exchange("nd.fan")).await.expect("published");
    assert_eq!(state(&connection).await, recorded(&capture));
}

#[tokio::test]
async fn the_predeclared_direct_exchange() {
    let mut defaults = topology("amq.direct", ExchangeKind::Direct, &[("k", "bq")]);
    defaults.exchanges.clear();
    let message = Message::value(Json::from(1)).exchange("amq.direct").routing_key("k");
    check("amq_defaults", "{}", Some(defaults), &[message]).await;
}

/// A key that holds the separator makes every publish of Kombu's raise. It is refused, and where one is found it is
/// passed over.
#[tokio::test]
async fn a_separator_in_a_key() {
    let capture = capture("bind_separator_in_key");
    let server = RedisServer::start();
    let (connection, producer) = connect(&server, "{}", None).await;
    let refused = topology("ex.sep", ExchangeKind::Direct, &[("a\x06\x16b", "sq")]);
    let host = host(&connection).await;
    assert_eq!(
        host.import(&refused, Dialect::Kombu57).await.expect_err("refused").code(),
        "member-separator"
    );
    assert!(state(&connection).await.is_empty());
    replay(&connection, &capture, &["SADD"]).await;
    assert_eq!(state(&connection).await, recorded(&capture));
    let set_aside = producer.quarantine("ex.sep").await.expect("rows");
    assert_eq!(set_aside.len(), 1, "{set_aside:?}");
}

/// Auto-delete of a queue on a direct exchange does nothing in Kombu; that of a fanout queue removes its row, and keyrail
/// writes no such row: whoever listens subscribes.
#[tokio::test]
async fn queues_that_should_delete_themselves() {
    let mut ad = topology("ad", ExchangeKind::Direct, &[("k", "adq")]);
    (ad.queues[0].auto_delete, ad.queues[0].exclusive) = (true, true);
    let capture = capture("auto_delete_direct_queue");
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let (connection, producer) = connect(&server, "{}", Some(ad)).await;
    let message = Message::value(Json::from(1)).exchange("ad").routing_key("k");
    producer.publish(&message).await.expect("published");
    drop(producer);
    let mut said = said_effects(&capture);
    said.retain(|effect| {
        !effect.contains("binding.adf") && !effect.contains("permanent.adf") && !effect.contains("\"adf")
    });
    assert_eq!(monitor.effects(&server), said);
    assert_eq!(state(&connection).await, recorded(&capture));
}
