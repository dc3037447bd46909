//! The tasks in a worker's hands: `inspect active`, `reserved` and `scheduled` list them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use super::{call::Task, time};
use crate::Delivery;

/// What the tasks of one worker are doing, in the order in which they came.
#[derive(Default)]
pub(super) struct Held {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    tasks: BTreeMap<u64, Entry>,
    /// How many were begun, by name; only names that this worker runs, so strangers cannot make it grow.
    begun: HashMap<String, u64>,
}

struct Entry {
    task: Arc<Task>,
    delivery: Delivery,
    stage: Stage,
}

/// Celery's three lists.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Stage {
    /// Taken, and waiting for a free place.
    Reserved,
    /// Not yet due.
    Scheduled,
    /// Running since this Unix time.
    Active(f64),
}

/// A task's line in the lists; dropping it strikes the line out.
pub(super) struct Line<'a> {
    held: &'a Held,
    number: u64,
}

impl Held {
    pub(super) fn enter(&self, task: &Arc<Task>, delivery: &Delivery) -> Line<'_> {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        let entry = Entry { task: task.clone(), delivery: delivery.clone(), stage: Stage::Reserved };
        inner.tasks.insert(number, entry);
        Line { held: self, number }
    }

    pub(super) fn count_active(&self) -> usize {
        self.lock().tasks.values().filter(|entry| matches!(entry.stage, Stage::Active(_))).count()
    }

    /// How many of each task were begun.
    pub(super) fn begun(&self) -> Value {
        json!(self.lock().begun)
    }

    /// `inspect active`. With `safe`, arguments are the texts that the caller wrote for people.
    pub(super) fn active(&self, node: &str, safe: bool) -> Value {
        self.list(|entry| matches!(entry.stage, Stage::Active(_)).then(|| entry.info(node, safe)))
    }

    /// `inspect reserved`.
    pub(super) fn reserved(&self, node: &str) -> Value {
        self.list(|entry| (entry.stage == Stage::Reserved).then(|| entry.info(node, false)))
    }

    /// `inspect scheduled`; 6 is the priority of every timer of Celery's.
    pub(super) fn scheduled(&self, node: &str) -> Value {
        self.list(|entry| {
            (entry.stage == Stage::Scheduled)
                .then(|| json!({"eta": entry.task.eta, "priority": 6, "request": entry.info(node, false)}))
        })
    }

    fn list(&self, describe: impl FnMut(&Entry) -> Option<Value>) -> Value {
        self.lock().tasks.values().filter_map(describe).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // INVARIANT: each change of the lists is a single step, so a panic elsewhere leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line<'_> {
    pub(super) fn stage(&self, stage: Stage) {
        let mut inner = self.held.lock();
        let inner = &mut *inner;
        let Some(entry) = inner.tasks.get_mut(&self.number) else { return };
        entry.stage = stage;
        if let Stage::Active(_) = stage {
            *inner.begun.entry(entry.task.call.name.clone()).or_default() += 1;
        }
    }

    pub(super) fn begin(&self) {
        self.stage(Stage::Active(time::now()));
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.held.lock().tasks.remove(&self.number);
    }
}

impl Entry {
    /// A request as Celery's workers describe theirs.
    fn info(&self, node: &str, safe: bool) -> Value {
        let (call, received) = (&self.task.call, self.delivery.received());
        let (args, kwargs) = match safe {
            true => (json!(self.task.argsrepr), json!(self.task.kwargsrepr)),
            false => (json!(call.args), json!(call.kwargs)),
        };
        let (since, pid) = match self.stage {
            Stage::Active(since) => (json!(since), json!(std::process::id())),
            _ => (Value::Null, Value::Null),
        };
        json!({
            "id": call.id, "name": call.name, "type": call.name, "args": args, "kwargs": kwargs,
            "hostname": node, "time_start": since, "worker_pid": pid, "acknowledged": false,
            "delivery_info": {
                "exchange": received.exchange, "routing_key": received.routing_key.to_string(),
                "priority": received.properties.member("priority"), "redelivered": call.redelivered,
            },
        })
    }
}
