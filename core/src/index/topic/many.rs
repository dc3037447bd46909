//! Patterns with several `#`, and the few that no shape holds: found by one of their words, then matched greedily.
//!
//! Greedy is exact: the words between two `#` may as well be taken at the first place where they fit. One pattern costs
//! at most its own length times that of the key, and is tried once a route.

use alloc::{boxed::Box, vec::Vec};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::{
    id::BindingId,
    index::{
        entries::{Entries, Entry},
        words::Word,
    },
    slots::Slots,
    stamps::Stamps,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Many {
    patterns: Slots<Pattern>,
    /// Patterns by the hash of their anchor: of their literal words the one that the fewest patterns were found by.
    anchors: HashMap<u64, Vec<u32>, FixedState>,
    /// Patterns without a literal word.
    free: Vec<u32>,
    /// A bit for each anchor's hash: most words of most keys are no anchor.
    filter: u64,
}

#[derive(Clone, Debug)]
struct Pattern {
    key: Box<[u8]>,
    tokens: Box<[Token]>,
    /// The fewest words of a key.
    least: usize,
    anchor: Option<u64>,
    entries: Entries,
}

#[derive(Clone, Copy, Debug)]
enum Token {
    Star,
    Hash,
    Word { start: u32, end: u32, hash: u64 },
}

const fn bit(hash: u64) -> u64 {
    1 << (hash >> 58)
}

impl Many {
    pub(crate) fn insert(&mut self, key: &[u8], words: &[Word], entry: Entry) {
        if let Some(pattern) = self.find(key, words).and_then(|id| self.patterns.get_mut(id)) {
            pattern.entries.insert(entry);
            return;
        }
        let tokens: Box<[Token]> = words.iter().map(|word| Token::of(key, word)).collect();
        let least = tokens.iter().filter(|token| !matches!(token, Token::Hash)).count();
        let anchor = self.anchor(&tokens);
        let key = key.into();
        let id = self.patterns.insert(Pattern { key, tokens, least, anchor, entries: Entries::new(entry) });
        match anchor {
            None => self.free.push(id),
            Some(hash) => {
                self.anchors.entry(hash).or_default().push(id);
                self.filter |= bit(hash);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8], words: &[Word], binding: BindingId) {
        let Some(id) = self.find(key, words) else { return };
        let Some(pattern) = self.patterns.get_mut(id) else { return };
        if !pattern.entries.remove(binding) {
            return;
        }
        let anchor = pattern.anchor;
        self.patterns.remove(id);
        match anchor {
            None => self.free.retain(|other| *other != id),
            Some(hash) => {
                if let Some(list) = self.anchors.get_mut(&hash) {
                    list.retain(|other| *other != id);
                    if list.is_empty() {
                        self.anchors.remove(&hash);
                    }
                }
            }
        }
        if self.is_empty() {
            *self = Many::default();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.len() == 0
    }

    #[inline(always)]
    pub(crate) fn matches(
        &self,
        key: &[u8],
        words: &[Word],
        seen: &mut Stamps,
        found: &mut impl FnMut(Entry),
    ) {
        if !self.is_empty() {
            self.search(key, words, seen, found);
        }
    }

    fn search(&self, key: &[u8], words: &[Word], seen: &mut Stamps, found: &mut impl FnMut(Entry)) {
        seen.clear(self.patterns.bound());
        let mut ask = |id: u32| {
            if let Some(pattern) = self.patterns.get(id)
                && seen.insert(id)
                && pattern.matches(key, words)
            {
                pattern.entries.for_each(found);
            }
        };
        self.free.iter().for_each(|id| ask(*id));
        for word in words {
            if self.filter & bit(word.hash) != 0
                && let Some(list) = self.anchors.get(&word.hash)
            {
                list.iter().for_each(|id| ask(*id));
            }
        }
    }

    fn find(&self, key: &[u8], words: &[Word]) -> Option<u32> {
        let anchors = words.iter().filter_map(|word| self.anchors.get(&word.hash)).flatten();
        let mut candidates = anchors.chain(&self.free).copied();
        candidates.find(|id| self.patterns.get(*id).is_some_and(|pattern| *pattern.key == *key))
    }

    fn anchor(&self, tokens: &[Token]) -> Option<u64> {
        let words = tokens.iter().filter_map(|token| match token {
            Token::Word { start, end, hash } => Some((*hash, end - start)),
            Token::Star | Token::Hash => None,
        });
        let uses = |hash: &u64| self.anchors.get(hash).map_or(0, Vec::len);
        words.min_by_key(|(hash, length)| (uses(hash), u32::MAX - length)).map(|(hash, _)| hash)
    }
}

impl Token {
    fn of(key: &[u8], word: &Word) -> Self {
        match &key[word.start as usize..word.end as usize] {
            b"*" => Token::Star,
            b"#" => Token::Hash,
            _ => Token::Word { start: word.start, end: word.end, hash: word.hash },
        }
    }
}

impl Pattern {
    fn matches(&self, key: &[u8], words: &[Word]) -> bool {
        if words.len() < self.least {
            return false;
        }
        let (mut token, mut at) = (0, 0);
        // After the `#` met last, and the first word that it does not take yet.
        let mut last: Option<(usize, usize)> = None;
        loop {
            if let Some(Token::Hash) = self.tokens.get(token) {
                token += 1;
                last = Some((token, at));
                if token == self.tokens.len() {
                    return true;
                }
                continue;
            }
            let Some(word) = words.get(at) else {
                return token == self.tokens.len();
            };
            if self.tokens.get(token).is_some_and(|token| self.takes(token, key, word)) {
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
    fn takes(&self, token: &Token, key: &[u8], word: &Word) -> bool {
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
