//! Fanout that waits for its subscribers, in a Redis stream beside Kombu's channel. Invisible to Kombu.

use std::{collections::VecDeque, time::Duration};

use ::redis::{Cmd, Pipeline, RedisResult, Value, aio::MultiplexedConnection, streams::StreamReadReply};
use keyrail_core::kombu::{Envelope, Layout, Subscription, check_fanout_exchange, plan};
use uuid::Uuid;

use crate::{ExecuteError, Host, HostError, ReceivedMessage, Redis};

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
    /// [`HostError::NotExpressible`] for a name that Kombu peers cannot live with.
    pub fn new(host: &Host<Redis>, exchange: &str, keep: u64) -> Result<Self, HostError> {
        check_fanout_exchange(exchange)
            .map_err(|error| HostError::NotExpressible { reason: error.to_string().into() })?;
        Ok(DurableFanout { host: host.clone(), exchange: exchange.into(), keep })
    }

    /// Publishes to whoever listens now and to every subscriber; how many Kombu subscribers heard it.
    ///
    /// # Errors
    /// Those of the executor; whether it was published is not known if the connection broke.
    pub async fn publish(&self, routing_key: &str, envelope: &Envelope) -> Result<i64, ExecuteError> {
        let (redis, layout) = (self.host.executor(), self.host.layout());
        let publish = plan::Publish::new(&self.exchange, routing_key, envelope);
        let commands = plan::publish_fanout(layout, &publish, &Uuid::new_v4().to_string()).commands;
        let mut pipeline = Pipeline::new();
        pipeline.atomic();
        for command in &commands {
            let [_, channel, payload] = &command.args()[..] else { continue };
            let mut add = Cmd::new();
            add.arg("XADD").arg(stream_key(layout, &self.exchange));
            add.arg("MAXLEN").arg("~").arg(self.keep).arg("*");
            add.arg("routing_key").arg(routing_key).arg("message").arg(&**payload);
            let mut send = Cmd::new();
            send.arg("PUBLISH").arg(&**channel).arg(&**payload);
            pipeline.add_command(add).add_command(send);
        }
        let answers: RedisResult<Vec<Value>> = pipeline.query_async(&mut redis.link().clone()).await;
        match &answers.map_err(|error| redis.error(error))?[..] {
            [_, Value::Int(subscribers)] => Ok(*subscribers),
            other => Err(ExecuteError::Server { message: format!("XADD, PUBLISH got {other:?}").into() }),
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
        let mut create = Cmd::new();
        create.arg("XGROUP").arg("CREATE").arg(&key).arg(name).arg("$").arg("MKSTREAM");
        let created: RedisResult<Value> = create.query_async(&mut redis.link().clone()).await;
        match created {
            Err(error) if error.code() != Some("BUSYGROUP") => return Err(redis.error(error)),
            _ => {}
        }
        Ok(DurableSubscription {
            subscription: Subscription::with_layout(layout, &self.exchange, binding_key),
            host: self.host.clone(),
            exchange: self.exchange.clone(),
            key,
            name: name.into(),
            consumer: Uuid::new_v4().simple().to_string(),
            visibility_timeout,
            waiting: None,
            ahead: VecDeque::new(),
        })
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
    ahead: VecDeque<StreamMessage>,
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
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let Some(message) = self.ahead.pop_front() {
                return Ok(Some(message));
            }
            self.claim().await?;
            if !self.ahead.is_empty() {
                continue;
            }
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            self.read(left.min(GLANCE)).await?;
            if self.ahead.is_empty() && left.is_zero() {
                return Ok(None);
            }
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
        claim.arg(u64::try_from(self.visibility_timeout.as_millis()).unwrap_or(u64::MAX));
        claim.arg("0-0").arg("COUNT").arg(BATCH);
        let claimed: Value =
            claim.query_async(&mut redis.link().clone()).await.map_err(|error| redis.error(error))?;
        let Value::Array(parts) = claimed else { return Ok(()) };
        let Some(Value::Array(entries)) = parts.into_iter().nth(1) else { return Ok(()) };
        let entries = entries.into_iter().filter_map(entry).collect();
        self.keep(entries, true).await
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
        let entries = entries.collect();
        self.keep(entries, false).await
    }

    /// Keeps what is bound and settles the rest.
    async fn keep(
        &mut self,
        entries: Vec<(String, String, Vec<u8>)>,
        again: bool,
    ) -> Result<(), ExecuteError> {
        let mut others = Vec::new();
        for (id, routing_key, payload) in entries {
            if self.subscription.hears(&self.exchange, &routing_key) {
                let mut message = ReceivedMessage::decode(&self.name, &payload);
                message.redelivered |= again;
                self.ahead.push_back(StreamMessage { id, message });
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
