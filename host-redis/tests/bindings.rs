//! Bindings as the command writes, removes and shows them.

mod support;

use serde_json::{Value, json};
use support::{Folder, RedisServer, fail, keyrail, keyrail_with, shop, succeed, text};

fn parse(output: &str) -> Value {
    serde_json::from_str(output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// What a run prints, whatever its status.
fn printed(args: &[&str]) -> (Option<i32>, String) {
    let output = keyrail(args);
    assert!(output.stderr.is_empty(), "{args:?}: {}", text(&output.stderr));
    (output.status.code(), text(&output.stdout))
}

#[test]
fn route_and_explain_know_the_queues_of_the_default_exchange_alike() {
    let redis = RedisServer::start();
    let url = redis.url();
    assert!(succeed(["route", "--redis", &url, "-k", "nosuchqueue"]).starts_with("nosuchqueue\n"));
    assert!(succeed(["explain", "--redis", &url, "-k", "nosuchqueue"]).starts_with("to nosuchqueue\n"));
    succeed(["publish", "--redis", &url, "-k", "nosuchqueue", "-b", "x"]);
    assert_eq!(redis.command(&["LLEN", "nosuchqueue"]), ":1\r\n");
}

#[test]
fn a_near_miss_names_the_default_exchange() {
    let args = ["explain", "--topology", &shop(), "-k", "eu.va", "--near-misses", "1"];
    let (status, shown) = printed(&args);
    assert_eq!(status, Some(1));
    assert!(shown.contains("eu.vat ─▶ eu.vat of the default exchange\n"), "{shown}");
}

#[test]
fn a_queue_that_is_bound_to_a_fanout_exchange_gets_its_messages() {
    let redis = RedisServer::start();
    let url = redis.url();
    let bound = succeed(["bind", "--redis", &url, "-x", "news", "--type", "fanout", "-q", "n1"]);
    assert!(bound.contains("only keyrail's publishers follow it"), "{bound}");
    assert!(succeed(["route", "--redis", &url, "-x", "news"]).starts_with("n1\n\n"));
    assert_eq!(succeed(["publish", "--redis", &url, "-x", "news", "-b", "hi"]), "n1\n");
    assert_eq!(redis.command(&["LLEN", "n1"]), ":1\r\n");
}

/// A subscription of Kombu's is no queue, neither for a route nor for a publish.
#[test]
fn a_subscription_is_told_from_a_queue() {
    let redis = RedisServer::start();
    let url = redis.url();
    let bind =
        ["bind", "--redis", &url, "-x", "news", "--type", "fanout", "-q", "n1", "--dialect", "kombu57"];
    let bound = succeed(bind);
    assert!(bound.contains("nothing waits in the queue; --dialect amqp"), "{bound}");
    for verb in ["route", "explain"] {
        let (status, shown) = printed(&[verb, "--redis", &url, "-x", "news"]);
        let expected = "unroutable: no queue gets it\nwhoever listens to /0.news then hears it: consumers of n1\n\n\
            news (fanout)\n└─ listens to (empty key) ─▶ n1\n";
        assert_eq!((status, &*shown), (Some(1), expected), "{verb}");
        let (_, shown) = printed(&[verb, "--redis", &url, "-x", "news", "--json"]);
        let answer = parse(&shown);
        assert_eq!((&answer["outcome"], &answer["queues"]), (&json!("unroutable"), &json!([])), "{verb}");
        let channels = json!([{"exchange": "news", "channel": "/0.news", "listeners": ["n1"]}]);
        assert_eq!(answer["channels"], channels, "{verb}");
    }
    assert_eq!(
        fail(1, ["publish", "--redis", &url, "-x", "news", "-b", "x"]),
        "unroutable: nobody gets `` from exchange `news`"
    );
}

#[test]
fn route_and_explain_answer_in_one_shape() {
    let shop = shop();
    let args = ["--topology", &shop, "-x", "shop.orders", "-k", "order.eu.paid", "--json"];
    let [route, explain] = ["route", "explain"].map(|verb| parse(&printed(&[&[verb], &args[..]].concat()).1));
    let names =
        |answer: &Value| -> Vec<String> { answer.as_object().expect("an object").keys().cloned().collect() };
    for answer in [&route, &explain] {
        assert_eq!(
            (&answer["outcome"], &answer["hops"][0]["exchange"]),
            (&json!("routed"), &json!("shop.orders"))
        );
    }
    assert_eq!((&route["queues"], &route["hops"]), (&explain["queues"], &explain["hops"]));
    assert_eq!(names(&route), ["channels", "hops", "outcome", "queues"]);
    assert_eq!(names(&explain), ["channels", "hops", "nearMisses", "outcome", "queues"]);
}

#[test]
fn an_exchange_that_is_bound_to_is_created_by_its_type_or_refused() {
    let redis = RedisServer::start();
    let url = redis.url();
    let bind =
        ["bind", "--redis", &url, "-x", "ok", "-k", "e.#", "--to-exchange", "there", "--type", "topic"];
    let line = fail(1, bind);
    assert!(
        line.contains("no exchange `there`; give its type with --type there=TYPE to create it"),
        "{line}"
    );
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
    let typed: Vec<&str> = [&bind[..], &["--type", "there=fanout"]].concat();
    assert_eq!(printed(&typed).0, Some(0));
    let (_, shown) = printed(&["topology", "print", "--redis", &url]);
    assert!(shown.starts_with("ok (topic)\n  e.# ─▶ exchange there\nthere (fanout)\n"), "{shown}");
    let line =
        fail(1, ["bind", "--redis", &url, "-x", "ok", "--to-exchange", "there", "--type", "there=topic"]);
    assert!(line.contains("`there` is fanout already and cannot become topic"), "{line}");
}

#[test]
fn bind_says_what_it_replaced_and_who_follows() {
    let redis = RedisServer::start();
    let url = redis.url();
    let bind = ["bind", "--redis", &url, "-x", "ok", "--type", "topic", "-k", "a.#", "-q", "q"];
    let bind = |more: &[&str]| printed(&[&bind[..], more].concat()).1;
    assert_eq!(bind(&[]), "topic exchange ok ─▶ queue q\n");
    assert_eq!(bind(&[]), "topic exchange ok ─▶ queue q\n  it was there already\n");
    let replaced = "topic exchange ok ─▶ queue q\n  in place of the same key as kombu57\n";
    assert_eq!(bind(&["--dialect", "amqp"]), replaced);
    let answer = parse(&bind(&["--json"]));
    assert_eq!(
        answer,
        json!({
            "binding": {"source": "ok", "destination": {"queue": "q"}, "routingKey": "a.#", "dialect": "kombu57"},
            "kind": "topic", "new": true, "replaced": ["amqp"], "kombu": true
        })
    );
    let own = bind(&["-a", "x=1"]);
    assert!(
        own.contains("only keyrail's publishers follow it: Kombu on Redis knows no arguments of topic"),
        "{own}"
    );
    assert_eq!(parse(&bind(&["-a", "x=1", "--json"]))["kombu"], false);
    assert_eq!(redis.command(&["SCARD", "_kombu.binding.ok"]), ":1\r\n");
}

/// With a file `bind` honours what it is told, or says why not.
#[test]
fn bind_in_a_file_reads_its_flags() {
    let (folder, shop) = (Folder::new(), shop());
    let bind = ["bind", "--topology", &shop, "-x", "new", "-k", "a.#", "-q", "audit.log"];
    let line = fail(1, bind);
    assert!(line.contains("no exchange `new`; give its type with --type new=TYPE"), "{line}");
    let (_, out) = printed(&[&bind[..], &["--type", "topic", "--dialect", "kombu56"]].concat());
    let path = folder.file("new.json", out);
    let shown = succeed(["topology", "print", "--topology", &path]);
    assert!(shown.contains("new (topic)\n  a.# as kombu56 ─▶ audit.log\n"), "{shown}");
    let line = fail(1, ["bind", "--topology", &shop, "-x", "shop.orders", "-q", "nope"]);
    assert!(line.contains("no queue `nope`; a file names its queues"), "{line}");
    let line =
        fail(1, ["bind", "--topology", &shop, "-x", "shop.orders", "-q", "audit.log", "--type", "direct"]);
    assert!(line.contains("`shop.orders` is topic already and cannot become direct"), "{line}");
    let redis = "redis://127.0.0.1:1";
    let line =
        fail(2, ["bind", "--topology", &shop, "--redis", redis, "-x", "shop.orders", "-q", "audit.log"]);
    assert!(line.contains("this changes one topology"), "{line}");
}

/// Whoever names a file on the command line asks that file, whatever Redis the environment names.
#[test]
fn a_file_beside_a_redis_of_the_environment_sends_nothing() {
    let redis = RedisServer::start();
    let (url, shop) = (redis.url(), shop());
    let run = |args: &[&str]| {
        let output = keyrail_with(&[("KEYRAIL_REDIS", &url)], std::process::Stdio::null(), args);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stdout)
    };
    let publish = ["publish", "--topology", &shop, "-x", "shop.payments", "-k", "transfer", "-b", "x"];
    assert!(run(&publish).starts_with("LPUSH \"billing.invoicing\""));
    let bind = ["bind", "--topology", &shop, "-x", "shop.payments", "-k", "cash", "-q", "billing.invoicing"];
    assert!(run(&bind).contains("\"cash\""));
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
    // On the command line it is meant.
    let sent = run(&[&publish[..], &["--redis", &url]].concat());
    assert_eq!(sent, "billing.invoicing\n");
    assert_eq!(redis.command(&["LLEN", "billing.invoicing"]), ":1\r\n");
}

#[test]
fn a_type_is_no_help_to_a_file() {
    let shop = shop();
    for verb in ["route", "explain", "publish"] {
        let line = fail(1, [verb, "--topology", &shop, "-x", "nope", "-k", "k"]);
        assert!(
            line.ends_with(&format!("see `keyrail topology print --topology {shop}` for those it has")),
            "{line}"
        );
    }
    for verb in ["route", "explain", "lint"] {
        let line = fail(2, [verb, "--topology", &shop, "--type", "nope=topic"]);
        assert!(line.contains("--topology has the types of its exchanges"), "{line}");
    }
    let redis = RedisServer::start();
    for verb in ["route", "explain"] {
        let line = fail(1, [verb, "--redis", &redis.url(), "-x", "nope"]);
        assert!(line.contains("give its type with --type if Redis does not tell it"), "{line}");
    }
}

#[test]
fn a_binding_is_shown_by_what_it_asks() {
    let folder = Folder::new();
    let path = folder.file(
        "shown.lines.json",
        json!({
            "exchanges": [{"name": "d", "kind": "direct"}, {"name": "h", "kind": "headers"}],
            "queues": [{"name": "q"}],
            "bindings": [
                {"source": "d", "destination": {"queue": "q"}},
                {"source": "h", "destination": {"queue": "q"}, "routingKey": "kk", "arguments": {"pages": 4}}
            ]
        })
        .to_string(),
    );
    let shown = succeed(["topology", "print", "--topology", &path]);
    assert!(shown.contains("d (direct)\n  (empty key) ─▶ q\n"), "{shown}");
    assert!(shown.contains("h (headers)\n  all of pages:=4 (key kk) ─▶ q\n"), "{shown}");
    let (_, shown) = printed(&["explain", "--topology", &path, "-x", "h", "-H", "pages=4"]);
    let expected = "  all of pages:=4 (key kk) ─▶ q of h\n    \
        pages=4 is of another type than pages:=4; all of pages=4 (key kk) would match\n";
    assert!(shown.ends_with(expected), "{shown}");
}

/// Two topologies that differ in dialects alone do not differ in equal lines.
#[test]
fn diff_shows_the_dialects_that_differ() {
    let folder = Folder::new();
    let [before, after] = ["amqp", "kombu57"].map(|dialect| {
        let binding = |source: &str| {
            json!({"source": source, "destination": {"queue": "q"}, "routingKey": "k", "dialect": dialect})
        };
        let topology = json!({
            "exchanges": [{"name": "d", "kind": "direct"}, {"name": "t", "kind": "topic"}],
            "queues": [{"name": "q"}], "bindings": [binding("d"), binding("t")]
        });
        folder.file(&format!("{dialect}.json"), topology.to_string())
    });
    let (_, shown) = printed(&["diff", &before, &after]);
    let expected = "- binding d k ─▶ q\n- binding t k ─▶ q\n+ binding d k as kombu57 ─▶ q\n+ binding t k as kombu57 ─▶ q\n";
    assert!(shown.starts_with(expected), "{shown}");
}

/// A line feed is shown alike everywhere, and any key that `publish` takes can be asked for.
#[test]
fn bytes_that_cannot_be_printed_are_shown_alike() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let folder = Folder::new();
    let path = folder.file(
        "feed.json",
        json!({"exchanges": [{"name": "d", "kind": "direct"}], "queues": [{"name": "q"}],
            "bindings": [{"source": "d", "destination": {"queue": "q"}, "routingKey": "a\nb\u{6}"}]})
        .to_string(),
    );
    let shown = succeed(["topology", "print", "--topology", &path]);
    assert!(shown.contains("  a\\nb\\u{6} ─▶ q\n"), "{shown}");
    let line = fail(1, ["route", "--topology", &path, "-x", "a\nb\u{6}"]);
    assert!(line.contains("`a\\nb\\u{6}`"), "{line}");
    for verb in ["route", "explain"] {
        let args = [
            OsStr::new(verb),
            OsStr::new("--topology"),
            OsStr::new(&path),
            OsStr::new("-x"),
            OsStr::new("d"),
            OsStr::new("-k"),
            OsStr::from_bytes(b"\xff"),
        ];
        let output = keyrail(args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stdout).starts_with("unroutable"), "{output:?}");
    }
}

