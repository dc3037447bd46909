//! Lists: what is in them, and whose they are.

use super::{Check, count};
use crate::{
    doctor::{
        Code, Culprit,
        state::List,
        step::{Op, Step, Verb},
    },
    quarantine_list,
};

impl Check<'_> {
    pub(super) fn queues(&mut self) {
        let state = self.state;
        for (key, list) in &state.lists {
            let queue = self.layout.queue_of(key).unwrap_or(key);
            let is_queues = self.queues.contains(queue) && self.layout.lists(queue).any(|own| own == *key);
            let name = key.strip_prefix(&*self.layout.global_keyprefix).unwrap_or(key);
            let is_known = is_queues || self.queues.contains(name);
            let step = (!is_known && self.queues.contains(queue)).then(|| self.step_of(key)).flatten();
            if let Some(step) = step {
                let sentence = format!(
                    "{} of priority step {step}, which is none of {:?} here: who consumes with these steps does not take \
                     them",
                    count(list.length as usize, "message"),
                    self.layout.priority_steps
                );
                self.report(Code::StrandedStep, Culprit::Key { name: key.as_str().into() }, sentence, vec![]);
            } else if !is_known && list.messages > 0 && self.is_all_known() {
                let sentence = format!(
                    "{} in a list that no row and no declaration names: a queue of the default exchange, or one whose \
                     bindings are gone; who consumes is not written in Redis",
                    count(list.length as usize, "message")
                );
                self.report(Code::OrphanList, Culprit::Key { name: key.as_str().into() }, sentence, vec![]);
            }
            // A list of strangers is none of ours, whatever is in it.
            if !list.poison.is_empty() && (is_known || list.messages > 0) {
                let queue = if is_queues { queue } else { name };
                self.poison(key, queue, list);
            }
        }
        for (queue, length) in &state.quarantines {
            let sentence = format!("{} that could not be read", count(*length as usize, "payload"));
            let name = quarantine_list(self.layout, queue).into();
            self.report(Code::Quarantined, Culprit::Key { name }, sentence, vec![]);
        }
    }

    /// The number behind the separator.
    fn step_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        let (_, step) = key.rsplit_once(&*self.layout.sep)?;
        (!step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit())).then_some(step)
    }

    fn poison(&mut self, key: &str, queue: &str, list: &List) {
        let quarantine = quarantine_list(self.layout, queue);
        // The one behind first, so that each is noted at the place where it was.
        let steps = list.poison.iter().rev().map(|(payload, _)| {
            Step::default().change(Op::new(Verb::Push, &*quarantine, &**payload)).change(Op::new(
                Verb::Take,
                key,
                &**payload,
            ))
        });
        let steps = steps.collect();
        let reason = list.poison.first().map_or("", |(_, reason)| reason);
        let sentence = format!(
            "{} of the {} looked at (of {}) cannot be read; Kombu raises on it and loses it. The next one: {reason}",
            count(list.poison.len(), "payload"),
            list.looked,
            list.length
        );
        self.report(Code::Poison, Culprit::Key { name: key.into() }, sentence, steps);
    }
}
