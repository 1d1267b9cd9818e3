//! e to the power of x, in single precision.
//!
//! ```text
//! n = x / ln 2, rounded to nearest          e^x = 2^n e^r
//! r = x - n ln 2                            |r| <= ln(2) / 2
//! e^r = 1 + r + r^2 Q(r)
//! ```
//!
//! # Derivation
//!
//! *n.* A float of the size of `M = 1.5 * 2^23` has no bits after the point, so `z = x log2(e) +
//! M`, rounded once, is `M + n`, and its lowest bits are n in two's complement. `z - M` is n as a
//! float.
//!
//! *r.* `ln 2` is the sum of the nearest float and a remainder. The first product is a multiple of
//! 2^-24, and so is x where n is not 0; r is below 1/2, so `x - n HIGH` is a float and the fused
//! operation gives it exactly. Only the remainder `n LOW` rounds.
//!
//! *Q* is the polynomial of degree 4, its first coefficient held at 1/2, with the least relative
//! error of `e^r` for |r| up to 1.0005 ln(2)/2: 4.4e-9, a fourteenth of half a unit in the last
//! place. The other coefficients were found by Remez's exchange in 50 digits, rounded to floats one
//! after another, the rest fitted anew each time.
//!
//! *2^n* is multiplied in two factors, 2^floor(n/2) and the rest, since 2^n itself overflows (n =
//! 128) or is subnormal (n < -126) while the result is not. The first product is exact, the second
//! rounds where the result is subnormal.
//!
//! # Accuracy
//!
//! At most 1.03 units in the last place, by comparison with `f64` for every float: half a unit
//! comes from the last sum, a quarter each from r and from `r + r^2 Q`. Non-decreasing. See
//! `tests/tests/elementary.rs`.
//!
//! # References
//!
//! Muller, *Elementary Functions: Algorithms and Implementation*, 3rd ed., chapters 3 (Remez's
//! exchange) and 11 (range reduction); Cody and Waite, *Software Manual for the Elementary
//! Functions*, chapter 6.

use crate::arch::Simd;

/// `1.5 * 2^23`: adding it to a number below 2^22 rounds that to an integer.
pub(super) const ROUNDER: f32 = 12_582_912.0;

/// Position of the exponent field.
pub(super) const FRACTION_BITS: u32 = 23;

/// ln 2 as a float, which is too large, and the rest.
const LN2_HIGH: f32 = f32::from_bits(0x3f31_7218);
const LN2_LOW: f32 = -1.904_654_2e-9;

/// Q, the constant term first.
const Q: [f32; 5] = [
    0.5,
    f32::from_bits(0x3e2a_aa33), // 0.166664883
    f32::from_bits(0x3d2a_a97f), // 0.0416655503
    f32::from_bits(0x3c09_2bee), // 0.00837229006
    f32::from_bits(0x3ab7_f93a), // 0.00140360673
];

/// e to the power of `x`: 0 from -104 down, infinity from 88.73 up; a NaN stays one.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: f32) -> f32 {
    // e^89 overflows already.
    exp_below(simd, if x > 89.0 { 89.0 } else { x })
}

/// [`exp`] of `x` up to 89.
#[inline(always)]
pub(super) fn exp_below<S: Simd>(simd: S, x: f32) -> f32 {
    // e^-104 rounds to 0 already.
    let x = if x < -104.0 { -104.0 } else { x };
    let z = simd.fma_f32(x, core::f32::consts::LOG2_E, ROUNDER);
    let n = z - ROUNDER;
    let r = simd.fma_f32(n, -LN2_HIGH, x);
    let r = simd.fma_f32(n, -LN2_LOW, r);
    let mut q = Q[4];
    for k in (0..4).rev() {
        q = simd.fma_f32(q, r, Q[k]);
    }
    let power = simd.fma_f32(r * r, q, r) + 1.0;
    // `ROUNDER`'s own bits leave the word in the shifts to the left.
    let n = z.to_bits() as i32;
    let first = n >> 1;
    power * power_of_two(first) * power_of_two(n - first)
}

/// `2^n`, from the lowest 9 bits of n, which is from -126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n as u32) << FRACTION_BITS).wrapping_add(1.0f32.to_bits()))
}
