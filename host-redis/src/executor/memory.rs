//! The executor without a server: the same commands on maps behind a lock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use keyrail_core::kombu::{Command, Layout, Plan, glob_matches};
use tokio::sync::{Notify, mpsc};

use super::{
    BACKLOG, Executor, GiveBack, Heard, Held, Listener, Overdue, PutBack, Reply, Restore, SetSize, Swept,
    Take, Taken, Waiter,
    needs::{kind, needs, set_in},
};
use crate::ExecuteError;

mod held;
mod sweep;
mod take;

/// Queues, tables and subscribers of one process. Nothing survives it.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{Executor, Host, Memory, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// host.publish(&Outgoing::new("", "billing", Envelope::text("42 EUR"))).await.unwrap();
/// // The keys that Kombu would have in Redis.
/// assert_eq!(host.executor().keys("").await.unwrap(), ["billing"]);
/// assert_eq!(host.executor().describe(), "memory");
/// # });
/// ```
#[derive(Debug, Default)]
pub struct Memory {
    store: Arc<Mutex<Store>>,
    pushed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Store {
    keys: HashMap<String, Entry>,
    listeners: Vec<(Vec<u8>, mpsc::Sender<Heard>)>,
    /// Kombu's lock: token and end.
    lock: Option<(String, Instant)>,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    expires: Option<Instant>,
}

#[derive(Debug)]
enum Value {
    List(VecDeque<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Hash(BTreeMap<String, Vec<u8>>),
    SortedSet(BTreeMap<String, f64>),
    Text(Vec<u8>),
}

impl Value {
    const fn kind(&self) -> &'static str {
        match self {
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::Hash(_) => "hash",
            Value::SortedSet(_) => "zset",
            Value::Text(_) => "string",
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Value::List(list) => list.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
            Value::SortedSet(set) => set.is_empty(),
            // An empty text is there.
            Value::Text(_) => false,
        }
    }
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Memory::default()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        open(&self.store)
    }
}

