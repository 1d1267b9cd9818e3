//! What the tests share: the oracle, the tolerances, the golden runs, and test problems. Nothing here makes the compiler build
//! kernels, since every test waits for this crate.

pub mod draw;
pub mod golden;
pub mod oracle;
pub mod problems;
pub mod snapshot;
pub mod tolerance;

/// The bits of `x`, one pattern for both zeros and one for all NaN: what the determinism contract speaks of.
pub fn contract_bits(x: f32) -> u32 {
    if x.is_nan() {
        f32::NAN.to_bits()
    } else {
        (x + 0.0).to_bits()
    }
}
