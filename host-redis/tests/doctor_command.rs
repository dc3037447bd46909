//! `keyrail doctor` as people use it.

mod support;

use keyrail_core::Dialect;
use serde_json::{Value, json};
use support::{
    doctor::{Site, message, plain, topic},
    fail, keyrail, shop, succeed, text,
};

/// Standard output of a run that ends with this status and says nothing else.
#[track_caller]
fn ends<const N: usize>(status: i32, args: [&str; N]) -> String {
    let output = keyrail(args);
    assert_eq!(output.status.code(), Some(status), "{args:?}\n{output:?}");
    assert_eq!(text(&output.stderr), "", "{args:?}");
    text(&output.stdout)
}

fn parse(output: &str) -> Value {
    serde_json::from_str(output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

fn twins(site: &mut Site) {
    for dialect in [Dialect::Kombu56, Dialect::Kombu57] {
        site.permanent("orders", &topic("a.*", "q", dialect));
    }
}

#[tokio::test]
async fn it_names_what_is_wrong_and_changes_nothing() {
    let mut site = Site::start().await;
    let url = site.server.url();
    assert_eq!(
        succeed(["doctor", "--redis", &url]),
        "0 errors, 0 warnings, 0 infos in 0 keys, 0 rows, 0 payloads, 0 unacked\n"
    );
    twins(&mut site);
    site.permanent("old", &topic("*", "q", Dialect::Kombu56));
    let before = site.dump();
    let expected = "warning[stale-twin] row a.* (^a\\..*?[^\\.]$) to q of exchange orders
  the queue has a row of Kombu 5.7 for the same key, and still gets keys of several words for a * by this one of Kombu \
         5.6; nothing in Kombu removes it
  repair: takes the row of Kombu 5.6 out of the table and of the permanent ones
0 errors, 1 warning, 1 info in 4 keys, 3 rows, 0 payloads, 0 unacked; --show info shows them all\n";
    assert_eq!(ends(1, ["doctor", "--redis", &url]), expected);
    assert_eq!(ends(0, ["doctor", "--redis", &url, "--fail-on", "error"]), expected);
    let all = ends(1, ["doctor", "--redis", &url, "--show", "info"]);
    assert!(all.contains("info[old-dialect] row * (^.*?[^\\.]$) to q of exchange old\n"), "{all}");
    assert!(all.contains("  no repair: declare the queue with Kombu 5.7 or keyrail bind"), "{all}");
    let found = parse(&ends(1, ["doctor", "--redis", &url, "--json"]));
    assert_eq!(found["findings"][0]["code"], json!("stale-twin"));
    assert_eq!(found["findings"][0]["severity"], json!("warning"));
    assert_eq!(
        found["findings"][0]["culprit"],
        json!({"type": "row", "exchange": "orders", "row": "a.* (^a\\..*?[^\\.]$) to q"})
    );
    assert_eq!(found["findings"][0]["repairable"], json!(true));
    assert_eq!(found["findings"][1]["code"], json!("old-dialect"));
    assert_eq!(found["looked"]["rows"], json!(3));
    assert_eq!(site.dump(), before);
}

#[tokio::test]
async fn it_repairs_and_takes_back() {
    let mut site = Site::start().await;
    let url = site.server.url();
    // Rows that were added stay, and the flag that takes them out is told.
    let row = topic("a.*", "q", Dialect::Kombu57);
    site.permanent("lost", &row);
    site.say("DEL _kombu.binding.lost");
    let out = succeed(["doctor", "--redis", &url, "--repair", "lost-table"]);
    let record = out.split_once("record ").and_then(|(_, rest)| rest.split(';').next()).expect("a record");
    let left = ends(1, ["doctor", "--redis", &url, "--undo", record]);
    assert!(
        left.contains("not taken back: lost-table of ") && left.contains("--rows takes them out"),
        "{left}"
    );
    assert_eq!(succeed(["doctor", "--redis", &url, "--undo", record, "--rows"]), "1 step taken back\n");
    site.say("FLUSHALL");
    twins(&mut site);
    site.permanent("audit", &topic("b.#", "nobody", Dialect::Amqp));
    let before = site.dump();
    let out = succeed(["doctor", "--redis", &url, "--repair", "all"]);
    let (first, second) = out.split_once('\n').expect("two lines");
    assert_eq!(first, "repaired[stale-twin] row a.* (^a\\..*?[^\\.]$) to q of exchange orders");
    let record = second.strip_prefix("record ").and_then(|rest| rest.split(';').next()).expect("a record");
    // What `all` leaves alone is repaired by its name.
    let left = parse(&succeed(["doctor", "--redis", &url, "--json"]));
    assert_eq!(left["findings"].as_array().expect("findings").len(), 1);
    let again = succeed(["doctor", "--redis", &url, "--repair", "all"]);
    assert_eq!(again, "nothing to repair, nothing changed\n");
    let repaired =
        parse(&succeed(["doctor", "--redis", &url, "--repair", "stale-twin,amqp-orphan", "--json"]));
    assert_eq!(repaired["findings"][0]["code"], json!("amqp-orphan"));
    assert_eq!(repaired["findings"][0]["done"], json!(1));
    let other = repaired["record"].as_str().expect("a record");
    assert_eq!(succeed(["doctor", "--redis", &url, "--undo", record]), "1 step taken back\n");
    let error = fail(1, ["doctor", "--redis", &url, "--undo", record]);
    assert_eq!(error, format!("there is no record `{record}` of repairs; there are {other}"));
    // The row is there again: it is not taken back, and stays in the record.
    site.permanent("audit", &topic("b.#", "nobody", Dialect::Amqp));
    let out = ends(1, ["doctor", "--redis", &url, "--undo", other]);
    assert!(out.contains("not taken back: amqp-orphan of row b.# "), "{out}");
    assert!(out.ends_with("0 steps taken back\n"), "{out}");
    assert_eq!(site.dump(), before);
}

#[tokio::test]
async fn what_it_cannot_do_is_said_in_a_line() {
    let site = Site::start().await;
    let url = site.server.url();
    for (status, args, expected) in [
        (2, &["--repair", "stale-twn"][..], "--repair: `stale-twn` is no finding; expected amqp-orphan, "),
        (2, &["--repair", ""], "--repair: `` is no finding; expected "),
        (
            2,
            &["--repair", "wrong-type"],
            "--repair: wrong-type is named and never repaired: another library ",
        ),
        (
            2,
            &["--repair", "all", "--undo", "x"],
            "the argument `--repair <CODES>` cannot be used with `--undo",
        ),
        (2, &["--topology", "x.json"], "doctor looks at a Redis; for a file there is `keyrail lint`"),
        (2, &["--max-keys", "many"], "invalid value `many` for `--max-keys <N>`"),
        (1, &["--undo", "x"], "there is no record `x` of repairs, nor any other"),
        (1, &["--undo", "\x1b[31m"], "there is no record `\\u{1b}[31m` of repairs"),
    ] {
        let args: Vec<&str> = ["doctor", "--redis", &url].into_iter().chain(args.iter().copied()).collect();
        let output = keyrail(&args);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {output:?}");
        let line = text(&output.stderr);
        let line = line.strip_prefix("keyrail: ").unwrap_or_else(|| panic!("{line}"));
        assert!(line.starts_with(expected), "{args:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    assert_eq!(fail(2, ["doctor"]), "this needs a Redis; give --redis URL");
    assert!(fail(2, ["doctor", "--topology", &shop()]).contains("keyrail lint"));
    site.server.command(&["SET", "keyrail.doctor.odd", "x"]);
    let error = fail(1, ["doctor", "--redis", &url, "--undo", "odd"]);
    assert_eq!(error, "`keyrail.doctor.odd` holds another type than LRANGE needs");
    site.server.command(&["RPUSH", "keyrail.doctor.bad", "x"]);
    let error = fail(1, ["doctor", "--redis", &url, "--undo", "bad"]);
    assert_eq!(error, "an entry of the record `bad` cannot be read: it has no notes");
}

#[tokio::test]
async fn nothing_of_redis_steers_the_terminal() {
    let mut site = Site::start().await;
    site.row("orders\x1b[31m", b"\x1b]0;x\x07");
    site.permanent("orders", &plain("k", "q\x1b"));
    site.run(&[b"LPUSH", b"q\x1b", b"\x1b[2J", &message("x")]);
    let out = ends(1, ["doctor", "--redis", &site.server.url(), "--show", "info"]);
    assert!(out.contains("[malformed-row]") && out.contains("[poison]"), "{out}");
    assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{out:?}");
}

/// Other options of the transport are other keys.
#[tokio::test]
async fn it_looks_by_the_transport_options() {
    let mut site = Site::start().await;
    let url = site.server.url();
    site.run(&[b"SADD", b"shop:_kombu.binding.orders", b"no row"]);
    site.run(&[b"SADD", b"shop:_kombu.binding.orders", b"k::q"]);
    site.run(&[b"HSET", b"shop:held", b"t", &support::doctor::record("x", "q")]);
    let codes = |options: &str| -> Vec<Value> {
        let output = keyrail(["doctor", "--redis", &url, "--transport-options", options, "--json"]);
        let findings = parse(&text(&output.stdout))["findings"].as_array().expect("findings").clone();
        findings.iter().map(|finding| finding["code"].clone()).collect()
    };
    assert_eq!(codes("{}"), ["other-prefix"]);
    assert_eq!(codes(r#"{"global_keyprefix": "shop:"}"#), ["malformed-row", "other-separator"]);
    let own = r#"{"global_keyprefix": "shop:", "sep": ":", "unacked_key": "held"}"#;
    assert_eq!(codes(own), ["malformed-row", "unindexed"]);
}

/// The README lists every code with its severity, and whether `all` repairs it.
#[test]
fn the_readme_lists_every_code() {
    use keyrail_redis::doctor::{Code, Repair};
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let section =
        readme.split("## The doctor").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("it");
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), Code::ALL.len());
    for code in Code::ALL {
        let name = format!("`{code}`");
        let row = rows.iter().find(|row| row[1] == name).unwrap_or_else(|| panic!("{code}"));
        let repaired = match code.repair() {
            Repair::Never => "–",
            Repair::OnRequest => "by name",
            Repair::Safe => "all",
        };
        assert_eq!((row[2], row[4]), (code.severity().as_str(), repaired), "{code}");
    }
}
