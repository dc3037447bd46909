use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    process::ExitCode,
};

use keyrail_core::{Outcome, kombu::Envelope};
use keyrail_redis::{Outgoing, Routed};

use super::{
    Failure, guess,
    header::{self, Header},
    open::Source,
    show::{Style, Tree, channels},
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

    /// The routing key; any bytes
    #[arg(long, short = 'k', value_name = "KEY", default_value = "")]
    key: OsString,

    /// A header: name=text, or name:=json for a number or a boolean (priority:=9)
    #[arg(long = "header", short = 'H', value_name = "NAME=TEXT")]
    headers: Vec<Header>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let routed = args.source.explain(&message(&args.exchange, &args.key, &args.headers), 0).await?;
    guess::warn(&args.source, &routed.guessed);
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&routed).map_err(io::Error::other)?)?;
    } else {
        let style = Style::of_stdout();
        for queue in &routed.queues {
            writeln!(out, "{}", style.queue(queue))?;
        }
        way(&mut out, &routed, style)?;
    }
    out.flush()?;
    Ok(exit(&routed))
}

/// A message of which only the way is asked.
pub(super) fn message(exchange: &str, key: &OsStr, headers: &[Header]) -> Outgoing {
    let envelope = Envelope::bytes(Vec::new());
    Outgoing { headers: header::table(headers), ..Outgoing::new(exchange, key.as_bytes(), envelope) }
}

/// That no queue gets it, who hears it besides, and the exchanges on the way.
pub(super) fn way(out: &mut impl Write, routed: &Routed, style: Style) -> io::Result<()> {
    if routed.outcome != Outcome::Routed {
        writeln!(out, "{}", style.warn("unroutable: no queue gets it"))?;
    }
    for line in channels(routed, style) {
        writeln!(out, "{line}")?;
    }
    write!(out, "\n{}", Tree { trace: &routed.trace, guessed: &routed.guessed, style, indent: "" })
}

pub(super) fn exit(routed: &Routed) -> ExitCode {
    if routed.outcome == Outcome::Routed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
