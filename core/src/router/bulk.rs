//! Building a whole router at once, from parts that a router was taken apart into.

use alloc::{boxed::Box, vec::Vec};

use super::{Router, check_name, identity};
use crate::{
    Binding, Destination, Exchange, ExchangeId, Limits, Policy, Queue,
    error::{BindError, DeclareError, Error},
    id::BindingId,
    index::{Entry, Matcher},
};

/// Everything that a router holds, in the order of its numbers; the default exchange is number 0 and not among it.
pub(crate) struct Parts<'a, B> {
    pub(crate) seed: u64,
    pub(crate) limits: Limits,
    pub(crate) revision: u64,
    pub(crate) exchanges: Vec<(&'a str, Exchange)>,
    pub(crate) queues: Vec<(&'a str, Queue)>,
    pub(crate) policies: Vec<(&'a str, Policy)>,
    /// Hands every binding to what it is given.
    pub(crate) bindings: B,
}

/// One binding, its ends by number.
pub(crate) type BindingPart<'a> = (ExchangeId, Destination, Binding<'a>);

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
        let mut at = 0;
        (parts.bindings)(&mut |part| {
            router.bind_part(part).map_err(place("bindings", at))?;
            at += 1;
            Ok(())
        })?;
        router.revision = parts.revision;
        Ok(router)
    }

    /// The checks of [`bind`](Self::bind), and one look-up instead of two.
    fn bind_part(&mut self, (source, destination, binding): &BindingPart<'_>) -> Result<(), PartProblem> {
        let (source, destination) = (*source, *destination);
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
