//! A repair as data: what must still be so, what is changed, and how it is taken back.

use serde::{Deserialize, Serialize};

/// One repair, done at once on the server or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Step {
    pub(super) guards: Vec<Op>,
    pub(super) changes: Vec<Op>,
}

/// Something that holds or is done at a key. As a change it holds only if it changes something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Op {
    pub(super) verb: Verb,
    #[serde(with = "base64_bytes")]
    pub(super) key: Vec<u8>,
    /// A member, a field, a payload, the new name of a key.
    #[serde(with = "base64_bytes")]
    pub(super) what: Vec<u8>,
    /// A score, a value, a place in a list, a time.
    #[serde(with = "base64_bytes")]
    pub(super) value: Vec<u8>,
}

/// The words of `step.lua`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verb {
    /// The set has the member.
    Has,
    /// The set, or the hash, or the sorted set has not.
    Lacks,
    /// There is no such key.
    Absent,
    /// Adds a member to a set.
    Add,
    /// Takes it out.
    Remove,
    /// Adds a member with its score to a sorted set.
    Score,
    /// Takes it out, if it has this score still.
    Unscore,
    /// Adds a field with its value to a hash.
    Set,
    /// Takes it out, if it has this value still.
    Unset,
    /// Takes a payload out of a list, the one that would be taken first. What is noted: its place, counted from there.
    Take,
    /// Puts a payload into a list, so many places behind the one that would be taken first.
    Put,
    /// Pushes a payload to the far end of a list.
    Push,
    /// Takes it out again, the one that was pushed last.
    Unpush,
    /// Gives a list another name that nobody has.
    Rename,
    /// Lets a key live for so many milliseconds that lived for ever.
    Expire,
    /// Lets it live for ever again.
    Persist,
}

impl Verb {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Verb::Has => "has",
            Verb::Lacks => "lacks",
            Verb::Absent => "absent",
            Verb::Add => "add",
            Verb::Remove => "remove",
            Verb::Score => "score",
            Verb::Unscore => "unscore",
            Verb::Set => "set",
            Verb::Unset => "unset",
            Verb::Take => "take",
            Verb::Put => "put",
            Verb::Push => "push",
            Verb::Unpush => "unpush",
            Verb::Rename => "rename",
            Verb::Expire => "expire",
            Verb::Persist => "persist",
        }
    }

    /// What takes it back; nothing for what only asks.
    const fn inverse(self) -> Option<Verb> {
        Some(match self {
            Verb::Has | Verb::Lacks | Verb::Absent => return None,
            Verb::Add => Verb::Remove,
            Verb::Remove => Verb::Add,
            Verb::Score => Verb::Unscore,
            Verb::Unscore => Verb::Score,
            Verb::Set => Verb::Unset,
            Verb::Unset => Verb::Set,
            Verb::Take => Verb::Put,
            Verb::Put => Verb::Take,
            Verb::Push => Verb::Unpush,
            Verb::Unpush => Verb::Push,
            Verb::Rename => Verb::Rename,
            Verb::Expire => Verb::Persist,
            Verb::Persist => Verb::Expire,
        })
    }
}

impl Op {
    pub(super) fn new(verb: Verb, key: impl Into<Vec<u8>>, what: impl Into<Vec<u8>>) -> Self {
        Op { verb, key: key.into(), what: what.into(), value: Vec::new() }
    }

    pub(super) fn value(self, value: impl Into<Vec<u8>>) -> Self {
        Op { value: value.into(), ..self }
    }

    /// What takes it back. `note` is what the server noted while it was done.
    pub(super) fn inverse(&self, note: &str) -> Option<Op> {
        let verb = self.verb.inverse()?;
        let mut op = Op { verb, ..self.clone() };
        match self.verb {
            Verb::Take => op.value = note.into(),
            Verb::Rename => std::mem::swap(&mut op.key, &mut op.what),
            _ => {}
        }
        Some(op)
    }

    /// The second key that it touches.
    pub(super) fn other_key(&self) -> Option<&[u8]> {
        (self.verb == Verb::Rename).then_some(&self.what)
    }
}

impl Step {
    pub(super) fn guard(mut self, op: Op) -> Self {
        self.guards.push(op);
        self
    }

    pub(super) fn change(mut self, op: Op) -> Self {
        self.changes.push(op);
        self
    }
}

/// Bytes in JSON.
mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
