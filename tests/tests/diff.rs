//! Diffs against the naive model: every witness tells the two sides apart, and where none is told there is none.

mod random;

use std::collections::{BTreeMap, BTreeSet};

use keyrail_conformance::model::{Model, ModelBinding, ModelExchange, ModelMessage, Scalar};
use keyrail_core::{
    Dialect, ExchangeKind, Topology,
    diff::{Diff, Options, Verdict},
};
use proptest::{collection::vec, prelude::*, sample::select};
use random::*;

/// The words of keys: those of the patterns, the empty one, and one that stands for all others.
const WORDS: [&str; 4] = ["a", "b", "", "z"];

/// Every key of up to three words, and the empty key.
fn keys() -> Vec<String> {
    let mut keys: Vec<String> = vec![String::new()];
    let mut last: Vec<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
    for _ in 0..3 {
        keys.extend(last.iter().cloned());
        last = last.iter().flat_map(|key| WORDS.map(|word| format!("{key}.{word}"))).collect();
    }
    keys
}

/// Every combination of two headers with the values that bindings ask for and one more.
fn header_sets() -> Vec<Vec<(String, Scalar)>> {
    let values =
        || [None, Some(Scalar::Number(0)), Some(Scalar::Number(1)), Some(Scalar::Text("other".into()))];
    let header = |name: &str, value: &Option<Scalar>| value.clone().map(|value| (name.to_owned(), value));
    let sets = values()
        .into_iter()
        .flat_map(|h| values().map(|k| [header("h", &h), header("k", &k)].into_iter().flatten().collect()));
    sets.collect()
}

fn small_binding() -> impl Strategy<Value = ModelBinding> {
    let token = prop_oneof![3 => select(vec!["a", "b", ""]), 2 => Just("*"), 2 => Just("#")];
    let key = vec(token, 0..4).prop_map(|tokens| tokens.join("."));
    let scalar = prop_oneof![(0..2_i64).prop_map(Scalar::Number), Just(Scalar::Void)];
    let arguments = vec((select(vec!["h", "k"]), scalar), 0..3).prop_map(|entries| {
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Vec<_>>()
    });
    let ends = (0..3_usize, 0..3_usize, prop::bool::weighted(0.3));
    (ends, key, dialect(), any::<bool>(), arguments).prop_map(
        |((from, to, to_exchange), key, dialect, any, arguments)| {
            let destination = if to_exchange { EXCHANGES[to] } else { QUEUES[to] };
            let (source, destination) = (EXCHANGES[from].to_owned(), destination.to_owned());
            ModelBinding { source, destination, to_exchange, key, dialect, any, arguments }
        },
    )
}

fn small_exchange() -> impl Strategy<Value = ModelExchange> {
    let kind = select(vec![
        ExchangeKind::Topic,
        ExchangeKind::Topic,
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Headers,
    ]);
    (kind, prop::option::weighted(0.3, select(vec!["x0", "x1", "x2"])))
        .prop_map(|(kind, alternate)| ModelExchange { kind, alternate: alternate.map(str::to_owned) })
}

/// Two topologies that have much in common.
fn pair() -> impl Strategy<Value = [(Topology, Model); 2]> {
    let exchanges = vec(small_exchange(), EXCHANGES.len());
    let other = prop::option::weighted(0.3, (0..3_usize, small_exchange()));
    let bindings = || vec(small_binding(), 0..4);
    (exchanges, other, vec(small_binding(), 0..8), bindings(), bindings()).prop_map(
        |(exchanges, other, common, first, second)| {
            let mut changed = exchanges.clone();
            if let Some((at, exchange)) = other {
                changed[at] = exchange;
            }
            [(exchanges, first), (changed, second)].map(|(exchanges, own)| {
                let bindings: Vec<_> = common.iter().cloned().chain(own).collect();
                let (router, model) = build(&exchanges, &bindings);
                (Topology::of(&router), model)
            })
        },
    )
}

fn scalars(table: &keyrail_core::Table) -> Vec<(String, Scalar)> {
    use keyrail_core::Value;
    let scalar = |value: &Value| match value {
        Value::I64(number) => Scalar::Number(*number),
        // A value that no binding asks for may be any bytes.
        Value::LongString(text) => Scalar::Text(text.to_string()),
        other => panic!("{other:?}"),
    };
    table.iter().map(|(name, value)| (String::from_utf8(name.into()).unwrap(), scalar(value))).collect()
}

