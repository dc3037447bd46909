//! Putting back what others left behind: keyrail's deliveries and Kombu's, whatever stands in the register.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use keyrail_core::{
    Dialect, ExchangeKind,
    kombu::{Command, Envelope, Layout, Member, Plan, Priority, plan},
};
use keyrail_redis::{
    Consumer, ConsumerOptions, Delivery, Executor, Held, Host, Memory, Next, PutBack, Redis, RedisOptions,
    Reply, Requeue, Restore, RestoreOptions, Take, load,
};
use support::{PATIENCE, RedisServer, on_both};

on_both!(
    kombus_deliveries_go_where_their_exchange_leads,
    what_leads_nowhere_stays_and_is_named,
    a_restore_respects_kombus_lock,
    a_restore_without_its_lock_moves_nothing,
    every_step_of_a_restore_takes_its_lock_anew,
    a_time_without_a_record_is_forgotten,
    a_record_that_came_after_the_reading_stays,
    what_is_gone_is_gone_whatever_its_list_is,
    a_delivery_that_was_touched_meanwhile_stays,
    a_list_of_another_type_keeps_its_delivery_registered,
    every_priority_finds_its_list,
    names_of_many_commas_find_their_list,
    more_than_one_step_of_what_stays_hides_nothing,
    an_exchange_that_cannot_be_read_keeps_nothing_else_from_going_back,
    no_more_is_restored_than_the_limit_says,
    what_a_kombu_puts_back_is_marked_and_not_counted,
    a_kombu_listeners_delivery_is_left_alone_where_its_exchange_is_known,
    a_register_of_another_type_is_named,
);

const HOUR: Duration = Duration::from_secs(3600);

fn host<E: Executor>(executor: E) -> Host<E> {
    Host::from_tables(executor, Layout::default(), load::Options::default())
}

async fn run(executor: &impl Executor, commands: Vec<Command>) -> Vec<Reply> {
    executor.run(&Plan { commands, atomic: false }).await.expect("replies")
}

/// A delivery in the register since two hours, with this record.
async fn left(executor: &impl Executor, delivery: &str, record: &str) {
    let layout = Layout::default();
    let score = executor.now().await.expect("now") - 7200.0;
    run(
        executor,
        vec![
            Command::ZAdd { key: layout.unacked_index(), score, member: delivery.into() },
            Command::HSet { key: layout.unacked(), field: delivery.into(), value: record.into() },
        ],
    )
    .await;
}

/// As Kombu writes it: under its tag, with exchange and key of the publish.
async fn left_by_kombu(executor: &impl Executor, exchange: &str, key: &str, tag: &str) {
    let payload = String::from_utf8(Envelope::text(tag).to_bytes(exchange, key, tag)).expect("text");
    left(executor, tag, &format!(r#"[{payload}, "{exchange}", "{key}"]"#)).await;
}

async fn bind(executor: &impl Executor, exchange: &str, member: &Member) {
    executor.run(&plan::bind(&Layout::default(), exchange, member).expect("a plan")).await.expect("bound");
}

async fn held(executor: &impl Executor) -> Vec<String> {
    executor.hash("unacked").await.expect("hash").into_iter().map(|(delivery, _)| delivery).collect()
}

async fn kombus_deliveries_go_where_their_exchange_leads(executor: impl Executor) {
    let topic = |key, queue| Member::topic(key, queue, Dialect::Kombu57).expect("a member");
    bind(&executor, "orders", &topic("order.*", "a")).await;
    bind(&executor, "orders", &topic("order.#", "b")).await;
    bind(&executor, "colours", &Member::plain("red", "c")).await;
    left_by_kombu(&executor, "orders", "order.paid", "t1").await;
    left_by_kombu(&executor, "colours", "red", "t2").await;
    left_by_kombu(&executor, "", "plain", "t3").await;
    let host = host(executor);
    let restored = host.restore(HOUR).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count), (3, 0));
    for (queue, tag) in [("a", "t1"), ("b", "t1"), ("c", "t2"), ("plain", "t3")] {
        let message = host.get(queue).await.expect("got").expect(queue);
        assert_eq!((message.body.as_text(), message.redelivered), (Some(tag), true));
        assert_eq!(message.headers["x-delivery-count"], 1);
    }
    assert!(held(host.executor()).await.is_empty());
}

