//! A target in another process: one scenario a line in, one line of answers out.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Deserialize;
use serde_json::Value as Json;

use super::{KombuAnswers, Target, Unplayed};
use crate::{
    question,
    scenario::{AmqpScenario, Answer, KombuScenario},
};

/// A running process that plays scenarios.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What the process may answer instead of playing.
#[derive(Deserialize)]
struct Refused {
    unsupported: Option<String>,
    failure: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AmqpAnswers {
    answers: Vec<Answer>,
}

impl Process {
    /// A script for Node, named from the root of the project.
    pub fn node(script: &str) -> Result<Self, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(script);
        let node = std::env::var_os("NODE").unwrap_or_else(|| "node".into());
        let mut child = Command::new(&node)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", node.display()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("the process has no output")?;
        Ok(Process { child, input, output: BufReader::new(output) })
    }

    fn ask(&mut self, question: &Json) -> Result<Json, Unplayed> {
        let broken = |error: &dyn std::fmt::Display| Unplayed::Broken(format!("the process: {error}"));
        let input = self.input.as_mut().ok_or_else(|| broken(&"its input is closed"))?;
        writeln!(input, "{question}").map_err(|error| broken(&error))?;
        input.flush().map_err(|error| broken(&error))?;
        let mut line = String::new();
        if self.output.read_line(&mut line).map_err(|error| broken(&error))? == 0 {
            return Err(broken(&"it ended"));
        }
        let answer: Json =
            serde_json::from_str(&line).map_err(|error| broken(&format_args!("{error}: {line}")))?;
        match Refused::deserialize(&answer) {
            Ok(Refused { unsupported: Some(what), .. }) => Err(Unplayed::Unsupported(what)),
            Ok(Refused { failure: Some(what), .. }) => Err(Unplayed::Broken(what)),
            _ => Ok(answer),
        }
    }
}

impl Target for Process {
    fn amqp(&mut self, scenario: &AmqpScenario) -> Result<Vec<Answer>, Unplayed> {
        let answer = self.ask(&question::amqp(scenario))?;
        let answers = AmqpAnswers::deserialize(&answer);
        answers.map(|answers| answers.answers).map_err(|error| unreadable(&error, &answer))
    }

    fn kombu(&mut self, scenario: &KombuScenario) -> Result<KombuAnswers, Unplayed> {
        let answer = self.ask(&question::kombu(scenario))?;
        KombuAnswers::deserialize(&answer).map_err(|error| unreadable(&error, &answer))
    }
}

fn unreadable(error: &serde_json::Error, answer: &Json) -> Unplayed {
    Unplayed::Broken(format!("the process: {error} in {answer}"))
}

impl Drop for Process {
    /// Closing the input ends the process; waiting leaves no zombie.
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
