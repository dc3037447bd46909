//! Types of exchanges that nobody tells are guesses, and every answer that depends on one says so.

mod support;

use serde_json::{Value, json};
use support::{Folder, RedisServer, keyrail, succeed, text};

/// A table as a Kombu consumer of `Exchange(name)` leaves it: the rows of a fanout exchange and of a direct one are the same.
fn row(redis: &RedisServer, exchange: &str, key: &str, pattern: &str, queue: &str) {
    let row = format!("{key}\x06\x16{pattern}\x06\x16{queue}");
    assert_eq!(redis.command(&["SADD", &format!("_kombu.binding.{exchange}"), &row]), ":1\r\n");
}

/// Status, standard output, standard error.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = keyrail(args);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const NEWS: &str = "keyrail: warning: exchange `news` is guessed to be direct: Kombu stores no types; if it is a \
    fanout exchange, give --type news=fanout\n";

#[test]
fn who_follows_a_guess_says_so() {
    let redis = RedisServer::start();
    let url = redis.url();
    row(&redis, "news", "", "", "nq");
    for (verb, first) in [("route", "nq\n\n"), ("explain", "to nq\n\n")] {
        let (status, out, err) = run(&[verb, "--redis", &url, "-x", "news"]);
        assert_eq!((status, &*err), (Some(0), NEWS), "{verb}");
        assert_eq!(out, format!("{first}news (direct, guessed)\n└─ (empty key) ─▶ nq\n"), "{verb}");
        let (_, out, err) = run(&[verb, "--redis", &url, "-x", "news", "--json"]);
        assert_eq!((&parse(&out)["guessed"], &*err), (&json!(["news"]), NEWS), "{verb}");
    }
    let (status, out, err) = run(&["publish", "--redis", &url, "-x", "news", "-b", "f"]);
    assert_eq!((status, &*out, &*err), (Some(0), "nq\n", NEWS));
    let (_, out, err) = run(&["publish", "--redis", &url, "-x", "news", "-b", "f", "--json"]);
    let sent = json!({"outcome": "routed", "queues": ["nq"], "receivers": 0, "guessed": ["news"]});
    assert_eq!((parse(&out), &*err), (sent, NEWS));
    let (status, _, err) = run(&["publish", "--redis", &url, "-x", "news", "-k", "other", "-b", "f"]);
    assert_eq!(status, Some(1));
    assert!(err.starts_with(NEWS), "{err}");
}

#[test]
fn a_type_that_is_told_or_shown_is_no_guess() {
    let redis = RedisServer::start();
    let url = redis.url();
    row(&redis, "news", "", "", "nq");
    row(&redis, "orders", "a.*", "^a\\.[^\\.]+$", "oq");
    for args in [
        &["-x", "news", "--type", "direct"][..],
        &["-x", "news", "--type", "news=direct"],
        &["-x", "orders", "-k", "a.b"],
        &["-k", "nq"],
    ] {
        let args = [&["route", "--redis", &url], args].concat();
        let (status, out, err) = run(&args);
        assert_eq!((status, &*err), (Some(0), ""), "{args:?}");
        assert!(!out.contains("guessed"), "{out}");
        let (_, out, err) = run(&[&args[..], &["--json"]].concat());
        assert_eq!((parse(&out).get("guessed"), &*err), (None, ""), "{args:?}");
    }
    let (status, out, err) = run(&["publish", "--redis", &url, "-x", "news", "--type", "fanout", "-b", "f"]);
    assert_eq!((status, &*out), (Some(1), ""));
    assert!(!err.contains("guessed"), "{err}");
    // Who binds with a type tells it to everyone, who binds without one hears that it is a guess.
    let bind = |more: &[&str]| {
        run(&[&["bind", "--redis", &url, "-x", "news", "-q", "nq", "-k", "k"], more].concat()).1
    };
    let guessed = "direct exchange news ─▶ queue nq\n  the type is guessed; --type tells it to everyone\n";
    assert_eq!(bind(&[]), guessed);
    assert_eq!(parse(&bind(&["--json"]))["guessed"], true);
    assert_eq!(bind(&["--type", "direct"]), "direct exchange news ─▶ queue nq\n  it was there already\n");
    assert_eq!(parse(&bind(&["--json"])).get("guessed"), None);
    let (status, _, err) = run(&["route", "--redis", &url, "-x", "news"]);
    assert_eq!((status, &*err), (Some(0), ""));
}

/// Celery declares these alike wherever it runs on Redis.
#[test]
fn the_exchanges_of_celery_are_known() {
    let redis = RedisServer::start();
    let url = redis.url();
    row(&redis, "celeryev", "worker.#", "", "celeryev.1");
    row(&redis, "celery.pidbox", "", "", "w@h.celery.pidbox");
    row(&redis, "reply.celery.pidbox", "id", "", "id.reply.celery.pidbox");
    row(&redis, "celery", "celery", "", "celery");
    let (_, out, err) = run(&["topology", "print", "--redis", &url]);
    assert_eq!(err, "");
    for line in [
        "celeryev (fanout)\n  listens to worker.# ─▶ celeryev.1\n",
        "celery.pidbox (fanout)\n  listens to (empty key) ─▶ w@h.celery.pidbox\n",
        "reply.celery.pidbox (direct)\n  id ─▶ id.reply.celery.pidbox\n",
        "celery (direct, guessed)\n  celery ─▶ celery\n",
    ] {
        assert!(out.contains(line), "{line}{out}");
    }
    let (status, out, err) = run(&["route", "--redis", &url, "-x", "celeryev", "-k", "worker.heartbeat"]);
    assert_eq!((status, &*err), (Some(1), ""));
    assert!(out.contains("whoever listens to /0.celeryev/worker.heartbeat then hears it"), "{out}");
    // Rows know better than a name: this is another's exchange, with Celery's name.
    row(&redis, "celeryev", "a.*", "^a\\.[^\\.]+$", "q");
    assert!(succeed(["topology", "print", "--redis", &url]).contains("celeryev (topic)\n"));
}

