//! Many callers on one connection, some of whom go away or find it cut.

mod support;

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use keyrail_core::kombu::Json;
use keyrail_redis::{Connection, Executor, Message, Producer, ProducerOptions, Redis, RedisOptions};
use support::{PATIENCE, RedisServer, proxy::Proxy};
use tokio::time::timeout;

async fn connect(url: &str) -> Redis {
    Redis::connect(url, RedisOptions::default()).await.expect("Redis").0
}

async fn producer(url: &str) -> Producer {
    let connection = Connection::new(url).expect("a URL");
    Producer::connect(&connection, ProducerOptions::new()).await.expect("Redis")
}

/// Polls once, with a waker that nobody hears.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The bodies in the list of a queue, each payload whole and with a tag of its own.
async fn bodies(redis: &RedisServer, queue: &str) -> HashMap<String, usize> {
    let mut connection = ::redis::Client::open(redis.url()).expect("a URL").get_connection().expect("Redis");
    let payloads: Vec<Vec<u8>> =
        ::redis::cmd("LRANGE").arg(queue).arg(0).arg(-1).query(&mut connection).expect("a list");
    let (mut bodies, mut tags) = (HashMap::new(), HashSet::new());
    for payload in payloads {
        let message: Json = serde_json::from_slice(&payload).expect("a whole message");
        let text = |json: Option<&Json>| json.and_then(Json::as_str).expect("text").to_owned();
        assert!(tags.insert(text(message.member("properties").and_then(|all| all.member("delivery_tag")))));
        *bodies.entry(text(message.member("body"))).or_insert(0) += 1;
    }
    bodies
}

