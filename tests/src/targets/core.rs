//! The core, in this process.

use std::collections::BTreeSet;

use keyrail_core::{
    ApplyTo, Binding, ByteString, DestinationName, Dialect, Error, Exchange, Limits, Message, Operation,
    Outcome, PolicyDefinition, Queue, Router, Routes, Table,
    kombu::{Layout, Priority},
};

use super::{KombuAnswers, Quarantined, Target, Unplayed};
use crate::scenario::{
    AmqpScenario, Answer, ExchangeBinding, KombuExchange, KombuScenario, ListedEnd, Publish, Published,
    QueueBinding, Refusal, Repeated, Step, Transport,
};

#[derive(Debug)]
pub struct Core;

impl Target for Core {
    fn amqp(&mut self, scenario: &AmqpScenario) -> Result<Vec<Answer>, Unplayed> {
        let mut router = Router::with_predeclared_exchanges();
        let mut routes = Routes::new();
        scenario.steps.iter().map(|recorded| play(&mut router, &mut routes, &recorded.step)).collect()
    }

    fn kombu(&mut self, scenario: &KombuScenario) -> Result<KombuAnswers, Unplayed> {
        let mut router = Router::with_predeclared_exchanges();
        let mut routes = Routes::new();
        // Kombu knows no limit, and some recorded keys are longer than AMQP allows.
        router.set_limits(Limits::default().key_bytes(usize::MAX));
        let (exchange, quarantined) = bind_all(&mut router, scenario)?;
        let answers = scenario.publishes.iter().map(|publish| {
            let message = Message::new(&publish.routing_key);
            if scenario.exchange_type == KombuExchange::Default {
                return default_queue(&publish.routing_key);
            }
            let outcome = router.route(exchange, &message, &mut routes);
            let queues = names(&router, &routes);
            assert_eq!(outcome == Outcome::Routed, !queues.is_empty());
            queues
        });
        Ok(KombuAnswers { quarantined, answers: answers.collect() })
    }
}

/// Kombu's default exchange pushes onto the list that the routing key names, declared or not.
fn default_queue(routing_key: &str) -> BTreeSet<String> {
    BTreeSet::from([Layout::default().list(routing_key, Priority::FIRST)])
}

/// Declares and binds; what is refused is quarantined and the rest goes on.
fn bind_all(
    router: &mut Router,
    scenario: &KombuScenario,
) -> Result<(keyrail_core::ExchangeId, Vec<Quarantined>), Unplayed> {
    let broken = |error: Error| Unplayed::Broken(error.to_string());
    let exchange = match scenario.exchange_type.kind() {
        None => Router::DEFAULT_EXCHANGE,
        Some(kind) => {
            router.declare_exchange("x", Exchange::new(kind)).map_err(|error| broken(error.into()))?
        }
    };
    // Kombu's memory transport lets every fanout queue hear everything, as AMQP does; Redis has channels.
    let by_channel = scenario.transport == Transport::RedisFanout;
    let dialect = if by_channel { scenario.kombu.dialect() } else { Dialect::Amqp };
    let mut quarantined = Vec::new();
    for (index, row) in scenario.bindings.iter().enumerate() {
        let queue = router.declare_queue(&row.queue, Queue::new()).map_err(|error| broken(error.into()))?;
        let binding = Binding::new(&row.routing_key).dialect(dialect);
        let binding = match &row.pattern {
            Some(pattern) => binding.pattern(pattern),
            None => binding,
        };
        if let Err(error) = router.bind(exchange, queue, &binding) {
            quarantined.push(Quarantined { index, code: error.code().to_owned() });
        }
    }
    Ok((exchange, quarantined))
}

fn play(router: &mut Router, routes: &mut Routes, step: &Step) -> Result<Answer, Unplayed> {
    Ok(match step {
        Step::Publish(publish) => self::publish(router, routes, publish),
        Step::BindingsList(end) => list(router, end),
        Step::PublishRepeat { exchange, routing_key, times } => {
            repeat(router, routes, exchange, routing_key, *times)
        }
        _ => match router.apply(&operation(step)) {
            Ok(()) => Answer::OK,
            Err(error) => refusal(&error),
        },
    })
}

/// The method as the core knows it.
pub fn operation(step: &Step) -> Operation {
    match step.clone() {
        Step::ExchangeDeclare { exchange, kind, passive, durable, auto_delete, internal, arguments } => {
            Operation::ExchangeDeclare { exchange, kind, passive, durable, auto_delete, internal, arguments }
        }
        Step::ExchangeDelete { exchange, if_unused } => Operation::ExchangeDelete { exchange, if_unused },
        Step::QueueDeclare { queue, passive, durable, auto_delete, arguments } => {
            Operation::QueueDeclare { queue, passive, durable, auto_delete, exclusive: false, arguments }
        }
        Step::QueueDelete { queue, if_unused, if_empty } => {
            Operation::QueueDelete { queue, if_unused, if_empty }
        }
        Step::QueueBind(binding) => Operation::QueueBind(queue_binding(binding)),
        Step::QueueUnbind(binding) => Operation::QueueUnbind(queue_binding(binding)),
        Step::ExchangeBind(binding) => Operation::ExchangeBind(exchange_binding(binding)),
        Step::ExchangeUnbind(binding) => Operation::ExchangeUnbind(exchange_binding(binding)),
        Step::PolicySet { name, pattern, alternate, priority } => Operation::PolicySet(PolicyDefinition {
            name,
            pattern,
            apply_to: ApplyTo::All,
            priority: priority.into(),
            definition: Table::from_iter([("alternate-exchange", &*alternate)]),
        }),
        Step::PolicyClear { name } => Operation::PolicyClear { name },
        other => unreachable!("{other:?} is no operation on a topology"),
    }
}

