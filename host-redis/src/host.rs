//! Topology, layout and executor joined.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::future::join_all;
use keyrail_core::{
    BindError, DestinationName, Dialect, ExchangeKind, Outcome, Router, Topology,
    kombu::{Command, Layout, Plan, plan},
};
use uuid::Uuid;

use crate::{
    Consumer, ConsumerOptions, ExecuteError, Executor, GiveBack, HostError, ReceivedMessage, Reply, Shared,
    Take, Taken,
    declare::{Imported, declare},
    load::{self, Quarantined},
    names, payload,
    publish::{Fanout, Outgoing, Planned, Published, Routed, Ways, check_address, route, sealed},
    quarantine_list,
    registry::{self, BucketOwner},
};

/// Publishes, binds and gets, by a topology that is fixed or read from Redis each time.
///
/// A clone is the same host.
///
/// ```
/// use keyrail_core::{Dialect, Topology, kombu::{Envelope, Layout}};
/// use keyrail_redis::{Host, Memory, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let topology = Topology::from_lines("orders topic: order.*.paid -> billing").unwrap();
/// host.import(&topology, Dialect::Kombu57).await.unwrap();
/// host.publish(&Outgoing::new("orders", "order.eu.paid", Envelope::text("42 EUR"))).await.unwrap();
/// assert_eq!(host.count("billing").await.unwrap(), 1);
/// assert_eq!(host.get("billing").await.unwrap().unwrap().body.as_text(), Some("42 EUR"));
/// # });
/// ```
#[derive(Debug)]
pub struct Host<E> {
    executor: Arc<E>,
    layout: Arc<Layout>,
    source: Source,
}

impl<E> Clone for Host<E> {
    fn clone(&self) -> Self {
        Host { executor: self.executor.clone(), layout: self.layout.clone(), source: self.source.clone() }
    }
}

#[derive(Clone, Debug)]
enum Source {
    Fixed(Shared<Table>),
    Tables(load::Options),
}

/// A topology at one moment.
///
/// ```
/// use keyrail_core::{Topology, kombu::Layout};
/// use keyrail_redis::{Host, Memory};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let topology = Topology::from_lines("orders topic: order.*.paid -> billing").unwrap();
/// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
/// let table = host.table(None).await.unwrap();
/// assert_eq!(Topology::of(&table.router), topology);
/// assert!(table.quarantine.is_empty());
/// # });
/// ```
#[derive(Debug)]
pub struct Table {
    /// Ready to route.
    pub router: Router,
    /// The rows that were left out.
    pub quarantine: Vec<Quarantined>,
}

/// How many rows in quarantine are named in the log at each reading.
const NAMED: usize = 10;

impl<E: Executor> Host<E> {
    /// Routes by this router, whatever Redis holds.
    ///
    /// ```
    /// use keyrail_core::{Topology, kombu::{Envelope, Layout}};
    /// use keyrail_redis::{Host, Memory, Outgoing};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let topology = Topology::from_lines("orders topic: order.*.paid -> billing").unwrap();
    /// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
    /// let sent = host.publish(&Outgoing::new("orders", "order.eu.paid", Envelope::text("x"))).await.unwrap();
    /// assert_eq!(sent.queues, ["billing"]);
    /// let error = host.publish(&Outgoing::new("", "jobs", Envelope::text("x"))).await;
    /// assert!(error.unwrap().queues.is_empty(), "no such queue in this topology");
    /// # });
    /// ```
    pub fn fixed(executor: E, layout: Layout, router: Router) -> Self {
        let table = Table { router, quarantine: Vec::new() };
        Host { executor: executor.into(), layout: layout.into(), source: Source::Fixed(Shared::new(table)) }
    }

    /// Routes by Kombu's binding tables and keyrail's own keys, read anew for each publish as Kombu does.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, Layout, Member, plan};
    /// use keyrail_redis::{Executor, Host, Memory, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let paid = Outgoing::new("orders", "paid", Envelope::text("x"));
    /// assert_eq!(host.publish(&paid).await.unwrap_err().code(), "exchange-not-found");
    ///
    /// // As a Kombu consumer binds its queue; the next publish knows.
    /// let row = plan::bind(host.layout(), "orders", &Member::plain("paid", "billing")).unwrap();
    /// host.executor().run(&row).await.unwrap();
    /// assert_eq!(host.publish(&paid).await.unwrap().queues, ["billing"]);
    /// # });
    /// ```
    pub fn from_tables(executor: E, layout: Layout, options: load::Options) -> Self {
        Host { executor: executor.into(), layout: layout.into(), source: Source::Tables(options) }
    }

