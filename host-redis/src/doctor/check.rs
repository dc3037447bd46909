//! What was read, judged. Nothing here asks Redis.

use std::collections::HashSet;

use keyrail_core::{DestinationName, kombu::Layout};

use super::{
    Code, Culprit, Finding,
    state::{State, Table},
    step::{Op, Step, Verb},
};

mod own;
mod peers;
mod pidbox;
mod queues;
mod register;
mod rows;
mod separator;
mod tables;
mod twins;

/// What the single checks share.
struct Check<'a> {
    state: &'a State,
    layout: &'a Layout,
    /// Queues that a row, a binding of keyrail's own or a declaration names.
    queues: HashSet<&'a str>,
    findings: Vec<Finding>,
}

pub(super) fn findings(state: &State, layout: &Layout) -> Vec<Finding> {
    let mut check = Check { state, layout, queues: queues(state), findings: Vec::new() };
    check.peers();
    check.rows();
    check.twins();
    check.tables();
    check.queues();
    check.pidboxes();
    check.register();
    check.own();
    let mut findings = check.findings;
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.code));
    findings
}

fn queues(state: &State) -> HashSet<&str> {
    let bound = state.tables.values().flat_map(Table::members).map(|(_, member)| &*member.queue);
    let declared = state.own.queues.iter().map(|queue| &*queue.name);
    let own = state.own.bindings.iter().filter_map(|binding| match &binding.destination {
        DestinationName::Queue(queue) => Some(&**queue),
        DestinationName::Exchange(_) => None,
    });
    bound.chain(declared).chain(own).collect()
}

impl Check<'_> {
    fn report(&mut self, code: Code, culprit: Culprit, sentence: impl Into<String>, steps: Vec<Step>) {
        self.findings.push(Finding::new(code, culprit, sentence, steps));
    }

    /// Whether what was not seen is not there.
    fn is_all_known(&self) -> bool {
        self.state.complete && self.state.tables.values().all(|table| table.is_read)
    }

    /// Takes a row out of the table, and out of the permanent ones if it is there.
    fn remove_row(&self, exchange: &str, table: &Table, row: &[u8]) -> Step {
        let permanent = self.layout.permanent_table(exchange);
        let step = Step::default().change(Op::new(Verb::Remove, self.layout.binding_table(exchange), row));
        match table.permanent.contains(row) {
            true => step.change(Op::new(Verb::Remove, permanent, row)),
            false => step.guard(Op::new(Verb::Lacks, permanent, row)),
        }
    }
}

/// `1 row`, `2 rows`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
