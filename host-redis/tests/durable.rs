//! The durable fanout: several living subscribers of one name, those that are gone, and a database that was emptied.

mod support;

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use keyrail_core::kombu::{Envelope, Layout};
use keyrail_redis::{
    DurableFanout, DurableSubscription, Host, News, Redis, RedisOptions, StreamMessage, load,
};
use support::{PATIENCE, RedisServer, cluster::until};

const HOUR: Duration = Duration::from_secs(3600);

async fn fanout(server: &RedisServer) -> (Host<Redis>, DurableFanout) {
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    let fanout = DurableFanout::new(&host, "news", 1000).expect("a fanout");
    (host, fanout)
}

/// The first reads all of it ahead, and works for longer on it than the visibility timeout.
#[tokio::test]
async fn what_waits_for_one_living_subscriber_is_not_in_hand_twice() {
    const COUNT: usize = 12;
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    let timeout = Duration::from_millis(1200);
    let mut first = fanout.subscribe("audit", "#", timeout).await.expect("a subscription");
    for n in 0..COUNT {
        fanout.publish("k", &Envelope::text(&n.to_string())).await.expect("published");
    }
    let begun = first.next(PATIENCE).await.expect("read").expect("a message");
    let second = fanout.subscribe("audit", "#", timeout).await.expect("a subscription");
    let times = Arc::new(Mutex::new(BTreeMap::new()));
    let done = |times: &Mutex<BTreeMap<String, u32>>| times.lock().expect("no panic").len() == COUNT;
    assert!(first.ack(&begun).await.expect("acked"));
    times.lock().expect("no panic").insert(begun.id, 1);
    let tasks = [first, second].map(|mut subscription| {
        let times = times.clone();
        tokio::spawn(async move {
            while !done(&times) {
                let Some(message) = subscription.next(Duration::from_millis(50)).await.expect("read") else {
                    continue;
                };
                *times.lock().expect("no panic").entry(message.id.clone()).or_insert(0) += 1;
                tokio::time::sleep(Duration::from_millis(250)).await;
                assert!(subscription.ack(&message).await.expect("acked"), "somebody else had it");
            }
            subscription.close().await.expect("closed");
        })
    });
    for task in tasks {
        tokio::time::timeout(PATIENCE, task).await.expect("an end").expect("a subscriber");
    }
    let times = times.lock().expect("no panic");
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[tokio::test]
async fn who_leaves_gives_back_what_it_had_not_begun_and_leaves_no_name_behind() {
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    let consumers = || server.command(&["XINFO", "CONSUMERS", "keyrail.stream.news", "audit"]);
    let mut one = fanout.subscribe("audit", "#", HOUR).await.expect("a subscription");
    for body in ["1", "2", "3"] {
        fanout.publish("k", &Envelope::text(body)).await.expect("published");
    }
    let first = one.next(PATIENCE).await.expect("read").expect("a message");
    // What is in hand is not given to others before its time, and its holder keeps its name.
    one.close().await.expect("closed");
    assert!(consumers().starts_with("*1\r\n"), "{}", consumers());
    let mut other = fanout.subscribe("audit", "#", HOUR).await.expect("a subscription");
    for body in ["2", "3"] {
        let message = other.next(PATIENCE).await.expect("read").expect("a message");
        assert_eq!(message.message.body.as_text(), Some(body));
        assert!(other.ack(&message).await.expect("acked"));
    }
    assert_eq!(other.next(Duration::from_millis(20)).await.expect("read"), None);
    assert!(other.ack(&first).await.expect("acked"));
    drop(other);
    until("the one that was dropped is gone", || consumers().starts_with("*1\r\n")).await;
    // The dead are cleared away by whoever comes.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let third = fanout.subscribe("audit", "#", Duration::from_millis(1)).await.expect("a subscription");
    assert_eq!(consumers(), "*0\r\n");
    third.close().await.expect("closed");
}

#[tokio::test]
async fn a_database_that_was_emptied_stops_no_subscriber() {
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    let mut audit = fanout.subscribe("audit", "#", HOUR).await.expect("a subscription");
    for body in ["1", "2"] {
        fanout.publish("k", &Envelope::text(body)).await.expect("published");
        let message = audit.next(PATIENCE).await.expect("read").expect("a message");
        assert_eq!(message.message.body.as_text(), Some(body));
        assert!(audit.ack(&message).await.expect("acked"));
        assert!(server.command(&["FLUSHALL"]).starts_with("+OK"));
    }
    // Emptied while it waits.
    let (got, ()) = tokio::join!(audit.next(PATIENCE), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.command(&["FLUSHALL"]);
        fanout.publish("k", &Envelope::text("3")).await.expect("published");
    });
    assert_eq!(got.expect("read").expect("a message").message.body.as_text(), Some("3"));
    server.command(&["FLUSHALL"]);
    fanout.publish("k", &Envelope::text("4")).await.expect("published");
    audit.close().await.expect("nothing to give back");
}

