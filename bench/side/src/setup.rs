//! What the measurements find in Redis.

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeDefinition, ExchangeKind, QueueDefinition, Table,
    Topology,
};
use keyrail_redis::{Host, Message, Producer, Redis};

use crate::publish;

/// A topic exchange with so many bindings; `order.<n>.paid` reaches one queue.
pub(crate) async fn bind(host: &Host<Redis>, exchange: &str, bindings: usize) {
    let queue = |n: usize| format!("{exchange}.{n}");
    let topology = Topology {
        exchanges: vec![ExchangeDefinition::durable(exchange, ExchangeKind::Topic)],
        queues: (0..bindings)
            .map(|n| QueueDefinition {
                name: queue(n).into(),
                durable: true,
                auto_delete: false,
                exclusive: false,
                arguments: Table::new(),
            })
            .collect(),
        bindings: (0..bindings)
            .map(|n| BindingDefinition {
                source: exchange.into(),
                destination: DestinationName::Queue(queue(n).into()),
                routing_key: format!("order.{n}.*").into(),
                arguments: Table::new(),
                dialect: Dialect::Kombu57,
                pattern: None,
            })
            .collect(),
        policies: Vec::new(),
    };
    host.import(&topology, Dialect::Kombu57).await.expect("imported");
}

/// Messages for a consumer.
pub(crate) async fn fill(producer: &Producer, queue: &str, count: usize, text: &str) {
    let messages = vec![Message::value(publish::body(text)).exchange("").routing_key(queue); count];
    for answer in producer.publish_all(&messages).await {
        answer.expect("published");
    }
}
