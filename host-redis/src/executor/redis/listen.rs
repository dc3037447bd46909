//! Listening to channels, on a connection of its own.
//!
//! A listener ends, so that whoever listens can say that something is missed: when the connection breaks, when the server
//! gives no sign of life, and when more waits to be read than is kept. Then a server cuts a listener off, too.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use ::redis::{
    PushInfo, PushKind, RedisError, Value,
    aio::{AsyncPushSender, MultiplexedConnection, SendError},
};
use tokio::{
    sync::{
        Notify,
        mpsc::{Sender, channel},
        oneshot,
    },
    time::{sleep, timeout},
};

use super::{
    super::{BACKLOG, BACKLOG_BYTES, Backlog, Heard, Listener},
    Redis,
    errors::is_not_permitted,
    in_time,
};
use crate::ExecuteError;

pub(super) async fn subscribe(redis: &Redis, patterns: &[String]) -> Result<Listener, ExecuteError> {
    let limit = redis.link.timeouts().connect_timeout;
    let (sender, messages) = channel(BACKLOG);
    let backlog = Backlog::default();
    let ended = Arc::new(Notify::new());
    let ear = Ear { to: Arc::new(Mutex::new(Some(sender))), backlog: backlog.clone(), ended };
    let mut connection = redis.link.listening(&ear).await?;
    let subscribing = async {
        for pattern in patterns {
            connection.psubscribe(pattern).await?;
        }
        Ok(connection)
    };
    let connection = in_time(redis.link.address(), limit, subscribing).await?;
    let connection = connection.map_err(|error: RedisError| redis.error(error))?;
    let (listens, gone) = oneshot::channel();
    tokio::spawn(hold(connection, ear, gone, redis.link.health_check_interval(), limit));
    Ok(Listener { messages, backlog: Some(backlog), _listens: Some(listens) })
}

/// Holds the connection as long as somebody listens, something can be heard, and the server is there.
async fn hold(
    mut connection: MultiplexedConnection,
    ear: Ear,
    mut gone: oneshot::Receiver<()>,
    every: Duration,
    patience: Duration,
) {
    loop {
        let rest = async {
            match every.is_zero() {
                true => std::future::pending().await,
                false => sleep(every).await,
            }
        };
        tokio::select! {
            _ = &mut gone => break,
            () = ear.ended.notified() => break,
            () = rest => {}
        }
        let ping = ::redis::cmd("PING");
        let answer = timeout(patience, connection.send_packed_command(&ping)).await;
        // A user who may not send it is answered, too.
        if !answer.is_ok_and(|answer| answer.as_ref().err().is_none_or(is_not_permitted)) {
            break;
        }
    }
    ear.close();
}

/// Hears what the server says; deaf once the listener has ended.
#[derive(Clone)]
pub(crate) struct Ear {
    to: Arc<Mutex<Option<Sender<Heard>>>>,
    backlog: Backlog,
    ended: Arc<Notify>,
}

impl Ear {
    fn close(&self) {
        *self.to.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.ended.notify_one();
    }

    /// False if there is no room for it.
    fn hear(&self, heard: Heard) -> bool {
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(to) = &*to else { return true };
        let size = heard.payload.len();
        let waits = self.backlog.fetch_add(size, Relaxed);
        // One that is alone may have any size.
        let room = (waits == 0 || waits.saturating_add(size) <= BACKLOG_BYTES) && to.try_send(heard).is_ok();
        if !room {
            tracing::warn!("fanout messages come faster than they are read: the listener is cut off");
        }
        room
    }
}

impl AsyncPushSender for Ear {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        let ends = match info.kind {
            PushKind::PMessage => heard(info.data).is_some_and(|heard| !self.hear(heard)),
            PushKind::Disconnection => true,
            _ => false,
        };
        if ends {
            self.close();
        }
        Ok(())
    }
}

/// Out of pattern, channel and bytes.
fn heard(data: Vec<Value>) -> Option<Heard> {
    let mut parts = data.into_iter().skip(1);
    match (parts.next()?, parts.next()?) {
        (Value::BulkString(channel), Value::BulkString(payload)) => {
            Some(Heard { channel: String::from_utf8_lossy(&channel).into_owned(), payload })
        }
        _ => None,
    }
}
