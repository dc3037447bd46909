//! From a router to bytes.

use alloc::{vec, vec::Vec};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use xxhash_rust::xxh64::xxh64;

use super::{
    MAGIC, VERSION, binding_flag,
    bytes::{Runs, put_bytes, put_number},
    flag, section,
    table::put_table,
};
use crate::{
    ApplyTo, BindingRef, Destination, Dialect, Exchange, ExchangeKind, Queue, Router,
    index::{Form, Words},
};

pub(super) fn snapshot(router: &Router) -> Vec<u8> {
    let numbers = Numbers::of(router);
    let (words, bindings) = bindings(router, &numbers);
    let mut out = Vec::from(MAGIC);
    out.push(VERSION);
    for (number, content) in [
        (section::HEAD, head(router)),
        (section::EXCHANGES, exchanges(router)),
        (section::QUEUES, queues(router)),
        (section::POLICIES, policies(router)),
        (section::WORDS, words),
        (section::BINDINGS, bindings),
        (section::RINGS, rings(router, &numbers)),
    ] {
        put_number(&mut out, number);
        put_bytes(&mut out, &content);
    }
    let checksum = xxh64(&out, 0);
    out.extend(checksum.to_le_bytes());
    out
}

/// The numbers that things get when they are built one after the other: ids without the gaps that deletions left.
struct Numbers {
    exchanges: Vec<u32>,
    queues: Vec<u32>,
    bindings: Vec<u32>,
}

impl Numbers {
    fn of(router: &Router) -> Self {
        let dense = |bound: usize, ids: &mut dyn Iterator<Item = u32>| {
            let mut numbers = vec![0; bound];
            for (number, id) in (0..).zip(ids) {
                numbers[id as usize] = number;
            }
            numbers
        };
        Numbers {
            exchanges: dense(router.exchange_bound(), &mut router.exchanges().map(|(id, ..)| id.0)),
            queues: dense(router.queue_bound(), &mut router.queues().map(|(id, ..)| id.0)),
            bindings: dense(router.binding_bound(), &mut router.binding_ids().map(|id| id.0)),
        }
    }
}

fn head(router: &Router) -> Vec<u8> {
    let mut out = Vec::new();
    let limits = router.limits();
    for number in [router.revision(), limits.key_bytes as u64, limits.bindings as u64] {
        put_number(&mut out, number);
    }
    out
}

fn exchanges(router: &Router) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, router.counts().0 as u64 - 1);
    for (_, name, exchange) in router.exchanges().filter(|(id, ..)| *id != Router::DEFAULT_EXCHANGE) {
        put_bytes(&mut out, name.as_bytes());
        out.push(kind_number(exchange.kind()));
        put_number(&mut out, exchange_flags(exchange));
        put_table(&mut out, exchange.argument_table());
    }
    out
}

/// For good: numbers are never given to another kind.
fn kind_number(kind: ExchangeKind) -> u8 {
    match kind {
        ExchangeKind::Direct => 0,
        ExchangeKind::Fanout => 1,
        ExchangeKind::Headers => 2,
        ExchangeKind::Topic => 3,
        ExchangeKind::ConsistentHash => 4,
        ExchangeKind::Random => 5,
    }
}

fn exchange_flags(exchange: &Exchange) -> u64 {
    let flags = [
        (exchange.is_durable(), flag::DURABLE),
        (exchange.is_auto_delete(), flag::AUTO_DELETE),
        (exchange.is_internal(), flag::INTERNAL),
    ];
    flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum()
}

fn queues(router: &Router) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, router.counts().1 as u64);
    for (_, name, queue) in router.queues() {
        put_bytes(&mut out, name.as_bytes());
        put_number(&mut out, queue_flags(queue));
        put_table(&mut out, queue.argument_table());
    }
    out
}

fn queue_flags(queue: &Queue) -> u64 {
    let flags = [
        (queue.is_durable(), flag::DURABLE),
        (queue.is_auto_delete(), flag::AUTO_DELETE),
        (queue.is_exclusive(), flag::EXCLUSIVE),
    ];
    flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum()
}

fn policies(router: &Router) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, router.policies().count() as u64);
    for (name, policy) in router.policies() {
        put_bytes(&mut out, name.as_bytes());
        put_bytes(&mut out, policy.pattern().as_bytes());
        out.push(apply_to_number(policy.applies_to()));
        out.extend(policy.priority_number().to_le_bytes());
        put_table(&mut out, policy.definition_table());
    }
    out
}

fn apply_to_number(apply_to: ApplyTo) -> u8 {
    match apply_to {
        ApplyTo::All => 0,
        ApplyTo::Exchanges => 1,
        ApplyTo::Queues => 2,
        ApplyTo::ClassicQueues => 3,
        ApplyTo::QuorumQueues => 4,
        ApplyTo::Streams => 5,
    }
}

