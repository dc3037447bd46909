//! Fanout that waits for its subscribers, in a Redis stream beside Kombu's channel. Invisible to Kombu.

use std::{collections::VecDeque, future::Future, time::Duration};

use ::redis::{Cmd, RedisResult, Script, Value, aio::MultiplexedConnection};
use keyrail_core::{
    ExchangeKind,
    kombu::{Command, Envelope, Layout, Subscription, plan},
};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use self::look::{Found, Look, Looking};
use crate::{ExecuteError, Host, HostError, ReceivedMessage, Redis, deadline::deadline, names};

mod look;

/// A fanout exchange that keeps what it was given, for peers that use keyrail.
///
/// A publish goes to Kombu's channel as ever and, in the same transaction, into the stream `keyrail.stream.<exchange>`.
/// A subscriber has a name; what is published while it is away waits for it, and what it does not ack comes again. Kombu's
/// subscribers hear the channel and know nothing of the stream; what Kombu's publishers send is on the channel only.
///
/// ```no_run
/// use std::time::Duration;
/// use keyrail_core::kombu::Envelope;
/// use keyrail_redis::{Connection, DurableFanout, Host, load};
///
/// # async fn fanout() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = Connection::new("redis://127.0.0.1/0")?;
/// let layout = connection.options().layout.clone();
/// let host = Host::from_tables(connection.connect().await?, layout, load::Options::default());
/// let news = DurableFanout::new(&host, "news", 10_000)?;
/// let mut desk = news.subscribe("desk", "", Duration::from_secs(60)).await?;
/// news.publish("", &Envelope::text("hello")).await?;
/// while let Some(message) = desk.next(Duration::from_secs(1)).await? {
///     println!("{:?}", message.message.body.as_text());
///     desk.ack(&message).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DurableFanout {
    host: Host<Redis>,
    exchange: String,
    /// About how many messages the stream keeps, acked or not.
    keep: u64,
}

impl DurableFanout {
    /// An exchange by its name. `keep` messages are kept, or somewhat more; older ones are gone, read or not.
    ///
    /// ```no_run
    /// use keyrail_redis::{Connection, DurableFanout, Host, load};
    ///
    /// # async fn new() -> Result<(), Box<dyn std::error::Error>> {
    /// let redis = Connection::new("redis://127.0.0.1/0")?.connect().await?;
    /// let host = Host::from_tables(redis, Default::default(), load::Options::default());
    /// assert!(DurableFanout::new(&host, "news", 10_000).is_ok());
    /// assert_eq!(DurableFanout::new(&host, "a/b", 10_000).unwrap_err().code(), "not-expressible");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`HostError::NotExpressible`] for a name that Kombu peers cannot live with, [`HostError::Member`] for one with the
    /// separator in it.
    pub fn new(host: &Host<Redis>, exchange: &str, keep: u64) -> Result<Self, HostError> {
        names::check_exchange(host.layout(), exchange, ExchangeKind::Fanout)?;
        Ok(DurableFanout { host: host.clone(), exchange: exchange.into(), keep })
    }

    /// Publishes to whoever listens now and to every subscriber; how many Kombu subscribers heard it.
    ///
    /// ```no_run
    /// use keyrail_core::kombu::Envelope;
    /// use keyrail_redis::{DurableFanout, ExecuteError};
    ///
    /// # async fn publish(news: DurableFanout) -> Result<(), ExecuteError> {
    /// let heard = news.publish("sports.chess", &Envelope::text("mate in two")).await?;
    /// println!("{heard} of Kombu's subscribers heard it; those with a name have it, or will");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the executor; whether it was published is not known if the connection broke. If the stream's key is of
    /// another type, nothing is.
    /// # Cost
    /// One step on the server, however many subscribers there are.
    pub async fn publish(&self, routing_key: &str, envelope: &Envelope) -> Result<i64, ExecuteError> {
        let (redis, layout) = (self.host.executor(), self.host.layout());
        let publish = plan::Publish::new(&self.exchange, routing_key, envelope);
        let commands = plan::publish_fanout(layout, &publish, &Uuid::new_v4().to_string()).commands;
        let stream = stream_key(layout, &self.exchange);
        let Some(Command::Publish { channel, payload }) = commands.into_iter().next() else { return Ok(0) };
        let script =
            Script::new(concat!(include_str!("executor/refused.lua"), include_str!("stream/publish.lua")));
        let mut script = script.key(&stream);
        script.arg(self.keep).arg(routing_key).arg(payload).arg(channel);
        let answer = script.invoke_async(&mut redis.link().clone()).await;
        match answer.map_err(|error| redis.error(error))? {
            Value::Int(subscribers) => Ok(subscribers),
            _ => Err(no_stream(&stream, "XADD")),
        }
    }

