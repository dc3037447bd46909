//! What is said of an exchange whose type nobody tells.

use keyrail_core::{
    ExchangeKind, Topology,
    lint::{Culprit, Severity},
};
use keyrail_redis::load;
use serde::Serialize;

use super::open::Source;

/// `direct`, or `direct, guessed`.
pub(crate) fn told(kind: ExchangeKind, is_guessed: bool) -> String {
    format!("{kind}{}", if is_guessed { ", guessed" } else { "" })
}

/// How many exchanges are named.
const NAMED: usize = 5;

/// Says on standard error whose types a way depends on that nobody told.
pub(crate) fn warn(source: &Source, guessed: &[String]) {
    for name in guessed.iter().take(NAMED) {
        tracing::warn!("{}", sentence(name, source.topology.is_some()));
    }
    if let Some(more @ 1..) = guessed.len().checked_sub(NAMED) {
        tracing::warn!("the types of {more} more exchanges are guessed");
    }
}

fn sentence(name: &str, in_a_file: bool) -> String {
    let better = match in_a_file {
        true => "say so in the file, without its argument x-keyrail-type".into(),
        false => format!("give --type {name}=fanout"),
    };
    format!(
        "exchange `{name}` is guessed to be direct: Kombu stores no types; if it is a fanout exchange, {better}"
    )
}

/// As a finding of the core.
#[derive(Serialize)]
pub(super) struct GuessFinding {
    pub(super) code: &'static str,
    pub(super) severity: Severity,
    pub(super) culprit: Culprit,
    pub(super) sentence: String,
}

impl GuessFinding {
    /// Those of a topology, which came out of a file or out of Redis.
    pub(super) fn all(topology: &Topology, in_a_file: bool) -> impl Iterator<Item = Self> {
        let guessed = topology.exchanges.iter().filter(|exchange| load::is_guessed(&exchange.arguments));
        guessed.map(move |exchange| GuessFinding {
            code: "guessed-type",
            severity: Severity::Info,
            culprit: Culprit::Exchange { name: exchange.name.clone() },
            sentence: sentence(&exchange.name, in_a_file),
        })
    }
}
