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

/// Carries out a plan that declares what this topology says; whether anything of it was missing.
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
) -> Result<bool, HostError> {
    let definitions = [registry::exchanges_key(layout), registry::queues_key(layout)];
    if executor.spreads() {
        keep(&mut plan, &definitions, &known(executor, &definitions, topology).await?);
        let mut missing = false;
        for key in &definitions {
            let own = |command: &Command| command.key() == key;
            let (own, rest) = plan.commands.into_iter().partition(own);
            plan.commands = rest;
            let own = Plan { atomic: true, commands: own };
            missing |= declare_at_once(executor, &definitions, topology, own).await?;
        }
        let replies = executor.run(&Plan { atomic: false, ..plan.clone() }).await?;
        return Ok(missing | is_new(&plan, &replies));
    }
    declare_at_once(executor, &definitions, topology, plan).await
}

async fn declare_at_once<E: Executor>(
    executor: &E,
    definitions: &[String; 2],
    topology: &Topology,
    mut plan: Plan,
) -> Result<bool, HostError> {
    if plan.commands.is_empty() {
        return Ok(false);
    }
    for _ in 0..ATTEMPTS {
        if let Some(replies) = executor.run_adding(&plan, definitions).await? {
            return Ok(is_new(&plan, &replies));
        }
        // Something is there in other words, which may mean the same.
        keep(&mut plan, definitions, &known(executor, definitions, topology).await?);
    }
    Err(moved(definitions))
}

/// Others are faster, each time.
pub(crate) fn moved(keys: &[String]) -> HostError {
    let keys = keys.join("` and `");
    let reason =
        format!("`{keys}` changed during each of {ATTEMPTS} attempts to declare; nothing was written");
    HostError::NotExpressible { reason: reason.into() }
}

fn is_new(plan: &Plan, replies: &[Reply]) -> bool {
    let adds = |command: &Command| matches!(command.name(), "SADD" | "HSET");
    plan.commands
        .iter()
        .zip(replies)
        .any(|(command, reply)| adds(command) && matches!(reply, Reply::Count(1..)))
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
