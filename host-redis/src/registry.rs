//! What Kombu cannot store, in keyrail's own keys beside Kombu's.
//!
//! | key | type | content |
//! |---|---|---|
//! | `keyrail.exchange` | hash | exchange name → [`ExchangeDefinition`] as JSON: type, flags, alternate exchange |
//! | `keyrail.queue` | hash | queue name → [`QueueDefinition`] as JSON |
//! | `keyrail.binding` | set | [`BindingDefinition`] as JSON: headers and exchange-to-exchange bindings, durable fanout |
//! | `keyrail.quarantine.<queue>` | list | payloads out of that queue that are no messages, byte for byte |
//!
//! The global key prefix stands in front of each. Whatever Kombu can express is in Kombu's keys and nowhere else.

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, QueueDefinition, Table,
    Value,
    kombu::{Command, Layout, Member, Plan, plan},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Executor, HostError, LoadError, Reply};

/// The hash of exchanges.
pub fn exchanges_key(layout: &Layout) -> String {
    format!("{}keyrail.exchange", layout.global_keyprefix)
}

/// The hash of queues.
pub fn queues_key(layout: &Layout) -> String {
    format!("{}keyrail.queue", layout.global_keyprefix)
}

/// The set of bindings.
pub fn bindings_key(layout: &Layout) -> String {
    format!("{}keyrail.binding", layout.global_keyprefix)
}

/// The three keys that have a say in where a message goes.
pub(crate) fn keys(layout: &Layout) -> [String; 3] {
    [exchanges_key(layout), queues_key(layout), bindings_key(layout)]
}

/// Everything in keyrail's own keys.
#[derive(Debug, Default)]
pub struct Registry {
    /// The declared exchanges.
    pub exchanges: Vec<ExchangeDefinition>,
    /// The declared queues.
    pub queues: Vec<QueueDefinition>,
    /// The bindings that Kombu cannot express.
    pub bindings: Vec<BindingDefinition>,
}

impl Registry {
    /// Reads all of it.
    ///
    /// # Errors
    /// An entry that is not what it should be, by its key and field: these keys are keyrail's alone.
    pub async fn read(executor: &impl Executor, layout: &Layout) -> Result<Self, HostError> {
        let bindings = bindings_key(layout);
        let read = Plan { atomic: false, commands: vec![Command::SMembers { key: bindings.clone() }] };
        let mut rows = Vec::new();
        for reply in executor.run(&read).await? {
            if let Reply::Members(members) = reply {
                for (at, member) in members.iter().enumerate() {
                    rows.push(entry(&bindings, &at.to_string(), member)?);
                }
            }
        }
        // A set has no order, and the order of routes should not change from one reading to the next.
        rows.sort_by_cached_key(|row: &BindingDefinition| json(row));
        Ok(Registry {
            exchanges: fields(executor, &exchanges_key(layout)).await?,
            queues: fields(executor, &queues_key(layout)).await?,
            bindings: rows,
        })
    }
}

async fn fields<T: DeserializeOwned>(executor: &impl Executor, key: &str) -> Result<Vec<T>, HostError> {
    let fields = executor.hash(key).await?;
    Ok(fields.iter().map(|(field, value)| entry(key, field, value)).collect::<Result<_, _>>()?)
}

