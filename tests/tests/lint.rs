//! Lint against the naive model: what it calls needless is needless, and what it does not is not.

mod random;

use std::collections::BTreeSet;

use keyrail_conformance::model::{Model, ModelBinding};
use keyrail_core::{
    DestinationName, Dialect, Topology,
    lint::{Code, Culprit, Finding, Fix, Options, Severity},
};
use proptest::{collection::vec, prelude::*};
use random::*;

fn lint(topology: &Topology) -> Vec<Finding> {
    topology.lint(&Options::default()).unwrap().findings
}

fn codes(json: &str) -> Vec<String> {
    let topology: Topology = serde_json::from_str(json).unwrap();
    lint(&topology).iter().map(|finding| finding.code.to_string()).collect()
}

/// The places of the bindings that a finding of one of these codes takes out, last one first.
fn removed(findings: &[Finding], codes: &[Code]) -> Vec<usize> {
    let fixes = findings.iter().filter(|finding| codes.contains(&finding.code));
    let places: BTreeSet<usize> = fixes
        .map(|finding| match &finding.fix {
            Some(Fix::RemoveBinding { at }) => *at as usize,
            other => panic!("{other:?}"),
        })
        .collect();
    places.into_iter().rev().collect()
}

/// The row of the model that a binding of the topology came from.
fn row<'a>(model: &'a Model, topology: &Topology, at: usize) -> &'a ModelBinding {
    let wanted = &topology.bindings[at];
    let to_exchange = matches!(wanted.destination, DestinationName::Exchange(_));
    let same = |row: &&ModelBinding| {
        let mut arguments = table(&row.arguments);
        arguments.push("x-match", if row.any { "any" } else { "all" });
        row.source == *wanted.source
            && row.destination == wanted.destination.name()
            && row.to_exchange == to_exchange
            && row.key.as_bytes() == &*wanted.routing_key
            && row.dialect == wanted.dialect
            && arguments == wanted.arguments
    };
    model.bindings.iter().find(same).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn taking_out_what_is_needless_changes_nothing(
        exchanges in vec(exchange(), EXCHANGES.len()),
        bindings in vec(binding(), 0..30),
        messages in vec(message(), 1..20),
    ) {
        let (router, model) = build(&exchanges, &bindings);
        let topology = Topology::of(&router);
        let findings = lint(&topology);
        let codes = [Code::ShadowedBinding, Code::NeverMatches, Code::DuplicateBinding];
        let mut fixed = topology.clone();
        for at in removed(&findings, &codes) {
            let fix = Fix::RemoveBinding { at: at as u32 };
            prop_assert!(fix.apply(&mut fixed));
        }
        let kept: Vec<ModelBinding> =
            (0..fixed.bindings.len()).map(|at| row(&model, &fixed, at).clone()).collect();
        let fixed = Model { bindings: kept, ..model.clone() };
        for message in &messages {
            for exchange in EXCHANGES {
                prop_assert_eq!(model.route(exchange, message), fixed.route(exchange, message));
            }
        }
    }

    /// One exchange, one queue: whatever brute force finds needless, lint finds. The words of the keys are those of the
    /// patterns and one more.
    #[test]
    fn what_is_shadowed_is_found(keys in vec(vec(prop::sample::select(vec!["a", "b", "*", "#"]), 0..4), 2..5)) {
        let keys: Vec<String> = keys.iter().map(|words| words.join(".")).collect();
        let mut topology: Topology = serde_json::from_str(
            r#"{"exchanges": [{"name": "x", "kind": "topic"}], "queues": [{"name": "q"}]}"#,
        ).unwrap();
        for key in &keys {
            let json = serde_json::json!({"source": "x", "destination": {"queue": "q"}, "routingKey": key});
            topology.bindings.push(serde_json::from_value(json).unwrap());
        }
        let mut words: Vec<Vec<&str>> = vec![vec![]];
        for at in 0..1 + 3 + 9 + 27 + 81 {
            for word in ["a", "b", "x"] {
                let mut longer = words[at].clone();
                longer.push(word);
                words.push(longer);
            }
        }
        let matches = |key: &String| -> Vec<bool> {
            let topic = keyrail_conformance::model::topic_matches;
            words.iter().map(|words| topic(key, Dialect::Amqp, &words.join("."))).collect()
        };
        let matched: Vec<Vec<bool>> = keys.iter().map(matches).collect();
        let within = |a: &[bool], b: &[bool]| a.iter().zip(b).all(|(a, b)| !a || *b);
        let needless = (0..keys.len()).filter(|at| (0..keys.len()).any(|other| {
            let (own, others) = (&matched[*at], &matched[other]);
            // The first of several that say the same is the one that stays.
            other != *at && within(own, others) && (!within(others, own) || other < *at)
        }));
        let found = removed(&lint(&topology), &[Code::ShadowedBinding, Code::DuplicateBinding]);
        prop_assert_eq!(found.into_iter().rev().collect::<Vec<_>>(), needless.collect::<Vec<_>>());
    }

    #[test]
    fn a_trap_is_one(key in binding_key(), dialect in dialect()) {
        let mut topology: Topology = serde_json::from_str(
            r#"{"exchanges": [{"name": "x", "kind": "topic"}], "queues": [{"name": "q"}]}"#,
        ).unwrap();
        let json = serde_json::json!(
            {"source": "x", "destination": {"queue": "q"}, "routingKey": key, "dialect": dialect}
        );
        topology.bindings.push(serde_json::from_value(json).unwrap());
        let findings = lint(&topology);
        let shown: Vec<_> = findings.iter().flat_map(|finding| &finding.keys).collect();
        let undecided = findings.iter().any(|finding| finding.code == Code::Undecided);
        let refused = findings.iter().any(|finding| finding.code == Code::KombuInvalidPattern);
        // Whoever answers any key of three words differently is shown with one.
        for other in Dialect::ALL.iter().filter(|other| **other != dialect && !undecided && !refused) {
            let matches = |dialect: Dialect, text: &str| {
                keyrail_conformance::model::topic_matches(&key, dialect, text)
            };
            let differs = small_keys().iter().any(|text| matches(dialect, text) != matches(*other, text));
            let is_shown = shown.iter().any(|answer| answer.matches.contains(&dialect) != answer.matches.contains(other));
            prop_assert!(!differs || is_shown, "{key:?} in {dialect} and {other}: {shown:?}");
        }
        for finding in findings.iter().filter(|finding| finding.code == Code::DialectTrap) {
            prop_assert!(!finding.keys.is_empty());
            for answer in &finding.keys {
                let text = answer.key.as_str().unwrap();
                let matches = |dialect: &Dialect| keyrail_conformance::model::topic_matches(&key, *dialect, text);
                prop_assert!(answer.matches.iter().all(matches), "{answer:?}");
                prop_assert!(!answer.misses.iter().any(matches), "{answer:?}");
                prop_assert!(!answer.matches.is_empty() && !answer.misses.is_empty());
            }
        }
    }
}

