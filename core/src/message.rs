use crate::{Table, Value, error::PublishError};

/// What routing looks at in a message: its routing key, its headers, and the properties that a consistent-hash exchange
/// may hash.
///
/// ```
/// use keyrail_core::{Message, Table, Value};
///
/// let headers = Table::from_iter([("CC", vec![Value::from("audit")])]);
/// let message = Message::new("order.eu.paid").headers(&headers).unwrap();
/// assert!(message.keys().eq([&b"order.eu.paid"[..], b"audit"]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    routing_key: &'a [u8],
    headers: Option<&'a Table>,
    /// What the sender selected, if that is anything.
    cc: Option<&'a [Value]>,
    bcc: Option<&'a [Value]>,
    message_id: Option<&'a [u8]>,
    correlation_id: Option<&'a [u8]>,
    timestamp: Option<u64>,
    random: u64,
}

impl<'a> Message<'a> {
    /// A message with this routing key and no headers. The key may be any bytes of any length; AMQP's limit of 255
    /// is checked where a message enters ([`Router::message`](crate::Router::message)).
    ///
    /// ```
    /// use keyrail_core::{Message, Outcome, Routes, Topology};
    ///
    /// let router = Topology::from_lines("orders topic: order.* -> audit")?.router()?;
    /// let orders = router.exchange("orders").unwrap();
    /// let message = Message::new(b"order.\xff"); // text, or any bytes
    /// assert!(message.routing_key() == b"order.\xff" && message.header_table().is_none());
    /// assert_eq!(router.route(orders, &message, &mut Routes::new()), Outcome::Routed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(routing_key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Message {
            routing_key: routing_key.as_ref(),
            headers: None,
            cc: None,
            bcc: None,
            message_id: None,
            correlation_id: None,
            timestamp: None,
            random: 0,
        }
    }

    /// Adds the headers, and the keys that the sender selected in `CC` and `BCC`.
    ///
    /// ```
    /// use keyrail_core::{Message, Table, Value};
    ///
    /// let headers = Table::from_iter([("CC", Value::from("audit"))]);
    /// let error = Message::new("order.paid").headers(&headers).unwrap_err();
    /// assert_eq!(error.to_string(), "header `CC` has the field type `S`, expected an array (A)");
    /// let headers = Table::from_iter([("CC", vec![Value::from("audit"), Value::from(7)])]);
    /// let message = Message::new("order.paid").headers(&headers)?;
    /// assert_eq!(message.keys().count(), 2); // the number selects nothing
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`PublishError::InvalidSenderSelected`] if `CC` or `BCC` is there and not an array. Elements of the array that
    /// are not long strings are skipped.
    /// # Source
    /// Vectors `sender-selected-001` to `sender-selected-031`.
    pub fn headers(self, headers: &'a Table) -> Result<Self, PublishError> {
        let cc = selected(headers, "CC")?;
        let bcc = selected(headers, "BCC")?;
        Ok(Message { headers: Some(headers), cc, bcc, ..self })
    }

    /// Sets the property `message_id`.
    ///
    /// ```
    /// use keyrail_core::{Message, Routes, Topology};
    ///
    /// let lines = "spread x-consistent-hash {hash-property: \"message_id\"}: 1 -> a\nspread: 1 -> b";
    /// let router = Topology::from_lines(lines)?.router()?;
    /// let (spread, mut routes) = (router.exchange("spread").unwrap(), Routes::new());
    /// let mut queue = |key: &str, message_id: &str| {
    ///     let _ = router.route(spread, &Message::new(key).message_id(message_id), &mut routes);
    ///     router.queue_name(routes.queues()[0]).unwrap()
    /// };
    /// let queues = [queue("created", "order-1"), queue("paid", "order-1"), queue("paid", "order-2")];
    /// assert_eq!(queues, ["a", "a", "b"]); // whatever the key
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Vector `consistent-hash-020`.
    pub fn message_id(self, message_id: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Message { message_id: Some(message_id.as_ref()), ..self }
    }

    /// Sets the property `correlation_id`.
    ///
    /// ```
    /// use keyrail_core::{Message, Routes, Topology};
    ///
    /// let lines = "spread x-consistent-hash {hash-property: \"correlation_id\"}: 1 -> a\nspread: 1 -> b";
    /// let router = Topology::from_lines(lines)?.router()?;
    /// let (spread, mut routes) = (router.exchange("spread").unwrap(), Routes::new());
    /// let mut queue = |key: &str, correlation_id: &str| {
    ///     let _ = router.route(spread, &Message::new(key).correlation_id(correlation_id), &mut routes);
    ///     router.queue_name(routes.queues()[0]).unwrap()
    /// };
    /// let queues = [queue("created", "request-1"), queue("paid", "request-1"), queue("paid", "request-2")];
    /// assert_eq!(queues, ["a", "a", "b"]); // whatever the key
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Vector `consistent-hash-021`.
    pub fn correlation_id(self, correlation_id: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Message { correlation_id: Some(correlation_id.as_ref()), ..self }
    }

    /// Sets the property `timestamp`, in seconds since 1970.
    ///
    /// ```
    /// use keyrail_core::{Message, Routes, Topology};
    ///
    /// let lines = "spread x-consistent-hash {hash-property: \"timestamp\"}: 1 -> a\nspread: 1 -> b";
    /// let router = Topology::from_lines(lines)?.router()?;
    /// let (spread, mut routes) = (router.exchange("spread").unwrap(), Routes::new());
    /// let mut queue = |key: &str, seconds: u64| {
    ///     let _ = router.route(spread, &Message::new(key).timestamp(seconds), &mut routes);
    ///     router.queue_name(routes.queues()[0]).unwrap()
    /// };
    /// let queues = [queue("created", 1_700_000_002), queue("paid", 1_700_000_002), queue("paid", 1_700_000_004)];
    /// assert_eq!(queues, ["a", "a", "b"]); // whatever the key
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Vector `consistent-hash-022`.
    pub const fn timestamp(self, seconds: u64) -> Self {
        Message { timestamp: Some(seconds), ..self }
    }

    /// Sets the number by which random exchanges choose: a new one for every message, from a source of the caller's,
    /// since this crate has none. The same number gives the same route; two random exchanges on one way choose
    /// independently.
    ///
    /// ```
    /// use keyrail_core::{Binding, Exchange, ExchangeKind, Message, Outcome, Queue, Router, Routes};
    ///
    /// let mut router = Router::new();
    /// let dice = router.declare_exchange("dice", Exchange::new(ExchangeKind::Random))?;
    /// for name in ["a", "b"] {
    ///     let queue = router.declare_queue(name, Queue::new())?;
    ///     router.bind(dice, queue, &Binding::new(""))?;
    /// }
    /// let mut routes = Routes::new();
    /// assert_eq!(router.route(dice, &Message::new("").random(42), &mut routes), Outcome::Routed);
    /// assert_eq!(routes.len(), 1);
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Source
    /// Vectors `random-001`, `random-002`.
    pub const fn random(self, random: u64) -> Self {
        Message { random, ..self }
    }

    /// The property `message_id`.
    pub(crate) const fn message_id_property(&self) -> Option<&'a [u8]> {
        self.message_id
    }

    /// The property `correlation_id`.
    pub(crate) const fn correlation_id_property(&self) -> Option<&'a [u8]> {
        self.correlation_id
    }

    /// The property `timestamp`.
    pub(crate) const fn timestamp_property(&self) -> Option<u64> {
        self.timestamp
    }

    /// The number by which random exchanges choose.
    pub(crate) const fn random_number(&self) -> u64 {
        self.random
    }

    /// The routing key.
    pub const fn routing_key(&self) -> &'a [u8] {
        self.routing_key
    }

    /// The headers, if there is a table at all.
    pub const fn header_table(&self) -> Option<&'a Table> {
        self.headers
    }

    /// Whether the sender selected further keys.
    #[inline(always)]
    pub(crate) const fn has_selected_keys(&self) -> bool {
        self.headers.is_some() && (self.cc.is_some() || self.bcc.is_some())
    }

    /// Every key that routes: the routing key, then those in `CC`, then those in `BCC`.
    ///
    /// ```
    /// use keyrail_core::{Message, Table, Value};
    ///
    /// let headers = Table::from_iter([
    ///     ("BCC", vec![Value::from("secret")]),
    ///     ("CC", vec![Value::from("audit"), Value::from("mail")]),
    /// ]);
    /// let message = Message::new("order.paid").headers(&headers)?;
    /// assert!(message.keys().eq([&b"order.paid"[..], b"audit", b"mail", b"secret"]));
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = &'a [u8]> {
        let selected = [self.cc, self.bcc].into_iter().flatten().flatten().filter_map(|value| match value {
            Value::LongString(key) => Some(key.as_bytes()),
            _ => None,
        });
        core::iter::once(self.routing_key).chain(selected)
    }

    /// The keys that the sender selected, with the header that names them.
    pub(crate) fn selected_keys(&self) -> impl Iterator<Item = (&'static str, &'a [u8])> {
        let cc = self.cc.into_iter().flatten().map(|value| ("CC", value));
        let selected = cc.chain(self.bcc.into_iter().flatten().map(|value| ("BCC", value)));
        selected.filter_map(|(header, value)| match value {
            Value::LongString(key) => Some((header, key.as_bytes())),
            _ => None,
        })
    }

    /// The headers on every delivered copy: all but `BCC`, whose recipients are nobody's business.
    ///
    /// ```
    /// use keyrail_core::{Message, Table, Value};
    ///
    /// let headers = Table::from_iter([
    ///     ("CC", vec![Value::from("audit")]),
    ///     ("BCC", vec![Value::from("secret")]),
    /// ]);
    /// let message = Message::new("order.paid").headers(&headers)?;
    /// assert!(message.delivered_headers().map(|(name, _)| name).eq([b"CC"]));
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Source
    /// Vector `sender-selected-002`.
    pub fn delivered_headers(&self) -> impl Iterator<Item = (&'a [u8], &'a Value)> {
        self.headers.into_iter().flat_map(Table::iter).filter(|(name, _)| *name != BCC)
    }
}

/// The keys that a header selects; `None` if there are none.
fn selected<'a>(headers: &'a Table, name: &'static str) -> Result<Option<&'a [Value]>, PublishError> {
    match headers.get(name) {
        None => Ok(None),
        Some(Value::Array(keys)) => Ok((!keys.is_empty()).then_some(keys)),
        Some(other) => Err(PublishError::InvalidSenderSelected { header: name, tag: other.tag() }),
    }
}

/// The header that names further recipients in secret: routing sees its keys, nobody sees the header.
pub(crate) const BCC: &[u8] = b"BCC";