    /// Who executes.
    ///
    /// ```
    /// use keyrail_core::{Router, kombu::Layout};
    /// use keyrail_redis::{Executor, Host, Memory};
    ///
    /// let host = Host::fixed(Memory::new(), Layout::default(), Router::new());
    /// assert_eq!(host.executor().describe(), "memory");
    /// ```
    pub fn executor(&self) -> &E {
        &self.executor
    }

    /// How keys are named.
    ///
    /// ```
    /// use keyrail_core::{Router, kombu::Layout};
    /// use keyrail_redis::{Host, Memory};
    ///
    /// let layout = Layout { global_keyprefix: "shop.".into(), ..Layout::default() };
    /// let host = Host::fixed(Memory::new(), layout, Router::new());
    /// assert_eq!(host.layout().binding_table("orders"), "shop._kombu.binding.orders");
    /// ```
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How the tables in Redis are read.
    ///
    /// # Errors
    /// [`HostError::NotExpressible`] if the topology is a fixed one.
    pub(crate) fn tables(&self) -> Result<(&Layout, &load::Options), HostError> {
        match &self.source {
            Source::Tables(options) => Ok((&self.layout, options)),
            Source::Fixed(_) => {
                let reason = "the topology is a fixed one, and only one in Redis can be changed";
                Err(HostError::NotExpressible { reason: reason.into() })
            }
        }
    }

    /// Whether the topology is a fixed one.
    ///
    /// ```
    /// use keyrail_core::{Router, kombu::Layout};
    /// use keyrail_redis::{Host, Memory, load};
    ///
    /// assert!(Host::fixed(Memory::new(), Layout::default(), Router::new()).is_fixed());
    /// assert!(!Host::from_tables(Memory::new(), Layout::default(), load::Options::default()).is_fixed());
    /// ```
    pub const fn is_fixed(&self) -> bool {
        matches!(self.source, Source::Fixed(_))
    }

    /// The fixed topology: whoever holds it can replace it while others publish, or route by it without a lock.
    ///
    /// ```
    /// use keyrail_core::{Router, Topology, kombu::{Envelope, Layout}};
    /// use keyrail_redis::{Host, Memory, Outgoing, Table};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::fixed(Memory::new(), Layout::default(), Router::new());
    /// let topology = Topology::from_lines("orders topic: # -> audit").unwrap();
    /// let table = Table { router: topology.router().unwrap(), quarantine: Vec::new() };
    /// host.shared().expect("it is fixed").replace(table);
    /// let sent = host.publish(&Outgoing::new("orders", "order.new", Envelope::text("x"))).await.unwrap();
    /// assert_eq!(sent.queues, ["audit"]);
    /// # });
    /// ```
    pub const fn shared(&self) -> Option<&Shared<Table>> {
        match &self.source {
            Source::Fixed(table) => Some(table),
            Source::Tables(_) => None,
        }
    }

    /// The topology, or as much of it as a publish to `exchange` can reach.
    ///
    /// ```
    /// use keyrail_core::{Dialect, Topology, kombu::Layout};
    /// use keyrail_redis::{Host, Memory, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let topology = Topology::from_lines("orders topic: # -> audit\nstock topic: # -> shelves").unwrap();
    /// host.import(&topology, Dialect::Kombu57).await.unwrap();
    /// assert!(host.table(None).await.unwrap().router.exchange("stock").is_some());
    /// assert!(host.table(Some("orders")).await.unwrap().router.exchange("stock").is_none(), "not read");
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of [`load::from_tables`].
    /// # Cost
    /// Nothing where the topology is fixed; else that of [`load::from_tables`], each time.
    pub async fn table(&self, exchange: Option<&str>) -> Result<Arc<Table>, HostError> {
        match &self.source {
            Source::Fixed(table) => Ok(table.current()),
            Source::Tables(options) => {
                let (router, quarantine) =
                    load::from_tables(&*self.executor, &self.layout, exchange, options).await?;
                for row in quarantine.iter().take(NAMED) {
                    tracing::warn!(code = row.reason.code(), "{row}");
                }
                if quarantine.len() > NAMED {
                    tracing::warn!(
                        "{} rows are ignored, the first {NAMED} are named above",
                        quarantine.len()
                    );
                }
                Ok(Arc::new(Table { router, quarantine }))
            }
        }
    }

