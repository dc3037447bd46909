//! A dump of Kombu's binding sets: what is taken comes back the same.
#![no_main]

use keyrail_core::{
    Dialect,
    kombu::{BindingSets, Layout},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(sets) = serde_json::from_slice::<BindingSets>(bytes) else { return };
    let layout = Layout::default();
    let Ok(topology) = sets.topology(&layout, &Default::default()) else { return };
    let _ = BindingSets::of(&topology, &layout, Dialect::Kombu57);
    let _ = topology.router();
});