    /// Subscribes under a name, which gets what is published from now on, or from when it was first used. Several who use
    /// one name share its messages. Binding keys mean what they mean to Kombu's subscribers. A visibility timeout must be
    /// far above the way to Redis and back: what has less than a quarter of it left is not handed out.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use keyrail_redis::{DurableFanout, ExecuteError};
    ///
    /// # async fn subscribe(news: DurableFanout) -> Result<(), ExecuteError> {
    /// // Two processes of one name share its messages; another name gets each of them, too.
    /// let first = news.subscribe("desk", "sports.#", Duration::from_secs(60)).await?;
    /// let second = news.subscribe("desk", "sports.#", Duration::from_secs(60)).await?;
    /// let archive = news.subscribe("archive", "#", Duration::from_secs(60)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn subscribe(
        &self,
        name: &str,
        binding_key: &str,
        visibility_timeout: Duration,
    ) -> Result<DurableSubscription, ExecuteError> {
        let (redis, layout) = (self.host.executor(), self.host.layout());
        let key = stream_key(layout, &self.exchange);
        create_group(redis, &key, name, "$").await?;
        let mut subscription = DurableSubscription {
            subscription: Subscription::with_layout(layout, &self.exchange, binding_key),
            host: self.host.clone(),
            exchange: self.exchange.clone(),
            key,
            name: name.into(),
            consumer: Uuid::new_v4().simple().to_string(),
            visibility_timeout,
            connection: None,
            looking: Looking::default(),
            cursor: look::BEGIN.into(),
            ahead: VecDeque::new(),
            others: Vec::new(),
            last: "0".into(),
            closed: false,
        };
        // Those who died did not take leave.
        subscription.leave(false).await?;
        Ok(subscription)
    }
}

/// The messages of one name.
///
/// ```no_run
/// use std::time::Duration;
/// use keyrail_redis::{DurableFanout, ExecuteError};
///
/// # async fn read(news: DurableFanout) -> Result<(), ExecuteError> {
/// let mut desk = news.subscribe("desk", "", Duration::from_secs(60)).await?;
/// if let Some(message) = desk.next(Duration::from_secs(5)).await? {
///     assert!(desk.ack(&message).await?, "the first time");
///     assert!(!desk.ack(&message).await?);
/// }
/// desk.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DurableSubscription {
    host: Host<Redis>,
    exchange: String,
    subscription: Subscription,
    key: String,
    name: String,
    consumer: String,
    visibility_timeout: Duration,
    /// A blocking read keeps its connection busy.
    connection: Option<MultiplexedConnection>,
    looking: Looking,
    /// Where the next look for what others left behind goes on.
    cursor: String,
    /// What was read and not handed out, and since when it is this consumer's.
    ahead: VecDeque<(Instant, StreamMessage)>,
    /// What was read and is not bound, and has to be settled.
    others: Vec<String>,
    /// The last message that was read.
    last: String,
    closed: bool,
}

/// A message that is not yet acked.
///
/// ```no_run
/// use std::time::Duration;
/// use keyrail_redis::{DurableFanout, ExecuteError};
///
/// # async fn read(news: DurableFanout) -> Result<(), ExecuteError> {
/// let mut desk = news.subscribe("desk", "", Duration::from_secs(60)).await?;
/// if let Some(next) = desk.next(Duration::from_secs(5)).await? {
///     let again = if next.message.redelivered { "again" } else { "new" };
///     println!("{} ({again}): {:?}", next.id, next.message.body);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StreamMessage {
    /// Its place in the stream.
    pub id: String,
    /// The message. `redelivered` says whether another one of this name had it before.
    pub message: ReceivedMessage,
}

/// The longest single wait, after which there may be something to claim.
const GLANCE: Duration = Duration::from_secs(1);

