//! Times without end, and of no length.

mod support;

use std::time::Duration;

use keyrail_core::{
    Dialect, Topology,
    kombu::{Envelope, Layout},
};
use keyrail_redis::{
    Connection, ConsumerOptions, DurableFanout, Executor, Host, Message, Producer, ProducerOptions, Redis,
    RedisOptions, RestoreOptions, SimpleQueue, Take,
    celery::{Results, TaskResult},
    load,
};
use support::RedisServer;

#[tokio::test]
async fn a_wait_may_have_no_end() {
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = Host::from_tables(redis, Layout::default(), load::Options::default());
    let mut queue = SimpleQueue::open(&host, "q").await.expect("a queue");
    queue.put(&Envelope::text("x")).await.expect("put");
    assert!(queue.get(Duration::MAX).await.expect("got").is_some());

    let fanout = DurableFanout::new(&host, "news", 10).expect("a fanout");
    let mut audit = fanout.subscribe("audit", "#", Duration::MAX).await.expect("a subscription");
    fanout.publish("k", &Envelope::text("x")).await.expect("published");
    assert!(audit.next(Duration::MAX).await.expect("read").is_some());

    let results = Results::new(&host);
    results.store(&TaskResult::success("t", 1.into())).await.expect("stored");
    assert!(results.wait("t", Duration::MAX).await.expect("read").is_some());
}

/// Whatever is left behind is restored, under a lock that lasts as long as the server can count.
#[tokio::test]
async fn a_lock_may_last_for_ever() {
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = support::host(redis);
    support::put(&host, "x").await;
    let queues = ["q".to_owned()];
    let take = Take::one(host.layout(), &queues, "dead");
    assert_eq!(host.executor().take(&take).await.expect("taken").len(), 1);
    let options = RestoreOptions {
        visibility_timeout: Duration::ZERO,
        mutex_expire: Duration::MAX,
        ..RestoreOptions::default()
    };
    assert_eq!(host.restore_with(&options).await.expect("restored").restored, 1);
    let options = ConsumerOptions {
        visibility_timeout: Duration::MAX,
        restore_interval: Duration::MAX,
        ..ConsumerOptions::default()
    };
    let mut consumer = host.consumer(vec!["q".into()], options).expect("a consumer");
    assert!(support::next(&mut consumer).await.ack().await.expect("acked"));
    assert_eq!(server.command(&["DBSIZE"]), ":0\r\n");
}

/// A lock that ends at once would be taken for somebody else's, each time.
#[tokio::test]
async fn a_lock_lasts_as_long_as_a_restore_needs_it() {
    const COUNT: usize = 300;
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = support::host(redis);
    for _ in 0..COUNT {
        support::put(&host, "x").await;
    }
    let queues = ["q".to_owned()];
    let take = Take { limit: COUNT, ..Take::one(host.layout(), &queues, "dead") };
    assert_eq!(host.executor().take(&take).await.expect("taken").len(), COUNT);
    let options = RestoreOptions {
        visibility_timeout: Duration::ZERO,
        mutex_expire: Duration::ZERO,
        ..RestoreOptions::default()
    };
    let restored = host.restore_with(&options).await.expect("restored");
    assert_eq!((restored.restored, restored.locked), (COUNT, false));
}

/// With no time to work on a message none is handed out, but whoever waits for one has waited when the time is over.
#[tokio::test]
async fn who_has_no_time_for_a_message_does_not_wait_for_ever() {
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let fanout = DurableFanout::new(&support::host(redis), "news", 10).expect("a fanout");
    let mut audit = fanout.subscribe("audit", "#", Duration::ZERO).await.expect("a subscription");
    fanout.publish("k", &Envelope::text("x")).await.expect("published");
    let next = tokio::time::timeout(Duration::from_secs(10), audit.next(Duration::from_millis(100)));
    assert_eq!(next.await.expect("an end").expect("read"), None);
}

/// The server refuses a time that its clock cannot reach, after it has taken the message.
#[tokio::test]
async fn a_queue_may_live_for_ever() {
    let server = RedisServer::start();
    for expires in [i64::MAX, i64::MAX - 1_000_000, 1 << 60] {
        let json = format!(
            r#"{{"exchanges": [{{"name": "e", "kind": "direct"}}],
                 "queues": [{{"name": "q", "arguments": {{"x-expires": {expires}}}}}],
                 "bindings": [{{"source": "e", "destination": {{"queue": "q"}}, "routingKey": "k"}}]}}"#
        );
        let topology: Topology = serde_json::from_str(&json).expect("a topology");
        let connection = Connection::new(&server.url()).expect("a URL");
        let options = ProducerOptions::new().exchange("e").declare(topology, Dialect::Kombu57);
        let producer = Producer::connect(&connection, options).await.expect("a producer");
        let confirm = producer.publish(&Message::text("x").routing_key("k")).await.expect("published");
        assert_eq!(confirm.queues, ["q"]);
        assert_eq!(server.command(&["LLEN", "q"]), ":1\r\n");
        let left = server.command(&["PTTL", "q"]);
        let left: u64 = left.trim_start_matches(':').trim_end().parse().expect("a number");
        assert!(left > 1 << 49, "{left}");
        server.command(&["FLUSHALL"]);
    }
}
