//! What other brokers read differently, or cannot carry.

use alloc::{format, string::String, vec::Vec};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{Code, Culprit, DialectAnswer, Finding, Lint, QUESTION};
use crate::{
    ByteString, Dialect, Exchange, ExchangeKind,
    kombu::{SEPARATOR, check_fanout_exchange, translate},
    pattern::{
        Budget, Found, Language, Query,
        reading::{Reading, plainer, samples},
    },
};

/// What the dialects make of one binding key, found once for all bindings with this key.
#[derive(Clone, Default)]
struct Traps {
    keys: Vec<DialectAnswer>,
    undecided: bool,
}

impl Lint<'_> {
    pub(super) fn portability(&mut self) {
        self.names();
        let mut known: HashMap<(ByteString, Dialect), Traps, FixedState> = HashMap::default();
        for at in 0..self.topology.bindings.len() {
            let Some(binding) = self.binding(at) else { continue };
            if binding.key.windows(SEPARATOR.len()).any(|bytes| bytes == SEPARATOR.as_bytes()) {
                let sentence =
                    "its key has `\\x06\\x16` in it, with which Kombu separates the fields of a row in Redis";
                self.report_binding(Code::KombuName, at, sentence);
            }
            let kind = self.router.exchange_properties(binding.source).map(Exchange::kind);
            if kind != Some(ExchangeKind::Topic) {
                continue;
            }
            let (key, dialect) = match Reading::of(&binding) {
                Reading::Words { key, dialect } => (key, dialect),
                Reading::Glued(glued) => (glued.key().as_bytes().to_vec().into(), glued.dialect()),
                Reading::Foreign => continue,
            };
            let Ok(text) = core::str::from_utf8(&key) else { continue };
            if let Err(error) = translate(text, Dialect::Kombu57) {
                self.report_binding(
                    Code::KombuInvalidPattern,
                    at,
                    format!("Kombu cannot compile it: {error}"),
                );
                continue;
            }
            if !text.contains(['*', '#']) {
                continue;
            }
            let id = (ByteString::from(text), dialect);
            let traps = match known.get(&id) {
                Some(traps) => traps.clone(),
                None => {
                    let traps = traps(text, dialect, &mut self.budget);
                    known.insert(id, traps.clone());
                    traps
                }
            };
            if !traps.keys.is_empty() {
                let sentences: Vec<String> = traps.keys.iter().map(sentence).collect();
                let sentence = sentences.join("; ");
                self.report_binding(Code::DialectTrap, at, sentence).keys = traps.keys;
            } else if traps.undecided {
                let sentence = "whether brokers read it differently was not decided within the budget";
                self.report_binding(Code::Undecided, at, sentence);
            }
        }
    }

    fn names(&mut self) {
        let router = self.router;
        for (_, name, _) in router.queues().filter(|(_, name, _)| name.contains(SEPARATOR)) {
            let sentence =
                "its name has `\\x06\\x16` in it, with which Kombu separates the fields of a row in Redis";
            self.report(Code::KombuName, Culprit::Queue { name: name.into() }, sentence);
        }
        for (_, name, exchange) in router.exchanges() {
            if let (ExchangeKind::Fanout, Err(error)) = (exchange.kind(), check_fanout_exchange(name)) {
                let culprit = Culprit::Exchange { name: name.into() };
                self.push(Finding::new(Code::KombuName, culprit, format!("{error}")));
            }
        }
    }
}

/// For each other dialect a key that it answers differently: one of plain words if such a one tells, or else a shortest.
/// Keys with line feeds are left out: nobody publishes them, and nearly every pattern differs there.
fn traps(key: &str, dialect: Dialect, budget: &mut Budget) -> Traps {
    let mut traps = Traps::default();
    let languages: Vec<(Dialect, Language)> =
        Dialect::ALL.iter().filter_map(|other| Some((*other, Language::topic(key, *other).ok()?))).collect();
    let Some((_, own)) = languages.iter().find(|(other, _)| *other == dialect) else { return traps };
    let plain: Vec<Vec<u8>> = Dialect::ALL
        .iter()
        .flat_map(|dialect| samples(&Reading::Words { key: key.as_bytes().into(), dialect: *dialect }))
        .collect();
    for (_, language) in languages.iter().filter(|(other, _)| *other != dialect) {
        let differs = |key: &&Vec<u8>| own.matches(key) != language.matches(key);
        let found = match plain.iter().find(differs) {
            Some(key) => Found::Key(ByteString::from(&**key)),
            None => search(own, language, budget),
        };
        match found {
            Found::Key(key) => {
                let answer = answer(key, &languages);
                if !traps.keys.contains(&answer) {
                    traps.keys.push(answer);
                }
            }
            Found::None => {}
            Found::Undecided => traps.undecided = true,
        }
    }
    traps
}

/// A shortest key that one of the two has.
fn search(one: &Language, other: &Language, budget: &mut Budget) -> Found {
    let mut part = budget.split(QUESTION);
    let mut ask = |inside: &Language, outside: &Language| {
        Query { inside: &[inside], outside: &[outside], tracked: &[], line_feeds: false }.find(&mut part)
    };
    let found = match ask(one, other) {
        Found::None => ask(other, one),
        found => found,
    };
    budget.join(part);
    found
}

/// Without empty words, where that shows the same.
fn answer(key: ByteString, languages: &[(Dialect, Language)]) -> DialectAnswer {
    let same = |other: &[u8]| languages.iter().all(|(_, it)| it.matches(other) == it.matches(&key));
    let key = plainer(&key, same).map_or_else(|| key.clone(), ByteString::from);
    let (matches, misses): (Vec<_>, Vec<_>) =
        languages.iter().partition(|(_, language)| language.matches(&key));
    let dialects = |list: Vec<&(Dialect, Language)>| list.iter().map(|(dialect, _)| *dialect).collect();
    DialectAnswer { key, matches: dialects(matches), misses: dialects(misses) }
}

fn sentence(answer: &DialectAnswer) -> String {
    let names = |dialects: &[Dialect], and: &str| {
        let names: Vec<&str> = dialects
            .iter()
            .map(|dialect| match dialect {
                Dialect::Amqp => "RabbitMQ",
                Dialect::Kombu57 => "Kombu 5.7",
                Dialect::Kombu56 => "Kombu up to 5.6",
            })
            .collect();
        names.join(and)
    };
    let DialectAnswer { key, matches, misses } = answer;
    format!("`{key}` matches in {}, not in {}", names(matches, " and "), names(misses, " or "))
}