/// What routes nothing in a Redis is what is wrong with it, and stops neither lint nor print.
#[test]
fn rows_that_route_nothing_are_findings() {
    let redis = RedisServer::start();
    let url = redis.url();
    let bind = |args: &[&str]| {
        assert_eq!(printed(&[&["bind", "--redis", &url, "-x"], args].concat()).0, Some(0), "{args:?}");
    };
    bind(&["ok", "--type", "topic", "-k", "a.#", "-q", "q"]);
    bind(&["ok", "-k", "a.b", "-q", "q"]);
    bind(&["ok", "-k", "e.#", "--to-exchange", "gone", "--type", "gone=topic"]);
    bind(&["inv", "--type", "headers", "-a", "x-match=any", "-q", "q"]);
    redis.command(&["HDEL", "keyrail.exchange", "gone"]);
    redis.command(&["SADD", "_kombu.binding.ok", "garbage"]);
    redis.command(&["ZADD", "_kombu.binding.plus", "1", "x"]);
    let output = keyrail(["lint", "--redis", &url]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let shown = text(&output.stdout);
    for part in [
        "error[wrong-type] table of plus\n  _kombu.binding.plus is a zset, expected a set",
        "error[malformed-row] row garbage of ok\n  binding member has 1 field, expected 3; every Kombu publisher to this \
         exchange raises\n",
        "error[dangling-binding] row e.# -> exchange gone of ok\n  there is no exchange gone; keyrail passes it over\n",
        "warning[shadowed-binding] binding a.b as kombu57 of ok to queue q\n  a.# (binding a.# as kombu57 of ok to \
         queue q) leads there too",
        "warning[never-matches] binding never of inv to queue q\n",
        "3 errors, 2 warnings, 1 info",
    ] {
        assert!(shown.contains(part), "`{part}` is not in:\n{shown}");
    }
    let output = keyrail(["lint", "--redis", &url, "--json"]);
    let report = parse(&text(&output.stdout));
    let row = json!({
        "code": "malformed-row", "severity": "error", "culprit": {"type": "row", "exchange": "ok", "row": "garbage"},
        "sentence": "binding member has 1 field, expected 3; every Kombu publisher to this exchange raises",
        "reason": "member-field-count"
    });
    assert_eq!(report["findings"][1], row, "{report}");
    assert_eq!(report["findings"][0]["culprit"], json!({"type": "table", "exchange": "plus"}));
    // Whom it does not concern goes on.
    assert!(succeed(["topology", "print", "--redis", &url]).contains("  a.# as kombu57 ─▶ q\n"));
    assert!(succeed(["route", "--redis", &url, "-x", "ok", "-k", "a.b"]).starts_with("q\n"));
    let line = fail(1, ["publish", "--redis", &url, "-x", "plus", "-k", "k", "-b", "x"]);
    assert!(line.contains("`_kombu.binding.plus` is a zset, expected a set"), "{line}");
}

/// What an import changes, and what it makes mean something else.
#[test]
fn an_import_says_what_is_new_and_what_reads_differently() {
    let redis = RedisServer::start();
    let (url, shop) = (redis.url(), shop());
    let import = |more: &[&str]| {
        let output = keyrail([&["topology", "import", "--topology", &shop, "--redis", &url], more].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        (text(&output.stdout), text(&output.stderr))
    };
    let (out, err) = import(&[]);
    assert_eq!(out, "imported 10 exchanges, 18 queues, 39 bindings, 1 policy\n");
    let expected =
        "9 bindings mean something else as kombu57 than in the file; --dialect amqp writes them as they are";
    assert!(err.contains(expected), "{err}");
    let (out, _) = import(&[]);
    assert!(out.ends_with("1 policy; all of it was there already\n"), "{out}");
    let (out, err) = import(&["--dialect", "amqp", "--json"]);
    let answer = parse(&out);
    assert_eq!(err, "");
    assert_eq!((&answer["policies"], &answer["readDifferently"]), (&json!(1), &json!(0)), "{answer}");
    assert_eq!(answer["new"], answer["replaced"], "{answer}");
    assert!(answer["replaced"].as_u64().expect("a number") > 0, "{answer}");
    // RabbitMQ's reading is back.
    let args = ["-x", "shop.orders", "-k", "order.eu.return", "--json"];
    let route = |from: &[&str]| parse(&printed(&[&["route"], from, &args].concat()).1)["queues"].clone();
    let sorted = |queues: Value| {
        let mut queues: Vec<String> = serde_json::from_value(queues).expect("names");
        queues.sort_unstable();
        queues
    };
    assert_eq!(sorted(route(&["--redis", &url])), sorted(route(&["--topology", &shop])));
    let (out, _) = import(&["--json"]);
    assert_eq!(parse(&out)["replaced"], answer["replaced"]);
    assert!(sorted(route(&["--redis", &url])).len() < sorted(route(&["--topology", &shop])).len());
}

/// Kombu's dialects read `a*` as any number of `a`. The bytes are Kombu's, as its peers expect, and a word is said.
#[test]
fn a_star_within_a_word_is_written_as_kombu_does_with_a_warning() {
    let redis = RedisServer::start();
    let url = redis.url();
    let bind = |exchange: &str, key: &str, dialect: &str| {
        let to = ["-x", exchange, "--type", "topic", "-q", "q", "-k", key, "--dialect", dialect];
        let output = keyrail([&["bind", "--redis", &url][..], &to].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stderr)
    };
    let matches = |exchange: &str, key: &str| {
        keyrail(["route", "--redis", &url, "-x", exchange, "-k", key]).status.success()
    };
    for (key, dialect, other) in
        [("a*", "kombu57", "a"), ("x.a*b", "kombu57", "x.ab"), ("a*.*", "kombu56", "a.*")]
    {
        let exchange = format!("{dialect}-{key}");
        let err = bind(&exchange, key, dialect);
        let said =
            format!("keyrail: warning: in the key `{key}` a `*` within a word repeats the letter before it");
        assert!(err.starts_with(&said), "{err}");
        assert!(err.contains(&format!("Kombu matches `{other}` and not `{key}`")), "{err}");
        // And so it is.
        assert!(matches(&exchange, other) && !matches(&exchange, key), "{key}");
        assert_eq!(bind(&exchange.replace("kombu", "amqp"), key, "amqp"), "");
        assert!(!matches(&exchange.replace("kombu", "amqp"), other));
        assert!(matches(&exchange.replace("kombu", "amqp"), key));
    }
    // Whole words, and a `#` that is a letter to both.
    assert_eq!(bind("e", "a.*.#", "kombu57"), "");
    assert_eq!(bind("e", "x.a#b", "kombu57"), "");
    // Nothing before it to repeat: no Python could compile it.
    for key in ["**", "*x"] {
        let line =
            fail(1, ["bind", "--redis", &url, "-x", "e", "-q", "q", "-k", key, "--dialect", "kombu57"]);
        assert!(line.contains("has nothing to repeat"), "{line}");
    }
}

/// A wrong bind can be undone: the row, its twins, the permanent one, the deadline.
#[test]
fn unbind_removes_rows_whoever_wrote_them() {
    let redis = RedisServer::start();
    let url = redis.url();
    let bind = ["--redis", &url, "-x", "ok", "-k", "a.*", "-q", "q"];
    let unbind = |more: &[&str]| keyrail([&["unbind"], &bind[..], more].concat());
    assert_eq!(printed(&[&["bind"], &bind[..], &["--type", "topic"]].concat()).0, Some(0));
    // What a Kombu of 5.6 left behind, somebody's own text, and a queue that expires.
    redis.command(&["SADD", "_kombu.binding.ok", "a.*\u{6}\u{16}^a\\..*?[^\\.]$\u{6}\u{16}q"]);
    redis.command(&["SADD", "_kombu.binding.ok", "a.*\u{6}\u{16}^a\\.b$\u{6}\u{16}q"]);
    redis.command(&["SADD", "_kombu.binding.ok", "b\u{6}\u{16}^b$\u{6}\u{16}expiring"]);
    redis.command(&["ZADD", "_kombu.binding_deadlines", "9999999999999", "ok"]);
    let output = unbind(&["--dialect", "amqp"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(&output.stderr), "keyrail: there is no binding `a.* of ok ─▶ queue q` as amqp\n");
    let output = unbind(&["--dialect", "kombu56"]);
    assert_eq!(text(&output.stdout), "removed a.* as kombu56 of ok ─▶ queue q\n", "{output:?}");
    let output = unbind(&["--json"]);
    let removed = json!({"removed": [
        {"source": "ok", "destination": {"queue": "q"}, "routingKey": "a.*", "dialect": "kombu57"},
        {"source": "ok", "destination": {"queue": "q"}, "routingKey": "a.*", "dialect": "kombu57", "pattern": "^a\\.b$"}
    ]});
    let mut answer = parse(&text(&output.stdout));
    answer["removed"].as_array_mut().expect("a list").sort_by_key(|binding| binding.to_string().len());
    assert_eq!(answer, removed);
    assert_eq!(redis.command(&["SCARD", "_kombu.binding.ok"]), ":1\r\n");
    assert_eq!(redis.command(&["EXISTS", "_kombu.binding_permanent.ok"]), ":0\r\n");
    // Another row of the table still expires.
    assert_eq!(redis.command(&["ZCARD", "_kombu.binding_deadlines"]), ":1\r\n");
    succeed(["unbind", "--redis", &url, "-x", "ok", "-k", "b", "-q", "expiring"]);
    assert_eq!(redis.command(&["ZCARD", "_kombu.binding_deadlines"]), ":0\r\n");
    assert_eq!(unbind(&[]).status.code(), Some(1));
    assert!(text(&unbind(&[]).stderr).contains("there is no binding"));
}

#[test]
fn unbind_removes_what_only_keyrail_knows() {
    let redis = RedisServer::start();
    let url = redis.url();
    let run = |verb: &str, args: &[&str]| printed(&[&[verb, "--redis", &url, "-x"], args].concat()).0;
    let headers = ["inv", "-a", "x-match=all", "-a", "pages:=3", "-q", "p"];
    let exchange = ["t", "-k", "a.#", "--to-exchange", "inv"];
    let fanout = ["news", "-q", "n"];
    for (binding, kind) in [(&headers[..], "headers"), (&exchange, "topic"), (&fanout, "fanout")] {
        assert_eq!(run("bind", &[binding, &["--type", kind]].concat()), Some(0));
    }
    for (queue, weight) in [("a", "1"), ("b", "2")] {
        assert_eq!(run("bind", &["hash", "--type", "x-consistent-hash", "-k", weight, "-q", queue]), Some(0));
    }
    assert_eq!(redis.command(&["SCARD", "keyrail.binding"]), ":5\r\n");
    // The order of arguments does not matter, and a text is no number.
    let line =
        fail(1, ["unbind", "--redis", &url, "-x", "inv", "-a", "pages=3", "-a", "x-match=all", "-q", "p"]);
    assert!(line.contains("no binding `all of pages=3 of inv ─▶ queue p`"), "{line}");
    assert_eq!(run("unbind", &["inv", "-a", "pages:=3", "-a", "x-match=all", "-q", "p"]), Some(0));
    assert_eq!(run("unbind", &exchange), Some(0));
    assert_eq!(run("unbind", &fanout), Some(0));
    assert_eq!(redis.command(&["HLEN", "keyrail.bucket"]), ":2\r\n");
    assert_eq!(run("unbind", &["hash", "-k", "1", "-q", "a"]), Some(0));
    assert_eq!(redis.command(&["HLEN", "keyrail.bucket"]), ":1\r\n");
    assert_eq!(redis.command(&["SCARD", "keyrail.binding"]), ":1\r\n");
    assert!(succeed(["route", "--redis", &url, "-x", "hash", "-k", "any"]).starts_with("b\n"));
}

#[test]
fn unbind_in_a_file_prints_it_without_the_binding() {
    let (folder, shop) = (Folder::new(), shop());
    let unbind = ["unbind", "--topology", &shop, "-x", "shop.payments", "-k", "card", "-q", "fraud.check"];
    let path = folder.file("new.json", succeed(unbind));
    let listed = succeed(["topology", "print", "--topology", &path]);
    assert!(listed.ends_with("10 exchanges, 18 queues, 38 bindings\n"), "{listed}");
    let line =
        fail(1, ["unbind", "--topology", &path, "-x", "shop.payments", "-k", "card", "-q", "fraud.check"]);
    assert_eq!(line, "there is no binding `card of shop.payments ─▶ queue fraud.check`");
}
