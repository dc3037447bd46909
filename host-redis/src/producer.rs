//! Publishing as Kombu's `Producer` does, by tables that are kept.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use ::redis::Value;
use futures_util::future::join_all;
use keyrail_core::{
    Message as Routed, Outcome,
    kombu::{Command, Envelope, Layout, Plan, plan},
};
use uuid::Uuid;

use crate::{
    Connection, Executor, Fanout, Freshness, HostError, Redis, Reply,
    executor::{Commands, Ran},
    expiring::Expiring,
    publish::{Ways, sealed},
    registry,
    table::{Reach, Tables},
};

mod batch;
mod confirm;
mod declare;
mod message;
mod once;
mod options;
mod push;
mod replicas;
mod route;
mod strict;

pub use confirm::{Confirm, ProduceError};
use declare::Declared;
pub use message::{Message, Serializer};
pub use options::ProducerOptions;

/// Publishes. One producer serves any number of tasks over one connection, and reconnects by itself.
///
/// ```no_run
/// use keyrail_redis::{Connection, Message, Producer, ProducerOptions};
///
/// # async fn publish() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = Connection::new("redis://127.0.0.1/0")?;
/// let producer = Producer::connect(&connection, ProducerOptions::new().exchange("orders")).await?;
/// let confirm = producer.publish(&Message::json(&[1, 2])?.routing_key("order.eu.paid")).await?;
/// println!("{} queues have it", confirm.queues.len());
/// # Ok(())
/// # }
/// ```
///
/// # Cost
/// Once the tables of an exchange are read, one `LPUSH` per copy and nothing else, however many bindings there are.
pub struct Producer {
    redis: Redis,
    layout: Layout,
    deadletter_queue: Option<String>,
    tables: Arc<Tables>,
    options: ProducerOptions,
    tags: Tags,
    /// The strict way guards its connection, one publish at a time.
    strict: tokio::sync::Mutex<()>,
    /// One waits for replicas at a time.
    waiting: tokio::sync::Mutex<()>,
    declared: tokio::sync::Mutex<Declared>,
    /// What of the declarations expires.
    expiring: Option<Expiring>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("redis", &self.redis).finish_non_exhaustive()
    }
}

/// Delivery tags: one random number for the producer, counted on. Their text is a UUID's, as Kombu's are.
struct Tags {
    first: u128,
    messages: AtomicU64,
}

/// Room for the command of a small message.
const ROOM: usize = 768;
/// The copies of one message have tags in a row.
const COPIES: u32 = 24;

impl Tags {
    fn of_message(&self) -> u128 {
        let message = u128::from(self.messages.fetch_add(1, Relaxed));
        self.first.wrapping_add(message << COPIES)
    }
}

/// What is published, and where to.
#[derive(Clone, Copy)]
struct Asked<'m> {
    message: &'m Message,
    exchange: &'m str,
    routing_key: &'m [u8],
    tag: u128,
}

/// A message that only lacks its queues.
struct Prepared<'m> {
    asked: Asked<'m>,
    /// With all headers.
    envelope: Cow<'m, Envelope>,
}

impl Producer {
    /// Connects.
    ///
    /// ```
    /// use keyrail_redis::{Connection, Producer, ProducerOptions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    /// let nobody = Connection::new(&format!("redis://127.0.0.1:{port}")).unwrap(); // listens there
    /// let error = Producer::connect(&nobody, ProducerOptions::new()).await.unwrap_err();
    /// assert_eq!(error.code(), "redis-unreachable");
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of [`Connection::connect`]; a server before Redis 6 cannot announce changes, and takes only
    /// [`Freshness::EachPublish`].
    pub async fn connect(connection: &Connection, options: ProducerOptions) -> Result<Self, HostError> {
        if options.freshness == Freshness::Strict && connection.is_cluster() {
            let reason = "a strict producer guards one connection, and a cluster is many servers";
            return Err(HostError::NotExpressible { reason: reason.into() });
        }
        let layout = connection.options().layout.clone();
        let tables = Arc::new(Tables::new(
            layout.clone(),
            options.tables.clone(),
            options.freshness,
            connection.is_cluster(),
        ));
        let redis = Redis::open(connection, tables.tracking(), Some(tables.clone())).await?;
        let expiring = options.declare.as_ref().and_then(|(topology, _)| Expiring::of(topology));
        Ok(Producer {
            redis,
            layout,
            deadletter_queue: connection.options().deadletter_queue.clone(),
            tables,
            options: ProducerOptions {
                retry: options.retry.or(connection.options().retry_policy),
                ..options
            },
            tags: Tags { first: Uuid::new_v4().as_u128(), messages: AtomicU64::new(0) },
            strict: tokio::sync::Mutex::new(()),
            waiting: tokio::sync::Mutex::new(()),
            declared: tokio::sync::Mutex::new(Declared::never()),
            expiring,
        })
    }

