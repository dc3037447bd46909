//! What a worker does beside its tasks: it is seen, answers remote control, and keeps its bindings in Redis.

use std::{sync::Arc, time::Duration};

use keyrail_core::kombu::{Member, plan};
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    control::{self, Facts},
    job::Hands,
    limits::Limits,
    node::Node,
};
use crate::{Executor, FanoutListener, HostError, News};

/// Between two `worker-heartbeat` events, as Celery's.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Before what could not be written is written again.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Desk<E: Executor> {
    pub(super) node: Arc<Node<E>>,
    pub(super) queues: Vec<String>,
    /// Their names, in order.
    pub(super) tasks: Vec<String>,
    pub(super) concurrency: usize,
    /// Without what is not yet due.
    pub(super) prefetch: usize,
    pub(super) result_expires: Duration,
    pub(super) limits: Limits,
    pub(super) hands: Arc<Hands>,
}

impl<E: Executor> Desk<E> {
    /// Binds, listens to remote control, and says that it is there.
    pub(super) async fn open(&self) -> Result<FanoutListener, HostError> {
        self.bind().await?;
        let control = self.node.host.listen(control::EXCHANGE, "").await?;
        self.node.start().await;
        Ok(control)
    }

    async fn bind(&self) -> Result<(), HostError> {
        let (executor, layout) = (self.node.host.executor(), self.node.host.layout());
        for queue in &self.queues {
            executor.run(&plan::bind(layout, queue, &Member::plain(queue, queue))?).await?;
        }
        control::bind(&self.node).await
    }

    /// Never ends. May be abandoned.
    pub(super) async fn tend(&self, control: &mut FanoutListener) {
        let mut beat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refresh = Instant::now() + control::REFRESH;
        loop {
            tokio::select! {
                biased;
                _ = beat.tick() => self.node.heartbeat().await,
                () = tokio::time::sleep_until(refresh) => {
                    let bound = self.bind().await;
                    refresh = Instant::now() + if bound.is_ok() { control::REFRESH } else { AGAIN };
                    lost("is not refreshed", bound);
                }
                () = self.node.news.filled() => self.node.news.flush().await,
                news = control.next(Duration::from_secs(3600)) => match news {
                    Ok(News::Message(message)) => control::answer(&self.node, &self.facts(), &message).await,
                    // Redis was away, and may have forgotten everything.
                    Ok(News::Gap) => refresh = Instant::now(),
                    Ok(News::Idle) | Err(_) => {}
                },
            }
        }
    }

    /// Says that it goes.
    pub(super) async fn close(&self, control: FanoutListener) {
        drop(control);
        lost("stays", control::unbind(&self.node).await);
        self.node.stop().await;
    }

    fn facts(&self) -> Facts<'_> {
        let Desk { queues, concurrency, result_expires, .. } = self;
        Facts {
            tasks: self.tasks.iter().map(String::as_str).collect(),
            queues,
            concurrency: *concurrency,
            prefetch: self.prefetch + self.hands.waiting(),
            result_expires: *result_expires,
        }
    }
}

/// A row that nobody routes by keeps nobody from working.
fn lost(what: &str, written: Result<(), HostError>) {
    if let Err(error) = written {
        tracing::debug!("the row of the remote control {what}: {error}");
    }
}
