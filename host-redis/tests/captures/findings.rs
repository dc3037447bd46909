//! What was found out about Kombu by experiment: keyrail reads keys and rows the same way.

use std::collections::BTreeSet;

use keyrail_core::{
    Dialect, ExchangeKind, Message, Routes,
    kombu::{BindingTable, Layout, Member},
};
use serde_json::Value;

use crate::wire::{capture, text, words};

/// Which queues rows of a topic exchange give a routing key.
fn queues(rows: &[Vec<u8>], key: &str) -> BTreeSet<String> {
    let kind = Some(ExchangeKind::Topic);
    let table =
        BindingTable::read("x", kind, rows.iter().map(Vec::as_slice), &Layout::default()).expect("a table");
    assert_eq!(table.quarantine, []);
    let mut routes = Routes::new();
    let _ = table.router.route(table.exchange, &Message::new(key), &mut routes);
    routes.queues().iter().filter_map(|queue| table.router.queue_name(*queue)).map(str::to_owned).collect()
}

fn row(key: &str, queue: &str, dialect: Dialect) -> Vec<u8> {
    let member = Member::topic(key, queue, dialect).unwrap_or_else(|error| panic!("{key}: {error}"));
    member.to_bytes(&Layout::default().sep).expect("a row")
}

/// The table of binding keys and routing keys on which Kombu 5.7, older ones and AMQP disagree.
#[test]
fn three_readings_of_a_key() {
    let table = text("topic_table.md");
    let (table, rest) = table.split_once("\n\n").expect("a table and what follows");
    let mut rows = 0;
    for line in table.lines().skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [binding, key, new, old, amqp] = cells[..] else { panic!("{line}") };
        let name = |cell: &str| cell.trim_matches('`').replace("(empty)", "").replace("\\n", "\n");
        let (binding, key) = (name(binding), name(key));
        for (cell, dialect) in [(new, Dialect::Kombu57), (old, Dialect::Kombu56), (amqp, Dialect::Amqp)] {
            let found = queues(&[row(&binding, "q", dialect)], &key);
            assert!(["match", "-"].contains(&cell), "{line}");
            assert_eq!(!found.is_empty(), cell == "match", "{line} as {dialect}");
        }
        rows += 1;
    }
    assert_eq!(rest.trim(), format!("raises for every key: ['**', '*a'] rows: {rows}"));
    // Nobody could publish to an exchange with one of those.
    for key in ["**", "*a"] {
        assert!(
            Member::topic(key, "q", Dialect::Kombu57).is_err()
                && Member::topic(key, "q", Dialect::Kombu56).is_err()
        );
    }
}

/// A `*` means what it meant to the Kombu that bound it, whoever publishes; after an upgrade both rows count.
#[test]
fn rows_of_several_versions() {
    let all = capture("mixed_versions");
    let all = all.as_object().expect("an object");
    let lists = |found: &Value| -> Vec<(String, BTreeSet<String>)> {
        let of = |keys: &Value| {
            keys.as_array().expect("keys").iter().map(|key| key.as_str().expect("text").to_owned()).collect()
        };
        found.as_object().expect("queues").iter().map(|(queue, keys)| (queue.clone(), of(keys))).collect()
    };
    let published = ["stock.usd", "stock.usd.nyse", "a.b.c", "a.b.x.c"];
    let (mut pairs, mut upgrades) = (0, 0);
    for (what, found) in all {
        let (rows, expected) = match what.strip_prefix("binder ") {
            Some(binder) => {
                pairs += 1;
                let dialect = if binder.starts_with("5.7") { Dialect::Kombu57 } else { Dialect::Kombu56 };
                (vec![row("stock.*", "stars", dialect), row("a.*.c", "mid", dialect)], lists(found))
            }
            None => {
                upgrades += 1;
                let members = found["members"].as_array().expect("members").iter();
                let bytes =
                    |member: &Value| words(&format!("\"{}\"", member.as_str().expect("text"))).remove(0);
                (members.map(bytes).collect(), lists(&found["queues"]))
            }
        };
        for (queue, keys) in expected {
            let ours: BTreeSet<String> = published
                .iter()
                .filter(|key| queues(&rows, key).contains(&queue))
                .map(|key| (*key).to_owned())
                .collect();
            assert_eq!(ours, keys, "{what}: {queue}");
        }
    }
    assert_eq!((pairs, upgrades), (8, 1));
}