    /// Publishes a message: a copy for each queue, with a delivery tag of its own, all in one step on the server.
    ///
    /// On a cluster each copy is a step of its own, unless the prefix of all keys has a hash tag.
    ///
    /// ```no_run
    /// use keyrail_core::Outcome;
    /// use keyrail_redis::{Connection, Message, ProduceError, Producer, ProducerOptions};
    ///
    /// # async fn publish() -> Result<(), Box<dyn std::error::Error>> {
    /// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, ProducerOptions::new()).await?;
    /// let paid = Message::text("42 EUR").exchange("orders").routing_key("order.eu.paid");
    /// if producer.publish(&paid).await?.outcome == Outcome::Unroutable {
    ///     println!("nobody gets it");
    /// }
    /// if let Err(ProduceError::Returned { message, .. }) = producer.publish(&paid.mandatory(true)).await {
    ///     println!("nobody gets {message:?}, and somebody must");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An unknown or internal exchange, a mandatory message that nobody gets, a body that cannot be written; those of
    /// the connection once the retry policy is at its end. That nobody gets a message that is not mandatory is no error
    /// but an outcome.
    pub async fn publish(&self, message: &Message) -> Result<Confirm, ProduceError> {
        self.publish_prepared(&self.prepare(self.asked(message))?, 0).await
    }

    /// What the producer publishes to now, loaded if it has not been: the rows that it passes over because they cannot be
    /// routed by, and why.
    ///
    /// ```no_run
    /// use keyrail_redis::{Connection, Producer, ProducerOptions};
    ///
    /// # async fn quarantine() -> Result<(), Box<dyn std::error::Error>> {
    /// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, ProducerOptions::new()).await?;
    /// for row in producer.quarantine("orders").await? {
    ///     println!("{} {row}", row.reason.code());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`load::from_tables`](crate::load::from_tables).
    pub async fn quarantine(&self, exchange: &str) -> Result<Vec<crate::load::Quarantined>, HostError> {
        Ok(self.tables.reach(&self.redis, exchange).await?.quarantine.clone())
    }

