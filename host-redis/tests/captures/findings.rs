//! What was found out about Kombu by experiment: keyrail reads keys and rows the same way.

use std::collections::BTreeSet;

use keyrail_core::{
    Dialect, ExchangeKind, Message, Routes,
    kombu::{BindingTable, Command, Layout, Member, Plan},
};
use keyrail_redis::{Body, ConsumerOptions, Executor, Host, Memory, Next, Requeue, load};
use serde_json::Value;

use crate::{
    support::PATIENCE,
    wire::{capture, text, words},
};

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

/// A message as this writer would leave it, if it is one that is described so.
fn as_written(form: &str) -> Option<Vec<u8>> {
    let properties = |more: &str| {
        format!(r#"{{"delivery_tag":"t","delivery_info":{{"exchange":"","routing_key":"q"}}{more}}}"#)
    };
    let base64 = r#","body_encoding":"base64""#;
    let message = |body: &str, kind: &str, headers: &str, properties: &str| {
        let kind = if kind == "null" { kind.to_owned() } else { format!("\"{kind}\"") };
        format!(
            r#"{{"body":"{body}","content-encoding":"utf-8","content-type":{kind}{headers},"properties":{properties}}}"#
        )
    };
    // {"x":"é"} and {"x": 1}
    let (e, json, headers) = ("eyJ4Ijoiw6kifQ==", "application/json", r#","headers":{}"#);
    let text = match form {
        "compact, raw UTF-8" => message(e, json, r#","headers":{"é":"é"}"#, &properties(base64)),
        "unknown extra fields" => message(e, json, r#","headers":{},"more":{"é":[1]}"#, &properties(base64)),
        "no headers key" => message(e, json, "", &properties(base64)),
        "headers null" => message(e, json, r#","headers":null"#, &properties(base64)),
        "integer delivery_tag" => message(
            e,
            json,
            headers,
            &properties(base64).replace(r#""delivery_tag":"t""#, r#""delivery_tag":7"#),
        ),
        "no body_encoding, plain body" => message(r#"{\"x\":\"é\"}"#, json, headers, &properties("")),
        "body_encoding utf-8, plain body" => {
            message(r#"{\"x\": 1}"#, json, headers, &properties(r#","body_encoding":"utf-8""#))
        }
        "unknown body_encoding" => message(e, json, headers, &properties(r#","body_encoding":"rot13""#)),
        "empty body" => message("", json, headers, &properties(base64)),
        "unpadded base64" => message(e.trim_end_matches('='), json, headers, &properties(base64)),
        "urlsafe base64" => message("-_", json, headers, &properties(base64)),
        "null content-type" => message(e, "null", headers, &properties(base64)),
        "msgpack without accept" => {
            message("gaF4AQ==", "application/x-msgpack", headers, &properties(base64))
        }
        "compression header but plain body" => {
            message(e, json, r#","headers":{"compression":"zlib"}"#, &properties(base64))
        }
        "unknown compression" => {
            message(e, json, r#","headers":{"compression":"snappy"}"#, &properties(base64))
        }
        "invalid utf-8 bytes in JSON" => {
            let text = message(e, json, r#","headers":{"h":"?"}"#, &properties(base64));
            return Some(text.bytes().map(|byte| if byte == b'?' { 0xff } else { byte }).collect());
        }
        _ => return None,
    };
    Some(text.into_bytes())
}

/// What Kombu reads of other writers' messages, keyrail reads; what it raises on is put aside or comes as bytes.
#[tokio::test]
async fn forms_of_other_writers() {
    let recorded = capture("foreign_writer");
    let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    let (mut messages, mut tasks) = (0, 0);
    for (form, found) in recorded.as_object().expect("forms") {
        let Some(payload) = as_written(form) else {
            // The tasks, which a worker reads.
            assert_eq!(found["status"], "SUCCESS", "{form}");
            tasks += 1;
            continue;
        };
        messages += 1;
        let push = Command::LPush { key: "q".into(), value: payload.clone() };
        host.executor().run(&Plan { commands: vec![push], atomic: false }).await.expect("pushed");
        let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
        let next = consumer.next(PATIENCE).await.expect("a message");
        match (found["payload"].as_str(), next) {
            (Some(read), Next::Delivery(delivery)) => {
                let body = delivery.message().body;
                let ours = match (&body, body.as_text()) {
                    (Body::Json(json), _) => json.to_string().replace('"', "'").replace(':', ": "),
                    // Kombu does not decode what is empty.
                    (_, Some("")) => "b''".into(),
                    (_, Some(text)) => format!("'{text}'"),
                    (Body::Bytes(bytes), _) => format!("b'{}'", bytes.escape_ascii()),
                    other => panic!("{form}: {other:?}"),
                };
                assert_eq!(ours, read, "{form}");
                // A requeue loses none, where Kombu loses the one with `null` for its headers.
                assert!(delivery.requeue(Requeue::Last).await.expect("requeued"), "{form}");
                let Ok(Next::Delivery(again)) = consumer.next(PATIENCE).await else { panic!("{form}") };
                assert!(again.redelivered() && again.ack().await.expect("acked"), "{form}");
            }
            (None, Next::Delivery(delivery)) => {
                assert!(
                    matches!(delivery.message().body, Body::Bytes(_)),
                    "{form}: {:?}",
                    delivery.message().body
                );
                assert!(delivery.ack().await.expect("acked"));
            }
            (None, Next::Quarantined { .. }) => {
                assert_eq!(found["list"], 0, "{form}: Kombu has lost it");
            }
            (read, next) => panic!("{form}: Kombu reads {read:?}, keyrail {next:?}"),
        }
        consumer.close().await.expect("closed");
    }
    assert_eq!((messages, tasks), (16, 5));
}
