//! The patterns of an exchange as a trie whose places a key's words lead through.
//!
//! What patterns have in common at their beginning is a node each; what a pattern has for itself is a tail, four bytes a
//! word.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::{
    cut::{Cut, words},
    names::{END, HASH, Name, Names, OTHER, STAR},
};
use crate::{
    MAX_SHORT_STRING,
    hash::{GOLDEN, fold, tag},
    tags::Tags,
};

/// A place between two words of a pattern, or of several that begin alike: a node, or with [`TAIL`] a token of a tail.
pub(super) type Place = u32;

const TAIL: u32 = 1 << 31;
const NONE: Place = u32::MAX;

/// Patterns that take more bytes than this are not learned.
const BYTES: usize = if cfg!(test) { 100_000 } else { 4 << 20 };

#[derive(Debug)]
pub(super) struct Learned {
    seed: u64,
    names: Names,
    nodes: Vec<Node>,
    /// The literal words that lead from a node to the next place.
    edges: Vec<Edge>,
    by_start: Tags<u32>,
    /// What follows the last common word, each ending with [`END`].
    tails: Vec<u32>,
    tokens: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    star: Place,
    hash: Place,
    /// Whether a `#` led here, which goes on taking words.
    stays: bool,
    /// Whether a pattern ends here.
    ends: bool,
    has_literals: bool,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    node: u32,
    symbol: u32,
    to: Place,
}

impl Learned {
    pub(super) fn new(seed: u64) -> Self {
        let mut learned = Learned {
            seed,
            names: Names::new(seed),
            nodes: Vec::new(),
            edges: Vec::new(),
            by_start: Tags::default(),
            tails: Vec::new(),
            tokens: Vec::new(),
        };
        learned.node(false);
        learned
    }

    /// The name of a word of a routing key.
    #[inline(always)]
    pub(super) fn name(&self, word: Cut, key: &[u8]) -> Name {
        self.names.find(word, key)
    }

    /// Adds a pattern; how many tokens it has, or `None` if there is no room.
    pub(super) fn add(&mut self, pattern: &[u8]) -> Option<usize> {
        if pattern.len() > MAX_SHORT_STRING || self.bytes() > BYTES {
            return None;
        }
        let mut tokens = core::mem::take(&mut self.tokens);
        tokens.clear();
        let _ = words(pattern, |word| -> ControlFlow<()> {
            let token = match word {
                ONE_STAR => STAR,
                ONE_HASH => HASH,
                word => self.names.add(word, pattern).symbol,
            };
            // Two `#` side by side take what one does.
            if token != HASH || tokens.last() != Some(&HASH) {
                tokens.push(token);
            }
            ControlFlow::Continue(())
        });
        tokens.push(END);
        self.insert(&tokens);
        let count = tokens.len();
        self.tokens = tokens;
        Some(count)
    }

    fn insert(&mut self, tokens: &[u32]) {
        let mut node = 0;
        for (at, &token) in tokens.iter().enumerate() {
            if token == END {
                self.nodes[node].ends = true;
                return;
            }
            match self.child(node as u32, token) {
                NONE => {
                    let place = self.tails.len() as u32 + 1;
                    self.tails.extend_from_slice(&tokens[at..]);
                    self.lead(node, token, place | TAIL);
                    return;
                }
                place if place & TAIL == 0 => node = place as usize,
                // The first word of a tail is common from now on.
                place => {
                    let next = self.node(token == HASH);
                    self.lead(node, token, next);
                    node = next as usize;
                    let tail = (place & !TAIL) as usize;
                    match self.tails[tail] {
                        END => self.nodes[node].ends = true,
                        token => self.lead(node, token, place + 1),
                    }
                }
            }
        }
    }

    fn node(&mut self, stays: bool) -> u32 {
        self.nodes.push(Node { star: NONE, hash: NONE, stays, ends: false, has_literals: false });
        self.nodes.len() as u32 - 1
    }

    fn child(&self, node: u32, token: u32) -> Place {
        match (token, self.nodes.get(node as usize)) {
            (STAR, Some(node)) => node.star,
            (HASH, Some(node)) => node.hash,
            (_, Some(Node { has_literals: true, .. })) => self.edge(node, token).map_or(NONE, |edge| edge.to),
            _ => NONE,
        }
    }

    fn edge(&self, node: u32, symbol: u32) -> Option<&Edge> {
        let same = |number: &u32| {
            self.edges.get(*number as usize).is_some_and(|edge| edge.node == node && edge.symbol == symbol)
        };
        self.by_start.find(self.tag(node, symbol), same).and_then(|number| self.edges.get(*number as usize))
    }

    fn lead(&mut self, node: usize, token: u32, to: Place) {
        match token {
            STAR => self.nodes[node].star = to,
            HASH => self.nodes[node].hash = to,
            symbol => {
                let (tag, number) = (self.tag(node as u32, symbol), self.edges.len() as u32);
                let same = |number: &u32| {
                    let edge = self.edges.get(*number as usize);
                    edge.is_some_and(|edge| edge.node == node as u32 && edge.symbol == symbol)
                };
                if let Some(known) = self.by_start.find(tag, same) {
                    self.edges[*known as usize].to = to;
                } else {
                    self.nodes[node].has_literals = true;
                    self.by_start.insert(tag, number);
                    self.edges.push(Edge { node: node as u32, symbol, to });
                }
            }
        }
    }

    fn tag(&self, node: u32, symbol: u32) -> u32 {
        tag(fold(self.seed ^ u64::from(node) << 32 ^ u64::from(symbol), GOLDEN))
    }

    fn bytes(&self) -> usize {
        self.names.bytes()
            + self.nodes.len() * size_of::<Node>()
            + self.edges.len() * (size_of::<Edge>() + 16)
            + self.tails.len() * 4
    }

    /// Where matching begins.
    pub(super) fn start(&self, places: &mut Vec<Place>) {
        self.enter(0, places);
    }

    /// Adds the places that a word leads to from this one.
    #[inline]
    pub(super) fn step(&self, place: Place, symbol: u32, places: &mut Vec<Place>) {
        if place & TAIL == 0 {
            let Some(node) = self.nodes.get(place as usize) else { return };
            if node.stays {
                places.push(place);
            }
            if node.star != NONE {
                self.enter(node.star, places);
            }
            if symbol != OTHER && node.has_literals {
                match self.child(place, symbol) {
                    NONE => {}
                    next => self.enter(next, places),
                }
            }
            return;
        }
        let at = (place & !TAIL) as usize;
        let (Some(&before), Some(&token)) = (self.tails.get(at - 1), self.tails.get(at)) else { return };
        if before == HASH {
            places.push(place);
        }
        if token == STAR || (token == symbol && token != END) {
            self.enter(place + 1, places);
        }
    }

    /// Adds a place, if anything but a `#` follows it, and what lies behind that `#`, which may take nothing.
    #[inline]
    fn enter(&self, place: Place, places: &mut Vec<Place>) {
        if place & TAIL == 0 {
            let Some(node) = self.nodes.get(place as usize) else { return };
            if node.ends || node.has_literals || node.star != NONE {
                places.push(place);
            }
            if node.hash != NONE {
                self.enter(node.hash, places);
            }
        } else if self.tails.get((place & !TAIL) as usize) == Some(&HASH) {
            places.push(place + 1);
        } else {
            places.push(place);
        }
    }
}

const ONE_STAR: Cut = Cut::Short(1 << 56 | b'*' as u64);
const ONE_HASH: Cut = Cut::Short(1 << 56 | b'#' as u64);
