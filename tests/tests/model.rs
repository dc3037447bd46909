//! The core against the naive model, on random topologies; a failing case shrinks to its smallest form.

mod random;

use std::collections::BTreeSet;

use keyrail_conformance::model::{Model, ModelBinding, ModelMessage};
use keyrail_core::{Binding, Dialect, ExchangeKind, Message, Outcome, Router, Routes, Topology, Trace};
use proptest::{collection::vec, prelude::*};
use random::*;

fn unbind(router: &mut Router, row: &ModelBinding) -> Result<bool, keyrail_core::BindError> {
    let (source, destination, arguments) = ends(router, row);
    router.unbind(source, destination, &Binding::new(&row.key).arguments(&arguments).dialect(row.dialect))
}

/// What the core answers, after checking that route and explain agree and that no queue comes twice.
fn route(router: &Router, exchange: &str, message: &ModelMessage, routes: &mut Routes) -> BTreeSet<String> {
    let headers = header_table(message);
    let wire = Message::new(&message.key).headers(&headers).unwrap();
    let id = router.exchange(exchange).unwrap();
    let outcome = router.route(id, &wire, routes);
    let in_order: Vec<_> =
        routes.into_iter().map(|queue| router.queue_name(queue).unwrap().to_owned()).collect();
    let names: BTreeSet<_> = in_order.iter().cloned().collect();
    assert_eq!(names.len(), in_order.len(), "a queue comes twice");
    assert_eq!(outcome, if names.is_empty() { Outcome::Unroutable } else { Outcome::Routed });

    let mut trace = Trace::new();
    assert_eq!(router.explain(id, &wire, &mut trace), outcome);
    assert_eq!(trace.queues().collect::<Vec<_>>(), in_order, "explain disagrees with route");
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn routes_as_the_model_does(
        exchanges in vec(exchange(), EXCHANGES.len()),
        bindings in vec(binding(), 0..25),
        messages in vec(message(), 1..12),
    ) {
        let (router, model) = build(&exchanges, &bindings);
        let mut routes = Routes::new();
        for message in &messages {
            for exchange in EXCHANGES.iter().chain(&[""]) {
                prop_assert_eq!(
                    route(&router, exchange, message, &mut routes),
                    model.route(exchange, message),
                    "{} {:?}", exchange, message
                );
            }
        }
    }

    #[test]
    fn unbinding_undoes_binding(
        exchanges in vec(exchange(), EXCHANGES.len()),
        kept in vec(binding(), 0..12),
        removed in vec(binding(), 0..12),
        messages in vec(message(), 1..8),
    ) {
        let all: Vec<_> = kept.iter().chain(&removed).cloned().collect();
        let (mut router, mut model) = build(&exchanges, &all);
        for row in &removed {
            let row = in_force(&model, row);
            unbind(&mut router, &row).unwrap();
            model.bindings.retain(|other| !same(other, &row));
        }
        let mut routes = Routes::new();
        for message in &messages {
            for exchange in EXCHANGES {
                prop_assert_eq!(route(&router, exchange, message, &mut routes), model.route(exchange, message));
            }
        }
        for row in kept.iter().map(|row| in_force(&model, row)) {
            unbind(&mut router, &row).unwrap();
        }
        prop_assert_eq!(router.counts().2, 0);
    }

    #[test]
    fn topologies_survive_json(
        exchanges in vec(exchange(), EXCHANGES.len()),
        bindings in vec(binding(), 0..12),
    ) {
        let (router, _) = build(&exchanges, &bindings);
        let topology = Topology::of(&router);
        let json = serde_json::to_string(&topology).unwrap();
        let read: Topology = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&read, &topology);
        prop_assert_eq!(Topology::of(&read.router().unwrap()), topology);
    }
}

/// The row as `build` bound it.
fn in_force(model: &Model, row: &ModelBinding) -> ModelBinding {
    let fanout = model.exchanges[&row.source].kind == ExchangeKind::Fanout;
    let dialect = if fanout { Dialect::Amqp } else { row.dialect };
    ModelBinding { dialect, ..row.clone() }
}

/// Whether two rows are one binding: same ends, key, dialect and arguments in any order.
fn same(a: &ModelBinding, b: &ModelBinding) -> bool {
    let sorted = |row: &ModelBinding| {
        let mut arguments: Vec<_> = row.arguments.iter().map(|entry| format!("{entry:?}")).collect();
        arguments.sort();
        arguments
    };
    (&a.source, &a.destination, a.to_exchange, &a.key, a.dialect, a.any)
        == (&b.source, &b.destination, b.to_exchange, &b.key, b.dialect, b.any)
        && sorted(a) == sorted(b)
}
