use alloc::{format, string::ToString};

use crate::{DestinationName, Dialect, ExchangeKind, Topology, Value};

const SHOP: &str = r#"
# A line that begins with `#` is a comment.
orders topic durable else lost: order.eu.*     -> eu, us, exchange archive
orders:                         order.#        -> audit
lost fanout internal:                          -> unrouted
archive headers:  {x-match: "any", pages: 3, due: T(1700000000)}   -> files
stock topic:      usd.* as kombu56             -> "a queue"
stock:            usd.# as kombu57 matching "^usd\\..*?$" -> files
amq.topic:        #.error -> files
queue files durable auto-delete {x-max-length: 1000}
policy "no loss" "^stock" priority 3 on exchanges {alternate-exchange: "lost"}
"#;

#[test]
fn the_example_is_read_and_written() {
    let topology = Topology::from_lines(SHOP).unwrap();
    assert_eq!((topology.exchanges.len(), topology.queues.len(), topology.bindings.len()), (4, 6, 9));
    let orders = &topology.exchanges[0];
    assert_eq!((orders.kind, orders.durable), (ExchangeKind::Topic, true));
    assert_eq!(orders.alternate_exchange.as_deref(), Some("lost"));
    assert_eq!(topology.bindings[2].destination, DestinationName::Exchange("archive".into()));
    assert_eq!(topology.bindings[5].arguments.get("due"), Some(&Value::Timestamp(1_700_000_000)));
    assert_eq!(topology.bindings[6].dialect, Dialect::Kombu56);
    assert_eq!(topology.bindings[7].pattern.as_deref(), Some(r"^usd\..*?$"));
    assert!(topology.queues.iter().any(|queue| &*queue.name == "files" && queue.auto_delete));
    assert_eq!(topology.policies[0].priority, 3);
    let lines = topology.to_lines();
    assert_eq!(Topology::from_lines(&lines).unwrap(), topology, "{lines}");
}

#[test]
fn awkward_names_and_keys_are_quoted() {
    let text = "\"#x\" direct\n\"queue\" topic\n\"queue\": \"->\" -> \"as\"\n\"queue\": -> \"topic\"\n\
                \"#x\": # -> \"a:b\"\n\"#x\": \"as\" -> \"\\ud83d\\ude00\\u0001\"\n";
    let topology = Topology::from_lines(text).unwrap();
    assert_eq!(&*topology.bindings[0].routing_key, b"->");
    assert_eq!(topology.bindings[3].destination.name(), "\u{1f600}\u{1}");
    let lines = topology.to_lines();
    assert_eq!(Topology::from_lines(&lines).unwrap(), topology, "{lines}");
}

#[test]
fn errors_have_a_line_a_column_and_a_hint() {
    for (text, place, reason) in [
        ("logs topc: a -> q", (1, 6), "`topc` is no type of exchange"),
        ("\nlogs: a -> q", (2, 1), "the exchange `logs` is not declared"),
        ("logs topic: a q", (1, 15), "found `q`, expected an arrow"),
        ("logs topic: a", (1, 14), "the line ends where an arrow"),
        ("logs topic: a -> ", (1, 18), "a queue, or `exchange`"),
        ("logs topic: a -> q r", (1, 20), "a comma and a further destination"),
        ("logs topic: a -> exchange nowhere", (1, 27), "`nowhere` is not declared"),
        ("logs topic: \"a -> q", (1, 13), "a quote is not closed"),
        ("logs topic: \"\\q\" -> q", (1, 14), "an escape"),
        ("logs topic: a as kombu58 -> q", (1, 18), "`kombu58` is no dialect"),
        ("logs topic fast: a -> q", (1, 12), "`fast` is no property of an exchange"),
        ("logs topic\nlogs direct", (2, 1), "`logs` is declared differently in line 1"),
        ("durable topic", (1, 1), "`durable` is a word of this format"),
        ("h headers: {a: b} -> q", (1, 16), "`b` is no value"),
        ("h headers: {a 1} -> q", (1, 15), "a colon after the argument's name"),
        ("h headers: {a: I(3000000000)} -> q", (1, 18), "in the range of the field type I"),
        ("h headers: {a: z(3)} -> q", (1, 16), "`z` is no field type"),
        ("h headers: {a: S(hex f)} -> q", (1, 22), "hexadecimal"),
        ("h headers: {a: nan} -> q", (1, 16), "`nan` is no value"),
        ("é topic: ü -> q,", (1, 17), "the line ends where a queue"),
        ("queue q slow", (1, 9), "`slow` is no property of a queue"),
        ("queue q\nqueue q", (2, 7), "has a line already: 1"),
        ("policy p x priority high", (1, 25), "a whole number as priority"),
        ("x topic {alternate-exchange: \"a\"}", (1, 9), "among the arguments"),
    ] {
        let error = Topology::from_lines(text).unwrap_err();
        assert_eq!((error.line, error.column), place, "{text}: {error}");
        assert!(error.reason.contains(reason), "{text}: {error}");
    }
    let error = Topology::from_lines("logs topc: a -> q").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1, column 6: `topc` is no type of exchange; expected direct, fanout, headers, topic, \
         x-consistent-hash or x-random"
    );
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let text = format!("h headers: {{a: {}1{}}} -> q", open.repeat(5000), close.repeat(5000));
        let error = Topology::from_lines(&text).unwrap_err();
        assert!(error.reason.contains("nests deeper"), "{error}");
    }
}
