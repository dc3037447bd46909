use core::fmt;

/// Names an exchange of one [`Router`](crate::Router): a dense number, cheap to copy and to carry across a boundary.
///
/// The number of a deleted exchange may be given to a later one, so whoever keeps ids beside a router compares
/// [`Router::revision`](crate::Router::revision) before using them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub(crate) u32);

/// Names a queue of one [`Router`](crate::Router); what is said of [`ExchangeId`] holds here too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub(crate) u32);

/// Names a binding inside a router. Bindings are identified by content outside, never by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BindingId(pub(crate) u32);

/// The end of a binding: a queue, or an exchange that routes on.
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
