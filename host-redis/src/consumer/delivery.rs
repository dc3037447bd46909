//! One message in the hands of a consumer.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use keyrail_core::kombu::Received;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{ExecuteError, ReceivedMessage, payload};

/// A message that is taken and not yet settled. A clone is the same delivery.
///
/// It stays held until one of [`ack`](Self::ack), [`reject`](Self::reject) and [`requeue`](Self::requeue), or until its
/// consumer is closed; dropping it settles nothing.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{ConsumerOptions, Host, Memory, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// let job = Envelope::text("resize").priority(0);
/// host.publish(&Outgoing::new("", "jobs", job)).await.unwrap();
/// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
/// let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
/// assert_eq!((delivery.queue(), delivery.redelivered(), delivery.delivery_count()), ("jobs", false, 0));
/// assert_eq!(delivery.received().body, b"resize");
/// assert_eq!(delivery.ack().await, Ok(true));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Delivery {
    inner: Arc<Inner>,
    received: Arc<Received>,
    requests: mpsc::UnboundedSender<Request>,
}

/// Where a message goes when it is put back.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{ConsumerOptions, Host, Memory, Outgoing, Requeue, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// for text in ["a", "b"] {
///     host.publish(&Outgoing::new("", "jobs", Envelope::text(text))).await.unwrap();
/// }
/// let options = ConsumerOptions { prefetch: 1, ..ConsumerOptions::default() };
/// let mut consumer = host.consumer(vec!["jobs".into()], options).unwrap();
/// for (expected, place) in [("a", Requeue::Front), ("a", Requeue::Last), ("b", Requeue::Last)] {
///     let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
///     assert_eq!(delivery.message().body.as_text(), Some(expected));
///     delivery.requeue(place).await.unwrap();
/// }
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requeue {
    /// Behind all others of its priority step, as Kombu's requeue does.
    #[default]
    Last,
    /// To be taken next.
    Front,
}

/// The way of an ack, a reject or a requeue to Redis.
///
/// It goes there whether or not this is awaited; what nobody awaits may wait a millisecond for company. Awaited, it goes
/// at once, and says whether the delivery was still this consumer's: if not, somebody restored it in the meantime and it
/// is delivered a second time. If the answer was lost and the delivery is gone, nobody can have restored it before the
/// visibility timeout is over since it was taken or last renewed, and it counts as this consumer's until then.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::kombu::{Envelope, Layout};
/// use keyrail_redis::{ConsumerOptions, Executor, Host, Memory, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
/// host.publish(&Outgoing::new("", "jobs", Envelope::text("resize"))).await.unwrap();
/// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
/// let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
/// drop(delivery.ack()); // on its way all the same
///
/// assert_eq!(consumer.close().await.unwrap(), 0);
/// assert!(host.executor().keys("").await.unwrap().is_empty(), "neither held nor in the queue");
/// # });
/// ```
///
/// # Errors
/// A broken connection is no error, the way is taken again. [`ExecuteError::Closed`] if the consumer was closed before;
/// the message is in its queue again then, or restored later. Other errors leave the delivery held.
#[derive(Debug)]
pub struct Settlement {
    settled: oneshot::Receiver<Result<bool, ExecuteError>>,
    /// Where to say that somebody waits; nobody any more once it is said.
    hurry: Option<mpsc::WeakUnboundedSender<Request>>,
}

impl Future for Settlement {
    type Output = Result<bool, ExecuteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let settled = Pin::new(&mut self.settled).poll(context);
        if settled.is_pending()
            && let Some(requests) = self.hurry.take().and_then(|hurry| hurry.upgrade())
        {
            // Without a consumer nobody has to hurry.
            let _ = requests.send(Request::Hurry);
        }
        settled.map(|settled| settled.unwrap_or(Err(ExecuteError::Closed)))
    }
}

