//! Shapes of patterns: what is left of a pattern without its literal words.

use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::index::words::{Word, finish, placed_from_end};

/// The wildcards of a pattern with at most one `#`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    /// Words before the `#`, or all of them.
    pub(crate) prefix: u32,
    /// Words after the `#`.
    pub(crate) suffix: u32,
    /// Whether there is a `#`.
    pub(crate) hash: bool,
    /// Which words of the prefix are `*`.
    pub(crate) stars: u64,
    /// Which words of the suffix are `*`, counted from the end.
    pub(crate) end_stars: u64,
}

impl Form {
    /// The form of a pattern; `None` if it has several `#`, or wildcards too far from its ends.
    pub(crate) fn of(key: &[u8], words: &[Word]) -> Option<Self> {
        let text = |word: &Word| &key[word.start as usize..word.end as usize];
        let hashes = words.iter().filter(|word| text(word) == b"#").count();
        if hashes > 1 {
            return None;
        }
        let at = words.iter().position(|word| text(word) == b"#");
        let (prefix, suffix) = match at {
            Some(at) => (&words[..at], &words[at + 1..]),
            None => (words, &words[..0]),
        };
        Some(Form {
            prefix: prefix.len() as u32,
            suffix: suffix.len() as u32,
            hash: at.is_some(),
            stars: stars(prefix.iter().map(text))?,
            end_stars: stars(suffix.iter().rev().map(text))?,
        })
    }

    /// The fewest words that a key of this form has.
    pub(crate) fn least(&self) -> u32 {
        self.prefix + self.suffix
    }

    /// The hash of the literal words that a key, or the pattern itself, has in this form.
    /// `words` are at least [`least`](Self::least) many; of the pattern itself the `#` is no word of the suffix.
    #[inline(always)]
    pub(crate) fn hash(&self, seed: u64, words: &[Word]) -> u64 {
        let mut sum = seed;
        if let Some(last) = (self.prefix as usize).checked_sub(1).and_then(|last| words.get(last)) {
            sum = sum.wrapping_add(last.sum);
            let mut stars = self.stars;
            while stars != 0 {
                let at = stars.trailing_zeros() as usize;
                sum = sum.wrapping_sub(words.get(at).map_or(0, |word| word.placed));
                stars &= stars - 1;
            }
        }
        if self.suffix > 0 {
            for (at, word) in words.iter().rev().take(self.suffix as usize).enumerate() {
                if !is_star(self.end_stars, at) {
                    sum = sum.wrapping_add(placed_from_end(word.hash, at));
                }
            }
        }
        finish(sum)
    }

    /// Whether the literal words of `pattern`, which has this form, are those of `key`.
    #[inline(always)]
    pub(crate) fn verify(&self, pattern: &[u8], key: &[u8], words: &[Word]) -> bool {
        if !self.hash && self.stars == 0 {
            return pattern == key;
        }
        self.verify_wild(pattern, key, words).unwrap_or(false)
    }

    /// Compares what stands between the wildcards, which is text on both sides.
    fn verify_wild(&self, pattern: &[u8], key: &[u8], words: &[Word]) -> Option<bool> {
        let (mut rest, mut from) = (pattern, 0);
        let mut stars = self.stars;
        while stars != 0 {
            let word = words.get(stars.trailing_zeros() as usize)?;
            let literal = key.get(from..word.start as usize)?;
            rest = rest.strip_prefix(literal)?.strip_prefix(b"*")?;
            from = word.end as usize;
            stars &= stars - 1;
        }
        if !self.hash {
            return Some(rest == key.get(from..)?);
        }
        if let Some(last) = (self.prefix as usize).checked_sub(1) {
            let literal = key.get(from..words.get(last)?.end as usize)?;
            rest = rest.strip_prefix(literal)?.strip_prefix(b".")?;
        }
        rest = rest.strip_prefix(b"#")?;
        let first = words.len().checked_sub(self.suffix as usize)?;
        if self.suffix == 0 {
            return Some(rest.is_empty());
        }
        rest = rest.strip_prefix(b".")?;
        from = words.get(first)?.start as usize;
        for at in (0..self.suffix).rev() {
            if is_star(self.end_stars, at as usize) {
                let word = words.get(words.len() - 1 - at as usize)?;
                let literal = key.get(from..word.start as usize)?;
                rest = rest.strip_prefix(literal)?.strip_prefix(b"*")?;
                from = word.end as usize;
            }
        }
        Some(rest == key.get(from..)?)
    }
}

/// Words beyond the 64th are never stars here; such patterns have no form.
#[inline(always)]
const fn is_star(stars: u64, at: usize) -> bool {
    at < 64 && stars >> at & 1 == 1
}

fn stars<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<u64> {
    let mut stars = 0;
    for (at, word) in words.enumerate() {
        if word == b"*" {
            if at >= 64 {
                return None;
            }
            stars |= 1 << at;
        }
    }
    Some(stars)
}

/// A form in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) form: Form,
    /// Tells equal words in different forms apart.
    pub(crate) seed: u64,
    pub(crate) patterns: u32,
    /// A bit for the hash of each pattern: small shapes mostly say no without a look-up. Bits only ever come.
    filter: u64,
}

