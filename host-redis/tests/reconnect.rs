//! Connections that break, servers that go away, messages as large as they come.

mod support;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use keyrail_core::{
    ExchangeKind,
    kombu::{Command, Envelope, Layout, Plan, plan},
};
use keyrail_redis::{
    Consumer, ConsumerOptions, DurableFanout, Executor, Host, News, Next, Outgoing, Redis, RedisOptions,
    SimpleQueue, Take, Taken, load,
};
use support::{
    PATIENCE, RedisServer,
    cluster::until,
    next,
    proxy::Proxy,
    put,
    trap::{ANSWER, Trap},
};

async fn connect(url: &str) -> Redis {
    Redis::connect(url, RedisOptions::default()).await.expect("Redis").0
}

async fn host(url: &str) -> Host<Redis> {
    let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
    let options = load::Options { kinds, ..load::Options::default() };
    Host::from_tables(connect(url).await, Layout::default(), options)
}

fn consumer(host: &Host<Redis>, options: ConsumerOptions) -> Consumer {
    host.consumer(vec!["q".into()], options).expect("a consumer")
}

#[tokio::test]
async fn a_consumer_goes_on_when_redis_is_back() {
    let mut redis = RedisServer::start_durable();
    let host = host(&redis.url()).await;
    let mut consumer = consumer(&host, ConsumerOptions::default());
    put(&host, "held").await;
    let held = next(&mut consumer).await;
    redis.restart();
    assert!(held.ack().await.expect("acked after all"), "it was registered in the file");
    let other = self::host(&redis.url()).await;
    put(&other, "after").await;
    let after = next(&mut consumer).await;
    assert_eq!(after.message().body.as_text(), Some("after"));
    assert!(after.ack().await.expect("acked"));
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
}

#[tokio::test]
async fn closing_ends_though_redis_is_gone() {
    let redis = RedisServer::start_durable();
    let host = host(&redis.url()).await;
    let mut consumer = consumer(&host, ConsumerOptions::default());
    put(&host, "held").await;
    let held = next(&mut consumer).await;
    drop(redis);
    let started = Instant::now();
    let error = consumer.close().await.expect_err("it could not be put back");
    assert!(started.elapsed() < Duration::from_secs(30), "{error}");
    assert_eq!(error.code(), "redis-timeout");
    assert_eq!(held.ack().await.expect_err("nobody to ask").code(), "consumer-closed");
}

/// Cut while it takes, a consumer does not know what it took; what it never saw goes back at once, not after an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cut_connection_took_is_not_stranded() {
    const COUNT: usize = 600;
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port);
    let (direct, cut) = (host(&redis.url()).await, host(&proxy.url()).await);
    let mut consumer = consumer(&cut, ConsumerOptions { prefetch: 8, ..ConsumerOptions::default() });
    let mut seen = BTreeMap::new();
    let mut settled = Vec::new();
    for n in 0..COUNT {
        put(&direct, &n.to_string()).await;
        if n % 15 == 0 {
            proxy.cut();
        }
        while let Ok(Next::Delivery(delivery)) = consumer.next(Duration::ZERO).await {
            *seen.entry(delivery.message().body.as_text().expect("text").to_owned()).or_insert(0) += 1;
            settled.push(delivery.ack());
        }
    }
    while seen.len() < COUNT {
        let delivery = next(&mut consumer).await;
        *seen.entry(delivery.message().body.as_text().expect("text").to_owned()).or_insert(0) += 1;
        settled.push(delivery.ack());
    }
    for settlement in settled {
        // Also where the answer to the first try was lost: nobody can have restored it so soon.
        assert!(settlement.await.expect("settled"));
    }
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    consumer.close().await.expect("closed");
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
}

/// The server did what it was asked, and nobody heard of it.
async fn until_registered(redis: &RedisServer, count: usize) {
    until("what was asked is done", || redis.command(&["HLEN", "unacked"]) == format!(":{count}\r\n")).await;
}

