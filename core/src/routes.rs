use alloc::vec::Vec;

use crate::{
    QueueId,
    walk::{Scratch, Sink},
};

/// The queues that get a message, and the memory that finding them needs.
///
/// Keep one per thread or task: [`Router::route`](crate::Router::route) clears it first, and once it has grown a call
/// allocates nothing. It may serve several routers in turn.
#[derive(Debug, Default)]
pub struct Routes {
    queues: Vec<QueueId>,
    pub(crate) scratch: Scratch,
}

impl Routes {
    /// An empty result.
    pub fn new() -> Self {
        Routes::default()
    }

    /// The queues, each once. The order depends on the topology and the message alone and is the same on every
    /// target.
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

    pub(crate) fn clear(&mut self) {
        self.queues.clear();
    }

    /// The sink and the scratch memory at once, for the walk.
    pub(crate) fn parts(&mut self) -> (Collect<'_>, &mut Scratch) {
        (Collect(&mut self.queues), &mut self.scratch)
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
