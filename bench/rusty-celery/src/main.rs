//! `keyrail-bench-rusty-celery URL`: rusty-celery as a side of the bench on Redis. Reads `tasks COUNT TEXT` line by line,
//! sends so many tasks from 50 Tokio tasks over its one connection, and answers with one line of JSON.

use std::{
    io::BufRead,
    sync::{Arc, atomic::{AtomicUsize, Ordering::Relaxed}},
    time::Instant,
};

use celery::prelude::*;

const TASKS: usize = 50;

#[celery::task(name = "shop.tasks.pay")]
fn pay(text: String) -> TaskResult<usize> {
    Ok(text.len())
}

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let app = celery::app!(
        broker = RedisBroker { url },
        tasks = [pay],
        task_routes = ["*" => "rusty-celery"],
    )
    .await
    .expect("Redis");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let mut words = line.split(' ').skip(1);
        let count: usize = words.next().and_then(|word| word.parse().ok()).expect("a count");
        let text = words.next().expect("a text").to_owned();
        let sent = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let tasks = (0..TASKS).map(|_| {
            let (app, sent, text) = (app.clone(), sent.clone(), text.clone());
            tokio::spawn(async move {
                while sent.fetch_add(1, Relaxed) < count {
                    app.send_task(pay::new(text.clone())).await.expect("sent");
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("a task");
        }
        println!("{{\"per_second\": {}}}", count as f64 / started.elapsed().as_secs_f64());
    }
}