#[tokio::test]
async fn what_a_take_without_an_answer_took_goes_back_at_once() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port);
    let (direct, cut) = (host(&redis.url()).await, host(&proxy.url()).await);
    let mut consumer = consumer(&cut, ConsumerOptions::default());
    assert!(matches!(consumer.next(Duration::from_millis(100)).await, Ok(Next::Idle)));
    proxy.swallow_answers(true);
    put(&direct, "1").await;
    put(&direct, "2").await;
    until_registered(&redis, 2).await;
    assert!(proxy.cut() > 0);
    proxy.swallow_answers(false);
    for body in ["1", "2"] {
        let delivery = next(&mut consumer).await;
        // Nobody has seen it.
        let seen = (delivery.message().body.as_text().map(str::to_owned), delivery.redelivered());
        assert_eq!(seen, (Some(body.to_owned()), false));
        assert!(delivery.ack().await.expect("acked"));
    }
    consumer.close().await.expect("closed");
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
}

#[tokio::test]
async fn who_closes_while_it_takes_leaves_nothing_behind() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port);
    let (direct, cut) = (host(&redis.url()).await, host(&proxy.url()).await);
    let mut consumer = consumer(&cut, ConsumerOptions::default());
    assert!(matches!(consumer.next(Duration::from_millis(100)).await, Ok(Next::Idle)));
    proxy.swallow_answers(true);
    put(&direct, "1").await;
    until_registered(&redis, 1).await;
    let closing = tokio::spawn(consumer.close());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(proxy.cut() > 0);
    proxy.swallow_answers(false);
    assert_eq!(closing.await.expect("a task"), Ok(1));
    assert_eq!(redis.command(&["EXISTS", "unacked", "unacked_index"]), ":0\r\n");
    assert_eq!(redis.command(&["LLEN", "q"]), ":1\r\n");
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes_and_a_giant_comes_alone() {
    let redis = RedisServer::start();
    let executor = connect(&redis.url()).await;
    let layout = Layout::default();
    for size in [3 << 20, 3 << 20, 3 << 20, 40 << 20, 1] {
        let envelope = Envelope::bytes(vec![b'x'; size]);
        let tag = size.to_string();
        executor.run(&plan::publish_default(&layout, "q", &envelope, &tag)).await.expect("published");
    }
    let queues = ["q".to_owned()];
    let mut batches = Vec::new();
    for n in 0..5 {
        let owner = format!("o.{n}");
        let take = Take { limit: 64, ..Take::one(&layout, &queues, &owner) };
        let taken = executor.take(&take).await.expect("taken");
        batches.push(taken.iter().filter(|taken| matches!(taken, Taken::Message { .. })).count());
    }
    // In base64 the small ones have 4 MiB each: two and a byte are more than 8.
    assert_eq!(batches, [2, 2, 1, 0, 0]);
    let held = executor.hash("unacked").await.expect("hash");
    assert!(held.iter().any(|(_, record)| record.len() > 50 << 20));
}

#[tokio::test]
async fn a_simple_queue_waits_and_holds_one() {
    let redis = RedisServer::start();
    let host = host(&redis.url()).await;
    let mut queue = SimpleQueue::open(&host, "jobs").await.expect("a queue");
    assert!(queue.get(Duration::from_millis(50)).await.expect("nothing").is_none());
    let (got, put) = tokio::join!(queue.get(PATIENCE), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let other = SimpleQueue::open(&host, "jobs").await.expect("a queue");
        for body in ["1", "2", "3"] {
            other.put(&Envelope::text(body)).await.expect("put");
        }
        other
    });
    let first = got.expect("got").expect("a message");
    assert_eq!(first.message().body.as_text(), Some("1"));
    assert_eq!(put.qsize().await.expect("a number"), 2);
    first.requeue(keyrail_redis::Requeue::Last).await.expect("requeued");
    assert_eq!(
        queue.get(PATIENCE).await.expect("got").expect("a message").message().body.as_text(),
        Some("2")
    );
    queue.close().await.expect("closed");
    assert_eq!(put.qsize().await.expect("a number"), 3);
    put.clear().await.expect("cleared");
    assert_eq!(put.qsize().await.expect("a number"), 0);
}