#[tokio::test]
async fn a_key_that_is_no_stream_is_named_and_nothing_is_published() {
    let server = RedisServer::start();
    let (host, fanout) = fanout(&server).await;
    let mut kombu = host.listen("news", "#").await.expect("a listener");
    let mut audit = fanout.subscribe("audit", "#", HOUR).await.expect("a subscription");
    server.command(&["SET", "keyrail.stream.news", "x"]);
    let key = "`keyrail.stream.news`";
    let error = fanout.publish("k", &Envelope::text("x")).await.expect_err("no stream");
    assert!(error.code() == "wrong-type" && error.to_string().contains(key), "{error}");
    assert_eq!(kombu.next(Duration::from_millis(100)).await, Ok(News::Idle));
    let error = audit.next(Duration::ZERO).await.expect_err("no stream");
    assert!(error.code() == "wrong-type" && error.to_string().contains(key), "{error}");
    let error = fanout.subscribe("late", "#", HOUR).await.expect_err("no stream");
    assert!(error.code() == "wrong-type" && error.to_string().contains(key), "{error}");
}

/// The server looks at 640 pending entries at once, and a living subscriber may hold more.
#[tokio::test]
async fn what_the_dead_held_is_found_behind_what_the_living_hold() {
    const SETUP: &str = "
        for _ = 1, 1500 do
            redis.call('XADD', KEYS[1], '*', 'routing_key', 'k', 'message', ARGV[1])
        end
        redis.call('XREADGROUP', 'GROUP', 'audit', 'living', 'COUNT', 1498, 'STREAMS', KEYS[1], '>')
        local read = redis.call('XREADGROUP', 'GROUP', 'audit', 'dead', 'COUNT', 1, 'STREAMS', KEYS[1], '>')
        local id = read[1][2][1][1]
        redis.call('XCLAIM', KEYS[1], 'audit', 'dead', 0, id, 'IDLE', 3600000, 'JUSTID')
        return id";
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    let mut audit = fanout.subscribe("audit", "#", Duration::from_secs(60)).await.expect("a subscription");
    let payload = String::from_utf8(Envelope::text("x").to_bytes("news", "k", "t")).expect("text");
    let id = server.command(&["EVAL", SETUP, "1", "keyrail.stream.news", &payload]);
    let mut again = 0;
    // What nobody had comes, too, and only once each.
    for _ in 0..2 {
        let message = audit.next(PATIENCE).await.expect("read").expect("a message");
        assert_eq!(message.message.redelivered, id.contains(&message.id), "{id}");
        again += usize::from(message.message.redelivered);
        assert!(audit.ack(&message).await.expect("acked"));
    }
    assert_eq!(again, 1);
    assert_eq!(audit.next(Duration::from_millis(20)).await.expect("read"), None);
    // A round begins anew at its end.
    server.command(&["XGROUP", "DELCONSUMER", "keyrail.stream.news", "audit", "living"]);
    fanout.publish("k", &Envelope::text("y")).await.expect("published");
    let late = "local read = redis.call('XREADGROUP', 'GROUP', 'audit', 'late', 'STREAMS', KEYS[1], '>')
        redis.call('XCLAIM', KEYS[1], 'audit', 'late', 0, read[1][2][1][1], 'IDLE', 3600000, 'JUSTID')
        return 1";
    assert_eq!(server.command(&["EVAL", late, "1", "keyrail.stream.news"]), ":1\r\n");
    let message = audit.next(PATIENCE).await.expect("read").expect("a message");
    assert_eq!((message.message.body.as_text(), message.message.redelivered), (Some("y"), true));
}

/// Asks for the next message, and goes away after so many polls some milliseconds apart unless it is there.
async fn abandoned(subscription: &mut DurableSubscription, polls: u64) -> Option<StreamMessage> {
    let mut next = Box::pin(subscription.next(PATIENCE));
    for n in 0..polls {
        if let Poll::Ready(message) = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
            return message.expect("read");
        }
        tokio::time::sleep(Duration::from_millis(n)).await;
    }
    None
}

