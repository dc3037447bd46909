use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use keyrail_core::{
    BindingDefinition, ExchangeKind, HeaderVerdict, How, Mismatch, NearMiss, Table, Trace, Verdict, WordKind,
};
use keyrail_redis::Routed;

use super::{
    Failure, guess,
    header::{self, Header},
    open::Source,
    reason::reason,
    route::{exit, message, way},
    show::{Style, clean},
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

    /// The routing key; any bytes
    #[arg(long, short = 'k', value_name = "KEY", default_value = "")]
    key: OsString,

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

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let message = message(&args.exchange, &args.key, &args.headers);
    let routed = args.source.explain(&message, args.near_misses).await?;
    guess::warn(&args.source, &routed.guessed);
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&routed).map_err(io::Error::other)?)?;
    } else {
        print(&mut out, &routed, &message.headers)?;
    }
    out.flush()?;
    Ok(exit(&routed))
}

fn print(out: &mut impl Write, routed: &Routed, headers: &Table) -> io::Result<()> {
    let (style, trace) = (Style::of_stdout(), &routed.trace);
    if !routed.queues.is_empty() {
        let queues: Vec<String> = routed.queues.iter().map(|queue| style.queue(queue)).collect();
        writeln!(out, "to {}", queues.join("  "))?;
    }
    way(out, routed, style)?;
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
            style.dim(format_args!("of {}", source(&found.binding))),
            clean(found.binding.destination.name()),
            selected.unwrap_or_default()
        )?;
    }
    for (at, miss) in trace.near_misses().iter().enumerate() {
        if at == 0 {
            writeln!(out, "\nnear misses")?;
        }
        near_miss(out, trace, miss, headers, style)?;
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

fn near_miss(
    out: &mut impl Write,
    trace: &Trace,
    miss: &NearMiss,
    headers: &Table,
    style: Style,
) -> io::Result<()> {
    let hop = trace.hops().iter().find(|hop| hop.exchange == miss.binding.source);
    let kind = hop.map_or(ExchangeKind::Direct, |hop| hop.kind);
    let headline = format!("{} ─▶ {}", reason(kind, &miss.binding), miss.binding.destination.name());
    writeln!(out, "  {} {}", clean(&headline), style.dim(format_args!("of {}", source(&miss.binding))))?;
    let why = match &miss.mismatch {
        Mismatch::Headers { headers: verdicts, at: Some(_), .. } => {
            let verdicts = verdicts.iter().map(|header| match header.verdict {
                Verdict::DifferentType => style.warn(other_type(header, &miss.binding.arguments, headers)),
                _ => verdict(header, style),
            });
            verdicts.collect::<Vec<_>>().join(", ")
        }
        mismatch => style.warn(mismatch.to_string().replace('`', "")),
    };
    let fix = match &miss.suggestion {
        Some(fix)
            if fix.routing_key != miss.binding.routing_key || fix.arguments != miss.binding.arguments =>
        {
            format!("; {} would match", style.link(reason(kind, fix)))
        }
        _ => String::new(),
    };
    writeln!(out, "    {why}{fix}")
}

/// `pages=3 is of another type than pages:=3`: their texts alone do not tell the two apart.
fn other_type(verdict: &HeaderVerdict, arguments: &Table, headers: &Table) -> String {
    let typed = |table: &Table| table.get(&*verdict.name).map(|value| header::typed(&verdict.name, value));
    let (found, wanted) = (typed(headers), typed(arguments));
    format!("{} is of another type than {}", found.unwrap_or_default(), wanted.unwrap_or_default())
}

fn source(binding: &BindingDefinition) -> &str {
    match &*binding.source {
        "" => "the default exchange",
        name => name,
    }
}
