//! `keyrail convert`: from any format to any other.

mod support;

use std::{fs, path::Path};

use support::{Folder, fail, shop, succeed};

/// The example, by way of every format that can hold it, and back to where it began.
#[test]
fn the_example_goes_round() {
    let folder = Folder::new();
    let lines = succeed(["convert", &shop()]);
    assert!(lines.contains("shop.orders topic durable else shop.unrouted\n"), "{lines}");
    assert!(lines.contains("shop.orders: order.*.paid -> billing.invoicing\n"), "{lines}");
    let [json, snapshot, written, definitions] =
        ["a.json", "b.snap", "c.lines", "d.json"].map(|name| folder.path(name));
    succeed(["convert", &shop(), &json]);
    succeed(["convert", &json, &snapshot]);
    succeed(["convert", &snapshot, &written]);
    assert_eq!(fs::read_to_string(&written).unwrap(), lines);
    succeed(["convert", &written, &definitions, "--to", "rabbitmq"]);
    assert_eq!(succeed(["convert", &definitions]), lines);
}

#[test]
fn what_rabbitmq_exported_comes_out_as_it_went_in() {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let written = succeed(["convert", &shop(), "--to", "rabbitmq"]);
    assert_eq!(read(&written), read(&fs::read_to_string(shop()).unwrap()));
}

/// Recorded: what RabbitMQ made of the file that we wrote (tests/oracles/definitions.py).
#[test]
fn rabbitmq_imports_what_is_written() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/definitions");
    let file = |name: &str| vectors.join(name).display().to_string();
    let ours = succeed(["convert", &file("topology.lines"), "--to", "rabbitmq", "--vhost", "shop"]);
    assert_eq!(ours, fs::read_to_string(file("imported.json")).unwrap());
    let sorted = |lines: String| {
        let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let exported = succeed(["convert", &file("exported.json")]);
    let imported = succeed(["convert", &file("imported.json")]);
    assert_eq!(sorted(exported), sorted(imported));
}

#[test]
fn kombus_sets_and_celerys_settings() {
    let folder = Folder::new();
    let [celery, sets] = ["celery.json", "sets.json"].map(|name| folder.path(name));
    let config = r#"{"task_queues": [{"name": "mail", "exchange": {"name": "tasks", "type": "topic"},
                                      "routing_key": "mail.#"}], "task_routes": {"shop.bill": "billing"}}"#;
    fs::write(&celery, config).unwrap();
    let lines = succeed(["convert", &celery]);
    assert!(lines.contains("tasks: mail.# as kombu57 -> mail\n"), "{lines}");
    succeed(["convert", &celery, &sets, "--to", "kombu"]);
    let dump = fs::read_to_string(&sets).unwrap();
    assert!(dump.contains(r"mail.#\u0006\u0016^mail\\..*?$\u0006\u0016mail"), "{dump}");
    assert!(
        succeed(["convert", &sets])
            .contains("tasks: mail.# as kombu57 matching \"^mail\\\\..*?$\" -> mail\n")
    );
    let fanout = succeed(["convert", &sets, "--type", "billing=fanout"]);
    assert!(fanout.contains("billing fanout durable\n"), "{fanout}");
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_written() {
    let folder = Folder::new();
    let [input, output] = ["input", "output"].map(|name| folder.path(name));
    for (content, to, reason) in [
        (r#"{"exchanges": [{"name": "x", "kind": 7}]}"#, "lines", "exchanges[0].kind: "),
        (r#"{"exchanges": [{"name": "x", "kind": "topic"}]} {}"#, "lines", "trailing characters"),
        (
            r#"{"queues": [], "rabbit_version": "3", "bindings": 5}"#,
            "lines",
            "bindings: found `5`, expected a list",
        ),
        ("logs topc: a -> q", "json", "line 1, column 6: `topc`"),
        (
            "t topic: a -> exchange t\nt: a as kombu57 -> q",
            "rabbitmq",
            "bindings[1]: RabbitMQ knows no dialect",
        ),
        ("t topic: a -> exchange t", "kombu", "bindings[0]: Kombu's sets know no binding to an exchange"),
        ("h headers: {x-match: \"some\"} -> q", "json", "bindings[0]: x-match is `some`"),
        ("\u{0}\u{1}", "json", "line 1"),
    ] {
        fs::write(&input, content).unwrap();
        let error = fail(1, ["convert", &input, &output, "--to", to]);
        assert!(error.contains(reason), "{content}: {error}");
        assert!(!Path::new(&output).exists(), "{content}");
    }
    let error = fail(2, ["convert", &shop(), "--to", "celery"]);
    assert!(error.contains("can be read and not written"), "{error}");
}

/// Every format that a topology can be kept in is read where a topology is asked for.
#[test]
fn what_is_converted_is_read() {
    let folder = Folder::new();
    let [lines, snapshot] = ["shop.lines", "shop.snap"].map(|name| folder.path(name));
    succeed(["convert", &shop(), &lines]);
    succeed(["convert", &shop(), &snapshot]);
    let route = |path: &str| {
        succeed(["route", "--topology", path, "-x", "shop.orders", "-k", "order.eu.paid", "--json"])
    };
    for path in [&lines, &snapshot] {
        assert_eq!(route(path), route(&shop()), "{path}");
        assert!(succeed(["diff", &shop(), path]).ends_with("no message behaves differently\n"), "{path}");
        succeed(["lint", "--topology", path]);
    }
    let redis = support::RedisServer::start();
    let imported =
        succeed(["topology", "import", "--topology", &lines, "--redis", &redis.url(), "--dialect", "amqp"]);
    assert!(imported.starts_with("imported 10 exchanges, 18 queues, 39 bindings"), "{imported}");
    fs::write(&lines, "logs topc: a -> q").unwrap();
    let error = fail(1, ["route", "--topology", &lines]);
    assert!(error.contains("shop.lines`: line 1, column 6: `topc`"), "{error}");
    let mut damaged = fs::read(&snapshot).unwrap();
    damaged.truncate(damaged.len() / 2);
    fs::write(&snapshot, damaged).unwrap();
    let error = fail(1, ["route", "--topology", &snapshot]);
    assert!(error.contains("shop.snap`: "), "{error}");
}

#[test]
fn a_topology_is_read_from_standard_input() {
    for args in [vec!["diff", "-", &shop()], vec!["route", "--topology", "-", "-k", "eu.vat"]] {
        let file = fs::File::open(shop()).unwrap();
        let output = support::keyrail_with(&[], file.into(), &args);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn a_name_that_tells_no_format_is_refused() {
    let folder = Folder::new();
    let path = folder.path("shop.xyz");
    let error = fail(2, ["convert", &shop(), &path]);
    assert!(error.contains("does not tell the format; give --to"), "{error}");
    assert!(!Path::new(&path).exists());
    succeed(["convert", &shop(), &path, "--to", "lines"]);
}
