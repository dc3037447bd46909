//! Base64, which bodies travel in.

use alloc::vec::Vec;

/// Writes base64 behind what is there.
#[cfg(target_family = "wasm")]
pub(super) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    // Reading has this engine already; the table below would be 6 KB more to download.
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let _ = STANDARD.encode_slice(bytes, &mut out[start..]);
}

/// Writes base64 behind what is there.
#[cfg(not(target_family = "wasm"))]
pub(super) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    // Six bytes of the eight that are read are eight digits.
    let sixes = bytes.len().saturating_sub(2) / 6;
    let reads = (0..sixes).map_while(|n| bytes[6 * n..].first_chunk());
    for (digits, read) in out[start..].as_chunks_mut::<8>().0.iter_mut().zip(reads) {
        let bits = u64::from_be_bytes(*read);
        for (pair, shift) in digits.as_chunks_mut().0.iter_mut().zip([52, 40, 28, 16]) {
            *pair = PAIRS[(bits >> shift) as usize & 0xfff];
        }
    }
    let rest = bytes[6 * sixes..].chunks(3).zip(out[start + 8 * sixes..].as_chunks_mut::<4>().0);
    for (read, digits) in rest {
        let bits = (0..3).fold(0, |bits, n| bits << 8 | usize::from(read.get(n).copied().unwrap_or(0)));
        let ([a, b], [c, d]) = (PAIRS[bits >> 12], PAIRS[bits & 0xfff]);
        match read.len() {
            1 => digits[..2].copy_from_slice(&[a, b]),
            2 => digits[..3].copy_from_slice(&[a, b, c]),
            _ => *digits = [a, b, c, d],
        }
    }
}

/// Two digits for each twelve bits, which takes half the steps of a digit for each six.
#[cfg(not(target_family = "wasm"))]
static PAIRS: [[u8; 2]; 4096] = {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut pairs, mut bits) = ([[0; 2]; 4096], 0);
    while bits < pairs.len() {
        pairs[bits] = [digits[bits >> 6], digits[bits & 0x3f]];
        bits += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn as_the_engine_writes_it() {
        let bytes: Vec<u8> =
            (0..=255).cycle().map(|n: u8| n.wrapping_mul(167).rotate_left(3)).take(600).collect();
        for length in (0..100).chain([600]) {
            for start in [0, 1, 77].into_iter().filter(|start| start + length <= bytes.len()) {
                let bytes = &bytes[start..start + length];
                let mut out = b"before".to_vec();
                write_base64(&mut out, bytes);
                assert_eq!(out, ["before", &STANDARD.encode(bytes)].concat().into_bytes(), "{length}");
            }
        }
    }
}
