//! The naive model: routing as one would explain it to a friend, slow and obviously right. Lists are searched from end to
//! end, topic patterns tried in every way (RabbitMQ) or handed to a regular expression engine as Kombu writes them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use keyrail_core::{Dialect, ExchangeKind};
use regex::Regex;

/// A header or argument; comparing across AMQP types is what the recorded vectors are for.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Number(i64),
    Text(String),
    /// In a binding: "the header is there".
    Void,
}

#[derive(Clone, Debug)]
pub struct ModelExchange {
    pub kind: ExchangeKind,
    pub alternate: Option<String>,
}
#[derive(Clone, Debug)]
pub struct ModelBinding {
    pub source: String,
    /// A queue, or an exchange where that is true.
    pub destination: String,
    pub to_exchange: bool,
    pub key: String,
    pub dialect: Dialect,
    /// `x-match: any`
    pub any: bool,
    pub arguments: Vec<(String, Scalar)>,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub exchanges: BTreeMap<String, ModelExchange>,
    pub queues: BTreeSet<String>,
    pub bindings: Vec<ModelBinding>,
}

#[derive(Clone, Debug, Default)]
pub struct ModelMessage {
    pub key: String,
    /// The keys of CC and BCC.
    pub selected: Vec<String>,
    pub headers: Vec<(String, Scalar)>,
}

impl Model {
    /// The queues that get a message published to `exchange`.
    pub fn route(&self, exchange: &str, message: &ModelMessage) -> BTreeSet<String> {
        let keys: Vec<&str> = [&message.key].into_iter().chain(&message.selected).map(|key| &**key).collect();
        let mut queues = BTreeSet::new();
        let mut asked = BTreeSet::new();
        let mut ask = vec![exchange.to_owned()];
        while let Some(name) = ask.pop() {
            if !asked.insert(name.clone()) {
                continue;
            }
            if name.is_empty() {
                queues.extend(keys.iter().map(|key| key.to_string()).filter(|key| self.queues.contains(key)));
                continue;
            }
            let Some(exchange) = self.exchanges.get(&name) else { continue };
            let from_here = self.bindings.iter().filter(|binding| binding.source == name);
            let matching: Vec<_> =
                from_here.filter(|binding| binding.matches(exchange.kind, &keys, &message.headers)).collect();
            for binding in &matching {
                if binding.to_exchange {
                    ask.push(binding.destination.clone());
                } else {
                    queues.insert(binding.destination.clone());
                }
            }
            if matching.is_empty() {
                // The default exchange is never an alternate, though its name is accepted.
                ask.extend(exchange.alternate.clone().filter(|alternate| !alternate.is_empty()));
            }
        }
        queues
    }
}

impl ModelBinding {
    fn matches(&self, kind: ExchangeKind, keys: &[&str], headers: &[(String, Scalar)]) -> bool {
        match kind {
            ExchangeKind::Direct => keys.contains(&&*self.key),
            ExchangeKind::Fanout => true,
            ExchangeKind::Headers => self.headers_match(headers),
            ExchangeKind::Topic => keys.iter().any(|key| topic_matches(&self.key, self.dialect, key)),
            _ => unreachable!("the model knows no exchange of kind {kind}"),
        }
    }

    fn headers_match(&self, headers: &[(String, Scalar)]) -> bool {
        let agrees = |(name, wanted): &(String, Scalar)| {
            let header = headers.iter().find(|(header, _)| header == name);
            header.is_some_and(|(_, value)| *wanted == Scalar::Void || wanted == value)
        };
        let mut wanted = self.arguments.iter().filter(|(name, _)| !name.starts_with("x-"));
        if self.any { wanted.any(agrees) } else { wanted.all(agrees) }
    }
}

/// Whether a binding key of a topic exchange matches a routing key; false if Kombu could not execute it.
pub fn topic_matches(pattern: &str, dialect: Dialect, key: &str) -> bool {
    match dialect {
        Dialect::Amqp => words_match(&words(pattern), &words(key)),
        Dialect::Kombu57 | Dialect::Kombu56 => match kombu_pattern(pattern, dialect) {
            // Python's `$` also matches before one line feed at the end.
            Some(text) => expression(&format!(r"^(?:{text})\n?\z")).is_match(key),
            None => false,
        },
    }
}

/// Compiled once a thread: that takes a hundred times as long as matching.
fn expression(text: &str) -> Regex {
    thread_local! {
        static COMPILED: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
    }
    COMPILED.with_borrow_mut(|compiled| match compiled.get(text) {
        Some(regex) => regex.clone(),
        None => {
            let regex = Regex::new(text).expect("kombu's own");
            compiled.insert(text.to_owned(), regex.clone());
            regex
        }
    })
}

fn words(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

fn words_match(pattern: &[&str], key: &[&str]) -> bool {
    match pattern {
        [] => key.is_empty(),
        ["#", rest @ ..] => (0..=key.len()).any(|taken| words_match(rest, &key[taken..])),
        [word, rest @ ..] => match key {
            [first, others @ ..] => (*word == "*" || word == first) && words_match(rest, others),
            [] => false,
        },
    }
}

/// Kombu's text for a binding key, in this engine's spelling; `None` where a glued `*` repeats nothing or a repeat.
pub fn kombu_pattern(key: &str, dialect: Dialect) -> Option<String> {
    let star = if dialect == Dialect::Kombu57 { r"[^\.]+" } else { r".*?[^\.]" };
    let glued_onto_nothing = |word: &str| word != "*" && word.contains("**");
    let starts_glued = key.starts_with('*') && key != "*" && !key.starts_with("*.");
    if starts_glued || key.split('.').any(glued_onto_nothing) {
        return None;
    }
    let word = |word: &str| match word {
        "*" => star.to_owned(),
        "#" => ".*?".to_owned(),
        // A glued `*` stays a regular expression's `*`; everything else stands for itself.
        _ => word.split('*').map(regex::escape).collect::<Vec<_>>().join("*"),
    };
    Some(key.split('.').map(word).collect::<Vec<_>>().join(r"\."))
}
