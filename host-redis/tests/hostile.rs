//! What strangers leave in Redis, seen by a consumer: nothing of it is decoded that should not be, gets lost, or stops
//! the others.

mod support;

use std::time::Duration;

use keyrail_core::kombu::{Command, Envelope, Layout, Plan};
use keyrail_redis::{
    Body, Consumer, ConsumerOptions, Delivery, Executor, Host, Memory, Next, Redis, RedisOptions, Reply,
    Requeue, SimpleQueue, Take, load, quarantine_list,
};
use support::{PATIENCE, RedisServer, on_both};

fn hosted<E: Executor>(executor: E) -> Host<E> {
    Host::from_tables(executor, Layout::default(), load::Options::default())
}

async fn run(executor: &impl Executor, commands: Vec<Command>) {
    executor.run(&Plan { atomic: false, commands }).await.expect("run");
}

async fn push(executor: &impl Executor, list: &str, payload: &[u8]) {
    run(executor, vec![Command::LPush { key: list.into(), value: payload.to_vec() }]).await;
}

async fn good(executor: &impl Executor) {
    push(executor, "q", &Envelope::text("good").to_bytes("", "q", "good")).await;
}

async fn next(consumer: &mut Consumer) -> Delivery {
    match consumer.next(PATIENCE).await.expect("taken") {
        Next::Delivery(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

fn consumer<E: Executor>(host: &Host<E>, visibility_timeout: Duration) -> Consumer {
    let options = ConsumerOptions { visibility_timeout, ..ConsumerOptions::default() };
    host.consumer(vec!["q".into()], options).expect("a consumer")
}

const HOUR: Duration = Duration::from_secs(3600);

/// However much there is, it is taken as it is read of, and not into memory.
async fn poison_waits_in_redis_for_its_reader(executor: impl Executor) {
    const COUNT: usize = 600;
    let host = hosted(executor);
    for (no_ack, prefetch) in [(false, 8), (true, 8), (false, 0)] {
        let poison = Command::LPush { key: "q".into(), value: b"poison".to_vec() };
        run(host.executor(), vec![poison; COUNT]).await;
        good(host.executor()).await;
        let options = ConsumerOptions { no_ack, prefetch, ..ConsumerOptions::default() };
        let mut consumer = host.consumer(vec!["q".into()], options).expect("a consumer");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let left = usize::try_from(host.count("q").await.expect("count")).expect("a count");
        let most = if prefetch == 0 { 256 } else { prefetch };
        assert!((COUNT + 1 - most..=COUNT).contains(&left), "{left} left");
        for _ in 0..COUNT {
            let event = consumer.next(PATIENCE).await.expect("an event");
            assert!(matches!(event, Next::Quarantined { .. }), "{event:?}");
        }
        assert!(next(&mut consumer).await.ack().await.expect("acked"));
        consumer.close().await.expect("closed");
    }
}

/// Whoever gets one message at a time gets the next good one.
async fn a_simple_queue_goes_on_behind_poison(executor: impl Executor) {
    let host = hosted(executor);
    let mut queue = SimpleQueue::open(&host, "q").await.expect("a queue");
    let poison = Command::LPush { key: "q".into(), value: b"poison".to_vec() };
    run(host.executor(), vec![poison; 3]).await;
    good(host.executor()).await;
    let got = queue.get(PATIENCE).await.expect("got").expect("a message");
    assert!(got.ack().await.expect("acked"));
}

/// Bodies that only a decoder could make dangerous, and codecs that nobody has.
async fn what_nobody_should_decode_comes_as_bytes(executor: impl Executor) {
    let host = hosted(executor);
    let body = b"cos\nsystem\n(S'touch /tmp/keyrail-was-here'\ntR.";
    let strange = |content_type: &str, encoding: &str| {
        Envelope::bytes(*body).content_type(content_type).content_encoding(encoding)
    };
    let envelopes = [
        strange("application/x-python-serialize", "binary"),
        strange("application/x-python-serialize", "utf-8"),
        strange("application/x-yaml", "utf-8"),
        strange("application/x-nobody-knows", "x-nobody-knows"),
        strange("application/json", "utf-8").header("compression", "rot13"),
        strange("application/json", "utf-8").header("compression", "application/x-gzip"),
        strange("application/json", "utf-8").header("compression", 7),
    ];
    // Each says why it is bytes.
    let reasons = [
        "content-type-not-decoded",
        "content-type-not-decoded",
        "content-type-not-decoded",
        "content-type-not-decoded",
        "unknown-compression",
        "corrupt-compression",
        "unknown-compression",
    ];
    for (n, envelope) in envelopes.iter().enumerate() {
        push(host.executor(), "q", &envelope.to_bytes("", "q", &format!("t{n}"))).await;
    }
    good(host.executor()).await;
    let mut consumer = consumer(&host, HOUR);
    for (envelope, reason) in envelopes.iter().zip(reasons) {
        let delivery = next(&mut consumer).await;
        let message = delivery.message();
        assert_eq!(message.body, Body::Bytes(body.to_vec()), "{envelope:?}");
        assert_eq!(message.undecoded.expect("a reason").code(), reason, "{envelope:?}");
        assert!(delivery.ack().await.expect("acked"));
    }
    let good = next(&mut consumer).await.message();
    assert_eq!((good.body.as_text(), good.undecoded), (Some("good"), None));
}

/// A priority below zero, beyond nine, or none at all: the lists of Kombu's steps, and back to the same one.
async fn priorities_beyond_the_steps_keep_their_list(executor: impl Executor) {
    let host = hosted(executor);
    for (priority, list) in [
        ("-5", "q"),
        ("-9223372036854775808", "q"),
        ("255", "q\x06\x169"),
        ("1e300", "q\x06\x169"),
        ("\"high\"", "q"),
        ("{}", "q"),
    ] {
        let payload = format!(
            r#"{{"body": "eA==", "content-type": "text/plain", "properties": {{"body_encoding": "base64", "delivery_tag": "t", "priority": {priority}}}}}"#
        );
        push(host.executor(), list, payload.as_bytes()).await;
        let mut consumer = consumer(&host, HOUR);
        let delivery = next(&mut consumer).await;
        assert!(delivery.requeue(Requeue::Last).await.expect("requeued"), "{priority}");
        consumer.close().await.expect("closed");
        let length = Plan { atomic: false, commands: vec![Command::LLen { key: list.into() }] };
        let length = host.executor().run(&length).await.expect("counted");
        assert_eq!(length, [Reply::Count(1)], "{priority} goes back to {list:?}");
        run(host.executor(), vec![Command::Del { key: list.into() }]).await;
    }
}

/// Kombu writes its own clock's time into the register, and no two clocks agree. One that goes ahead delays a restore, one
/// that goes behind hastens it; ours is the server's, and what we hold is not touched by either.
async fn clocks_that_disagree_lose_nothing(executor: impl Executor) {
    let host = hosted(executor);
    good(host.executor()).await;
    let mut consumer = consumer(&host, HOUR);
    let held = next(&mut consumer).await;
    let now = host.executor().now().await.expect("a clock");
    let record = |tag: &str| {
        let payload = Envelope::text(tag).to_bytes("", "other", tag);
        [&b"["[..], &payload, br#", "", "other"]"#].concat()
    };
    let layout = Layout::default();
    for (tag, score) in [
        ("ahead", now + 86_400.0),
        ("far-ahead", f64::INFINITY),
        ("behind", now - 86_400.0),
        ("far-behind", f64::NEG_INFINITY),
        ("before-1970", -5.0),
    ] {
        run(
            host.executor(),
            vec![
                Command::HSet { key: layout.unacked(), field: tag.into(), value: record(tag) },
                Command::ZAdd { key: layout.unacked_index(), score, member: tag.into() },
            ],
        )
        .await;
    }
    assert_eq!(host.restore(HOUR).await.expect("restored").restored, 3);
    let mut restored = Vec::new();
    while let Some(message) = host.get("other").await.expect("got") {
        restored.push(message.body.as_text().expect("text").to_owned());
    }
    restored.sort_unstable();
    assert_eq!(restored, ["before-1970", "behind", "far-behind"]);
    // What is ahead waits, and can be settled by who holds it.
    let left: Vec<String> = host
        .executor()
        .hash(&layout.unacked())
        .await
        .expect("read")
        .into_iter()
        .map(|field| field.0)
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
    let ahead = ["ahead".to_owned(), "far-ahead".to_owned()];
    assert_eq!(host.executor().settle(&layout, &ahead).await.expect("settled"), [true, true]);
    assert!(held.ack().await.expect("acked"), "ours was not touched");
}

/// A tag of a megabyte, a body that nests without end, a message of one field that is all of it.
async fn shapes_without_measure_go_their_way(executor: impl Executor) {
    let host = hosted(executor);
    let long = "t".repeat(1 << 20);
    push(host.executor(), "q", &Envelope::text("long tag").to_bytes("", "q", &long)).await;
    let nested = format!(
        r#"{{"properties": {{"delivery_tag": "t"}}, "body": {}1{}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    push(host.executor(), "q", nested.as_bytes()).await;
    let wide =
        format!(r#"{{"properties": {{"delivery_tag": "t", {}"x": 1}}}}"#, r#""x": 1, "#.repeat(50_000));
    push(host.executor(), "q", wide.as_bytes()).await;
    good(host.executor()).await;
    let mut consumer = consumer(&host, HOUR);
    let (mut texts, mut quarantined) = (Vec::new(), 0);
    while texts.len() + quarantined < 4 {
        match consumer.next(PATIENCE).await.expect("an event") {
            Next::Delivery(delivery) => {
                // In Redis the name is a key's field, and written several times.
                let in_redis = host.executor().describe().starts_with("redis");
                assert!(!in_redis || delivery.id().len() < 1000, "{} bytes", delivery.id().len());
                texts.push(delivery.message().body.as_text().expect("text").to_owned());
                assert!(delivery.ack().await.expect("acked"));
            }
            Next::Quarantined { .. } => quarantined += 1,
            Next::Idle => panic!("{texts:?}, {quarantined} in quarantine"),
        }
    }
    assert_eq!((texts, quarantined), (vec!["long tag".to_owned(), "good".into()], 2));
}

/// The script that takes reads a tag at the end of an envelope without decoding it, so that Redis hands out what only ends
/// like one. Its reader puts it aside: a consumer's, a getter's, and after a restore the next one's.
async fn what_only_ends_like_an_envelope_is_put_aside(executor: impl Executor) {
    let host = hosted(executor);
    let list = quarantine_list(host.layout(), "q");
    let end =
        r#", "properties": {"delivery_info": {}, "delivery_tag": "11111111-2222-4333-8444-555555555555"}}"#;
    let bad = [
        r#"{"headers": {}, "body": "eA"#,
        r#"{"headers": {}, "body": NaN"#,
        r#"no object, "headers": {}"#,
        r#"{"headers": {"#,
    ]
    .map(|begin| format!("{begin}{end}"));
    for payload in &bad {
        push(host.executor(), "q", payload.as_bytes()).await;
    }
    good(host.executor()).await;
    let queues = ["q".to_owned()];
    let take =
        Take { layout: host.layout(), queues: &queues, limit: 9, in_turn: true, owner: Some("dead.0") };
    assert_eq!(host.executor().take(&take).await.expect("taken").len(), 5);
    let restored = host.restore(Duration::ZERO).await.expect("restored");
    // In memory all of them are aside already; in Redis what does not begin like one either.
    let in_redis = host.executor().describe().starts_with("redis");
    assert_eq!((restored.restored, restored.left_count), (if in_redis { 4 } else { 1 }, 0));
    let mut consumer = consumer(&host, HOUR);
    for _ in 0..restored.restored {
        match consumer.next(PATIENCE).await.expect("an event") {
            Next::Quarantined { queue, list: to, .. } => assert_eq!((&*queue, &to), ("q", &list)),
            Next::Delivery(good) => assert_eq!(good.requeue(Requeue::Last).await, Ok(true)),
            Next::Idle => panic!("they do not come"),
        }
    }
    consumer.close().await.expect("closed");
    run(host.executor(), vec![Command::RPush { key: "q".into(), value: bad[0].clone().into_bytes() }]).await;
    assert_eq!(host.get("q").await.expect("got").expect("the good one").body.as_text(), Some("good"));
    assert_eq!(host.get("q").await.expect("got"), None);
    assert_eq!(host.executor().keys("").await.expect("keys"), [&*list]);
    let pops = vec![Command::RPop { key: list }; 6];
    let replies = host.executor().run(&Plan { atomic: false, commands: pops }).await.expect("popped");
    let mut aside: Vec<_> = replies
        .into_iter()
        .filter_map(|reply| match reply {
            Reply::Value(payload) => payload,
            other => panic!("{other:?}"),
        })
        .collect();
    aside.sort_unstable();
    let mut expected = [&bad[..], &bad[..1]].concat();
    expected.sort_unstable();
    assert_eq!(aside, expected.into_iter().map(String::into_bytes).collect::<Vec<_>>(), "byte for byte");
}

on_both!(
    what_only_ends_like_an_envelope_is_put_aside,
    what_nobody_should_decode_comes_as_bytes,
    priorities_beyond_the_steps_keep_their_list,
    clocks_that_disagree_lose_nothing,
    shapes_without_measure_go_their_way,
    poison_waits_in_redis_for_its_reader,
    a_simple_queue_goes_on_behind_poison,
    a_simple_queue_says_what_it_could_not_put,
);

/// A reader of JSON makes thirty times its size of it, and Redis' limit of memory knows nothing of what scripts take.
#[tokio::test]
async fn a_giant_is_not_decoded_on_the_server() {
    let server = RedisServer::start();
    let redis = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis").0;
    let parts = "{},".repeat(2 << 20);
    let payload = format!(
        r#"{{"body": "x", "headers": {{"a": [{parts}{{}}]}}, "properties": {{"delivery_tag": "giant"}}}}"#
    );
    push(&redis, "q", payload.as_bytes()).await;
    push(&redis, "q", format!("{{{}", "x".repeat(2 << 20)).as_bytes()).await;
    push(&redis, "q", "x".repeat(2 << 20).as_bytes()).await;
    good(&redis).await;
    let host = hosted(redis);
    let mut consumer = consumer(&host, HOUR);
    let giant = next(&mut consumer).await;
    assert_eq!(giant.payload().len(), payload.len());
    assert!(giant.ack().await.expect("acked"));
    let mut aside = 0;
    let good = loop {
        match consumer.next(PATIENCE).await.expect("taken") {
            Next::Quarantined { .. } => aside += 1,
            Next::Delivery(delivery) => break delivery,
            Next::Idle => panic!("nothing came"),
        }
    };
    assert!(good.ack().await.expect("acked"));
    while aside < 2 {
        assert!(matches!(consumer.next(PATIENCE).await, Ok(Next::Quarantined { .. })));
        aside += 1;
    }
    consumer.close().await.expect("closed");
    assert_eq!(server.command(&["LLEN", "keyrail.quarantine.q"]), ":2\r\n");
    let memory = server.command(&["INFO", "memory"]);
    let lua = memory.lines().find_map(|line| line.strip_prefix("used_memory_lua:")).expect("a figure");
    let lua: u64 = lua.trim().parse().expect("a number");
    assert!(lua < 32 << 20, "{lua} bytes");
}

/// A put that the server refuses has put nothing.
async fn a_simple_queue_says_what_it_could_not_put(executor: impl Executor) {
    let host = hosted(executor);
    let queue = SimpleQueue::open(&host, "q").await.expect("a queue");
    let hash = Command::HSet { key: "q".into(), field: "no".into(), value: b"list".to_vec() };
    run(host.executor(), vec![hash]).await;
    let error = queue.put(&Envelope::text("x")).await.expect_err("no list");
    assert_eq!(error.code(), "wrong-type");
    assert!(error.to_string().contains("`q`"), "{error}");
    run(host.executor(), vec![Command::Del { key: "q".into() }]).await;
    queue.put(&Envelope::text("x")).await.expect("put");
    assert_eq!(queue.qsize().await.expect("a count"), 1);
}
