//! `workload-snapshot TABLE [ROUNDS]`: how much faster a topic table is loaded from a snapshot than declared and bound
//! one by one. Prints the best of the rounds.

use std::{
    error::Error,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use keyrail_core::Router;
use keyrail_workload::{Bindings, Kind, Loaded};

fn main() -> ExitCode {
    keyrail_workload::program(run)
}

fn run(arguments: &[String]) -> Result<String, Box<dyn Error>> {
    let [table, rest @ ..] = arguments else { return Err("usage: workload-snapshot TABLE [ROUNDS]".into()) };
    let rounds: u32 = rest.first().map_or(Ok(5), |rounds| rounds.parse())?;
    let bindings = Bindings::read(Path::new(table))?;
    let built = Loaded::new(Kind::Topic, &bindings).map_err(|error| error.reason)?;
    let bytes = built.router().snapshot();

    let (declaring, _) = best(rounds, || Loaded::new(Kind::Topic, &bindings).map_err(|error| error.reason))?;
    let (loading, copy) = best(rounds, || Router::from_snapshot(&bytes))?;
    let (_, queues, count) = copy.counts();
    let ratio = declaring.as_secs_f64() / loading.as_secs_f64();
    Ok([
        format!("{count} bindings to {queues} queues, {} bytes", bytes.len()),
        format!("declared and bound  {:8.2} ms", milliseconds(declaring)),
        format!("loaded              {:8.2} ms", milliseconds(loading)),
        format!("ratio               {ratio:8.1}"),
    ]
    .join("\n"))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn best<T, E>(rounds: u32, mut make: impl FnMut() -> Result<T, E>) -> Result<(Duration, T), E> {
    let mut timed = || {
        let start = Instant::now();
        make().map(|made| (start.elapsed(), made))
    };
    let mut best = timed()?;
    for _ in 1..rounds {
        let next = timed()?;
        if next.0 < best.0 {
            best = next;
        }
    }
    Ok(best)
}
