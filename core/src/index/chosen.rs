//! Exchanges that choose one of their bindings instead of asking each.

use super::{
    consistent_hash::{HashSource, Ring},
    entries::Entry,
    random::Lots,
};
use crate::{Exchange, ExchangeKind, Message};

/// The bindings among which an exchange chooses.
#[derive(Clone, Debug)]
pub(crate) enum Chosen {
    Hash(HashSource, Ring),
    Random(Lots),
}

impl Chosen {
    /// What an exchange of this kind needs; `None` where it does not choose.
    pub(crate) fn of(exchange: &Exchange) -> Option<Self> {
        match exchange.kind() {
            // INVARIANT: the arguments were read once already, when the exchange got them.
            ExchangeKind::ConsistentHash => {
                let source = HashSource::of(exchange.argument_table()).unwrap_or(HashSource::RoutingKey);
                Some(Chosen::Hash(source, Ring::default()))
            }
            ExchangeKind::Random => Some(Chosen::Random(Lots::default())),
            _ => None,
        }
    }

    pub(crate) fn insert(&mut self, entry: Entry, weight: u32) {
        match self {
            Chosen::Hash(_, ring) => ring.insert(entry, weight),
            Chosen::Random(lots) => lots.insert(entry),
        }
    }

    pub(crate) fn remove(&mut self, entry: Entry) {
        match self {
            Chosen::Hash(_, ring) => ring.remove(entry),
            Chosen::Random(lots) => lots.remove(entry),
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Chosen::Hash(_, ring) => ring.is_empty(),
            Chosen::Random(lots) => lots.is_empty(),
        }
    }

    /// The binding that this message takes; `None` where there is none.
    pub(crate) fn choose(&self, exchange: &str, message: &Message<'_>) -> Option<Entry> {
        match self {
            Chosen::Hash(source, ring) => ring.choose(|| source.hash(message)),
            Chosen::Random(lots) => lots.draw(exchange, message.random_number()),
        }
    }
}
