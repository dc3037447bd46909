//! A pattern held against a key, word by word: what each token took, where the first word failed, and how many words
//! would have to change.

use alloc::vec::Vec;

use crate::Dialect;

/// A word of a binding key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Word(&'a [u8]),
    Star,
    Hash,
}

/// A binding key whose wildcards are whole words.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    pub(crate) tokens: Vec<Token<'a>>,
    dialect: Dialect,
}

/// Where a key leaves a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The first word of the key that cannot be taken; the number of words if the key ends too early.
    pub(crate) word: usize,
    /// The token that was to take it; the number of tokens if the pattern ends too early.
    pub(crate) token: usize,
}

/// Tokens times words beyond which nothing is laid out: a key in `CC` may be of any length.
const TOO_LARGE: usize = 1 << 18;

impl<'a> Tokens<'a> {
    pub(crate) fn of(key: &'a [u8], dialect: Dialect) -> Self {
        let tokens = split(key, dialect).map(|word| match word {
            b"*" => Token::Star,
            b"#" => Token::Hash,
            word => Token::Word(word),
        });
        Tokens { tokens: tokens.collect(), dialect }
    }

    /// A key that stands for itself.
    pub(crate) fn literal(key: &'a [u8]) -> Self {
        Tokens { tokens: split(key, Dialect::Amqp).map(Token::Word).collect(), dialect: Dialect::Amqp }
    }

    /// The tokens before this place, and those from it on.
    pub(crate) fn split_at(&self, place: usize) -> (Tokens<'a>, Tokens<'a>) {
        let (before, rest) = self.tokens.split_at(place.min(self.tokens.len()));
        let tokens = |tokens: &[Token<'a>]| Tokens { tokens: tokens.into(), dialect: self.dialect };
        (tokens(before), tokens(rest))
    }

    /// The word at this place if it stands for itself.
    pub(crate) fn word(&self, place: usize) -> Option<&'a [u8]> {
        match self.tokens.get(place) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// The word at this place as it is written.
    pub(crate) fn text(&self, place: usize) -> Option<&'a [u8]> {
        self.tokens.get(place).map(|token| match token {
            Token::Word(word) => *word,
            Token::Star => b"*",
            Token::Hash => b"#",
        })
    }

