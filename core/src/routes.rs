use alloc::{boxed::Box, vec::Vec};

use crate::{
    ExchangeId, Message, QueueId, Router,
    automaton::{Automata, COSTLY, Known},
    cache::{Asked, Cache},
    index::Entries,
    router::ExchangeEntry,
    walk::{Scratch, Sink, walk},
};

/// The queues that get a message, and the memory that finding them needs.
///
/// Keep one per thread or task: [`Router::route`](crate::Router::route) clears it first, and once it has grown a call
/// allocates nothing. It may serve several routers in turn.
///
/// It remembers two things, bounded both, and forgets them when the table changes. *Answers* to routing keys that come
/// again: up to 3.5 megabytes; [`without_cache`](Self::without_cache) keeps none. And for topic exchanges whose keys are
/// costly to match, four at most, the *states* of an automaton over words that it builds while it matches: up to 12
/// megabytes each; [`without_memory`](Self::without_memory) keeps neither. What is remembered changes no answer, and not
/// the order of the queues either.
///
/// ```
/// use keyrail_core::{Message, Routes, Topology};
///
/// let router = Topology::from_lines("orders topic: order.# -> audit\norders: *.paid -> billing")?.router()?;
/// let orders = router.exchange("orders").unwrap();
/// let mut routes = Routes::new();
/// let counts = ["order.paid", "stock.paid", "stock"].map(|key| {
///     let _ = router.route(orders, &Message::new(key), &mut routes);
///     routes.len()
/// });
/// assert_eq!(counts, [2, 1, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Routes {
    pub(crate) queues: Vec<QueueId>,
    scratch: Scratch,
    cache: Option<Box<Cache>>,
    automata: Option<Box<Automata>>,
}

impl Default for Routes {
    fn default() -> Self {
        Routes::new()
    }
}

impl Routes {
    /// An empty result.
    ///
    /// ```
    /// use keyrail_core::Routes;
    ///
    /// assert!(Routes::new().is_empty() && Routes::new().queues().is_empty()); // until a message is routed
    /// ```
    pub fn new() -> Self {
        Routes {
            queues: Vec::new(),
            scratch: Scratch::default(),
            cache: Some(Box::default()),
            automata: Some(Box::default()),
        }
    }

    /// An empty result that remembers no answers: every message is matched anew, also one whose key came before. The states
    /// of automata are kept: they are how keys are matched, and serve keys that never came as long as they begin alike.
    ///
    /// ```
    /// use keyrail_core::{Message, Outcome, Router, Routes};
    ///
    /// let router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// let mut routes = Routes::without_cache();
    /// assert_eq!(router.route(topic, &Message::new("order.eu.paid"), &mut routes), Outcome::Unroutable);
    /// ```
    pub fn without_cache() -> Self {
        Routes { cache: None, ..Routes::new() }
    }

    /// An empty result that remembers nothing: every message is matched by the table alone, whatever came before. The least
    /// memory, and what a first message costs.
    ///
    /// ```
    /// use keyrail_core::{Message, Outcome, Router, Routes};
    ///
    /// let router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// let mut routes = Routes::without_memory();
    /// assert_eq!(router.route(topic, &Message::new("order.eu.paid"), &mut routes), Outcome::Unroutable);
    /// ```
    pub fn without_memory() -> Self {
        Routes { cache: None, automata: None, ..Routes::new() }
    }

    /// The queues, each once. The order depends on the topology, on how it came about and on the message alone, and is
    /// the same on every target.
    ///
    /// ```
    /// use keyrail_core::{Message, Routes, Topology};
    ///
    /// let router = Topology::from_lines("news fanout: -> a, b\nnews: again -> a")?.router()?;
    /// let mut routes = Routes::new();
    /// let _ = router.route(router.exchange("news").unwrap(), &Message::new(""), &mut routes);
    /// assert_eq!(routes.queues(), [router.queue("a").unwrap(), router.queue("b").unwrap()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Vectors `direct-002`, `topic-016`, `e2e-005`.
    pub fn queues(&self) -> &[QueueId] {
        &self.queues
    }

    /// The number of queues.
    pub fn len(&self) -> usize {
        self.queues.len()
    }

    /// Whether no queue gets the message.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// How many steps the last route took: words looked up, shapes of patterns asked, live states moved by a word,
    /// bindings asked one by one. Counted where debug assertions are on, and 0 elsewhere; an answer that was remembered
    /// takes none. [`Router::worst_case`](crate::Router::worst_case) bounds it.
    ///
    /// ```
    /// use keyrail_core::{Message, Outcome, Router, Routes};
    ///
    /// let router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// let mut routes = Routes::new();
    /// assert_eq!(router.route(topic, &Message::new("order.eu.paid"), &mut routes), Outcome::Unroutable);
    /// assert!(routes.work() <= router.worst_case(topic).unwrap());
    /// ```
    pub const fn work(&self) -> u64 {
        self.scratch.work().steps()
    }

