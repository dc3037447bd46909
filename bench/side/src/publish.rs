//! Publishing: one at a time, from 50 tasks, in batches.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use keyrail_core::kombu::{Json, Task};
use keyrail_redis::{Message, Producer};

pub(crate) fn body(text: &str) -> Json {
    Json::from_iter([("order", Json::from("o-4711")), ("total", Json::from(42)), ("text", Json::from(text))])
}

fn key(binding: usize) -> String {
    format!("order.{binding}.paid")
}

/// A message for each binding. Serialising and sealing is the producer's work, each time.
pub(crate) fn messages(exchange: &str, bindings: usize, text: &str) -> Vec<Message> {
    let message = Message::value(body(text)).exchange(exchange);
    (0..bindings).map(|n| message.clone().routing_key(key(n))).collect()
}

/// What makes the call of a task for a binding.
pub(crate) fn tasks(
    exchange: &str,
    bindings: usize,
    text: &str,
) -> impl Fn(usize) -> Message + Clone + Send + Sync + use<> {
    let (exchange, text) = (exchange.to_owned(), text.to_owned());
    move |n| {
        // As the peers, each call has an id of its own.
        let task = Task {
            args: vec![Json::from(&*text)],
            ..Task::new("shop.tasks.pay", &uuid::Uuid::new_v4().to_string())
        };
        Message::task(&task).exchange(&*exchange).routing_key(key(n % bindings))
    }
}

pub(crate) async fn one_by_one(producer: &Producer, messages: &[Message], count: usize) -> f64 {
    let started = Instant::now();
    for message in messages.iter().cycle().take(count) {
        producer.publish(message).await.expect("published");
    }
    count as f64 / started.elapsed().as_secs_f64()
}

pub(crate) async fn by_50_tasks(
    producer: &Arc<Producer>,
    call: impl Fn(usize) -> Message + Clone + Send + Sync + 'static,
    count: usize,
) -> f64 {
    let sent = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let tasks = (0..50).map(|_| {
        let (producer, sent, call) = (producer.clone(), sent.clone(), call.clone());
        tokio::spawn(async move {
            loop {
                let n = sent.fetch_add(1, Relaxed);
                if n >= count {
                    return;
                }
                producer.publish(&call(n)).await.expect("published");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a task");
    }
    count as f64 / started.elapsed().as_secs_f64()
}

/// Batches of so many messages, each awaited before the next.
pub(crate) async fn in_batches(producer: &Producer, messages: &[Message], count: usize, size: usize) -> f64 {
    let batch: Vec<Message> = messages.iter().cycle().take(size).cloned().collect();
    let rounds = count.div_ceil(size);
    let started = Instant::now();
    for _ in 0..rounds {
        for answer in producer.publish_all(&batch).await {
            answer.expect("published");
        }
    }
    (rounds * size) as f64 / started.elapsed().as_secs_f64()
}
