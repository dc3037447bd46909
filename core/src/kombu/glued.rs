//! Any wildcard key of any dialect, matched character by character without a regex engine.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::amqp_text;
use super::pattern::{PatternError, check_repeats};
use crate::Dialect;

/// A binding key compiled to a chain of characters and repeats.
///
/// Kombu's texts are chains: no branch, no nesting. So a set of positions in the chain, advanced once for every
/// character, decides exactly what Python's `re.match` decides. The routing trie works on whole words and cannot hold a
/// `*` that is glued to a word (`a*` repeats the `a`), which is what this type is for; it is right for every other key
/// too and serves as the trie's reference.
///
/// # Cost
/// Time ≤ characters of the routing key × positions, at most two positions for each character of the binding key. Up to
/// 511 positions, as many as a key of 255 bytes can need, a match allocates nothing.
///
/// ```
/// use keyrail_core::{Dialect, kombu::GluedPattern};
///
/// let pattern = GluedPattern::compile("log.a*", Dialect::Kombu57).unwrap();
/// assert!(pattern.matches(b"log."));
/// assert!(pattern.matches(b"log.aaa"));
/// assert!(!pattern.matches(b"log.ab"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GluedPattern {
    key: String,
    dialect: Dialect,
    atoms: Vec<Atom>,
    /// A second first position: behind a leading `#` that is no word at all.
    start: usize,
}

/// One place of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Atom {
    pub(crate) class: Class,
    pub(crate) times: Times,
}

/// Which characters an atom takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Char(char),
    NotDot,
    NotLineFeed,
    Anything,
}

/// How often an atom is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    Once,
    /// Zero or more.
    Any,
    /// Once, or not at all and then the next atom neither.
    PairOrNone,
}

impl GluedPattern {
    /// In how many places of the chain a match can be at once.
    pub(crate) const fn states(&self) -> usize {
        self.atoms.len() + 1
    }

    /// Compiles a binding key.
    ///
    /// # Errors
    /// Those of [`translate`](super::translate), for the same keys.
    ///
    /// ```
    /// use keyrail_core::{Dialect, kombu::GluedPattern};
    ///
    /// assert!(GluedPattern::compile("a.#", Dialect::Amqp).unwrap().matches(b"a"));
    /// assert!(!GluedPattern::compile("a.#", Dialect::Kombu57).unwrap().matches(b"a"));
    /// assert!(GluedPattern::compile("**", Dialect::Kombu57).is_err());
    /// ```
    pub fn compile(key: &str, dialect: Dialect) -> Result<Self, PatternError> {
        let (atoms, start) = match dialect {
            Dialect::Amqp => amqp_atoms(key)?,
            Dialect::Kombu57 | Dialect::Kombu56 => (kombu_atoms(key, dialect)?, 0),
        };
        Ok(GluedPattern { key: key.into(), dialect, atoms, start })
    }

    /// The binding key.
    ///
    /// ```
    /// use keyrail_core::{Dialect, kombu::GluedPattern};
    ///
    /// assert_eq!(GluedPattern::compile("a*", Dialect::Kombu56).unwrap().key(), "a*");
    /// ```
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The dialect that the key was compiled for.
    ///
    /// ```
    /// use keyrail_core::{Dialect, kombu::GluedPattern};
    ///
    /// assert_eq!(GluedPattern::compile("a*", Dialect::Kombu56).unwrap().dialect(), Dialect::Kombu56);
    /// ```
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The chain, and its second first position.
    pub(crate) fn chain(&self) -> (&[Atom], usize) {
        (&self.atoms, self.start)
    }

