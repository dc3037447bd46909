//! One row of a binding table: a member of the Redis set.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::glued::GluedPattern;
use super::pattern::{PatternError, translate};
use super::recognise::{self, Recognised, Unread};
use crate::Dialect;

/// What stands between the fields of a member, and between a queue name and its priority step: Kombu's option `sep`.
///
/// ```
/// use keyrail_core::kombu::{Layout, Member, SEPARATOR};
///
/// let row = ["usd.*", r"^usd\.[^\.]+$", "prices"].join(SEPARATOR);
/// assert_eq!(&*Member::parse(row.as_bytes(), SEPARATOR).unwrap().queue, "prices");
/// assert_eq!(&*Layout::default().sep, SEPARATOR); // unless a Kombu is set up otherwise
/// ```
pub const SEPARATOR: &str = "\x06\x16";

/// A member of the set `_kombu.binding.<exchange>`: three fields with two separators between them.
///
/// ```text
/// stock.*   06 16   ^stock\.[^\.]+$   06 16   prices
/// binding key       stored text               queue
/// ```
///
/// ```
/// use keyrail_core::kombu::{Member, SEPARATOR};
///
/// let member = Member::parse(b"red\x06\x16\x06\x16q1", SEPARATOR).unwrap();
/// assert_eq!((&*member.routing_key, &*member.pattern, &*member.queue), ("red", "", "q1"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// Field 1: the binding key. Direct exchanges compare it; topic exchanges never read it.
    pub routing_key: String,
    /// Field 2: the text that topic publishers execute; empty for direct and fanout exchanges.
    pub pattern: String,
    /// Field 3: the queue.
    pub queue: String,
}

impl Member {
    /// A row of a direct or fanout exchange.
    ///
    /// ```
    /// use keyrail_core::kombu::{Member, SEPARATOR};
    ///
    /// assert_eq!(Member::plain("red", "q1").to_bytes(SEPARATOR).unwrap(), b"red\x06\x16\x06\x16q1");
    /// ```
    pub fn plain(routing_key: &str, queue: &str) -> Self {
        Member { routing_key: routing_key.into(), pattern: String::new(), queue: queue.into() }
    }

    /// A row of a topic exchange, with the text of the dialect.
    ///
    /// # Errors
    /// Those of [`translate`].
    ///
    /// ```
    /// use keyrail_core::{Dialect, kombu::Member};
    ///
    /// let member = Member::topic("a.*", "q1", Dialect::Kombu57).unwrap();
    /// assert_eq!(member.pattern, r"^a\.[^\.]+$");
    /// ```
    pub fn topic(routing_key: &str, queue: &str, dialect: Dialect) -> Result<Self, PatternError> {
        let pattern = translate(routing_key, dialect)?;
        Ok(Member { routing_key: routing_key.into(), pattern, queue: queue.into() })
    }

    /// Reads a member as Redis holds it.
    ///
    /// # Errors
    /// One such row makes every Kombu publisher of the exchange raise, so a reader should skip and report it.
    ///
    /// ```
    /// use keyrail_core::kombu::{Member, SEPARATOR};
    ///
    /// assert_eq!(Member::parse(b"no separators", SEPARATOR).unwrap_err().code(), "member-field-count");
    /// assert_eq!(Member::parse(b"\xff\x06\x16\x06\x16q", SEPARATOR).unwrap_err().code(), "member-not-utf8");
    /// ```
    pub fn parse(bytes: &[u8], sep: &str) -> Result<Self, MemberError> {
        let text =
            core::str::from_utf8(bytes).map_err(|e| MemberError::NotUtf8 { valid_up_to: e.valid_up_to() })?;
        let [routing_key, pattern, queue] = split(text, sep)?;
        if queue.is_empty() {
            return Err(MemberError::EmptyQueue);
        }
        Ok(Member { routing_key: routing_key.into(), pattern: pattern.into(), queue: queue.into() })
    }

    /// Writes the member as Redis holds it.
    ///
    /// # Errors
    /// A field that contains the separator or, at its end, the beginning of one; an empty queue: the row would not be
    /// read back as it was meant.
    ///
    /// ```
    /// use keyrail_core::kombu::{Member, SEPARATOR};
    ///
    /// let error = Member::plain("a\x06\x16b", "q").to_bytes(SEPARATOR).unwrap_err();
    /// assert_eq!(error.code(), "member-separator");
    /// ```
    pub fn to_bytes(&self, sep: &str) -> Result<Vec<u8>, MemberError> {
        if self.queue.is_empty() {
            return Err(MemberError::EmptyQueue);
        }
        let fields = [&*self.routing_key, &*self.pattern, &*self.queue];
        let text = fields.join(sep);
        match split(&text, sep) {
            Ok(read) if read == fields => Ok(text.into_bytes()),
            _ => {
                let names = ["routing_key", "pattern", "queue"];
                let at = fields.iter().position(|field| field.contains(sep)).unwrap_or(0);
                Err(MemberError::Separator { field: names[at], value: fields[at].into() })
            }
        }
    }