/// Words and forms of topic patterns, numbered as they come.
#[derive(Default)]
struct Patterns<'a> {
    words: HashMap<&'a [u8], u32, FixedState>,
    word_list: Vec<&'a [u8]>,
    forms: HashMap<Form, u32, FixedState>,
    form_list: Vec<Form>,
    cut: Words,
}

impl<'a> Patterns<'a> {
    /// Writes a pattern as numbers; false if its form is none that can be.
    fn put(&mut self, out: &mut Vec<u8>, key: &'a [u8]) -> bool {
        let Patterns { words, word_list, forms, form_list, cut } = self;
        let Some(text) = cut.split(0, key) else { return false };
        let Some(form) = Form::of(key, text).filter(|_| !key.is_empty()) else { return false };
        let number = *forms.entry(form).or_insert_with(|| {
            form_list.push(form);
            form_list.len() as u32 - 1
        });
        put_number(out, number.into());
        for word in key.split(|byte| *byte == b'.').filter(|word| *word != b"*" && *word != b"#") {
            let number = *words.entry(word).or_insert_with(|| {
                word_list.push(word);
                word_list.len() as u32 - 1
            });
            put_number(out, number.into());
        }
        true
    }

    fn section(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_number(&mut out, self.word_list.len() as u64);
        self.word_list.iter().for_each(|word| put_bytes(&mut out, word));
        put_number(&mut out, self.form_list.len() as u64);
        for Form { prefix, suffix, hash, stars, end_stars } in self.form_list.iter().copied() {
            for number in [prefix.into(), suffix.into(), hash.into(), stars, end_stars] {
                put_number(&mut out, number);
            }
        }
        out
    }
}

/// The sections of words and of bindings.
fn bindings(router: &Router, numbers: &Numbers) -> (Vec<u8>, Vec<u8>) {
    let (mut sources, mut flags) = (Runs::default(), Runs::default());
    let (mut destinations, mut lengths, mut keys, mut extras) = (vec![], vec![], vec![], vec![]);
    let (mut patterns, mut composed) = (Patterns::default(), vec![]);
    for binding in router.bindings() {
        sources.push(numbers.exchanges[binding.source.0 as usize].into());
        let destination = match binding.destination {
            Destination::Queue(id) => u64::from(numbers.queues[id.0 as usize]) << 1,
            Destination::Exchange(id) => u64::from(numbers.exchanges[id.0 as usize]) << 1 | 1,
        };
        put_number(&mut destinations, destination);
        let kind = router.exchange_properties(binding.source).map(Exchange::kind);
        let plain = binding_flags(&binding);
        if plain == 0 && kind == Some(ExchangeKind::Topic) && patterns.put(&mut composed, binding.key) {
            flags.push(binding_flag::WORDS);
            continue;
        }
        flags.push(plain);
        put_number(&mut lengths, binding.key.len() as u64);
        keys.extend_from_slice(binding.key);
        if !binding.arguments.is_empty() {
            put_table(&mut extras, binding.arguments);
        }
        if let Some(pattern) = binding.pattern {
            put_bytes(&mut extras, pattern.as_bytes());
        }
    }
    let mut out = Vec::new();
    put_number(&mut out, router.counts().2 as u64);
    sources.put(&mut out);
    flags.put(&mut out);
    for column in [destinations, lengths, keys, composed, extras] {
        put_bytes(&mut out, &column);
    }
    (patterns.section(), out)
}

fn binding_flags(binding: &BindingRef<'_>) -> u64 {
    let dialect = match binding.dialect {
        Dialect::Amqp => 0,
        Dialect::Kombu57 => binding_flag::KOMBU57,
        Dialect::Kombu56 => binding_flag::KOMBU56,
    };
    let arguments = if binding.arguments.is_empty() { 0 } else { binding_flag::ARGUMENTS };
    let pattern = if binding.pattern.is_some() { binding_flag::PATTERN } else { 0 };
    dialect | arguments | pattern
}

fn rings(router: &Router, numbers: &Numbers) -> Vec<u8> {
    let hashing = router.exchanges().filter(|(.., exchange)| exchange.kind() == ExchangeKind::ConsistentHash);
    let rings: Vec<_> = hashing.map(|(id, ..)| id).collect();
    let mut out = Vec::new();
    put_number(&mut out, rings.len() as u64);
    for exchange in rings {
        put_number(&mut out, numbers.exchanges[exchange.0 as usize].into());
        let owners: Vec<_> = router.ring(exchange).collect();
        put_number(&mut out, owners.len() as u64);
        for owner in owners {
            put_number(&mut out, numbers.bindings[owner.0 as usize].into());
        }
    }
    out
}
