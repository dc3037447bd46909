//! From a binding key to the regular expression that Kombu stores with the binding.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use super::alnum::is_alphanumeric;
use super::amqp_text;
use crate::Dialect;

/// The text that stands in the middle of a binding set member for this binding key.
///
/// Every Kombu publisher executes the stored text with `re.match`, so the text, not the key, decides. For the two Kombu
/// dialects it is Kombu's own text, byte for byte; removing a member works only with exactly these bytes.
///
/// For [`Dialect::Amqp`] it is a text that makes a Python publisher route as RabbitMQ does: `#` may be no word at all,
/// `*` may be an empty word, the empty routing key has no words, a line feed is an ordinary character.
///
/// # Shape
///
/// | key | `Kombu57` | `Kombu56` | `Amqp` |
/// |---|---|---|---|
/// | `a.*` | `^a\.[^\.]+$` | `^a\..*?[^\.]$` | `^a\.[^.]*\Z` |
/// | `a.#` | `^a\..*?$` | `^a\..*?$` | `^a(?:\.[^.]*)*\Z` |
/// | `x-y` | `^x\-y$` | `^x\-y$` | `^x\-y\Z` |
/// | `a*` | `^a*$` (repeats the `a`) | `^a*$` | `^a\*\Z` |
///
/// # Cost
/// Time is linear in the key. In Python, several `#` of a Kombu text multiply (k of them take n^k steps); each `#` of an
/// `Amqp` text that is followed by another one is closed once it has matched, so the whole stays below key × pattern.
///
/// # Errors
/// A `*` that stands inside a word of a Kombu key repeats what is before it; [`PatternError`] where nothing is there or
/// where it is doubled, because such a row makes every Kombu publisher of the exchange raise. An `Amqp` key longer than
/// 255 bytes.
///
/// ```
/// use keyrail_core::{Dialect, kombu};
///
/// assert_eq!(kombu::translate("stock.*.#", Dialect::Kombu57).unwrap(), r"^stock\.[^\.]+\..*?$");
/// assert_eq!(kombu::translate("a.#", Dialect::Amqp).unwrap(), r"^a(?:\.[^.]*)*\Z");
/// assert_eq!(kombu::translate("*a", Dialect::Kombu57).unwrap_err().code(), "invalid-pattern");
/// ```
pub fn translate(key: &str, dialect: Dialect) -> Result<String, PatternError> {
    match dialect {
        Dialect::Amqp => amqp_text::write(key),
        Dialect::Kombu57 => kombu_text(key, STAR_57),
        Dialect::Kombu56 => kombu_text(key, STAR_56),
    }
}

/// What `*` becomes in Kombu 5.7: one word that is not empty.
pub(super) const STAR_57: &str = r"[^\.]+";
/// What `*` became up to Kombu 5.6.2: anything that does not end in a dot.
pub(super) const STAR_56: &str = r".*?[^\.]";
/// What `#` becomes in every Kombu.
pub(super) const HASH: &str = ".*?";

fn kombu_text(key: &str, star: &str) -> Result<String, PatternError> {
    check_repeats(key)?;
    let mut text = String::with_capacity(2 * key.len() + 2);
    text.push('^');
    for (n, word) in key.split('.').enumerate() {
        if n > 0 {
            text.push_str(r"\.");
        }
        match word {
            "*" => text.push_str(star),
            "#" => text.push_str(HASH),
            _ => word.chars().for_each(|c| push_escaped(&mut text, c)),
        }
    }
    text.push('$');
    Ok(text)
}

fn push_escaped(text: &mut String, c: char) {
    match c {
        '\0' => text.push_str(r"\000"),
        '*' | '#' => text.push(c),
        _ => {
            if !is_alphanumeric(c) {
                text.push('\\');
            }
            text.push(c);
        }
    }
}

/// Refuses what `re.compile` refuses: a repeat with nothing before it, a repeat of a repeat.
pub(super) fn check_repeats(key: &str) -> Result<(), PatternError> {
    let mut start = 0;
    for word in key.split('.') {
        // The dot in front of a later word is there to be repeated, as in `x.*a`.
        let mut before = if start == 0 { Before::Nothing } else { Before::Item };
        if word != "*" {
            for (at, c) in word.char_indices() {
                let position = start + at;
                before = match (c, before) {
                    ('*', Before::Nothing) => {
                        return Err(PatternError::NothingToRepeat { key: key.into(), position });
                    }
                    ('*', Before::Repeat) => {
                        return Err(PatternError::MultipleRepeat { key: key.into(), position });
                    }
                    ('*', Before::Item) => Before::Repeat,
                    _ => Before::Item,
                };
            }
        }
        start += word.len() + 1;
    }
    Ok(())
}

