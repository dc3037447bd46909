use keyrail_core::{ByteString, ExchangeId, Message, Outcome, PublishError, Router, Table, Trace};
use serde::Serialize;

use crate::{
    arguments,
    fields::{Fields, Read},
    node::Node,
};

/// A message on its way in.
pub(crate) struct Publish {
    exchange: Box<str>,
    routing_key: ByteString,
    headers: Option<Table>,
    message_id: Option<Box<str>>,
    correlation_id: Option<Box<str>>,
    timestamp: Option<u64>,
}

impl Publish {
    pub(crate) fn read(node: &Node) -> Read<Self> {
        let fields = Fields::of(node)?;
        Ok(Publish {
            exchange: fields.text("exchange")?,
            routing_key: fields.bytes("routingKey")?,
            headers: fields.get("headers").map(arguments::table).transpose()?,
            message_id: fields.maybe_text("messageId")?,
            correlation_id: fields.maybe_text("correlationId")?,
            timestamp: fields.size("timestamp")?,
        })
    }

    pub(crate) fn message(&self, router: &Router) -> Result<(ExchangeId, Message<'_>), PublishError> {
        let (id, mut message) = router.message(&self.exchange, &self.routing_key, self.headers.as_ref())?;
        if let Some(id) = &self.message_id {
            message = message.message_id(&**id);
        }
        if let Some(id) = &self.correlation_id {
            message = message.correlation_id(&**id);
        }
        if let Some(seconds) = self.timestamp {
            message = message.timestamp(seconds);
        }
        Ok((id, message))
    }
}

/// A trace with its outcome, for programs and for people.
#[derive(Serialize)]
pub(crate) struct Explained<'a> {
    outcome: &'static str,
    #[serde(flatten)]
    trace: &'a Trace,
    text: String,
}

impl<'a> Explained<'a> {
    pub(crate) fn new(outcome: Outcome, trace: &'a Trace) -> Self {
        Explained { outcome: outcome.as_str(), trace, text: trace.to_string() }
    }
}
