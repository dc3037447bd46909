//! AMQP's methods on the topology in Redis, with a broker's checks and reply codes.

use std::collections::{BTreeSet, HashMap};

use keyrail_core::{
    BindingDefinition, Dialect, ExchangeKind, Operation, QueueBinding, Router, Topology,
    kombu::{Command, Layout, Plan},
};

use crate::{
    Executor, Host, HostError, LoadError,
    declare::{ATTEMPTS, moved},
    load, names,
    registry::{self, BucketOwner},
};

impl<E: Executor> Host<E> {
    /// Declares, deletes, binds or unbinds as RabbitMQ would, and writes what changed.
    ///
    /// Unlike Kombu's, an unbind removes the row, a deletion knows the rows of every process, in every dialect, and a
    /// declaration with other properties is refused whoever made the first one. Bindings of topic exchanges are written
    /// in the dialect of the operation; `amqp` makes every Kombu publisher route as RabbitMQ does.
    ///
    /// ```
    /// use keyrail_core::{Operation, kombu::Layout};
    /// use keyrail_redis::{Host, Memory, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let declare = |kind: &str| Operation::ExchangeDeclare {
    ///     exchange: "orders".into(), kind: kind.into(), passive: false, durable: true, auto_delete: false,
    ///     internal: false, arguments: keyrail_core::Table::new(),
    /// };
    /// host.apply(&declare("topic")).await.unwrap();
    /// assert_eq!(host.apply(&declare("direct")).await.unwrap_err().code(), "inequivalent");
    /// # });
    /// ```
    ///
    /// # Errors
    /// What a broker refuses, as [`HostError::Refused`]; those of the executor. Nothing is written then.
    /// # Cost
    /// Reads all tables.
    pub async fn apply(&self, operation: &Operation) -> Result<(), HostError> {
        let (layout, _) = self.tables()?;
        let definitions = [registry::exchanges_key(layout), registry::queues_key(layout)];
        for _ in 0..ATTEMPTS {
            let commands = self.changes(operation).await?;
            if commands.is_empty() {
                return Ok(());
            }
            // Whoever declares the same at the same time is compared with.
            let plan = Plan { atomic: commands.len() > 1, commands };
            if self.executor().run_adding(&plan, &definitions).await?.is_some() {
                return Ok(());
            }
        }
        Err(moved(&definitions))
    }

    /// What the operation changes in Redis as it is now.
    async fn changes(&self, operation: &Operation) -> Result<Vec<Command>, HostError> {
        let (layout, options) = self.tables()?;
        let load::Read { mut router, buckets, quarantine, .. } =
            load::read_tables(self.executor(), layout, None, options).await?;
        // What is in such a table cannot be changed, and a deletion has to.
        let foreign = quarantine.into_iter().find_map(|row| match row.reason {
            load::Reason::Table { key, found } => Some(LoadError::TableType { key, found }),
            _ => None,
        });
        if let Some(error) = foreign {
            return Err(error.into());
        }
        names::check_operation(layout, &router, operation)?;
        let turns = Turns::of(&router, &buckets);
        let mut before = Entries::of(layout, &router, &turns)?;
        // What lies there without effect must not come to life again.
        before.0.extend(buckets.iter().filter_map(|owner| entry(registry::own_buckets(layout, owner))));
        if let Operation::QueueDelete { queue, if_empty: true, .. } = operation
            && router.queue(queue).is_some()
            && self.count(queue).await? > 0
        {
            return Err(HostError::NotEmpty { queue: queue.clone() });
        }
        router.apply(&written(operation, &router)).map_err(HostError::Refused)?;
        let after = Entries::of(layout, &router, &turns)?;
        let mut commands = after.since(&before);
        if let Operation::QueueDelete { queue, .. } = operation {
            commands.extend(layout.lists(queue).map(|key| Command::Del { key }));
        }
        Ok(commands)
    }
}

/// The operation as it will be read back: a row of a direct exchange has no dialect.
fn written(operation: &Operation, router: &Router) -> Operation {
    let plain = |binding: &QueueBinding| {
        let source = router.exchange(&binding.exchange).and_then(|id| router.exchange_properties(id));
        let direct = source.is_some_and(|exchange| exchange.kind() == ExchangeKind::Direct);
        let dialect = match direct && binding.arguments.is_empty() {
            true => Dialect::Kombu57,
            false => binding.dialect,
        };
        QueueBinding { dialect, ..binding.clone() }
    };
    match operation {
        Operation::QueueBind(binding) => Operation::QueueBind(plain(binding)),
        Operation::QueueUnbind(binding) => Operation::QueueUnbind(plain(binding)),
        other => other.clone(),
    }
}

