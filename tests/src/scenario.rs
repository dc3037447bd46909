//! The recorded scenarios, read strictly: what is not known is an error, never ignored.

use std::collections::BTreeSet;

use keyrail_core::{ByteString, Dialect, ExchangeKind, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One line of a vector file.
#[derive(Clone, Debug)]
pub enum Scenario {
    Amqp(AmqpScenario),
    Kombu(KombuScenario),
}

/// Steps on a fresh RabbitMQ virtual host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmqpScenario {
    pub id: String,
    pub category: Category,
    pub note: String,
    #[serde(default)]
    pub tags: Vec<String>,
    pub steps: Vec<Recorded>,
}

/// What a scenario is about. A word that is not here is an error, so that no vector is passed over unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    Alternate,
    ConsistentHash,
    Default,
    Direct,
    E2e,
    Errors,
    Fanout,
    Headers,
    Internal,
    Introspection,
    Lifecycle,
    Mixed,
    Policy,
    Random,
    SenderSelected,
    Topic,
    Unbind,
}

/// A step and what the broker answered.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub step: Step,
    /// The step as it stands in the file, without the answer, for targets in other processes.
    pub raw: Json,
    pub expect: Answer,
}

impl<'de> Deserialize<'de> for Recorded {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut raw = serde_json::Map::deserialize(deserializer)?;
        let expect = raw.remove("expect").ok_or_else(|| D::Error::missing_field("expect"))?;
        // What the recorder computed about a consistent-hash ring is no field of the publish.
        let hash = raw.remove("hash");
        let raw = Json::Object(raw);
        let step =
            Step::deserialize(&raw).map_err(|error| D::Error::custom(format_args!("{error} in {raw}")))?;
        if hash.is_some() && !matches!(step, Step::Publish(_)) {
            return Err(D::Error::custom("only a publish has a `hash`"));
        }
        let expect = Answer::deserialize(&expect)
            .map_err(|error| D::Error::custom(format_args!("{error} in `expect`: {expect}")))?;
        Ok(Recorded { step, raw, expect })
    }
}

/// An AMQP method, or what stands for one.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", deny_unknown_fields)]
pub enum Step {
    #[serde(rename = "exchange.declare")]
    ExchangeDeclare {
        exchange: Box<str>,
        #[serde(default = "direct", rename = "type")]
        kind: Box<str>,
        #[serde(default)]
        passive: bool,
        #[serde(default)]
        durable: bool,
        #[serde(default)]
        auto_delete: bool,
        #[serde(default)]
        internal: bool,
        #[serde(default)]
        arguments: Table,
    },
    #[serde(rename = "exchange.delete")]
    ExchangeDelete {
        exchange: Box<str>,
        #[serde(default)]
        if_unused: bool,
    },
    #[serde(rename = "queue.declare")]
    QueueDeclare {
        queue: Box<str>,
        #[serde(default)]
        passive: bool,
        #[serde(default)]
        durable: bool,
        #[serde(default)]
        auto_delete: bool,
        #[serde(default)]
        arguments: Table,
    },
    #[serde(rename = "queue.delete")]
    QueueDelete {
        queue: Box<str>,
        #[serde(default)]
        if_unused: bool,
        #[serde(default)]
        if_empty: bool,
    },
    #[serde(rename = "queue.bind")]
    QueueBind(QueueBinding),
    #[serde(rename = "queue.unbind")]
    QueueUnbind(QueueBinding),
    #[serde(rename = "exchange.bind")]
    ExchangeBind(ExchangeBinding),
    #[serde(rename = "exchange.unbind")]
    ExchangeUnbind(ExchangeBinding),
    #[serde(rename = "publish")]
    Publish(Publish),
    #[serde(rename = "bindings.list")]
    BindingsList(ListedEnd),
    #[serde(rename = "publish.repeat")]
    PublishRepeat { exchange: Box<str>, routing_key: ByteString, times: u32 },
    #[serde(rename = "policy.set")]
    PolicySet { name: Box<str>, pattern: Box<str>, alternate: Box<str>, priority: i32 },
    #[serde(rename = "policy.clear")]
    PolicyClear { name: Box<str> },
}