#[tokio::test]
async fn a_listener_listens_again_and_says_that_there_was_a_gap() {
    let redis = RedisServer::start();
    let (direct, cut) = (host(&redis.url()).await, Proxy::to(redis.port));
    let listening = host(&cut.url()).await;
    let mut fanout = listening.listen("news", "sport.#").await.expect("a listener");
    let publish = async |key: &str| {
        direct.publish(&Outgoing::new("news", key, Envelope::text(key))).await.expect("published");
    };
    publish("weather").await;
    publish("sport.a.b").await;
    let News::Message(message) = fanout.next(PATIENCE).await.expect("news") else { panic!("no message") };
    assert_eq!(
        (message.body.as_text(), message.routing_key.as_str()),
        (Some("sport.a.b"), Some("sport.a.b"))
    );
    cut.cut();
    assert_eq!(fanout.next(PATIENCE).await, Ok(News::Gap));
    publish("sport.again").await;
    let News::Message(message) = fanout.next(PATIENCE).await.expect("news") else { panic!("no message") };
    assert_eq!(message.body.as_text(), Some("sport.again"));
    assert_eq!(fanout.next(Duration::from_millis(20)).await, Ok(News::Idle));
    let error = listening.listen("a/b", "").await.expect_err("a slash");
    assert!(error.to_string().contains("`a/b`"), "{error}");
}

#[tokio::test]
async fn a_durable_fanout_keeps_what_its_subscribers_missed() {
    let redis = RedisServer::start();
    let host = host(&redis.url()).await;
    let fanout = DurableFanout::new(&host, "news", 1000).expect("a fanout");
    let mut kombu = host.listen("news", "#").await.expect("a listener");
    let hour = Duration::from_secs(3600);
    drop(fanout.subscribe("audit", "sport.#", hour).await.expect("a subscription"));
    for (key, heard) in [("sport.a", 1), ("weather", 1), ("sport.b", 1)] {
        assert_eq!(fanout.publish(key, &Envelope::text(key)).await, Ok(heard));
    }
    // Kombu's subscribers hear it as ever.
    let News::Message(message) = kombu.next(PATIENCE).await.expect("news") else { panic!("no message") };
    assert_eq!(message.body.as_text(), Some("sport.a"));
    // The subscriber was away, and two of its name share what waits.
    let mut one = fanout.subscribe("audit", "sport.#", hour).await.expect("a subscription");
    let first = one.next(PATIENCE).await.expect("read").expect("a message");
    let second = one.next(PATIENCE).await.expect("read").expect("a message");
    assert_eq!((first.message.body.as_text(), first.message.redelivered), (Some("sport.a"), false));
    assert_eq!(second.message.body.as_text(), Some("sport.b"));
    assert!(one.ack(&first).await.expect("acked"));
    assert!(!one.ack(&first).await.expect("acked twice"));
    // It dies with the second one, and another one of its name takes it over.
    drop(one);
    let mut other = fanout.subscribe("audit", "sport.#", Duration::from_millis(30)).await.expect("another");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let again = other.next(PATIENCE).await.expect("read").expect("a message");
    assert_eq!((again.message.body.as_text(), again.message.redelivered), (Some("sport.b"), true));
    assert!(other.ack(&again).await.expect("acked"));
    assert_eq!(other.next(Duration::from_millis(50)).await.expect("read"), None);
    // What nobody bound was settled, not kept for ever.
    assert!(redis.command(&["XPENDING", "keyrail.stream.news", "audit"]).starts_with("*4\r\n:0\r\n"));
}

/// Messages, register and scripts are gone at once.
#[tokio::test]
async fn flushing_everything_stops_nobody() {
    let redis = RedisServer::start();
    let host = host(&redis.url()).await;
    let mut consumer = consumer(&host, ConsumerOptions::default());
    put(&host, "1").await;
    let held = next(&mut consumer).await;
    assert!(redis.command(&["FLUSHALL"]).starts_with("+OK"));
    assert!(redis.command(&["SCRIPT", "FLUSH"]).starts_with("+OK"));
    assert!(!held.ack().await.expect("settled"), "it was gone");
    put(&host, "2").await;
    assert!(next(&mut consumer).await.ack().await.expect("acked"));
    let push = Command::LPush { key: "q".into(), value: b"no message".to_vec() };
    host.executor().run(&Plan { commands: vec![push], atomic: false }).await.expect("pushed");
    assert!(matches!(consumer.next(PATIENCE).await, Ok(Next::Quarantined { .. })));
}

