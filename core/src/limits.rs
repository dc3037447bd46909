/// How much a [`Router`](crate::Router) takes in. What exceeds a limit is refused with an error that names it.
///
/// ```
/// use keyrail_core::{Limits, Router};
///
/// let mut router = Router::new();
/// router.set_limits(Limits::default().key_bytes(4096)); // Kombu knows no limit
/// assert_eq!(router.limits().bindings, Limits::default().bindings);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest binding key, and routing key of a publish, in bytes; 255 as in AMQP. Keys in `CC` and `BCC` may be
    /// longer, as in RabbitMQ.
    pub key_bytes: usize,
    /// The largest number of bindings; four million unless it is said.
    pub bindings: usize,
    /// The most steps that a route from one exchange may take, whatever its key: a binding with which
    /// [`Router::worst_case`](crate::Router::worst_case) would exceed them is refused. No limit unless it is said.
    pub steps: u64,
}

impl Limits {
    /// Sets the longest key in bytes.
    ///
    /// ```
    /// use keyrail_core::{Limits, Router};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// let key = "k".repeat(300);
    /// assert_eq!(router.message("amq.topic", &key, None).unwrap_err().code(), "key-too-long");
    /// router.set_limits(Limits::default().key_bytes(1000));
    /// assert!(router.message("amq.topic", &key, None).is_ok());
    /// ```
    ///
    /// # Source
    /// AMQP 0-9-1 §4.2.5.3; vectors `topic-017`, `sender-selected-012`. Kombu knows no limit.
    pub const fn key_bytes(self, key_bytes: usize) -> Self {
        Limits { key_bytes, ..self }
    }

    /// Sets the largest number of bindings.
    ///
    /// ```
    /// use keyrail_core::{Binding, Limits, Queue, Router};
    ///
    /// let mut router = Router::with_predeclared_exchanges();
    /// router.set_limits(Limits::default().bindings(1));
    /// let topic = router.exchange("amq.topic").unwrap();
    /// let mail = router.declare_queue("mail", Queue::new())?;
    /// router.bind(topic, mail, &Binding::new("a"))?;
    /// assert_eq!(router.bind(topic, mail, &Binding::new("b")).unwrap_err().code(), "table-full");
    /// assert_eq!(router.bind(topic, mail, &Binding::new("a")), Ok(false)); // no new one
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub const fn bindings(self, bindings: usize) -> Self {
        Limits { bindings, ..self }
    }

    /// Sets the most steps of a route from one exchange.
    ///
    /// ```
    /// use keyrail_core::{Binding, Exchange, ExchangeKind, Limits, Queue, Router};
    ///
    /// let mut router = Router::new();
    /// router.set_limits(Limits::default().steps(2_000));
    /// let logs = router.declare_exchange("logs", Exchange::new(ExchangeKind::Topic))?;
    /// let audit = router.declare_queue("audit", Queue::new())?;
    /// router.bind(logs, audit, &Binding::new("log.*.error"))?;
    /// let error = router.bind(logs, audit, &Binding::new("#.a.#.b.#.c.#.d.#.e.#")).unwrap_err();
    /// assert_eq!(error.code(), "too-costly");
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub const fn steps(self, steps: u64) -> Self {
        Limits { steps, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits { key_bytes: crate::MAX_SHORT_STRING, bindings: 4_000_000, steps: u64::MAX }
    }
}
