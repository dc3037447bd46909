//! Publishing over Kombu's Redis wire, as data.

use keyrail_core::{
    ExchangeId, ExchangeKind, Message, Outcome, PublishError, Router, Routes,
    kombu::{Envelope, Json, Layout, Plan, plan},
};
use serde::{Deserialize, Serialize};

/// Where a message goes, and what that asks of its copies.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Address {
    exchange: Box<str>,
    /// Text, unlike an AMQP key: it stands in JSON and in names of keys.
    routing_key: Box<str>,
    #[serde(default)]
    return_to_queue: bool,
    #[serde(default)]
    layout: Layout,
    /// One for each copy.
    delivery_tags: Vec<String>,
}

/// What is published, its address apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Content {
    headers: Option<Json>,
    #[serde(deserialize_with = "bytes")]
    body: Vec<u8>,
    content_type: Box<str>,
    content_encoding: Box<str>,
    properties: Option<Json>,
    priority: Option<Json>,
    expiration: Option<u64>,
    #[serde(default)]
    transient: bool,
}

fn bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    keyrail_core::ByteString::deserialize(deserializer).map(|bytes| bytes.to_vec())
}

/// A plan as JavaScript sees it.
#[derive(Serialize)]
pub(crate) struct PlanValue {
    outcome: &'static str,
    queues: Vec<String>,
    /// Whether the commands belong between `MULTI` and `EXEC`.
    atomic: bool,
    /// The name of each command and its arguments. All of them are text: what is published is JSON in ASCII.
    commands: Vec<Vec<String>>,
}

impl Address {
    /// The message as far as the address tells: Celery routes by nothing else.
    pub(crate) fn message(&self, router: &Router) -> Result<(ExchangeId, Message<'_>), PublishError> {
        router.message(&self.exchange, &*self.routing_key, None)
    }

    /// What Kombu does with a message of this kind of exchange: a fanout is PUB/SUB, the default exchange pushes to the
    /// list that the key names, declared or not; everything else pushes to the queues of the route.
    pub(crate) fn plan(
        &self,
        router: &Router,
        id: ExchangeId,
        message: &Message<'_>,
        envelope: &Envelope,
        routes: &mut Routes,
    ) -> PlanValue {
        let outcome = router.route(id, message, routes);
        let mut queues: Vec<&str> = routes.into_iter().filter_map(|queue| router.queue_name(queue)).collect();
        let mut tags = self.delivery_tags.iter().cloned();
        let mut tag = || tags.next().unwrap_or_default();

        let mut publish = plan::Publish::new(&self.exchange, &*self.routing_key, envelope);
        publish.return_to_queue = self.return_to_queue;
        let kind = router.exchange_properties(id).map(|exchange| exchange.kind());
        let (outcome, plan) = if id == Router::DEFAULT_EXCHANGE {
            queues = vec![&self.routing_key];
            (Outcome::Routed, plan::publish_default(&self.layout, &self.routing_key, envelope, &tag()))
        } else if kind == Some(ExchangeKind::Fanout) {
            (outcome, plan::publish_fanout(&self.layout, &publish, &tag()))
        } else {
            (outcome, plan::publish(&self.layout, &publish, queues.iter().copied(), tag))
        };
        PlanValue::new(outcome, &queues, &plan)
    }
}

impl Content {
    pub(crate) fn envelope(&self) -> Envelope {
        let mut envelope = Envelope::bytes(self.body.as_slice())
            .content_type(&self.content_type)
            .content_encoding(&self.content_encoding);
        for (name, value) in members(&self.headers).filter(|(name, _)| name != "BCC") {
            envelope = envelope.header(name, value.clone());
        }
        for (name, value) in members(&self.properties) {
            envelope = envelope.property(name, value.clone());
        }
        if let Some(priority) = &self.priority {
            envelope = envelope.priority(priority.clone());
        }
        if let Some(milliseconds) = self.expiration {
            envelope = envelope.expiration_ms(milliseconds);
        }
        if self.transient { envelope.transient() } else { envelope }
    }
}

pub(crate) fn members(json: &Option<Json>) -> impl Iterator<Item = &(String, Json)> {
    match json {
        Some(Json::Object(members)) => members.iter(),
        _ => [].iter(),
    }
}

impl PlanValue {
    fn new(outcome: Outcome, queues: &[&str], plan: &Plan) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        PlanValue {
            outcome: outcome.as_str(),
            queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
            atomic: plan.atomic,
            commands: plan
                .commands
                .iter()
                .map(|command| command.args().iter().map(|bytes| text(bytes)).collect())
                .collect(),
        }
    }
}
