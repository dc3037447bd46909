use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Subcommand;
use keyrail_core::{DestinationName, Router, Topology};
use keyrail_redis::load;

use super::{
    Failure,
    guess::told,
    import,
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
    Import(import::Args),
}

/// Print exchanges, queues and bindings.
///
/// Rows of a Kombu table that route nothing are named on standard error. A type that neither Redis nor --type tells is
/// marked as guessed, in JSON by the argument x-keyrail-type of its exchange.
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

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.verb {
        Verb::Print(args) => print(args).await,
        Verb::Import(args) => import::run(args).await,
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
        let kind = told(exchange.kind(), load::is_guessed(exchange.argument_table()));
        let about = format!("({kind}{})", alternate.unwrap_or_default());
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
