//! A consumer that has nothing to do: it waits in Redis, and hardly asks.

mod support;

use std::time::{Duration, Instant};

use keyrail_core::kombu::{Command, Envelope, Layout, Plan};
use keyrail_redis::{ConsumerOptions, Executor, Host, Next, Redis, RedisOptions, load};
use support::{PATIENCE, RedisServer};

/// A list of each priority step is waited for, a second at a time; looking at all of them is one script a second.
#[tokio::test]
async fn an_idle_consumer_hardly_asks_and_wakes_at_once() {
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
    assert!(matches!(consumer.next(Duration::from_secs(1)).await, Ok(Next::Idle)));
    let asked = || server.calls(&["blmove", "evalsha"]);
    let before = asked();
    assert!(matches!(consumer.next(Duration::from_secs(3)).await, Ok(Next::Idle)));
    let asked: Vec<u64> = asked().iter().zip(before).map(|(after, before)| after - before).collect();
    assert!((4..=20).contains(&asked[0]) && (1..=8).contains(&asked[1]), "waits and scripts: {asked:?}");
    // The least urgent step wakes as the first does.
    let layout = Layout::default();
    for list in layout.lists("q") {
        let value = Envelope::text(&list).to_bytes("", "q", "t");
        let push = Plan { atomic: false, commands: vec![Command::LPush { key: list.clone(), value }] };
        host.executor().run(&push).await.expect("pushed");
        let delivery = consumer.next(PATIENCE).await.expect("a message").delivery().expect("a delivery");
        assert_eq!(delivery.message().body.as_text(), Some(&*list));
        assert!(delivery.ack().await.expect("acked"));
    }
}

/// Eight lists have a connection that waits; the others are looked at more often.
#[tokio::test]
async fn lists_without_a_connection_of_their_own_are_not_waited_for_a_second() {
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    let queues = ["a", "b", "c"].map(String::from).to_vec();
    let mut consumer = host.consumer(queues, ConsumerOptions::default()).expect("a consumer");
    let list = Layout::default().lists("c").last().expect("a list");
    let mut shortest = Duration::MAX;
    for n in 0..4 {
        // In the midst of a wait.
        assert!(matches!(consumer.next(Duration::from_millis(50)).await, Ok(Next::Idle)));
        let value = Envelope::text("x").to_bytes("", "c", &format!("t{n}"));
        let push = Plan { atomic: false, commands: vec![Command::LPush { key: list.clone(), value }] };
        host.executor().run(&push).await.expect("pushed");
        let pushed = Instant::now();
        let delivery = consumer.next(PATIENCE).await.expect("a message").delivery().expect("a delivery");
        shortest = shortest.min(pushed.elapsed());
        assert!(delivery.ack().await.expect("acked"));
    }
    assert!(shortest < Duration::from_millis(600), "{shortest:?}");
}
