//! Topologies from files, and from the tables that Kombu keeps in Redis.

mod bounded;
mod file;
mod tables;

pub use bounded::{bytes, read as read_bytes};
pub use file::{Format, Loaded, read};
pub(crate) use tables::queue;
pub use tables::{Options, Quarantined, Reason, from_tables};

/// What is refused as too large unless the caller says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file.
    pub file_bytes: u64,
    /// Bindings of one exchange in Redis.
    pub table_bindings: u64,
}

impl Default for Limits {
    /// 1 GiB and 5 million: a table of a million rows loads in seconds and must not be refused.
    fn default() -> Self {
        Limits { file_bytes: 1 << 30, table_bindings: 5_000_000 }
    }
}
