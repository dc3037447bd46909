//! The bindings of an exchange that chooses one, and did not choose these.

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

/// Why this binding was not chosen.
pub(super) fn mismatch(
    chosen: &Chosen,
    message: &Message<'_>,
    binding: BindingId,
    destination: Destination,
) -> Mismatch {
    match chosen {
        Chosen::Hash(source, ring) => Mismatch::Bucket {
            found: ring.bucket(|| source.hash(message)),
            among: ring.buckets(),
            own: ring
                .owned(binding, destination)
                .map(|own| Buckets { first: own.start, count: own.end - own.start }),
        },
        Chosen::Random(lots) => Mismatch::Draw { among: lots.len() as u32 },
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
