//! What a plan needs of the keys it works on, found out before its first command runs.

use std::collections::{HashMap, HashSet};

use keyrail_core::kombu::{Command, Plan};

use crate::ExecuteError;

/// One kind of command on one key.
pub(super) struct Need<'a> {
    pub(super) command: &'static str,
    pub(super) key: &'a str,
    /// The type that the key must have if it is there, by Redis' word; none where any will do, or where an earlier
    /// command of the plan has settled it.
    pub(super) kind: Option<&'static str>,
    /// Channels are no keys.
    pub(super) is_key: bool,
}

impl Need<'_> {
    pub(super) fn refused(&self) -> ExecuteError {
        ExecuteError::WrongType { key: self.key.into(), command: self.command }
    }
}

/// Each pair of command and key once, in the order of the plan.
///
/// # Errors
/// [`ExecuteError::WrongType`] if the commands contradict each other, whatever the keys hold.
pub(super) fn needs(commands: &[Command]) -> Result<Vec<Need<'_>>, ExecuteError> {
    // By key: the type that the plan's commands so far leave there, none after a DEL.
    let mut settled: HashMap<&str, Option<&'static str>> = HashMap::new();
    let (mut seen, mut needs) = (HashSet::new(), Vec::new());
    for command in commands {
        let (key, name, wanted) = (command.key(), command.name(), kind(command));
        let mut need = Need { command: name, key, kind: None, is_key: true };
        match command {
            Command::Publish { .. } => need.is_key = false,
            Command::Del { .. } => {
                settled.insert(key, None);
            }
            Command::SetEx { .. } => {
                settled.insert(key, Some("string"));
            }
            _ if wanted.is_none() => {}
            _ => match settled.insert(key, wanted) {
                Some(Some(other)) if Some(other) != wanted => return Err(need.refused()),
                Some(_) => {}
                None => need.kind = wanted,
            },
        }
        if seen.insert((name, key)) {
            needs.push(need);
        }
    }
    Ok(needs)
}

/// The type that a command works on; none for those that take any.
pub(super) const fn kind(command: &Command) -> Option<&'static str> {
    match command {
        Command::LPush { .. } | Command::RPush { .. } | Command::RPop { .. } | Command::LLen { .. } => {
            Some("list")
        }
        Command::SAdd { .. } | Command::SRem { .. } | Command::SMembers { .. } => Some("set"),
        Command::HSet { .. } | Command::HDel { .. } => Some("hash"),
        Command::ZAdd { .. } | Command::ZAddGt { .. } | Command::ZRem { .. } => Some("zset"),
        // SETEX puts its text in the place of anything.
        Command::Publish { .. } | Command::Del { .. } | Command::PExpire { .. } | Command::SetEx { .. } => {
            None
        }
    }
}

/// Key, field and value of what a plan sets in these hashes.
pub(super) fn set_in<'p>(
    plan: &'p Plan,
    hashes: &'p [String],
) -> impl Iterator<Item = (&'p str, &'p str, &'p [u8])> {
    plan.commands.iter().filter_map(|command| match command {
        Command::HSet { key, field, value } if hashes.contains(key) => Some((&**key, &**field, &**value)),
        _ => None,
    })
}