    /// The connection's executor, for commands of other kinds.
    ///
    /// ```no_run
    /// use keyrail_redis::{Connection, Executor, Producer, ProducerOptions};
    ///
    /// # async fn redis() -> Result<(), Box<dyn std::error::Error>> {
    /// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, ProducerOptions::new()).await?;
    /// println!("{} has the clock at {}", producer.redis().describe(), producer.redis().now().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn redis(&self) -> &Redis {
        &self.redis
    }

    fn asked<'m>(&'m self, message: &'m Message) -> Asked<'m> {
        Asked {
            message,
            exchange: message.exchange.as_deref().unwrap_or(&self.options.exchange),
            routing_key: message.routing_key.as_deref().unwrap_or(self.options.routing_key.as_bytes()),
            tag: self.tags.of_message(),
        }
    }

    fn prepare<'m>(&self, asked: Asked<'m>) -> Result<Prepared<'m>, ProduceError> {
        crate::publish::check_address(&self.layout, asked.exchange, asked.routing_key)?;
        let envelope = asked.message.seal(self.options.serializer, self.options.compression)?;
        let headers = &asked.message.headers;
        let envelope = match Routed::new(asked.routing_key).headers(headers) {
            Ok(routed) if !headers.is_empty() => Cow::Owned(sealed(envelope.into_owned(), &routed)),
            // What is no message is refused by routing, after a broker's other checks.
            _ => envelope,
        };
        Ok(Prepared { asked, envelope })
    }

    async fn publish_prepared(&self, prepared: &Prepared<'_>, before: u32) -> Result<Confirm, ProduceError> {
        let mut waits = self.options.retry.into_iter().flat_map(crate::RetryPolicy::waits).fuse();
        let mut attempts = before;
        loop {
            attempts += 1;
            match self.attempt(prepared).await {
                Ok(confirm) => return Ok(Confirm { attempts, ..confirm }),
                Err(error) if self.may_try_again(&error) => match waits.next() {
                    Some(wait) => {
                        tracing::warn!(code = error.code(), "{error}; trying again in {wait:?}");
                        tokio::time::sleep(wait).await;
                    }
                    None => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
    }

    /// Copies that some servers of a cluster have may be sent again only where that leaves no second one.
    fn may_try_again(&self, error: &ProduceError) -> bool {
        match error {
            ProduceError::PartlyPublished { error, .. } => {
                self.options.once.is_some() && error.is_temporary()
            }
            other => other.is_temporary(),
        }
    }

    async fn attempt(&self, prepared: &Prepared<'_>) -> Result<Confirm, ProduceError> {
        self.declare_once().await?;
        let (confirm, epoch) = match self.options.freshness {
            Freshness::Strict => Box::pin(self.strictly(prepared)).await?,
            _ => self.at_once(prepared).await?,
        };
        Ok(Confirm { replicas: self.replicate(epoch).await, ..confirm })
    }

    /// Publishes by the tables that are known, and says on which connection.
    async fn at_once(&self, prepared: &Prepared<'_>) -> Result<(Confirm, u64), ProduceError> {
        let (reach, mut ways) = self.declared_ways(prepared).await?;
        let dead_lettered = self.dead_letter(&mut ways);
        self.check_mandatory(&prepared.asked, is_nowhere(&ways))?;
        let epoch = self.redis.link().epoch();
        let mut push = Commands::to(&self.redis, 1, ROOM);
        if self.add_push(&mut push, prepared, &ways, reach.as_deref()) {
            let answer = push.send(&self.redis).await?.next().unwrap_or(Ok(Value::Nil))?;
            self.pushed(&ways, prepared.envelope.priority_of(), answer)?;
            return Ok((self.confirm(&prepared.asked, ways, &[], &[], dead_lettered)?, epoch));
        }
        let plan = self.plan(prepared, &ways, reach.as_deref());
        Ok((self.carry_out(prepared, ways, &plan, dead_lettered).await?, epoch))
    }

    /// Where the message goes, and by which table.
    async fn ways(&self, prepared: &Prepared<'_>) -> Result<(Option<Arc<Reach>>, Ways), HostError> {
        let reach = self.reach(prepared.asked.exchange).await?;
        let ways = self.ways_by(reach.as_deref(), prepared)?;
        Ok((reach, ways))
    }

    /// The table of an exchange; the default exchange needs none.
    async fn reach(&self, exchange: &str) -> Result<Option<Arc<Reach>>, HostError> {
        if exchange.is_empty() && !self.options.declared_queues_only {
            return Ok(None);
        }
        self.redis.link().hear();
        self.tables.reach(&self.redis, exchange).await.map(Some)
    }

    fn ways_by(&self, reach: Option<&Reach>, prepared: &Prepared<'_>) -> Result<Ways, HostError> {
        let Asked { message: Message { headers, .. }, routing_key, .. } = prepared.asked;
        match reach {
            Some(reach) => route::by_table(reach, prepared),
            None => route::by_name(&self.layout, routing_key, headers, self.options.tables.limits.key_bytes),
        }
    }

    /// Sends what nobody gets to the dead-letter queue.
    fn dead_letter(&self, ways: &mut Ways) -> bool {
        match &self.deadletter_queue {
            Some(queue) if is_nowhere(ways) => {
                ways.queues.push(queue.clone());
                true
            }
            _ => false,
        }
    }

    /// Gives a mandatory message back that reaches nobody.
    fn check_mandatory(&self, asked: &Asked<'_>, nobody: bool) -> Result<(), ProduceError> {
        let mandatory = asked.message.mandatory.unwrap_or(self.options.mandatory);
        if !mandatory || !nobody {
            return Ok(());
        }
        Err(ProduceError::Returned {
            exchange: asked.exchange.into(),
            routing_key: asked.routing_key.into(),
            message: Box::new(asked.message.clone()),
        })
    }

    fn plan(&self, prepared: &Prepared<'_>, ways: &Ways, reach: Option<&Reach>) -> Plan {
        let Prepared { asked, envelope } = prepared;
        let mut next = asked.tag;
        let tags = || {
            next = next.wrapping_add(1);
            Uuid::from_u128(next).to_string()
        };
        let publish = plan::Publish {
            return_to_queue: asked.message.return_to_queue,
            ..plan::Publish::new(asked.exchange, asked.routing_key, envelope)
        };
        let mut plan = ways.plan(&self.layout, &publish, tags);
        // The lists of an expiring queue live on with each push.
        for queue in &ways.queues {
            if let Some(expires) = reach.and_then(|reach| expires_ms(reach, queue)) {
                plan.commands.extend(plan::keep_alive(&self.layout, queue, expires).commands);
            }
        }
        plan.atomic = plan.commands.len() > 1 && !self.redis.link().spreads();
        plan
    }

    async fn carry_out(
        &self,
        prepared: &Prepared<'_>,
        ways: Ways,
        plan: &Plan,
        dead_lettered: bool,
    ) -> Result<Confirm, ProduceError> {
        if plan.commands.is_empty() {
            // Who publishes to nobody in a loop must not keep the connection from hearing of a change.
            tokio::task::yield_now().await;
            return self.confirm(&prepared.asked, ways, &[], &[], dead_lettered);
        }
        let spread = self.redis.link().spreads();
        let ran = match self.once(prepared, &ways, dead_lettered) {
            Some(once) if !spread => self.redis.run_once(plan, &once).await?,
            None if plan.commands.len() == 1 || !spread => Ran::Now(self.redis.run(plan).await?),
            _ => Ran::Now(self.run_apart(prepared, &ways, plan).await?),
        };
        self.told(prepared, ways, plan, dead_lettered, ran)
    }

    /// On a cluster: the lists lie on several servers.
    async fn run_apart(
        &self,
        prepared: &Prepared<'_>,
        ways: &Ways,
        plan: &Plan,
    ) -> Result<Vec<Reply>, ProduceError> {
        let each = plan.commands.iter().map(|command| self.copy_once(prepared, command));
        ways.all(join_all(each).await).map_err(|(queues, error)| match queues.is_empty() {
            true => error.into(),
            false => ProduceError::PartlyPublished { queues, error },
        })
    }

    fn confirm(
        &self,
        asked: &Asked<'_>,
        ways: Ways,
        commands: &[Command],
        replies: &[Reply],
        dead_lettered: bool,
    ) -> Result<Confirm, ProduceError> {
        let mut fanout = Vec::new();
        for (command, reply) in commands.iter().zip(replies) {
            if let (Command::Publish { channel, .. }, Reply::Count(receivers)) = (command, reply) {
                let exchange = ways.fanout[fanout.len()].clone();
                fanout.push(Fanout { exchange, channel: channel.clone(), receivers: *receivers });
            }
        }
        let heard = fanout.iter().any(|sent| sent.receivers > 0);
        let outcome = if ways.queues.is_empty() && !heard { Outcome::Unroutable } else { Outcome::Routed };
        // Who listens to a channel is known only now.
        self.check_mandatory(asked, outcome == Outcome::Unroutable)?;
        Ok(Confirm { outcome, queues: ways.queues, fanout, dead_lettered, replicas: None, attempts: 1 })
    }
}

fn is_nowhere(ways: &Ways) -> bool {
    ways.queues.is_empty() && ways.fanout.is_empty()
}

/// The queue's argument `x-expires`.
fn expires_ms(reach: &Reach, queue: &str) -> Option<u64> {
    if !reach.expires {
        return None;
    }
    let properties = reach.router.queue_properties(reach.router.queue(queue)?)?;
    registry::expires_ms(properties.argument_table())
}
