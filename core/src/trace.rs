//! Why a message went where it went.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use serde::Serialize;

use crate::{
    BindingDefinition, ByteString, Destination, ExchangeId, ExchangeKind, Message, Outcome, QueueId, Router,
    Table,
    explain::{How, NearMiss, NearMisses, SelectedKey, selected_key},
    id::BindingId,
    stamps::Stamps,
    walk::{Alternate, Effect, Scratch, Sink, Via, walk},
};

/// The way of one message, exchange by exchange, in names: written by [`Router::explain`], read by people.
///
/// ```
/// use keyrail_core::{Binding, Exchange, ExchangeKind, Message, Outcome, Queue, Router, Trace};
///
/// let mut router = Router::new();
/// let events = router.declare_exchange("events", Exchange::new(ExchangeKind::Topic))?;
/// let audit = router.declare_queue("audit", Queue::new())?;
/// router.bind(events, audit, &Binding::new("order.#"))?;
///
/// let mut trace = Trace::new();
/// assert_eq!(router.explain(events, &Message::new("order.paid"), &mut trace), Outcome::Routed);
/// assert_eq!(trace.to_string(), "published to topic exchange `events`\n  `order.#` matches: queue `audit`\n");
/// # Ok::<(), keyrail_core::Error>(())
/// ```
///
/// Asked for near misses, it also tells which bindings failed, where, and what would make them match:
///
/// ```
/// # use keyrail_core::{Binding, Exchange, ExchangeKind, Message, Outcome, Queue, Router, Trace};
/// # let mut router = Router::new();
/// # let events = router.declare_exchange("events", Exchange::new(ExchangeKind::Topic))?;
/// # let audit = router.declare_queue("audit", Queue::new())?;
/// router.bind(events, audit, &Binding::new("order.*"))?;
///
/// let mut trace = Trace::new().with_near_misses(10);
/// assert_eq!(router.explain(events, &Message::new("order.eu.paid"), &mut trace), Outcome::Unroutable);
/// let miss = &trace.near_misses()[0];
/// assert_eq!(miss.distance, 1);
/// assert_eq!(&*miss.suggestion.as_ref().unwrap().routing_key, b"order.#");
/// # Ok::<(), keyrail_core::Error>(())
/// ```
///
/// # JSON
/// `{"hops": […], "queues": ["audit"], "nearMisses": […]}`
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    hops: Vec<Hop>,
    queues: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    near_misses: Vec<NearMiss>,
    #[serde(skip)]
    near_miss_limit: usize,
    #[serde(skip)]
    scratch: Scratch,
    /// The bindings written down already.
    #[serde(skip)]
    seen: Stamps,
}

/// One exchange on the way of a message.
///
/// ```
/// use keyrail_core::{Arrival, Message, Topology, Trace};
///
/// let lines = "orders topic: # -> exchange archive\narchive fanout: -> files";
/// let router = Topology::from_lines(lines)?.router()?;
/// let mut trace = Trace::new();
/// router.explain(router.exchange("orders").unwrap(), &Message::new("order.paid"), &mut trace);
/// let hop = &trace.hops()[1];
/// assert_eq!((&*hop.exchange, &hop.via), ("archive", &Arrival::Binding { exchange: "orders".into() }));
/// assert_eq!(hop.matches[0].binding.destination.name(), "files");
/// assert_eq!(hop.alternate, None); // something matched
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// Its name; empty for the default exchange.
    pub exchange: Box<str>,
    /// Its kind.
    pub kind: ExchangeKind,
    /// How the message came here.
    pub via: Arrival,
    /// The bindings that matched, in the order in which they were found.
    pub matches: Vec<Match>,
    /// What became of the alternate exchange; only where nothing matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternate: Option<AlternateStep>,
}

/// How a message came to an exchange.
///
/// ```
/// use keyrail_core::{Arrival, Message, Topology, Trace};
///
/// let lines = "orders topic else lost: order.# -> audit\nlost fanout: -> unrouted";
/// let router = Topology::from_lines(lines)?.router()?;
/// let mut trace = Trace::new();
/// router.explain(router.exchange("orders").unwrap(), &Message::new("stock"), &mut trace);
/// let ways: Vec<&Arrival> = trace.hops().iter().map(|hop| &hop.via).collect();
/// assert_eq!(ways, [&Arrival::Publish, &Arrival::Alternate { exchange: "orders".into() }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Arrival {
    /// It was published there.
    Publish,
    /// A binding of another exchange led there.
    Binding {
        /// That exchange.
        exchange: Box<str>,
    },
    /// It is the alternate of an exchange where nothing matched.
    Alternate {
        /// That exchange.
        exchange: Box<str>,
    },
}

