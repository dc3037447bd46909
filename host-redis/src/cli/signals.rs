//! The signals that end a command: the first asks for an orderly end, the second for one at once.

use std::{future::Future, io};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::Failure;

/// How many of them came.
#[derive(Clone)]
pub(crate) struct Signals(watch::Receiver<u32>);

impl Signals {
    /// Counts SIGINT and SIGTERM from this call on. SIGHUP is the first of them and never the second, since a terminal that
    /// goes is told of more than once; SIGQUIT is the second. From then on they do not end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut quit = signal(SignalKind::quit())?;
        let mut hangup = hangup()?;
        let (count, signals) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                let counted = tokio::select! {
                    _ = interrupt.recv() => |count: u32| count.saturating_add(1),
                    _ = terminate.recv() => |count: u32| count.saturating_add(1),
                    _ = quit.recv() => |count: u32| count.max(2),
                    () = next(&mut hangup) => |count: u32| count.max(1),
                };
                count.send_modify(|count| *count = counted(*count));
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

/// SIGHUP, unless whoever started the command has it ignored, as `nohup` does.
fn hangup() -> io::Result<Option<Signal>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let bit = SignalKind::hangup().as_raw_value() - 1;
    if ignored >> bit & 1 == 1 { Ok(None) } else { signal(SignalKind::hangup()).map(Some) }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
