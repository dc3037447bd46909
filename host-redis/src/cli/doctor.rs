use std::{
    io::{self, Write},
    process::ExitCode,
};

use keyrail_core::lint::Severity;
use keyrail_redis::doctor::{Code, Doctor, Finding, Limits, Repair, Repaired, Report, Undone};

use super::{
    Failure,
    fail_on::FailOn,
    open::Source,
    show::{Style, clean, count},
};

/// Say what is wrong in a Redis that Kombu, Celery and keyrail share.
///
/// Without --repair and --undo nothing is changed. Exits with 1 if there is a finding of the severity in --fail-on, or a
/// worse one.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  keyrail doctor --redis redis://127.0.0.1/0
  keyrail doctor --redis redis://127.0.0.1/0 --show info --json
  keyrail doctor --redis redis://127.0.0.1/0 --repair all
  keyrail doctor --redis redis://127.0.0.1/0 --repair stale-twin,amqp-orphan
  keyrail doctor --redis redis://127.0.0.1/0 --undo 1795358854696-3f2a81c0")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// Repair the findings of these codes; `all`: those whose repair needs to know no more than Redis does
    #[arg(long, value_name = "CODES", value_delimiter = ',', conflicts_with = "undo")]
    repair: Vec<String>,

    /// Take back what a repair did, by the name that it printed. Rows that it added to binding tables stay: peers may have
    /// declared the same since
    #[arg(long, value_name = "RECORD")]
    undo: Option<String>,

    /// With --undo: take out the rows that it added, too. Who has declared their queues since loses them
    #[arg(long, requires = "undo")]
    rows: bool,

    /// The least severity for which to exit with 1
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    fail_on: FailOn,

    /// The least severity to print; --json prints all
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    show: FailOn,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(clap::Args)]
struct LimitArgs {
    /// The most keys to look at
    #[arg(long, value_name = "N", default_value_t = Limits::default().keys, help_heading = "Limits")]
    max_keys: usize,

    /// The most lists to look into
    #[arg(long, value_name = "N", default_value_t = Limits::default().lists, help_heading = "Limits")]
    max_lists: usize,

    /// The most payloads of one list to look at
    #[arg(long, value_name = "N", default_value_t = Limits::default().payloads, help_heading = "Limits")]
    max_payloads: usize,

    /// The most unacked deliveries to look at
    #[arg(long, value_name = "N", default_value_t = Limits::default().deliveries, help_heading = "Limits")]
    max_deliveries: usize,

    /// The most findings to name
    #[arg(long, value_name = "N", default_value_t = Limits::default().findings, help_heading = "Limits")]
    max_findings: usize,
}

