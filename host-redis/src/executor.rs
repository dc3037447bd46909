//! Who carries out the commands that the core plans.

use std::{future::Future, time::Duration};

use keyrail_core::kombu::{Layout, Plan};

use crate::ExecuteError;

mod memory;
mod needs;
mod redis;

pub use memory::Memory;
pub(crate) use redis::errors;
pub use redis::{Redis, RedisOptions};

/// Executes the closed list of [`Command`](keyrail_core::kombu::Command)s, and the few steps that only count when they
/// happen at once on the server.
///
/// The in-memory executor and Redis give the same answers; tests run the same cases on both.
pub trait Executor: Send + Sync + 'static {
    /// Runs a plan; one reply per command.
    ///
    /// An atomic plan happens at once or not at all, as far as other clients can see: if a key is of another type than
    /// one of its commands needs, none is executed. Of other plans the rest is executed nevertheless.
    fn run(&self, plan: &Plan) -> impl Future<Output = Result<Vec<Reply>, ExecuteError>> + Send;

    /// Takes the next message and registers it as unacked, in one step on the server.
    ///
    /// Kombu pops first and registers second, and loses the message of a process that dies in between.
    /// A payload without a delivery tag, a text or a whole number, goes to the queue's quarantine list instead of being
    /// lost. After an error the message is still in its list.
    fn take(&self, take: &Take<'_>) -> impl Future<Output = Result<Taken, ExecuteError>> + Send;

    /// Puts a delivery back, if it is still registered; false if somebody else settled or restored it.
    /// After an error it is still registered.
    fn give_back(&self, back: &GiveBack<'_>) -> impl Future<Output = Result<bool, ExecuteError>> + Send;

    /// Waits until there may be a message in one of the lists, without taking any. Returns early at will.
    fn wait(
        &self,
        lists: &[String],
        limit: Duration,
    ) -> impl Future<Output = Result<(), ExecuteError>> + Send;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A count.
    Count(i64),
    /// What was taken, if anything.
    Value(Option<Vec<u8>>),
    /// The members of a set.
    Members(Vec<Vec<u8>>),
}

/// The size of a binding table, or what stands there instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetSize {
    /// So many members; none if there is no such key.
    Members(u64),
    /// The key is of this other type.
    OtherType(Box<str>),
}

/// What to take from: queues in the order of preference.
#[derive(Clone, Copy, Debug)]
pub struct Take<'a> {
    /// How keys are named.
    pub layout: &'a Layout,
    /// The queues; of several lists of one priority step the first queue's is tried first.
    pub queues: &'a [String],
}

/// What came of taking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing is there.
    Empty,
    /// A message, registered under `delivery`.
    Message {
        /// The field in the hash of unacked deliveries.
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
}

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

/// A message from a channel.
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
}

impl Listener {
    /// The next message; nothing once the subscription has ended.
    pub async fn next(&mut self) -> Option<Heard> {
        self.messages.recv().await
    }
}

/// How many fanout messages may wait for a subscriber that does not read.
pub(crate) const BACKLOG: usize = 1024;

/// The list to which bytes go that were in a queue and are no message: `keyrail.quarantine.<queue>`.
pub fn quarantine_list(layout: &Layout, queue: &str) -> String {
    format!("{}keyrail.quarantine.{queue}", layout.global_keyprefix)
}

/// Every list with the place of its queue, in the order in which Kombu pops: step by step, and within a step queue by
/// queue.
fn pop_order(take: &Take<'_>) -> Vec<(usize, String)> {
    let lists: Vec<Vec<String>> =
        take.queues.iter().map(|queue| take.layout.lists(queue).collect()).collect();
    let steps = lists.first().map_or(0, Vec::len);
    let mut order = Vec::with_capacity(steps * lists.len());
    for step in 0..steps {
        for (queue, lists) in lists.iter().enumerate() {
            order.extend(lists.get(step).map(|list| (queue, list.clone())));
        }
    }
    order
}
