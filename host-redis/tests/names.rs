//! Names that Kombu's keys and channels cannot hold: refused where they are written, read where Kombu peers wrote them.

mod support;

use keyrail_core::{
    Dialect, ExchangeKind, Operation, Topology, Value,
    kombu::{Command, Envelope, Layout, Plan},
};
use keyrail_redis::{
    Connection, ConsumerOptions, Executor, Host, Memory, Message, Outgoing, Producer, ProducerOptions, Redis,
    RedisOptions, load,
};
use support::{Folder, RedisServer, fail, on_both, succeed};

/// Every fanout name at which Kombu's listeners raise, or hear others or nothing.
const FANOUTS: [&str; 6] = ["f/x", "f*x", "f?x", "f[x", "f]x", r"f\x"];

#[test]
fn fanout_names_that_kombu_cannot_live_with_are_refused() {
    let redis = RedisServer::start();
    let url = redis.url();
    let folder = Folder::new();
    for name in FANOUTS {
        let json = serde_json::json!({"exchanges": [{"name": name, "kind": "fanout"}], "queues": [{"name": "q"}],
            "bindings": [{"source": name, "destination": {"queue": "q"}}]});
        let file = folder.file("topology.json", json.to_string());
        for args in [
            &["bind", "-x", name, "-q", "q", "--type", "fanout"][..],
            &["bind", "-x", name, "-q", "q", "--type", "fanout", "--dialect", "kombu57"],
            &["topology", "import", "--topology", &file],
            &["publish", "-x", name, "--type", "fanout", "-b", "x"],
            &["publish", "-x", name, "--type", "fanout", "-b", "x", "--dry-run"],
            &["consume", "--fanout", name, "-k", "#", "--timeout", "1"],
        ] {
            let output = support::keyrail([args, &["--redis", &url]].concat());
            let err = support::text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
            let shown = name.replace('\\', r"\\");
            assert!(
                err.contains(&format!("fanout exchange `{name}` has a"))
                    || err.contains(&format!("fanout exchange `{shown}` has a")),
                "{args:?}: {err}"
            );
        }
    }
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
    // Only a channel has globs: the same names route as any other type.
    succeed(["bind", "--redis", &url, "-x", "f/x", "-q", "q", "-k", "k", "--type", "topic"]);
    assert!(succeed(["publish", "--redis", &url, "-x", "f/x", "-k", "k", "-b", "x"]).contains('q'));
}

#[test]
fn a_fanout_of_kombus_is_read_whatever_its_name() {
    let redis = RedisServer::start();
    let url = redis.url();
    redis.command(&["SADD", "_kombu.binding.f/x", "\x06\x16\x06\x16q"]);
    let fanout = ["--redis", &url, "--type", "f/x=fanout"];
    let shown = support::keyrail([&["topology", "print"][..], &fanout].concat());
    assert!(support::text(&shown.stdout).contains("f/x"), "{shown:?}");
    let routed = support::keyrail([&["route", "-x", "f/x", "-k", "k"][..], &fanout].concat());
    assert!(support::text(&routed.stdout).contains("/0.f/x/k"), "{routed:?}");
    let unbound = support::keyrail([&["unbind", "-x", "f/x", "-q", "q"][..], &fanout].concat());
    assert_eq!(unbound.status.code(), Some(0), "{unbound:?}");
    assert_eq!(redis.command(&["EXISTS", "_kombu.binding.f/x"]), ":0\r\n");
}

