use std::{
    io::{self, Write},
    process::ExitCode,
};

use keyrail_core::{BindingDefinition, Dialect, ExchangeKind};
use serde::Serialize;

use super::{
    Failure,
    ends::{DialectName, Ends},
    open::Source,
    reason::{Kinds, identity},
    show::{Style, clean},
};

/// Remove a binding.
///
/// It is named as for bind, and removed from wherever it is: Kombu's tables, whoever wrote it there, or keyrail's own
/// keys. What was removed is printed; exits with 1 if there was nothing. A Kombu process that declares the queue again binds
/// it again. With --topology the file stays as it is, and the topology without the binding is printed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail unbind --redis redis://127.0.0.1/0 -x orders -k 'order.*.paid' -q billing
  keyrail unbind --redis redis://127.0.0.1/0 -x orders -k 'order.*.paid' -q billing --dialect kombu56
  keyrail unbind --redis redis://127.0.0.1/0 -x invoices -a x-match=all -a pages:=3 -q print
  keyrail unbind --topology shop.json -x orders -k 'order.#' -q audit > new.json")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    ends: Ends,

    /// Remove it in this dialect alone [default: in every one]
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<DialectName>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    removed: &'a [BindingDefinition],
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    args.source.require()?;
    let binding = args.ends.binding()?;
    let dialect = args.dialect.map(Dialect::from);
    if args.source.is_offline() {
        return print(&args.source, &binding, dialect);
    }
    args.source.require_one()?;
    let host = args.source.tables(&binding.source).await?;
    let table = host.table(Some(&binding.source)).await?;
    let known = table.router.exchange(&binding.source);
    let kind = known.and_then(|id| Some(table.router.exchange_properties(id)?.kind()));
    let removed = host.unbind(&binding, dialect).await?;
    if removed.is_empty() {
        return Err(none(kind, &binding, dialect));
    }
    let mut out = io::stdout().lock();
    if args.json {
        let answer = Answer { removed: &removed };
        writeln!(out, "{}", serde_json::to_string(&answer).map_err(io::Error::other)?)?;
    } else {
        let style = Style::of_stdout();
        for binding in &removed {
            writeln!(out, "{} {}", style.dim("removed"), clean(&named(kind, binding)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn named(kind: Option<ExchangeKind>, binding: &BindingDefinition) -> String {
    let asks = identity(kind.unwrap_or(ExchangeKind::Topic), binding);
    format!("{asks} of {} ─▶ {}", binding.source, binding.destination)
}

fn none(kind: Option<ExchangeKind>, binding: &BindingDefinition, dialect: Option<Dialect>) -> Failure {
    let dialect = dialect.map(|dialect| format!(" as {}", dialect.as_str())).unwrap_or_default();
    Failure::failed(format!("there is no binding `{}`{dialect}", named(kind, binding)))
}

/// The topology of the file without the binding.
fn print(
    source: &Source,
    binding: &BindingDefinition,
    dialect: Option<Dialect>,
) -> Result<ExitCode, Failure> {
    source.require_to_read()?;
    let Some(mut file) = source.file()? else { return Err(Failure::usage("give --topology FILE")) };
    let before = file.topology.bindings.len();
    file.topology.bindings.retain(|other| {
        !binding.is_same_but_for_dialect(other) || dialect.is_some_and(|dialect| dialect != other.dialect)
    });
    if file.topology.bindings.len() == before {
        let kind = Kinds::of(&file.topology).source(binding);
        return Err(none(Some(kind), binding, dialect));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string_pretty(&file.topology).map_err(io::Error::other)?)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
