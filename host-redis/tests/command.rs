//! The command as people use it.

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde_json::{Value, json};
use support::{Folder, PATIENCE, RedisServer, fail, shop, succeed, text};

fn parse(output: &str) -> Value {
    serde_json::from_str(output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

#[test]
fn route_prints_queues_and_the_way() {
    let out = succeed(["route", "--topology", &shop(), "-x", "shop.orders", "-k", "order.uk.cancelled"]);
    let expected = "unrouted.review\n\nshop.orders (topic)\n\
        └─ no binding matches, so the alternate exchange ─▶ shop.unrouted (fanout)\n   \
        └─ always ─▶ unrouted.review\n";
    assert_eq!(out, expected);
}

#[test]
fn route_reads_typed_headers_and_prints_json() {
    let shop = shop();
    let queues = |header: &str| {
        let out = succeed(["route", "--topology", &shop, "-x", "shop.invoices", "-H", header, "--json"]);
        parse(&out)["queues"].clone()
    };
    assert_eq!(queues("priority:=9"), json!(["invoices.urgent"]));
    assert_eq!(queues("priority=9"), json!(["unrouted.review"]));
    assert_eq!(queues("booked:=true"), json!(["audit.lake", "audit.log"]));
}

#[test]
fn route_ends_with_1_if_nobody_gets_it_and_still_tells_why() {
    let output = support::keyrail(["route", "--topology", &shop(), "-k", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).starts_with("unroutable"), "{output:?}");
}

#[test]
fn publish_without_redis_prints_the_commands() {
    let args = ["publish", "--topology", &shop(), "-x", "shop.payments", "-k", "transfer", "-b", "x"];
    let out = succeed(args);
    assert!(out.starts_with("LPUSH \"billing.invoicing\" \"{"), "{out}");
    let args = ["publish", "--topology", &shop(), "-x", "shop.payments", "-k", "refund", "-b", "x"];
    let commands: Vec<String> =
        succeed(args).lines().map(|line| line.split(" \"{").next().unwrap_or_default().to_owned()).collect();
    let expected = [
        "MULTI",
        "LPUSH \"returns.desk\"",
        "LPUSH \"audit.lake\"",
        "LPUSH \"audit.log\"",
        "PUBLISH \"/0.shop.audit/refund\"",
        "EXEC",
    ];
    assert_eq!(commands, expected);
}

#[test]
fn bind_without_redis_prints_the_topology_with_the_binding() {
    let shop = shop();
    let args = ["bind", "--topology", &shop, "-x", "shop.orders", "-k", "order.#", "-q", "dead.letters"];
    let folder = Folder::new();
    let path = folder.file("new.json", succeed(args));
    let out = succeed(["route", "--topology", &path, "-x", "shop.orders", "-k", "order.uk.cancelled"]);
    assert!(out.starts_with("dead.letters\n\n"), "{out}");
}

#[test]
fn a_printed_topology_is_read_again() {
    let printed = succeed(["topology", "print", "--topology", &shop(), "--json"]);
    let folder = Folder::new();
    let path = folder.file("printed.json", &printed);
    assert_eq!(succeed(["topology", "print", "--topology", &path, "--json"]), printed);
    let listed = succeed(["topology", "print", "--topology", &path]);
    assert!(listed.ends_with("10 exchanges, 18 queues, 39 bindings\n"), "{listed}");
}

#[test]
fn every_command_has_help_with_an_example() {
    for verb in ["serve", "route", "bind", "unbind", "publish", "consume"] {
        let help = succeed([verb, "--help"]);
        assert!(help.contains(&format!("keyrail {verb} --")), "{help}");
    }
    for verb in ["print", "import"] {
        let help = succeed(["topology", verb, "--help"]);
        assert!(help.contains(&format!("keyrail topology {verb} --")), "{help}");
    }
    // What the environment holds stays there.
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrail"));
    let help =
        command.args(["route", "--help"]).env("KEYRAIL_REDIS", "redis://:secret@h").output().expect("help");
    assert!(!text(&help.stdout).contains("secret"));
}

/// Lint and print know rows with AMQP's meaning for what they are; a row that is none is named and stops neither.
#[test]
fn rows_in_redis_are_linted_and_printed_by_their_dialect() {
    let redis = RedisServer::start();
    let url = redis.url();
    for (key, dialect) in [("a.#", "amqp"), ("#.z", "amqp"), ("b.c", "kombu57")] {
        succeed([
            "bind",
            "--redis",
            &url,
            "-x",
            "events",
            "--type",
            "topic",
            "-q",
            "q",
            "-k",
            key,
            "--dialect",
            dialect,
        ]);
    }
    let listed = parse(&succeed(["topology", "print", "--redis", &url, "--json"]));
    let mut rows: Vec<(&str, &str)> = listed["bindings"]
        .as_array()
        .expect("bindings")
        .iter()
        .map(|row| (row["routingKey"].as_str().expect("a key"), row["dialect"].as_str().unwrap_or("amqp")))
        .collect();
    rows.sort_unstable();
    assert_eq!(rows, [("#.z", "amqp"), ("a.#", "amqp"), ("b.c", "kombu57")]);
    redis.command(&["SADD", "_kombu.binding.events", "no row"]);
    let output = support::keyrail(["lint", "--redis", &url, "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found = parse(&text(&output.stdout));
    let codes: Vec<&str> = found["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|finding| finding["code"].as_str().expect("a code"))
        .collect();
    assert_eq!(codes, ["malformed-row", "dialect-trap", "dialect-trap"], "{found}");
    assert!(text(&output.stderr).contains("row `no row` of exchange `events` is ignored"), "{output:?}");
}

#[test]
fn an_import_can_be_printed_and_consumed() {
    let redis = RedisServer::start();
    let (url, shop) = (redis.url(), shop());
    let out = succeed(["topology", "import", "--topology", &shop, "--redis", &url, "--dialect", "amqp"]);
    assert_eq!(out, "imported 10 exchanges, 18 queues, 39 bindings, 1 policy\n");
    let listed = succeed(["topology", "print", "--redis", &url]);
    assert!(listed.ends_with("10 exchanges, 18 queues, 39 bindings\n"), "{listed}");
    let sent = succeed([
        "publish",
        "--redis",
        &url,
        "-x",
        "shop.invoices",
        "-H",
        "priority:=9",
        "-j",
        "[1, 2]",
        "--json",
    ]);
    assert_eq!(parse(&sent)["queues"], json!(["invoices.urgent"]));
    let got = succeed(["consume", "--redis", &url, "-q", "invoices.urgent", "-n", "1", "--json"]);
    assert_eq!(parse(&got)["body"], json!([1, 2]));
    let none = fail(1, ["consume", "--redis", &url, "-q", "invoices.urgent", "-n", "1", "--timeout", "0.1"]);
    assert!(none.contains("fewer than 1"), "{none}");
}

#[test]
fn keys_follow_the_transport_options() {
    let redis = RedisServer::start();
    let (url, options) = (redis.url(), r#"{"global_keyprefix": "shop:", "visibility_timeout": 5}"#);
    succeed([
        "bind",
        "--redis",
        &url,
        "--transport-options",
        options,
        "-x",
        "e",
        "--type",
        "direct",
        "-k",
        "k",
        "-q",
        "q",
    ]);
    succeed(["publish", "--redis", &url, "--transport-options", options, "-x", "e", "-k", "k", "-b", "x"]);
    assert_eq!(redis.command(&["LLEN", "shop:q"]), ":1\r\n");
    assert_eq!(redis.command(&["SCARD", "shop:_kombu.binding.e"]), ":1\r\n");
    assert_eq!(redis.command(&["HEXISTS", "shop:keyrail.exchange", "e"]), ":1\r\n");
}

/// A server, and what it has printed up to its address.
struct Server {
    child: Child,
    address: String,
    printed: String,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyrail"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(args)
            .env_remove("KEYRAIL_REDIS")
            .env_remove("KEYRAIL_TOKEN")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("keyrail starts");
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        let mut printed = String::new();
        while !printed.ends_with("Ctrl-C ends it\n") {
            assert!(reader.read_line(&mut printed).expect("a line") > 0, "{printed}");
        }
        let address = printed.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.expect("an address").to_owned();
        Server { child, address, printed }
    }

    /// One request on a connection of its own: status and body.
    fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let host = &self.address;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\
             content-type: application/json\r\n{headers}\r\n{body}"
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, body.to_owned())
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        // The shell's own, as a bare machine may have no other.
        let kill = Command::new("sh").args(["-c", "kill -$1 \"$0\"", &pid, name]).status();
        assert!(kill.expect("sh").success());
    }

    /// Sends SIGTERM and waits; the exit status.
    fn terminate(mut self) -> Option<i32> {
        self.signal("TERM");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("child") {
                return status.code();
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("keyrail serve does not end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_demo_publishes_three_messages_and_serves() {
    let server = Server::start(&["--topology", &shop(), "--demo"]);
    for part in [
        "in memory",
        "10 exchanges, 18 queues, 39 bindings",
        "1. order.eu.paid",
        "to audit.lake  audit.log  billing.invoicing  eu.fulfilment  eu.vat  notify.mail",
        "to invoices.erp  invoices.print",
        "to unrouted.review",
    ] {
        assert!(server.printed.contains(part), "`{part}` is not in:\n{}", server.printed);
    }
    let (status, page) = server.request("GET", "/", "", "");
    assert_eq!((status, page.starts_with("<!doctype html>")), (200, true));
    // The messages are really there.
    let (status, message) = server.request("POST", "/v1/queues/eu.vat/get", "", "");
    assert_eq!(status, 200);
    assert_eq!(parse(&message)["body"]["order"], 4711);
    // A client that keeps a connection open does not keep the server.
    let _idle = TcpStream::connect(&server.address).expect("a connection");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_hangup_reads_the_topology_again_and_keeps_the_messages() {
    let topology = |key: &str| {
        json!({
            "exchanges": [{"name": "orders", "kind": "topic"}],
            "queues": [{"name": "billing"}],
            "bindings": [{"source": "orders", "destination": {"queue": "billing"}, "routingKey": key}],
        })
        .to_string()
    };
    let folder = Folder::new();
    let path = folder.file("topology.json", topology("old"));
    let server = Server::start(&["--topology", &path]);
    let publish = |key: &str| {
        let message = json!({"exchange": "orders", "routingKey": key, "body": key}).to_string();
        let (status, answer) = server.request("POST", "/v1/publish", "", &message);
        assert_eq!(status, 200, "{answer}");
        parse(&answer)["outcome"] == "routed"
    };
    assert!(publish("old") && !publish("new"));

    // What cannot be loaded changes nothing; what comes after it does.
    folder.file("topology.json", "{");
    server.signal("HUP");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(publish("old"));
    folder.file("topology.json", topology("new"));
    server.signal("HUP");
    let deadline = Instant::now() + PATIENCE;
    while !publish("new") {
        assert!(Instant::now() < deadline, "the topology is not read again");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(!publish("old"));
    let (_, message) = server.request("POST", "/v1/queues/billing/get", "", "");
    assert_eq!(parse(&message)["body"], "old");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn on_redis_writing_needs_the_printed_token() {
    let redis = RedisServer::start();
    let server = Server::start(&["--redis", &redis.url()]);
    let token = server.printed.split("token").nth(1).expect("a token").split_whitespace().next();
    let token = token.expect("a token");
    let message = r#"{"routingKey": "q", "body": "x"}"#;
    assert_eq!(server.request("POST", "/v1/publish", "", message).0, 401);
    assert_eq!(redis.command(&["LLEN", "q"]), ":0\r\n");
    let bearer = format!("authorization: Bearer {token}\r\n");
    let (status, answer) = server.request("POST", "/v1/publish", &bearer, message);
    assert_eq!((status, parse(&answer)["queues"].clone()), (200, json!(["q"])));
    assert_eq!(redis.command(&["LLEN", "q"]), ":1\r\n");
    drop(redis);
    let (status, problem) = server.request("POST", "/v1/publish", &bearer, message);
    assert_eq!(status, 503, "{problem}");
    assert_eq!(server.terminate(), Some(0));
}

/// Headers that never end: they are waited for as long as a request may take, and hold no more than their number.
#[test]
fn slow_clients_are_closed_and_do_not_keep_others_out() {
    let server = Server::start(&["--request-timeout", "1", "--max-connections", "4"]);
    let slow = |part: &str| {
        let mut stream = TcpStream::connect(&server.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(part.as_bytes()).expect("sent");
        stream
    };
    let started = Instant::now();
    let mut all: Vec<TcpStream> = (0..12).map(|_| slow("GET / HTTP/1.1\r\nHo")).collect();
    all.push(slow(""));
    // Each of them gives its place to others after a second, at four a time.
    let (status, _) = server.request("GET", "/v1/status", "", "");
    assert_eq!(status, 200);
    let waited = started.elapsed().as_secs_f64();
    assert!((1.0..60.0).contains(&waited), "{waited} s");
    for stream in &mut all {
        let mut answer = Vec::new();
        // Closed, with 408 or without a word.
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    }
    assert_eq!(server.terminate(), Some(0));
}

/// Whoever asks for much and reads nothing of it, or a little at a time, holds its place as long as a request may take.
#[test]
fn slow_readers_are_closed_and_do_not_keep_others_out() {
    let folder = Folder::new();
    let queues: Vec<_> = (0..400).map(|n| json!({"name": format!("{n:0>200}")})).collect();
    let topology = folder.file("topology.json", json!({"queues": queues}).to_string());
    let server =
        Server::start(&["--topology", &topology, "--request-timeout", "1", "--max-connections", "2"]);
    let ask = format!("GET /v1/topology HTTP/1.1\r\nhost: {}\r\n\r\n", server.address).repeat(200);
    let mut slow = [(); 2].map(|()| {
        let mut stream = TcpStream::connect(&server.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(ask.as_bytes()).expect("sent");
        stream
    });
    let mut trickle = slow[1].try_clone().expect("a clone");
    let reader = std::thread::spawn(move || {
        let mut some = [0; 256];
        while trickle.read(&mut some).is_ok_and(|length| length > 0) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let started = Instant::now();
    let (status, _) = server.request("GET", "/v1/status", "", "");
    assert_eq!(status, 200);
    let waited = started.elapsed().as_secs_f64();
    assert!(waited < 60.0, "{waited} s");
    let _ = slow[1].shutdown(std::net::Shutdown::Both);
    reader.join().expect("a reader");
    let mut rest = Vec::new();
    let _ = slow[0].read_to_end(&mut rest);
    assert!(rest.len() < 200 * 400 * 200, "it got everything");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_port_in_use_is_named() {
    let server = Server::start(&[]);
    let line = fail(1, ["serve", "--listen", &server.address]);
    assert!(line.contains(&format!("cannot listen on {}", server.address)), "{line}");
    assert!(line.ends_with("choose another address with --listen"), "{line}");
}
