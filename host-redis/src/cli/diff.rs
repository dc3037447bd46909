use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use keyrail_core::{
    BindingDefinition, ByteString, Topology,
    diff::{self, Answer, Changes, Diff, ExchangeDiff, Verdict, Witness},
};
use keyrail_redis::load::{self, Limits};
use serde::Serialize;

use super::{
    Failure,
    ends::DialectName,
    header,
    open::named,
    reason::{Kinds, identity, reason},
    show::{Style, clean},
};

/// Compare two topologies: what was changed, and for each exchange a message that gets other queues now.
///
/// Exits with 1 if a message behaves differently, or if it is not certain that none does, and with 2 if they cannot be
/// compared.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail diff before.json after.json
  keyrail diff definitions.json --from kombu56 --to kombu57 --ignore-line-feeds")]
pub(crate) struct Args {
    /// A topology file: keyrail's JSON, lines or snapshot, or RabbitMQ's definitions.json; - is standard input
    #[arg(value_name = "A")]
    before: PathBuf,

    /// The other one; the same if only dialects are compared
    #[arg(value_name = "B", required_unless_present = "to")]
    after: Option<PathBuf>,

    /// Read the topic bindings of A as this dialect does
    #[arg(long, value_name = "DIALECT")]
    from: Option<DialectName>,

    /// Read the topic bindings of B as this dialect does
    #[arg(long, value_name = "DIALECT")]
    to: Option<DialectName>,

    /// The virtual host to take from RabbitMQ's definitions [default: the only one, or /]
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,

    /// How many messages to show for an exchange
    #[arg(long, value_name = "N", default_value = "5")]
    witnesses: usize,

    /// Leave keys with line feeds out: RabbitMQ and Kombu differ on nearly all of them
    #[arg(long)]
    ignore_line_feeds: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared<'a> {
    #[serde(flatten)]
    diff: &'a Diff,
    #[serde(skip)]
    before: &'a Topology,
    #[serde(skip)]
    after: &'a Topology,
    /// Bindings that the second dialect cannot execute, and the first one can.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<BindingDefinition>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let read =
        |path: &Path, dialect: Option<DialectName>| -> Result<(Topology, Vec<BindingDefinition>), Failure> {
            let topology = load::read(named(path), args.vhost.as_deref(), &Limits::default())?.topology;
            Ok(match dialect {
                Some(dialect) => topology.in_dialect(dialect.into()),
                None => (topology, Vec::new()),
            })
        };
    let (before, known) = read(&args.before, args.from)?;
    let (after, mut refused) = read(args.after.as_ref().unwrap_or(&args.before), args.to)?;
    refused.retain(|binding| !known.contains(binding));
    let options = diff::Options::default().witnesses(args.witnesses).line_feeds(!args.ignore_line_feeds);
    let diff = before.diff(&after, &options).map_err(|error| Failure::failed(error.to_string()))?;
    let same = diff.behaves_the_same();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let compared = Compared { diff: &diff, before: &before, after: &after, refused };
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&compared).map_err(io::Error::other)?)?;
    } else {
        print(&mut out, &compared, args.from.is_some() || args.to.is_some())?;
    }
    out.flush()?;
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(out: &mut impl Write, compared: &Compared<'_>, dialects: bool) -> io::Result<()> {
    let style = Style::of_stdout();
    let structure = &compared.diff.structure;
    changes(out, "exchange", &structure.exchanges, |exchange| &exchange.name, style)?;
    changes(out, "queue", &structure.queues, |queue| &queue.name, style)?;
    changes(out, "policy", &structure.policies, |policy| &policy.name, style)?;
    // Between two dialects every topic binding is another one, which says nothing.
    if !dialects {
        let bindings = &structure.bindings;
        for (sign, kinds, bindings) in [
            ("-", Kinds::of(compared.before), &bindings.removed),
            ("+", Kinds::of(compared.after), &bindings.added),
        ] {
            bindings.iter().try_for_each(|binding| {
                let line = format!(
                    "{sign} binding {} {} ─▶ {}",
                    binding.source,
                    identity(kinds.source(binding), binding),
                    binding.destination.name()
                );
                writeln!(out, "{}", paint(sign, &line, style))
            })?;
        }
    }
    let kinds = Kinds::of(compared.after);
    for binding in &compared.refused {
        let line = format!(
            "! binding {} {} cannot be executed",
            binding.source,
            reason(kinds.source(binding), binding)
        );
        writeln!(out, "{}", style.warn(line))?;
    }
    if !structure.is_empty() && !dialects {
        writeln!(out)?;
    }
    let differing: Vec<_> =
        compared.diff.behaviour.iter().filter(|exchange| exchange.verdict != Verdict::Same).collect();
    for exchange in &differing {
        behaviour(out, exchange, style)?;
    }
    if differing.is_empty() {
        return writeln!(out, "no message behaves differently");
    }
    let same = compared.diff.behaviour.len() - differing.len();
    writeln!(out, "{}", style.dim(format_args!("{same} exchanges behave the same")))
}

fn changes<T>(
    out: &mut impl Write,
    what: &str,
    changes: &Changes<T>,
    name: impl Fn(&T) -> &str,
    style: Style,
) -> io::Result<()> {
    let removed = changes.removed.iter().map(|thing| ("-", name(thing)));
    let added = changes.added.iter().map(|thing| ("+", name(thing)));
    let changed = changes.changed.iter().map(|change| ("~", name(&change.after)));
    for (sign, name) in removed.chain(added).chain(changed) {
        writeln!(out, "{}", paint(sign, &format!("{sign} {what} {name}"), style))?;
    }
    Ok(())
}

fn paint(sign: &str, line: &str, style: Style) -> String {
    match sign {
        "+" => style.queue(line),
        "-" => style.warn(line),
        _ => style.link(line),
    }
}

fn behaviour(out: &mut impl Write, exchange: &ExchangeDiff, style: Style) -> io::Result<()> {
    let name = if exchange.exchange.is_empty() { "default exchange" } else { &exchange.exchange };
    if exchange.verdict == Verdict::Undecided {
        return writeln!(
            out,
            "{}: {}",
            style.bold(name),
            style.warn("not decided whether a message behaves differently")
        );
    }
    writeln!(out, "{}", style.bold(name))?;
    for Witness { routing_key, headers, before, after } in &exchange.witnesses {
        let headers = headers
            .iter()
            .map(|(name, value)| format!("  {}", header::typed(&ByteString::from(name), value)));
        let key = match routing_key.is_empty() {
            true => "(empty key)".into(),
            false => routing_key.to_string(),
        };
        writeln!(out, "  {}{}", clean(&key), clean(&headers.collect::<String>()))?;
        writeln!(out, "    {}", style.warn(format_args!("- {}", answer(before))))?;
        writeln!(out, "    {}", style.queue(format_args!("+ {}", answer(after))))?;
    }
    Ok(())
}

fn answer(answer: &Answer) -> String {
    match answer.queues.is_empty() {
        true => answer.outcome.into(),
        false => answer.queues.join("  "),
    }
}
