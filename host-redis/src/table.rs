//! Binding tables, kept until Redis says that they changed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use keyrail_core::{ExchangeKind, Router, kombu::Layout};

use crate::{
    HostError, Redis,
    connection::link::{Changes, Tracking},
    load::{self, Quarantined},
    names, registry,
};

/// How current the table is by which a message is routed.
///
/// ```
/// use keyrail_redis::{Connection, Freshness, Producer, ProducerOptions};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// // A cluster has no one connection that a strict producer could guard.
/// let cluster = Connection::new("redis+cluster://127.0.0.1:7000").unwrap();
/// let options = ProducerOptions::new().freshness(Freshness::Strict);
/// assert_eq!(Producer::connect(&cluster, options).await.unwrap_err().code(), "not-expressible");
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Kept until Redis announces a change, which takes one push: a fraction of a millisecond. The same window lies
    /// between Kombu's reading and pushing.
    #[default]
    Tracked,
    /// Kept, and checked by the server while it takes the message: a message that a change overtook is routed again.
    /// One round trip more, and the publishes of one producer wait for each other.
    Strict,
    /// Read anew for each publish, as Kombu does.
    EachPublish,
}

/// As much of the topology as a publish to one exchange can reach.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) router: Router,
    pub(crate) quarantine: Vec<Quarantined>,
    /// The exchanges whose tables were read.
    pub(crate) exchanges: Vec<String>,
    /// Whether a fanout exchange is among them: its subscribers are reached over channels, and found by a trace, which
    /// costs several times the route.
    pub(crate) fans_out: bool,
    /// Whether a consistent-hash exchange is among them: it may choose by a property.
    pub(crate) hashes: bool,
    /// Whether a queue of it expires when nobody uses it.
    pub(crate) expires: bool,
    read: Instant,
}

/// The tables of one producer.
pub(crate) struct Tables {
    layout: Layout,
    options: load::Options,
    freshness: Freshness,
    /// Where Redis announces nothing, a table is read again when it is older than this.
    longest: Option<Duration>,
    kept: Mutex<Kept>,
    /// Many tasks may miss the same table at once, and one of them reads it.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    /// Counts changes: what was read while one was announced is not kept.
    revision: u64,
    reaches: HashMap<String, Arc<Reach>>,
}

/// On a cluster the servers do not announce changes to a client of all of them in order.
const ON_A_CLUSTER: Duration = Duration::from_secs(1);

impl Tables {
    pub(crate) fn new(layout: Layout, options: load::Options, freshness: Freshness, cluster: bool) -> Self {
        Tables {
            layout,
            options,
            freshness,
            longest: cluster.then_some(ON_A_CLUSTER),
            kept: Mutex::default(),
            reading: tokio::sync::Mutex::new(()),
        }
    }

    /// What the connection must ask of Redis.
    pub(crate) fn tracking(&self) -> Tracking {
        match self.freshness {
            _ if self.longest.is_some() => Tracking::Off,
            Freshness::Tracked => {
                let mut prefixes = vec![self.layout.binding_table("")];
                prefixes.extend(registry::keys(&self.layout));
                Tracking::Prefixes(prefixes)
            }
            Freshness::Strict => Tracking::KeysRead,
            Freshness::EachPublish => Tracking::Off,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is held.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table to route by.
    pub(crate) async fn reach(&self, redis: &Redis, exchange: &str) -> Result<Arc<Reach>, HostError> {
        if let Some(reach) = self.known(exchange) {
            return Ok(reach);
        }
        let _turn = match self.freshness {
            Freshness::EachPublish => None,
            _ => Some(self.reading.lock().await),
        };
        if let Some(reach) = self.known(exchange) {
            return Ok(reach);
        }
        let revision = self.kept().revision;
        let started = Instant::now();
        // Boxed: it is rare, and would make the future of each publish larger and deeper.
        let read = Box::pin(load::read_tables(redis, &self.layout, Some(exchange), &self.options)).await?;
        let router = read.router;
        names::check_published(&router, exchange)?;
        // INVARIANT: of the predeclared exchanges, which every router has, only those that were read can be reached.
        let reached =
            |name: &str| !Router::is_predeclared(name) || read.exchanges.iter().any(|each| each == name);
        let has =
            |kind| router.exchanges().any(|(_, name, exchange)| exchange.kind() == kind && reached(name));
        let (fans_out, hashes) = (has(ExchangeKind::Fanout), has(ExchangeKind::ConsistentHash));
        let expires =
            router.queues().any(|(.., queue)| registry::expires_ms(queue.argument_table()).is_some());
        let reach = Arc::new(Reach {
            router,
            quarantine: read.quarantine,
            exchanges: read.exchanges,
            fans_out,
            hashes,
            expires,
            read: started,
        });
        for row in reach.quarantine.iter().take(NAMED) {
            tracing::warn!(code = row.reason.code(), "{row}");
        }
        let mut kept = self.kept();
        // INVARIANT: a change that was announced after the reading began may not be in what was read. It is newer than
        // the publish that asked for it all the same, and only not kept.
        if self.freshness != Freshness::EachPublish && kept.revision == revision {
            kept.reaches.insert(exchange.to_owned(), reach.clone());
        }
        Ok(reach)
    }

    fn known(&self, exchange: &str) -> Option<Arc<Reach>> {
        let reach = self.kept().reaches.get(exchange).cloned()?;
        self.longest.is_none_or(|longest| reach.read.elapsed() < longest).then_some(reach)
    }

    /// Whether nothing was announced about this table since it was read.
    pub(crate) fn is_current(&self, exchange: &str, reach: &Arc<Reach>) -> bool {
        self.kept().reaches.get(exchange).is_some_and(|kept| Arc::ptr_eq(kept, reach))
    }

    /// Forgets everything; the next publish reads.
    pub(crate) fn forget(&self) {
        self.changed(None);
    }

    /// Every key that decides where a message to this exchange goes.
    pub(crate) fn keys(&self, reach: &Reach) -> Vec<String> {
        let mut keys: Vec<String> =
            reach.exchanges.iter().map(|name| self.layout.binding_table(name)).collect();
        keys.extend(registry::keys(&self.layout));
        keys
    }
}

/// How many rows in quarantine are named in the log at each reading.
const NAMED: usize = 10;

impl Changes for Tables {
    fn changed(&self, keys: Option<&[&str]>) {
        let mut kept = self.kept();
        kept.revision += 1;
        let Some(keys) = keys else { return kept.reaches.clear() };
        let (prefix, own) = (self.layout.binding_table(""), registry::keys(&self.layout));
        for key in keys {
            if let Some(exchange) = key.strip_prefix(&*prefix) {
                kept.reaches.retain(|_, reach| !reach.exchanges.iter().any(|name| name == exchange));
            } else if own.iter().any(|own| own == key) {
                kept.reaches.clear();
            }
        }
    }
}