/// Replays every witness in the model.
fn replay(diff: &Diff, models: [&Model; 2]) {
    for exchange in &diff.behaviour {
        assert_eq!(exchange.verdict == Verdict::Differs, !exchange.witnesses.is_empty());
        for witness in &exchange.witnesses {
            let key = witness.routing_key.as_str().unwrap().to_owned();
            assert!(key.len() <= 255);
            let message = ModelMessage { key, selected: Vec::new(), headers: scalars(&witness.headers) };
            let [before, after] = models.map(|model| model.route(&exchange.exchange, &message));
            let names =
                |queues: &[Box<str>]| queues.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>();
            assert_eq!(before, names(&witness.before.queues), "{witness:?}");
            assert_eq!(after, names(&witness.after.queues), "{witness:?}");
            assert_ne!(before, after);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn witnesses_are_true_and_none_is_missed([before, after] in pair()) {
        let diff = before.0.diff(&after.0, &Options::default()).unwrap();
        replay(&diff, [&before.1, &after.1]);
        let (keys, sets) = (keys(), header_sets());
        for exchange in &diff.behaviour {
            prop_assert_ne!(exchange.verdict, Verdict::Undecided, "topologies this small are decided");
            if exchange.verdict == Verdict::Differs || Topology::default().router().unwrap().exchange(&exchange.exchange).is_some() {
                continue;
            }
            for key in &keys {
                for headers in &sets {
                    let message = ModelMessage { key: key.clone(), selected: vec![], headers: headers.clone() };
                    let [one, other] = [&before.1, &after.1].map(|model| model.route(&exchange.exchange, &message));
                    prop_assert_eq!(one, other, "{} {:?}", exchange.exchange, message);
                }
            }
        }
    }

    #[test]
    fn a_topology_is_the_same_as_itself([one, _] in pair()) {
        let mut shuffled = one.0.clone();
        shuffled.bindings.reverse();
        let diff = one.0.diff(&shuffled, &Options::default()).unwrap();
        prop_assert!(diff.structure.is_empty());
        prop_assert!(diff.behaves_the_same());
    }

    #[test]
    fn dialects_are_compared_as_the_model_does([one, _] in pair(), dialects in select(vec![
        [Dialect::Kombu56, Dialect::Kombu57], [Dialect::Amqp, Dialect::Kombu57], [Dialect::Kombu56, Dialect::Amqp],
    ])) {
        let sides = dialects.map(|dialect| one.0.in_dialect(dialect).0);
        let models = dialects.map(|dialect| {
            let mut model = one.1.clone();
            for row in &mut model.bindings {
                if model.exchanges[&row.source].kind == ExchangeKind::Topic {
                    row.dialect = dialect;
                }
            }
            model
        });
        let diff = sides[0].diff(&sides[1], &Options::default().line_feeds(false)).unwrap();
        replay(&diff, [&models[0], &models[1]]);
    }
}

fn topology(bindings: &[(&str, &str)]) -> Topology {
    let mut topology: Topology = serde_json::from_str(
        r#"{"exchanges": [{"name": "x", "kind": "topic"}], "queues": [{"name": "q"}, {"name": "r"}]}"#,
    )
    .unwrap();
    for (key, queue) in bindings {
        let json = serde_json::json!({"source": "x", "destination": {"queue": queue}, "routingKey": key});
        topology.bindings.push(serde_json::from_value(json).unwrap());
    }
    topology
}

#[test]
fn other_words_and_the_same_behaviour() {
    let diff = |one: &[(&str, &str)], other: &[(&str, &str)]| {
        topology(one).diff(&topology(other), &Options::default()).unwrap()
    };
    // One that is shadowed, two that say the same, several that make up for one.
    assert!(diff(&[("a.#", "q"), ("a.b", "q")], &[("a.#", "q")]).behaves_the_same());
    assert!(diff(&[("*.#", "q")], &[("#.*", "q")]).behaves_the_same());
    assert!(diff(&[("#", "q")], &[("", "q"), ("*.#", "q")]).behaves_the_same());
    let other = diff(&[("#", "q")], &[("*.#", "q")]);
    let witness = &other.behaviour.iter().find(|exchange| &*exchange.exchange == "x").unwrap().witnesses[0];
    assert_eq!(&*witness.routing_key, b"");
    assert_eq!(other.structure.bindings.added.len(), 1);
}

/// The size of a pull-request check: ten thousand against ten thousand, one of them changed.
#[test]
fn ten_thousand_bindings() {
    let keys: Vec<String> = (0..10_000).map(|at| format!("order.w{at}.*.{}", at % 7)).collect();
    let before: Vec<(&str, &str)> = keys.iter().map(|key| (&**key, "q")).collect();
    let mut after = before.clone();
    after[5_000].0 = "order.w5000.*.#";
    let diff = topology(&before).diff(&topology(&after), &Options::default()).unwrap();
    let x = diff.behaviour.iter().find(|exchange| &*exchange.exchange == "x").unwrap();
    assert_eq!(x.verdict, Verdict::Differs);
    assert!(x.witnesses[0].routing_key.starts_with(b"order.w5000."));
    // Everything under another name for the same: each is held against those that could make up for it.
    let needless: Vec<String> = (0..5_000).map(|at| format!("order.w{at}.eu.{}", at % 7)).collect();
    let mut more = before.clone();
    more.extend(needless.iter().map(|key| (&**key, "q")));
    assert!(topology(&before).diff(&topology(&more), &Options::default()).unwrap().behaves_the_same());
}