async fn what_leads_nowhere_stays_and_is_named(executor: impl Executor) {
    bind(&executor, "colours", &Member::plain("red", "c")).await;
    left_by_kombu(&executor, "colours", "blue", "no-binding").await;
    left_by_kombu(&executor, "nobody-declared-this", "k", "no-exchange").await;
    for (delivery, record) in [
        ("no-json", "\u{1}"),
        ("no-address", r#"[{"body": ""}]"#),
        ("numbers", r#"[{"body": ""}, 1, 2]"#),
        ("no-object", r#"["x", "", "q"]"#),
        ("empty", ""),
    ] {
        left(&executor, delivery, record).await;
    }
    left_by_kombu(&executor, "", "good", "good").await;
    let host = host(executor);
    let restored = host.restore(HOUR).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count, restored.left.len()), (1, 7, 7));
    let reason = |name: &str| {
        let left = restored.left.iter().find(|left| left.delivery == name).expect(name);
        left.reason.to_string()
    };
    assert!(reason("no-binding").contains("`colours`") && reason("no-binding").contains("`blue`"));
    assert!(reason("no-address").contains("no message"));
    assert_eq!(held(host.executor()).await.len(), 7);
    // Once somebody binds a queue, it goes there.
    bind(host.executor(), "colours", &Member::plain("blue", "d")).await;
    assert_eq!(host.restore(HOUR).await.expect("restored").restored, 1);
    assert!(host.get("d").await.expect("got").is_some());
}

async fn a_restore_respects_kombus_lock(executor: impl Executor) {
    left_by_kombu(&executor, "", "q", "t").await;
    let host = host(executor);
    let (executor, layout) = (host.executor(), host.layout());
    assert!(executor.lock(layout, "kombu", Duration::from_secs(300)).await.expect("locked"));
    assert!(host.restore(HOUR).await.expect("restored").locked);
    assert_eq!(held(executor).await, ["t"]);
    executor.unlock(layout, "somebody else").await.expect("unlocked");
    assert!(host.restore(HOUR).await.expect("restored").locked);
    executor.unlock(layout, "kombu").await.expect("unlocked");
    assert_eq!(host.restore(HOUR).await.expect("restored").restored, 1);
    assert!(executor.lock(layout, "next", Duration::from_millis(1)).await.expect("the lock is free again"));
    // A restorer that died blocks nobody for ever.
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(executor.lock(layout, "other", HOUR).await.expect("locked"));
}

async fn a_restore_without_its_lock_moves_nothing(executor: impl Executor) {
    left_by_kombu(&executor, "", "q", "t").await;
    let layout = Layout::default();
    let held = Held { delivery: "t".into(), since: String::new(), record: None };
    let deliveries = [(held, vec!["q".to_owned()], b"x".to_vec())];
    let restore = Restore { layout: &layout, lock: Some(("mine", HOUR)), deliveries: &deliveries };
    assert_eq!(executor.restore(&restore).await.expect("an answer"), None);
    assert_eq!(executor.keys("q").await.expect("keys"), Vec::<String>::new());
}

/// However many steps it takes: the lock need not outlive more than one of them.
async fn every_step_of_a_restore_takes_its_lock_anew(executor: impl Executor) {
    let (layout, limit) = (Layout::default(), Duration::from_millis(300));
    assert!(executor.lock(&layout, "mine", limit).await.expect("locked"));
    let restore = Restore { layout: &layout, lock: Some(("mine", HOUR)), deliveries: &[] };
    assert_eq!(executor.restore(&restore).await.expect("an answer"), Some(Vec::new()));
    tokio::time::sleep(limit * 2).await;
    assert!(!executor.lock(&layout, "other", HOUR).await.expect("an answer"), "it has expired");
}

async fn a_time_without_a_record_is_forgotten(executor: impl Executor) {
    let time = Command::ZAdd { key: "unacked_index".into(), score: 1.0, member: "ghost".into() };
    run(&executor, vec![time]).await;
    let host = host(executor);
    let restored = host.restore(HOUR).await.expect("restored");
    assert_eq!((restored.restored, restored.gone), (0, 1));
    assert_eq!(host.executor().keys("unacked").await.expect("keys"), Vec::<String>::new());
}

/// Whoever read a time without a record knows no list to put it into.
async fn a_record_that_came_after_the_reading_stays(executor: impl Executor) {
    left_by_kombu(&executor, "", "q", "t").await;
    let layout = Layout::default();
    let held = Held { delivery: "t".into(), since: String::new(), record: None };
    let deliveries = [(held, Vec::new(), Vec::new())];
    let restore = Restore { layout: &layout, lock: None, deliveries: &deliveries };
    assert_eq!(executor.restore(&restore).await.expect("an answer"), Some(vec![PutBack::Gone]));
    assert_eq!(executor.keys("").await.expect("keys"), ["unacked", "unacked_index"]);
}

async fn what_is_gone_is_gone_whatever_its_list_is(executor: impl Executor) {
    run(&executor, vec![Command::ZAdd { key: "bad".into(), score: 1.0, member: "m".into() }]).await;
    let layout = Layout::default();
    let held = Held { delivery: "t".into(), since: String::new(), record: None };
    let deliveries = [(held, vec!["bad".to_owned()], b"x".to_vec())];
    let restore = Restore { layout: &layout, lock: None, deliveries: &deliveries };
    assert_eq!(executor.restore(&restore).await.expect("an answer"), Some(vec![PutBack::Gone]));
}

async fn a_delivery_that_was_touched_meanwhile_stays(executor: impl Executor) {
    left_by_kombu(&executor, "", "q", "t").await;
    let layout = Layout::default();
    let before = executor.now().await.expect("now");
    let overdue = keyrail_redis::Overdue { layout: &layout, before, skip: 0, limit: 10 };
    let mut read = executor.overdue(&overdue).await.expect("read");
    executor.touch(&layout, &["t".to_owned(), "unknown".to_owned()]).await.expect("touched");
    let all = keyrail_redis::Overdue { before: f64::MAX, ..overdue };
    assert_eq!(executor.overdue(&all).await.expect("read").len(), 1, "what is not registered gets no time");
    let held = read.pop().expect("one");
    let deliveries = [(held, vec!["q".to_owned()], b"x".to_vec())];
    let restore = Restore { layout: &layout, lock: None, deliveries: &deliveries };
    assert_eq!(executor.restore(&restore).await.expect("an answer"), Some(vec![PutBack::Gone]));
    assert_eq!(executor.keys("").await.expect("keys"), ["unacked", "unacked_index"]);
    assert_eq!(executor.overdue(&overdue).await.expect("read"), []);
}

async fn a_list_of_another_type_keeps_its_delivery_registered(executor: impl Executor) {
    run(&executor, vec![Command::ZAdd { key: "bad".into(), score: 1.0, member: "m".into() }]).await;
    left_by_kombu(&executor, "", "bad", "t1").await;
    left_by_kombu(&executor, "", "good", "t2").await;
    let host = host(executor);
    let restored = host.restore(HOUR).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count), (1, 1));
    assert!(restored.left[0].reason.contains("`bad`"), "{restored:?}");
    assert_eq!(held(host.executor()).await, ["t1"]);
}

