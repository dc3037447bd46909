//! Snapshots, also with the right checksum under wrong bytes: what is taken is sound.
#![no_main]

use keyrail_core::{Router, Topology};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let sealed = seal(bytes);
    for bytes in [bytes, &sealed] {
        if let Ok(router) = Router::from_snapshot(bytes) {
            let again = Router::from_snapshot(&router.snapshot()).unwrap();
            assert_eq!(Topology::of(&again), Topology::of(&router));
        }
    }
});

/// The bytes as the content of a snapshot, since no fuzzer finds a checksum.
fn seal(content: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x89krail\r\n\x01".to_vec();
    bytes.extend_from_slice(content);
    let checksum = xxhash_rust::xxh64::xxh64(&bytes, 0);
    bytes.extend(checksum.to_le_bytes());
    bytes
}
