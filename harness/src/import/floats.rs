//! Floats of other sizes as 32-bit floats, rounded to nearest.

use half::{bf16, f16};

/// How a file keeps floats, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// IEEE 754's 16 bits.
    F16,
    /// The upper half of 32 bits.
    Bf16,
    /// 32 bits.
    F32,
    /// 64 bits.
    F64,
}

impl Width {
    /// Bytes of a float.
    pub fn bytes(self) -> usize {
        match self {
            Width::F16 | Width::Bf16 => 2,
            Width::F32 => 4,
            Width::F64 => 8,
        }
    }
}

/// The floats in these bytes; what is left of the last one is left out.
pub(super) fn decode(width: Width, bytes: &[u8]) -> Vec<f32> {
    let pairs = bytes.as_chunks::<2>().0.iter();
    match width {
        Width::F16 => pairs.map(|two| f16::from_le_bytes(*two).to_f32()).collect(),
        Width::Bf16 => pairs
            .map(|two| bf16::from_le_bytes(*two).to_f32())
            .collect(),
        Width::F32 => {
            let fours = bytes.as_chunks::<4>().0.iter();
            fours.map(|four| f32::from_le_bytes(*four)).collect()
        }
        Width::F64 => {
            let eights = bytes.as_chunks::<8>().0.iter();
            eights
                .map(|eight| f64::from_le_bytes(*eight) as f32)
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_of_all_sizes_are_read() {
        assert_eq!(decode(Width::F16, &[0x00, 0x3e, 0x00, 0xc0]), [1.5, -2.0]);
        assert_eq!(decode(Width::Bf16, &[0xc0, 0x3f, 0x00]), [1.5]);
        assert_eq!(decode(Width::F32, &1.1_f32.to_le_bytes()), [1.1]);
        assert_eq!(decode(Width::F64, &1.1_f64.to_le_bytes()), [1.1]);
        // The smallest of 16 bits is not 0, and too large is infinite.
        assert_eq!(decode(Width::F16, &[1, 0]), [2.0_f32.powi(-24)]);
        assert_eq!(
            decode(Width::F64, &1e300_f64.to_le_bytes()),
            [f32::INFINITY]
        );
    }
}