fn open(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // Nothing below leaves the maps half-changed when it panics.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Refuses a key of another type than the command needs.
    fn check(&mut self, key: &str, kind: Option<&str>, command: &'static str) -> Result<(), ExecuteError> {
        match (self.entry(key), kind) {
            (Some(entry), Some(kind)) if entry.value.kind() != kind => {
                Err(ExecuteError::WrongType { key: key.into(), command })
            }
            _ => Ok(()),
        }
    }

    fn check_command(&mut self, command: &Command) -> Result<(), ExecuteError> {
        self.check(command.key(), kind(command), command.name())
    }

    /// Refuses a plan of which any command meets a key of another type, before the first one runs.
    fn check_plan(&mut self, commands: &[Command]) -> Result<(), ExecuteError> {
        needs(commands)?.iter().try_for_each(|need| self.check(need.key, need.kind, need.command))
    }

    /// The entry of a key that has not expired.
    fn entry(&mut self, key: &str) -> Option<&mut Entry> {
        if self.keys.get(key)?.expires.is_some_and(|expires| expires <= Instant::now()) {
            self.keys.remove(key);
        }
        self.keys.get_mut(key)
    }

    fn or_insert(&mut self, key: &str, empty: Value) -> &mut Value {
        self.entry(key);
        &mut self.keys.entry(key.into()).or_insert(Entry { value: empty, expires: None }).value
    }

    fn list(&mut self, key: &str) -> Option<&mut VecDeque<Vec<u8>>> {
        match self.or_insert(key, Value::List(VecDeque::new())) {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    fn set(&mut self, key: &str) -> Option<&mut BTreeSet<Vec<u8>>> {
        match self.or_insert(key, Value::Set(BTreeSet::new())) {
            Value::Set(set) => Some(set),
            _ => None,
        }
    }

    fn hash(&mut self, key: &str) -> Option<&mut BTreeMap<String, Vec<u8>>> {
        match self.or_insert(key, Value::Hash(BTreeMap::new())) {
            Value::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn sorted_set(&mut self, key: &str) -> Option<&mut BTreeMap<String, f64>> {
        match self.or_insert(key, Value::SortedSet(BTreeMap::new())) {
            Value::SortedSet(set) => Some(set),
            _ => None,
        }
    }

    fn run(&mut self, plan: &Plan) -> Result<Vec<Reply>, ExecuteError> {
        if plan.atomic {
            self.check_plan(&plan.commands)?;
        }
        let replies = plan.commands.iter().map(|command| {
            self.check_command(command)?;
            Ok(self.execute(command))
        });
        // Where the commands do not depend on each other, one that is refused does not stop the others.
        replies.collect::<Vec<_>>().into_iter().collect()
    }

    fn holds_other(&mut self, key: &str, field: &str, value: &[u8]) -> bool {
        match self.entry(key).map(|entry| &entry.value) {
            Some(Value::Hash(hash)) => hash.get(field).is_some_and(|found| found != value),
            _ => false,
        }
    }

    fn execute(&mut self, command: &Command) -> Reply {
        let reply = self.try_execute(command).unwrap_or(Reply::Count(0));
        // As in Redis, what is empty is not there.
        let key = command.key();
        if self.keys.get(key).is_some_and(|entry| entry.value.is_empty()) {
            self.keys.remove(key);
        }
        reply
    }

    /// Nothing if the key is of another type, which [`check`](Self::check) has ruled out.
    fn try_execute(&mut self, command: &Command) -> Option<Reply> {
        let count = |changed: bool| Reply::Count(i64::from(changed));
        Some(match command {
            Command::LPush { key, value } => {
                let list = self.list(key)?;
                list.push_front(value.clone());
                length(list.len())
            }
            Command::RPush { key, value } => {
                let list = self.list(key)?;
                list.push_back(value.clone());
                length(list.len())
            }
            Command::RPop { key } => Reply::Value(self.list(key)?.pop_back()),
            Command::LLen { key } => length(self.list(key)?.len()),
            Command::Publish { channel, payload } => length(self.publish(channel, payload)),
            Command::SAdd { key, member } => count(self.set(key)?.insert(member.clone())),
            Command::SRem { key, member } => count(self.set(key)?.remove(member)),
            Command::SMembers { key } => Reply::Members(self.set(key)?.iter().cloned().collect()),
            Command::Del { key } => count(self.keys.remove(key).is_some()),
            Command::PExpire { key, milliseconds } => {
                let expires = Instant::now().checked_add(Duration::from_millis(*milliseconds));
                count(self.entry(key).map(|entry| entry.expires = expires).is_some())
            }
            Command::HSet { key, field, value } => {
                count(self.hash(key)?.insert(field.clone(), value.clone()).is_none())
            }
            Command::HDel { key, field } => count(self.hash(key)?.remove(field).is_some()),
            Command::ZAdd { key, score, member } => {
                count(self.sorted_set(key)?.insert(member.clone(), *score).is_none())
            }
            Command::ZAddGt { key, score, member } => {
                let set = self.sorted_set(key)?;
                let known = set.get(member).copied();
                let score = *score as f64;
                set.insert(member.clone(), known.map_or(score, |known| known.max(score)));
                count(known.is_none())
            }
            Command::ZRem { key, member } => count(self.sorted_set(key)?.remove(member).is_some()),
            Command::SetEx { key, seconds, value } => {
                let expires = Instant::now().checked_add(Duration::from_secs(*seconds));
                self.keys.insert(key.clone(), Entry { value: Value::Text(value.clone()), expires });
                Reply::Done
            }
        })
    }

    /// Tells every listener once per pattern that matches, as Redis does. A listener whose backlog is full is cut off.
    fn publish(&mut self, channel: &str, payload: &[u8]) -> usize {
        self.listeners.retain(|(_, listener)| !listener.is_closed());
        let hearing = self.listeners.iter().filter(|(pattern, _)| glob_matches(pattern, channel.as_bytes()));
        let (mut count, mut full) = (0, Vec::new());
        for (_, listener) in hearing {
            match listener.try_send(Heard { channel: channel.into(), payload: payload.into() }) {
                Ok(()) => count += 1,
                Err(_) => full.push(listener.clone()),
            }
        }
        self.listeners.retain(|(_, listener)| !full.iter().any(|full| full.same_channel(listener)));
        count
    }
}

fn length(number: usize) -> Reply {
    Reply::Count(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Waits on lists of one process.
///
/// ```
/// use std::time::Duration;
/// use keyrail_redis::{Executor, Memory, Waiter};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut waiter = Memory::new().waiter(vec!["jobs".into()]);
/// let since = std::time::Instant::now();
/// waiter.wait(Duration::from_millis(20)).await.unwrap();
/// assert!(since.elapsed() >= Duration::from_millis(20), "nothing came");
/// # });
/// ```
#[derive(Debug)]
pub struct MemoryWaiter {
    store: Arc<Mutex<Store>>,
    pushed: Arc<Notify>,
    lists: Vec<String>,
}

impl Waiter for MemoryWaiter {
    async fn wait(&mut self, limit: Duration) -> Result<(), ExecuteError> {
        let pushed = self.pushed.notified();
        tokio::pin!(pushed);
        // Registered before looking, so that no push falls between the two.
        pushed.as_mut().enable();
        let ready = {
            let mut store = open(&self.store);
            self.lists.iter().any(|list| store.entry(list).is_some())
        };
        if ready {
            // A list of another type is there for good, and the caller must not spin.
            tokio::task::yield_now().await;
        } else {
            // Either way the caller looks again.
            let _ = tokio::time::timeout(limit, pushed).await;
        }
        Ok(())
    }
}

impl Executor for Memory {
    type Waiter = MemoryWaiter;

    async fn run(&self, plan: &Plan) -> Result<Vec<Reply>, ExecuteError> {
        let replies = self.store().run(plan);
        self.pushed.notify_waiters();
        replies
    }

    async fn run_adding(&self, plan: &Plan, hashes: &[String]) -> Result<Option<Vec<Reply>>, ExecuteError> {
        let replies = {
            let mut store = self.store();
            if set_in(plan, hashes).any(|(key, field, value)| store.holds_other(key, field, value)) {
                return Ok(None);
            }
            store.run(&Plan { atomic: true, commands: plan.commands.clone() })
        };
        self.pushed.notify_waiters();
        replies.map(Some)
    }

    async fn take(&self, take: &Take<'_>) -> Result<Vec<Taken>, ExecuteError> {
        self.store().take(take)
    }

    async fn settle(&self, layout: &Layout, deliveries: &[String]) -> Result<Vec<bool>, ExecuteError> {
        self.store().settle(layout, deliveries)
    }

    async fn give_back(&self, back: &GiveBack<'_>) -> Result<bool, ExecuteError> {
        let given = self.store().give_back(back);
        self.pushed.notify_waiters();
        given
    }

    async fn touch(&self, layout: &Layout, deliveries: &[String]) -> Result<(), ExecuteError> {
        self.store().touch(layout, deliveries)
    }

    async fn now(&self) -> Result<f64, ExecuteError> {
        Ok(held::now())
    }

    async fn overdue(&self, overdue: &Overdue<'_>) -> Result<Vec<Held>, ExecuteError> {
        self.store().overdue(overdue)
    }

    async fn owned(&self, layout: &Layout, owner: &str) -> Result<Vec<Held>, ExecuteError> {
        self.store().owned(layout, owner)
    }

    async fn restore(&self, restore: &Restore<'_>) -> Result<Option<Vec<PutBack>>, ExecuteError> {
        let restored = self.store().restore(restore);
        self.pushed.notify_waiters();
        restored
    }

    async fn lock(&self, _: &Layout, token: &str, limit: Duration) -> Result<bool, ExecuteError> {
        Ok(self.store().lock(token, limit))
    }

    async fn unlock(&self, _: &Layout, token: &str) -> Result<(), ExecuteError> {
        self.store().unlock(token);
        Ok(())
    }

    async fn sweep(&self, layout: &Layout) -> Result<Swept, ExecuteError> {
        self.store().sweep(layout)
    }

    fn waiter(&self, lists: Vec<String>) -> MemoryWaiter {
        MemoryWaiter { store: self.store.clone(), pushed: self.pushed.clone(), lists }
    }

    async fn subscribe(&self, patterns: &[String]) -> Result<Listener, ExecuteError> {
        let (sender, messages) = mpsc::channel(BACKLOG);
        let listeners = patterns.iter().map(|pattern| (pattern.clone().into_bytes(), sender.clone()));
        self.store().listeners.extend(listeners);
        Ok(Listener { messages, backlog: None, _listens: None })
    }

    async fn hash(&self, key: &str) -> Result<Vec<(String, Vec<u8>)>, ExecuteError> {
        match self.store().entry(key).map(|entry| &entry.value) {
            None => Ok(Vec::new()),
            Some(Value::Hash(hash)) => {
                Ok(hash.iter().map(|(field, value)| (field.clone(), value.clone())).collect())
            }
            Some(_) => Err(ExecuteError::WrongType { key: key.into(), command: "HGETALL" }),
        }
    }

    async fn set_size(&self, key: &str) -> Result<SetSize, ExecuteError> {
        Ok(match self.store().entry(key).map(|entry| &entry.value) {
            None => SetSize::Members(0),
            Some(Value::Set(set)) => SetSize::Members(set.len() as u64),
            Some(other) => SetSize::OtherType(other.kind().into()),
        })
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, ExecuteError> {
        let mut keys: Vec<_> =
            self.store().keys.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        keys.sort_unstable();
        Ok(keys)
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ExecuteError> {
        match self.store().entry(key) {
            None => Ok(None),
            Some(Entry { value: Value::Text(text), .. }) => Ok(Some(text.clone())),
            Some(_) => Err(ExecuteError::WrongType { key: key.into(), command: "GET" }),
        }
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}
