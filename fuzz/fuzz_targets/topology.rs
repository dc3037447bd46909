//! keyrail's JSON: what is taken comes back the same.
#![no_main]

use keyrail_core::Topology;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(topology) = serde_json::from_slice::<Topology>(bytes) else { return };
    let json = serde_json::to_vec(&topology).unwrap();
    assert_eq!(serde_json::from_slice::<Topology>(&json).unwrap(), topology);
    if let Ok(router) = topology.router() {
        Topology::of(&router).router().unwrap();
    }
});
