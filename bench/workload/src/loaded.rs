use std::{collections::BTreeMap, fmt, str::FromStr};

use keyrail_core::{
    Binding, Exchange, ExchangeId, ExchangeKind, Limits, Message, Outcome, Queue, QueueId, Router, Routes,
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
    /// Binds every line.
    ///
    /// # Errors
    /// [`LoadError`] for the first line that is refused.
    pub fn new(kind: Kind, table: &Bindings) -> Result<Self, LoadError> {
        let mut router = Router::new();
        router.set_limits(Limits::default().bindings(usize::MAX));
        let exchange = Exchange::new(kind.into());
        let mut loaded = match router.declare_exchange("bench", exchange) {
            Ok(exchange) => Loaded { router, exchange, numbers: Vec::new() },
            Err(error) => return Err(LoadError { line: 0, reason: error.to_string() }),
        };
        // Not a hash map: its random seed would change the number of instructions from run to run.
        let mut queues = BTreeMap::new();
        for (line, (pattern, queue)) in (1..).zip(table.iter()) {
            loaded.bind(kind, pattern, queue, &mut queues).map_err(|reason| LoadError { line, reason })?;
        }
        Ok(loaded)
    }

    fn bind(
        &mut self,
        kind: Kind,
        pattern: &[u8],
        number: u32,
        queues: &mut BTreeMap<u32, QueueId>,
    ) -> Result<(), String> {
        let Loaded { router, exchange, numbers } = self;
        let queue = match queues.get(&number) {
            Some(queue) => *queue,
            None => {
                let queue = router.declare_queue(&number.to_string(), Queue::new());
                let queue = queue.map_err(|error| error.to_string())?;
                // INVARIANT: ids of a router that nothing was deleted from count up from zero.
                numbers.push(number);
                queues.insert(number, queue);
                queue
            }
        };
        let bound = if kind == Kind::Headers {
            let arguments = headers::parse(pattern)?;
            router.bind(*exchange, queue, &Binding::new("").arguments(&arguments))
        } else {
            router.bind(*exchange, queue, &Binding::new(pattern))
        };
        bound.map(drop).map_err(|error| error.to_string())
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
