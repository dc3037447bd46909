//! `keyrail bench route` on the bench's own tables: what it prints agrees with the oracle, and bad files are told.

mod support;

use keyrail_workload::{
    Bindings, Digest, DirectWorkload, Hash, Kind, Oracle, Row, TopicWorkload, adversarial::adversaries,
    headers::HeadersWorkload,
};
use serde_json::Value;
use support::{Folder, fail, keyrail, succeed, text};

fn table(rows: &[Row]) -> String {
    rows.iter().map(|(pattern, queue)| format!("{pattern}\t{queue}\n")).collect()
}

fn lines(keys: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    keys.into_iter().map(|key| format!("{}\n", key.as_ref())).collect()
}

/// Runs the bench for a short time; its line, after comparing its digests with the oracle's.
fn measure(kind: &str, rows: &[Row], keys: &str, more: &[&str]) -> Value {
    let folder = Folder::new();
    let (table, file) = (folder.file("t.tbl", table(rows)), folder.file("t.keys", keys));
    let args = ["bench", "route", "--kind", kind, "--table", &table, "--keys", &file, "--runs", "2"];
    let output = keyrail(args.iter().chain(&["--max-seconds", "0.5"]).chain(more));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let line: Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");

    let (kind, table) = (kind.parse::<Kind>().unwrap(), Bindings::from_rows(rows));
    let oracle = Oracle::new(kind, Hash::ZeroOrMore, &table).unwrap();
    let (mut digest, mut queues) = (Digest::new(), Vec::new());
    let count = line["digestN"].as_u64().unwrap() as usize;
    for key in keys.lines().take(count) {
        oracle.route(key.as_bytes(), &mut queues).unwrap();
        digest.add(&mut queues);
    }
    assert!(count > 0 && digest.keys() == count);
    assert_eq!(line["digest200"], digest.first());
    assert_eq!(line["digest"], digest.value());
    assert_eq!((&line["table"], &line["keys"]), (&"t.tbl".into(), &"t.keys".into()));
    assert_eq!(line["n"], rows.len());
    for name in ["buildMs", "bytesPerBinding", "medianNs", "minNs", "runs"] {
        assert!(line[name].as_f64().is_some_and(|number| number > 0.0), "{name}: {line}");
    }
    let names = line.as_object().expect("an object").keys();
    assert!(names.into_iter().all(|name| !name.contains('_')), "{line}");
    line
}

#[test]
fn topics_give_the_digests_on_record() {
    let mut workload = TopicWorkload::new(1_000);
    let keys = lines(workload.unique_keys(2_000).iter());
    let line = measure("topic", workload.rows(), &keys, &[]);
    assert_eq!(line["engine"], "default");
    for engine in ["no-cache", "cold"] {
        let without = measure("topic", workload.rows(), &keys, &["--engine", engine]);
        assert_eq!((&without["engine"], &without["digest200"]), (&engine.into(), &line["digest200"]));
    }
    if line["digestN"] == 2_000 {
        assert_eq!(
            (line["digest200"].as_u64(), line["digest"].as_u64()),
            (Some(3_777_509_010), Some(701_957_568))
        );
    }
    let bytes = line["bytesPerBinding"].as_f64().unwrap();
    assert!((20.0..5_000.0).contains(&bytes), "{line}");
}

#[test]
fn every_kind_agrees_with_the_oracle() {
    let mut direct = DirectWorkload::new(500);
    let keys = lines(direct.spread_keys(300));
    measure("direct", direct.rows(), &keys, &[]);

    let fanout: Vec<Row> = (0..100).map(|queue| (String::new(), queue)).collect();
    let line = measure("fanout", &fanout, "any.key\n\n", &[]);
    assert_eq!((&line["avgOut"], &line["digestN"]), (&100.0.into(), &2.into()));

    let mut headers = HeadersWorkload::new(400);
    let messages = lines(headers.messages(300));
    let line = measure("headers", headers.rows(), &messages, &[]);
    assert!(line["avgOut"].as_f64().unwrap() > 0.2, "{line}");

    let [_, stars, ..] = adversaries();
    measure("topic", &stars.rows, &lines(stars.keys), &[]);
}

#[test]
fn threads_share_a_table() {
    let mut workload = TopicWorkload::new(10);
    let keys = lines(workload.unique_keys(50).iter());
    let line = measure("topic", workload.rows(), &keys, &["--threads", "2"]);
    assert_eq!(line["threads"], 2);
    assert!(line["routesPerSecond"].as_f64().unwrap() > 1_000.0, "{line}");
}

