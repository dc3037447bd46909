//! Declare on publish, as Kombu's `declare=[…]`.

use keyrail_core::kombu::Plan;

use super::{ProduceError, Producer};
use crate::{Executor, HostError, Reply, host::import_plan, registry};

impl Producer {
    /// Declares what the options name, once per connection: a new server may know nothing of it.
    pub(super) async fn declare_once(&self) -> Result<(), ProduceError> {
        if self.options.declare.is_none() {
            return Ok(());
        }
        let mut declared = self.declared.lock().await;
        if *declared != self.redis.link().epoch() {
            self.declare().await?;
            // The connection that executed it; a newer one declares again.
            *declared = self.redis.link().epoch();
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

    async fn declare(&self) -> Result<bool, ProduceError> {
        let Some((topology, dialect)) = &self.options.declare else { return Ok(false) };
        let expiring = topology.queues.iter().any(|queue| registry::expires_ms(&queue.arguments).is_some());
        let now = if expiring { self.redis.now_ms().await? } else { 0 };
        let plan = import_plan(&self.layout, topology, *dialect, now)?;
        let replies = self.run_declarations(&plan).await?;
        let missing = plan.commands.iter().zip(&replies).any(|(command, reply)| {
            matches!(command.name(), "SADD" | "HSET") && matches!(reply, Reply::Count(1..))
        });
        if missing {
            self.tables.forget();
        }
        Ok(missing)
    }

    /// In one step, but on a cluster, where the tables of exchanges lie on several servers.
    async fn run_declarations(&self, plan: &Plan) -> Result<Vec<Reply>, HostError> {
        if plan.commands.is_empty() {
            return Ok(Vec::new());
        }
        let atomic = plan.atomic && !self.redis.link().is_cluster();
        Ok(self.redis.run(&Plan { atomic, commands: plan.commands.clone() }).await?)
    }
}
