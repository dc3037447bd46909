//! What Kombu cannot store, in keyrail's own keys beside Kombu's.
//!
//! | key | type | content |
//! |---|---|---|
//! | `keyrail.exchange` | hash | exchange name → [`ExchangeDefinition`] as JSON: type, flags, alternate exchange |
//! | `keyrail.queue` | hash | queue name → [`QueueDefinition`] as JSON |
//! | `keyrail.binding` | set | [`BindingDefinition`] as JSON: of headers and consistent-hash exchanges, exchange to exchange, durable fanout |
//! | `keyrail.bucket` | hash | a binding of `keyrail.binding` that owns buckets of a consistent-hash exchange → its turn |
//! | `keyrail.policy` | hash | policy name → [`PolicyDefinition`] as JSON |
//! | `keyrail.quarantine.<queue>` | list | payloads out of that queue that are no messages, byte for byte |
//!
//! The global key prefix stands in front of each. Whatever Kombu can express is in Kombu's keys and nowhere else.

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, PolicyDefinition,
    QueueDefinition, Table, Value,
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

/// The hash of bindings that own buckets.
pub fn buckets_key(layout: &Layout) -> String {
    format!("{}keyrail.bucket", layout.global_keyprefix)
}

/// The hash of policies.
pub fn policies_key(layout: &Layout) -> String {
    format!("{}keyrail.policy", layout.global_keyprefix)
}

/// The keys that have a say in where a message goes.
pub(crate) fn keys(layout: &Layout) -> [String; 5] {
    [
        exchanges_key(layout),
        queues_key(layout),
        bindings_key(layout),
        buckets_key(layout),
        policies_key(layout),
    ]
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
    /// Who owns buckets of consistent-hash exchanges, in the order of the buckets of each.
    pub buckets: Vec<BucketOwner>,
    /// The policies.
    pub policies: Vec<PolicyDefinition>,
}

/// A binding that owns buckets of a consistent-hash exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketOwner {
    /// The smaller one comes first. Two that were bound at the same moment may have the same, and come in the order of
    /// their texts, for every reader alike.
    pub turn: u64,
    /// The binding.
    pub binding: BindingDefinition,
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
            buckets: buckets(executor, layout).await?,
            policies: fields(executor, &policies_key(layout)).await?,
        })
    }
}

async fn fields<T: DeserializeOwned>(executor: &impl Executor, key: &str) -> Result<Vec<T>, HostError> {
    let fields = executor.hash(key).await?;
    Ok(fields.iter().map(|(field, value)| entry(key, field, value)).collect::<Result<_, _>>()?)
}

/// The owners of buckets, by their turns.
pub(crate) async fn buckets(
    executor: &impl Executor,
    layout: &Layout,
) -> Result<Vec<BucketOwner>, HostError> {
    let key = buckets_key(layout);
    let mut owners = Vec::new();
    // Sorted by their texts, which a stable sort keeps within a turn.
    for (field, value) in executor.hash(&key).await? {
        let binding = entry(&key, &field, field.as_bytes())?;
        owners.push(BucketOwner { turn: entry(&key, &field, &value)?, binding });
    }
    owners.sort_by_key(|owner| owner.turn);
    Ok(owners)
}

pub(crate) fn entry<T: DeserializeOwned>(key: &str, field: &str, value: &[u8]) -> Result<T, LoadError> {
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

/// Sets a policy.
pub fn set_policy(layout: &Layout, policy: &PolicyDefinition) -> Command {
    let (key, field) = (policies_key(layout), policy.name.to_string());
    Command::HSet { key, field, value: json(policy) }
}

/// Gives a binding of a consistent-hash exchange its buckets, behind those of smaller turns.
pub fn own_buckets(layout: &Layout, owner: &BucketOwner) -> Command {
    let field = bucket_field(&owner.binding);
    Command::HSet { key: buckets_key(layout), field, value: owner.turn.to_string().into_bytes() }
}

/// A turn behind all of these.
pub(crate) fn next_turn(owners: &[BucketOwner]) -> u64 {
    owners.iter().map(|owner| owner.turn.saturating_add(1)).max().unwrap_or_default()
}

/// The field of a binding that owns buckets.
pub(crate) fn bucket_field(binding: &BindingDefinition) -> String {
    // JSON is UTF-8.
    String::from_utf8(json(binding)).unwrap_or_default()
}

/// Writes a binding: into Kombu's table if Kombu can express it, so that every Kombu publisher follows it, and into
/// keyrail's own set if not. One of a consistent-hash exchange brings buckets only with [`own_buckets`].
///
/// # Errors
/// A key that the dialect cannot write, or that contains the separator.
pub fn bind(
    layout: &Layout,
    kind: ExchangeKind,
    binding: &BindingDefinition,
    topic_dialect: Dialect,
) -> Result<Plan, HostError> {
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

/// Nothing lives longer, some 30,000 years: a server refuses a time that its clock cannot reach, in the middle of a plan.
pub(crate) const LONGEST: u64 = 1_000_000_000_000_000;

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
    let milliseconds = u64::try_from(milliseconds).ok().filter(|milliseconds| *milliseconds > 0)?;
    Some(milliseconds.min(LONGEST))
}
