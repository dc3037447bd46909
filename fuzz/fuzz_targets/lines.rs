//! Lines: what is taken comes back the same.
#![no_main]

use keyrail_core::Topology;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(topology) = Topology::from_lines(text) else { return };
    assert_eq!(Topology::from_lines(&topology.to_lines()).unwrap(), topology);
    let _ = topology.router();
});
