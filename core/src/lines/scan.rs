//! One line, read from left to right.

use alloc::{boxed::Box, string::String};

use super::{LineError, WORDS};

/// The rest of a line.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    number: usize,
    line: &'a str,
    at: usize,
}

/// A word, and whether it was in quotes: then it is never a word of the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: Box<str>,
    pub(super) quoted: bool,
    /// Where it begins, in bytes.
    pub(super) start: usize,
}

impl Word {
    pub(super) fn is(&self, word: &str) -> bool {
        !self.quoted && &*self.text == word
    }

    pub(super) fn is_of_the_format(&self) -> bool {
        !self.quoted && WORDS.contains(&&*self.text)
    }
}

/// What ends a bare word. A colon does only where one is expected: keys may hold it.
fn ends_word(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '{' | '}' | '[' | ']' | '(' | ')' | ',')
}

impl<'a> Scanner<'a> {
    pub(super) fn new(number: usize, line: &'a str) -> Self {
        Scanner { number, line, at: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    pub(super) fn error(&self, at: usize, reason: impl Into<Box<str>>, hint: &str) -> LineError {
        let before = self.line.get(..at).unwrap_or(self.line);
        let (line, column) = (self.number, before.chars().count() + 1);
        LineError { line, column, reason: reason.into(), hint: hint.into() }
    }

    /// An error about what comes next.
    pub(super) fn expected(&mut self, what: &str, hint: &str) -> LineError {
        self.blanks();
        let found: String =
            self.rest().chars().take_while(|character| !character.is_whitespace()).take(24).collect();
        let reason = match &*found {
            "" => alloc::format!("the line ends where {what} is expected"),
            found => alloc::format!("found `{found}`, expected {what}"),
        };
        self.error(self.at, reason, hint)
    }

    pub(super) fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.blanks();
        self.rest().is_empty()
    }

    /// Whether this comes next; it is not taken.
    pub(super) fn is_next(&mut self, text: &str) -> bool {
        self.blanks();
        self.rest().starts_with(text)
    }

    /// Takes this if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let next = self.is_next(text);
        if next {
            self.at += text.len();
        }
        next
    }

    /// Takes an arrow if it comes next: it stands alone, as a key may begin with one.
    pub(super) fn take_arrow(&mut self) -> bool {
        let next = self.is_next("->")
            && self.rest()[2..].chars().next().is_none_or(|next| next.is_whitespace() || next == '"');
        if next {
            self.at += 2;
        }
        next
    }

    /// The next word; with `colon`, a colon ends a bare one.
    pub(super) fn word(&mut self, colon: bool) -> Result<Option<Word>, LineError> {
        self.blanks();
        let start = self.at;
        if self.rest().starts_with('"') {
            let text = self.quoted()?.into();
            return Ok(Some(Word { text, quoted: true, start }));
        }
        let ends = |character: char| ends_word(character) || (colon && character == ':');
        let length = self.rest().find(ends).unwrap_or(self.rest().len());
        let text = &self.rest()[..length];
        if text.is_empty() {
            return Ok(None);
        }
        self.at += length;
        Ok(Some(Word { text: text.into(), quoted: false, start }))
    }

    /// A text in quotes, with JSON's escapes.
    fn quoted(&mut self) -> Result<String, LineError> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = start + at + 1;
                    return Ok(text);
                }
                '\\' => {
                    let here = start + at;
                    let escape = characters.next().map(|(_, escape)| escape);
                    let plain = match escape {
                        Some(same @ ('"' | '\\' | '/')) => Some(same),
                        Some('n') => Some('\n'),
                        Some('t') => Some('\t'),
                        Some('r') => Some('\r'),
                        Some('b') => Some('\u{8}'),
                        Some('f') => Some('\u{c}'),
                        Some('u') => {
                            let mut unit = || {
                                let digits = characters.by_ref().take(4).map(|(_, digit)| digit.to_digit(16));
                                let mut number = 0;
                                let mut count = 0;
                                for digit in digits {
                                    number = number * 16 + digit?;
                                    count += 1;
                                }
                                (count == 4).then_some(number)
                            };
                            match unit() {
                                Some(high @ 0xd800..0xdc00) => {
                                    let follows = characters.next().map(|(_, it)| it) == Some('\\')
                                        && characters.next().map(|(_, it)| it) == Some('u');
                                    let mut unit = || {
                                        let mut number = 0;
                                        for _ in 0..4 {
                                            number = number * 16 + characters.next()?.1.to_digit(16)?;
                                        }
                                        Some(number)
                                    };
                                    let low = if follows { unit() } else { None };
                                    low.filter(|low| (0xdc00..0xe000).contains(low)).and_then(|low| {
                                        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                                    })
                                }
                                Some(unit) => char::from_u32(unit),
                                None => None,
                            }
                        }
                        _ => None,
                    };
                    match plain {
                        Some(plain) => text.push(plain),
                        None => {
                            let hint = "write one of \\\" \\\\ \\/ \\n \\t \\r \\b \\f \\u0041";
                            return Err(self.error(here, "an escape is not one of JSON's", hint));
                        }
                    }
                }
                other => text.push(other),
            }
        }
        Err(self.error(start, "a quote is not closed", "a quote within quotes is written \\\""))
    }
}