    /// Says where a message would go, and why. Nothing is sent.
    ///
    /// ```
    /// use keyrail_core::{Topology, kombu::{Envelope, Layout}};
    /// use keyrail_redis::{Host, Memory, Outgoing};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let topology = Topology::from_lines("orders topic: order.*.paid -> billing").unwrap();
    /// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
    /// let routed = host.route(&Outgoing::new("orders", "order.eu.paid", Envelope::text("x"))).await.unwrap();
    /// assert_eq!(routed.queues, ["billing"]);
    /// assert_eq!(host.count("billing").await.unwrap(), 0, "nothing was sent");
    /// let unknown = Outgoing::new("ordres", "order.eu.paid", Envelope::text("x"));
    /// assert_eq!(host.route(&unknown).await.unwrap_err().code(), "exchange-not-found");
    /// # });
    /// ```
    ///
    /// # Errors
    /// An unknown or internal exchange, a key that is too long; and those of [`table`](Self::table).
    pub async fn route(&self, outgoing: &Outgoing) -> Result<Routed, HostError> {
        self.explain(outgoing, 0).await
    }

    /// As [`route`](Self::route), with as many of the bindings that nearly matched.
    ///
    /// ```
    /// use keyrail_core::{Topology, kombu::{Envelope, Layout}};
    /// use keyrail_redis::{Host, Memory, Outgoing};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let topology = Topology::from_lines("orders topic: order.*.paid -> billing").unwrap();
    /// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
    /// let outgoing = Outgoing::new("orders", "order.eu.payed", Envelope::text("x"));
    /// let routed = host.explain(&outgoing, 1).await.unwrap();
    /// assert!(routed.queues.is_empty());
    /// assert_eq!(routed.trace.near_misses()[0].mismatch.to_string(), "word 3 is `payed`, expected `paid`");
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`route`](Self::route).
    pub async fn explain(&self, outgoing: &Outgoing, near_misses: usize) -> Result<Routed, HostError> {
        let Outgoing { exchange, routing_key, headers, .. } = outgoing;
        check_address(&self.layout, exchange, routing_key)?;
        if exchange.is_empty() && !self.is_fixed() {
            return route(&default_router(routing_key, headers)?, &self.layout, outgoing, near_misses);
        }
        let table = self.table(Some(exchange)).await?;
        if !self.is_fixed() {
            names::check_published(&table.router, exchange)?;
        }
        route(&table.router, &self.layout, outgoing, near_misses)
    }

    /// Publishes a message: a copy for each queue, with a delivery tag of its own, all in one transaction; on a cluster
    /// whose keys lie in several slots each for itself.
    ///
    /// ```
    /// use keyrail_core::{Topology, kombu::{Envelope, Layout}};
    /// use keyrail_redis::{Host, Memory, Outgoing};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let topology = Topology::from_lines("orders topic: order.# -> audit\norders: *.paid -> billing").unwrap();
    /// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
    /// let sent = host.publish(&Outgoing::new("orders", "order.paid", Envelope::text("42 EUR"))).await.unwrap();
    /// assert_eq!(sent.queues, ["audit", "billing"]);
    /// assert_eq!(host.counts(&["audit", "billing"]).await.unwrap(), [1, 1]);
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`route`](Self::route), and those of the executor. That nobody gets the message is no error but an outcome.
    /// [`HostError::PartlyPublished`] on such a cluster.
    /// # Cost
    /// One push for each copy, in one round trip; the tables are read before, unless the topology is fixed.
    /// # Source
    /// AMQP 0-9-1 `basic.publish`; Kombu's `kombu.transport.virtual.Channel.basic_publish`.
    pub async fn publish(&self, outgoing: &Outgoing) -> Result<Published, HostError> {
        let (Planned { routed, plan }, ways) = self.plan(outgoing).await?;
        let replies = match plan.commands.len() {
            0 => Vec::new(),
            2.. if self.executor.spreads() => self.run_apart(&ways, &plan).await?,
            _ => self.executor.run(&plan).await?,
        };
        let mut fanout = Vec::new();
        for (command, reply) in plan.commands.iter().zip(&replies) {
            if let (Command::Publish { channel, .. }, Reply::Count(receivers)) = (command, reply) {
                let exchange = ways.fanout[fanout.len()].clone();
                fanout.push(Fanout { exchange, channel: channel.clone(), receivers: *receivers });
            }
        }
        let heard = fanout.iter().any(|sent| sent.receivers > 0);
        let outcome = if ways.queues.is_empty() && !heard { Outcome::Unroutable } else { Outcome::Routed };
        Ok(Published { outcome, queues: ways.queues, fanout, guessed: routed.guessed })
    }

    async fn run_apart(&self, ways: &Ways, plan: &Plan) -> Result<Vec<Reply>, HostError> {
        let executor = &self.executor;
        let each = plan.commands.iter().map(|command| async move {
            let plan = Plan { atomic: false, commands: vec![command.clone()] };
            let replies = executor.run(&plan).await;
            replies.map(|mut replies| replies.pop().unwrap_or(Reply::Value(None)))
        });
        ways.all(join_all(each).await).map_err(|(queues, error)| match queues.is_empty() {
            true => error.into(),
            false => HostError::PartlyPublished { queues, error },
        })
    }

    /// Where a message would go, and the commands that would bring it there. Nothing is sent.
    ///
    /// ```
    /// use keyrail_core::{Topology, kombu::{Envelope, Layout}};
    /// use keyrail_redis::{Host, Memory, Outgoing};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let topology = Topology::from_lines("orders topic: order.*.paid -> billing").unwrap();
    /// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
    /// let outgoing = Outgoing::new("orders", "order.eu.paid", Envelope::text("x"));
    /// let planned = host.plan_publish(&outgoing).await.unwrap();
    /// assert_eq!(planned.routed.queues, ["billing"]);
    /// assert_eq!(planned.plan.commands[0].args()[..2], [&b"LPUSH"[..], b"billing"]);
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`route`](Self::route).
    pub async fn plan_publish(&self, outgoing: &Outgoing) -> Result<Planned, HostError> {
        Ok(self.plan(outgoing).await?.0)
    }

    async fn plan(&self, outgoing: &Outgoing) -> Result<(Planned, Ways), HostError> {
        let routed = self.route(outgoing).await?;
        let ways = Ways::of(&routed.trace);
        for queue in &ways.queues {
            names::check_queue(&self.layout, queue.as_bytes())?;
        }
        let message = keyrail_core::Message::new(&outgoing.routing_key).headers(&outgoing.headers)?;
        let envelope = sealed(outgoing.envelope.clone(), &message);
        let publish = plan::Publish {
            return_to_queue: outgoing.return_to_queue,
            ..plan::Publish::new(&outgoing.exchange, &outgoing.routing_key, &envelope)
        };
        let plan = ways.plan(&self.layout, &publish, || Uuid::new_v4().to_string());
        Ok((Planned { routed, plan }, ways))
    }

    /// Writes a whole topology, in one transaction; what is there already stays.
    ///
    /// ```
    /// use keyrail_core::{Dialect, Topology, kombu::Layout};
    /// use keyrail_redis::{Host, Memory, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let import = async |lines| host.import(&Topology::from_lines(lines).unwrap(), Dialect::Kombu57).await;
    /// assert_eq!(import("orders topic: # -> audit").await.unwrap().new, 3);
    /// assert_eq!(import("orders topic: # -> audit").await.unwrap().new, 0, "it is there");
    /// let refused = import("orders direct: # -> audit\nstock topic: # -> shelves").await.unwrap_err();
    /// assert_eq!(refused.code(), "inequivalent");
    /// assert!(host.table(None).await.unwrap().router.exchange("stock").is_none(), "nothing was written");
    /// # });
    /// ```
    ///
    /// # Errors
    /// The first thing that cannot be written, and [`HostError::Declare`] for an exchange or queue that is there with other
    /// properties, as RabbitMQ compares them; nothing is written then.
    pub async fn import(&self, topology: &Topology, dialect: Dialect) -> Result<Imported, HostError> {
        let expires = topology.queues.iter().any(|queue| registry::expires_ms(&queue.arguments).is_some());
        // Deadlines are compared with the server's clock, so they are written by it.
        let now = if expires { (self.executor.now().await? * 1000.0) as u64 } else { 0 };
        let plan = import_plan(&self.layout, topology, dialect, now)?;
        Ok(declare(&*self.executor, &self.layout, topology, plan).await?.imported)
    }

    /// Takes the next message of a queue and acks it at once.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{Host, Memory, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// for (text, priority) in [("later", 9), ("now", 0)] {
    ///     let envelope = Envelope::text(text).priority(priority);
    ///     host.publish(&Outgoing::new("", "jobs", envelope)).await.unwrap();
    /// }
    /// let first = host.get("jobs").await.unwrap().unwrap();
    /// assert_eq!(first.body.as_text(), Some("now"));
    /// host.get("jobs").await.unwrap().unwrap();
    /// assert!(host.get("jobs").await.unwrap().is_none());
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`HostError::QueueNotFound`] if the topology is a fixed one and has no such queue; [`HostError::Member`] for a name
    /// with the separator in it, whose list is another queue's; [`HostError::NotExpressible`] for that of a key of the
    /// register, and on a cluster, unless all keys lie in one slot; those of the executor.
    /// # Source
    /// AMQP 0-9-1 `basic.get` with `no-ack`.
    pub async fn get(&self, queue: &str) -> Result<Option<ReceivedMessage>, HostError> {
        if let Source::Fixed(table) = &self.source
            && table.current().router.queue(queue).is_none()
        {
            return Err(HostError::QueueNotFound { queue: queue.into() });
        }
        names::check_queue(&self.layout, queue.as_bytes())?;
        self.check_one_slot()?;
        let queues = [queue.to_owned()];
        loop {
            let owner = Uuid::new_v4().simple().to_string();
            let taken = self.executor.take(&Take::one(&self.layout, &queues, &owner)).await?;
            match taken.into_iter().next() {
                None => return Ok(None),
                Some(Taken::WrongType { key, command }) => {
                    return Err(ExecuteError::WrongType { key: key.into(), command }.into());
                }
                Some(Taken::Quarantined { list, .. }) => {
                    tracing::warn!(queue, "a payload that is no message was moved to `{list}`");
                }
                Some(Taken::Message { delivery, payload, .. }) if payload::json(&payload).is_err() => {
                    let list = &quarantine_list(&self.layout, queue);
                    let (layout, delivery, payload) = (&self.layout, &*delivery, &*payload);
                    let back = GiveBack { layout, delivery, list, payload, next: false };
                    self.executor.give_back(&back).await?;
                    tracing::warn!(queue, "a payload that is no JSON was moved to `{list}`");
                }
                Some(Taken::Message { delivery, payload, .. }) => {
                    let message = ReceivedMessage::decode(queue, &payload);
                    self.executor.settle(&self.layout, &[delivery]).await?;
                    return Ok(Some(message));
                }
            }
        }
    }

    /// A consumer of these queues, which starts to take at once. Needs a Tokio runtime.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::{Topology, kombu::{Envelope, Layout}};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, Outgoing};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let topology = Topology::from_lines("orders topic: order.*.paid -> billing").unwrap();
    /// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
    /// let options = ConsumerOptions::default();
    /// assert_eq!(host.consumer(vec!["biling".into()], options.clone()).unwrap_err().code(), "queue-not-found");
    /// let mut consumer = host.consumer(vec!["billing".into()], options).unwrap();
    /// host.publish(&Outgoing::new("orders", "order.eu.paid", Envelope::text("42 EUR"))).await.unwrap();
    /// let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
    /// delivery.ack().await.unwrap();
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`HostError::QueueNotFound`] if the topology is a fixed one and lacks one of them; [`HostError::Member`] for a name
    /// with the separator in it, whose list is another queue's; [`HostError::NotExpressible`] for that of a key of the
    /// register, and on a cluster, unless all keys lie in one slot.
    /// # Source
    /// AMQP 0-9-1 `basic.consume`.
    pub fn consumer(&self, queues: Vec<String>, options: ConsumerOptions) -> Result<Consumer, HostError> {
        if let Source::Fixed(table) = &self.source
            && let router = &table.current().router
            && let Some(missing) = queues.iter().find(|queue| router.queue(queue).is_none())
        {
            return Err(HostError::QueueNotFound { queue: missing.as_str().into() });
        }
        for queue in &queues {
            names::check_queue(&self.layout, queue.as_bytes())?;
        }
        self.check_one_slot()?;
        Ok(Consumer::start(self, queues, options))
    }

    /// Taking and registering are one step, or messages get lost in between.
    pub(crate) fn check_one_slot(&self) -> Result<(), HostError> {
        if !self.executor.spreads() {
            return Ok(());
        }
        let reason = format!(
            "on a cluster a message is taken and registered in one step only where both keys lie in one slot; give \
             `global_keyprefix` a hash tag, as `{{shop}}.` instead of `{}`, to all who share the queues",
            self.layout.global_keyprefix
        );
        Err(HostError::NotExpressible { reason: reason.into() })
    }

    /// How many messages wait in each of these queues.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{Host, Memory, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// for priority in [0, 6] {
    ///     let envelope = Envelope::text("x").priority(priority);
    ///     host.publish(&Outgoing::new("", "jobs", envelope)).await.unwrap();
    /// }
    /// assert_eq!(host.counts(&["jobs", "nothing"]).await.unwrap(), [2, 0]);
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of the executor.
    /// # Cost
    /// One `LLEN` for each priority step of each queue, in one round trip.
    pub async fn counts(&self, queues: &[&str]) -> Result<Vec<i64>, HostError> {
        let commands: Vec<Command> =
            queues.iter().flat_map(|queue| plan::count(&self.layout, queue).commands).collect();
        let steps = self.layout.priority_steps.len().max(1);
        let replies = match commands.is_empty() {
            true => Vec::new(),
            false => self.executor.run(&Plan { commands, atomic: false }).await?,
        };
        let count = |reply: &Reply| if let Reply::Count(count) = reply { *count } else { 0 };
        Ok(replies.chunks(steps).map(|replies| replies.iter().map(count).sum()).collect())
    }

    /// How many messages wait in a queue.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{Host, Memory, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "jobs", Envelope::text("x"))).await.unwrap();
    /// assert_eq!(host.count("jobs").await.unwrap(), 1);
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn count(&self, queue: &str) -> Result<i64, HostError> {
        Ok(self.counts(&[queue]).await?.into_iter().sum())
    }
}

