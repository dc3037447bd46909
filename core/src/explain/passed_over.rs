//! The bindings of an exchange that chooses one, and did not choose these.

use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;

use super::Mismatch;
use crate::{Destination, Message, id::BindingId, index::Chosen};

/// Buckets of a consistent-hash exchange that one binding owns. They lie side by side.
///
/// ```
/// use keyrail_core::{Binding, Buckets, Exchange, ExchangeKind, Message, Mismatch, Queue, Router, Trace};
///
/// let mut router = Router::new();
/// let spread = router.declare_exchange("spread", Exchange::new(ExchangeKind::ConsistentHash))?;
/// for (name, weight) in [("small", "1"), ("large", "3")] {
///     let queue = router.declare_queue(name, Queue::new())?;
///     router.bind(spread, queue, &Binding::new(weight))?;
/// }
/// let mut trace = Trace::new().with_near_misses(10);
/// router.explain(spread, &Message::new("order.eu"), &mut trace);
/// let own = Buckets { first: 0, count: 1 };
/// let expected = Mismatch::Bucket { found: Some(2), among: 4, own: Some(own) };
/// assert_eq!(trace.near_misses()[0].mismatch, expected);
/// assert_eq!(expected.to_string(), "the hash fell into bucket 3 of 4, this binding owns bucket 1");
/// # Ok::<(), keyrail_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Buckets {
    /// The first, from 0.
    pub first: u64,
    /// How many: the weight of the binding.
    pub count: u64,
}

/// The bucket that the message fell into at each hop that hashes it, in the order of hops: hashed once, however many
/// bindings are told.
#[derive(Debug, Default)]
pub(super) struct Fallen(Vec<(u32, u64)>);

impl Fallen {
    /// Hashes the message for this hop, which comes after those before.
    pub(super) fn hash(&mut self, hop: u32, chosen: &Chosen, message: &Message<'_>) {
        if let Chosen::Hash(source, ring) = chosen
            && let Some(bucket) = ring.bucket(|| source.hash(message))
        {
            self.0.push((hop, bucket));
        }
    }

    /// Why this binding was not chosen.
    pub(super) fn mismatch(
        &self,
        hop: u32,
        chosen: &Chosen,
        binding: BindingId,
        destination: Destination,
    ) -> Mismatch {
        match chosen {
            Chosen::Hash(_, ring) => {
                let at = self.0.binary_search_by_key(&hop, |(hop, _)| *hop);
                let owned = ring.owned(binding, destination);
                Mismatch::Bucket {
                    found: at.ok().and_then(|at| self.0.get(at)).map(|(_, bucket)| *bucket),
                    among: ring.buckets(),
                    own: owned.map(|own| Buckets { first: own.start, count: own.end - own.start }),
                }
            }
            Chosen::Random(lots) => Mismatch::Draw { among: u32::try_from(lots.len()).unwrap_or(u32::MAX) },
        }
    }
}

/// As people count, from 1: `bucket 3` or `buckets 3 to 5`.
impl fmt::Display for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "bucket {}", self.first + 1),
            count => write!(f, "buckets {} to {}", self.first + 1, self.first + count),
        }
    }
}