fn entry<T: DeserializeOwned>(key: &str, field: &str, value: &[u8]) -> Result<T, LoadError> {
    serde_json::from_slice(value).map_err(|error| LoadError::Registry {
        key: format!("{key}[{field}]").into(),
        reason: error.to_string().into(),
    })
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Definitions hold text, numbers, lists and objects with text keys: nothing that JSON cannot take.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Declares an exchange.
pub fn declare_exchange(layout: &Layout, exchange: &ExchangeDefinition) -> Command {
    let (key, field) = (exchanges_key(layout), exchange.name.to_string());
    Command::HSet { key, field, value: json(exchange) }
}

/// Declares a queue.
pub fn declare_queue(layout: &Layout, queue: &QueueDefinition) -> Command {
    let (key, field) = (queues_key(layout), queue.name.to_string());
    Command::HSet { key, field, value: json(queue) }
}

/// Writes a binding: into Kombu's table if Kombu can express it, so that every Kombu publisher follows it, and into
/// keyrail's own set if not.
///
/// # Errors
/// A key that the dialect cannot write, or that contains the separator.
pub fn bind(
    layout: &Layout,
    kind: ExchangeKind,
    binding: &BindingDefinition,
    topic_dialect: Dialect,
) -> Result<Plan, HostError> {
    if kind == ExchangeKind::ConsistentHash {
        let reason = format!(
            "`{}` is a consistent-hash exchange, which depends on the order of its bindings; Redis keeps them in a set, \
             which has none",
            binding.source
        );
        return Err(HostError::NotExpressible { reason: reason.into() });
    }
    match member(kind, binding, topic_dialect)? {
        Some(member) => Ok(plan::rebind(layout, &binding.source, &member)?),
        None => {
            let (key, member) = (bindings_key(layout), json(binding));
            Ok(Plan { atomic: false, commands: vec![Command::SAdd { key, member }] })
        }
    }
}

/// Writes a binding of a queue that expires after so many milliseconds without use. Kombu 5.7 keeps such a binding as
/// long as somebody refreshes it.
///
/// # Errors
/// Those of [`bind`].
pub fn bind_expiring(
    layout: &Layout,
    kind: ExchangeKind,
    binding: &BindingDefinition,
    topic_dialect: Dialect,
    expires_ms: u64,
    now_ms: u64,
) -> Result<Plan, HostError> {
    match member(kind, binding, topic_dialect)? {
        Some(member) => Ok(plan::bind_expiring(layout, &binding.source, &member, expires_ms, now_ms)?),
        None => bind(layout, kind, binding, topic_dialect),
    }
}

/// Removes what [`bind`] or [`bind_expiring`] wrote, in whichever dialect.
///
/// # Errors
/// Those of [`bind`].
pub fn unbind(
    layout: &Layout,
    kind: ExchangeKind,
    binding: &BindingDefinition,
    topic_dialect: Dialect,
) -> Result<Plan, HostError> {
    match member(kind, binding, topic_dialect)? {
        Some(member) => Ok(plan::unbind(layout, &binding.source, &member)?),
        None => {
            let (key, member) = (bindings_key(layout), json(binding));
            Ok(Plan { atomic: false, commands: vec![Command::SRem { key, member }] })
        }
    }
}

/// The row of a binding that Kombu can express.
fn member(
    kind: ExchangeKind,
    binding: &BindingDefinition,
    topic_dialect: Dialect,
) -> Result<Option<Member>, HostError> {
    let DestinationName::Queue(queue) = &binding.destination else { return Ok(None) };
    let Some(key) = binding.routing_key.as_str() else { return Ok(None) };
    // Arguments belong to a binding's identity, and a row has no place for them.
    if !binding.arguments.is_empty() {
        return Ok(None);
    }
    Ok(match kind {
        ExchangeKind::Direct => Some(Member::plain(key, queue)),
        ExchangeKind::Topic => Some(match &binding.pattern {
            Some(pattern) => {
                Member { routing_key: key.into(), pattern: pattern.to_string(), queue: queue.to_string() }
            }
            None => Member::topic(key, queue, topic_dialect)?,
        }),
        ExchangeKind::Fanout if binding.dialect != Dialect::Amqp => Some(Member::plain(key, queue)),
        _ => None,
    })
}

/// A queue's argument `x-expires`, in milliseconds.
pub(crate) fn expires_ms(arguments: &Table) -> Option<u64> {
    let milliseconds = match arguments.get("x-expires")? {
        Value::I8(number) => i64::from(*number),
        Value::I16(number) => i64::from(*number),
        Value::I32(number) => i64::from(*number),
        Value::I64(number) => *number,
        Value::U8(number) => i64::from(*number),
        Value::U16(number) => i64::from(*number),
        Value::U32(number) => i64::from(*number),
        _ => return None,
    };
    u64::try_from(milliseconds).ok().filter(|milliseconds| *milliseconds > 0)
}
