//! The bindings of one exchange, arranged so that its kind finds the matching ones.

use alloc::{
    borrow::Cow,
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    ByteString, Dialect, Exchange, ExchangeKind, Message, QueueId,
    binding::Binding,
    chunks::Chunks,
    error::BindError,
    id::BindingId,
    kombu::{FanoutPrefix, GluedPattern, Layout, Recognised, glob_matches, recognise, translate},
    slots::Slots,
    work::Work,
};

mod chosen;
mod consistent_hash;
mod cut;
mod entries;
mod flat;
mod headers;
mod keys;
mod leaf;
mod random;
mod topic;
mod trie;
mod words;

pub(crate) use chosen::Chosen;
pub(crate) use consistent_hash::HashSource;
pub(crate) use entries::{Entries, Entry, Target};
use flat::Flat;
use headers::{HeadersIndex, HeadersScratch};
pub(crate) use headers::{HeadersPattern, SortedHeaders};
use keys::Keys;
pub(crate) use keys::Quick;
pub(crate) use topic::{Bulk, Form};
use topic::{TopicIndex, TopicScratch};
use trie::{Trie, TrieScratch};
pub(crate) use words::Words;

/// The bindings of one exchange.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    seed: u64,
    content: Content,
    /// Match one routing key (direct).
    keys: Keys,
    /// Match every message and lead to queues, each to another (fanout).
    flat: Flat,
    /// Match every message all the same.
    always: Chunks<Entry>,
    /// Topic patterns of RabbitMQ.
    topic: TopicIndex,
    /// Topic patterns of Kombu whose wildcards are whole words, a trie per dialect in use.
    tries: Vec<(Dialect, Trie)>,
    headers: HeadersIndex,
    /// Everything that has to be asked one by one.
    listed: Slots<(Entry, Listed)>,
    /// The states of everything that is listed, together.
    listed_states: usize,
    /// Bindings that lead to exchanges.
    leading_on: usize,
    /// The bindings of an exchange that chooses one of them.
    chosen: Option<Box<Chosen>>,
}

/// What an index holds, where that alone says how a message is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Whole keys.
    Keys,
    /// Queues that get everything.
    Flat,
    /// Topic patterns of RabbitMQ that lead to queues.
    Topic,
    Other,
}

/// How one binding is matched: decided when it is bound.
#[derive(Debug)]
pub(crate) enum Matcher {
    Always,
    Key,
    /// The words to match, where they are not those of the binding key.
    Words(Dialect, Option<Box<[u8]>>),
    Headers(HeadersPattern),
    Listed(Listed),
    /// One of its exchange's bindings is chosen; this one has a weight.
    Chosen(u32),
}

/// A matcher that no look-up serves.
#[derive(Clone, Debug)]
pub(crate) enum Listed {
    Glued(GluedPattern),
    /// What the queue subscribes to: a Redis glob over the exchange and, after a slash, the key.
    Channel(Box<str>),
    #[cfg(feature = "regex")]
    Foreign(crate::kombu::ForeignPattern),
}

/// Where a binding is found again when it is unbound.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Key(u32),
    Flat(u32),
    Always,
    Topic(topic::Spot),
    Trie(Dialect),
    Headers(headers::Spot),
    Listed(u32),
    Chosen,
}

impl Place {
    /// Whether the index can say the binding key of what is there.
    pub(crate) const fn keeps_key(self) -> bool {
        // The key of what is flat is empty.
        matches!(self, Place::Key(_) | Place::Topic(_) | Place::Flat(_))
    }
}

/// Memory that matching needs, kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct IndexScratch {
    topic: TopicScratch,
    trie: TrieScratch,
    headers: HeadersScratch,
    channel: Vec<u8>,
    pub(crate) work: Work,
}

impl IndexScratch {
    #[inline(always)]
    pub(crate) const fn costs(&self) -> u32 {
        self.topic.costs()
    }

