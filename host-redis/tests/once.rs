//! A publish whose connection is cut, before Redis has it or after: what is in the queues when it was tried again.

mod support;

use std::{collections::BTreeSet, time::Duration};

use keyrail_core::Outcome;
use keyrail_redis::{Connection, Freshness, Message, News, Producer, ProducerOptions, RetryPolicy};
use support::{
    PATIENCE, RedisServer,
    trap::{ANSWER, REQUEST, Trap, marked},
};

fn options(freshness: Freshness) -> ProducerOptions {
    let policy = RetryPolicy { interval_start: Duration::from_millis(10), ..RetryPolicy::celery() };
    ProducerOptions::new().exchange("orders").freshness(freshness).retry(policy)
}

const WAYS: [Freshness; 3] = [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish];
const WINDOW: Duration = Duration::from_secs(60);

/// A direct exchange with two queues under `both`, one under `one`, and a fanout exchange.
fn tables(server: &RedisServer) {
    for (key, queue) in [("both", "a"), ("both", "b"), ("one", "a")] {
        server.command(&["SADD", "_kombu.binding.orders", &format!("{key}\x06\x16\x06\x16{queue}")]);
    }
    let fanout = r#"{"name":"news","kind":"fanout"}"#;
    server.command(&["HSET", "keyrail.exchange", "news", fanout]);
}

/// The bodies and delivery tags that lie in a queue, which is empty afterwards.
async fn drained(server: &RedisServer, queue: &str) -> Vec<(String, String)> {
    let redis = Connection::new(&server.url()).expect("a URL").connect().await.expect("Redis");
    let host = support::host(redis);
    let mut messages = Vec::new();
    while let Some(message) = host.get(queue).await.expect("got") {
        let tag = message.properties.get("delivery_tag").map(ToString::to_string).unwrap_or_default();
        messages.push((message.body.as_text().expect("text").to_owned(), tag));
    }
    messages
}

fn message(body: &str, key: &str) -> Message {
    marked(body).routing_key(key)
}

/// A producer whose tables are read and whose scripts are known.
async fn producer(trap: &Trap, server: &RedisServer, options: ProducerOptions) -> Producer {
    let producer = Producer::connect(&trap.connection(), options).await.expect("a producer");
    producer.publish(&message("warm", "both")).await.expect("published");
    for queue in ["a", "b"] {
        drained(server, queue).await;
    }
    producer
}

#[tokio::test]
async fn a_lost_answer_leaves_a_second_copy_with_the_same_tag() {
    let server = RedisServer::start();
    tables(&server);
    let trap = Trap::before(server.port);
    for freshness in WAYS {
        let producer = producer(&trap, &server, options(freshness)).await;
        let message = message("x", "both");
        let confirm = trap.around(ANSWER, producer.publish(&message)).await.expect("published");
        assert_eq!((confirm.attempts, confirm.queues.len()), (2, 2), "{freshness:?}");
        for queue in ["a", "b"] {
            let copies = drained(&server, queue).await;
            assert_eq!(copies.len(), 2, "{freshness:?}: {copies:?}");
            assert_eq!(copies[0], copies[1], "{freshness:?}: a duplicate is told by its tag");
        }
        // What never arrived was never there.
        let message = self::message("y", "both");
        let confirm = trap.around(REQUEST, producer.publish(&message)).await.expect("published");
        assert_eq!(confirm.attempts, 2, "{freshness:?}");
        for queue in ["a", "b"] {
            assert_eq!(drained(&server, queue).await.len(), 1, "{freshness:?}");
        }
    }
    assert_eq!(server.command(&["KEYS", "keyrail.once.*"]), "*0\r\n");
}

#[tokio::test]
async fn without_a_retry_policy_a_lost_answer_is_reported_and_nothing_is_repeated() {
    let server = RedisServer::start();
    tables(&server);
    let trap = Trap::before(server.port);
    for freshness in WAYS {
        let options = ProducerOptions::new().exchange("orders").freshness(freshness);
        let producer = producer(&trap, &server, options).await;
        let message = message("x", "both");
        let error = trap.around(ANSWER, producer.publish(&message)).await.expect_err("nobody knows");
        assert_eq!(error.code(), "redis-disconnected", "{freshness:?}: {error}");
        assert_eq!(drained(&server, "a").await.len(), 1, "{freshness:?}");
        assert_eq!(drained(&server, "b").await.len(), 1, "{freshness:?}");
    }
}

