//! The core against the naive model, on random topologies; a failing case shrinks to its smallest form.

mod random;

use std::collections::BTreeSet;

use keyrail_conformance::model::{Model, ModelBinding, ModelExchange, ModelMessage, kombu_pattern};
use keyrail_core::{
    Binding, Dialect, ExchangeKind, Message, Outcome, Queue, Router, Routes, Topology, Trace,
};
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

/// What happens to a topology between two messages.
#[derive(Clone, Debug)]
enum Change {
    Bind(ModelBinding),
    /// The binding with this number, counted round.
    Unbind(usize),
    /// A binding that is there or not.
    UnbindAny(ModelBinding),
    DeleteQueue(usize),
    DeclareQueue(usize),
    DeleteExchange(usize),
    DeclareExchange(usize, ModelExchange),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        60 => binding().prop_map(Change::Bind),
        40 => any::<usize>().prop_map(Change::Unbind),
        10 => binding().prop_map(Change::UnbindAny),
        1 => (0..QUEUES.len() - 1).prop_map(Change::DeleteQueue),
        3 => (0..QUEUES.len() - 1).prop_map(Change::DeclareQueue),
        1 => (0..EXCHANGES.len()).prop_map(Change::DeleteExchange),
        3 => (0..EXCHANGES.len(), exchange()).prop_map(|(at, exchange)| Change::DeclareExchange(at, exchange)),
    ]
}

/// Changes in each case, and how many of them between two comparisons.
const CHANGES: usize = 10_000;
const BETWEEN: usize = 5;
/// A table that has so many bindings gets no more: the model asks each of them.
const LARGEST: usize = 100;

/// Does the same to both and compares what they say to it.
fn apply(router: &mut Router, model: &mut Model, change: &Change) {
    let known = |model: &Model, row: &ModelBinding| {
        let end = &row.destination;
        let has_end =
            if row.to_exchange { model.exchanges.contains_key(end) } else { model.queues.contains(end) };
        model.exchanges.contains_key(&row.source) && has_end
    };
    match change {
        Change::Bind(row) if known(model, row) && model.bindings.len() < LARGEST => {
            let row = in_force(model, row);
            let kombu =
                row.dialect != Dialect::Amqp && model.exchanges[&row.source].kind == ExchangeKind::Topic;
            let broken = kombu && kombu_pattern(&row.key, row.dialect).is_none();
            let new = !model.bindings.iter().any(|other| same(other, &row));
            assert_eq!(bind(router, &row).ok(), (!broken).then_some(new), "{row:?}");
            if new && !broken {
                model.bindings.push(row);
            }
        }
        Change::Unbind(number) if !model.bindings.is_empty() => {
            let row = model.bindings.swap_remove(number % model.bindings.len());
            assert_eq!(unbind(router, &row), Ok(true), "{row:?}");
        }
        Change::UnbindAny(row) if known(model, row) => {
            let row = in_force(model, row);
            let before = model.bindings.len();
            model.bindings.retain(|other| !same(other, &row));
            assert_eq!(unbind(router, &row), Ok(model.bindings.len() < before), "{row:?}");
        }
        Change::DeleteQueue(at) => {
            let name = QUEUES[*at];
            let known = model.queues.remove(name);
            assert_eq!(router.queue(name).is_some_and(|queue| router.delete_queue(queue)), known);
            model.bindings.retain(|row| row.to_exchange || row.destination != name);
        }
        Change::DeclareQueue(at) => {
            router.declare_queue(QUEUES[*at], Queue::new()).unwrap();
            model.queues.insert(QUEUES[*at].to_owned());
        }
        Change::DeleteExchange(at) => {
            let name = EXCHANGES[*at];
            let known = model.exchanges.remove(name).is_some();
            assert_eq!(router.exchange(name).map(|id| router.delete_exchange(id)), known.then_some(Ok(true)));
            model.bindings.retain(|row| row.source != name && !(row.to_exchange && row.destination == name));
        }
        Change::DeclareExchange(at, exchange) if !model.exchanges.contains_key(EXCHANGES[*at]) => {
            declare(router, EXCHANGES[*at], exchange);
            model.exchanges.insert(EXCHANGES[*at].to_owned(), exchange.clone());
        }
        _ => {}
    }
    assert_eq!(router.counts(), (model.exchanges.len() + 1, model.queues.len(), model.bindings.len()));
}

proptest! {
    // Halving ten thousand changes over and over takes its time, and a failure is to be told.
    #![proptest_config(ProptestConfig {
        cases: 8, failure_persistence: None, max_shrink_time: 60_000, ..ProptestConfig::default()
    })]

    /// What was routed before a change must not be remembered after it, and what is unbound must be gone everywhere.
    #[test]
    fn changes_between_messages_are_seen_at_once(
        exchanges in vec(exchange(), EXCHANGES.len()),
        changes in vec(change(), CHANGES),
        messages in vec(message(), 16),
    ) {
        let (mut router, mut model) = build(&exchanges, &[]);
        let mut routes = Routes::new();
        let compare = |router: &Router, model: &Model, message: &ModelMessage, routes: &mut Routes| {
            for exchange in EXCHANGES.iter().chain(&[""]) {
                if exchange.is_empty() || model.exchanges.contains_key(*exchange) {
                    let found = route(router, exchange, message, routes);
                    assert_eq!(found, model.route(exchange, message), "{exchange} {message:?}");
                }
            }
        };
        for (number, changes) in changes.chunks(BETWEEN).enumerate() {
            changes.iter().for_each(|change| apply(&mut router, &mut model, change));
            // One that was asked a moment ago, and one that was not.
            compare(&router, &model, &messages[0], &mut routes);
            compare(&router, &model, &messages[number % messages.len()], &mut routes);
        }

        while !model.bindings.is_empty() {
            let last = Change::Unbind(model.bindings.len() / 2);
            apply(&mut router, &mut model, &last);
        }
        for message in &messages {
            compare(&router, &model, message, &mut routes);
        }
        for (exchange, _, _) in router.exchanges() {
            prop_assert_eq!((router.bindings_from(exchange).count(), router.bindings_to(exchange).count()), (0, 0));
        }
        for (queue, _, _) in router.queues() {
            prop_assert_eq!(router.bindings_to(queue).count(), 0);
        }
    }
}
