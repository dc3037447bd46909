//! The topology that Kombu keeps in Redis, joined with what keyrail keeps beside it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

use keyrail_core::{
    BindError, Binding, BindingDefinition, DeclareError, DestinationName, Dialect, Error, ExchangeDefinition,
    ExchangeKind, MAX_SHORT_STRING, QueueDefinition, Router, Topology, TopologyError,
    kombu::{Layout, Matcher, MatcherError, Member, MemberError, plan},
};

use super::{Limits, types};
use crate::{
    ExecuteError, Executor, HostError, LoadError, Reply, SetSize, names,
    registry::{self, BucketOwner, Registry},
};

/// What to load, and what nobody in Redis says.
///
/// ```
/// use keyrail_core::{ExchangeKind, kombu::{Layout, Member, plan}};
/// use keyrail_redis::{Executor, Memory, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// // What a Kombu consumer leaves of a fanout exchange does not tell it from a direct one.
/// let (memory, layout) = (Memory::new(), Layout::default());
/// memory.run(&plan::bind(&layout, "news", &Member::plain("", "desk")).unwrap()).await.unwrap();
///
/// let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
/// let told = load::Options { kinds, ..load::Options::default() };
/// let (router, _) = load::from_tables(&memory, &layout, None, &told).await.unwrap();
/// let news = router.exchange("news").and_then(|id| router.exchange_properties(id));
/// assert_eq!(news.unwrap().kind(), ExchangeKind::Fanout);
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Types of exchanges that no registry knows. Kombu does not store them: without a word here an exchange is a topic
    /// exchange if any of its rows has a pattern, and guessed to be a direct one if not; see
    /// [`is_guessed`](super::is_guessed).
    pub kinds: BTreeMap<String, ExchangeKind>,
    /// Sizes to refuse.
    pub limits: Limits,
}

/// A row that routes nothing, because routing by it would be wrong. Its neighbours are not affected.
///
/// ```
/// use keyrail_core::kombu::{Command, Layout, Plan};
/// use keyrail_redis::{Executor, Memory, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (memory, layout) = (Memory::new(), Layout::default());
/// let row = Command::SAdd { key: layout.binding_table("orders"), member: b"no row".to_vec() };
/// memory.run(&Plan { atomic: false, commands: vec![row] }).await.unwrap();
///
/// let options = load::Options::default();
/// let (_, quarantine) = load::from_tables(&memory, &layout, Some("orders"), &options).await.unwrap();
/// assert_eq!(quarantine[0].row, "no row");
/// assert!(quarantine[0].to_string().starts_with("row `no row` of exchange `orders` is ignored: "));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The exchange in whose table it is.
    pub exchange: String,
    /// The row, bytes that are not printable as `\x06`.
    pub row: String,
    /// Why.
    pub reason: Reason,
}

/// Why a row is in quarantine.
///
/// ```
/// use keyrail_core::kombu::{Command, Layout, Plan};
/// use keyrail_redis::{Executor, Memory, load::{self, Reason}};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (memory, layout) = (Memory::new(), Layout::default());
/// // Another library's table: a whole exchange is left out, and the others are loaded.
/// let other = Command::ZAdd { key: layout.binding_table("orders"), score: 0.0, member: "q".into() };
/// memory.run(&Plan { atomic: false, commands: vec![other] }).await.unwrap();
///
/// let (_, rows) = load::from_tables(&memory, &layout, None, &load::Options::default()).await.unwrap();
/// assert!(matches!(&rows[0].reason, Reason::Table { found, .. } if **found == *"zset"));
/// assert_eq!(rows[0].reason.code(), "table-type");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is no row.
    Member(MemberError),
    /// Its text cannot be executed.
    Matcher(MatcherError),
    /// Its queue cannot be declared.
    Declare(DeclareError),
    /// It cannot be bound.
    Bind(BindError),
    /// There are no rows: the whole table is of another type, another library's.
    Table {
        /// The key.
        key: Box<str>,
        /// What it is.
        found: Box<str>,
    },
}

