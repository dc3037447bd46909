//! A consumer that has nothing to do: it waits in Redis, and hardly asks.

mod support;

use std::{collections::HashMap, time::Duration};

use keyrail_core::kombu::{Command, Envelope, Layout, Plan};
use keyrail_redis::{ConsumerOptions, Executor, Host, Next, Redis, RedisOptions, load};
use support::{PATIENCE, RedisServer};

/// How often each command was called since the last reset.
async fn calls(raw: &mut redis::aio::MultiplexedConnection) -> HashMap<String, u64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(raw).await.expect("statistics");
    let calls = info.lines().filter_map(|line| {
        let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), figures.split(',').next()?.parse().ok()?))
    });
    calls.collect()
}

/// A list of each priority step is waited for, a second at a time; looking at all of them is one script a second.
#[tokio::test]
async fn an_idle_consumer_hardly_asks_and_wakes_at_once() {
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut raw = client.get_multiplexed_async_connection().await.expect("Redis");
    let mut consumer = host.consumer(vec!["q".into()], ConsumerOptions::default()).expect("a consumer");
    assert!(matches!(consumer.next(Duration::from_secs(1)).await, Ok(Next::Idle)));
    let _: () = redis::cmd("CONFIG").arg("RESETSTAT").query_async(&mut raw).await.expect("reset");
    assert!(matches!(consumer.next(Duration::from_secs(3)).await, Ok(Next::Idle)));
    let calls = calls(&mut raw).await;
    let of = |name: &str| calls.get(name).copied().unwrap_or_default();
    assert!((4..=20).contains(&of("blmove")) && (1..=8).contains(&of("evalsha")), "{calls:?}");
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
