//! The task behind a consumer: the only one that talks to Redis.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    ConsumerOptions,
    delivery::{Inner, Request, Verdict},
    outage::{Errand, Outage, may_be_done, passes},
};
use crate::{
    ExecuteError, Executor, Host, QueueOrder, Take, Taken, Waiter,
    executor::{AT_ONCE, pop_order},
};

/// What comes to the consumer's owner.
#[derive(Debug)]
pub(super) enum Event {
    Delivery(Arc<Inner>),
    Quarantined { queue: String, list: String, reason: Box<str> },
}

/// How many messages were taken ahead and wait to be read.
#[derive(Debug, Default)]
pub(super) struct Unread {
    count: AtomicUsize,
    drained: Notify,
}

impl Unread {
    pub(super) fn one_less(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.drained.notify_one();
        }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

pub(super) type Done = oneshot::Sender<Result<bool, ExecuteError>>;

/// A delivery that is done.
pub(super) struct Ack {
    pub(super) delivery: Arc<Inner>,
    done: Done,
    pub(super) doubt: Doubt,
}

/// A delivery that goes back to a place in its list, or to quarantine.
pub(super) struct Back {
    pub(super) delivery: Arc<Inner>,
    pub(super) to: Option<super::Requeue>,
    pub(super) done: Done,
    pub(super) doubt: Doubt,
}

/// Of a delivery that was settled by a try whose answer was lost: when it was last known to be nobody else's. What is gone
/// before the visibility timeout is over since then is gone because of that try, since nobody may have restored it.
pub(super) type Doubt = Option<Instant>;

pub(super) struct Driver<E: Executor> {
    pub(super) host: Host<E>,
    pub(super) options: ConsumerOptions,
    /// In the order of the next take.
    queues: Vec<String>,
    owner: String,
    takes: u64,
    places: u64,
    /// Registered, and not yet on the way back or settled; by place.
    pub(super) held: HashMap<u64, Arc<Inner>>,
    pub(super) acks: Vec<Ack>,
    /// Until when the acks may wait for others.
    acks_due: Instant,
    /// What goes back, or to quarantine.
    pub(super) backs: Vec<Back>,
    /// Registered by us and no message; each with the reason.
    pub(super) poison: Vec<(Arc<Inner>, Box<str>)>,
    /// On the way back since somebody asked for all that is unread, and not there yet.
    pub(super) called_back: Vec<Arc<Inner>>,
    /// Not registered and not read: what a consumer without acks gives back when it is closed.
    pub(super) loose: Vec<Arc<Inner>>,
    /// How many went back because nobody reads on.
    pub(super) returned: usize,
    pub(super) out: mpsc::UnboundedSender<Result<Event, ExecuteError>>,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    /// What was asked for, settling apart.
    asked: VecDeque<Request>,
    unread: Arc<Unread>,
    pub(super) outage: Outage,
    /// The keys of another type that were told of.
    complaints: HashSet<String>,
    /// After how long to look once more for what a lost answer took, and when to look next.
    pub(super) reclaims: &'static [Duration],
    reclaim_at: Instant,
    beat: Instant,
    /// When everything that is held was last made young.
    touched: Instant,
    /// The last place of what was held when that came too late: somebody may have restored it before.
    lapsed: u64,
    /// Told when Redis is back from an outage.
    back: Arc<Notify>,
    /// Ends the restoring when this task ends.
    _sweep: oneshot::Sender<()>,
}

/// A batch for a consumer without a limit, and the largest one for any.
const BATCH: usize = 256;

/// How long an ack that nobody waits for waits for others: as long as some more are to be read, so that they come.
const COMPANY: Duration = Duration::from_millis(1);

/// When to look for what was taken by a request whose answer is lost: at once, and later, because the server may come to
/// read the request after that.
const RECLAIMS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(10)];

