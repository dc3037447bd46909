use std::{path::Path, time::Duration};

use keyrail_workload::{Effort, Subject, cpu_time};

use crate::{
    ALLOCATOR,
    engine::{Engine, Job},
};

/// `[--runs N] [--run-seconds S] [--max-seconds S]`.
pub(crate) fn effort(options: &[String]) -> Result<Effort, String> {
    let mut effort = Effort::default();
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

/// Builds, compares, warms up, measures.
pub(crate) fn measure<E: Engine>(
    job: &Job<'_>,
    [engine, table, keys]: [&String; 3],
    effort: Effort,
) -> Result<String, String> {
    if job.keys.is_empty() {
        return Err(format!("{keys}: no keys"));
    }
    ALLOCATOR.start();
    let before = cpu_time();
    let mut built = E::build(job)?;
    let build_ms = (cpu_time() - before).as_secs_f64() * 1e3;
    let bytes = built.bytes().unwrap_or(ALLOCATOR.held());
    ALLOCATOR.stop();

    let measured = keyrail_workload::measure(&mut Asked(&mut built), job.keys, effort);
    let file = |path: &str| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!(
        r#"{{"engine":"{engine}","semantics":"{}","table":"{}","keys":"{}","n":{},"build_ms":{build_ms:.1},"bytes_per_binding":{:.0},"median_ns":{:.1},"min_ns":{:.1},"runs":{},"avg_out":{:.2},"digest_n":{},"digest200":{},"digest":{}}}"#,
        E::SEMANTICS,
        file(table),
        file(keys),
        job.table.len(),
        bytes as f64 / job.table.len().max(1) as f64,
        measured.median_ns(),
        measured.min_ns(),
        measured.runs.len(),
        measured.digest.average(),
        measured.digest.keys(),
        measured.digest.first(),
        measured.digest.value(),
    ))
}

struct Asked<'e, E>(&'e mut E);

impl<E: Engine> Subject<str> for Asked<'_, E> {
    #[inline]
    fn route(&mut self, number: usize, key: &str) {
        self.0.route(number, key);
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        self.0.answer(queues);
    }
}
