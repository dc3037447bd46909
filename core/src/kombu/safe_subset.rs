//! The regular expressions that mean the same in Python and in an engine that never backtracks.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::foreign::ForeignError;

/// Groups inside groups.
const MAX_DEPTH: usize = 32;
/// Largest number in `{m,n}`.
const MAX_REPEAT: u32 = 255;

/// Writes the engine's dialect for Python's, construct by construct.
pub(super) struct Translator<'t> {
    text: &'t str,
    at: usize,
    out: String,
    /// One for each open group, the whole text first.
    levels: Vec<Level>,
    last: Last,
}

#[derive(Clone, Copy, Default)]
struct Level {
    /// This alternative has a `$` behind which nothing may follow: it swallows the line feed that Python only looks at.
    ended: bool,
    /// An alternative of this group has.
    any_ended: bool,
}

/// What a quantifier would repeat.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Nothing,
    Item,
    EndedGroup,
    Repeat,
}

impl<'t> Translator<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let out = String::from(r"\A(?:");
        Translator { text, at: 0, out, levels: Vec::from([Level::default()]), last: Last::Nothing }
    }

    pub(super) fn run(mut self) -> Result<String, ForeignError> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\\' => self.escape()?,
                '.' => self.item(".", 1)?,
                '[' => self.class()?,
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => self.alternative(),
                '^' => {
                    self.refuse_if_ended()?;
                    self.out.push('^');
                    self.at += 1;
                    self.last = Last::Nothing;
                }
                // One `$` behind another looks at the same place.
                '$' => {
                    self.out.push_str(r"(?:\n)?\z");
                    self.at += 1;
                    self.end_level();
                    self.last = Last::Nothing;
                }
                '*' | '+' | '?' | '{' => self.quantifier(c)?,
                _ => {
                    self.refuse_if_ended()?;
                    self.literal(c);
                    self.at += c.len_utf8();
                }
            }
        }
        if self.levels.len() > 1 {
            return Err(self.invalid("an open group"));
        }
        self.out.push(')');
        Ok(self.out)
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn level(&mut self) -> &mut Level {
        // INVARIANT: closing refuses to pop the first level.
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    fn end_level(&mut self) {
        *self.level() = Level { ended: true, any_ended: true };
    }

    fn item(&mut self, engine: &str, len: usize) -> Result<(), ForeignError> {
        self.refuse_if_ended()?;
        self.out.push_str(engine);
        self.at += len;
        self.last = Last::Item;
        Ok(())
    }

    fn literal(&mut self, c: char) {
        // No others: the engine gives `\<` and `\>` a meaning.
        if r"\.+*?()|[]{}^$".contains(c) {
            self.out.push('\\');
        }
        self.out.push(c);
        self.last = Last::Item;
    }

    fn escape(&mut self) -> Result<(), ForeignError> {
        self.refuse_if_ended()?;
        let rest = &self.rest()[1..];
        if rest.starts_with("000") {
            return self.item(r"\x00", 4);
        }
        match rest.chars().next() {
            None => Err(self.invalid("a backslash at its end")),
            Some('Z') => {
                self.out.push_str(r"\z");
                self.at += 2;
                self.last = Last::Nothing;
                Ok(())
            }
            Some('0'..='9') => Err(self.refused("a backreference or octal escape")),
            Some(c) if c.is_ascii_alphabetic() => Err(self.refused("an escape with a meaning")),
            Some(c) => {
                self.literal(c);
                self.at += 1 + c.len_utf8();
                Ok(())
            }
        }
    }

    fn class(&mut self) -> Result<(), ForeignError> {
        for ours in [r"[^\.]", "[^.]"] {
            if self.rest().starts_with(ours) {
                return self.item("[^.]", ours.len());
            }
        }
        Err(self.refused("a character class"))
    }

    fn open(&mut self) -> Result<(), ForeignError> {
        self.refuse_if_ended()?;
        let rest = &self.rest()[1..];
        let len = match rest.strip_prefix('?') {
            None => 1,
            Some(kind) if kind.starts_with(':') => 3,
            Some(kind)
                if kind.starts_with(['=', '!']) || kind.starts_with("<=") || kind.starts_with("<!") =>
            {
                return Err(self.refused("a look-around"));
            }
            Some(kind) if kind.starts_with("P=") => {
                return Err(self.refused("a backreference or octal escape"));
            }
            Some(kind) if kind.starts_with("P<") => return Err(self.refused("a named group")),
            Some(kind) if kind.starts_with('>') => return Err(self.refused("an atomic group")),
            Some(kind) if kind.starts_with('(') => return Err(self.refused("a condition")),
            Some(kind) if kind.starts_with('#') => return Err(self.refused("a comment")),
            Some(_) => return Err(self.refused("a flag")),
        };
        if self.levels.len() > MAX_DEPTH {
            return Err(ForeignError::TooLarge { limit: "32 groups inside groups" });
        }
        self.out.push_str("(?:");
        self.at += len;
        self.levels.push(Level::default());
        self.last = Last::Nothing;
        Ok(())
    }

    fn close(&mut self) -> Result<(), ForeignError> {
        if self.levels.len() == 1 {
            return Err(self.invalid("a group that was never opened"));
        }
        let ended = self.level().any_ended;
        self.levels.pop();
        self.out.push(')');
        self.at += 1;
        self.last = Last::Item;
        if ended {
            self.end_level();
            self.last = Last::EndedGroup;
        }
        Ok(())
    }

    fn alternative(&mut self) {
        self.level().ended = false;
        self.out.push('|');
        self.at += 1;
        self.last = Last::Nothing;
    }

    fn quantifier(&mut self, c: char) -> Result<(), ForeignError> {
        let (bounds, len) = match c {
            '*' => ((0, None), 1),
            '+' => ((1, None), 1),
            '?' => ((0, Some(1)), 1),
            _ => self.braces()?,
        };
        match self.last {
            Last::Nothing => return Err(self.invalid("a quantifier with nothing to repeat")),
            Last::Repeat => return Err(self.invalid("a quantifier of a quantifier")),
            Last::EndedGroup if bounds != (0, Some(1)) => {
                return Err(self.refused("a repeated `$`"));
            }
            Last::EndedGroup | Last::Item => {}
        }
        // Writing into a String cannot fail.
        let _ = match bounds {
            (0, None) => self.out.write_char('*'),
            (1, None) => self.out.write_char('+'),
            (0, Some(1)) => self.out.write_char('?'),
            (min, None) => write!(self.out, "{{{min},}}"),
            (min, Some(max)) => write!(self.out, "{{{min},{max}}}"),
        };
        self.at += len;
        if self.rest().starts_with('?') {
            // Lazy or greedy decides where a match ends, never whether there is one.
            self.at += 1;
        } else if self.rest().starts_with('+') {
            return Err(self.refused("a possessive quantifier"));
        }
        self.last = Last::Repeat;
        Ok(())
    }

    fn braces(&self) -> Result<((u32, Option<u32>), usize), ForeignError> {
        let unreadable = || self.refused("a brace that is no quantifier");
        let (inside, _) = self.rest()[1..].split_once('}').ok_or_else(unreadable)?;
        let (min, max) = inside.split_once(',').unwrap_or((inside, inside));
        if inside.is_empty() || !(min.bytes().chain(max.bytes())).all(|byte| byte.is_ascii_digit()) {
            return Err(unreadable());
        }
        let number = |digits: &str| match digits.parse() {
            Ok(number) if number <= MAX_REPEAT => Ok(number),
            _ => Err(ForeignError::TooLarge { limit: "255 repeats" }),
        };
        let low = if min.is_empty() { 0 } else { number(min)? };
        let high = if max.is_empty() { None } else { Some(number(max)?) };
        if high.is_some_and(|high| high < low) {
            return Err(self.invalid("a quantifier that ends before it begins"));
        }
        Ok(((low, high), inside.len() + 2))
    }

    fn refuse_if_ended(&mut self) -> Result<(), ForeignError> {
        if self.level().ended { Err(self.refused("something behind `$`")) } else { Ok(()) }
    }

    fn refused(&self, construct: &'static str) -> ForeignError {
        ForeignError::Refused { pattern: self.text.into(), construct, position: self.at }
    }

    fn invalid(&self, fault: &'static str) -> ForeignError {
        ForeignError::Invalid { pattern: self.text.into(), fault, position: self.at }
    }
}