async fn every_priority_finds_its_list(executor: impl Executor) {
    let (host, layout) = (host(executor), Layout::default());
    for (priority, list) in
        [("-5", 0), ("255", 9), ("\"7\"", 7), ("4.9", 4), ("null", 0), ("[]", 0), ("\"x\"", 0), ("NaN", 0)]
    {
        let payload =
            format!(r#"{{"body": "", "properties": {{"priority": {priority}, "delivery_tag": "t"}}}}"#);
        left(host.executor(), "t", &format!(r#"[{payload}, "", "q"]"#)).await;
        assert_eq!(host.restore(HOUR).await.expect("restored").restored, 1);
        let key = layout.list("q", Priority::new(list));
        assert_eq!(host.executor().keys("q").await.expect("keys"), [key.as_str()], "{priority}");
        run(host.executor(), vec![Command::Del { key }]).await;
    }
}

async fn more_than_one_step_of_what_stays_hides_nothing(executor: impl Executor) {
    for n in 0..300 {
        left(&executor, &format!("bad-{n}"), "no record").await;
    }
    let layout = Layout::default();
    let payload = String::from_utf8(Envelope::text("x").to_bytes("", "q", "t")).expect("text");
    run(
        &executor,
        vec![
            Command::ZAdd { key: layout.unacked_index(), score: 5.0, member: "oldest".into() },
            Command::HSet {
                key: layout.unacked(),
                field: "oldest".into(),
                value: format!(r#"[{payload}, "", "q"]"#).into_bytes(),
            },
        ],
    )
    .await;
    let restored = host(executor).restore(HOUR).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count, restored.left.len()), (1, 300, 10));
}

async fn an_exchange_that_cannot_be_read_keeps_nothing_else_from_going_back(executor: impl Executor) {
    let time = |key: &str| Command::ZAdd { key: key.into(), score: 1.0, member: "m".into() };
    run(&executor, vec![time("_kombu.binding.theirs")]).await;
    bind(&executor, "colours", &Member::plain("red", "c")).await;
    left_by_kombu(&executor, "theirs", "k", "t1").await;
    left_by_kombu(&executor, "theirs", "k", "t2").await;
    left_by_kombu(&executor, "colours", "red", "t3").await;
    left_by_kombu(&executor, "", "plain", "t4").await;
    let host = host(executor);
    let restored = host.restore(HOUR).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count), (2, 2));
    assert!(restored.left[0].reason.contains("`_kombu.binding.theirs`"), "{restored:?}");
    assert_eq!(held(host.executor()).await, ["t1", "t2"]);
    // An entry of keyrail's own that is none stops what needs it, and nothing else.
    let entry = Command::HSet { key: "keyrail.queue".into(), field: "q".into(), value: b"none".to_vec() };
    run(host.executor(), vec![entry]).await;
    left_by_kombu(host.executor(), "", "plain", "t5").await;
    let restored = host.restore(HOUR).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count), (1, 2));
    assert!(restored.left[0].reason.contains("keyrail.queue"), "{restored:?}");
}