    /// What a router needs to answer as Kombu's publishers do.
    ///
    /// Only the stored text counts, not the binding key. Without a stored text (direct, fanout) it is the exact key.
    /// A process that takes a topic exchange for a direct one compares [`routing_key`](Member::routing_key) instead.
    ///
    /// # Errors
    /// The row belongs into quarantine: Python could not compile the text, or it is foreign and this build does not run
    /// foreign texts (feature `regex`) or not this one.
    ///
    /// ```
    /// use keyrail_core::{Dialect, kombu::{Matcher, Member}};
    ///
    /// let old = Member { routing_key: "a.*".into(), pattern: r"^a\..*?[^\.]$".into(), queue: "q".into() };
    /// assert!(matches!(old.matcher(), Ok(Matcher::Words { dialect: Dialect::Kombu56, .. })));
    /// assert!(matches!(Member::plain("red", "q").matcher(), Ok(Matcher::Exact(key)) if key == "red"));
    ///
    /// let bad = Member { routing_key: "*a".into(), pattern: "^*a$".into(), queue: "q".into() };
    /// assert_eq!(bad.matcher().unwrap_err().code(), "invalid-pattern");
    /// ```
    pub fn matcher(&self) -> Result<Matcher, MatcherError> {
        if self.pattern.is_empty() {
            return Ok(Matcher::Exact(self.routing_key.clone()));
        }
        match recognise::read(&self.pattern) {
            Ok(Recognised::Words { key, dialect }) => Ok(Matcher::Words { key, dialect }),
            Ok(Recognised::Glued(pattern)) => Ok(Matcher::Glued(pattern)),
            Err(Unread::Invalid(error)) => Err(MatcherError::Invalid(error)),
            Err(Unread::Foreign) => foreign(&self.pattern),
        }
    }
}

#[cfg(feature = "regex")]
fn foreign(pattern: &str) -> Result<Matcher, MatcherError> {
    super::foreign::ForeignPattern::compile(pattern).map(Matcher::Foreign).map_err(MatcherError::Refused)
}

#[cfg(not(feature = "regex"))]
fn foreign(pattern: &str) -> Result<Matcher, MatcherError> {
    Err(MatcherError::Foreign { pattern: pattern.into() })
}

fn split<'a>(text: &'a str, sep: &str) -> Result<[&'a str; 3], MemberError> {
    if sep.is_empty() {
        return Err(MemberError::FieldCount { found: 1 });
    }
    let mut fields = text.split(sep);
    match (fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some(routing_key), Some(pattern), Some(queue), None) => Ok([routing_key, pattern, queue]),
        _ => Err(MemberError::FieldCount { found: text.split(sep).count() }),
    }
}

/// How a row decides whether a message reaches its queue.
///
/// ```
/// use keyrail_core::kombu::{Matcher, Member};
///
/// assert!(matches!(Member::plain("red", "q").matcher(), Ok(Matcher::Exact(_))));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Matcher {
    /// The routing key is exactly this one.
    Exact(String),
    /// Wildcards that are whole words.
    Words {
        /// The binding key.
        key: String,
        /// What its wildcards mean.
        dialect: Dialect,
    },
    /// Kombu's text with a `*` glued to a word.
    Glued(GluedPattern),
    /// Somebody else's text, inside the subset that means the same in every engine.
    #[cfg(feature = "regex")]
    Foreign(super::foreign::ForeignPattern),
}

/// Why bytes are no member, or a member cannot be written.
///
/// ```
/// use keyrail_core::kombu::{Member, MemberError, SEPARATOR};
///
/// let error = Member::parse(b"a\x06\x16b", SEPARATOR).unwrap_err();
/// assert_eq!(error, MemberError::FieldCount { found: 2 });
/// assert_eq!(error.to_string(), "binding member has 2 fields, expected 3");
/// let error = Member::parse(b"a", SEPARATOR).unwrap_err();
/// assert_eq!(error.to_string(), "binding member has 1 field, expected 3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberError {
    /// There must be exactly two separators.
    FieldCount {
        /// Fields found.
        found: usize,
    },
    /// Kombu writes UTF-8.
    NotUtf8 {
        /// Bytes that are still valid.
        valid_up_to: usize,
    },
    /// The field for the queue is empty.
    EmptyQueue,
    /// A field contains the separator.
    Separator {
        /// `routing_key`, `pattern` or `queue`.
        field: &'static str,
        /// What it holds.
        value: Box<str>,
    },
}

