//! A text that makes Python route as RabbitMQ does, and its reader.
//!
//! One `#` is a repeated group. Several would multiply in a backtracking engine, so each `#` that another one follows is
//! closed as soon as what stands behind it has matched: `(?=(…))\1` takes the first place found and never returns to it.
//! That loses no match, because the `#` that follows swallows whatever lies between.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::pattern::PatternError;

/// AMQP writes the length of a routing key in one byte.
pub(super) const MAX_KEY: usize = 255;

/// `#` alone: any words.
const EVERYTHING: &str = r"^[^.]*(?:\.[^.]*)*\Z";
/// In front where the rest would match the empty text, but asks for a word: the empty key has none.
const NOT_EMPTY: &str = r"(?!\Z)";
const STAR: &str = "[^.]*";
const HASH_FIRST: &str = r"(?:[^.]*\.)*";
const HASH_LATER: &str = r"(?:\.[^.]*)*";
const ONCE: &str = "(?=(";
/// What was matched must end with its word, or `b` would be found in `bx`.
const ONCE_END: &str = r"(?![^.])))\";

pub(super) fn write(key: &str) -> Result<String, PatternError> {
    if key.len() > MAX_KEY {
        return Err(PatternError::KeyTooLong { len: key.len() });
    }
    let words = words(key);
    if words == ["#"] {
        return Ok(EVERYTHING.into());
    }

    let mut text = String::with_capacity(2 * key.len() + 16);
    text.push('^');
    let mut fixed = words.iter().filter(|word| **word != "#");
    if let (Some(&("*" | "")), None) = (fixed.next(), fixed.next()) {
        text.push_str(NOT_EMPTY);
    }

    let last = words.len().saturating_sub(1);
    let last_inner_hash = words.iter().take(last).rposition(|word| *word == "#");
    let mut groups = 0u32;
    let mut open = false;
    for (n, word) in words.iter().enumerate() {
        if *word != "#" {
            if n > 1 || (n == 1 && words[0] != "#") {
                text.push_str(r"\.");
            }
            if *word == "*" {
                text.push_str(STAR)
            } else {
                push_literal(&mut text, word)
            }
            continue;
        }
        if open {
            // Writing into a String cannot fail.
            let _ = write!(text, "{ONCE_END}{groups}");
        }
        open = last_inner_hash.is_some_and(|inner| n < inner);
        if open {
            text.push_str(ONCE);
            groups += 1;
        }
        text.push_str(if n == 0 { HASH_FIRST } else { HASH_LATER });
        if open {
            text.push('?');
        }
    }
    text.push_str(r"\Z");
    Ok(text)
}

/// The binding key of a text that [`write`] made, or nothing.
pub(super) fn read(text: &str) -> Option<String> {
    if text == EVERYTHING {
        return Some("#".into());
    }
    let mut rest = text.strip_prefix('^')?.strip_suffix(r"\Z")?;
    rest = rest.strip_prefix(NOT_EMPTY).unwrap_or(rest);

    let mut key = String::with_capacity(rest.len());
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(ONCE) {
            rest = after;
        } else if let Some(after) = rest.strip_prefix(ONCE_END) {
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        } else if let Some(after) = rest.strip_prefix(HASH_FIRST) {
            key.push_str("#.");
            rest = after.strip_prefix('?').unwrap_or(after);
        } else if let Some(after) = rest.strip_prefix(HASH_LATER) {
            key.push_str(".#");
            rest = after.strip_prefix('?').unwrap_or(after);
        } else if let Some(after) = rest.strip_prefix(STAR) {
            key.push('*');
            rest = after;
        } else if let Some(after) = rest.strip_prefix(r"\000") {
            key.push('\0');
            rest = after;
        } else if c == '\\' {
            let escaped = rest[1..].chars().next()?;
            key.push(escaped);
            rest = &rest[1 + escaped.len_utf8()..];
        } else {
            key.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    // INVARIANT: the loop only guesses; writing the key again decides, so nothing else is ever taken for ours.
    (write(&key).ok()? == text).then_some(key)
}

/// The words of a binding key; `#` after `#` adds nothing.
pub(super) fn words(key: &str) -> Vec<&str> {
    if key.is_empty() {
        return Vec::new();
    }
    let mut words: Vec<&str> = key.split('.').collect();
    words.dedup_by(|next, word| *next == "#" && *word == "#");
    words
}

/// Only ASCII needs a backslash; the rest stays bare, so that the text never depends on a version of Unicode.
fn push_literal(text: &mut String, word: &str) {
    for c in word.chars() {
        match c {
            '\0' => text.push_str(r"\000"),
            _ => {
                if c.is_ascii() && !c.is_ascii_alphanumeric() {
                    text.push('\\');
                }
                text.push(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (key, text) in [
            ("", r"^\Z"),
            ("a", r"^a\Z"),
            ("#", r"^[^.]*(?:\.[^.]*)*\Z"),
            ("*", r"^(?!\Z)[^.]*\Z"),
            ("a.#", r"^a(?:\.[^.]*)*\Z"),
            ("#.a", r"^(?:[^.]*\.)*a\Z"),
            ("a.#.b", r"^a(?:\.[^.]*)*\.b\Z"),
            ("#.*", r"^(?!\Z)(?:[^.]*\.)*[^.]*\Z"),
            (".#", r"^(?!\Z)(?:\.[^.]*)*\Z"),
            ("#.a.#", r"^(?:[^.]*\.)*a(?:\.[^.]*)*\Z"),
            ("a.#.b.#.c", r"^a(?=((?:\.[^.]*)*?\.b(?![^.])))\1(?:\.[^.]*)*\.c\Z"),
            ("a*.x-y", r"^a\*\.x\-y\Z"),
            ("**", r"^\*\*\Z"),
        ] {
            assert_eq!(write(key).unwrap(), text, "{key}");
            assert_eq!(read(text).as_deref(), Some(key), "{text}");
        }
    }

    #[test]
    fn hashes_in_a_row_are_one() {
        assert_eq!(write("a.#.#"), write("a.#"));
        assert_eq!(read(&write("#.#.a").unwrap()).as_deref(), Some("#.a"));
    }

    #[test]
    fn nothing_else_is_taken_for_ours() {
        for text in [
            "",
            "^",
            r"\Z",
            r"^a\.b$",
            r"^\d\Z",
            r"^a+\Z",
            r"^(?:[^.]*\.)*\Z",
            r"^\*\Z",
            r"^a\",
            r"^\\Z",
            r"^[^.]*b\Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_that_amqp_cannot_carry_is_refused() {
        assert!(write(&"a".repeat(255)).is_ok());
        assert_eq!(write(&"a".repeat(256)), Err(PatternError::KeyTooLong { len: 256 }));
    }
}