/// A binding that matched.
///
/// ```
/// use keyrail_core::{MatchEffect, Message, Topology, Trace};
///
/// let router = Topology::from_lines("orders topic: order.*.paid -> billing")?.router()?;
/// let mut trace = Trace::new();
/// router.explain(router.exchange("orders").unwrap(), &Message::new("order.eu.paid"), &mut trace);
/// let matched = &trace.hops()[0].matches[0];
/// assert_eq!(matched.effect, MatchEffect::Delivered);
/// assert_eq!(matched.how.to_string(), "`*` took `eu`");
/// assert_eq!(matched.to_string(), "`order.*.paid` matches: queue `billing`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// The binding. The default exchange's are implicit: the queue's name is the key.
    pub binding: BindingDefinition,
    /// What came of it.
    pub effect: MatchEffect,
    /// How it matched.
    pub how: How,
    /// The key that matched, where the sender selected it and the routing key did not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected: Option<SelectedKey>,
}

/// What came of a match.
///
/// ```
/// use keyrail_core::{MatchEffect, Message, Topology, Trace};
///
/// let lines = "orders topic: # -> audit\norders: order.* -> audit\norders: order.# -> exchange orders";
/// let router = Topology::from_lines(lines)?.router()?;
/// let mut trace = Trace::new();
/// router.explain(router.exchange("orders").unwrap(), &Message::new("order.paid"), &mut trace);
/// let effect = |key| {
///     let mut matches = trace.hops()[0].matches.iter();
///     matches.find(|matched| matched.binding.routing_key.as_str() == Some(key)).unwrap().effect
/// };
/// assert_eq!(effect("#"), MatchEffect::Delivered);
/// assert_eq!(effect("order.*"), MatchEffect::DuplicateSuppressed);
/// assert_eq!(effect("order.#"), MatchEffect::CycleCut); // back to the exchange that it came from
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Vectors `topic-016`, `e2e-003`, `e2e-005`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MatchEffect {
    /// The queue gets the message.
    Delivered,
    /// The queue had the message already and gets no second copy.
    DuplicateSuppressed,
    /// The exchange is asked in turn.
    Followed,
    /// The exchange was asked already: a cycle or a second way, cut.
    CycleCut,
}

/// What became of an alternate exchange.
///
/// ```
/// use keyrail_core::{AlternateStep, Message, Topology, Trace};
///
/// let router = Topology::from_lines("orders topic else lost: order.# -> audit")?.router()?;
/// let mut trace = Trace::new();
/// router.explain(router.exchange("orders").unwrap(), &Message::new("stock"), &mut trace);
/// assert_eq!(trace.hops()[0].alternate, Some(AlternateStep::Missing { exchange: "lost".into() }));
/// assert!(trace.to_string().contains("there is no alternate exchange `lost`"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Vectors `alternate-003`, `alternate-005`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AlternateStep {
    /// There is none.
    None,
    /// It is named and does not exist.
    Missing {
        /// The name.
        exchange: Box<str>,
    },
    /// It is asked in turn.
    Followed {
        /// The name.
        exchange: Box<str>,
    },
    /// It was asked already.
    CycleCut {
        /// The name.
        exchange: Box<str>,
    },
}

impl Trace {
    /// An empty trace; one may serve many calls.
    ///
    /// ```
    /// use keyrail_core::{Message, Router, Trace};
    ///
    /// let router = Router::with_predeclared_exchanges();
    /// let mut trace = Trace::new();
    /// for name in ["amq.topic", "amq.direct"] {
    ///     router.explain(router.exchange(name).unwrap(), &Message::new("k"), &mut trace);
    ///     assert_eq!(&*trace.hops()[0].exchange, name); // the one before is forgotten
    /// }
    /// ```
    pub fn new() -> Self {
        Trace::default()
    }

    /// Looks for near misses too, and keeps this many.
    ///
    /// ```
    /// use keyrail_core::{Message, Topology, Trace};
    ///
    /// let router = Topology::from_lines("orders topic: order.*.paid -> billing\norders: mail -> mail")?.router()?;
    /// let mut trace = Trace::new().with_near_misses(1);
    /// router.explain(router.exchange("orders").unwrap(), &Message::new("order.eu.payed"), &mut trace);
    /// let why = "`orders` to queue `billing` by `order.*.paid`: word 3 is `payed`, expected `paid`";
    /// assert_eq!(trace.near_misses().len(), 1);
    /// assert!(trace.near_misses()[0].to_string().starts_with(why));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Cost
    /// Every binding of every exchange on the way is looked at, not only those that match: with 100,000 bindings tens of
    /// milliseconds. Memory for as many as are kept.
    pub fn with_near_misses(self, limit: usize) -> Self {
        Trace { near_miss_limit: limit, ..self }
    }

