//! What is registered as delivered and not yet settled, and how it goes back.

use std::time::Duration;

use keyrail_core::kombu::Layout;

/// As many deliveries are settled in one step at most: Lua's stack takes no more than some thousand values at once.
pub(crate) const AT_ONCE: usize = 1000;

/// A delivery that goes back.
#[derive(Clone, Copy, Debug)]
pub struct GiveBack<'a> {
    /// How keys are named.
    pub layout: &'a Layout,
    /// The field in the hash of unacked deliveries.
    pub delivery: &'a str,
    /// The list to put it into.
    pub list: &'a str,
    /// The bytes to put there.
    pub payload: &'a [u8],
    /// Whether it is taken next, or after all others as Kombu's requeue does.
    pub next: bool,
}

/// Which registered deliveries to read.
#[derive(Clone, Copy, Debug)]
pub struct Overdue<'a> {
    /// How keys are named.
    pub layout: &'a Layout,
    /// Registered before this moment, in Unix seconds.
    pub before: f64,
    /// So many of the youngest are left out.
    pub skip: usize,
    /// At most so many.
    pub limit: usize,
}

/// A registered delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Its name, usually text; a stranger's may be anything.
    pub delivery: Vec<u8>,
    /// When it was registered, in the server's own words: whoever moves it only does so if this has not changed.
    pub since: String,
    /// `[message, exchange, routing key]`; nothing if there is a time without a record.
    pub record: Option<Vec<u8>>,
}

/// Deliveries to be moved.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// How keys are named.
    pub layout: &'a Layout,
    /// The token of the lock that must be held, and for how long it is held on; nobody's if none is needed.
    pub lock: Option<(&'a str, Duration)>,
    /// Each with the lists that get the payload, as the next to be taken; none if there is nothing to be put back.
    pub deliveries: &'a [(Held, Vec<String>, Vec<u8>)],
}

/// What became of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// It is in its lists.
    Done,
    /// Somebody else settled, restored or touched it.
    Gone,
    /// This list is of another type; the delivery is still registered.
    WrongType(String),
}