    /// Whether a message with this routing key reaches the binding.
    ///
    /// A byte that is not part of valid UTF-8 counts as one character that only a wildcard matches.
    ///
    /// ```
    /// use keyrail_core::{Dialect, kombu::GluedPattern};
    ///
    /// let all = GluedPattern::compile("#", Dialect::Kombu57).unwrap();
    /// assert!(all.matches(b"\xff.a"));
    /// assert!(all.matches(b"a\n"), "Python's `$` accepts one last line feed");
    /// assert!(!all.matches(b"a\nb"));
    /// ```
    pub fn matches(&self, routing_key: &[u8]) -> bool {
        let size = self.atoms.len() / 64 + 1;
        let (mut now_inline, mut next_inline) = ([0u64; INLINE], [0u64; INLINE]);
        let (mut now_heap, mut next_heap);
        let (mut now, mut next): (&mut [u64], &mut [u64]) = if size <= INLINE {
            (&mut now_inline[..size], &mut next_inline[..size])
        } else {
            (now_heap, next_heap) = (vec![0; size], vec![0; size]);
            (&mut now_heap, &mut next_heap)
        };

        if self.dialect == Dialect::Amqp && routing_key.is_empty() && !self.key.is_empty() {
            // No words: only `#` asks for none.
            return self.atoms.iter().all(|atom| atom.class == Class::Anything);
        }
        self.enter(now, 0);
        self.enter(now, self.start);
        let (body, line_feed) = match routing_key {
            [body @ .., b'\n'] => (body, true),
            body => (body, false),
        };
        for chunk in body.utf8_chunks() {
            let bad = chunk.invalid().iter().map(|_| None);
            for symbol in chunk.valid().chars().map(Some).chain(bad) {
                if !self.step(now, next, symbol) {
                    return false;
                }
                core::mem::swap(&mut now, &mut next);
            }
        }
        if !line_feed {
            return self.accepts(now);
        }
        if self.dialect != Dialect::Amqp && self.accepts(now) {
            return true;
        }
        self.step(now, next, Some('\n'));
        self.accepts(next)
    }

    /// Fills `next` with the positions after `symbol`; false if there is none.
    fn step(&self, now: &[u64], next: &mut [u64], symbol: Option<char>) -> bool {
        next.fill(0);
        let mut alive = false;
        for (block, &bits) in now.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let position = block * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let Some(atom) = self.atoms.get(position) else {
                    continue;
                };
                if atom.class.contains(symbol) {
                    self.enter(next, if atom.times == Times::Any { position } else { position + 1 });
                    alive = true;
                }
            }
        }
        alive
    }

    /// Adds a position and those that need no character to be reached from it.
    fn enter(&self, set: &mut [u64], mut position: usize) {
        loop {
            let (block, bit) = (position / 64, 1u64 << (position % 64));
            if set[block] & bit != 0 {
                // INVARIANT: whoever added it added what follows.
                return;
            }
            set[block] |= bit;
            position += match self.atoms.get(position).map(|atom| atom.times) {
                Some(Times::Any) => 1,
                Some(Times::PairOrNone) => 2,
                Some(Times::Once) | None => return,
            };
        }
    }

    fn accepts(&self, set: &[u64]) -> bool {
        let end = self.atoms.len();
        set[end / 64] & (1 << (end % 64)) != 0
    }
}

/// Blocks of 64 positions on the stack.
const INLINE: usize = 8;

impl Class {
    pub(crate) fn contains(self, symbol: Option<char>) -> bool {
        match self {
            Class::Char(c) => symbol == Some(c),
            Class::NotDot => symbol != Some('.'),
            Class::NotLineFeed => symbol != Some('\n'),
            Class::Anything => true,
        }
    }
}

impl Atom {
    pub(crate) const fn once(class: Class) -> Self {
        Atom { class, times: Times::Once }
    }

    const fn any(class: Class) -> Self {
        Atom { class, times: Times::Any }
    }
}

fn kombu_atoms(key: &str, dialect: Dialect) -> Result<Vec<Atom>, PatternError> {
    check_repeats(key)?;
    let mut atoms = Vec::with_capacity(key.len());
    for (n, word) in key.split('.').enumerate() {
        if n > 0 {
            atoms.push(Atom::once(Class::Char('.')));
        }
        match word {
            "*" if dialect == Dialect::Kombu57 => {
                atoms.extend([Atom::once(Class::NotDot), Atom::any(Class::NotDot)]);
            }
            "*" => atoms.extend([Atom::any(Class::NotLineFeed), Atom::once(Class::NotDot)]),
            "#" => atoms.push(Atom::any(Class::NotLineFeed)),
            _ => {
                for c in word.chars() {
                    match (c, atoms.last_mut()) {
                        ('*', Some(last)) => last.times = Times::Any,
                        _ => atoms.push(Atom::once(Class::Char(c))),
                    }
                }
            }
        }
    }
    Ok(atoms)
}

