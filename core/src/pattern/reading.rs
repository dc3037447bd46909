//! What a binding says, read once for whoever explains, lints or compares it.

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::Language;
use crate::{
    BindingRef, Dialect, ExchangeKind, MAX_SHORT_STRING,
    kombu::{GluedPattern, Recognised, recognise},
};

/// How a topic binding is read: by whole words, or as an expression over characters.
#[derive(Clone, Debug)]
pub(crate) enum Reading<'a> {
    /// Every wildcard is a whole word.
    Words { key: Cow<'a, [u8]>, dialect: Dialect },
    /// A `*` glued to a word repeats a character.
    Glued(GluedPattern),
    /// A text that Kombu did not write.
    Foreign,
}

impl<'a> Reading<'a> {
    /// Reads a binding of a topic exchange as the index does: the stored text decides if there is one.
    pub(crate) fn of(binding: &BindingRef<'a>) -> Self {
        if binding.pattern.is_none() {
            let BindingRef { key, dialect, .. } = *binding;
            if dialect == Dialect::Amqp || !has_glued_star(key) {
                return Reading::Words { key: Cow::Borrowed(key), dialect };
            }
            let glued =
                core::str::from_utf8(key).ok().and_then(|key| GluedPattern::compile(key, dialect).ok());
            return glued.map_or(Reading::Foreign, Reading::Glued);
        }
        match binding.pattern.and_then(recognise) {
            Some(Recognised::Words { key, dialect }) => {
                Reading::Words { key: Cow::Owned(key.into_bytes()), dialect }
            }
            Some(Recognised::Glued(glued)) => Reading::Glued(glued),
            None => Reading::Foreign,
        }
    }

    fn language(&self) -> Option<Language> {
        match self {
            Reading::Words { key, dialect } => {
                Language::topic(core::str::from_utf8(key).ok()?, *dialect).ok()
            }
            Reading::Glued(glued) => Some(Language::glued(glued)),
            Reading::Foreign => None,
        }
    }
}

fn has_glued_star(key: &[u8]) -> bool {
    key.contains(&b'*') && key.split(|byte| *byte == b'.').any(|word| word != b"*" && word.contains(&b'*'))
}

/// The routing keys that a binding of an exchange of this kind matches; nothing where the key alone does not decide, or
/// not as an automaton: headers, a text that Kombu did not write, a Redis channel with wildcards.
pub(crate) fn language(kind: ExchangeKind, exchange: &str, binding: &BindingRef<'_>) -> Option<Language> {
    match kind {
        ExchangeKind::Direct => Some(Language::key(core::str::from_utf8(binding.key).ok()?)),
        ExchangeKind::Fanout if binding.dialect == Dialect::Amqp => Some(Language::everything()),
        ExchangeKind::Fanout => {
            // A channel without wildcards is one key.
            let key = core::str::from_utf8(binding.key).ok()?;
            let plain = |text: &str| !text.contains(['*', '#', '?', '[', ']', '\\']);
            (plain(key) && plain(exchange)).then(|| Language::key(key))
        }
        ExchangeKind::Topic => Reading::of(binding).language(),
        _ => None,
    }
}

/// A key that the binding matches and that few others do: wildcards become a word that nobody uses. `#` becomes as many
/// of these words as asked for, and so does `*` where it takes more than one.
pub(crate) fn sample(reading: &Reading<'_>, hash_words: usize, star_words: usize) -> Option<String> {
    let Reading::Words { key, dialect } = reading else { return None };
    let key = core::str::from_utf8(key).ok()?;
    let amqp = *dialect == Dialect::Amqp;
    if amqp && key.is_empty() {
        return Some(String::new());
    }
    let mut sample = String::with_capacity(key.len() + 8);
    let mut first = true;
    let star_words = if *dialect == Dialect::Kombu56 { star_words } else { 1 };
    let mut push = |word: &str| {
        if !core::mem::take(&mut first) {
            sample.push('.');
        }
        sample.push_str(word);
    };
    for word in key.split('.') {
        match word {
            "*" => (0..star_words).for_each(|_| push(UNUSED)),
            "#" => (0..hash_words.max(usize::from(!amqp))).for_each(|_| push(UNUSED)),
            word => push(word),
        }
    }
    Some(sample)
}

/// A word that real bindings do not name.
const UNUSED: &str = "x";

/// The same key in plainer words, as long as `holds` is true of it: a search finds the shortest key, and that has empty
/// words where a wildcard takes them. What is empty becomes a word, and what nobody uses one of `words` for its position.
pub(crate) fn plainer<'w, W: IntoIterator<Item = &'w [u8]>>(
    key: &[u8],
    words: impl Fn(usize) -> W,
    mut holds: impl FnMut(&[u8]) -> bool,
) -> Option<Vec<u8>> {
    let unused = UNUSED.as_bytes();
    let mut parts: Vec<&[u8]> = key.split(|byte| *byte == b'.').collect();
    let mut best = None;
    let mut try_parts = |parts: &[&[u8]]| {
        let key = parts.join(&b'.');
        let holds = key.len() <= MAX_SHORT_STRING && holds(&key);
        if holds {
            best = Some(key);
        }
        holds
    };
    let filled: Vec<_> = parts.iter().map(|part| if part.is_empty() { unused } else { *part }).collect();
    if filled != parts && try_parts(&filled) {
        parts = filled;
    }
    for at in 0..parts.len() {
        let old = parts[at];
        if old.is_empty() || old == unused {
            let better = words(at).into_iter().find(|word| {
                parts[at] = word;
                try_parts(&parts)
            });
            parts[at] = better.unwrap_or(old);
        }
        // What cannot be filled all at once may be one by one.
        if parts[at].is_empty() {
            parts[at] = unused;
            if !try_parts(&parts) {
                parts[at] = b"";
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_words_are_filled_as_long_as_it_holds() {
        let none = |_: usize| None;
        let plain = |key: &str, holds: &dyn Fn(&[u8]) -> bool| {
            plainer(key.as_bytes(), none, holds).map(|key| String::from_utf8(key).unwrap())
        };
        assert_eq!(plain("order..x.shipped", &|_| true).as_deref(), Some("order.x.x.shipped"));
        assert_eq!(plain("a.b", &|_| true), None);
        // The first has to stay empty.
        assert_eq!(plain("..b", &|key| key.starts_with(b".")).as_deref(), Some(".x.b"));
        assert_eq!(plain(".", &|_| false), None);
    }

    #[test]
    fn words_of_the_table_are_preferred() {
        let words = |at: usize| [&b"no"[..], b"eu"].into_iter().filter(move |_| at == 1);
        let key = plainer(b"order.x.x", words, |key| key != b"order.no.x").unwrap();
        assert_eq!(key, b"order.eu.x");
    }
}
