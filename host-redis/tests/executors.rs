//! The two executors answer alike: every case runs in memory and on a real Redis.

mod support;

use std::time::Duration;

use keyrail_core::{
    Dialect, ExchangeKind, Outcome, Topology,
    kombu::{Command, Envelope, Layout, Member, Plan, Priority, SEPARATOR, plan},
};
use keyrail_redis::{
    ExecuteError, Executor, Host, Memory, Outgoing, Overdue, Redis, RedisOptions, Reply, Take, Taken, Waiter,
    load, quarantine_list,
};
use support::{PATIENCE, RedisServer, host, on_both};

on_both!(
    commands_answer_as_in_redis,
    a_wrong_type_is_named,
    a_registered_delivery_names_its_queue,
    a_delivery_has_the_time_at_which_it_was_taken_or_touched,
    of_several_deliveries_each_is_settled_for_itself,
    priorities_come_in_order,
    garbage_goes_to_quarantine,
    a_kombu_could_restore_whatever_is_registered,
    an_address_that_is_no_object_is_quarantined,
    waiting_ends_with_a_push,
    subscribers_hear_their_patterns,
    bad_rows_are_quarantined,
    a_table_of_another_type_stops_who_needs_it,
    an_imported_topology_routes_as_the_file,
    an_abandoned_table_is_no_exchange,
    any_tag_can_be_acked,
    the_default_exchange_takes_any_queue,
    queues_without_a_name_of_their_own_are_queues,
);

async fn run(executor: &impl Executor, commands: Vec<Command>) -> Vec<Reply> {
    executor.run(&Plan { commands, atomic: true }).await.expect("replies")
}

async fn put<E: Executor>(host: &Host<E>, queue: &str, body: &str, priority: u8) {
    let envelope = Envelope::text(body).priority(Priority::new(priority));
    let sent = host.publish(&Outgoing::new("", queue, envelope)).await.expect("published");
    assert_eq!(sent.outcome, Outcome::Routed);
}

async fn is_held(executor: &impl Executor) -> bool {
    !executor.hash("unacked").await.expect("hash").is_empty()
}

async fn commands_answer_as_in_redis(executor: impl Executor) {
    let (key, value) = (|key: &str| key.to_owned(), |value: &str| value.as_bytes().to_vec());
    let replies = run(
        &executor,
        vec![
            Command::LPush { key: key("l"), value: value("a") },
            Command::LPush { key: key("l"), value: value("b") },
            Command::RPush { key: key("l"), value: value("c") },
            Command::LLen { key: key("l") },
            Command::RPop { key: key("l") },
            Command::RPop { key: key("l") },
            Command::RPop { key: key("l") },
            Command::RPop { key: key("l") },
            Command::SAdd { key: key("s"), member: value("m") },
            Command::SAdd { key: key("s"), member: value("m") },
            Command::SMembers { key: key("s") },
            Command::SRem { key: key("s"), member: value("m") },
            Command::SMembers { key: key("s") },
            Command::HSet { key: key("h"), field: key("f"), value: value("v") },
            Command::HSet { key: key("h"), field: key("f"), value: value("w") },
            Command::HDel { key: key("h"), field: key("f") },
            Command::ZAdd { key: key("z"), score: 1.5, member: key("m") },
            Command::ZAdd { key: key("z"), score: 2.5, member: key("m") },
            Command::ZRem { key: key("z"), member: key("m") },
            Command::ZRem { key: key("z"), member: key("m") },
            Command::Del { key: key("nothing") },
            Command::PExpire { key: key("nothing"), milliseconds: 5 },
            Command::Publish { channel: key("c"), payload: value("p") },
        ],
    )
    .await;
    let count = Reply::Count;
    let taken = |text: &str| Reply::Value(Some(value(text)));
    let expected = vec![
        count(1),
        count(2),
        count(3),
        count(3),
        taken("c"),
        taken("a"),
        taken("b"),
        Reply::Value(None),
        count(1),
        count(0),
        Reply::Members(vec![value("m")]),
        count(1),
        Reply::Members(Vec::new()),
        count(1),
        count(0),
        count(1),
        count(1),
        count(0),
        count(1),
        count(0),
        count(0),
        count(0),
        count(0),
    ];
    assert_eq!(replies, expected);
    assert_eq!(executor.keys("").await.expect("keys"), Vec::<String>::new());
    run(
        &executor,
        vec![
            Command::LPush { key: key("l"), value: value("a") },
            Command::PExpire { key: key("l"), milliseconds: 20 },
        ],
    )
    .await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(run(&executor, vec![Command::LLen { key: key("l") }]).await, [count(0)]);
}

