//! Binding tables and publish keys to measure routers with, and the means to tell that two routers agree.
//!
//! Everything is seeded and counted in integers, so that the same bytes come out on every machine and could come out
//! of every language; `SHA256` beside this crate says which. Tables are lines of `pattern TAB queue`, keys are one a
//! line, both bytes and not necessarily UTF-8.
//!
//! | to | use |
//! |---|---|
//! | make the files | [`generate`], or the program `keyrail-workload DIRECTORY [LARGEST]` |
//! | make one table in memory | [`TopicWorkload`], [`DirectWorkload`], [`adversarial`], [`headers`] |
//! | read files | [`Bindings`], [`Keys`] |
//! | compare answers | [`Digest`], [`Oracle`] |
//! | route them with keyrail | [`Loaded`] |
//! | measure | [`measure()`], [`CountingAllocator`] |

#![deny(unsafe_code)]

pub mod adversarial;
mod digest;
mod direct;
mod files;
pub mod headers;
mod loaded;
#[cfg(unix)]
mod measure;
mod memory;
mod oracle;
mod program;
mod random;
mod read;
mod topic;
mod vocabulary;

pub use digest::Digest;
pub use direct::DirectWorkload;
pub use files::{SIZES, generate};
pub use loaded::{Kind, LoadError, Loaded};
#[cfg(unix)]
pub use measure::{Effort, Measured, Subject, cpu_time, measure};
pub use memory::CountingAllocator;
pub use oracle::{Hash, Oracle, topic_matches};
pub use program::program;
pub use random::{Random, Zipf};
pub use read::{Bindings, Keys, ReadError};
pub use topic::TopicWorkload;

/// A line of a table that is being made: a binding key and the number of a queue.
pub type Row = (String, u64);
