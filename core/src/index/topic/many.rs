//! Patterns with several `#`, and the few that no shape holds: found by one of their words, then matched greedily.
//!
//! Greedy is exact: the words between two `#` may as well be taken at the first place where they fit. One pattern costs
//! at most its own length times that of the key, and is tried once a route.

use alloc::{boxed::Box, vec::Vec};

use crate::{
    hash::{hash, tag},
    id::BindingId,
    index::{
        entries::{Entries, Entry},
        words::{Text, Word},
    },
    slots::Slots,
    stamps::Stamps,
    tags::Tags,
    work::Work,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Many {
    seed: u64,
    patterns: Slots<Pattern>,
    /// Patterns by their text.
    table: Tags<u32>,
    anchors: Slots<Anchor>,
    /// Anchors by their hash.
    by_hash: Tags<u32>,
    /// Patterns without a literal word.
    free: Vec<u32>,
    /// A bit for each anchor's hash, once there are any: most words of most keys are no anchor. Bits only ever come; they go
    /// with the last pattern.
    filter: Option<Box<[u64; FILTER]>>,
    /// The tokens of all patterns: how many states they have together.
    states: usize,
}

/// A word by which patterns are found: of their literal words the one that the fewest patterns were found by.
#[derive(Clone, Debug)]
struct Anchor {
    hash: u64,
    patterns: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Pattern {
    key: Box<[u8]>,
    tokens: Box<[Token]>,
    /// The fewest words of a key.
    least: usize,
    anchor: Option<u32>,
    /// Where it stands in the list of its anchor, or in that of those without.
    at: usize,
    entries: Entries,
}

#[derive(Clone, Copy, Debug)]
enum Token {
    Star,
    Hash,
    Word { start: u32, end: u32, hash: u64 },
}

/// Four thousand bits: some hundred anchors leave most of them clear.
const FILTER: usize = 64;

/// The place in the filter, and the bit there.
#[inline(always)]
const fn bit(hash: u64) -> (usize, u64) {
    ((hash >> 58) as usize % FILTER, 1 << (hash >> 52 & 63))
}

impl Many {
    pub(crate) fn new(seed: u64) -> Self {
        Many { seed, ..Many::default() }
    }

    /// Adds a binding, and says under which number its pattern is.
    pub(crate) fn insert(&mut self, key: &[u8], words: impl Text, entry: Entry) -> u32 {
        let by_text = tag(hash(self.seed, key));
        let same = |id: &u32| self.patterns.get(*id).is_some_and(|pattern| *pattern.key == *key);
        if let Some(&id) = self.table.find(by_text, same)
            && let Some(pattern) = self.patterns.get_mut(id)
        {
            pattern.entries.insert(entry);
            return id;
        }
        let tokens: Box<[Token]> = (0..words.count()).map(|at| Token::of(key, words.word(at))).collect();
        let least = tokens.iter().filter(|token| !matches!(token, Token::Hash)).count();
        let anchor = self.anchor(&tokens);
        let at = self.list(anchor).map_or(0, |list| list.len());
        self.states += tokens.len() + 1;
        let entries = Entries::new(entry);
        let id = self.patterns.insert(Pattern { key: key.into(), tokens, least, anchor, at, entries });
        self.table.insert(by_text, id);
        if let Some(list) = self.list(anchor) {
            list.push(id);
        }
        id
    }

    pub(crate) fn remove(&mut self, id: u32, binding: BindingId) {
        let Some(pattern) = self.patterns.get_mut(id) else { return };
        if !pattern.entries.remove(binding) {
            return;
        }
        let Some(Pattern { key, tokens, anchor, at, .. }) = self.patterns.remove(id) else { return };
        self.states -= tokens.len() + 1;
        self.table.remove(tag(hash(self.seed, &key)), |other| *other == id);
        let moved = self.list(anchor).and_then(|list| {
            list.swap_remove(at);
            list.get(at).copied()
        });
        if let Some(moved) = moved.and_then(|moved| self.patterns.get_mut(moved)) {
            moved.at = at;
        }
        if let Some(number) = anchor
            && self.anchors.get(number).is_some_and(|anchor| anchor.patterns.is_empty())
            && let Some(anchor) = self.anchors.remove(number)
        {
            self.by_hash.remove(tag(anchor.hash), |other| *other == number);
        }
        if self.is_empty() {
            *self = Many::new(self.seed);
        }
    }

    pub(crate) fn key(&self, id: u32) -> &[u8] {
        self.patterns.get(id).map_or(&[], |pattern| &pattern.key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// How many states all patterns have together: a route takes at most so many steps for every word of its key.
    pub(crate) const fn states(&self) -> usize {
        self.states
    }

    /// Calls `found` with each binding whose pattern matches, each once.
    #[inline(always)]
    pub(crate) fn matches(
        &self,
        key: &[u8],
        words: impl Text,
        seen: &mut Stamps,
        work: &mut Work,
        found: &mut impl FnMut(Entry),
    ) {
        work.add(words.count());
        let mut fresh = false;
        if !self.free.is_empty() {
            fresh = true;
            seen.clear(self.patterns.bound());
            self.ask(&self.free, key, words, seen, work, found);
        }
        let Some(filter) = &self.filter else { return };
        for at in 0..words.count() {
            let hash = words.word(at).hash;
            let (place, bit) = bit(hash);
            if filter[place] & bit == 0 {
                continue;
            }
            if let Some(anchor) = self.anchor_of(hash).and_then(|number| self.anchors.get(number)) {
                if !fresh {
                    fresh = true;
                    seen.clear(self.patterns.bound());
                }
                self.ask(&anchor.patterns, key, words, seen, work, found);
            }
        }
    }

    #[inline(never)]
    fn ask(
        &self,
        patterns: &[u32],
        key: &[u8],
        words: impl Text,
        seen: &mut Stamps,
        work: &mut Work,
        found: &mut impl FnMut(Entry),
    ) {
        for id in patterns {
            if let Some(pattern) = self.patterns.get(*id)
                && seen.insert(*id)
                && pattern.matches(key, words, work)
            {
                pattern.entries.for_each(found);
            }
        }
    }

    fn anchor_of(&self, hash: u64) -> Option<u32> {
        let same = |number: &u32| self.anchors.get(*number).is_some_and(|anchor| anchor.hash == hash);
        self.by_hash.find(tag(hash), same).copied()
    }

    /// The list of patterns that are found by an anchor, or by none.
    fn list(&mut self, anchor: Option<u32>) -> Option<&mut Vec<u32>> {
        match anchor {
            Some(number) => self.anchors.get_mut(number).map(|anchor| &mut anchor.patterns),
            None => Some(&mut self.free),
        }
    }

    /// Chooses the anchor of a pattern; a longer word where two are used as often.
    fn anchor(&mut self, tokens: &[Token]) -> Option<u32> {
        let words = tokens.iter().filter_map(|token| match token {
            Token::Word { start, end, hash } => Some((*hash, end - start)),
            Token::Star | Token::Hash => None,
        });
        let uses = |hash: u64| {
            let anchor = self.anchor_of(hash).and_then(|number| self.anchors.get(number));
            anchor.map_or(0, |anchor| anchor.patterns.len())
        };
        let (hash, _) = words.min_by_key(|(hash, length)| (uses(*hash), u32::MAX - length))?;
        Some(self.anchor_of(hash).unwrap_or_else(|| {
            let number = self.anchors.insert(Anchor { hash, patterns: Vec::new() });
            self.by_hash.insert(tag(hash), number);
            let (place, bit) = bit(hash);
            self.filter.get_or_insert_with(|| Box::new([0; FILTER]))[place] |= bit;
            number
        }))
    }
}

impl Token {
    fn of(key: &[u8], word: Word) -> Self {
        match &key[word.start as usize..word.end as usize] {
            b"*" => Token::Star,
            b"#" => Token::Hash,
            _ => Token::Word { start: word.start, end: word.end, hash: word.hash },
        }
    }
}

impl Pattern {
    fn matches(&self, key: &[u8], words: impl Text, work: &mut Work) -> bool {
        if words.count() < self.least {
            return false;
        }
        let (mut token, mut at) = (0, 0);
        // After the `#` met last, and the first word that it does not take yet.
        let mut last: Option<(usize, usize)> = None;
        loop {
            work.add(1);
            if let Some(Token::Hash) = self.tokens.get(token) {
                token += 1;
                last = Some((token, at));
                if token == self.tokens.len() {
                    return true;
                }
                continue;
            }
            if at >= words.count() {
                return token == self.tokens.len();
            }
            if self.tokens.get(token).is_some_and(|token| self.takes(token, key, words.word(at))) {
                token += 1;
                at += 1;
                continue;
            }
            let Some((after, taken)) = &mut last else { return false };
            *taken += 1;
            token = *after;
            at = *taken;
        }
    }

    #[inline(always)]
    fn takes(&self, token: &Token, key: &[u8], word: Word) -> bool {
        match token {
            Token::Star => true,
            Token::Hash => false,
            Token::Word { start, end, hash } => {
                *hash == word.hash
                    && self.key.get(*start as usize..*end as usize)
                        == key.get(word.start as usize..word.end as usize)
            }
        }
    }
}
