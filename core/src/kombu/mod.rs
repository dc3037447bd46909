//! Kombu on Redis, as data.
//!
//! Kombu, the messaging library under Celery, has no server. Its processes meet in Redis and agree on names and bytes;
//! this module reads and writes them. It touches no socket and asks no clock: what it wants done is a [`Plan`] of
//! [`Command`]s, and somebody else sends them.
//!
//! ```text
//!  publisher                         Redis                                 consumer
//!
//!  exchange, key ──reads──▶ _kombu.binding.<exchange>   SET of Member ◀──binds── queue, key
//!       │                    key 06 16 text 06 16 queue
//!       │ executes each text
//!       ▼
//!  queues ────────LPUSH───▶ <queue>, <queue> 06 16 3, … LISTs ──────────BRPOP──▶ message
//!                            one Envelope an element                               │ until acked
//!                           unacked, unacked_index      HASH, ZSET ◀───────────────┘
//!
//!  fanout ────────PUBLISH─▶ /<db>.<exchange>/<key>      channel ──────PSUBSCRIBE─▶ whoever listens now
//! ```
//!
//! | to | use |
//! |---|---|
//! | name a key or channel | [`Layout`], [`Priority`] |
//! | read and write a row of a binding table | [`Member`], [`Matcher`] |
//! | route by a table of an exchange | [`BindingTable`] |
//! | know what a stored text means | [`recognise`], [`GluedPattern`], feature `regex`: `ForeignPattern` |
//! | write the text for a key | [`translate`] |
//! | know who hears a fanout message | [`Subscription`] |
//! | write a message, read one | [`Envelope`], [`Task`] for Celery, [`Received`] |
//! | know what to tell Redis | [`plan`] |
//!
//! # Source
//! Observed on Kombu 5.7.0 and 5.6.2, Celery 5.7.0 and Redis 7.0; `tests/vectors/kombu57.jsonl` and `kombu56.jsonl`.

mod alnum;
mod amqp_text;
mod binding_sets;
mod binding_table;
mod celery;
mod celery_config;
mod command;
mod envelope;
mod fanout;
#[cfg(feature = "regex")]
mod foreign;
mod glued;
mod json;
mod member;
mod names;
mod pattern;
pub mod plan;
mod priority;
mod received;
mod recognise;
mod repr;
#[cfg(feature = "regex")]
mod safe_subset;
mod surrogates;
#[cfg(test)]
mod vectors;

pub use binding_sets::{BindingSets, BindingSetsError};
pub use binding_table::{BindingTable, QuarantinedRow, RowError};
pub use celery::Task;
pub use celery_config::{CeleryConfig, CeleryConfigError};
pub use command::Command;
pub use envelope::{Addressed, Envelope};
pub use fanout::{FanoutNameError, Subscription, check_fanout_exchange, glob_matches};
#[cfg(feature = "regex")]
pub use foreign::{ForeignError, ForeignPattern};
pub use glued::GluedPattern;
pub(crate) use glued::{Atom, Class, Times};
pub use json::Json;
pub use member::{Matcher, MatcherError, Member, MemberError, SEPARATOR};
pub use names::{FanoutPrefix, Layout};
pub use pattern::{PatternError, translate};
pub use plan::Plan;
pub use priority::Priority;
pub use received::{EnvelopeError, Received};
pub use recognise::{Recognised, recognise};
pub use repr::python_repr;
pub use surrogates::{read_text, without_surrogates};
