//! The fingerprint of weights.

use sha2::{Digest, Sha256};

use crate::data::dataset::hex;

/// SHA-256 of numbers as little-endian bytes, in hexadecimal digits.
pub fn sha256(numbers: &[f32]) -> String {
    let mut hash = Sha256::new();
    for number in numbers {
        hash.update(number.to_le_bytes());
    }
    hex(&hash.finalize())
}
