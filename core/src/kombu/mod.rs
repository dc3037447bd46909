//! Kombu on Redis, as data.

mod alnum;
mod amqp_text;
mod celery;
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
mod recognise;
#[cfg(test)]
mod vectors;

pub use celery::Task;
pub use command::Command;
pub use envelope::{Addressed, Envelope};
pub use fanout::{Subscription, glob_matches};
#[cfg(feature = "regex")]
pub use foreign::{ForeignError, ForeignPattern};
pub use glued::GluedPattern;
pub use json::Json;
pub use member::{Matcher, MatcherError, Member, MemberError, SEPARATOR};
pub use names::{FanoutPrefix, Layout};
pub use pattern::{PatternError, translate};
pub use plan::Plan;
pub use priority::Priority;
pub use recognise::{Recognised, recognise};
