//! The way of one message through exchanges: bindings, exchange-to-exchange bindings, alternate exchanges.

use alloc::vec::Vec;

use crate::{
    Destination, ExchangeId, Message, QueueId, Router,
    id::BindingId,
    index::{Index, IndexScratch},
    stamps::Stamps,
    work::Work,
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
    queues: Stamps,
    index: IndexScratch,
    hops: Hops,
}

impl Scratch {
    /// Begins to count anew.
    #[inline(always)]
    pub(crate) fn restart(&mut self) {
        self.index.work = Work::default();
    }

    /// What [`walk`] comes to where it ends at one topic exchange, without what others need.
    #[inline(always)]
    pub(crate) fn collect_topic(
        &mut self,
        index: &Index,
        router: &Router,
        key: &[u8],
        collected: &mut Vec<QueueId>,
    ) {
        let Scratch { queues, index: scratch, .. } = self;
        queues.clear(router.queue_bound());
        index.matches_topic(key, scratch, &mut |entry| {
            if let Destination::Queue(queue) = entry.target.destination()
                && queues.insert(queue.0)
            {
                collected.push(queue);
            }
        });
    }

    pub(crate) const fn work(&self) -> Work {
        self.index.work
    }

    /// What counts on with what costs much: patterns asked one by one, shapes beyond those that the dictionary holds.
    #[inline(always)]
    pub(crate) const fn costs(&self) -> u32 {
        self.index.costs()
    }

    #[inline(always)]
    pub(crate) const fn set_costs(&mut self, costs: u32) {
        self.index.set_costs(costs);
    }

    pub(crate) const fn work_mut(&mut self) -> &mut Work {
        &mut self.index.work
    }
}

/// The exchanges that a walk has yet to ask, and those that it has been led to.
#[derive(Debug, Default)]
struct Hops {
    work: Vec<(ExchangeId, Via)>,
    seen: Stamps,
    /// Most messages stay at one exchange, so the rest is made ready only for those that go on.
    started: bool,
}

impl Hops {
    /// Adds an exchange unless the walk, which began at `start`, has been led there before.
    fn add(&mut self, router: &Router, start: ExchangeId, exchange: ExchangeId, via: Via) -> bool {
        if !self.started {
            self.started = true;
            self.seen.clear(router.exchange_bound());
            self.seen.insert(start.0);
        }
        let new = self.seen.insert(exchange.0);
        if new {
            self.work.push((exchange, via));
        }
        new
    }
}

/// Walks `message` from `start`. Each exchange is visited once, however many ways lead to it; a queue is told once.
#[inline]
pub(crate) fn walk(
    router: &Router,
    start: ExchangeId,
    message: &Message<'_>,
    scratch: &mut Scratch,
    sink: &mut impl Sink,
) {
    // Compiled for each sink, the indexes would be in the module for JavaScript once more. There routing asks through a
    // table of functions, a few nanoseconds a queue; topic exchanges that lead to queues alone do not come here.
    #[cfg(target_family = "wasm")]
    let sink: &mut dyn Sink = sink;
    let Scratch { queues, index, hops } = scratch;
    queues.clear(router.queue_bound());
    hops.started = false;
    let mut step = Step { router, start, message, queues, index, hops, sink };
    step.visit(start, Via::Publish);
    if step.hops.started {
        let mut next = 0;
        while let Some(&(exchange, via)) = step.hops.work.get(next) {
            next += 1;
            step.visit(exchange, via);
        }
        step.hops.work.clear();
    }
}

/// All that visiting an exchange needs.
struct Step<'a, S: ?Sized> {
    router: &'a Router,
    start: ExchangeId,
    message: &'a Message<'a>,
    queues: &'a mut Stamps,
    index: &'a mut IndexScratch,
    hops: &'a mut Hops,
    sink: &'a mut S,
}

impl<S: Sink + ?Sized> Step<'_, S> {
    // Called in two places, so two copies.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    fn visit(&mut self, exchange: ExchangeId, via: Via) {
        self.sink.arrived(exchange, via);
        if exchange == Router::DEFAULT_EXCHANGE {
            visit_default(self.router, self.message, self.queues, self.sink);
            return;
        }
        let Some(entry) = self.router.exchange_entry(exchange) else { return };
        let Step { router, start, queues, hops, sink, .. } = self;
        let mut matched = false;
        entry.index.matches(&entry.name, self.message, self.index, &mut |found| {
            matched = true;
            let destination = found.target.destination();
            let new = match destination {
                Destination::Queue(queue) => {
                    let new = queues.insert(queue.0);
                    if new {
                        sink.delivered(queue);
                    }
                    new
                }
                Destination::Exchange(other) => hops.add(router, *start, other, Via::Binding(exchange)),
            };
            let effect = if new { Effect::New } else { Effect::Repeated };
            sink.matched(Some(found.binding), destination, effect);
        });
        if !matched {
            let alternate = match alternate(router, entry.alternate_exchange()) {
                Alternate::Asked(other) if !hops.add(router, *start, other, Via::Alternate(exchange)) => {
                    Alternate::Repeated(other)
                }
                other => other,
            };
            sink.unmatched(alternate);
        }
    }
}

/// The default exchange: every queue is bound to it by its name.
fn visit_default(
    router: &Router,
    message: &Message<'_>,
    queues: &mut Stamps,
    sink: &mut (impl Sink + ?Sized),
) {
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
