//! The ways back: requeue, recover, cancel, close, quarantine.

use std::{cmp::Reverse, mem, sync::Arc, time::Duration};

use keyrail_core::kombu::{Command, Plan};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Requeue,
    delivery::{Inner, Request},
    driver::Driver,
    outage::{Errand, passes},
    register::Back,
};
use crate::{ExecuteError, Executor, GiveBack, quarantine_list, raw};

/// How many went back, and what stopped the others.
#[derive(Debug, Default)]
pub(super) struct Gone {
    pub(super) count: usize,
    failed: Option<ExecuteError>,
}

impl From<Gone> for Result<usize, ExecuteError> {
    fn from(gone: Gone) -> Self {
        gone.failed.map_or(Ok(gone.count), Err)
    }
}

impl Gone {
    /// Whether the rest would have met the same: not what stands in the way of one list.
    fn is_stopped(&self) -> bool {
        self.failed.as_ref().is_some_and(|error| !is_of_one_list(error))
    }
}

/// The ways that are not tried in this round any more.
#[derive(Debug, Default)]
struct Barred {
    all: bool,
    names: Vec<String>,
}

impl Barred {
    fn is(&self, name: &str) -> bool {
        self.all || self.names.iter().any(|barred| barred == name)
    }

    /// Notes what stands in the way by this name.
    fn note(&mut self, name: &str, error: &ExecuteError) {
        match is_of_one_list(error) {
            true => self.names.push(name.to_owned()),
            false => self.all = true,
        }
    }
}

fn is_of_one_list(error: &ExecuteError) -> bool {
    matches!(error, ExecuteError::WrongType { .. })
}

/// How long putting back what is held takes at most.
pub(super) const CLOSING: Duration = Duration::from_secs(5);

impl<E: Executor> Driver<E> {
    /// Sends what goes back and what goes to quarantine, unless it has to wait. Whether anything went.
    pub(super) async fn give_back(&mut self) -> bool {
        let mut progress = false;
        if self.has_rest() && self.outage.until(Errand::Rest).is_none() {
            let (back, aside) = self.return_rest().await;
            progress |= back + aside > 0;
        }
        if !self.backs.is_empty() && self.outage.until(Errand::Back).is_none() {
            progress |= self.return_backs().await;
        }
        progress
    }

    /// Sends what somebody put back or aside. Whether anything went.
    async fn return_backs(&mut self) -> bool {
        let mut progress = false;
        let mut backs = mem::take(&mut self.backs).into_iter();
        while let Some(Back { delivery, to, done, doubt }) = backs.next() {
            let gone = match to {
                Some(place) => self.put_back(&delivery, place, true).await,
                None => self.quarantine(&delivery).await.map(|(known, _)| known),
            };
            match gone {
                Ok(known) => {
                    progress = true;
                    let _ = done.send(Ok(known || self.was_ours(doubt)));
                }
                Err(error) if passes(&error) => {
                    let doubt = doubt.or_else(|| self.doubt(&delivery, &error));
                    self.backs.push(Back { delivery, to, done, doubt });
                    // The others would be told the same.
                    self.backs.extend(backs.by_ref());
                    self.fail(Errand::Back, error);
                }
                Err(error) => {
                    self.held.insert(delivery.place, delivery);
                    let _ = done.send(Err(error));
                }
            }
        }
        if self.backs.is_empty() {
            self.outage.over(Errand::Back);
        }
        progress
    }

    fn has_rest(&self) -> bool {
        !self.called_back.is_empty() || !self.poison.is_empty() || !self.loose.is_empty()
    }

    /// Tries again what was called back and could not go, and puts aside what is no message. How many were put back or
    /// aside; what fails is in its place again.
    async fn return_rest(&mut self) -> (usize, usize) {
        if let Err(error) = self.register_loose().await {
            self.fail(Errand::Rest, error);
            return (0, 0);
        }
        let called_back = mem::take(&mut self.called_back);
        let back = self.return_these(called_back, false).await.count;
        let mut aside = 0;
        let mut barred = Barred::default();
        for (delivery, reason) in mem::take(&mut self.poison) {
            if barred.is(&delivery.queue) {
                self.poison.push((delivery, reason));
                continue;
            }
            let (delivery, gone) = match self.registered(&delivery).await {
                Ok(registered) => {
                    let gone = self.quarantine(&registered).await;
                    (registered, gone)
                }
                Err(error) => (delivery, Err(error)),
            };
            match gone {
                Ok((_, list)) => {
                    aside += 1;
                    let queue = delivery.queue.clone();
                    tracing::warn!(queue, "a payload that is no message was moved to `{list}`: {reason}");
                    self.tell_aside(queue, list, reason);
                }
                Err(error) => {
                    barred.note(&delivery.queue, &error);
                    self.poison.push((delivery, reason));
                    self.fail(Errand::Rest, error);
                }
            }
        }
        if !self.has_rest() {
            self.outage.over(Errand::Rest);
        }
        (back, aside)
    }

    /// Puts a delivery back; false if it is no longer registered. `seen` if somebody had it in hand.
    async fn put_back(&self, delivery: &Inner, place: Requeue, seen: bool) -> Result<bool, ExecuteError> {
        let marked = seen.then(|| raw::redelivered(&delivery.payload));
        let payload = marked.as_deref().unwrap_or(&delivery.payload);
        self.move_to(delivery, &delivery.list, payload, place).await
    }

    /// Puts a delivery into the quarantine list of its queue; whether it was registered, and the list.
    async fn quarantine(&self, delivery: &Inner) -> Result<(bool, String), ExecuteError> {
        let list = quarantine_list(self.host.layout(), &delivery.queue);
        let known = self.move_to(delivery, &list, &delivery.payload, Requeue::Last).await?;
        Ok((known, list))
    }

