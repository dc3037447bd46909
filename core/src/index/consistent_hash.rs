//! The consistent-hash exchange of RabbitMQ 3.10, bit for bit: which bucket a message falls into, and whose it is.

use alloc::{boxed::Box, vec::Vec};
use core::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::entries::Entry;
use crate::{
    ByteString, Destination, Message, Table, Value,
    error::{BindError, DeclareError},
    id::BindingId,
};

mod jump;
mod phash2;

use phash2::Phash2;

const HASH_HEADER: &str = "hash-header";
const HASH_PROPERTY: &str = "hash-property";

/// What of a message is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HashSource {
    RoutingKey,
    Header(Box<[u8]>),
    MessageId,
    CorrelationId,
    Timestamp,
}

impl HashSource {
    /// Reads the arguments of the exchange.
    pub(crate) fn of(arguments: &Table) -> Result<Self, DeclareError> {
        let header = argument(arguments, HASH_HEADER)?;
        let property = argument(arguments, HASH_PROPERTY)?;
        match (header, property) {
            (None, None) => Ok(HashSource::RoutingKey),
            (Some(header), None) => Ok(HashSource::Header(header.as_bytes().into())),
            (None, Some(property)) => match property.as_bytes() {
                b"message_id" => Ok(HashSource::MessageId),
                b"correlation_id" => Ok(HashSource::CorrelationId),
                b"timestamp" => Ok(HashSource::Timestamp),
                _ => {
                    let found = alloc::format!("{property}").into();
                    Err(DeclareError::UnknownHashProperty { found })
                }
            },
            (Some(_), Some(_)) => Err(DeclareError::ExclusiveHashArguments),
        }
    }

    /// The hash of a message, 27 bits; one copy of it for who routes and who explains. A header is hashed with its AMQP type; what is missing is hashed as `undefined`.
    #[inline(never)]
    pub(crate) fn hash(&self, message: &Message<'_>) -> u32 {
        let binary = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => Phash2::of_binary(bytes),
            None => Phash2::of_undefined(),
        };
        match self {
            HashSource::RoutingKey => binary(Some(message.routing_key())),
            HashSource::Header(name) => {
                let mut headers = message.delivered_headers();
                match headers.find(|(header, _)| *header == &**name) {
                    Some((_, value)) => Phash2::of_typed(value),
                    None => Phash2::of_undefined(),
                }
            }
            HashSource::MessageId => binary(message.message_id_property()),
            HashSource::CorrelationId => binary(message.correlation_id_property()),
            HashSource::Timestamp => match message.timestamp_property() {
                Some(seconds) => Phash2::of_binary(decimal(seconds, &mut [0; 20])),
                None => Phash2::of_undefined(),
            },
        }
    }
}

fn argument<'a>(arguments: &'a Table, name: &'static str) -> Result<Option<&'a ByteString>, DeclareError> {
    match arguments.get(name) {
        None => Ok(None),
        Some(Value::LongString(text)) => Ok(Some(text)),
        Some(other) => Err(DeclareError::InvalidHashArgument { argument: name, tag: other.tag() }),
    }
}

/// Decimal digits without an allocation.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

/// The weight that a binding key states: Erlang's text of an integer, at least 1. RabbitMQ 3.10 knows no upper bound and
/// runs out of memory instead.
pub(crate) fn weight(key: &[u8]) -> Result<u32, BindError> {
    let digits = key.strip_prefix(b"+").unwrap_or(key);
    let digit = |sum: Option<u32>, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        sum?.checked_mul(10)?.checked_add(digit)
    };
    match digits.iter().fold(Some(0), digit) {
        Some(weight) if weight > 0 => Ok(weight),
        _ => Err(BindError::InvalidWeight { key: alloc::format!("{}", ByteString::from(key)).into() }),
    }
}

/// Who owns which buckets. They are counted, not stored, so a large weight costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ring {
    /// In the order of their buckets.
    owners: Vec<Owner>,
    /// The turn of each owner.
    turns: HashMap<Destination, u64, FixedState>,
    next_turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    /// The binding that brought the buckets.
    entry: Entry,
    /// Grows along the ring.
    turn: u64,
    /// One past its last bucket.
    end: u64,
}

