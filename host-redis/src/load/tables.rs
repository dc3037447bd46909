//! The topology that Kombu keeps in Redis, joined with what keyrail keeps beside it.

use std::{collections::BTreeMap, fmt};

use keyrail_core::{
    BindError, Binding, BindingDefinition, DeclareError, DestinationName, Dialect, Exchange,
    ExchangeDefinition, ExchangeKind, Queue, Router,
    kombu::{Layout, Matcher, MatcherError, Member, MemberError, plan},
};

use super::Limits;
use crate::{ExecuteError, Executor, HostError, LoadError, Reply, SetSize, registry::Registry};

/// What to load, and what nobody in Redis says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Types of exchanges that no registry knows. Kombu does not store them: without a word here an exchange is a topic
    /// exchange if any of its rows has a pattern, and a direct one if not.
    pub kinds: BTreeMap<String, ExchangeKind>,
    /// Sizes to refuse.
    pub limits: Limits,
}

/// A row that routes nothing, because routing by it would be wrong. Its neighbours are not affected.
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
}

impl Reason {
    /// The stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Member(error) => error.code(),
            Reason::Matcher(error) => error.code(),
            Reason::Declare(error) => error.code(),
            Reason::Bind(error) => error.code(),
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
        }
    }
}

/// `orders: no\x06row: binding member has 1 fields, expected 3`
impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row `{}` of exchange `{}` is ignored: {}", self.row, self.exchange, self.reason)
    }
}

/// Loads every exchange, or only what a publish to `exchange` can reach.
///
/// # Errors
/// A table that is no set (another library's), a table beyond the limit, an entry of keyrail's own that cannot be read.
/// A bad row of Kombu's is no error, it goes to quarantine.
pub async fn from_tables(
    executor: &impl Executor,
    layout: &Layout,
    exchange: Option<&str>,
    options: &Options,
) -> Result<(Router, Vec<Quarantined>), HostError> {
    let registry = Registry::read(executor, layout).await?;
    let names = match exchange {
        Some(exchange) => reachable(&registry, exchange),
        None => every(executor, layout, &registry, options).await?,
    };
    let mut loading = Loading { router: Router::with_predeclared_exchanges(), quarantine: Vec::new() };
    for queue in &registry.queues {
        loading.router.declare_queue(&queue.name, Queue::new().durable(queue.durable))?;
    }
    for name in names {
        let rows = rows(executor, layout, &name, &options.limits).await?;
        loading.exchange(&registry, &name, rows, layout, options)?;
    }
    for binding in &registry.bindings {
        loading.own(binding);
    }
    Ok((loading.router, loading.quarantine))
}

/// The exchange and all that its bindings and alternates lead to.
fn reachable(registry: &Registry, exchange: &str) -> Vec<String> {
    let mut found = vec![exchange.to_owned()];
    let mut next = 0;
    while let Some(name) = found.get(next).cloned() {
        next += 1;
        let bound = registry.bindings.iter().filter(|binding| *binding.source == *name);
        let destinations = bound.filter_map(|binding| match &binding.destination {
            DestinationName::Exchange(other) => Some(&**other),
            DestinationName::Queue(_) => None,
        });
        let declared = registry.exchanges.iter().filter(|declared| *declared.name == *name);
        let alternates = declared.filter_map(|declared| declared.alternate_exchange.as_deref());
        let new: Vec<_> = destinations.chain(alternates).map(str::to_owned).collect();
        for other in new {
            if !found.contains(&other) {
                found.push(other);
            }
        }
    }
    found
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
async fn rows(
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

struct Loading {
    router: Router,
    quarantine: Vec<Quarantined>,
}

impl Loading {
    /// Declares an exchange and binds its rows. Without rows and without a word about it, it does not exist.
    fn exchange(
        &mut self,
        registry: &Registry,
        name: &str,
        rows: Vec<Vec<u8>>,
        layout: &Layout,
        options: &Options,
    ) -> Result<(), HostError> {
        let parsed: Vec<_> = rows.iter().map(|row| Member::parse(row, &layout.sep)).collect();
        let declared = registry.exchanges.iter().find(|exchange| *exchange.name == *name);
        let told = options.kinds.get(name).copied();
        let kind = match declared {
            Some(declared) => declared.kind,
            None if rows.is_empty() && told.is_none() => return Ok(()),
            None => told.unwrap_or_else(|| {
                let topic = parsed.iter().flatten().any(|member| !member.pattern.is_empty());
                if topic { ExchangeKind::Topic } else { ExchangeKind::Direct }
            }),
        };
        if !Router::is_predeclared(name) {
            match declared.map_or_else(|| Ok(Exchange::new(kind).durable(true)), properties) {
                Ok(exchange) => {
                    self.router.declare_exchange(name, exchange)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        for (row, member) in rows.iter().zip(parsed) {
            let bound = member.map_err(Reason::Member).and_then(|member| self.row(name, kind, &member));
            if let Err(reason) = bound {
                let row = row.escape_ascii().to_string();
                self.quarantine.push(Quarantined { exchange: name.into(), row, reason });
            }
        }
        Ok(())
    }

    /// Binds one row as Kombu's publishers would follow it.
    fn row(&mut self, exchange: &str, kind: ExchangeKind, member: &Member) -> Result<(), Reason> {
        let source = self.router.exchange(exchange);
        let source =
            source.ok_or_else(|| Reason::Bind(BindError::ExchangeNotFound { name: exchange.into() }))?;
        let mut binding = Binding::new(&member.routing_key).dialect(Dialect::Kombu57);
        if kind == ExchangeKind::Topic {
            let dialect = match member.matcher().map_err(Reason::Matcher)? {
                Matcher::Words { dialect, .. } => dialect,
                _ => Dialect::Kombu57,
            };
            binding = binding.dialect(dialect).pattern(&member.pattern);
        }
        let queue = match self.router.queue(&member.queue) {
            Some(queue) => queue,
            None => {
                let declared = self.router.declare_queue(&member.queue, Queue::new().durable(true));
                declared.map_err(Reason::Declare)?
            }
        };
        self.router.bind(source, queue, &binding).map(drop).map_err(Reason::Bind)
    }

    /// Binds what keyrail wrote beside. An end that is not loaded, or gone, leaves the binding without effect.
    fn own(&mut self, binding: &BindingDefinition) {
        let Some(source) = self.router.exchange(&binding.source) else { return };
        if let DestinationName::Queue(queue) = &binding.destination
            && self.router.queue(queue).is_none()
            && self.router.declare_queue(queue, Queue::new().durable(true)).is_err()
        {
            return;
        }
        let bound = binding
            .destination
            .find(&self.router)
            .and_then(|destination| self.router.bind(source, destination, &binding.binding()));
        if let Err(error) = bound {
            let row = format!("{} -> {}", binding.routing_key, binding.destination);
            let exchange = binding.source.to_string();
            self.quarantine.push(Quarantined { exchange, row, reason: Reason::Bind(error) });
        }
    }
}

fn properties(declared: &ExchangeDefinition) -> Result<Exchange, DeclareError> {
    let exchange = Exchange::new(declared.kind)
        .durable(declared.durable)
        .auto_delete(declared.auto_delete)
        .internal(declared.internal)
        .arguments(declared.arguments.clone())?;
    Ok(match &declared.alternate_exchange {
        Some(alternate) => exchange.alternate(alternate),
        None => exchange,
    })
}