    async fn move_to(
        &self,
        delivery: &Inner,
        list: &str,
        payload: &[u8],
        place: Requeue,
    ) -> Result<bool, ExecuteError> {
        let (next, layout) = (place == Requeue::Front, self.host.layout());
        // Whose register takes nothing.
        if delivery.id.is_empty() {
            let (key, value) = (list.to_owned(), payload.to_vec());
            let push = if next { Command::RPush { key, value } } else { Command::LPush { key, value } };
            self.host.executor().run(&Plan { commands: vec![push], atomic: false }).await?;
            return Ok(true);
        }
        let back = GiveBack { layout, delivery: &delivery.id, list, payload, next };
        self.host.executor().give_back(&back).await
    }

    /// Puts back what nobody has read, of one queue or of all.
    pub(super) async fn return_unread(&mut self, queue: Option<&str>) -> Gone {
        let wanted = |delivery: &&Arc<Inner>| queue.is_none_or(|queue| delivery.queue == queue);
        let unread = |delivery: &&Arc<Inner>| wanted(delivery) && delivery.call_back();
        let mut these: Vec<_> = self.held.values().filter(unread).cloned().collect();
        self.loose.extend(self.ahead.iter().filter(unread).cloned());
        let before = self.called_back.len();
        if let Err(error) = self.register_loose().await {
            self.fail(Errand::Rest, error.clone());
            return Gone { count: 0, failed: Some(error) };
        }
        these.extend(self.called_back.drain(before..));
        self.return_these(these, false).await
    }

    /// Puts back everything that is held.
    pub(super) async fn return_held(&mut self) -> Gone {
        let (unread, seen): (Vec<_>, Vec<_>) =
            self.held.values().cloned().partition(|delivery| delivery.call_back());
        // What was taken last goes back first, and nobody reads before they have been handed out what is older.
        let unread = self.return_these(unread, false).await;
        if unread.is_stopped() {
            return unread;
        }
        let seen = self.return_these(seen, true).await;
        let failed = if seen.is_stopped() { seen.failed } else { unread.failed.or(seen.failed) };
        Gone { count: unread.count + seen.count, failed }
    }

    /// Puts these back, the youngest first, and goes on behind a list that takes none. What cannot go now and nobody has
    /// in hand goes as soon as it can.
    async fn return_these(&mut self, mut these: Vec<Arc<Inner>>, seen: bool) -> Gone {
        these.sort_by_key(|delivery| Reverse(delivery.place));
        let (mut gone, mut barred) = (Gone::default(), Barred::default());
        for delivery in these {
            if !barred.is(&delivery.list) {
                match self.put_back(&delivery, Requeue::Front, seen).await {
                    Ok(known) => {
                        gone.count += usize::from(known);
                        self.held.remove(&delivery.place);
                        continue;
                    }
                    Err(error) => {
                        self.fail(Errand::Rest, error.clone());
                        barred.note(&delivery.list, &error);
                        // What stops everything is what whoever asked has to know first.
                        gone.failed = Some(gone.failed.filter(|_| !barred.all).unwrap_or(error));
                    }
                }
            }
            if !seen {
                self.held.remove(&delivery.place);
                self.called_back.push(delivery);
            }
        }
        gone
    }

    /// Settles what can be settled, puts the rest back, and tells whoever asked for the end.
    pub(super) async fn finish(mut self, closing: Option<Request>) {
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            self.accept(request);
        }
        let done = match closing {
            Some(Request::Close { done }) => Some(done),
            _ => None,
        };
        self.loose.extend(self.ahead.drain(..).filter(|delivery| delivery.call_back()));
        let deadline = Instant::now() + CLOSING;
        let result = match timeout_at(deadline, self.return_everything()).await {
            Ok(result) => result,
            Err(_) => Err(ExecuteError::Timeout {
                address: self.host.executor().describe().into(),
                milliseconds: CLOSING.as_millis() as u64,
            }),
        };
        if let (None, Err(error)) = (&done, &result) {
            tracing::warn!(code = error.code(), "what was held stays registered: {error}");
        }
        if let Some(done) = done {
            let _ = done.send(result);
        }
    }

    async fn return_everything(&mut self) -> Result<usize, ExecuteError> {
        let mut returned = self.returned;
        loop {
            match self.try_return_everything(&mut returned).await {
                Ok(()) => return Ok(returned),
                Err(error) if passes(&error) => sleep(Duration::from_millis(50)).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_return_everything(&mut self, returned: &mut usize) -> Result<(), ExecuteError> {
        while !self.acks.is_empty() {
            let acks = self.next_acks();
            let ids: Vec<String> = acks.iter().map(|ack| ack.delivery.id.clone()).collect();
            let settled = self.host.executor().settle(self.host.layout(), &ids).await;
            let failed = settled.as_ref().err().cloned();
            self.settled(acks, settled);
            if let Some(error) = failed {
                return Err(error);
            }
        }
        self.register_loose().await?;
        *returned += self.return_rest().await.0;
        self.return_backs().await;
        let held = self.return_held().await;
        *returned += held.count;
        if let Some(error) = held.failed.clone().filter(|_| held.is_stopped()) {
            return Err(error);
        }
        if !self.reclaims.is_empty() {
            *returned += self.reclaim_now().await?;
            self.reclaims = &[];
        }
        let back = self.outage.last(Errand::Back).filter(|_| !self.backs.is_empty());
        let rest = self.outage.last(Errand::Rest).filter(|_| self.has_rest());
        back.or(rest).or(held.failed).map_or(Ok(()), Err)
    }
}
