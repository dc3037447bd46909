//! Kombu's topic patterns whose wildcards are whole words, as a trie over words walked by sets of live states.
//!
//! A plain walk tries every way to spread several `#` over a key and explodes; here each word turns the set of live
//! states into the next set, and a state that is reached twice is kept once. Time is bounded by words × live states.

use alloc::{boxed::Box, vec::Vec};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::entries::Entry;
use crate::{Dialect, chunks::Chunks, id::BindingId, slots::Slots, stamps::Stamps, work::Work};

/// The patterns of one exchange in one of Kombu's dialects.
#[derive(Clone, Debug)]
pub(crate) struct Trie {
    dialect: Dialect,
    seed: u64,
    nodes: Slots<Node>,
}

const ROOT: u32 = 0;

#[derive(Clone, Debug)]
struct Node {
    words: HashMap<Box<[u8]>, u32, FixedState>,
    star: Option<u32>,
    hash: Option<u32>,
    /// Whether the edge that leads here is `#`: such a node takes any further word and stays.
    is_hash: bool,
    bindings: Chunks<Entry>,
}

impl Node {
    fn new(is_hash: bool, seed: u64) -> Self {
        let words = HashMap::with_hasher(FixedState::with_seed(seed));
        Node { words, star: None, hash: None, is_hash, bindings: Chunks::default() }
    }

    fn child(&self, token: Token<'_>) -> Option<u32> {
        match token {
            Token::Star => self.star,
            Token::Hash => self.hash,
            Token::Word(word) => self.words.get(word).copied(),
        }
    }

    fn set_child(&mut self, token: Token<'_>, child: Option<u32>) {
        match (token, child) {
            (Token::Star, _) => self.star = child,
            (Token::Hash, _) => self.hash = child,
            (Token::Word(word), Some(child)) => drop(self.words.insert(word.into(), child)),
            (Token::Word(word), None) => drop(self.words.remove(word)),
        }
    }

    fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.words.is_empty() && self.star.is_none() && self.hash.is_none()
    }
}

#[derive(Clone, Copy)]
enum Token<'a> {
    Star,
    Hash,
    Word(&'a [u8]),
}

/// The live states of a walk, kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct TrieScratch {
    live: Vec<State>,
    next: Vec<State>,
    seen: Stamps,
}

/// A node, reached; or, in the older dialect, the inside of its `*`, which may take further words.
#[derive(Clone, Copy, Debug)]
struct State(u32);

impl State {
    const fn reached(node: u32) -> Self {
        State(node << 1)
    }

    const fn inside_star(node: u32) -> Self {
        State(node << 1 | 1)
    }

    const fn node(self) -> u32 {
        self.0 >> 1
    }

    const fn is_inside_star(self) -> bool {
        self.0 & 1 == 1
    }
}

impl Trie {
    pub(crate) fn new(dialect: Dialect, seed: u64) -> Self {
        let mut nodes = Slots::default();
        nodes.insert(Node::new(false, seed));
        Trie { dialect, seed, nodes }
    }

    pub(crate) fn insert(&mut self, key: &[u8], entry: Entry) {
        let mut at = ROOT;
        for token in tokens(key) {
            let child = self.nodes.get(at).and_then(|node| node.child(token));
            at = child.unwrap_or_else(|| {
                let child = self.nodes.insert(Node::new(matches!(token, Token::Hash), self.seed));
                if let Some(node) = self.nodes.get_mut(at) {
                    node.set_child(token, Some(child));
                }
                child
            });
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.bindings.insert(entry);
        }
    }

    /// Removes a binding and every node that led to it alone.
    pub(crate) fn remove(&mut self, key: &[u8], id: BindingId) {
        let mut path = Vec::new();
        let mut at = ROOT;
        for token in tokens(key) {
            let Some(child) = self.nodes.get(at).and_then(|node| node.child(token)) else { return };
            path.push((at, token));
            at = child;
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.bindings.remove(id);
        }
        while let Some((parent, token)) = path.pop() {
            if !self.nodes.get(at).is_some_and(Node::is_empty) {
                return;
            }
            self.nodes.remove(at);
            if let Some(node) = self.nodes.get_mut(parent) {
                node.set_child(token, None);
            }
            at = parent;
        }
    }

