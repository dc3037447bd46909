//! The words of the patterns as numbers.

use alloc::vec::Vec;

use super::cut::{Cut, NO_SHORT};
use crate::{
    hash::{GOLDEN, fold, hash, tag},
    tags::Tags,
};

/// What a word is called in the automaton: two words of one name are the same to every pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The word itself if it is short, otherwise a number that no short word is.
    pub(super) word: u64,
    /// The number in patterns; [`OTHER`] if no pattern has the word.
    pub(super) symbol: u32,
}

/// What a pattern is made of; literal words follow.
pub(super) const STAR: u32 = 0;
pub(super) const HASH: u32 = 1;
/// Ends a pattern.
pub(super) const END: u32 = 2;
const FIRST: u32 = 3;
/// A word of no pattern.
pub(super) const OTHER: u32 = u32::MAX;

const OTHER_NAME: Name = Name { word: NO_SHORT | OTHER as u64, symbol: OTHER };

#[derive(Debug)]
pub(super) struct Names {
    seed: u64,
    literals: Vec<Literal>,
    by_hash: Tags<u32>,
    /// The text of long words.
    text: Vec<u8>,
}

#[derive(Debug)]
enum Literal {
    Short(u64),
    /// From where to where in the text.
    Long(u32, u32),
}

impl Names {
    pub(super) fn new(seed: u64) -> Self {
        Names { seed, literals: Vec::new(), by_hash: Tags::default(), text: Vec::new() }
    }

    /// The name of a word of this key.
    pub(super) fn find(&self, word: Cut, key: &[u8]) -> Name {
        let text = text(word, key);
        let same = |number: &u32| match (self.literals.get(*number as usize), word) {
            (Some(Literal::Short(mine)), Cut::Short(other)) => *mine == other,
            (Some(Literal::Long(from, to)), Cut::Long(..)) => {
                self.text.get(*from as usize..*to as usize) == Some(text)
            }
            _ => false,
        };
        self.by_hash.find(self.tag(word, text), same).map_or(OTHER_NAME, |number| {
            let symbol = FIRST + number;
            match word {
                Cut::Short(word) => Name { word, symbol },
                Cut::Long(..) => Name { word: NO_SHORT | u64::from(symbol), symbol },
            }
        })
    }

    /// The name of a word of a pattern, which has one from now on.
    pub(super) fn add(&mut self, word: Cut, key: &[u8]) -> Name {
        let found = self.find(word, key);
        if found.symbol != OTHER {
            return found;
        }
        let literal = match word {
            Cut::Short(word) => Literal::Short(word),
            Cut::Long(..) => {
                let from = self.text.len() as u32;
                self.text.extend_from_slice(text(word, key));
                Literal::Long(from, self.text.len() as u32)
            }
        };
        self.by_hash.insert(self.tag(word, text(word, key)), self.literals.len() as u32);
        self.literals.push(literal);
        self.find(word, key)
    }

    /// About how many bytes all this takes.
    pub(super) fn bytes(&self) -> usize {
        self.literals.len() * (size_of::<Literal>() + 16) + self.text.len()
    }

    #[inline(always)]
    fn tag(&self, word: Cut, text: &[u8]) -> u32 {
        match word {
            Cut::Short(word) => tag(fold(word ^ self.seed, GOLDEN)),
            Cut::Long(..) => tag(hash(self.seed, text)),
        }
    }
}

/// The text of a long word; that of a short one is in its number.
#[inline(always)]
fn text(word: Cut, key: &[u8]) -> &[u8] {
    match word {
        Cut::Short(_) => &[],
        Cut::Long(from, to) => key.get(from as usize..to as usize).unwrap_or_default(),
    }
}
