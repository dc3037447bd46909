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
    id_list::IdList,
    kombu::{FanoutPrefix, GluedPattern, Layout, Recognised, glob_matches, recognise, translate},
};

mod headers;
mod trie;

use headers::{HeadersPattern, SortedHeaders};
use trie::{Trie, TrieScratch};

/// The bindings of one exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Match every message (fanout).
    always: IdList,
    /// Match one routing key (direct, and topic patterns of a Kombu row that is no pattern).
    keys: HashMap<ByteString, IdList, FixedState>,
    /// Topic patterns whose wildcards are whole words, a trie per dialect in use.
    tries: Vec<(Dialect, Trie)>,
    /// Everything that has to be asked one by one.
    listed: Vec<(BindingId, Listed)>,
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
    /// Adds a binding; cannot fail once the matcher is compiled.
    pub(crate) fn insert(&mut self, id: BindingId, key: &[u8], matcher: Matcher) -> Place {
        match matcher {
            Matcher::Always => {
                self.always.insert(id);
                Place::Always
            }
            Matcher::Key => {
                self.keys.entry(key.into()).or_default().insert(id);
                Place::Key
            }
            Matcher::Words(dialect, words) => {
                self.trie(dialect).insert(words.as_deref().unwrap_or(key), id);
                Place::Words(dialect, words)
            }
            Matcher::Listed(listed) => {
                let at = self.listed.partition_point(|(other, _)| *other < id);
                self.listed.insert(at, (id, listed));
                Place::Listed
            }
        }
    }

    fn trie(&mut self, dialect: Dialect) -> &mut Trie {
        let at = match self.tries.iter().position(|(other, _)| *other == dialect) {
            Some(at) => at,
            None => {
                self.tries.push((dialect, Trie::new(dialect)));
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
                if let Some(ids) = self.keys.get_mut(key) {
                    ids.remove(id);
                    if ids.is_empty() {
                        self.keys.remove(key);
                    }
                }
            }
            Place::Words(dialect, words) => {
                let trie = self.trie(*dialect);
                trie.remove(words.as_deref().unwrap_or(key), id);
                if trie.is_empty() {
                    self.tries.retain(|(other, _)| other != dialect);
                }
            }
            Place::Listed => {
                if let Ok(at) = self.listed.binary_search_by_key(&id, |(id, _)| *id) {
                    self.listed.remove(at);
                }
            }
        }
    }

    /// Whether nothing at all is kept: unbinding leaks nothing.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.always.is_empty() && self.keys.is_empty() && self.tries.is_empty() && self.listed.is_empty()
    }

    /// Calls `found` with each binding that matches; one may come more than once, since a message has several keys
    /// (`CC`) and a pattern several ways to match.
    pub(crate) fn matches(
        &self,
        exchange: &str,
        message: &Message<'_>,
        scratch: &mut IndexScratch,
        found: &mut impl FnMut(BindingId),
    ) {
        self.always.as_slice().iter().copied().for_each(&mut *found);
        for key in message.keys() {
            if let Some(ids) = self.keys.get(key) {
                ids.as_slice().iter().copied().for_each(&mut *found);
            }
            for (_, trie) in &self.tries {
                trie.matches(key, &mut scratch.trie, found);
            }
        }
        if !self.listed.is_empty() {
            let IndexScratch { header_order, channel, .. } = scratch;
            let headers = SortedHeaders::sort(message.header_table(), header_order);
            fanout_channel(exchange, message.routing_key(), channel);
            for (id, listed) in &self.listed {
                if listed.matches(message, &headers, channel) {
                    found(*id);
                }
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
