//! Plays scenarios on a target and compares.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use crate::{
    question,
    scenario::{Answer, KombuScenario, Scenario},
    targets::{KombuAnswers, Target, Unplayed},
};

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Skips that no list allows, and listed scenarios that were played.
    pub unexpected: usize,
}

impl Report {
    /// Whether everything ran and agreed, as far as it was not allowed to be left out.
    pub fn is_good(&self) -> bool {
        self.passed > 0 && self.failed == 0 && self.unexpected == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads a vector file line by line. A line that cannot be read (an unknown operation, field or category among the
/// reasons) is kept as its error, so that it counts as a failure beside the scenarios that can be played.
///
/// # Errors
/// The file cannot be read at all.
pub fn read(path: &Path) -> Result<Vec<Result<Scenario, String>>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let scenarios = lines.map(|(at, line)| {
        Scenario::parse(line).map_err(|error| format!("{}:{}: {error}", path.display(), at + 1))
    });
    Ok(scenarios.collect())
}

/// Plays `scenarios` and prints each that fails or is skipped to `out`.
pub fn run(
    target: &mut dyn Target,
    scenarios: &[Result<Scenario, String>],
    allowed: &BTreeMap<&str, &str>,
    mut out: impl fmt::Write,
) -> Result<Report, fmt::Error> {
    let mut report = Report::default();
    for scenario in scenarios {
        let scenario = match scenario {
            Ok(scenario) => scenario,
            Err(error) => {
                report.failed += 1;
                writeln!(out, "FAILED {error}")?;
                continue;
            }
        };
        let id = scenario.id();
        match (play(target, scenario), allowed.get(id)) {
            (Verdict::Passed, None) => report.passed += 1,
            (Verdict::Passed, Some(_)) => {
                report.passed += 1;
                report.unexpected += 1;
                writeln!(out, "PASSED {id}, though the list of skips has it: take it off the list")?;
            }
            (Verdict::Failed(why), _) => {
                report.failed += 1;
                writeln!(out, "FAILED {id}\n{why}")?;
            }
            (Verdict::Skipped(_), Some(reason)) => {
                report.skipped += 1;
                writeln!(out, "skipped {id}: {reason}")?;
            }
            (Verdict::Skipped(what), None) => {
                report.skipped += 1;
                report.unexpected += 1;
                writeln!(out, "SKIPPED {id}, not allowed: the target cannot do {what}")?;
            }
        }
    }
    Ok(report)
}

enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

fn play(target: &mut dyn Target, scenario: &Scenario) -> Verdict {
    let differences = match scenario {
        Scenario::Amqp(scenario) => target.amqp(scenario).map(|answers| {
            let expected = scenario.steps.iter().map(|recorded| (&recorded.raw, &recorded.expect));
            compare_amqp(expected.collect(), &answers)
        }),
        Scenario::Kombu(scenario) => target.kombu(scenario).map(|answers| compare_kombu(scenario, &answers)),
    };
    match differences {
        Ok(differences) if differences.is_empty() => Verdict::Passed,
        Ok(differences) => Verdict::Failed(differences),
        Err(Unplayed::Unsupported(what)) => Verdict::Skipped(what),
        Err(Unplayed::Broken(what)) => Verdict::Failed(format!("  {what}\n")),
    }
}

fn compare_amqp(expected: Vec<(&serde_json::Value, &Answer)>, answers: &[Answer]) -> String {
    let mut differences = String::new();
    if expected.len() != answers.len() {
        differences += &format!("  {} steps got {} answers\n", expected.len(), answers.len());
    }
    for (at, ((step, expected), actual)) in expected.iter().zip(answers).enumerate() {
        if *expected != actual {
            let (expected, actual) = (json(expected), json(actual));
            differences += &format!("  step {at}: {step}\n    expected {expected}\n    actual   {actual}\n");
        }
    }
    differences
}

fn json(answer: &Answer) -> String {
    serde_json::to_string(answer).unwrap_or_else(|error| error.to_string())
}

fn compare_kombu(scenario: &KombuScenario, actual: &KombuAnswers) -> String {
    let mut differences = String::new();
    let expected = question::kombu_answers(scenario);
    if expected.quarantined != actual.quarantined {
        let (expected, actual) = (&expected.quarantined, &actual.quarantined);
        differences += &format!("  quarantined\n    expected {expected:?}\n    actual   {actual:?}\n");
    }
    if expected.answers.len() != actual.answers.len() {
        let (publishes, answers) = (expected.answers.len(), actual.answers.len());
        differences += &format!("  {publishes} publishes got {answers} answers\n");
    }
    for ((publish, expected), actual) in scenario.publishes.iter().zip(&expected.answers).zip(&actual.answers)
    {
        if expected != actual {
            let key = &publish.routing_key;
            differences +=
                &format!("  publish {key:?}\n    expected {expected:?}\n    actual   {actual:?}\n");
        }
    }
    // Kombu raises where, and only where, one of its patterns is broken.
    let raised = scenario.publishes.iter().any(|publish| publish.error.is_some());
    let broken = &expected.quarantined;
    if raised != (!broken.is_empty() && !scenario.publishes.is_empty()) {
        differences += &format!("  kombu raised: {raised}, broken patterns: {broken:?}\n");
    }
    differences
}
