//! `workload-route KIND TABLE KEYS ROUTES [WARM]`: builds a table, routes the first WARM keys and then ROUTES keys, beginning
//! again when they run out, and prints how many queues came out.
//!
//! To be counted from outside: the difference of two runs that differ in ROUTES alone is the cost of routing.

use std::{error::Error, path::Path, process::ExitCode};

use keyrail_core::{Message, Outcome, Routes};
use keyrail_workload::{Bindings, Keys, Kind, Loaded, ReadError, headers};

fn main() -> ExitCode {
    keyrail_workload::program(run)
}

fn run(arguments: &[String]) -> Result<usize, Box<dyn Error>> {
    let [kind, table, keys, routes, rest @ ..] = arguments else {
        return Err("usage: workload-route KIND TABLE KEYS ROUTES [WARM]".into());
    };
    let kind: Kind = kind.parse()?;
    let warm: usize = rest.first().map_or(Ok(0), |warm| warm.parse())?;
    let count = warm + routes.parse::<usize>()?;
    let at = |file: &str, line, reason| ReadError { file: file.into(), line: Some(line), reason };

    let bindings = Bindings::read(Path::new(table))?;
    let read = Keys::read(Path::new(keys))?;
    let loaded = Loaded::new(kind, &bindings).map_err(|error| at(table, error.line, error.reason))?;
    let mut routes = Routes::new();
    let mut queues = 0;
    let mut route = |message: &Message<'_>| match loaded.route(message, &mut routes) {
        Outcome::Routed => queues += routes.len(),
        Outcome::Unroutable | Outcome::UnknownExchange => {}
    };
    if kind == Kind::Headers {
        let tables = headers::parse_messages(&read).map_err(|(line, why)| at(keys, line, why))?;
        for table in tables.iter().cycle().take(count) {
            route(&Message::new("").headers(table)?);
        }
    } else {
        for key in read.iter().cycle().take(count) {
            route(&Message::new(key));
        }
    }
    Ok(queues)
}
