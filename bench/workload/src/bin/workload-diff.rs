//! `workload-diff topic|headers TABLE [ROUNDS]`: how long comparing two topologies with the bindings of a table takes, of
//! which one per cent differ, or which are the same in another order; and of topic tables the same in Kombu's dialects 5.6
//! and 5.7. Prints what was found and the best of the rounds, without reading and writing the topologies.

use std::{
    error::Error,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use keyrail_core::{
    Dialect, Topology,
    diff::{Diff, Options, Verdict, Witness},
};
use keyrail_workload::{Bindings, Kind, Loaded};

fn main() -> ExitCode {
    keyrail_workload::program(run)
}

fn run(arguments: &[String]) -> Result<String, Box<dyn Error>> {
    let [kind, table, rest @ ..] = arguments else {
        return Err("usage: workload-diff topic|headers TABLE [ROUNDS]".into());
    };
    let kind: Kind = kind.parse()?;
    let rounds: u32 = rest.first().map_or(Ok(3), |rounds| rounds.parse())?;
    let table = Bindings::read(Path::new(table))?;
    let before = Topology::of(Loaded::new(kind, &table)?.router());
    let mut lines = vec![format!("{} bindings against as many", before.bindings.len())];

    let mut changed = before.clone();
    // To the queue of the binding before: a key that meets it gets another queue.
    for at in (100..changed.bindings.len()).step_by(100) {
        changed.bindings[at].destination = before.bindings[at - 1].destination.clone();
    }
    lines.push(measure("one per cent differ", rounds, &before, &changed)?);

    let mut turned = before.clone();
    turned.bindings.reverse();
    lines.push(measure("another order", rounds, &before, &turned)?);

    if kind == Kind::Topic {
        let [(older, _), (newer, _)] =
            [Dialect::Kombu56, Dialect::Kombu57].map(|dialect| before.in_dialect(dialect));
        lines.push(measure("Kombu 5.6, Kombu 5.7", rounds, &older, &newer)?);
    }
    Ok(lines.join("\n"))
}

fn measure(what: &str, rounds: u32, before: &Topology, after: &Topology) -> Result<String, Box<dyn Error>> {
    let options = Options::default().line_feeds(false);
    let (mut best, mut found) = (Duration::MAX, None);
    for _ in 0..rounds.max(1) {
        let start = Instant::now();
        let diff = before.diff(after, &options)?;
        best = best.min(start.elapsed());
        found = Some(diff);
    }
    let found = found.as_ref().map_or_else(String::new, said);
    Ok(format!("{what:22}{:9.1} ms  {found}", best.as_secs_f64() * 1000.0))
}

fn said(diff: &Diff) -> String {
    let Some(exchange) = diff.behaviour.iter().find(|exchange| &*exchange.exchange == "bench") else {
        return "no such exchange".into();
    };
    match (exchange.verdict, exchange.witnesses.first()) {
        (Verdict::Differs, Some(Witness { headers, .. })) if !headers.is_empty() => {
            format!("differs, as for {} headers", headers.len())
        }
        (Verdict::Differs, Some(witness)) => format!("differs, as for {}", witness.routing_key),
        (verdict, _) => format!("{verdict:?}").to_lowercase(),
    }
}
