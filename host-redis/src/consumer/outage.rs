//! What to do about errors: wait longer each time, and tell once.

use std::time::Duration;

use tokio::time::Instant;

use crate::ExecuteError;

/// What a consumer asks Redis for. Each fails and comes back on its own: a take that succeeds says nothing of a delivery
/// that cannot go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Taking and settling, which tell whether Redis is there at all.
    Exchange,
    /// Waiting for messages.
    Wait,
    /// Keeping what is held young.
    Heartbeat,
    /// Looking for what a lost answer took.
    Reclaim,
    /// What somebody put back or aside, and was not told of yet.
    Back,
    /// What nobody has in hand any more: what was called back, and what is no message.
    Rest,
}

const ERRANDS: usize = 6;

/// The state of the way to Redis, by errand.
#[derive(Debug, Default)]
pub(super) struct Outage {
    errands: [Trouble; ERRANDS],
    /// Whether the connection was lost, or the server served nobody, since Redis was last seen to answer.
    was_out: bool,
}

/// What one errand has met since it last succeeded.
#[derive(Debug, Default)]
struct Trouble {
    delay: Duration,
    until: Option<Instant>,
    /// A queue each may be in the way, so there may be several.
    told: Vec<ExecuteError>,
}

const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);
/// So many different errors are remembered; beyond them the oldest is told anew.
const REMEMBERED: usize = 64;

impl Outage {
    /// Until when this should not be tried.
    pub(super) fn until(&self, errand: Errand) -> Option<Instant> {
        self.errands[errand as usize].until.filter(|until| *until > Instant::now())
    }

    /// Notes an error, and lets the errand wait, longer each time. Gives it back if somebody has to hear of it: once, and
    /// not if the connection broke, which mends itself.
    pub(super) fn note(&mut self, errand: Errand, error: ExecuteError) -> Option<ExecuteError> {
        let mends = passes(&error) && !wants_help(&error);
        self.was_out |= mends;
        self.pause(errand);
        if passes(&error) && matches!(errand, Errand::Back | Errand::Rest) {
            // What goes back to be the next must be there before anything is taken.
            self.errands[Errand::Exchange as usize].until = self.errands[errand as usize].until;
        }
        let known = self.errands.iter().any(|trouble| trouble.told.contains(&error));
        let told = &mut self.errands[errand as usize].told;
        told.retain(|known| *known != error);
        if told.len() == REMEMBERED {
            told.remove(0);
        }
        told.push(error.clone());
        if known {
            return None;
        }
        tracing::warn!(code = error.code(), "{error}; the consumer tries again");
        (!mends).then_some(error)
    }

    fn pause(&mut self, errand: Errand) {
        let trouble = &mut self.errands[errand as usize];
        trouble.delay = (trouble.delay * 2).clamp(SHORTEST, LONGEST);
        trouble.until = Some(Instant::now() + trouble.delay);
    }

    /// Notes that this came through.
    pub(super) fn over(&mut self, errand: Errand) {
        let trouble = &mut self.errands[errand as usize];
        if trouble.until.is_some() {
            *trouble = Trouble::default();
        }
    }

    /// Whether Redis is back from an outage, now that it answers; once.
    pub(super) fn is_back(&mut self) -> bool {
        let back = std::mem::take(&mut self.was_out);
        if back {
            tracing::info!("the consumer goes on");
        }
        back
    }

    /// What was met last by this errand.
    pub(super) fn last(&self, errand: Errand) -> Option<ExecuteError> {
        self.errands[errand as usize].told.last().cloned()
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

/// Whether the commands may have been executed nevertheless.
pub(super) fn may_be_done(error: &ExecuteError) -> bool {
    use ExecuteError::{Disconnected, NotRedis, Timeout};
    matches!(error, Disconnected { .. } | Timeout { .. } | NotRedis { .. })
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
