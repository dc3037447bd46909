//! Rows of a Redis that route nothing, as findings.

use std::fmt;

use keyrail_core::{
    BindError,
    kombu::{MatcherError, MemberError},
    lint::Severity,
};
use keyrail_redis::load::{Quarantined, Reason};
use serde::Serialize;

/// As a finding of the core, with a culprit that is in no topology.
#[derive(Serialize)]
pub(super) struct RowFinding {
    /// As of `doctor`: `malformed-row`, `unexecutable-row`, `wrong-type`; or `dangling-binding`.
    pub(super) code: &'static str,
    pub(super) severity: Severity,
    pub(super) culprit: RowCulprit,
    pub(super) sentence: String,
    /// The stable word of what is wrong with it.
    reason: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum RowCulprit {
    Row { exchange: String, row: String },
    Table { exchange: String },
}

impl RowFinding {
    pub(super) fn of(quarantined: &Quarantined) -> Self {
        let Quarantined { exchange, row, reason } = quarantined;
        let (exchange, row) = (exchange.clone(), row.clone());
        let (code, culprit) = match reason {
            Reason::Table { .. } => ("wrong-type", RowCulprit::Table { exchange }),
            Reason::Bind(BindError::ExchangeNotFound { .. } | BindError::QueueNotFound { .. }) => {
                ("dangling-binding", RowCulprit::Row { exchange, row })
            }
            Reason::Matcher(_) => ("unexecutable-row", RowCulprit::Row { exchange, row }),
            _ => ("malformed-row", RowCulprit::Row { exchange, row }),
        };
        // Kombu takes a row apart into three fields, and compiles its text, whatever the message.
        let raises = match reason {
            Reason::Member(error) => matches!(error, MemberError::FieldCount { .. }),
            Reason::Matcher(error) => matches!(error, MatcherError::Invalid(_)),
            Reason::Table { .. } => true,
            _ => false,
        };
        let outcome = match raises {
            true => "every Kombu publisher to this exchange raises",
            false => "keyrail passes it over",
        };
        let sentence = format!("{reason}; {outcome}");
        RowFinding { code, severity: Severity::Error, culprit, sentence, reason: reason.code() }
    }
}

impl fmt::Display for RowCulprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowCulprit::Row { exchange, row } => write!(f, "row {row} of {exchange}"),
            RowCulprit::Table { exchange } => write!(f, "table of {exchange}"),
        }
    }
}
