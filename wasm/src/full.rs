//! What only `keyrail/full` has: lint, diff, every import and export.

use std::collections::BTreeMap;

use keyrail_core::{
    Definitions, Dialect, ExchangeKind, Topology, diff,
    kombu::{BindingSets, CeleryConfig, Layout},
};
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::prelude::*;

use crate::{Core, error::Failure, fields::node, write::write};

/// A comparison, with the two questions that everybody asks of it answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared<'a> {
    #[serde(flatten)]
    diff: &'a diff::Diff,
    behaves_the_same: bool,
    behaves_differently: bool,
}

#[wasm_bindgen]
impl Core {
    /// What is wrong with everything that was declared and bound.
    pub fn lint(&self) -> Result<Vec<u8>, JsValue> {
        write(&self.topology().lint(&Default::default()).map_err(Failure::from)?)
    }

    /// What a later router does differently.
    pub fn diff(&self, after: &Core, witnesses: usize, line_feeds: bool) -> Result<Vec<u8>, JsValue> {
        let options = diff::Options::default().witnesses(witnesses).line_feeds(line_feeds);
        let diff = self.topology().diff(&after.topology(), &options).map_err(Failure::from)?;
        write(&Compared {
            behaves_the_same: diff.behaves_the_same(),
            behaves_differently: diff.behaves_differently(),
            diff: &diff,
        })
    }

    #[wasm_bindgen(js_name = fromDefinitions)]
    pub fn from_definitions(definitions: &[u8], vhost: &str) -> Result<Core, JsValue> {
        let definitions: Definitions = read(definitions)?;
        of(&definitions.topology(vhost).map_err(Failure::from)?)
    }

    /// Definitions of this alone, or others in which it takes the place of its virtual host.
    #[wasm_bindgen(js_name = toDefinitions)]
    pub fn to_definitions(&self, vhost: &str, within: Option<Box<[u8]>>) -> Result<Vec<u8>, JsValue> {
        let topology = self.topology();
        let definitions = match within {
            None => Definitions::of(vhost, &topology).map_err(Failure::from)?,
            Some(within) => {
                let mut definitions: Definitions = read(&within)?;
                definitions.set_topology(vhost, &topology).map_err(Failure::from)?;
                definitions
            }
        };
        write(&definitions)
    }

    #[wasm_bindgen(js_name = fromBindingSets)]
    pub fn from_binding_sets(sets: &[u8], layout: &[u8], kinds: &[u8]) -> Result<Core, JsValue> {
        let sets: BindingSets = read(sets)?;
        let layout: Layout = read(layout)?;
        let kinds: BTreeMap<Box<str>, ExchangeKind> = read(kinds)?;
        of(&sets.topology(&layout, &kinds).map_err(Failure::from)?)
    }

    #[wasm_bindgen(js_name = toBindingSets)]
    pub fn to_binding_sets(&self, layout: &[u8], dialect: &[u8]) -> Result<Vec<u8>, JsValue> {
        let layout: Layout = read(layout)?;
        let dialect: Dialect = read(dialect)?;
        write(&BindingSets::of(&self.topology(), &layout, dialect).map_err(Failure::from)?)
    }

    #[wasm_bindgen(js_name = fromCeleryConfig)]
    pub fn from_celery_config(config: &[u8], dialect: &[u8]) -> Result<Core, JsValue> {
        let config: CeleryConfig = read(config)?;
        let dialect: Dialect = read(dialect)?;
        of(&config.topology(dialect).map_err(Failure::from)?)
    }

    #[wasm_bindgen(js_name = fromLines)]
    pub fn from_lines(text: &str) -> Result<Core, JsValue> {
        of(&Topology::from_lines(text).map_err(Failure::from)?)
    }

    #[wasm_bindgen(js_name = toLines)]
    pub fn to_lines(&self) -> String {
        self.topology().to_lines()
    }
}

impl Core {
    fn topology(&self) -> Topology {
        Topology::of(self.router())
    }
}

fn of(topology: &Topology) -> Result<Core, JsValue> {
    Ok(topology.router().map_err(Failure::from)?.into())
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsValue> {
    Ok(T::deserialize(&node(bytes)?)?)
}
