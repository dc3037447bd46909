//! Putting back what consumers left behind.

use std::{collections::HashMap, sync::Arc, time::Duration};

use keyrail_core::{
    ByteString,
    kombu::{Envelope, Json, Layout, Priority, read_text},
};
use uuid::Uuid;

use crate::{
    ExecuteError, Executor, Held, Host, HostError, Overdue, PutBack, Restore, Table, payload,
    publish::Outgoing, raw,
};

/// How much is restored, and how it is locked; by the names of Kombu's transport options.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{Executor, Host, Memory, Outgoing, RestoreOptions, Take, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// for owner in ["a", "b"] {
///     host.publish(&Outgoing::new("", "jobs", Envelope::text("x"))).await.unwrap();
///     let queues = ["jobs".to_owned()];
///     host.executor().take(&Take::one(host.layout(), &queues, owner)).await.unwrap(); // and dies
/// }
/// let visibility_timeout = Duration::ZERO;
/// let one = RestoreOptions { visibility_timeout, limit: Some(1), ..RestoreOptions::default() };
/// assert_eq!(host.restore_with(&one).await.unwrap().restored, 1);
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreOptions {
    /// What was taken longer ago is put back. Default an hour.
    pub visibility_timeout: Duration,
    /// `unacked_restore_limit`: the most deliveries that one restore puts back. Default all.
    pub limit: Option<u64>,
    /// `unacked_mutex_expire`: how long the lock outlives a restorer that dies, a second at least. Every step takes it
    /// anew. Default 30 s.
    pub mutex_expire: Duration,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        RestoreOptions {
            visibility_timeout: Duration::from_secs(3600),
            limit: None,
            mutex_expire: Duration::from_secs(30),
        }
    }
}

/// What a restore came to.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{Executor, Host, Memory, Restored, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// assert_eq!(host.restore(Duration::ZERO).await.unwrap(), Restored::default(), "nothing was left behind");
///
/// host.executor().lock(host.layout(), "somebody else", Duration::from_secs(30)).await.unwrap();
/// # use keyrail_redis::{Outgoing, Take};
/// # host.publish(&Outgoing::new("", "jobs", Envelope::text("x"))).await.unwrap();
/// # host.executor().take(&Take::one(host.layout(), &["jobs".to_owned()], "me-1")).await.unwrap();
/// assert!(host.restore(Duration::ZERO).await.unwrap().locked, "that one sees to it");
/// # });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// So many deliveries are in their queues again.
    pub restored: usize,
    /// So many were settled, restored or touched by somebody else in the meantime.
    pub gone: usize,
    /// What stays registered, because nobody can say where it belongs, with the reason. The first
    /// [`NAMED`](Restored::NAMED) of them.
    pub left: Vec<Left>,
    /// How many those are.
    pub left_count: usize,
    /// Somebody else is restoring, and nothing was done.
    pub locked: bool,
}

impl Restored {
    /// How many of those that stay are named.
    pub const NAMED: usize = 10;
}

/// A delivery that stays registered.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Command, Envelope, Layout, Plan, plan};
/// use keyrail_redis::{Executor, Host, Memory, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// // As a Kombu that crashed leaves a message whose exchange is gone by now.
/// let payload = Envelope::text("x").to_bytes("orders", "paid", "tag-1");
/// let record = [b"[".as_slice(), &payload, br#", "orders", "paid"]"#].concat();
/// let (key, field) = (host.layout().unacked(), "tag-1".to_owned());
/// let hash = Command::HSet { key, field: field.clone(), value: record };
/// let time = Command::ZAdd { key: host.layout().unacked_index(), score: 0.0, member: field };
/// host.executor().run(&Plan { atomic: true, commands: vec![hash, time] }).await.unwrap();
///
/// let restored = host.restore(Duration::from_secs(3600)).await.unwrap();
/// assert_eq!((restored.restored, restored.left_count), (0, 1));
/// assert_eq!(restored.left[0].delivery, "tag-1");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its name; what is no text in it as U+FFFD.
    pub delivery: String,
    /// Why.
    pub reason: Box<str>,
}

/// A lock that lasts less may end before the first step, which would take it for somebody else's, each time.
const SHORTEST_LOCK: Duration = Duration::from_secs(1);

/// How many deliveries are moved in one step. Each step is short, so that nobody waits long for Redis.
const BATCH: usize = 128;

