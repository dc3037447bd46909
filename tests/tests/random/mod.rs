//! Random topologies and messages, in the naive model and in the core.
#![allow(dead_code)] // Each test uses its part.

use std::collections::BTreeSet;

use keyrail_conformance::model::{Model, ModelBinding, ModelExchange, ModelMessage, Scalar, kombu_pattern};
use keyrail_core::{Binding, Destination, Dialect, Exchange, ExchangeKind, Queue, Router, Table, Value};
use proptest::{collection::vec, prelude::*, sample::select};

pub(crate) const EXCHANGES: [&str; 5] = ["x0", "x1", "x2", "x3", "x4"];
pub(crate) const QUEUES: [&str; 6] = ["q0", "q1", "q2", "a", "a.b", ""];

/// Few words, so that keys often match; some empty, some with a line feed, some with a glued wildcard.
pub(crate) fn word() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "a", "b", "b", "c", "é", "", "a\n", "\n", "x\ny", "**"])
}

pub(crate) fn routing_key() -> impl Strategy<Value = String> {
    vec(word(), 0..6).prop_map(|words| words.join("."))
}

pub(crate) fn binding_key() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => word(),
        3 => Just("*"),
        3 => Just("#"),
        1 => select(vec!["a*", "b*c", "-*", "#*", "*#", "*a", "a#", "##"]),
    ];
    vec(token, 0..6).prop_map(|tokens| tokens.join("."))
}

pub(crate) fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        (0..3_i64).prop_map(Scalar::Number),
        select(vec!["u", "v"]).prop_map(|text| Scalar::Text(text.to_owned())),
        Just(Scalar::Void),
    ]
}

/// Names once each: how repeated names pair off is recorded in the vectors.
pub(crate) fn headers(names: Vec<&'static str>) -> impl Strategy<Value = Vec<(String, Scalar)>> {
    vec((select(names), scalar()), 0..4).prop_map(|entries| {
        let mut seen = BTreeSet::new();
        entries
            .into_iter()
            .filter(|(name, _)| seen.insert(*name))
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    })
}

pub(crate) fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![3 => Just(Dialect::Amqp), 1 => Just(Dialect::Kombu57), 1 => Just(Dialect::Kombu56)]
}

prop_compose! {
    pub(crate) fn binding()(
        source in 0..EXCHANGES.len(),
        to_exchange in prop::bool::weighted(0.25),
        destination in 0..QUEUES.len() - 1,
        key in binding_key(),
        dialect in dialect(),
        any in any::<bool>(),
        arguments in headers(vec!["h", "k", "x-h"]),
    ) -> ModelBinding {
        let names: &[&str] = if to_exchange { &EXCHANGES } else { &QUEUES };
        ModelBinding {
            source: EXCHANGES[source].to_owned(),
            destination: names[destination % names.len()].to_owned(),
            to_exchange, key, dialect, any, arguments,
        }
    }
}

prop_compose! {
    pub(crate) fn exchange()(
        kind in select(vec![ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Headers, ExchangeKind::Topic,
                            ExchangeKind::Topic]),
        alternate in prop::option::weighted(0.3, select(vec!["x0", "x1", "x4", "nowhere", ""])),
    ) -> ModelExchange {
        ModelExchange { kind, alternate: alternate.map(str::to_owned) }
    }
}

prop_compose! {
    pub(crate) fn message()(
        key in routing_key(),
        selected in vec(routing_key(), 0..3),
        headers in headers(vec!["h", "k", "x-h", "other"]),
    ) -> ModelMessage {
        ModelMessage { key, selected, headers }
    }
}

/// The topology in the core. On a fanout exchange a Kombu dialect means PUB/SUB, which the model does not know.
pub(crate) fn build(exchanges: &[ModelExchange], bindings: &[ModelBinding]) -> (Router, Model) {
    let mut router = Router::new();
    let mut model = Model::default();
    for (name, exchange) in EXCHANGES.iter().zip(exchanges) {
        declare(&mut router, name, exchange);
        model.exchanges.insert((*name).to_owned(), exchange.clone());
    }
    for name in QUEUES.iter().filter(|name| !name.is_empty()) {
        router.declare_queue(name, Queue::new()).unwrap();
        model.queues.insert((*name).to_owned());
    }
    for row in bindings {
        let kind = model.exchanges[&row.source].kind;
        let dialect = if kind == ExchangeKind::Fanout { Dialect::Amqp } else { row.dialect };
        let row = ModelBinding { dialect, ..row.clone() };
        let refused = bind(&mut router, &row).is_err();
        let broken = kind == ExchangeKind::Topic
            && dialect != Dialect::Amqp
            && kombu_pattern(&row.key, dialect).is_none();
        assert_eq!(refused, broken, "{row:?}");
        if !refused {
            model.bindings.push(row);
        }
    }
    (router, model)
}

pub(crate) fn declare(router: &mut Router, name: &str, exchange: &ModelExchange) {
    let mut declared = Exchange::new(exchange.kind);
    if let Some(alternate) = &exchange.alternate {
        declared = declared.alternate(alternate);
    }
    router.declare_exchange(name, declared).unwrap();
}

pub(crate) fn bind(router: &mut Router, row: &ModelBinding) -> Result<bool, keyrail_core::BindError> {
    let (source, destination, arguments) = ends(router, row);
    router.bind(source, destination, &Binding::new(&row.key).arguments(&arguments).dialect(row.dialect))
}

pub(crate) fn ends(router: &Router, row: &ModelBinding) -> (keyrail_core::ExchangeId, Destination, Table) {
    let destination = if row.to_exchange {
        Destination::Exchange(router.exchange(&row.destination).unwrap())
    } else {
        Destination::Queue(router.queue(&row.destination).unwrap())
    };
    let mut arguments = table(&row.arguments);
    arguments.push("x-match", if row.any { "any" } else { "all" });
    (router.exchange(&row.source).unwrap(), destination, arguments)
}

pub(crate) fn table(entries: &[(String, Scalar)]) -> Table {
    let entries = entries.iter().map(|(name, value)| {
        let value = match value {
            Scalar::Number(number) => Value::I64(*number),
            Scalar::Text(text) => Value::from(&**text),
            Scalar::Void => Value::Void,
        };
        (&**name, value)
    });
    entries.collect()
}

/// The headers that a message travels with: its own, and the selected keys in `CC` (the first) and `BCC`.
pub(crate) fn header_table(message: &ModelMessage) -> Table {
    let mut headers = table(&message.headers);
    if !message.selected.is_empty() {
        let (cc, bcc) = message.selected.split_at(1);
        let keys = |keys: &[String]| Value::Array(keys.iter().map(|key| Value::from(&**key)).collect());
        headers.push("CC", keys(cc));
        headers.push("BCC", keys(bcc));
    }
    headers
}
