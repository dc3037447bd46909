//! Breadth-first search through the product of automata, by the length of the key, each state made when it is met.

use alloc::{boxed::Box, string::String, vec, vec::Vec};
use core::{hash::BuildHasher, ops::ControlFlow};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::Language;
use crate::{ByteString, MAX_SHORT_STRING};

/// How much work searches may take, shared by as many as are meant to stay below it together.
///
/// A unit is one block of 64 positions of one automaton taken one character on: a few nanoseconds and at most eight
/// bytes.
///
/// ```
/// use keyrail_core::{Dialect, pattern::{Budget, Found, Language, find_key}};
///
/// let all = Language::everything();
/// let errors = Language::topic("#.error.#", Dialect::Amqp)?;
/// let mut budget = Budget::new(1_000_000); // for all questions together
/// assert_ne!(find_key(&[&all], &[&errors], &mut budget), Found::Undecided);
/// assert!(budget.left() < 1_000_000);
/// # Ok::<(), keyrail_core::kombu::PatternError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    left: u64,
}

impl Budget {
    /// A budget of this many units.
    pub const fn new(units: u64) -> Self {
        Budget { left: units }
    }

    /// What is left.
    pub const fn left(self) -> u64 {
        self.left
    }

    /// Takes from it; false if there is not as much.
    pub(crate) fn spend(&mut self, units: u64) -> bool {
        let enough = self.left >= units;
        self.left = self.left.saturating_sub(units);
        enough
    }

    /// At most this much of it, for one search among several; give back what it leaves with [`join`](Self::join).
    pub(crate) fn split(&mut self, most: u64) -> Self {
        let part = self.left.min(most);
        self.left -= part;
        Budget { left: part }
    }

    pub(crate) fn join(&mut self, part: Budget) {
        self.left += part.left;
    }
}

/// One million units: milliseconds.
impl Default for Budget {
    fn default() -> Self {
        Budget::new(1_000_000)
    }
}

/// What a search came to.
///
/// ```
/// use keyrail_core::{Dialect, pattern::{Budget, Found, Language, find_key}};
///
/// let [stars, hash] = ["a.*", "a.#"].map(|key| Language::topic(key, Dialect::Amqp).unwrap());
/// let ask = |inside, outside, units| find_key(&[inside], &[outside], &mut Budget::new(units));
/// assert_eq!(ask(&hash, &stars, 1_000), Found::Key("a".into()));
/// assert_eq!(ask(&stars, &hash, 1_000), Found::None);
/// assert_eq!(ask(&stars, &hash, 1), Found::Undecided);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Found {
    /// A key of at most 255 bytes; none is shorter.
    Key(ByteString),
    /// There is no such key.
    None,
    /// The budget was spent before either was certain.
    Undecided,
}

/// Finds a shortest routing key that every language of `inside` has and none of `outside` has.
///
/// ```
/// use keyrail_core::{Dialect, pattern::{Budget, Found, Language, find_key}};
///
/// let paid = Language::topic("order.*.paid", Dialect::Amqp)?;
/// let eu = Language::topic("*.eu.*", Dialect::Amqp)?;
/// let key = Language::key("order.eu.paid");
/// let mut budget = Budget::default();
/// assert_eq!(find_key(&[&paid, &eu], &[], &mut budget), Found::Key("order.eu.paid".into()));
/// assert_eq!(find_key(&[&paid, &eu], &[&key], &mut budget), Found::None); // that is the only one
/// # Ok::<(), keyrail_core::kombu::PatternError>(())
/// ```
///
/// # Cost
/// At most the budget. Patterns with one `#` and few stars take hundreds of units; the states of several patterns with a
/// `#` in front multiply, which is what the budget is for.
pub fn find_key(inside: &[&Language], outside: &[&Language], budget: &mut Budget) -> Found {
    Query { inside, outside, tracked: &[], line_feeds: true }.find(budget)
}