async fn a_wrong_type_is_named(executor: impl Executor) {
    let push = Command::LPush { key: "k".into(), value: Vec::new() };
    run(&executor, vec![push]).await;
    let add = Plan { commands: vec![Command::SAdd { key: "k".into(), member: Vec::new() }], atomic: false };
    let error = executor.run(&add).await.expect_err("a list is no set");
    assert_eq!(error, ExecuteError::WrongType { key: "k".into(), command: "SADD" });
    assert_eq!(error.code(), "wrong-type");
}

async fn a_registered_delivery_names_its_queue(executor: impl Executor) {
    let payload =
        br#"{"body": "", "headers": {}, "properties": {"delivery_tag": "t", "n": 12345678901234567890123}}"#;
    run(&executor, vec![Command::LPush { key: "q\"1".into(), value: payload.to_vec() }]).await;
    let (layout, queues) = (Layout::default(), ["q\"1".to_owned()]);
    let mut taken = executor.take(&Take::one(&layout, &queues, "me.7")).await.expect("taken");
    let Some(Taken::Message { delivery, payload: same, .. }) = taken.pop() else { panic!("{taken:?}") };
    assert_eq!((delivery.as_str(), &same[..]), ("t#me.7.0#q\"1", &payload[..]));
    let held = executor.hash("unacked").await.expect("hash");
    let record = [b"[", &payload[..], br#", "", "q\"1"]"#].concat();
    assert_eq!(held, [(delivery, record)]);
}

/// A take of so many messages from `q`, by their names.
async fn take_all(executor: &impl Executor, owner: &str, count: usize) -> Vec<String> {
    for n in 0..count {
        let payload = Envelope::text("x").to_bytes("", "q", &n.to_string());
        run(executor, vec![Command::LPush { key: "q".into(), value: payload }]).await;
    }
    let (layout, queues) = (Layout::default(), ["q".to_owned()]);
    let take = Take { limit: count, ..Take::one(&layout, &queues, owner) };
    let taken = executor.take(&take).await.expect("taken").into_iter().map(|taken| match taken {
        Taken::Message { delivery, .. } => delivery,
        other => panic!("{other:?}"),
    });
    taken.collect()
}

/// To less than a tenth of a second: in that part of a second a number of microseconds begins with noughts.
async fn a_delivery_has_the_time_at_which_it_was_taken_or_touched(executor: impl Executor) {
    let layout = Layout::default();
    let since = async || {
        let overdue = Overdue { layout: &layout, before: f64::MAX, skip: 0, limit: 1 };
        let held = executor.overdue(&overdue).await.expect("registered").pop().expect("a delivery");
        held.since.parse::<f64>().expect("a time")
    };
    let until_the_next_second = async || {
        let now = executor.now().await.expect("now");
        tokio::time::sleep(Duration::from_secs_f64(1.0 - now.fract())).await;
        executor.now().await.expect("now")
    };
    let before = until_the_next_second().await;
    let delivery = take_all(&executor, "o", 1).await.remove(0);
    let after = executor.now().await.expect("now");
    assert!((before..=after).contains(&since().await), "{before} {} {after}", since().await);
    let before = until_the_next_second().await;
    executor.touch(&layout, &[delivery]).await.expect("touched");
    let after = executor.now().await.expect("now");
    assert!((before..=after).contains(&since().await), "{before} {} {after}", since().await);
}

async fn of_several_deliveries_each_is_settled_for_itself(executor: impl Executor) {
    let layout = Layout::default();
    let [first, second, third]: [String; 3] = take_all(&executor, "o", 3).await.try_into().expect("three");
    let settled = executor.settle(&layout, &[first.clone(), "unknown".into(), second]).await;
    assert_eq!(settled, Ok(vec![true, false, true]));
    assert_eq!(executor.settle(&layout, &[first, third.clone()]).await, Ok(vec![false, true]));
    assert_eq!(executor.keys("").await.expect("keys"), Vec::<String>::new());
    // Its record alone was taken away by hand: it was not this one's any more.
    let delivery = take_all(&executor, "p", 1).await.remove(0);
    run(&executor, vec![Command::HDel { key: layout.unacked(), field: delivery.clone() }]).await;
    assert_eq!(executor.settle(&layout, &[delivery]).await, Ok(vec![false]));
    assert_eq!(executor.keys("").await.expect("keys"), Vec::<String>::new());
}

async fn priorities_come_in_order(executor: impl Executor) {
    let host = host(executor);
    for (body, priority) in [("nine", 9), ("three", 3), ("zero", 0), ("four", 4), ("six", 6), ("two", 2)] {
        put(&host, "q", body, priority).await;
    }
    let mut bodies = Vec::new();
    while let Some(message) = host.get("q").await.expect("got") {
        bodies.push(message.body.as_text().expect("text").to_owned());
    }
    assert_eq!(bodies, ["zero", "two", "three", "four", "six", "nine"]);
    assert!(!is_held(host.executor()).await);
}

async fn garbage_goes_to_quarantine(executor: impl Executor) {
    let layout = Layout::default();
    let garbage: [&[u8]; 9] = [
        b"\xff",
        b"",
        b"[]",
        b"{}",
        br#"{"properties": 1}"#,
        br#"{"properties": {}}"#,
        br#"{"properties": {"delivery_tag": null}}"#,
        br#"{"properties": {"delivery_tag": 1.5}}"#,
        br#"{"body": "", "properties": {"delivery_info": null, "delivery_tag": "t"}}"#,
    ];
    for payload in garbage {
        run(&executor, vec![Command::LPush { key: "q".into(), value: payload.to_vec() }]).await;
    }
    let host = host(executor);
    put(&host, "q", "good", 0).await;
    let good = host.get("q").await.expect("got").expect("the good one");
    assert_eq!(good.body.as_text(), Some("good"));
    for payload in garbage {
        let reply = run(host.executor(), vec![Command::RPop { key: quarantine_list(&layout, "q") }]).await;
        assert_eq!(reply, [Reply::Value(Some(payload.to_vec()))]);
    }
    assert_eq!(host.executor().keys("").await.expect("keys"), Vec::<String>::new());
}

/// A payload in queue `q`, and what is taken of it.
async fn taken(executor: &impl Executor, payload: &str) -> Taken {
    run(executor, vec![Command::LPush { key: "q".into(), value: payload.into() }]).await;
    let queues = ["q".to_owned()];
    let taken = executor.take(&Take::one(&Layout::default(), &queues, "owner")).await.expect("taken");
    let [one] = <[Taken; 1]>::try_from(taken).expect("one");
    one
}

/// The record of the one that is held, which is settled.
async fn record(executor: &impl Executor, taken: Taken, payload: &str) -> String {
    let Taken::Message { delivery, payload: seen, .. } = taken else { panic!("{taken:?}") };
    assert_eq!(seen, payload.as_bytes());
    let records = executor.hash("unacked").await.expect("a hash");
    executor.settle(&Layout::default(), &[delivery]).await.expect("settled");
    String::from_utf8(records[0].1.clone()).expect("text")
}

const TAG: &str = "11111111-2222-4333-8444-555555555555";

/// As keyrail and Kombu write it, with these members for headers and address; its tag is read where it stands.
fn written(headers: &str, address: &str) -> String {
    format!(r#"{{"body": "x", {headers}, "properties": {{{address}, "delivery_tag": "{TAG}"}}}}"#)
}

/// Kombu reads `null` as no headers, and loses the message when it restores it; of equal names it counts the last.
async fn a_kombu_could_restore_whatever_is_registered(executor: impl Executor) {
    let bare = ["null", "5", "\"x\"", "[]", "[ ]", "[1]", "[null]", "[{}]"].map(|headers| {
        format!(r#"{{"body": "x", "headers": {headers}, "properties": {{"delivery_tag": "t"}}}} "#)
    });
    let whole = [
        r#""headers": []"#,
        r#""headers": [{"headers": {}}]"#,
        r#""x": {"headers": {}}, "headers": 5"#,
        r#""x": "\\", "headers": {"a": 1}, "headers": [1]"#,
        r#""headers": {}, "head\u0065rs": []"#,
        r#""headers": [1], "x\"headers": {}"#,
        r#""headers": {"stamped_headers": null}, "headers": [1]"#,
    ]
    .map(|headers| written(headers, r#""delivery_info": {"exchange": ""}"#));
    for payload in bare.into_iter().chain(whole) {
        let record = record(&executor, taken(&executor, &payload).await, &payload).await;
        let (message, _, queue): (serde_json::Value, String, String) =
            serde_json::from_str(&record).expect("a record");
        assert_eq!((&message["headers"], &*queue), (&serde_json::json!({}), "q"), "{record}");
    }
    // What is an object stays as it came.
    for headers in ["{}", r#"{"a": []}"#, r#"{"0": 1}"#, "{ }"] {
        let payload =
            format!(r#"{{"body": "x","headers": {headers}, "properties": {{"delivery_tag": "t"}}}}"#);
        let record = record(&executor, taken(&executor, &payload).await, &payload).await;
        assert!(record.starts_with(&format!("[{payload}, ")), "{record}");
    }
}

/// Kombu raises on it, and there is no other address to give it.
async fn an_address_that_is_no_object_is_quarantined(executor: impl Executor) {
    for address in [
        r#""delivery_info": []"#,
        r#""delivery_info": [1]"#,
        r#""delivery_info": 5"#,
        r#""delivery_info": null"#,
        r#""delivery_info": {}, "delivery_info": [1]"#,
        r#""delivery_info": {}, "delivery_inf\u006f": []"#,
        r#""delivery_info": {}, "delivery\u005finfo": 5"#,
        r#""delivery_info": [1], "x\"delivery_info": {}"#,
    ] {
        let payload = written(r#""headers": {}"#, address);
        let taken = taken(&executor, &payload).await;
        assert!(matches!(taken, Taken::Quarantined { .. }), "{payload}: {taken:?}");
    }
}

async fn waiting_ends_with_a_push(executor: impl Executor) {
    let host = host(executor);
    let mut waiter = host.executor().waiter(Layout::default().lists("q").collect());
    for priority in [0, 9] {
        let (waited, ()) = tokio::join!(waiter.wait(PATIENCE), async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            put(&host, "q", "late", priority).await;
        });
        waited.expect("waited");
        assert!(host.get("q").await.expect("got").is_some());
    }
    waiter.wait(Duration::from_millis(10)).await.expect("in time");
}

async fn subscribers_hear_their_patterns(executor: impl Executor) {
    let layout = Layout::default();
    let patterns = [layout.fanout_pattern("news", "sport.#"), layout.fanout_pattern("news", "")];
    let mut listener = executor.subscribe(&patterns).await.expect("listener");
    let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
    let host = Host::from_tables(executor, layout, load::Options { kinds, ..load::Options::default() });
    for (key, outcome) in [("sport.a.b", Outcome::Routed), ("", Outcome::Routed), ("x", Outcome::Unroutable)]
    {
        let sent = host.publish(&Outgoing::new("news", key, Envelope::text(key))).await.expect("sent");
        assert_eq!(sent.outcome, outcome, "{key}");
    }
    for channel in ["/0.news/sport.a.b", "/0.news"] {
        let heard = tokio::time::timeout(PATIENCE, listener.next()).await.expect("in time").expect("heard");
        assert_eq!(heard.channel, channel);
    }
}

async fn bad_rows_are_quarantined(executor: impl Executor) {
    let layout = Layout::default();
    let good = Member::topic("order.*", "good", Dialect::Kombu57).expect("a member");
    executor.run(&plan::bind(&layout, "orders", &good).expect("a plan")).await.expect("bound");
    let long = "q".repeat(256);
    let row = |key: &str, pattern: &str, queue: &str| [key, pattern, queue].join(SEPARATOR).into_bytes();
    let rows = [
        (b"no separators".to_vec(), "member-field-count"),
        (b"a\x06\x16\xff\x06\x16q".to_vec(), "member-not-utf8"),
        (row("a", "", ""), "member-empty-queue"),
        (row("*a", "^*a$", "q"), "invalid-pattern"),
        (row("order.*", r"^order\.[^\.]+$", &long), "name-too-long"),
    ];
    for (member, _) in &rows {
        let add = Command::SAdd { key: layout.binding_table("orders"), member: member.clone() };
        run(&executor, vec![add]).await;
    }
    let host = host(executor);
    let table = host.table(None).await.expect("a table");
    let mut found: Vec<&str> = table.quarantine.iter().map(|row| row.reason.code()).collect();
    let mut expected: Vec<&str> = rows.iter().map(|(_, code)| *code).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(table.quarantine.iter().any(|bad| bad.row == "no separators" && bad.exchange == "orders"));
    let sent = host.publish(&Outgoing::new("orders", "order.paid", Envelope::text("x"))).await.expect("sent");
    assert_eq!(sent.queues, ["good"]);
}

/// Who asks for everything gets the others, and who publishes there is refused; so is a change that would have to look
/// into it.
async fn a_table_of_another_type_stops_who_needs_it(executor: impl Executor) {
    let layout = Layout::default();
    let plus = Command::ZAdd { key: layout.binding_table("plus"), score: 1.0, member: "x".into() };
    run(&executor, vec![plus]).await;
    executor
        .run(&plan::bind(&layout, "orders", &Member::plain("k", "good")).expect("a plan"))
        .await
        .expect("bound");
    let host = host(executor);
    let table = host.table(None).await.expect("a table");
    let (named, router) = (&table.quarantine[0], &table.router);
    assert_eq!((&*named.exchange, named.reason.code(), table.quarantine.len()), ("plus", "table-type", 1));
    assert!(
        named
            .to_string()
            .starts_with("the table of exchange `plus` is ignored: `_kombu.binding.plus` is a zset")
    );
    assert!(router.exchange("orders").is_some() && router.exchange("plus").is_none());
    let send = |exchange: &str| Outgoing::new(exchange, "k", Envelope::text("x"));
    assert_eq!(host.publish(&send("orders")).await.expect("sent").queues, ["good"]);
    assert_eq!(host.publish(&send("plus")).await.expect_err("a zset").code(), "table-type");
    let error = host.apply(&support::operations::queue("q")).await.expect_err("a zset");
    assert_eq!(error.code(), "table-type");
}

async fn an_imported_topology_routes_as_the_file(executor: impl Executor) {
    let file = load::read(support::shop().as_ref(), None, &load::Limits::default()).expect("the shop");
    let host = host(executor);
    host.import(&file.topology, Dialect::Amqp).await.expect("imported");
    let fixed = Host::fixed(Memory::new(), Layout::default(), file.router);
    let mut loaded = Topology::of(&host.table(None).await.expect("a table").router);
    assert_eq!(loaded.bindings.len(), file.topology.bindings.len());
    loaded.queues.retain(|queue| !queue.name.is_empty());
    assert_eq!(loaded.queues.len(), file.topology.queues.len());
    let headers =
        serde_json::from_str(r#"{"format": "pdf", "delivery": "post", "priority": 9}"#).expect("headers");
    for (exchange, key) in [
        ("shop.orders", "order.eu.paid"),
        ("shop.orders", "order.apac.shipped"),
        ("shop.orders", "order.uk.cancelled"),
        ("shop.orders", "order"),
        ("shop.invoices", ""),
        ("shop.payments", "card"),
        ("shop.payments", "cash"),
        ("shop.audit", ""),
    ] {
        let mut outgoing = Outgoing::new(exchange, key, Envelope::text("x"));
        outgoing.headers = serde_json::from_value(serde_json::Value::clone(&headers)).expect("headers");
        let mut ours = host.publish(&outgoing).await.expect("published").queues;
        let mut theirs = fixed.publish(&outgoing).await.expect("published").queues;
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "{exchange} {key}");
        assert!(!ours.is_empty(), "{exchange} {key}");
        for queue in &ours {
            assert!(host.get(queue).await.expect("got").is_some(), "{queue}");
        }
    }
}

async fn an_abandoned_table_is_no_exchange(executor: impl Executor) {
    let host = host(executor);
    let error =
        host.publish(&Outgoing::new("gone", "k", Envelope::text("x"))).await.expect_err("no exchange");
    assert_eq!(error.code(), "exchange-not-found");
}

async fn any_tag_can_be_acked(executor: impl Executor) {
    for tag in [r#""caf\u00e9""#, "\"caf\u{e9}\"", "7", r#""a#b""#, r#""\u0000""#, r#""""#] {
        let payload =
            format!(r#"{{"body": "eA==", "headers": {{}}, "properties": {{"delivery_tag": {tag}}}}}"#);
        let push = Command::LPush { key: "q".into(), value: payload.clone().into_bytes() };
        run(&executor, vec![push]).await;
        let (layout, queues) = (Layout::default(), ["q".to_owned()]);
        let mut taken = executor.take(&Take::one(&layout, &queues, "o")).await.expect("taken");
        let Some(Taken::Message { delivery, payload: same, .. }) = taken.pop() else {
            panic!("{tag}: {taken:?}")
        };
        assert_eq!(same, payload.as_bytes());
        executor.run(&plan::ack(&layout, &delivery)).await.expect("acked");
        assert!(!is_held(&executor).await, "{tag}");
    }
}

async fn the_default_exchange_takes_any_queue(executor: impl Executor) {
    let host = host(executor);
    let mut outgoing = Outgoing::new("", "a", Envelope::text("x"));
    outgoing.headers = serde_json::from_str(r#"{"CC": ["b", "a"], "BCC": ["c"], "n": 1}"#).expect("headers");
    assert_eq!(host.route(&outgoing).await.expect("routed").queues, ["a", "b", "c"]);
    assert_eq!(host.publish(&outgoing).await.expect("published").queues, ["a", "b", "c"]);
    let message = host.get("c").await.expect("got").expect("a message");
    assert_eq!(message.headers.keys().collect::<Vec<_>>(), ["CC", "n"]);
    let long = Outgoing::new("", &"k".repeat(256), Envelope::text("x"));
    assert_eq!(host.publish(&long).await.expect_err("too long").code(), "key-too-long");
}

/// Kombu calls them `amq.gen-…`, though AMQP reserves such names.
async fn queues_without_a_name_of_their_own_are_queues(executor: impl Executor) {
    let layout = Layout::default();
    let member = Member::plain("k", "amq.gen-1");
    executor.run(&plan::bind(&layout, "direct", &member).expect("a plan")).await.expect("bound");
    let host = host(executor);
    for (exchange, key) in [("direct", "k"), ("", "amq.gen-1")] {
        let sent = host.publish(&Outgoing::new(exchange, key, Envelope::text("x"))).await.expect("sent");
        assert_eq!(sent.queues, ["amq.gen-1"]);
    }
    assert!(host.table(None).await.expect("a table").quarantine.is_empty());
}
