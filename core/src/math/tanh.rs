//! The hyperbolic tangent, in single precision.
//!
//! ```text
//! t = |x|,  tanh x = sign(x) tanh t
//! t < 5/8   tanh t = t + t^3 P(t^2)
//! else      tanh t = 1 - 2 w / (1 + w),  w = e^-2t = 2^-n e^-2h
//!           n = 2 t / ln 2, rounded to nearest;  h = t - n ln(2) / 2
//!           e^-2h = 1 - 2 h + h^2 Q(h),  |h| <= ln(2) / 4
//! ```
//!
//! # Derivation
//!
//! *Two forms.* The formula with one exponential, `(1 - w) / (1 + w)`, loses bits to the left of
//! 5/8: it has to be rewritten with `1 - w`, whose rounding error counts twice in the quotient.
//! There the odd polynomial is better and needs no division. To the right, `2 w / (1 + w)` is below
//! 1/2 and so are its errors. From 9.011 on the result is 1; t is held at 9.02, so that n stays
//! below 27.
//!
//! *h* is exact but for the error of ln(2)/2 as a float, 1e-9 n, which the factor `2^-n` makes
//! irrelevant (n is at least 2 here): the product is a multiple of 2^-25, t one of 2^-24, and the
//! difference below 1/4. n is rounded as in [`exponential`](super::exponential).
//!
//! *P* is of degree 4 and has a relative error of tanh of at most 4.6e-9 up to t = 5/8; *Q* of
//! degree 4 has one of w of 1.6e-8. Both come from Remez's exchange in 50 digits, coefficients
//! rounded to floats one after another and the rest fitted anew each time.
//!
//! # Accuracy
//!
//! At most 1.5 units in the last place (measured: 1.46), by comparison with `f64` for every float;
//! 99 % of the results for t from 2^-31 to 10 are the nearest float. Odd and at most 1 in magnitude
//! for every float. Non-decreasing but for neighbours between 0.69 and 0.99, where one in 200
//! changes places with the next, by one unit. See `tests/tests/elementary.rs`.
//!
//! # Cost
//!
//! 11 operations and a comparison on one side, 17 and a division on the other. Vector code does
//! both and selects, a small core branches.
//!
//! # References
//!
//! Muller, *Elementary Functions: Algorithms and Implementation*, 3rd ed., chapters 3 and 11; Cody
//! and Waite, *Software Manual for the Elementary Functions*, chapter 13, whose split into
//! polynomial and exponential this is.

use super::exponential::{FRACTION_BITS, ROUNDER};
use crate::arch::Simd;

/// Where the polynomial ends.
const SPLIT: f32 = 0.625;

/// P, the constant term first.
const P: [f32; 5] = [
    f32::from_bits(0xbeaa_aa99), // -0.333332807
    f32::from_bits(0x3e08_837b), // 0.133314058
    f32::from_bits(0xbd5c_1ad2), // -0.0537365153
    f32::from_bits(0x3ca8_fc67), // 0.0206281682
    f32::from_bits(0xbbba_8672), // -0.00569229666
];

/// e^-2h, the constant term first.
const POWER: [f32; 7] = [
    1.0,
    -2.0,
    f32::from_bits(0x3fff_ffd6), // 1.99999499
    f32::from_bits(0xbfaa_aa58), // -1.33332348
    f32::from_bits(0x3f2a_cdf4), // 0.667205095
    f32::from_bits(0xbe89_1293), // -0.267719835
    f32::from_bits(0x3d9b_ed4e), // 0.0761362165
];

/// The hyperbolic tangent of `x`; a NaN stays one. `tanh(-x) = -tanh(x)`, zeros included.
#[inline(always)]
pub fn tanh<S: Simd>(simd: S, x: f32) -> f32 {
    let t = x.abs();
    let y = if t < SPLIT {
        small(simd, t)
    } else {
        large(simd, t)
    };
    y.copysign(x)
}

/// tanh t for t from 0 to [`SPLIT`].
#[inline(always)]
fn small<S: Simd>(simd: S, t: f32) -> f32 {
    let square = t * t;
    let mut p = P[4];
    for k in (0..4).rev() {
        p = simd.fma_f32(p, square, P[k]);
    }
    simd.fma_f32(p, t * square, t)
}

/// tanh t for t from [`SPLIT`] on.
#[inline(always)]
fn large<S: Simd>(simd: S, t: f32) -> f32 {
    use core::f32::consts::{LN_2, LOG2_E};

    let t = if t > 9.02 { 9.02 } else { t };
    let z = simd.fma_f32(t, 2.0 * LOG2_E, ROUNDER);
    let h = simd.fma_f32(z - ROUNDER, -0.5 * LN_2, t);
    let mut power = POWER[6];
    for k in (0..6).rev() {
        power = simd.fma_f32(power, h, POWER[k]);
    }
    // 2^(1 - n); the shift moves `ROUNDER`'s own bits out of the word.
    let scale = f32::from_bits(2.0f32.to_bits().wrapping_sub(z.to_bits() << FRACTION_BITS));
    let twice = power * scale;
    1.0 - twice / simd.fma_f32(twice, 0.5, 1.0)
}
