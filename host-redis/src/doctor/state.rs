//! What was read of Redis: all that the checks know.

use std::collections::{BTreeMap, BTreeSet};

use keyrail_core::{
    BindingDefinition, QueueDefinition,
    kombu::{Member, MemberError},
};

/// Redis as far as it was read. Not one moment: whoever reads on while others write sees several.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By the server's clock, in milliseconds.
    pub(super) now_ms: u64,
    /// Whether every key and list was seen, so that what was not seen is not there.
    pub(super) complete: bool,
    /// By exchange: those with a table, with permanent bindings or with a deadline.
    pub(super) tables: BTreeMap<String, Table>,
    /// By key.
    pub(super) lists: BTreeMap<String, List>,
    /// Quarantine lists that are not empty, and how much is in them.
    pub(super) quarantines: Vec<(String, u64)>,
    /// Lists of replies to remote control.
    pub(super) replies: Vec<ReplyList>,
    /// How many tables there are under each other prefix.
    pub(super) prefixes: BTreeMap<String, usize>,
    /// Keys of another type: the key, what it should be, what it is.
    pub(super) wrong: Vec<(String, &'static str, String)>,
    /// Tables that were not read, and how many rows they have.
    pub(super) large: Vec<(String, u64)>,
    /// Subscriptions to patterns at this server; none if it is not the only one.
    pub(super) subscriptions: Option<u64>,
    pub(super) register: Register,
    pub(super) own: Own,
}

/// The bindings of one exchange.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) rows: BTreeMap<Vec<u8>, Result<Member, MemberError>>,
    pub(super) permanent: BTreeSet<Vec<u8>>,
    /// As the server wrote it, in milliseconds.
    pub(super) deadline: Option<String>,
    /// Permanent rows that were asked for again and are not in the table.
    pub(super) stray: Vec<Vec<u8>>,
    /// Whether there is a table, when it was asked last.
    pub(super) exists: bool,
    /// Whether all of it was read.
    pub(super) is_read: bool,
}

impl Table {
    /// The rows that are rows.
    pub(super) fn members(&self) -> impl Iterator<Item = (&[u8], &Member)> {
        self.rows.iter().filter_map(|(row, member)| Some((&**row, member.as_ref().ok()?)))
    }
}

/// A list that may be a queue's.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) length: u64,
    /// How many payloads were looked at, the next ones to be taken.
    pub(super) looked: usize,
    /// How many of them are messages.
    pub(super) messages: usize,
    /// Those that are none, the next one first, with the reason.
    pub(super) poison: Vec<(Vec<u8>, Box<str>)>,
}

/// A list of replies to remote control.
#[derive(Debug)]
pub(super) struct ReplyList {
    pub(super) key: String,
    /// For how many seconds nobody has touched it; none if the server does not tell.
    pub(super) idle: Option<u64>,
    /// Whether it expires.
    pub(super) expires: bool,
}

/// What was delivered and not yet acked.
#[derive(Debug, Default)]
pub(super) struct Register {
    /// Deliveries without a time.
    pub(super) unindexed: Vec<Vec<u8>>,
    /// Times without a delivery, each with its score.
    pub(super) unrecorded: Vec<(Vec<u8>, String)>,
    /// Deliveries whose record cannot be read: name, record, score.
    pub(super) unreadable: Vec<(Vec<u8>, Vec<u8>, Option<String>)>,
    /// Deliveries that were due long ago, and since when the oldest one is registered, in Unix seconds.
    pub(super) overdue: usize,
    pub(super) oldest: Option<f64>,
    /// Whether the lock is there and lives for ever.
    pub(super) eternal_lock: bool,
}

/// keyrail's own entries.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) queues: Vec<QueueDefinition>,
    pub(super) bindings: Vec<BindingDefinition>,
    /// Key, field (none of a set), value, and why it cannot be read.
    pub(super) unreadable: Vec<Unreadable>,
    /// Fields and values of buckets whose binding is gone.
    pub(super) stray_buckets: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An entry that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) key: String,
    /// None of a set, where the value is the member.
    pub(super) field: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
    pub(super) reason: String,
}
