//! The bindings that nearly matched.

use alloc::{collections::BinaryHeap, vec::Vec};

use serde::Serialize;

use super::{
    how::{HeaderVerdict, MatchMode, SelectedKey, WordMatch, took, verdicts},
    passed_over::{self, Buckets},
    suggest::suggest,
};
use crate::{
    BindingDefinition, BindingRef, ByteString, Dialect, ExchangeId, ExchangeKind, Message, Router,
    id::BindingId,
    index::{HeadersPattern, SortedHeaders},
    pattern::{
        reading::Reading,
        words::{Rows, Tokens, letters},
    },
    stamps::Stamps,
};

/// A binding of an exchange on the way of a message that did not match it.
///
/// ```
/// use keyrail_core::{Message, Topology, Trace};
///
/// let router = Topology::from_lines("orders topic: order.*.paid -> billing")?.router()?;
/// let mut trace = Trace::new().with_near_misses(1);
/// router.explain(router.exchange("orders").unwrap(), &Message::new("order.eu.payed"), &mut trace);
/// let miss = &trace.near_misses()[0];
/// assert_eq!((miss.distance, miss.mismatch.to_string()), (1, "word 3 is `payed`, expected `paid`".into()));
/// let suggestion = miss.suggestion.as_ref().unwrap();
/// assert_eq!(suggestion.routing_key.as_str(), Some("order.*.*"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NearMiss {
    /// The binding.
    pub binding: BindingDefinition,
    /// How many words or arguments would have to be others, fewer or more: 1 is nearest.
    pub distance: u32,
    /// Where it failed.
    pub mismatch: Mismatch,
    /// The key that came nearest, where that is not the routing key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected: Option<SelectedKey>,
    /// A binding to put in its place that matches: it differs in one word or argument and, where that is possible, still
    /// matches all that this one does. None for a binding that an exchange did not choose: another weight would move the
    /// messages of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<BindingDefinition>,
}

/// Where a binding failed.
///
/// ```
/// use keyrail_core::{Message, Mismatch, Topology, Trace};
///
/// let router = Topology::from_lines("orders direct: paid -> billing")?.router()?;
/// let mut trace = Trace::new().with_near_misses(1);
/// router.explain(router.exchange("orders").unwrap(), &Message::new("payed"), &mut trace);
/// let mismatch = &trace.near_misses()[0].mismatch;
/// assert_eq!(*mismatch, Mismatch::Key { expected: "paid".into(), found: "payed".into() });
/// assert_eq!(mismatch.to_string(), "the key is `payed`, expected `paid`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # JSON
/// `{"type": "word", "words": […], "at": 2, "expected": "paid", "found": "cancelled"}`, for instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Mismatch {
    /// The binding key is another one.
    Key {
        /// The binding key.
        expected: ByteString,
        /// The key of the message.
        found: ByteString,
    },
    /// A word of the key is another one, or one is missing, or one is too many.
    Word {
        /// The words of the binding key that could be matched.
        words: Vec<WordMatch>,
        /// Which word of the routing key failed, from 0.
        at: u32,
        /// The word of the binding key that was to take it; left out if the binding key ends there.
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<ByteString>,
        /// The word of the routing key; left out if the routing key ends there.
        #[serde(skip_serializing_if = "Option::is_none")]
        found: Option<ByteString>,
    },
    /// An expression over characters, which fails as a whole.
    Expression {
        /// The text that Kombu stored, or the binding key.
        pattern: ByteString,
    },
    /// The queue listens to another channel.
    Channel,
    /// The random exchange drew another binding. Nothing is wrong with this one.
    Draw {
        /// How many bindings it drew from, this one included.
        among: u32,
    },
    /// The hash of the message fell into a bucket that this binding does not own. Nothing is wrong with it.
    Bucket {
        /// The bucket that it fell into, from 0; left out if there are no buckets at all.
        #[serde(skip_serializing_if = "Option::is_none")]
        found: Option<u64>,
        /// How many buckets the exchange has.
        among: u64,
        /// The buckets of this binding; left out if it owns none, since its destination had some already or lost them
        /// with another binding.
        #[serde(skip_serializing_if = "Option::is_none")]
        own: Option<Buckets>,
    },
    /// Too few arguments agree with the headers.
    Headers {
        /// How many have to.
        mode: MatchMode,
        /// Each argument that counts.
        headers: Vec<HeaderVerdict>,
        /// The first that failed; left out if there is none that counts.
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<u32>,
    },
}

/// Finds the nearest bindings: each is looked at once, a few are kept.
///
/// # Cost
/// Bindings × keys looked at (at most 8) × words of the key × words of the binding key; memory for as many as are asked
/// for.
pub(crate) struct NearMisses<'a> {
    router: &'a Router,
    message: &'a Message<'a>,
    limit: usize,
    keys: Vec<Key<'a>>,
    /// The farthest on top.
    kept: BinaryHeap<Candidate>,
    rows: Rows,
    header_order: Vec<u32>,
}

