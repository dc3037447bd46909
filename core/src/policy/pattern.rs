//! A policy's pattern on an engine that never backtracks.

use alloc::boxed::Box;
#[cfg(feature = "regex")]
use alloc::{borrow::Cow, vec::Vec};

#[cfg(feature = "regex")]
use regex_lite::{Regex, RegexBuilder};

use super::PolicyError;

/// A regular expression that finds names.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: Box<str>,
    /// All that has to hold: whether it is to be found, and what.
    #[cfg(feature = "regex")]
    conditions: Vec<(bool, Regex)>,
}

/// Longest text that is looked at.
#[cfg(feature = "regex")]
const MAX_TEXT: usize = 1024;
/// Bytes of the compiled program, which bound what a name costs: repeats of repeats multiply.
#[cfg(feature = "regex")]
const MAX_PROGRAM: usize = 256 * 1024;

impl Pattern {
    pub(super) const fn text(&self) -> &str {
        &self.text
    }

    #[cfg(feature = "regex")]
    pub(super) fn compile(text: &str) -> Result<Self, PolicyError> {
        let invalid =
            |reason: &str| PolicyError::InvalidPattern { pattern: text.into(), reason: reason.into() };
        if text.len() > MAX_TEXT {
            return Err(invalid("it has more than 1,024 bytes"));
        }
        // Here the second plus would repeat the repeat; in Erlang it forbids giving back, which can change the answer.
        if ["*+", "++", "?+", "}+"].iter().any(|possessive| text.contains(possessive)) {
            return Err(invalid("possessive quantifiers need backtracking"));
        }
        // The engine and Erlang take these for different things, a start of a word and a `<` for instance.
        const AMBIGUOUS: [&str; 7] = ["&&", "--", "~~", r"\<", r"\>", r"\b{", "(?R"];
        if let Some(ambiguous) = AMBIGUOUS.iter().find(|ambiguous| text.contains(*ambiguous)) {
            return Err(invalid(&alloc::format!("`{ambiguous}` is not supported")));
        }
        let bytes = bytes_as_characters(text);
        let mut conditions = Vec::new();
        for (wanted, condition) in conditions_of(&bytes) {
            let regex = RegexBuilder::new(&condition).size_limit(MAX_PROGRAM).build();
            conditions.push((wanted, regex.map_err(|error| invalid(&alloc::format!("{error}")))?));
        }
        Ok(Pattern { text: text.into(), conditions })
    }

    #[cfg(not(feature = "regex"))]
    pub(super) fn compile(text: &str) -> Result<Self, PolicyError> {
        let reason = "policies are not compiled in (cargo feature `regex`)".into();
        Err(PolicyError::InvalidPattern { pattern: text.into(), reason })
    }

    #[cfg(feature = "regex")]
    pub(super) fn finds(&self, name: &str) -> bool {
        let bytes = bytes_as_characters(name);
        self.conditions.iter().all(|(wanted, regex)| regex.is_match(&bytes) == *wanted)
    }

    #[cfg(not(feature = "regex"))]
    pub(super) fn finds(&self, _name: &str) -> bool {
        false
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Erlang runs a pattern over bytes, so that `.` is half an `é`.
#[cfg(feature = "regex")]
fn bytes_as_characters(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { text.bytes().map(char::from).collect() }
}

/// `^(?!a)(?=b)c` as three expressions that start where the name does: not `a`, `b`, and `c`. Looking ahead from the
/// start is how RabbitMQ's own documentation leaves `amq.` out.
#[cfg(feature = "regex")]
fn conditions_of(text: &str) -> Vec<(bool, Cow<'_, str>)> {
    let whole = || Vec::from([(true, Cow::Borrowed(text))]);
    let Some(mut rest) = text.strip_prefix('^') else { return whole() };
    let mut conditions = Vec::new();
    loop {
        let wanted = match rest.get(..3) {
            Some("(?=") => true,
            Some("(?!") => false,
            _ => break,
        };
        let Some(end) = first_outside(&rest[3..], b')') else { return whole() };
        conditions.push((wanted, Cow::Owned(alloc::format!("^(?:{})", &rest[3..3 + end]))));
        rest = &rest[3 + end + 1..];
    }
    // An alternative beside it would not start with the conditions.
    if conditions.is_empty() || first_outside(rest, b'|').is_some() {
        return whole();
    }
    conditions.push((true, Cow::Owned(alloc::format!("^(?:{rest})"))));
    conditions
}

/// Where `wanted` first stands outside of groups, classes and escapes.
#[cfg(feature = "regex")]
fn first_outside(text: &str, wanted: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            byte if *byte == wanted && depth == 0 => return Some(at),
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' => depth -= 1,
            // A bracket right after the opening one is a member.
            b'[' => at += 2 + bytes.get(at + 2..)?.iter().position(|byte| *byte == b']')?,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(all(test, feature = "regex"))]
mod tests {
    use super::*;

    const RECORDED: &str = include_str!("../../../tests/vectors/policy-patterns.tsv");

    /// What Erlang accepts and we refuse, each with an error that says so.
    const REFUSED: &[&str] = &[
        r"shop\Z",
        "a{,2}b",
        "x{3",
        r"\Qa.b\E",
        "[a&&b]",
        r"\h",
        r"\R",
        "a++",
        r"\101",
        r"\e",
        r"\pL",
        "[a~~b]",
        r"\<a",
        r"\y",
        "(?!a)b",
        "^(?!a)b|c",
        "(?<=a)b",
        r"(a)\1",
    ];

    /// To Erlang, bytes that are letters in Latin-1 are letters.
    const DIFFERENT: &[(&str, &str)] = &[("[[:alpha:]]", "é"), (r"[\w.-]+", "é")];

    #[test]
    fn names_are_found_as_erlang_finds_them() {
        let mut lines = RECORDED.lines();
        let names: Vec<_> = lines.next().unwrap().split('\t').skip(1).collect();
        let (mut refused, mut different) = (Vec::new(), Vec::new());
        for line in lines {
            let (pattern, expected) = line.rsplit_once('\t').unwrap();
            match Pattern::compile(pattern) {
                Ok(compiled) => {
                    assert_eq!(expected.len(), names.len(), "Erlang refuses {pattern}: {expected}");
                    let answers = names.iter().zip(expected.chars());
                    let wrong = answers.filter(|(name, expected)| compiled.finds(name) != (*expected == '1'));
                    different.extend(wrong.map(|(name, _)| (pattern, *name)));
                }
                Err(_) if expected == "error" => {}
                Err(_) => refused.push(pattern),
            }
        }
        assert_eq!((&refused[..], &different[..]), (REFUSED, DIFFERENT));
    }
}
