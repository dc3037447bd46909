//! One message on its way through the worker.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Handler, PATIENCE,
    call::{DELIVERIES, Ended, Task, TaskFailure},
    desk::Desk,
    held::Stage,
    limits::Limits,
    node::Node,
};
use crate::{Delivery, Executor, Requeue};

/// What the jobs of one worker share.
pub(super) struct Hands {
    /// A permit for each task that may run. Closed when the worker stops.
    pub(super) slots: Semaphore,
    /// How many are not yet due, or were not when they came: they take no place from what is.
    pub(super) waiting: AtomicUsize,
}

impl Hands {
    pub(super) fn new(slots: usize) -> Arc<Self> {
        Arc::new(Hands { slots: Semaphore::new(slots), waiting: AtomicUsize::new(0) })
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

pub(super) struct Job<E: Executor> {
    node: Arc<Node<E>>,
    tasks: Arc<HashMap<String, Handler>>,
    result_expires: Duration,
    /// Those of the worker.
    limits: Limits,
    hands: Arc<Hands>,
    delivery: Delivery,
    task: Result<Arc<Task>, Box<str>>,
    wait: Option<Duration>,
    /// Whether it was said what becomes of the message.
    settled: bool,
}

impl<E: Executor> Drop for Job<E> {
    /// Whatever broke it off, a panic for instance, its message must not stay in this worker's hands: that holds it as long
    /// as it lives. When the worker stops, the consumer puts all of them back in their order.
    fn drop(&mut self) {
        if self.wait.is_some() {
            self.hands.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        if !self.settled && !self.hands.slots.is_closed() {
            // Sent without being waited for.
            drop(match self.may_go_back() {
                true => self.delivery.requeue(Requeue::Last),
                false => self.delivery.quarantine(),
            });
        }
    }
}

impl<E: Executor> Job<E> {
    pub(super) fn new(desk: &Desk<E>, tasks: &Arc<HashMap<String, Handler>>, delivery: Delivery) -> Self {
        let task = Task::read(&delivery).map(Arc::new);
        let wait = task.as_ref().ok().and_then(|task| task.wait());
        desk.hands.waiting.fetch_add(usize::from(wait.is_some()), Ordering::Relaxed);
        Job {
            node: desk.node.clone(),
            tasks: tasks.clone(),
            result_expires: desk.result_expires,
            limits: desk.limits.clone(),
            hands: desk.hands.clone(),
            delivery,
            task,
            wait,
            settled: false,
        }
    }

    pub(super) async fn run(mut self) {
        let task = match &self.task {
            Ok(task) => task.clone(),
            Err(reason) => {
                let queue = self.delivery.queue();
                tracing::error!(queue, "a message that is no task goes to quarantine: {reason}");
                self.settled = true;
                let _ = self.delivery.quarantine().await;
                return;
            }
        };
        let (node, hands) = (self.node.clone(), self.hands.clone());
        // Listed until it is acked or goes back.
        let line = node.held.enter(&task, &self.delivery);
        node.received(&task);
        if let Some(wait) = self.wait {
            line.stage(Stage::Scheduled);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // The worker stops: the message goes back.
                () = closed(&hands.slots) => return,
            }
            line.stage(Stage::Reserved);
        }
        let Ok(_slot) = hands.slots.acquire().await else { return };
        let started = Instant::now();
        let ended = match (&task.refused, self.tasks.get(&task.call.name)) {
            _ if task.is_expired() => Ended::Revoked,
            (Some(refused), _) => Ended::Failed(refused.clone()),
            (None, None) => {
                let failure = TaskFailure::new("NotRegistered", &task.call.name);
                Ended::Failed(TaskFailure { exc_module: "celery.exceptions".into(), ..failure })
            }
            (None, Some(handler)) => {
                tracing::debug!("task `{}` starts: `{}`", task.call.name, task.call.id);
                node.started(&task, &line);
                // It may panic before there is anything to wait for.
                let run = |call| AssertUnwindSafe(async move { handler(call).await }).catch_unwind();
                match task.limits.or(&self.limits).hold(&task.call, run).await {
                    Ok(Ok(Ok(result))) => Ended::Done(result),
                    Ok(Ok(Err(failure))) | Err(failure) => Ended::Failed(failure),
                    Ok(Err(panic)) => Ended::Failed(TaskFailure::of_panic(&*panic)),
                }
            }
        };
        let (name, id) = (&task.call.name, &task.call.id);
        match &ended {
            Ended::Done(_) => tracing::debug!("task `{name}` succeeded: `{id}`"),
            Ended::Failed(failure) if failure.lost && self.may_go_back() => {
                tracing::warn!("task `{name}` goes back and runs again: `{id}`: {}", failure.exc_message);
                node.gave_back(&task);
                // Dropped, it does.
                return;
            }
            Ended::Failed(failure) => {
                tracing::warn!("task `{name}` failed: `{id}`: {}: {}", failure.exc_type, failure.exc_message);
            }
            Ended::Revoked => tracing::warn!("task `{name}` came too late and was not run: `{id}`"),
        }
        tokio::select! {
            () = self.finish(&task, &ended, started.elapsed()) => {}
            // Redis does not take the result, or the ack. What is not acked by now goes back.
            () = patience(&hands.slots) => {
                tracing::error!("task `{id}` is done, and its result cannot be stored: it will run again");
            }
        }
    }

    /// Whether it may be delivered once more. A worker that stops puts back whatever it has.
    fn may_go_back(&self) -> bool {
        self.hands.slots.is_closed() || self.delivery.delivery_count() + 1 < DELIVERIES
    }

    async fn finish(&mut self, task: &Task, ended: &Ended, runtime: Duration) {
        self.node.ended(task, ended, runtime, self.result_expires).await;
        self.settled = true;
        let (id, queue) = (&task.call.id, self.delivery.queue());
        let (settled, what) = match task.is_readable {
            true => (self.delivery.ack().await, "acked"),
            false => {
                tracing::error!(queue, "task `{id}` goes to quarantine, since it cannot be read");
                (self.delivery.quarantine().await, "put into quarantine")
            }
        };
        if let Err(error) = settled {
            tracing::error!(code = error.code(), "task `{id}` is done and could not be {what}: {error}");
        }
    }
}

async fn patience(slots: &Semaphore) {
    closed(slots).await;
    tokio::time::sleep(PATIENCE).await;
}

/// Ends when the semaphore is closed.
async fn closed(slots: &Semaphore) {
    while !slots.is_closed() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
