use core::fmt;

/// Names an exchange of one [`Router`](crate::Router): a dense number, cheap to copy and to carry across a boundary.
///
/// The number of a deleted exchange may be given to a later one, so whoever keeps ids beside a router compares
/// [`Router::revision`](crate::Router::revision) before using them again.
///
/// ```
/// use keyrail_core::{ExchangeId, Message, Outcome, Router, Routes};
///
/// let router = Router::with_predeclared_exchanges();
/// let topic = router.exchange("amq.topic").unwrap();
/// let number: u32 = topic.index(); // into an array, or another language
/// assert_eq!(ExchangeId::from_index(number), topic);
/// let nobody = ExchangeId::from_index(u32::MAX);
/// let outcome = router.route(nobody, &Message::new("k"), &mut Routes::new());
/// assert_eq!(outcome, Outcome::UnknownExchange);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub(crate) u32);

/// Names a queue of one [`Router`](crate::Router); what is said of [`ExchangeId`] holds here too.
///
/// ```
/// use keyrail_core::{Message, Routes, Topology};
///
/// let router = Topology::from_lines("orders topic: order.# -> audit\norders: *.paid -> billing")?.router()?;
/// let (orders, mut routes) = (router.exchange("orders").unwrap(), Routes::new());
/// let mut copies = vec![0; router.counts().1]; // by queue
/// for key in ["order.paid", "stock.paid"] {
///     let _ = router.route(orders, &Message::new(key), &mut routes);
///     routes.queues().iter().for_each(|queue| copies[queue.index() as usize] += 1);
/// }
/// assert_eq!(copies[router.queue("billing").unwrap().index() as usize], 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub(crate) u32);

/// Names a binding inside a router. Bindings are identified by content outside, never by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BindingId(pub(crate) u32);

/// The end of a binding: a queue, or an exchange that routes on.
///
/// ```
/// use keyrail_core::{Destination, Topology};
///
/// let router = Topology::from_lines("orders topic: # -> audit, exchange archive\narchive fanout")?.router()?;
/// let names = router.bindings().map(|binding| match binding.destination {
///     Destination::Queue(queue) => router.queue_name(queue).unwrap(),
///     Destination::Exchange(exchange) => router.exchange_name(exchange).unwrap(),
/// });
/// assert!(names.eq(["audit", "archive"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// The message is put into this queue.
    Queue(QueueId),
    /// The message is routed again by this exchange, with the same routing key and headers.
    Exchange(ExchangeId),
}

impl From<QueueId> for Destination {
    fn from(queue: QueueId) -> Self {
        Destination::Queue(queue)
    }
}

impl From<ExchangeId> for Destination {
    fn from(exchange: ExchangeId) -> Self {
        Destination::Exchange(exchange)
    }
}

macro_rules! dense {
    ($($id:ident),*) => {$(
        impl $id {
            /// The number behind the id, for flat arrays and foreign memory.
            pub const fn index(self) -> u32 {
                self.0
            }

            /// The id with this number. A number that the router never gave out names nothing: routing answers
            /// [`Outcome::UnknownExchange`](crate::Outcome::UnknownExchange), look-ups answer `None`.
            pub const fn from_index(index: u32) -> Self {
                $id(index)
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "#{}", self.0)
            }
        }
    )*};
}

dense!(ExchangeId, QueueId);