impl<E: Executor> Host<E> {
    /// Puts back what was taken longer ago than the visibility timeout, keyrail's deliveries and Kombu's, to be taken next,
    /// the oldest first, marked as redelivered.
    ///
    /// keyrail's go to the queue that they came from. Kombu's say only where they were published to, and go wherever
    /// that leads now, as when Kombu restores; but what leads nowhere stays registered and is named, where Kombu drops it.
    /// Kombu's lock is respected: if another process restores, this does nothing.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{Executor, Host, Memory, Outgoing, Take, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "jobs", Envelope::text("x"))).await.unwrap();
    /// let queues = ["jobs".to_owned()];
    /// host.executor().take(&Take::one(host.layout(), &queues, "me-1")).await.unwrap(); // and dies
    ///
    /// assert_eq!(host.restore(Duration::from_secs(3600)).await.unwrap().restored, 0, "not for an hour");
    /// assert_eq!(host.restore(Duration::ZERO).await.unwrap().restored, 1);
    /// assert!(host.get("jobs").await.unwrap().unwrap().redelivered);
    /// # });
    /// ```
    ///
    /// # Cost
    /// A constant number of commands for each hundred deliveries. Nothing is watched and nothing is tried twice, however
    /// busy Redis is.
    ///
    /// # Errors
    /// Those of the executor and of [`table`](Self::table); what is not yet moved stays registered.
    /// # Source
    /// Kombu's `kombu.transport.redis.QoS.restore_visible`.
    pub async fn restore(&self, visibility_timeout: Duration) -> Result<Restored, HostError> {
        self.restore_with(&RestoreOptions { visibility_timeout, ..RestoreOptions::default() }).await
    }

    /// The same, in another measure.
    ///
    /// ```
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Connection, Host, Memory, RestoreOptions, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// // As Kombu's peers there are told to.
    /// let connection = Connection::new("redis://127.0.0.1/0").unwrap();
    /// let options = RestoreOptions {
    ///     visibility_timeout: connection.options().visibility_timeout,
    ///     limit: connection.options().unacked_restore_limit,
    ///     mutex_expire: connection.options().unacked_mutex_expire,
    /// };
    /// assert_eq!(host.restore_with(&options).await.unwrap().restored, 0);
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub async fn restore_with(&self, options: &RestoreOptions) -> Result<Restored, HostError> {
        self.check_one_slot()?;
        let (executor, layout) = (self.executor(), self.layout());
        let before = executor.now().await? - options.visibility_timeout.as_secs_f64();
        let mut report = Restored::default();
        let first = self.overdue(before, &report, options).await?;
        if first.is_empty() {
            return Ok(report);
        }
        let token = Uuid::new_v4().simple().to_string();
        if !executor.lock(layout, &token, options.mutex_expire.max(SHORTEST_LOCK)).await? {
            return Ok(Restored { locked: true, ..report });
        }
        let restored = self.restore_locked(before, first, &token, options, &mut report).await;
        executor.unlock(layout, &token).await?;
        restored.map(|()| report)
    }

    /// The next page of what is overdue: behind what is left, which stands in front of it, and within the limit.
    async fn overdue(
        &self,
        before: f64,
        report: &Restored,
        options: &RestoreOptions,
    ) -> Result<Vec<Held>, ExecuteError> {
        let more = options.limit.map_or(BATCH as u64, |limit| limit.saturating_sub(report.restored as u64));
        let limit = usize::try_from(more).unwrap_or(BATCH).min(BATCH);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (layout, skip) = (self.layout(), report.left_count);
        self.executor().overdue(&Overdue { layout, before, skip, limit }).await
    }

    async fn restore_locked(
        &self,
        before: f64,
        mut page: Vec<Held>,
        token: &str,
        options: &RestoreOptions,
        report: &mut Restored,
    ) -> Result<(), HostError> {
        let (executor, layout) = (self.executor(), self.layout());
        let mut tables = HashMap::new();
        while !page.is_empty() {
            let mut moves = Vec::with_capacity(page.len());
            for held in page {
                match self.destination(&held, &mut tables).await? {
                    Ok((lists, payload)) => moves.push((held, lists, payload)),
                    Err(reason) => report.leave(&held.delivery, reason),
                }
            }
            let lock = Some((token, options.mutex_expire.max(SHORTEST_LOCK)));
            let Some(moved) = executor.restore(&Restore { layout, lock, deliveries: &moves }).await? else {
                report.locked = true;
                break;
            };
            for ((held, _, _), put_back) in moves.into_iter().zip(moved) {
                match put_back {
                    PutBack::Done => report.restored += 1,
                    PutBack::Gone => report.gone += 1,
                    PutBack::WrongType(list) => {
                        let reason = format!("its list `{list}` holds another type").into();
                        report.leave(&held.delivery, reason);
                    }
                }
            }
            page = self.overdue(before, report, options).await?;
        }
        for left in &report.left {
            tracing::warn!(
                "delivery `{}` cannot be restored and stays registered: {}",
                left.delivery,
                left.reason
            );
        }
        Ok(())
    }

