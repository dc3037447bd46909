//! What Celery's remote control leaves behind.

use std::collections::HashSet;

use super::{Check, count};
use crate::{
    doctor::{
        Code, Culprit,
        step::{Op, Step, Verb},
    },
    quarantine_list,
};

/// For how long nobody may have touched a list of replies whose asker still waits, in seconds. Celery's ask for one.
const PATIENCE: u64 = 60;

impl Check<'_> {
    pub(super) fn pidboxes(&mut self) {
        self.reply_lists();
        let state = self.state;
        for (exchange, table) in state.tables.iter().filter(|(name, _)| name.ends_with(".pidbox")) {
            let rows: Vec<_> = table.members().collect();
            if exchange.starts_with("reply.") {
                self.reply_rows(exchange);
            } else if !rows.is_empty() && state.subscriptions == Some(0) {
                let sentence = format!(
                    "{} for remote control, and nobody is subscribed to any pattern at this Redis: left by workers that \
                     were killed, or that are stopped and come back",
                    count(rows.len(), "row")
                );
                let steps = rows.iter().map(|(row, _)| self.remove_row(exchange, table, row)).collect();
                let culprit = Culprit::Exchange { name: exchange.as_str().into() };
                self.report(Code::FanoutRows, culprit, sentence, steps);
            }
        }
    }

    /// Workers push replies without a time to live, also for an asker that has gone.
    fn reply_lists(&mut self) {
        let state = self.state;
        for list in state.replies.iter().filter(|list| !list.expires) {
            let Some(idle) = list.idle.filter(|idle| *idle >= PATIENCE) else { continue };
            let queue = self.layout.queue_of(&list.key).unwrap_or(&list.key);
            let sentence = format!(
                "replies to remote control that nobody has touched for {idle} s, and that never expire: who asked has \
                 gone"
            );
            let to = quarantine_list(self.layout, queue);
            let step = Step::default().change(Op::new(Verb::Rename, &*list.key, to));
            self.report(
                Code::ReplyList,
                Culprit::Key { name: list.key.as_str().into() },
                sentence,
                vec![step],
            );
        }
    }

    /// Every reply reads the whole table, and a row stays when its asker goes.
    fn reply_rows(&mut self, exchange: &str) {
        let table = &self.state.tables[exchange];
        let full: HashSet<&str> = self.state.replies.iter().map(|list| &*list.key).collect();
        let empty = table.members().filter(|(_, member)| {
            let mut lists = self.layout.lists(&member.queue);
            lists.all(|list| !full.contains(&*list))
        });
        let steps: Vec<Step> = empty
            .map(|(row, member)| {
                let step = self.remove_row(exchange, table, row);
                let lists = self.layout.lists(&member.queue);
                lists.fold(step, |step, list| step.guard(Op::new(Verb::Absent, list, "")))
            })
            .collect();
        if !steps.is_empty() {
            let sentence = format!(
                "{} of {} for replies to remote control hold none: each was left by a process that asked, or is of one \
                 that still runs; who waits is not written in Redis",
                count(steps.len(), "row"),
                table.rows.len()
            );
            self.report(Code::ReplyRows, Culprit::Exchange { name: exchange.into() }, sentence, steps);
        }
    }
}
