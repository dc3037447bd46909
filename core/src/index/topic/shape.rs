//! Shapes of patterns: what is left of a pattern without its literal words.

use alloc::{boxed::Box, vec::Vec};

use crate::{
    hash::{hash, join, tag},
    index::words::{Text, Word, behind},
    same::same,
    tags::Tags,
};

/// More words than a key of AMQP has.
const MOST_WORDS: u64 = 256;

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
    pub(crate) fn of(key: &[u8], words: impl Text) -> Option<Self> {
        let text = |at: usize| &key[words.word(at).start as usize..words.word(at).end as usize];
        let count = words.count();
        let mut hashes = (0..count).filter(|at| text(*at) == b"#");
        let at = hashes.next();
        if hashes.next().is_some() {
            return None;
        }
        let prefix = at.unwrap_or(count);
        let suffix = at.map_or(0, |at| count - at - 1);
        Some(Form {
            prefix: prefix as u32,
            suffix: suffix as u32,
            hash: at.is_some(),
            stars: stars((0..prefix).map(text))?,
            end_stars: stars((0..suffix).map(|at| text(count - 1 - at)))?,
        })
    }

    /// A form that somebody wrote down; `None` if no pattern has it.
    pub(crate) fn checked(prefix: u64, suffix: u64, hash: bool, stars: u64, end_stars: u64) -> Option<Self> {
        let fits = |stars: u64, words: u64| words >= 64 || stars >> words == 0;
        let whole = hash && prefix + suffix <= MOST_WORDS
            || !hash && suffix == 0 && (1..=MOST_WORDS).contains(&prefix);
        (prefix <= MOST_WORDS
            && suffix <= MOST_WORDS
            && whole
            && fits(stars, prefix)
            && fits(end_stars, suffix))
        .then_some(Form { prefix: prefix as u32, suffix: suffix as u32, hash, stars, end_stars })
    }

    /// How many of its words are literal.
    pub(crate) const fn literals(&self) -> u32 {
        self.prefix + self.suffix - self.stars.count_ones() - self.end_stars.count_ones()
    }

    /// Tells the hashes of this form from those of others.
    pub(crate) fn seed(&self) -> u64 {
        self.mixed()
    }

    /// The fewest words that a key of this form has.
    pub(crate) const fn least(&self) -> u32 {
        self.prefix + self.suffix
    }

    /// The hash of the literal words that a key, or the pattern itself, has in this form: a sum of products of hashes whose
    /// bits are all alike, and so are its own.
    /// `words` are at least [`least`](Self::least) many; of the pattern itself the `#` is no word of the suffix.
    #[inline(always)]
    pub(crate) fn hash(&self, seed: u64, words: impl Text) -> u64 {
        let mut sum = seed.wrapping_add(words.sum(self.prefix as usize));
        let mut stars = self.stars;
        while stars != 0 {
            sum = sum.wrapping_sub(words.word(stars.trailing_zeros() as usize).placed);
            stars &= stars - 1;
        }
        if self.suffix > 0 {
            let (count, before) = (words.count(), words.count() - self.suffix as usize);
            let mut end = words.sum(count).wrapping_sub(words.sum(before));
            let mut stars = self.end_stars;
            while stars != 0 {
                end = end.wrapping_sub(words.word(count - 1 - stars.trailing_zeros() as usize).placed);
                stars &= stars - 1;
            }
            sum = sum.wrapping_add(behind(end, before));
        }
        sum
    }

    /// Whether the literal words of `pattern`, which has this form, are those of `key`.
    ///
    /// First for most patterns: those without wildcards, and those that end in their only one, a `#`. In place, but where code
    /// is downloaded before it runs.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    pub(crate) fn verify(&self, pattern: &[u8], key: &[u8], words: impl Text) -> bool {
        if self.stars != 0 || self.suffix != 0 {
            return self.verify_wild(pattern, key, words).unwrap_or(false);
        }
        if !self.hash {
            return same(pattern, key);
        }
        match pattern.split_last_chunk::<2>() {
            // Nothing but the `#`.
            None => self.prefix == 0 && pattern == b"#",
            Some((literal, end)) => {
                let count = words.word((self.prefix as usize).wrapping_sub(1)).end as usize;
                end == b".#" && key.get(..count).is_some_and(|words| same(literal, words))
            }
        }
    }

    /// Compares what stands between the wildcards, which is text on both sides.
    #[inline(always)]
    fn verify_wild(&self, pattern: &[u8], key: &[u8], words: impl Text) -> Option<bool> {
        let (mut rest, mut from) = (pattern, 0);
        let mut stars = self.stars;
        while stars != 0 {
            let word = words.word(stars.trailing_zeros() as usize);
            rest = after(rest, key.get(from..word.start as usize)?, b'*')?;
            from = word.end as usize;
            stars &= stars - 1;
        }
        if !self.hash {
            return Some(same(rest, key.get(from..)?));
        }
        if self.prefix > 0 {
            let end = words.word(self.prefix as usize - 1).end as usize;
            rest = after(rest, key.get(from..end)?, b'.')?;
        }
        if self.suffix == 0 {
            return Some(rest == b"#");
        }
        self.verify_behind(rest.strip_prefix(b"#.")?, key, words)
    }

    /// The same for the words behind a `#`.
    #[inline(never)]
    fn verify_behind(&self, mut rest: &[u8], key: &[u8], words: impl Text) -> Option<bool> {
        let first = words.count().checked_sub(self.suffix as usize)?;
        let mut from = words.word(first).start as usize;
        for at in (0..self.suffix as usize).rev() {
            if is_star(self.end_stars, at) {
                let word = words.word(words.count() - 1 - at);
                rest = after(rest, key.get(from..word.start as usize)?, b'*')?;
                from = word.end as usize;
            }
        }
        Some(rest == key.get(from..)?)
    }
}