    /// The bindings that did not match, nearest first: by [`NearMiss::distance`], then by how many letters of the word
    /// that failed are others, then in the order of exchanges and bindings. What an exchange did not choose, at random or
    /// by a hash, counts as a whole key off and comes last at that distance. None unless they were [asked for](Self::with_near_misses).
    ///
    /// ```
    /// use keyrail_core::{Message, Topology, Trace};
    ///
    /// let lines = "orders topic: order.us.sent -> far\norders: order.eu.payed -> near";
    /// let router = Topology::from_lines(lines)?.router()?;
    /// let mut trace = Trace::new().with_near_misses(10);
    /// router.explain(router.exchange("orders").unwrap(), &Message::new("order.eu.paid"), &mut trace);
    /// let misses = trace.near_misses().iter().map(|miss| (miss.binding.destination.name(), miss.distance));
    /// assert!(misses.eq([("near", 1), ("far", 2)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn near_misses(&self) -> &[NearMiss] {
        &self.near_misses
    }

    /// The exchanges that were asked, in order.
    ///
    /// ```
    /// use keyrail_core::{Message, Topology, Trace};
    ///
    /// let lines = "orders topic: # -> exchange archive\narchive fanout: -> files";
    /// let router = Topology::from_lines(lines)?.router()?;
    /// let mut trace = Trace::new();
    /// router.explain(router.exchange("orders").unwrap(), &Message::new("order.paid"), &mut trace);
    /// assert!(trace.hops().iter().map(|hop| &*hop.exchange).eq(["orders", "archive"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// The names of the queues that get the message, each once, in the order of
    /// [`Routes::queues`](crate::Routes::queues).
    ///
    /// ```
    /// use keyrail_core::{Message, Topology, Trace};
    ///
    /// let router = Topology::from_lines("orders topic: order.# -> audit, mail")?.router()?;
    /// let mut trace = Trace::new();
    /// router.explain(router.exchange("orders").unwrap(), &Message::new("order.paid"), &mut trace);
    /// assert!(trace.queues().eq(["audit", "mail"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.queues.iter().map(|name| &**name)
    }

    pub(crate) fn record(&mut self, router: &Router, exchange: ExchangeId, message: &Message<'_>) -> Outcome {
        self.hops.clear();
        self.queues.clear();
        self.near_misses.clear();
        if router.exchange_entry(exchange).is_none() {
            return Outcome::UnknownExchange;
        }
        let Trace { hops, queues, scratch, seen, .. } = self;
        seen.clear(router.binding_bound());
        walk(router, exchange, message, scratch, &mut Recorder { router, message, hops, queues, seen });
        if self.near_miss_limit > 0 {
            let mut near_misses = NearMisses::new(router, message, self.near_miss_limit);
            for (at, hop) in (0..).zip(&self.hops) {
                if let Some(exchange) = router.exchange(&hop.exchange) {
                    near_misses.look_at(at, exchange, &mut self.seen);
                }
            }
            self.near_misses = near_misses.finish();
        }
        if self.queues.is_empty() { Outcome::Unroutable } else { Outcome::Routed }
    }
}

/// The sink that writes everything down.
struct Recorder<'a> {
    router: &'a Router,
    message: &'a Message<'a>,
    hops: &'a mut Vec<Hop>,
    queues: &'a mut Vec<Box<str>>,
    seen: &'a mut Stamps,
}

impl Recorder<'_> {
    fn name(&self, exchange: ExchangeId) -> Box<str> {
        self.router.exchange_name(exchange).unwrap_or_default().into()
    }
}