/// A search, with languages that are only watched.
pub(crate) struct Query<'a> {
    pub(crate) inside: &'a [&'a Language],
    pub(crate) outside: &'a [&'a Language],
    /// Keys that are told apart by which of these match, count as different.
    pub(crate) tracked: &'a [&'a Language],
    /// Whether keys with line feeds count. Nobody publishes them, and Kombu and RabbitMQ differ on nearly all.
    pub(crate) line_feeds: bool,
}

/// How far an exploration came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Explored {
    /// Every class of keys was shown.
    All,
    /// The visitor had enough.
    Stopped,
    /// The budget was spent.
    OverBudget,
}

impl Query<'_> {
    /// A shortest key.
    pub(crate) fn find(&self, budget: &mut Budget) -> Found {
        let mut found = None;
        let explored = self.explore(budget, &mut |key| {
            found = Some(ByteString::from(key));
            ControlFlow::Break(())
        });
        match (found, explored) {
            (Some(key), _) => Found::Key(key),
            (None, Explored::OverBudget) => Found::Undecided,
            (None, _) => Found::None,
        }
    }

    /// Shows keys, shorter ones first, until each set of `tracked` languages that can match together with `inside` and
    /// without `outside` was shown at least once.
    pub(crate) fn explore(
        &self,
        budget: &mut Budget,
        visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Explored {
        Exploration::new(self).run(budget, visit)
    }

    fn languages(&self) -> impl Iterator<Item = &Language> {
        self.inside.iter().chain(self.outside).chain(self.tracked).copied()
    }
}

/// A product state and how it was first reached by a shortest key.
struct Node {
    state: Box<[u64]>,
    parent: u32,
    symbol: char,
    length: u16,
}

struct Exploration<'a> {
    query: &'a Query<'a>,
    /// Where each language's blocks begin, and how many there are in all.
    offsets: Vec<usize>,
    blocks: usize,
    nodes: Vec<Node>,
    known: HashTable<u32>,
    hasher: FixedState,
    /// Nodes by the bytes of their shortest key.
    levels: Vec<Vec<u32>>,
    line_feeds: bool,
    /// Which sets of tracked languages were shown.
    shown: HashTable<Box<[u64]>>,
}

impl<'a> Exploration<'a> {
    fn new(query: &'a Query<'a>) -> Self {
        let mut blocks = 0;
        let offsets = query.languages().map(|language| {
            let offset = blocks;
            blocks += language.blocks();
            offset
        });
        let offsets = offsets.collect();
        Exploration {
            query,
            offsets,
            blocks,
            nodes: Vec::new(),
            known: HashTable::new(),
            hasher: FixedState::default(),
            levels: (0..=MAX_SHORT_STRING).map(|_| Vec::new()).collect(),
            line_feeds: query.line_feeds && query.languages().any(Language::minds_line_feeds),
            shown: HashTable::new(),
        }
    }

