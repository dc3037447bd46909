//! Declaring what a consumer takes from, as Kombu's `Consumer` does, and keeping alive what expires.

use std::{future::pending, sync::Arc, time::Duration};

use keyrail_core::{Dialect, Topology};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep},
};

use crate::{Executor, Host, HostError, expiring::Expiring};

/// Kombu's `BINDING_SWEEP_INTERVAL`.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// After an attempt that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Works until the sender is dropped. Declares at the start, and whenever Redis is `back` from an outage, in which it may
/// have forgotten everything.
pub(super) fn keep<E: Executor>(
    host: Host<E>,
    (topology, dialect): (Arc<Topology>, Dialect),
    back: Arc<Notify>,
) -> oneshot::Sender<()> {
    let (stop, mut stopped) = oneshot::channel();
    let expiring = Expiring::of(&topology);
    tokio::spawn(async move {
        let mut keeper = Keeper { host, topology, dialect, expiring, refreshed: None, swept: None };
        loop {
            let wait = match keeper.tend().await {
                Ok(wait) => wait,
                // Not before somebody changes what is there.
                Err(error @ HostError::Declare(_)) => {
                    tracing::error!(
                        code = error.code(),
                        "what a consumer takes from is not declared: {error}"
                    );
                    Some(SWEEP_EVERY)
                }
                Err(error) => {
                    tracing::warn!(code = error.code(), "declaring what a consumer takes from: {error}");
                    keeper.refreshed = None;
                    Some(AGAIN)
                }
            };
            let waited = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                _ = &mut stopped => return,
                () = back.notified() => keeper.refreshed = None,
                () = waited => {}
            }
        }
    });
    stop
}

struct Keeper<E> {
    host: Host<E>,
    topology: Arc<Topology>,
    dialect: Dialect,
    expiring: Option<Expiring>,
    refreshed: Option<Instant>,
    swept: Option<Instant>,
}

impl<E: Executor> Keeper<E> {
    /// When to come again; nothing if nothing expires.
    async fn tend(&mut self) -> Result<Option<Duration>, HostError> {
        let Some(refreshed) = self.refreshed else {
            self.host.import(&self.topology, self.dialect).await?;
            self.refreshed = Some(Instant::now());
            return Ok(self.sweep().await);
        };
        let Some(expiring) = &self.expiring else { return Ok(None) };
        if refreshed.elapsed() >= expiring.refresh_every() {
            self.host.import(&expiring.topology, self.dialect).await?;
            self.refreshed = Some(Instant::now());
        }
        self.host.executor().run(&expiring.keep_alive(self.host.layout())).await?;
        Ok(self.sweep().await)
    }

    /// Clears away what others left behind: who consumes what expires does, as with Kombu, and after refreshing its own.
    /// When to come again; nothing if nothing expires.
    async fn sweep(&mut self) -> Option<Duration> {
        let expiring = self.expiring.as_ref()?;
        if self.swept.is_none_or(|swept| swept.elapsed() >= SWEEP_EVERY) {
            self.swept = Some(Instant::now());
            match self.host.executor().sweep(self.host.layout()).await {
                Ok(swept) if swept.deleted > 0 => {
                    let deleted = swept.deleted;
                    tracing::info!(deleted, "tables of bindings that nobody refreshed are gone");
                }
                Ok(_) => {}
                // Other people's tables: this consumer's own lists live on all the same.
                Err(error) => tracing::warn!(code = error.code(), "sweeping tables of bindings: {error}"),
            }
        }
        Some(expiring.keep_alive_every().min(SWEEP_EVERY))
    }
}
