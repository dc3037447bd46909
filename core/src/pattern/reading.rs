//! What a binding says, read once for whoever explains, lints or compares it.

use alloc::{borrow::Cow, string::String};

use super::Language;
use crate::{
    BindingRef, Dialect, ExchangeKind,
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
/// of these words as asked for.
pub(crate) fn sample(reading: &Reading<'_>, hash_words: usize) -> Option<String> {
    let Reading::Words { key, dialect } = reading else { return None };
    let key = core::str::from_utf8(key).ok()?;
    let amqp = *dialect == Dialect::Amqp;
    if amqp && key.is_empty() {
        return Some(String::new());
    }
    let mut sample = String::with_capacity(key.len() + 8);
    let mut first = true;
    let mut push = |word: &str| {
        if !core::mem::take(&mut first) {
            sample.push('.');
        }
        sample.push_str(word);
    };
    for word in key.split('.') {
        match word {
            "*" => push(UNUSED),
            "#" => (0..hash_words.max(usize::from(!amqp))).for_each(|_| push(UNUSED)),
            word => push(word),
        }
    }
    Some(sample)
}

/// A word that real bindings do not name.
const UNUSED: &str = "x";