impl Sink for Recorder<'_> {
    fn arrived(&mut self, exchange: ExchangeId, via: Via) {
        let Some(entry) = self.router.exchange_entry(exchange) else { return };
        let via = match via {
            Via::Publish => Arrival::Publish,
            Via::Binding(from) => Arrival::Binding { exchange: self.name(from) },
            Via::Alternate(from) => Arrival::Alternate { exchange: self.name(from) },
        };
        self.hops.push(Hop {
            exchange: entry.name.clone(),
            kind: entry.exchange.kind(),
            via,
            matches: Vec::new(),
            alternate: None,
        });
    }

    fn matched(&mut self, binding: Option<BindingId>, destination: Destination, effect: Effect) {
        // A pattern may match one message in several ways, and a sender may select one queue twice: the first time is
        // the one that counts. An exchange is visited once, so a binding comes up at one hop only.
        let first = match binding {
            Some(id) => self.seen.insert(id.0),
            None => effect == Effect::New,
        };
        if !first {
            return;
        }
        let Some(hop) = self.hops.last_mut() else { return };
        let (how, selected, binding) = match binding.and_then(|id| self.router.binding(id)) {
            Some(binding) => {
                let (how, selected) = How::of(hop.kind, &binding, self.message);
                (how, selected, BindingDefinition::of(self.router, &binding))
            }
            None => {
                let binding = BindingDefinition::implicit(self.router, destination);
                let is_name = |key: &[u8]| (*key == *binding.routing_key).then_some(());
                (How::Key, selected_key(self.message, is_name).1, binding)
            }
        };
        let effect = match (destination, effect) {
            (Destination::Queue(_), Effect::New) => MatchEffect::Delivered,
            (Destination::Queue(_), Effect::Repeated) => MatchEffect::DuplicateSuppressed,
            (Destination::Exchange(_), Effect::New) => MatchEffect::Followed,
            (Destination::Exchange(_), Effect::Repeated) => MatchEffect::CycleCut,
        };
        hop.matches.push(Match { binding, effect, how, selected });
    }

    fn delivered(&mut self, queue: QueueId) {
        self.queues.push(self.router.queue_name(queue).unwrap_or_default().into());
    }

    fn unmatched(&mut self, alternate: Alternate) {
        let declared =
            |hop: &Hop| self.router.alternate_exchange(self.router.exchange(&hop.exchange)?).map(Into::into);
        let step = match alternate {
            Alternate::None => AlternateStep::None,
            Alternate::Missing => {
                let exchange = self.hops.last().and_then(declared).unwrap_or_default();
                AlternateStep::Missing { exchange }
            }
            Alternate::Asked(other) => AlternateStep::Followed { exchange: self.name(other) },
            Alternate::Repeated(other) => AlternateStep::CycleCut { exchange: self.name(other) },
        };
        if let Some(hop) = self.hops.last_mut() {
            hop.alternate = Some(step);
        }
    }
}

/// One line for each exchange and, indented below it, one for each binding that matched; then the near misses.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hops.iter().try_for_each(|hop| hop.fmt(f))?;
        if !self.near_misses.is_empty() {
            f.write_str("near misses\n")?;
        }
        self.near_misses.iter().try_for_each(|miss| writeln!(f, "  {miss}"))
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.via {
            Arrival::Publish => f.write_str("published to ")?,
            Arrival::Binding { exchange } => write!(f, "from `{exchange}` to ")?,
            Arrival::Alternate { exchange } => write!(f, "unrouted by `{exchange}`, so to ")?,
        }
        match &*self.exchange {
            "" => writeln!(f, "the default exchange")?,
            name => writeln!(f, "{} exchange `{name}`", self.kind)?,
        }
        for matched in &self.matches {
            writeln!(f, "  {matched}")?;
        }
        match &self.alternate {
            None => Ok(()),
            Some(AlternateStep::None) => writeln!(f, "  no binding matches"),
            Some(AlternateStep::Missing { exchange }) => {
                writeln!(f, "  no binding matches; there is no alternate exchange `{exchange}`")
            }
            Some(AlternateStep::Followed { exchange }) => {
                writeln!(f, "  no binding matches; alternate exchange `{exchange}`")
            }
            Some(AlternateStep::CycleCut { exchange }) => {
                writeln!(f, "  no binding matches; alternate exchange `{exchange}` was asked already")
            }
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindingDefinition { routing_key, arguments, destination, .. } = &self.binding;
        match (routing_key.is_empty(), arguments.is_empty()) {
            (false, _) => write!(f, "`{routing_key}` matches")?,
            (true, false) => write!(f, "the arguments {} match", Arguments(arguments))?,
            (true, true) => f.write_str("the binding without a key matches")?,
        }
        if let Some(SelectedKey { header, key }) = &self.selected {
            write!(f, " `{key}` of `{header}`")?;
        }
        write!(f, ": {} `{}`", destination.kind(), destination.name())?;
        match self.effect {
            MatchEffect::Delivered | MatchEffect::Followed => Ok(()),
            MatchEffect::DuplicateSuppressed => f.write_str(" (has it already)"),
            MatchEffect::CycleCut => f.write_str(" (asked already)"),
        }
    }
}

/// Arguments in a line: `x-match=all, format=pdf`.
struct Arguments<'a>(&'a Table);

impl fmt::Display for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "`" } else { ", `" };
            write!(f, "{separator}{}={value}`", ByteString::from(name))?;
        }
        Ok(())
    }
}
