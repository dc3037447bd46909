//! Who carries out the commands that the core plans.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use keyrail_core::kombu::{Layout, Plan};

use crate::ExecuteError;

mod held;
mod memory;
mod needs;
mod redis;
mod sweep;
mod take;

pub(crate) use held::AT_ONCE;
pub use held::{GiveBack, Held, Overdue, PutBack, Restore};
pub use memory::{Memory, MemoryWaiter};
pub(crate) use redis::commands::{Answers, Commands};
pub use redis::{Redis, RedisOptions, RedisWaiter};
pub(crate) use redis::{
    errors, listen,
    once::{Once, Ran},
};
pub use sweep::Swept;
pub(crate) use take::pop_order;
pub use take::{Take, Taken};

/// Executes the closed list of [`Command`](keyrail_core::kombu::Command)s, and the few steps that only count when they
/// happen at once on the server.
///
/// The in-memory executor and Redis give the same answers; tests run the same cases on both.
///
/// ```
/// use keyrail_core::kombu::{Command, Plan};
/// use keyrail_redis::{Executor, Memory, Reply};
///
/// async fn push_twice(executor: &impl Executor) -> Vec<Reply> {
///     let push = |value: &[u8]| Command::LPush { key: "jobs".into(), value: value.into() };
///     let plan = Plan { atomic: true, commands: vec![push(b"a"), push(b"b")] };
///     executor.run(&plan).await.unwrap()
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let memory = Memory::new();
/// assert_eq!(push_twice(&memory).await, [Reply::Count(1), Reply::Count(2)]);
/// assert_eq!(memory.keys("jo").await.unwrap(), ["jobs"]);
/// # });
/// ```
///
/// # Errors
/// Every method's: [`ExecuteError::WrongType`] for a key of another type than the command needs, and on Redis those of the connection; see [`ExecuteError`].
pub trait Executor: Send + Sync + 'static {
    /// Who waits for messages.
    type Waiter: Waiter;

    /// Runs a plan; one reply per command.
    ///
    /// An atomic plan happens at once or not at all, as far as other clients can see: if a key is of another type than
    /// one of its commands needs, none is executed. Of other plans the rest is executed nevertheless.
    fn run(&self, plan: &Plan) -> impl Future<Output = Result<Vec<Reply>, ExecuteError>> + Send;

    /// Runs a plan at once or not at all, as an atomic one, unless it would change a field that is there in one of these
    /// hashes: to them it may only add. Nothing if it would.
    fn run_adding(
        &self,
        plan: &Plan,
        hashes: &[String],
    ) -> impl Future<Output = Result<Option<Vec<Reply>>, ExecuteError>> + Send;

    /// Whether the keys lie on several servers, where nothing that needs several of them is one step.
    fn spreads(&self) -> bool {
        false
    }

    /// Takes messages and registers them as unacked, in one step on the server.
    ///
    /// Kombu pops first and registers second, and loses the message of a process that dies in between.
    /// A payload without a delivery tag, a text or a whole number, goes to the queue's quarantine list instead of being
    /// lost. A list or quarantine list of another type is named in the answer, and the others are taken from. After an
    /// error the messages are still in their lists, unless the connection broke: then they may also be registered
    /// under the owner, and [`owned`](Self::owned) finds them.
    fn take(&self, take: &Take<'_>) -> impl Future<Output = Result<Vec<Taken>, ExecuteError>> + Send;

    /// Settles deliveries, at once: they are done. False for each that somebody else settled or restored.
    fn settle(
        &self,
        layout: &Layout,
        deliveries: &[String],
    ) -> impl Future<Output = Result<Vec<bool>, ExecuteError>> + Send;

    /// Puts a delivery back, if it is still registered; false if somebody else settled or restored it.
    /// After an error it is still registered.
    fn give_back(&self, back: &GiveBack<'_>) -> impl Future<Output = Result<bool, ExecuteError>> + Send;

    /// Makes deliveries as young as if they had just been taken, so that nobody restores them. Those that are no longer
    /// registered stay so.
    fn touch(
        &self,
        layout: &Layout,
        deliveries: &[String],
    ) -> impl Future<Output = Result<(), ExecuteError>> + Send;

    /// Unix time in seconds, by the server's clock.
    fn now(&self) -> impl Future<Output = Result<f64, ExecuteError>> + Send;

    /// The deliveries that were registered up to a moment, the youngest first.
    fn overdue(&self, overdue: &Overdue<'_>) -> impl Future<Output = Result<Vec<Held>, ExecuteError>> + Send;

    /// The deliveries that are registered under an owner.
    fn owned(
        &self,
        layout: &Layout,
        owner: &str,
    ) -> impl Future<Output = Result<Vec<Held>, ExecuteError>> + Send;

    /// Moves deliveries from the register to lists, each in one step and only if it is registered as it was read.
    ///
    /// Says of each what became of it. Nothing if the lock is somebody else's by now.
    fn restore(
        &self,
        restore: &Restore<'_>,
    ) -> impl Future<Output = Result<Option<Vec<PutBack>>, ExecuteError>> + Send;

    /// Takes Kombu's lock of those who restore, for at most so long. False if somebody else has it.
    fn lock(
        &self,
        layout: &Layout,
        token: &str,
        limit: Duration,
    ) -> impl Future<Output = Result<bool, ExecuteError>> + Send;

    /// Gives the lock back, if it is still this one's.
    fn unlock(&self, layout: &Layout, token: &str) -> impl Future<Output = Result<(), ExecuteError>> + Send;

    /// Deletes the tables of expiring bindings whose deadline has passed, at most a hundred of them, in one step: those
    /// without a permanent binding, as Kombu 5.7 does. Says which fell due.
    fn sweep(&self, layout: &Layout) -> impl Future<Output = Result<Swept, ExecuteError>> + Send;

    /// Who waits until there may be a message in one of the lists, without taking any.
    fn waiter(&self, lists: Vec<String>) -> Self::Waiter;

    /// Listens to channel patterns.
    fn subscribe(&self, patterns: &[String]) -> impl Future<Output = Result<Listener, ExecuteError>> + Send;

    /// The fields of a hash, sorted by name.
    fn hash(&self, key: &str) -> impl Future<Output = Result<Vec<(String, Vec<u8>)>, ExecuteError>> + Send;

    /// The number of members of a set. An error if the key is of another type.
    fn set_size(&self, key: &str) -> impl Future<Output = Result<SetSize, ExecuteError>> + Send;

    /// Every key that begins with these bytes, sorted.
    fn keys(&self, prefix: &str) -> impl Future<Output = Result<Vec<String>, ExecuteError>> + Send;

    /// The value of a plain key, the result of a Celery task for instance.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, ExecuteError>> + Send;

    /// `memory`, or `redis` with its address.
    fn describe(&self) -> String;
}

/// The answer to one command.
///
/// ```
/// use keyrail_core::kombu::{Command, Plan};
/// use keyrail_redis::{Executor, Memory, Reply};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let key = || "jobs".to_owned();
/// let commands = vec![
///     Command::LPush { key: key(), value: b"a".to_vec() },
///     Command::RPop { key: key() },
///     Command::RPop { key: key() },
///     Command::SMembers { key: key() },
/// ];
/// let replies = Memory::new().run(&Plan { atomic: false, commands }).await.unwrap();
/// assert_eq!(replies[..2], [Reply::Count(1), Reply::Value(Some(b"a".to_vec()))]);
/// assert_eq!(replies[2..], [Reply::Value(None), Reply::Members(Vec::new())]);
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A count.
    Count(i64),
    /// What was taken, if anything.
    Value(Option<Vec<u8>>),
    /// The members of a set.
    Members(Vec<Vec<u8>>),
    /// It is done, and there is nothing to say about it.
    Done,
}

/// The size of a binding table, or what stands there instead.
///
/// ```
/// use keyrail_core::kombu::{Layout, Member, plan};
/// use keyrail_redis::{Executor, Memory, SetSize};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (memory, layout) = (Memory::new(), Layout::default());
/// let table = layout.binding_table("orders");
/// assert_eq!(memory.set_size(&table).await, Ok(SetSize::Members(0)));
/// memory.run(&plan::bind(&layout, "orders", &Member::plain("paid", "billing")).unwrap()).await.unwrap();
/// assert_eq!(memory.set_size(&table).await, Ok(SetSize::Members(1)));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetSize {
    /// So many members; none if there is no such key.
    Members(u64),
    /// The key is of this other type.
    OtherType(Box<str>),
}

