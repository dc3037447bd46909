//! Building a whole router at once, from parts that a router was taken apart into.

use alloc::vec::Vec;

use hashbrown::hash_table::Entry as IdentityEntry;

use super::{BindingEntry, Router, check_name, identity};
use crate::{
    Binding, Destination, Exchange, ExchangeId, Limits, Policy, Queue,
    error::{BindError, DeclareError, Error},
    id::BindingId,
    index::{Entry, Matcher, Place},
};

/// Everything that a router holds, in the order of its numbers; the default exchange is number 0 and not among it.
pub(crate) struct Parts<'a, B> {
    pub(crate) seed: u64,
    pub(crate) limits: Limits,
    pub(crate) revision: u64,
    pub(crate) exchanges: Vec<(&'a str, Exchange)>,
    pub(crate) queues: Vec<(&'a str, Queue)>,
    pub(crate) policies: Vec<(&'a str, Policy)>,
    /// How many bindings will come; memory is reserved for them.
    pub(crate) binding_count: usize,
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

        router.exchange_names.reserve(parts.exchanges.len());
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
        router.reserve_bindings(parts.binding_count);
        let mut at = 0;
        (parts.bindings)(&mut |part| {
            router.bind_part(part).map_err(place("bindings", at))?;
            at += 1;
            Ok(())
        })?;
        router.revision = parts.revision;
        Ok(router)
    }

    fn reserve_bindings(&mut self, count: usize) {
        let (bindings, hasher) = (&self.bindings, &self.hasher);
        let hash = |id: &BindingId| bindings.get(id.0).map_or(0, |entry| entry.hash(hasher));
        self.identities.reserve(count, hash);
        self.bindings.reserve(count);
    }

    /// The checks of [`bind`](Self::bind), and one look-up instead of two.
    fn bind_part(&mut self, (source, destination, binding): &BindingPart<'_>) -> Result<(), PartProblem> {
        let (source, destination) = (*source, *destination);
        let refused = |error: BindError| PartProblem::Refused(error.into());
        let kind = self.check_ends(source, destination).map_err(refused)?;
        self.check_binding(binding).map_err(refused)?;
        let name = self.exchange_name(source).unwrap_or_default();
        let matcher = Matcher::compile(kind, name, binding).map_err(refused)?;

        let entry = BindingEntry {
            source,
            destination,
            key: binding.key.into(),
            arguments: binding.arguments.cloned().unwrap_or_default(),
            identity: identity(binding).into(),
            dialect: binding.dialect,
            pattern: binding.pattern.map(Into::into),
            place: Place::Always,
        };
        let (bindings, hasher) = (&self.bindings, &self.hasher);
        let same = |id: &BindingId| bindings.get(id.0).is_some_and(|other| other.parts() == entry.parts());
        let hash = |id: &BindingId| bindings.get(id.0).map_or(0, |entry| entry.hash(hasher));
        let id = match self.identities.entry(entry.hash(hasher), same, hash) {
            IdentityEntry::Occupied(_) => return Err(PartProblem::Repeated),
            IdentityEntry::Vacant(vacant) => {
                // INVARIANT: nothing was removed from this router, so numbers are given out in order.
                let id = BindingId(bindings.bound() as u32);
                vacant.insert(id);
                id
            }
        };
        self.bindings.insert(entry);
        let place = self.exchanges.get_mut(source.0).map(|exchange| {
            exchange.outgoing.insert(id);
            exchange.index.insert(Entry::new(id, destination), binding.key, matcher)
        });
        if let (Some(entry), Some(place)) = (self.bindings.get_mut(id.0), place) {
            entry.place = place;
        }
        if let Some(incoming) = self.incoming(destination) {
            incoming.insert(id);
        }
        Ok(())
    }

    /// The bindings of a consistent-hash exchange that brought buckets, in the order of these.
    pub(crate) fn ring(&self, exchange: ExchangeId) -> impl Iterator<Item = BindingId> {
        let chosen = self.exchange_entry(exchange).and_then(|entry| entry.index.ring());
        chosen.into_iter().flatten()
    }

    /// Arranges the buckets of a consistent-hash exchange anew: those of these bindings, in this order.
    ///
    /// False if one of them is no binding of this exchange, or of a destination that comes twice.
    pub(crate) fn arrange_ring(&mut self, exchange: ExchangeId, owners: &[BindingId]) -> bool {
        let Some(entry) = self.exchanges.get_mut(exchange.0) else { return false };
        let of_here = |id: &BindingId| {
            let binding = self.bindings.get(id.0).filter(|binding| binding.source == exchange)?;
            let Place::Chosen(entry) = binding.place else { return None };
            Some((entry, &*binding.key))
        };
        let entries: Option<Vec<_>> = owners.iter().map(of_here).collect();
        entries.is_some_and(|entries| entry.index.arrange_ring(&entries))
    }
}
