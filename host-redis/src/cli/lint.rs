use std::{
    io::{self, Write},
    process::ExitCode,
};

use keyrail_core::{
    Topology,
    lint::{self, Finding, Fix, Severity},
};

use super::{
    Failure,
    fail_on::FailOn,
    open::Source,
    reason::{Kinds, reason},
    show::{Style, clean, count},
};

/// Say what is wrong with a topology: needless bindings, dead ends, cycles, dangling names, dialect traps.
///
/// Exits with 1 if there is a finding of the severity in --fail-on, or a worse one.
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

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    args.source.require_to_read()?;
    let topology = match args.source.file()? {
        Some(file) => file.topology,
        None => Topology::of(&args.source.router(None).await?),
    };
    let report = topology.lint(&lint::Options::default().cost(args.max_cost));
    let report = report.map_err(|error| Failure::failed(error.to_string()))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report).map_err(io::Error::other)?)?;
    } else {
        let (style, kinds) = (Style::of_stdout(), Kinds::of(&topology));
        let (shown, hidden): (Vec<_>, Vec<_>) =
            report.findings.iter().partition(|finding| args.show.includes(finding.severity));
        for finding in &shown {
            print(&mut out, &kinds, finding, style)?;
        }
        let counts = [Severity::Error, Severity::Warning, Severity::Info]
            .map(|severity| count(report.count(severity), severity.as_str()));
        let hint = match hidden.is_empty() {
            true => "",
            false => "; --show info shows them all",
        };
        writeln!(out, "{}{}", counts.join(", "), style.dim(hint))?;
    }
    out.flush()?;
    let fails = report.worst().is_some_and(|worst| args.fail_on.includes(worst));
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(out: &mut impl Write, kinds: &Kinds, finding: &Finding, style: Style) -> io::Result<()> {
    let severity = match finding.severity {
        Severity::Info => style.dim(finding.severity),
        Severity::Warning | Severity::Error => style.warn(finding.severity),
    };
    let code = style.dim(format_args!("[{}]", finding.code));
    writeln!(out, "{severity}{code} {}", style.bold(finding.culprit.to_string().replace('`', "")))?;
    writeln!(out, "  {}", clean(&finding.sentence.replace('`', "")))?;
    match &finding.fix {
        Some(Fix::RemoveBinding { .. }) => writeln!(out, "  {}", style.link("fix: take the binding out")),
        Some(Fix::ReplaceBinding { binding, .. }) => {
            writeln!(
                out,
                "  {}",
                style.link(format_args!("fix: bind {} instead", reason(kinds.source(binding), binding)))
            )
        }
        _ => Ok(()),
    }
}
