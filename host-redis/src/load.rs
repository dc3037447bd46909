//! Topologies from files, and from the tables that Kombu keeps in Redis.

use keyrail_core::MAX_SHORT_STRING;

mod bounded;
mod file;
mod tables;
mod types;

pub use bounded::{bytes, read as read_bytes};
pub use file::{Format, Loaded, read};
pub use tables::{Options, Quarantined, Reason, from_tables, queue};
pub(crate) use tables::{Read, read as read_tables, rows};
pub use types::is_guessed;

/// What is refused as too large unless the caller says otherwise.
///
/// ```
/// use keyrail_redis::load::{self, Limits};
///
/// let limits = Limits { file_bytes: 8, ..Limits::default() };
/// let error = load::read_bytes("-".as_ref(), &b"far too much"[..], &limits).unwrap_err();
/// assert_eq!(error.code(), "too-large");
/// assert!(error.to_string().ends_with("raise the limit with --max-file-bytes"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file.
    pub file_bytes: u64,
    /// Bindings of one exchange in Redis.
    pub table_bindings: u64,
    /// Bytes of a binding key in Redis and of the routing key of a publish. Kombu on Redis knows no limit.
    pub key_bytes: usize,
}

impl Default for Limits {
    /// 1 GiB and 5 million: a table of a million rows loads in seconds and must not be refused. AMQP's 255 bytes.
    fn default() -> Self {
        Limits { file_bytes: 1 << 30, table_bindings: 5_000_000, key_bytes: MAX_SHORT_STRING }
    }
}