fn amqp_atoms(key: &str) -> Result<(Vec<Atom>, usize), PatternError> {
    if key.len() > amqp_text::MAX_KEY {
        return Err(PatternError::KeyTooLong { len: key.len() });
    }
    let words = amqp_text::words(key);
    let hash_first = words.first() == Some(&"#");
    let mut atoms = Vec::with_capacity(key.len());
    for (n, word) in words.iter().enumerate() {
        if *word == "#" {
            // "any words" is "nothing, or a dot and anything"; in front the dot stands behind.
            match n {
                0 if words.len() == 1 => atoms.push(Atom::any(Class::Anything)),
                0 => atoms.extend([Atom::any(Class::Anything), Atom::once(Class::Char('.'))]),
                _ => {
                    atoms.push(Atom { class: Class::Char('.'), times: Times::PairOrNone });
                    atoms.push(Atom::any(Class::Anything));
                }
            }
            continue;
        }
        if n > 1 || (n == 1 && !hash_first) {
            atoms.push(Atom::once(Class::Char('.')));
        }
        if *word == "*" {
            atoms.push(Atom::any(Class::NotDot));
        } else {
            atoms.extend(word.chars().map(|c| Atom::once(Class::Char(c))));
        }
    }
    let start = if hash_first && words.len() > 1 { 2 } else { 0 };
    Ok((atoms, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dialect: Dialect, key: &str, yes: &[&str], no: &[&str]) {
        let pattern = GluedPattern::compile(key, dialect).unwrap();
        for routing_key in yes {
            assert!(pattern.matches(routing_key.as_bytes()), "{dialect} {key:?} misses {routing_key:?}");
        }
        for routing_key in no {
            assert!(!pattern.matches(routing_key.as_bytes()), "{dialect} {key:?} takes {routing_key:?}");
        }
    }

    #[test]
    fn kombu_glued() {
        for dialect in [Dialect::Kombu57, Dialect::Kombu56] {
            check(dialect, "a*", &["", "a", "aa", "aa\n", "\n"], &["a*", "b", "a\n\n"]);
            check(dialect, "x.*a", &["xa", "x.a", "x..a"], &["x.b.a", "x"]);
            check(dialect, "a-*", &["a", "a--"], &["a-b"]);
            check(dialect, "#*", &["", "##"], &["a"]);
            check(dialect, "\u{e9}*.b", &[".b", "\u{e9}\u{e9}.b"], &["e.b"]);
        }
    }

    #[test]
    fn kombu_words() {
        check(Dialect::Kombu57, "a.*", &["a.b", "a.\n"], &["a.", "a", "a.b.c"]);
        check(Dialect::Kombu56, "a.*", &["a.b", "a.b.c", "a..c"], &["a.", "a", "a.b."]);
        check(Dialect::Kombu57, "a.#", &["a.", "a.b.c", "a..", "a.b\n"], &["a", "a.b\nc", "ab"]);
        check(Dialect::Kombu57, "", &["", "\n"], &["a", "\n\n"]);
    }

    #[test]
    fn amqp() {
        check(Dialect::Amqp, "#", &["", "a", "a.b\n", "\n."], &[]);
        check(Dialect::Amqp, "#.a", &["a", "b.a", ".a"], &["", "ba", "a.b", "a\n"]);
        check(Dialect::Amqp, "a.#.b", &["a.b", "a..b", "a.x.y.b"], &["a", "ab", "a.xb"]);
        check(Dialect::Amqp, "*", &["a", "\n"], &["", "."]);
        check(Dialect::Amqp, "#.*", &["a", "."], &[""]);
        check(Dialect::Amqp, ".#", &[".", ".a"], &["", "a"]);
        check(Dialect::Amqp, "", &[""], &["\n", "."]);
        check(Dialect::Amqp, "a*", &["a*"], &["a", "aa"]);
    }

    #[test]
    fn bytes_that_are_not_utf8() {
        let star = GluedPattern::compile("*.b", Dialect::Kombu57).unwrap();
        assert!(star.matches(b"\xc3.b"));
        assert!(!star.matches(b"\xc3.\xff"));
        assert!(!GluedPattern::compile("\u{fffd}", Dialect::Kombu57).unwrap().matches(b"\xff"));
    }

    #[test]
    fn long_keys_leave_the_stack() {
        let key = "*.".repeat(400) + "a";
        let pattern = GluedPattern::compile(&key, Dialect::Kombu56).unwrap();
        assert!(pattern.matches(&[&b"b.".repeat(900)[..], b"a"].concat()));
        assert!(!pattern.matches(&b"b.".repeat(900)));
    }
}
