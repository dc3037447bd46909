use std::{
    io::{self, Write},
    process::ExitCode,
};

use keyrail_core::{
    Topology,
    lint::{self, Culprit, Finding, Fix, Severity},
};
use serde::Serialize;

use super::{
    Failure,
    fail_on::FailOn,
    guess::GuessFinding,
    open::Source,
    reason::{Kinds, reason},
    rows::RowFinding,
    show::{Style, clean, count},
};

/// Say what is wrong with a topology: needless bindings, dead ends, cycles, dangling names, dialect traps; and of a Redis
/// the rows that route nothing.
///
/// Exits with 1 if there is a finding of the severity in --fail-on, or a worse one, and with 2 if it cannot look.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail lint --topology definitions.json
  keyrail lint --topology definitions.json --show info --fail-on error
  keyrail lint --redis redis://127.0.0.1/0 --json")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// The least severity for which to exit with 1
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    fail_on: FailOn,

    /// The least severity to print; --json prints all
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    show: FailOn,

    /// The most steps that a broker may take for one message at one exchange
    #[arg(long, value_name = "N", default_value = "1000000")]
    max_cost: u64,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The worst first.
#[derive(Serialize)]
struct Report {
    findings: Vec<Found>,
}

/// A row of a Redis is in no topology, and what the core cannot know is that a type was guessed.
#[derive(Serialize)]
#[serde(untagged)]
enum Found {
    Row(RowFinding),
    Guess(GuessFinding),
    Topology(Finding),
}

impl Found {
    fn severity(&self) -> Severity {
        match self {
            Found::Row(row) => row.severity,
            Found::Guess(guess) => guess.severity,
            Found::Topology(finding) => finding.severity,
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    args.source.require_to_read()?;
    let (topology, rows) = match args.source.file()? {
        Some(file) => (file.topology, Vec::new()),
        None => {
            let table = args.source.tables("").await?.table(None).await?;
            (Topology::of(&table.router), table.quarantine.iter().map(RowFinding::of).collect())
        }
    };
    let report = topology.lint(&lint::Options::default().cost(args.max_cost));
    let report = report.map_err(|error| Failure::failed(error.to_string()))?;
    let rows = rows.into_iter().map(Found::Row);
    let guesses = GuessFinding::all(&topology, args.source.topology.is_some()).map(Found::Guess);
    let findings = rows.chain(report.findings.into_iter().map(Found::Topology)).chain(guesses);
    let report = Report { findings: findings.collect() };
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report).map_err(io::Error::other)?)?;
    } else {
        let has_list = args.source.topology.is_some();
        print(
            &mut out,
            &report,
            &Page { topology: &topology, has_list, kinds: Kinds::of(&topology) },
            args.show,
        )?;
    }
    out.flush()?;
    let fails = report.findings.iter().any(|found| args.fail_on.includes(found.severity()));
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the lines refer to.
struct Page<'a> {
    topology: &'a Topology,
    kinds: Kinds,
    /// Whether the reader has the list of bindings, a file, in which a place means something.
    has_list: bool,
}

fn print(out: &mut impl Write, report: &Report, page: &Page<'_>, show: FailOn) -> io::Result<()> {
    let style = Style::of_stdout();
    let (shown, hidden): (Vec<_>, Vec<_>) =
        report.findings.iter().partition(|found| show.includes(found.severity()));
    for found in shown {
        let (code, culprit, sentence) = match found {
            Found::Row(row) => (row.code, row.culprit.to_string(), row.sentence.clone()),
            Found::Guess(guess) => (guess.code, guess.culprit.to_string(), guess.sentence.clone()),
            Found::Topology(finding) => {
                (finding.code.as_str(), page.culprit(&finding.culprit), page.spelled(&finding.sentence))
            }
        };
        let severity = match found.severity() {
            Severity::Info => style.dim(Severity::Info),
            severity => style.warn(severity),
        };
        let code = style.dim(format_args!("[{code}]"));
        writeln!(out, "{severity}{code} {}", style.bold(culprit.replace('`', "")))?;
        writeln!(out, "  {}", clean(&sentence.replace('`', "")))?;
        let Found::Topology(finding) = found else { continue };
        match &finding.fix {
            Some(Fix::RemoveBinding { .. }) => {
                writeln!(out, "  {}", style.link("fix: take the binding out"))?
            }
            Some(Fix::ReplaceBinding { binding, .. }) => {
                let other = reason(page.kinds.source(binding), binding);
                writeln!(out, "  {}", style.link(format_args!("fix: bind {other} instead")))?;
            }
            _ => {}
        }
    }
    let counts = [Severity::Error, Severity::Warning, Severity::Info].map(|severity| {
        let number = report.findings.iter().filter(|found| found.severity() == severity).count();
        count(number, severity.as_str())
    });
    let hint = match hidden.is_empty() {
        true => "",
        false => "; --show info shows them all",
    };
    writeln!(out, "{}{}", counts.join(", "), style.dim(hint))
}

impl Page<'_> {
    /// A binding is named by what it asks.
    fn culprit(&self, culprit: &Culprit) -> String {
        match culprit {
            Culprit::Binding { binding, .. } => self.binding(binding),
            other => other.to_string(),
        }
    }

    fn binding(&self, binding: &keyrail_core::BindingDefinition) -> String {
        let asks = reason(self.kinds.source(binding), binding);
        format!("binding {asks} of {} to {}", binding.source, binding.destination)
    }

    /// The sentence with the bindings themselves instead of their places in a list that nobody has.
    fn spelled(&self, sentence: &str) -> String {
        const PLACE: &str = "`bindings[";
        let mut parts = sentence.split(PLACE);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let place = part.split_once("]`").filter(|_| !self.has_list);
            let binding = place
                .and_then(|(at, rest)| Some((self.topology.bindings.get(at.parse::<usize>().ok()?)?, rest)));
            match binding {
                Some((binding, rest)) => out += &(self.binding(binding) + rest),
                None => out += &[PLACE, part].concat(),
            }
        }
        out
    }
}
