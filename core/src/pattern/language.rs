use alloc::{vec, vec::Vec};

use crate::{
    Dialect,
    kombu::{Atom, Class, GluedPattern, PatternError, Times},
};

/// The routing keys that a binding matches, as an automaton over characters.
///
/// Positions stand in a chain of atoms; a set of positions is a row of bits. A byte that is not part of UTF-8 is a
/// character that no pattern names, so that keys of any bytes are covered.
///
/// ```
/// use keyrail_core::{Dialect, pattern::Language};
///
/// let stars = Language::topic("a.*", Dialect::Kombu57)?;
/// assert!(stars.matches("a.b") && !stars.matches("a."));
/// assert!(Language::key("a.*").matches("a.*"));
/// # Ok::<(), keyrail_core::kombu::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language {
    atoms: Vec<Atom>,
    /// A second first position.
    start: usize,
    /// Whether the empty key is in it, where the chain does not tell.
    empty: Option<bool>,
    /// Whether a key may end in one line feed more: Python's `$`.
    line_feed: bool,
}

impl Language {
    /// The keys that a topic binding matches.
    ///
    /// ```
    /// use keyrail_core::{Dialect, pattern::Language};
    ///
    /// let kombus = Language::topic("a.*.c", Dialect::Kombu56)?;
    /// assert!(kombus.matches("a.b.x.c")); // `*` is as many words as there are
    /// assert_eq!(Language::topic("a.**", Dialect::Kombu57).unwrap_err().code(), "invalid-pattern");
    /// # Ok::<(), keyrail_core::kombu::PatternError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`translate`](crate::kombu::translate): a glued `*` that Kombu cannot execute, and a key that is longer
    /// than 255 bytes.
    pub fn topic(key: &str, dialect: Dialect) -> Result<Self, PatternError> {
        Ok(Language::glued(&GluedPattern::compile(key, dialect)?))
    }

    pub(crate) fn glued(pattern: &GluedPattern) -> Self {
        let (atoms, start) = pattern.chain();
        let amqp = pattern.dialect() == Dialect::Amqp;
        // RabbitMQ's empty key has no words, so only `#` may stand there.
        let empty = (amqp && !pattern.key().is_empty())
            .then(|| atoms.iter().all(|atom| matches!(atom.class, Class::Anything)));
        Language { atoms: atoms.into(), start, empty, line_feed: !amqp }
    }

    /// One key and no other: what a direct binding matches.
    ///
    /// ```
    /// use keyrail_core::pattern::Language;
    ///
    /// let star = Language::key("a.*");
    /// assert!(star.matches("a.*") && !star.matches("a.b")); // no wildcard
    /// ```
    pub fn key(key: &str) -> Self {
        let atoms = key.chars().map(|c| Atom::once(Class::Char(c))).collect();
        Language { atoms, start: 0, empty: None, line_feed: false }
    }

    /// Every key: what a fanout binding matches.
    ///
    /// ```
    /// use keyrail_core::{Dialect, pattern::{Budget, Found, Language, find_key}};
    ///
    /// let hash = Language::topic("#", Dialect::Amqp)?;
    /// let beyond = find_key(&[&Language::everything()], &[&hash], &mut Budget::default());
    /// assert_eq!(beyond, Found::None); // so `#` on a topic exchange is a fanout
    /// # Ok::<(), keyrail_core::kombu::PatternError>(())
    /// ```
    pub fn everything() -> Self {
        let atoms = Vec::from([Atom { class: Class::Anything, times: Times::Any }]);
        Language { atoms, start: 0, empty: None, line_feed: false }
    }