    fn run(mut self, budget: &mut Budget, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Explored {
        let mut start = vec![0; self.blocks];
        for (language, offset) in self.query.languages().zip(&self.offsets) {
            language.enter_start(&mut start[*offset..*offset + language.blocks()]);
        }
        // The start is left for good: the empty key may have rules of its own.
        self.nodes.push(Node { state: start.into(), parent: 0, symbol: '\0', length: 0 });
        self.levels[0].push(0);
        let (mut next, mut symbols) = (vec![0; self.blocks], Vec::new());
        for length in 0..=MAX_SHORT_STRING {
            let mut at = 0;
            while let Some(&node) = self.levels[length].get(at) {
                at += 1;
                if usize::from(self.nodes[node as usize].length) != length {
                    continue; // A shorter way was found since.
                }
                if self.is_wanted(node, budget) && visit(&self.key(node)).is_break() {
                    return Explored::Stopped;
                }
                self.symbols(node, &mut symbols);
                for &symbol in &symbols {
                    let longer = length + symbol.len_utf8();
                    if longer > MAX_SHORT_STRING {
                        continue;
                    }
                    if !budget.spend(self.blocks as u64 + 1) {
                        return Explored::OverBudget;
                    }
                    if self.step(node, symbol, &mut next) {
                        self.reach(&next, node, symbol, longer as u16);
                    }
                }
            }
            self.levels[length] = Vec::new();
        }
        Explored::All
    }

    /// The characters that lead on from here: one that stands for all that nothing names, the dot, and those named.
    fn symbols(&self, node: u32, symbols: &mut Vec<char>) {
        symbols.clear();
        let state = &self.nodes[node as usize].state;
        for (language, offset) in self.query.languages().zip(&self.offsets) {
            language.named(&state[*offset..*offset + language.blocks()], symbols);
        }
        symbols.push('.');
        if self.line_feeds {
            symbols.push('\n');
        } else if !self.query.line_feeds {
            symbols.retain(|c| *c != '\n');
        }
        crate::sort::sort(symbols);
        symbols.dedup();
        let plain = ('a'..='z').cycle().skip(23).take(26).chain('0'..='9').chain('A'..='Z');
        let plain = plain.chain(' '..'~').chain('\u{a1}'..='\u{ffff}');
        let mut other = plain.filter(|c| symbols.binary_search(c).is_err());
        if let Some(other) = other.next() {
            symbols.insert(0, other);
        }
    }

    /// Fills `next`; false if no key can come of it.
    fn step(&self, node: u32, symbol: char, next: &mut [u64]) -> bool {
        let state = &self.nodes[node as usize].state;
        let (inside, outside) = (self.query.inside.len(), self.query.outside.len());
        for (at, (language, offset)) in self.query.languages().zip(&self.offsets).enumerate() {
            let range = *offset..*offset + language.blocks();
            let next = &mut next[range.clone()];
            let alive = language.step(&state[range], next, Some(symbol));
            if at < inside && !alive {
                return false;
            }
            let is_outside = at >= inside && at < inside + outside;
            if is_outside && alive && language.is_universal(next, self.query.line_feeds) {
                return false;
            }
        }
        true
    }

    fn reach(&mut self, state: &[u64], parent: u32, symbol: char, length: u16) {
        let Exploration { nodes, known, hasher, levels, .. } = self;
        let hash = |state: &[u64]| hasher.hash_one(state);
        let same = |node: &u32| *nodes[*node as usize].state == *state;
        match known.find(hash(state), same) {
            Some(&node) => {
                let old = &mut nodes[node as usize];
                if length < old.length {
                    (old.parent, old.symbol, old.length) = (parent, symbol, length);
                    levels[usize::from(length)].push(node);
                }
            }
            None => {
                let node = nodes.len() as u32;
                nodes.push(Node { state: state.into(), parent, symbol, length });
                known.insert_unique(hash(state), node, |node| hash(&nodes[*node as usize].state));
                levels[usize::from(length)].push(node);
            }
        }
    }

    /// Whether the key that leads here is inside, not outside, and of a class that was not shown yet.
    fn is_wanted(&mut self, node: u32, budget: &mut Budget) -> bool {
        let inside = self.query.inside.len();
        let outside = inside + self.query.outside.len();
        let Node { state, length, .. } = &self.nodes[node as usize];
        let mut class = vec![0u64; self.query.tracked.len().div_ceil(64)];
        for (at, (language, offset)) in self.query.languages().zip(&self.offsets).enumerate() {
            let state = &state[*offset..*offset + language.blocks()];
            let accepts = if *length == 0 { language.accepts_empty(state) } else { language.accepts(state) };
            if at < inside && !accepts || at >= inside && at < outside && accepts {
                return false;
            }
            if at >= outside && accepts {
                class[(at - outside) / 64] |= 1 << ((at - outside) % 64);
            }
        }
        let hash = self.hasher.hash_one(&class[..]);
        if self.shown.find(hash, |shown| **shown == *class).is_some() {
            return false;
        }
        budget.spend(self.blocks as u64);
        let hasher = &self.hasher;
        self.shown.insert_unique(hash, class.into(), |class| hasher.hash_one(&class[..]));
        true
    }

    fn key(&self, mut node: u32) -> Vec<u8> {
        let mut symbols = Vec::new();
        while node != 0 {
            let Node { parent, symbol, .. } = self.nodes[node as usize];
            symbols.push(symbol);
            node = parent;
        }
        symbols.iter().rev().collect::<String>().into_bytes()
    }
}
