use crate::Table;

/// What is declared of a queue, its name apart. Routing asks for none of it; declaring again compares it.
///
/// ```
/// use keyrail_core::Queue;
///
/// assert!(Queue::new().durable(true).is_durable());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queue {
    durable: bool,
    auto_delete: bool,
    exclusive: bool,
    arguments: Table,
}

impl Queue {
    /// A queue that is not durable, not auto-deleted, not exclusive, without arguments.
    ///
    /// ```
    /// use keyrail_core::Queue;
    ///
    /// let queue = Queue::new();
    /// assert!(!queue.is_durable() && !queue.is_auto_delete() && !queue.is_exclusive());
    /// assert!(queue.argument_table().is_empty());
    /// ```
    pub const fn new() -> Self {
        Queue { durable: false, auto_delete: false, exclusive: false, arguments: Table::new() }
    }

    /// Whether it is meant to survive a restart.
    ///
    /// ```
    /// use keyrail_core::{Queue, Router};
    ///
    /// let mut router = Router::new();
    /// router.declare_queue("mail", Queue::new().durable(true))?;
    /// let error = router.declare_queue("mail", Queue::new()).unwrap_err();
    /// assert_eq!(error.to_string(), "`mail` exists with another `durable`");
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    ///
    /// # Source
    /// Vector `errors-009`.
    pub fn durable(self, durable: bool) -> Self {
        Queue { durable, ..self }
    }

    /// Whether a broker deletes it with its last consumer. The router has no consumers and never does.
    ///
    /// ```
    /// use keyrail_core::{Queue, Router};
    ///
    /// let mut router = Router::new();
    /// let mail = router.declare_queue("mail", Queue::new().auto_delete(true))?;
    /// assert!(router.queue_properties(mail).unwrap().is_auto_delete());
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn auto_delete(self, auto_delete: bool) -> Self {
        Queue { auto_delete, ..self }
    }

    /// Whether only the connection that declared it may use it. The router has no connections and never refuses.
    ///
    /// ```
    /// use keyrail_core::{Definitions, Queue, Router, Topology};
    ///
    /// let mut router = Router::new();
    /// router.declare_queue("reply", Queue::new().exclusive(true))?;
    /// let topology = Topology::of(&router);
    /// assert!(topology.queues[0].exclusive);
    /// assert_eq!(Definitions::of("/", &topology).unwrap_err().code(), "not-expressible"); // gone by then
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exclusive(self, exclusive: bool) -> Self {
        Queue { exclusive, ..self }
    }

    /// Replaces all arguments.
    ///
    /// ```
    /// use keyrail_core::{Queue, Router, Table};
    ///
    /// let mut router = Router::new();
    /// let lengths = |length: i32| Queue::new().arguments(Table::from_iter([("x-max-length", length)]));
    /// router.declare_queue("mail", lengths(10))?;
    /// let error = router.declare_queue("mail", lengths(20)).unwrap_err();
    /// assert_eq!(error.to_string(), "`mail` exists with another `x-max-length`");
    /// # Ok::<(), keyrail_core::Error>(())
    /// ```
    pub fn arguments(self, arguments: Table) -> Self {
        Queue { arguments, ..self }
    }

    /// Whether it was declared durable.
    pub const fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whether it was declared auto-delete.
    pub const fn is_auto_delete(&self) -> bool {
        self.auto_delete
    }

    /// Whether it was declared exclusive.
    pub const fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// All its arguments.
    pub const fn argument_table(&self) -> &Table {
        &self.arguments
    }

    /// The first property in which RabbitMQ would call another declaration of this queue different.
    pub(crate) fn inequivalence(&self, other: &Queue) -> Option<&'static str> {
        if self.durable != other.durable {
            Some("durable")
        } else if self.auto_delete != other.auto_delete {
            Some("auto_delete")
        } else if self.exclusive != other.exclusive {
            Some("exclusive")
        } else {
            COMPARED_ARGUMENTS
                .iter()
                .find(|name| match (self.arguments.get(name), other.arguments.get(name)) {
                    (Some(a), Some(b)) => !a.matches(b),
                    (None, None) => false,
                    _ => true,
                })
                .copied()
        }
    }
}

/// The arguments that RabbitMQ compares, by value, when a queue is declared again; others may differ.
const COMPARED_ARGUMENTS: [&str; 15] = [
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-expires",
    "x-max-age",
    "x-max-in-memory-bytes",
    "x-max-in-memory-length",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-message-ttl",
    "x-overflow",
    "x-queue-mode",
    "x-queue-type",
    "x-single-active-consumer",
    "x-stream-max-segment-size-bytes",
];
