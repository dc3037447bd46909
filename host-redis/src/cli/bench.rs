//! `keyrail bench`: what a route costs on tables of one's own.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::{Subcommand, ValueEnum};
use keyrail_core::{MAX_SHORT_STRING, Message, Outcome, Routes, Table};
use keyrail_redis::{Reader, Shared, load};
use keyrail_workload::{
    Bindings, Effort, Keys, Kind, Loaded, Measured, ReadError, Subject, cpu_time, headers,
};
use serde::Serialize;

use super::{Failure, open::seconds};
use crate::ALLOCATOR;

/// Measure routing on a table and keys of one's own.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Route(RouteArgs),
}

/// Build a table in memory, route keys by it, and print one line of JSON.
///
/// A table has a binding a line: binding key, tab, and the number of a queue. Keys are one a line. Both are bytes; for
/// --type headers a line is `all tenant:l=17 kind:S=invoice`, with AMQP's letters for the types. `make bench` writes
/// such files into target/workload.
///
/// Times are CPU time of a route in nanoseconds: the median and the fastest of the runs, each 0.2 s. Bytes are what the
/// bindings hold of the allocator's memory, names of queues apart. `digest` is over the queues of the first `digestN`
/// keys, `digest200` over the first 200 of them: two routers that agree have the same.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail bench route --type topic --table topic_10k.tbl --keys topic_10k.uniq.keys
  keyrail bench route --type headers --table mine.tbl --keys mine.keys --runs 9 --max-seconds 60
  keyrail bench route --type topic --table topic_10k.tbl --keys topic_10k.uniq.keys --threads 2")]
struct RouteArgs {
    /// The type of the exchange
    #[arg(long = "type", alias = "kind", value_name = "TYPE")]
    kind: KindName,

    /// The bindings, one a line
    #[arg(long, value_name = "FILE")]
    table: PathBuf,

    /// The routing keys, one a line; for headers the messages
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,

    /// How to route
    #[arg(long, value_name = "NAME", default_value = "default")]
    engine: Engine,

    /// How often to measure
    #[arg(long, value_name = "N", default_value = "5")]
    runs: NonZeroUsize,

    /// The longest time to route in all, building apart; slow tables get fewer runs
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    max_seconds: Duration,

    /// Route in so many threads at once, which share the table while it is published anew a hundred times a second;
    /// adds `threads` and `routesPerSecond`, by the clock on the wall, of all of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    threads: Option<u8>,

    /// The largest file to read, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = load::Limits::default().file_bytes)]
    max_file_bytes: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindName {
    Topic,
    Direct,
    Fanout,
    Headers,
}

/// The ways to route that can be chosen between.
#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Engine {
    /// As everybody routes: answers to keys that come again are remembered
    Default,
    /// Every key is matched anew; states of automata are kept
    NoCache,
    /// Nothing is remembered at all
    Cold,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    engine: Engine,
    table: String,
    keys: String,
    n: usize,
    build_ms: f64,
    bytes_per_binding: f64,
    median_ns: f64,
    min_ns: f64,
    runs: usize,
    avg_out: f64,
    digest_n: usize,
    digest200: u32,
    digest: u32,
    #[serde(flatten)]
    together: Option<Together>,
}

/// What several threads came to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Together {
    threads: u8,
    routes_per_second: f64,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let What::Route(args) = &args.what;
    let line = args.measure()?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&line).map_err(io::Error::other)?)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

impl Engine {
    fn routes(self) -> Routes {
        match self {
            Engine::Default => Routes::new(),
            Engine::NoCache => Routes::without_cache(),
            Engine::Cold => Routes::without_memory(),
        }
    }
}

impl RouteArgs {
    fn measure(&self) -> Result<Line, Failure> {
        let kind = Kind::from(self.kind);
        let limits = load::Limits { file_bytes: self.max_file_bytes, ..load::Limits::default() };
        let table =
            Bindings::from_bytes(&self.table, load::bytes(&self.table, &limits)?).map_err(bad_line)?;
        let keys = Keys::from_bytes(load::bytes(&self.keys, &limits)?);
        let keys = Messages::new(kind, &self.keys, &keys)?;

        let begun = cpu_time();
        let at = |line, reason| bad_line(ReadError { file: self.table.clone(), line: Some(line), reason });
        let mut loaded = Loaded::declare(kind, &table).map_err(|error| at(error.line, error.reason))?;
        ALLOCATOR.start();
        loaded.bind_all(kind, &table).map_err(|error| at(error.line, error.reason))?;
        ALLOCATOR.stop();
        let build_ms = (cpu_time() - begun).as_secs_f64() * 1e3;

        let shared = Shared::new(loaded);
        let effort = Effort { runs: self.runs.get(), most: self.max_seconds, ..Effort::default() };
        let measured = keyrail_workload::measure(&mut keys.router(&shared, self.engine), &keys.keys, effort);
        let together = self.threads.map(|threads| Together {
            threads,
            routes_per_second: together(&keys, &shared, self.engine, threads, effort),
        });
        Ok(self.line(table.len(), build_ms, &measured, together))
    }