/// What is printed as JSON is a topology that says which types are guesses, wherever it is taken.
#[test]
fn a_guess_stays_one_in_a_file() {
    let redis = RedisServer::start();
    let url = redis.url();
    row(&redis, "news", "", "", "nq");
    let (_, out, err) = run(&["topology", "print", "--redis", &url]);
    assert_eq!(
        (&*err, out.starts_with("news (direct, guessed)\n  (empty key) ─▶ nq\n")),
        ("", true),
        "{out}"
    );
    let printed = succeed(["topology", "print", "--redis", &url, "--json"]);
    let exchange = json!({
        "name": "news", "kind": "direct", "durable": true, "arguments": {"x-keyrail-type": "guessed"}
    });
    assert_eq!(parse(&printed)["exchanges"], json!([exchange]));
    let typed = succeed(["topology", "print", "--redis", &url, "--type", "news=fanout", "--json"]);
    assert_eq!(parse(&typed)["exchanges"], json!([{"name": "news", "kind": "fanout", "durable": true}]));

    let folder = Folder::new();
    let file = folder.file("printed.json", &printed);
    let (status, out, err) = run(&["route", "--topology", &file, "-x", "news"]);
    assert_eq!(status, Some(0));
    assert!(out.contains("news (direct, guessed)"), "{out}");
    assert!(err.contains("`news` is guessed to be direct") && err.contains("say so in the file"), "{err}");
    let bind = ["bind", "--topology", &file, "-x", "news", "-q", "nq", "-k", "k", "--type", "fanout"];
    assert_eq!(
        parse(&succeed(bind))["exchanges"],
        json!([{"name": "news", "kind": "fanout", "durable": true}])
    );
    // Another Redis is told the rows, and no type.
    let other = RedisServer::start();
    let (_, out, err) = run(&["topology", "import", "--topology", &file, "--redis", &other.url()]);
    assert_eq!(out, "imported 0 exchanges, 1 queue, 1 binding\n");
    assert!(err.contains("`news` is guessed to be direct") && err.contains("say so in the file"), "{err}");
    assert_eq!(other.command(&["EXISTS", "keyrail.exchange"]), ":0\r\n");
    assert!(succeed(["topology", "print", "--redis", &other.url()]).starts_with("news (direct, guessed)\n"));
}

#[test]
fn lint_names_guesses() {
    let redis = RedisServer::start();
    let url = redis.url();
    row(&redis, "news", "", "", "nq");
    let report = parse(&succeed(["lint", "--redis", &url, "--json"]));
    assert_eq!(
        report["findings"],
        json!([{
            "code": "guessed-type", "severity": "info", "culprit": {"type": "exchange", "name": "news"},
            "sentence": "exchange `news` is guessed to be direct: Kombu stores no types; if it is a fanout exchange, \
                give --type news=fanout"
        }])
    );
    let shown = succeed(["lint", "--redis", &url, "--show", "info"]);
    assert!(shown.starts_with("info[guessed-type] exchange news\n  exchange news is guessed"), "{shown}");
    let typed = parse(&succeed(["lint", "--redis", &url, "--json", "--type", "news=direct"]));
    assert_eq!(typed["findings"], json!([]));
}

/// A plan is what the npm package calls one: commands by their arguments, and where the message would go.
#[test]
fn a_dry_run_is_a_plan() {
    let redis = RedisServer::start();
    let url = redis.url();
    row(&redis, "news", "", "", "nq");
    let dry = |args: &[&str]| {
        let (status, out, _) =
            run(&[&["publish", "--dry-run", "--json", "--redis", &url, "-b", "f"], args].concat());
        (status, parse(&out))
    };
    let (status, plan) = dry(&["-x", "news"]);
    assert_eq!(
        (status, &plan["outcome"], &plan["queues"], &plan["guessed"], &plan["atomic"]),
        (Some(0), &json!("routed"), &json!(["nq"]), &json!(["news"]), &json!(false))
    );
    let command = &plan["commands"][0];
    assert_eq!((&command[0], &command[1]), (&json!("LPUSH"), &json!("nq")));
    assert_eq!(
        parse(command[2].as_str().expect("a text"))["properties"]["delivery_info"]["exchange"],
        "news"
    );
    assert_eq!(command.as_array().expect("arguments").len(), 3);

    let (status, plan) = dry(&["-x", "news", "--type", "fanout"]);
    let channels = json!([{"exchange": "news", "channel": "/0.news", "listeners": ["nq"]}]);
    assert_eq!((status, &plan["outcome"], &plan["channels"]), (Some(0), &json!("unroutable"), &channels));
    assert_eq!((&plan["commands"][0][0], &plan["commands"][0][1]), (&json!("PUBLISH"), &json!("/0.news")));
    let (status, plan) = dry(&["-x", "news", "-k", "other"]);
    assert_eq!((status, &plan["outcome"], &plan["commands"]), (Some(1), &json!("unroutable"), &json!([])));
    assert_eq!(redis.command(&["EXISTS", "nq"]), ":0\r\n");
}
