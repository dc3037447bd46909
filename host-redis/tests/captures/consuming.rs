//! What a consumer registers, settles and gives back. Producers and other consumers are replayed from the capture, so
//! tags are theirs.

use std::time::Duration;

use keyrail_core::kombu::Json;
use keyrail_redis::{
    Connection, Consumer, ConsumerOptions, Delivery, Next, QueueOrder, ReceivedMessage, Requeue, SimpleQueue,
};
use serde_json::Value;

use crate::{
    stage::{host, in_kombus_words, register_in_kombus_words, replay, take_all, topology},
    support::{PATIENCE, RedisServer},
    wire::{
        Monitor, State, capture, effects, pushes, said, said_effects, state, whole_recorded, whole_state,
        words,
    },
};

/// A server on which a capture's producer and binder have been.
struct Replayed {
    server: RedisServer,
    monitor: Monitor,
    connection: Connection,
    capture: Value,
}

impl Replayed {
    async fn with(name: &str, options: &str, names: &[&str]) -> Self {
        let server = RedisServer::start();
        let monitor = Monitor::of(&server);
        let connection = Connection::new(&server.url()).expect("a URL");
        let connection = connection.transport_options(options.parse().expect("options"));
        let capture = capture(name);
        replay(&connection, &capture, names).await;
        Replayed { server, monitor, connection, capture }
    }

    /// The producer alone.
    async fn of(name: &str) -> Self {
        Replayed::with(name, "{}", &["SADD", "LPUSH"]).await
    }

    /// Compares what lies there and, in any order, what was said.
    async fn check(mut self) {
        self.check_state().await;
        let ours = in_kombus_words(self.monitor.effects(&self.server));
        assert_eq!(ours, in_kombus_words(said_effects(&self.capture)));
    }

    /// Compares what lies there, tags and all.
    async fn check_state(&self) {
        let ours = register_in_kombus_words(whole_state(&self.connection).await);
        assert_eq!(ours, register_in_kombus_words(whole_recorded(&self.capture)));
    }

    async fn consumer(&self, queues: &[&str], options: ConsumerOptions) -> Consumer {
        let queues = queues.iter().map(|queue| (*queue).to_owned()).collect();
        host(&self.connection).await.consumer(queues, options).expect("a consumer")
    }
}