const EXCHANGES_AND_QUEUE: &str = r#""queues": [{"name": "q"}], "exchanges": [{"name": "x", "kind": "topic"},
    {"name": "h", "kind": "headers"}, {"name": "f", "kind": "fanout"}, {"name": "d", "kind": "direct"}]"#;

/// The codes of these bindings, exchanges that lead nowhere apart.
fn of_bindings(bindings: &str) -> Vec<String> {
    let mut found = codes(&format!(r#"{{{EXCHANGES_AND_QUEUE}, "bindings": [{bindings}]}}"#));
    found.retain(|code| !["dead-end-exchange", "dialect-trap", "unreachable-queue"].contains(&&**code));
    found
}

#[test]
fn bindings_that_do_nothing() {
    let q = |source: &str, rest: &str| {
        format!(r#"{{"source": "{source}", "destination": {{"queue": "q"}}, {rest}}}"#)
    };
    let pair = |source: &str, first: &str, second: &str| {
        of_bindings(&[q(source, first), q(source, second)].join(","))
    };
    assert_eq!(pair("x", r#""routingKey": "a""#, r#""routingKey": "a""#), ["duplicate-binding"]);
    assert_eq!(pair("x", r#""routingKey": "a.#""#, r#""routingKey": "a.b.*""#), ["shadowed-binding"]);
    assert_eq!(pair("x", r#""routingKey": "a.b""#, r#""routingKey": "a.c""#), Vec::<String>::new());
    assert_eq!(
        pair("d", r#""routingKey": "a""#, r#""routingKey": "a", "arguments": {"n": 1}"#),
        ["shadowed-binding"]
    );
    assert_eq!(pair("f", r#""routingKey": "a""#, r#""routingKey": "b""#), ["shadowed-binding"]);
    assert_eq!(
        pair("h", r#""arguments": {"k": 1, "l": 2}"#, r#""arguments": {"x-match": "any", "k": 1}"#),
        ["shadowed-binding"]
    );
    assert_eq!(pair("h", r#""arguments": {"k": null}"#, r#""arguments": {"k": 1}"#), ["shadowed-binding"]);
    assert_eq!(pair("h", r#""arguments": {"k": 2}"#, r#""arguments": {"k": 1}"#), Vec::<String>::new());
    assert_eq!(of_bindings(&q("h", r#""arguments": {"x-match": "any", "x-k": 1}"#)), ["never-matches"]);
    assert_eq!(of_bindings(&q("h", r#""arguments": {"BCC": null}"#)), ["never-matches"]);
    assert_eq!(of_bindings(&q("x", r##""routingKey": "#.a.#.b.#""##)), ["too-many-hashes"]);
    assert_eq!(
        of_bindings(&q("x", r##""routingKey": "#.a.#.b.#.c.#.d.#""##)),
        ["too-many-hashes", "cost-over-budget"]
    );
    assert_eq!(of_bindings(&q("x", r#""routingKey": "**", "dialect": "kombu57""#)), ["invalid-pattern"]);
    assert_eq!(of_bindings(&q("x", r#""routingKey": "**""#)), ["kombu-invalid-pattern"]);
    assert_eq!(of_bindings(&q("d", r#""routingKey": "a\u0006\u0016b""#)), ["kombu-name"]);
}

#[test]
fn ways_that_lead_nowhere() {
    let to = |source: &str, kind: &str, name: &str| {
        format!(r#"{{"source": "{source}", "destination": {{"{kind}": "{name}"}}}}"#)
    };
    let exchange = |name: &str, rest: &str| format!(r#"{{"name": "{name}", "kind": "fanout"{rest}}}"#);
    let topology = |exchanges: &[String], queues: &str, bindings: &[String]| {
        let (exchanges, bindings) = (exchanges.join(","), bindings.join(","));
        codes(&format!(r#"{{"exchanges": [{exchanges}], "queues": [{queues}], "bindings": [{bindings}]}}"#))
    };
    let q = r#"{"name": "q"}"#;
    let [a, b] = ["a", "b"].map(|name| exchange(name, ""));
    assert_eq!(topology(&[], q, &[]), ["unreachable-queue"]);
    assert_eq!(topology(std::slice::from_ref(&a), "", &[]), ["dead-end-exchange"]);
    assert_eq!(topology(&[a.clone(), b.clone()], "", &[to("a", "exchange", "b")]), ["dead-end-exchange"; 2]);
    let cycle = [to("a", "exchange", "b"), to("b", "exchange", "a"), to("a", "queue", "q")];
    assert_eq!(topology(&[a.clone(), b.clone()], q, &cycle), ["exchange-cycle"]);
    let itself = [to("a", "exchange", "a"), to("a", "queue", "q")];
    assert_eq!(topology(std::slice::from_ref(&a), q, &itself), ["exchange-cycle"]);
    let alternates =
        [exchange("a", r#", "alternateExchange": "b""#), exchange("b", r#", "alternateExchange": "a""#)];
    assert_eq!(topology(&alternates, q, &[to("a", "queue", "q")]), ["alternate-loop"]);
    let missing = [exchange("a", r#", "alternateExchange": "nowhere""#)];
    assert_eq!(topology(&missing, q, &[to("a", "queue", "q")]), ["alternate-missing"]);
    let internal = [exchange("a", r#", "internal": true"#)];
    let found = topology(&internal, q, &[to("a", "queue", "q")]);
    assert_eq!(found, ["unreachable-queue", "unreachable-exchange"]);
    let dead_letters = r#"{"name": "q", "arguments": {"x-dead-letter-exchange": "nowhere"}}"#;
    assert_eq!(topology(&[a], dead_letters, &[to("a", "queue", "q")]), ["dead-letter-missing"]);
}

#[test]
fn the_shop_is_clean_but_for_what_kombu_reads_differently() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/definitions.json");
    let definitions: keyrail_core::Definitions =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let findings = lint(&definitions.topology("/").unwrap());
    let loud: Vec<_> = findings.iter().filter(|finding| finding.severity > Severity::Info).collect();
    assert!(loud.is_empty(), "{loud:?}");
    assert!(findings.iter().any(|finding| finding.code == Code::DialectTrap));
}

/// Ten thousand bindings to one queue, all comparable and none shadowed, are no reason to compare all pairs.
#[test]
fn many_bindings_of_one_queue() {
    let mut topology: Topology =
        serde_json::from_str(r#"{"exchanges": [{"name": "x", "kind": "topic"}], "queues": [{"name": "q"}]}"#)
            .unwrap();
    for at in 0..5_000 {
        for key in [format!("order.w{at}.*"), format!("order.w{at}.paid.{at}")] {
            let json = serde_json::json!({"source": "x", "destination": {"queue": "q"}, "routingKey": key});
            topology.bindings.push(serde_json::from_value(json).unwrap());
        }
    }
    let json =
        serde_json::json!({"source": "x", "destination": {"queue": "q"}, "routingKey": "order.w17.*.*"});
    topology.bindings.push(serde_json::from_value(json).unwrap());
    let report = topology.lint(&Options::default().portability(false)).unwrap();
    let [finding] = &report.findings[..] else { panic!("{:?}", report.findings) };
    let Culprit::Binding { binding, .. } = &finding.culprit else { panic!("{finding:?}") };
    assert_eq!(&*binding.routing_key, b"order.w17.paid.17");
}

/// Every key of up to three words.
fn small_keys() -> Vec<String> {
    let (mut keys, mut last) = (Vec::new(), vec!["a".to_owned(), "b".to_owned(), String::new()]);
    for _ in 0..3 {
        keys.extend(last.iter().cloned());
        last = last.iter().flat_map(|key| ["a", "b", ""].map(|word| format!("{key}.{word}"))).collect();
    }
    keys
}

/// One key for each dialect that differs, with what each of the three answers.
#[test]
fn a_trap_shows_what_each_dialect_answers() {
    let sentence = |key: &str| {
        let mut topology: Topology = serde_json::from_str(
            r#"{"exchanges": [{"name": "x", "kind": "topic"}], "queues": [{"name": "q"}]}"#,
        )
        .unwrap();
        let json = serde_json::json!({"source": "x", "destination": {"queue": "q"}, "routingKey": key});
        topology.bindings.push(serde_json::from_value(json).unwrap());
        let findings = lint(&topology);
        let trap = findings.iter().find(|finding| finding.code == Code::DialectTrap);
        trap.map(|finding| finding.sentence.to_string())
    };
    assert_eq!(
        sentence("order.*.paid").unwrap(),
        "`order..paid` matches in RabbitMQ, not in Kombu 5.7 or Kombu up to 5.6; \
         `order.x.x.paid` matches in Kombu up to 5.6, not in RabbitMQ or Kombu 5.7"
    );
    assert_eq!(sentence("a.#").unwrap(), "`a` matches in RabbitMQ, not in Kombu 5.7 or Kombu up to 5.6");
    assert_eq!(sentence("a.b"), None);
}
