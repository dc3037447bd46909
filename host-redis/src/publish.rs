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
#[derive(Debug)]
pub struct Planned {
    /// Where the message would go.
    pub routed: Routed,
    /// The commands; none if nobody could get it.
    pub plan: Plan,
}

/// A publish on a PUB/SUB channel, as Kombu delivers fanout.
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