/// Where the register is empty, a message for a queue of its name would take its place, and stop every consumer.
#[test]
fn a_queue_whose_list_would_be_the_register_is_refused() {
    let redis = RedisServer::start();
    let url = redis.url();
    for name in ["unacked", "unacked_index", "unacked_mutex"] {
        for args in [
            &["publish", "-k", name, "-b", "x"][..],
            &["publish", "-k", name, "-b", "x", "--dry-run"],
            &["publish", "-k", "q", "-b", "x", "-H", &format!("CC:=[\"{name}\"]")],
            &["bind", "-x", "orders", "-k", "k", "-q", name, "--type", "direct"],
            &["consume", "-q", name, "--timeout", "1"],
        ] {
            let output = support::keyrail([args, &["--redis", &url]].concat());
            let err = support::text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
            assert!(err.contains(&format!("`{name}`")) && err.contains("deliveries"), "{args:?}: {err}");
        }
        assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n", "{name}");
    }
    // With another name the register is elsewhere.
    let options = r#"{"unacked_key": "held", "unacked_index_key": "times", "unacked_mutex_key": "lock"}"#;
    let elsewhere = ["--redis", &url, "--transport-options", options];
    let sent = support::keyrail([&["publish", "-k", "unacked", "-b", "x"][..], &elsewhere].concat());
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let refused = support::keyrail([&["publish", "-k", "held", "-b", "x"][..], &elsewhere].concat());
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

const ODD: &str = "q\x06\x163";

#[test]
fn a_separator_in_a_name_is_refused_wherever_it_is_written() {
    let redis = RedisServer::start();
    let url = redis.url();
    let folder = Folder::new();
    let queue = folder.file("queue.json", r#"{"queues": [{"name": "q\u0006\u00163"}]}"#);
    let exchange =
        folder.file("exchange.json", r#"{"exchanges": [{"name": "q\u0006\u00163", "kind": "topic"}]}"#);
    for (args, what) in [
        (&["publish", "-k", ODD, "-b", "x"][..], "queue"),
        (&["publish", "-k", "q", "-b", "x", "-H", "CC:=[\"q\\u0006\\u00163\"]"], "queue"),
        (&["publish", "-k", ODD, "-b", "x", "--dry-run"], "queue"),
        (&["route", "-k", ODD], "queue"),
        (&["consume", "-q", ODD, "--timeout", "1"], "queue"),
        (&["bind", "-x", "e", "--type", "topic", "-q", ODD], "queue"),
        (&["bind", "-x", "e", "--type", "headers", "-q", ODD], "queue"),
        (&["bind", "-x", "e", "--type", "fanout", "-q", ODD], "queue"),
        (&["bind", "-x", ODD, "--type", "topic", "-q", "q"], "exchange"),
        (&["bind", "-x", ODD, "--type", "headers", "-q", "q"], "exchange"),
        (&["topology", "import", "--topology", &queue], "queue"),
        (&["topology", "import", "--topology", &exchange], "exchange"),
        (&["consume", "-q", "q", "--declare", "--topology", &queue, "--timeout", "1"], "queue"),
    ] {
        let output = support::keyrail([args, &["--redis", &url]].concat());
        let err = support::text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
        let expected = format!(r"{what} `q\u{{6}}\u{{16}}3` contains the separator");
        assert!(err.starts_with("keyrail: ") && err.contains(&expected), "{args:?}: {err}");
    }
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
    // With a separator of one's own it is that one.
    let options = r#"{"sep": ":"}"#;
    let line = fail(1, ["publish", "--redis", &url, "--transport-options", options, "-k", "q:3", "-b", "x"]);
    assert!(line.contains("queue `q:3` contains the separator"), "{line}");
    succeed(["publish", "--redis", &url, "--transport-options", options, "-k", ODD, "-b", "x"]);
}

async fn tell(executor: &impl Executor, commands: Vec<Command>) {
    executor.run(&Plan { atomic: false, commands }).await.expect("written");
}

fn add(key: &str, member: &str) -> Command {
    Command::SAdd { key: key.into(), member: member.into() }
}

/// The library's own ways: operations, getting, and a binding that was written before names were looked at.
async fn the_library_refuses_them_as_well(executor: impl Executor) {
    let kinds = [("f*x".to_owned(), ExchangeKind::Fanout)].into();
    let options = load::Options { kinds, ..load::Options::default() };
    let host = Host::from_tables(executor, Layout::default(), options);
    let exchange = |name: &str, passive| Operation::ExchangeDeclare {
        exchange: name.into(),
        kind: "fanout".into(),
        passive,
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: keyrail_core::Table::new(),
    };
    assert_eq!(host.apply(&exchange("f/x", false)).await.expect_err("refused").code(), "not-expressible");
    assert_eq!(host.apply(&exchange(ODD, false)).await.expect_err("refused").code(), "member-separator");
    let queue = Operation::QueueDeclare {
        queue: ODD.into(),
        passive: false,
        durable: true,
        auto_delete: false,
        exclusive: false,
        arguments: keyrail_core::Table::new(),
    };
    assert_eq!(host.apply(&queue).await.expect_err("refused").code(), "member-separator");
    assert_eq!(host.get(ODD).await.expect_err("refused").code(), "member-separator");
    let consumer = host.consumer(vec!["q".into(), ODD.into()], ConsumerOptions::default());
    assert_eq!(consumer.map(drop).expect_err("refused").code(), "member-separator");
    let publish = Outgoing::new("f*x", "", Envelope::text("x"));
    assert_eq!(host.publish(&publish).await.expect_err("refused").code(), "not-expressible");
    assert_eq!(host.executor().keys("").await.expect("keys"), Vec::<String>::new());
    // A Kombu listens to it.
    tell(host.executor(), vec![add("_kombu.binding.f*x", "\x06\x16\x06\x16q")]).await;
    assert_eq!(host.publish(&publish).await.expect("published").fanout[0].channel, "/0.f*x");
    // Written before: the list would be the one of q's step 3.
    let odd =
        r#"{"source": "h", "destination": {"queue": "q\u0006\u00163"}, "arguments": {"x-match": "all"}}"#;
    let good = r#"{"source": "h", "destination": {"queue": "good"}, "arguments": {"x-match": "all"}}"#;
    let field = Command::HSet {
        key: "keyrail.exchange".into(),
        field: "h".into(),
        value: br#"{"name": "h", "kind": "headers"}"#.to_vec(),
    };
    tell(host.executor(), vec![field, add("keyrail.binding", odd), add("keyrail.binding", good)]).await;
    let table = host.table(Some("h")).await.expect("read");
    let reasons: Vec<_> = table.quarantine.iter().map(|row| row.reason.code()).collect();
    assert_eq!(reasons, ["member-separator"]);
    let sent = host.publish(&Outgoing::new("h", "", Envelope::text("x"))).await.expect("published");
    assert_eq!(sent.queues, ["good"]);
}

on_both!(the_library_refuses_them_as_well);

#[tokio::test]
async fn a_producer_refuses_them_as_well() {
    let redis = RedisServer::start();
    let connection = Connection::new(&redis.url()).expect("a URL");
    let kinds = [("f/x".to_owned(), ExchangeKind::Fanout)].into();
    let tables = load::Options { kinds, ..load::Options::default() };
    let producer =
        Producer::connect(&connection, ProducerOptions::new().tables(tables)).await.expect("Redis");
    let to = |exchange: &str, key: &str| Message::text("x").exchange(exchange).routing_key(key);
    let code = |message: Message| {
        let producer = &producer;
        async move { producer.publish(&message).await.map(drop).map_err(|error| error.code()) }
    };
    assert_eq!(code(to("", ODD)).await, Err("member-separator"));
    let copied = Value::Array(vec![Value::from(ODD)]);
    assert_eq!(code(to("", "q").header("CC", copied)).await, Err("member-separator"));
    assert_eq!(code(to("f/x", "")).await, Err("not-expressible"));
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
    // Half of a separator is none.
    assert_eq!(code(to("", "q\x06")).await, Ok(()));
    redis.command(&["SADD", "_kombu.binding.f/x", "\x06\x16\x06\x16q"]);
    assert_eq!(code(to("f/x", "")).await, Ok(()), "Kombu listens to it");
    let topology = Topology::from_lines("f*x fanout: -> q").expect("lines");
    let options = ProducerOptions::new().declare(topology, Dialect::Amqp);
    let declaring = Producer::connect(&connection, options).await.expect("Redis");
    let error = declaring.publish(&to("", "q")).await.expect_err("refused");
    assert_eq!(error.code(), "not-expressible");
}
