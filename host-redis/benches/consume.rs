//! Consuming and acking with prefetch 64, against the same commands sent by a bare pipelined loop, and against Kombu.
//!
//! `cargo bench -p keyrail-redis --bench consume` starts a Redis and prints a line of JSON. Rounds are interleaved, and the
//! ratios are medians of rounds, so that what else the machine does falls on both sides. `KOMBU57_PYTHON` names an
//! interpreter with Kombu, which is measured once.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use keyrail_core::kombu::{Envelope, Json, Layout, Plan, plan};
use keyrail_redis::{Connection, ConsumerOptions, Executor, Host, Next, Redis, load, quarantine_list};
use redis::{Cmd, Pipeline, Value};

const ROUNDS: usize = 11;
const MESSAGES: usize = 20_000;
const PREFETCH: usize = 64;
const QUEUE: &str = "work";

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    let server = Server::start();
    let (mut keyrail, mut bare) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        let connection = Connection::new(&server.url()).expect("a URL");
        let redis = connection.connect().await.expect("Redis");
        let host = Host::from_tables(redis, Layout::default(), load::Options::default());
        let client = redis::Client::open(server.url()).expect("a client");
        for _ in 0..ROUNDS {
            fill(host.executor(), MESSAGES).await;
            keyrail.push(consume(&host).await);
            fill(host.executor(), MESSAGES).await;
            bare.push(loop_over(&client).await);
        }
    });
    let mut ratios: Vec<f64> = keyrail.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
    let kombu = kombu(&runtime, &server);
    println!(
        "{}",
        serde_json::json!({
            "messages": MESSAGES, "rounds": ROUNDS, "prefetch": PREFETCH,
            "keyrail per second": median(&mut keyrail).round(), "bare loop per second": median(&mut bare).round(),
            "keyrail / bare loop": (median(&mut ratios) * 100.0).round() / 100.0,
            "kombu 5.7.0 per second": kombu.map(f64::round),
            "keyrail / kombu": kombu.map(|kombu| (median(&mut keyrail) / kombu).round()),
        })
    );
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

async fn fill(redis: &Redis, count: usize) {
    let envelope =
        Envelope::json(&Json::from_iter([("order", Json::from("o-4711")), ("total", Json::from(42))]));
    for part in 0..count / 500 {
        let pushes = (0..500).flat_map(|n| {
            let tag = format!("00000000-0000-4000-8000-{:012}", part * 500 + n);
            plan::publish_default(&Layout::default(), QUEUE, &envelope, &tag).commands
        });
        redis.run(&Plan { commands: pushes.collect(), atomic: false }).await.expect("pushed");
    }
}

/// Every message handed out, its body read, and acked; until the last ack is known to Redis.
async fn consume(host: &Host<Redis>) -> f64 {
    let options = ConsumerOptions { prefetch: PREFETCH, ..ConsumerOptions::default() };
    let mut consumer = host.consumer(vec![QUEUE.into()], options).expect("a consumer");
    let started = Instant::now();
    let mut last = None;
    let mut bytes = 0;
    for _ in 0..MESSAGES {
        let Next::Delivery(delivery) = consumer.next(Duration::from_secs(30)).await.expect("a message")
        else {
            panic!("no message")
        };
        bytes += delivery.received().body.len();
        last = Some(delivery.ack());
    }
    assert!(last.expect("some").await.expect("acked"));
    let took = started.elapsed();
    assert!(bytes > MESSAGES);
    assert_eq!(consumer.close().await, Ok(0));
    MESSAGES as f64 / took.as_secs_f64()
}

/// The same two scripts, in pipelines of an ack of the last batch and a take of the next, and nothing around them.
async fn loop_over(client: &redis::Client) -> f64 {
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis");
    let layout = Layout::default();
    let mut load = Vec::new();
    for text in [include_str!("../src/executor/take.lua"), include_str!("../src/executor/settle.lua")] {
        let sha: String = Cmd::new()
            .arg("SCRIPT")
            .arg("LOAD")
            .arg(text)
            .query_async(&mut connection)
            .await
            .expect("loaded");
        load.push(sha);
    }
    let lists: Vec<String> = layout.lists(QUEUE).collect();
    let (mut done, mut turn) = (0, 0);
    let mut held: Vec<Vec<u8>> = Vec::new();
    let started = Instant::now();
    while done < MESSAGES {
        let mut pipeline = Pipeline::new();
        if !held.is_empty() {
            let mut settle = Cmd::new();
            settle.arg("EVALSHA").arg(&load[1]).arg(2).arg(layout.unacked()).arg(layout.unacked_index());
            settle.arg(&held);
            pipeline.add_command(settle);
        }
        let mut take = Cmd::new();
        take.arg("EVALSHA")
            .arg(&load[0])
            .arg(2 + 2 * lists.len())
            .arg(layout.unacked())
            .arg(layout.unacked_index());
        for list in &lists {
            take.arg(list).arg(quarantine_list(&layout, QUEUE));
        }
        take.arg(PREFETCH).arg(8 << 20).arg(format!("bare.{turn}")).arg(1).arg(1);
        take.arg(format!("#{QUEUE}")).arg(format!(", \"\", \"{QUEUE}\"]"));
        pipeline.add_command(take);
        let answers: Vec<Value> = pipeline.query_async(&mut connection).await.expect("answers");
        done += held.len();
        held.clear();
        if let Some(Value::Array(taken)) = answers.into_iter().next_back() {
            held.extend(taken.into_iter().filter_map(|message| match message {
                Value::Array(parts) => match parts.into_iter().nth(1) {
                    Some(Value::BulkString(delivery)) => Some(delivery),
                    _ => None,
                },
                _ => None,
            }));
        }
        turn += 1;
    }
    MESSAGES as f64 / started.elapsed().as_secs_f64()
}

/// Kombu, prefetch 64, acking each message: a tenth of the messages, because it takes its time.
fn kombu(runtime: &tokio::runtime::Runtime, server: &Server) -> Option<f64> {
    let python = std::env::var_os("KOMBU57_PYTHON")?;
    runtime.block_on(async {
        let redis = Connection::new(&server.url()).expect("a URL").connect().await.expect("Redis");
        fill(&redis, MESSAGES / 10).await;
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/consume_kombu.py");
    let count = (MESSAGES / 10).to_string();
    let done = Command::new(python).args([script, &server.url(), QUEUE, &count]).output().expect("Kombu");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().parse().ok()
}

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|free| free.local_addr())
            .expect("a port")
            .port();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server");
        let server = Server { child, port };
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
