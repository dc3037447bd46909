//! Lines and definitions on random topologies: what is written is read as the same.

use keyrail_core::{
    BindingDefinition, Definitions, DestinationName, Dialect, ExchangeDefinition, ExchangeKind,
    PolicyDefinition, QueueDefinition, Router, Table, Topology, Value,
};
use proptest::{collection::vec, prelude::*, sample::select};

/// Words that are read as something else unless they are quoted, and hostile ones.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z]{1,3}(\\.[a-z#*]{1,2}){0,2}",
        1 => select(vec![
            "queue", "exchange", "policy", "as", "matching", "else", "topic", "durable", "->", "#", "#x", "a b", "a:b",
            "\"", "\\", "{", "}", "[a]", "(", ",", "é", "日本", "\u{1}", "\n", "\u{2028}", "\u{feff}", "-->", "hex", "null", "😀",
        ]).prop_map(str::to_owned),
        1 => "\\PC{1,8}",
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        name().prop_map(|text| Value::LongString(text.into())),
        vec(any::<u8>(), 0..4).prop_map(|bytes| Value::LongString(bytes.into())),
        vec(any::<u8>(), 0..4).prop_map(|bytes| Value::ByteArray(bytes.into())),
        any::<i64>().prop_map(Value::I64),
        any::<i32>().prop_map(Value::I32),
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u64>().prop_map(Value::Timestamp),
        (-1e30..1e30_f64).prop_map(Value::F64),
        (-1e30..1e30_f32).prop_map(Value::F32),
        (any::<u8>(), any::<u32>()).prop_map(|(scale, digits)| Value::Decimal { scale, digits }),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Void),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec((name(), inner), 0..3).prop_map(|entries| Value::Table(entries.into_iter().collect())),
        ]
    })
}

fn table() -> impl Strategy<Value = Table> {
    prop_oneof![
        2 => Just(Table::new()),
        1 => vec((name(), value()), 0..3).prop_map(|entries| entries.into_iter().collect::<Table>()),
    ]
}

/// Every end of a binding is there, each name once.
fn topology() -> impl Strategy<Value = Topology> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let exchange = (name(), select(ExchangeKind::ALL.to_vec()), flags, prop::option::of(name()), table());
    let queue = (name(), flags, table());
    let binding = (
        any::<usize>(),
        any::<usize>(),
        any::<bool>(),
        name(),
        prop::option::of(name()),
        table(),
        0..3_usize,
    );
    let policy = (name(), name(), any::<i64>(), table());
    (vec(exchange, 1..5), vec(queue, 1..5), vec(binding, 0..8), vec(policy, 0..3)).prop_map(
        |(exchanges, queues, bindings, policies)| {
            let mut topology = Topology::default();
            for (name, kind, (durable, auto_delete, internal), alternate, arguments) in exchanges {
                let known = |it: &ExchangeDefinition| *it.name == *name;
                if topology.exchanges.iter().any(known) || arguments.get("alternate-exchange").is_some() {
                    continue;
                }
                topology.exchanges.push(ExchangeDefinition {
                    name: name.into(),
                    kind,
                    durable,
                    auto_delete,
                    internal,
                    alternate_exchange: alternate.map(Into::into),
                    arguments,
                });
            }
            for (name, (durable, auto_delete, exclusive), arguments) in queues {
                if topology.queues.iter().all(|it| *it.name != *name) {
                    let name = name.into();
                    topology.queues.push(QueueDefinition {
                        name,
                        durable,
                        auto_delete,
                        exclusive,
                        arguments,
                    });
                }
            }
            for (source, destination, to_exchange, key, pattern, arguments, dialect) in bindings {
                let (exchanges, queues) = (&topology.exchanges, &topology.queues);
                topology.bindings.push(BindingDefinition {
                    source: exchanges[source % exchanges.len()].name.clone(),
                    destination: if to_exchange {
                        DestinationName::Exchange(exchanges[destination % exchanges.len()].name.clone())
                    } else {
                        DestinationName::Queue(queues[destination % queues.len()].name.clone())
                    },
                    routing_key: key.into(),
                    arguments,
                    dialect: Dialect::ALL[dialect],
                    pattern: pattern.map(Into::into),
                });
            }
            for (name, pattern, priority, definition) in policies {
                if topology.policies.iter().all(|it| *it.name != *name) {
                    let (name, pattern) = (name.into(), pattern.into());
                    let apply_to = keyrail_core::ApplyTo::ALL[priority.unsigned_abs() as usize % 6];
                    topology.policies.push(PolicyDefinition {
                        name,
                        pattern,
                        apply_to,
                        priority,
                        definition,
                    });
                }
            }
            topology
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn lines_are_read_as_they_were_written(topology in topology()) {
        let lines = topology.to_lines();
        let read = Topology::from_lines(&lines);
        prop_assert_eq!(read.as_ref(), Ok(&topology), "{}", lines);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "(?s).{0,80}") {
        let _ = Topology::from_lines(&text);
    }

    /// What definitions can say comes back with the same answers: as a router, the same bindings but for types of numbers.
    #[test]
    fn definitions_are_read_as_they_were_written(topology in topology()) {
        let Ok(definitions) = Definitions::of("v", &topology) else { return Ok(()) };
        let json = serde_json::to_string(&definitions).unwrap();
        let read: Definitions = serde_json::from_str(&json).unwrap();
        let again = read.topology("v").unwrap();
        prop_assert_eq!(again.exchanges.len(), topology.exchanges.len());
        prop_assert_eq!(again.to_lines().lines().count(), topology.to_lines().lines().count());
        if let (Ok(one), Ok(other)) = (topology.router(), again.router()) {
            prop_assert_eq!(Router::counts(&one), other.counts());
        }
    }
}