fn bodies(messages: &[StreamMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.message.body.as_text().expect("text")).collect()
}

#[tokio::test]
async fn next_may_be_abandoned_at_any_moment() {
    const COUNT: usize = 24;
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    let mut audit = fanout.subscribe("audit", "k", HOUR).await.expect("a subscription");
    let mut got = Vec::new();
    for n in 0..COUNT {
        // Before it is there, and when it is.
        got.extend(abandoned(&mut audit, n as u64 % 8).await);
        for key in ["k", "not-bound"] {
            fanout.publish(key, &Envelope::text(&n.to_string())).await.expect("published");
        }
        got.extend(abandoned(&mut audit, n as u64 % 7).await);
    }
    while got.len() < COUNT {
        let next = audit.next(Duration::from_secs(5)).await.expect("read");
        got.push(
            next.unwrap_or_else(|| panic!("one is this consumer's and comes no more: {:?}", bodies(&got))),
        );
    }
    let all: Vec<String> = (0..COUNT).map(|n| n.to_string()).collect();
    assert_eq!(bodies(&got), all);
    assert!(got.iter().all(|message| !message.message.redelivered));
    for message in &got {
        assert!(audit.ack(message).await.expect("acked"));
    }
    assert_eq!(audit.next(Duration::from_millis(20)).await.expect("read"), None);
    assert!(server.command(&["XPENDING", "keyrail.stream.news", "audit"]).starts_with("*4\r\n:0\r\n"));
}

/// What has waited for a while is touched before it is handed out.
#[tokio::test]
async fn what_is_being_touched_is_not_lost_when_nobody_waits_for_it() {
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    let mut audit = fanout.subscribe("audit", "#", Duration::from_secs(8)).await.expect("a subscription");
    for body in ["1", "2", "3"] {
        fanout.publish("k", &Envelope::text(body)).await.expect("published");
    }
    let mut got = vec![audit.next(PATIENCE).await.expect("read").expect("a message")];
    tokio::time::sleep(Duration::from_millis(2050)).await;
    got.extend(abandoned(&mut audit, 1).await);
    while got.len() < 3 {
        got.push(audit.next(Duration::from_secs(3)).await.expect("read").expect("a message"));
    }
    assert_eq!(bodies(&got), ["1", "2", "3"]);
}

/// The server took its time: when it hears that a message is kept, somebody else has it already.
#[tokio::test]
async fn what_another_has_claimed_is_not_taken_back_from_it() {
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    let timeout = Duration::from_secs(2);
    let mut slow = fanout.subscribe("audit", "#", timeout).await.expect("a subscription");
    let mut other = fanout.subscribe("audit", "#", timeout).await.expect("a subscription");
    for body in ["1", "2"] {
        fanout.publish("k", &Envelope::text(body)).await.expect("published");
    }
    let first = slow.next(PATIENCE).await.expect("read").expect("a message");
    assert!(slow.ack(&first).await.expect("acked"));
    // Long enough that it would be kept, and not so long that it is passed over.
    tokio::time::sleep(timeout * 2 / 5).await;
    assert_eq!(server.command(&["CLIENT", "PAUSE", "1600", "WRITE"]), "+OK\r\n");
    let (others, own) = tokio::join!(other.next(PATIENCE), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        slow.next(Duration::from_millis(100)).await
    });
    let others = others.expect("read").expect("a message");
    assert_eq!((others.message.body.as_text(), others.message.redelivered), (Some("2"), true));
    assert_eq!(own.expect("read"), None, "both have it in hand");
    assert!(other.ack(&others).await.expect("acked"));
}

/// What was read ahead of that is gone with it.
#[tokio::test]
async fn a_database_that_was_emptied_stops_nobody_who_has_read_ahead() {
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    let timeout = Duration::from_secs(4);
    let mut audit = fanout.subscribe("audit", "#", timeout).await.expect("a subscription");
    for body in ["1", "2"] {
        fanout.publish("k", &Envelope::text(body)).await.expect("published");
    }
    let first = audit.next(PATIENCE).await.expect("read").expect("a message");
    tokio::time::sleep(timeout / 3).await;
    assert!(audit.ack(&first).await.expect("acked"));
    server.command(&["FLUSHALL"]);
    fanout.publish("k", &Envelope::text("3")).await.expect("published");
    let third = audit.next(PATIENCE).await.expect("read").expect("a message");
    assert_eq!(third.message.body.as_text(), Some("3"));
}