impl Reason {
    /// The stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Member(error) => error.code(),
            Reason::Matcher(error) => error.code(),
            Reason::Declare(error) => error.code(),
            Reason::Bind(error) => error.code(),
            Reason::Table { .. } => "table-type",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Member(error) => error.fmt(f),
            Reason::Matcher(error) => error.fmt(f),
            Reason::Declare(error) => error.fmt(f),
            Reason::Bind(error) => error.fmt(f),
            Reason::Table { key, found } => {
                LoadError::TableType { key: key.clone(), found: found.clone() }.fmt(f)
            }
        }
    }
}

/// `orders: no\x06row: binding member has 1 field, expected 3`
impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quarantined { exchange, row, reason } = self;
        match reason {
            Reason::Table { .. } => write!(f, "the table of exchange `{exchange}` is ignored: {reason}"),
            _ => write!(f, "row `{row}` of exchange `{exchange}` is ignored: {reason}"),
        }
    }
}

/// Loads every exchange, or only what a publish to `exchange` can reach.
///
/// ```
/// use keyrail_core::{Dialect, Topology, kombu::{Layout, Member, plan}};
/// use keyrail_redis::{Executor, Memory, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// // The row that Kombu's `queue_bind` writes.
/// let (memory, layout) = (Memory::new(), Layout::default());
/// let row = Member::topic("order.#", "audit", Dialect::Kombu57).unwrap();
/// memory.run(&plan::bind(&layout, "orders", &row).unwrap()).await.unwrap();
///
/// let options = load::Options::default();
/// let (router, quarantine) = load::from_tables(&memory, &layout, None, &options).await.unwrap();
/// assert_eq!(Topology::of(&router).bindings[0].routing_key, "order.#".into());
/// assert!(quarantine.is_empty());
/// # });
/// ```
///
/// # Errors
/// A table beyond the limit, an entry of keyrail's own that cannot be read; a table that is no set (another library's), if
/// a publish can reach it. Such a table is no error to who wants every exchange, and a bad row of Kombu's never is: they
/// go to quarantine.
/// # Cost
/// Each row of the tables that are read is parsed and bound once.
/// # Source
/// Kombu's `kombu.transport.redis.Channel.get_table` and `_queue_bind`.
pub async fn from_tables(
    executor: &impl Executor,
    layout: &Layout,
    exchange: Option<&str>,
    options: &Options,
) -> Result<(Router, Vec<Quarantined>), HostError> {
    let read = read(executor, layout, exchange, options).await?;
    Ok((read.router, read.quarantine))
}

/// What was read, and from the tables of which exchanges, those without any row included.
pub(crate) struct Read {
    pub(crate) router: Router,
    pub(crate) quarantine: Vec<Quarantined>,
    pub(crate) exchanges: Vec<String>,
    /// What the registry says of buckets, that of bindings which are gone included.
    pub(crate) buckets: Vec<BucketOwner>,
}

pub(crate) async fn read(
    executor: &impl Executor,
    layout: &Layout,
    exchange: Option<&str>,
    options: &Options,
) -> Result<Read, HostError> {
    let registry = Registry::read(executor, layout).await?;
    let exchanges = match exchange {
        Some(exchange) => reachable(&registry, exchange)?,
        None => every(executor, layout, &registry, options).await?,
    };
    let declared: HashMap<&str, _> =
        registry.exchanges.iter().map(|exchange| (&*exchange.name, exchange)).collect();
    let (mut tables, mut quarantine) = (Vec::new(), Vec::new());
    for name in &exchanges {
        let rows = match rows(executor, layout, name, &options.limits).await {
            Err(HostError::Load(LoadError::TableType { key, found })) if exchange.is_none() => {
                let reason = Reason::Table { key, found };
                quarantine.push(Quarantined { exchange: name.clone(), row: "*".into(), reason });
                Vec::new()
            }
            rows => rows?,
        };
        tables.extend(Table::read(declared.get(&**name).copied(), name.clone(), rows, layout, options));
    }
    let mut router = declare(&registry, &mut tables, &mut quarantine)?;
    router.set_limits(keyrail_core::Limits::default().key_bytes(options.limits.key_bytes));
    let mut loading = Loading { router, quarantine };
    for table in &tables {
        loading.table(table);
    }
    for binding in &registry.bindings {
        loading.own(layout, binding);
    }
    loading.buckets(&registry.buckets);
    let Loading { router, quarantine } = loading;
    Ok(Read { router, quarantine, exchanges, buckets: registry.buckets })
}

