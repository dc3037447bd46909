//! Patterns with several `#`, and the few that no shape holds: found by one of their words, then asked one by one.
//!
//! Taking what stands between two `#` at the first place where it fits is exact. A few patterns are matched so along the
//! key; for many, the places of each word of the key are noted once ([`Places`]), and then a pattern costs its own length.

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

mod places;

use places::Places;

#[derive(Clone, Debug, Default)]
pub(crate) struct Many {
    seed: u64,
    patterns: Slots<Pattern>,
    /// Patterns by their text.
    table: Tags<u32>,
    literals: Slots<Literal>,
    /// Literals by their hash.
    by_hash: Tags<u32>,
    /// Patterns without a literal word.
    free: Vec<u32>,
    /// A bit for the hash of each literal that patterns are found by, once there are any: most words of most keys are none.
    /// Bits only ever come; they go with the last pattern.
    filter: Option<Box<[u64; FILTER]>>,
    /// The tokens of all patterns: how many states they have together.
    states: usize,
}

/// Memory that a match needs.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    seen: Stamps,
    /// The patterns to ask, then those that match.
    patterns: Vec<u32>,
    places: Places,
    /// Counts on with every pattern asked, and whatever else costs as much.
    pub(crate) costs: u32,
}

/// A word that patterns have.
#[derive(Clone, Debug)]
struct Literal {
    hash: u64,
    text: Box<[u8]>,
    /// How often patterns have it.
    uses: u32,
    /// The patterns that are found by it: of their literals the one that the fewest were found by.
    patterns: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Pattern {
    key: Box<[u8]>,
    tokens: Box<[Token]>,
    /// The fewest words of a key.
    least: usize,
    /// A bit for the hash of each of its literals: a key that matches has all of them.
    bits: u64,
    anchor: Option<u32>,
    /// Where it stands in the list of its anchor, or in that of those without.
    at: usize,
    entries: Entries,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Star,
    Hash,
    /// The literal with this number.
    Word(u32),
}

/// Four thousand bits: some hundred anchors leave most of them clear.
const FILTER: usize = 64;
/// So many patterns are matched along the key; for more its words' places are noted.
const FEW: usize = 8;

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
        let tokens: Box<[Token]> = (0..words.count()).map(|at| self.token(key, words.word(at))).collect();
        let least = tokens.iter().filter(|token| !matches!(token, Token::Hash)).count();
        let literals = words.list().iter().zip(&tokens).filter(|(_, token)| matches!(token, Token::Word(_)));
        let bits = literals.fold(0, |bits, (word, _)| bits | 1 << (word.hash & 63));
        let anchor = self.anchor(&tokens);
        let at = self.list(anchor).map_or(0, |list| list.len());
        self.states += tokens.len() + 1;
        let entries = Entries::new(entry);
        let id = self.patterns.insert(Pattern { key: key.into(), tokens, least, bits, anchor, at, entries });
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
        tokens.iter().for_each(|token| self.release(*token));
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

    pub(crate) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// The pattern with this number; `Some(None)` if it is gone, `None` behind the last.
    pub(crate) fn pattern(&self, number: u32) -> Option<Option<&[u8]>> {
        ((number as usize) < self.patterns.bound())
            .then(|| self.patterns.get(number).map(|pattern| &*pattern.key))
    }

    /// How many states all patterns have together: a route takes at most so many steps for every word of its key.
    pub(crate) const fn states(&self) -> usize {
        self.states
    }

    /// Calls `found` with each binding whose pattern matches, each once: in the order of the patterns, whatever that of
    /// the key's words, so that which patterns match says all.
    #[inline(always)]
    pub(crate) fn matches(
        &self,
        key: &[u8],
        words: impl Text,
        asked: &mut Asked,
        work: &mut Work,
        found: &mut impl FnMut(Entry),
    ) {
        work.add(words.count());
        asked.patterns.clear();
        if !self.free.is_empty() {
            asked.seen.clear(self.patterns.bound());
            self.list_to_ask(&self.free, u64::MAX, asked);
        }
        if let Some(filter) = &self.filter {
            for word in words.list() {
                let (place, bit) = bit(word.hash);
                if filter[place] & bit != 0 {
                    self.list_of(*word, key, words, asked);
                }
            }
        }
        if !asked.patterns.is_empty() {
            self.ask(key, words, asked, work, found);
        }
    }

    /// Notes the patterns that are found by a word, if there are any.
    #[inline(never)]
    fn list_of(&self, word: Word, key: &[u8], words: impl Text, asked: &mut Asked) {
        if let Some(literal) = self.literal(word, key).and_then(|number| self.literals.get(number)) {
            if asked.patterns.is_empty() {
                asked.seen.clear(self.patterns.bound());
            }
            let bits = words.list().iter().fold(0, |bits, word| bits | 1 << (word.hash & 63));
            self.list_to_ask(&literal.patterns, bits, asked);
        }
    }