/// As it travels.
fn body(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn message(text: &str) -> Message {
    Message::text(text).exchange("").routing_key("q")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_belong_to_those_who_asked_though_others_go_away() {
    let redis = RedisServer::start();
    let executor = Arc::new(connect(&redis.url()).await);
    // Some answers take many reads.
    let value = |key: usize| format!("{key}.").repeat(1 + key % 7 * 5_000);
    for key in 0..30 {
        redis.command(&["SET", &key.to_string(), &value(key)]);
    }
    let tasks = (0..30).map(|task: usize| {
        let executor = executor.clone();
        tokio::spawn(async move {
            for turn in 0..60 {
                let key = (task + turn * 7) % 30;
                let name = key.to_string();
                if (task + turn).is_multiple_of(3) {
                    let _ = poll_once(executor.get(&name));
                    continue;
                }
                if (task + turn).is_multiple_of(7) {
                    let _ = timeout(Duration::from_micros(200), executor.get(&name)).await;
                    continue;
                }
                let found = executor.get(&name).await.expect("an answer").expect("a value");
                assert!(found == value(key).into_bytes(), "{key} of task {task}");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        timeout(PATIENCE, task).await.expect("no standstill").expect("right answers");
    }
    // One connection serves them all.
    assert_eq!(redis.command(&["CLIENT", "LIST"]).matches("cmd=get ").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_leave_whole_messages() {
    let redis = RedisServer::start();
    let producer = Arc::new(producer(&redis.url()).await);
    let tasks = (0..20).map(|task| {
        let producer = producer.clone();
        tokio::spawn(async move {
            let mut confirmed = Vec::new();
            for turn in 0..40 {
                let text = format!("{task}.{turn}.{}", "x".repeat(turn * 400));
                let message = message(&text);
                if (task + turn).is_multiple_of(3) {
                    let _ = poll_once(producer.publish(&message));
                } else {
                    producer.publish(&message).await.expect("published");
                    confirmed.push(text);
                }
            }
            confirmed
        })
    });
    let mut confirmed = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        confirmed.extend(timeout(PATIENCE, task).await.expect("no standstill").expect("a task"));
    }
    // What a caller left behind may still be on its way, and is before this.
    producer.publish(&message("last")).await.expect("published");
    let bodies = bodies(&redis, "q").await;
    assert!(bodies.values().all(|times| *times == 1), "twice");
    for text in &confirmed {
        assert!(bodies.contains_key(&body(text)), "lost: {text:.20}");
    }
    assert!(bodies.len() > confirmed.len(), "something of those who went away was sent");
}

/// Its caller may be busy with something else; the others do not wait for him.
#[tokio::test]
async fn a_caller_that_is_not_polled_holds_nobody_up() {
    let redis = RedisServer::start();
    redis.command(&["SET", "k", "v"]);
    let executor = connect(&redis.url()).await;
    let mut idle = pin!(executor.get("k"));
    let nobody = &mut Context::from_waker(Waker::noop());
    assert!(idle.as_mut().poll(nobody).is_pending());
    for _ in 0..20 {
        let found = timeout(PATIENCE, executor.get("k")).await.expect("no standstill");
        assert_eq!(found.expect("an answer"), Some(b"v".into()));
        let _ = idle.as_mut().poll(nobody);
        idle.set(executor.get("k"));
        assert!(idle.as_mut().poll(nobody).is_pending());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_and_not_answered_is_not_confirmed() {
    const CALLERS: usize = 40;
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port);
    let producer = Arc::new(producer(&proxy.url()).await);
    producer.publish(&message("first")).await.expect("published");
    proxy.swallow_answers(true);
    let tasks = (0..CALLERS).map(|n| {
        let producer = producer.clone();
        tokio::spawn(async move { producer.publish(&message(&n.to_string())).await })
    });
    let tasks: Vec<_> = tasks.collect();
    let all = format!(":{}\r\n", CALLERS + 1);
    timeout(PATIENCE, async {
        while redis.command(&["LLEN", "q"]) != all {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("Redis has all of them");
    assert!(tasks.iter().all(|task| !task.is_finished()), "nobody was answered");
    assert!(proxy.cut() > 0);
    for task in tasks {
        let error = timeout(PATIENCE, task).await.expect("no standstill").expect("a task").unwrap_err();
        assert_eq!(error.code(), "redis-disconnected");
    }
    proxy.swallow_answers(false);
    producer.publish(&message("after")).await.expect("on another connection");
    assert!(bodies(&redis, "q").await.values().all(|times| *times == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_confirmed_is_there_though_connections_are_cut() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port);
    let producer = Arc::new(producer(&proxy.url()).await);
    let tasks = (0..20).map(|task| {
        let producer = producer.clone();
        tokio::spawn(async move {
            let (mut confirmed, mut refused) = (Vec::new(), 0);
            for turn in 0..150 {
                let text = format!("{task}.{turn}");
                match producer.publish(&message(&text)).await {
                    Ok(_) => confirmed.push(text),
                    Err(_) => refused += 1,
                }
            }
            (confirmed, refused)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut cuts = 0;
    while !tasks.iter().all(|task| task.is_finished()) {
        cuts += proxy.cut();
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    let (mut confirmed, mut refused) = (Vec::new(), 0);
    for task in tasks {
        let (those, errors) = timeout(PATIENCE, task).await.expect("no standstill").expect("a task");
        confirmed.extend(those);
        refused += errors;
    }
    assert!(cuts > 0 && refused > 0, "{cuts} cuts, {refused} refused");
    let bodies = bodies(&redis, "q").await;
    assert!(bodies.values().all(|times| *times == 1), "nothing is sent twice");
    for text in &confirmed {
        assert!(bodies.contains_key(&body(text)), "lost: {text}");
    }
}

/// Nothing was under way, so nothing is in doubt: no retry policy is needed.
#[tokio::test]
async fn a_cut_that_nothing_was_under_way_at_is_mended_unseen() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    let producer = producer(&proxy.url()).await;
    for n in 1..=3 {
        assert_eq!(producer.publish(&message("x")).await.expect("published").attempts, 1);
        assert_eq!(server.command(&["LLEN", "q"]), format!(":{n}\r\n"));
        assert!(proxy.cut() > 0);
        // The end of the connection arrives.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
