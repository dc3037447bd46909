//! A router as bytes: small, checked, and loaded much faster than it was declared.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use crate::{
    Router, TopologyError,
    error::Error,
    router::{PartError, PartProblem},
};

mod bytes;
mod read;
mod table;
mod write;

/// What every snapshot begins with. The bytes around the letters break where a transfer takes it for text.
const MAGIC: [u8; 8] = *b"\x89krail\r\n";

/// The version that is written and read; the first one had keys as text alone, and was never released.
const VERSION: u8 = 2;

/// Bytes of the checksum at the end.
const CHECKSUM: usize = 8;

/// Why bytes are no snapshot that can be loaded. Nothing is built then.
///
/// ```
/// use keyrail_core::{Router, SnapshotError};
///
/// let mut bytes = Router::new().snapshot();
/// let last = bytes.len() - 1;
/// bytes[last] ^= 1;
/// let error = Router::from_snapshot(&bytes).unwrap_err();
/// assert_eq!((&error, error.code()), (&SnapshotError::Damaged, "damaged-snapshot"));
/// assert_eq!(error.to_string(), "the snapshot is cut off or damaged: its checksum is wrong");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes do not begin as a snapshot does.
    NoSnapshot,
    /// A version that this library does not know: written by a newer one.
    UnknownVersion {
        /// The version.
        found: u8,
    },
    /// The checksum at the end is not that of the bytes: cut off, or damaged on the way.
    Damaged,
    /// The checksum is right and the content is not: nothing that this library writes.
    Malformed {
        /// Where: a section, and a place in it.
        path: Box<str>,
        /// What is wrong there.
        reason: Box<str>,
    },
    /// Something in it cannot be declared or bound.
    Invalid(TopologyError),
}

impl Router {
    /// Everything that this router holds, as bytes: exchanges, queues, bindings with their order, policies, limits and
    /// the revision. Results kept elsewhere and the seed of the hash tables are not in it.
    ///
    /// # Format
    /// Eight bytes `89 6b 72 61 69 6c 0d 0a`, the version (2), sections, and an XXH64 of all before, little-endian. A
    /// section is its number, its length and its content; numbers are LEB128. The sections, each once, in this order:
    ///
    /// | | section | content |
    /// |---|---|---|
    /// | 1 | head | revision, longest key, most bindings |
    /// | 2 | exchanges | for each: name, kind, flags, arguments |
    /// | 3 | queues | for each: name, flags, arguments |
    /// | 4 | policies | for each: name, pattern, what it applies to, priority, definition |
    /// | 5 | words | the words of topic patterns, each once; the forms of these patterns: numbers of words before and behind the `#`, whether there is one, which words are `*` |
    /// | 6 | bindings | columns: runs of sources, runs of flags, destinations, lengths of keys, keys, topic patterns as a form and its literal words, and what the flags announce |
    /// | 7 | rings | for each consistent-hash exchange: the bindings that own its buckets, in their order |
    ///
    /// # Cost
    /// Linear. A topic binding takes its key and about three bytes.
    ///
    /// ```
    /// use keyrail_core::{Exchange, ExchangeKind, Router};
    ///
    /// let mut router = Router::new();
    /// router.declare_exchange("events", Exchange::new(ExchangeKind::Topic))?;
    /// let copy = Router::from_snapshot(&router.snapshot())?;
    /// assert_eq!(copy.revision(), router.revision());
    /// assert!(copy.exchange("events").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot(&self) -> Vec<u8> {
        write::snapshot(self)
    }

    /// Builds the router that a [`snapshot`](Self::snapshot) was taken of: it answers alike, and goes on from the same
    /// revision.
    ///
    /// ```
    /// use keyrail_core::{Router, Topology};
    ///
    /// let router = Topology::from_lines("orders topic: order.# -> audit")?.router()?;
    /// let copy = Router::from_snapshot(&router.snapshot())?;
    /// assert_eq!(Topology::of(&copy), Topology::of(&router));
    /// assert_eq!(copy.revision(), router.revision());
    /// assert_eq!(Router::from_snapshot(b"{}").unwrap_err().to_string(), "this is no keyrail snapshot");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SnapshotError`]. Bytes of whatever origin never panic, and take memory in proportion to their length at most.
    /// # Cost
    /// Linear; see `core/DESIGN.md`, "Loading a snapshot".
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, SnapshotError> {
        Self::from_snapshot_with_seed(bytes, 0)
    }

    /// The same, with hash tables that are seeded by the host; see [`with_seed`](Self::with_seed).
    ///
    /// ```
    /// use keyrail_core::{Router, Topology};
    ///
    /// let router = Topology::from_lines("orders topic: order.# -> audit")?.router()?;
    /// let copy = Router::from_snapshot_with_seed(&router.snapshot(), 0x9e37_79b9_7f4a_7c15)?;
    /// assert_eq!(copy.snapshot(), router.snapshot()); // the seed is not in it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_snapshot`](Self::from_snapshot).
    pub fn from_snapshot_with_seed(bytes: &[u8], seed: u64) -> Result<Self, SnapshotError> {
        read::router(bytes, seed)
    }

    /// Whether bytes begin as a snapshot does, of whatever version.
    ///
    /// ```
    /// use keyrail_core::Router;
    ///
    /// assert!(Router::is_snapshot(&Router::new().snapshot()));
    /// assert!(!Router::is_snapshot(br#"{"exchanges": []}"#));
    /// ```
    pub fn is_snapshot(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }
}

