//! The core against the naive model, on random topologies; a failing case shrinks to its smallest form.

use std::collections::BTreeSet;

use keyrail_conformance::model::{Model, ModelBinding, ModelExchange, ModelMessage, Scalar, kombu_pattern};
use keyrail_core::{
    Binding, Destination, Dialect, Exchange, ExchangeKind, Message, Outcome, Queue, Router, Routes, Table,
    Topology, Trace, Value,
};
use proptest::{collection::vec, prelude::*, sample::select};

const EXCHANGES: [&str; 5] = ["x0", "x1", "x2", "x3", "x4"];
const QUEUES: [&str; 6] = ["q0", "q1", "q2", "a", "a.b", ""];

/// Few words, so that keys often match; some empty, some with a line feed, some with a glued wildcard.
fn word() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "a", "b", "b", "c", "é", "", "a\n", "\n", "x\ny", "**"])
}

fn routing_key() -> impl Strategy<Value = String> {
    vec(word(), 0..6).prop_map(|words| words.join("."))
}

fn binding_key() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => word(),
        3 => Just("*"),
        3 => Just("#"),
        1 => select(vec!["a*", "b*c", "-*", "#*", "*#", "*a", "a#", "##"]),
    ];
    vec(token, 0..6).prop_map(|tokens| tokens.join("."))
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        (0..3_i64).prop_map(Scalar::Number),
        select(vec!["u", "v"]).prop_map(|text| Scalar::Text(text.to_owned())),
        Just(Scalar::Void),
    ]
}

/// Names once each: how repeated names pair off is recorded in the vectors.
fn headers(names: Vec<&'static str>) -> impl Strategy<Value = Vec<(String, Scalar)>> {
    vec((select(names), scalar()), 0..4).prop_map(|entries| {
        let mut seen = BTreeSet::new();
        entries
            .into_iter()
            .filter(|(name, _)| seen.insert(*name))
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    })
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![3 => Just(Dialect::Amqp), 1 => Just(Dialect::Kombu57), 1 => Just(Dialect::Kombu56)]
}

prop_compose! {
    fn binding()(
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
    fn exchange()(
        kind in select(vec![ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Headers, ExchangeKind::Topic,
                            ExchangeKind::Topic]),
        alternate in prop::option::weighted(0.3, select(vec!["x0", "x1", "x4", "nowhere", ""])),
    ) -> ModelExchange {
        ModelExchange { kind, alternate: alternate.map(str::to_owned) }
    }
}

prop_compose! {
    fn message()(
        key in routing_key(),
        selected in vec(routing_key(), 0..3),
        headers in headers(vec!["h", "k", "x-h", "other"]),
    ) -> ModelMessage {
        ModelMessage { key, selected, headers }
    }
}

/// The topology in the core. On a fanout exchange a Kombu dialect means PUB/SUB, which the model does not know.
fn build(exchanges: &[ModelExchange], bindings: &[ModelBinding]) -> (Router, Model) {
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

fn declare(router: &mut Router, name: &str, exchange: &ModelExchange) {
    let mut declared = Exchange::new(exchange.kind);
    if let Some(alternate) = &exchange.alternate {
        declared = declared.alternate(alternate);
    }
    router.declare_exchange(name, declared).unwrap();
}

fn bind(router: &mut Router, row: &ModelBinding) -> Result<bool, keyrail_core::BindError> {
    let (source, destination, arguments) = ends(router, row);
    router.bind(source, destination, &Binding::new(&row.key).arguments(&arguments).dialect(row.dialect))
}

fn unbind(router: &mut Router, row: &ModelBinding) -> Result<bool, keyrail_core::BindError> {
    let (source, destination, arguments) = ends(router, row);
    router.unbind(source, destination, &Binding::new(&row.key).arguments(&arguments).dialect(row.dialect))
}

fn ends(router: &Router, row: &ModelBinding) -> (keyrail_core::ExchangeId, Destination, Table) {
    let destination = if row.to_exchange {
        Destination::Exchange(router.exchange(&row.destination).unwrap())
    } else {
        Destination::Queue(router.queue(&row.destination).unwrap())
    };
    let mut arguments = table(&row.arguments);
    arguments.push("x-match", if row.any { "any" } else { "all" });
    (router.exchange(&row.source).unwrap(), destination, arguments)
}

fn table(entries: &[(String, Scalar)]) -> Table {
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

/// What the core answers, after checking that route and explain agree and that no queue comes twice.
fn route(router: &Router, exchange: &str, message: &ModelMessage, routes: &mut Routes) -> BTreeSet<String> {
    let mut headers = table(&message.headers);
    if !message.selected.is_empty() {
        let (cc, bcc) = message.selected.split_at(1);
        let keys = |keys: &[String]| Value::Array(keys.iter().map(|key| Value::from(&**key)).collect());
        headers.push("CC", keys(cc));
        headers.push("BCC", keys(bcc));
    }
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
