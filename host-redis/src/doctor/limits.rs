//! How much is read at most.

use std::time::Duration;

/// How much an examination reads and names at most. What is left out is said in [`Looked::left_out`](super::Looked).
///
/// ```
/// use keyrail_redis::doctor::Limits;
///
/// let limits = Limits { payloads: 10, ..Limits::default() };
/// assert_eq!(limits.findings, 10_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys of the database, of whatever kind.
    pub keys: usize,
    /// Rows of one table, and entries of one of keyrail's own keys. Larger ones are named and not read.
    pub rows: u64,
    /// Lists that may be queues.
    pub lists: usize,
    /// Payloads of one list, those that are taken next.
    pub payloads: usize,
    /// Bytes of the payloads of one list. A payload of more than that is passed over.
    pub payload_bytes: usize,
    /// Deliveries of the register, and times.
    pub deliveries: usize,
    /// Findings that are named.
    pub findings: usize,
    /// How long a record of repairs is kept.
    pub keep: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            keys: 1_000_000,
            rows: 100_000,
            lists: 10_000,
            payloads: 100,
            payload_bytes: 1 << 20,
            deliveries: 100_000,
            findings: 10_000,
            keep: Duration::from_secs(30 * 24 * 3600),
        }
    }
}