impl SnapshotError {
    /// The stable word for this error.
    pub const fn code(&self) -> &'static str {
        match self {
            SnapshotError::NoSnapshot => "no-snapshot",
            SnapshotError::UnknownVersion { .. } => "unknown-snapshot-version",
            SnapshotError::Damaged => "damaged-snapshot",
            SnapshotError::Malformed { .. } => "malformed-snapshot",
            SnapshotError::Invalid(error) => error.error.code(),
        }
    }

    fn malformed(path: impl Into<Box<str>>, reason: impl Into<Box<str>>) -> Self {
        SnapshotError::Malformed { path: path.into(), reason: reason.into() }
    }
}

impl From<PartError> for SnapshotError {
    fn from(PartError { list, at, error }: PartError) -> Self {
        let path: String = alloc::format!("{list}[{at}]");
        match error {
            PartProblem::Refused(error) => SnapshotError::Invalid(TopologyError { path, error }),
            PartProblem::Repeated => SnapshotError::malformed(path, "it is there twice"),
        }
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::NoSnapshot => f.write_str("this is no keyrail snapshot"),
            SnapshotError::UnknownVersion { found } => {
                let wrote = if *found > VERSION { "a newer keyrail" } else { "one before the first release" };
                write!(f, "the snapshot has version {found}, expected {VERSION}; {wrote} wrote it")
            }
            SnapshotError::Damaged => {
                f.write_str("the snapshot is cut off or damaged: its checksum is wrong")
            }
            SnapshotError::Malformed { path, reason } => write!(f, "malformed snapshot, {path}: {reason}"),
            SnapshotError::Invalid(error) => write!(f, "snapshot: {error}"),
        }
    }
}

impl core::error::Error for SnapshotError {}

impl From<TopologyError> for SnapshotError {
    fn from(error: TopologyError) -> Self {
        SnapshotError::Invalid(error)
    }
}

/// Numbers of the sections.
mod section {
    pub(super) const HEAD: u64 = 1;
    pub(super) const EXCHANGES: u64 = 2;
    pub(super) const QUEUES: u64 = 3;
    pub(super) const POLICIES: u64 = 4;
    pub(super) const WORDS: u64 = 5;
    pub(super) const BINDINGS: u64 = 6;
    pub(super) const RINGS: u64 = 7;
}

/// What an exchange or a queue was declared with.
mod flag {
    pub(super) const DURABLE: u64 = 1;
    pub(super) const AUTO_DELETE: u64 = 1 << 1;
    /// Of an exchange.
    pub(super) const INTERNAL: u64 = 1 << 2;
    /// Of a queue.
    pub(super) const EXCLUSIVE: u64 = 1 << 3;
}

/// What a binding has.
mod binding_flag {
    pub(super) const ARGUMENTS: u64 = 1;
    pub(super) const PATTERN: u64 = 1 << 1;
    pub(super) const KOMBU57: u64 = 1 << 2;
    pub(super) const KOMBU56: u64 = 1 << 3;
    /// Its key is a form and words, and there is nothing else.
    pub(super) const WORDS: u64 = 1 << 4;
    pub(super) const ALL: u64 = (1 << 5) - 1;
}

fn error_of(error: impl Into<Error>, path: String) -> SnapshotError {
    SnapshotError::Invalid(TopologyError { path, error: error.into() })
}

#[cfg(test)]
mod tests;