/// Waits for messages; see [`Executor::waiter`].
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Command, Plan};
/// use keyrail_redis::{Executor, Memory, Waiter};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let memory = Memory::new();
/// let mut waiter = memory.waiter(vec!["jobs".into()]);
/// let push = Command::LPush { key: "jobs".into(), value: b"x".to_vec() };
/// let push = Plan { atomic: false, commands: vec![push] };
/// let (woken, pushed) = tokio::join!(waiter.wait(Duration::from_secs(3600)), memory.run(&push));
/// assert!(woken.is_ok() && pushed.is_ok(), "long before the hour was over");
/// # });
/// ```
pub trait Waiter: Send + 'static {
    /// Ends when there may be a message in one of the lists, at the latest after so long. Returns early at will.
    /// May be abandoned.
    fn wait(&mut self, limit: Duration) -> impl Future<Output = Result<(), ExecuteError>> + Send;
}

/// A message from a channel.
///
/// ```
/// use keyrail_core::kombu::{Command, Plan};
/// use keyrail_redis::{Executor, Heard, Memory};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let memory = Memory::new();
/// let mut listener = memory.subscribe(&["/0.*".to_owned()]).await.unwrap();
/// let publish = Command::Publish { channel: "/0.news".into(), payload: b"hello".to_vec() };
/// memory.run(&Plan { atomic: false, commands: vec![publish] }).await.unwrap();
/// assert_eq!(listener.next().await, Some(Heard { channel: "/0.news".into(), payload: b"hello".to_vec() }));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The channel.
    pub channel: String,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// Messages of a subscription, in order. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Listener {
    pub(crate) messages: tokio::sync::mpsc::Receiver<Heard>,
    /// How many bytes wait, where that is bounded.
    pub(crate) backlog: Option<Backlog>,
    /// Tells that nobody listens any more when it is dropped.
    pub(crate) _listens: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Listener {
    /// The next message; nothing once the subscription has ended. It ends with its connection, when the server gives no
    /// sign of life, and when 16,384 messages or 32 MiB wait to be read: a server, too, cuts such a listener off.
    ///
    /// ```
    /// use keyrail_core::kombu::{Command, Plan};
    /// use keyrail_redis::{Executor, Memory, Reply};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let memory = Memory::new();
    /// let publish = Command::Publish { channel: "/0.news".into(), payload: b"hello".to_vec() };
    /// let publish = Plan { atomic: false, commands: vec![publish] };
    /// let mut listener = memory.subscribe(&["/0.news".to_owned()]).await.unwrap();
    /// assert_eq!(memory.run(&publish).await.unwrap(), [Reply::Count(1)]);
    /// assert_eq!(listener.next().await.unwrap().payload, b"hello");
    /// drop(listener);
    /// assert_eq!(memory.run(&publish).await.unwrap(), [Reply::Count(0)], "nobody listens any more");
    /// # });
    /// ```
    pub async fn next(&mut self) -> Option<Heard> {
        let heard = self.messages.recv().await?;
        if let Some(backlog) = &self.backlog {
            backlog.fetch_sub(heard.payload.len(), Relaxed);
        }
        Some(heard)
    }
}

/// How many fanout messages may wait for a subscriber that does not read.
pub(crate) const BACKLOG: usize = 16_384;
/// How many bytes of them, as Redis' own limit for such a subscriber.
pub(crate) const BACKLOG_BYTES: usize = 32 << 20;

/// The bytes that wait.
pub(crate) type Backlog = Arc<AtomicUsize>;

/// The list to which bytes go that were in a queue and are no message: `keyrail.quarantine.<queue>`.
///
/// ```
/// use keyrail_core::kombu::Layout;
///
/// assert_eq!(keyrail_redis::quarantine_list(&Layout::default(), "billing"), "keyrail.quarantine.billing");
/// ```
pub fn quarantine_list(layout: &Layout, queue: &str) -> String {
    format!("{}keyrail.quarantine.{queue}", layout.global_keyprefix)
}
