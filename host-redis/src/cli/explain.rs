use std::{
    io::{self, Write},
    process::ExitCode,
};

use keyrail_core::{HeaderVerdict, How, Mismatch, NearMiss, Outcome, Trace, WordKind};
use serde::Serialize;

use super::{
    Failure,
    header::{self, Header},
    open::Source,
    show::{Style, Tree, clean, reason},
};

/// Say why a message goes where it goes, word by word, and which bindings nearly matched. Nothing is sent.
///
/// Near misses come nearest first, with the one edit that would make them match where there is one. Exits with 1 if no
/// queue gets the message.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail explain --topology definitions.json --exchange shop.orders --key order.eu.payed
  keyrail explain --topology definitions.json --exchange shop.invoices --header format=pdf --json")]
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

    /// How many near misses to show
    #[arg(long, value_name = "N", default_value = "5")]
    near_misses: usize,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    outcome: &'static str,
    #[serde(flatten)]
    trace: &'a Trace,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let router = args.source.router(Some(&args.exchange)).await?;
    let headers = header::table(&args.headers);
    let headers = (!headers.is_empty()).then_some(&headers);
    let message = router.message(&args.exchange, &args.key, headers);
    let (exchange, message) = message.map_err(|error| Failure::failed(error.to_string()))?;
    let mut trace = Trace::new().with_near_misses(args.near_misses);
    let outcome = router.explain(exchange, &message, &mut trace);

    let mut out = io::stdout().lock();
    if args.json {
        let answer = Answer { outcome: outcome.as_str(), trace: &trace };
        writeln!(out, "{}", serde_json::to_string(&answer).map_err(io::Error::other)?)?;
    } else {
        print(&mut out, &trace, outcome)?;
    }
    out.flush()?;
    Ok(if outcome == Outcome::Routed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(out: &mut impl Write, trace: &Trace, outcome: Outcome) -> io::Result<()> {
    let style = Style::of_stdout();
    match outcome {
        Outcome::Routed => {
            let queues: Vec<String> = trace.queues().map(|queue| style.queue(queue)).collect();
            writeln!(out, "to {}", queues.join("  "))?;
        }
        _ => writeln!(out, "{}", style.warn("unroutable: no queue gets it"))?,
    }
    write!(out, "\n{}", Tree { trace, style, indent: "" })?;
    let matches: Vec<_> = trace.hops().iter().flat_map(|hop| &hop.matches).collect();
    let told = matches.iter().filter(|found| !how(&found.how, style).is_empty() || found.selected.is_some());
    for (at, found) in told.enumerate() {
        if at == 0 {
            writeln!(out, "\nhow")?;
        }
        let selected = found.selected.as_ref();
        let selected = selected.map(|key| format!("  {} of {}", clean(&key.key.to_string()), key.header));
        writeln!(
            out,
            "  {} {} ─▶ {}{}",
            how(&found.how, style),
            style.dim(format_args!("of {}", found.binding.source)),
            clean(found.binding.destination.name()),
            selected.unwrap_or_default()
        )?;
    }
    for (at, miss) in trace.near_misses().iter().enumerate() {
        if at == 0 {
            writeln!(out, "\nnear misses")?;
        }
        near_miss(out, miss, style)?;
    }
    Ok(())
}

/// The words of the binding, and what its wildcards took: `order.*(eu).paid`.
fn how(how: &How, style: Style) -> String {
    match how {
        How::Words { words } => {
            let cells: Vec<String> = words
                .iter()
                .map(|word| {
                    let took: Vec<String> = word.took.iter().map(|word| word.to_string()).collect();
                    match word.kind {
                        WordKind::Literal => style.queue(&word.token),
                        WordKind::Star | WordKind::Hash => {
                            style.link(format_args!("{}({})", word.token, took.join(".")))
                        }
                    }
                })
                .collect();
            cells.join(".")
        }
        How::Headers { headers, .. } => {
            let agreeing = headers.iter().map(|header| verdict(header, style));
            agreeing.collect::<Vec<_>>().join(", ")
        }
        How::Expression { pattern } => format!("{} over characters", clean(&pattern.to_string())),
        _ => String::new(),
    }
}

fn verdict(header: &HeaderVerdict, style: Style) -> String {
    let text = header.to_string().replace('`', "");
    if header.verdict.agrees() { style.queue(text) } else { style.warn(text) }
}

fn near_miss(out: &mut impl Write, miss: &NearMiss, style: Style) -> io::Result<()> {
    let headline = format!("{} ─▶ {}", reason(&miss.binding), miss.binding.destination.name());
    writeln!(out, "  {} {}", clean(&headline), style.dim(format_args!("of {}", miss.binding.source)))?;
    let why = match &miss.mismatch {
        Mismatch::Headers { headers, at: Some(_), .. } => {
            headers.iter().map(|header| verdict(header, style)).collect::<Vec<_>>().join(", ")
        }
        mismatch => style.warn(mismatch.to_string().replace('`', "")),
    };
    let fix = match &miss.suggestion {
        Some(fix)
            if fix.routing_key != miss.binding.routing_key || fix.arguments != miss.binding.arguments =>
        {
            format!("; {} would match", style.link(reason(fix)))
        }
        _ => String::new(),
    };
    writeln!(out, "    {why}{fix}")
}
