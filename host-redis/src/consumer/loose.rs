//! What was taken without acks and goes back nevertheless.
//!
//! It is registered first, and then goes back as any other. A plain push whose answer was lost could not be tried again
//! without a second copy; registering twice makes one record, and what is registered leaves the register once.

use std::sync::Arc;

use keyrail_core::kombu::{Plan, plan};

use super::{delivery::Inner, driver::Driver, outage::passes};
use crate::{ExecuteError, Executor};

/// How many are registered in one step.
const BATCH: usize = 128;

impl<E: Executor> Driver<E> {
    /// Registers what nobody has read, and calls it back.
    pub(super) async fn register_loose(&mut self) -> Result<(), ExecuteError> {
        while !self.loose.is_empty() {
            let some = &self.loose[..self.loose.len().min(BATCH)];
            let registered = self.register(some).await?;
            self.loose.drain(..registered.len());
            self.called_back.extend(registered);
        }
        Ok(())
    }

    /// This delivery, registered if it was not.
    pub(super) async fn registered(&self, delivery: &Arc<Inner>) -> Result<Arc<Inner>, ExecuteError> {
        if !delivery.id.is_empty() {
            return Ok(delivery.clone());
        }
        let registered = self.register(std::slice::from_ref(delivery)).await?;
        Ok(registered.into_iter().next().unwrap_or_else(|| delivery.clone()))
    }

    /// As they are if the register takes nothing, whose error is none that passes.
    async fn register(&self, loose: &[Arc<Inner>]) -> Result<Vec<Arc<Inner>>, ExecuteError> {
        let (executor, layout) = (self.host.executor(), self.host.layout());
        let registering = async {
            let now = executor.now().await?;
            let register = |delivery: &Arc<Inner>| {
                plan::register(layout, &self.name(delivery), &delivery.queue, &delivery.payload, now).commands
            };
            let commands = loose.iter().flat_map(register).collect();
            executor.run(&Plan { commands, atomic: true }).await
        };
        match registering.await {
            Ok(_) => Ok(loose.iter().map(|loose| Arc::new(loose.named(self.name(loose)))).collect()),
            Err(error) if passes(&error) => Err(error),
            Err(error) => {
                tracing::warn!(
                    code = error.code(),
                    "what was taken without acks cannot be registered: {error}"
                );
                Ok(loose.to_vec())
            }
        }
    }

    /// As that of what is taken with acks. The tag is not known here, and the place is enough.
    fn name(&self, delivery: &Inner) -> String {
        plan::delivery("", &format!("{}.0.{}", self.owner, delivery.place), &delivery.queue)
    }
}
