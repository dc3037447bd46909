//! From a message to the commands that deliver it.

use std::collections::HashSet;

use keyrail_core::{
    ByteString, DestinationName, Dialect, ExchangeKind, Hop, Match, Message, Outcome, Router, Table, Trace,
    Value,
    kombu::{Envelope, Json, Layout, Plan, plan},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{ExecuteError, HostError, Reply, load, names};

/// A message to be published.
///
/// ```
/// use keyrail_core::{Table, Topology, kombu::{Envelope, Layout}};
/// use keyrail_redis::{Host, Memory, Outgoing};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let topology = Topology::from_lines(r#"pages headers: {kind: "invoice"} -> billing"#).unwrap();
/// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
/// let headers = Table::from_iter([("kind", "invoice")]);
/// let page = Outgoing { headers, ..Outgoing::new("pages", "", Envelope::text("42 EUR")) };
/// assert_eq!(host.publish(&page).await.unwrap().queues, ["billing"]);
/// assert_eq!(host.get("billing").await.unwrap().unwrap().headers["kind"], "invoice");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The exchange; empty for the default exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: ByteString,
    /// The headers: routing compares them, and every copy carries them, `BCC` apart.
    pub headers: Table,
    /// Body, properties and priority.
    pub envelope: Envelope,
    /// Whether each copy names its queue as its address; see [`plan::Publish::return_to_queue`].
    pub return_to_queue: bool,
}

impl Outgoing {
    /// A message without headers.
    pub fn new(exchange: &str, routing_key: &(impl AsRef<[u8]> + ?Sized), envelope: Envelope) -> Self {
        Outgoing {
            exchange: exchange.into(),
            routing_key: routing_key.as_ref().into(),
            headers: Table::new(),
            envelope,
            return_to_queue: false,
        }
    }
}

/// Refuses what cannot be written: on the default exchange a routing key names a queue, and a Kombu that puts a message
/// back there pushes it into the list of that name.
///
/// # Cost
/// The default exchange alone: two scans of the key, for UTF-8 and for one byte.
pub(crate) fn check_address(layout: &Layout, exchange: &str, routing_key: &[u8]) -> Result<(), HostError> {
    if !exchange.is_empty() {
        return Ok(());
    }
    names::check_queue(layout, routing_key)?;
    if std::str::from_utf8(routing_key).is_err() {
        let key = ByteString::from(routing_key);
        let reason = format!(
            "on the default exchange a routing key names a queue, and `{key}` is no UTF-8 as names are"
        );
        return Err(HostError::NotExpressible { reason: reason.into() });
    }
    Ok(())
}

/// The message with the properties by which a consistent-hash exchange may choose.
pub(crate) fn hashed<'m>(message: Message<'m>, envelope: &'m Envelope) -> Message<'m> {
    let property = |name| envelope.property_value(name);
    let text = |name| property(name).and_then(Json::as_str);
    let message = match text("message_id") {
        Some(id) => message.message_id(id),
        None => message,
    };
    let message = match text("correlation_id") {
        Some(id) => message.correlation_id(id),
        None => message,
    };
    match property("timestamp") {
        Some(Json::Int(seconds)) => match u64::try_from(*seconds) {
            Ok(seconds) => message.timestamp(seconds),
            Err(_) => message,
        },
        _ => message,
    }
}

/// The envelope with all headers of the message that a consumer may see.
pub(crate) fn sealed(envelope: Envelope, message: &Message<'_>) -> Envelope {
    message.delivered_headers().fold(envelope, |envelope, (name, value)| {
        envelope.header(&String::from_utf8_lossy(name), json_of(value))
    })
}

/// Where a message would go.
///
/// ```
/// use keyrail_core::{Outcome, Topology, kombu::{Envelope, Layout}};
/// use keyrail_redis::{Host, Memory, Outgoing};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let topology = Topology::from_lines("orders topic: order.# -> audit\norders: *.paid -> billing").unwrap();
/// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
/// let routed = host.route(&Outgoing::new("orders", "order.new", Envelope::text("x"))).await.unwrap();
/// assert_eq!((routed.outcome, &routed.queues[..]), (Outcome::Routed, &["audit".to_owned()][..]));
/// assert_eq!(routed.trace.hops()[0].matches[0].binding.routing_key, "order.#".into(), "this is why");
/// assert_eq!(serde_json::to_value(&routed).unwrap()["queues"][0], "audit");
/// # });
/// ```
///
/// # JSON
/// `{"outcome": "routed", "queues": ["audit"], "hops": […], "nearMisses": […], "channels": […], "guessed": […]}`, the last
/// three only where there are any: the same for `route` and `explain`, from the command and over HTTP.
#[derive(Debug)]
pub struct Routed {
    /// Routed if at least one queue gets a copy.
    pub outcome: Outcome,
    /// The queues that get a copy, each once.
    pub queues: Vec<String>,
    /// The channels on which whoever listens at that moment hears it too.
    pub channels: Vec<Channel>,
    /// The exchanges on the way whose type is a guess; see [`load::is_guessed`].
    pub guessed: Vec<String>,
    /// Why. A queue that only listens to a channel is among those of the trace.
    pub trace: Trace,
}