impl MemberError {
    /// The stable word: `member-field-count`, `member-not-utf8`, `member-empty-queue` or `member-separator`.
    pub const fn code(&self) -> &'static str {
        match self {
            MemberError::FieldCount { .. } => "member-field-count",
            MemberError::NotUtf8 { .. } => "member-not-utf8",
            MemberError::EmptyQueue => "member-empty-queue",
            MemberError::Separator { .. } => "member-separator",
        }
    }
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberError::FieldCount { found } => {
                let plural = if *found == 1 { "" } else { "s" };
                write!(f, "binding member has {found} field{plural}, expected 3")
            }
            MemberError::NotUtf8 { valid_up_to } => {
                write!(f, "binding member is not UTF-8 from byte {valid_up_to} on")
            }
            MemberError::EmptyQueue => f.write_str("binding member names no queue"),
            MemberError::Separator { field, value } => {
                write!(f, "{field} `{}` contains the separator", value.escape_debug())
            }
        }
    }
}

impl core::error::Error for MemberError {}

/// Why a row is in quarantine: it routes nothing, and its neighbours are not affected.
///
/// ```
/// use keyrail_core::kombu::Member;
///
/// let bad = Member { routing_key: "k".into(), pattern: r"^\d$".into(), queue: "q".into() };
/// assert!(["foreign-pattern", "unsafe-pattern"].contains(&bad.matcher().unwrap_err().code()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatcherError {
    /// Python cannot compile it: Kombu raises at every publish to the exchange.
    Invalid(PatternError),
    /// Neither Kombu nor keyrail wrote it, and this build runs no foreign text.
    Foreign {
        /// The stored text.
        pattern: Box<str>,
    },
    /// Neither Kombu nor keyrail wrote it, and it leaves the safe subset.
    #[cfg(feature = "regex")]
    Refused(super::foreign::ForeignError),
}

impl MatcherError {
    /// The stable word: `invalid-pattern`, `foreign-pattern`, or the word of the `ForeignError`.
    pub const fn code(&self) -> &'static str {
        match self {
            MatcherError::Invalid(error) => error.code(),
            MatcherError::Foreign { .. } => "foreign-pattern",
            #[cfg(feature = "regex")]
            MatcherError::Refused(error) => error.code(),
        }
    }
}

impl fmt::Display for MatcherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MatcherError::Invalid(error) => error.fmt(f),
            MatcherError::Foreign { pattern } => {
                write!(
                    f,
                    "stored text `{}` is foreign, and the feature `regex` is off",
                    pattern.escape_debug()
                )
            }
            #[cfg(feature = "regex")]
            MatcherError::Refused(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for MatcherError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for (key, pattern, queue) in
            [("a.*", r"^a\.[^\.]+$", "q1"), ("", "", "fq1"), ("k\x06", "", "q\x06\x17")]
        {
            let member = Member { routing_key: key.into(), pattern: pattern.into(), queue: queue.into() };
            let bytes = member.to_bytes(SEPARATOR).unwrap();
            assert_eq!(Member::parse(&bytes, SEPARATOR).unwrap(), member);
        }
        let member = Member::topic("a.*", "q1", Dialect::Kombu57).unwrap();
        assert_eq!(member.to_bytes(SEPARATOR).unwrap(), b"a.*\x06\x16^a\\.[^\\.]+$\x06\x16q1");
    }

    #[test]
    fn a_separator_of_ones_own() {
        assert_eq!(Member::parse(b"k:::q", ":"), Err(MemberError::FieldCount { found: 4 }));
        assert_eq!(Member::parse(b"k::q", ":").unwrap(), Member::plain("k", "q"));
        assert_eq!(Member::parse(b"k::q", ""), Err(MemberError::FieldCount { found: 1 }));
        // The colon at the end of the key would move the first separator.
        assert_eq!(Member::plain("k:", "q").to_bytes("::").unwrap_err().code(), "member-separator");
        assert_eq!(Member::plain("k", "q").to_bytes("").unwrap_err().code(), "member-separator");
    }

    #[test]
    fn hostile_rows() {
        for (bytes, code) in [
            (&b""[..], "member-field-count"),
            (b"a\x06\x16b\x06\x16c\x06\x16d", "member-field-count"),
            (b"a\x06\x16\x06\x16", "member-empty-queue"),
            (b"a\x06\x16\xff\x06\x16q", "member-not-utf8"),
        ] {
            assert_eq!(Member::parse(bytes, SEPARATOR).unwrap_err().code(), code);
        }
        assert_eq!(Member::plain("k", "").to_bytes(SEPARATOR), Err(MemberError::EmptyQueue));
    }
}
