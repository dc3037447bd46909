//! What is registered under this consumer's name: settling it, keeping it young, finding what was lost on the way.

use std::{collections::HashSet, mem, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    delivery::Inner,
    driver::Driver,
    outage::{Errand, may_be_done, passes},
};
use crate::{ExecuteError, Executor, executor::AT_ONCE};

pub(super) type Done = oneshot::Sender<Result<bool, ExecuteError>>;

/// A delivery that is done.
pub(super) struct Ack {
    pub(super) delivery: Arc<Inner>,
    pub(super) done: Done,
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

/// When to look for what was taken by a request whose answer is lost: at once, and later, because the server may come to
/// read the request after that.
pub(super) const RECLAIMS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(10)];

impl<E: Executor> Driver<E> {
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

    /// Keeps what is held from being restored by others.
    pub(super) async fn heartbeat(&mut self) {
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
    pub(super) async fn reclaim(&mut self) {
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
