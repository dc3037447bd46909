//! What fails leaves nothing half done and loses no message: every case runs in memory and on a real Redis.

mod support;

use keyrail_core::{
    BindingDefinition, ByteString, DestinationName, Dialect, ExchangeKind,
    kombu::{Command, Envelope, Layout, Plan},
};
use keyrail_redis::{
    Bind, Connection, DurableFanout, ExecuteError, Executor, GiveBack, Held, Memory, Message, Outgoing,
    Producer, ProducerOptions, Redis, RedisOptions, Reply, Restore, Take, Taken, load, quarantine_list,
};
use support::{RedisServer, host, on_both};

on_both!(
    a_publish_of_which_one_copy_cannot_be_written_writes_none,
    a_bind_of_which_one_row_cannot_be_written_writes_none,
    an_import_of_which_one_row_cannot_be_written_writes_nothing,
    an_import_into_definitions_of_another_type_names_them,
    an_atomic_plan_that_contradicts_itself_is_refused,
    an_atomic_plan_may_replace_what_it_deletes,
    commands_that_do_not_belong_together_do_not_stop_each_other,
    what_cannot_be_registered_stays_in_its_list,
    what_cannot_go_to_quarantine_stays_in_its_list,
    what_is_no_list_is_named,
    what_cannot_go_back_stays_registered,
    what_cannot_be_settled_stays_registered,
    a_tag_is_a_text_or_a_whole_number,
);

fn push(key: &str, value: &str) -> Command {
    Command::LPush { key: key.into(), value: value.into() }
}

fn add(key: &str, member: &str) -> Command {
    Command::SAdd { key: key.into(), member: member.into() }
}

async fn run<const N: usize>(executor: &impl Executor, commands: [Command; N]) -> Vec<Reply> {
    let commands = commands.into();
    executor.run(&Plan { commands, atomic: true }).await.expect("replies")
}

async fn keys(executor: &impl Executor) -> Vec<String> {
    executor.keys("").await.expect("keys")
}

async fn waiting(executor: &impl Executor, key: &str) -> i64 {
    match run(executor, [Command::LLen { key: key.into() }]).await[..] {
        [Reply::Count(count)] => count,
        ref other => panic!("{other:?}"),
    }
}

fn wrong_type(key: &str, command: &'static str) -> ExecuteError {
    ExecuteError::WrongType { key: key.into(), command }
}

fn binding(source: &str, queue: &str) -> BindingDefinition {
    BindingDefinition {
        source: source.into(),
        destination: DestinationName::Queue(queue.into()),
        routing_key: ByteString::from("k"),
        arguments: keyrail_core::Table::new(),
        dialect: Dialect::Amqp,
        pattern: None,
    }
}

