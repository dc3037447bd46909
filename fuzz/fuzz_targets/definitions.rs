//! RabbitMQ's definitions: every virtual host is read, and written again.
#![no_main]

use keyrail_core::Definitions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut definitions) = serde_json::from_slice::<Definitions>(bytes) else { return };
    let vhosts: Vec<String> = definitions.vhosts().into_iter().map(Into::into).collect();
    for vhost in vhosts {
        let Ok(topology) = definitions.topology(&vhost) else { continue };
        if definitions.set_topology(&vhost, &topology).is_ok() {
            assert_eq!(definitions.topology(&vhost).unwrap(), topology);
        }
        let _ = topology.router();
    }
});
