use std::{hint::black_box, time::Duration};

use rustix::time::{ClockId, clock_gettime};

use crate::Digest;

/// Something that finds the queues of a key and can be asked for them.
pub trait Subject<K: ?Sized> {
    /// What is timed: finds the queues of the key with this number and keeps them for [`answer`](Self::answer).
    fn route(&mut self, number: usize, key: &K);

    /// Adds the numbers of the queues of the last key, in any order and possibly twice; not timed.
    fn answer(&self, queues: &mut Vec<u32>);
}

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// How many runs, at most.
    pub runs: usize,
    /// CPU time of a run.
    pub run: Duration,
    /// CPU time of routing in all; a slow subject makes fewer runs, at least one.
    pub most: Duration,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Nanoseconds of CPU time a route, one number a run, sorted; at least one.
    pub runs: Vec<f64>,
    /// Over the first keys, as many as a quarter of the time allowed.
    pub digest: Digest,
}

impl Default for Effort {
    fn default() -> Self {
        Effort { runs: 5, run: Duration::from_millis(200), most: Duration::from_secs(20) }
    }
}

impl Measured {
    /// The median of the runs.
    pub fn median_ns(&self) -> f64 {
        self.runs[self.runs.len() / 2]
    }

    /// The fastest run.
    pub fn min_ns(&self) -> f64 {
        self.runs[0]
    }
}

/// Answers the first keys for their digest, warms up, then measures the CPU time of this thread.
///
/// Runs go on through the keys where the one before ended, so that keys which never repeat in the file do not repeat
/// here until it is through.
///
/// # Panics
/// If there is no key.
pub fn measure<K: ?Sized>(subject: &mut impl Subject<K>, keys: &[&K], effort: Effort) -> Measured {
    let digest = digest(subject, keys, effort.most / 4);
    let mut runs = times(subject, keys, digest.keys(), effort);
    runs.sort_by(f64::total_cmp);
    Measured { runs, digest }
}

/// The digest over as many keys as the time allows, at most 2,000, and rounded down to one of a few numbers, so that an
/// oracle has few to compute.
fn digest<K: ?Sized>(subject: &mut impl Subject<K>, keys: &[&K], most: Duration) -> Digest {
    const STEPS: [usize; 7] = [1, 10, 50, 100, 200, 1000, 2000];
    let start = cpu_time();
    let (mut digest, mut queues) = (Digest::new(), Vec::new());
    let mut checked = digest;
    for (number, key) in keys.iter().enumerate().take(STEPS[STEPS.len() - 1]) {
        subject.route(number, key);
        queues.clear();
        subject.answer(&mut queues);
        digest.add(&mut queues);
        if STEPS.contains(&digest.keys()) || digest.keys() == keys.len() {
            checked = digest;
        }
        if cpu_time() - start > most {
            break;
        }
    }
    checked
}

/// Nanoseconds a route, one number a run.
fn times<K: ?Sized>(subject: &mut impl Subject<K>, keys: &[&K], first: usize, effort: Effort) -> Vec<f64> {
    let mut next = keys.iter().enumerate().cycle().skip(first % keys.len());
    // Asking for the time costs some hundred nanoseconds, so that a batch is to last a millisecond.
    let mut batch = 1;
    let mut run = |length: Duration| {
        let start = cpu_time();
        let (mut routes, mut last) = (0, start);
        loop {
            for (number, key) in next.by_ref().take(batch) {
                subject.route(number, black_box(key));
            }
            routes += batch;
            let now = cpu_time();
            if now - last < Duration::from_micros(500) {
                batch = (batch * 2).min(1 << 16);
            }
            last = now;
            if now - start >= length {
                return ((now - start).as_secs_f64() * 1e9 / routes as f64, routes);
            }
        }
    };
    let begin = cpu_time();
    // A short file is to have been seen as a whole: engines that build their tables while they match then have built
    // all they need.
    let whole = if keys.len() <= 2000 { keys.len() } else { 0 };
    let mut seen = 0;
    while seen < whole && cpu_time() - begin < effort.most / 2 {
        seen += run(Duration::ZERO).1;
    }
    run(effort.run.min(effort.most / 8));
    let mut times = vec![run(effort.run).0];
    while times.len() < effort.runs && cpu_time() - begin < effort.most {
        times.push(run(effort.run).0);
    }
    times
}

/// CPU time of the calling thread: what other programs do meanwhile does not count.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives every key the queue of its length.
    #[derive(Default)]
    struct Lengths {
        last: u32,
        routed: usize,
    }

    impl Subject<[u8]> for Lengths {
        fn route(&mut self, _: usize, key: &[u8]) {
            self.last = key.len() as u32;
            self.routed += 1;
        }

        fn answer(&self, queues: &mut Vec<u32>) {
            queues.push(self.last);
        }
    }

    #[test]
    fn short_files_are_compared_as_a_whole_and_every_run_is_told() {
        let keys: Vec<&[u8]> = vec![b"", b"a", b"ab"];
        let run = Duration::from_millis(1);
        let mut lengths = Lengths::default();
        let measured = measure(&mut lengths, &keys, Effort { runs: 3, run, most: 100 * run });
        let mut expected = Digest::new();
        for queue in 0..3 {
            expected.add(&mut vec![queue]);
        }
        assert_eq!((measured.digest.keys(), measured.digest.value()), (3, expected.value()));
        assert_eq!(measured.runs.len(), 3);
        assert!(measured.min_ns() > 0.0 && measured.min_ns() <= measured.median_ns());
        assert!(lengths.routed > 100, "{}", lengths.routed);
    }
}
