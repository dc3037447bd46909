//! Who publishes while consumers are killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use keyrail_core::kombu::{self, Envelope, Json, Layout, Plan, plan};
use keyrail_redis::{Executor, Reply};

use super::{
    QUEUE, Taking,
    server::{Address, block_on},
};

/// Publishes for as long as it lives, so that there is always work.
pub(crate) struct Publisher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Publisher {
    pub(crate) fn start(address: Address, taking: Taking) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            block_on(async {
                let redis = address.connect().await;
                let layout = address.layout();
                let (mut next, mut published) = (0, Vec::new());
                while !stopped.load(Ordering::Relaxed) {
                    let waiting = match redis.run(&plan::count(&layout, QUEUE)).await {
                        Ok(replies) => matches!(replies[..], [Reply::Count(waiting), ..] if waiting > 400),
                        Err(_) => true,
                    };
                    if !waiting {
                        let ids: Vec<u64> = (next..next + 100).collect();
                        let commands = ids.iter().flat_map(|id| message(&layout, taking, *id).commands);
                        // Known to be there, or not known: then it is no loss if it is not, and it has a number of its own.
                        if redis.run(&Plan { commands: commands.collect(), atomic: true }).await.is_ok() {
                            published.extend(ids);
                        }
                        next += 100;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                published
            })
        });
        Publisher { stop, thread }
    }

    pub(crate) fn stop(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("published")
    }
}

pub(crate) fn message(layout: &Layout, taking: Taking, id: u64) -> Plan {
    let tag = uuid::Uuid::new_v4().to_string();
    let envelope = match taking {
        Taking::Celery => {
            let number = Json::Int(i64::try_from(id).expect("small"));
            kombu::Task { args: vec![number], ..kombu::Task::new("shop.work", &tag) }.envelope()
        }
        _ => Envelope::text(&id.to_string()),
    };
    plan::publish_default(layout, QUEUE, &envelope, &tag)
}