    /// The words of a routing key as this pattern's dialect counts them.
    pub(crate) fn words<'k>(&self, key: &'k [u8]) -> Vec<&'k [u8]> {
        split(key, self.dialect).collect()
    }

    /// Lays the key out over the tokens: for each token the word behind its last one. Nothing if the key does not match.
    /// Earlier `#` take as little as they can.
    pub(crate) fn layout(&self, words: &[&[u8]]) -> Option<Vec<usize>> {
        self.layout_exactly(words).or_else(|| {
            // Python's `$` also matches before one line feed at the end.
            let (last, before) = words.split_last()?;
            let last = last.strip_suffix(b"\n").filter(|_| self.dialect != Dialect::Amqp)?;
            let words: Vec<_> = before.iter().copied().chain([last]).collect();
            self.layout_exactly(&words)
        })
    }

    fn layout_exactly(&self, words: &[&[u8]]) -> Option<Vec<usize>> {
        let (rows, columns) = (self.tokens.len(), words.len() + 1);
        if (rows + 1).saturating_mul(columns) > TOO_LARGE {
            return None;
        }
        // `rest[t * columns + w]`: whether the tokens from `t` on take the words from `w` on.
        let mut rest = Vec::new();
        rest.resize((rows + 1) * columns, false);
        rest[rows * columns + words.len()] = true;
        for (at, token) in self.tokens.iter().enumerate().rev() {
            let (now, below) = rest[at * columns..(at + 2) * columns].split_at_mut(columns);
            for from in (0..columns).rev() {
                now[from] = self.ends(*token, words, from).any(|end| below[end]);
            }
        }
        if !rest[0] {
            return None;
        }
        let mut from = 0;
        let ends = self.tokens.iter().enumerate().map(|(at, token)| {
            let below = &rest[(at + 1) * columns..];
            from = self.ends(*token, words, from).find(|end| below[*end]).unwrap_or(from);
            from
        });
        Some(ends.collect())
    }

    /// Where a token that begins at a word may end, shortest first.
    fn ends<'s>(
        &'s self,
        token: Token<'s>,
        words: &'s [&'s [u8]],
        from: usize,
    ) -> impl Iterator<Item = usize> + 's {
        let amqp = self.dialect == Dialect::Amqp;
        let (least, most) = match token {
            Token::Hash if amqp => (0, usize::MAX),
            Token::Hash => (1, usize::MAX),
            Token::Star if self.dialect == Dialect::Kombu56 => (1, usize::MAX),
            Token::Star | Token::Word(_) => (1, 1),
        };
        let ends = from + least..=from.saturating_add(most).min(words.len());
        // In Kombu neither wildcard crosses a line feed on its way.
        let open = move |end: &usize| {
            amqp || token == Token::Star && self.dialect == Dialect::Kombu57
                || end.checked_sub(2).is_none_or(|before| before < from || one_line(words[before]))
        };
        ends.take_while(open).filter(move |end| *end == from || self.closes(token, words[end - 1]))
    }

    /// Whether a word may be the last that a token takes.
    fn closes(&self, token: Token<'_>, word: &[u8]) -> bool {
        match (token, self.dialect) {
            (Token::Word(wanted), _) => wanted == word,
            (_, Dialect::Amqp) => true,
            (Token::Star, Dialect::Kombu57) => !word.is_empty(),
            (Token::Star, Dialect::Kombu56) => word.split_last().is_some_and(|(_, before)| one_line(before)),
            (Token::Hash, _) => one_line(word),
        }
    }

    /// Where a key that does not match leaves the pattern: the longest way into the key, and the furthest token there.
    pub(crate) fn failure(&self, words: &[&[u8]]) -> Failure {
        let mut best = Failure { word: 0, token: 0 };
        let mut live = Vec::from([(0usize, 0usize)]);
        let mut seen = Vec::new();
        let columns = words.len() + 1;
        if (self.tokens.len() + 1).saturating_mul(columns) > TOO_LARGE {
            return best;
        }
        seen.resize((self.tokens.len() + 1) * columns, false);
        while let Some((token, word)) = live.pop() {
            if core::mem::replace(&mut seen[token * columns + word], true) {
                continue;
            }
            if (word, token) > (best.word, best.token) {
                best = Failure { word, token };
            }
            if let Some(next) = self.tokens.get(token) {
                live.extend(self.ends(*next, words, word).map(|end| (token + 1, end)));
            }
        }
        best
    }

    /// How many words of the key or the pattern would have to be changed, added or left out for a match; `most` and more
    /// is told as nothing.
    ///
    /// # Cost
    /// Tokens × words, or nothing at all where the numbers of words are too far apart.
    pub(crate) fn distance(&self, words: &[&[u8]], most: u32, rows: &mut Rows) -> Option<u32> {
        let widens = |token: &Token<'_>| match token {
            Token::Hash => true,
            Token::Star => self.dialect == Dialect::Kombu56,
            Token::Word(_) => false,
        };
        let least = if self.tokens.iter().any(widens) { 0 } else { self.tokens.len().abs_diff(words.len()) };
        let cells = (self.tokens.len() + 1).saturating_mul(words.len() + 1);
        if least as u64 >= u64::from(most) || cells > TOO_LARGE {
            return None;
        }
        let Rows { above, row } = rows;
        above.clear();
        above.extend(0..=words.len() as u32);
        for token in &self.tokens {
            self.next_row(*token, words, above, row);
            core::mem::swap(above, row);
        }
        above.last().copied().filter(|distance| *distance < most)
    }

    fn next_row(&self, token: Token<'_>, words: &[&[u8]], above: &[u32], row: &mut Vec<u32>) {
        let free = token == Token::Hash && self.dialect == Dialect::Amqp;
        let wide = token == Token::Hash || token == Token::Star && self.dialect == Dialect::Kombu56;
        row.clear();
        row.push(above[0] + u32::from(!free));
        // The cheapest way into a wildcard that is still taking words.
        let mut open = u32::MAX;
        for (at, word) in words.iter().enumerate() {
            let closes = self.closes(token, word);
            let mut best = (row[at] + 1).min(above[at + 1] + u32::from(!free));
            best = best.min(above[at] + u32::from(!closes));
            if wide {
                open = open.min(above[at]);
                if closes {
                    best = best.min(open);
                }
                if self.dialect != Dialect::Amqp && !one_line(word) {
                    open = u32::MAX;
                }
            }
            row.push(best);
        }
    }
}

/// Memory for [`Tokens::distance`], kept from binding to binding.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    above: Vec<u32>,
    row: Vec<u32>,
}

/// RabbitMQ's empty key has no words, Kombu's has one that is empty.
fn split(key: &[u8], dialect: Dialect) -> impl Iterator<Item = &[u8]> {
    let none = key.is_empty() && dialect == Dialect::Amqp;
    key.split(|byte| *byte == b'.').skip(usize::from(none))
}

fn one_line(word: &[u8]) -> bool {
    !word.contains(&b'\n')
}

/// How many characters (bytes) would have to be changed, added or left out; at most `most`.
pub(crate) fn letters(a: &[u8], b: &[u8], most: u32, rows: &mut Rows) -> u32 {
    // What is longer than a key of AMQP is as far away as can be.
    if a.len().abs_diff(b.len()) as u64 >= u64::from(most) || a.len().max(b.len()) > crate::MAX_SHORT_STRING {
        return most;
    }
    let Rows { above, row } = rows;
    above.clear();
    above.extend(0..=b.len() as u32);
    for left in a {
        row.clear();
        row.push(above[0] + 1);
        for (at, right) in b.iter().enumerate() {
            let change = above[at] + u32::from(left != right);
            row.push(change.min(above[at + 1] + 1).min(row[at] + 1));
        }
        core::mem::swap(above, row);
    }
    above.last().copied().unwrap_or(most).min(most)
}
