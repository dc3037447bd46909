//! How a binding is shown: what it asks of a message, which depends on the type of its exchange.

use std::collections::HashMap;

use keyrail_core::{BindingDefinition, ByteString, Dialect, ExchangeKind, Router, Table, Topology, Value};

use super::{header, show::clean};

/// `order.*.paid`, `order.# as kombu57`, `(empty key)`, `all of format=pdf pages:=4`, `always`.
///
/// What is asked comes first. What else tells two bindings apart, a key that a headers exchange never reads for instance,
/// follows in parentheses.
pub(crate) fn reason(kind: ExchangeKind, binding: &BindingDefinition) -> String {
    let BindingDefinition { routing_key, arguments, dialect, pattern, .. } = binding;
    let asked = |text: &str| match text {
        "" => "(empty key)".to_owned(),
        text => text.to_owned(),
    };
    let key = routing_key.to_string();
    let (mut text, reads_key, reads_arguments) = match kind {
        ExchangeKind::Headers => (headers(arguments), false, true),
        ExchangeKind::Fanout if *dialect != Dialect::Amqp => {
            (format!("listens to {}", asked(&key)), true, false)
        }
        ExchangeKind::Fanout => ("always".into(), false, false),
        ExchangeKind::ConsistentHash => (format!("weight {key}"), true, false),
        ExchangeKind::Random => ("at random".into(), false, false),
        _ => (asked(&key), true, false),
    };
    if kind == ExchangeKind::Topic {
        text += &reading(*dialect, pattern.as_deref());
    }
    let mut apart = Vec::new();
    if !reads_key && !key.is_empty() {
        apart.push(format!("key {key}"));
    }
    if !reads_arguments && !arguments.is_empty() {
        apart.push(format!("arguments {}", joined(arguments, |_| true)));
    }
    if !apart.is_empty() {
        text += &format!(" ({})", apart.join(", "));
    }
    clean(&text)
}

/// As [`reason`], with the dialect where the exchange does not ask for it either: two topologies may differ in nothing
/// else.
pub(crate) fn identity(kind: ExchangeKind, binding: &BindingDefinition) -> String {
    let told = matches!(kind, ExchangeKind::Topic);
    let rest = if told { String::new() } else { reading(binding.dialect, binding.pattern.as_deref()) };
    reason(kind, binding) + &clean(&rest)
}

/// The types of the exchanges of a topology.
pub(crate) struct Kinds(HashMap<Box<str>, ExchangeKind>);

impl Kinds {
    pub(crate) fn of(topology: &Topology) -> Self {
        let router = Router::with_predeclared_exchanges();
        let predeclared = router.exchanges().map(|(_, name, exchange)| (name.into(), exchange.kind()));
        let declared = topology.exchanges.iter().map(|exchange| (exchange.name.clone(), exchange.kind));
        Kinds(predeclared.chain(declared).collect())
    }

    /// The type of the exchange that a binding comes from.
    pub(crate) fn source(&self, binding: &BindingDefinition) -> ExchangeKind {
        self.0.get(&binding.source).copied().unwrap_or(ExchangeKind::Direct)
    }
}

/// How the key is read, where not as RabbitMQ does.
fn reading(dialect: Dialect, pattern: Option<&str>) -> String {
    let words = match dialect {
        Dialect::Amqp => String::new(),
        other => format!(" as {}", other.as_str()),
    };
    match pattern {
        Some(pattern) => format!("{words} matching {pattern}"),
        None => words,
    }
}

fn headers(arguments: &Table) -> String {
    let mode = match arguments.get("x-match") {
        Some(Value::LongString(mode)) => mode.to_string(),
        _ => "all".into(),
    };
    // Arguments that begin so count only in the modes that say so.
    let (mode, with_x) = match mode.strip_suffix("-with-x") {
        Some(mode) => (mode, true),
        None => (&*mode, false),
    };
    let counts = |name: &[u8]| name != b"x-match" && (with_x || !name.starts_with(b"x-"));
    match joined(arguments, counts) {
        nothing if nothing.is_empty() && mode == "any" => "never".into(),
        nothing if nothing.is_empty() => "always".into(),
        asked => format!("{mode} of {asked}"),
    }
}

fn joined(arguments: &Table, counts: impl Fn(&[u8]) -> bool) -> String {
    let shown = arguments.iter().filter(|(name, _)| counts(name));
    let shown = shown.map(|(name, value)| header::typed(&ByteString::from(name), value));
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: ExchangeKind, json: serde_json::Value) -> String {
        let mut binding = serde_json::json!({"source": "x", "destination": {"queue": "q"}});
        binding.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        reason(kind, &serde_json::from_value(binding).expect("a binding"))
    }

    #[test]
    fn every_type_shows_what_it_asks() {
        use ExchangeKind::{ConsistentHash, Direct, Fanout, Headers, Random, Topic};
        let arguments = |arguments: serde_json::Value| serde_json::json!({ "arguments": arguments });
        for (kind, binding, expected) in [
            (Direct, serde_json::json!({}), "(empty key)"),
            (Topic, serde_json::json!({"routingKey": "a.#"}), "a.#"),
            (Topic, serde_json::json!({"routingKey": "a.#", "dialect": "kombu56"}), "a.# as kombu56"),
            (Direct, serde_json::json!({"routingKey": "red", "dialect": "kombu57"}), "red"),
            (Direct, serde_json::json!({"routingKey": "a\nb\u{6}"}), "a\\nb\\u{6}"),
            (Fanout, serde_json::json!({}), "always"),
            (Fanout, serde_json::json!({"routingKey": "k"}), "always (key k)"),
            (Fanout, serde_json::json!({"dialect": "kombu57"}), "listens to (empty key)"),
            (ConsistentHash, serde_json::json!({"routingKey": "3"}), "weight 3"),
            (Random, serde_json::json!({}), "at random"),
            (Headers, serde_json::json!({}), "always"),
            (Headers, arguments(serde_json::json!({"x-match": "any"})), "never"),
            (Headers, arguments(serde_json::json!({"x-match": "any", "a": "1", "b": 1})), "any of a=1 b:=1"),
            (
                Headers,
                arguments(serde_json::json!({"a": null, "b": [1, "x"]})),
                "all of a:=null b:=[1,\"x\"]",
            ),
            (
                Headers,
                arguments(serde_json::json!({"x-match": "all", "x-a": 1, "b": true})),
                "all of b:=true",
            ),
            (Headers, arguments(serde_json::json!({"x-match": "all-with-x", "x-a": 1})), "all of x-a:=1"),
            (Headers, serde_json::json!({"routingKey": "kk", "arguments": {"p": 4}}), "all of p:=4 (key kk)"),
            (Topic, serde_json::json!({"routingKey": "a", "arguments": {"p": 4}}), "a (arguments p:=4)"),
        ] {
            assert_eq!(shown(kind, binding.clone()), expected, "{kind} {binding}");
        }
    }
}
