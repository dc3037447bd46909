//! Celery's settings.
#![no_main]

use keyrail_core::{Dialect, kombu::CeleryConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = serde_json::from_slice::<CeleryConfig>(bytes) else { return };
    if let Ok(topology) = config.topology(Dialect::Kombu57) {
        let _ = topology.router();
    }
});
