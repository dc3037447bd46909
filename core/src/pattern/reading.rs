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

/// Keys that the binding matches and that few others do, plain ones first: wildcards become words that nobody uses.
pub(crate) fn samples(reading: &Reading<'_>) -> Vec<Vec<u8>> {
    let counts = [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2)];
    let samples = counts.into_iter().filter_map(|(hash, star)| sample(reading, hash, star));
    samples.map(String::into_bytes).collect()
}

/// `#` becomes as many words as asked for, and so does `*` where it takes more than one.
fn sample(reading: &Reading<'_>, hash_words: usize, star_words: usize) -> Option<String> {
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

/// The same key without empty words, as long as `holds` is true of it: a search finds the shortest key, and that has empty
/// words where a wildcard takes them.
pub(crate) fn plainer(key: &[u8], mut holds: impl FnMut(&[u8]) -> bool) -> Option<Vec<u8>> {
    let unused = UNUSED.as_bytes();
    let mut words: Vec<&[u8]> = key.split(|byte| *byte == b'.').collect();
    if words.iter().all(|word| !word.is_empty()) {
        return None;
    }
    let mut holds = |words: &[&[u8]]| {
        let key = words.join(&b'.');
        (key.len() <= MAX_SHORT_STRING && holds(&key)).then_some(key)
    };
    let filled: Vec<_> = words.iter().map(|word| if word.is_empty() { unused } else { *word }).collect();
    if let Some(key) = holds(&filled) {
        return Some(key);
    }
    // What cannot be filled all at once may be one by one.
    let mut best = None;
    for at in 0..words.len() {
        if words[at].is_empty() {
            words[at] = unused;
            match holds(&words) {
                Some(key) => best = Some(key),
                None => words[at] = b"",
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
        let plain = |key: &str, holds: &dyn Fn(&[u8]) -> bool| {
            plainer(key.as_bytes(), holds).map(|key| String::from_utf8(key).unwrap())
        };
        assert_eq!(plain("order..x.shipped", &|_| true).as_deref(), Some("order.x.x.shipped"));
        assert_eq!(plain("a.b", &|_| true), None);
        // The first has to stay empty.
        assert_eq!(plain("..b", &|key| key.starts_with(b".")).as_deref(), Some(".x.b"));
        assert_eq!(plain(".", &|_| false), None);
    }
}
