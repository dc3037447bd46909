//! Fanout that waits for its subscribers, in a Redis stream beside Kombu's channel. Invisible to Kombu.

use std::{collections::VecDeque, future::Future, time::Duration};

use ::redis::{Cmd, RedisResult, Script, Value, aio::MultiplexedConnection, streams::StreamReadReply};
use keyrail_core::{
    ExchangeKind,
    kombu::{Command, Envelope, Layout, Subscription, plan},
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{ExecuteError, Host, HostError, ReceivedMessage, Redis, deadline::deadline, names};

/// A fanout exchange that keeps what it was given, for peers that use keyrail.
///
/// A publish goes to Kombu's channel as ever and, in the same transaction, into the stream `keyrail.stream.<exchange>`.
/// A subscriber has a name; what is published while it is away waits for it, and what it does not ack comes again. Kombu's
/// subscribers hear the channel and know nothing of the stream; what Kombu's publishers send is on the channel only.
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
    /// # Errors
    /// [`HostError::NotExpressible`] for a name that Kombu peers cannot live with, [`HostError::Member`] for one with the
    /// separator in it.
    pub fn new(host: &Host<Redis>, exchange: &str, keep: u64) -> Result<Self, HostError> {
        names::check_exchange(host.layout(), exchange, ExchangeKind::Fanout)?;
        Ok(DurableFanout { host: host.clone(), exchange: exchange.into(), keep })
    }

    /// Publishes to whoever listens now and to every subscriber; how many Kombu subscribers heard it.
    ///
    /// # Errors
    /// Those of the executor; whether it was published is not known if the connection broke. If the stream's key is of
    /// another type, nothing is.
    pub async fn publish(&self, routing_key: &str, envelope: &Envelope) -> Result<i64, ExecuteError> {
        let (redis, layout) = (self.host.executor(), self.host.layout());
        let publish = plan::Publish::new(&self.exchange, routing_key, envelope);
        let commands = plan::publish_fanout(layout, &publish, &Uuid::new_v4().to_string()).commands;
        let stream = stream_key(layout, &self.exchange);
        let Some(Command::Publish { channel, payload }) = commands.into_iter().next() else { return Ok(0) };
        let script = Script::new(include_str!("stream/publish.lua"));
        let mut script = script.key(&stream);
        script.arg(self.keep).arg(routing_key).arg(payload).arg(channel);
        let answer = script.invoke_async(&mut redis.link().clone()).await;
        match answer.map_err(|error| redis.error(error))? {
            Value::Int(subscribers) => Ok(subscribers),
            _ => Err(no_stream(&stream, "XADD")),
        }
    }

    /// Subscribes under a name, which gets what is published from now on, or from when it was first used. Several who use
    /// one name share its messages. Binding keys mean what they mean to Kombu's subscribers.
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
            waiting: None,
            ahead: VecDeque::new(),
            last: "0".into(),
            closed: false,
        };
        // Those who died did not take leave.
        subscription.leave(false).await?;
        Ok(subscription)
    }
}

/// The messages of one name.
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
    waiting: Option<MultiplexedConnection>,
    /// What was read and not handed out, and since when it is this consumer's.
    ahead: VecDeque<(Instant, StreamMessage)>,
    /// The last message that was read.
    last: String,
    closed: bool,
}

/// A message that is not yet acked.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamMessage {
    /// Its place in the stream.
    pub id: String,
    /// The message. `redelivered` says whether another one of this name had it before.
    pub message: ReceivedMessage,
}

/// How many messages are read at once.
const BATCH: usize = 64;

/// The longest single wait, after which there may be something to claim.
const GLANCE: Duration = Duration::from_secs(1);