/// The read goes on without whoever began it, and gives back what it gets.
#[tokio::test]
async fn who_leaves_gives_back_what_it_did_not_wait_for() {
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    for drops in [false, true] {
        let mut one = fanout.subscribe("audit", "#", HOUR).await.expect("a subscription");
        assert_eq!(abandoned(&mut one, 6).await, None);
        fanout.publish("k", &Envelope::text("x")).await.expect("published");
        match drops {
            true => drop(one),
            false => one.close().await.expect("closed"),
        }
        let mut other = fanout.subscribe("audit", "#", HOUR).await.expect("a subscription");
        let message = other.next(Duration::from_secs(5)).await.expect("read").expect("a message");
        assert!(other.ack(&message).await.expect("acked"));
        other.close().await.expect("closed");
        // What it gave back was still under its name when it left.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let last = fanout.subscribe("audit", "#", Duration::from_millis(1)).await.expect("a subscription");
        assert_eq!(server.command(&["XINFO", "CONSUMERS", "keyrail.stream.news", "audit"]), "*0\r\n");
        last.close().await.expect("closed");
    }
}

/// How many to keep is said once, and is kept about: Redis trims whole blocks of a stream.
#[tokio::test]
async fn what_is_beyond_the_limit_is_trimmed() {
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    let fanout = DurableFanout::new(&host, "news", 100).expect("a fanout");
    let mut slow = fanout.subscribe("audit", "#", HOUR).await.expect("a subscription");
    for n in 0..1000 {
        fanout.publish("k", &Envelope::text(&n.to_string())).await.expect("published");
    }
    let mut got = Vec::new();
    while let Some(message) = slow.next(Duration::from_millis(200)).await.expect("read") {
        got.push(message.message.body.as_text().and_then(|text| text.parse::<u32>().ok()).expect("a number"));
        assert!(slow.ack(&message).await.expect("acked"));
    }
    let kept = got.len() as u32;
    assert!((100..400).contains(&kept), "{kept}");
    assert_eq!(got, (1000 - kept..1000).collect::<Vec<_>>());
    slow.close().await.expect("closed");
}

/// What was read ahead may be gone when its turn comes.
#[tokio::test]
async fn what_was_deleted_meanwhile_is_not_handed_out() {
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    let timeout = Duration::from_millis(800);
    let mut audit = fanout.subscribe("audit", "#", timeout).await.expect("a subscription");
    for body in ["1", "2", "3"] {
        fanout.publish("k", &Envelope::text(body)).await.expect("published");
    }
    let first = audit.next(PATIENCE).await.expect("read").expect("a message");
    let second =
        server.command(&["XRANGE", "keyrail.stream.news", &format!("({}", first.id), "+", "COUNT", "1"]);
    let second = second.lines().find(|line| line.contains('-')).expect("a place").to_owned();
    assert_eq!(server.command(&["XDEL", "keyrail.stream.news", &second]), ":1\r\n");
    // So long that it is claimed anew before it is handed out.
    tokio::time::sleep(timeout / 3).await;
    let next = audit.next(PATIENCE).await.expect("read").expect("a message");
    assert_eq!(next.message.body.as_text(), Some("3"));
}

/// Whoever was away for too long has nothing to give back of what others have claimed since.
#[tokio::test]
async fn who_leaves_late_takes_nothing_from_others() {
    let server = RedisServer::start();
    let (_, fanout) = fanout(&server).await;
    let timeout = Duration::from_millis(50);
    let mut late = fanout.subscribe("audit", "#", timeout).await.expect("a subscription");
    for body in ["1", "2"] {
        fanout.publish("k", &Envelope::text(body)).await.expect("published");
    }
    late.next(PATIENCE).await.expect("read").expect("a message");
    tokio::time::sleep(timeout * 2).await;
    let mut other = fanout.subscribe("audit", "#", timeout).await.expect("a subscription");
    assert!(other.next(PATIENCE).await.expect("read").is_some());
    let holders = || server.command(&["XPENDING", "keyrail.stream.news", "audit"]);
    let before = holders();
    late.close().await.expect("closed");
    assert_eq!(holders(), before, "all of it is the other one's");
}