    /// Whether this routing key is in it.
    ///
    /// ```
    /// use keyrail_core::{Dialect, pattern::Language};
    ///
    /// let stars = Language::topic("*.error", Dialect::Amqp)?;
    /// assert!(stars.matches("db.error") && stars.matches(b"\xff.error") && stars.matches(".error"));
    /// assert!(!stars.matches("error"));
    /// # Ok::<(), keyrail_core::kombu::PatternError>(())
    /// ```
    ///
    /// # Cost
    /// Characters of the key × positions.
    pub fn matches(&self, routing_key: impl AsRef<[u8]>) -> bool {
        let (mut now, mut next) = (vec![0; self.blocks()], vec![0; self.blocks()]);
        self.enter_start(&mut now);
        let routing_key = routing_key.as_ref();
        if routing_key.is_empty() {
            return self.accepts_empty(&now);
        }
        for chunk in routing_key.utf8_chunks() {
            let bad = chunk.invalid().iter().map(|_| None);
            for symbol in chunk.valid().chars().map(Some).chain(bad) {
                if !self.step(&now, &mut next, symbol) {
                    return false;
                }
                core::mem::swap(&mut now, &mut next);
            }
        }
        self.accepts(&now)
    }

    /// How many blocks of 64 positions a state takes.
    pub(super) fn blocks(&self) -> usize {
        // The end, and the end behind a line feed.
        (self.atoms.len() + 2).div_ceil(64)
    }

    pub(super) fn enter_start(&self, state: &mut [u64]) {
        self.enter(state, 0);
        self.enter(state, self.start);
    }

    pub(super) fn accepts_empty(&self, start: &[u64]) -> bool {
        self.empty.unwrap_or_else(|| self.accepts(start))
    }

    pub(super) fn accepts(&self, state: &[u64]) -> bool {
        let has = |position: usize| state[position / 64] & (1 << (position % 64)) != 0;
        has(self.atoms.len()) || has(self.atoms.len() + 1)
    }

    /// Whether every further key is accepted, as behind a trailing `#`; line feeds apart where those are not asked for.
    pub(super) fn is_universal(&self, state: &[u64], line_feeds: bool) -> bool {
        let Some(last) = self.atoms.len().checked_sub(1) else { return false };
        let atom = self.atoms[last];
        let all = match atom.class {
            Class::Anything => true,
            Class::NotLineFeed => !line_feeds,
            Class::Char(_) | Class::NotDot => false,
        };
        all && atom.times == Times::Any && state[last / 64] & (1 << (last % 64)) != 0
    }

    /// Whether a line feed is not a character like others here.
    pub(super) fn minds_line_feeds(&self) -> bool {
        self.line_feed
    }

    /// Fills `next` with the positions after `symbol`; false if there is none.
    pub(super) fn step(&self, now: &[u64], next: &mut [u64], symbol: Option<char>) -> bool {
        next.fill(0);
        let mut alive = false;
        for position in positions(now) {
            if let Some(atom) = self.atoms.get(position) {
                if atom.class.contains(symbol) {
                    self.enter(next, if atom.times == Times::Any { position } else { position + 1 });
                    alive = true;
                }
            } else if position == self.atoms.len() && self.line_feed && symbol == Some('\n') {
                self.enter(next, position + 1);
                alive = true;
            }
        }
        alive
    }

    /// Adds a position and those that need no character to be reached from it.
    fn enter(&self, state: &mut [u64], mut position: usize) {
        loop {
            let (block, bit) = (position / 64, 1u64 << (position % 64));
            if state[block] & bit != 0 {
                // INVARIANT: whoever added it added what follows.
                return;
            }
            state[block] |= bit;
            position += match self.atoms.get(position).map(|atom| atom.times) {
                Some(Times::Any) => 1,
                Some(Times::PairOrNone) => 2,
                Some(Times::Once) | None => return,
            };
        }
    }

    /// The characters that the state tells from all others.
    pub(super) fn named(&self, state: &[u64], into: &mut Vec<char>) {
        for position in positions(state) {
            if let Some(Atom { class: Class::Char(c), .. }) = self.atoms.get(position) {
                into.push(*c);
            }
        }
    }
}

fn positions(state: &[u64]) -> impl Iterator<Item = usize> {
    state.iter().enumerate().flat_map(|(block, bits)| {
        let mut bits = *bits;
        core::iter::from_fn(move || {
            let lowest = (bits != 0).then(|| block * 64 + bits.trailing_zeros() as usize);
            bits &= bits.wrapping_sub(1);
            lowest
        })
    })
}