/// The server has executed the ack, and nobody heard of it: it is sent again, counts as done, and nothing comes twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_whose_answer_is_lost_is_done() {
    let redis = RedisServer::start();
    let trap = Trap::before(redis.port);
    let host = host(&format!("redis://127.0.0.1:{}/0", trap.port)).await;
    let direct = connect(&redis.url()).await;
    let mut consumer = consumer(&host, ConsumerOptions::default());
    // The script is known to the server when it counts.
    put(&host, "first").await;
    assert!(next(&mut consumer).await.ack().await.expect("acked"));
    // The trap goes off at this tag, which nothing but the ack sends.
    let publish = plan::publish_default(&Layout::default(), "q", &Envelope::text("x"), "x-trap");
    direct.run(&publish).await.expect("published");
    let delivery = next(&mut consumer).await;
    assert!(trap.around(ANSWER, async { delivery.ack().await }).await.expect("acked"));
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
    put(&host, "after").await;
    let after = next(&mut consumer).await;
    assert_eq!(after.message().body.as_text(), Some("after"), "nothing comes twice");
    assert!(after.ack().await.expect("acked"));
    consumer.close().await.expect("closed");
}

/// Killed between taking and hearing of it, a get leaves its message registered, and it comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_get_took_whose_answer_is_lost_comes_back() {
    let redis = RedisServer::start();
    let trap = Trap::before(redis.port);
    let cut = host(&format!("redis://127.0.0.1:{}/0", trap.port)).await;
    let direct = host(&redis.url()).await;
    // The trap goes off at the queue's name. The script is known to the server when it counts.
    assert_eq!(cut.get("x-trap").await.expect("nothing"), None);
    direct.publish(&Outgoing::new("", "x-trap", Envelope::text("x"))).await.expect("published");
    let error = trap.around(ANSWER, cut.get("x-trap")).await.expect_err("nobody heard of it");
    assert_eq!(error.code(), "redis-disconnected");
    assert_eq!(
        (redis.command(&["LLEN", "x-trap"]), redis.command(&["HLEN", "unacked"])),
        (":0\r\n".into(), ":1\r\n".into())
    );
    drop(cut);
    assert_eq!(direct.restore(Duration::ZERO).await.expect("restored").restored, 1);
    let message = direct.get("x-trap").await.expect("got").expect("a message");
    assert_eq!((message.body.as_text(), message.redelivered), (Some("x"), true));
    assert_eq!(redis.command(&["DBSIZE"]), ":0\r\n");
}

/// Somebody who gives up soon, on a connection and on an answer.
async fn impatient(proxy: &Proxy) -> Host<Redis> {
    let soon = Duration::from_millis(200);
    let options = RedisOptions { connect_timeout: soon, response_timeout: soon };
    let (redis, _) = Redis::connect(&proxy.url(), options).await.expect("Redis");
    Host::from_tables(redis, Layout::default(), load::Options::default())
}

const TIMEOUT: Duration = Duration::from_secs(1);

/// Holds one, and restores nothing itself.
fn short() -> ConsumerOptions {
    ConsumerOptions {
        prefetch: 1,
        visibility_timeout: TIMEOUT,
        restore_interval: Duration::ZERO,
        ..ConsumerOptions::default()
    }
}

/// Cut off for longer than the visibility timeout, a consumer acks what somebody else restored meanwhile. That Redis takes
/// its word again when it is back, and knows nothing of the delivery, must not count as if the first try had come through.
#[tokio::test]
async fn an_ack_says_no_after_a_partition_in_which_somebody_restored() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port);
    let (direct, far) = (host(&redis.url()).await, impatient(&proxy).await);
    let mut consumer = consumer(&far, short());
    put(&direct, "x").await;
    let held = next(&mut consumer).await;
    proxy.hold_requests(true);
    let acked = held.ack();
    tokio::time::sleep(TIMEOUT + Duration::from_millis(300)).await;
    assert_eq!(direct.restore(TIMEOUT).await.expect("restored").restored, 1);
    proxy.hold_requests(false);
    assert!(!acked.await.expect("an answer"), "somebody else has it");
    let again = next(&mut consumer).await;
    assert!(again.redelivered());
    assert!(again.ack().await.expect("acked"));
}

