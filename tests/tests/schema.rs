//! docs/topology.schema.json says what keyrail writes and reads, no more and no less.

use std::{fs, path::Path};

use boon::{Compiler, SchemaIndex, Schemas};
use keyrail_conformance::{
    run::read,
    scenario::{Scenario, Step},
    targets::core::operation,
};
use keyrail_core::{Definitions, Router, Topology};
use serde_json::{Value as Json, json};

struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn published() -> Self {
        let mut compiler = Compiler::new();
        compiler.add_resource("topology", self::json("docs/topology.schema.json")).unwrap();
        let mut schemas = Schemas::new();
        let index = compiler.compile("topology", &mut schemas).unwrap();
        Schema(schemas, index)
    }

    fn takes(&self, document: &Json) -> Result<(), String> {
        self.0.validate(document, self.1).map_err(|error| format!("{error:#}"))
    }
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn json(name: &str) -> Json {
    serde_json::from_str(&fs::read_to_string(path(name)).unwrap()).unwrap()
}

#[test]
fn every_topology_of_the_vectors_conforms() {
    let schema = Schema::published();
    let mut seen = 0;
    for file in ["tests/vectors/amqp.jsonl", "tests/vectors/amqp-consistent-hash.jsonl"] {
        for scenario in read(&path(file)).unwrap() {
            let Scenario::Amqp(scenario) = scenario.unwrap() else { unreachable!("{file} holds AMQP alone") };
            let mut router = Router::with_predeclared_exchanges();
            for recorded in &scenario.steps {
                if !matches!(
                    recorded.step,
                    Step::Publish(_) | Step::BindingsList(_) | Step::PublishRepeat { .. }
                ) {
                    let _ = router.apply(&operation(&recorded.step));
                }
            }
            let topology = Topology::of(&router);
            // As text: a parsed document would sort the names of arguments.
            let text = serde_json::to_string(&topology).unwrap();
            let document = serde_json::from_str(&text).unwrap();
            schema.takes(&document).unwrap_or_else(|error| panic!("{}: {error}\n{text}", scenario.id));
            assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), topology, "{}", scenario.id);
            seen += usize::from(topology != Topology::default());
        }
    }
    assert!(seen > 400, "{seen}");
}

#[test]
fn the_example_conforms() {
    let definitions: Definitions = serde_json::from_value(json("examples/shop/definitions.json")).unwrap();
    let topology = definitions.topology("/").unwrap();
    Schema::published().takes(&serde_json::to_value(topology).unwrap()).unwrap();
}

/// What the schema refuses, the library refuses too, and the other way round where no rule between two parts is broken.
#[test]
fn schema_and_library_agree() {
    let schema = Schema::published();
    let exchange = |extra: Json| {
        let mut exchange = json!({"name": "x", "kind": "topic"});
        exchange.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({ "exchanges": [exchange] })
    };
    let binding = |extra: Json| {
        let mut binding = json!({"source": "x", "destination": {"queue": "q"}});
        binding.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({ "bindings": [binding] })
    };
    for (good, document) in [
        (true, json!({})),
        (true, exchange(json!({"durable": true, "arguments": {"a": [1, null, {"b": 1.5}]}}))),
        (true, exchange(json!({"arguments": [["a", "I", 1], ["b", "A", [["S", "x"]]]]}))),
        (true, exchange(json!({"kind": "x-consistent-hash"}))),
        (true, binding(json!({"routingKey": {"hex": "ff00"}, "dialect": "kombu56", "pattern": "^a$"}))),
        (true, json!({"policies": [{"name": "p", "pattern": "x", "applyTo": "exchanges", "priority": -1}]})),
        (false, json!([])),
        (false, json!({"exchange": []})),
        (false, json!({"exchanges": {}})),
        (false, json!({"exchanges": [{"name": "x"}]})),
        (false, exchange(json!({"kind": "tpoic"}))),
        (false, exchange(json!({"durable": "yes"}))),
        (false, exchange(json!({"colour": "red"}))),
        (false, exchange(json!({"arguments": 7}))),
        (false, exchange(json!({"arguments": [["a", "q", 1]]}))),
        (false, exchange(json!({"arguments": [["a", "I"]]}))),
        (false, json!({"queues": [{"durable": true}]})),
        (false, binding(json!({"destination": {}}))),
        (false, binding(json!({"destination": {"queue": "q", "exchange": "x"}}))),
        (false, binding(json!({"destination": {"topic": "q"}}))),
        (false, binding(json!({"routingKey": 5}))),
        (false, binding(json!({"routingKey": {"hex": "f"}}))),
        (false, binding(json!({"dialect": "kombu58"}))),
        (false, json!({"policies": [{"name": "p"}]})),
        (false, json!({"policies": [{"name": "p", "pattern": "x", "applyTo": "everything"}]})),
        (false, json!({"policies": [{"name": "p", "pattern": "x", "priority": 1.5}]})),
    ] {
        assert_eq!(schema.takes(&document).is_ok(), good, "schema: {document}");
        // A list is taken for an object's fields in their order by serde; whoever reads files asks first.
        if !document.is_array() {
            assert_eq!(
                serde_json::from_value::<Topology>(document.clone()).is_ok(),
                good,
                "library: {document}"
            );
        }
    }
}
