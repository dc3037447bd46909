//! Consumers in memory and on a real Redis, by what they take and what they leave.

use std::time::Duration;

use keyrail_core::kombu::{Command, Envelope, Plan, Priority};
use keyrail_redis::{Consumer, ConsumerOptions, Delivery, Executor, Host, Next, Outgoing, Reply};

use super::PATIENCE;

pub(crate) async fn run(executor: &impl Executor, commands: Vec<Command>) -> Vec<Reply> {
    executor.run(&Plan { commands, atomic: true }).await.expect("replies")
}

pub(crate) async fn put<E: Executor>(host: &Host<E>, queue: &str, bodies: &[&str], priority: u8) {
    for body in bodies {
        let envelope = Envelope::text(body).priority(Priority::new(priority));
        host.publish(&Outgoing::new("", queue, envelope)).await.expect("published");
    }
}

pub(crate) fn consumer<E: Executor>(host: &Host<E>, queues: &[&str], options: ConsumerOptions) -> Consumer {
    host.consumer(queues.iter().map(|queue| (*queue).to_owned()).collect(), options).expect("a consumer")
}

pub(crate) fn prefetch(prefetch: usize) -> ConsumerOptions {
    ConsumerOptions { prefetch, ..ConsumerOptions::default() }
}

#[track_caller]
pub(crate) fn text(delivery: &Delivery) -> String {
    delivery.message().body.as_text().expect("text").to_owned()
}

pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    match consumer.next(PATIENCE).await.expect("a message") {
        Next::Delivery(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn is_idle(consumer: &mut Consumer) -> bool {
    matches!(consumer.next(Duration::from_millis(60)).await, Ok(Next::Idle))
}

/// Reads and acks so many messages.
pub(crate) async fn drain(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        let delivery = next(consumer).await;
        bodies.push(text(&delivery));
        assert!(delivery.ack().await.expect("acked"));
    }
    bodies
}

pub(crate) async fn held(executor: &impl Executor) -> usize {
    executor.hash("unacked").await.expect("hash").len()
}

pub(crate) async fn keys(executor: &impl Executor) -> Vec<String> {
    executor.keys("").await.expect("keys")
}

/// Waits until so many are registered, by whomever.
pub(crate) async fn until_held(executor: &impl Executor, count: usize) {
    for _ in 0..2000 {
        if held(executor).await == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} deliveries are registered, not {count}", held(executor).await);
}
