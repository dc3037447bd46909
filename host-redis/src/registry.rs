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
///
/// ```
/// let layout = keyrail_core::kombu::Layout { global_keyprefix: "shop.".into(), ..Default::default() };
/// assert_eq!(keyrail_redis::registry::exchanges_key(&layout), "shop.keyrail.exchange");
/// ```
pub fn exchanges_key(layout: &Layout) -> String {
    format!("{}keyrail.exchange", layout.global_keyprefix)
}

/// The hash of queues.
///
/// ```
/// let layout = keyrail_core::kombu::Layout::default();
/// assert_eq!(keyrail_redis::registry::queues_key(&layout), "keyrail.queue");
/// ```
pub fn queues_key(layout: &Layout) -> String {
    format!("{}keyrail.queue", layout.global_keyprefix)
}

/// The set of bindings.
///
/// ```
/// let layout = keyrail_core::kombu::Layout::default();
/// assert_eq!(keyrail_redis::registry::bindings_key(&layout), "keyrail.binding");
/// ```
pub fn bindings_key(layout: &Layout) -> String {
    format!("{}keyrail.binding", layout.global_keyprefix)
}

/// The hash of bindings that own buckets.
///
/// ```
/// let layout = keyrail_core::kombu::Layout::default();
/// assert_eq!(keyrail_redis::registry::buckets_key(&layout), "keyrail.bucket");
/// ```
pub fn buckets_key(layout: &Layout) -> String {
    format!("{}keyrail.bucket", layout.global_keyprefix)
}

/// The hash of policies.
///
/// ```
/// let layout = keyrail_core::kombu::Layout::default();
/// assert_eq!(keyrail_redis::registry::policies_key(&layout), "keyrail.policy");
/// ```
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
///
/// ```
/// use keyrail_core::{Dialect, Topology, kombu::Layout};
/// use keyrail_redis::{Host, Memory, load, registry::Registry};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let topology = Topology::from_lines("orders topic: order.* -> billing\npages headers: {pages: 3} -> files");
/// host.import(&topology.unwrap(), Dialect::Kombu57).await.unwrap();
///
/// // Kombu's table holds the topic binding, so only the other one is here.
/// let registry = Registry::read(host.executor(), host.layout()).await.unwrap();
/// assert_eq!((registry.exchanges.len(), registry.queues.len()), (2, 2));
/// assert_eq!(&*registry.bindings[0].source, "pages");
/// # });
/// ```
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
///
/// ```
/// use keyrail_core::{Dialect, Topology, kombu::Layout};
/// use keyrail_redis::{Host, Memory, load, registry::Registry};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let topology = Topology::from_lines("work x-consistent-hash: 1 -> a\nwork: 1 -> b").unwrap();
/// host.import(&topology, Dialect::Kombu57).await.unwrap();
///
/// let owners = Registry::read(host.executor(), host.layout()).await.unwrap().buckets;
/// let turns: Vec<_> = owners.iter().map(|owner| (owner.turn, owner.binding.destination.name())).collect();
/// assert_eq!(turns, [(0, "a"), (1, "b")]);
/// # });
/// ```
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
    /// ```
    /// use keyrail_core::kombu::{Command, Layout, Plan};
    /// use keyrail_redis::{Executor, Memory, registry::{self, Registry}};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (memory, layout) = (Memory::new(), Layout::default());
    /// let (key, field, value) = (registry::queues_key(&layout), "jobs".to_owned(), b"no JSON".to_vec());
    /// memory.run(&Plan { atomic: false, commands: vec![Command::HSet { key, field, value }] }).await.unwrap();
    /// let error = Registry::read(&memory, &layout).await.unwrap_err();
    /// assert_eq!(error.code(), "invalid-registry");
    /// assert!(error.to_string().starts_with("`keyrail.queue[jobs]` cannot be read: "));
    /// # });
    /// ```
    ///
    /// # Errors
    /// An entry that is not what it should be, by its key and field: these keys are keyrail's alone.
    /// # Cost
    /// Five commands, one for each key.
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
///
/// ```
/// use keyrail_core::{ExchangeDefinition, ExchangeKind, kombu::Layout};
/// use keyrail_redis::registry;
///
/// let orders = ExchangeDefinition::durable("orders", ExchangeKind::Topic);
/// let command = registry::declare_exchange(&Layout::default(), &orders);
/// let words: Vec<_> = command.args().into_iter().map(|word| String::from_utf8_lossy(&word).into_owned()).collect();
/// assert_eq!(words[..3], ["HSET", "keyrail.exchange", "orders"]);
/// assert_eq!(words[3], r#"{"name":"orders","kind":"topic","durable":true}"#);
/// ```
pub fn declare_exchange(layout: &Layout, exchange: &ExchangeDefinition) -> Command {
    let (key, field) = (exchanges_key(layout), exchange.name.to_string());
    Command::HSet { key, field, value: json(exchange) }
}

