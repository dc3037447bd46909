//! Kombu on Redis, as data.

mod alnum;
mod amqp_text;
mod fanout;
mod glued;
mod json;
mod member;
mod names;
mod pattern;
mod priority;
mod recognise;
#[cfg(test)]
mod vectors;

pub use fanout::{Subscription, glob_matches};
pub use glued::GluedPattern;
pub use json::Json;
pub use member::{Matcher, MatcherError, Member, MemberError, SEPARATOR};
pub use names::{FanoutPrefix, Layout};
pub use pattern::{PatternError, translate};
pub use priority::Priority;
pub use recognise::{Recognised, recognise};