impl DurableSubscription {
    /// The next message, waiting for it at most so long.
    ///
    /// # Errors
    /// Those of the executor. After one, what had been read ahead comes again when the visibility timeout has passed.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<StreamMessage>, ExecuteError> {
        let deadline = deadline(limit);
        loop {
            if let Some(message) = self.next_ahead().await? {
                return Ok(Some(message));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let looked = async {
                self.claim().await?;
                if self.ahead.is_empty() {
                    self.read(left.min(GLANCE)).await?;
                }
                Ok(())
            };
            let looked: Result<(), ExecuteError> = looked.await;
            match looked {
                Ok(()) if self.ahead.is_empty() && left.is_zero() => return Ok(None),
                Ok(()) => {}
                // Somebody emptied the database: what was published since then waits for this name all the same.
                Err(error) if says(&error, &["NOGROUP", "UNBLOCKED"]) => {
                    create_group(self.host.executor(), &self.key, &self.name, &self.last).await?;
                }
                Err(error) if says(&error, &["WRONGTYPE"]) => {
                    return Err(no_stream(&self.key, "XREADGROUP"));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What was read ahead, if it is still this consumer's.
    ///
    /// While somebody worked, another one of this name may have claimed it. Its time begins anew when it is handed out;
    /// what has little time left is left to whoever claims it, so that two never have it in hand.
    async fn next_ahead(&mut self) -> Result<Option<StreamMessage>, ExecuteError> {
        while let Some((since, message)) = self.ahead.pop_front() {
            let age = since.elapsed();
            if age > self.visibility_timeout / 4 * 3 {
                continue;
            }
            if age > self.visibility_timeout / 4 {
                let redis = self.host.executor();
                let mut touch = Cmd::new();
                touch.arg("XCLAIM").arg(&self.key).arg(&self.name).arg(&self.consumer);
                touch.arg(0).arg(&message.id).arg("JUSTID");
                let touched: RedisResult<Vec<String>> = touch.query_async(&mut redis.link().clone()).await;
                // Acked by somebody, or trimmed.
                if touched.map_err(|error| redis.error(error))?.is_empty() {
                    continue;
                }
            }
            return Ok(Some(message));
        }
        Ok(None)
    }

    /// Gives back what was read ahead and not handed out, and takes the consumer off the list. What was handed out and not
    /// acked comes again when the visibility timeout has passed. Dropping does the same, and tells nobody of an error.
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
        let ids: Vec<String> = self.ahead.drain(..).map(|(_, message)| message.id).collect();
        async move {
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

    /// Takes over what others of this name left behind.
    async fn claim(&mut self) -> Result<(), ExecuteError> {
        let redis = self.host.executor();
        let mut claim = Cmd::new();
        claim.arg("XAUTOCLAIM").arg(&self.key).arg(&self.name).arg(&self.consumer);
        claim.arg(milliseconds(self.visibility_timeout));
        claim.arg("0-0").arg("COUNT").arg(BATCH);
        let since = Instant::now();
        let claimed: Value =
            claim.query_async(&mut redis.link().clone()).await.map_err(|error| redis.error(error))?;
        let Value::Array(parts) = claimed else { return Ok(()) };
        let Some(Value::Array(entries)) = parts.into_iter().nth(1) else { return Ok(()) };
        let entries = entries.into_iter().filter_map(entry).collect();
        self.keep(since, entries, true).await
    }

    async fn read(&mut self, limit: Duration) -> Result<(), ExecuteError> {
        let redis = self.host.executor();
        let mut connection = match self.waiting.take() {
            Some(connection) => connection,
            None => redis.link().dedicated(&self.key).await?,
        };
        let mut read = Cmd::new();
        read.arg("XREADGROUP").arg("GROUP").arg(&self.name).arg(&self.consumer).arg("COUNT").arg(BATCH);
        // Zero would be for ever.
        read.arg("BLOCK").arg(limit.as_millis().max(1) as u64).arg("STREAMS").arg(&self.key).arg(">");
        let answer = read.query_async::<Option<StreamReadReply>>(&mut connection);
        let patience = limit + redis.link().timeouts().response_timeout;
        let answer = match tokio::time::timeout(patience, answer).await {
            Ok(answer) => answer.map_err(|error| redis.error(error))?,
            Err(_) => return Err(crate::executor::errors::silent(redis.link().address(), patience)),
        };
        self.waiting = Some(connection);
        let entries = answer.into_iter().flat_map(|read| read.keys).flat_map(|key| key.ids).map(|entry| {
            let routing_key = entry.get("routing_key").unwrap_or_default();
            (entry.id.clone(), routing_key, entry.get("message").unwrap_or_default())
        });
        let entries: Vec<_> = entries.collect();
        if let Some((last, ..)) = entries.last() {
            self.last.clone_from(last);
        }
        self.keep(Instant::now(), entries, false).await
    }

    /// Keeps what is bound and settles the rest.
    async fn keep(
        &mut self,
        since: Instant,
        entries: Vec<(String, String, Vec<u8>)>,
        again: bool,
    ) -> Result<(), ExecuteError> {
        let mut others = Vec::new();
        for (id, routing_key, payload) in entries {
            if self.subscription.hears(&self.exchange, &routing_key) {
                let mut message = ReceivedMessage::decode(&self.name, &payload);
                message.redelivered |= again;
                self.ahead.push_back((since, StreamMessage { id, message }));
            } else {
                others.push(id);
            }
        }
        if !others.is_empty() {
            let others: Vec<&str> = others.iter().map(String::as_str).collect();
            self.settle(&others).await?;
        }
        Ok(())
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

fn entry(entry: Value) -> Option<(String, String, Vec<u8>)> {
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
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Some((text(id), text(field(b"routing_key")?), field(b"message")?))
}

fn stream_key(layout: &Layout, exchange: &str) -> String {
    format!("{}keyrail.stream.{exchange}", layout.global_keyprefix)
}
