//! Consuming and acking with prefetch 64.

use std::time::{Duration, Instant};

use keyrail_redis::{ConsumerOptions, Host, Next, Redis};

pub(crate) const PREFETCH: usize = 64;

/// Every message handed out, its body read, and acked; until Redis has answered the last ack.
pub(crate) async fn acking(host: &Host<Redis>, queue: &str, count: usize) -> f64 {
    let options = ConsumerOptions { prefetch: PREFETCH, ..ConsumerOptions::default() };
    let mut consumer = host.consumer(vec![queue.into()], options).expect("a consumer");
    let started = Instant::now();
    let (mut last, mut bytes) = (None, 0);
    for _ in 0..count {
        let Next::Delivery(delivery) = consumer.next(Duration::from_secs(30)).await.expect("a message")
        else {
            panic!("no message")
        };
        bytes += delivery.received().body.len();
        last = Some(delivery.ack());
    }
    assert!(last.expect("some").await.expect("acked"));
    let took = started.elapsed();
    assert!(bytes > count);
    assert_eq!(consumer.close().await, Ok(0));
    count as f64 / took.as_secs_f64()
}