    #[inline(always)]
    pub(crate) const fn set_costs(&mut self, costs: u32) {
        self.topic.set_costs(costs);
    }
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
            ExchangeKind::Headers => HeadersPattern::of(binding).map(Matcher::Headers),
            ExchangeKind::Topic => Self::topic(binding),
            ExchangeKind::ConsistentHash => consistent_hash::weight(binding.key).map(Matcher::Chosen),
            ExchangeKind::Random => Ok(Matcher::Chosen(1)),
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
    pub(crate) fn new(seed: u64, exchange: &Exchange) -> Self {
        Index {
            seed,
            content: Content::Other,
            keys: Keys::new(seed),
            flat: Flat::default(),
            always: Chunks::default(),
            topic: TopicIndex::new(seed),
            tries: Vec::new(),
            headers: HeadersIndex::new(seed),
            listed: Slots::default(),
            listed_states: 0,
            leading_on: 0,
            chosen: Chosen::of(exchange).map(Box::new),
        }
    }

    /// Adds a binding, and says where it is; cannot fail once the matcher is compiled. `key` are the words to match, where
    /// words are matched. `words` is memory to work with.
    pub(crate) fn insert(&mut self, entry: Entry, key: &[u8], matcher: Matcher, words: &mut Words) -> Place {
        self.leading_on += usize::from(entry.target.is_exchange());
        let place = match matcher {
            Matcher::Key => Place::Key(self.keys.insert(key, entry)),
            Matcher::Always => match entry.target.plain_queue() {
                // Two plain bindings to one queue differ in their keys.
                Some(queue) if key.is_empty() => Place::Flat(self.flat.insert(entry.binding, queue)),
                _ => {
                    self.always.insert(entry);
                    Place::Always
                }
            },
            Matcher::Words(Dialect::Amqp, _) => Place::Topic(self.topic.insert(key, entry, words)),
            Matcher::Words(dialect, _) => {
                self.trie(dialect).insert(key, entry);
                Place::Trie(dialect)
            }
            Matcher::Headers(pattern) => Place::Headers(self.headers.insert(entry, pattern)),
            Matcher::Listed(listed) => {
                self.listed_states += listed.states();
                Place::Listed(self.listed.insert((entry, listed)))
            }
            Matcher::Chosen(weight) => {
                if let Some(chosen) = &mut self.chosen {
                    chosen.insert(entry, weight);
                }
                Place::Chosen
            }
        };
        self.content = self.content();
        place
    }

    /// Makes room for so many topic patterns, if there are none yet.
    pub(crate) fn reserve_topic(&mut self, patterns: usize) {
        self.topic.reserve(patterns);
    }

    /// Adds the topic pattern that `bulk` has at hand, unless there is a binding with this key.
    pub(crate) fn insert_composed(
        &mut self,
        bulk: &mut Bulk,
        form: u32,
        literals: &[u32],
        entry: Entry,
    ) -> Option<Place> {
        let spot = self.topic.insert_composed(bulk, form, literals, entry)?;
        self.leading_on += usize::from(entry.target.is_exchange());
        Some(Place::Topic(spot))
    }

    /// Goes on to another exchange.
    pub(crate) fn finish_bulk(&mut self, bulk: &mut Bulk) {
        self.topic.finish_bulk(bulk);
        self.content = self.content();
    }