impl Ring {
    /// Appends `weight` buckets, unless the destination owns some: then its further bindings add none.
    pub(crate) fn insert(&mut self, entry: Entry, weight: u32) {
        if self.turns.contains_key(&entry.target.destination()) {
            return;
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert(entry.target.destination(), turn);
        let end = self.buckets() + u64::from(weight);
        self.owners.push(Owner { entry, turn, end });
    }

    /// Removes all buckets of the binding's destination, whichever binding brought them; later ones move down.
    pub(crate) fn remove(&mut self, entry: Entry) {
        let Some(turn) = self.turns.remove(&entry.target.destination()) else { return };
        let Ok(at) = self.owners.binary_search_by_key(&turn, |owner| owner.turn) else { return };
        let start = self.start(at);
        let removed = self.owners.remove(at).end - start;
        for owner in &mut self.owners[at..] {
            owner.end -= removed;
        }
    }

    /// The bindings that brought the buckets, in the order of these.
    pub(crate) fn owners(&self) -> impl Iterator<Item = BindingId> {
        self.owners.iter().map(|owner| owner.entry.binding)
    }

    /// Replaces all buckets by those of these bindings with these keys; false if a destination comes twice.
    pub(crate) fn arrange(&mut self, owners: &[(Entry, &[u8])]) -> bool {
        let mut ring = Ring::default();
        for (entry, key) in owners {
            let Ok(weight) = weight(key) else { return false };
            ring.insert(*entry, weight);
        }
        let whole = ring.owners.len() == owners.len();
        if whole {
            *self = ring;
        }
        whole
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.turns.is_empty()
    }

    /// How many buckets there are.
    pub(crate) fn buckets(&self) -> u64 {
        self.owners.last().map_or(0, |owner| owner.end)
    }

    /// The bucket of this hash; `None` where there is none.
    pub(crate) fn bucket(&self, hash: impl FnOnce() -> u32) -> Option<u64> {
        match self.buckets() {
            0 => None,
            1 => Some(0),
            buckets => Some(jump::bucket(hash(), buckets)),
        }
    }

    /// The buckets that this binding brought; `None` where it brought none.
    pub(crate) fn owned(&self, binding: BindingId, destination: Destination) -> Option<Range<u64>> {
        let turn = *self.turns.get(&destination)?;
        let at = self.owners.binary_search_by_key(&turn, |owner| owner.turn).ok()?;
        let owner = self.owners.get(at).filter(|owner| owner.entry.binding == binding)?;
        Some(self.start(at)..owner.end)
    }

    /// The first bucket of the owner at this place.
    fn start(&self, at: usize) -> u64 {
        at.checked_sub(1).map_or(0, |before| self.owners[before].end)
    }

    /// The binding that owns the bucket of this hash.
    pub(crate) fn choose(&self, hash: impl FnOnce() -> u32) -> Option<Entry> {
        let bucket = self.bucket(hash)?;
        let at = self.owners.partition_point(|owner| owner.end <= bucket);
        self.owners.get(at).map(|owner| owner.entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{QueueId, id::BindingId};

    #[test]
    fn weights_are_read_as_erlang_reads_integers() {
        for (key, expected) in [("1", 1), ("+2", 2), ("007", 7), ("4294967295", u32::MAX)] {
            assert_eq!(weight(key.as_bytes()), Ok(expected), "{key}");
        }
        for key in ["", "+", "0", "-1", "+-1", "1.5", "1 ", " 1", "0x2", "1e3", "abc", "4294967296", "²"] {
            assert!(weight(key.as_bytes()).is_err(), "{key}");
        }
    }

    #[test]
    fn decimal_digits() {
        for number in [0, 7, 10, 1_700_000_000, u64::MAX] {
            let expected = alloc::format!("{number}");
            assert_eq!(decimal(number, &mut [0; 20]), expected.as_bytes());
        }
    }

    /// The ring as RabbitMQ keeps it: a list of buckets. Random inserts and removals give the same owners.
    #[test]
    fn counted_buckets_are_listed_buckets() {
        let mut ring = Ring::default();
        let mut listed: Vec<u32> = Vec::new();
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for step in 0..4_000 {
            let queue = random(12) as u32;
            let entry = Entry::new(BindingId(step), QueueId(queue).into());
            if random(3) > 0 {
                let weight = 1 + random(5) as u32;
                ring.insert(entry, weight);
                if !listed.contains(&queue) {
                    listed.extend(core::iter::repeat_n(queue, weight as usize));
                }
            } else {
                ring.remove(entry);
                listed.retain(|owner| *owner != queue);
            }
            assert_eq!(ring.buckets(), listed.len() as u64);
            let hash = random(1 << 27) as u32;
            let expected = match listed.len() {
                0 => None,
                1 => Some(listed[0]),
                count => Some(listed[jump::bucket(hash, count as u64) as usize]),
            };
            let chosen = ring.choose(|| hash).map(|entry| entry.target.destination());
            assert_eq!(chosen, expected.map(|queue| QueueId(queue).into()));
        }
    }
}