/// One key of the message, cut into words as either kind of dialect does.
struct Key<'a> {
    header: Option<&'static str>,
    key: &'a [u8],
    amqp: Vec<&'a [u8]>,
    kombu: Vec<&'a [u8]>,
}

/// In the order in which they are told: nearer first, then by the letters of the word that failed, then as bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    distance: u32,
    letters: u32,
    hop: u32,
    place: Place,
    key: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Binding(BindingId),
    /// The implicit binding of a queue to the default exchange.
    Queue(crate::QueueId),
}

const KEYS: usize = 8;

/// Letters are counted no further: a word with so many others is another word.
const LETTERS: u32 = 16;

impl<'a> NearMisses<'a> {
    pub(crate) fn new(router: &'a Router, message: &'a Message<'a>, limit: usize) -> Self {
        let own = core::iter::once((None, message.routing_key()));
        let selected = message.selected_keys().map(|(header, key)| (Some(header), key));
        let keys = own.chain(selected).take(KEYS).map(|(header, key)| Key {
            header,
            key,
            amqp: Tokens::of(b"", Dialect::Amqp).words(key),
            kombu: Tokens::of(b"", Dialect::Kombu57).words(key),
        });
        NearMisses {
            router,
            message,
            limit,
            keys: keys.collect(),
            kept: BinaryHeap::with_capacity(limit.min(1024) + 1),
            rows: Rows::default(),
            header_order: Vec::new(),
        }
    }

    /// Looks at the bindings of one exchange; `matched` has those that match.
    pub(crate) fn look_at(&mut self, hop: u32, exchange: ExchangeId, matched: &mut Stamps) {
        let Some(entry) = self.router.exchange_entry(exchange) else { return };
        if exchange == Router::DEFAULT_EXCHANGE {
            return self.look_at_queues(hop);
        }
        let kind = entry.exchange.kind();
        for id in self.router.binding_ids_from(exchange) {
            if !matched.insert(id.0) {
                continue;
            }
            let Some(binding) = self.router.binding(id) else { continue };
            let measured = match kind {
                ExchangeKind::Headers => self.measure_headers(&binding),
                ExchangeKind::Topic => match Reading::of(&binding) {
                    Reading::Words { key, dialect } => {
                        self.measure_words(&Tokens::of(&key, dialect), dialect)
                    }
                    Reading::Glued(_) | Reading::Foreign => self.whole_key(),
                },
                ExchangeKind::Direct => self.measure_words(&Tokens::literal(binding.key), Dialect::Amqp),
                ExchangeKind::ConsistentHash | ExchangeKind::Random => self.passed_over(),
                _ => self.whole_key(),
            };
            if let Some((distance, letters, key)) = measured {
                self.keep(Candidate { distance, letters, hop, place: Place::Binding(id), key });
            }
        }
    }

    /// The default exchange binds every queue by its name.
    fn look_at_queues(&mut self, hop: u32) {
        let router = self.router;
        for (id, name, _) in router.queues() {
            if self.keys.iter().any(|key| key.key == name.as_bytes()) {
                continue;
            }
            let nearest = self
                .keys
                .iter()
                .zip(0..)
                .map(|(key, at)| (letters(key.key, name.as_bytes(), LETTERS, &mut self.rows), at));
            let Some((letters, key)) = nearest.min() else { continue };
            self.keep(Candidate { distance: 1, letters, hop, place: Place::Queue(id), key });
        }
    }

    /// The distance that a candidate has to stay below, or nothing is gained.
    fn most(&self) -> u32 {
        match self.kept.peek() {
            Some(worst) if self.kept.len() >= self.limit => worst.distance.saturating_add(1),
            _ => u32::MAX,
        }
    }

    fn keep(&mut self, candidate: Candidate) {
        if self.kept.len() < self.limit {
            self.kept.push(candidate);
        } else if self.kept.peek().is_some_and(|worst| candidate < *worst) {
            self.kept.pop();
            self.kept.push(candidate);
        }
    }

    fn measure_words(&mut self, tokens: &Tokens<'_>, dialect: Dialect) -> Option<(u32, u32, u32)> {
        let most = self.most();
        let NearMisses { keys, rows, .. } = self;
        let measured = keys.iter().zip(0..).filter_map(|(key, at)| {
            let words = key.words(dialect);
            let distance = tokens.distance(words, most, rows)?;
            let failure = tokens.failure(words);
            let letters = match (tokens.word(failure.token), words.get(failure.word)) {
                (Some(expected), Some(found)) => letters(expected, found, LETTERS, rows),
                _ => 0,
            };
            Some((distance.max(1), letters, at))
        });
        measured.min()
    }