/// The exchange and all that its bindings and alternates lead to.
fn reachable(registry: &Registry, exchange: &str) -> Result<Vec<String>, HostError> {
    let mut found = declared_reach(registry, vec![exchange.to_owned()]);
    // A policy gives alternates by name, also to exchanges of which Redis knows nothing but rows.
    while !registry.policies.is_empty() {
        let alternates = alternates_of(registry, &found)?;
        let known: HashSet<&str> = found.iter().map(String::as_str).collect();
        let new: Vec<String> =
            alternates.into_iter().filter(|alternate| !known.contains(&**alternate)).collect();
        if new.is_empty() {
            break;
        }
        found.extend(new);
        found = declared_reach(registry, found);
    }
    Ok(found)
}

/// The alternate exchanges that these exchanges have, by their declaration or by a policy.
fn alternates_of(registry: &Registry, names: &[String]) -> Result<BTreeSet<String>, HostError> {
    let declared: HashMap<&str, _> =
        registry.exchanges.iter().map(|exchange| (&*exchange.name, exchange)).collect();
    let unknown = |name: &str| ExchangeDefinition::durable(name, ExchangeKind::Direct);
    let exchanges = names.iter().filter(|name| possible(name) && !Router::is_predeclared(name));
    let exchanges =
        exchanges.map(|name| declared.get(&**name).map_or_else(|| unknown(name), |known| (*known).clone()));
    let topology = Topology {
        exchanges: exchanges.collect(),
        policies: registry.policies.clone(),
        ..Topology::default()
    };
    let router = topology.router().map_err(refused)?;
    let ids = names.iter().filter_map(|name| router.exchange(name));
    Ok(ids.filter_map(|id| router.alternate_exchange(id)).map(str::to_owned).collect())
}

/// The exchanges and all that their bindings and declared alternates lead to.
fn declared_reach(registry: &Registry, start: Vec<String>) -> Vec<String> {
    let mut ways: HashMap<&str, Vec<&str>> = HashMap::new();
    for binding in &registry.bindings {
        if let DestinationName::Exchange(other) = &binding.destination {
            ways.entry(&binding.source).or_default().push(other);
        }
    }
    for declared in &registry.exchanges {
        if let Some(alternate) = &declared.alternate_exchange {
            ways.entry(&declared.name).or_default().push(alternate);
        }
    }
    let mut known: HashSet<&str> = start.iter().map(String::as_str).collect();
    let mut found: Vec<&str> = start.iter().map(String::as_str).collect();
    let mut next = 0;
    while let Some(name) = found.get(next) {
        next += 1;
        let others = ways.get(name).into_iter().flatten();
        found.extend(others.copied().filter(|other| known.insert(*other)));
    }
    found.into_iter().map(str::to_owned).collect()
}

fn possible(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_SHORT_STRING
}

fn refused(error: TopologyError) -> HostError {
    match error.error {
        Error::Declare(error) => error.into(),
        Error::Bind(error) => error.into(),
        other => HostError::NotExpressible { reason: other.to_string().into() },
    }
}