impl<E: Executor> Driver<E> {
    #[expect(clippy::too_many_arguments, reason = "the parts of one value, put together in one place")]
    pub(super) fn new(
        host: Host<E>,
        mut queues: Vec<String>,
        options: ConsumerOptions,
        owner: String,
        out: mpsc::UnboundedSender<Result<Event, ExecuteError>>,
        requests: mpsc::UnboundedReceiver<Request>,
        unread: Arc<Unread>,
        sweep: oneshot::Sender<()>,
        back: Arc<Notify>,
    ) -> Self {
        if options.queue_order_strategy == QueueOrder::Sorted {
            queues.sort_unstable();
        }
        let mut known = HashSet::new();
        queues.retain(|queue| known.insert(queue.clone()));
        let beat = Instant::now() + options.visibility_timeout / 3;
        Driver {
            host,
            options,
            queues,
            owner,
            takes: 0,
            places: 0,
            held: HashMap::new(),
            acks: Vec::new(),
            acks_due: beat,
            backs: Vec::new(),
            poison: Vec::new(),
            called_back: Vec::new(),
            loose: Vec::new(),
            returned: 0,
            out,
            requests,
            asked: VecDeque::new(),
            unread,
            outage: Outage::default(),
            complaints: HashSet::new(),
            reclaims: &[],
            reclaim_at: beat,
            beat,
            touched: Instant::now(),
            lapsed: 0,
            back,
            _sweep: sweep,
        }
    }

