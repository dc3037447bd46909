//! SIGINT and SIGTERM: the first asks for an orderly end, the second for one at once.

use std::future::Future;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::Failure;

/// How many of these signals came.
#[derive(Clone)]
pub(crate) struct Signals(watch::Receiver<u32>);

impl Signals {
    /// Counts from this call on. From then on they do not end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (count, signals) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Signals(signals))
    }

    /// Ends with the first.
    pub(crate) fn first(&self) -> impl Future<Output = ()> + Send + 'static {
        self.at_least(1)
    }

    /// Ends with the second.
    pub(crate) fn second(&self) -> impl Future<Output = ()> + Send + 'static {
        self.at_least(2)
    }

    fn at_least(&self, wanted: u32) -> impl Future<Output = ()> + Send + 'static {
        let mut signals = self.0.clone();
        async move {
            // The sender lives as long as the runtime.
            let _ = signals.wait_for(|count| *count >= wanted).await;
        }
    }
}
