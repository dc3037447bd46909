use std::{
    io::{self, Write},
    process::ExitCode,
};

use keyrail_core::{Outcome, Trace, kombu::Envelope};
use keyrail_redis::{Host, Memory, Outgoing, Routed};
use serde::Serialize;

use super::{
    Failure,
    header::{self, Header},
    open::Source,
    show::{Style, Tree},
};

/// Say where a message would go, and why. Nothing is sent.
///
/// Exits with 1 if no queue gets it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail route --topology definitions.json --exchange shop.orders --key order.eu.paid
  keyrail route --topology definitions.json --exchange shop.invoices --header format=pdf --header priority:=9
  keyrail route --redis redis://127.0.0.1/0 --exchange orders --key order.eu.paid --json")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// The exchange; empty for the default exchange
    #[arg(long, short = 'x', value_name = "NAME", default_value = "")]
    exchange: String,

    /// The routing key
    #[arg(long, short = 'k', value_name = "KEY", default_value = "")]
    key: String,

    /// A header: name=text, or name:=json for a number or a boolean (priority:=9)
    #[arg(long = "header", short = 'H', value_name = "NAME=TEXT")]
    headers: Vec<Header>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    outcome: &'static str,
    queues: Vec<&'a str>,
    trace: &'a Trace,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    args.source.require()?;
    let outgoing = Outgoing {
        headers: header::table(&args.headers),
        ..Outgoing::new(&args.exchange, &args.key, Envelope::bytes(Vec::new()))
    };
    let Routed { outcome, trace, .. } = match args.source.file()? {
        Some(file) => Host::fixed(Memory::new(), args.source.layout()?, file.router).route(&outgoing).await?,
        None => args.source.tables(&args.exchange).await?.route(&outgoing).await?,
    };

    let mut out = io::stdout().lock();
    if args.json {
        let answer = Answer { outcome: outcome.as_str(), queues: trace.queues().collect(), trace: &trace };
        writeln!(out, "{}", serde_json::to_string(&answer).map_err(io::Error::other)?)?;
    } else {
        let style = Style::of_stdout();
        for queue in trace.queues() {
            writeln!(out, "{}", style.queue(queue))?;
        }
        if outcome != Outcome::Routed {
            writeln!(out, "{}", style.warn("unroutable: no queue gets it"))?;
        }
        write!(out, "\n{}", Tree { trace: &trace, style, indent: "" })?;
    }
    out.flush()?;
    Ok(if outcome == Outcome::Routed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
