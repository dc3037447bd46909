//! Waiting for messages without taking any.

use std::{future::Future, mem, pin::Pin, task::Poll, time::Duration};

use ::redis::{Cmd, Value, aio::MultiplexedConnection};
use tokio::time::{Instant, timeout_at};

use super::{
    super::Waiter,
    Redis,
    errors::{command_error, silent},
};
use crate::{ExecuteError, connection::link::Link};

/// Waits on several lists. A blocking command keeps its connection busy, so each list has one of its own.
///
/// ```no_run
/// use std::time::Duration;
/// use keyrail_redis::{Connection, Executor, Waiter};
///
/// # async fn wait() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Connection::new("redis://127.0.0.1/0")?.connect().await?;
/// let mut waiter = redis.waiter(vec!["billing".into()]);
/// waiter.wait(Duration::from_secs(1)).await?;
/// println!("there may be something, and nothing was taken");
/// # Ok(())
/// # }
/// ```
pub struct RedisWaiter {
    link: Link,
    slots: Vec<Slot>,
    /// Whether each list has a connection, and wakes by itself.
    all: bool,
    /// Whether a server was met that takes no writes, and none that does since.
    deposed: bool,
}

struct Slot {
    list: String,
    connection: Option<MultiplexedConnection>,
    /// Under way, and kept when the wait is abandoned: another one behind it would only queue up.
    waiting: Option<Pin<Box<dyn Future<Output = Woken> + Send>>>,
}

/// The connection, if it is of further use, and whether the list is worth a look.
type Woken = Result<(Option<MultiplexedConnection>, bool), ExecuteError>;

/// The longest wait where not every list wakes: after it they are looked at again.
const GLANCE: Duration = Duration::from_millis(200);

/// The longest wait anywhere: a server that is gone without a word is found out after it.
const LONGEST: Duration = Duration::from_secs(1);

/// How many lists have a connection. The others are found by looking again.
const CONNECTIONS: usize = 8;

impl RedisWaiter {
    pub(super) fn new(redis: &Redis, lists: Vec<String>) -> Self {
        let all = lists.len() <= CONNECTIONS;
        let slots = lists.into_iter().take(CONNECTIONS);
        RedisWaiter {
            all,
            deposed: false,
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
        // No time at all would be for ever to Redis.
        let limit = limit.clamp(Duration::from_millis(1), LONGEST);
        let look = Instant::now() + if self.all { limit } else { limit.min(GLANCE) };
        if self.slots.is_empty() {
            tokio::time::sleep_until(look).await;
            return Ok(());
        }
        // A list whose time is over without a message is waited for again: looking would cost more than waiting.
        while !timeout_at(look, self.ended(limit)).await.unwrap_or(Ok(true))? {}
        Ok(())
    }
}

impl RedisWaiter {
    /// Waits for each list at most so long, until one of these waits is over; whether the lists are worth a look then.
    async fn ended(&mut self, limit: Duration) -> Result<bool, ExecuteError> {
        for slot in &mut self.slots {
            if slot.waiting.is_none() {
                let (connection, list) = (slot.connection.take(), slot.list.clone());
                slot.waiting = Some(Box::pin(rotate(self.link.clone(), connection, list, limit)));
            }
        }
        let woken = std::future::poll_fn(|context| {
            for slot in &mut self.slots {
                let Some(waiting) = &mut slot.waiting else { continue };
                if let Poll::Ready(woken) = waiting.as_mut().poll(context) {
                    slot.waiting = None;
                    return Poll::Ready(woken.map(|(connection, look)| {
                        slot.connection = connection;
                        look
                    }));
                }
            }
            Poll::Pending
        })
        .await;
        match &woken {
            Err(error) => self.deposed |= is_deposed(error),
            // The shared connection may have stayed at the old server, where nothing comes any more and taking it writes
            // nothing that would be refused.
            Ok(_) if mem::take(&mut self.deposed) => self.link.leads_elsewhere(),
            Ok(_) => {}
        }
        woken
    }
}

/// Whether whoever answers this is a primary no more; one that waits for a message is told by another word.
fn is_deposed(error: &ExecuteError) -> bool {
    match error {
        ExecuteError::Unavailable { .. } => true,
        ExecuteError::Server { message } => message.starts_with("UNBLOCKED"),
        _ => false,
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
        Ok(Ok(moved)) => Ok((Some(connection), moved != Value::Nil)),
        // Servers before 6.2 have no BLMOVE, and a list may be none; both are looked at again later.
        Ok(Err(error)) if matches!(error.code(), Some("ERR" | "WRONGTYPE" | "NOPERM")) => {
            tokio::time::sleep(limit.min(GLANCE)).await;
            Ok((Some(connection), true))
        }
        // The list lies on another server of the cluster now.
        Ok(Err(error)) if matches!(error.code(), Some("MOVED" | "ASK")) => Ok((None, true)),
        Ok(Err(error)) => Err(command_error(link.address(), link.timeouts(), &error)),
        Err(_) => Err(silent(link.address(), patience)),
    }
}
