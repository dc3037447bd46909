//! What a library's worker does with a task that panics where nobody expects it.

mod support;

use std::{
    fmt,
    future::Ready,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use keyrail_core::kombu::Task;
use keyrail_redis::{
    Outgoing, Redis, RedisOptions,
    celery::{Results, TaskFailure, Worker},
};
use serde_json::Value;
use support::{PATIENCE, RedisServer};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// A log that panics when a task has failed: the task ran, and nothing is stored yet.
struct Log;

static PANICS: AtomicUsize = AtomicUsize::new(0);

impl Visit for Log {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let once = text.contains("failed: `once`") && PANICS.load(Ordering::SeqCst) == 0;
        if once || text.contains("failed: `always`") {
            PANICS.fetch_add(1, Ordering::SeqCst);
            panic!("nobody reads this log");
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut Log);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_breaks_off_is_not_kept() {
    tracing::subscriber::set_global_default(Log).expect("the only one");
    let server = RedisServer::start();
    let (redis, _) = Redis::connect(&server.url(), RedisOptions::default()).await.expect("Redis");
    let host = support::host(redis);
    let worker = Worker::new(&host, "w@test")
        .concurrency(1)
        .task("fail", async |_| Err(TaskFailure::new("ValueError", "no")))
        // Before there is anything to wait for.
        .task("at-once", |_| -> Ready<Result<Value, TaskFailure>> { panic!("at once") });
    for (task, id) in [("fail", "once"), ("fail", "always"), ("at-once", "sync")] {
        host.publish(&Outgoing::new("", "celery", Task::new(task, id).envelope())).await.expect("sent");
    }
    let results = Results::new(&host);
    let done = async {
        for (id, message) in [("once", "no"), ("sync", "the task panicked: at once")] {
            let stored = results.wait(id, PATIENCE).await.expect("a result").expect("in time");
            let failure = stored.outcome().expect("ready").expect_err("failed");
            assert_eq!(failure.exc_message, message);
        }
        let deadline = std::time::Instant::now() + PATIENCE;
        while server.command(&["EXISTS", "unacked", "celery"]) != ":0\r\n" {
            assert!(std::time::Instant::now() < deadline, "nothing is kept");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // It cannot go on for ever.
        assert_eq!(server.command(&["LLEN", "keyrail.quarantine.celery"]), ":1\r\n");
        assert_eq!(PANICS.load(Ordering::SeqCst), 4);
    };
    worker.run(done).await.expect("it stops");
}
