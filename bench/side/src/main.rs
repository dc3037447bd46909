//! keyrail, and bare commands beside it, as a side of the bench on Redis: `bench/delivery.py` starts it and asks.
//!
//! `keyrail-side URL` reads a request a line and answers with one line of JSON.

use std::{io::BufRead, sync::Arc};

use keyrail_redis::{Connection, Host, Producer, ProducerOptions, Redis, load};
use serde_json::json;

mod bare;
mod consume;
mod publish;
mod setup;

/// The connections that all measurements share, as a service has them.
struct Side {
    url: String,
    producer: Arc<Producer>,
    host: Host<Redis>,
    /// The same client library, and nothing of keyrail.
    bare: redis::aio::MultiplexedConnection,
}

#[tokio::main]
async fn main() {
    let Some(url) = std::env::args().nth(1).filter(|url| url.starts_with("redis://")) else {
        return eprintln!("keyrail-side: a part of `make bench-redis`; it takes the URL of a Redis");
    };
    let connection = Connection::new(&url).expect("a URL");
    let producer = Producer::connect(&connection, ProducerOptions::new()).await.expect("Redis");
    let redis = connection.connect().await.expect("Redis");
    let layout = connection.options().layout.clone();
    let client = redis::Client::open(&*url).expect("a URL");
    let side = Arc::new(Side {
        producer: Arc::new(producer),
        host: Host::from_tables(redis, layout, load::Options::default()),
        bare: client.get_multiplexed_async_connection().await.expect("Redis"),
        url,
    });
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let side = side.clone();
        // In a task, as a service handles its requests; the thread that waits for the runtime is not one of its threads.
        let answer = tokio::spawn(async move {
            let words: Vec<&str> = line.split(' ').collect();
            side.answer(&words).await
        });
        println!("{}", answer.await.expect("an answer"));
    }
}

impl Side {
    async fn answer(&self, words: &[&str]) -> serde_json::Value {
        let number = |word: &str| word.parse::<usize>().expect("a number");
        match *words {
            ["bind", exchange, bindings] => {
                setup::bind(&self.host, exchange, number(bindings)).await;
                json!({})
            }
            ["fill", queue, count, text] => {
                setup::fill(&self.producer, queue, number(count), text).await;
                json!({})
            }
            ["publish", exchange, bindings, count, text] => {
                let messages = publish::messages(exchange, number(bindings), text);
                json!({"per_second": publish::one_by_one(&self.producer, &messages, number(count)).await})
            }
            ["tasks", exchange, bindings, count, text] => {
                let tasks = publish::tasks(exchange, number(bindings), text);
                json!({"per_second": publish::by_50_tasks(&self.producer, tasks, number(count)).await})
            }
            ["batches", exchange, bindings, count, size, text] => {
                let messages = publish::messages(exchange, number(bindings), text);
                json!({"per_second":
                    publish::in_batches(&self.producer, &messages, number(count), number(size)).await})
            }
            ["latency", exchange, bindings, count, text] => {
                let messages = publish::messages(exchange, number(bindings), text);
                let (keyrail, bare) = bare::latencies(self, &messages, number(count)).await;
                json!({"keyrail_us": keyrail, "bare_us": bare})
            }
            ["consume", queue, count] => {
                json!({"per_second": consume::acking(&self.host, queue, number(count)).await})
            }
            ["consume-bare", queue, count] => {
                json!({"per_second": bare::consume(self, queue, number(count)).await})
            }
            _ => panic!("no request: {words:?}"),
        }
    }
}
