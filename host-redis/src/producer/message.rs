//! A message before it has found its queues.

use std::{borrow::Cow, time::Duration};

use keyrail_core::{
    ByteString, Table,
    kombu::{Envelope, Json, Task},
};
use serde::Serialize;

use super::ProduceError;
use crate::Compression;

/// How a body becomes bytes, with the content type and encoding that Kombu's readers expect.
///
/// ```
/// use keyrail_redis::Serializer;
///
/// assert_eq!("msgpack".parse::<Serializer>().unwrap(), Serializer::Msgpack);
/// assert!("pickle".parse::<Serializer>().unwrap_err().to_string().contains("`pickle`"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Serializer {
    /// `application/json`.
    Json,
    /// `application/x-msgpack`. Kombu's consumers refuse it unless their `accept` names it.
    Msgpack,
    /// `application/data`: text or bytes as they are.
    Raw,
}

impl std::str::FromStr for Serializer {
    type Err = ProduceError;

    fn from_str(name: &str) -> Result<Self, ProduceError> {
        match name {
            "json" => Ok(Serializer::Json),
            "msgpack" => Ok(Serializer::Msgpack),
            "raw" => Ok(Serializer::Raw),
            _ => {
                let reason = format!(
                    "there is no serializer `{}`, expected json, msgpack or raw",
                    name.escape_debug()
                );
                Err(ProduceError::Serialize { reason: reason.into() })
            }
        }
    }
}

/// A message to be published. What it does not say, the producer's options say.
///
/// ```
/// use std::time::Duration;
/// use keyrail_redis::{Compression, Message};
///
/// let message = Message::json(&serde_json::json!({"total": 42}))?
///     .exchange("orders")
///     .routing_key("order.eu.paid")
///     .header("tenant", "a")
///     .priority(3)
///     .expiration(Duration::from_secs(60))
///     .compression(Some(Compression::Zlib));
/// # Ok::<(), keyrail_redis::ProduceError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub(super) payload: Payload,
    pub(super) exchange: Option<String>,
    pub(super) routing_key: Option<ByteString>,
    pub(super) headers: Table,
    pub(super) properties: Vec<(String, Json)>,
    pub(super) priority: Option<Json>,
    pub(super) expiration: Option<u64>,
    pub(super) transient: bool,
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) serializer: Option<Serializer>,
    pub(super) compression: Option<Option<Compression>>,
    pub(super) mandatory: Option<bool>,
    pub(super) return_to_queue: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Payload {
    Value(Json),
    Text(String),
    Bytes(Vec<u8>),
    /// Finished but for compression.
    Envelope(Box<Envelope>),
}

impl Message {
    fn new(payload: Payload) -> Self {
        Message {
            payload,
            exchange: None,
            routing_key: None,
            headers: Table::new(),
            properties: Vec::new(),
            priority: None,
            expiration: None,
            transient: false,
            content_type: None,
            content_encoding: None,
            serializer: None,
            compression: None,
            mandatory: None,
            return_to_queue: false,
        }
    }

