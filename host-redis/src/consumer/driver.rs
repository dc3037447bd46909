//! The task behind a consumer: the only one that talks to Redis.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    ConsumerOptions,
    delivery::{Inner, Request, Verdict},
    outage::{Errand, Outage},
    register::{Ack, Back, RECLAIMS},
    unread::{Event, Unread},
};
use crate::{ExecuteError, Executor, Host, QueueOrder, Take, Taken, Waiter, executor::pop_order};

pub(super) struct Driver<E: Executor> {
    pub(super) host: Host<E>,
    pub(super) options: ConsumerOptions,
    /// In the order of the next take.
    queues: Vec<String>,
    pub(super) owner: String,
    takes: u64,
    pub(super) places: u64,
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
    /// What a consumer without acks has taken ahead, the oldest first; what was read is forgotten from the front.
    pub(super) ahead: VecDeque<Arc<Inner>>,
    /// Of that, what goes back and is not registered yet.
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
    pub(super) reclaim_at: Instant,
    pub(super) beat: Instant,
    /// When everything that is held was last made young.
    pub(super) touched: Instant,
    /// The last place of what was held when that came too late: somebody may have restored it before.
    pub(super) lapsed: u64,
    /// Told when Redis is back from an outage.
    back: Arc<Notify>,
    /// Ends the restoring when this task ends.
    _sweep: oneshot::Sender<()>,
}

/// A batch for a consumer without a limit, and the largest one for any.
const BATCH: usize = 256;

/// How long an ack that nobody waits for waits for others: as long as some more are to be read, so that they come.
const COMPANY: Duration = Duration::from_millis(1);

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
            ahead: VecDeque::new(),
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
                () = self.unread.drained() => {}
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
                self.unread.one_less();
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
        // What cannot go where it belongs waits in this process.
        let waiting = self.poison.len() + self.called_back.len() + self.loose.len();
        let room = match (prefetch, self.options.no_ack) {
            (0, _) => BATCH.saturating_sub(unread + waiting),
            (_, true) => prefetch.saturating_sub(unread + waiting),
            (_, false) => prefetch.saturating_sub(self.held.len() + waiting + self.unread.aside()),
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
        while self.ahead.front().is_some_and(|delivery| !delivery.is_unread()) {
            self.ahead.pop_front();
        }
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
                // Whether anything was taken is not known. Without acks there is nothing to be found again.
                if !self.options.no_ack {
                    (self.reclaims, self.reclaim_at) = (&RECLAIMS, Instant::now() + RECLAIMS[0]);
                }
                self.fail(Errand::Exchange, error);
            }
        }
        progress
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
                    self.tell_aside(queue, list, reason);
                }
                Taken::Message { delivery, queue, list, payload } => {
                    self.rotate(&queue);
                    self.places += 1;
                    self.hold(Inner::new(delivery, queue, list, payload, self.places, asked));
                }
            }
            progress = true;
        }
        // A take that is full may not have come to a list that it would complain about.
        match progress {
            true => self.complaints.extend(complaints),
            false => self.complaints = complaints,
        }
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
        match inner.id.is_empty() {
            true => self.ahead.push_back(inner.clone()),
            false => drop(self.held.insert(inner.place, inner.clone())),
        }
        self.unread.one_more();
        self.tell(Ok(Event::Delivery(inner)));
    }

    /// Names what is in quarantine now. It takes the room of a message until somebody reads it: nobody knows how much more
    /// of it there is.
    pub(super) fn tell_aside(&self, queue: String, list: String, reason: Box<str>) {
        self.unread.one_aside_more();
        self.tell(Ok(Event::Quarantined { queue, list, reason }));
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
}
