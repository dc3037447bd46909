//! keyrail's own entries.

use super::Check;
use crate::{
    doctor::{
        Code, Culprit,
        finding::printable,
        step::{Op, Step, Verb},
    },
    registry,
};

impl Check<'_> {
    pub(super) fn own(&mut self) {
        let own = &self.state.own;
        for entry in &own.unreadable {
            let (name, op) = match &entry.field {
                Some(field) => (field, Op::new(Verb::Unset, &*entry.key, &**field).value(&*entry.value)),
                None => (&entry.value, Op::new(Verb::Remove, &*entry.key, &*entry.value)),
            };
            let culprit = Culprit::Entry { key: entry.key.as_str().into(), field: printable(name) };
            let sentence = format!("keyrail loads no table as long as it is there: {}", entry.reason);
            self.report(Code::UnreadableEntry, culprit, sentence, vec![Step::default().change(op)]);
        }
        let (key, bindings) = (registry::buckets_key(self.layout), registry::bindings_key(self.layout));
        for (field, turn) in &own.stray_buckets {
            let culprit = Culprit::Entry { key: key.as_str().into(), field: printable(field) };
            let sentence = "its binding is gone, and it is passed over; if the same binding is made again, it has its old \
                            buckets";
            let step = Step::default()
                .guard(Op::new(Verb::Lacks, &*bindings, &**field))
                .change(Op::new(Verb::Unset, &*key, &**field).value(&**turn));
            self.report(Code::StrayBucket, culprit, sentence, vec![step]);
        }
    }
}