impl Delivery {
    /// Reads a message when it is handed out, in the reader's time: the task that takes has Redis to keep busy.
    ///
    /// # Errors
    /// Why it is no message, and what is to be put aside.
    pub(super) fn read(
        inner: Arc<Inner>,
        requests: &mpsc::UnboundedSender<Request>,
    ) -> Result<Self, (Arc<Inner>, Box<str>)> {
        match payload::message(&inner.payload) {
            Ok(received) => Ok(Delivery { inner, received: Arc::new(received), requests: requests.clone() }),
            Err(reason) => Err((inner, reason)),
        }
    }

    /// The name under which it is registered; empty without acks.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The queue it came from.
    pub fn queue(&self) -> &str {
        &self.inner.queue
    }

    /// The message, its body decompressed and decoded if it is JSON or text. The work is done by each call.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{Compression, ConsumerOptions, Host, Memory, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let packed = Compression::Zlib.compress(b"42 EUR").unwrap();
    /// let envelope = Envelope::text("").compressed(packed, Compression::Zlib.content_type());
    /// host.publish(&Outgoing::new("", "jobs", envelope)).await.unwrap();
    /// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
    /// let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
    /// assert_eq!(delivery.message().body.as_text(), Some("42 EUR"));
    /// assert_ne!(delivery.received().body, b"42 EUR", "as it was sent");
    /// # });
    /// ```
    pub fn message(&self) -> ReceivedMessage {
        ReceivedMessage::of(&self.inner.queue, &self.received)
    }

    /// The message as it was read, its body as it was sent.
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// The bytes as they lay in the list.
    pub fn payload(&self) -> &[u8] {
        &self.inner.payload
    }

    /// Whether it was delivered before, to anybody.
    pub fn redelivered(&self) -> bool {
        self.received.redelivered
    }

    /// How often it was delivered before without being settled, as far as is known: keyrail counts, in the header that
    /// RabbitMQ uses (`x-delivery-count`), while Kombu only marks a message as redelivered.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, Outgoing, Requeue, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "jobs", Envelope::text("resize"))).await.unwrap();
    /// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
    /// for count in 0..3 {
    ///     let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
    ///     assert_eq!((delivery.delivery_count(), delivery.redelivered()), (count, count > 0));
    ///     delivery.requeue(Requeue::Last).await.unwrap();
    /// }
    /// # });
    /// ```
    ///
    /// # Source
    /// RabbitMQ's header `x-delivery-count` of quorum queues.
    pub fn delivery_count(&self) -> u64 {
        crate::decode::delivery_count(&self.received)
    }

    /// Settles it: the message is done.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "jobs", Envelope::text("resize"))).await.unwrap();
    /// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
    /// let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
    /// assert_eq!(delivery.ack().await, Ok(true), "it was still ours");
    /// # });
    /// ```
    ///
    /// # Source
    /// AMQP 0-9-1 `basic.ack`, of one delivery.
    pub fn ack(&self) -> Settlement {
        self.settle(Verdict::Done)
    }

    /// Settles it: the message is not wanted. As in Kombu on Redis it is gone; there is no dead lettering.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "jobs", Envelope::text("resize"))).await.unwrap();
    /// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
    /// let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
    /// assert_eq!(delivery.reject().await, Ok(true));
    /// assert_eq!(host.count("jobs").await.unwrap(), 0);
    /// # });
    /// ```
    ///
    /// # Source
    /// AMQP 0-9-1 `basic.reject` without `requeue`; Kombu's `kombu.transport.virtual.Channel.basic_reject`.
    pub fn reject(&self) -> Settlement {
        self.settle(Verdict::Done)
    }

    /// Puts it back, marked as redelivered.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Host, Memory, Outgoing, Requeue, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "jobs", Envelope::text("resize"))).await.unwrap();
    /// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
    /// let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
    /// delivery.requeue(Requeue::Front).await.unwrap();
    /// consumer.close().await.unwrap();
    /// assert!(host.get("jobs").await.unwrap().unwrap().redelivered);
    /// # });
    /// ```
    ///
    /// # Source
    /// AMQP 0-9-1 `basic.reject` with `requeue`.
    pub fn requeue(&self, place: Requeue) -> Settlement {
        self.settle(Verdict::Back(place))
    }

