//! What is registered as delivered and not yet settled, and how it goes back.

use std::time::Duration;

use keyrail_core::kombu::Layout;

/// As many deliveries are settled in one step at most: Lua's stack takes no more than some thousand values at once.
pub(crate) const AT_ONCE: usize = 1000;

/// A delivery that goes back.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{Executor, GiveBack, Host, Memory, Outgoing, Take, Taken, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// host.publish(&Outgoing::new("", "jobs", Envelope::text("x"))).await.unwrap();
/// let (memory, layout, queues) = (host.executor(), host.layout(), ["jobs".to_owned()]);
/// let taken = memory.take(&Take::one(layout, &queues, "me-1")).await.unwrap();
/// let [Taken::Message { delivery, list, payload, .. }] = &taken[..] else { panic!() };
///
/// let back = GiveBack { layout, delivery, list, payload, next: true };
/// assert!(memory.give_back(&back).await.unwrap());
/// assert!(!memory.give_back(&back).await.unwrap(), "it is registered no more");
/// assert_eq!(host.count("jobs").await.unwrap(), 1);
/// # });
/// ```
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
///
/// ```
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{Executor, Host, Memory, Outgoing, Overdue, Take, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// host.publish(&Outgoing::new("", "jobs", Envelope::text("x"))).await.unwrap();
/// let (memory, layout, queues) = (host.executor(), host.layout(), ["jobs".to_owned()]);
/// memory.take(&Take::one(layout, &queues, "me-1")).await.unwrap();
///
/// let now = memory.now().await.unwrap();
/// let overdue = async |before| memory.overdue(&Overdue { layout, before, skip: 0, limit: 10 }).await;
/// assert_eq!(overdue(now + 1.0).await.unwrap().len(), 1);
/// assert_eq!(overdue(now - 3600.0).await.unwrap(), [], "not for an hour");
/// # });
/// ```
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
///
/// ```
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{Executor, Host, Memory, Outgoing, Take, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// host.publish(&Outgoing::new("", "jobs", Envelope::text("x"))).await.unwrap();
/// let (memory, layout, queues) = (host.executor(), host.layout(), ["jobs".to_owned()]);
/// memory.take(&Take::one(layout, &queues, "me-1")).await.unwrap();
///
/// let held = memory.owned(layout, "me-1").await.unwrap();
/// assert!(held[0].delivery.ends_with(b"#me-1.0#jobs"));
/// assert!(held[0].record.as_ref().unwrap().ends_with(br#", "", "jobs"]"#));
/// # });
/// ```
///
/// # Source
/// The record is that of Kombu's `kombu.transport.redis.QoS.append`.
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
///
/// ```
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{Executor, Host, Memory, Outgoing, PutBack, Restore, Take, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// host.publish(&Outgoing::new("", "jobs", Envelope::text("x"))).await.unwrap();
/// let (memory, layout, queues) = (host.executor(), host.layout(), ["jobs".to_owned()]);
/// memory.take(&Take::one(layout, &queues, "me-1")).await.unwrap();
///
/// let held = memory.owned(layout, "me-1").await.unwrap().remove(0);
/// let deliveries = [(held, vec!["jobs".to_owned()], b"the payload".to_vec())];
/// let restore = Restore { layout, lock: None, deliveries: &deliveries };
/// assert_eq!(memory.restore(&restore).await.unwrap(), Some(vec![PutBack::Done]));
/// assert_eq!(host.count("jobs").await.unwrap(), 1);
/// # });
/// ```
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
///
/// ```
/// use keyrail_core::kombu::Layout;
/// use keyrail_redis::{Executor, Held, Memory, PutBack, Restore};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let held = Held { delivery: b"tag#me-1.0#jobs".to_vec(), since: "1790000000".into(), record: None };
/// let deliveries = [(held, vec!["jobs".to_owned()], b"the payload".to_vec())];
/// let restore = Restore { layout: &Layout::default(), lock: None, deliveries: &deliveries };
/// let memory = Memory::new();
/// assert_eq!(memory.restore(&restore).await.unwrap(), Some(vec![PutBack::Gone]));
/// assert!(memory.keys("jobs").await.unwrap().is_empty(), "nothing was put there");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// It is in its lists.
    Done,
    /// Somebody else settled, restored or touched it.
    Gone,
    /// This list is of another type; the delivery is still registered.
    WrongType(String),
}