    /// The lists a delivery goes to and what to put there, or why it stays.
    async fn destination(
        &self,
        held: &Held,
        tables: &mut HashMap<String, Result<Arc<Table>, Box<str>>>,
    ) -> Result<Result<(Vec<String>, Vec<u8>), Box<str>>, HostError> {
        // A time without a record: the script removes it.
        let Some(record) = &held.record else { return Ok(Ok((Vec::new(), Vec::new()))) };
        let Some(Address { payload, exchange, routing_key }) = address(record) else {
            return Ok(Err("its record is no message with an exchange and a routing key".into()));
        };
        let layout = self.layout();
        let envelope = payload::json(payload).unwrap_or(Json::Null);
        let queues = if exchange.is_empty() {
            match routing_key.as_str() {
                Some(queue) => vec![queue.to_owned()],
                None => Vec::new(),
            }
        } else {
            if !tables.contains_key(&exchange) {
                tables.insert(exchange.clone(), self.table_or_reason(&exchange).await?);
            }
            let table = match &tables[&exchange] {
                Ok(table) => table,
                Err(reason) => return Ok(Err(reason.clone())),
            };
            let headers = envelope.member("headers").and_then(|headers| {
                let text = serde_json::to_string(headers).ok()?;
                serde_json::from_str(&text).ok()
            });
            let outgoing = Outgoing {
                headers: headers.unwrap_or_default(),
                ..Outgoing::new(&exchange, &routing_key, hashed_properties(&envelope))
            };
            let routed = crate::publish::route(&table.router, layout, &outgoing, 0);
            routed.map(|routed| routed.queues).unwrap_or_default()
        };
        if queues.is_empty() {
            let reason = format!("exchange `{exchange}` leads no queue to `{routing_key}`");
            return Ok(Err(reason.into()));
        }
        let lists = queues.iter().map(|queue| list_of(layout, queue, &envelope)).collect();
        Ok(Ok((lists, raw::redelivered(payload))))
    }

    /// The table of an exchange, or what is wrong with it, which must not keep what leads elsewhere from going back.
    async fn table_or_reason(&self, exchange: &str) -> Result<Result<Arc<Table>, Box<str>>, HostError> {
        match self.table(Some(exchange)).await {
            Err(HostError::Execute(error)) if error.is_temporary() => Err(error.into()),
            Err(error) => Ok(Err(format!("exchange `{exchange}` cannot be read: {error}").into())),
            Ok(table) => Ok(Ok(table)),
        }
    }

    /// Puts back what is registered under an owner and not `known`, unmarked, since nobody has seen it. How many went.
    ///
    /// # Errors
    /// Those of the executor; a list of another type only after everything else went.
    pub(crate) async fn return_owned(
        &self,
        owner: &str,
        known: impl Fn(&str) -> bool,
    ) -> Result<usize, HostError> {
        let (executor, layout) = (self.executor(), self.layout());
        let mut moves = Vec::new();
        for held in executor.owned(layout, owner).await? {
            // Ours are text.
            let name = std::str::from_utf8(&held.delivery).unwrap_or_default();
            let Some(record) = held.record.as_ref().filter(|_| !name.is_empty() && !known(name)) else {
                continue;
            };
            let Some(Address { payload, routing_key, .. }) = address(record) else { continue };
            let Some(queue) = routing_key.as_str() else { continue };
            let envelope = payload::json(payload).unwrap_or(Json::Null);
            let (list, payload) = (list_of(layout, queue, &envelope), payload.to_vec());
            moves.push((held, vec![list], payload));
        }
        // What was taken last goes back first. Names end in the place in their batch.
        moves.sort_by_key(|(held, _, _)| {
            std::cmp::Reverse(place(&String::from_utf8_lossy(&held.delivery), owner))
        });
        let (mut returned, mut wrong) = (0, None);
        for deliveries in moves.chunks(BATCH) {
            let restore = Restore { layout, lock: None, deliveries };
            let moved = executor.restore(&restore).await?.unwrap_or_default();
            for put_back in moved {
                match put_back {
                    PutBack::Done => returned += 1,
                    PutBack::Gone => {}
                    PutBack::WrongType(list) => wrong = Some(list),
                }
            }
        }
        match wrong {
            Some(list) => Err(ExecuteError::WrongType { key: list.into(), command: "RPUSH" }.into()),
            None => Ok(returned),
        }
    }
}

impl Restored {
    fn leave(&mut self, delivery: &[u8], reason: Box<str>) {
        self.left_count += 1;
        if self.left.len() < Self::NAMED {
            self.left.push(Left { delivery: String::from_utf8_lossy(delivery).into_owned(), reason });
        }
    }
}

/// An envelope with the properties by which a consistent-hash exchange may choose.
fn hashed_properties(envelope: &Json) -> Envelope {
    let properties = envelope.member("properties");
    ["message_id", "correlation_id", "timestamp"].iter().fold(Envelope::text(""), |copy, name| {
        match properties.and_then(|properties| properties.member(name)) {
            Some(value) => copy.property(name, value.clone()),
            None => copy,
        }
    })
}

