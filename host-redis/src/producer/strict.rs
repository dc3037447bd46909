//! No publish by a table that has changed.
//!
//! The server watches every key that decides about the route. When it confirms the watch, every change before it has been
//! announced on the same connection, so a table that is still current is the one that is watched; and a change after it
//! makes `EXEC` execute nothing.

use std::sync::Arc;

use ::redis::{Cmd, Value};

use super::{Asked, Confirm, Message, Prepared, ProduceError, Producer, route};
use crate::table::Reach;

/// How often a message is routed again before somebody is told.
const ATTEMPTS: u32 = 32;

impl Producer {
    pub(super) async fn strictly(&self, prepared: &Prepared<'_>) -> Result<Confirm, ProduceError> {
        let exchange = prepared.asked.exchange;
        if exchange.is_empty() && !self.options.declared_queues_only {
            return self.by_name(prepared).await;
        }
        let _turn = self.strict.lock().await;
        for _ in 0..ATTEMPTS {
            let (Some(reach), _) = self.declared_ways(&prepared.asked).await? else { continue };
            if let Some(confirm) = self.guarded(prepared, &reach).await? {
                return Ok(confirm);
            }
        }
        Err(ProduceError::TableMoved { exchange: exchange.into(), attempts: ATTEMPTS })
    }

    /// Publishes by this table, or nothing if it has changed.
    async fn guarded(
        &self,
        prepared: &Prepared<'_>,
        reach: &Arc<Reach>,
    ) -> Result<Option<Confirm>, ProduceError> {
        let link = self.redis.link();
        let failed = |error| ProduceError::from(self.redis.error(error));
        let (epoch, mut pinned) = link.pinned().await.map_err(failed)?;
        // Half a transaction may lie on a connection that failed, or whose caller went away.
        let mut guard = Guard { producer: self, epoch, armed: true };
        let mut watch = Cmd::new();
        watch.arg("WATCH").arg(self.tables.keys(reach));
        let _: Value = watch.query_async(&mut pinned).await.map_err(failed)?;
        let asked = &prepared.asked;
        let Asked { message: Message { headers, .. }, exchange, routing_key, tag } = *asked;
        // INVARIANT: what was announced before the answer to WATCH has been heard, on this connection alone.
        let current = self.tables.is_current(exchange, reach) && link.epoch() == epoch;
        let routed = route::by_table(reach, exchange, routing_key, headers, tag);
        let mut ways = match routed {
            Ok(ways) if current => ways,
            refused => {
                let _: Value = ::redis::cmd("UNWATCH").query_async(&mut pinned).await.map_err(failed)?;
                guard.armed = false;
                return refused.map(|_| None).map_err(ProduceError::from);
            }
        };
        let dead_lettered = self.dead_letter(&mut ways);
        let plan = self.plan(prepared, &ways, Some(reach));
        let replies = match plan.commands.is_empty() {
            true => {
                let _: Value = ::redis::cmd("UNWATCH").query_async(&mut pinned).await.map_err(failed)?;
                Some(Vec::new())
            }
            false => self.redis.run_watched(&mut pinned, &plan).await?,
        };
        guard.armed = false;
        let Some(replies) = replies else { return Ok(None) };
        let replicas = self.replicate(epoch).await?;
        let confirm = self.confirm(asked, ways, &plan.commands, &replies, dead_lettered)?;
        Ok(Some(Confirm { replicas, ..confirm }))
    }

    /// The default exchange has no table that could change.
    async fn by_name(&self, prepared: &Prepared<'_>) -> Result<Confirm, ProduceError> {
        let (_, mut ways) = self.ways(&prepared.asked).await?;
        let dead_lettered = self.dead_letter(&mut ways);
        let plan = self.plan(prepared, &ways, None);
        let epoch = self.redis.link().epoch();
        let replies = self.run(&plan, &ways).await?;
        let replicas = self.replicate(epoch).await?;
        let confirm = self.confirm(&prepared.asked, ways, &plan.commands, &replies, dead_lettered)?;
        Ok(Confirm { replicas, ..confirm })
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
