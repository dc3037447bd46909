//! Waiting until replicas have what was published.
//!
//! The message is in Redis before the waiting begins, so nothing that goes wrong here is an error of the publish: it would
//! make somebody publish it again.

use std::time::{Duration, Instant};

use super::Producer;

/// WAIT knows no shorter limit: 0 would be none.
const SHORTEST: Duration = Duration::from_millis(1);

impl Producer {
    /// How many replicas are known to have what was written on this connection, if the options ask for that.
    ///
    /// WAIT holds up everything that follows on the connection. So one waits at a time, and in pieces that end before
    /// anybody gives the connection up because nothing is answered.
    pub(super) async fn replicate(&self, epoch: u64) -> Option<u32> {
        let (count, limit) = self.options.replicas?;
        let ends = Instant::now().checked_add(limit);
        let timeouts = self.redis.link().timeouts();
        let piece = timeouts.response_timeout.min(timeouts.connect_timeout) / 2;
        let mut reached = 0;
        loop {
            let _turn = self.waiting.lock().await;
            let left = ends.map_or(piece, |ends| ends.saturating_duration_since(Instant::now()));
            match self.wait(epoch, count, left.clamp(SHORTEST, piece.max(SHORTEST))).await {
                Some(now) => reached = reached.max(now),
                None => return Some(reached),
            }
            if reached >= count || left <= piece {
                return Some(reached);
            }
        }
    }

    /// Waits once. Nothing if the connection that wrote is gone, which only it could tell of.
    async fn wait(&self, epoch: u64, count: u32, limit: Duration) -> Option<u32> {
        let link = self.redis.link();
        if link.epoch() != epoch {
            return None;
        }
        let mut wait = ::redis::cmd("WAIT");
        wait.arg(count).arg(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let reached: u32 = match wait.query_async(&mut link.clone()).await {
            Ok(reached) => reached,
            Err(error) => {
                let error = self.redis.error(error);
                tracing::warn!(code = error.code(), "it is not known which replicas have a message: {error}");
                return None;
            }
        };
        // Another connection may lead to another server, which never had the message and speaks of its own replicas.
        (link.epoch() == epoch).then_some(reached)
    }
}