#[tokio::test]
async fn once_leaves_one_copy_whatever_was_lost() {
    let server = RedisServer::start();
    tables(&server);
    let trap = Trap::before(server.port);
    for freshness in WAYS {
        let producer = producer(&trap, &server, options(freshness).once(WINDOW)).await;
        for loses in [ANSWER, REQUEST] {
            for (key, queues) in [("both", &["a", "b"][..]), ("one", &["a"])] {
                let message = message("x", key);
                let confirm = trap.around(loses, producer.publish(&message)).await.expect("published");
                assert_eq!(confirm.queues, queues, "{freshness:?}");
                assert_eq!(confirm.attempts, 2, "{freshness:?}");
                for queue in ["a", "b"] {
                    let copies = drained(&server, queue).await;
                    assert_eq!(copies.len(), usize::from(queues.contains(&queue)), "{freshness:?} {queue}");
                }
            }
        }
    }
    // Redis forgets after the window.
    let markers = server.command(&["KEYS", "keyrail.once.*"]);
    let marker = markers.lines().find(|line| line.starts_with("keyrail.once.")).expect("a marker");
    let left = server.command(&["PTTL", marker]);
    let left: u64 = left.trim_start_matches(':').trim_end().parse().expect("a time");
    assert!((1..=60_000).contains(&left), "{left}");
}

/// The bindings change after the first attempt: the second one must not send the message elsewhere too.
#[tokio::test]
async fn once_holds_when_the_bindings_changed_in_between() {
    let server = RedisServer::start();
    tables(&server);
    let trap = Trap::before(server.port);
    let slow = RetryPolicy { interval_start: Duration::from_millis(400), ..RetryPolicy::celery() };
    for freshness in WAYS {
        let producer = producer(&trap, &server, options(freshness).retry(slow).once(WINDOW)).await;
        let changed = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            server.command(&["SADD", "_kombu.binding.orders", "one\x06\x16\x06\x16late"]);
        };
        let message = message("x", "one");
        let publish = async { tokio::join!(producer.publish(&message), changed).0 };
        let confirm = trap.around(ANSWER, publish).await.expect("published");
        assert_eq!((confirm.attempts, &*confirm.queues), (2, &["a".to_owned()][..]), "{freshness:?}");
        assert_eq!(drained(&server, "a").await.len(), 1, "{freshness:?}");
        assert_eq!(drained(&server, "late").await.len(), 0, "{freshness:?}");
        server.command(&["SREM", "_kombu.binding.orders", "one\x06\x16\x06\x16late"]);
    }
}

#[tokio::test]
async fn once_is_true_of_a_batch_and_of_fanout() {
    let server = RedisServer::start();
    tables(&server);
    let trap = Trap::before(server.port);
    let redis = Connection::new(&server.url()).expect("a URL").connect().await.expect("Redis");
    let host = support::host(redis);
    let producer = producer(&trap, &server, options(Freshness::Tracked).once(WINDOW)).await;
    let batch: Vec<Message> = (0..100).map(|n| message(&n.to_string(), "both")).collect();
    let answers = trap.around(ANSWER, producer.publish_all(&batch)).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|confirm| confirm.queues.len() == 2)));
    for queue in ["a", "b"] {
        let copies = drained(&server, queue).await;
        let bodies: BTreeSet<&String> = copies.iter().map(|copy| &copy.0).collect();
        assert_eq!((copies.len(), bodies.len()), (100, 100));
    }
    let mut listener = host.listen("news", "").await.expect("a listener");
    let news = message("news", "").exchange("news").mandatory(true);
    let confirm = trap.around(ANSWER, producer.publish(&news)).await.expect("published");
    assert_eq!((confirm.outcome, confirm.fanout[0].receivers), (Outcome::Routed, 1));
    assert!(matches!(listener.next(PATIENCE).await, Ok(News::Message(_))));
    assert!(matches!(listener.next(Duration::from_millis(100)).await, Ok(News::Idle)));
}

