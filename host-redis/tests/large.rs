//! Topologies of the size that somebody will have one day: answered within seconds, or refused by a limit.

mod support;

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use keyrail_core::kombu::{Envelope, Layout};
use keyrail_redis::{Host, Memory, Outgoing, load};
use support::{Folder, RedisServer, fail, succeed};

/// Far more than anything linear takes in a slow build, and far less than what is quadratic does.
const SECONDS: Duration = Duration::from_secs(60);

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",\n")
}

/// Fanout exchanges, each bound to the next one, and a queue at the end.
fn chain(length: usize) -> String {
    let exchanges = list((0..length).map(|at| format!(r#"{{"name": "e{at}", "kind": "fanout"}}"#)));
    let bindings = list(
        (1..length)
            .map(|at| format!(r#"{{"source": "e{}", "destination": {{"exchange": "e{at}"}}}}"#, at - 1)),
    );
    format!(
        r#"{{"exchanges": [{exchanges}], "queues": [{{"name": "q"}}],
            "bindings": [{bindings}, {{"source": "e{}", "destination": {{"queue": "q"}}}}]}}"#,
        length - 1
    )
}

#[test]
fn a_chain_of_exchanges_is_drawn_as_far_as_anybody_reads() {
    let folder = Folder::new();
    let path = folder.file("chain.json", chain(30_000));
    let started = Instant::now();
    let out = succeed(["route", "--topology", &path, "-x", "e0"]);
    assert!(started.elapsed() < SECONDS, "{:?}", started.elapsed());
    assert!(out.starts_with("q\n\ne0 (fanout)\n└─ always ─▶ e1 (fanout)\n"), "{out}");
    assert!(out.ends_with("└─ … and 29935 more exchanges\n"), "{out}");
    assert!(out.len() < 100_000, "{} bytes", out.len());
    let shown = folder.file("shown.json", chain(65));
    let out = succeed(["route", "--topology", &shown, "-x", "e0"]);
    assert!(out.ends_with("└─ always ─▶ q\n"), "{out}");
}

#[tokio::test]
async fn many_queues_get_a_copy_each_in_linear_time() {
    const QUEUES: usize = 50_000;
    let folder = Folder::new();
    let queues = list((0..QUEUES).map(|at| format!(r#"{{"name": "q{at}"}}"#)));
    let bindings =
        list((0..QUEUES).map(|at| {
            format!(r#"{{"source": "e", "destination": {{"queue": "q{at}"}}, "routingKey": "k"}}"#)
        }));
    let path = folder.file(
        "wide.json",
        format!(
            r#"{{"exchanges": [{{"name": "e", "kind": "direct"}}], "queues": [{queues}], "bindings": [{bindings}]}}"#
        ),
    );
    let file = load::read(path.as_ref(), None, &load::Limits::default()).expect("a topology");
    let host = Host::fixed(Memory::new(), Layout::default(), file.router);
    let mut outgoing = Outgoing::new("e", "k", Envelope::text("x"));
    outgoing.headers = serde_json::from_value(serde_json::json!({"CC": ["k", "other"]})).expect("headers");
    let started = Instant::now();
    let sent = host.publish(&outgoing).await.expect("published");
    assert!(started.elapsed() < SECONDS / 4, "{:?}", started.elapsed());
    assert_eq!(sent.queues.len(), QUEUES);
    assert_eq!(host.count("q49999").await.expect("count"), 1);
}

/// A topic exchange with so many bindings.
fn wide(rows: usize) -> String {
    let mut json = String::from(
        r#"{"exchanges": [{"name": "e", "kind": "topic"}], "queues": [{"name": "q"}], "bindings": ["#,
    );
    for row in 0..rows {
        let comma = if row == 0 { "" } else { "," };
        let _ = write!(
            json,
            r#"{comma}{{"source": "e", "destination": {{"queue": "q"}}, "routingKey": "a.{row}.*"}}"#
        );
    }
    json.push_str("]}");
    json
}

#[test]
fn a_file_of_a_million_rows_works() {
    let folder = Folder::new();
    let path = folder.file("topology.json", wide(1_000_000));
    let out = succeed(["route", "--topology", &path, "-x", "e", "-k", "a.777777.x"]);
    assert!(out.starts_with("q\n"), "{out}");
}

/// A fifth of a million, because the unoptimised build of the tests takes its time.
#[test]
fn a_large_table_in_redis_works_and_beyond_the_limit_is_refused() {
    let redis = RedisServer::start();
    let (url, folder) = (redis.url(), Folder::new());
    let path = folder.file("topology.json", wide(200_000));
    let out = succeed(["topology", "import", "--topology", &path, "--redis", &url]);
    assert_eq!(out, "imported 1 exchange, 1 queue, 200000 bindings\n");
    let out = succeed(["route", "--redis", &url, "-x", "e", "-k", "a.177777.x"]);
    assert!(out.starts_with("q\n"), "{out}");
    let started = Instant::now();
    let line = fail(1, ["route", "--redis", &url, "-x", "e", "-k", "a.1.x", "--max-bindings", "199999"]);
    assert!(line.contains("`_kombu.binding.e` has 200000 bindings"), "{line}");
    assert!(line.contains("at most 199999") && line.contains("--max-bindings"), "{line}");
    assert!(started.elapsed() < SECONDS / 6, "the table was read before it was refused");
}
