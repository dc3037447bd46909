//! Foreign texts on a regex engine that never backtracks.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use regex_lite::{Regex, RegexBuilder};

use super::safe_subset::Translator;

/// Longest text that is looked at.
const MAX_TEXT: usize = 1024;
/// Bytes of the compiled program, which bound what a message costs: repeats of repeats multiply.
const MAX_PROGRAM: usize = 256 * 1024;

/// A stored text that neither Kombu nor keyrail wrote, inside the subset that means the same in Python.
///
/// Literals, backslashes before punctuation, `.`, `[^\.]`, groups, alternatives, the quantifiers `*` `+` `?` `{m,n}` with
/// or without a lazy `?`, `^`, `\Z`, and `$` where nothing can follow. As with Python's `re.match` the start is fixed and the
/// end is not, and `$` accepts one last line feed. Everything else is refused by name.
///
/// # Cost
/// Compiling: at most 1,024 bytes of text. Matching: time ≤ routing key × program of at most 256 KiB, never exponential.
///
/// ```
/// use keyrail_core::kombu::ForeignPattern;
///
/// let pattern = ForeignPattern::compile(r"^(order|refund)\.[^\.]+$").unwrap();
/// assert!(pattern.matches(b"refund.eu"));
/// assert!(!pattern.matches(b"refund.eu.north"));
/// ```
#[derive(Clone, Debug)]
pub struct ForeignPattern {
    text: String,
    regex: Regex,
}

impl ForeignPattern {
    /// In how many places of the program a match can be at once, as far as the limit of its size says.
    pub(crate) const fn states(&self) -> usize {
        MAX_PROGRAM / size_of::<usize>()
    }

    /// Checks and compiles a stored text.
    ///
    /// # Errors
    /// The first construct outside the subset, or a text that Python could not compile either.
    ///
    /// ```
    /// use keyrail_core::kombu::ForeignPattern;
    ///
    /// let error = ForeignPattern::compile(r"^\d+$").unwrap_err();
    /// assert_eq!(error.code(), "unsafe-pattern");
    /// assert_eq!(error.to_string(), r"stored text `^\d+$` uses an escape with a meaning at byte 1");
    /// ```
    pub fn compile(text: &str) -> Result<Self, ForeignError> {
        if text.len() > MAX_TEXT {
            return Err(ForeignError::TooLarge { limit: "1024 bytes of text" });
        }
        let translated = Translator::new(text).run()?;
        let regex = RegexBuilder::new(&translated).size_limit(MAX_PROGRAM).build();
        // INVARIANT: the translator writes only what the engine knows, so size is the only thing left to refuse.
        let regex = regex.map_err(|_| ForeignError::TooLarge { limit: "256 KiB of program" })?;
        Ok(ForeignPattern { text: text.to_owned(), regex })
    }

    /// The stored text.
    ///
    /// ```
    /// use keyrail_core::kombu::ForeignPattern;
    ///
    /// assert_eq!(ForeignPattern::compile("a|b").unwrap().text(), "a|b");
    /// ```
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a message with this routing key reaches the binding. A key that is not UTF-8 does not: Python has no text
    /// for it.
    ///
    /// ```
    /// use keyrail_core::kombu::ForeignPattern;
    ///
    /// let prefix = ForeignPattern::compile("log").unwrap();
    /// assert!(prefix.matches(b"log.err"), "the end is not fixed");
    /// assert!(!prefix.matches(b"my.log"), "the start is");
    /// ```
    pub fn matches(&self, routing_key: &[u8]) -> bool {
        core::str::from_utf8(routing_key).is_ok_and(|key| self.regex.is_match(key))
    }
}

/// Why a foreign text is not run.
///
/// ```
/// use keyrail_core::kombu::ForeignPattern;
///
/// assert_eq!(ForeignPattern::compile("(?=a)").unwrap_err().code(), "unsafe-pattern");
/// assert_eq!(ForeignPattern::compile("a**").unwrap_err().code(), "invalid-pattern");
/// assert_eq!(ForeignPattern::compile("((a{99}){99}){99}").unwrap_err().code(), "pattern-too-large");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignError {
    /// It uses something that may mean another thing in Python, or cost too much.
    Refused {
        /// The stored text.
        pattern: Box<str>,
        /// What is refused.
        construct: &'static str,
        /// Byte of the text at which it stands.
        position: usize,
    },
    /// Python could not compile it either.
    Invalid {
        /// The stored text.
        pattern: Box<str>,
        /// What is wrong.
        fault: &'static str,
        /// Byte of the text at which it stands.
        position: usize,
    },
    /// It is longer, deeper or larger than what is run.
    TooLarge {
        /// The limit.
        limit: &'static str,
    },
}