/// On Kombu's default exchange a key names the list, whether or not anybody declared the queue.
fn default_router(
    routing_key: &keyrail_core::ByteString,
    headers: &keyrail_core::Table,
) -> Result<Router, HostError> {
    let router = Router::new();
    let (_, message) = router.message("", routing_key, Some(headers))?;
    let (mut known, mut queues) = (HashSet::new(), Vec::new());
    for key in message.keys() {
        let name = String::from_utf8_lossy(key);
        if !name.is_empty() && known.insert(name.clone()) {
            queues.push(load::queue(&name));
        }
    }
    let topology = Topology { queues, ..Topology::default() };
    topology.router().map_err(|error| HostError::NotExpressible { reason: error.to_string().into() })
}

/// Everything of a topology that can be written, as one plan.
///
/// # Errors
/// A binding key that the dialect cannot write, a key or a name that contains Kombu's separator, a fanout exchange's name
/// that Kombu peers cannot live with.
pub(crate) fn import_plan(
    layout: &Layout,
    topology: &Topology,
    dialect: Dialect,
    now_ms: u64,
) -> Result<Plan, HostError> {
    names::check_topology(layout, topology)?;
    let mut commands = Vec::new();
    // What was a guess where it was read is one here, too: nobody declares it.
    for exchange in topology.exchanges.iter().filter(|exchange| !load::is_guessed(&exchange.arguments)) {
        commands.push(registry::declare_exchange(layout, exchange));
    }
    for queue in &topology.queues {
        commands.push(registry::declare_queue(layout, queue));
    }
    let router = Router::with_predeclared_exchanges();
    let predeclared = router.exchanges().map(|(_, name, exchange)| (name, exchange.kind()));
    let declared = topology.exchanges.iter().map(|exchange| (&*exchange.name, exchange.kind));
    let kinds: HashMap<&str, ExchangeKind> = predeclared.chain(declared).collect();
    let expiring = topology.queues.iter().filter_map(|queue| {
        let expires = registry::expires_ms(&queue.arguments)?;
        Some((DestinationName::Queue(queue.name.clone()), expires))
    });
    let expiring: HashMap<_, _> = expiring.collect();
    commands.extend(topology.policies.iter().map(|policy| registry::set_policy(layout, policy)));
    let mut with_buckets = HashSet::new();
    for (turn, binding) in (0..).zip(&topology.bindings) {
        let kind = kinds.get(&*binding.source).copied();
        let kind = kind.ok_or_else(|| BindError::ExchangeNotFound { name: binding.source.clone() })?;
        let plan = match expiring.get(&binding.destination) {
            Some(expires) => registry::bind_expiring(layout, kind, binding, dialect, *expires, now_ms)?,
            None => registry::bind(layout, kind, binding, dialect)?,
        };
        commands.extend(plan.commands);
        let hashing = kind == ExchangeKind::ConsistentHash;
        if hashing && with_buckets.insert((&binding.source, &binding.destination)) {
            let owner = BucketOwner { turn, binding: binding.clone() };
            commands.push(registry::own_buckets(layout, &owner));
        }
    }
    Ok(Plan { atomic: commands.len() > 1, commands })
}
