//! Rows of the same key and queue in several dialects.

use std::collections::{BTreeMap, HashSet};

use keyrail_core::{
    Dialect,
    kombu::{Matcher, Member, translate},
};

use super::Check;
use crate::{
    doctor::{
        Code, Culprit,
        state::Table,
        step::{Op, Step, Verb},
    },
    registry,
};

/// A row and what its wildcards mean.
type Row<'a> = (&'a [u8], &'a Member, Dialect);

impl Check<'_> {
    pub(super) fn twins(&mut self) {
        let state = self.state;
        let theirs: HashSet<&str> = kombus_queues(state.tables.values());
        for (exchange, table) in &state.tables {
            let mut groups: BTreeMap<(&str, &str), Vec<Row<'_>>> = BTreeMap::new();
            for (row, member) in table.members() {
                if let Some(dialect) = dialect_of(member) {
                    let key = (&*member.routing_key, &*member.queue);
                    groups.entry(key).or_default().push((row, member, dialect));
                }
            }
            for rows in groups.values() {
                self.group(exchange, table, rows, &theirs);
            }
        }
    }

    fn group(&mut self, exchange: &str, table: &Table, rows: &[Row<'_>], theirs: &HashSet<&str>) {
        let of = |dialect| rows.iter().find(|row| row.2 == dialect);
        let (amqp, new) = (of(Dialect::Amqp), of(Dialect::Kombu57));
        for (row, member, dialect) in rows {
            let culprit = || Culprit::member(exchange, member);
            match (dialect, new, amqp) {
                (Dialect::Kombu56, None, None) => {
                    let sentence = "its * also takes several words, in every Kombu that publishes, until Kombu 5.7 or \
                                    keyrail binds the queue again";
                    self.report(Code::OldDialect, culprit(), sentence, vec![]);
                }
                (Dialect::Kombu56, Some(newer), _) | (Dialect::Kombu56, None, Some(newer)) => {
                    let whose = if newer.2 == Dialect::Amqp { "with AMQP's text" } else { "of Kombu 5.7" };
                    let sentence = format!(
                        "the queue has a row {whose} for the same key, and still gets keys of several words for a * by \
                         this one of Kombu 5.6; nothing in Kombu removes it"
                    );
                    let step = self.without(exchange, table, row, newer.0);
                    self.report(Code::StaleTwin, culprit(), sentence, vec![step]);
                }
                (Dialect::Kombu57, _, Some(amqp)) => {
                    let sentence = "the queue has a row with AMQP's text for the same key, and gets what either matches; \
                                    whether a Kombu still declares this one is not known";
                    let step = self.without(exchange, table, row, amqp.0);
                    self.report(Code::AmqpTwin, culprit(), sentence, vec![step]);
                }
                (Dialect::Amqp, None, _) if !theirs.contains(&*member.queue) => {
                    self.orphan(exchange, table, row, member);
                }
                _ => {}
            }
        }
    }

    /// Takes a row out as long as this other one is there.
    fn without(&self, exchange: &str, table: &Table, row: &[u8], other: &[u8]) -> Step {
        let kept = Op::new(Verb::Has, self.layout.binding_table(exchange), other);
        self.remove_row(exchange, table, row).guard(kept)
    }

    /// Kombu deletes a queue with its own rows and lists, and does not know this row.
    fn orphan(&mut self, exchange: &str, table: &Table, row: &[u8], member: &Member) {
        let queue = &member.queue;
        let declared = self.state.own.queues.iter().any(|declared| *declared.name == **queue);
        let own = self.state.own.bindings.iter().any(|binding| binding.destination.name() == queue);
        let lists: Vec<String> = self.layout.lists(queue).collect();
        let holds = lists.iter().any(|list| self.state.lists.contains_key(list));
        if declared || own || holds || !self.is_all_known() {
            return;
        }
        let sentence = format!(
            "no other row, no declaration and no message in Redis knows queue {queue}: a Kombu may have deleted it, \
             which leaves this row; or it is empty, and bound by keyrail alone. Who consumes is not written in Redis"
        );
        let mut step = self.remove_row(exchange, table, row);
        step = step.guard(Op::new(Verb::Lacks, registry::queues_key(self.layout), queue.as_bytes()));
        for list in lists {
            step = step.guard(Op::new(Verb::Absent, list, ""));
        }
        self.report(Code::AmqpOrphan, Culprit::member(exchange, member), sentence, vec![step]);
    }
}

/// Queues with a row that a Kombu may have written.
fn kombus_queues<'a>(tables: impl Iterator<Item = &'a Table>) -> HashSet<&'a str> {
    let members = tables.flat_map(Table::members).map(|(_, member)| member);
    members.filter(|member| dialect_of(member) != Some(Dialect::Amqp)).map(|member| &*member.queue).collect()
}

/// The dialect whose text for the binding key this is; nothing for rows without a text, and for texts of other keys.
pub(super) fn dialect_of(member: &Member) -> Option<Dialect> {
    match member.matcher().ok()? {
        Matcher::Words { dialect, key } if key == member.routing_key => Some(dialect),
        Matcher::Glued(_) => [Dialect::Kombu57, Dialect::Kombu56]
            .into_iter()
            .find(|dialect| translate(&member.routing_key, *dialect).as_deref() == Ok(&*member.pattern)),
        _ => None,
    }
}
