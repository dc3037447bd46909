use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    str::FromStr,
};

use keyrail_core::{
    Binding, DeclareError, Exchange, ExchangeId, ExchangeKind, Limits, Message, Outcome, Queue, QueueId,
    Router, Routes,
};

use crate::{Bindings, headers};

/// What kind of exchange a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Patterns of words.
    Topic,
    /// Keys.
    Direct,
    /// Patterns that say nothing.
    Fanout,
    /// Lines of [`headers`].
    Headers,
}

/// A table that keyrail holds.
#[derive(Debug)]
pub struct Loaded {
    router: Router,
    exchange: ExchangeId,
    /// Ids by the table's numbers. Ordered, not hashed: a random seed would change the count of instructions.
    queues: BTreeMap<u32, QueueId>,
    /// Queues of the table by the index of their ids.
    numbers: Vec<u32>,
}

/// A line that keyrail does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// Counted from one.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl Loaded {
    /// Declares the queues of a table and binds every line.
    ///
    /// # Errors
    /// [`LoadError`] for the first line that is refused.
    pub fn new(kind: Kind, table: &Bindings) -> Result<Self, LoadError> {
        let mut loaded = Self::declare(kind, table)?;
        loaded.bind_all(kind, table)?;
        Ok(loaded)
    }

    /// Declares the queues of a table and binds nothing yet.
    ///
    /// # Errors
    /// [`LoadError`] for the first queue that is refused.
    pub fn declare(kind: Kind, table: &Bindings) -> Result<Self, LoadError> {
        let refused = |line, error: DeclareError| LoadError { line, reason: error.to_string() };
        let mut router = Router::new();
        router.set_limits(Limits::default().bindings(usize::MAX));
        let exchange = router.declare_exchange("bench", Exchange::new(kind.into()));
        let exchange = exchange.map_err(|error| refused(0, error))?;
        let (mut queues, mut numbers) = (BTreeMap::new(), Vec::new());
        for (line, (_, number)) in (1..).zip(table.iter()) {
            if let Entry::Vacant(entry) = queues.entry(number) {
                let queue = router.declare_queue(&number.to_string(), Queue::new());
                entry.insert(queue.map_err(|error| refused(line, error))?);
                // INVARIANT: ids of a router that nothing was deleted from count up from zero.
                numbers.push(number);
            }
        }
        Ok(Loaded { router, exchange, queues, numbers })
    }

    /// Binds every line to the queues that were declared.
    ///
    /// # Errors
    /// [`LoadError`] for the first line that is refused.
    pub fn bind_all(&mut self, kind: Kind, table: &Bindings) -> Result<(), LoadError> {
        for (line, (pattern, number)) in (1..).zip(table.iter()) {
            self.bind(kind, pattern, number).map_err(|reason| LoadError { line, reason })?;
        }
        Ok(())
    }

    fn bind(&mut self, kind: Kind, pattern: &[u8], number: u32) -> Result<(), String> {
        let queue = *self.queues.get(&number).ok_or("the queue was not declared")?;
        let bound = if kind == Kind::Headers {
            let arguments = headers::parse(pattern)?;
            self.router.bind(self.exchange, queue, &Binding::new("").arguments(&arguments))
        } else {
            self.router.bind(self.exchange, queue, &Binding::new(pattern))
        };
        bound.map(drop).map_err(|error| error.to_string())
    }

    /// The router itself.
    pub const fn router(&self) -> &Router {
        &self.router
    }

    /// Routes one message: what is measured.
    #[inline]
    pub fn route(&self, message: &Message<'_>, routes: &mut Routes) -> Outcome {
        self.router.route(self.exchange, message, routes)
    }

    /// The numbers that the table gives these queues.
    pub fn numbers(&self, routes: &Routes) -> impl Iterator<Item = u32> {
        routes.queues().iter().map(|queue| self.numbers[queue.index() as usize])
    }
}

impl From<Kind> for ExchangeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Topic => ExchangeKind::Topic,
            Kind::Direct => ExchangeKind::Direct,
            Kind::Fanout => ExchangeKind::Fanout,
            Kind::Headers => ExchangeKind::Headers,
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "topic" => Ok(Kind::Topic),
            "direct" => Ok(Kind::Direct),
            "fanout" => Ok(Kind::Fanout),
            "headers" => Ok(Kind::Headers),
            _ => Err(format!("`{name}` is none of topic, direct, fanout, headers")),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for LoadError {}
