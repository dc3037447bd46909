//! Reads Redis as far as the checks need it, in small steps, and writes nothing.
//!
//! Others write meanwhile. What is wrong because something is missing is asked for again, in one step with what it is
//! missing from, before it is believed.

use keyrail_core::kombu::Layout;

use super::{Limits, finding::Looked, state::State};
use crate::{HostError, Redis};

mod keys;
mod lists;
mod own;
mod register;
mod tables;
pub(super) mod wire;

use keys::Keys;

/// What reads share.
struct Reader<'a> {
    redis: &'a Redis,
    layout: &'a Layout,
    limits: &'a Limits,
    /// How long a delivery is held before it is restored, in seconds.
    visibility: f64,
    state: State,
    looked: Looked,
    /// Bytes of what cannot be read, which is kept for the repair.
    kept: usize,
}

/// What cannot be read is kept up to so many bytes, and the rest is left for the next run.
const ENOUGH: usize = 64 << 20;

pub(super) async fn read(
    redis: &Redis,
    layout: &Layout,
    limits: &Limits,
    visibility: f64,
) -> Result<(State, Looked), HostError> {
    let state = State { now_ms: redis.now_ms().await?, ..State::default() };
    let mut reader = Reader { redis, layout, limits, visibility, state, looked: Looked::default(), kept: 0 };
    let keys = Keys::read(&mut reader).await?;
    reader.tables(&keys).await?;
    reader.own().await?;
    reader.register().await?;
    // Behind the tables: who binds before he publishes is not taken for somebody without a binding.
    reader.lists(&keys).await?;
    Ok((reader.state, reader.looked))
}

impl Reader<'_> {
    /// Whether so much is kept that no more is looked for.
    const fn is_enough(&self) -> bool {
        self.kept >= ENOUGH
    }

    /// Says that a limit was reached.
    fn left_out(&mut self, what: String) {
        self.looked.left_out.push(what);
    }
}