/// What follows `literal` and one more byte, if `text` begins with them.
#[inline(always)]
fn after<'a>(text: &'a [u8], literal: &[u8], mark: u8) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(literal.len())?;
    let (first, rest) = rest.split_first()?;
    (*first == mark && same(start, literal)).then_some(rest)
}

/// Words beyond the 64th are never stars here; such patterns have no form.
#[inline(always)]
pub(super) const fn is_star(stars: u64, at: usize) -> bool {
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
    filter: [u64; FILTER],
}

/// Five hundred bits: a shape of a hundred patterns says no to three hashes of four that it has not.
const FILTER: usize = 8;

impl Shape {
    /// Whether a pattern of this hash may be there.
    #[inline(always)]
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        let (place, bit) = filter_bit(hash);
        self.filter[place] & bit != 0
    }
}

/// The place in the filter, and the bit there: by bits that are no part of the tag, and not the lowest, which are the same
/// for words in another order.
#[inline(always)]
const fn filter_bit(hash: u64) -> (usize, u64) {
    ((hash >> 26) as usize % FILTER, 1 << (hash >> 20 & 63))
}

/// The shapes of one exchange, and which of them a key of a given length can have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    shapes: Vec<Shape>,
    by_form: Tags<u32>,
    free: Vec<u32>,
    /// Per number of words: the shapes that a key of so many can have.
    groups: Vec<Group>,
    /// The shapes that a longer key can have.
    beyond: Group,
    /// Per position: the shapes that have no literal word there.
    starred: Starred,
    tails: Option<Box<Tails>>,
    steps: u64,
}

#[derive(Clone, Debug)]
struct Starred([u128; POSITIONS]);

impl Default for Starred {
    fn default() -> Self {
        Starred([u128::MAX; POSITIONS])
    }
}

/// Which shapes have a pattern with this literal word at the very end, behind a `#`: where the dictionary, which counts from
/// the front, knows nothing. Words that share eight bits of their hash share a set. Bits only ever come, and go with the
/// shape.
#[derive(Clone, Debug)]
struct Tails {
    sets: [u128; 256],
    /// The shapes that have no such word.
    free: u128,
}

impl Tails {
    #[inline(always)]
    const fn place(hash: u64) -> usize {
        (hash >> 56) as usize
    }
}

/// Positions, from the front, that the dictionary knows.
pub(crate) const POSITIONS: usize = 8;

/// Shapes the dictionary can leave out, as a set; the others are asked always.
pub(crate) const FILTERED: u32 = 128;

/// Shapes that a key can have: those that the dictionary may leave out, and the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) filtered: u128,
    pub(crate) others: Vec<u32>,
}

impl Group {
    fn enter(&mut self, id: u32) {
        if id < FILTERED {
            self.filtered |= 1 << id;
        } else {
            self.others.push(id);
        }
    }

    fn leave(&mut self, id: u32) {
        if id < FILTERED {
            self.filtered &= !(1 << id);
        } else {
            self.others.retain(|other| *other != id);
        }
    }
}

impl Shapes {
    #[inline(always)]
    pub(crate) fn get(&self, shape: u32) -> Option<&Shape> {
        self.shapes.get(shape as usize)
    }

    /// What tells its hashes from those of other shapes.
    pub(crate) fn seed(&self, shape: u32) -> u64 {
        self.get(shape).map_or(0, |shape| shape.seed)
    }

    /// The most steps that asking all of them takes: one each, and one for each word that is subtracted.
    pub(crate) const fn worst_case(&self) -> u64 {
        self.steps
    }

    /// Per position: the shapes that have no literal word there.
    #[inline(always)]
    pub(crate) const fn starred(&self) -> &[u128; POSITIONS] {
        &self.starred.0
    }