fn list_of(layout: &Layout, queue: &str, envelope: &Json) -> String {
    let priority = envelope.member("properties").and_then(|properties| properties.member("priority"));
    layout.list(queue, priority.map_or(Priority::FIRST, Priority::of))
}

/// Take and place of a delivery's name, `<tag>#<owner>.<take>.<place>#<queue>`.
fn place(delivery: &str, owner: &str) -> (u64, u64) {
    let behind = delivery.split_once(&format!("#{owner}.")).map_or("", |(_, behind)| behind);
    let numbers = behind.split('#').next().unwrap_or_default();
    let (take, place) = numbers.split_once('.').unwrap_or_default();
    (take.parse().unwrap_or_default(), place.parse().unwrap_or_default())
}

/// A record taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Address<'r> {
    /// Byte for byte.
    payload: &'r [u8],
    exchange: String,
    routing_key: ByteString,
}

/// The message of a record, byte for byte; nothing of a record that nobody can restore.
pub(crate) fn payload_of(record: &[u8]) -> Option<&[u8]> {
    address(record).map(|address| address.payload)
}

/// Takes `[message, exchange, routing key]` apart from its end: the message may be more than a strict reader takes, as
/// Python writes `NaN`, and must keep its bytes.
///
/// # Cost
/// One look at each byte of exchange and key, however many commas they have.
fn address(record: &[u8]) -> Option<Address<'_>> {
    let inside = record.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?;
    let (rest, key) = last_text(inside)?;
    let (payload, exchange) = last_text(rest.strip_suffix(b",")?)?;
    let payload = payload.strip_suffix(b",")?.trim_ascii();
    let exchange: Option<String> = serde_json::from_slice(exchange).ok()?;
    let routing_key = match key {
        b"null" => ByteString::default(),
        key => read_text(std::str::from_utf8(key).ok()?)?,
    };
    let exchange = exchange.unwrap_or_default();
    payload.starts_with(b"{").then_some(Address { payload, exchange, routing_key })
}

/// The text or `null` at the end of some JSON, and what stands before it; blanks apart.
fn last_text(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let json = json.trim_ascii_end();
    let start = if json.ends_with(b"null") {
        json.len() - b"null".len()
    } else {
        let mut inside = json.strip_suffix(b"\"")?;
        // A quote within a text has a backslash before it, and the first one has none.
        loop {
            let quote = inside.iter().rposition(|byte| *byte == b'"')?;
            inside = &inside[..quote];
            if !inside.ends_with(b"\\") {
                break quote;
            }
        }
    };
    let (rest, text) = json.split_at(start);
    Some((rest.trim_ascii_end(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_taken_apart() {
        let read = |record: &'static str| {
            let address = address(record.as_bytes())?;
            let payload = std::str::from_utf8(address.payload).expect("text");
            Some((payload, address.exchange, address.routing_key.as_bytes().to_vec()))
        };
        let some = |payload, exchange: &str, key: &str| {
            Some((payload, exchange.to_owned(), key.as_bytes().to_vec()))
        };
        assert_eq!(read(r#"[{"a": 1}, "", "q"]"#), some(r#"{"a": 1}"#, "", "q"));
        assert_eq!(read(r#"[{"a": NaN},"ex","a, \"b"]"#), some(r#"{"a": NaN}"#, "ex", "a, \"b"));
        assert_eq!(read(r#" [{"a": ["x", "y"]}, null, "q"] "#), some(r#"{"a": ["x", "y"]}"#, "", "q"));
        let many = format!(r#"[{{"a": 1}}, "{0}", "\\\"{0}"]"#, ",".repeat(100));
        let many: &'static str = many.leak();
        assert_eq!(read(many), some(r#"{"a": 1}"#, &",".repeat(100), &format!("\\\"{}", ",".repeat(100))));
        assert_eq!(read(r#"[{"a": 1} , null , null ]"#), some(r#"{"a": 1}"#, "", ""));
        for bad in
            [r#"[{"a": 1}, 1, "q"]"#, r#"[{"a": 1}, "", {"b": "q"}]"#, r#"[{"a": "x", "q"}]"#, r#"["q"]"#]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        let key = Some((r#"{"a": "\udcff"}"#, "ex".to_owned(), b"\xff.a".to_vec()));
        assert_eq!(read(r#"[{"a": "\udcff"}, "ex", "\udcff.a"]"#), key);
        for bad in
            ["", "[]", "{}", "[1, 2, 3]", r#"["a", "b"]"#, r#"[[], "", "q"]"#, r#"[{}, 1, 2]"#, "[,,,,"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn places_are_read() {
        assert_eq!(place("t#1#o.12.3#q", "o"), (12, 3));
        assert_eq!(place("t", "o"), (0, 0));
    }
}