/// What was told is told again: that nobody was bound, too.
#[tokio::test]
async fn once_remembers_that_it_was_dead_lettered() {
    let server = RedisServer::start();
    tables(&server);
    let trap = Trap::before(server.port);
    let connection =
        trap.connection().transport_options(r#"{"deadletter_queue": "dead"}"#.parse().expect("options"));
    for freshness in WAYS {
        let options = options(freshness).once(WINDOW);
        let producer = Producer::connect(&connection, options).await.expect("a producer");
        producer.publish(&message("warm", "nobody")).await.expect("published");
        let confirm =
            trap.around(ANSWER, producer.publish(&message("x", "nobody"))).await.expect("published");
        assert_eq!((confirm.attempts, confirm.dead_lettered), (2, true), "{freshness:?}");
        assert_eq!(confirm.queues, ["dead"]);
        assert_eq!(drained(&server, "dead").await.len(), 2, "{freshness:?}");
    }
}

/// Whoever finds a marker takes the message for published.
#[tokio::test]
async fn what_was_refused_leaves_no_marker() {
    let server = RedisServer::start();
    tables(&server);
    server.command(&["ACL", "SETUSER", "some", "on", ">pw", "~*", "&*", "+@all"]);
    for freshness in WAYS {
        let connection =
            Connection::new(&format!("redis://some:pw@127.0.0.1:{}/0", server.port)).expect("a URL");
        let producer =
            Producer::connect(&connection, options(freshness).once(WINDOW)).await.expect("a producer");
        server.command(&["SET", "b", "no list"]);
        for key in ["both", "one"] {
            server.command(&["ACL", "SETUSER", "some", if key == "one" { "-lpush" } else { "+lpush" }]);
            let error = producer.publish(&message("x", key)).await.expect_err(key);
            assert_eq!(error.code() == "wrong-type", key == "both", "{freshness:?}: {error}");
            for answer in producer.publish_all(&[message("x", key)]).await {
                answer.expect_err(key);
            }
        }
        assert_eq!(server.command(&["EXISTS", "a"]), ":0\r\n", "{freshness:?}");
        assert_eq!(server.command(&["KEYS", "keyrail.once.*"]), "*0\r\n", "{freshness:?}");
        server.command(&["ACL", "SETUSER", "some", "+lpush"]);
        server.command(&["DEL", "b"]);
    }
}

/// Longer than the server's clock can reach: it refuses that when it has pushed.
#[tokio::test]
async fn a_window_without_end_is_a_long_one() {
    let server = RedisServer::start();
    tables(&server);
    let trap = Trap::before(server.port);
    for window in [Duration::MAX, Duration::from_millis(i64::MAX as u64)] {
        let producer = producer(&trap, &server, options(Freshness::Tracked).once(window)).await;
        for loses in [ANSWER, REQUEST] {
            let confirm =
                trap.around(loses, producer.publish(&message("x", "one"))).await.expect("published");
            assert_eq!(confirm.queues, ["a"]);
            assert_eq!(drained(&server, "a").await.len(), 1, "{window:?}");
        }
    }
    let markers = server.command(&["KEYS", "keyrail.once.*"]);
    let marker = markers.lines().find(|line| line.starts_with("keyrail.once.")).expect("a marker");
    assert!(server.command(&["PTTL", marker]).len() > ":1000000000000".len());
}

/// What a pipeline lost is published alone, and that is its second time.
#[tokio::test]
async fn a_batch_counts_how_often_each_message_was_sent() {
    let server = RedisServer::start();
    tables(&server);
    let trap = Trap::before(server.port);
    for freshness in [Freshness::Tracked, Freshness::EachPublish] {
        for (options, copies) in [(options(freshness), 2), (options(freshness).once(WINDOW), 1)] {
            let producer = producer(&trap, &server, options).await;
            let batch = [message("x", "one"), message("y", "both")];
            for (answers, attempts) in [
                (producer.publish_all(&batch).await, 1),
                (trap.around(ANSWER, producer.publish_all(&batch)).await, 2),
            ] {
                for answer in answers {
                    assert_eq!(answer.expect("published").attempts, attempts, "{freshness:?}");
                }
            }
            assert_eq!(drained(&server, "a").await.len(), 2 * (1 + copies), "{freshness:?}");
            assert_eq!(drained(&server, "b").await.len(), 1 + copies, "{freshness:?}");
        }
    }
}
