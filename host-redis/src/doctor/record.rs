//! What repairs changed, in Redis: one list for each run of repairs, `keyrail.doctor.<record>`, one entry for each step.
//!
//! An entry is JSON, a line feed, the time in milliseconds, and a note for each change, all on the server's word. The list
//! is given [`Limits::keep`](super::Limits) to live, anew with each step.

use keyrail_core::kombu::Layout;
use serde::{Deserialize, Serialize};

use super::{
    Finding,
    step::{Op, Step},
};

/// The list of a record.
pub(super) fn key(layout: &Layout, record: &str) -> String {
    format!("{}keyrail.doctor.{record}", layout.global_keyprefix)
}

/// A name for a record: the server's clock, and something that no other run has.
pub(super) fn name(now_ms: u64) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{now_ms}-{}", &random[..8])
}

/// One step that was done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Which step of its run, so that no two entries are alike.
    pub(super) step: usize,
    pub(super) code: String,
    pub(super) culprit: String,
    pub(super) changes: Vec<Op>,
}

impl Entry {
    pub(super) fn of(number: usize, finding: &Finding, step: &Step) -> Self {
        Entry {
            step: number,
            code: finding.code.to_string(),
            culprit: finding.culprit.to_string(),
            changes: step.changes.clone(),
        }
    }

    /// Reads an entry as it is in Redis: what was done, and what takes it back.
    pub(super) fn read(entry: &[u8]) -> Result<(Self, Step), String> {
        let text = std::str::from_utf8(entry).map_err(|error| error.to_string())?;
        let (json, notes) = text.rsplit_once('\n').ok_or("it has no notes")?;
        let entry: Entry = serde_json::from_str(json).map_err(|error| error.to_string())?;
        // The time comes first.
        let notes: Vec<&str> = notes.split(' ').skip(1).collect();
        if notes.len() != entry.changes.len() {
            return Err(format!("{} notes for {} changes", notes.len(), entry.changes.len()));
        }
        let backwards = entry.changes.iter().zip(notes).rev();
        let changes: Option<_> = backwards.map(|(op, note)| op.inverse(note)).collect();
        let changes = changes.ok_or("it changes nothing")?;
        Ok((entry, Step { guards: Vec::new(), changes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::step::Verb;

    #[test]
    fn what_takes_back_goes_backwards() {
        let changes =
            vec![Op::new(Verb::Push, "to", b"\xff".to_vec()), Op::new(Verb::Take, "from", b"\xff".to_vec())];
        let entry = Entry { step: 0, code: "poison".into(), culprit: "key from".into(), changes };
        let json = serde_json::to_string(&entry).expect("JSON");
        let (_, back) = Entry::read(format!("{json}\n123 - 4:-1").as_bytes()).expect("an entry");
        let expected = [
            Op::new(Verb::Put, "from", b"\xff".to_vec()).value("4:-1"),
            Op::new(Verb::Unpush, "to", b"\xff".to_vec()),
        ];
        assert_eq!(back.changes, expected);
        let rename = Op::new(Verb::Rename, "a", "b");
        assert_eq!(rename.inverse("-"), Some(Op::new(Verb::Rename, "b", "a")));
        for bad in ["", "{}\n1", "\n", &json, &format!("{json}\n123 -")] {
            assert!(Entry::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