    pub(super) async fn run(mut self) {
        let mut waiter = self.waiter();
        let mut abandoned = false;
        let closing = loop {
            while let Ok(request) = self.requests.try_recv() {
                self.accept(request);
            }
            match self.asked.pop_front() {
                Some(Request::Cancel { queue, done }) => {
                    self.queues.retain(|known| *known != queue);
                    waiter = self.waiter();
                    let _ = done.send(self.return_unread(Some(&queue)).await.into());
                    continue;
                }
                Some(Request::Prefetch(prefetch)) => {
                    self.options.prefetch = prefetch;
                    continue;
                }
                Some(Request::Recover { done }) => {
                    let _ = done.send(self.return_held().await.into());
                    continue;
                }
                Some(closing) => break Some(closing),
                None => {}
            }
            if self.outage.until(Errand::Exchange).is_none() {
                self.reclaim().await;
                self.heartbeat().await;
                if self.exchange().await {
                    continue;
                }
            }
            let paused = self.outage.until(Errand::Exchange).or_else(|| self.outage.until(Errand::Wait));
            let room = if paused.is_some() { 0 } else { self.room() };
            let until = self.wake();
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => self.accept(request),
                    None => break None,
                },
                () = self.out.closed(), if !abandoned => {
                    // Nobody reads on: what was taken ahead goes back, what was handed out may still be settled.
                    abandoned = true;
                    self.returned += self.return_unread(None).await.count;
                }
                () = self.unread.drained.notified() => {}
                woken = waiter.wait(self.options.polling_interval), if room > 0 => {
                    match woken {
                        Ok(()) => self.outage.over(Errand::Wait),
                        Err(error) => self.fail(Errand::Wait, error),
                    }
                }
                () = sleep_until(until) => {}
            }
        };
        self.finish(closing).await;
    }

    fn waiter(&self) -> E::Waiter {
        let lists = pop_order(self.host.layout(), &self.queues).into_iter().map(|(_, list)| list);
        self.host.executor().waiter(lists.collect())
    }

    /// Until when there is nothing to do by itself.
    fn wake(&self) -> Instant {
        if let Some(paused) = self.outage.until(Errand::Exchange) {
            return paused;
        }
        let after = |errand, due: Instant| self.outage.until(errand).map_or(due, |until| until.max(due));
        let mut wake = after(Errand::Heartbeat, self.beat);
        if !self.reclaims.is_empty() {
            wake = wake.min(after(Errand::Reclaim, self.reclaim_at));
        }
        if !self.acks.is_empty() {
            wake = wake.min(self.acks_due);
        }
        for errand in [Errand::Wait, Errand::Back, Errand::Rest] {
            // What waits for nothing is done when something happens, or in this round.
            wake = self.outage.until(errand).map_or(wake, |until| wake.min(until));
        }
        wake
    }

    /// Notes what is to be done in the next round.
    pub(super) fn accept(&mut self, request: Request) {
        let (delivery, verdict, done) = match request {
            Request::Settle { delivery, verdict, done } => (delivery, verdict, done),
            Request::Poison { delivery, reason } => {
                // Unless it went back meanwhile; whoever reads it next finds the same.
                if delivery.id.is_empty() || self.held.remove(&delivery.place).is_some() {
                    self.poison.push((delivery, reason));
                }
                return;
            }
            Request::Hurry => {
                self.acks_due = Instant::now();
                return;
            }
            other => return self.asked.push_back(other),
        };
        match (self.held.remove(&delivery.place), verdict) {
            // Settled before, or put back; or never registered, and then there is nothing to settle.
            (None, verdict) => {
                let unregistered = delivery.id.is_empty() && matches!(verdict, Verdict::Done);
                let _ = done.send(Ok(unregistered));
            }
            (Some(_), Verdict::Done) => {
                if self.acks.is_empty() {
                    self.acks_due = Instant::now() + COMPANY;
                }
                self.acks.push(Ack { delivery, done, doubt: None });
            }
            (Some(_), Verdict::Back(place)) => {
                self.backs.push(Back { delivery, to: Some(place), done, doubt: None });
            }
            (Some(_), Verdict::Aside) => self.backs.push(Back { delivery, to: None, done, doubt: None }),
        }
    }

    /// How many more messages to take now.
    fn room(&self) -> usize {
        if self.out.is_closed() || self.queues.is_empty() {
            return 0;
        }
        let (prefetch, unread) = (self.options.prefetch, self.unread.count());
        let room = match (prefetch, self.options.no_ack) {
            (0, _) => BATCH.saturating_sub(unread),
            (_, true) => prefetch.saturating_sub(unread),
            (_, false) => {
                prefetch.saturating_sub(self.held.len() + self.poison.len() + self.called_back.len())
            }
        };
        // As long as there is something to read, small batches are not worth their way. Halves are: one is on its way
        // while the other is worked on.
        let half = if prefetch == 0 { BATCH } else { prefetch.div_ceil(2).min(BATCH) };
        if room < half && unread > 0 { 0 } else { room.min(half) }
    }

    /// Whether the acks go now, though nothing is taken with them.
    fn acks_go(&self) -> bool {
        self.unread.count() == 0 || self.acks_due <= Instant::now()
    }

    /// Sends what is settled and takes what there is room for, in one exchange. Whether anything came of it.
    async fn exchange(&mut self) -> bool {
        // Before taking: what goes back to be the next must be there.
        let returned = self.give_back().await;
        // It may have found that nothing can be taken now; acks may go nevertheless, where memory is short for instance.
        let room = if self.outage.until(Errand::Exchange).is_some() { 0 } else { self.room() };
        let acks = if room > 0 || self.acks_go() { self.next_acks() } else { Vec::new() };
        let ids: Vec<String> = acks.iter().map(|ack| ack.delivery.id.clone()).collect();
        let (executor, layout) = (self.host.executor(), self.host.layout());
        let owner = format!("{}.{}", self.owner, self.takes);
        let take = Take {
            layout,
            queues: &self.queues,
            limit: room,
            in_turn: self.options.queue_order_strategy == QueueOrder::RoundRobin,
            owner: (!self.options.no_ack).then_some(&owner),
        };
        let settle =
            async { if ids.is_empty() { Ok(Vec::new()) } else { executor.settle(layout, &ids).await } };
        let asked = Instant::now();
        let taking = async { if room == 0 { Ok(Vec::new()) } else { executor.take(&take).await } };
        let (settled, taken) = tokio::join!(settle, taking);
        let mut progress = returned || (!acks.is_empty() && settled.is_ok());
        let settles = settled.is_ok();
        self.settled(acks, settled);
        if room > 0 {
            self.takes += 1;
        }
        match taken {
            Ok(_) if room == 0 => {}
            Ok(taken) => {
                // A replica answers who takes from empty lists, and refuses who settles.
                if settles {
                    self.outage.over(Errand::Exchange);
                    if self.outage.is_back() {
                        self.back.notify_one();
                    }
                }
                progress |= self.deliver(taken, asked);
            }
            Err(error) => {
                // Whether anything was taken is not known.
                (self.reclaims, self.reclaim_at) = (&RECLAIMS, Instant::now() + RECLAIMS[0]);
                self.fail(Errand::Exchange, error);
            }
        }
        progress
    }

    /// As many as are settled in one step, so that what an error says, it says of all of them.
    pub(super) fn next_acks(&mut self) -> Vec<Ack> {
        let later = self.acks.split_off(self.acks.len().min(AT_ONCE));
        mem::replace(&mut self.acks, later)
    }

    pub(super) fn settled(&mut self, acks: Vec<Ack>, settled: Result<Vec<bool>, ExecuteError>) {
        match settled {
            Ok(settled) => {
                for (Ack { done, doubt, .. }, known) in acks.into_iter().zip(settled) {
                    let _ = done.send(Ok(known || self.was_ours(doubt)));
                }
            }
            Err(error) if passes(&error) => {
                let again = acks.into_iter().map(|ack| {
                    let doubt = ack.doubt.or_else(|| self.doubt(&ack.delivery, &error));
                    Ack { doubt, ..ack }
                });
                let again: Vec<Ack> = again.collect();
                self.acks.splice(0..0, again);
                self.fail(Errand::Exchange, error);
            }
            Err(error) => {
                for Ack { delivery, done, .. } in acks {
                    self.held.insert(delivery.place, delivery);
                    let _ = done.send(Err(error.clone()));
                }
                self.fail(Errand::Exchange, error);
            }
        }
    }

    /// What a try that ended in this error leaves to doubt.
    pub(super) fn doubt(&self, delivery: &Inner, error: &ExecuteError) -> Doubt {
        may_be_done(error).then(|| self.kept(delivery))
    }

    /// Whether what is gone was this consumer's until a try took it whose answer was lost.
    pub(super) fn was_ours(&self, doubt: Doubt) -> bool {
        doubt.is_some_and(|kept| kept.elapsed() < self.options.visibility_timeout)
    }

    /// When this was last known to be young in the register.
    fn kept(&self, delivery: &Inner) -> Instant {
        if delivery.place > self.lapsed { delivery.taken.max(self.touched) } else { delivery.taken }
    }

    /// Hands on what was taken, which was asked for at this time. Whether it was anything that calls for taking again.
    fn deliver(&mut self, taken: Vec<Taken>, asked: Instant) -> bool {
        let mut complaints = HashSet::new();
        let mut progress = false;
        for taken in taken {
            match taken {
                Taken::WrongType { key, command } => {
                    if !self.complaints.contains(&key) {
                        self.tell(Err(ExecuteError::WrongType { key: key.as_str().into(), command }));
                    }
                    complaints.insert(key);
                    continue;
                }
                Taken::Quarantined { queue, list } => {
                    let reason = "it is no JSON object with a delivery tag".into();
                    tracing::warn!(queue, "a payload that is no message was moved to `{list}`");
                    self.tell(Ok(Event::Quarantined { queue, list, reason }));
                }
                Taken::Message { delivery, queue, list, payload } => {
                    self.rotate(&queue);
                    self.places += 1;
                    self.hold(Inner::new(delivery, queue, list, payload, self.places, asked));
                }
            }
            progress = true;
        }
        self.complaints = complaints;
        progress
    }

    /// The queue that has delivered goes to the end.
    fn rotate(&mut self, queue: &str) {
        if self.options.queue_order_strategy == QueueOrder::RoundRobin
            && let Some(at) = self.queues.iter().position(|known| known == queue)
        {
            self.queues[at..].rotate_left(1);
        }
    }

    fn hold(&mut self, inner: Inner) {
        let inner = Arc::new(inner);
        if !inner.id.is_empty() {
            self.held.insert(inner.place, inner.clone());
        }
        self.unread.count.fetch_add(1, Ordering::AcqRel);
        if let Err(mpsc::error::SendError(Ok(Event::Delivery(inner)))) =
            self.out.send(Ok(Event::Delivery(inner)))
            && inner.id.is_empty()
        {
            self.loose.push(inner);
        }
    }

    pub(super) fn tell(&self, event: Result<Event, ExecuteError>) {
        // Nobody may be there to hear it.
        let _ = self.out.send(event);
    }

    pub(super) fn fail(&mut self, errand: Errand, error: ExecuteError) {
        if let Some(error) = self.outage.note(errand, error) {
            self.tell(Err(error));
        }
    }

    /// Keeps what is held from being restored by others.
    async fn heartbeat(&mut self) {
        if self.beat > Instant::now() || self.outage.until(Errand::Heartbeat).is_some() {
            return;
        }
        self.beat = Instant::now() + (self.options.visibility_timeout / 3).max(Duration::from_millis(10));
        let ids: Vec<String> = self.ours().map(|delivery| delivery.id.clone()).collect();
        if !self.options.heartbeat || ids.is_empty() {
            return;
        }
        let now = Instant::now();
        let kept =
            self.ours().filter(|delivery| delivery.place > self.lapsed).map(|delivery| self.kept(delivery));
        let oldest = kept.min();
        match self.host.executor().touch(self.host.layout(), &ids).await {
            Ok(()) => {
                // The server does not say what it knew nothing of.
                if oldest.is_some_and(|kept| kept.elapsed() >= self.options.visibility_timeout) {
                    self.lapsed = self.places;
                }
                self.touched = now;
                self.outage.over(Errand::Heartbeat);
            }
            Err(error) => {
                // Soon again, before a third of the time has passed once more.
                self.beat = Instant::now();
                self.fail(Errand::Heartbeat, error);
            }
        }
    }

    /// Everything that is registered and known here.
    fn ours(&self) -> impl Iterator<Item = &Inner> {
        let acks = self.acks.iter().map(|ack| &ack.delivery);
        let backs = self.backs.iter().map(|back| &back.delivery);
        let poison = self.poison.iter().map(|(delivery, _)| delivery);
        let ours = self.held.values().chain(acks).chain(backs).chain(poison).chain(&self.called_back);
        ours.map(|delivery| &**delivery)
    }

    /// Puts back what was taken for this consumer and never arrived here, if it is time to look for it.
    async fn reclaim(&mut self) {
        if self.reclaims.is_empty()
            || self.reclaim_at > Instant::now()
            || self.outage.until(Errand::Reclaim).is_some()
        {
            return;
        }
        match self.reclaim_now().await {
            Ok(0) => {}
            Ok(returned) => {
                tracing::info!("{returned} messages whose delivery was cut off are back in their queues");
            }
            Err(error) => return self.fail(Errand::Reclaim, error),
        }
        self.outage.over(Errand::Reclaim);
        // From a look that came through: what was sent before may be read by the server after it.
        self.reclaims = &self.reclaims[1..];
        self.reclaim_at = Instant::now() + self.reclaims.first().copied().unwrap_or_default();
    }

    pub(super) async fn reclaim_now(&self) -> Result<usize, ExecuteError> {
        let known: HashSet<&str> = self.ours().map(|delivery| &*delivery.id).collect();
        let returned = self.host.return_owned(&self.owner, |delivery| known.contains(delivery)).await;
        returned.map_err(|error| match error {
            crate::HostError::Execute(error) => error,
            other => ExecuteError::Server { message: other.to_string().into() },
        })
    }
}