async fn next(consumer: &mut Consumer) -> Delivery {
    match consumer.next(PATIENCE).await.expect("a message") {
        Next::Delivery(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

fn number(delivery: &Delivery) -> i64 {
    let Some(Json::Int(n)) =
        serde_json::from_slice::<Json>(&delivery.received().body).expect("JSON").member("n").cloned()
    else {
        panic!("no number")
    };
    n
}

#[tokio::test]
async fn held_messages() {
    let unacked = Replayed::of("consume_unacked").await;
    let held = take_all(&unacked.connection, &["uq"], 2).await;
    assert_eq!(held.iter().map(number).collect::<Vec<_>>(), [2, 1], "step 0 before step 6, as in Kombu");
    unacked.check().await;

    let get = Replayed::of("basic_get").await;
    let held = take_all(&get.connection, &["gq"], 1).await;
    get.check().await;
    drop(held);
}

#[tokio::test]
async fn settled_messages() {
    let acked = Replayed::of("consume_ack").await;
    assert!(take_all(&acked.connection, &["ackq"], 1).await[0].ack().await.expect("acked"));
    acked.check().await;

    let rejected = Replayed::of("reject_drop").await;
    assert!(take_all(&rejected.connection, &["rjq"], 1).await[0].reject().await.expect("rejected"));
    rejected.check().await;
}

#[tokio::test]
async fn nothing_is_registered_without_acks() {
    let unregistered = Replayed::of("consume_no_ack").await;
    let options = ConsumerOptions { no_ack: true, ..ConsumerOptions::default() };
    let mut consumer = unregistered.consumer(&["naq"], options).await;
    assert_eq!(number(&next(&mut consumer).await), 1);
    consumer.close().await.expect("closed");
    unregistered.check().await;
}

/// Nothing more is taken while as much is held as the prefetch says.
#[tokio::test]
async fn one_at_a_time() {
    let mut held = Replayed::of("prefetch_stops_brpop").await;
    let options = ConsumerOptions { prefetch: 1, ..ConsumerOptions::default() };
    let mut consumer = held.consumer(&["pf"], options).await;
    let first = next(&mut consumer).await;
    assert!(matches!(consumer.next(Duration::from_millis(300)).await, Ok(Next::Idle)));
    let taken = effects(&held.monitor.commands(&held.server), Vec::new());
    assert_eq!(taken.iter().filter(|effect| effect.starts_with("HSET")).count(), 1, "{taken:?}");
    assert!(first.ack().await.expect("acked"));
    let second = next(&mut consumer).await;
    assert_eq!(number(&second), 2);
    held.check_state().await;
}

/// Kombu's mark of a message that was given out before, and one more: `x-delivery-count`, which is not compared.
fn without_counts(state: State) -> State {
    let count = ", \"x-delivery-count\": ";
    let plain = |item: String| match item.split_once(count) {
        Some((before, rest)) => {
            let (digits, after) = rest.split_at(rest.find(['}', ',']).expect("an end"));
            assert!(digits.parse::<u64>().is_ok_and(|count| count > 0), "{digits}");
            format!("{before}{after}")
        }
        None => item,
    };
    state.into_iter().map(|(key, items)| (key, items.into_iter().map(plain).collect())).collect()
}

/// A requeued message goes behind all others, as Kombu's, marked as Kombu marks it, to the byte.
#[tokio::test]
async fn requeued_messages() {
    let mut all = Replayed::with("reject_requeue", "{}", &["SADD"]).await;
    let pushes = pushes(&all.capture);
    // Three are the producer's, two the requeues'.
    let [first, second, again, third, _] = &pushes[..] else { panic!("{pushes:?}") };
    all.push(&[first, second]).await;
    let options = ConsumerOptions { prefetch: 1, ..ConsumerOptions::default() };
    let mut consumer = all.consumer(&["rqq"], options).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(number(&delivery), 1);
    assert!(delivery.requeue(Requeue::Last).await.expect("requeued"));
    let delivery = next(&mut consumer).await;
    assert_eq!(number(&delivery), 2);
    assert!(delivery.ack().await.expect("acked"));
    let delivery = next(&mut consumer).await;
    assert_eq!((number(&delivery), delivery.redelivered()), (1, true));
    let marked =
        State::from([("rqq".into(), vec![String::from_utf8_lossy(delivery.payload()).into_owned()])]);
    assert_eq!(without_counts(marked)["rqq"][0].as_bytes(), words(again)[2]);
    assert!(delivery.ack().await.expect("acked"));
    all.push(&[third]).await;
    let delivery = next(&mut consumer).await;
    consumer.cancel("rqq").await.expect("cancelled");
    assert!(delivery.requeue(Requeue::Last).await.expect("requeued"));
    assert_eq!(without_counts(whole_state(&all.connection).await), whole_recorded(&all.capture));
    let ours: Vec<String> = all.monitor.effects(&all.server);
    let pushed = ours.iter().filter(|effect| effect.starts_with("LPUSH")).count();
    assert_eq!(pushed, pushes.len(), "{ours:?}");
    assert!(ours.iter().all(|effect| !effect.starts_with("RPUSH")), "{ours:?}");
}

impl Replayed {
    async fn push(&self, commands: &[&String]) {
        let redis = redis::Client::open(self.server.url()).expect("a URL");
        let mut raw = redis.get_multiplexed_async_connection().await.expect("Redis");
        for command in commands {
            let words = words(command);
            let mut push = redis::cmd("LPUSH");
            let _: i64 = push.arg(&words[1]).arg(&words[2]).query_async(&mut raw).await.expect("pushed");
        }
    }
}

/// What a consumer holds goes back to the end from which it is taken, marked. Kombu puts back the oldest first, so that
/// the younger one is taken before it; keyrail keeps the old order.
#[tokio::test]
async fn a_consumer_that_closes() {
    let closed = Replayed::of("channel_close_restores").await;
    let options = ConsumerOptions { prefetch: 2, ..ConsumerOptions::default() };
    let mut consumer = closed.consumer(&["clq"], options).await;
    let held = [next(&mut consumer).await, next(&mut consumer).await];
    assert_eq!(consumer.close().await.expect("closed"), 2);
    drop(held);
    let mut ours = without_counts(whole_state(&closed.connection).await);
    ours.get_mut("clq").expect("a list")[1..].reverse();
    assert_eq!(ours, whole_recorded(&closed.capture));
}

/// A consumer that waits has taken nothing, so a cancelled one has nothing to put behind the others.
#[tokio::test]
async fn a_consumer_that_is_cancelled_while_it_waits() {
    let waiting = Replayed::with("cancel_with_brpop_outstanding", "{}", &[]).await;
    let mut consumer = waiting.consumer(&["cq"], ConsumerOptions::default()).await;
    assert!(matches!(consumer.next(Duration::from_millis(100)).await, Ok(Next::Idle)));
    assert_eq!(consumer.cancel("cq").await.expect("cancelled"), 0);
    let pushes = pushes(&waiting.capture);
    waiting.push(&[&pushes[0], &pushes[1]]).await;
    consumer.close().await.expect("closed");
    let lying: Vec<String> =
        [&pushes[1], &pushes[0]].map(|push| String::from_utf8_lossy(&words(push)[2]).into_owned()).into();
    assert_eq!(whole_state(&waiting.connection).await, State::from([("cq".into(), lying)]));
}

/// The lists in the order in which Kombu's `BRPOP` names them: step by step, and within a step queue by queue, the queue
/// that gave the last message at the end.
#[tokio::test]
async fn the_order_of_lists() {
    let capture = capture("brpop_shape");
    let brpops = said(&capture).into_iter().filter(|command| command.starts_with("\"BRPOP\""));
    let mut theirs: Vec<Vec<String>> = brpops
        .map(|command| {
            let words = words(&command);
            words[1..words.len() - 1].iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        })
        .collect();
    theirs.dedup();
    assert_eq!(theirs.len(), 2, "before and after the message");

    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let connection = Connection::new(&server.url()).expect("a URL");
    replay(&connection, &capture, &["LPUSH"]).await;
    let options = ConsumerOptions {
        prefetch: 1,
        queue_order_strategy: QueueOrder::RoundRobin,
        ..ConsumerOptions::default()
    };
    let queues = ["bq1".to_owned(), "bq2".to_owned()].into();
    let mut consumer = host(&connection).await.consumer(queues, options).expect("a consumer");
    assert!(next(&mut consumer).await.ack().await.expect("acked"));
    assert!(matches!(consumer.next(Duration::from_millis(200)).await, Ok(Next::Idle)));
    consumer.close().await.expect("closed");
    // A script that takes names the register, and then each list with its quarantine.
    let taken =
        monitor.commands(&server).into_iter().filter(|command| command.to_uppercase().starts_with("\"EVAL"));
    let mut ours: Vec<Vec<String>> = taken
        .filter_map(|command| {
            let words: Vec<String> =
                words(&command).iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
            let keys = &words[3..3 + words[2].parse::<usize>().expect("a number")];
            let lists = keys.get(2..)?.chunks(2).map(|pair| pair[0].clone());
            keys.iter().any(|key| key.starts_with("keyrail.quarantine.")).then(|| lists.collect())
        })
        .collect();
    ours.dedup();
    assert_eq!(ours, theirs);
}

/// Two consumers of one queue each get messages. In Kombu the second one of a connection replaces the first, and its
/// cancellation leaves neither.
#[tokio::test]
async fn two_consumers_of_a_queue() {
    let both = Replayed::with("two_consumers_one_connection", "{}", &[]).await;
    let pushes = pushes(&both.capture);
    let options = || ConsumerOptions { prefetch: 1, ..ConsumerOptions::default() };
    let host = host(&both.connection).await;
    let mut first = host.consumer(vec!["tc".into()], options()).expect("a consumer");
    let mut second = host.consumer(vec!["tc".into()], options()).expect("a consumer");
    both.push(&[&pushes[0], &pushes[1]]).await;
    let (one, two) = (next(&mut first).await, next(&mut second).await);
    assert!(one.ack().await.expect("acked") && two.ack().await.expect("acked"));
    second.close().await.expect("closed");
    both.push(&[&pushes[2]]).await;
    assert!(next(&mut first).await.ack().await.expect("acked"));
    first.close().await.expect("closed");
    assert!(whole_state(&both.connection).await.is_empty());
}

/// What a Kombu consumer left behind goes back as Kombu puts it back: to the end from which it is taken, the oldest to be
/// taken first, marked, under Kombu's lock.
#[tokio::test]
async fn what_a_kombu_left_behind() {
    let mut left = Replayed::with("visibility_restore", "{}", &["SADD", "LPUSH", "RPOP"]).await;
    // The times are those of the recording, long ago.
    replay(&left.connection, &left.capture, &["ZADD", "HSET"]).await;
    let restored = host(&left.connection).await.restore(Duration::from_secs(1)).await.expect("restored");
    assert_eq!(restored.restored, 2, "{restored:?}");
    assert_eq!(without_counts(whole_state(&left.connection).await), whole_recorded(&left.capture));

    let lock = |commands: Vec<String>| -> Vec<String> {
        let locks = commands.into_iter().filter(|command| command.starts_with("\"SET\" \"unacked_mutex\""));
        locks
            .map(|command| {
                let words: Vec<String> =
                    words(&command).iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
                assert!(
                    words[2].len() == 32 && words[2].bytes().all(|byte| byte.is_ascii_hexdigit()),
                    "{command}"
                );
                format!("{} {}", words[3], words[4])
            })
            .collect()
    };
    let ours = left.monitor.commands(&left.server);
    let released = ours.iter().any(|command| command.to_lowercase().starts_with("\"del\" \"unacked_mutex\""));
    assert!(released, "{ours:?}");
    assert_eq!(lock(ours), lock(said(&capture("mutex"))));
    assert_eq!(lock(said(&left.capture)), lock(said(&capture("mutex"))));
}

/// What a Kombu without acks puts back when it closes: keyrail reads the mark at its place.
#[tokio::test]
async fn a_mark_at_the_top() {
    let capture = capture("ack_emulation_off");
    let item = capture["state"]["ae\\x06\\x166"]["items_head_to_tail"][0].as_str().expect("a message");
    let read = ReceivedMessage::decode("ae", item.as_bytes());
    assert!(read.redelivered);
    assert_eq!(read.body.as_json(), Some(&serde_json::json!({"n": 1})));
    // And `ack_emulation: false` registers nothing here either.
    let off = Replayed::with("ack_emulation_off", "{}", &[]).await;
    let options = ConsumerOptions::from(&r#"{"ack_emulation": false}"#.parse().expect("options"));
    let pushes = pushes(&off.capture);
    off.push(&[&pushes[0]]).await;
    let mut consumer = off.consumer(&["ae"], options).await;
    let delivery = next(&mut consumer).await;
    assert!(whole_state(&off.connection).await.is_empty());
    drop(delivery);
}

#[tokio::test]
async fn every_key_with_a_prefix() {
    let prefixed = Replayed::with("global_keyprefix", r#"{"global_keyprefix": "pfx:"}"#, &["LPUSH"]).await;
    let mut declared =
        topology("gk.topic", keyrail_core::ExchangeKind::Topic, &[("a.#", "gkq"), ("b", "gke")]);
    declared.queues[1].arguments = [("x-expires", keyrail_core::Value::I64(60_000))].into_iter().collect();
    let host = host(&prefixed.connection).await;
    host.import(&declared, keyrail_core::Dialect::Kombu57).await.expect("declared");
    let held = take_all(&prefixed.connection, &["gkq"], 1).await;
    assert_eq!(number(&held[0]), 1);
    prefixed.check().await;
}

#[tokio::test]
async fn a_simple_queue() {
    let server = RedisServer::start();
    let mut monitor = Monitor::of(&server);
    let connection = Connection::new(&server.url()).expect("a URL");
    let capture = capture("simple_queue");
    let host = host(&connection).await;
    let mut queue = SimpleQueue::open(&host, "simple").await.expect("open");
    let a = Json::from_iter([("a", Json::from(1))]);
    queue.put(&keyrail_core::kombu::Envelope::json(&a)).await.expect("put");
    queue.put(&keyrail_core::kombu::Envelope::text("str")).await.expect("put");
    let first = queue.get(PATIENCE).await.expect("got").expect("a message");
    assert!(first.ack().await.expect("acked"));
    let mut ours = monitor.effects(&server);
    // It may take the next one while the ack is under way.
    if let Some(ahead) = ours.iter().position(|effect| effect.starts_with("HSET") && effect.contains("c3Ry"))
    {
        ours.drain(ahead - 1..=ahead);
    }
    assert_eq!(in_kombus_words(ours), in_kombus_words(said_effects(&capture)));
    queue.close().await.expect("closed");
    assert_eq!(state(&connection).await, crate::wire::recorded(&capture));
}