async fn every(
    executor: &impl Executor,
    layout: &Layout,
    registry: &Registry,
    options: &Options,
) -> Result<Vec<String>, HostError> {
    let prefix = layout.binding_table("");
    let tables = executor.keys(&prefix).await?;
    let mut names: Vec<String> =
        tables.iter().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect();
    names.extend(registry.exchanges.iter().map(|exchange| exchange.name.to_string()));
    names.extend(options.kinds.keys().cloned());
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The rows of a table, sorted: a set has no order, and the order of routes should not change between readings.
pub(crate) async fn rows(
    executor: &impl Executor,
    layout: &Layout,
    exchange: &str,
    limits: &Limits,
) -> Result<Vec<Vec<u8>>, HostError> {
    let key = layout.binding_table(exchange);
    match executor.set_size(&key).await? {
        SetSize::Members(0) => return Ok(Vec::new()),
        SetSize::Members(size) if size > limits.table_bindings => {
            let (limit, what) = (limits.table_bindings, key.into());
            return Err(LoadError::TooLarge {
                what,
                size,
                limit,
                unit: "bindings",
                option: "--max-bindings",
            }
            .into());
        }
        SetSize::Members(_) => {}
        SetSize::OtherType(found) => return Err(LoadError::TableType { key: key.into(), found }.into()),
    }
    let mut rows = match executor.run(&plan::table(layout, exchange)).await?.pop() {
        Some(Reply::Members(rows)) => rows,
        _ => return Err(ExecuteError::Server { message: "SMEMBERS answers no set".into() }.into()),
    };
    rows.sort_unstable();
    Ok(rows)
}

/// One exchange and the rows of its table.
struct Table {
    definition: ExchangeDefinition,
    rows: Vec<(Vec<u8>, Result<Member, MemberError>)>,
}

impl Table {
    /// Nothing if there are no rows and nobody says a word about the exchange: it does not exist then.
    fn read(
        declared: Option<&ExchangeDefinition>,
        name: String,
        rows: Vec<Vec<u8>>,
        layout: &Layout,
        options: &Options,
    ) -> Option<Self> {
        let told = options.kinds.get(&name).copied();
        if rows.is_empty() && declared.is_none() && told.is_none() {
            return None;
        }
        let parse = |row: Vec<u8>| {
            let member = Member::parse(&row, &layout.sep);
            (row, member)
        };
        let rows: Vec<_> = rows.into_iter().map(parse).collect();
        let readable = rows.iter().filter_map(|(_, member)| member.as_ref().ok());
        let definition = declared.cloned().unwrap_or_else(|| types::of_rows(&name, told, readable));
        Some(Table { definition, rows })
    }
}

/// A router with every exchange and queue whose name is possible. An exchange with another one goes to quarantine.
///
/// By way of a topology, where names that begin with `amq.` are allowed: Kombu gives them to queues without a name.
fn declare(
    registry: &Registry,
    tables: &mut Vec<Table>,
    quarantine: &mut Vec<Quarantined>,
) -> Result<Router, HostError> {
    tables.retain(|table| {
        let name = &table.definition.name;
        if !possible(name) {
            let reason = Reason::Declare(DeclareError::NameTooLong { length: name.len() });
            quarantine.push(Quarantined { exchange: name.to_string(), row: "*".into(), reason });
        }
        possible(name)
    });
    let exchanges = tables.iter().map(|table| &table.definition);
    let exchanges = exchanges.filter(|exchange| !Router::is_predeclared(&exchange.name)).cloned().collect();

    let mut queues = registry.queues.clone();
    let mut known: HashSet<&str> = registry.queues.iter().map(|queue| &*queue.name).collect();
    let rows = tables.iter().flat_map(|table| &table.rows);
    let rows = rows.filter_map(|(_, member)| member.as_ref().ok()).map(|member| &*member.queue);
    let own = registry.bindings.iter().filter_map(|binding| match &binding.destination {
        DestinationName::Queue(queue) => Some(&**queue),
        DestinationName::Exchange(_) => None,
    });
    for name in rows.chain(own) {
        if possible(name) && known.insert(name) {
            queues.push(queue(name));
        }
    }
    let policies = registry.policies.clone();
    let topology = Topology { exchanges, queues, policies, ..Topology::default() };
    topology.router().map_err(refused)
}

/// A queue of which nothing but the name is known. Redis keeps every queue.
///
/// ```
/// assert!(keyrail_redis::load::queue("billing").durable);
/// ```
pub fn queue(name: &str) -> QueueDefinition {
    QueueDefinition {
        name: name.into(),
        durable: true,
        auto_delete: false,
        exclusive: false,
        arguments: keyrail_core::Table::new(),
    }
}

struct Loading {
    router: Router,
    quarantine: Vec<Quarantined>,
}

impl Loading {
    fn table(&mut self, table: &Table) {
        let ExchangeDefinition { name, kind, .. } = &table.definition;
        for (row, member) in &table.rows {
            let member = member.as_ref().map_err(|error| Reason::Member(error.clone()));
            if let Err(reason) = member.and_then(|member| self.row(name, *kind, member)) {
                let row = row.escape_ascii().to_string();
                self.quarantine.push(Quarantined { exchange: name.to_string(), row, reason });
            }
        }
    }

    /// Binds one row as Kombu's publishers would follow it.
    fn row(&mut self, exchange: &str, kind: ExchangeKind, member: &Member) -> Result<(), Reason> {
        let source = self.router.exchange(exchange);
        let source =
            source.ok_or_else(|| Reason::Bind(BindError::ExchangeNotFound { name: exchange.into() }))?;
        let mut binding = Binding::new(&member.routing_key).dialect(Dialect::Kombu57);
        if kind == ExchangeKind::Topic {
            binding = match member.matcher().map_err(Reason::Matcher)? {
                // The dialect's own text for this key, which says no more than both of them do.
                Matcher::Words { dialect, key } if key == member.routing_key => binding.dialect(dialect),
                Matcher::Words { dialect, .. } => binding.dialect(dialect).pattern(&member.pattern),
                _ => binding.pattern(&member.pattern),
            };
        }
        let length = member.queue.len();
        let queue = self.router.queue(&member.queue);
        let queue = queue.ok_or(Reason::Declare(DeclareError::NameTooLong { length }))?;
        self.router.bind(source, queue, &binding).map(drop).map_err(Reason::Bind)
    }

    /// Deals the buckets of consistent-hash exchanges out as they were dealt out first: a set has no order.
    fn buckets(&mut self, owners: &[BucketOwner]) {
        let hashing = self.router.exchanges();
        let hashing = hashing.filter(|(.., exchange)| exchange.kind() == ExchangeKind::ConsistentHash);
        let hashing: Vec<_> = hashing.map(|(id, name, _)| (id, name.to_owned())).collect();
        for (id, name) in hashing {
            let here = owners.iter().map(|owner| &owner.binding).filter(|owner| *owner.source == *name);
            let bound =
                self.router.bindings_from(id).map(|bound| BindingDefinition::of(&self.router, &bound));
            let bound: HashSet<String> = bound.map(|bound| registry::bucket_field(&bound)).collect();
            let mut dealt = HashSet::new();
            // Of a destination that two writers gave buckets at the same moment, the first ones count.
            let ends = here.filter_map(|owner| {
                let destination = owner.destination.find(&self.router).ok()?;
                let bound = bound.contains(&registry::bucket_field(owner));
                (bound && dealt.insert(destination)).then(|| (destination, owner.binding()))
            });
            let ends: Vec<_> = ends.collect();
            self.router.deal_buckets(id, &ends);
        }
    }

    /// Binds what keyrail wrote beside. A queue whose list would be another queue's is passed over. An end that is not loaded, or gone, leaves the binding without effect.
    fn own(&mut self, layout: &Layout, binding: &BindingDefinition) {
        let Some(source) = self.router.exchange(&binding.source) else { return };
        let row = || format!("{} -> {}", binding.routing_key, binding.destination);
        if let DestinationName::Queue(queue) = &binding.destination
            && names::has_separator(layout, queue.as_bytes())
        {
            let reason = Reason::Member(MemberError::Separator { field: "queue", value: queue.clone() });
            let exchange = binding.source.to_string();
            self.quarantine.push(Quarantined { exchange, row: row().escape_debug().to_string(), reason });
            return;
        }
        let bound = binding
            .destination
            .find(&self.router)
            .and_then(|destination| self.router.bind(source, destination, &binding.binding()));
        if let Err(error) = bound {
            let row = row();
            let exchange = binding.source.to_string();
            self.quarantine.push(Quarantined { exchange, row, reason: Reason::Bind(error) });
        }
    }
}