    #[cfg(test)]
    pub(crate) fn automata(&self) -> Option<&Automata> {
        self.automata.as_deref()
    }

    pub(crate) fn clear(&mut self) {
        self.queues.clear();
        self.scratch.restart();
    }

    /// Adds the queues that `message` comes to from `exchange`, which is this.
    ///
    /// Not inlined, as what follows is not: a message needs the frame of the way that it goes and of no other. What chooses
    /// the way calls nothing but at its end, so that it needs no frame at all.
    #[inline(never)]
    pub(crate) fn fill(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
    ) -> Outcome {
        if entry.index.is_flat() {
            return self.fill_flat(entry);
        }
        match &mut self.cache {
            Some(cache) if router.depends_on_key_alone(message) => match cache.ask() {
                Asked::Awake => self.fill_remembered(router, exchange, entry, message),
                Asked::Asleep => self.fill_asleep(router, exchange, entry, message),
                Asked::Unsure => self.fill_judged(router, exchange, entry, message),
            },
            _ => self.fill_anew(router, exchange, entry, message, false),
        }
    }

    /// While the cache sleeps: the way of most messages that are matched, so chosen by as few steps as can be.
    #[inline(always)]
    fn fill_asleep(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
    ) -> Outcome {
        let awake = self.automata.as_ref().is_some_and(|automata| automata.awake);
        if awake || !entry.index.is_topic_alone(message) {
            return self.fill_anew(router, exchange, entry, message, false);
        }
        self.scratch.set_costs(0);
        self.fill_topic(router, exchange, entry, message, false)
    }

    /// All queues of an exchange that sends every message to all of them.
    #[inline(never)]
    fn fill_flat(&mut self, entry: &ExchangeEntry) -> Outcome {
        entry.index.copy_flat(&mut self.queues);
        Outcome::Routed
    }

    /// Looks for an answer that is remembered.
    #[inline(never)]
    fn fill_remembered(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
    ) -> Outcome {
        let Some(cache) = &mut self.cache else { return Outcome::Unroutable };
        match cache.find(router, exchange, message.routing_key()) {
            Some([]) => Outcome::Unroutable,
            // Most answers are one queue, for which copying costs more than keeping.
            Some([queue]) => {
                self.queues.push(*queue);
                Outcome::Routed
            }
            Some(answer) => {
                self.queues.extend_from_slice(answer);
                Outcome::Routed
            }
            None => self.fill_anew(router, exchange, entry, message, true),
        }
    }

    /// Decides whether remembering pays.
    #[cold]
    #[inline(never)]
    fn fill_judged(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
    ) -> Outcome {
        if self.cache.as_mut().is_some_and(|cache| cache.judge()) {
            return self.fill_remembered(router, exchange, entry, message);
        }
        self.fill_anew(router, exchange, entry, message, false)
    }

    /// The same for a direct exchange.
    #[inline(never)]
    pub(crate) fn fill_keys(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
    ) -> Outcome {
        match entry.index.copy_keys(message, &mut self.queues) {
            Some(true) => Outcome::Routed,
            Some(false) if entry.alternate_exchange().is_none() => Outcome::Unroutable,
            _ => self.fill(router, exchange, entry, message),
        }
    }

    /// The same for a direct exchange that has these bindings for the message.
    #[inline(never)]
    pub(crate) fn fill_several(
        &mut self,
        entries: &Entries,
        router: &Router,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
    ) -> Outcome {
        if entries.plain_queues(&mut self.queues) {
            return Outcome::Routed;
        }
        self.fill(router, exchange, entry, message)
    }

    /// Makes this queue the only one.
    #[inline(always)]
    pub(crate) fn fill_one(&mut self, queue: QueueId) -> Outcome {
        if self.queues.capacity() == 0 {
            return self.fill_first(queue);
        }
        self.queues.clear();
        self.queues.push(queue);
        Outcome::Routed
    }

    #[cold]
    #[inline(never)]
    fn fill_first(&mut self, queue: QueueId) -> Outcome {
        self.queues.push(queue);
        Outcome::Routed
    }

    /// The same for what is not remembered, but is to be from now on if `remember`: as the answer to the last question of the
    /// cache.
    #[inline(never)]
    fn fill_anew(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
        remember: bool,
    ) -> Outcome {
        if !entry.index.is_topic_alone(message) {
            return self.fill_by_walk(router, exchange, message, remember);
        }
        if self.automata.as_ref().is_some_and(|automata| automata.awake) {
            return self.fill_by_states(router, exchange, entry, message, remember);
        }
        self.scratch.set_costs(0);
        self.fill_topic(router, exchange, entry, message, remember)
    }

