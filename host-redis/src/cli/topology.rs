use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Subcommand;
use keyrail_core::{DestinationName, Router, Topology};

use super::{
    Failure,
    ends::DialectName,
    open::Source,
    reason::reason,
    show::{Style, clean, count},
};

/// Print a topology, or write one into Redis.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Print(Print),
    Import(Import),
}

/// Print exchanges, queues and bindings.
///
/// Rows of a Kombu table that route nothing are named on standard error.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail topology print --topology definitions.json
  keyrail topology print --redis redis://127.0.0.1/0 --json > topology.json")]
struct Print {
    #[command(flatten)]
    source: Source,

    /// Print keyrail's JSON, which --topology reads
    #[arg(long)]
    json: bool,
}

/// Write the topology of a file into Redis, all of it in one transaction.
///
/// Direct and topic bindings of queues go into Kombu's tables, so that every Kombu publisher follows them; what Kombu has
/// no word for goes into keyrail's own keys. What is in Redis already stays; an exchange or queue that is there with other
/// properties is named, and nothing is written.
#[derive(clap::Args)]
#[command(after_help = "Example:
  keyrail topology import --topology definitions.json --redis redis://127.0.0.1/0")]
struct Import {
    #[command(flatten)]
    source: Source,

    /// What * and # mean to whoever publishes: as Kombu 5.7 writes it, as Kombu up to 5.6 wrote it, or as RabbitMQ
    #[arg(long, value_name = "DIALECT", default_value = "kombu57")]
    dialect: DialectName,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.verb {
        Verb::Print(args) => print(args).await,
        Verb::Import(args) => import(args).await,
    }
}

async fn print(args: Print) -> Result<ExitCode, Failure> {
    let router = args.source.router(None).await?;
    let topology = Topology::of(&router);
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&topology).map_err(io::Error::other)?)?;
    } else {
        list(&mut out, &router, &topology)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn list(out: &mut impl Write, router: &Router, topology: &Topology) -> io::Result<()> {
    let style = Style::of_stdout();
    for (id, name, exchange) in router.exchanges() {
        let mut bindings = router.bindings_from(id).peekable();
        if Router::is_predeclared(name) && bindings.peek().is_none() {
            continue;
        }
        let alternate = exchange.alternate_exchange().map(|other| format!(", else {}", clean(other)));
        let about = format!("({}{})", exchange.kind(), alternate.unwrap_or_default());
        writeln!(out, "{} {}", style.bold(name), style.dim(about))?;
        for binding in bindings {
            let definition = keyrail_core::BindingDefinition::of(router, &binding);
            let to = match &definition.destination {
                DestinationName::Queue(queue) => style.queue(queue),
                DestinationName::Exchange(exchange) => {
                    format!("{} {}", style.dim("exchange"), clean(exchange))
                }
            };
            writeln!(out, "  {} ─▶ {to}", style.dim(reason(exchange.kind(), &definition)))?;
        }
    }
    let counts = [
        count(topology.exchanges.len(), "exchange"),
        count(topology.queues.len(), "queue"),
        count(topology.bindings.len(), "binding"),
    ];
    writeln!(out, "{}", style.dim(counts.join(", ")))
}

async fn import(args: Import) -> Result<ExitCode, Failure> {
    if args.source.topology.is_none() || args.source.redis.is_none() {
        return Err(Failure::usage("import needs both --topology FILE and --redis URL"));
    }
    let Some(file) = args.source.file()? else {
        return Err(Failure::usage("import needs --topology FILE"));
    };
    let host = args.source.tables("").await?;
    host.import(&file.topology, args.dialect.into()).await?;
    let Topology { exchanges, queues, bindings, .. } = &file.topology;
    let counts =
        [count(exchanges.len(), "exchange"), count(queues.len(), "queue"), count(bindings.len(), "binding")];
    writeln!(io::stdout().lock(), "imported {}", counts.join(", "))?;
    Ok(ExitCode::SUCCESS)
}
