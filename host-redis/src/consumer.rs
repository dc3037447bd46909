//! Taking messages so that none is lost: each is registered before it is seen, and leaves only when it is settled.

use std::time::{Duration, Instant};

use keyrail_core::kombu::{Layout, plan};

use crate::{ExecuteError, Executor, GiveBack, ReceivedMessage, Take, Taken, raw};

/// Takes from several queues, the most urgent priority step first.
///
/// What it holds stays registered in Redis. If the process dies, any Kombu consumer puts it back into its queue once the
/// visibility timeout has passed; [`close`](Self::close) puts it back at once.
#[derive(Debug)]
pub struct Consumer<'h, E> {
    executor: &'h E,
    layout: &'h Layout,
    /// In the order of the next take: the queue that delivered last goes to the end, as with Kombu's round robin.
    queues: Vec<String>,
    lists: Vec<String>,
    held: Vec<Delivery>,
}

/// A message that is taken and not yet settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The name under which it is registered.
    pub id: String,
    /// The queue it came from.
    pub queue: String,
    list: String,
    payload: Vec<u8>,
}

/// What came of waiting for a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// A message.
    Delivery(Delivery),
    /// Bytes that are no message; they lie in this list now.
    Quarantined {
        /// The queue they came from.
        queue: String,
        /// The quarantine list.
        list: String,
    },
    /// Nothing came in time.
    Idle,
}

impl Delivery {
    /// The message.
    pub fn message(&self) -> ReceivedMessage {
        ReceivedMessage::decode(&self.queue, &self.payload)
    }

    /// The bytes as they lay in the list.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// The longest single wait: after it the lists are looked at again, because only the list of step 0 wakes a waiter.
const GLANCE: Duration = Duration::from_millis(200);

impl<'h, E: Executor> Consumer<'h, E> {
    pub(crate) fn new(executor: &'h E, layout: &'h Layout, queues: Vec<String>) -> Self {
        let lists = queues.iter().flat_map(|queue| layout.lists(queue)).collect();
        Consumer { executor, layout, queues, lists, held: Vec::new() }
    }

    /// Takes the next message if there is one now.
    ///
    /// Never abandon this future half-way: the server may have taken the message already. [`next`](Self::next) does not.
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn take(&mut self) -> Result<Next, ExecuteError> {
        match self.executor.take(&Take { layout: self.layout, queues: &self.queues }).await? {
            Taken::Empty => Ok(Next::Idle),
            Taken::Quarantined { queue, list } => Ok(Next::Quarantined { queue, list }),
            Taken::Message { delivery, queue, list, payload } => {
                if let Some(at) = self.queues.iter().position(|known| *known == queue) {
                    self.queues[at..].rotate_left(1);
                }
                let delivery = Delivery { id: delivery, queue, list, payload };
                self.held.push(delivery.clone());
                Ok(Next::Delivery(delivery))
            }
        }
    }

    /// Waits until there may be something to take, at most so long. Nothing is taken, so this may be abandoned.
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn wait(&self, limit: Duration) -> Result<(), ExecuteError> {
        self.executor.wait(&self.lists, limit.min(GLANCE)).await
    }

    /// Takes the next message, waiting for it at most so long.
    ///
    /// # Errors
    /// Those of the executor.
    pub async fn next(&mut self, limit: Duration) -> Result<Next, ExecuteError> {
        let deadline = Instant::now() + limit;
        loop {
            let taken = self.take().await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if taken != Next::Idle || left.is_zero() {
                return Ok(taken);
            }
            self.wait(left).await?;
        }
    }

    /// Settles a delivery: the message is done.
    ///
    /// # Errors
    /// Those of the executor; the delivery is still held then.
    pub async fn ack(&mut self, delivery: &Delivery) -> Result<(), ExecuteError> {
        self.executor.run(&plan::ack(self.layout, &delivery.id)).await?;
        self.held.retain(|held| held.id != delivery.id);
        Ok(())
    }

    /// Puts a delivery back behind all others of its list, as Kombu's requeue does; false if it was restored already.
    ///
    /// # Errors
    /// Those of the executor; the delivery is still held then.
    pub async fn requeue(&mut self, delivery: &Delivery) -> Result<bool, ExecuteError> {
        self.put_back(delivery, false).await
    }

    /// Puts back everything that is held, so that it is taken next and in the old order. Returns how many went back.
    ///
    /// # Errors
    /// Those of the executor; what it could not put back stays registered, and Kombu's restore will find it.
    pub async fn close(mut self) -> Result<usize, ExecuteError> {
        let mut returned = 0;
        // The last one taken goes back first: the first one taken is then the next again.
        while let Some(delivery) = self.held.last().cloned() {
            returned += usize::from(self.put_back(&delivery, true).await?);
        }
        Ok(returned)
    }

    async fn put_back(&mut self, delivery: &Delivery, next: bool) -> Result<bool, ExecuteError> {
        let payload = raw::redelivered(&delivery.payload);
        let back = GiveBack {
            layout: self.layout,
            delivery: &delivery.id,
            list: &delivery.list,
            payload: &payload,
            next,
        };
        let held = self.executor.give_back(&back).await?;
        self.held.retain(|held| held.id != delivery.id);
        Ok(held)
    }
}
