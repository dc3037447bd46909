//! The bindings of one exchange, arranged so that its kind finds the matching ones.

use alloc::{
    borrow::Cow,
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::{
    ByteString, Dialect, ExchangeKind, Message, Table,
    binding::Binding,
    error::BindError,
    id::BindingId,
    kombu::{FanoutPrefix, GluedPattern, Layout, Recognised, glob_matches, recognise, translate},
};

mod entries;
mod headers;
mod pages;
mod segmented;
mod topic;
mod trie;
mod words;

pub(crate) use entries::Entry;
use entries::EntryList;
pub(crate) use headers::{HeadersPattern, SortedHeaders};
use topic::{TopicIndex, TopicScratch};
use trie::{Trie, TrieScratch};

/// The bindings of one exchange.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    seed: u64,
    /// Match every message (fanout).
    always: EntryList,
    /// Match one routing key (direct, and topic patterns of a Kombu row that is no pattern).
    keys: HashMap<ByteString, EntryList, FixedState>,
    /// Topic patterns of RabbitMQ.
    topic: TopicIndex,
    has_topics: bool,
    /// Topic patterns of Kombu whose wildcards are whole words, a trie per dialect in use.
    tries: Vec<(Dialect, Trie)>,
    /// Everything that has to be asked one by one.
    listed: Vec<(Entry, Listed)>,
}

/// How one binding is matched: decided when it is bound, and where it is found again when it is unbound.
#[derive(Debug)]
pub(crate) enum Matcher {
    Always,
    Key,
    /// The words to match, where they are not those of the binding key.
    Words(Dialect, Option<Box<[u8]>>),
    Listed(Listed),
}

/// A matcher that no look-up serves.
#[derive(Clone, Debug)]
pub(crate) enum Listed {
    Headers(HeadersPattern),
    Glued(GluedPattern),
    /// What the queue subscribes to: a Redis glob over the exchange and, after a slash, the key.
    Channel(Box<str>),
    #[cfg(feature = "regex")]
    Foreign(crate::kombu::ForeignPattern),
}

/// The part of a [`Matcher`] that unbinding needs.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Always,
    Key,
    Words(Dialect, Option<Box<[u8]>>),
    Listed,
}

/// Memory that matching needs, kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct IndexScratch {
    topic: TopicScratch,
    trie: TrieScratch,
    header_order: Vec<u32>,
    channel: Vec<u8>,
}

impl Matcher {
    /// Decides how `binding` of an exchange of this kind is matched.
    pub(crate) fn compile(
        kind: ExchangeKind,
        exchange: &str,
        binding: &Binding<'_>,
    ) -> Result<Self, BindError> {
        match kind {
            ExchangeKind::Direct => Ok(Matcher::Key),
            ExchangeKind::Fanout => match binding.dialect {
                Dialect::Amqp => Ok(Matcher::Always),
                Dialect::Kombu57 | Dialect::Kombu56 => {
                    // The prefix of the channel is the same on both sides and says nothing here.
                    let layout = Layout { fanout_prefix: FanoutPrefix::None, ..Layout::default() };
                    let pattern = layout.fanout_pattern(exchange, text(binding.key)?);
                    Ok(Matcher::Listed(Listed::Channel(pattern.into())))
                }
            },
            ExchangeKind::Headers => {
                const NONE: &Table = &Table::new();
                let pattern = HeadersPattern::compile(binding.arguments.unwrap_or(NONE))?;
                Ok(Matcher::Listed(Listed::Headers(pattern)))
            }
            ExchangeKind::Topic => Self::topic(binding),
        }
    }

    fn topic(binding: &Binding<'_>) -> Result<Self, BindError> {
        if binding.pattern.is_none() && binding.dialect == Dialect::Amqp {
            return Ok(Matcher::Words(Dialect::Amqp, None));
        }
        let key = text(binding.key)?;
        let invalid = |reason: String| BindError::InvalidPattern { key: key.into(), reason: reason.into() };
        let pattern = match binding.pattern {
            Some(pattern) => Cow::Borrowed(pattern),
            None => Cow::Owned(translate(key, binding.dialect).map_err(|error| invalid(error.to_string()))?),
        };
        match recognise(&pattern) {
            Some(Recognised::Words { key: words, dialect }) => {
                let words = words.as_bytes();
                Ok(Matcher::Words(dialect, (words != binding.key).then(|| words.into())))
            }
            Some(Recognised::Glued(pattern)) => Ok(Matcher::Listed(Listed::Glued(pattern))),
            None => Self::foreign(&pattern).map_err(invalid),
        }
    }

    #[cfg(feature = "regex")]
    fn foreign(pattern: &str) -> Result<Self, String> {
        let pattern = crate::kombu::ForeignPattern::compile(pattern);
        pattern.map(|pattern| Matcher::Listed(Listed::Foreign(pattern))).map_err(|error| error.to_string())
    }

    #[cfg(not(feature = "regex"))]
    fn foreign(pattern: &str) -> Result<Self, String> {
        Err(alloc::format!("`{pattern}` is none that Kombu writes, and foreign patterns are not compiled in"))
    }
}

fn text(key: &[u8]) -> Result<&str, BindError> {
    core::str::from_utf8(key)
        .map_err(|_| BindError::KeyNotUtf8 { key: alloc::format!("{}", ByteString::from(key)).into() })
}