#[test]
fn bad_lines_are_told_with_file_line_and_reason() {
    let folder = Folder::new();
    let keys = folder.file("k", "a:l=1\n"); // a key, and a message of headers
    let long = "x".repeat(256);
    for (kind, content, line, reason) in [
        ("topic", "a.*\t1\nb\n".as_bytes(), 2, "no tab between pattern and queue"),
        ("topic", b"a\t1\na\t-1\n", 2, "the queue `-1` is not a number from 0 to 4294967295"),
        ("direct", b"a\t99999999999", 1, "the queue `99999999999` is not a number"),
        ("direct", format!("a\t1\n{long}\t2\n").as_bytes(), 2, "256"),
        ("headers", b"all a:l=1\t1\nall a\t2\n", 2, "`a` is not of the form `name:type=value`"),
        ("headers", b"any a:l=x\t1\n", 1, "`x` is no value of the type `l`"),
    ] {
        let table = folder.file("t", content);
        let message = fail(1, ["bench", "route", "--kind", kind, "--table", &table, "--keys", &keys]);
        assert!(message.starts_with(&format!("{table}:{line}: ")), "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn bad_keys_and_files_are_told() {
    let folder = Folder::new();
    let (table, keys) = (folder.file("t", "a\t1\n"), folder.file("k", "a\n"));
    let run = |kind: &str, table: &str, keys: &str| {
        fail(1, ["bench", "route", "--kind", kind, "--table", table, "--keys", keys])
    };
    let long = folder.file("long", format!("a\n{}\n", "x.".repeat(128)));
    assert_eq!(
        run("topic", &table, &long),
        format!("{long}:2: the key has 256 bytes, at most 255 are allowed")
    );
    let empty = folder.file("empty", "");
    assert_eq!(run("topic", &table, &empty), format!("{empty}: no keys"));
    let typed = folder.file("typed", "a:l=1\nb:l=one\n");
    let message = run("headers", &folder.file("h", "all a:l=1\t1\n"), &typed);
    assert_eq!(message, format!("{typed}:2: `one` is no value of the type `l`"));
    let missing = folder.path("missing");
    assert!(run("topic", &missing, &keys).contains(&missing));
    assert!(run("topic", &folder.path(""), &keys).contains("directory"));
    assert!(run("topic", "/dev/zero", &keys).contains("a device"));
}

#[test]
fn wrong_flags_are_usage_errors() {
    let folder = Folder::new();
    let (table, keys) = (folder.file("t", "a\t1\n"), folder.file("k", "a\n"));
    for (flag, value, names) in [
        ("--kind", "topics", "topic"),
        ("--runs", "0", "--runs"),
        ("--runs", "many", "--runs"),
        ("--max-seconds", "0", "above 0"),
        ("--max-seconds", "nan", "above 0"),
        ("--threads", "0", "--threads"),
        ("--engine", "fastest", "no-cache"),
        ("--max-file-bytes", "-1", "--max-file-bytes"),
    ] {
        let base = ["bench", "route", "--table", &table, "--keys", &keys];
        let equals = format!("{flag}={value}");
        let kind = ["--kind", "topic"].into_iter().filter(|_| flag != "--kind");
        let output = keyrail(base.into_iter().chain(kind).chain([&*equals]));
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flag} {value}: {message}");
        assert!(message.contains(names), "{flag} {value}: {message}");
    }
    assert!(
        fail(
            1,
            [
                "bench",
                "route",
                "--kind",
                "topic",
                "--table",
                &table,
                "--keys",
                &keys,
                "--max-file-bytes",
                "2"
            ]
        )
        .contains("--max-file-bytes")
    );
    assert!(succeed(["bench", "route", "--help"]).contains("keyrail bench route --type topic"));
}

/// Bytes are legal in AMQP: keys that are not UTF-8 are routed by, and a table may begin with an empty binding key.
#[test]
fn keys_may_be_any_bytes() {
    let folder = Folder::new();
    let table = folder.file("t", "#\t1\na.*\t2\n\t3\n");
    let keys = folder.file("k", b"a.\xff\xfe\n\n\x80\n");
    let out = succeed([
        "bench",
        "route",
        "--kind",
        "topic",
        "--table",
        &table,
        "--keys",
        &keys,
        "--max-seconds",
        "0.2",
    ]);
    let line: Value = serde_json::from_str(&out).unwrap();
    let mut digest = Digest::new();
    for mut queues in [vec![1, 2], vec![1, 3], vec![1]] {
        digest.add(&mut queues);
    }
    assert_eq!(line["digest"], digest.value());
}
