//! The wire to Redis: connects when it is needed, and again after the connection is lost.
//!
//! What was under way when a connection broke is reported and never sent again: whoever knows that repeating does no
//! harm decides about that.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ::redis::{
    Client, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
};
use futures_util::FutureExt;
use tokio::time::timeout;

mod cluster;
mod common;
mod dial;
mod lane;

use super::{Address, Connection, Node, Place, slots};
use crate::{
    ExecuteError, RedisOptions,
    executor::{
        errors::{connect_error, is_deposed, is_not_permitted, mute},
        listen::Ear,
    },
};
use common::Common;
use dial::node_address;
use lane::Lane;

/// What the server is to tell about keys that change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tracking {
    /// Nothing.
    Off,
    /// Every key with one of these beginnings, whoever read it.
    Prefixes(Vec<String>),
    /// The keys that were read on this connection, told in order with the answers.
    KeysRead,
}

/// Told what the server says about keys, before any later answer is delivered.
pub(crate) trait Changes: Send + Sync + 'static {
    /// These keys changed; nothing means all, a new connection among the reasons.
    fn changed(&self, keys: Option<&[&str]>);
}

/// Shared by all clones.
#[derive(Clone)]
pub(crate) struct Link(Arc<Shared>);

struct Shared {
    address: Address,
    /// The address as text.
    name: String,
    timeouts: RedisOptions,
    settings: Settings,
    /// What the options say; what is resolved anew at each connection is the address.
    options: super::TransportOptions,
    live: RwLock<Option<Live>>,
    /// One attempt for all who need a connection.
    connecting: Common<Result<Live, Failure>>,
    /// One trial of a connection that nothing was heard of, by its number, for all who doubt it.
    trying: Common<(u64, bool)>,
    epochs: AtomicU64,
    /// Milliseconds since `started` at which something was last received.
    heard: AtomicU64,
    started: Instant,
}

struct Settings {
    tracking: Tracking,
    changes: Option<Arc<dyn Changes>>,
}

#[derive(Clone)]
struct Live {
    epoch: u64,
    /// Milliseconds since `started`.
    since: u64,
    wire: Wire,
}

/// How old a connection is, in milliseconds, before it is given up because its server takes no writes. Where the same
/// server answers again behind the same address, it is asked to connect no more often than that.
const SETTLED: u64 = 1000;

