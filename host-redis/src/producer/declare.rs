//! Declare on publish, as Kombu's `declare=[…]`.

use std::sync::Arc;

use keyrail_core::{Dialect, PublishError, Topology};
use tokio::time::Instant;

use super::{Prepared, ProduceError, Producer, is_nowhere};
use crate::{HostError, declare::declare, host::import_plan, publish::Ways, table::Reach};

/// The last declaration.
#[derive(Debug)]
pub(super) struct Declared {
    /// The connection on which it was made; zero before the first.
    epoch: u64,
    /// When the bindings that expire were written last.
    refreshed: Instant,
}

impl Declared {
    pub(super) fn never() -> Self {
        Declared { epoch: 0, refreshed: Instant::now() }
    }
}

impl Producer {
    /// Declares what the options name, once per connection: a new server may know nothing of it. Bindings that expire are
    /// refreshed in time, as long as something is published.
    pub(super) async fn declare_once(&self) -> Result<(), ProduceError> {
        if self.options.declare.is_none() {
            return Ok(());
        }
        let mut declared = self.declared.lock().await;
        // A message would connect anew only when it reads its table, and find what the new server knows by itself.
        let epoch = self.redis.link().connected().await.map_err(|error| self.redis.error(error))?;
        if declared.epoch != epoch {
            self.declare().await?;
            // The connection that executed it; a newer one declares again.
            *declared = Declared { epoch: self.redis.link().epoch(), refreshed: Instant::now() };
        } else if let Some(expiring) = &self.expiring
            && declared.refreshed.elapsed() >= expiring.refresh_every()
        {
            self.write(&expiring.topology).await?;
            declared.refreshed = Instant::now();
        }
        Ok(())
    }

    /// Declares again because a message found nobody: somebody may have emptied the database. True if anything was
    /// missing, and then the tables are read anew.
    pub(super) async fn declare_again(&self) -> Result<bool, ProduceError> {
        if self.options.declare.is_none() {
            return Ok(false);
        }
        let _turn = self.declared.lock().await;
        self.declare().await
    }

    /// The ways, by tables that hold what was declared.
    pub(super) async fn declared_ways(
        &self,
        prepared: &Prepared<'_>,
    ) -> Result<(Option<Arc<Reach>>, Ways), ProduceError> {
        let found = self.ways(prepared).await;
        match self.may_be_missing(found.as_ref().map(|(_, ways)| ways)) && self.declare_again().await? {
            true => Ok(self.ways(prepared).await?),
            false => Ok(found?),
        }
    }

    /// Whether a declaration may mend that nobody gets the message.
    pub(super) fn may_be_missing(&self, found: Result<&Ways, &HostError>) -> bool {
        self.options.declare.is_some()
            && match found {
                Ok(ways) => is_nowhere(ways),
                Err(error) => is_unknown_exchange(error),
            }
    }

    async fn declare(&self) -> Result<bool, ProduceError> {
        match &self.options.declare {
            Some((topology, _)) => self.write(topology).await,
            None => Ok(false),
        }
    }

    async fn write(&self, topology: &Topology) -> Result<bool, ProduceError> {
        let dialect = self.options.declare.as_ref().map_or(Dialect::Kombu57, |(_, dialect)| *dialect);
        let now = if self.expiring.is_some() { self.redis.now_ms().await? } else { 0 };
        let plan = import_plan(&self.layout, topology, dialect, now)?;
        // Boxed, as what else is rare here: the futures of who calls this would be too deep for the compiler.
        let missing = Box::pin(declare(&self.redis, &self.layout, topology, plan)).await?.missing;
        if missing {
            self.tables.forget();
        }
        Ok(missing)
    }
}

/// Whether nobody declared the exchange, which a declaration may mend.
pub(super) const fn is_unknown_exchange(error: &HostError) -> bool {
    matches!(error, HostError::Publish(PublishError::ExchangeNotFound { .. }))
}