    /// Leaves out the shapes whose patterns end otherwise.
    #[inline(always)]
    pub(crate) fn narrow_by_last(&self, shapes: u128, words: &[Word]) -> u128 {
        match (&self.tails, words.last()) {
            (Some(tails), Some(last)) => shapes & (tails.sets[Tails::place(last.hash)] | tails.free),
            _ => shapes,
        }
    }

    /// The shape of this form, made if there is none; one more pattern is counted.
    pub(crate) fn take(&mut self, form: Form) -> u32 {
        if let Some(shape) = self.find(&form) {
            self.shapes[shape as usize].patterns += 1;
            return shape;
        }
        let shape = Shape { form, seed: form.mixed(), patterns: 1, filter: [0; FILTER] };
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
        self.by_form.insert(form.tag(), id);
        self.steps += form.steps();
        self.enter(id, &form);
        id
    }

    /// Counts one more pattern of a shape that is there.
    pub(crate) fn again(&mut self, shape: u32) {
        if let Some(shape) = self.shapes.get_mut(shape as usize) {
            shape.patterns += 1;
        }
    }

    /// Lets a shape know the hash of a pattern of its own, and that of the pattern's last word.
    pub(crate) fn note(&mut self, id: u32, hash: u64, last: u64) {
        let Some(shape) = self.shapes.get_mut(id as usize) else { return };
        let (place, bit) = filter_bit(hash);
        shape.filter[place] |= bit;
        if id < FILTERED && shape.form.has_tail() {
            let none = || Box::new(Tails { sets: [0; 256], free: u128::MAX });
            let tails = self.tails.get_or_insert_with(none);
            tails.free &= !(1 << id);
            tails.sets[Tails::place(last)] |= 1 << id;
        }
    }

    pub(crate) fn find(&self, form: &Form) -> Option<u32> {
        let same = |id: &u32| self.shapes.get(*id as usize).is_some_and(|shape| shape.form == *form);
        self.by_form.find(form.tag(), same).copied()
    }

    /// Counts one pattern less; the shape goes with its last.
    pub(crate) fn release(&mut self, id: u32) {
        let shape = &mut self.shapes[id as usize];
        shape.patterns -= 1;
        if shape.patterns > 0 {
            return;
        }
        self.steps -= shape.form.steps();
        self.by_form.remove(shape.form.tag(), |other| *other == id);
        self.groups.iter_mut().chain([&mut self.beyond]).for_each(|group| group.leave(id));
        if id < FILTERED {
            self.starred.0.iter_mut().for_each(|free| *free |= 1 << id);
            if let Some(tails) = &mut self.tails {
                tails.sets.iter_mut().for_each(|set| *set &= !(1 << id));
                tails.free |= 1 << id;
                if tails.free == u128::MAX {
                    self.tails = None;
                }
            }
        }
        self.free.push(id);
        if self.free.len() == self.shapes.len() {
            *self = Shapes::default();
        }
    }

    fn enter(&mut self, id: u32, form: &Form) {
        let least = form.least() as usize;
        if self.groups.len() <= least {
            self.groups.resize(least + 1, self.beyond.clone());
        }
        if form.hash {
            self.groups[least..].iter_mut().chain([&mut self.beyond]).for_each(|group| group.enter(id));
        } else {
            self.groups[least].enter(id);
        }
        if id < FILTERED {
            for position in (0..POSITIONS).take(form.prefix as usize) {
                if form.stars >> position & 1 == 0 {
                    self.starred.0[position] &= !(1 << id);
                }
            }
        }
    }

    /// The shapes that a key of so many words can have.
    #[inline(always)]
    pub(crate) fn of_length(&self, words: usize) -> &Group {
        self.groups.get(words).unwrap_or(&self.beyond)
    }

    /// One more than the largest number of a shape.
    pub(crate) fn len(&self) -> usize {
        self.shapes.len()
    }

    #[cfg(test)]
    pub(crate) fn is_clean(&self) -> bool {
        self.shapes.is_empty() && self.by_form.is_empty() && self.groups.is_empty()
    }
}

impl Form {
    /// Whether there is a literal word at the very end, behind a `#`.
    const fn has_tail(&self) -> bool {
        self.suffix > 0 && self.end_stars & 1 == 0
    }

    fn steps(&self) -> u64 {
        1 + u64::from(self.stars.count_ones()) + u64::from(self.end_stars.count_ones())
    }

    fn mixed(&self) -> u64 {
        let lengths = u64::from(self.prefix) << 33 | u64::from(self.suffix) << 1 | u64::from(self.hash);
        join(hash(lengths, &self.stars.to_le_bytes()), self.end_stars)
    }

    fn tag(&self) -> u32 {
        tag(self.mixed())
    }
}
