//! The same commands without keyrail around them: what it could reach at best.

use std::time::{Duration, Instant};

use keyrail_core::kombu::Layout;
use keyrail_redis::{Message, quarantine_list};
use redis::{Cmd, Pipeline, Value, aio::MultiplexedConnection};

use crate::{Side, consume::PREFETCH};

/// The medians of publishing one message and of pushing the bytes that it came to, in microseconds. Both in turn, so that
/// whatever else the machine does falls on both.
pub(crate) async fn latencies(side: &Side, messages: &[Message], count: usize) -> (f64, f64) {
    const BLOCK: usize = 25;
    let mut bare = side.bare.clone();
    let queues = side.producer.publish(&messages[0]).await.expect("published").queues;
    let payload: Vec<u8> =
        Cmd::new().arg("LINDEX").arg(&queues[0]).arg(0).query_async(&mut bare).await.expect("a payload");
    let (mut ours, mut theirs) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut turns = messages.iter().cycle();
    for _ in 0..count.div_ceil(BLOCK) {
        for message in turns.by_ref().take(BLOCK) {
            let started = Instant::now();
            side.producer.publish(message).await.expect("published");
            ours.push(started.elapsed());
        }
        for _ in 0..BLOCK {
            let started = Instant::now();
            let mut push = Cmd::new();
            push.arg("LPUSH").arg(&queues[0]).arg(&payload);
            let _: i64 = push.query_async(&mut bare).await.expect("pushed");
            theirs.push(started.elapsed());
        }
    }
    (median_us(ours), median_us(theirs))
}

fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

const TAKE: &str = concat!(
    include_str!("../../../host-redis/src/executor/tag.lua"),
    include_str!("../../../host-redis/src/executor/refused.lua"),
    include_str!("../../../host-redis/src/executor/take.lua")
);
const SETTLE: &str = concat!(
    include_str!("../../../host-redis/src/executor/refused.lua"),
    include_str!("../../../host-redis/src/executor/settle.lua")
);

/// The consumer's two scripts, in pipelines of an ack of the last batch and a take of the next.
pub(crate) async fn consume(side: &Side, queue: &str, count: usize) -> f64 {
    let client = redis::Client::open(&*side.url).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis");
    let layout = Layout::default();
    let take = load(&mut connection, TAKE).await;
    let settle = load(&mut connection, SETTLE).await;
    let lists: Vec<String> = layout.lists(queue).collect();
    let (mut done, mut turn) = (0, 0);
    let mut held: Vec<Vec<u8>> = Vec::new();
    let started = Instant::now();
    while done < count {
        let mut pipeline = Pipeline::new();
        if !held.is_empty() {
            let ack = pipeline.cmd("EVALSHA").arg(&settle).arg(2);
            ack.arg(layout.unacked()).arg(layout.unacked_index()).arg(&held);
        }
        let next = pipeline.cmd("EVALSHA").arg(&take).arg(2 + 2 * lists.len());
        next.arg(layout.unacked()).arg(layout.unacked_index());
        for list in &lists {
            next.arg(list).arg(quarantine_list(&layout, queue));
        }
        next.arg(PREFETCH).arg(8 << 20).arg(format!("bare.{turn}")).arg(1).arg(1);
        next.arg(format!("#{queue}")).arg(format!(", \"\", \"{queue}\"]"));
        let answers: Vec<Value> = pipeline.query_async(&mut connection).await.expect("answers");
        done += held.len();
        held = answers.into_iter().next_back().map(deliveries).unwrap_or_default();
        turn += 1;
    }
    count as f64 / started.elapsed().as_secs_f64()
}

async fn load(connection: &mut MultiplexedConnection, script: &str) -> String {
    Cmd::new().arg("SCRIPT").arg("LOAD").arg(script).query_async(connection).await.expect("loaded")
}

/// The names of what was taken, each behind its place and before its payload.
fn deliveries(taken: Value) -> Vec<Vec<u8>> {
    let Value::Array(taken) = taken else { panic!("no messages: {taken:?}") };
    let name = |name| match name {
        Value::BulkString(delivery) => delivery,
        other => panic!("no name: {other:?}"),
    };
    taken.into_iter().skip(1).step_by(3).map(name).collect()
}
