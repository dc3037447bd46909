//! What was taken ahead, on its way to the consumer's owner.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Notify, futures::Notified};

use super::delivery::Inner;

/// What comes to the consumer's owner.
#[derive(Debug)]
pub(super) enum Event {
    Delivery(Arc<Inner>),
    Quarantined { queue: String, list: String, reason: Box<str> },
}

/// How much was taken ahead and waits to be read.
#[derive(Debug, Default)]
pub(super) struct Unread {
    count: AtomicUsize,
    /// How much of it is only told of: it lies in quarantine.
    aside: AtomicUsize,
    drained: Notify,
}

impl Unread {
    pub(super) fn one_more(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn one_aside_more(&self) {
        self.aside.fetch_add(1, Ordering::AcqRel);
        self.one_more();
    }

    pub(super) fn one_less(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.drained.notify_one();
        }
    }

    pub(super) fn one_aside_less(&self) {
        self.aside.fetch_sub(1, Ordering::AcqRel);
        self.one_less();
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(super) fn aside(&self) -> usize {
        self.aside.load(Ordering::Acquire)
    }

    /// Once nothing is left to read.
    pub(super) fn drained(&self) -> Notified<'_> {
        self.drained.notified()
    }
}