    fn content(&self) -> Content {
        if !self.keys.is_empty() {
            return Content::Keys;
        }
        match (self.flat.is_empty(), self.topic.is_empty()) {
            _ if !(self.always.is_empty() && self.listed.is_empty() && self.leading_on == 0) => {
                Content::Other
            }
            (false, true) => Content::Flat,
            (true, false) if self.tries.is_empty() => Content::Topic,
            _ => Content::Other,
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

    /// Removes a binding that is here. The binding returned, if any, has its place from now on.
    pub(crate) fn remove(
        &mut self,
        Entry { binding: id, target }: Entry,
        key: &[u8],
        place: Place,
        words: &mut Words,
    ) -> Option<BindingId> {
        self.leading_on -= usize::from(target.is_exchange());
        let mut moved = None;
        match place {
            Place::Key(leaf) => self.keys.remove(leaf, id),
            Place::Flat(at) => moved = self.flat.remove(at),
            Place::Always => {
                self.always.remove(id);
            }
            Place::Topic(spot) => self.topic.remove(spot, id, words),
            Place::Trie(dialect) => {
                let trie = self.trie(dialect);
                trie.remove(key, id);
                if trie.is_empty() {
                    self.tries.retain(|(other, _)| *other != dialect);
                }
            }
            Place::Headers(spot) => self.headers.remove(spot, id),
            Place::Listed(number) => {
                let listed = self.listed.remove(number);
                self.listed_states -= listed.map_or(0, |(_, listed)| listed.states());
            }
            Place::Chosen => {
                if let Some(chosen) = &mut self.chosen {
                    chosen.remove(Entry { binding: id, target });
                }
            }
        }
        self.content = self.content();
        moved
    }

    /// How an exchange chooses that asks none of its bindings.
    pub(crate) fn chosen(&self) -> Option<&Chosen> {
        self.chosen.as_deref()
    }

    /// The bindings that brought the buckets of a consistent-hash exchange, in the order of these.
    pub(crate) fn ring(&self) -> Option<impl Iterator<Item = BindingId>> {
        match self.chosen.as_deref() {
            Some(Chosen::Hash(_, ring)) => Some(ring.owners()),
            _ => None,
        }
    }

    /// Arranges the buckets anew; false if this is no ring or a destination comes twice.
    pub(crate) fn arrange_ring(&mut self, owners: &[(Entry, &[u8])]) -> bool {
        match self.chosen.as_deref_mut() {
            Some(Chosen::Hash(_, ring)) => ring.arrange(owners),
            _ => false,
        }
    }

    /// The words that a binding at this place is matched by, if the place knows them.
    pub(crate) fn key(&self, place: Place) -> &[u8] {
        match place {
            Place::Key(leaf) => self.keys.key(leaf),
            Place::Topic(spot) => self.topic.key(spot),
            _ => &[],
        }
    }

    /// Whether nothing at all is kept: unbinding leaks nothing.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.always.is_empty()
            && self.flat.is_empty()
            && self.keys.is_empty()
            && self.topic.is_clean()
            && self.tries.is_empty()
            && self.headers.is_clean()
            && self.listed.is_empty()
            && self.chosen.as_ref().is_none_or(|chosen| chosen.is_empty())
    }

    /// The most steps that a route takes here for a key of so many bytes, whatever it is.
    pub(crate) fn worst_case(&self, bytes: usize) -> u64 {
        let words = bytes + 1;
        let tries: usize = self.tries.iter().map(|(_, trie)| trie.states()).sum();
        self.topic.worst_case(words)
            + self.headers.worst_case()
            + words as u64 * (tries + self.listed_states) as u64
            + u64::from(!self.keys.is_empty())
    }

    /// Whether this is a direct exchange with bindings.
    #[inline(always)]
    pub(crate) fn has_keys(&self) -> bool {
        self.content == Content::Keys
    }

    /// What is said at a glance of a message to a direct exchange.
    #[inline(always)]
    pub(crate) fn quick(&self, message: &Message<'_>) -> Quick<'_> {
        if message.has_selected_keys() { Quick::Unsure } else { self.keys.quick(message.routing_key()) }
    }

    /// Adds the queues of a direct exchange where nothing has to be told apart: `None` where the message has to be walked,
    /// `Some(false)` if nothing matches.
    pub(crate) fn copy_keys(&self, message: &Message<'_>, queues: &mut Vec<QueueId>) -> Option<bool> {
        if message.has_selected_keys() {
            return None;
        }
        match self.keys.find(message.routing_key()) {
            None => Some(false),
            Some(entries) => entries.plain_queues(queues).then_some(true),
        }
    }

    /// Whether every message gets into each of the queues.
    #[inline(always)]
    pub(crate) fn is_flat(&self) -> bool {
        self.content == Content::Flat
    }

    /// Adds all queues, where every message gets into each of them.
    #[inline(always)]
    pub(crate) fn copy_flat(&self, queues: &mut Vec<QueueId>) {
        self.flat.copy(queues);
    }

    /// Whether [`matches_topic`](Self::matches_topic) finds all that matches this message.
    #[inline(always)]
    pub(crate) fn is_topic_alone(&self, message: &Message<'_>) -> bool {
        self.content == Content::Topic && !message.has_selected_keys()
    }

    /// How many topic patterns of RabbitMQ there are.
    pub(crate) fn topic_patterns(&self) -> usize {
        self.topic.patterns()
    }

    /// The topic pattern of RabbitMQ with this number; `Some(None)` if it is gone, `None` behind the last.
    pub(crate) fn topic_pattern(&self, number: u32) -> Option<Option<&[u8]>> {
        self.topic.pattern(number)
    }

    /// The most steps that matching a key of so many words takes.
    pub(crate) fn topic_steps(&self, words: usize) -> u64 {
        self.topic.steps(words)
    }

    /// Calls `found` with each topic pattern of RabbitMQ that matches.
    #[inline(always)]
    pub(crate) fn matches_topic(
        &self,
        key: &[u8],
        scratch: &mut IndexScratch,
        found: &mut impl FnMut(Entry),
    ) {
        self.topic.matches(key, &mut scratch.topic, &mut scratch.work, found);
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
        for (binding, queue) in self.flat.iter() {
            found(Entry { binding, target: Target::new(queue.into(), false) });
        }
        self.always.iter().copied().for_each(&mut *found);
        if !self.headers.is_empty() {
            self.headers.matches(message, &mut scratch.headers, &mut scratch.work, found);
        }
        if !self.listed.is_empty() {
            self.matches_listed(exchange, message, scratch, found);
        }
        if let Some(chosen) = &self.chosen {
            chosen.choose(exchange, message).into_iter().for_each(found);
        }
    }

    #[inline(always)]
    fn matches_key(&self, key: &[u8], scratch: &mut IndexScratch, found: &mut impl FnMut(Entry)) {
        let IndexScratch { topic, trie, work, .. } = scratch;
        if self.content == Content::Keys {
            work.add(1);
            if let Some(entries) = self.keys.find(key) {
                entries.for_each(found);
            }
            return;
        }
        if !self.topic.is_empty() {
            self.topic.matches_apart(key, topic, work, found);
        }
        for (_, other) in &self.tries {
            other.matches(key, trie, work, found);
        }
    }

    fn matches_listed(
        &self,
        exchange: &str,
        message: &Message<'_>,
        scratch: &mut IndexScratch,
        found: &mut impl FnMut(Entry),
    ) {
        fanout_channel(exchange, message.routing_key(), &mut scratch.channel);
        for (_, (entry, listed)) in self.listed.iter() {
            scratch.work.add((message.routing_key().len() + 1) * listed.states());
            if listed.matches(message, &scratch.channel) {
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
        // A channel's name is text.
        for chunk in routing_key.utf8_chunks() {
            channel.extend_from_slice(chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                channel.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
}

impl Listed {
    fn matches(&self, message: &Message<'_>, channel: &[u8]) -> bool {
        match self {
            Listed::Glued(pattern) => message.keys().any(|key| pattern.matches(key)),
            Listed::Channel(pattern) => glob_matches(pattern.as_bytes(), channel),
            #[cfg(feature = "regex")]
            Listed::Foreign(pattern) => message.keys().any(|key| pattern.matches(key)),
        }
    }

    /// In how many places of the pattern a match can be at once.
    fn states(&self) -> usize {
        match self {
            Listed::Glued(pattern) => pattern.states(),
            Listed::Channel(pattern) => pattern.len() + 1,
            #[cfg(feature = "regex")]
            Listed::Foreign(pattern) => pattern.states(),
        }
    }
}
