//! Replays what real Kombus answered.

extern crate std;

use std::collections::BTreeSet;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use serde::Deserialize;

use super::{GluedPattern, Matcher, Member, Recognised, Subscription, recognise, translate};
use crate::Dialect;

#[derive(Deserialize)]
struct Scenario {
    id: String,
    transport: String,
    exchange_type: String,
    bindings: Vec<Binding>,
    publishes: Vec<Publish>,
}

#[derive(Deserialize)]
struct Binding {
    queue: String,
    routing_key: String,
    pattern: Option<String>,
}

#[derive(Deserialize)]
struct Publish {
    routing_key: String,
    queues: BTreeSet<String>,
    error: Option<serde_json::Value>,
}

fn scenarios(dialect: Dialect) -> Vec<Scenario> {
    let file = std::format!("{dialect}.jsonl");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn replay(dialect: Dialect) {
    let scenarios = scenarios(dialect);
    assert_eq!(scenarios.len(), 430);
    let (mut publishes, mut patterns, mut fanouts) = (0, 0, 0);
    for scenario in &scenarios {
        let id = &scenario.id;
        if scenario.transport == "redis-fanout" {
            fanouts += 1;
        }
        let mut invalid = false;
        for Binding { routing_key, pattern, queue } in &scenario.bindings {
            let Some(pattern) = pattern.as_deref().filter(|pattern| !pattern.is_empty()) else {
                continue;
            };
            patterns += 1;
            let member =
                Member { routing_key: routing_key.clone(), pattern: pattern.into(), queue: queue.clone() };
            let compiled = GluedPattern::compile(routing_key, dialect);
            match translate(routing_key, dialect) {
                Ok(text) => {
                    assert_eq!(text, pattern, "{id}");
                    match (recognise(pattern), member.matcher()) {
                        (Some(Recognised::Words { key, .. }), Ok(Matcher::Words { .. })) => {
                            assert_eq!(key, *routing_key, "{id}");
                        }
                        (Some(Recognised::Glued(read)), Ok(Matcher::Glued(_))) => {
                            assert_eq!(read.key(), routing_key, "{id}");
                        }
                        other => panic!("{id}: {routing_key:?} became {other:?}"),
                    }
                }
                Err(error) => {
                    invalid = true;
                    assert_eq!(error.code(), "invalid-pattern", "{id}");
                    assert_eq!(compiled, Err(error), "{id}");
                    assert_eq!(recognise(pattern), None, "{id}");
                    assert_eq!(member.matcher().unwrap_err().code(), "invalid-pattern", "{id}: {pattern}");
                }
            }
        }
        for publish in &scenario.publishes {
            publishes += 1;
            let key = &publish.routing_key;
            if publish.error.is_some() {
                // One row that does not compile fails the whole exchange in Kombu; here its neighbours go on.
                assert!(invalid, "{id} {key:?}");
                continue;
            }
            if scenario.exchange_type == "default" {
                // The list is named by the key, declared or not.
                assert_eq!(publish.queues, BTreeSet::from([key.clone()]), "{id}");
                continue;
            }
            let bindings = scenario.bindings.iter();
            let reached: BTreeSet<String> = bindings
                .filter(|binding| reaches(scenario, binding, key))
                .map(|binding| binding.queue.clone())
                .collect();
            assert_eq!(reached, publish.queues, "{id} {key:?}");
        }
    }
    std::println!("{dialect}: {publishes} publishes, {patterns} stored texts, {fanouts} fanouts on Redis");
    assert_eq!(fanouts, 17);
}

fn reaches(scenario: &Scenario, binding: &Binding, key: &str) -> bool {
    if scenario.transport == "redis-fanout" {
        return Subscription::new("ex", &binding.routing_key).hears("ex", key);
    }
    match &*scenario.exchange_type {
        "fanout" => true,
        "direct" => binding.routing_key == key,
        "topic" => match recognise(binding.pattern.as_deref().unwrap()) {
            Some(Recognised::Words { key: words, dialect }) => {
                GluedPattern::compile(&words, dialect).unwrap().matches(key.as_bytes())
            }
            Some(Recognised::Glued(glued)) => glued.matches(key.as_bytes()),
            None => false,
        },
        other => panic!("{other}"),
    }
}

#[test]
fn kombu57() {
    replay(Dialect::Kombu57);
}

#[test]
fn kombu56() {
    replay(Dialect::Kombu56);
}
