//! When something is tried again.

use std::time::Duration;

/// Kombu's retry policy: how often, and how long to wait before each time.
///
/// ```
/// use std::time::Duration;
/// use keyrail_redis::RetryPolicy;
///
/// let waits: Vec<Duration> = RetryPolicy::celery().waits().collect();
/// assert_eq!(waits, [0, 200, 400].map(Duration::from_millis));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often after the first try; for ever if nothing is said.
    pub max_retries: Option<u32>,
    /// Before the first retry.
    pub interval_start: Duration,
    /// What each further wait is longer by.
    pub interval_step: Duration,
    /// The longest wait.
    pub interval_max: Duration,
}

impl Default for RetryPolicy {
    /// Kombu's `retry=True`: for ever, a second apart.
    fn default() -> Self {
        let second = Duration::from_secs(1);
        RetryPolicy { max_retries: None, interval_start: second, interval_step: second, interval_max: second }
    }
}

impl RetryPolicy {
    /// Celery's `task_publish_retry_policy`: three times, after 0, 0.2 and 0.4 s.
    pub const fn celery() -> Self {
        RetryPolicy {
            max_retries: Some(3),
            interval_start: Duration::ZERO,
            interval_step: Duration::from_millis(200),
            interval_max: Duration::from_secs(1),
        }
    }

    /// The waits before each retry, in order.
    pub fn waits(self) -> impl Iterator<Item = Duration> {
        let count = self.max_retries.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let wait = move |n: u32| self.interval_start.saturating_add(self.interval_step.saturating_mul(n));
        (0..=u32::MAX)
            .chain(std::iter::repeat(u32::MAX))
            .take(count)
            .map(move |n| wait(n).min(self.interval_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest() {
        let second = Duration::from_secs(1);
        let policy = RetryPolicy {
            max_retries: Some(5),
            interval_start: second,
            interval_step: second * 2,
            interval_max: second * 4,
        };
        assert_eq!(policy.waits().collect::<Vec<_>>(), [1, 3, 4, 4, 4].map(Duration::from_secs));
        assert_eq!(RetryPolicy { max_retries: Some(0), ..policy }.waits().count(), 0);
        assert!(RetryPolicy::default().waits().take(1000).all(|wait| wait == second));
    }
}