/// The channel of a fanout exchange, as Kombu has them: nothing of it waits for anybody.
///
/// ```
/// use keyrail_core::{ExchangeKind, kombu::{Envelope, Layout}};
/// use keyrail_redis::{Host, Memory, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options { kinds, ..Default::default() });
/// let routed = host.route(&Outgoing::new("news", "", Envelope::text("x"))).await.unwrap();
/// assert_eq!(routed.channels[0].channel, "/0.news");
/// assert!(routed.channels[0].listeners.is_empty(), "nobody is bound");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// The exchange.
    pub exchange: String,
    /// The channel in Redis.
    pub channel: String,
    /// The queues whose consumers hear this message there, if they run.
    pub listeners: Vec<String>,
}

impl Serialize for Routed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("outcome", self.outcome.as_str())?;
        map.serialize_entry("queues", &self.queues)?;
        map.serialize_entry("hops", self.trace.hops())?;
        if !self.trace.near_misses().is_empty() {
            map.serialize_entry("nearMisses", self.trace.near_misses())?;
        }
        if !self.channels.is_empty() {
            map.serialize_entry("channels", &self.channels)?;
        }
        if !self.guessed.is_empty() {
            map.serialize_entry("guessed", &self.guessed)?;
        }
        map.end()
    }
}

/// Where a message went.
///
/// ```
/// use keyrail_core::{Outcome, Topology, kombu::{Envelope, Layout}};
/// use keyrail_redis::{Host, Memory, Outgoing};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let topology = Topology::from_lines("orders topic: order.*.paid -> billing").unwrap();
/// let host = Host::fixed(Memory::new(), Layout::default(), topology.router().unwrap());
/// let paid = host.publish(&Outgoing::new("orders", "order.eu.paid", Envelope::text("x"))).await.unwrap();
/// assert_eq!((paid.outcome, &*paid.queues), (Outcome::Routed, &["billing".to_owned()][..]));
/// let lost = host.publish(&Outgoing::new("orders", "order.lost", Envelope::text("x"))).await.unwrap();
/// assert_eq!(lost.outcome, Outcome::Unroutable);
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Routed if at least one queue or subscriber got it.
    pub outcome: Outcome,
    /// The queues that hold a copy now.
    pub queues: Vec<String>,
    /// The fanout channels on which it was sent.
    pub fanout: Vec<Fanout>,
    /// The exchanges on the way whose type is a guess; see [`load::is_guessed`].
    pub guessed: Vec<String>,
}

/// What a publish would do.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{Executor, Host, Memory, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let outgoing = Outgoing::new("", "jobs", Envelope::text("x"));
/// let planned = host.plan_publish(&outgoing).await.unwrap();
/// assert_eq!((&*planned.routed.queues[0], planned.plan.commands[0].name()), ("jobs", "LPUSH"));
/// assert_eq!(host.count("jobs").await.unwrap(), 0);
/// host.executor().run(&planned.plan).await.unwrap();
/// assert_eq!(host.count("jobs").await.unwrap(), 1);
/// # });
/// ```
#[derive(Debug)]
pub struct Planned {
    /// Where the message would go.
    pub routed: Routed,
    /// The commands; none if nobody could get it.
    pub plan: Plan,
}

/// A publish on a PUB/SUB channel, as Kombu delivers fanout.
///
/// ```
/// use keyrail_core::{ExchangeKind, Outcome, kombu::{Envelope, Layout}};
/// use keyrail_redis::{Host, Memory, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options { kinds, ..Default::default() });
/// let news = Outgoing::new("news", "", Envelope::text("hello"));
/// assert_eq!(host.publish(&news).await.unwrap().outcome, Outcome::Unroutable);
///
/// let listener = host.listen("news", "").await.unwrap();
/// assert_eq!(host.publish(&news).await.unwrap().fanout[0].receivers, 1);
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fanout {
    /// The exchange.
    pub exchange: String,
    /// The channel.
    pub channel: String,
    /// How many were listening; a message for nobody is gone.
    pub receivers: i64,
}

/// Routes with the checks of a broker's publish, and writes down why, with as many near misses as are asked for.
pub(crate) fn route(
    router: &Router,
    layout: &Layout,
    outgoing: &Outgoing,
    near_misses: usize,
) -> Result<Routed, HostError> {
    let (id, message) = router.message(&outgoing.exchange, &outgoing.routing_key, Some(&outgoing.headers))?;
    // What random exchanges choose by.
    let message = hashed(message, &outgoing.envelope).random(uuid::Uuid::new_v4().as_u64_pair().0);
    let mut trace = Trace::new().with_near_misses(near_misses);
    let _ = router.explain(id, &message, &mut trace);
    let Ways { queues, fanout } = Ways::of(&trace);
    let key = String::from_utf8_lossy(&outgoing.routing_key);
    let channels = fanout.into_iter().map(|exchange| Channel {
        channel: layout.fanout_channel(&exchange, &key),
        listeners: listeners(&trace, &exchange),
        exchange,
    });
    let channels = channels.collect();
    let outcome = if queues.is_empty() { Outcome::Unroutable } else { Outcome::Routed };
    let guessed = guessed(router, &trace);
    Ok(Routed { outcome, queues, channels, guessed, trace })
}