    /// Notes those that have no other literals than a key of these bits.
    fn list_to_ask(&self, patterns: &[u32], bits: u64, Asked { seen, patterns: asked, .. }: &mut Asked) {
        for id in patterns {
            let has_all = self.patterns.get(*id).is_some_and(|pattern| pattern.bits & !bits == 0);
            if has_all && seen.insert(*id) {
                asked.push(*id);
            }
        }
    }

    #[inline(never)]
    fn ask(
        &self,
        key: &[u8],
        words: impl Text,
        asked: &mut Asked,
        work: &mut Work,
        found: &mut impl FnMut(Entry),
    ) {
        let Asked { patterns, places, costs, .. } = asked;
        *costs = costs.wrapping_add(patterns.len() as u32);
        let pattern = |id: &u32| self.patterns.get(*id);
        work.add(if patterns.len() > FEW { words.count() } else { 0 });
        if patterns.len() > FEW && places.note(words.count(), |at| self.literal(words.word(at), key)) {
            patterns.retain(|id| pattern(id).is_some_and(|pattern| pattern.fits(places, work)));
        } else {
            patterns.retain(|id| {
                pattern(id).is_some_and(|pattern| self.matches_along(pattern, key, words, work))
            });
        }
        crate::sort::sort(patterns);
        patterns.iter().filter_map(pattern).for_each(|pattern| pattern.entries.for_each(found));
    }

    /// The number of a word of this key, if patterns have it.
    #[inline(always)]
    fn literal(&self, word: Word, key: &[u8]) -> Option<u32> {
        let text = key.get(word.start as usize..word.end as usize)?;
        let same = |number: &u32| {
            self.literals
                .get(*number)
                .is_some_and(|literal| literal.hash == word.hash && *literal.text == *text)
        };
        self.by_hash.find(tag(word.hash), same).copied()
    }

    /// The list of patterns that are found by a literal, or by none.
    fn list(&mut self, anchor: Option<u32>) -> Option<&mut Vec<u32>> {
        match anchor {
            Some(number) => self.literals.get_mut(number).map(|literal| &mut literal.patterns),
            None => Some(&mut self.free),
        }
    }

    /// A word of a pattern, which uses its literal from now on.
    fn token(&mut self, key: &[u8], word: Word) -> Token {
        let text = &key[word.start as usize..word.end as usize];
        match text {
            b"*" => Token::Star,
            b"#" => Token::Hash,
            _ => {
                let known = self.literal(word, key);
                let number = known.unwrap_or_else(|| {
                    let literal =
                        Literal { hash: word.hash, text: text.into(), uses: 0, patterns: Vec::new() };
                    let number = self.literals.insert(literal);
                    self.by_hash.insert(tag(word.hash), number);
                    number
                });
                if let Some(literal) = self.literals.get_mut(number) {
                    literal.uses += 1;
                }
                Token::Word(number)
            }
        }
    }

    /// Counts one use less; the literal goes with its last.
    fn release(&mut self, token: Token) {
        let Token::Word(number) = token else { return };
        let Some(literal) = self.literals.get_mut(number) else { return };
        literal.uses -= 1;
        if literal.uses == 0 {
            let hash = literal.hash;
            self.literals.remove(number);
            self.by_hash.remove(tag(hash), |other| *other == number);
        }
    }

    /// Chooses the literal that a pattern is found by; a longer word where two are used as often.
    fn anchor(&mut self, tokens: &[Token]) -> Option<u32> {
        let literals = tokens.iter().filter_map(|token| match token {
            Token::Word(number) => self.literals.get(*number).map(|literal| (*number, literal)),
            Token::Star | Token::Hash => None,
        });
        let (number, hash) = literals
            .min_by_key(|(_, literal)| (literal.patterns.len(), usize::MAX - literal.text.len()))
            .map(|(number, literal)| (number, literal.hash))?;
        let (place, bit) = bit(hash);
        self.filter.get_or_insert_with(|| Box::new([0; FILTER]))[place] |= bit;
        Some(number)
    }

    /// Matches one pattern along a key of any length: what follows a `#` is tried from each word on.
    fn matches_along(&self, pattern: &Pattern, key: &[u8], words: impl Text, work: &mut Work) -> bool {
        if words.count() < pattern.least {
            return false;
        }
        let tokens = &pattern.tokens;
        let (mut token, mut at) = (0, 0);
        // After the `#` met last, and the first word that it does not take yet.
        let mut last: Option<(usize, usize)> = None;
        loop {
            work.add(1);
            if let Some(Token::Hash) = tokens.get(token) {
                token += 1;
                last = Some((token, at));
                if token == tokens.len() {
                    return true;
                }
                continue;
            }
            if at >= words.count() {
                return token == tokens.len();
            }
            if tokens.get(token).is_some_and(|token| self.takes(*token, key, words.word(at))) {
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
    fn takes(&self, token: Token, key: &[u8], word: Word) -> bool {
        match token {
            Token::Star => true,
            Token::Hash => false,
            Token::Word(number) => self.literals.get(number).is_some_and(|literal| {
                literal.hash == word.hash
                    && key.get(word.start as usize..word.end as usize) == Some(&*literal.text)
            }),
        }
    }
}
