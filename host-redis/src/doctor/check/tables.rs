//! What Kombu 5.7 keeps beside a table: the permanent rows, and the deadline after which a table without any is deleted.

use std::collections::HashSet;

use keyrail_core::{Dialect, kombu::Member};

use super::{Check, count, twins::dialect_of};
use crate::{
    doctor::{
        Code, Culprit,
        state::Table,
        step::{Op, Step, Verb},
    },
    registry,
};

impl Check<'_> {
    pub(super) fn tables(&mut self) {
        let state = self.state;
        let staying = self.staying();
        for (exchange, table) in &state.tables {
            if !table.is_read {
                continue;
            }
            self.strays(exchange, table);
            let Some(deadline) = &table.deadline else { continue };
            if !table.exists {
                self.stale_deadline(exchange, deadline);
            } else if table.permanent.is_empty() {
                self.unmarked(exchange, table, deadline, &staying);
            }
        }
    }

    /// Queues that somebody has said to stay: with a permanent row, or declared without `x-expires`.
    fn staying(&self) -> HashSet<String> {
        let permanent = self.state.tables.values().flat_map(|table| &table.permanent);
        let permanent = permanent.filter_map(|row| Member::parse(row, &self.layout.sep).ok());
        let declared = self.state.own.queues.iter();
        let declared = declared.filter(|queue| registry::expires_ms(&queue.arguments).is_none());
        permanent.map(|member| member.queue).chain(declared.map(|queue| queue.name.to_string())).collect()
    }

    /// A table that will be deleted as a whole, with rows that are to stay, or may be.
    fn unmarked(&mut self, exchange: &str, table: &Table, deadline: &str, staying: &HashSet<String>) {
        let stays =
            |member: &Member| staying.contains(&member.queue) || dialect_of(member) == Some(Dialect::Kombu56);
        let (known, perhaps): (Vec<_>, Vec<_>) = table.members().partition(|(_, member)| stays(member));
        let when = self.when(deadline);
        let steps =
            |rows: &[(&[u8], &Member)]| rows.iter().map(|(row, _)| self.mark(exchange, row)).collect();
        let culprit = || Culprit::Exchange { name: exchange.into() };
        if !known.is_empty() {
            let sentence = format!(
                "{} to queues that stay is not among the permanent ones, nor is any other row: Kombu 5.7 deletes the \
                 whole table {when}",
                count(known.len(), "row")
            );
            let steps = steps(&known);
            self.report(Code::MissingPermanent, culprit(), sentence, steps);
        } else if !perhaps.is_empty() && !is_celerys(exchange) {
            let sentence = format!(
                "no row is among the permanent ones, and Kombu 5.7 deletes the table {when} unless somebody refreshes it: \
                 as it should be for queues that expire, a loss for rows of a Kombu before 5.7; Redis does not say which"
            );
            let steps = steps(&perhaps);
            self.report(Code::PerhapsPermanent, culprit(), sentence, steps);
        }
    }

    /// Writes a row of the table among the permanent ones.
    fn mark(&self, exchange: &str, row: &[u8]) -> Step {
        Step::default().guard(Op::new(Verb::Has, self.layout.binding_table(exchange), row)).change(Op::new(
            Verb::Add,
            self.layout.permanent_table(exchange),
            row,
        ))
    }

    fn strays(&mut self, exchange: &str, table: &Table) {
        let mut lost = Vec::new();
        for row in &table.stray {
            let member = Member::parse(row, &self.layout.sep);
            let (own, permanent) =
                (self.layout.binding_table(exchange), self.layout.permanent_table(exchange));
            if !table.exists && member.as_ref().is_ok_and(|member| member.matcher().is_ok()) {
                let kept = Op::new(Verb::Has, permanent, &**row);
                lost.push(Step::default().guard(kept).change(Op::new(Verb::Add, own, &**row)));
                continue;
            }
            let sentence = "it is among the permanent ones and not in the table: it routes nothing, and keeps the table \
                            from being deleted when all of its rows have expired";
            let gone = Op::new(Verb::Lacks, own, &**row);
            let step = Step::default().guard(gone).change(Op::new(Verb::Remove, permanent, &**row));
            let culprit = member
                .map_or_else(|_| Culprit::row(exchange, row), |member| Culprit::member(exchange, &member));
            self.report(Code::StrayPermanent, culprit, sentence, vec![step]);
        }
        if !lost.is_empty() {
            let sentence = format!(
                "its table is gone, and {} left: publishes to it go nowhere, and Kombu's publishers do not say so. \
                 Whether each queue is still wanted is not known",
                match lost.len() {
                    1 => "1 permanent row is".to_owned(),
                    rows => format!("{rows} permanent rows are"),
                }
            );
            self.report(Code::LostTable, Culprit::Exchange { name: exchange.into() }, sentence, lost);
        }
    }

    fn stale_deadline(&mut self, exchange: &str, deadline: &str) {
        let sentence =
            format!("its table is gone, and its deadline, {}, is still there", self.when(deadline));
        let step = Step::default()
            .guard(Op::new(Verb::Absent, self.layout.binding_table(exchange), ""))
            .change(Op::new(Verb::Unscore, self.layout.binding_deadlines(), exchange).value(deadline));
        self.report(Code::StaleDeadline, Culprit::Exchange { name: exchange.into() }, sentence, vec![step]);
    }

    fn when(&self, deadline: &str) -> String {
        let left = deadline.parse::<f64>().unwrap_or_default() - self.state.now_ms as f64;
        match left / 60_000.0 {
            minutes if minutes >= 1.0 => format!("in {} min", minutes as u64),
            minutes if minutes > 0.0 => "within a minute".into(),
            _ => "at its next sweep".into(),
        }
    }
}

/// Exchanges of remote control and events, whose queues expire.
fn is_celerys(exchange: &str) -> bool {
    exchange.ends_with(".pidbox") || exchange == "celeryev"
}
