//! What to do about errors: wait longer each time, and tell once.

use std::time::Duration;

use tokio::time::Instant;

use crate::ExecuteError;

/// The state of the way to Redis.
#[derive(Debug, Default)]
pub(super) struct Outage {
    delay: Duration,
    until: Option<Instant>,
    told: Option<ExecuteError>,
}

const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);

impl Outage {
    /// Until when nothing should be sent.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until.filter(|until| *until > Instant::now())
    }

    /// Notes an error. Gives it back if somebody has to hear of it: once, and not if the connection broke, which mends
    /// itself.
    pub(super) fn note(&mut self, error: ExecuteError) -> Option<ExecuteError> {
        self.delay = (self.delay * 2).clamp(SHORTEST, LONGEST);
        self.until = Some(Instant::now() + self.delay);
        if self.told.as_ref() == Some(&error) {
            return None;
        }
        tracing::warn!(code = error.code(), "{error}; the consumer tries again");
        self.told = Some(error.clone());
        (!passes(&error) || wants_help(&error)).then_some(error)
    }

    /// Notes that Redis answers. Whether it is back from an outage.
    pub(super) fn over(&mut self) -> bool {
        let was_out = self.until.is_some();
        if was_out {
            tracing::info!("the consumer goes on");
            *self = Outage::default();
        }
        was_out
    }

    /// What was noted last.
    pub(super) fn last(&self) -> Option<ExecuteError> {
        self.told.clone()
    }
}

/// Whether the same may be tried again: nothing was done, and the error goes away.
pub(super) fn passes(error: &ExecuteError) -> bool {
    match error {
        // Whoever answers there at the moment, Redis did before.
        ExecuteError::NotRedis { .. } => true,
        ExecuteError::Server { message } => {
            begins(message, &["BUSY", "UNBLOCKED"]) || begins(message, &WANTS_HELP)
        }
        error => error.is_temporary(),
    }
}

/// A server without memory, or whose snapshots fail, refuses the first write of a script, and so the whole.
const WANTS_HELP: [&str; 2] = ["OOM", "MISCONF"];

/// Whether it goes away only when somebody sees to it, who must hear of it.
fn wants_help(error: &ExecuteError) -> bool {
    matches!(error, ExecuteError::Server { message } if begins(message, &WANTS_HELP))
}

fn begins(message: &str, codes: &[&str]) -> bool {
    message.split(' ').next().is_some_and(|code| codes.contains(&code))
}