fn direct() -> Box<str> {
    "direct".into()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueBinding {
    pub queue: Box<str>,
    pub exchange: Box<str>,
    pub routing_key: ByteString,
    #[serde(default)]
    pub arguments: Table,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeBinding {
    pub destination: Box<str>,
    pub source: Box<str>,
    pub routing_key: ByteString,
    #[serde(default)]
    pub arguments: Table,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    pub exchange: Box<str>,
    pub routing_key: ByteString,
    /// Missing is "no headers property", which is not an empty table.
    #[serde(default)]
    pub headers: Option<Table>,
    #[serde(default = "yes")]
    pub mandatory: bool,
    #[serde(default)]
    pub record_headers: bool,
    #[serde(default)]
    pub correlation_id: Option<Box<str>>,
    #[serde(default)]
    pub message_id: Option<Box<str>>,
    #[serde(default)]
    pub timestamp: Option<u64>,
}

fn yes() -> bool {
    true
}

/// Whose bindings are listed: exactly one of the three.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum ListedEnd {
    Source(Box<str>),
    Destination(Box<str>),
    Queue(Box<str>),
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// `"ok"`
    Word(Ok),
    Error {
        error: Refusal,
    },
    #[serde(rename_all = "snake_case")]
    Published(Published),
    Bindings {
        bindings: Vec<(String, String, String, String, usize)>,
    },
    Repeated(Repeated),
}

impl Answer {
    pub const OK: Answer = Answer::Word(Ok::Ok);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ok {
    Ok,
}

/// A broker's refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    pub scope: String,
    pub code: u16,
    pub name: String,
}

/// Where a publish went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub queues: BTreeSet<String>,
    pub returned: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_headers: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    pub each: Vec<usize>,
    pub union: Vec<String>,
}

/// One exchange of a Kombu, its bindings and publishes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KombuScenario {
    pub id: String,
    pub kombu: KombuVersion,
    pub transport: Transport,
    pub exchange_type: KombuExchange,
    pub bindings: Vec<KombuBinding>,
    pub publishes: Vec<KombuPublish>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KombuVersion {
    #[serde(rename = "5.7.0")]
    V57,
    #[serde(rename = "5.6.2")]
    V56,
}

impl KombuVersion {
    pub fn dialect(self) -> Dialect {
        match self {
            KombuVersion::V57 => Dialect::Kombu57,
            KombuVersion::V56 => Dialect::Kombu56,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Kombu's own look-up, as its memory transport uses it.
    Virtual,
    /// PUB/SUB of a real Redis.
    RedisFanout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KombuExchange {
    Default,
    Direct,
    Fanout,
    Topic,
}

impl KombuExchange {
    /// The kind to declare; the default exchange is there already.
    pub fn kind(self) -> Option<ExchangeKind> {
        match self {
            KombuExchange::Default => None,
            KombuExchange::Direct => Some(ExchangeKind::Direct),
            KombuExchange::Fanout => Some(ExchangeKind::Fanout),
            KombuExchange::Topic => Some(ExchangeKind::Topic),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KombuBinding {
    pub queue: String,
    pub routing_key: String,
    /// The regular expression that Kombu stores; topic exchanges only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KombuPublish {
    pub routing_key: String,
    pub queues: BTreeSet<String>,
    /// Kombu raised this; `queues` is empty then.
    #[serde(default)]
    pub error: Option<String>,
    /// What RabbitMQ answers, where that differs.
    #[serde(default)]
    pub amqp: Option<BTreeSet<String>>,
}

impl Scenario {
    pub fn id(&self) -> &str {
        match self {
            Scenario::Amqp(scenario) => &scenario.id,
            Scenario::Kombu(scenario) => &scenario.id,
        }
    }

    /// Reads one line; the two formats are told apart by the field `kombu`.
    pub fn parse(line: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Format {
            kombu: Option<Json>,
        }
        let format: Format = serde_json::from_str(line)?;
        match format.kombu {
            Some(_) => serde_json::from_str(line).map(Scenario::Kombu),
            None => serde_json::from_str(line).map(Scenario::Amqp),
        }
    }
}
