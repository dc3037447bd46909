//! `keyrail explain`, `lint` and `diff`: what they print, for people and for machines, and how they exit.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::{Value, json};

const SHOP: &str = "examples/shop/definitions.json";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn keyrail(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
    command.current_dir(root()).env_remove("KEYRAIL_REDIS").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&text(output)).unwrap()
}

/// A file of its own, removed with the value.
struct File(PathBuf);

impl File {
    fn of(name: &str, content: &Value) -> Self {
        let path = std::env::temp_dir().join(format!("keyrail-{}-{name}.json", std::process::id()));
        fs::write(&path, content.to_string()).unwrap();
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn topology(keys: &[&str]) -> Value {
    let bindings =
        keys.iter().map(|key| json!({"source": "logs", "destination": {"queue": "q"}, "routingKey": key}));
    json!({
        "exchanges": [{"name": "logs", "kind": "topic"}],
        "queues": [{"name": "q"}],
        "bindings": bindings.collect::<Vec<_>>()
    })
}

#[test]
fn explain_tells_machines_what_matched_and_what_nearly_did() {
    let arguments = ["explain", "--topology", SHOP, "--exchange", "shop.orders", "--json", "--key"];
    let routed = keyrail(&[&arguments[..], &["order.eu.paid"]].concat());
    assert_eq!(routed.status.code(), Some(0));
    let answer = json_of(&routed);
    assert_eq!(answer["outcome"], "routed");
    let found = answer["hops"][0]["matches"].as_array().unwrap();
    let paid =
        found.iter().find(|found| found["binding"]["destination"]["queue"] == "billing.invoicing").unwrap();
    let words = &paid["how"]["words"];
    assert_eq!(words[1], json!({"token": "*", "kind": "star", "took": ["eu"]}));

    let missed = keyrail(&[&arguments[..], &["order.eu.payed", "--near-misses", "2"]].concat());
    let answer = json_of(&missed);
    let near = answer["nearMisses"].as_array().unwrap();
    assert_eq!(near.len(), 2);
    assert_eq!((&near[0]["distance"], &near[0]["mismatch"]["found"]), (&json!(1), &json!("payed")));
    assert_eq!(near[0]["suggestion"]["routingKey"], "order.*.*");
}

#[test]
fn explain_tells_what_an_exchange_did_not_choose() {
    let bind = |source: &str, queue: &str, key: &str| json!({"source": source, "destination": {"queue": queue}, "routingKey": key});
    let content = json!({
        "exchanges": [{"name": "spread", "kind": "x-consistent-hash"}, {"name": "dice", "kind": "x-random"}],
        "queues": [{"name": "a"}, {"name": "b"}],
        "bindings": [bind("spread", "a", "1"), bind("spread", "b", "3"), bind("dice", "a", ""), bind("dice", "b", "")]
    });
    let file = File::of("chosen", &content);
    let explain = |exchange: &str, more: &[&str]| {
        let arguments = ["explain", "--topology", file.path(), "--key", "order.eu", "--exchange", exchange];
        keyrail(&[&arguments[..], more].concat())
    };
    let spread = text(&explain("spread", &[]));
    assert!(spread.contains("the hash fell into bucket 3 of 4, this binding owns bucket 1\n"), "{spread}");
    let dice = text(&explain("dice", &[]));
    assert!(dice.contains("another of 2 bindings was drawn\n"), "{dice}");
    let answer = json_of(&explain("spread", &["--json"]));
    let expected = json!({"type": "bucket", "found": 2, "among": 4, "own": {"first": 0, "count": 1}});
    assert_eq!(answer["nearMisses"][0]["mismatch"], expected);
    assert_eq!(answer["nearMisses"][0].get("suggestion"), None);
    let answer = json_of(&explain("dice", &["--json"]));
    assert_eq!(answer["nearMisses"][0]["mismatch"], json!({"type": "draw", "among": 2}));
}

#[test]
fn explain_exits_with_1_where_nothing_gets_it() {
    let file = File::of("explain", &topology(&["a.*"]));
    let output = keyrail(&["explain", "--topology", file.path(), "--exchange", "logs", "--key", "a.b.c"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("a.# would match"), "{}", text(&output));
    assert!(!text(&output).contains('\x1b'), "a pipe gets no colours");
    let unknown = keyrail(&["explain", "--topology", file.path(), "--exchange", "nowhere"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("`nowhere`"));
}

#[test]
fn lint_fails_from_the_severity_that_was_chosen() {
    let file = File::of("lint", &topology(&["a.#", "a.b"]));
    let lint = |more: &[&str]| keyrail(&[&["lint", "--topology", file.path()], more].concat());
    let output = lint(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).starts_with("warning[shadowed-binding]"), "{}", text(&output));
    assert_eq!(lint(&["--fail-on", "error"]).status.code(), Some(0));
    assert_eq!(lint(&["--fail-on", "never"]).status.code(), Some(0));
    let clean = File::of("clean", &topology(&["a.#"]));
    assert_eq!(keyrail(&["lint", "--topology", clean.path()]).status.code(), Some(0));
    assert_eq!(keyrail(&["lint", "--topology", clean.path(), "--fail-on", "info"]).status.code(), Some(1));
    assert_eq!(lint(&["--fail-on", "anything"]).status.code(), Some(2));
    assert_eq!(keyrail(&["lint", "--topology", "/nowhere.json"]).status.code(), Some(2));
    let report = json_of(&lint(&["--json"]));
    assert_eq!(report["findings"][0]["code"], "shadowed-binding");
    assert_eq!(report["findings"][0]["fix"], json!({"type": "removeBinding", "at": 1}));
}

#[test]
fn diff_fails_where_messages_behave_differently() {
    let [old, new] = [("old", &["a.*", "b"][..]), ("new", &["a.#", "b", "b.c"])]
        .map(|(name, keys)| File::of(name, &topology(keys)));
    let output = keyrail(&["diff", old.path(), new.path(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let diff = json_of(&output);
    assert_eq!(diff["structure"]["bindings"]["added"].as_array().unwrap().len(), 2);
    let behaviour = diff["behaviour"].as_array().unwrap();
    let logs = behaviour.iter().find(|exchange| exchange["exchange"] == "logs").unwrap();
    let witness = &logs["witnesses"][0];
    assert_eq!(witness["before"], json!({"outcome": "unroutable", "queues": []}));
    assert_eq!(witness["after"], json!({"outcome": "routed", "queues": ["q"]}));

    let same = File::of("same", &topology(&["b", "a.*", "a.x"]));
    let output = keyrail(&["diff", old.path(), same.path()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).ends_with("no message behaves differently\n"));
    // That they differ is an answer, and this is none.
    let missing = keyrail(&["diff", old.path(), "/nowhere.json"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere.json"));
    assert_eq!(keyrail(&["diff", old.path()]).status.code(), Some(2));
}