    fn line(&self, n: usize, build_ms: f64, measured: &Measured, together: Option<Together>) -> Line {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let tenths = |number: f64| (number * 10.0).round() / 10.0;
        Line {
            engine: self.engine,
            table: name(&self.table),
            keys: name(&self.keys),
            n,
            build_ms: tenths(build_ms),
            bytes_per_binding: tenths(ALLOCATOR.held() as f64 / n.max(1) as f64),
            median_ns: tenths(measured.median_ns()),
            min_ns: tenths(measured.min_ns()),
            runs: measured.runs.len(),
            avg_out: (measured.digest.average() * 100.0).round() / 100.0,
            digest_n: measured.digest.keys(),
            digest200: measured.digest.first(),
            digest: measured.digest.value(),
            together,
        }
    }
}

/// What is published, in memory before anything is measured.
struct Messages<'k> {
    keys: Vec<&'k [u8]>,
    /// Headers of the messages; none for other kinds.
    headers: Vec<Table>,
}

impl<'k> Messages<'k> {
    fn new(kind: Kind, file: &Path, keys: &'k Keys) -> Result<Self, Failure> {
        let at = |line, reason| bad_line(ReadError { file: file.into(), line, reason });
        if keys.is_empty() {
            return Err(at(None, "no keys".into()));
        }
        if kind == Kind::Headers {
            let headers = headers::parse_messages(keys).map_err(|(line, reason)| at(Some(line), reason))?;
            return Ok(Messages { keys: keys.iter().collect(), headers });
        }
        if let Some((line, key)) = (1..).zip(keys.iter()).find(|(_, key)| key.len() > MAX_SHORT_STRING) {
            let reason = format!("the key has {} bytes, at most {MAX_SHORT_STRING} are allowed", key.len());
            return Err(at(Some(line), reason));
        }
        Ok(Messages { keys: keys.iter().collect(), headers: Vec::new() })
    }

    fn router(&self, shared: &Shared<Loaded>, engine: Engine) -> Routed<'_> {
        Routed { messages: self, reader: shared.reader(), routes: engine.routes() }
    }
}

/// One thread's way to route: the newest table, no lock, memory of its own.
struct Routed<'k> {
    messages: &'k Messages<'k>,
    reader: Reader<Loaded>,
    routes: Routes,
}

impl Subject<[u8]> for Routed<'_> {
    #[inline]
    fn route(&mut self, number: usize, key: &[u8]) {
        let mut message = Message::new(key);
        if let Some(table) = self.messages.headers.get(number) {
            message = Message::new("").headers(table).unwrap_or(message);
        }
        let outcome = self.reader.get().route(&message, &mut self.routes);
        debug_assert_ne!(outcome, Outcome::UnknownExchange);
    }

    fn answer(&self, queues: &mut Vec<u32>) {
        queues.extend(self.reader.seen().numbers(&self.routes));
    }
}

/// Routes a second of all threads together, the median of the runs.
fn together(
    messages: &Messages<'_>,
    shared: &Shared<Loaded>,
    engine: Engine,
    threads: u8,
    effort: Effort,
) -> f64 {
    let mut rates: Vec<f64> = (0..effort.runs)
        .map(|_| {
            thread::scope(|scope| {
                let counts: Vec<_> = (0..threads)
                    .map(|number| {
                        let mut router = messages.router(shared, engine);
                        let skipped = messages.keys.len() * usize::from(number) / usize::from(threads);
                        scope.spawn(move || rate(&mut router, &messages.keys, skipped, effort.run))
                    })
                    .collect();
                while !counts.iter().all(thread::ScopedJoinHandle::is_finished) {
                    thread::sleep(Duration::from_millis(10));
                    shared.replace_arc(shared.current());
                }
                counts.into_iter().map(|count| count.join().unwrap_or_default()).sum()
            })
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Routes a second of one thread, by the clock on the wall.
fn rate(router: &mut Routed<'_>, keys: &[&[u8]], skipped: usize, length: Duration) -> f64 {
    let mut next = keys.iter().enumerate().cycle().skip(skipped);
    let mut route = |routes| {
        for (number, key) in next.by_ref().take(routes) {
            router.route(number, key);
        }
    };
    // As much again to be warm and until the others are there.
    let warm = Instant::now();
    while warm.elapsed() < length {
        route(100);
    }
    let (begun, mut routes) = (Instant::now(), 0);
    while begun.elapsed() < length {
        route(100);
        routes += 100;
    }
    f64::from(routes) / begun.elapsed().as_secs_f64()
}

fn bad_line(error: ReadError) -> Failure {
    Failure::failed(error.to_string())
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Topic => Kind::Topic,
            KindName::Direct => Kind::Direct,
            KindName::Fanout => Kind::Fanout,
            KindName::Headers => Kind::Headers,
        }
    }
}
