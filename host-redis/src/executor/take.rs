//! Taking: what to take from, and what came of it.

use keyrail_core::kombu::Layout;

/// What to take from: queues in the order of preference.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{Executor, Host, Memory, Outgoing, Take, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// for queue in ["a", "a", "b"] {
///     host.publish(&Outgoing::new("", queue, Envelope::text("x"))).await.unwrap();
/// }
/// let queues = ["a".to_owned(), "b".to_owned()];
/// let take = Take { layout: host.layout(), queues: &queues, limit: 2, in_turn: true, owner: Some("me-1") };
/// assert_eq!(host.executor().take(&take).await.unwrap().len(), 2);
/// assert_eq!(host.counts(&["a", "b"]).await.unwrap(), [1, 0], "one of each");
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Take<'a> {
    /// How keys are named.
    pub layout: &'a Layout,
    /// The queues; of several lists of one priority step the first queue's is tried first.
    pub queues: &'a [String],
    /// At most so many messages, and at least one, however large, if there is one; after 8 MiB no more.
    pub limit: usize,
    /// Whether the queues of a priority step take turns, or the first one is emptied first.
    pub in_turn: bool,
    /// Under whose name the messages are registered; it must differ from take to take. Nobody's: they are not
    /// registered, and whoever dies with them has lost them.
    pub owner: Option<&'a str>,
}

impl<'a> Take<'a> {
    /// Takes one message.
    pub const fn one(layout: &'a Layout, queues: &'a [String], owner: &'a str) -> Self {
        Take { layout, queues, limit: 1, in_turn: true, owner: Some(owner) }
    }
}

/// What came of taking.
///
/// ```
/// use keyrail_core::kombu::{Command, Layout, Plan};
/// use keyrail_redis::{Executor, Memory, Take, Taken};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (memory, layout, queues) = (Memory::new(), Layout::default(), ["jobs".to_owned()]);
/// let push = Command::LPush { key: "jobs".into(), value: b"no message".to_vec() };
/// memory.run(&Plan { atomic: false, commands: vec![push] }).await.unwrap();
/// let taken = memory.take(&Take::one(&layout, &queues, "me-1")).await.unwrap();
/// let list = "keyrail.quarantine.jobs".to_owned();
/// assert_eq!(taken, [Taken::Quarantined { queue: "jobs".into(), list }]);
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A message, registered under `delivery`.
    Message {
        /// The field in the hash of unacked deliveries: `<tag>#<owner>.<place in the batch>#<queue>`. It names this
        /// delivery alone, so that the late ack of an earlier one cannot touch it. Empty if it is not registered.
        delivery: String,
        /// The queue it came from.
        queue: String,
        /// The list it came from.
        list: String,
        /// The bytes as they lay there.
        payload: Vec<u8>,
    },
    /// Bytes that are no message; they lie in the queue's quarantine list now.
    Quarantined {
        /// The queue they came from.
        queue: String,
        /// The quarantine list.
        list: String,
    },
    /// A list that is none: nothing was taken from it.
    WrongType {
        /// The key.
        key: String,
        /// The command that needs a list there.
        command: &'static str,
    },
}

/// Where a batch stops, in bytes of payload.
pub(crate) const BATCH_BYTES: usize = 8 << 20;

/// Every list with the place of its queue, in the order in which Kombu pops: step by step, and within a step queue by
/// queue.
pub(crate) fn pop_order(layout: &Layout, queues: &[String]) -> Vec<(usize, String)> {
    let lists: Vec<Vec<String>> = queues.iter().map(|queue| layout.lists(queue).collect()).collect();
    let steps = lists.first().map_or(0, Vec::len);
    let mut order = Vec::with_capacity(steps * lists.len());
    for step in 0..steps {
        for (queue, lists) in lists.iter().enumerate() {
            order.extend(lists.get(step).map(|list| (queue, list.clone())));
        }
    }
    order
}
