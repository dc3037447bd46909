//! Time limits: how long a task may run, as its caller says, or else its worker. The header `timelimit` is `[hard, soft]`, in
//! seconds.

use std::{future::Future, pin::pin, time::Duration};

use keyrail_core::kombu::Json;
use serde_json::{Number, Value};
use tokio::time::{Instant, sleep_until};

use super::{TaskFailure, call::Call};
use crate::deadline::deadline;

/// The limits of one call, or of a worker. A task without them runs as long as it likes.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    /// Then it is stopped.
    pub(super) hard: Option<Limit>,
    /// Then it is asked to end.
    pub(super) soft: Option<Limit>,
}

#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// As it was written, since the exception repeats it.
    seconds: Number,
    time: Duration,
}

impl Limit {
    /// That of a worker, a number with a point as Celery's flags give it. Zero is none.
    pub(super) fn of_a_worker(time: Duration) -> Option<Self> {
        let seconds = Number::from_f64(time.as_secs_f64()).filter(|_| !time.is_zero())?;
        Some(Limit { seconds, time })
    }

    /// When a run that starts now has met it.
    fn end(&self) -> (Instant, &Number) {
        (deadline(self.time), &self.seconds)
    }
}

impl Limits {
    /// Reads the header. As in Celery, what is missing, null or 0 is no limit; one below 0 is over at once.
    pub(super) fn read(header: Option<&Json>) -> Result<Self, Box<str>> {
        let refused = |found: &Json| {
            let found: String = found.to_python().chars().take(60).collect();
            format!("its header `timelimit` is {found}, expected [hard, soft], numbers or null")
        };
        match header {
            None | Some(Json::Null) => Ok(Limits::default()),
            Some(Json::Array(limits)) if limits.is_empty() => Ok(Limits::default()),
            Some(found @ Json::Array(limits)) => match &**limits {
                [hard, soft] => {
                    let limit = |seconds| limit(seconds).ok_or_else(|| refused(found));
                    Ok(Limits { hard: limit(hard)?, soft: limit(soft)? })
                }
                _ => Err(refused(found).into()),
            },
            Some(found) => Err(refused(found).into()),
        }
    }

    /// Each of them, or else the worker's, as Celery and its pool choose them.
    pub(super) fn or(&self, worker: &Limits) -> Limits {
        let or = |own: &Option<Limit>, other: &Option<Limit>| own.clone().or_else(|| other.clone());
        Limits { hard: or(&self.hard, &worker.hard), soft: or(&self.soft, &worker.soft) }
    }

    /// Runs a task that starts now until it ends or its hard limit is over: then it is dropped where it is.
    pub(super) async fn hold<T, R: Future<Output = T>>(
        &self,
        call: &Call,
        run: impl FnOnce(Call) -> R,
    ) -> Result<T, TaskFailure> {
        let [hard, soft] = [&self.hard, &self.soft].map(|limit| limit.as_ref().map(Limit::end));
        let mut run = pin!(run(call.starting(hard.map(|(at, _)| at), soft.map(|(at, _)| at))));
        let mut asked = false;
        loop {
            tokio::select! {
                biased;
                ended = &mut run => return Ok(ended),
                seconds = over(hard) => {
                    tracing::error!("hard time limit of {seconds} s is over, task `{}` is stopped: `{}`", call.name, call.id);
                    return Err(TaskFailure::time_limit_exceeded(seconds.clone()));
                }
                seconds = over(soft), if !asked => {
                    asked = true;
                    tracing::warn!("soft time limit of {seconds} s is over for task `{}`: `{}`", call.name, call.id);
                }
            }
        }
    }
}

/// A limit, or none; nothing if it is no number.
fn limit(seconds: &Json) -> Option<Option<Limit>> {
    let (seconds, number): (f64, Option<Number>) = match seconds {
        Json::Null => return Some(None),
        Json::Int(seconds) => (*seconds as f64, Some((*seconds).into())),
        Json::Float(seconds) => (*seconds, Number::from_f64(*seconds)),
        // A clock does not reach so far: such a task is never late, or at once.
        Json::BigInt(wide) if wide.as_str().starts_with('-') => (-1.0, Some(i64::MIN.into())),
        Json::BigInt(_) => return Some(None),
        _ => return None,
    };
    if seconds == 0.0 {
        return Some(None);
    }
    let time = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    Some(Some(Limit { seconds: number?, time }))
}