impl LimitArgs {
    fn limits(&self, rows: u64) -> Limits {
        Limits {
            keys: self.max_keys,
            rows,
            lists: self.max_lists,
            payloads: self.max_payloads,
            deliveries: self.max_deliveries,
            findings: self.max_findings,
            ..Limits::default()
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    if args.source.topology.is_some() {
        return Err(Failure::usage("doctor looks at a Redis; for a file there is `keyrail lint`"));
    }
    let codes = codes(&args.repair)?;
    let connection = args.source.connection()?;
    let limits = args.limits.limits(args.source.limits().table_bindings);
    let doctor = Doctor::connect(&connection, limits).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let style = Style::of_stdout();
    let well = if let Some(record) = &args.undo {
        let undone = match args.rows {
            true => doctor.undo_rows(record).await?,
            false => doctor.undo(record).await?,
        };
        match args.json {
            true => json(&mut out, &undone)?,
            false => print_undone(&mut out, &undone, style)?,
        }
        undone.left.is_empty()
    } else {
        let report = doctor.examine().await?;
        if codes.is_empty() {
            match args.json {
                true => json(&mut out, &report)?,
                false => print(&mut out, &report, args.show, style)?,
            }
            !report.worst().is_some_and(|worst| args.fail_on.includes(worst))
        } else {
            let repaired = doctor.repair(&report, &codes).await?;
            match args.json {
                true => json(&mut out, &repaired)?,
                false => print_repaired(&mut out, &repaired, style)?,
            }
            repaired.stopped.is_none() && repaired.findings.iter().all(|mended| mended.changed == 0)
        }
    };
    out.flush()?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What `--repair` names.
fn codes(words: &[String]) -> Result<Vec<Code>, Failure> {
    let mut codes = Vec::new();
    for word in words {
        if word == "all" {
            codes.extend(Code::ALL.into_iter().filter(|code| code.repair() == Repair::Safe));
            continue;
        }
        let code: Code =
            word.parse().map_err(|error| Failure::usage(format!("--repair: {error}, or all")))?;
        if code.repair() == Repair::Never {
            let other = code.remedy().trim_start_matches("none: ");
            return Err(Failure::usage(format!("--repair: {code} is named and never repaired: {other}")));
        }
        codes.push(code);
    }
    Ok(codes)
}

fn json(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    writeln!(out, "{}", serde_json::to_string(value).map_err(io::Error::other)?)
}

fn print_repaired(out: &mut impl Write, repaired: &Repaired, style: Style) -> io::Result<()> {
    for mended in &repaired.findings {
        let code = style.dim(format_args!("[{}]", mended.code));
        let what = match (mended.done, mended.changed) {
            (_, 0) => style.queue("repaired"),
            (0, _) => style.warn("changed meanwhile, nothing done"),
            (done, changed) => {
                style.warn(format_args!("{done} of {} repaired, the others changed", done + changed))
            }
        };
        writeln!(out, "{what}{code} {}", style.bold(&mended.culprit))?;
    }
    if let Some(stopped) = &repaired.stopped {
        writeln!(out, "{}", style.warn(format_args!("stopped: {stopped}")))?;
    }
    match &repaired.record {
        Some(record) => writeln!(out, "record {}; keyrail doctor --undo takes it back", style.bold(record)),
        None => writeln!(out, "nothing to repair, nothing changed"),
    }
}

fn print_undone(out: &mut impl Write, undone: &Undone, style: Style) -> io::Result<()> {
    for left in &undone.left {
        writeln!(out, "{} {}", style.warn("not taken back:"), clean(&left.replace('`', "")))?;
    }
    writeln!(out, "{} taken back", count(undone.undone, "step"))
}

fn print(out: &mut impl Write, report: &Report, show: FailOn, style: Style) -> io::Result<()> {
    let (shown, hidden): (Vec<_>, Vec<_>) =
        report.findings.iter().partition(|finding| show.includes(finding.severity));
    for finding in &shown {
        one(out, finding, style)?;
    }
    for left_out in &report.looked.left_out {
        writeln!(out, "{}", style.warn(format_args!("not looked at: {left_out}")))?;
    }
    let counts = [Severity::Error, Severity::Warning, Severity::Info]
        .map(|severity| count(report.count(severity), severity.as_str()));
    let looked = &report.looked;
    let looked = [
        count(looked.keys, "key"),
        count(looked.rows, "row"),
        count(looked.payloads, "payload"),
        format!("{} unacked", looked.deliveries),
    ];
    let more = match report.unnamed {
        0 => String::new(),
        unnamed => format!("; {unnamed} more are not named"),
    };
    let hint = if hidden.is_empty() { "" } else { "; --show info shows them all" };
    let looked = style.dim(format_args!(" in {}{more}{hint}", looked.join(", ")));
    writeln!(out, "{}{looked}", counts.join(", "))
}

fn one(out: &mut impl Write, finding: &Finding, style: Style) -> io::Result<()> {
    let severity = match finding.severity {
        Severity::Info => style.dim(finding.severity),
        Severity::Warning | Severity::Error => style.warn(finding.severity),
    };
    let code = style.dim(format_args!("[{}]", finding.code));
    writeln!(out, "{severity}{code} {}", style.bold(&finding.culprit))?;
    writeln!(out, "  {}", clean(&finding.sentence.replace('`', "")))?;
    let repair = finding.repair.replace('`', "");
    match repair.strip_prefix("none: ") {
        Some(other) => writeln!(out, "  {}", style.dim(format_args!("no repair: {other}"))),
        None => writeln!(out, "  {}", style.link(format_args!("repair: {repair}"))),
    }
}
