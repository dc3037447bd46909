//! From a stored text back to what it means.

use alloc::string::String;

use super::amqp_text;
use super::glued::GluedPattern;
use super::pattern::{HASH, PatternError, STAR_57, check_repeats};
use crate::Dialect;

/// What a stored text means, if it has one of the shapes that Kombu or keyrail write.
///
/// ```
/// use keyrail_core::{Dialect, kombu::{Recognised, recognise}};
///
/// let words = Recognised::Words { key: "a.*".into(), dialect: Dialect::Kombu56 };
/// assert_eq!(recognise(r"^a\..*?[^\.]$"), Some(words));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// Every wildcard is a whole word: what the routing trie can hold.
    Words {
        /// The binding key whose text it is.
        key: String,
        /// What its wildcards mean. Where the two Kombus agree (no `*`), it is `Kombu57`.
        dialect: Dialect,
    },
    /// A `*` is glued to a word and repeats a character.
    Glued(GluedPattern),
}

/// Reads a stored text; nothing if it is foreign.
///
/// The text alone decides, whatever the binding key beside it says, because the text is what Kombu publishers execute.
/// A backslash before a character that needs none makes no difference, since which characters Kombu escapes depends on
/// the Unicode version of the Python that bound.
///
/// ```
/// use keyrail_core::{Dialect, kombu::{Recognised, recognise}};
///
/// assert!(matches!(recognise(r"^a*$"), Some(Recognised::Glued(_))));
/// assert!(matches!(recognise(r"^a(?:\.[^.]*)*\Z"), Some(Recognised::Words { dialect: Dialect::Amqp, .. })));
/// assert_eq!(recognise(r"^(a|b)\.\d+$"), None);
/// ```
pub fn recognise(text: &str) -> Option<Recognised> {
    read(text).ok()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Kombu's shape, but Python cannot compile it.
    Invalid(PatternError),
    Foreign,
}

pub(super) fn read(text: &str) -> Result<Recognised, Unread> {
    if let Some(key) = amqp_text::read(text) {
        return Ok(Recognised::Words { key, dialect: Dialect::Amqp });
    }
    let Reading { key, dialect, glued } = Reading::of(text).ok_or(Unread::Foreign)?;
    let dialect = dialect.unwrap_or(Dialect::Kombu57);
    check_repeats(&key).map_err(Unread::Invalid)?;
    if !glued {
        return Ok(Recognised::Words { key, dialect });
    }
    GluedPattern::compile(&key, dialect).map(Recognised::Glued).map_err(Unread::Invalid)
}

/// A Kombu text taken apart: the key that would be written as this text.
struct Reading {
    key: String,
    /// Known once a `*` was a whole word.
    dialect: Option<Dialect>,
    glued: bool,
}

/// What the word being read is made of.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Empty,
    Wildcard,
    Literal,
}

impl Reading {
    fn of(text: &str) -> Option<Self> {
        let mut reading = Reading { key: String::with_capacity(text.len()), dialect: None, glued: false };
        let mut rest = text.strip_prefix('^')?;
        let mut word = Word::Empty;
        let mut word_start = 0;
        loop {
            let c = rest.chars().next()?;
            if rest == "$" || rest.starts_with(r"\.") {
                // A literal word that looks like a wildcard has no key.
                if word == Word::Literal && matches!(&reading.key[word_start..], "*" | "#") {
                    return None;
                }
                if c == '$' {
                    return Some(reading);
                }
                reading.key.push('.');
                rest = &rest[2..];
                (word, word_start) = (Word::Empty, reading.key.len());
                continue;
            }
            if let Some((wildcard, dialect, after)) = whole_word(rest) {
                if word != Word::Empty
                    || (dialect.is_some() && reading.dialect.is_some_and(|d| Some(d) != dialect))
                {
                    return None;
                }
                reading.dialect = reading.dialect.or(dialect);
                reading.key.push(wildcard);
                (rest, word) = (after, Word::Wildcard);
                continue;
            }
            if word == Word::Wildcard {
                return None;
            }
            let (literal, after) = literal(rest)?;
            reading.glued |= literal == '*';
            reading.key.push(literal);
            (rest, word) = (after, Word::Literal);
        }
    }
}

