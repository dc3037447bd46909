//! No publish by a table that has changed.
//!
//! The server watches every key that decides about the route. When it confirms the watch, every change before it has been
//! announced on the same connection, so a table that is still current is the one that is watched; and a change after it
//! makes `EXEC` execute nothing.

use std::sync::Arc;

use ::redis::{Cmd, Value};

use super::{Confirm, Prepared, ProduceError, Producer, declare::is_unknown_exchange, is_nowhere, route};
use crate::{ExecuteError, executor::Ran, table::Reach};

/// How often a message is routed again before somebody is told: a table that changes every few milliseconds overtakes most
/// attempts of a process that gets little time.
const ATTEMPTS: u32 = 256;

/// What became of one attempt.
enum Attempt {
    /// On the connection of this number.
    Published(Confirm, u64),
    /// A key changed: nothing was written, and nothing is known.
    Overtaken,
    /// By a table that the server has confirmed nobody gets it; nothing was written.
    Nowhere,
}

impl Producer {
    /// Publishes by tables that the server checks, and says on which connection.
    pub(super) async fn strictly(&self, prepared: &Prepared<'_>) -> Result<(Confirm, u64), ProduceError> {
        let exchange = prepared.asked.exchange;
        if exchange.is_empty() && !self.options.declared_queues_only {
            return self.by_name(prepared).await;
        }
        let _turn = self.strict.lock().await;
        let mut may_declare = self.options.declare.is_some();
        for _ in 0..ATTEMPTS {
            let reach = self.tables.reach(&self.redis, exchange).await?;
            match self.guarded(prepared, &reach, may_declare).await? {
                Attempt::Published(confirm, epoch) => return Ok((confirm, epoch)),
                Attempt::Overtaken => {}
                Attempt::Nowhere => {
                    self.declare_again().await?;
                    may_declare = false;
                }
            }
        }
        Err(ProduceError::TableMoved { exchange: exchange.into(), attempts: ATTEMPTS })
    }

    /// Publishes by this table, or refuses by it, if the server confirms that it is still so.
    async fn guarded(
        &self,
        prepared: &Prepared<'_>,
        reach: &Arc<Reach>,
        may_declare: bool,
    ) -> Result<Attempt, ProduceError> {
        let link = self.redis.link();
        let failed = |error| ProduceError::from(self.redis.error(error));
        let (epoch, mut pinned) = link.pinned().await.map_err(failed)?;
        // Half a transaction may lie on a connection that failed, or whose caller went away.
        let mut guard = Guard { producer: self, epoch, armed: true };
        let mut watch = Cmd::new();
        watch.arg("WATCH").arg(self.tables.keys(reach));
        let _: Value = watch.query_async(&mut pinned).await.map_err(failed)?;
        // INVARIANT: what was announced before the answer to WATCH has been heard, on this connection alone. Nothing is
        // said by a table that is not current, no refusal either.
        let current = self.tables.is_current(prepared.asked.exchange, reach) && link.epoch() == epoch;
        let routed = match current {
            true => Some(route::by_table(reach, prepared)),
            false => None,
        };
        let mut ways = match routed {
            Some(Ok(ways)) if !(may_declare && is_nowhere(&ways)) => ways,
            other => {
                let _: Value = ::redis::cmd("UNWATCH").query_async(&mut pinned).await.map_err(failed)?;
                guard.armed = false;
                return match other {
                    None => Ok(Attempt::Overtaken),
                    Some(Ok(_)) => Ok(Attempt::Nowhere),
                    Some(Err(error)) if may_declare && is_unknown_exchange(&error) => Ok(Attempt::Nowhere),
                    Some(Err(error)) => Err(error.into()),
                };
            }
        };
        let dead_lettered = self.dead_letter(&mut ways);
        let plan = self.plan(prepared, &ways, Some(reach));
        let ran = match self.once(prepared, &ways, dead_lettered) {
            _ if plan.commands.is_empty() => {
                let _: Value = ::redis::cmd("UNWATCH").query_async(&mut pinned).await.map_err(failed)?;
                Ok(Some(Ran::Now(Vec::new())))
            }
            Some(once) => self.redis.run_once_watched(&mut pinned, &plan, &once).await,
            None => self.redis.run_watched(&mut pinned, &plan).await.map(|ran| ran.map(Ran::Now)),
        };
        // That a key is of another type is an answer of the transaction, which has ended.
        guard.armed = ran.as_ref().is_err_and(|error| !matches!(error, ExecuteError::WrongType { .. }));
        let Some(ran) = ran? else { return Ok(Attempt::Overtaken) };
        Ok(Attempt::Published(self.told(prepared, ways, &plan, dead_lettered, ran)?, epoch))
    }

    /// The default exchange has no table that could change.
    async fn by_name(&self, prepared: &Prepared<'_>) -> Result<(Confirm, u64), ProduceError> {
        let (_, mut ways) = self.ways(prepared).await?;
        let dead_lettered = self.dead_letter(&mut ways);
        let plan = self.plan(prepared, &ways, None);
        let epoch = self.redis.link().epoch();
        Ok((self.carry_out(prepared, ways, &plan, dead_lettered).await?, epoch))
    }
}

/// Gives the connection up unless its transaction has ended.
struct Guard<'p> {
    producer: &'p Producer,
    epoch: u64,
    armed: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.producer.redis.link().unpin(self.epoch);
        }
    }
}
