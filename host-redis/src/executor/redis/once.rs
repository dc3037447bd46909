//! A plan that is run once, however often it is sent.

use std::time::Duration;

use ::redis::{ScriptInvocation, Value, aio::MultiplexedConnection};
use keyrail_core::kombu::Plan;

use super::super::needs::needs;
use super::{Redis, atomic, commands::Commands};
use crate::{ExecuteError, Reply};

/// What makes a plan one that is run once.
#[derive(Clone, Debug)]
pub(crate) struct Once {
    /// The key that says that it was run. On a cluster it must lie in the slot of the plan's keys.
    pub(crate) marker: String,
    /// How long the marker is kept.
    pub(crate) window: Duration,
    /// What to remember of it: one line.
    pub(crate) note: String,
}

/// What became of it.
pub(crate) enum Ran {
    /// It was run now.
    Now(Vec<Reply>),
    /// It was run before: the note of that time, and the counts that the commands answered.
    Before {
        /// The note.
        note: String,
        /// In the order of the commands.
        counts: Vec<i64>,
    },
}

impl Redis {
    pub(crate) async fn run_once(&self, plan: &Plan, once: &Once) -> Result<Ran, ExecuteError> {
        let value = self.invoke(&self.once(plan, once)?).await?;
        self.ran(plan, value)
    }

    /// The same as the one command of a transaction; nothing if a watched key changed.
    pub(crate) async fn run_once_watched(
        &self,
        pinned: &mut MultiplexedConnection,
        plan: &Plan,
        once: &Once,
    ) -> Result<Option<Ran>, ExecuteError> {
        let value = self.transaction(pinned, &self.once(plan, once)?).await?;
        value.map(|value| self.ran(plan, value)).transpose()
    }

    /// Adds it to others.
    pub(crate) fn add_once(&self, out: &mut Commands, plan: &Plan, once: &Once) -> Result<(), ExecuteError> {
        out.add_script(&self.once(plan, once)?);
        Ok(())
    }

    fn once(&self, plan: &Plan, once: &Once) -> Result<ScriptInvocation<'_>, ExecuteError> {
        atomic::invocation_once(&self.scripts.once, plan, &needs(&plan.commands)?, once)
    }

    /// What the answer of the script means.
    pub(crate) fn ran(&self, plan: &Plan, value: Value) -> Result<Ran, ExecuteError> {
        match value {
            Value::BulkString(noted) => before(&noted),
            value => self.at_once(plan, &needs(&plan.commands)?, value).map(Ran::Now),
        }
    }
}

fn before(noted: &[u8]) -> Result<Ran, ExecuteError> {
    let lost = || ExecuteError::Server { message: "the marker of a publish holds something else".into() };
    let (note, counts) =
        std::str::from_utf8(noted).ok().and_then(|text| text.split_once('\n')).ok_or_else(lost)?;
    let counts =
        counts.split(' ').filter(|count| !count.is_empty()).map(|count| count.parse().map_err(|_| lost()));
    Ok(Ran::Before { note: note.into(), counts: counts.collect::<Result<_, _>>()? })
}
