//! When a wait ends.

use std::time::Duration;

use tokio::time::Instant;

/// A clock reaches so far everywhere, about a century.
const LONGEST: Duration = Duration::from_secs(3_000_000_000);

/// After so long from now; a limit may be as long as it likes.
pub(crate) fn deadline(limit: Duration) -> Instant {
    Instant::now() + limit.min(LONGEST)
}
