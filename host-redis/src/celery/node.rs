//! The worker as others see it: events and results.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use keyrail_core::kombu::{Envelope, Json, Plan, plan};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Results, TaskResult,
    call::{Ended, Task},
    held::{Held, Line},
    time,
};
use crate::{ExecuteError, Executor, Host};

pub(super) struct Node<E: Executor> {
    pub(super) host: Host<E>,
    pub(super) name: String,
    /// Lamport's clock, by which Celery orders events.
    clock: AtomicU64,
    pub(super) held: Held,
    born: Instant,
    processed: AtomicU64,
    /// Whether events of tasks are sent, too.
    pub(super) events: AtomicBool,
}

/// The exchange of events: topic for AMQP, fanout on Redis.
const EVENTS: &str = "celeryev";

impl<E: Executor> Node<E> {
    pub(super) fn new(host: &Host<E>, name: &str) -> Self {
        Node {
            host: host.clone(),
            name: name.into(),
            clock: AtomicU64::new(0),
            held: Held::default(),
            born: Instant::now(),
            processed: AtomicU64::new(0),
            events: AtomicBool::new(false),
        }
    }

    pub(super) async fn start(&self) {
        self.event("worker-online", self.beat()).await;
    }

    pub(super) async fn heartbeat(&self) {
        self.event("worker-heartbeat", self.beat()).await;
    }

    pub(super) async fn stop(&self) {
        self.event("worker-offline", self.beat()).await;
    }

    fn beat(&self) -> Value {
        json!({
            "freq": 2.0, "active": self.held.count_active(), "processed": self.processed.load(Ordering::Relaxed), "loadavg": load(),
            "sw_ident": "keyrail", "sw_ver": env!("CARGO_PKG_VERSION"), "sw_sys": "Linux",
        })
    }

    pub(super) fn uptime(&self) -> Duration {
        self.born.elapsed()
    }

    /// The next tick, past what another one's message says.
    pub(super) fn tick(&self, heard: u64) -> u64 {
        self.clock.fetch_max(heard, Ordering::Relaxed);
        self.clock.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) async fn received(&self, task: &Task) {
        let call = &task.call;
        self.task_event(
            "task-received",
            json!({
                "uuid": call.id, "name": call.name, "args": task.argsrepr, "kwargs": task.kwargsrepr,
                "root_id": call.root_id, "parent_id": call.parent_id, "retries": call.retries,
                "eta": task.eta, "expires": task.expires,
            }),
        )
        .await;
    }

    pub(super) async fn started(&self, task: &Task, line: &Line<'_>) {
        line.begin();
        self.task_event("task-started", json!({"uuid": task.call.id})).await;
    }

    /// Stores the result, and does not give up: without it the caller would wait for ever.
    pub(super) async fn ended(&self, task: &Task, ended: &Ended, runtime: Duration, expires: Duration) {
        self.processed.fetch_add(1, Ordering::Relaxed);
        if !task.ignore_result {
            let results = Results::new(&self.host).expires(expires);
            self.insist(&results.plan(&result(task, ended))).await;
        }
        let id = &task.call.id;
        match ended {
            Ended::Done(result) => {
                let runtime = runtime.as_secs_f64();
                let fields = json!({"uuid": id, "result": result.to_string(), "runtime": runtime});
                self.task_event("task-succeeded", fields).await;
            }
            Ended::Failed(failure) => {
                let exception = format!("{}({:?})", failure.exc_type, failure.exc_message);
                let fields = json!({"uuid": id, "exception": exception, "traceback": failure.traceback});
                self.task_event("task-failed", fields).await;
            }
            Ended::Revoked => {
                let fields = json!({"uuid": id, "terminated": false, "signum": null, "expired": true});
                self.task_event("task-revoked", fields).await;
            }
        }
    }

    async fn insist(&self, plan: &Plan) {
        let mut delay = Duration::from_millis(50);
        while let Err(error) = self.host.executor().run(plan).await {
            tracing::warn!(code = error.code(), "a result cannot be stored yet: {error}");
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(Duration::from_secs(5));
        }
    }

    async fn task_event(&self, kind: &str, fields: Value) {
        if self.events.load(Ordering::Relaxed) {
            self.event(kind, fields).await;
        }
    }

    /// An event is news: one that cannot be sent is not worth waiting for.
    pub(super) async fn event(&self, kind: &str, fields: Value) {
        let mut event = Map::new();
        event.insert("hostname".into(), self.name.as_str().into());
        event.insert("utcoffset".into(), 0.into());
        event.insert("pid".into(), std::process::id().into());
        event.insert("clock".into(), self.tick(0).into());
        if let Value::Object(fields) = fields {
            event.extend(fields);
        }
        event.insert("timestamp".into(), time::now().into());
        event.insert("type".into(), kind.into());
        let envelope = envelope(&Value::Object(event)).header("hostname", self.name.as_str());
        let key = kind.replace('-', ".");
        let publish = plan::Publish::new(EVENTS, &key, &envelope);
        let plan = plan::publish_fanout(self.host.layout(), &publish, &Uuid::new_v4().to_string());
        if let Err(error) = self.send(&plan).await {
            tracing::debug!("event `{kind}` is lost: {error}");
        }
    }

    pub(super) async fn send(&self, plan: &Plan) -> Result<(), ExecuteError> {
        self.host.executor().run(plan).await.map(drop)
    }
}

/// A transient JSON message.
pub(super) fn envelope(body: &Value) -> Envelope {
    let json: Json = serde_json::from_value(body.clone()).unwrap_or_default();
    Envelope::json(&json).transient()
}

fn result(task: &Task, ended: &Ended) -> TaskResult {
    let call = &task.call;
    let result = match ended {
        Ended::Done(result) => TaskResult::success(&call.id, result.clone()),
        Ended::Failed(failure) => TaskResult::failure(&call.id, failure),
        Ended::Revoked => TaskResult::revoked(&call.id, "expired"),
    };
    result.with("group_id", task.group.as_deref()).with("parent_id", call.parent_id.as_deref())
}

/// The machine's load, which Flower shows; nothing where the system does not tell.
fn load() -> Vec<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).filter_map(|number| number.parse().ok()).collect()
}
