//! Everything that can be wrong with a file, a flag or a server: one clear line, the right status, no panic, no hang.

mod support;

use std::{net::SocketAddr, time::Instant};

use support::{Folder, Impostor, RedisServer, fail, impostor, shop, succeed};

fn topology(content: impl AsRef<[u8]>) -> (Folder, String) {
    let folder = Folder::new();
    let path = folder.file("topology.json", content);
    (folder, path)
}

#[track_caller]
fn refused(content: impl AsRef<[u8]>, expected: &[&str]) {
    let (_folder, path) = topology(content);
    let line = fail(1, ["route", "--topology", &path, "-x", "e"]);
    assert!(line.contains(&path), "{line}");
    for part in expected {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
}

#[test]
fn broken_json_is_named_with_its_place() {
    refused("{\n  \"exchanges\": [\n", &["is no JSON: it ends too early at line 3 column 0"]);
    refused("", &["is no JSON: it is empty"]);
    refused("{} x", &["trailing", "line 1 column 4"]);
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(
        format!(r#"{{"exchanges": [{{"name": "e", "kind": "topic", "arguments": {{"a": {nested}}}}}]}}"#),
        &["nests deeper"],
    );
}

#[test]
fn unknown_fields_and_wrong_types_are_named() {
    refused(
        r#"{"exchange": []}"#,
        &["is no keyrail topology", "unknown field `exchange`", "expected one of"],
    );
    refused(r#"{"exchanges": [{"name": "e", "kind": 7}]}"#, &["line 1 column"]);
    refused(r#"{"exchanges": [{"name": "e", "kind": "topics"}]}"#, &["`topics`", "`topic`"]);
    refused(r#"{"exchanges": "many"}"#, &["found \"many\", expected a list at line 1 column 20"]);
    refused(
        r#"{"rabbit_version": "3", "exchanges": [{"name": 1}]}"#,
        &["RabbitMQ definitions", "expected a string"],
    );
    refused(r#"[]"#, &["expected an object"]);
    refused(r#"{"exchanges": [1]}"#, &["found `1`, expected an object at line 1 column 16"]);
    refused(r#"{"rabbit_version": "3", "queues": [[]]}"#, &["found a list, expected an object"]);
}

#[test]
fn names_that_are_too_long_are_refused() {
    let long = "n".repeat(256);
    refused(format!(r#"{{"queues": [{{"name": "{long}"}}]}}"#), &["queues[0]", "256 bytes", "255"]);
    refused(format!(r#"{{"exchanges": [{{"name": "{long}", "kind": "topic"}}]}}"#), &["exchanges[0]", "255"]);
    let key = fail(1, ["route", "--topology", &shop(), "-x", "shop.orders", "-k", &long]);
    assert!(key.contains("routing key") && key.contains("255"), "{key}");
    // 255 are fine.
    let (_folder, path) = topology(format!(r#"{{"queues": [{{"name": "{}"}}]}}"#, &long[1..]));
    succeed(["route", "--topology", &path, "-k", &long[1..]]);
}

#[test]
fn a_file_that_is_not_utf8_is_named_with_its_place() {
    refused(b"{\"queues\": [{\"name\": \"\xff\"}]}", &["not UTF-8", "byte 22"]);
}

#[test]
fn a_binding_to_something_missing_is_named() {
    let binding = |source: &str, destination: &str| {
        format!(
            r#"{{"exchanges": [{{"name": "e", "kind": "topic"}}], "queues": [{{"name": "q"}}],
                "bindings": [{{"source": "{source}", "destination": {destination}}}]}}"#
        )
    };
    refused(binding("e", r#"{"queue": "nope"}"#), &["bindings[0]", "no queue `nope`"]);
    refused(binding("e", r#"{"exchange": "nope"}"#), &["bindings[0]", "no exchange `nope`"]);
    refused(binding("nope", r#"{"queue": "q"}"#), &["bindings[0]", "no exchange `nope`"]);
    let line = fail(1, ["bind", "--topology", &shop(), "-x", "shop.orders", "-q", "nope"]);
    assert!(line.contains("no queue `nope`"), "{line}");
}

#[test]
fn an_unknown_exchange_is_named() {
    for verb in ["route", "publish"] {
        let line = fail(1, [verb, "--topology", &shop(), "-x", "nope", "-k", "k"]);
        assert!(line.contains("there is no exchange `nope`"), "{line}");
    }
}

#[test]
fn nobody_gets_it_is_a_failure_that_says_so() {
    let (_folder, path) = topology(r#"{"exchanges": [{"name": "e", "kind": "direct"}]}"#);
    let line = fail(1, ["publish", "--topology", &path, "-x", "e", "-k", "k", "-b", "x"]);
    assert_eq!(line, "unroutable: nobody gets `k` from exchange `e`");
}

#[test]
fn usage_errors_have_status_2() {
    let shop = shop();
    for (args, expected) in [
        (vec!["rout"], "`rout`"),
        (vec!["route"], "--topology FILE or --redis URL"),
        (vec!["route", "--topology", &shop, "--nope"], "--nope"),
        (vec!["route", "--topology", &shop, "-H", "novalue"], "name:=json"),
        (vec!["route", "--topology", &shop, "-H", "n:={"], "no JSON"),
        (vec!["publish", "--topology", &shop, "-b", "x"], "--exchange"),
        (
            vec!["publish", "--topology", &shop, "-k", "k", "-b", "x", "--json-body", "1"],
            "cannot be used with",
        ),
        (vec!["publish", "--topology", &shop, "-k", "k", "--json-body", "{"], "--json-body"),
        (vec!["publish", "--topology", &shop, "--task", "t", "--args", "{}"], "JSON list"),
        (vec!["publish", "--topology", &shop, "-k", "k", "--priority", "10"], "0..=9"),
        (vec!["consume", "--topology", &shop, "-q", "q"], "--redis"),
        (vec!["serve", "--listen", "0.0.0.0:0"], "loopback"),
        (vec!["serve", "--listen", "nowhere"], "`nowhere`"),
        (vec!["route", "--redis", "http://127.0.0.1"], "`http`"),
        (vec!["route", "--redis", "redis://127.0.0.1:port"], "cannot be read"),
        (
            vec!["bind", "--redis", "redis://127.0.0.1:1", "-x", "e", "-q", "q", "--type", "tropic"],
            "`tropic`",
        ),
        (vec!["topology", "import", "--topology", &shop], "--redis"),
        (vec!["route", "--redis", "redis://h", "--transport-options", "[]"], "--transport-options"),
    ] {
        let output = support::keyrail(&args);
        let err = support::text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {err}");
        assert!(err.starts_with("keyrail: ") && err.contains(expected), "{args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let line = fail(1, ["route", "--topology", "/nowhere/at/all.json"]);
    assert!(line.starts_with("cannot read `/nowhere/at/all.json`"), "{line}");
    let line = fail(1, ["serve", "--topology", &shop(), "--show", "/nowhere.json"]);
    assert!(line.starts_with("cannot read `/nowhere.json`"), "{line}");
}

#[test]
fn a_virtual_host_that_is_not_there_is_named() {
    let line = fail(1, ["route", "--topology", &shop(), "--vhost", "prod"]);
    assert!(line.contains("`prod`"), "{line}");
}

#[test]
fn a_file_beyond_the_limit_is_refused_and_the_limit_can_be_raised() {
    let (_folder, path) = topology(format!("{{}}{}", " ".repeat(1000)));
    let line = fail(1, ["topology", "print", "--topology", &path, "--max-file-bytes", "1000"]);
    assert!(line.contains("1002 bytes") && line.contains("--max-file-bytes"), "{line}");
    succeed(["topology", "print", "--topology", &path, "--max-file-bytes", "1002"]);
}

#[test]
fn what_has_no_end_or_no_writer_is_refused_at_once() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let (shop, directory) = (shop(), folder.path(""));
    for (path, expected) in
        [("/dev/zero", "a device"), (&*pipe, "a named pipe"), (&*directory, "a directory")]
    {
        for args in [
            vec!["route", "--topology", path],
            vec!["serve", "--listen", "127.0.0.1:0", "--show", path],
            vec!["publish", "--topology", &shop, "-k", "eu.vat", "--body-file", path],
        ] {
            let started = Instant::now();
            let output = support::keyrail(&args);
            let err = support::text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
            let line = format!("keyrail: cannot read `{path}`: it is {expected}, no file");
            assert!(err.starts_with(&line), "{args:?}: {err}");
            assert!(started.elapsed().as_secs() < 20, "{args:?} took {:?}", started.elapsed());
        }
    }
}

#[test]
fn a_pipe_is_read_as_standard_input_and_up_to_the_limit() {
    let folder = Folder::new();
    let path = folder.file("topology.json", r#"{"queues": [{"name": "q"}]}"#);
    let cat = || {
        let cat = std::process::Command::new("cat").arg(&path).stdout(std::process::Stdio::piped()).spawn();
        cat.expect("cat")
    };
    for name in ["/dev/stdin", "/dev/fd/0"] {
        let mut writer = cat();
        let stdin = writer.stdout.take().expect("piped").into();
        let output = support::keyrail_with(&[], stdin, ["route", "--topology", name, "-k", "q"]);
        assert!(support::text(&output.stdout).starts_with("q\n"), "{output:?}");
        writer.wait().expect("cat");
    }
    let shop = shop();
    let body = ["publish", "--topology", &shop, "-k", "eu.vat", "--max-file-bytes", "200000", "--body-file"];
    for args in [
        vec!["route", "--max-file-bytes", "1000", "--topology", "/dev/stdin"],
        body.iter().copied().chain(["-"]).collect(),
        body.iter().copied().chain(["/dev/stdin"]).collect(),
    ] {
        let zero = std::fs::File::open("/dev/zero").expect("/dev/zero");
        let output = support::keyrail_with(&[], zero.into(), &args);
        let err = support::text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
        assert!(err.contains("1 bytes or more") && err.contains("--max-file-bytes"), "{args:?}: {err}");
    }
}

#[test]
fn an_empty_variable_is_as_none() {
    let empty = [
        ("KEYRAIL_REDIS", ""),
        ("KEYRAIL_TRANSPORT_OPTIONS", ""),
        ("KEYRAIL_TOKEN", ""),
        ("KEYRAIL_LOG", ""),
    ];
    let shop = shop();
    let run = |args: &[&str]| support::keyrail_with(&empty, std::process::Stdio::null(), args);
    let output = run(&["publish", "--topology", &shop, "-k", "eu.vat", "-b", "x"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(support::text(&output.stdout).starts_with("LPUSH"), "{output:?}");
    // As far as it gets without a mistake of the environment's.
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--show", "/nowhere.json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(support::text(&output.stderr).contains("cannot read `/nowhere.json`"), "{output:?}");
    let output = run(&["topology", "print"]);
    assert!(support::text(&output.stderr).contains("nothing says where the topology is"), "{output:?}");
    // An empty flag is a mistake.
    for args in [["--redis", ""], ["--token", ""]] {
        let output = run(&["serve", "--listen", "127.0.0.1:0", args[0], args[1]]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

#[test]
fn a_definitions_file_without_its_internal_exchanges_is_explained() {
    let hint =
        "(rabbitmqctl leaves internal exchanges out of its export; the management page's export has them)";
    let binding = |source: &str, destination: &str| {
        format!(
            r#"{{"rabbit_version": "4.0.0", "vhosts": [{{"name": "/"}}],
                "exchanges": [{{"name": "e", "vhost": "/", "type": "topic", "durable": true,
                    "auto_delete": false, "internal": false, "arguments": {{}}}}],
                "queues": [{{"name": "q", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {{}}}}],
                "bindings": [{{"vhost": "/", "source": "{source}", "routing_key": "k", "arguments": {{}},
                    {destination}}}]}}"#
        )
    };
    let queue = |name: &str| format!(r#""destination_type": "queue", "destination": "{name}""#);
    let exchange = r#""destination_type": "exchange", "destination": "hidden""#;
    refused(binding("e", exchange), &["bindings[0]", "no exchange `hidden`", hint]);
    refused(binding("hidden", &queue("q")), &["bindings[0]", "no exchange `hidden`", hint]);
    let (_folder, path) = topology(binding("e", &queue("nope")));
    let line = fail(1, ["route", "--topology", &path, "-x", "e"]);
    assert!(line.contains("no queue `nope`") && !line.contains("rabbitmqctl"), "{line}");
}

/// One command on an address where no Redis is, within this many seconds.
#[track_caller]
fn no_redis(address: SocketAddr, expected: &str) {
    let url = format!("redis://user:secret@{address}/0");
    for args in [
        vec!["publish", "-k", "q", "-b", "x"],
        vec!["consume", "-q", "q"],
        vec!["consume", "--fanout", "f"],
        vec!["route", "-x", "e"],
        vec!["bind", "-x", "e", "-q", "q", "--type", "topic"],
        vec!["topology", "print"],
        vec!["serve", "--listen", "127.0.0.1:0"],
    ] {
        let mut command = args.clone();
        command.extend(["--redis", &url, "--connect-timeout", "1"]);
        let started = Instant::now();
        let output = support::keyrail(&command);
        let err = support::text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
        assert!(err.starts_with("keyrail: ") && err.contains(expected), "{args:?}: {err}");
        assert!(err.contains(&address.to_string()), "{args:?} does not say where: {err}");
        assert!(!err.contains("secret"), "{args:?} tells the password: {err}");
        assert!(started.elapsed().as_secs() < 20, "{args:?} took {:?}", started.elapsed());
    }
}

#[test]
fn nobody_listens() {
    no_redis("127.0.0.1:1".parse().expect("an address"), "refused");
}

#[test]
fn a_silent_server() {
    no_redis(impostor(Impostor::Silent), "nothing there answers as Redis does within 1000 ms");
}

#[test]
fn a_server_that_hangs_up() {
    no_redis(impostor(Impostor::HangsUp), "is no Redis");
}

#[test]
fn an_http_server() {
    let http = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    no_redis(impostor(Impostor::Answers(http)), "is no Redis");
}

#[test]
fn another_protocol() {
    no_redis(impostor(Impostor::Answers(b"ERROR\r\n")), "is no Redis");
    no_redis(impostor(Impostor::Parts(b"AMQP\x00\x00\x09\x01")), "is no Redis");
}

#[test]
fn a_redis_that_wants_a_password() {
    let redis = RedisServer::start();
    redis.command(&["CONFIG", "SET", "requirepass", "right"]);
    for url in [redis.url(), format!("redis://:wrong@127.0.0.1:{}", redis.port)] {
        let line = fail(1, ["publish", "--redis", &url, "-k", "q", "-b", "x"]);
        assert!(line.contains("refuses the login"), "{line}");
        assert!(!line.contains("wrong@"), "{line}");
    }
    succeed([
        "publish",
        "--redis",
        &format!("redis://:right@127.0.0.1:{}", redis.port),
        "-k",
        "q",
        "-b",
        "x",
    ]);
}

#[test]
fn a_key_of_another_type_leaves_nothing_half_done() {
    let redis = RedisServer::start();
    redis.command(&["SET", "q", "a string"]);
    let line = fail(1, ["publish", "--redis", &redis.url(), "-k", "q", "-b", "x"]);
    assert!(line.contains("`q` holds another type than LPUSH needs"), "{line}");
    let line = fail(1, ["consume", "--redis", &redis.url(), "-q", "q", "--timeout", "1"]);
    assert!(line.contains("WRONGTYPE") || line.contains("another type"), "{line}");
    assert_eq!(redis.command(&["GET", "q"]), "$8\r\na string\r\n");
}

#[test]
fn an_import_that_cannot_be_written_writes_nothing() {
    let redis = RedisServer::start();
    let (_folder, path) = topology(
        r#"{"exchanges": [{"name": "e", "kind": "topic"}], "queues": [{"name": "q"}],
            "bindings": [{"source": "e", "destination": {"queue": "q"}, "routingKey": "**"}]}"#,
    );
    let line = fail(1, ["topology", "import", "--topology", &path, "--redis", &redis.url()]);
    assert!(line.contains("`**`"), "{line}");
    let line =
        fail(1, ["bind", "--redis", &redis.url(), "-x", "e", "--type", "topic", "-q", "q", "-k", "**"]);
    assert!(line.contains("`**`"), "{line}");
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
}

#[test]
fn a_table_beyond_the_limit_is_refused_and_the_limit_can_be_raised() {
    let redis = RedisServer::start();
    for queue in ["a", "b", "c"] {
        succeed(["bind", "--redis", &redis.url(), "-x", "e", "--type", "direct", "-q", queue]);
    }
    let line = fail(1, ["route", "--redis", &redis.url(), "-x", "e", "--max-bindings", "2"]);
    assert!(line.contains("`_kombu.binding.e` has 3 bindings") && line.contains("--max-bindings"), "{line}");
    succeed(["route", "--redis", &redis.url(), "-x", "e", "--max-bindings", "3"]);
    succeed(["bind", "--redis", &redis.url(), "-x", "one", "--type", "direct", "-q", "a"]);
    let line = fail(1, ["route", "--redis", &redis.url(), "-x", "one", "--max-bindings", "0"]);
    assert!(line.contains("has 1 binding, at most 0 are allowed"), "{line}");
}