async fn a_publish_of_which_one_copy_cannot_be_written_writes_none(executor: impl Executor) {
    run(&executor, [add("b", "no list")]).await;
    let host = host(executor);
    let mut outgoing = Outgoing::new("", "a", Envelope::text("x"));
    outgoing.headers = serde_json::from_str(r#"{"CC": ["b", "c"]}"#).expect("headers");
    let error = host.publish(&outgoing).await.expect_err("one of them is a set");
    assert_eq!(error.to_string(), "`b` holds another type than LPUSH needs");
    assert_eq!(keys(host.executor()).await, ["b"]);
}

async fn a_bind_of_which_one_row_cannot_be_written_writes_none(executor: impl Executor) {
    let permanent = Layout::default().permanent_table("e");
    run(&executor, [push(&permanent, "no set")]).await;
    let host = host(executor);
    let bind =
        Bind { binding: binding("e", "q"), kind: Some(ExchangeKind::Direct), dialect: Dialect::Kombu57 };
    let error = host.bind(&bind).await.expect_err("one table is a list");
    assert_eq!(error.code(), "wrong-type");
    assert!(error.to_string().contains(&permanent), "{error}");
    assert_eq!(keys(host.executor()).await, [permanent]);
}

async fn an_import_of_which_one_row_cannot_be_written_writes_nothing(executor: impl Executor) {
    let file = load::read(support::shop().as_ref(), None, &load::Limits::default()).expect("the shop");
    let last = &file.topology.exchanges.last().expect("an exchange").name;
    let tables = [Layout::default().binding_table("shop.orders"), Layout::default().binding_table(last)];
    for table in tables {
        run(&executor, [push(&table, "no set")]).await;
    }
    let before = keys(&executor).await;
    let host = host(executor);
    let error = host.import(&file.topology, Dialect::Amqp).await.expect_err("a table is a list");
    assert_eq!(error.code(), "wrong-type");
    assert_eq!(keys(host.executor()).await, before);
}

async fn an_import_into_definitions_of_another_type_names_them(executor: impl Executor) {
    let file = load::read(support::shop().as_ref(), None, &load::Limits::default()).expect("the shop");
    let host = host(executor);
    for key in ["keyrail.exchange", "keyrail.queue"] {
        run(host.executor(), [push(key, "no hash")]).await;
        let error = host.import(&file.topology, Dialect::Amqp).await.expect_err("a list");
        assert_eq!((error.code(), error.to_string().contains(&format!("`{key}`"))), ("wrong-type", true));
        assert_eq!(keys(host.executor()).await, [key]);
        run(host.executor(), [Command::Del { key: key.into() }]).await;
    }
}

async fn an_atomic_plan_that_contradicts_itself_is_refused(executor: impl Executor) {
    let commands = vec![push("a", "x"), push("k", "x"), add("k", "x")];
    let error = executor.run(&Plan { commands, atomic: true }).await.expect_err("no key is two things");
    assert_eq!(error, wrong_type("k", "SADD"));
    assert_eq!(keys(&executor).await, Vec::<String>::new());
}

async fn an_atomic_plan_may_replace_what_it_deletes(executor: impl Executor) {
    run(&executor, [push("k", "")]).await;
    let replies = run(&executor, [Command::Del { key: "k".into() }, add("k", ""), add("k", "")]).await;
    assert_eq!(replies, [Reply::Count(1), Reply::Count(1), Reply::Count(0)]);
    let members = run(&executor, [Command::SMembers { key: "k".into() }, add("k", "m")]).await;
    assert_eq!(members, [Reply::Members(vec![Vec::new()]), Reply::Count(1)]);
}

async fn commands_that_do_not_belong_together_do_not_stop_each_other(executor: impl Executor) {
    run(&executor, [push("k", "x")]).await;
    let commands = vec![push("a", "x"), add("k", "x"), push("b", "x")];
    let error = executor.run(&Plan { commands, atomic: false }).await.expect_err("a list is no set");
    assert_eq!(error, wrong_type("k", "SADD"));
    assert_eq!(keys(&executor).await, ["a", "b", "k"]);
}

const MESSAGE: &str = r#"{"body": "", "headers": {}, "properties": {"delivery_tag": "t"}}"#;

/// Takes one message, as an error what is said of a key of another type.
async fn take(executor: &impl Executor) -> Result<Taken, ExecuteError> {
    let taken = executor.take(&Take::one(&Layout::default(), &["q".to_owned()], "o")).await?.pop();
    match taken.expect("something") {
        Taken::WrongType { key, command } => Err(ExecuteError::WrongType { key: key.into(), command }),
        taken => Ok(taken),
    }
}

async fn what_cannot_be_registered_stays_in_its_list(executor: impl Executor) {
    for (key, command) in [("unacked_index", "ZADD"), ("unacked", "HSET")] {
        run(&executor, [push("q", MESSAGE), add(key, "x")]).await;
        assert_eq!(take(&executor).await, Err(wrong_type(key, command)));
        assert_eq!(keys(&executor).await, ["q", key]);
        assert_eq!(waiting(&executor, "q").await, 1);
        run(&executor, [Command::Del { key: key.into() }]).await;
        assert!(matches!(take(&executor).await, Ok(Taken::Message { .. })));
        run(
            &executor,
            [Command::Del { key: "unacked".into() }, Command::Del { key: "unacked_index".into() }],
        )
        .await;
    }
}

async fn what_cannot_go_to_quarantine_stays_in_its_list(executor: impl Executor) {
    let quarantine = quarantine_list(&Layout::default(), "q");
    run(&executor, [push("q", "no message"), add(&quarantine, "x")]).await;
    assert_eq!(take(&executor).await, Err(wrong_type(&quarantine, "LPUSH")));
    assert_eq!(waiting(&executor, "q").await, 1);
    run(&executor, [Command::Del { key: quarantine.clone() }]).await;
    assert!(matches!(take(&executor).await, Ok(Taken::Quarantined { .. })));
    assert_eq!((waiting(&executor, "q").await, waiting(&executor, &quarantine).await), (0, 1));
}

async fn what_is_no_list_is_named(executor: impl Executor) {
    run(&executor, [add("q", "x")]).await;
    assert_eq!(take(&executor).await, Err(wrong_type("q", "RPOP")));
}

async fn what_cannot_go_back_stays_registered(executor: impl Executor) {
    let layout = Layout::default();
    for next in [true, false] {
        run(&executor, [push("q", MESSAGE)]).await;
        let Ok(Taken::Message { delivery, list, payload, .. }) = take(&executor).await else {
            panic!("no message")
        };
        run(&executor, [add("q", "x")]).await;
        let back = GiveBack { layout: &layout, delivery: &delivery, list: &list, payload: &payload, next };
        let command = if next { "RPUSH" } else { "LPUSH" };
        assert_eq!(executor.give_back(&back).await, Err(wrong_type("q", command)));
        assert_eq!(executor.hash("unacked").await.expect("hash").len(), 1);
        assert_eq!(keys(&executor).await, ["q", "unacked", "unacked_index"]);
        run(&executor, [Command::Del { key: "q".into() }]).await;
        assert_eq!(executor.give_back(&back).await, Ok(true));
        assert_eq!(executor.give_back(&back).await, Ok(false));
        assert_eq!(keys(&executor).await, ["q"]);
        assert_eq!(waiting(&executor, "q").await, 1, "once");
        run(&executor, [Command::Del { key: "q".into() }]).await;
    }
    for (key, command) in [("unacked", "HDEL"), ("unacked_index", "ZREM")] {
        run(&executor, [add(key, "x")]).await;
        let back = GiveBack { layout: &layout, delivery: "t#q", list: "q", payload: b"x", next: true };
        assert_eq!(executor.give_back(&back).await, Err(wrong_type(key, command)));
        assert_eq!(keys(&executor).await, [key]);
        run(&executor, [Command::Del { key: key.into() }]).await;
    }
}

async fn what_cannot_be_settled_stays_registered(executor: impl Executor) {
    let layout = Layout::default();
    for (key, other, command) in [
        (layout.unacked(), layout.unacked_index(), "HDEL"),
        (layout.unacked_index(), layout.unacked(), "ZREM"),
    ] {
        run(&executor, [push("q", MESSAGE)]).await;
        let Ok(Taken::Message { delivery, .. }) = take(&executor).await else { panic!("no message") };
        run(&executor, [Command::Del { key: key.clone() }, add(&key, "x")]).await;
        assert_eq!(executor.settle(&layout, &[delivery]).await, Err(wrong_type(&key, command)));
        assert_eq!(keys(&executor).await, ["unacked", "unacked_index"]);
        run(&executor, [Command::Del { key }, Command::Del { key: other }]).await;
    }
}

async fn a_tag_is_a_text_or_a_whole_number(executor: impl Executor) {
    for (tag, name) in [
        ("7", Some("7#o.0#q")),
        ("-7", Some("-7#o.0#q")),
        ("5.0", Some("5#o.0#q")),
        ("1e3", Some("1000#o.0#q")),
        ("9007199254740991", Some("9007199254740991#o.0#q")),
        ("1, \"delivery_tag\": \"last\"", Some("last#o.0#q")),
        ("5.5", None),
        ("1e999", None),
        ("true", None),
        ("[]", None),
        ("{}", None),
    ] {
        let payload = format!(r#"{{"body": "", "headers": {{}}, "properties": {{"delivery_tag": {tag}}}}}"#);
        run(&executor, [push("q", &payload)]).await;
        match (take(&executor).await.expect("taken"), name) {
            (Taken::Message { delivery, .. }, Some(name)) => assert_eq!(delivery, name, "{tag}"),
            (Taken::Quarantined { .. }, None) => {}
            (other, _) => panic!("{tag}: {other:?}"),
        }
    }
    // Two numbers that are read as one are two deliveries.
    let mut names = Vec::new();
    for tag in ["9007199254740992", "9007199254740993", "123456789012345678901234567890"] {
        let payload = format!(r#"{{"body": "", "headers": {{}}, "properties": {{"delivery_tag": {tag}}}}}"#);
        run(&executor, [push("q", &payload)]).await;
        let Ok(Taken::Message { delivery, .. }) = take(&executor).await else { panic!("{tag}") };
        names.push(delivery);
    }
    names.dedup();
    assert_eq!(names.len(), 3);
    // Bytes that are no text elsewhere in a message are not ours to judge.
    let value = [&br#"{"body": ""#[..], b"\xff", br#"", "properties": {"delivery_tag": "t"}}"#].concat();
    run(&executor, [Command::LPush { key: "q".into(), value }]).await;
    assert!(matches!(take(&executor).await, Ok(Taken::Message { .. })));
}

#[tokio::test]
async fn a_user_who_may_not_run_every_command_runs_none() {
    let server = RedisServer::start();
    server.command(&["ACL", "SETUSER", "some", "on", ">pw", "~*", "+@all", "-publish"]);
    let url = format!("redis://some:pw@127.0.0.1:{}/0", server.port);
    let (redis, _) = Redis::connect(&url, RedisOptions::default()).await.expect("Redis");
    let publish = Command::Publish { channel: "c".into(), payload: Vec::new() };
    let commands = vec![push("q", "x"), publish];
    let error = redis.run(&Plan { commands, atomic: true }).await.expect_err("not allowed").to_string();
    assert!(error.contains("NOPERM this user may not PUBLISH `c`"), "{error}");
    if server.version() >= (7, 0) {
        assert_eq!(keys(&redis).await, Vec::<String>::new());
    } else {
        // It cannot be asked what a user may do: what comes before the refusal is done, and the error says so.
        assert!(error.ends_with("the 1 commands before this one are done"), "{error}");
        assert_eq!(keys(&redis).await, ["q"]);
    }
}

/// What is there cannot be compared, so nothing may be written over it.
#[tokio::test]
async fn who_may_not_look_at_what_is_declared_declares_nothing() {
    let server = RedisServer::start();
    server.command(&["ACL", "SETUSER", "some", "on", ">pw", "~*", "+@all", "-hget"]);
    let url = format!("redis://some:pw@127.0.0.1:{}/0", server.port);
    let (redis, _) = Redis::connect(&url, RedisOptions::default()).await.expect("Redis");
    let file = load::read(support::shop().as_ref(), None, &load::Limits::default()).expect("the shop");
    host(redis).import(&file.topology, Dialect::Amqp).await.expect_err("not allowed");
    assert_eq!(server.command(&["DBSIZE"]), ":0\r\n");
}

/// A script that is refused a command stops there and undoes nothing. Redis 7.0 and newer is asked before: there a message
/// stays where it is. On 6.2 it may lie in two places then, but never in none.
#[tokio::test]
async fn who_may_not_run_every_command_of_a_move_moves_no_message() {
    let server = RedisServer::start();
    let asked = server.version() >= (7, 0);
    let may_not = |command: &str| {
        let rules = ["ACL", "SETUSER", "some", "reset", "on", ">pw", "~*", "&*", "+@all", command];
        assert_eq!(server.command(&rules), "+OK\r\n");
    };
    may_not("-publish");
    let url = format!("redis://some:pw@127.0.0.1:{}/0", server.port);
    let (redis, _) = Redis::connect(&url, RedisOptions::default()).await.expect("Redis");
    let count = |place: &str| server.command(&place.split(' ').collect::<Vec<_>>());
    let stays = |what: &str, place: &str| {
        let places = ["LLEN q", "LLEN keyrail.quarantine.q", "HLEN unacked", "ZCARD unacked_index"];
        let counts = places.map(count);
        let there = |at: usize| counts[at] == ":1\r\n";
        assert!((0..3).any(there), "{what}: {counts:?}");
        for (at, known) in places.iter().enumerate().filter(|_| asked) {
            // A delivery has its record and its time, or is none.
            let registered = place == "HLEN unacked" && *known == "ZCARD unacked_index";
            assert_eq!(there(at), *known == place || registered, "{what}: {counts:?}");
        }
        server.command(&["FLUSHALL"]);
    };
    for (payload, command) in [
        (MESSAGE, "zadd"),
        (MESSAGE, "hset"),
        (MESSAGE, "ltrim"),
        ("no message", "lpush"),
        ("no message", "ltrim"),
    ] {
        server.command(&["LPUSH", "q", payload]);
        may_not(&format!("-{command}"));
        let error = take(&redis).await.expect_err(command).to_string();
        assert!(!asked || error.contains("NOPERM this user may not"), "{error}");
        stays(&format!("a take without {command}"), "LLEN q");
    }
    let layout = Layout::default();
    for command in ["rpush", "hdel", "zrem"] {
        for restore in [true, false] {
            may_not("-publish");
            server.command(&["LPUSH", "q", MESSAGE]);
            let Ok(Taken::Message { delivery, list, payload, .. }) = take(&redis).await else {
                panic!("no message")
            };
            may_not(&format!("-{command}"));
            if restore {
                let held = Held { delivery: delivery.into(), since: String::new(), record: None };
                let deliveries = [(held, vec![list], payload)];
                let restore = Restore { layout: &layout, lock: None, deliveries: &deliveries };
                redis.restore(&restore).await.expect_err(command);
            } else {
                let back = GiveBack {
                    layout: &layout,
                    delivery: &delivery,
                    list: &list,
                    payload: &payload,
                    next: true,
                };
                redis.give_back(&back).await.expect_err(command);
            }
            stays(&format!("a way back without {command}, restore: {restore}"), "HLEN unacked");
        }
    }
}

/// A record without its time would never be restored.
#[tokio::test]
async fn who_may_not_settle_leaves_a_delivery_that_can_be_restored() {
    let server = RedisServer::start();
    server.command(&["ACL", "SETUSER", "some", "on", ">pw", "~*", "&*", "+@all", "-hdel"]);
    let url = format!("redis://some:pw@127.0.0.1:{}/0", server.port);
    let (redis, _) = Redis::connect(&url, RedisOptions::default()).await.expect("Redis");
    server.command(&["LPUSH", "q", MESSAGE]);
    let Ok(Taken::Message { delivery, .. }) = take(&redis).await else { panic!("no message") };
    redis.settle(&Layout::default(), &[delivery]).await.expect_err("not allowed");
    server.command(&["ACL", "SETUSER", "some", "+hdel"]);
    let restored = host(redis).restore(std::time::Duration::ZERO).await.expect("restored");
    assert_eq!(restored.restored, 1);
    assert_eq!(server.command(&["LLEN", "q"]), ":1\r\n");
}

/// A publish that leaves a marker, and one that goes to a stream and a channel: neither is done by half.
#[tokio::test]
async fn who_may_not_run_every_command_of_a_publish_publishes_nothing() {
    let server = RedisServer::start();
    if server.version() < (7, 0) {
        return;
    }
    for command in ["-set", "-lpush"] {
        let rules = ["ACL", "SETUSER", "some", "reset", "on", ">pw", "~*", "&*", "+@all", command];
        assert_eq!(server.command(&rules), "+OK\r\n");
        let connection =
            Connection::new(&format!("redis://some:pw@127.0.0.1:{}/0", server.port)).expect("a URL");
        let options = ProducerOptions::new().once(std::time::Duration::from_secs(60));
        let producer = Producer::connect(&connection, options).await.expect("a producer");
        let error = producer.publish(&Message::text("x").routing_key("q")).await.expect_err("not allowed");
        assert!(error.to_string().contains("NOPERM this user may not"), "{error}");
        assert_eq!(server.command(&["DBSIZE"]), ":0\r\n", "{command}");
    }
    // Channels are allowed by name; a new user may use none.
    for rule in ["resetchannels", "-publish", "-xadd"] {
        let rules = ["ACL", "SETUSER", "some", "reset", "on", ">pw", "~*", "&*", "+@all", rule];
        assert_eq!(server.command(&rules), "+OK\r\n");
        let url = format!("redis://some:pw@127.0.0.1:{}/0", server.port);
        let (redis, _) = Redis::connect(&url, RedisOptions::default()).await.expect("Redis");
        let fanout = DurableFanout::new(&host(redis), "news", 10).expect("a fanout");
        let error = fanout.publish("k", &Envelope::text("x")).await.expect_err("not allowed");
        assert!(error.to_string().contains("NOPERM this user may not"), "{error}");
        assert_eq!(server.command(&["DBSIZE"]), ":0\r\n", "{rule}");
    }
}