    /// Whether no pattern is left, not even a node of one.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.len() == 1 && self.nodes.get(ROOT).is_some_and(Node::is_empty)
    }

    /// Calls `found` with each binding whose pattern matches; a binding may come twice.
    pub(crate) fn matches(
        &self,
        key: &[u8],
        scratch: &mut TrieScratch,
        work: &mut Work,
        found: &mut impl FnMut(Entry),
    ) {
        self.walk(key, scratch, work, found);
        // Python's `$` also matches before one line feed at the end.
        if let Some(shorter) = key.strip_suffix(b"\n") {
            self.walk(shorter, scratch, work, found);
        }
    }

    /// How many states a walk can be in at once.
    pub(crate) fn states(&self) -> usize {
        self.nodes.len() * 2
    }

    fn walk(&self, key: &[u8], scratch: &mut TrieScratch, work: &mut Work, found: &mut impl FnMut(Entry)) {
        let TrieScratch { live, next, seen } = scratch;
        let states = self.nodes.bound() * 2;
        live.clear();
        seen.clear(states);
        Self::enter(ROOT, live, seen);
        for word in words(key) {
            next.clear();
            seen.clear(states);
            work.add(live.len());
            for state in live.iter() {
                self.step(*state, word, next, seen);
            }
            core::mem::swap(live, next);
            if live.is_empty() {
                return;
            }
        }
        for state in live.iter().filter(|state| !state.is_inside_star()) {
            if let Some(node) = self.nodes.get(state.node()) {
                node.bindings.iter().copied().for_each(&mut *found);
            }
        }
    }

    fn enter(node: u32, live: &mut Vec<State>, seen: &mut Stamps) {
        let state = State::reached(node);
        if seen.insert(state.0) {
            live.push(state);
        }
    }

    /// Adds every state that `word` leads to from `state`.
    fn step(&self, state: State, word: Word<'_>, next: &mut Vec<State>, seen: &mut Stamps) {
        if state.is_inside_star() {
            self.step_star(state.node(), word, next, seen);
            return;
        }
        let Some(node) = self.nodes.get(state.node()) else { return };
        if let Some(child) = node.words.get(word.bytes) {
            Self::enter(*child, next, seen);
        }
        if node.is_hash && word.is_one_line() {
            Self::enter(state.node(), next, seen);
        }
        if let Some(hash) = node.hash
            && word.is_one_line()
        {
            Self::enter(hash, next, seen);
        }
        if let Some(star) = node.star {
            self.step_star(star, word, next, seen);
        }
    }

    fn step_star(&self, star: u32, word: Word<'_>, next: &mut Vec<State>, seen: &mut Stamps) {
        if star_ends_with(self.dialect, word) {
            Self::enter(star, next, seen);
        }
        if self.dialect == Dialect::Kombu56 && word.is_one_line() {
            let inside = State::inside_star(star);
            if seen.insert(inside.0) {
                next.push(inside);
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Word<'a> {
    bytes: &'a [u8],
}

impl Word<'_> {
    /// Python's `.` is everything but a line feed.
    fn is_one_line(self) -> bool {
        !self.bytes.contains(&b'\n')
    }
}

/// The words of a key. The empty key has one empty word, as `^$` matches the empty text.
fn words(key: &[u8]) -> impl Iterator<Item = Word<'_>> {
    key.split(|byte| *byte == b'.').map(|bytes| Word { bytes })
}

fn tokens(key: &[u8]) -> impl Iterator<Item = Token<'_>> {
    words(key).map(|word| match word.bytes {
        b"*" => Token::Star,
        b"#" => Token::Hash,
        word => Token::Word(word),
    })
}

/// Whether `*` may end with this word: one that is not empty; before 5.7, where `*` is `.*?[^\.]`, it has no line feed
/// but as its last character.
fn star_ends_with(dialect: Dialect, word: Word<'_>) -> bool {
    word.bytes.split_last().is_some_and(|(_, before)| dialect != Dialect::Kombu56 || !before.contains(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry::new(BindingId(0), crate::QueueId(0).into())
    }

    fn matches(dialect: Dialect, pattern: &str, key: &str) -> bool {
        let mut trie = Trie::new(dialect, 0);
        trie.insert(pattern.as_bytes(), entry());
        let mut hits = 0;
        trie.matches(key.as_bytes(), &mut TrieScratch::default(), &mut Work::default(), &mut |_| hits += 1);
        trie.remove(pattern.as_bytes(), BindingId(0));
        assert!(trie.is_empty(), "{pattern} left nodes behind");
        hits > 0
    }

    #[test]
    fn dialects_disagree_where_the_real_ones_do() {
        // pattern, key, Kombu57, Kombu56
        for (pattern, key, expected) in [
            ("a.#", "a", [false, false]),
            ("a.#.b", "a.b", [false, false]),
            ("#", "", [true, true]),
            ("", "", [true, true]),
            ("*", "", [false, false]),
            ("a.*", "a.", [false, false]),
            ("*.*", ".", [false, false]),
            ("a.*", "a.b.c", [false, true]),
            ("*", "x..a", [false, true]),
            ("*", "x.", [false, false]),
            ("#", "a\nb", [false, false]),
            ("a", "a\n", [true, true]),
            ("", "\n", [true, true]),
            ("*", "a\nb", [true, false]),
            ("a.b", "a.b", [true, true]),
        ] {
            let got = [Dialect::Kombu57, Dialect::Kombu56].map(|dialect| matches(dialect, pattern, key));
            assert_eq!(got, expected, "{pattern:?} {key:?}");
        }
    }

    #[test]
    fn many_hashes_cost_words_times_states() {
        let mut trie = Trie::new(Dialect::Kombu57, 0);
        trie.insert(b"#.a.#.a.#.a.#.a.#.a.#.z", entry());
        let key = ["a"; 128].join(".");
        let (mut scratch, mut work) = (TrieScratch::default(), Work::default());
        trie.matches(key.as_bytes(), &mut scratch, &mut work, &mut |_| panic!("there is no z in the key"));
        assert!(work.steps() <= 129 * trie.states() as u64, "{} steps", work.steps());
    }
}