/// A wildcard at the front of the text: its character, its dialect if it tells, and the rest.
fn whole_word(text: &str) -> Option<(char, Option<Dialect>, &str)> {
    if let Some(rest) = text.strip_prefix(STAR_57) {
        return Some(('*', Some(Dialect::Kombu57), rest));
    }
    let rest = text.strip_prefix(HASH)?;
    match rest.strip_prefix(r"[^\.]") {
        Some(rest) => Some(('*', Some(Dialect::Kombu56), rest)),
        None => Some(('#', None, rest)),
    }
}

/// A character of the key at the front of the text, and the rest; a bare `*` is a glued one.
fn literal(text: &str) -> Option<(char, &str)> {
    if let Some(rest) = text.strip_prefix(r"\000") {
        return Some(('\0', rest));
    }
    let c = text.chars().next()?;
    let rest = &text[c.len_utf8()..];
    match c {
        '\\' => {
            let escaped = rest.chars().next()?;
            // A key cannot hold a literal `*`, and `\d`, `\Z`, `\1` mean something else.
            if escaped == '*' || escaped.is_ascii_alphanumeric() {
                return None;
            }
            Some((escaped, &rest[escaped.len_utf8()..]))
        }
        '.' | '^' | '$' | '+' | '?' | '{' | '}' | '[' | ']' | '(' | ')' | '|' => None,
        _ => Some((c, rest)),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::super::translate;
    use super::*;

    #[test]
    fn round_trips() {
        for key in [
            "",
            "a",
            "a.b",
            "a.*.#",
            "*",
            "#",
            ".",
            "..",
            "a.",
            ".a",
            "x-y",
            "caf\u{e9}",
            "a\0b",
            "\\",
            "$",
            "a\n",
            "a#",
            "#a",
        ] {
            for dialect in [Dialect::Kombu57, Dialect::Kombu56] {
                let Some(Recognised::Words { key: read, dialect: found }) =
                    recognise(&translate(key, dialect).unwrap())
                else {
                    panic!("{key:?}");
                };
                assert_eq!(read, key);
                let telling = key.split('.').any(|word| word == "*");
                assert_eq!(found, if telling { dialect } else { Dialect::Kombu57 });
            }
        }
        for key in ["a*", "x.*a", "#*", "a*.*.#", "a\0*"] {
            for dialect in [Dialect::Kombu57, Dialect::Kombu56] {
                let Some(Recognised::Glued(glued)) = recognise(&translate(key, dialect).unwrap()) else {
                    panic!("{key:?}");
                };
                assert_eq!(glued.key(), key);
            }
        }
    }

    #[test]
    fn needless_escapes_change_nothing() {
        let words = Recognised::Words { key: "caf\u{e9}_x".to_string(), dialect: Dialect::Kombu57 };
        assert_eq!(recognise("^caf\\\u{e9}_x$"), Some(words));
    }

    #[test]
    fn foreign_texts() {
        for text in [
            "",
            "^",
            "$",
            "a",
            "^a",
            "a$",
            r"^a\$",
            r"^\d$",
            r"^a.b$",
            r"^.*$",
            r"^a|b$",
            r"^(a)$",
            r"^\*$",
            r"^\#$",
            r"^#$",
            r"^[^\.]+a$",
            r"^a[^\.]+$",
            r"^.*?a$",
            r"^[^\.]+\..*?[^\.]$",
            r"^a\.*$",
            r"^\.*\.b$",
            r"^a$$",
            r"^a\",
            r"^[^\.]$",
            r"^.*?*$",
            r"^.*?.*?$",
            r"^a+$",
            r"^a{2}$",
            r"^a\z",
        ] {
            assert_eq!(recognise(text), None, "{text}");
        }
    }

    #[test]
    fn what_python_cannot_compile_is_named() {
        for text in ["^*a$", "^**$", r"^x\.**\.y$", "^a**$"] {
            assert!(matches!(read(text), Err(Unread::Invalid(_))), "{text}");
        }
    }
}