fn queue_binding(binding: QueueBinding) -> keyrail_core::QueueBinding {
    let QueueBinding { queue, exchange, routing_key, arguments } = binding;
    keyrail_core::QueueBinding { queue, exchange, routing_key, arguments, ..Default::default() }
}

fn exchange_binding(binding: ExchangeBinding) -> keyrail_core::ExchangeBinding {
    let ExchangeBinding { destination, source, routing_key, arguments } = binding;
    keyrail_core::ExchangeBinding { destination, source, routing_key, arguments, ..Default::default() }
}

fn publish(router: &Router, routes: &mut Routes, publish: &Publish) -> Answer {
    let message = router.message(&publish.exchange, &publish.routing_key, publish.headers.as_ref());
    let (exchange, message) = match message {
        Ok(message) => message,
        Err(error) => return refusal(&error.into()),
    };
    let message = with_properties(message, publish);
    let outcome = router.route(exchange, &message, routes);
    let delivered_headers = publish.record_headers.then(|| match outcome {
        Outcome::Routed => {
            let mut names: Vec<_> =
                message.delivered_headers().map(|(name, _)| String::from_utf8_lossy(name).into()).collect();
            names.sort();
            names
        }
        Outcome::Unroutable | Outcome::UnknownExchange => Vec::new(),
    });
    let returned = outcome == Outcome::Unroutable && publish.mandatory;
    Answer::Published(Published { queues: names(router, routes), returned, delivered_headers })
}

fn with_properties<'a>(mut message: Message<'a>, publish: &'a Publish) -> Message<'a> {
    if let Some(id) = &publish.message_id {
        message = message.message_id(&**id);
    }
    if let Some(id) = &publish.correlation_id {
        message = message.correlation_id(&**id);
    }
    match publish.timestamp {
        Some(seconds) => message.timestamp(seconds),
        None => message,
    }
}

/// Publishes again and again, each time with another number to choose by.
fn repeat(router: &Router, routes: &mut Routes, exchange: &str, key: &ByteString, times: u32) -> Answer {
    let (id, message) = match router.message(exchange, key, None) {
        Ok(message) => message,
        Err(error) => return refusal(&error.into()),
    };
    let mut each = BTreeSet::new();
    let mut union = BTreeSet::new();
    for random in 0..times.into() {
        let _ = router.route(id, &message.random(random), routes);
        each.insert(routes.len());
        union.extend(names(router, routes));
    }
    Answer::Repeated(Repeated { each: each.into_iter().collect(), union: union.into_iter().collect() })
}

fn names(router: &Router, routes: &Routes) -> BTreeSet<String> {
    let names: Vec<_> = routes.into_iter().filter_map(|queue| router.queue_name(queue)).collect();
    let set: BTreeSet<_> = names.iter().map(|name| name.to_string()).collect();
    assert_eq!(set.len(), names.len(), "a queue is listed twice");
    set
}

/// The bindings of one end, the implicit ones of the default exchange included, as a broker lists them.
pub(super) fn list(router: &Router, end: &ListedEnd) -> Answer {
    let implicit = router.queues().map(|(_, queue, _)| {
        let queue = queue.to_owned();
        (String::new(), "queue".to_owned(), queue.clone(), queue, 0)
    });
    let explicit = router.bindings().map(|binding| {
        let destination = DestinationName::of(router, binding.destination);
        let source = router.exchange_name(binding.source).unwrap_or_default().to_owned();
        let key = String::from_utf8_lossy(binding.key).into_owned();
        let arguments = Table::len(binding.arguments);
        (source, destination.kind().to_owned(), destination.name().to_owned(), key, arguments)
    });
    let mut bindings: Vec<_> = implicit
        .chain(explicit)
        .filter(|(source, kind, destination, ..)| match end {
            ListedEnd::Source(name) => **source == **name,
            ListedEnd::Destination(name) => kind == "exchange" && **destination == **name,
            ListedEnd::Queue(name) => kind == "queue" && **destination == **name,
        })
        .collect();
    bindings.sort();
    Answer::Bindings { bindings }
}

pub(super) fn refusal(error: &Error) -> Answer {
    let reply = error.reply();
    Answer::Error {
        error: Refusal {
            scope: reply.scope.as_str().to_owned(),
            code: reply.code,
            name: reply.name.to_owned(),
        },
    }
}
