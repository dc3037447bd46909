//! Scenarios that a target is allowed to leave out, each with its reason.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A file of `[[skip]]` entries: the target, the ids, the reason.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skips {
    #[serde(default, rename = "skip")]
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    targets: Vec<String>,
    ids: Vec<String>,
    reason: String,
}

impl Skips {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let skips: Skips = toml::from_str(text).map_err(|error| error.to_string())?;
        match skips.entries.iter().find(|entry| entry.reason.trim().is_empty()) {
            Some(entry) => Err(format!("no reason is given for {}", entry.ids.join(", "))),
            None => Ok(skips),
        }
    }

    /// The ids that `target` may leave out, with the reasons.
    pub fn of(&self, target: &str) -> BTreeMap<&str, &str> {
        let entries = self.entries.iter().filter(|entry| entry.targets.iter().any(|name| name == target));
        entries.flat_map(|entry| entry.ids.iter().map(|id| (&**id, &*entry.reason))).collect()
    }
}
