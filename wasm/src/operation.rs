//! Operations and topologies on their way in.

use keyrail_core::{
    ApplyTo, BindingDefinition, Change, DestinationName, Dialect, ExchangeBinding, ExchangeDefinition,
    Operation, PolicyDefinition, QueueBinding, QueueDefinition, Topology,
};

use crate::{
    fields::{Fields, Read, wrong},
    node::Node,
};

pub(crate) fn operation(node: &Node) -> Read<Operation> {
    let fields = Fields::of(node)?;
    let op = fields.text("op")?;
    Ok(match &*op {
        "exchange.declare" => Operation::ExchangeDeclare {
            exchange: fields.text("exchange")?,
            kind: fields.maybe_text("kind")?.unwrap_or_else(|| "direct".into()),
            passive: fields.flag("passive")?,
            durable: fields.flag("durable")?,
            auto_delete: fields.flag("autoDelete")?,
            internal: fields.flag("internal")?,
            arguments: fields.table("arguments")?,
        },
        "exchange.delete" => Operation::ExchangeDelete {
            exchange: fields.text("exchange")?,
            if_unused: fields.flag("ifUnused")?,
        },
        "queue.declare" => Operation::QueueDeclare {
            queue: fields.text("queue")?,
            passive: fields.flag("passive")?,
            durable: fields.flag("durable")?,
            auto_delete: fields.flag("autoDelete")?,
            exclusive: fields.flag("exclusive")?,
            arguments: fields.table("arguments")?,
        },
        "queue.delete" => Operation::QueueDelete {
            queue: fields.text("queue")?,
            if_unused: fields.flag("ifUnused")?,
            if_empty: fields.flag("ifEmpty")?,
        },
        "queue.bind" => Operation::QueueBind(queue_binding(fields)?),
        "queue.unbind" => Operation::QueueUnbind(queue_binding(fields)?),
        "exchange.bind" => Operation::ExchangeBind(exchange_binding(fields)?),
        "exchange.unbind" => Operation::ExchangeUnbind(exchange_binding(fields)?),
        "policy.set" => Operation::PolicySet(policy(fields)?),
        "policy.clear" => Operation::PolicyClear { name: fields.text("name")? },
        _ => return Err(wrong("op")),
    })
}

pub(crate) fn change(node: &Node) -> Read<Change> {
    let fields = Fields::of(node)?;
    let revision = fields.size("revision")?.ok_or_else(|| wrong("revision"))?;
    Ok(Change { revision, operation: operation(fields.get("operation").unwrap_or(&Node::Null))? })
}

pub(crate) fn topology(node: &Node) -> Read<Topology> {
    let fields = Fields::of(node)?;
    Ok(Topology {
        exchanges: each(fields, "exchanges", exchange)?,
        queues: each(fields, "queues", queue)?,
        bindings: each(fields, "bindings", binding)?,
        policies: each(fields, "policies", policy)?,
    })
}

fn each<T>(fields: Fields<'_>, name: &str, read: fn(Fields<'_>) -> Read<T>) -> Read<Vec<T>> {
    fields.list(name)?.iter().map(|node| read(Fields::of(node)?)).collect()
}

fn exchange(fields: Fields<'_>) -> Read<ExchangeDefinition> {
    let kind = fields.text("kind")?;
    Ok(ExchangeDefinition {
        name: fields.text("name")?,
        kind: kind.parse().map_err(|_| wrong("kind"))?,
        durable: fields.flag("durable")?,
        auto_delete: fields.flag("autoDelete")?,
        internal: fields.flag("internal")?,
        alternate_exchange: fields.maybe_text("alternateExchange")?,
        arguments: fields.table("arguments")?,
    })
}

fn queue(fields: Fields<'_>) -> Read<QueueDefinition> {
    Ok(QueueDefinition {
        name: fields.text("name")?,
        durable: fields.flag("durable")?,
        auto_delete: fields.flag("autoDelete")?,
        exclusive: fields.flag("exclusive")?,
        arguments: fields.table("arguments")?,
    })
}

fn binding(fields: Fields<'_>) -> Read<BindingDefinition> {
    let ends = Fields::of(fields.get("destination").ok_or_else(|| wrong("destination"))?)?;
    let destination = match (ends.maybe_text("queue")?, ends.maybe_text("exchange")?) {
        (Some(queue), None) => DestinationName::Queue(queue),
        (None, Some(exchange)) => DestinationName::Exchange(exchange),
        _ => return Err(wrong("destination")),
    };
    Ok(BindingDefinition {
        source: fields.text("source")?,
        destination,
        routing_key: fields.bytes("routingKey")?,
        arguments: fields.table("arguments")?,
        dialect: dialect(fields)?,
        pattern: fields.maybe_text("pattern")?,
    })
}

fn policy(fields: Fields<'_>) -> Read<PolicyDefinition> {
    Ok(PolicyDefinition {
        name: fields.text("name")?,
        pattern: fields.text("pattern")?,
        apply_to: apply_to(fields)?,
        priority: fields.integer("priority")?.unwrap_or_default(),
        definition: fields.table("definition")?,
    })
}

fn apply_to(fields: Fields<'_>) -> Read<ApplyTo> {
    match fields.maybe_text("applyTo")? {
        None => Ok(ApplyTo::All),
        Some(word) => {
            let known = ApplyTo::ALL.into_iter().find(|to| to.as_str() == &*word);
            known.ok_or_else(|| wrong("applyTo"))
        }
    }
}

fn queue_binding(fields: Fields<'_>) -> Read<QueueBinding> {
    Ok(QueueBinding {
        queue: fields.text("queue")?,
        exchange: fields.text("exchange")?,
        routing_key: fields.bytes("routingKey")?,
        arguments: fields.table("arguments")?,
        dialect: dialect(fields)?,
        pattern: fields.maybe_text("pattern")?,
    })
}

fn exchange_binding(fields: Fields<'_>) -> Read<ExchangeBinding> {
    Ok(ExchangeBinding {
        destination: fields.text("destination")?,
        source: fields.text("source")?,
        routing_key: fields.bytes("routingKey")?,
        arguments: fields.table("arguments")?,
        dialect: dialect(fields)?,
    })
}

fn dialect(fields: Fields<'_>) -> Read<Dialect> {
    Ok(match fields.maybe_text("dialect")?.as_deref() {
        None | Some("amqp") => Dialect::Amqp,
        Some("kombu57") => Dialect::Kombu57,
        Some("kombu56") => Dialect::Kombu56,
        Some(_) => return Err(wrong("dialect")),
    })
}
