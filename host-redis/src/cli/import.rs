use std::{
    collections::HashMap,
    io::{self, Write},
    process::ExitCode,
};

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, ExchangeKind, Table, Topology,
    lint::{self, Code, Culprit, Finding},
};
use keyrail_redis::{Imported, load};
use serde::Serialize;

use super::{Failure, ends::DialectName, guess, open::Source, reason::Kinds, show::count};

/// Write the topology of a file into Redis, all of it in one transaction.
///
/// Direct and topic bindings of queues go into Kombu's tables, so that every Kombu publisher follows them; what Kombu has
/// no word for goes into keyrail's own keys. What is in Redis already stays; an exchange or queue that is there with other
/// properties is named, and nothing is written. How many bindings mean something else in the dialect than in the file is
/// told on standard error.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail topology import --topology definitions.json --redis redis://127.0.0.1/0 --dialect amqp
  keyrail topology import --topology definitions.json --redis redis://127.0.0.1/0 --json")]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,

    /// What * and # mean to whoever publishes: as Kombu 5.7 writes it, as Kombu up to 5.6 wrote it, or as RabbitMQ
    #[arg(long, value_name = "DIALECT", default_value = "kombu57")]
    dialect: DialectName,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    exchanges: usize,
    queues: usize,
    bindings: usize,
    policies: usize,
    new: usize,
    replaced: usize,
    read_differently: usize,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    if args.source.topology.is_none() || args.source.redis.is_none() {
        return Err(Failure::usage("import needs both --topology FILE and --redis URL"));
    }
    args.source.require_to_read()?;
    let Some(file) = args.source.file()? else {
        return Err(Failure::usage("import needs --topology FILE"));
    };
    let dialect = args.dialect.into();
    let host = args.source.tables("").await?;
    let Imported { new, replaced } = host.import(&file.topology, dialect).await?;
    let Topology { exchanges, queues, bindings, policies, .. } = &file.topology;
    let differently = read_differently(&file.topology, dialect);
    if let Some(first) = differently.first() {
        tracing::warn!(
            "{} as {} than in the file; --dialect {} writes them as they are there, and `keyrail lint --show info` \
             names them",
            match differently.len() {
                1 => "1 binding means something else".into(),
                number => format!("{number} bindings mean something else"),
            },
            dialect.as_str(),
            first.dialect.as_str(),
        );
    }
    // A guess is declared to nobody.
    let guesses = exchanges.iter().filter(|exchange| load::is_guessed(&exchange.arguments));
    let guessed: Vec<String> = guesses.map(|exchange| exchange.name.to_string()).collect();
    guess::warn(&args.source, &guessed);
    let answer = Answer {
        exchanges: exchanges.len() - guessed.len(),
        queues: queues.len(),
        bindings: bindings.len(),
        policies: policies.len(),
        new,
        replaced,
        read_differently: differently.len(),
    };
    let mut out = io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string(&answer).map_err(io::Error::other)?)?,
        false => writeln!(out, "{}", line(&answer))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn line(answer: &Answer) -> String {
    let Answer { exchanges, queues, bindings, policies, new, replaced, .. } = *answer;
    let mut counts = vec![count(exchanges, "exchange"), count(queues, "queue"), count(bindings, "binding")];
    match policies {
        0 => {}
        1 => counts.push("1 policy".into()),
        more => counts.push(format!("{more} policies")),
    }
    let was_there = match (exchanges + queues + bindings + policies).saturating_sub(new) {
        0 => String::new(),
        _ if new == 0 => "; all of it was there already".into(),
        1 => "; 1 of them was there already".into(),
        was_there => format!("; {was_there} of them were there already"),
    };
    let replaced = match replaced {
        0 => String::new(),
        number => format!("; {} in another dialect gave way", count(number, "binding")),
    };
    format!("imported {}{was_there}{replaced}", counts.join(", "))
}

/// The bindings that go into Kombu's tables in this dialect and match other keys there than in their own.
fn read_differently(topology: &Topology, dialect: Dialect) -> Vec<&BindingDefinition> {
    let kinds = Kinds::of(topology);
    let is_written = |binding: &&BindingDefinition| {
        matches!(binding.destination, DestinationName::Queue(_))
            && kinds.source(binding) == ExchangeKind::Topic
            && binding.dialect != dialect
            && binding.arguments.is_empty()
            && binding.pattern.is_none()
            && binding.routing_key.iter().any(|byte| matches!(byte, b'*' | b'#'))
    };
    let written: Vec<&BindingDefinition> = topology.bindings.iter().filter(is_written).collect();
    let mut keys: HashMap<(&[u8], Dialect), bool> = HashMap::new();
    let mut asked = Vec::new();
    for binding in &written {
        let key = (&*binding.routing_key, binding.dialect);
        if keys.insert(key, false).is_none() {
            asked.push(key);
        }
    }
    let Ok(report) = alone(&asked).lint(&lint::Options::default().cost(u64::MAX)) else { return Vec::new() };
    for Finding { code, culprit, keys: answers, .. } in &report.findings {
        let (Code::DialectTrap, Culprit::Binding { at, .. }) = (code, culprit) else { continue };
        let Some(key) = asked.get(*at as usize) else { continue };
        let differ = |answer: &lint::DialectAnswer| {
            answer.matches.contains(&key.1) != answer.matches.contains(&dialect)
        };
        keys.insert(*key, answers.iter().any(differ));
    }
    written
        .into_iter()
        .filter(|binding| keys.get(&(&*binding.routing_key, binding.dialect)).is_some_and(|differs| *differs))
        .collect()
}

/// A topology in which each of the keys leads to a queue of its own, so that nothing is asked but the key.
fn alone(keys: &[(&[u8], Dialect)]) -> Topology {
    let binding = |(at, (key, dialect)): (usize, &(&[u8], Dialect))| BindingDefinition {
        source: "x".into(),
        destination: DestinationName::Queue(at.to_string().into()),
        routing_key: (*key).into(),
        arguments: Table::new(),
        dialect: *dialect,
        pattern: None,
    };
    Topology {
        exchanges: vec![keyrail_core::ExchangeDefinition::durable("x", ExchangeKind::Topic)],
        queues: (0..keys.len()).map(|at| load::queue(&at.to_string())).collect(),
        bindings: keys.iter().enumerate().map(binding).collect(),
        ..Topology::default()
    }
}