    /// A value, written as JSON unless the message or the producer names another serializer.
    ///
    /// ```
    /// use keyrail_core::kombu::Json;
    /// use keyrail_redis::Message;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Order { total: u32 }
    ///
    /// let message = Message::json(&Order { total: 42 }).unwrap();
    /// assert_eq!(message, Message::value(serde_json::from_str::<Json>(r#"{"total": 42}"#).unwrap()));
    /// assert!(Message::json(&std::collections::BTreeMap::from([((1, 2), 3)])).is_err(), "keys are text");
    /// ```
    ///
    /// # Errors
    /// [`ProduceError::Serialize`] if it is nothing that JSON can express, maps with keys that are no text for instance.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self, ProduceError> {
        let refused = |error: serde_json::Error| ProduceError::Serialize { reason: error.to_string().into() };
        let value = serde_json::to_value(value).map_err(refused)?;
        Ok(Message::new(Payload::Value(serde_json::from_value(value).map_err(refused)?)))
    }

    /// A value whose members keep their order.
    pub fn value(value: Json) -> Self {
        Message::new(Payload::Value(value))
    }

    /// A text: `text/plain`, as Kombu sends a `str` without serializer.
    pub fn text(text: impl Into<String>) -> Self {
        Message::new(Payload::Text(text.into()))
    }

    /// Bytes: `application/data`.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Message::new(Payload::Bytes(bytes.into()))
    }

    /// A call of a Celery task, for the queue `celery` of the default exchange unless it is addressed otherwise.
    ///
    /// ```
    /// use keyrail_core::kombu::{Json, Task};
    /// use keyrail_redis::Message;
    ///
    /// let task = Task { args: vec![Json::from(2), Json::from(3)], ..Task::new("shop.tasks.add", "an-id") };
    /// let message = Message::task(&task).routing_key("shop");
    /// ```
    pub fn task(task: &Task) -> Self {
        Message::envelope(task.envelope()).exchange("").routing_key("celery")
    }

    /// An envelope that is finished: no serializer touches it.
    pub fn envelope(envelope: Envelope) -> Self {
        Message::new(Payload::Envelope(Box::new(envelope)))
    }

    /// Names the exchange; empty for the default exchange.
    #[must_use]
    pub fn exchange(mut self, name: impl Into<String>) -> Self {
        self.exchange = Some(name.into());
        self
    }

    /// Names the routing key: a text, or bytes that need not be UTF-8, which Kombu's peers see as Python's
    /// `surrogateescape` has them.
    #[must_use]
    pub fn routing_key(mut self, key: impl Into<ByteString>) -> Self {
        self.routing_key = Some(key.into());
        self
    }

    /// Sets a header. `CC` and `BCC` name further keys, as in RabbitMQ.
    ///
    /// ```no_run
    /// use keyrail_core::Value;
    /// use keyrail_redis::{Connection, Message, Producer, ProducerOptions};
    ///
    /// # async fn copies() -> Result<(), Box<dyn std::error::Error>> {
    /// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, ProducerOptions::new()).await?;
    /// let copies = Value::Array(vec!["audit".into()]);
    /// let message = Message::text("42 EUR").routing_key("billing").header("CC", copies);
    /// assert_eq!(producer.publish(&message).await?.queues, ["billing", "audit"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<keyrail_core::Value>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sets all headers.
    #[must_use]
    pub fn headers(mut self, headers: Table) -> Self {
        self.headers = headers;
        self
    }

    /// Sets a property by its wire name: `message_id`, `type`, `timestamp`, or one of your own.
    #[must_use]
    pub fn property(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Names the queue for the answer.
    ///
    /// ```
    /// use keyrail_redis::Message;
    ///
    /// let ask = Message::text("price?").reply_to("answers").correlation_id("q-1");
    /// assert_eq!(ask, Message::text("price?").property("reply_to", "answers").property("correlation_id", "q-1"));
    /// ```
    #[must_use]
    pub fn reply_to(self, queue: &str) -> Self {
        self.property("reply_to", queue)
    }

    /// Sets the id that the answer will carry.
    #[must_use]
    pub fn correlation_id(self, id: &str) -> Self {
        self.property("correlation_id", id)
    }

    /// Sets the priority in Kombu's sense, **0 is taken first**; see
    /// [`Priority::from_amqp`](keyrail_core::kombu::Priority::from_amqp).
    ///
    /// ```
    /// use keyrail_core::kombu::Priority;
    /// use keyrail_redis::Message;
    ///
    /// let urgent = Message::text("now").priority(0);
    /// // AMQP counts the other way round.
    /// assert_eq!(urgent, Message::text("now").priority(Priority::from_amqp(9).get()));
    /// ```
    #[must_use]
    pub fn priority(mut self, priority: impl Into<Json>) -> Self {
        self.priority = Some(priority.into());
        self
    }

    /// Sets when the message is of no use any more, in whole milliseconds. Kombu's consumers do not honour it on Redis.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_redis::Message;
    ///
    /// let message = Message::text("42 EUR").expiration(Duration::from_micros(1999));
    /// assert_eq!(message, Message::text("42 EUR").expiration(Duration::from_millis(1)));
    /// ```
    #[must_use]
    pub fn expiration(mut self, expiration: Duration) -> Self {
        self.expiration = Some(u64::try_from(expiration.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Marks the message as transient. Redis keeps it like any other.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.transient = true;
        self
    }

    /// Says what the body is, where it is neither JSON nor plain text.
    #[must_use]
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Says how the body is encoded: `utf-8`, `binary`.
    #[must_use]
    pub fn content_encoding(mut self, content_encoding: &str) -> Self {
        self.content_encoding = Some(content_encoding.into());
        self
    }

    /// Chooses the serializer.
    ///
    /// ```no_run
    /// use keyrail_redis::{Connection, Message, Producer, ProducerOptions, Serializer};
    ///
    /// # async fn serialize() -> Result<(), Box<dyn std::error::Error>> {
    /// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, ProducerOptions::new()).await?;
    /// let total = Message::json(&42)?.routing_key("jobs");
    /// producer.publish(&total.serializer(Serializer::Msgpack)).await?;
    /// let bytes = Message::bytes([0xff]).routing_key("jobs").serializer(Serializer::Json);
    /// assert_eq!(producer.publish(&bytes).await.unwrap_err().code(), "not-serializable");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn serializer(mut self, serializer: Serializer) -> Self {
        self.serializer = Some(serializer);
        self
    }

    /// Chooses the compression, or none whatever the producer does.
    #[must_use]
    pub fn compression(mut self, compression: Option<Compression>) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Whether a message that reaches nobody comes back as an error.
    #[must_use]
    pub fn mandatory(mut self, mandatory: bool) -> Self {
        self.mandatory = Some(mandatory);
        self
    }

    /// Whether each copy names its queue as its address instead of exchange and key. A copy that a crashed Kombu consumer
    /// held then goes back to its queue and to no other.
    #[must_use]
    pub fn return_to_queue(mut self, return_to_queue: bool) -> Self {
        self.return_to_queue = return_to_queue;
        self
    }

    /// The envelope of this message, serialised and compressed.
    pub(super) fn seal(
        &self,
        serializer: Option<Serializer>,
        compression: Option<Compression>,
    ) -> Result<Cow<'_, Envelope>, ProduceError> {
        let compression = self.compression.unwrap_or(compression);
        if let Payload::Envelope(envelope) = &self.payload
            && self.adds_nothing()
            && compression.is_none()
        {
            return Ok(Cow::Borrowed(envelope));
        }
        let raw = |bytes: &[u8], encoding| Envelope::bytes(bytes).content_encoding(encoding);
        let mut envelope = match (&self.payload, self.serializer.or(serializer)) {
            (Payload::Envelope(envelope), _) => (**envelope).clone(),
            (Payload::Value(value), None | Some(Serializer::Json)) => Envelope::json(value),
            (Payload::Text(text), Some(Serializer::Json)) => Envelope::json(&Json::from(&**text)),
            (Payload::Text(text), None) => Envelope::text(text),
            (Payload::Text(text), Some(Serializer::Raw)) => raw(text.as_bytes(), "utf-8"),
            (Payload::Bytes(bytes), None | Some(Serializer::Raw)) => raw(bytes, "binary"),
            (Payload::Value(value), Some(Serializer::Msgpack)) => msgpack(value)?,
            (Payload::Text(text), Some(Serializer::Msgpack)) => msgpack(text)?,
            (Payload::Bytes(_), Some(Serializer::Json | Serializer::Msgpack)) => {
                let reason = "bytes are no JSON value; send them raw, or as text in base64";
                return Err(ProduceError::Serialize { reason: reason.into() });
            }
            (Payload::Value(_), Some(Serializer::Raw)) => {
                let reason = "a value is neither text nor bytes, and the serializer raw changes nothing";
                return Err(ProduceError::Serialize { reason: reason.into() });
            }
        };
        for (name, value) in &self.properties {
            envelope = envelope.property(name, value.clone());
        }
        if let Some(priority) = &self.priority {
            envelope = envelope.priority(priority.clone());
        }
        if let Some(milliseconds) = self.expiration {
            envelope = envelope.expiration_ms(milliseconds);
        }
        if self.transient {
            envelope = envelope.transient();
        }
        if let Some(content_type) = &self.content_type {
            envelope = envelope.content_type(content_type);
        }
        if let Some(content_encoding) = &self.content_encoding {
            envelope = envelope.content_encoding(content_encoding);
        }
        match compression {
            None => Ok(Cow::Owned(envelope)),
            Some(compression) => {
                let packed = compression.compress(envelope.body());
                let packed =
                    packed.map_err(|error| ProduceError::Compress { reason: error.to_string().into() })?;
                let envelope = envelope.with_body(packed).header("compression", compression.content_type());
                Ok(Cow::Owned(envelope))
            }
        }
    }

    /// Whether an envelope stays as it is.
    fn adds_nothing(&self) -> bool {
        let nothing = (None, None, None, None, false);
        let Message { priority, expiration, content_type, content_encoding, transient, .. } = self;
        self.properties.is_empty()
            && (priority.as_ref(), *expiration, content_type.as_ref(), content_encoding.as_ref(), *transient)
                == nothing
    }
}

fn msgpack(value: &(impl Serialize + ?Sized)) -> Result<Envelope, ProduceError> {
    let bytes = rmp_serde::to_vec(value);
    let bytes = bytes.map_err(|error| ProduceError::Serialize { reason: error.to_string().into() })?;
    Ok(Envelope::bytes(bytes).content_type("application/x-msgpack").content_encoding("binary"))
}
