//! Topic patterns as languages: is there a key that these match and those do not?
//!
//! Lint asks whether a binding is shadowed, diff asks which key two topologies answer differently; both are one
//! question, [`find_key`]: a routing key in the languages of some patterns and outside those of others. Patterns of
//! every [`Dialect`](crate::Dialect) are chains of characters ([`GluedPattern`](crate::kombu::GluedPattern)), so the
//! answer is exact for any mixture of them, and a key that is found can be published: it has at most 255 bytes.
//!
//! ```
//! use keyrail_core::{ByteString, Dialect, pattern::{Budget, Found, Language, find_key}};
//!
//! let narrow = Language::topic("order.*.paid", Dialect::Amqp)?;
//! let broad = Language::topic("order.#", Dialect::Amqp)?;
//! let mut budget = Budget::default();
//! // Nothing that the narrow one matches escapes the broad one: it is shadowed.
//! assert_eq!(find_key(&[&narrow], &[&broad], &mut budget), Found::None);
//! // The other way round, a shortest key tells them apart.
//! assert_eq!(find_key(&[&broad], &[&narrow], &mut budget), Found::Key("order".into()));
//! # Ok::<(), keyrail_core::kombu::PatternError>(())
//! ```

mod language;
pub(crate) mod reading;
mod search;
pub(crate) mod words;

pub use language::Language;
pub use search::{Budget, Found, find_key};
pub(crate) use search::{Explored, Query};