fn guessed(router: &Router, trace: &Trace) -> Vec<String> {
    let asked = trace.hops().iter().map(|hop| &*hop.exchange);
    let is_guessed = |name: &&str| {
        let properties = router.exchange(name).and_then(|id| router.exchange_properties(id));
        properties.is_some_and(|exchange| load::is_guessed(exchange.argument_table()))
    };
    asked.filter(is_guessed).map(str::to_owned).collect()
}

/// Whether the binding is a subscription of Kombu's, whose queue has no list that anybody reads.
fn listens(hop: &Hop, matched: &Match) -> bool {
    hop.kind == ExchangeKind::Fanout && matched.binding.dialect != Dialect::Amqp
}

fn listeners(trace: &Trace, exchange: &str) -> Vec<String> {
    let here = trace.hops().iter().filter(|hop| *hop.exchange == *exchange);
    let listening = here.flat_map(|hop| hop.matches.iter().filter(move |matched| listens(hop, matched)));
    listening.map(|matched| matched.binding.destination.name().to_owned()).collect()
}

/// The ways out of a trace: queues with a list of their own, and fanout exchanges with a channel.
///
/// A fanout binding of a Kombu dialect is a subscription. One of the dialect `amqp` is keyrail's own and gets a copy that
/// waits.
pub(crate) struct Ways {
    pub(crate) queues: Vec<String>,
    pub(crate) fanout: Vec<String>,
}

impl Ways {
    pub(crate) fn of(trace: &Trace) -> Self {
        let mut ways = Ways { queues: Vec::new(), fanout: Vec::new() };
        let mut known = HashSet::new();
        for hop in trace.hops() {
            if hop.kind == ExchangeKind::Fanout {
                ways.fanout.push(hop.exchange.to_string());
            }
            for matched in &hop.matches {
                if let DestinationName::Queue(queue) = &matched.binding.destination
                    && !listens(hop, matched)
                    && known.insert(&**queue)
                {
                    ways.queues.push(queue.to_string());
                }
            }
        }
        ways
    }

    /// One push per queue, one publish per fanout exchange, all at once.
    pub(crate) fn plan(
        &self,
        layout: &Layout,
        publish: &plan::Publish<'_>,
        mut tags: impl FnMut() -> String,
    ) -> Plan {
        let queues = self.queues.iter().map(String::as_str);
        let mut commands = plan::publish(layout, publish, queues, &mut tags).commands;
        for exchange in &self.fanout {
            let publish = plan::Publish { exchange, ..*publish };
            commands.extend(plan::publish_fanout(layout, &publish, &tags()).commands);
        }
        Plan { atomic: commands.len() > 1, commands }
    }

    /// The answers to a plan whose commands went each its own way.
    ///
    /// # Errors
    /// What stopped the first queue that has no copy, and those that have theirs.
    pub(crate) fn all(
        &self,
        answers: Vec<Result<Reply, ExecuteError>>,
    ) -> Result<Vec<Reply>, (Vec<String>, ExecuteError)> {
        let done = self.queues.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        let done = done.map(|(queue, _)| queue.clone()).collect();
        answers.into_iter().collect::<Result<_, _>>().map_err(|error| (done, error))
    }
}

/// A header as Kombu's JSON has it. Bytes that are not UTF-8 are shown, not kept: JSON has no word for them.
///
/// ```
/// use keyrail_core::{Table, Value};
/// use keyrail_redis::json_of;
///
/// let header = Value::Table(Table::from_iter([("x-count", Value::I32(3)), ("x-seen", Value::Bool(true))]));
/// assert_eq!(json_of(&header).to_python(), r#"{"x-count": 3, "x-seen": true}"#);
/// ```
///
/// # Cost
/// A copy of the value.
pub fn json_of(value: &Value) -> Json {
    match value {
        Value::LongString(text) | Value::ByteArray(text) => Json::from(text.to_string()),
        Value::I8(number) => Json::Int((*number).into()),
        Value::U8(number) => Json::Int((*number).into()),
        Value::I16(number) => Json::Int((*number).into()),
        Value::U16(number) => Json::Int((*number).into()),
        Value::I32(number) => Json::Int((*number).into()),
        Value::U32(number) => Json::Int((*number).into()),
        Value::I64(number) => Json::Int(*number),
        Value::Timestamp(seconds) => Json::Int(i64::try_from(*seconds).unwrap_or(i64::MAX)),
        Value::F32(number) => Json::Float((*number).into()),
        Value::F64(number) => Json::Float(*number),
        Value::Decimal { scale, digits } => Json::Float(f64::from(*digits) / 10f64.powi((*scale).into())),
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Void => Json::Null,
        Value::Array(values) => values.iter().map(json_of).collect(),
        Value::Table(table) => {
            table.iter().map(|(name, value)| (String::from_utf8_lossy(name), json_of(value))).collect()
        }
    }
}
