//! The register of what was delivered and not yet acked.

use super::Check;
use crate::{
    doctor::{
        Code, Culprit,
        finding::printable,
        step::{Op, Step, Verb},
    },
    quarantine_list,
};

/// How long Kombu's lock lives, in milliseconds.
const LOCK: &str = "300000";

impl Check<'_> {
    pub(super) fn register(&mut self) {
        let (register, layout) = (&self.state.register, self.layout);
        let (unacked, index) = (layout.unacked(), layout.unacked_index());
        let delivery = |name: &[u8]| Culprit::Delivery { name: printable(name) };
        if register.eternal_lock {
            let mutex = layout.unacked_mutex();
            let sentence = "the lock of those who restore has no time to live: as long as it is there, nobody puts back \
                            what dead consumers held";
            let step = Step::default().change(Op::new(Verb::Expire, &*mutex, "").value(LOCK));
            self.report(Code::EternalLock, Culprit::Key { name: mutex.into() }, sentence, vec![step]);
        }
        for name in &register.unindexed {
            let sentence =
                format!("it has a record in {unacked} and no time in {index}: nobody will ever restore it");
            let now = format!("{:.3}", self.state.now_ms as f64 / 1000.0);
            let step = Step::default()
                .guard(Op::new(Verb::Has, &*unacked, &**name))
                .change(Op::new(Verb::Score, &*index, &**name).value(now));
            self.report(Code::Unindexed, delivery(name), sentence, vec![step]);
        }
        for (name, score) in &register.unrecorded {
            let sentence =
                format!("it has a time in {index} and no record in {unacked}: there is nothing to restore");
            let step = Step::default()
                .guard(Op::new(Verb::Lacks, &*unacked, &**name))
                .change(Op::new(Verb::Unscore, &*index, &**name).value(&**score));
            self.report(Code::Unrecorded, delivery(name), sentence, vec![step]);
        }
        for (name, record, score) in &register.unreadable {
            let sentence = "its record is no message with an exchange and a routing key: Kombu's restore raises on it, \
                            each time, and does not come to those behind it";
            let quarantine = quarantine_list(layout, &layout.unacked_key);
            let step = Step::default()
                .change(Op::new(Verb::Push, quarantine, &**record))
                .change(Op::new(Verb::Unset, &*unacked, &**name).value(&**record));
            let step = match score {
                Some(score) => step.change(Op::new(Verb::Unscore, &*index, &**name).value(&**score)),
                None => step.guard(Op::new(Verb::Lacks, &*index, &**name)),
            };
            self.report(Code::UnreadableRecord, delivery(name), sentence, vec![step]);
        }
        if let Some(oldest) = register.oldest {
            let days = (self.state.now_ms as f64 / 1000.0 - oldest) / 86_400.0;
            let sentence = format!(
                "{} held for more than twice the visibility timeout, the oldest for {days:.1} days: nobody restores, or \
                 what consumers hold takes that long and they renew nothing",
                match register.overdue {
                    1 => "1 delivery".to_owned(),
                    overdue => format!("{overdue} deliveries"),
                }
            );
            self.report(Code::Overdue, Culprit::Key { name: index.into() }, sentence, vec![]);
        }
    }
}
