//! Where the words of one key stand, a bit for each place: the first place where a run of words fits comes of a few
//! shifts, whatever the length of the key.

use alloc::vec::Vec;

use super::{Pattern, Token};
use crate::work::Work;

/// The places of the literals that a key has.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The key's words.
    count: usize,
    epoch: u32,
    /// Per literal: the epoch in which it was seen last, and the number of its mask then.
    seen: Vec<(u32, u32)>,
    masks: Vec<Mask>,
}

/// A bit a word, from the front.
type Mask = [u64; MOST / 64];

/// The most words that a key of AMQP's length has.
const MOST: usize = 256;
const NOWHERE: Mask = [0; MOST / 64];

impl Places {
    /// Takes in a key of so many words; false if it is too long. `literal` gives the number of a word, if it is one.
    pub(super) fn note(&mut self, count: usize, literal: impl Fn(usize) -> Option<u32>) -> bool {
        if count > MOST {
            return false;
        }
        self.count = count;
        self.masks.clear();
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // The epoch came round: what was seen four billion keys ago would look current.
            self.seen.fill((0, 0));
            self.epoch = 1;
        }
        for at in 0..count {
            let Some(number) = literal(at) else { continue };
            if self.seen.len() <= number as usize {
                self.seen.resize(number as usize + 1, (0, 0));
            }
            let seen = &mut self.seen[number as usize];
            if seen.0 != self.epoch {
                *seen = (self.epoch, self.masks.len() as u32);
                self.masks.push(NOWHERE);
            }
            self.masks[seen.1 as usize][at / 64] |= 1 << (at % 64);
        }
        true
    }

    #[inline(always)]
    fn mask(&self, literal: u32) -> Option<&Mask> {
        let (epoch, mask) = *self.seen.get(literal as usize)?;
        if epoch == self.epoch { self.masks.get(mask as usize) } else { None }
    }

    /// Whether a token takes the word at a place of the key.
    #[inline(always)]
    fn takes(&self, token: Token, at: usize) -> bool {
        match token {
            Token::Star => true,
            Token::Hash => false,
            Token::Word(literal) => self.mask(literal).is_some_and(|mask| bits(mask, at) & 1 == 1),
        }
    }

    /// The first place from `from` on where the tokens of `run` take one word each.
    #[inline(always)]
    fn find(&self, run: &[Token], from: usize, work: &mut Work) -> Option<usize> {
        let mut at = from;
        while at < self.count {
            // A bit for each of the next 64 places.
            let mut fits = u64::MAX;
            for (after, token) in run.iter().enumerate() {
                work.add(1);
                if let Token::Word(literal) = token {
                    fits &= bits(self.mask(*literal)?, at + after);
                }
            }
            if fits != 0 {
                return Some(at + fits.trailing_zeros() as usize);
            }
            at += 64;
        }
        None
    }
}

/// The 64 bits from a place on.
#[inline(always)]
fn bits(mask: &Mask, from: usize) -> u64 {
    let limb = |at: usize| mask.get(at).copied().unwrap_or_default();
    let (at, shift) = (from / 64, from as u32 % 64);
    limb(at) >> shift | limb(at + 1).unbounded_shl(64 - shift)
}

impl Pattern {
    /// Whether the key noted has this pattern: what stands before the first `#` and behind the last is where it has to be,
    /// and each run between two `#` is taken at the first place where it fits.
    pub(super) fn fits(&self, places: &Places, work: &mut Work) -> bool {
        if places.count < self.least {
            return false;
        }
        let hash = |token: &Token| *token == Token::Hash;
        let first = self.tokens.iter().position(hash).unwrap_or(self.tokens.len());
        let last = self.tokens.iter().rposition(hash).unwrap_or(first);
        let (before, behind) = (&self.tokens[..first], self.tokens.get(last + 1..).unwrap_or_default());
        let end = places.count - behind.len();
        work.add(1 + before.len() + behind.len());
        if (first == self.tokens.len() && first != places.count)
            || !(0..).zip(before).all(|(at, token)| places.takes(*token, at))
            || !(end..).zip(behind).all(|(at, token)| places.takes(*token, at))
        {
            return false;
        }
        let mut at = first;
        for run in self.tokens.get(first + 1..last).unwrap_or_default().split(hash) {
            if run.is_empty() {
                continue;
            }
            match places.find(run, at, work) {
                Some(place) if place + run.len() <= end => at = place + run.len(),
                _ => return false,
            }
        }
        true
    }
}