/// Declares a queue.
///
/// ```
/// use keyrail_core::{QueueDefinition, kombu::Layout};
/// use keyrail_redis::registry;
///
/// let queue: QueueDefinition = serde_json::from_str(r#"{"name": "billing", "durable": true}"#).unwrap();
/// let command = registry::declare_queue(&Layout::default(), &queue);
/// assert_eq!(command.args()[..3], [&b"HSET"[..], b"keyrail.queue", b"billing"]);
/// ```
pub fn declare_queue(layout: &Layout, queue: &QueueDefinition) -> Command {
    let (key, field) = (queues_key(layout), queue.name.to_string());
    Command::HSet { key, field, value: json(queue) }
}

/// Sets a policy.
///
/// ```
/// use keyrail_core::{PolicyDefinition, kombu::Layout};
/// use keyrail_redis::registry;
///
/// let json = r#"{"name": "no loss", "pattern": "^stock", "definition": {"alternate-exchange": "lost"}}"#;
/// let policy: PolicyDefinition = serde_json::from_str(json).unwrap();
/// let command = registry::set_policy(&Layout::default(), &policy);
/// assert_eq!(command.args()[..3], [&b"HSET"[..], b"keyrail.policy", b"no loss"]);
/// ```
pub fn set_policy(layout: &Layout, policy: &PolicyDefinition) -> Command {
    let (key, field) = (policies_key(layout), policy.name.to_string());
    Command::HSet { key, field, value: json(policy) }
}

/// Gives a binding of a consistent-hash exchange its buckets, behind those of smaller turns.
///
/// ```
/// use keyrail_core::{BindingDefinition, kombu::Layout};
/// use keyrail_redis::registry::{self, BucketOwner};
///
/// let json = r#"{"source": "work", "destination": {"queue": "a"}, "routingKey": "1"}"#;
/// let binding: BindingDefinition = serde_json::from_str(json).unwrap();
/// let command = registry::own_buckets(&Layout::default(), &BucketOwner { turn: 7, binding });
/// assert_eq!(command.key(), "keyrail.bucket");
/// assert_eq!(*command.args()[3], *b"7");
/// ```
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
/// ```
/// use keyrail_core::{BindingDefinition, Dialect, ExchangeKind, kombu::Layout};
/// use keyrail_redis::registry;
///
/// let json = r#"{"source": "orders", "destination": {"queue": "billing"}, "routingKey": "order.*"}"#;
/// let binding: BindingDefinition = serde_json::from_str(json).unwrap();
/// let key = |kind| {
///     let plan = registry::bind(&Layout::default(), kind, &binding, Dialect::Kombu57).unwrap();
///     plan.commands[0].key().to_owned()
/// };
/// assert_eq!(key(ExchangeKind::Topic), "_kombu.binding.orders");
/// assert_eq!(key(ExchangeKind::Headers), "keyrail.binding");
/// ```
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
/// Kombu's tables alone expire: a binding in keyrail's own set is written as by [`bind`].
///
/// ```
/// use keyrail_core::{BindingDefinition, Dialect, ExchangeKind, kombu::Layout};
/// use keyrail_redis::registry;
///
/// let json = r#"{"source": "orders", "destination": {"queue": "reply-1"}, "routingKey": "reply-1"}"#;
/// let binding: BindingDefinition = serde_json::from_str(json).unwrap();
/// let (layout, kind, now) = (Layout::default(), ExchangeKind::Direct, 1_790_000_000_000);
/// let plan = registry::bind_expiring(&layout, kind, &binding, Dialect::Kombu57, 60_000, now).unwrap();
/// let deadline = plan.commands.iter().find(|command| command.key() == layout.binding_deadlines());
/// assert_eq!(*deadline.unwrap().args()[3], *b"1790003600000", "an hour ahead at least");
/// ```
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
/// ```
/// use keyrail_core::{BindingDefinition, Dialect, ExchangeKind, kombu::Layout};
/// use keyrail_redis::{Executor, Memory, registry};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let json = r#"{"source": "orders", "destination": {"queue": "billing"}, "routingKey": "paid"}"#;
/// let binding: BindingDefinition = serde_json::from_str(json).unwrap();
/// let (memory, layout, kind) = (Memory::new(), Layout::default(), ExchangeKind::Direct);
/// memory.run(&registry::bind(&layout, kind, &binding, Dialect::Kombu57).unwrap()).await.unwrap();
/// memory.run(&registry::unbind(&layout, kind, &binding, Dialect::Kombu57).unwrap()).await.unwrap();
/// assert!(memory.keys(&layout.binding_table("orders")).await.unwrap().is_empty());
/// # });
/// ```
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
