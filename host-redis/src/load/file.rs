//! A topology file: keyrail's own JSON, lines or snapshot, or RabbitMQ's definitions.

use std::path::Path;

use keyrail_core::{Definitions, DefinitionsError, Router, Topology};
use serde::{
    Deserialize,
    de::{Error, IgnoredAny},
};

use super::Limits;
use crate::LoadError;

/// The formats of a topology file.
///
/// ```
/// use keyrail_redis::load::{self, Format, Limits};
///
/// # let path = std::env::temp_dir().join(format!("keyrail-format-{}", std::process::id()));
/// for (text, format) in [
///     (r#"{"exchanges": [{"name": "orders", "kind": "topic"}]}"#, Format::Keyrail),
///     (r#"{"rabbit_version": "4.1.0", "vhosts": [{"name": "/"}]}"#, Format::Rabbitmq),
///     ("orders topic: order.*.paid -> billing", Format::Lines),
/// ] {
///     std::fs::write(&path, text).unwrap();
///     assert_eq!(load::read(&path, None, &Limits::default()).unwrap().format, format);
/// }
/// # std::fs::remove_file(&path).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// [`Topology`].
    Keyrail,
    /// [`Definitions`].
    Rabbitmq,
    /// Lines that people write: [`Topology::from_lines`].
    Lines,
    /// Bytes: [`Router::from_snapshot`].
    Snapshot,
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Format::Keyrail => "keyrail topology",
            Format::Rabbitmq => "RabbitMQ definitions file",
            Format::Lines => "list of lines",
            Format::Snapshot => "snapshot",
        }
    }
}

/// A topology that was read, and the router built from it.
///
/// ```
/// use keyrail_redis::load::{self, Limits};
///
/// # let path = std::env::temp_dir().join(format!("keyrail-loaded-{}", std::process::id()));
/// std::fs::write(&path, "orders topic: order.*.paid -> billing").unwrap();
/// let loaded = load::read(&path, None, &Limits::default()).unwrap();
/// assert_eq!((&*loaded.topology.bindings[0].source, loaded.topology.bindings.len()), ("orders", 1));
/// assert!(loaded.router.queue("billing").is_some());
/// # std::fs::remove_file(&path).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Which format the file has.
    pub format: Format,
    /// As in the file.
    pub topology: Topology,
    /// Ready to route.
    pub router: Router,
}

/// Reads a file of any format; which one, its content tells.
///
/// Of a RabbitMQ file the virtual host `vhost` is taken; if none is named the only one, or else `/`.
///
/// ```
/// use keyrail_redis::load::{self, Limits};
///
/// # let path = std::env::temp_dir().join(format!("keyrail-read-{}", std::process::id()));
/// std::fs::write(&path, "orders topic: order.*.paid -> billing").unwrap();
/// let read = load::read(&path, None, &Limits::default()).unwrap();
/// assert_eq!(read.topology.bindings[0].routing_key, "order.*.paid".into());
///
/// std::fs::write(&path, "orders topc: order.*.paid -> billing").unwrap();
/// let error = load::read(&path, None, &Limits::default()).unwrap_err();
/// assert!(error.to_string().contains("line 1, column 8"), "{error}");
/// # std::fs::remove_file(&path).unwrap();
/// ```
///
/// # Errors
/// Those of [`bytes`](super::bytes), and what is wrong in it, with line and column or the place in the document.
pub fn read(path: &Path, vhost: Option<&str>, limits: &Limits) -> Result<Loaded, LoadError> {
    let bytes = super::bytes(path, limits)?;
    if Router::is_snapshot(&bytes) {
        let refused = |error| LoadError::Snapshot { path: path.into(), error };
        let router = Router::from_snapshot(&bytes).map_err(refused)?;
        return Ok(Loaded { format: Format::Snapshot, topology: Topology::of(&router), router });
    }
    let text = match str::from_utf8(&bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            return Err(LoadError::NotUtf8 { path: path.into(), offset: error.valid_up_to() });
        }
    };
    // Nothing at all is rather a file that was cut off than one of no lines.
    if !text.trim_start().starts_with(['{', '[']) && !text.trim_start().is_empty() {
        let topology =
            Topology::from_lines(text).map_err(|error| LoadError::Lines { path: path.into(), error })?;
        let router = topology.router().map_err(|error| LoadError::Topology { path: path.into(), error })?;
        return Ok(Loaded { format: Format::Lines, topology, router });
    }
    let format = format_of(path, text)?;
    let invalid = |error| LoadError::Json { path: path.into(), format: format.name(), error };
    let topology = match format {
        Format::Keyrail | Format::Lines | Format::Snapshot => serde_json::from_str(text).map_err(invalid)?,
        Format::Rabbitmq => {
            let definitions: Definitions = serde_json::from_str(text).map_err(invalid)?;
            let vhost = vhost.or_else(|| only_vhost(&definitions)).unwrap_or("/");
            let refused = |error| LoadError::Definitions { path: path.into(), error };
            definitions.topology(vhost).map_err(refused)?
        }
    };
    let router = topology.router().map_err(|error| match format {
        Format::Keyrail | Format::Lines | Format::Snapshot => {
            LoadError::Topology { path: path.into(), error }
        }
        Format::Rabbitmq => {
            LoadError::Definitions { path: path.into(), error: DefinitionsError::Invalid(error) }
        }
    })?;
    Ok(Loaded { format, topology, router })
}

fn only_vhost(definitions: &Definitions) -> Option<&str> {
    match definitions.vhosts()[..] {
        [only] => Some(only),
        _ => None,
    }
}

/// Fields that only RabbitMQ's files have, at the top and in the first entries.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Probe {
    rabbit_version: Option<IgnoredAny>,
    rabbitmq_version: Option<IgnoredAny>,
    vhosts: Option<IgnoredAny>,
    exchanges: Vec<Entry>,
    bindings: Vec<Entry>,
    queues: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    vhost: Option<IgnoredAny>,
    r#type: Option<IgnoredAny>,
    destination_type: Option<IgnoredAny>,
}

impl Entry {
    fn is_rabbitmq(&self) -> bool {
        self.vhost.is_some() || self.r#type.is_some() || self.destination_type.is_some()
    }
}

fn format_of(path: &Path, text: &str) -> Result<Format, LoadError> {
    match serde_json::from_str::<Probe>(text) {
        // serde would take a list for an object's fields in their order.
        Ok(_) if !text.trim_start().starts_with('{') => {
            let error =
                serde_json::Error::custom("expected an object with `exchanges`, `queues` and `bindings`");
            Err(LoadError::Json { path: path.into(), format: "topology", error })
        }
        Ok(probe) => {
            let mut entries = probe.exchanges.iter().chain(&probe.bindings).chain(&probe.queues);
            let top = probe.rabbit_version.or(probe.rabbitmq_version).or(probe.vhosts);
            let rabbitmq = top.is_some() || entries.any(Entry::is_rabbitmq);
            Ok(if rabbitmq { Format::Rabbitmq } else { Format::Keyrail })
        }
        // Wrong types are reported by the reader of the format, which names what it expects.
        Err(error) if error.is_data() => {
            let rabbitmq = text.contains("\"rabbit_version\"") || text.contains("\"destination_type\"");
            Ok(if rabbitmq { Format::Rabbitmq } else { Format::Keyrail })
        }
        Err(error) => Err(LoadError::Json { path: path.into(), format: "JSON", error }),
    }
}