/// Ends at that time; never if there is none.
async fn over(end: Option<(Instant, &Number)>) -> &Number {
    match end {
        Some((at, seconds)) => {
            sleep_until(at).await;
            seconds
        }
        None => std::future::pending().await,
    }
}

impl TaskFailure {
    /// What becomes of a task whose hard time limit is over: the exception of Celery's pool, which has the limit in it.
    fn time_limit_exceeded(seconds: Number) -> Self {
        let message = seconds.to_string();
        let failure = TaskFailure::of_the_pool("TimeLimitExceeded", &message);
        TaskFailure { exc_args: Some(vec![Value::Number(seconds)]), ..failure }
    }

    /// What a task fails with that ended itself because its soft time limit was over: see
    /// [`Call::soft_time_limit`](Call::soft_time_limit).
    ///
    /// ```
    /// let failure = keyrail_redis::celery::TaskFailure::soft_time_limit_exceeded();
    /// assert_eq!((&*failure.exc_type, &*failure.exc_module), ("SoftTimeLimitExceeded", "billiard.exceptions"));
    /// ```
    pub fn soft_time_limit_exceeded() -> Self {
        TaskFailure { exc_args: Some(Vec::new()), ..TaskFailure::of_the_pool("SoftTimeLimitExceeded", "") }
    }

    fn of_the_pool(exc_type: &str, exc_message: &str) -> Self {
        TaskFailure { exc_module: "billiard.exceptions".into(), ..TaskFailure::new(exc_type, exc_message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Result<(Option<Duration>, Option<Duration>), Box<str>> {
        let header = crate::read_json(header.as_bytes()).expect("JSON");
        let Limits { hard, soft } = Limits::read(Some(&header))?;
        Ok((hard.map(|limit| limit.time), soft.map(|limit| limit.time)))
    }

    #[test]
    fn limits_are_seconds_and_what_is_none_is_none() {
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        assert_eq!(read("[30, 20]"), Ok((seconds(30.0), seconds(20.0))));
        assert_eq!(read("[null, 0.5]"), Ok((None, seconds(0.5))));
        assert_eq!(read("[-1, -12345678901234567890]"), Ok((seconds(0.0), seconds(0.0))));
        assert_eq!(
            read("[1e300, 9223372036854775807]"),
            Ok((Some(Duration::MAX), seconds(9223372036854775807.0)))
        );
        for none in ["[null, null]", "[0, 0.0]", "[12345678901234567890, null]", "null", "[]"] {
            assert_eq!(read(none), Ok((None, None)), "{none}");
        }
        assert!(Limits::read(None).is_ok_and(|limits| limits.hard.is_none() && limits.soft.is_none()));
    }

    /// As `task_time_limit or pool.timeout` of Celery 5.7.0 and billiard has it, for each by itself.
    #[test]
    fn a_callers_limit_goes_before_the_workers() {
        let time = |limit: &Option<Limit>| limit.as_ref().map(|limit| limit.time.as_secs());
        let limit = |seconds| Limit::of_a_worker(Duration::from_secs(seconds));
        let worker = Limits { hard: limit(30), soft: limit(20) };
        for (header, hard, soft) in [
            ("null", 30, 20),
            ("[null, null]", 30, 20),
            ("[0, 0]", 30, 20),
            ("[60, null]", 60, 20),
            ("[null, 5]", 30, 5),
            ("[-1, 90]", 0, 90),
        ] {
            let header = crate::read_json(header.as_bytes()).expect("JSON");
            let both = Limits::read(Some(&header)).expect("limits").or(&worker);
            assert_eq!((time(&both.hard), time(&both.soft)), (Some(hard), Some(soft)), "{header:?}");
        }
        assert!(limit(0).is_none());
        assert_eq!(limit(30).expect("a limit").seconds.to_string(), "30.0");
    }

    #[test]
    fn what_is_no_limit_is_named() {
        for (header, shown) in [
            (r#"["30", null]"#, r#"["30", null]"#),
            ("[null, true]", "[null, true]"),
            ("[1]", "[1]"),
            ("[1, 2, 3]", "[1, 2, 3]"),
            ("30", "30"),
            (r#"{"hard": 1}"#, r#"{"hard": 1}"#),
        ] {
            let expected =
                format!("its header `timelimit` is {shown}, expected [hard, soft], numbers or null");
            assert_eq!(String::from(read(header).expect_err(header)), expected, "{header}");
        }
    }
}
