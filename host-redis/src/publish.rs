//! From a message to the commands that deliver it.

use std::collections::HashSet;

use keyrail_core::{
    ByteString, DestinationName, Dialect, ExchangeKind, Message, Outcome, Router, Table, Trace, Value,
    kombu::{Envelope, Json, Layout, Plan, plan},
};

use crate::HostError;

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
pub(crate) fn check_address(exchange: &str, routing_key: &[u8]) -> Result<(), HostError> {
    if exchange.is_empty() && std::str::from_utf8(routing_key).is_err() {
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
#[derive(Debug)]
pub struct Routed {
    /// What routing came to.
    pub outcome: Outcome,
    /// The queues, each once.
    pub queues: Vec<String>,
    /// Why.
    pub trace: Trace,
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
}

/// A publish on a PUB/SUB channel, as Kombu delivers fanout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fanout {
    /// The exchange.
    pub exchange: String,
    /// The channel.
    pub channel: String,
    /// How many were listening; a message for nobody is gone.
    pub subscribers: i64,
}

/// Routes with the checks of a broker's publish, and writes down why.
pub(crate) fn route(router: &Router, outgoing: &Outgoing) -> Result<Routed, HostError> {
    let (id, message) = router.message(&outgoing.exchange, &outgoing.routing_key, Some(&outgoing.headers))?;
    // What random exchanges choose by.
    let message = hashed(message, &outgoing.envelope).random(uuid::Uuid::new_v4().as_u64_pair().0);
    let mut trace = Trace::new();
    let outcome = router.explain(id, &message, &mut trace);
    let queues = trace.queues().map(Into::into).collect();
    Ok(Routed { outcome, queues, trace })
}

/// The ways out of a trace: queues with a list of their own, and fanout exchanges with a channel.
///
/// A fanout binding of a Kombu dialect is a subscription: its queue has no list that anybody reads. One of the dialect
/// `amqp` is keyrail's own and gets a copy that waits.
pub(crate) struct Ways {
    pub(crate) queues: Vec<String>,
    pub(crate) fanout: Vec<String>,
}

impl Ways {
    pub(crate) fn of(trace: &Trace) -> Self {
        let mut ways = Ways { queues: Vec::new(), fanout: Vec::new() };
        let mut known = HashSet::new();
        for hop in trace.hops() {
            let fans_out = hop.kind == ExchangeKind::Fanout;
            if fans_out {
                ways.fanout.push(hop.exchange.to_string());
            }
            for matched in &hop.matches {
                let subscription = fans_out && matched.binding.dialect != Dialect::Amqp;
                if let DestinationName::Queue(queue) = &matched.binding.destination
                    && !subscription
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
