//! The ends of a consumer, and of a queue's part in one: what goes back, and in what order. In memory and on a real Redis.

mod support;

use std::time::Duration;

use keyrail_redis::{ConsumerOptions, Executor, Host, Memory, Redis, RedisOptions};
use support::{
    RedisServer,
    consuming::{consumer, drain, held, is_idle, keys, next, prefetch, put, text, until_held},
    host, on_both,
};

on_both!(
    closing_returns_what_is_held_in_the_old_order,
    dropping_a_consumer_returns_what_nobody_read,
    what_was_handed_out_can_be_acked_without_its_consumer,
    cancel_returns_what_nobody_read,
    without_acks_closing_returns_what_nobody_read,
    without_acks_dropping_returns_what_nobody_read,
    without_acks_cancel_returns_what_nobody_read,
);

async fn closing_returns_what_is_held_in_the_old_order(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1", "2", "3", "4", "5"], 3).await;
    let mut consumer = consumer(&host, &["q"], prefetch(4));
    let first = next(&mut consumer).await;
    for _ in 0..2 {
        next(&mut consumer).await;
    }
    // Not awaited: closing sends it.
    drop(first.ack());
    let returned = consumer.close().await.expect("closed");
    assert!((3..=4).contains(&returned), "{returned}");
    assert_eq!(held(host.executor()).await, 0);
    for (body, again) in [("2", true), ("3", true), ("4", false), ("5", false)] {
        let message = host.get("q").await.expect("got").expect("a message");
        assert_eq!((message.body.as_text(), message.redelivered), (Some(body), again));
    }
}

async fn dropping_a_consumer_returns_what_nobody_read(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1", "2", "3"], 0).await;
    let mut consumer = consumer(&host, &["q"], ConsumerOptions::default());
    let first = next(&mut consumer).await;
    drop(consumer);
    until_held(host.executor(), 1).await;
    assert_eq!(host.count("q").await.expect("count"), 2);
    // With the last delivery goes the last one who could settle it.
    drop(first);
    until_held(host.executor(), 0).await;
    assert_eq!(host.get("q").await.expect("got").expect("a message").body.as_text(), Some("1"));
}

async fn what_was_handed_out_can_be_acked_without_its_consumer(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1"], 0).await;
    let mut consumer = consumer(&host, &["q"], ConsumerOptions::default());
    let first = next(&mut consumer).await;
    drop(consumer);
    assert!(first.ack().await.expect("acked"));
    drop(first);
    assert_eq!(keys(host.executor()).await, Vec::<String>::new());
}

async fn cancel_returns_what_nobody_read(executor: impl Executor) {
    let host = host(executor);
    put(&host, "a", &["a1", "a2"], 0).await;
    put(&host, "b", &["b1"], 0).await;
    let mut consumer = consumer(&host, &["a", "b"], ConsumerOptions::default());
    let first = next(&mut consumer).await;
    assert_eq!(text(&first), "a1");
    until_held(host.executor(), 3).await;
    assert_eq!(consumer.cancel("a").await, Ok(1));
    assert_eq!(host.counts(&["a", "b"]).await.expect("counts"), [1, 0]);
    assert_eq!(drain(&mut consumer, 1).await, ["b1"]);
    put(&host, "b", &["b2"], 0).await;
    assert_eq!(drain(&mut consumer, 1).await, ["b2"]);
    assert!(first.ack().await.expect("still held"));
    assert_eq!(consumer.cancel("b").await, Ok(0));
    put(&host, "b", &["b3"], 0).await;
    assert!(is_idle(&mut consumer).await);
}

async fn without_acks_closing_returns_what_nobody_read(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1", "2", "3"], 0).await;
    let options = ConsumerOptions { no_ack: true, ..ConsumerOptions::default() };
    let mut consumer = consumer(&host, &["q"], options);
    next(&mut consumer).await;
    until_waiting(&host, "q", 0).await;
    assert_eq!(consumer.close().await, Ok(2));
    for body in ["2", "3"] {
        let message = host.get("q").await.expect("got").expect("a message");
        assert_eq!((message.body.as_text(), message.redelivered), (Some(body), false));
    }
}

/// Waits until so many are left in the queue.
async fn until_waiting<E: Executor>(host: &Host<E>, queue: &str, count: i64) {
    for _ in 0..2000 {
        if host.count(queue).await.expect("count") == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} wait in `{queue}`, not {count}", host.count(queue).await.expect("count"));
}

async fn without_acks_dropping_returns_what_nobody_read(executor: impl Executor) {
    let host = host(executor);
    put(&host, "q", &["1", "2", "3"], 0).await;
    let options = ConsumerOptions { no_ack: true, ..ConsumerOptions::default() };
    let mut consumer = consumer(&host, &["q"], options);
    next(&mut consumer).await;
    until_waiting(&host, "q", 0).await;
    drop(consumer);
    until_waiting(&host, "q", 2).await;
    for body in ["2", "3"] {
        let message = host.get("q").await.expect("got").expect("a message");
        assert_eq!((message.body.as_text(), message.redelivered), (Some(body), false));
    }
    assert_eq!(keys(host.executor()).await, Vec::<String>::new());
}

async fn without_acks_cancel_returns_what_nobody_read(executor: impl Executor) {
    let host = host(executor);
    put(&host, "a", &["a1", "a2", "a3"], 0).await;
    put(&host, "b", &["b1"], 0).await;
    let options = ConsumerOptions { no_ack: true, ..ConsumerOptions::default() };
    let mut consumer = consumer(&host, &["a", "b"], options);
    assert_eq!(text(&next(&mut consumer).await), "a1");
    until_waiting(&host, "a", 0).await;
    until_waiting(&host, "b", 0).await;
    assert_eq!(consumer.cancel("a").await, Ok(2));
    assert_eq!(host.counts(&["a", "b"]).await.expect("counts"), [2, 0]);
    assert_eq!(drain(&mut consumer, 1).await, ["b1"]);
    assert!(is_idle(&mut consumer).await, "it came though it went back");
    put(&host, "b", &["b2"], 0).await;
    assert_eq!(drain(&mut consumer, 1).await, ["b2"]);
    assert_eq!(consumer.close().await, Ok(0));
    for body in ["a2", "a3"] {
        let message = host.get("a").await.expect("got").expect("a message");
        assert_eq!((message.body.as_text(), message.redelivered), (Some(body), false));
    }
}
