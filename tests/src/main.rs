//! `keyrail-conformance [--target NAME] [--allow-skips FILE] FILE.jsonl…`

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use keyrail_conformance::{
    question::asked,
    run::{read, run},
    scenario::Scenario,
    skips::Skips,
    targets,
};

/// Plays routing scenarios recorded from real brokers on a target and compares the answers.
///
/// Exit status: 0 if at least one scenario ran, none failed and none was skipped but by the list; 1 if not; 2 for a
/// file or a flag that cannot be read.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// What plays them: core, or wasm-node (the npm package in Node).
    #[arg(long, default_value = "core")]
    target: String,
    /// A TOML file of `[[skip]]` entries with targets, ids and a reason.
    #[arg(long, value_name = "FILE")]
    allow_skips: Option<PathBuf>,
    /// Play nothing; print each scenario as a program is asked it, with the right answer: {"id", "question", "answer"}.
    #[arg(long, conflicts_with_all = ["target", "allow_skips"])]
    print_questions: bool,
    /// Vector files, JSON Lines.
    #[arg(required = true, value_name = "FILE.jsonl")]
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match conform(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("keyrail-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

fn conform(arguments: &Arguments) -> Result<bool, String> {
    let mut scenarios = Vec::new();
    for file in &arguments.files {
        scenarios.extend(read(file)?);
    }
    if arguments.print_questions {
        return print_questions(scenarios);
    }
    let skips = match &arguments.allow_skips {
        None => Skips::default(),
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Skips::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    let mut target = targets::by_name(&arguments.target)?;
    let mut log = String::new();
    let allowed = skips.of(&arguments.target);
    let report = run(&mut *target, &scenarios, &allowed, &mut log).map_err(|error| error.to_string())?;
    print!("{log}");
    println!("{report}");
    Ok(report.is_good())
}

fn print_questions(scenarios: Vec<Result<Scenario, String>>) -> Result<bool, String> {
    for scenario in scenarios {
        let line = serde_json::to_string(&asked(&scenario?)).map_err(|error| error.to_string())?;
        println!("{line}");
    }
    Ok(true)
}