#[derive(Clone)]
enum Wire {
    Lane(Lane),
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Live {
    fn is_over(&self) -> bool {
        matches!(&self.wire, Wire::Lane(lane) if lane.is_over())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects.
    pub(crate) async fn open(
        connection: &Connection,
        tracking: Tracking,
        changes: Option<Arc<dyn Changes>>,
    ) -> Result<Self, ExecuteError> {
        let options = connection.options().clone();
        let link = Link(Arc::new(Shared {
            address: connection.address().clone(),
            name: connection.address().to_string(),
            timeouts: RedisOptions::of(&options),
            settings: Settings { tracking, changes },
            options,
            live: RwLock::new(None),
            connecting: Common::new(),
            trying: Common::new(),
            epochs: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            started: Instant::now(),
        }));
        link.live().await.map_err(|failure| failure.told(&link))?;
        Ok(link)
    }

    /// Where to; never with a login.
    pub(crate) fn address(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn timeouts(&self) -> &RedisOptions {
        &self.0.timeouts
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.0.address.place, Place::Cluster(_))
    }

    /// Whether keys lie on several servers, so that what needs several of them is no single step.
    pub(crate) fn spreads(&self) -> bool {
        self.is_cluster() && !slots::in_one_slot(&self.0.options.layout)
    }

    /// The number of the present connection: another number, another connection.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.epochs.load(Relaxed)
    }

    /// The number of the connection that the next command takes, which is made now if there is none.
    pub(crate) async fn connected(&self) -> RedisResult<u64> {
        let live = self.live().await.map_err(|failure| failure.into_redis(self))?;
        Ok(live.epoch)
    }

    /// The present connection itself, which does not reconnect, and its number; only with [`Tracking::KeysRead`].
    pub(crate) async fn pinned(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let live = self.live().await.map_err(|failure| failure.into_redis(self))?;
        match live.wire {
            Wire::One(one) => Ok((live.epoch, one)),
            Wire::Lane(_) | Wire::Cluster(_) => {
                let reason = "only a link that tells of the keys it read is one connection of the library's";
                Err(RedisError::from((::redis::ErrorKind::InvalidClientConfig, reason)))
            }
        }
    }

    /// Whether commands may come as bytes.
    pub(crate) fn takes_bytes(&self) -> bool {
        // What `connect` makes of it.
        !self.is_cluster() && self.0.address.tls.is_none() && self.0.settings.tracking != Tracking::KeysRead
    }

    /// Sends so many commands that are packed already; see [`takes_bytes`](Self::takes_bytes).
    pub(crate) async fn send_bytes(&self, packed: Vec<u8>, count: usize) -> RedisResult<Vec<Value>> {
        let live = self.live().await.map_err(|failure| failure.into_redis(self))?;
        let Wire::Lane(lane) = live.wire else {
            let reason = "this connection takes no bytes";
            return Err(RedisError::from((::redis::ErrorKind::InvalidClientConfig, reason)));
        };
        self.answered(live.epoch, lane.ask(packed, 0, count).await)
    }

    /// Hears what the server has said of its own accord until now; needs no waiting. Where a task reads, it has.
    pub(crate) fn hear(&self) {
        let live = self.0.live.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Live { wire: Wire::Lane(lane), .. }) = &*live {
            let lane = lane.clone();
            drop(live);
            lane.hear();
        }
    }

    /// Gives up a pinned connection that is of no more use.
    pub(crate) fn unpin(&self, epoch: u64) {
        self.lost(epoch);
    }

    /// A connection of its own, for commands that block on this key.
    pub(crate) async fn dedicated(&self, key: &str) -> Result<MultiplexedConnection, ExecuteError> {
        let config = self.config().set_response_timeout(None);
        let client = match self.is_cluster() {
            true => self.owner(key).await,
            false => self.client().await,
        };
        let client = client.map_err(|failure| failure.told(self))?;
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let limit = self.0.timeouts.connect_timeout;
        match timeout(limit, connecting).await {
            Ok(connected) => connected.map_err(|error| Failure::Redis(error).told(self)),
            Err(_) => Err(Failure::Mute.told(self)),
        }
    }

    /// A connection of its own, to listen on. Any node of a cluster will do, since they pass messages on to all: those of
    /// the URL in turn, and then those that the cluster has.
    pub(crate) async fn listening(&self, ear: &Ear) -> Result<MultiplexedConnection, ExecuteError> {
        let listening = async {
            let Place::Cluster(nodes) = &self.0.address.place else {
                return self.listen_at(&[self.client().await?], ear).await;
            };
            match self.listen_at(&self.clients_at(nodes)?, ear).await {
                Ok(listening) => Ok(listening),
                Err(failure) => {
                    let Ok(ranges) = self.ranges().await else { return Err(failure) };
                    let nodes: Vec<Node> = ranges.into_iter().map(|(.., node)| node).collect();
                    self.listen_at(&self.clients_at(&nodes)?, ear).await
                }
            }
        };
        listening.await.map_err(|failure: Failure| failure.told(self))
    }

    fn clients_at(&self, nodes: &[Node]) -> Result<Vec<Client>, Failure> {
        let tls = self.0.address.tls.as_ref();
        nodes.iter().map(|node| self.client_at(node_address(node, tls))).collect()
    }