async fn no_more_is_restored_than_the_limit_says(executor: impl Executor) {
    left(&executor, "bad", "no record").await;
    for n in 0..5 {
        left_by_kombu(&executor, "", "q", &format!("t{n}")).await;
    }
    let host = host(executor);
    let options = RestoreOptions { limit: Some(3), ..RestoreOptions::default() };
    // The youngest are looked at first.
    let restored = host.restore_with(&options).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count), (3, 0));
    let restored = host.restore_with(&options).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count), (2, 1));
    assert_eq!(host.count("q").await.expect("a count"), 5);
}

/// A record is cut at a comma, and names may have any number of them.
async fn names_of_many_commas_find_their_list(executor: impl Executor) {
    let layout = Layout::default();
    let queue = format!("q{}", ", \\\",".repeat(50));
    let key = ",".repeat(40);
    bind(&executor, "e,,,", &Member::plain(&key, "theirs")).await;
    left_by_kombu(&executor, "e,,,", &key, "kombu").await;
    for body in ["ours", "ours too"] {
        let payload = Envelope::text(body).to_bytes("", &queue, body);
        run(&executor, vec![Command::LPush { key: queue.clone(), value: payload }]).await;
    }
    let queues = [queue.clone()];
    let take = Take { layout: &layout, queues: &queues, limit: 2, in_turn: true, owner: Some("dead") };
    assert_eq!(executor.take(&take).await.expect("taken").len(), 2);
    let host = host(executor);
    tokio::time::sleep(Duration::from_millis(2)).await;
    let restored = host.restore(Duration::from_millis(1)).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count), (3, 0), "{:?}", restored.left);
    let mut bodies = Vec::new();
    for queue in [&*queue, &queue, "theirs"] {
        let message = host.get(queue).await.expect("got").expect("a message");
        assert!(message.redelivered);
        bodies.push(message.body.as_text().expect("text").to_owned());
    }
    // Those of one batch were taken at one time.
    bodies.sort_unstable();
    assert_eq!(bodies, ["kombu", "ours", "ours too"]);
    assert!(held(host.executor()).await.is_empty());
}