enum Before {
    Nothing,
    Item,
    Repeat,
}

/// Why a binding key has no stored text.
///
/// ```
/// use keyrail_core::{Dialect, kombu};
///
/// let error = kombu::translate("a.**", Dialect::Kombu57).unwrap_err();
/// assert_eq!(error.to_string(), "`*` at byte 3 of the binding key `a.**` repeats a repeat");
/// assert_eq!(error.code(), "invalid-pattern");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternError {
    /// A `*` glued to a word stands where the expression begins; Python says "nothing to repeat".
    NothingToRepeat {
        /// The binding key.
        key: Box<str>,
        /// Byte of the key at which the `*` stands.
        position: usize,
    },
    /// A `*` glued to a word follows another one; Python says "multiple repeat".
    MultipleRepeat {
        /// The binding key.
        key: Box<str>,
        /// Byte of the key at which the second `*` stands.
        position: usize,
    },
    /// An AMQP key is at most 255 bytes long.
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
    },
}

impl PatternError {
    /// The stable word for this error: `invalid-pattern` or `key-too-long`.
    pub const fn code(&self) -> &'static str {
        match self {
            PatternError::NothingToRepeat { .. } | PatternError::MultipleRepeat { .. } => "invalid-pattern",
            PatternError::KeyTooLong { .. } => "key-too-long",
        }
    }

    /// The byte of the binding key at which the fault lies.
    ///
    /// ```
    /// use keyrail_core::{Dialect, kombu};
    ///
    /// let error = kombu::translate("stock.a**", Dialect::Kombu57).unwrap_err();
    /// assert_eq!(error.position(), 8); // to point at it
    /// ```
    pub const fn position(&self) -> usize {
        match self {
            PatternError::NothingToRepeat { position, .. }
            | PatternError::MultipleRepeat { position, .. } => *position,
            PatternError::KeyTooLong { .. } => amqp_text::MAX_KEY,
        }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatternError::NothingToRepeat { key, position } => {
                write!(f, "`*` at byte {position} of the binding key `{key}` has nothing to repeat")
            }
            PatternError::MultipleRepeat { key, position } => {
                write!(f, "`*` at byte {position} of the binding key `{key}` repeats a repeat")
            }
            PatternError::KeyTooLong { len } => {
                write!(f, "binding key of {len} bytes, at most {} are allowed", amqp_text::MAX_KEY)
            }
        }
    }
}

impl core::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn kombu57(key: &str) -> String {
        translate(key, Dialect::Kombu57).unwrap()
    }

    #[test]
    fn words_and_wildcards() {
        assert_eq!(kombu57(""), "^$");
        assert_eq!(kombu57("a.*.#"), r"^a\.[^\.]+\..*?$");
        assert_eq!(translate("a.*.#", Dialect::Kombu56).unwrap(), r"^a\..*?[^\.]\..*?$");
        assert_eq!(kombu57("."), r"^\.$");
    }

    #[test]
    fn escapes_are_pythons() {
        assert_eq!(kombu57("caf\u{e9}"), "^caf\u{e9}$");
        assert_eq!(kombu57("e\u{301}"), "^e\\\u{301}$");
        assert_eq!(kombu57("a_b c"), r"^a\_b\ c$");
        assert_eq!(kombu57("a\0b"), r"^a\000b$");
        assert_eq!(kombu57("\\"), r"^\\$");
        assert_eq!(kombu57("a#"), "^a#$");
    }

    #[test]
    fn what_python_cannot_compile_is_refused_with_its_place() {
        for (key, position) in
            [("*a", 0), ("**", 0), ("a**", 2), ("x.**.y", 3), ("*-b", 0), ("*#", 0), ("\u{e9}.**", 4)]
        {
            for dialect in [Dialect::Kombu57, Dialect::Kombu56] {
                let error = translate(key, dialect).unwrap_err();
                assert_eq!((error.code(), error.position()), ("invalid-pattern", position), "{key}");
            }
        }
        for key in ["a*", "x.*a", "a-*", "#*", ".*a", "a*b*", "*.*a"] {
            assert!(translate(key, Dialect::Kombu57).is_ok(), "{key}");
        }
    }
}