impl Shape {
    /// Whether a pattern of this hash may be there.
    #[inline(always)]
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        self.filter & filter_bit(hash) != 0
    }
}

/// Neither the bits that choose a bucket nor its tag nor the segment.
#[inline(always)]
const fn filter_bit(hash: u64) -> u64 {
    1 << (hash >> 50 & 63)
}

/// The shapes of one exchange, and which of them a key of a given length can have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    shapes: Vec<Shape>,
    by_form: HashMap<Form, u32, FixedState>,
    free: Vec<u32>,
    /// Per number of words: the shapes without `#` that have so many.
    exact: Vec<Group>,
    /// Per number of words: the shapes with `#` that need at most so many.
    with_hash: Vec<Group>,
    /// Per position: the shapes that have literal words there. Bits only ever come; they go with the last shape.
    literal: [u128; POSITIONS],
}

/// Positions, from the front, that the dictionary knows.
pub(crate) const POSITIONS: usize = 8;

/// Shapes the dictionary can leave out, as a set; the others are asked always.
pub(crate) const FILTERED: u32 = 128;

#[derive(Clone, Debug, Default)]
struct Group {
    filtered: u128,
    others: Vec<u32>,
}

impl Shapes {
    pub(crate) fn get(&self, shape: u32) -> Option<&Shape> {
        self.shapes.get(shape as usize)
    }

    pub(crate) fn literal(&self, position: usize) -> u128 {
        self.literal[position]
    }

    /// The shape of this form, made if there is none; one more pattern is counted.
    pub(crate) fn take(&mut self, form: Form) -> u32 {
        if let Some(shape) = self.find(&form) {
            self.shapes[shape as usize].patterns += 1;
            return shape;
        }
        let shape = Shape { form, seed: seed(&form), patterns: 1, filter: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                self.shapes[id as usize] = shape;
                id
            }
            None => {
                self.shapes.push(shape);
                self.shapes.len() as u32 - 1
            }
        };
        self.by_form.insert(form, id);
        self.enter(id, &form);
        id
    }

    /// Lets a shape know the hash of a pattern of its own.
    pub(crate) fn note(&mut self, shape: u32, hash: u64) {
        if let Some(shape) = self.shapes.get_mut(shape as usize) {
            shape.filter |= filter_bit(hash);
        }
    }

    pub(crate) fn find(&self, form: &Form) -> Option<u32> {
        self.by_form.get(form).copied()
    }

    /// Counts one pattern less; the shape goes with its last.
    pub(crate) fn release(&mut self, id: u32) {
        let shape = &mut self.shapes[id as usize];
        shape.patterns -= 1;
        if shape.patterns > 0 {
            return;
        }
        self.by_form.remove(&shape.form);
        for group in self.exact.iter_mut().chain(&mut self.with_hash) {
            if id < FILTERED {
                group.filtered &= !(1 << id);
            } else {
                group.others.retain(|other| *other != id);
            }
        }
        if id < FILTERED {
            self.literal.iter_mut().for_each(|literal| *literal &= !(1 << id));
        }
        self.free.push(id);
        if self.free.len() == self.shapes.len() {
            *self = Shapes::default();
        }
    }

    fn enter(&mut self, id: u32, form: &Form) {
        let least = form.least() as usize;
        let groups = if form.hash { &mut self.with_hash } else { &mut self.exact };
        if groups.len() <= least {
            // A longer key can have every shape with `#` that a shorter one can.
            let last = if form.hash { groups.last().cloned() } else { None };
            groups.resize(least + 1, last.unwrap_or_default());
        }
        let end = if form.hash { groups.len() } else { least + 1 };
        for group in &mut groups[least..end] {
            if id < FILTERED {
                group.filtered |= 1 << id;
            } else {
                group.others.push(id);
            }
        }
        if id < FILTERED {
            for position in (0..POSITIONS).take(form.prefix as usize) {
                if form.stars >> position & 1 == 0 {
                    self.literal[position] |= 1 << id;
                }
            }
        }
    }

    /// The shapes that a key of so many words can have: a set, and two lists of further ones.
    #[inline(always)]
    pub(crate) fn of_length(&self, words: usize) -> (u128, [&[u32]; 2]) {
        let exact = self.exact.get(words);
        let with_hash = self.with_hash.get(words).or(self.with_hash.last());
        let filtered = exact.map_or(0, |group| group.filtered) | with_hash.map_or(0, |group| group.filtered);
        (
            filtered,
            [exact.map_or(&[][..], |group| &group.others), with_hash.map_or(&[][..], |group| &group.others)],
        )
    }

    pub(crate) fn len(&self) -> usize {
        self.shapes.len()
    }
}

fn seed(form: &Form) -> u64 {
    let lengths = u64::from(form.prefix) << 33 | u64::from(form.suffix) << 1 | u64::from(form.hash);
    finish(finish(lengths) ^ finish(form.stars.wrapping_add(1)) ^ form.end_stars.rotate_left(17))
}