impl DurableSubscription {
    /// The next message, waiting for it at most so long. May be abandoned: what was on its way comes with the next call.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use keyrail_redis::{DurableSubscription, ExecuteError};
    ///
    /// # async fn read(mut desk: DurableSubscription) -> Result<(), ExecuteError> {
    /// while let Some(next) = desk.next(Duration::from_secs(1)).await? {
    ///     println!("{:?}", next.message.body);
    ///     desk.ack(&next).await?; // else it comes again
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the executor. After one, what had been read ahead comes again when the visibility timeout has passed.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<StreamMessage>, ExecuteError> {
        let deadline = deadline(limit);
        loop {
            self.settle_others().await?;
            if let Some(message) = self.next_ahead().await? {
                return Ok(Some(message));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let found = if self.looking.is_under_way() {
                // Somebody with more patience may have begun it.
                let Ok(found) = timeout_at(deadline, self.looking.end()).await else { return Ok(None) };
                found
            } else {
                let look = self.look(left.min(self.glance()));
                self.looking.begin(look);
                self.looking.end().await
            };
            match found {
                Ok(found) => {
                    self.keep(found);
                    if left.is_zero() {
                        self.settle_others().await?;
                        return self.next_ahead().await;
                    }
                }
                // Somebody emptied the database: what was published since then waits for this name all the same.
                Err(error) if says(&error, &["NOGROUP", "UNBLOCKED"]) => {
                    create_group(self.host.executor(), &self.key, &self.name, &just_before(&self.last))
                        .await?;
                }
                Err(error) if says(&error, &["WRONGTYPE"]) => {
                    return Err(no_stream(&self.key, "XREADGROUP"));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The longest single wait. Nobody knows when in it the answer came, which must not matter to whose it is.
    fn glance(&self) -> Duration {
        (self.visibility_timeout / 4).clamp(Duration::from_millis(20), GLANCE)
    }

    fn look(&mut self, limit: Duration) -> Look {
        Look {
            link: self.host.executor().link().clone(),
            key: self.key.clone(),
            name: self.name.clone(),
            consumer: self.consumer.clone(),
            silence: milliseconds(self.visibility_timeout),
            cursor: self.cursor.clone(),
            connection: self.connection.take(),
            limit,
        }
    }

    /// Keeps what is bound, and notes the rest.
    fn keep(&mut self, found: Found) {
        let Found { since, entries, again, cursor, connection } = found;
        (self.cursor, self.connection) = (cursor, connection);
        if let (Some((last, ..)), false) = (entries.last(), again) {
            self.last.clone_from(last);
        }
        for (id, routing_key, payload) in entries {
            if self.subscription.hears(&self.exchange, &routing_key) {
                let mut message = ReceivedMessage::decode(&self.name, &payload);
                message.redelivered |= again;
                self.ahead.push_back((since, StreamMessage { id, message }));
            } else {
                self.others.push(id);
            }
        }
    }

    async fn settle_others(&mut self) -> Result<(), ExecuteError> {
        if !self.others.is_empty() {
            let others: Vec<&str> = self.others.iter().map(String::as_str).collect();
            self.settle(&others).await?;
            self.others.clear();
        }
        Ok(())
    }

    /// What was read ahead, if it is still this consumer's.
    ///
    /// While somebody worked, another one of this name may have claimed it. Its time begins anew when it is handed out;
    /// what has little time left is left to whoever claims it, and what was claimed to who did, so that two never have it in
    /// hand.
    async fn next_ahead(&mut self) -> Result<Option<StreamMessage>, ExecuteError> {
        while let Some((since, message)) = self.ahead.front() {
            let age = since.elapsed();
            if age > self.visibility_timeout / 4 * 3 {
                self.ahead.pop_front();
                continue;
            }
            // It stays in front meanwhile: whoever awaits this may go away.
            if age > self.visibility_timeout / 4 {
                let redis = self.host.executor();
                let script = Script::new(include_str!("stream/touch.lua"));
                let mut script = script.key(&self.key);
                script.arg(&self.name).arg(&self.consumer).arg(&message.id);
                let touched: RedisResult<u64> = script.invoke_async(&mut redis.link().clone()).await;
                if touched.map_err(|error| redis.error(error))? == 0 {
                    self.ahead.pop_front();
                    continue;
                }
            }
            return Ok(self.ahead.pop_front().map(|(_, message)| message));
        }
        Ok(None)
    }

    /// Gives back what was read ahead and not handed out, and takes the consumer off the list. What was handed out and not
    /// acked comes again when the visibility timeout has passed. Dropping does the same, and tells nobody of an error.
    /// After a [`next`](Self::next) that was abandoned it waits up to a second for what that had asked for.
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn close(mut self) -> Result<(), ExecuteError> {
        let left = self.leave(true).await;
        self.closed = true;
        left
    }

    /// Deletes consumers of this name that are gone and hold nothing, and this one if it leaves.
    fn leave(&mut self, leaves: bool) -> impl Future<Output = Result<(), ExecuteError>> + Send + use<> {
        let consumer = if leaves { self.consumer.clone() } else { String::new() };
        let (host, key, name) = (self.host.clone(), self.key.clone(), self.name.clone());
        let silence = milliseconds(self.visibility_timeout);
        let mut ids: Vec<String> = self.ahead.drain(..).map(|(_, message)| message.id).collect();
        ids.append(&mut self.others);
        let mut looking = std::mem::take(&mut self.looking);
        async move {
            // Whoever began it is gone, and what it reads is this consumer's.
            if looking.is_under_way()
                && let Ok(found) = looking.end().await
            {
                ids.extend(found.entries.into_iter().map(|(id, ..)| id));
            }
            let redis = host.executor();
            let script = Script::new(include_str!("stream/leave.lua"));
            let mut script = script.key(key);
            script.arg(name).arg(consumer).arg(silence).arg(ids);
            let left: RedisResult<Value> = script.invoke_async(&mut redis.link().clone()).await;
            left.map(drop).map_err(|error| redis.error(error))
        }
    }

    /// Settles a message; false if it was settled before.
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn ack(&self, message: &StreamMessage) -> Result<bool, ExecuteError> {
        self.settle(&[&message.id]).await.map(|settled| settled == 1)
    }

    async fn settle(&self, ids: &[&str]) -> Result<u64, ExecuteError> {
        let redis = self.host.executor();
        let mut ack = Cmd::new();
        ack.arg("XACK").arg(&self.key).arg(&self.name).arg(ids);
        ack.query_async(&mut redis.link().clone()).await.map_err(|error| redis.error(error))
    }
}

impl Drop for DurableSubscription {
    fn drop(&mut self) {
        if let (false, Ok(runtime)) = (self.closed, tokio::runtime::Handle::try_current()) {
            runtime.spawn(self.leave(true));
        }
    }
}

/// A group that gets what comes after this one; it may be there already.
async fn create_group(redis: &Redis, key: &str, name: &str, after: &str) -> Result<(), ExecuteError> {
    let mut create = Cmd::new();
    create.arg("XGROUP").arg("CREATE").arg(key).arg(name).arg(after).arg("MKSTREAM");
    let created: RedisResult<Value> = create.query_async(&mut redis.link().clone()).await;
    match created {
        Err(error) if error.code() == Some("WRONGTYPE") => Err(no_stream(key, "XGROUP")),
        Err(error) if error.code() != Some("BUSYGROUP") => Err(redis.error(error)),
        _ => Ok(()),
    }
}

/// A stream that begins anew in the same millisecond gives the same place to another message.
fn just_before(place: &str) -> String {
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    let (time, count) = place.split_once('-').unwrap_or((place, "0"));
    match (number(time), number(count)) {
        (0, 0) => "0".into(),
        (time, 0) => format!("{}-{}", time - 1, u64::MAX),
        (time, count) => format!("{time}-{}", count - 1),
    }
}

fn no_stream(key: &str, command: &'static str) -> ExecuteError {
    ExecuteError::WrongType { key: key.into(), command }
}

/// Whether it is the server's error of one of these codes.
fn says(error: &ExecuteError, codes: &[&str]) -> bool {
    let ExecuteError::Server { message } = error else { return false };
    codes.iter().any(|code| message.starts_with(code))
}

/// A time that the server can take from its clock.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(1_000_000_000_000_000)
}

fn stream_key(layout: &Layout, exchange: &str) -> String {
    format!("{}keyrail.stream.{exchange}", layout.global_keyprefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_just_before_a_place() {
        for (place, before) in
            [("5-3", "5-2"), ("5-0", "4-18446744073709551615"), ("0-1", "0-0"), ("0", "0"), ("0-0", "0")]
        {
            assert_eq!(just_before(place), before);
        }
    }
}
