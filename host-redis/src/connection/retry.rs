//! When something is tried again.

use std::time::Duration;

/// Kombu 5.7's retry policy: how often, and how long to wait before each time. (Kombu 5.6 goes beyond `interval_max` by
/// `interval_start`.)
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
        // Kombu's range ends one start beyond the maximum and repeats its last number; each is then cut to the maximum.
        let steps = match self.interval_step.as_nanos() {
            0 => 0,
            step => u32::try_from(self.interval_max.as_nanos() / step).unwrap_or(u32::MAX),
        };
        let wait =
            move |n: u32| self.interval_start.saturating_add(self.interval_step.saturating_mul(n.min(steps)));
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
        // What `kombu.utils.functional.retry_over_time` of 5.7.0 says, in tenths of a second.
        for ((start, step, max), expected) in [
            ((10, 10, 10), [10, 10, 10, 10, 10]),
            ((10, 20, 40), [10, 30, 40, 40, 40]),
            ((0, 30, 40), [0, 30, 30, 30, 30]),
            ((5, 30, 50), [5, 35, 35, 35, 35]),
            ((0, 2, 10), [0, 2, 4, 6, 8]),
            ((30, 10, 20), [20, 20, 20, 20, 20]),
            ((0, 0, 10), [0, 0, 0, 0, 0]),
            ((20, 50, 10), [10, 10, 10, 10, 10]),
        ] {
            let [interval_start, interval_step, interval_max] =
                [start, step, max].map(|tenths| Duration::from_millis(100 * tenths));
            let policy = RetryPolicy { max_retries: Some(5), interval_start, interval_step, interval_max };
            let waits: Vec<_> = policy.waits().collect();
            assert_eq!(
                waits,
                expected.map(|tenths| Duration::from_millis(100 * tenths)),
                "{start} {step} {max}"
            );
        }
        assert_eq!(RetryPolicy { max_retries: Some(0), ..policy }.waits().count(), 0);
        assert!(RetryPolicy::default().waits().take(1000).all(|wait| wait == second));
    }
}