/// Nobody who speaks the protocol writes such names; whoever does must not hide what is older.
#[tokio::test]
async fn names_that_are_no_text_hide_nothing() {
    let server = RedisServer::start();
    let redis = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis").0;
    left_by_kombu(&redis, "", "q", "oldest").await;
    let client = ::redis::Client::open(server.url()).expect("a URL");
    let mut raw = client.get_multiplexed_async_connection().await.expect("Redis");
    let score = redis.now().await.expect("now") - 7000.0;
    let payload = Envelope::text("x").to_bytes("", "q", "t");
    let record = [b"[", &payload[..], br#", "", "q"]"#].concat();
    for n in 0..300u16 {
        let name = [b"\xff\xfe".as_slice(), &n.to_be_bytes()].concat();
        let mut both = ::redis::pipe();
        both.zadd("unacked_index", &name, score).hset("unacked", &name, &record);
        both.query_async::<()>(&mut raw).await.expect("written");
    }
    let host = host(redis);
    let restored = host.restore(HOUR).await.expect("restored");
    assert_eq!((restored.restored, restored.left_count), (301, 0));
    assert_eq!(server.command(&["EXISTS", "unacked", "unacked_index"]), ":0\r\n");
}

/// Kombu's restore sets the two marks of a redelivery and counts nothing, however often.
async fn what_a_kombu_puts_back_is_marked_and_not_counted(executor: impl Executor) {
    let (host, layout) = (host(executor), Layout::default());
    let payload = Envelope::text("x").to_bytes("", "q", "t");
    run(host.executor(), vec![Command::LPush { key: "q".into(), value: payload }]).await;
    let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
    let mut delivery = next(&mut consumer).await;
    assert_eq!((delivery.redelivered(), delivery.delivery_count()), (false, 0));
    // Ours count on from what they find; after a Kombu alone it is one.
    for (by_kombu, expected) in [(true, 1), (true, 1), (false, 1), (false, 2), (true, 2)] {
        if by_kombu {
            let mut message: serde_json::Value = serde_json::from_slice(delivery.payload()).expect("JSON");
            message["headers"]["redelivered"] = true.into();
            message["properties"]["delivery_info"]["redelivered"] = true.into();
            let (field, member) = (delivery.id().to_owned(), delivery.id().to_owned());
            let commands = vec![
                Command::HDel { key: layout.unacked(), field },
                Command::ZRem { key: layout.unacked_index(), member },
                Command::RPush { key: "q".into(), value: message.to_string().into_bytes() },
            ];
            run(host.executor(), commands).await;
            // Too late: it is somebody else's.
            delivery.ack().await.expect("settled");
        } else {
            assert!(delivery.requeue(Requeue::Front).await.expect("requeued"));
        }
        delivery = next(&mut consumer).await;
        assert!(delivery.redelivered());
        assert_eq!(delivery.delivery_count(), expected, "by a Kombu: {by_kombu}");
    }
    assert!(delivery.ack().await.expect("acked"));
}

async fn next(consumer: &mut Consumer) -> Delivery {
    match consumer.next(PATIENCE).await.expect("a message") {
        Next::Delivery(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

/// A fanout listener of Kombu's that acks and was killed: its queue is a name for its subscription, and nobody reads a list
/// of that name. Nothing in Redis tells that its exchange is a fanout.
async fn a_kombu_listeners_delivery_is_left_alone_where_its_exchange_is_known(executor: impl Executor) {
    let row = Member::plain("", "amq.gen-listener");
    bind(&executor, "news", &row).await;
    left_by_kombu(&executor, "news", "", "t").await;
    let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
    let options = load::Options { kinds, ..load::Options::default() };
    let knows = Host::from_tables(executor, Layout::default(), options);
    let report = knows.restore(HOUR).await.expect("looked at");
    assert_eq!((report.restored, report.left_count), (0, 1));
    assert!(report.left[0].reason.contains("exchange `news` leads no queue"), "{:?}", report.left);
    assert_eq!(held(knows.executor()).await, ["t"]);
    let count = || async { knows.count("amq.gen-listener").await.expect("counted") };
    assert_eq!(count().await, 0);
    // Without that word it is what Kombu's restore does: into a list that nobody reads.
    let restore = knows.executor();
    let told = Command::HSet {
        key: "keyrail.exchange".into(),
        field: "news".into(),
        value: br#"{"name": "news", "kind": "direct"}"#.to_vec(),
    };
    run(restore, vec![told]).await;
    assert_eq!(knows.restore(HOUR).await.expect("restored").restored, 1);
    assert_eq!((count().await, held(restore).await.len()), (1, 0));
}

async fn a_register_of_another_type_is_named(executor: impl Executor) {
    run(&executor, vec![Command::SAdd { key: "unacked".into(), member: b"x".to_vec() }]).await;
    let error = host(executor).restore(HOUR).await.expect_err("no hash");
    assert_eq!(error.to_string(), "`unacked` holds another type than HGET needs");
    assert_eq!(error.code(), "wrong-type");
}

/// Kombu needs 3.56 s for 60 beside a client that acks in a loop, and 4,459 tries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_are_restored_beside_a_busy_writer() {
    const COUNT: usize = 10_000;
    let server = RedisServer::start();
    let connect = async || Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis").0;
    let (redis, layout) = (connect().await, Layout::default());
    bind(&redis, "colours", &Member::plain("red", "theirs")).await;
    let now = redis.now().await.expect("now");
    for part in 0..COUNT / 500 {
        let mut commands = Vec::new();
        for n in part * 500..(part + 1) * 500 {
            let (tag, since) = (format!("t{n}"), now - 20_000.0 + n as f64);
            if n % 2 == 0 {
                let payload = Envelope::text(&n.to_string()).to_bytes("", "ours", &tag);
                let delivery = plan::delivery(&tag, "dead.0.0", "ours");
                commands.extend(plan::register(&layout, &delivery, "ours", &payload, since).commands);
            } else {
                let payload = Envelope::text(&n.to_string()).to_bytes("colours", "red", &tag);
                let record = [b"[", &payload[..], br#", "colours", "red"]"#].concat();
                commands.push(Command::ZAdd {
                    key: layout.unacked_index(),
                    score: since,
                    member: tag.clone(),
                });
                commands.push(Command::HSet { key: layout.unacked(), field: tag, value: record });
            }
        }
        run(&redis, commands).await;
    }
    // Whoever watches the hash of unacked deliveries is disturbed by each of these.
    let (stop, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = tokio::spawn({
        let (redis, layout) = (connect().await, layout.clone());
        let (stop, writes) = (stop.clone(), writes.clone());
        async move {
            while !stop.load(Ordering::Relaxed) {
                redis.run(&plan::register(&layout, "busy", "busy", b"{}", now)).await.expect("registered");
                redis.run(&plan::ack(&layout, "busy")).await.expect("acked");
                writes.fetch_add(2, Ordering::Relaxed);
            }
        }
    });
    while writes.load(Ordering::Relaxed) < 10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let host = host(redis);
    let before = writes.load(Ordering::Relaxed);
    let started = Instant::now();
    let restored = host.restore(Duration::from_secs(1000)).await.expect("restored");
    let (took, written) = (started.elapsed(), writes.load(Ordering::Relaxed) - before);
    stop.store(true, Ordering::Relaxed);
    writer.await.expect("written");
    println!("{COUNT} restored in {took:?} beside {written} writes");
    assert_eq!((restored.restored, restored.gone, restored.left_count), (COUNT, 0, 0));
    assert!(written > 0);
    // The oldest is the next one.
    for (queue, first) in [("ours", "0"), ("theirs", "1")] {
        assert_eq!(host.count(queue).await.expect("count"), 5_000);
        let next = host.get(queue).await.expect("got").expect("a message");
        assert_eq!((next.body.as_text(), next.redelivered), (Some(first), true));
    }
    assert!(took < Duration::from_secs(60), "{took:?}");
}
