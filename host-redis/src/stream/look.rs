//! One look at a stream: for what others left behind, and then for what is new.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ::redis::{Cmd, Value, aio::MultiplexedConnection, streams::StreamReadReply};
use tokio::time::Instant;

use crate::{
    ExecuteError,
    connection::link::Link,
    executor::errors::{command_error, silent},
};

/// How many messages are read at once.
const BATCH: usize = 64;

/// Where a round over what is pending begins; the server names it at the end of one.
pub(super) const BEGIN: &str = "0-0";

/// A place in the stream, a routing key and a payload.
type Entry = (String, String, Vec<u8>);

/// What is looked for, and by whom.
pub(super) struct Look {
    pub(super) link: Link,
    pub(super) key: String,
    pub(super) name: String,
    pub(super) consumer: String,
    /// What others have held for so many milliseconds without a word is claimed.
    pub(super) silence: u64,
    /// Where among what is pending.
    pub(super) cursor: String,
    /// The one of the last look.
    pub(super) connection: Option<MultiplexedConnection>,
    /// How long it waits for what is new.
    pub(super) limit: Duration,
}

/// What was found. It is this consumer's now.
pub(super) struct Found {
    pub(super) since: Instant,
    pub(super) entries: Vec<Entry>,
    /// Whether others had it before.
    pub(super) again: bool,
    pub(super) cursor: String,
    pub(super) connection: Option<MultiplexedConnection>,
}

impl Look {
    /// # Cost
    /// The server looks at no more than 640 pending entries at once, so a round over many takes several looks. They do not
    /// wait, but for the last one.
    async fn run(self) -> Result<Found, ExecuteError> {
        let since = Instant::now();
        let (cursor, entries) = self.claim().await?;
        if !entries.is_empty() {
            return Ok(Found { since, entries, again: true, cursor, connection: self.connection });
        }
        self.read(cursor).await
    }

    /// Takes over what others of this name left behind.
    async fn claim(&self) -> Result<(String, Vec<Entry>), ExecuteError> {
        let mut claim = Cmd::new();
        claim.arg("XAUTOCLAIM").arg(&self.key).arg(&self.name).arg(&self.consumer).arg(self.silence);
        claim.arg(&self.cursor).arg("COUNT").arg(BATCH);
        let claimed = claim.query_async(&mut self.link.clone()).await;
        let claimed: Value =
            claimed.map_err(|error| command_error(self.link.address(), self.link.timeouts(), &error))?;
        let Value::Array(parts) = claimed else { return Ok((BEGIN.into(), Vec::new())) };
        let mut parts = parts.into_iter();
        let (Some(Value::BulkString(cursor)), Some(Value::Array(entries))) = (parts.next(), parts.next())
        else {
            return Ok((BEGIN.into(), Vec::new()));
        };
        Ok((text(cursor), entries.into_iter().filter_map(entry).collect()))
    }

    async fn read(self, cursor: String) -> Result<Found, ExecuteError> {
        let mut connection = match self.connection {
            Some(connection) => connection,
            None => self.link.dedicated(&self.key).await?,
        };
        let limit = if cursor == BEGIN { self.limit } else { Duration::ZERO };
        let sent = Instant::now();
        let mut read = Cmd::new();
        read.arg("XREADGROUP").arg("GROUP").arg(&self.name).arg(&self.consumer).arg("COUNT").arg(BATCH);
        // Zero would be for ever.
        read.arg("BLOCK").arg(limit.as_millis().max(1) as u64).arg("STREAMS").arg(&self.key).arg(">");
        let answer = read.query_async::<Option<StreamReadReply>>(&mut connection);
        let (address, timeouts) = (self.link.address(), self.link.timeouts());
        let patience = limit + timeouts.response_timeout;
        let answer = match tokio::time::timeout(patience, answer).await {
            Ok(answer) => answer.map_err(|error| command_error(address, timeouts, &error))?,
            Err(_) => return Err(silent(address, patience)),
        };
        let entries = answer.into_iter().flat_map(|read| read.keys).flat_map(|key| key.ids).map(|entry| {
            let routing_key = entry.get("routing_key").unwrap_or_default();
            (entry.id.clone(), routing_key, entry.get("message").unwrap_or_default())
        });
        let entries = entries.collect();
        // The answer may have come long ago, while nobody asked for it.
        let since = Instant::now().min(sent + limit);
        Ok(Found { since, entries, again: false, cursor, connection: Some(connection) })
    }
}

fn entry(entry: Value) -> Option<Entry> {
    let Value::Array(parts) = entry else { return None };
    let mut parts = parts.into_iter();
    let (Some(Value::BulkString(id)), Some(Value::Array(fields))) = (parts.next(), parts.next()) else {
        return None;
    };
    let field = |name: &[u8]| {
        fields.chunks_exact(2).find_map(|pair| match pair {
            [Value::BulkString(known), Value::BulkString(value)] if known == name => Some(value.clone()),
            _ => None,
        })
    };
    Some((text(id), text(field(b"routing_key")?), field(b"message")?))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The look that is under way, which stays so when it is abandoned: what it reads is this consumer's, and nobody else
/// would know.
#[derive(Default)]
pub(super) struct Looking(Mutex<Option<UnderWay>>);

/// Nothing waits for the lock, which lets a subscription be shared by those who ack.
type UnderWay = Pin<Box<dyn Future<Output = Result<Found, ExecuteError>> + Send>>;

impl Looking {
    pub(super) fn is_under_way(&mut self) -> bool {
        self.look().is_some()
    }

    pub(super) fn begin(&mut self, look: Look) {
        *self.look() = Some(Box::pin(look.run()));
    }

    /// What the look comes to; never, if there is none. May be abandoned and asked again.
    pub(super) async fn end(&mut self) -> Result<Found, ExecuteError> {
        let under_way = self.look();
        let found = match under_way {
            Some(look) => look.await,
            None => std::future::pending().await,
        };
        *under_way = None;
        found
    }

    fn look(&mut self) -> &mut Option<UnderWay> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Looking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looking").finish_non_exhaustive()
    }
}