/// The same if it held still until Redis could be reached again, and the answer to its ack was lost then.
#[tokio::test]
async fn a_heartbeat_that_comes_too_late_proves_nothing() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port);
    let (direct, far) = (host(&redis.url()).await, impatient(&proxy).await);
    let mut consumer = consumer(&far, short());
    put(&direct, "x").await;
    let held = next(&mut consumer).await;
    proxy.hold_requests(true);
    tokio::time::sleep(TIMEOUT + Duration::from_millis(300)).await;
    assert_eq!(direct.restore(TIMEOUT).await.expect("restored").restored, 1);
    redis.command(&["DEL", "q"]);
    redis.command(&["CONFIG", "RESETSTAT"]);
    proxy.hold_requests(false);
    // A third of the visibility timeout apart, and each a script.
    let deadline = Instant::now() + PATIENCE;
    while redis.calls(&["zadd"])[0] < 3 {
        assert!(Instant::now() < deadline, "heartbeats come again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.swallow_answers(true);
    let acked = held.ack();
    tokio::time::sleep(Duration::from_millis(250)).await;
    proxy.swallow_answers(false);
    assert!(!acked.await.expect("an answer"), "somebody else had it");
}

/// The first try put it back, and only its answer was lost.
#[tokio::test]
async fn a_way_back_whose_answer_was_lost_counts_as_gone() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port);
    let (direct, far) = (host(&redis.url()).await, impatient(&proxy).await);
    let hour = Duration::from_secs(3600);
    let mut consumer = consumer(&far, ConsumerOptions { visibility_timeout: hour, ..short() });
    for aside in [false, true] {
        put(&direct, "x").await;
        let held = next(&mut consumer).await;
        proxy.swallow_answers(true);
        let back = if aside { held.quarantine() } else { held.requeue(keyrail_redis::Requeue::Last) };
        tokio::time::sleep(Duration::from_millis(250)).await;
        proxy.swallow_answers(false);
        assert!(back.await.expect("gone"), "it was registered until then");
        if !aside {
            let again = next(&mut consumer).await;
            assert!(again.redelivered());
            assert!(again.ack().await.expect("acked"));
        }
    }
    assert_eq!(redis.command(&["LLEN", "keyrail.quarantine.q"]), ":1\r\n");
}

/// What goes back is pushed once, though the answer is lost and it is tried again.
#[tokio::test]
async fn without_acks_a_lost_answer_makes_no_second_copy() {
    const POISON: &str = r#"{"body": "_", "properties": {"delivery_tag": "t", "body_encoding": "base64"}}"#;
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port);
    let far = impatient(&proxy).await;
    let mut consumer = consumer(&far, ConsumerOptions { no_ack: true, ..ConsumerOptions::default() });
    let until_long = async |redis: &RedisServer, list: &str, count: usize| {
        let deadline = Instant::now() + PATIENCE;
        while redis.command(&["LLEN", list]) != format!(":{count}\r\n") {
            assert!(Instant::now() < deadline, "it goes to {list}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    redis.command(&["LPUSH", "q", POISON]);
    proxy.slow_answers(30);
    let aside = tokio::spawn(async move {
        let event = consumer.next(PATIENCE).await;
        (consumer, event)
    });
    until_long(&redis, "keyrail.quarantine.q", 1).await;
    assert!(proxy.cut() > 0);
    proxy.slow_answers(0);
    let (mut consumer, event) = aside.await.expect("read");
    assert!(matches!(event, Ok(Next::Quarantined { .. })), "{event:?}");
    assert_eq!(redis.command(&["LLEN", "keyrail.quarantine.q"]), ":1\r\n");
    for n in 0..3 {
        put(&host(&redis.url()).await, &n.to_string()).await;
    }
    next(&mut consumer).await;
    until_long(&redis, "q", 0).await;
    proxy.slow_answers(30);
    let closed = tokio::spawn(consumer.close());
    until_long(&redis, "q", 1).await;
    assert!(proxy.cut() > 0);
    proxy.slow_answers(0);
    closed.await.expect("ended").expect("closed");
    assert_eq!(redis.command(&["LLEN", "q"]), ":2\r\n");
    assert_eq!(redis.command(&["HLEN", "unacked"]), ":0\r\n");
}