    /// The queues of a topic exchange that leads to queues alone: from its automaton if that knows them.
    #[inline(never)]
    fn fill_by_states(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
        remember: bool,
    ) -> Outcome {
        let Routes { queues, scratch, automata: Some(automata), .. } = self else {
            return Outcome::Unroutable;
        };
        match automata.find(router, exchange, &entry.index, message.routing_key(), scratch.work_mut()) {
            Known::Answer(answer) => {
                queues.extend_from_slice(answer);
                return self.finish(router, exchange, entry, message, remember);
            }
            Known::Unknown => scratch.set_costs(0),
            Known::Wanted => scratch.set_costs(COSTLY + 1),
        }
        self.fill_topic(router, exchange, entry, message, remember)
    }

    /// The same from its index. What that costs is counted on from what it is.
    #[inline(never)]
    fn fill_topic(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
        remember: bool,
    ) -> Outcome {
        self.scratch.collect_topic(&entry.index, router, message.routing_key(), &mut self.queues);
        if self.scratch.costs() > COSTLY {
            self.learn(router, exchange, entry);
        }
        self.finish(router, exchange, entry, message, remember)
    }

    /// Lets the automaton of an exchange have what the index said, or know that it was costly.
    #[cold]
    #[inline(never)]
    fn learn(&mut self, router: &Router, exchange: ExchangeId, entry: &ExchangeEntry) {
        if let Some(automata) = &mut self.automata
            && !automata.store(&self.queues)
        {
            automata.note(router, exchange, &entry.index);
        }
    }

    /// Goes on to the alternate exchange if need be.
    #[inline(always)]
    fn finish(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        entry: &ExchangeEntry,
        message: &Message<'_>,
        remember: bool,
    ) -> Outcome {
        if self.queues.is_empty() {
            if entry.alternate_exchange().is_some() {
                return self.fill_by_walk(router, exchange, message, remember);
            }
            if !remember {
                return Outcome::Unroutable;
            }
        }
        if remember { self.remember(exchange, message) } else { Outcome::Routed }
    }

    #[inline(never)]
    fn fill_by_walk(
        &mut self,
        router: &Router,
        exchange: ExchangeId,
        message: &Message<'_>,
        remember: bool,
    ) -> Outcome {
        walk(router, exchange, message, &mut self.scratch, &mut Collect(&mut self.queues));
        if remember { self.remember(exchange, message) } else { self.outcome() }
    }

    #[inline(never)]
    fn remember(&mut self, exchange: ExchangeId, message: &Message<'_>) -> Outcome {
        if let Some(cache) = &mut self.cache {
            cache.store(exchange, message.routing_key(), &self.queues);
        }
        self.outcome()
    }

    #[inline(always)]
    const fn outcome(&self) -> Outcome {
        if self.queues.is_empty() { Outcome::Unroutable } else { Outcome::Routed }
    }
}

impl<'a> IntoIterator for &'a Routes {
    type Item = QueueId;
    type IntoIter = core::iter::Copied<core::slice::Iter<'a, QueueId>>;

    fn into_iter(self) -> Self::IntoIter {
        self.queues.iter().copied()
    }
}

/// What routing a message came to.
///
/// Exhaustive on purpose: a further case must be seen by whoever decides what becomes of a message.
///
/// ```
/// use keyrail_core::{ExchangeId, Message, Outcome, Router, Routes};
///
/// let router = Router::with_predeclared_exchanges();
/// let topic = router.exchange("amq.topic").unwrap();
/// let outcome = router.route(topic, &Message::new("order.paid"), &mut Routes::new());
/// let returned = match outcome {
///     Outcome::Routed => false,
///     Outcome::Unroutable => true, // if it is mandatory
///     Outcome::UnknownExchange => unreachable!(),
/// };
/// assert!(returned && outcome.as_str() == "unroutable");
/// ```
///
/// # Source
/// Vectors `direct-001`, `direct-010`: what is not mandatory is dropped in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// At least one queue gets it.
    Routed,
    /// No queue gets it, alternate exchanges included. A broker returns it if it is mandatory and drops it if not.
    Unroutable,
    /// The id names no exchange of this router.
    UnknownExchange,
}

impl Outcome {
    /// `routed`, `unroutable` or `unknown-exchange`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Routed => "routed",
            Outcome::Unroutable => "unroutable",
            Outcome::UnknownExchange => "unknown-exchange",
        }
    }
}

impl core::fmt::Display for Outcome {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The sink of the hot path: keeps queues and nothing else.
pub(crate) struct Collect<'a>(&'a mut Vec<QueueId>);

impl Sink for Collect<'_> {
    #[inline]
    fn delivered(&mut self, queue: QueueId) {
        self.0.push(queue);
    }
}
