//! Peers whose options differ, and strangers in the same database.

use super::{Check, count};
use crate::doctor::{Code, Culprit};

impl Check<'_> {
    pub(super) fn peers(&mut self) {
        let state = self.state;
        for (key, expected, found) in &state.wrong {
            let why = match (*expected, &**found) {
                ("set", "zset") => "; celery-redis-plus keeps its tables so, and every Kombu raises on it",
                _ => "; whoever uses it as its name says raises on it",
            };
            let sentence = format!("it is a {found}, expected a {expected}{why}");
            self.report(Code::WrongType, Culprit::Key { name: key.as_str().into() }, sentence, vec![]);
        }
        for (key, rows) in &state.large {
            let sentence = format!("it has {rows} rows and was not read");
            self.report(Code::LargeTable, Culprit::Key { name: key.as_str().into() }, sentence, vec![]);
        }
        for (prefix, tables) in &state.prefixes {
            let ours = match &*self.layout.global_keyprefix {
                "" => "none".to_owned(),
                prefix => format!("`{prefix}`"),
            };
            let sentence = format!(
                "{} under this prefix, and this side's is {ours}: neither sees the other's queues",
                count(*tables, "binding table")
            );
            let name = format!("{prefix}_kombu.binding.*").into();
            self.report(Code::OtherPrefix, Culprit::Key { name }, sentence, vec![]);
        }
    }
}