    /// Puts it aside for somebody to look at: into its queue's quarantine list, byte for byte.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::{Envelope, Layout};
    /// use keyrail_redis::{ConsumerOptions, Executor, Host, Memory, Outgoing, load, quarantine_list};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// host.publish(&Outgoing::new("", "jobs", Envelope::text("resize"))).await.unwrap();
    /// let mut consumer = host.consumer(vec!["jobs".into()], ConsumerOptions::default()).unwrap();
    /// let delivery = consumer.next(Duration::from_secs(5)).await.unwrap().delivery().unwrap();
    /// delivery.quarantine().await.unwrap();
    /// let list = quarantine_list(host.layout(), "jobs");
    /// assert_eq!(host.executor().keys("").await.unwrap(), [list]);
    /// # });
    /// ```
    pub fn quarantine(&self) -> Settlement {
        self.settle(Verdict::Aside)
    }

    fn settle(&self, verdict: Verdict) -> Settlement {
        let (done, settled) = oneshot::channel();
        // Without a consumer the sender is dropped, which is how the settlement learns of it.
        let _ = self.requests.send(Request::Settle { delivery: self.inner.clone(), verdict, done });
        Settlement { settled, hurry: Some(self.requests.downgrade()) }
    }
}

/// What is known of a delivery, shared by the task that takes and everybody who has it in hand.
#[derive(Debug)]
pub(super) struct Inner {
    /// Empty if it is not registered.
    pub(super) id: String,
    pub(super) queue: String,
    pub(super) list: String,
    pub(super) payload: Vec<u8>,
    /// The order in which messages were taken.
    pub(super) place: u64,
    /// When it was asked for: it cannot be older than that in the register.
    pub(super) taken: Instant,
    state: AtomicU8,
}

const UNREAD: u8 = 0;
const HANDED_OUT: u8 = 1;
const RETURNED: u8 = 2;

impl Inner {
    pub(super) fn new(
        id: String,
        queue: String,
        list: String,
        payload: Vec<u8>,
        place: u64,
        taken: Instant,
    ) -> Self {
        Inner { id, queue, list, payload, place, taken, state: AtomicU8::new(UNREAD) }
    }

    /// The same, registered by this name.
    pub(super) fn named(&self, id: String) -> Self {
        let (queue, list, payload) = (self.queue.clone(), self.list.clone(), self.payload.clone());
        Inner::new(id, queue, list, payload, self.place, Instant::now())
    }

    pub(super) fn is_unread(&self) -> bool {
        self.state.load(Ordering::Acquire) == UNREAD
    }

    /// Whether it may be handed out: not if it went back before anybody read it.
    pub(super) fn hand_out(&self) -> bool {
        self.state.compare_exchange(UNREAD, HANDED_OUT, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether nobody has read it; then nobody will.
    pub(super) fn call_back(&self) -> bool {
        self.state.compare_exchange(UNREAD, RETURNED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// It is forgotten.
    Done,
    /// It goes back.
    Back(Requeue),
    /// It goes to quarantine.
    Aside,
}

/// What the task that takes is asked for.
#[derive(Debug)]
pub(super) enum Request {
    Settle {
        delivery: Arc<Inner>,
        verdict: Verdict,
        done: oneshot::Sender<Result<bool, ExecuteError>>,
    },
    /// It was handed out, and whoever read it found that it is no message.
    Poison {
        delivery: Arc<Inner>,
        reason: Box<str>,
    },
    /// Somebody waits for what was settled last.
    Hurry,
    Recover {
        done: oneshot::Sender<Result<usize, ExecuteError>>,
    },
    Prefetch(usize),
    Cancel {
        queue: String,
        done: oneshot::Sender<Result<usize, ExecuteError>>,
    },
    Close {
        done: oneshot::Sender<Result<usize, ExecuteError>>,
    },
}
