//! One edit of a binding that makes it match.

use alloc::{string::String, vec::Vec};

use crate::{
    BindingDefinition, BindingRef, Dialect, ExchangeKind, MAX_SHORT_STRING, Message, Router, Table, Value,
    index::{HeadersPattern, SortedHeaders},
    kombu::GluedPattern,
    pattern::reading::Reading,
};

/// The binding with one word or argument changed so that it matches; nothing if no such edit is known.
pub(super) fn suggest(
    router: &Router,
    kind: ExchangeKind,
    binding: &BindingRef<'_>,
    key: &[u8],
    message: &Message<'_>,
) -> Option<BindingDefinition> {
    let definition = || BindingDefinition::of(router, binding);
    let fits = |key: &str| key.len() <= router.limits().key_bytes.min(MAX_SHORT_STRING);
    match kind {
        ExchangeKind::Direct => {
            let key = core::str::from_utf8(key).ok().filter(|key| fits(key))?;
            Some(BindingDefinition { routing_key: key.into(), ..definition() })
        }
        ExchangeKind::Topic => {
            let Reading::Words { key: pattern, dialect } = Reading::of(binding) else { return None };
            let edited = edit_words(core::str::from_utf8(&pattern).ok()?, dialect, key)?;
            let edited = Some(edited).filter(|edited| fits(edited))?;
            Some(BindingDefinition { routing_key: edited.into(), dialect, pattern: None, ..definition() })
        }
        ExchangeKind::Headers => {
            let arguments = edit_arguments(binding.arguments, message)?;
            Some(BindingDefinition { arguments, ..definition() })
        }
        _ => None,
    }
}

/// RabbitMQ refuses a third `#` from 4.3.5 on.
const MOST_HASHES: usize = 2;

/// The first edit that matches. Those that keep what the pattern matched before come first, narrow ones before broad
/// ones, and words at the end before those in front.
fn edit_words(pattern: &str, dialect: Dialect, key: &[u8]) -> Option<String> {
    let words: Vec<&str> = match (pattern, dialect) {
        ("", Dialect::Amqp) => Vec::new(),
        _ => pattern.split('.').collect(),
    };
    let is_literal = |at: &usize| !matches!(words[*at], "*" | "#");
    let replace = |at: usize, with: &[&str]| splice(&words, at, at + 1, with);
    let insert = |at: usize, with: &[&str]| splice(&words, at, at, with);
    let places = || (0..words.len()).rev();
    let gaps = || (0..=words.len()).rev();
    let edits = places()
        .filter(is_literal)
        .map(|at| replace(at, &["*"]))
        .chain(places().filter(|at| words[*at] == "*").map(|at| replace(at, &["#"])))
        .chain(gaps().map(|at| insert(at, &["#"])))
        .chain(gaps().map(|at| insert(at, &["*"])))
        .chain(places().filter(is_literal).map(|at| replace(at, &["#"])))
        .chain(places().map(|at| replace(at, &[])));
    let had_literal = (0..words.len()).any(|at| is_literal(&at));
    let mut edits = edits.chain(respelled(&words, key)).filter(|edit| {
        let hashes = edit.split('.').filter(|word| *word == "#").count();
        // What would match nearly everything is no good advice.
        let tells = !had_literal || edit.split('.').any(|word| !matches!(word, "*" | "#"));
        tells
            && hashes <= MOST_HASHES
            && GluedPattern::compile(edit, dialect).is_ok_and(|pattern| pattern.matches(key))
    });
    edits.next()
}

/// The pattern with one literal word respelled as a word of the key.
fn respelled<'a>(words: &'a [&'a str], key: &'a [u8]) -> impl Iterator<Item = String> + 'a {
    let is_plain = |word: &&str| !word.is_empty() && !word.contains(['*', '#']);
    let spellings = core::str::from_utf8(key).unwrap_or_default().split('.').filter(is_plain);
    spellings.take(MOST_SPELLINGS).flat_map(move |spelling| {
        let literals = (0..words.len()).filter(|at| !matches!(words[*at], "*" | "#"));
        literals.map(move |at| splice(words, at, at + 1, &[spelling]))
    })
}

/// Longer keys are rare, and every spelling is tried at every word.
const MOST_SPELLINGS: usize = 16;

fn splice(words: &[&str], from: usize, to: usize, with: &[&str]) -> String {
    let parts: Vec<&str> = words[..from].iter().chain(with).chain(&words[to..]).copied().collect();
    parts.join(".")
}

/// The arguments with one of them set to the header's value or, where all have to agree, left out.
fn edit_arguments(arguments: &Table, message: &Message<'_>) -> Option<Table> {
    let pattern = HeadersPattern::compile(arguments).ok()?;
    let mut order = Vec::new();
    let headers = SortedHeaders::sort(message.header_table(), &mut order);
    let failed = pattern.compare(&headers).filter(|(_, wanted, found)| {
        !found.is_some_and(|found| matches!(wanted, Value::Void) || wanted.matches(found))
    });
    let edits = failed.filter_map(|(name, _, found)| match found {
        Some(found) => Some(with(arguments, name, Some(found))),
        None if pattern.is_any() => None,
        None => Some(with(arguments, name, None)),
    });
    let mut edits =
        edits.filter(|edited| HeadersPattern::compile(edited).is_ok_and(|pattern| pattern.matches(&headers)));
    edits.next()
}

/// The table with the first entry of this name replaced, or left out.
fn with(table: &Table, name: &[u8], value: Option<&Value>) -> Table {
    let mut done = false;
    let edited = table.iter().filter_map(|(other, old)| {
        if other != name || core::mem::replace(&mut done, true) {
            return Some((other, old.clone()));
        }
        value.map(|value| (other, value.clone()))
    });
    edited.collect()
}
