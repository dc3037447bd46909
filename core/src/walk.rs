//! The way of one message through exchanges: bindings, exchange-to-exchange bindings, alternate exchanges.

use alloc::vec::Vec;

use crate::{
    Destination, ExchangeId, Message, QueueId, Router, id::BindingId, index::IndexScratch, stamps::Stamps,
};

/// What listens to a walk. Routing listens to [`delivered`](Sink::delivered) alone, and the rest compiles to nothing.
pub(crate) trait Sink {
    /// The walk has come to an exchange.
    fn arrived(&mut self, _exchange: ExchangeId, _via: Via) {}

    /// A binding of the exchange arrived at last matches, or its implicit one if there is no id.
    fn matched(&mut self, _binding: Option<BindingId>, _destination: Destination, _effect: Effect) {}

    /// A queue gets the message; told once per queue.
    fn delivered(&mut self, queue: QueueId);

    /// Nothing matched at the exchange arrived at last, and this is what its alternate came to.
    fn unmatched(&mut self, _alternate: Alternate) {}
}

/// How a walk came to an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// The message was published there.
    Publish,
    /// A binding of this exchange leads there.
    Binding(ExchangeId),
    /// It is the alternate of this exchange.
    Alternate(ExchangeId),
}

/// What a matching binding did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The queue gets the message, or the exchange will be asked.
    New,
    /// The queue has it already, or the exchange was already asked.
    Repeated,
}

/// What became of an alternate exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alternate {
    /// The exchange has none.
    None,
    /// It has one, and there is no exchange of that name.
    Missing,
    /// It will be asked.
    Asked(ExchangeId),
    /// It was asked already.
    Repeated(ExchangeId),
}

/// Memory that a walk needs, kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    work: Vec<(ExchangeId, Via)>,
    exchanges: Stamps,
    queues: Stamps,
    index: IndexScratch,
}

impl Scratch {
    fn clear(&mut self, router: &Router) {
        self.work.clear();
        self.exchanges.clear(router.exchange_bound());
        self.queues.clear(router.queue_bound());
    }
}

/// Walks `message` from `start`. Each exchange is visited once, however many ways lead to it; a queue is told once.
pub(crate) fn walk(
    router: &Router,
    start: ExchangeId,
    message: &Message<'_>,
    scratch: &mut Scratch,
    sink: &mut impl Sink,
) {
    scratch.clear(router);
    let Scratch { work, exchanges, queues, index } = scratch;
    exchanges.insert(start.0);
    work.push((start, Via::Publish));
    let mut next = 0;
    while let Some(&(exchange, via)) = work.get(next) {
        next += 1;
        sink.arrived(exchange, via);
        if exchange == Router::DEFAULT_EXCHANGE {
            visit_default(router, message, queues, sink);
            continue;
        }
        let Some(entry) = router.exchange_entry(exchange) else { continue };
        let mut matched = false;
        entry.index.matches(&entry.name, message, index, &mut |id| {
            // INVARIANT: the index holds no binding that is not in the table.
            let Some(destination) = router.destination(id) else { return };
            matched = true;
            let effect = match destination {
                Destination::Queue(queue) if queues.insert(queue.0) => {
                    sink.delivered(queue);
                    Effect::New
                }
                Destination::Exchange(other) if exchanges.insert(other.0) => {
                    work.push((other, Via::Binding(exchange)));
                    Effect::New
                }
                _ => Effect::Repeated,
            };
            sink.matched(Some(id), destination, effect);
        });
        if !matched {
            let alternate = alternate(router, entry.exchange.alternate_exchange());
            let alternate = match alternate {
                Alternate::Asked(other) if !exchanges.insert(other.0) => Alternate::Repeated(other),
                other => other,
            };
            if let Alternate::Asked(other) = alternate {
                work.push((other, Via::Alternate(exchange)));
            }
            sink.unmatched(alternate);
        }
    }
}

/// The default exchange: every queue is bound to it by its name.
fn visit_default(router: &Router, message: &Message<'_>, queues: &mut Stamps, sink: &mut impl Sink) {
    let mut matched = false;
    for key in message.keys() {
        let name = core::str::from_utf8(key).ok();
        let Some(queue) = name.and_then(|name| router.queue(name)) else { continue };
        matched = true;
        let effect = if queues.insert(queue.0) {
            sink.delivered(queue);
            Effect::New
        } else {
            Effect::Repeated
        };
        sink.matched(None, Destination::Queue(queue), effect);
    }
    if !matched {
        sink.unmatched(Alternate::None);
    }
}

/// Looks the alternate up by name, as it may come and go. The default exchange is never one, though RabbitMQ accepts
/// its name (vector `default-006`).
fn alternate(router: &Router, name: Option<&str>) -> Alternate {
    match name {
        None => Alternate::None,
        Some(name) => match router.exchange(name) {
            None | Some(Router::DEFAULT_EXCHANGE) => Alternate::Missing,
            Some(other) => Alternate::Asked(other),
        },
    }
}
