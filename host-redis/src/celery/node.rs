//! The worker as others see it: events and results.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use keyrail_core::kombu::{Envelope, Json, Plan, python_repr};
use tokio::time::Instant;

use super::{
    Events, Results, TaskResult,
    call::{Ended, Task},
    held::{Held, Line},
    python,
};
use crate::{ExecuteError, Executor, Host, HostError};

pub(super) struct Node<E: Executor> {
    pub(super) host: Host<E>,
    pub(super) name: String,
    pub(super) news: Events<E>,
    /// Lamport's clock of questions and answers, which is not that of events.
    mailbox: AtomicU64,
    pub(super) held: Held,
    born: Instant,
    processed: AtomicU64,
    /// Whether events of tasks are sent, too.
    pub(super) events: AtomicBool,
}

impl<E: Executor> Node<E> {
    pub(super) fn new(host: &Host<E>, name: &str) -> Self {
        Node {
            host: host.clone(),
            name: name.into(),
            news: Events::new(host, name),
            mailbox: AtomicU64::new(0),
            held: Held::default(),
            born: Instant::now(),
            processed: AtomicU64::new(0),
            events: AtomicBool::new(false),
        }
    }

    pub(super) async fn start(&self) {
        self.beat("worker-online").await;
    }

    pub(super) async fn heartbeat(&self) {
        self.beat("worker-heartbeat").await;
    }

    pub(super) async fn stop(&self) {
        self.news.flush().await;
        self.beat("worker-offline").await;
    }

    async fn beat(&self, kind: &str) {
        let active = i64::try_from(self.held.count_active()).unwrap_or(i64::MAX);
        let processed = i64::try_from(self.processed.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let [ident, version, system] = software();
        let load = load().into_iter().map(Json::from).collect();
        let (active, processed) = (("active", Json::Int(active)), ("processed", Json::Int(processed)));
        let fields =
            [("freq", Json::from(2.0)), active, processed, ("loadavg", load), ident, version, system];
        self.news.send(kind, fields).await;
    }

    /// What `control heartbeat` asks for: a sign of life that counts for longer.
    pub(super) async fn sign_of_life(&self) {
        let [ident, version, system] = software();
        self.news.send("worker-heartbeat", [("freq", Json::from(5)), ident, version, system]).await;
    }

    pub(super) fn uptime(&self) -> Duration {
        self.born.elapsed()
    }

    /// Hears of another one's clock.
    pub(super) fn heard(&self, clock: u64) {
        self.mailbox.fetch_max(clock, Ordering::Relaxed);
        self.mailbox.fetch_add(1, Ordering::Relaxed);
    }

    /// The time of an answer.
    pub(super) fn answered(&self) -> u64 {
        self.mailbox.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn received(&self, task: &Task) {
        let (call, text) = (&task.call, |text: &Option<String>| Json::from(text.as_deref()));
        let retries = Json::Int(i64::try_from(call.retries).unwrap_or(i64::MAX));
        self.task_event(
            "task-received",
            [
                ("uuid", Json::from(&*call.id)),
                ("name", Json::from(&*call.name)),
                ("args", Json::from(&*task.argsrepr)),
                ("kwargs", Json::from(&*task.kwargsrepr)),
                ("root_id", text(&call.root_id)),
                ("parent_id", text(&call.parent_id)),
                ("retries", retries),
                ("eta", text(&task.eta)),
                ("expires", text(&task.expires)),
            ],
        );
    }

    pub(super) fn started(&self, task: &Task, line: &Line<'_>) {
        line.begin();
        self.task_event("task-started", [("uuid", Json::from(&*task.call.id))]);
    }

    /// Stores the result, and does not give up: without it the caller would wait for ever.
    pub(super) async fn ended(&self, task: &Task, ended: &Ended, runtime: Duration, expires: Duration) {
        self.processed.fetch_add(1, Ordering::Relaxed);
        if !task.ignore_result {
            let results = Results::new(&self.host).expires(expires);
            self.insist(&results, &result(task, ended)).await;
        }
        let id = ("uuid", Json::from(&*task.call.id));
        match ended {
            Ended::Done(result) => {
                let result = Json::from(python_repr(&python::json(result)));
                let runtime = Json::from(runtime.as_secs_f64());
                self.task_event("task-succeeded", [id, ("result", result), ("runtime", runtime)]);
            }
            Ended::Failed(failure) => {
                let args: Vec<_> = failure.args().iter().map(|arg| python_repr(&python::json(arg))).collect();
                let exception = Json::from(format!("{}({})", failure.exc_type, args.join(", ")));
                let traceback = Json::from(failure.traceback.as_deref());
                self.task_event("task-failed", [id, ("exception", exception), ("traceback", traceback)]);
            }
            Ended::Revoked => {
                let terminated = ("terminated", Json::from(false));
                let expired = ("expired", Json::from(true));
                self.task_event("task-revoked", [id, terminated, ("signum", Json::Null), expired]);
            }
        }
    }

    /// As in Celery, what another run of the task has stored as a success stays.
    async fn insist(&self, results: &Results<E>, result: &TaskResult) {
        let mut delay = Duration::from_millis(50);
        loop {
            let error = match results.store(result).await {
                Ok(_) => return,
                // What stands there is no result, so it is replaced by one.
                Err(HostError::Load(_)) => match self.send(&results.plan(result)).await {
                    Ok(()) => return,
                    Err(error) => HostError::from(error),
                },
                Err(error) => error,
            };
            tracing::warn!(code = error.code(), "a result cannot be stored yet: {error}");
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(Duration::from_secs(5));
        }
    }

    fn task_event<const COUNT: usize>(&self, kind: &str, fields: [(&str, Json); COUNT]) {
        if self.events.load(Ordering::Relaxed) {
            self.news.add(kind, fields);
        }
    }

    pub(super) async fn send(&self, plan: &Plan) -> Result<(), ExecuteError> {
        self.host.executor().run(plan).await.map(drop)
    }
}

/// A transient JSON message.
pub(super) fn envelope(body: &Json) -> Envelope {
    Envelope::json(body).transient()
}

/// Who speaks, as events say it.
fn software() -> [(&'static str, Json); 3] {
    [
        ("sw_ident", Json::from("keyrail")),
        ("sw_ver", Json::from(env!("CARGO_PKG_VERSION"))),
        ("sw_sys", Json::from("Linux")),
    ]
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