impl Index {
    /// An index whose hashes begin with a seed that whoever chooses keys does not know.
    pub(crate) fn new(seed: u64) -> Self {
        Index {
            seed,
            always: EntryList::default(),
            keys: HashMap::with_hasher(FixedState::with_seed(seed)),
            topic: TopicIndex::new(seed),
            has_topics: false,
            tries: Vec::new(),
            listed: Vec::new(),
        }
    }

    /// Adds a binding; cannot fail once the matcher is compiled.
    pub(crate) fn insert(&mut self, entry: Entry, key: &[u8], matcher: Matcher) -> Place {
        match matcher {
            Matcher::Always => {
                self.always.insert(entry);
                Place::Always
            }
            Matcher::Key => {
                self.keys.entry(key.into()).or_default().insert(entry);
                Place::Key
            }
            Matcher::Words(dialect, words) => {
                let key = words.as_deref().unwrap_or(key);
                match dialect {
                    Dialect::Amqp => {
                        self.topic.insert(key, entry);
                        self.has_topics = true;
                    }
                    Dialect::Kombu57 | Dialect::Kombu56 => self.trie(dialect).insert(key, entry),
                }
                Place::Words(dialect, words)
            }
            Matcher::Listed(listed) => {
                let at = self.listed.partition_point(|(other, _)| other.binding < entry.binding);
                self.listed.insert(at, (entry, listed));
                Place::Listed
            }
        }
    }

    fn trie(&mut self, dialect: Dialect) -> &mut Trie {
        let at = match self.tries.iter().position(|(other, _)| *other == dialect) {
            Some(at) => at,
            None => {
                self.tries.push((dialect, Trie::new(dialect, self.seed)));
                self.tries.len() - 1
            }
        };
        &mut self.tries[at].1
    }

    /// Removes a binding that is here.
    pub(crate) fn remove(&mut self, id: BindingId, key: &[u8], place: &Place) {
        match place {
            Place::Always => self.always.remove(id),
            Place::Key => {
                if let Some(entries) = self.keys.get_mut(key) {
                    entries.remove(id);
                    if entries.is_empty() {
                        self.keys.remove(key);
                    }
                }
            }
            Place::Words(dialect, words) => {
                let key = words.as_deref().unwrap_or(key);
                if *dialect == Dialect::Amqp {
                    self.topic.remove(key, id);
                    self.has_topics = !self.topic.is_empty();
                    return;
                }
                let trie = self.trie(*dialect);
                trie.remove(key, id);
                if trie.is_empty() {
                    self.tries.retain(|(other, _)| other != dialect);
                }
            }
            Place::Listed => {
                if let Ok(at) = self.listed.binary_search_by_key(&id, |(entry, _)| entry.binding) {
                    self.listed.remove(at);
                }
            }
        }
    }

    /// Whether nothing at all is kept: unbinding leaks nothing.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.always.is_empty()
            && self.keys.is_empty()
            && self.topic.is_clean()
            && self.tries.is_empty()
            && self.listed.is_empty()
    }

    /// Calls `found` with each binding that matches; one may come more than once, since a message has several keys
    /// (`CC`) and a pattern several ways to match.
    #[inline]
    pub(crate) fn matches(
        &self,
        exchange: &str,
        message: &Message<'_>,
        scratch: &mut IndexScratch,
        found: &mut impl FnMut(Entry),
    ) {
        self.matches_key(message.routing_key(), scratch, found);
        if message.has_selected_keys() {
            message.keys().skip(1).for_each(|key| self.matches_key(key, scratch, found));
        }
        self.always.for_each(found);
        if !self.listed.is_empty() {
            self.matches_listed(exchange, message, scratch, found);
        }
    }

    #[inline(always)]
    fn matches_key(&self, key: &[u8], scratch: &mut IndexScratch, found: &mut impl FnMut(Entry)) {
        if !self.keys.is_empty() {
            if let Some(entries) = self.keys.get(key) {
                entries.for_each(found);
            }
            return;
        }
        if self.has_topics {
            self.topic.matches(key, &mut scratch.topic, found);
        }
        for (_, trie) in &self.tries {
            trie.matches(key, &mut scratch.trie, found);
        }
    }

    fn matches_listed(
        &self,
        exchange: &str,
        message: &Message<'_>,
        scratch: &mut IndexScratch,
        found: &mut impl FnMut(Entry),
    ) {
        let IndexScratch { header_order, channel, .. } = scratch;
        let headers = SortedHeaders::sort(message.header_table(), header_order);
        fanout_channel(exchange, message.routing_key(), channel);
        for (entry, listed) in &self.listed {
            if listed.matches(message, &headers, channel) {
                found(*entry);
            }
        }
    }
}

/// The PUB/SUB channel of a publish without its prefix. There is one per publish: that of the routing key.
fn fanout_channel(exchange: &str, routing_key: &[u8], channel: &mut Vec<u8>) {
    channel.clear();
    channel.extend_from_slice(exchange.as_bytes());
    if !routing_key.is_empty() {
        channel.push(b'/');
        channel.extend_from_slice(routing_key);
    }
}

impl Listed {
    fn matches(&self, message: &Message<'_>, headers: &SortedHeaders<'_>, channel: &[u8]) -> bool {
        match self {
            Listed::Headers(pattern) => pattern.matches(headers),
            Listed::Glued(pattern) => message.keys().any(|key| pattern.matches(key)),
            Listed::Channel(pattern) => glob_matches(pattern.as_bytes(), channel),
            #[cfg(feature = "regex")]
            Listed::Foreign(pattern) => message.keys().any(|key| pattern.matches(key)),
        }
    }
}
