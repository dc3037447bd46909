//! Waiting for messages without taking any.

use std::{future::Future, pin::Pin, task::Poll, time::Duration};

use ::redis::{Cmd, Value, aio::MultiplexedConnection};

use super::{
    super::Waiter,
    Redis,
    errors::{command_error, silent},
};
use crate::{ExecuteError, connection::link::Link};

/// Waits on several lists. A blocking command keeps its connection busy, so each list has one of its own.
pub struct RedisWaiter {
    link: Link,
    slots: Vec<Slot>,
}

struct Slot {
    list: String,
    connection: Option<MultiplexedConnection>,
    /// Under way, and kept when the wait is abandoned: another one behind it would only queue up.
    waiting: Option<Pin<Box<dyn Future<Output = Woken> + Send>>>,
}

type Woken = Result<Option<MultiplexedConnection>, ExecuteError>;

/// The longest single wait: after it the lists are looked at again, because only those that have a connection wake.
const GLANCE: Duration = Duration::from_millis(200);

/// How many lists have a connection. The others are found by looking again.
const CONNECTIONS: usize = 8;

impl RedisWaiter {
    pub(super) fn new(redis: &Redis, lists: Vec<String>) -> Self {
        let slots = lists.into_iter().take(CONNECTIONS);
        RedisWaiter {
            link: redis.link().clone(),
            slots: slots.map(|list| Slot { list, connection: None, waiting: None }).collect(),
        }
    }
}

impl std::fmt::Debug for RedisWaiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisWaiter").field("address", &self.link.address()).finish_non_exhaustive()
    }
}

impl Waiter for RedisWaiter {
    async fn wait(&mut self, limit: Duration) -> Result<(), ExecuteError> {
        let limit = limit.min(GLANCE);
        if self.slots.is_empty() {
            tokio::time::sleep(limit).await;
            return Ok(());
        }
        for slot in &mut self.slots {
            if slot.waiting.is_none() {
                let (connection, list) = (slot.connection.take(), slot.list.clone());
                slot.waiting = Some(Box::pin(rotate(self.link.clone(), connection, list, limit)));
            }
        }
        std::future::poll_fn(|context| {
            for slot in &mut self.slots {
                let Some(waiting) = &mut slot.waiting else { continue };
                if let Poll::Ready(woken) = waiting.as_mut().poll(context) {
                    slot.waiting = None;
                    return Poll::Ready(woken.map(|connection| slot.connection = connection));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Moves the tail of the list onto itself: that wakes on a push, changes nothing, and takes nothing away.
async fn rotate(
    link: Link,
    connection: Option<MultiplexedConnection>,
    list: String,
    limit: Duration,
) -> Woken {
    let mut connection = match connection {
        Some(connection) => connection,
        None => link.dedicated(&list).await?,
    };
    let mut command = Cmd::new();
    command.arg("BLMOVE").arg(&list).arg(&list).arg("RIGHT").arg("RIGHT").arg(limit.as_secs_f64());
    let answer = command.query_async::<Value>(&mut connection);
    let patience = limit + link.timeouts().response_timeout;
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(_)) => Ok(Some(connection)),
        // Servers before 6.2 have no BLMOVE, and a list may be none; both are looked at again later.
        Ok(Err(error)) if matches!(error.code(), Some("ERR" | "WRONGTYPE" | "NOPERM")) => {
            tokio::time::sleep(limit).await;
            Ok(Some(connection))
        }
        // The list lies on another server of the cluster now.
        Ok(Err(error)) if matches!(error.code(), Some("MOVED" | "ASK")) => Ok(None),
        Ok(Err(error)) => Err(command_error(link.address(), link.timeouts(), &error)),
        Err(_) => Err(silent(link.address(), patience)),
    }
}
