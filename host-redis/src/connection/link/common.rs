//! Work that many want at the same time, and that one task does for all of them.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

/// The work under way, if there is any. It goes on though everybody goes away who waits for it, so that what takes longer
/// than a caller's patience still comes to its end; and who comes while it is under way takes its outcome.
pub(super) struct Common<T>(Arc<Mutex<Option<Outcome<T>>>>);

/// Nothing if the work panicked.
type Outcome<T> = Shared<BoxFuture<'static, Option<T>>>;

impl<T: Clone + Send + Sync + 'static> Common<T> {
    pub(super) fn new() -> Self {
        Common(Arc::default())
    }

    /// The outcome of the work under way, or of this one, which is begun then.
    pub(super) fn join<F: Future<Output = T> + Send + 'static>(
        &self,
        work: impl FnOnce() -> F,
    ) -> Outcome<T> {
        let mut under_way = lock(&self.0);
        if let Some(outcome) = under_way.as_ref().filter(|outcome| outcome.peek().is_none()) {
            return outcome.clone();
        }
        let (work, place) = (work(), self.0.clone());
        let task = tokio::spawn(async move {
            let outcome = work.await;
            // Who comes from now on wants it done anew.
            *lock(&place) = None;
            outcome
        });
        let outcome = task.map(Result::ok).boxed().shared();
        *under_way = Some(outcome.clone());
        outcome
    }
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering::SeqCst},
        time::Duration,
    };

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn it_is_done_once_for_all_and_anew_for_those_who_come_later() {
        let (common, times) = (Common::new(), Arc::new(AtomicU32::new(0)));
        let work = || {
            let times = times.clone();
            async move {
                sleep(Duration::from_millis(50)).await;
                times.fetch_add(1, SeqCst) + 1
            }
        };
        let (one, other) = (common.join(work), common.join(work));
        assert!(timeout(Duration::from_millis(1), common.join(work)).await.is_err(), "impatient");
        assert_eq!((one.await, other.await), (Some(1), Some(1)));
        assert_eq!(common.join(work).await, Some(2));
        // Nobody waits for it, and it is done all the same.
        drop(common.join(work));
        sleep(Duration::from_millis(100)).await;
        assert_eq!(times.load(SeqCst), 3);
        assert_eq!(common.join(work).await, Some(4));
    }

    #[tokio::test]
    async fn what_panics_is_nothing_and_done_anew() {
        let common = Common::new();
        assert_eq!(common.join(|| async { panic!("on purpose") }).await, None::<u32>);
        assert_eq!(common.join(|| async { 1 }).await, Some(1));
    }
}
