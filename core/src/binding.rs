use crate::{Dialect, Table};

/// What a binding says, its two ends apart: a key, arguments, and how the key is to be read.
///
/// ```
/// use keyrail_core::{Binding, Dialect, Exchange, ExchangeKind, Queue, Router};
///
/// let mut router = Router::new();
/// let events = router.declare_exchange("events", Exchange::new(ExchangeKind::Topic))?;
/// let audit = router.declare_queue("audit", Queue::new())?;
/// router.bind(events, audit, &Binding::new("order.#"))?;
/// router.bind(events, audit, &Binding::new("stock.*").dialect(Dialect::Kombu57))?;
/// # Ok::<(), keyrail_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) arguments: Option<&'a Table>,
    pub(crate) dialect: Dialect,
    pub(crate) pattern: Option<&'a str>,
}

impl<'a> Binding<'a> {
    /// A binding with this binding key, no arguments and RabbitMQ's reading of `*` and `#`.
    pub fn new(key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Binding { key: key.as_ref(), arguments: None, dialect: Dialect::Amqp, pattern: None }
    }

    /// Sets the arguments: what a headers exchange compares, and part of the binding's identity everywhere.
    pub fn arguments(self, arguments: &'a Table) -> Self {
        Binding { arguments: Some(arguments), ..self }
    }

    /// Sets how a topic exchange reads `*` and `#`.
    ///
    /// On a fanout exchange a Kombu dialect means Kombu's Redis transport, which publishes to a channel and compares
    /// the key after all; see [`kombu::Subscription`](crate::kombu::Subscription).
    pub fn dialect(self, dialect: Dialect) -> Self {
        Binding { dialect, ..self }
    }

    /// Sets the regular expression that Kombu stored with the binding. On a topic exchange it alone decides what
    /// matches, whatever the key and the dialect say, because every Kombu publisher executes it.
    pub fn pattern(self, pattern: &'a str) -> Self {
        Binding { pattern: Some(pattern), ..self }
    }
}
