//! Publishing over Kombu's Redis wire, as data.

use keyrail_core::{
    ExchangeId, ExchangeKind, Message, Outcome, PublishError, Router, Routes,
    kombu::{Envelope, Json, Layout, Plan, plan},
};
use serde::Serialize;

use crate::{
    fields::{Fields, Read, wrong},
    node::Node,
};

/// Where a message goes, and what that asks of its copies.
pub(crate) struct Address {
    exchange: Box<str>,
    /// Text, unlike an AMQP key: it stands in JSON and in names of keys.
    routing_key: Box<str>,
    return_to_queue: bool,
    layout: Layout,
    /// One for each copy.
    delivery_tags: Vec<String>,
}

/// What is published, its address apart.
pub(crate) struct Content {
    headers: Vec<(String, Json)>,
    body: Vec<u8>,
    content_type: Box<str>,
    content_encoding: Box<str>,
    properties: Vec<(String, Json)>,
    priority: Option<Json>,
    expiration: Option<u64>,
    transient: bool,
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
    pub(crate) fn read(node: &Node) -> Read<Self> {
        let fields = Fields::of(node)?;
        let tags = fields.list("deliveryTags")?.iter().map(|tag| match tag {
            Node::Text(tag) => Ok((**tag).into()),
            _ => Err(wrong("deliveryTags")),
        });
        Ok(Address {
            exchange: fields.text("exchange")?,
            routing_key: fields.text("routingKey")?,
            return_to_queue: fields.flag("returnToQueue")?,
            layout: fields.layout()?,
            delivery_tags: tags.collect::<Read<_>>()?,
        })
    }

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
    pub(crate) fn read(node: &Node) -> Read<Self> {
        let fields = Fields::of(node)?;
        Ok(Content {
            headers: fields.members("headers")?,
            body: fields.bytes("body")?.to_vec(),
            content_type: fields.text("contentType")?,
            content_encoding: fields.text("contentEncoding")?,
            properties: fields.members("properties")?,
            priority: fields.json("priority")?,
            expiration: fields.size("expiration")?,
            transient: fields.flag("transient")?,
        })
    }

    pub(crate) fn envelope(&self) -> Envelope {
        let mut envelope = Envelope::bytes(self.body.as_slice())
            .content_type(&self.content_type)
            .content_encoding(&self.content_encoding);
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "BCC") {
            envelope = envelope.header(name, value.clone());
        }
        for (name, value) in &self.properties {
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