    fn measure_headers(&mut self, binding: &BindingRef<'_>) -> Option<(u32, u32, u32)> {
        let pattern = HeadersPattern::compile(binding.arguments).ok()?;
        let headers = SortedHeaders::sort(self.message.header_table(), &mut self.header_order);
        let failed = pattern.compare(&headers).filter(|(_, wanted, found)| {
            !found.is_some_and(|found| matches!(wanted, crate::Value::Void) || wanted.matches(found))
        });
        let failed = failed.count() as u32;
        // A header that is there with another value is nearer than one that is not.
        let missing = pattern.compare(&headers).filter(|(.., found)| found.is_none()).count() as u32;
        let distance = if pattern.is_any() { 1 } else { failed.max(1) };
        Some((distance, missing, 0))
    }

    fn whole_key(&self) -> Option<(u32, u32, u32)> {
        let words = self.keys.first().map_or(0, |key| key.kombu.len());
        Some((u32::try_from(words).unwrap_or(u32::MAX).max(1), LETTERS, 0))
    }

    /// What was not chosen is as far off as a whole key, and comes behind what failed at that distance: an edit may
    /// mend that.
    fn passed_over(&self) -> Option<(u32, u32, u32)> {
        self.whole_key().map(|(distance, letters, key)| (distance, letters + 1, key))
    }

    /// The nearest, nearest first.
    pub(crate) fn finish(self) -> Vec<NearMiss> {
        let NearMisses { router, message, keys, kept, .. } = self;
        let sorted = kept.into_sorted_vec();
        sorted.iter().filter_map(|candidate| tell(router, message, &keys, candidate)).collect()
    }
}

impl<'a> Key<'a> {
    fn words(&self, dialect: Dialect) -> &[&'a [u8]] {
        if dialect == Dialect::Amqp { &self.amqp } else { &self.kombu }
    }

    fn selected(&self) -> Option<SelectedKey> {
        self.header.map(|header| SelectedKey { header, key: self.key.into() })
    }
}

fn tell(router: &Router, message: &Message<'_>, keys: &[Key<'_>], candidate: &Candidate) -> Option<NearMiss> {
    let key = keys.get(candidate.key as usize)?;
    let distance = candidate.distance;
    let id = match candidate.place {
        Place::Binding(id) => id,
        Place::Queue(queue) => {
            let binding = BindingDefinition::implicit(router, queue.into());
            let mismatch = Mismatch::Key { expected: binding.routing_key.clone(), found: key.key.into() };
            return Some(NearMiss {
                binding,
                distance,
                mismatch,
                selected: key.selected(),
                suggestion: None,
            });
        }
    };
    let binding = router.binding(id)?;
    let kind = router.exchange_properties(binding.source)?.kind();
    let mismatch = match kind {
        ExchangeKind::Direct => Mismatch::Key { expected: binding.key.into(), found: key.key.into() },
        ExchangeKind::Headers => {
            let pattern = HeadersPattern::compile(binding.arguments).ok()?;
            let headers = verdicts(&pattern, message);
            let at = headers.iter().position(|header| !header.verdict.agrees()).map(|at| at as u32);
            Mismatch::Headers { mode: MatchMode::of(&pattern), headers, at }
        }
        ExchangeKind::Topic => match Reading::of(&binding) {
            Reading::Words { key: pattern, dialect } => {
                word(&Tokens::of(&pattern, dialect), key.words(dialect))
            }
            Reading::Glued(_) | Reading::Foreign => Mismatch::Expression {
                pattern: binding.pattern.map_or_else(|| binding.key.into(), ByteString::from),
            },
        },
        ExchangeKind::ConsistentHash | ExchangeKind::Random => {
            let chosen = router.exchange_entry(binding.source)?.index.chosen()?;
            passed_over::mismatch(chosen, message, id, binding.destination)
        }
        _ => Mismatch::Channel,
    };
    Some(NearMiss {
        suggestion: suggest(router, kind, &binding, key.key, message),
        binding: BindingDefinition::of(router, &binding),
        distance,
        mismatch,
        selected: key.selected(),
    })
}

fn word(tokens: &Tokens<'_>, words: &[&[u8]]) -> Mismatch {
    let failure = tokens.failure(words);
    let (before, rest) = tokens.split_at(failure.token);
    let ends = before.layout(words.get(..failure.word).unwrap_or_default()).unwrap_or_default();
    Mismatch::Word {
        words: took(&before.tokens, words, &ends),
        at: failure.word as u32,
        expected: rest.text(0).map(Into::into),
        found: words.get(failure.word).map(|word| (*word).into()),
    }
}