/// The turns of the bindings that own buckets now. A new owner gets one behind all of them.
struct Turns {
    known: HashMap<String, u64>,
    next: u64,
}

impl Turns {
    fn of(router: &Router, buckets: &[BucketOwner]) -> Self {
        let next = registry::next_turn(buckets);
        let turns = buckets.iter().map(|owner| (registry::bucket_field(&owner.binding), owner.turn));
        let mut turns: HashMap<String, u64> = turns.collect();
        let known = owners(router).filter_map(|binding| {
            let field = registry::bucket_field(&binding);
            turns.remove(&field).map(|turn| (field, turn))
        });
        Turns { known: known.collect(), next }
    }

    fn owners(&self, router: &Router) -> Vec<BucketOwner> {
        let mut next = self.next;
        let owners = owners(router).map(|binding| {
            let turn = self.known.get(&registry::bucket_field(&binding)).copied().unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            BucketOwner { turn, binding }
        });
        owners.collect()
    }
}

/// Every binding that owns buckets.
fn owners(router: &Router) -> impl Iterator<Item = BindingDefinition> {
    let hashing = router.exchanges().filter(|(.., exchange)| exchange.kind() == ExchangeKind::ConsistentHash);
    let owners = hashing.flat_map(|(id, ..)| router.bucket_owners(id));
    owners.map(|binding| BindingDefinition::of(router, &binding))
}

/// A topology as the entries of Redis that hold it, so that two of them can be compared.
struct Entries(BTreeSet<Entry>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    Field { key: String, field: String, value: Vec<u8> },
    Member { key: String, member: Vec<u8> },
}

impl Entries {
    fn of(layout: &Layout, router: &Router, turns: &Turns) -> Result<Self, HostError> {
        let topology = Topology::of(router);
        let mut commands = Vec::new();
        commands
            .extend(topology.exchanges.iter().map(|exchange| registry::declare_exchange(layout, exchange)));
        commands.extend(topology.queues.iter().map(|queue| registry::declare_queue(layout, queue)));
        for binding in &topology.bindings {
            let source = router.exchange(&binding.source).and_then(|id| router.exchange_properties(id));
            let kind = source.map_or(ExchangeKind::Direct, |exchange| exchange.kind());
            commands.extend(rows(layout, kind, binding)?);
        }
        commands.extend(topology.policies.iter().map(|policy| registry::set_policy(layout, policy)));
        let owners = turns.owners(router);
        commands.extend(owners.iter().map(|owner| registry::own_buckets(layout, owner)));
        Ok(Entries(commands.into_iter().filter_map(entry).collect()))
    }

    /// What to tell Redis: first what is new, so that nobody finds a queue without its bindings.
    fn since(self, before: &Entries) -> Vec<Command> {
        let gone = before.0.difference(&self.0).map(|entry| match entry {
            Entry::Field { key, field, .. } => Command::HDel { key: key.clone(), field: field.clone() },
            Entry::Member { key, member } => Command::SRem { key: key.clone(), member: member.clone() },
        });
        let new = self.0.difference(&before.0).map(|entry| match entry {
            Entry::Field { key, field, value } => {
                Command::HSet { key: key.clone(), field: field.clone(), value: value.clone() }
            }
            Entry::Member { key, member } => Command::SAdd { key: key.clone(), member: member.clone() },
        });
        // A changed field is gone with its old value and new with another one.
        let (gone, new): (Vec<_>, Vec<_>) = (gone.collect(), new.collect());
        let kept = |command: &Command| {
            match command {
            Command::HDel { key, field } => !new.iter().any(
                |new| matches!(new, Command::HSet { key: other, field: same, .. } if (key, field) == (other, same)),
            ),
            _ => true,
        }
        };
        let gone: Vec<_> = gone.into_iter().filter(kept).collect();
        new.into_iter().chain(gone).collect()
    }
}

/// The rows of one binding, twins in other dialects apart: they are bindings of their own.
fn rows(layout: &Layout, kind: ExchangeKind, binding: &BindingDefinition) -> Result<Vec<Command>, HostError> {
    let mut commands = registry::bind(layout, kind, binding, binding.dialect)?.commands;
    commands.retain(|command| matches!(command, Command::SAdd { .. }));
    Ok(commands)
}

fn entry(command: Command) -> Option<Entry> {
    match command {
        Command::HSet { key, field, value } => Some(Entry::Field { key, field, value }),
        Command::SAdd { key, member } => Some(Entry::Member { key, member }),
        _ => None,
    }
}
