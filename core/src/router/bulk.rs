//! Building a whole router at once, from parts that a router was taken apart into.

use alloc::{boxed::Box, vec::Vec};

use super::{
    ExchangeEntry, Router,
    bindings::{BindingEntry, NONE},
    check_name, identity,
};
use crate::{
    Binding, Destination, Exchange, ExchangeId, ExchangeKind, Limits, Policy, Queue,
    chunks::Chunks,
    error::{BindError, DeclareError, Error},
    hash::tag,
    id::BindingId,
    index::{Bulk, Entry, Form, Matcher, Target},
};

/// Everything that a router holds, in the order of its numbers; the default exchange is number 0 and not among it.
pub(crate) struct Parts<'a, B> {
    pub(crate) seed: u64,
    pub(crate) limits: Limits,
    pub(crate) revision: u64,
    pub(crate) exchanges: Vec<(&'a str, Exchange)>,
    pub(crate) queues: Vec<(&'a str, Queue)>,
    pub(crate) policies: Vec<(&'a str, Policy)>,
    /// What the keys of [`Key::Words`] are made of: words without dots that are no wildcards, and forms.
    pub(crate) words: Vec<&'a [u8]>,
    pub(crate) forms: Vec<Form>,
    /// How many bindings there are about to be.
    pub(crate) count: usize,
    /// Hands every binding to what it is given.
    pub(crate) bindings: B,
}

/// One binding, its ends by number.
pub(crate) type BindingPart<'a> = (ExchangeId, Destination, Content<'a>);

/// What a binding says.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// Anything.
    Whole(Binding<'a>),
    /// A topic pattern of RabbitMQ's dialect and no arguments: the number of its form, and those of its literal words.
    Words(u32, &'a [u32]),
}

/// Which part was refused, and why.
#[derive(Debug)]
pub(crate) struct PartError {
    /// `exchanges`, `queues` or `bindings`.
    pub(crate) list: &'static str,
    /// Its place in the list.
    pub(crate) at: usize,
    /// What is wrong with it.
    pub(crate) error: PartProblem,
}

#[derive(Debug)]
pub(crate) enum PartProblem {
    Refused(Error),
    /// It is there already.
    Repeated,
}

impl Router {
    /// Builds a router from its parts: as declaring and binding one by one, without looking anything up twice and
    /// without growing tables. Names that begin with `amq.` are allowed.
    ///
    /// # Errors
    /// The first part that cannot be read, is refused, or is there twice.
    pub(crate) fn from_parts<F: From<PartError>>(
        parts: Parts<'_, impl FnOnce(&mut dyn FnMut(&BindingPart<'_>) -> Result<(), F>) -> Result<(), F>>,
    ) -> Result<Self, F> {
        let mut router = Router::with_seed(parts.seed);
        router.limits = parts.limits;
        let place = |list, at| move |error| F::from(PartError { list, at, error });
        let refused = |error: DeclareError| PartProblem::Refused(error.into());

        for (at, (name, exchange)) in parts.exchanges.into_iter().enumerate() {
            check_name(name).map_err(refused).map_err(place("exchanges", at))?;
            if router.exchange(name).is_some() {
                return Err(place("exchanges", at)(PartProblem::Repeated));
            }
            router.add_exchange(name, exchange);
        }
        router.queue_names.reserve(parts.queues.len());
        for (at, (name, queue)) in parts.queues.into_iter().enumerate() {
            check_name(name).map_err(refused).map_err(place("queues", at))?;
            if router.queue(name).is_some() {
                return Err(place("queues", at)(PartProblem::Repeated));
            }
            router.add_queue(name, queue);
        }
        for (name, policy) in parts.policies {
            router.set_policy(name, policy);
        }
        let mut bulk = Bulk::new(router.seed, &parts.words, parts.forms.into_iter());
        router.identities.reserve(parts.count);
        let mut undealt = Vec::with_capacity(parts.count);
        let (mut at, mut current) = (0, Router::DEFAULT_EXCHANGE);
        (parts.bindings)(&mut |(source, destination, content)| {
            let bound = match content {
                Content::Whole(binding) => router.bind_part(*source, *destination, binding),
                Content::Words(form, literals) => {
                    if *source != current {
                        router.finish_bulk(current, &mut bulk);
                        if current == Router::DEFAULT_EXCHANGE {
                            // For the first alone: as much for each would not be in proportion to the bytes.
                            router.reserve_topic(*source, parts.count - at);
                        }
                        current = *source;
                    }
                    let id = BindingId(router.bindings.bound() as u32);
                    let bound = router.bind_words(*source, *destination, &mut bulk, *form, literals);
                    bound.map(|is_new_key| undealt.extend(is_new_key.then_some(id)))
                }
            };
            bound.map_err(place("bindings", at))?;
            at += 1;
            Ok(())
        })?;
        router.finish_bulk(current, &mut bulk);
        router.deal(&undealt);
        router.revision = parts.revision;
        Ok(router)
    }

    /// The checks of [`bind`](Self::bind), and one look-up instead of two.
    fn bind_part(
        &mut self,
        source: ExchangeId,
        destination: Destination,
        binding: &Binding<'_>,
    ) -> Result<(), PartProblem> {
        let refused = |error: BindError| PartProblem::Refused(error.into());
        let kind = self.check_ends(source, destination).map_err(refused)?;
        self.check_binding(binding).map_err(refused)?;
        let name = self.exchange_name(source).unwrap_or_default();
        let matcher = Matcher::compile(kind, name, binding).map_err(refused)?;

        let identity = identity(binding);
        let hash = self.identity_hash(source, destination, binding, &identity);
        if self.find(hash, source, destination, binding, &identity).is_some() {
            return Err(PartProblem::Repeated);
        }
        let id = self.insert_binding(hash, source, destination, binding, identity, matcher);
        self.check_cost(id, source, binding).map_err(refused)
    }

    /// The same for a pattern in numbers, but that its destination does not know of it yet; false where it does. Where a
    /// binding has this key already, the text decides whether it is the same.
    fn bind_words(
        &mut self,
        source: ExchangeId,
        destination: Destination,
        bulk: &mut Bulk,
        form: u32,
        literals: &[u32],
    ) -> Result<bool, PartProblem> {
        let refused = |error: BindError| PartProblem::Refused(error.into());
        // Without reading the queue, which lies anywhere: while nothing was removed, every number below the bound is one.
        let is_queue =
            matches!(destination, Destination::Queue(queue) if (queue.0 as usize) < self.queues.bound());
        let topic = |entry: &ExchangeEntry| entry.exchange.kind() == ExchangeKind::Topic;
        if !is_queue || !self.exchange_entry(source).is_some_and(topic) {
            self.check_ends(source, destination).map_err(refused)?;
        }
        let key = bulk.compose(form, literals).unwrap_or_default();
        if key.is_empty() {
            // It has no words, and not one that is empty.
            return self.bind_part(source, destination, &Binding::new("")).map(|()| false);
        }
        self.check_binding(&Binding::new(key)).map_err(refused)?;
        let target = Target::new(destination, false);
        // INVARIANT: nothing was removed, so that numbers count up.
        let entry = Entry { binding: BindingId(self.bindings.bound() as u32), target };
        let exchange = self.exchanges.get_mut(source.0).filter(|entry| topic(entry));
        let place = exchange.and_then(|exchange| {
            let place = exchange.index.insert_composed(bulk, form, literals, entry)?;
            exchange.outgoing.insert(entry.binding);
            Some(place)
        });
        let Some(place) = place else {
            let key: Box<[u8]> = bulk.key().into();
            return self.bind_part(source, destination, &Binding::new(&key)).map(|()| false);
        };
        let hash = self.identity_hash(source, destination, &Binding::new(bulk.key()), &[]);
        // The destination learns of it in `deal`.
        self.bindings.insert(BindingEntry { source, target, place, extra: NONE });
        self.identities.insert(tag(hash), entry.binding.0);
        Ok(true)
    }

    /// Lets the destinations of some bindings, sorted, know of them: each destination once, with all of its own, so that no
    /// list grows and nothing is visited out of order.
    fn deal(&mut self, bindings: &[BindingId]) {
        let mut ends = alloc::vec![0_usize; self.queues.bound() + 1];
        let target = |router: &Router, id: &BindingId| {
            router.bindings.get(id.0).map(|binding| binding.target.destination())
        };
        for id in bindings {
            match target(self, id) {
                Some(Destination::Queue(queue)) => ends[queue.0 as usize + 1] += 1,
                Some(Destination::Exchange(exchange)) => {
                    if let Some(entry) = self.exchanges.get_mut(exchange.0) {
                        entry.incoming.insert(*id);
                    }
                }
                None => {}
            }
        }
        for at in 1..ends.len() {
            ends[at] += ends[at - 1];
        }
        let mut dealt = alloc::vec![BindingId(0); ends.last().copied().unwrap_or_default()];
        for id in bindings {
            if let Some(Destination::Queue(queue)) = target(self, id) {
                // From the start of the queue's own places to that of the next.
                let at = &mut ends[queue.0 as usize];
                dealt[*at] = *id;
                *at += 1;
            }
        }
        let mut start = 0;
        for (queue, entry) in self.queues.iter_mut() {
            let own = &dealt[start..ends[queue as usize]];
            start = ends[queue as usize];
            if entry.incoming.is_empty() {
                entry.incoming = Chunks::of_sorted(own);
            } else {
                own.iter().for_each(|id| entry.incoming.insert(*id));
            }
        }
    }

    fn reserve_topic(&mut self, exchange: ExchangeId, patterns: usize) {
        if let Some(entry) = self.exchanges.get_mut(exchange.0) {
            entry.index.reserve_topic(patterns);
        }
    }

    fn finish_bulk(&mut self, exchange: ExchangeId, bulk: &mut Bulk) {
        if let Some(entry) = self.exchanges.get_mut(exchange.0) {
            entry.index.finish_bulk(bulk);
        }
    }

    /// The bindings of a consistent-hash exchange that brought buckets, in the order of these.
    pub(crate) fn ring(&self, exchange: ExchangeId) -> impl Iterator<Item = BindingId> {
        let chosen = self.exchange_entry(exchange).and_then(|entry| entry.index.ring());
        chosen.into_iter().flatten()
    }

    /// Deals the buckets of a consistent-hash exchange out anew, to these of its bindings in this order; whoever is not
    /// among them owns none.
    ///
    /// False, and nothing is changed, if one of them is no binding of this exchange, if a destination comes twice, or if
    /// the exchange is of another type.
    ///
    /// ```
    /// use keyrail_core::{Binding, Destination, Exchange, ExchangeKind, Queue, Router};
    ///
    /// let mut router = Router::new();
    /// let spread = router.declare_exchange("spread", Exchange::new(ExchangeKind::ConsistentHash))?;
    /// let [a, b] = [router.declare_queue("a", Queue::new())?, router.declare_queue("b", Queue::new())?];
    /// let weight = Binding::new("1");
    /// router.bind(spread, a, &weight)?;
    /// router.bind(spread, b, &weight)?;
    /// let dealt = [(Destination::from(b), weight), (Destination::from(a), weight)];
    /// assert!(router.deal_buckets(spread, &dealt));
    /// let owners: Vec<_> = router.bucket_owners(spread).map(|binding| binding.destination).collect();
    /// assert_eq!(owners, [Destination::from(b), Destination::from(a)]);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn deal_buckets(&mut self, exchange: ExchangeId, owners: &[(Destination, Binding<'_>)]) -> bool {
        let ids: Option<Vec<_>> = owners
            .iter()
            .map(|(destination, binding)| self.binding_id(exchange, *destination, binding))
            .collect();
        let dealt = ids.is_some_and(|ids| self.arrange_ring(exchange, &ids));
        self.revision += u64::from(dealt);
        dealt
    }

    /// Arranges the buckets of a consistent-hash exchange anew: those of these bindings, in this order.
    ///
    /// False if one of them is no binding of this exchange, or of a destination that comes twice.
    pub(crate) fn arrange_ring(&mut self, exchange: ExchangeId, owners: &[BindingId]) -> bool {
        let of_here = |id: &BindingId| {
            let binding = self.bindings.get(id.0).filter(|binding| binding.source == exchange)?;
            let key = self.binding_ref(binding).key;
            Some((Entry { binding: *id, target: binding.target }, key))
        };
        let entries: Option<Vec<_>> = owners.iter().map(of_here).collect();
        let Some(entries) = entries else { return false };
        let entries: Vec<(Entry, Box<[u8]>)> =
            entries.into_iter().map(|(entry, key)| (entry, key.into())).collect();
        let entries: Vec<(Entry, &[u8])> = entries.iter().map(|(entry, key)| (*entry, &**key)).collect();
        self.exchanges.get_mut(exchange.0).is_some_and(|entry| entry.index.arrange_ring(&entries))
    }
}
