//! Names that Kombu's keys and channels cannot hold: refused where somebody writes them, read where they are.

use keyrail_core::{
    DestinationName, ExchangeKind, Operation, Router, Topology,
    kombu::{Layout, MemberError, check_fanout_exchange},
};

use crate::HostError;

/// A queue's name: with the separator in it, its list would be the one of another queue's priority step; as a key of the
/// register, it would be in the way of every consumer.
pub(crate) fn check_queue(layout: &Layout, name: &[u8]) -> Result<(), HostError> {
    let register = [&layout.unacked_key, &layout.unacked_index_key, &layout.unacked_mutex_key];
    if let Some(key) = register.into_iter().find(|key| key.as_bytes() == name) {
        let reason = format!(
            "no queue can be called `{key}`, where the unacked deliveries of all queues are registered"
        );
        return Err(HostError::NotExpressible { reason: reason.into() });
    }
    check_separator(layout, "queue", name)
}

/// The name of an exchange that is declared or bound.
pub(crate) fn check_exchange(layout: &Layout, name: &str, kind: ExchangeKind) -> Result<(), HostError> {
    check_separator(layout, "exchange", name.as_bytes())?;
    match kind {
        ExchangeKind::Fanout => check_fanout(name),
        _ => Ok(()),
    }
}

/// A fanout exchange's name: a slash makes Kombu's listeners raise, a glob hears other exchanges or nothing.
pub(crate) fn check_fanout(name: &str) -> Result<(), HostError> {
    check_fanout_exchange(name)
        .map_err(|error| HostError::NotExpressible { reason: error.to_string().into() })
}

/// The exchange that is published to: a fanout of such a name that nobody has written is not begun. One that Kombu peers
/// listen to has a row, and routes.
pub(crate) fn check_published(router: &Router, exchange: &str) -> Result<(), HostError> {
    let Some(id) = router.exchange(exchange) else { return Ok(()) };
    let kind = router.exchange_properties(id).map(|exchange| exchange.kind());
    match kind == Some(ExchangeKind::Fanout) && router.bindings_from(id).next().is_none() {
        true => check_fanout(exchange),
        false => Ok(()),
    }
}

/// The ends of a binding, by the types of their exchanges.
pub(crate) fn check_ends(
    layout: &Layout,
    (source, kind): (&str, ExchangeKind),
    destination: &DestinationName,
    destination_kind: Option<ExchangeKind>,
) -> Result<(), HostError> {
    check_exchange(layout, source, kind)?;
    match destination {
        DestinationName::Queue(queue) => check_queue(layout, queue.as_bytes()),
        DestinationName::Exchange(exchange) => {
            check_exchange(layout, exchange, destination_kind.unwrap_or(ExchangeKind::Direct))
        }
    }
}

/// All names of a topology that is written.
///
/// # Cost
/// A scan for one byte in each of them.
pub(crate) fn check_topology(layout: &Layout, topology: &Topology) -> Result<(), HostError> {
    for exchange in &topology.exchanges {
        check_exchange(layout, &exchange.name, exchange.kind)?;
    }
    for queue in &topology.queues {
        check_queue(layout, queue.name.as_bytes())?;
    }
    for binding in &topology.bindings {
        // Types are the declarations' matter.
        check_ends(layout, (&binding.source, ExchangeKind::Direct), &binding.destination, None)?;
    }
    Ok(())
}

/// The names that an operation writes. What only asks or removes may name whatever is there.
pub(crate) fn check_operation(
    layout: &Layout,
    router: &Router,
    operation: &Operation,
) -> Result<(), HostError> {
    let kind = |name: &str| {
        let exchange = router.exchange_properties(router.exchange(name)?)?;
        Some(exchange.kind())
    };
    let known = |name: &str| kind(name).unwrap_or(ExchangeKind::Direct);
    match operation {
        Operation::ExchangeDeclare { exchange, kind, passive: false, .. } => {
            check_exchange(layout, exchange, kind.parse().unwrap_or(ExchangeKind::Direct))
        }
        Operation::QueueDeclare { queue, passive: false, .. } => check_queue(layout, queue.as_bytes()),
        Operation::QueueBind(binding) => {
            check_exchange(layout, &binding.exchange, known(&binding.exchange))?;
            check_queue(layout, binding.queue.as_bytes())
        }
        Operation::ExchangeBind(binding) => {
            for end in [&binding.source, &binding.destination] {
                check_exchange(layout, end, known(end))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether a name has the separator in it.
pub(crate) fn has_separator(layout: &Layout, name: &[u8]) -> bool {
    let sep = layout.sep.as_bytes();
    // Hardly a name has even its first byte.
    sep.first().is_some_and(|first| name.contains(first)) && name.windows(sep.len()).any(|part| part == sep)
}

fn check_separator(layout: &Layout, field: &'static str, name: &[u8]) -> Result<(), HostError> {
    match has_separator(layout, name) {
        true => Err(MemberError::Separator { field, value: String::from_utf8_lossy(name).into() }.into()),
        false => Ok(()),
    }
}