    /// Listens at the first of them that answers.
    async fn listen_at(&self, clients: &[Client], ear: &Ear) -> Result<MultiplexedConnection, Failure> {
        let patience = self.0.timeouts.connect_timeout / u32::try_from(clients.len().max(1)).unwrap_or(1);
        let config = self.config().set_push_sender(ear.clone());
        let mut failure = Failure::Mute;
        for client in clients {
            let client = self.in_resp3(client)?;
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            match timeout(patience, connecting).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => failure = error.into(),
                Err(_) => {}
            }
        }
        Err(failure)
    }

    pub(crate) fn health_check_interval(&self) -> Duration {
        self.0.options.health_check_interval
    }

    /// The server of a cluster that has this key now.
    async fn owner(&self, key: &str) -> Result<Client, Failure> {
        let slot = ::redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(&mut self.clone()).await?;
        let ranges = self.ranges().await?;
        let range = ranges.into_iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        let (.., node) = range.ok_or(Failure::NoPrimary)?;
        self.client_at(node_address(&node, self.0.address.tls.as_ref()))
    }

    /// A connection to each server that has keys of its own.
    pub(crate) async fn each(&self) -> Result<Vec<MultiplexedConnection>, ExecuteError> {
        let connecting = async {
            let mut nodes: Vec<Node> = self.ranges().await?.into_iter().map(|(.., node)| node).collect();
            nodes.sort_unstable_by(|a, b| (&a.host, a.port).cmp(&(&b.host, b.port)));
            nodes.dedup_by(|a, b| (&a.host, a.port) == (&b.host, b.port));
            let mut connections = Vec::new();
            for node in &nodes {
                let client = self.client_at(node_address(node, self.0.address.tls.as_ref()))?;
                connections.push(client.get_multiplexed_async_connection_with_config(&self.config()).await?);
            }
            Ok(connections)
        };
        connecting.await.map_err(|failure: Failure| failure.told(self))
    }

    /// First slot, last slot, and the primary that has them.
    async fn ranges(&self) -> Result<Vec<Range>, Failure> {
        let slots = || ::redis::cmd("CLUSTER").arg("SLOTS").to_owned();
        let answer: Vec<Vec<Value>> = slots().query_async(&mut self.clone()).await?;
        if let Some(ranges) = ranges(answer, None) {
            return Ok(ranges);
        }
        // A node that does not know how it is reached names no host: it is reached as whoever asks has reached it.
        let Place::Cluster(nodes) = &self.0.address.place else { return Err(Failure::NoPrimary) };
        let mut failure = Failure::NoPrimary;
        for node in nodes {
            let asked = async {
                let client = self.client_at(node_address(node, self.0.address.tls.as_ref()))?;
                let mut asked = client.get_multiplexed_async_connection_with_config(&self.config()).await?;
                let answer: Vec<Vec<Value>> = slots().query_async(&mut asked).await?;
                ranges(answer, Some(&node.host)).ok_or(Failure::NoPrimary)
            };
            match asked.await {
                Ok(ranges) => return Ok(ranges),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The present connection, or a new one.
    ///
    /// Neither connecting nor trying a connection ends with its caller: callers that have less patience than that takes
    /// would never get a connection, nor get rid of one that is dead.
    async fn live(&self) -> Result<Live, Failure> {
        while let Some(live) = self.present() {
            if live.is_over() {
                // Known before anything is sent, so nothing is lost.
                self.lost(live.epoch);
                break;
            }
            if !self.is_doubtful() {
                return Ok(live);
            }
            let link = self.clone();
            let tried = live.clone();
            let trial = self.0.trying.join(|| async move { link.try_out(tried).await });
            // Of another connection, it says nothing of this one.
            if trial.await.is_some_and(|(epoch, answers)| epoch == live.epoch && answers) {
                return Ok(live);
            }
        }
        let link = self.clone();
        let attempt = self.0.connecting.join(|| async move { link.reconnect().await });
        attempt.await.unwrap_or(Err(Failure::Mute))
    }

    async fn reconnect(&self) -> Result<Live, Failure> {
        // The attempt before may have ended after its caller had looked.
        if let Some(live) = self.present() {
            return Ok(live);
        }
        let wire = match timeout(self.0.timeouts.connect_timeout, self.connect()).await {
            Ok(connected) => connected?,
            Err(_) => return Err(Failure::Mute),
        };
        let live = Live { epoch: self.0.epochs.fetch_add(1, Relaxed) + 1, since: self.now(), wire };
        // Nobody told this connection what changed before it was there.
        if let Some(changes) = &self.0.settings.changes {
            changes.changed(None);
        }
        self.was_heard();
        *self.0.live.write().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
        Ok(live)
    }

    fn present(&self) -> Option<Live> {
        self.0.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Milliseconds since `started`.
    fn now(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn was_heard(&self) {
        self.0.heard.store(self.now(), Relaxed);
    }

    /// Whether nothing was heard for so long that the other side may be gone without a word.
    fn is_doubtful(&self) -> bool {
        let interval = self.0.options.health_check_interval;
        let heard = Duration::from_millis(self.0.heard.load(Relaxed));
        !interval.is_zero() && self.0.started.elapsed().saturating_sub(heard) > interval
    }

    /// Asks a connection for a sign of life, and gives it up if there is none.
    async fn try_out(&self, live: Live) -> (u64, bool) {
        let epoch = live.epoch;
        let answers = self.answers(live).await;
        if !answers {
            self.lost(epoch);
        }
        (epoch, answers)
    }

    async fn answers(&self, live: Live) -> bool {
        let ping = Cmd::new().arg("PING").to_owned();
        let answer = match live.wire {
            Wire::Lane(mut lane) => {
                timeout(self.0.timeouts.connect_timeout, lane.req_packed_command(&ping)).await
            }
            Wire::One(mut one) => {
                timeout(self.0.timeouts.connect_timeout, one.send_packed_command(&ping)).await
            }
            // The client of a cluster looks after its nodes itself.
            Wire::Cluster(_) => Ok(Ok(Value::Okay)),
        };
        // A user who may not send it is answered, too.
        let answers = answer.is_ok_and(|answer| answer.as_ref().err().is_none_or(is_not_permitted));
        if answers {
            self.was_heard();
        }
        answers
    }

    /// Gives up a connection, unless somebody has already.
    fn lost(&self, epoch: u64) {
        let mut live = self.0.live.write().unwrap_or_else(PoisonError::into_inner);
        if live.as_ref().is_some_and(|live| live.epoch == epoch) {
            *live = None;
            drop(live);
            if let Some(changes) = &self.0.settings.changes {
                changes.changed(None);
            }
        }
    }

    /// Gives the connection up if the answer shows that it is of no more use.
    fn answered<T: Answers>(&self, epoch: u64, answer: RedisResult<T>) -> RedisResult<T> {
        let over = match &answer {
            Ok(values) => {
                self.was_heard();
                values.any(&says_deposed) && self.may_lead_elsewhere(epoch)
            }
            Err(error) => {
                let deposed = || error.code().is_some_and(|code| is_deposed(code, error.detail()));
                error.is_timeout()
                    || error.is_unrecoverable_error()
                    || deposed() && self.may_lead_elsewhere(epoch)
            }
        };
        if over && !self.is_cluster() {
            self.lost(epoch);
        }
        answer
    }

    /// Whether the address may lead to another server than this connection. A failover ends none: the server goes on
    /// answering, and refuses what writes.
    fn may_lead_elsewhere(&self, epoch: u64) -> bool {
        // Sentinels lead to nobody who calls himself a replica.
        if matches!(self.0.address.place, Place::Sentinels(_)) {
            return true;
        }
        let old = |live: Live| live.epoch == epoch && self.now().saturating_sub(live.since) >= SETTLED;
        self.present().is_some_and(old)
    }

    /// Gives up the present connection: the address is known to lead to another server since.
    pub(crate) fn leads_elsewhere(&self) {
        if !self.is_cluster() {
            self.lost(self.epoch());
        }
    }
}

type Range = (u16, u16, Node);

/// What `CLUSTER SLOTS` says; `asked` is the host that said it. Nothing if a host is missing that nobody knows.
fn ranges(answer: Vec<Vec<Value>>, asked: Option<&str>) -> Option<Vec<Range>> {
    let slot = |value: &Value| match value {
        Value::Int(slot) => u16::try_from(*slot).ok(),
        _ => None,
    };
    let range = |range: Vec<Value>| {
        let [first, last, Value::Array(node), ..] = &range[..] else { return None };
        let [host, Value::Int(port), ..] = &node[..] else { return None };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
            _ => asked?.to_owned(),
        };
        Some((slot(first)?, slot(last)?, Node { host, port: u16::try_from(*port).ok()? }))
    };
    answer.into_iter().map(range).collect()
}

fn says_deposed(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if is_deposed(error.code(), error.details()))
}

trait Answers {
    fn any(&self, of: &dyn Fn(&Value) -> bool) -> bool;
}

impl Answers for Value {
    fn any(&self, of: &dyn Fn(&Value) -> bool) -> bool {
        of(self)
    }
}

impl Answers for Vec<Value> {
    fn any(&self, of: &dyn Fn(&Value) -> bool) -> bool {
        self.iter().any(of)
    }
}

/// Why there is no connection.
#[derive(Clone)]
enum Failure {
    Redis(RedisError),
    Mute,
    NoPong,
    NoPrimary,
    Told(ExecuteError),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Failure::Redis(error)
    }
}

impl Failure {
    fn told(self, link: &Link) -> ExecuteError {
        let address = link.address();
        match self {
            Failure::Told(error) => error,
            Failure::Redis(error) => connect_error(address, link.timeouts(), &error),
            Failure::Mute => mute(address, link.timeouts()),
            Failure::NoPong => {
                let reason = "it does not answer PING with PONG".into();
                ExecuteError::NotRedis { address: address.into(), reason }
            }
            Failure::NoPrimary => {
                let name = link.0.options.master_name.as_deref().unwrap_or_default();
                let reason = format!("they know no primary `{name}` that serves");
                ExecuteError::Unreachable { address: address.into(), reason: reason.into() }
            }
        }
    }

    /// For a command that found no connection: nothing was sent.
    fn into_redis(self, link: &Link) -> RedisError {
        match self {
            Failure::Redis(error) => error,
            other => {
                let refused = std::io::ErrorKind::ConnectionRefused;
                let reason = match other.told(link) {
                    ExecuteError::Unreachable { reason, .. } => reason.into(),
                    error => error.to_string(),
                };
                RedisError::from(std::io::Error::new(refused, reason))
            }
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let live = self.live().await.map_err(|failure| failure.into_redis(self))?;
            let answer = match live.wire {
                Wire::Lane(mut lane) => lane.req_packed_command(cmd).await,
                Wire::One(mut one) => one.send_packed_command(cmd).await,
                Wire::Cluster(_) => self.on_cluster(live.clone(), cmd).await,
            };
            self.answered(live.epoch, answer)
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        async move {
            let live = self.live().await.map_err(|failure| failure.into_redis(self))?;
            let answer = match live.wire {
                Wire::Lane(mut lane) => lane.req_packed_commands(pipeline, offset, count).await,
                Wire::One(mut one) => one.send_packed_commands(pipeline, offset, count).await,
                Wire::Cluster(_) => self.all_on_cluster(live.clone(), pipeline, offset, count).await,
            };
            self.answered(live.epoch, answer)
        }
        .boxed()
    }

    fn get_db(&self) -> i64 {
        self.0.address.db.into()
    }
}
