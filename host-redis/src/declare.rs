//! Declaring in Redis: what is there stays, and what contradicts it is refused before anything is written.

use std::collections::{HashMap, HashSet};

use keyrail_core::{
    Error, ExchangeDefinition, QueueDefinition, Topology,
    kombu::{Command, Layout, Plan},
};
use serde::de::DeserializeOwned;

use crate::{Executor, HostError, Reply, registry};

/// How often others may declare in between before somebody is told.
pub(crate) const ATTEMPTS: u32 = 16;

/// What an import changed.
///
/// ```
/// use keyrail_core::{Dialect, Topology, kombu::Layout};
/// use keyrail_redis::{Host, Imported, Memory, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let topology = Topology::from_lines("orders topic: *.paid -> billing").unwrap();
/// let imported = host.import(&topology, Dialect::Kombu56).await.unwrap();
/// assert_eq!(imported, Imported { new: 3, replaced: 0 }, "an exchange, a queue, a binding");
/// let imported = host.import(&topology, Dialect::Kombu57).await.unwrap();
/// assert_eq!(imported, Imported { new: 1, replaced: 1 }, "the row in another dialect");
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many exchanges, queues, bindings and policies were not there before.
    pub new: usize,
    /// How many bindings gave way to the same key for the same queue in another dialect.
    pub replaced: usize,
}

/// What became of a declaration.
#[derive(Default)]
pub(crate) struct Declared {
    /// Whether anything of it was missing, a permanent row for instance.
    pub(crate) missing: bool,
    pub(crate) imported: Imported,
}

impl Declared {
    fn count(&mut self, layout: &Layout, plan: &Plan, replies: &[Reply]) {
        let tables = layout.binding_table("");
        let (own, buckets) = (registry::bindings_key(layout), registry::buckets_key(layout));
        let counted = plan.commands.iter().zip(replies);
        for (command, _) in counted.filter(|(_, reply)| matches!(reply, Reply::Count(1..))) {
            self.missing |= matches!(command.name(), "SADD" | "HSET");
            match command {
                Command::SAdd { key, .. } if *key == own || key.starts_with(&tables) => {
                    self.imported.new += 1
                }
                Command::HSet { key, .. } if *key != buckets => self.imported.new += 1,
                Command::SRem { key, .. } if key.starts_with(&tables) => self.imported.replaced += 1,
                _ => {}
            }
        }
    }
}

/// Carries out a plan that declares what this topology says, and counts what was missing of it.
///
/// Equal is what RabbitMQ calls equal, and an equal declaration leaves the first one as it is. In one step on the server,
/// which compares what others declared meanwhile; but on a cluster whose tables lie on several servers, where each of
/// them is asked before any is written.
///
/// # Errors
/// [`HostError::Declare`] for an exchange or queue that is there with other properties; nothing is written then.
pub(crate) async fn declare<E: Executor>(
    executor: &E,
    layout: &Layout,
    topology: &Topology,
    mut plan: Plan,
) -> Result<Declared, HostError> {
    let mut declared = Declared::default();
    let definitions = [registry::exchanges_key(layout), registry::queues_key(layout)];
    if executor.spreads() {
        keep(&mut plan, &definitions, &known(executor, &definitions, topology).await?);
        for key in &definitions {
            let own = |command: &Command| command.key() == key;
            let (own, rest) = plan.commands.into_iter().partition(own);
            plan.commands = rest;
            let own = Plan { atomic: true, commands: own };
            declare_at_once(executor, layout, topology, own, &mut declared).await?;
        }
        let replies = executor.run(&Plan { atomic: false, ..plan.clone() }).await?;
        declared.count(layout, &plan, &replies);
        return Ok(declared);
    }
    declare_at_once(executor, layout, topology, plan, &mut declared).await?;
    Ok(declared)
}

async fn declare_at_once<E: Executor>(
    executor: &E,
    layout: &Layout,
    topology: &Topology,
    mut plan: Plan,
    declared: &mut Declared,
) -> Result<(), HostError> {
    let definitions = [registry::exchanges_key(layout), registry::queues_key(layout)];
    if plan.commands.is_empty() {
        return Ok(());
    }
    for _ in 0..ATTEMPTS {
        if let Some(replies) = executor.run_adding(&plan, &definitions).await? {
            declared.count(layout, &plan, &replies);
            return Ok(());
        }
        // Something is there in other words, which may mean the same.
        keep(&mut plan, &definitions, &known(executor, &definitions, topology).await?);
    }
    Err(moved(&definitions))
}

/// Others are faster, each time.
pub(crate) fn moved(keys: &[String]) -> HostError {
    let keys = keys.join("` and `");
    let reason =
        format!("`{keys}` changed during each of {ATTEMPTS} attempts to declare; nothing was written");
    HostError::NotExpressible { reason: reason.into() }
}

/// What is there under the names of the topology, byte for byte, by name: of exchanges, of queues.
///
/// # Errors
/// [`HostError::Declare`] if any of it is not what the topology says.
async fn known<E: Executor>(
    executor: &E,
    [exchanges, queues]: &[String; 2],
    topology: &Topology,
) -> Result<[HashMap<String, Vec<u8>>; 2], HostError> {
    let names = topology.exchanges.iter().map(|exchange| &*exchange.name).collect();
    let (known_exchanges, mut there) = there::<_, ExchangeDefinition>(executor, exchanges, &names).await?;
    there.extend(topology.exchanges.iter().cloned());
    let names = topology.queues.iter().map(|queue| &*queue.name).collect();
    let (known_queues, mut queues) = self::there::<_, QueueDefinition>(executor, queues, &names).await?;
    queues.extend(topology.queues.iter().cloned());
    // Declared one after the other, the first ones are there when the others come.
    let both = Topology { exchanges: there, queues, ..Topology::default() };
    both.router().map_err(|error| match error.error {
        Error::Declare(error) => error.into(),
        other => HostError::NotExpressible { reason: other.to_string().into() },
    })?;
    Ok([known_exchanges, known_queues])
}

async fn there<E: Executor, T: DeserializeOwned>(
    executor: &E,
    key: &str,
    names: &HashSet<&str>,
) -> Result<(HashMap<String, Vec<u8>>, Vec<T>), HostError> {
    let mut fields = executor.hash(key).await?;
    fields.retain(|(name, _)| names.contains(&**name));
    let read = fields.iter().map(|(field, value)| registry::entry(key, field, value));
    let read = read.collect::<Result<_, _>>()?;
    Ok((fields.into_iter().collect(), read))
}

/// Lets the plan write what is there in place of its own words.
fn keep(plan: &mut Plan, definitions: &[String; 2], known: &[HashMap<String, Vec<u8>>; 2]) {
    for command in &mut plan.commands {
        if let Command::HSet { key, field, value } = command
            && let Some(hash) = definitions.iter().position(|definitions| definitions == key)
            && let Some(there) = known[hash].get(field)
        {
            value.clone_from(there);
        }
    }
}
