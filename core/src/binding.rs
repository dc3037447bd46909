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
    ///
    /// ```
    /// use keyrail_core::{Binding, Queue, Router};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// let direct = router.exchange("amq.direct").unwrap();
    /// let mail = router.declare_queue("mail", Queue::new())?;
    /// router.bind(direct, mail, &Binding::new("mail"))?; // text, or any bytes:
    /// let error = router.bind(direct, mail, &Binding::new(b"\xff")).unwrap_err();
    /// assert_eq!(error.to_string(), "binding key `\\xff` is not UTF-8");
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn new(key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Binding { key: key.as_ref(), arguments: None, dialect: Dialect::Amqp, pattern: None }
    }

    /// Sets the arguments: what a headers exchange compares, and part of the binding's identity everywhere.
    ///
    /// ```
    /// use keyrail_core::{Binding, Message, Outcome, Queue, Router, Routes, Table};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// let headers = router.exchange("amq.headers").unwrap();
    /// let print = router.declare_queue("print", Queue::new())?;
    /// let arguments = Table::from_iter([("x-match", "any"), ("format", "pdf"), ("format", "ps")]);
    /// router.bind(headers, print, &Binding::new("").arguments(&arguments))?;
    /// let (pdf, mut routes) = (Table::from_iter([("format", "pdf")]), Routes::new());
    /// let message = Message::new("").headers(&pdf)?;
    /// assert_eq!(router.route(headers, &message, &mut routes), Outcome::Routed);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Source
    /// AMQP 0-9-1 §3.1.3.4; vectors `headers-001` to `headers-092`, `unbind-002`, `unbind-003`.
    pub fn arguments(self, arguments: &'a Table) -> Self {
        Binding { arguments: Some(arguments), ..self }
    }

    /// Sets how a topic exchange reads `*` and `#`.
    ///
    /// On a fanout exchange a Kombu dialect means Kombu's Redis transport, which publishes to a channel and compares
    /// the key after all; see [`kombu::Subscription`](crate::kombu::Subscription).
    ///
    /// ```
    /// use keyrail_core::{Binding, Dialect, Message, Queue, Router, Routes};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// for dialect in Dialect::ALL {
    ///     let queue = router.declare_queue(dialect.as_str(), Queue::new())?;
    ///     router.bind(topic, queue, &Binding::new("stock.#").dialect(dialect))?;
    /// }
    /// let mut routes = Routes::new();
    /// let _ = router.route(topic, &Message::new("stock"), &mut routes);
    /// assert_eq!(routes.queues(), [router.queue("amqp").unwrap()]); // in Kombu `#` is one word at least
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn dialect(self, dialect: Dialect) -> Self {
        Binding { dialect, ..self }
    }

    /// Sets the regular expression that Kombu stored with the binding. On a topic exchange it alone decides what
    /// matches, whatever the key and the dialect say, because every Kombu publisher executes it.
    ///
    /// ```
    /// use keyrail_core::{Binding, Dialect, Message, Outcome, Queue, Router, Routes};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// let topic = router.exchange("amq.topic").unwrap();
    /// let mail = router.declare_queue("mail", Queue::new())?;
    /// let binding = Binding::new("eur.*").dialect(Dialect::Kombu57).pattern(r"^usd\.[^\.]+$");
    /// router.bind(topic, mail, &binding)?;
    /// let mut routes = Routes::new();
    /// assert_eq!(router.route(topic, &Message::new("usd.x"), &mut routes), Outcome::Routed);
    /// assert_eq!(router.route(topic, &Message::new("eur.x"), &mut routes), Outcome::Unroutable);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn pattern(self, pattern: &'a str) -> Self {
        Binding { pattern: Some(pattern), ..self }
    }
}
