use std::{hint::black_box, path::Path, time::Duration};

use keyrail_workload::Digest;
use rustix::time::{ClockId, clock_gettime};

use crate::{
    engine::{Engine, Job},
    memory,
};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    runs: usize,
    run: Duration,
    /// Of routing in all; a slow engine makes fewer runs.
    most: Duration,
}

impl Effort {
    pub(crate) fn parse(options: &[String]) -> Result<Self, String> {
        let mut effort = Effort { runs: 5, run: Duration::from_millis(200), most: Duration::from_secs(20) };
        for option in options.chunks(2) {
            let [name, value] = option else { return Err(format!("`{}` needs a value", option[0])) };
            let invalid = |_| format!("`{value}` is no value of `{name}`");
            let seconds = || value.parse().map(Duration::from_secs_f64).map_err(invalid);
            match name.as_str() {
                "--runs" => {
                    effort.runs = value.parse().map_err(|_| format!("`{value}` is no value of `{name}`"))?;
                }
                "--run-seconds" => effort.run = seconds()?,
                "--max-seconds" => effort.most = seconds()?,
                _ => return Err(format!("no option is called `{name}`")),
            }
        }
        Ok(effort)
    }
}

/// Builds, compares, warms up, measures.
pub(crate) fn measure<E: Engine>(
    job: &Job<'_>,
    [engine, table, keys]: [&String; 3],
    effort: Effort,
) -> Result<String, String> {
    if job.keys.is_empty() {
        return Err(format!("{keys}: no keys"));
    }
    let (bytes, before) = (memory::live(), cpu());
    let mut built = E::build(job)?;
    let build_ms = (cpu() - before).as_secs_f64() * 1e3;
    let bytes = built.bytes().unwrap_or(memory::live() - bytes);

    let (checked, average) = digest(&mut built, job, effort.most / 4);
    let times = times(&mut built, job, checked.keys, effort);
    let mut sorted = times.clone();
    sorted.sort_by(f64::total_cmp);
    let file = |path: &str| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!(
        r#"{{"engine":"{engine}","semantics":"{}","table":"{}","keys":"{}","n":{},"build_ms":{build_ms:.1},"bytes_per_binding":{:.0},"median_ns":{:.1},"min_ns":{:.1},"runs":{},"avg_out":{average:.2},"digest_n":{},"digest200":{},"digest":{}}}"#,
        E::SEMANTICS,
        file(table),
        file(keys),
        job.table.len(),
        bytes as f64 / job.table.len().max(1) as f64,
        sorted[sorted.len() / 2],
        sorted[0],
        sorted.len(),
        checked.keys,
        checked.first,
        checked.value,
    ))
}

struct Checked {
    keys: usize,
    first: u32,
    value: u32,
}

/// The digest over as many keys as the time allows, rounded down to one of a few numbers, so that the oracle has few
/// to compute; and how many queues a key had.
fn digest<E: Engine>(engine: &mut E, job: &Job<'_>, most: Duration) -> (Checked, f64) {
    const STEPS: [usize; 7] = [1, 10, 50, 100, 200, 1000, 2000];
    let start = cpu();
    let (mut digest, mut queues) = (Digest::new(), Vec::new());
    let mut checked = Checked { keys: 0, first: digest.first(), value: digest.value() };
    for (number, key) in job.keys.iter().enumerate().take(STEPS[STEPS.len() - 1]) {
        engine.route(number, key);
        queues.clear();
        engine.answer(&mut queues);
        digest.add(&mut queues);
        if STEPS.contains(&digest.keys()) {
            checked = Checked { keys: digest.keys(), first: digest.first(), value: digest.value() };
        }
        if cpu() - start > most {
            break;
        }
    }
    (checked, digest.average())
}

/// Nanoseconds of this thread's CPU time per route, one number a run. Runs go on through the keys where the one before
/// ended, so that keys which never repeat do not repeat here either until the file does.
fn times<E: Engine>(engine: &mut E, job: &Job<'_>, first: usize, effort: Effort) -> Vec<f64> {
    let mut keys = job.keys.iter().enumerate().cycle().skip(first % job.keys.len());
    // Asking for the time costs some hundred nanoseconds, so that a batch is to last a millisecond.
    let mut batch = 1;
    let mut run = |length: Duration| {
        let start = cpu();
        let (mut routes, mut last) = (0, start);
        loop {
            for (number, key) in keys.by_ref().take(batch) {
                engine.route(number, black_box(key));
            }
            routes += batch;
            let now = cpu();
            if now - last < Duration::from_micros(500) {
                batch = (batch * 2).min(1 << 16);
            }
            last = now;
            if now - start >= length {
                return ((now - start).as_secs_f64() * 1e9 / routes as f64, routes);
            }
        }
    };
    let begin = cpu();
    // A short file is to have been seen as a whole: engines that build their tables while they match then have built
    // all they need.
    let whole = if job.keys.len() <= 2000 { job.keys.len() } else { 0 };
    let mut seen = 0;
    while seen < whole && cpu() - begin < effort.most / 2 {
        seen += run(Duration::ZERO).1;
    }
    run(effort.run.min(effort.most / 8));
    let mut times = vec![run(effort.run).0];
    while times.len() < effort.runs && cpu() - begin < effort.most {
        times.push(run(effort.run).0);
    }
    times
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