impl ForeignError {
    /// The stable word: `unsafe-pattern`, `invalid-pattern` or `pattern-too-large`.
    pub const fn code(&self) -> &'static str {
        match self {
            ForeignError::Refused { .. } => "unsafe-pattern",
            ForeignError::Invalid { .. } => "invalid-pattern",
            ForeignError::TooLarge { .. } => "pattern-too-large",
        }
    }
}

impl fmt::Display for ForeignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForeignError::Refused { pattern, construct, position } => {
                write!(f, "stored text `{pattern}` uses {construct} at byte {position}")
            }
            ForeignError::Invalid { pattern, fault, position } => {
                write!(f, "stored text `{pattern}` has {fault} at byte {position}")
            }
            ForeignError::TooLarge { limit } => write!(f, "stored text exceeds {limit}"),
        }
    }
}

impl core::error::Error for ForeignError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, yes: &[&str], no: &[&str]) {
        let pattern = ForeignPattern::compile(text).unwrap();
        for key in yes {
            assert!(pattern.matches(key.as_bytes()), "{text} misses {key:?}");
        }
        for key in no {
            assert!(!pattern.matches(key.as_bytes()), "{text} takes {key:?}");
        }
    }

    /// Each answer is what `re.match` of Python 3.11 gives.
    #[test]
    fn pythons_meaning() {
        check("", &["", "a"], &[]);
        check("a|b", &["ax", "b"], &["xa"]);
        check("^a|b$", &["ax", "b", "b\n"], &["b\n\n", "xb"]);
        check("a.c$", &["abc", "a\u{e9}c\n"], &["a\nc", "abcd"]);
        check(r"a[^\.]c\Z", &["a\nc"], &["a.c", "abc\n"]);
        check(r"(a$|b)?$", &["", "a\n", "b", "\n"], &["ab"]);
        check(r"(?:ab){2}x", &["ababx"], &["abx"]);
        check("a{,2}b", &["b", "aab"], &["aaab"]);
        check("a{2,}?b", &["aaab"], &["ab"]);
        check(r"\<\>\#\-\é\000", &["<>#-\u{e9}\0"], &[]);
        check("a]}", &["a]}"], &[]);
        check("a^b", &[], &["ab", "a^b"]);
        check(r"a\Zb", &[], &["ab"]);
        assert!(!ForeignPattern::compile("").unwrap().matches(b"\xff"));
    }

    #[test]
    fn refused_by_name() {
        for (text, construct) in [
            (r"\d", "an escape with a meaning"),
            (r"\b", "an escape with a meaning"),
            (r"\n", "an escape with a meaning"),
            ("[a-z]", "a character class"),
            ("[^.a]", "a character class"),
            ("(a)\\1", "a backreference or octal escape"),
            ("(?P=n)", "a backreference or octal escape"),
            ("(?P<n>a)", "a named group"),
            ("(?i)a", "a flag"),
            ("(?=a)", "a look-around"),
            ("(?<!a)", "a look-around"),
            ("(?>a)", "an atomic group"),
            ("(?#a)", "a comment"),
            ("(a)(?(1)b)", "a condition"),
            ("a*+", "a possessive quantifier"),
            ("a$\\\n", "something behind `$`"),
            ("(a$|b)\\\n", "something behind `$`"),
            ("(a$|\n)*", "a repeated `$`"),
            ("a{x}", "a brace that is no quantifier"),
            ("a{}", "a brace that is no quantifier"),
            ("{", "a brace that is no quantifier"),
        ] {
            match ForeignPattern::compile(text) {
                Err(ForeignError::Refused { construct: found, .. }) => assert_eq!(found, construct, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_python_refuses_is_invalid() {
        for text in [
            "*a", "^*", "a**", "a+*", "a???", "(a", "a)", "a\\", "(*a)", "a|*", "a{3,2}", "a{2}{3}", "$*",
            r"\Z*",
        ] {
            assert_eq!(ForeignPattern::compile(text).unwrap_err().code(), "invalid-pattern", "{text}");
        }
    }

    #[test]
    fn hostile_sizes() {
        let deep = "(".repeat(400) + &")".repeat(400);
        for text in ["a{99999999999}", "((((a{255}){255}){255}){255}){255}", &deep, &"a".repeat(2000)] {
            assert_eq!(ForeignPattern::compile(text).unwrap_err().code(), "pattern-too-large", "{text}");
        }
        let slow = ForeignPattern::compile("(a*)*(a*)*(a*)*b").unwrap();
        assert!(!slow.matches("a".repeat(10_000).as_bytes()));
    }
}
