//! The few functions beyond `+ - * /`.
//!
//! Those that are called now and then come from `libm`, the same bits on every target, or from
//! `micromath` with the feature `fast-math`, which is faster on small cores, less accurate and
//! outside the determinism contract.
//!
//! Those that a network calls for each pixel are written here, in files of their own: [`tanh()`],
//! [`sigmoid()`] and the exponential beneath. They take an instruction set's token, so that a loop
//! over lanes becomes vector code, and consist of fused multiply-adds, `+ - * /`, operations on
//! bits and selections. Each of those is exact or rounds once, so the bits are the same on every
//! target. `fast-math` leaves them alone.

pub mod exponential;
mod sigmoid;
mod tanh;

pub use sigmoid::sigmoid;
pub use tanh::tanh;

use crate::arch::{Kernel, Simd, dispatch};
#[cfg(feature = "fast-math")]
use micromath::F32Ext;

/// Square root, correctly rounded.
#[inline]
pub(crate) fn sqrt(x: f32) -> f32 {
    dispatch(Sqrt(x))
}

struct Sqrt(f32);

impl Kernel for Sqrt {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        simd.sqrt_f32(self.0)
    }
}

/// `a b + c`, rounded once: for single numbers, outside of kernels.
#[inline]
pub(crate) fn fma(a: f32, b: f32, c: f32) -> f32 {
    dispatch(Fma(a, b, c))
}

struct Fma(f32, f32, f32);

impl Kernel for Fma {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        simd.fma_f32(self.0, self.1, self.2)
    }
}

/// e to the power of `x`.
pub(crate) fn exp(x: f32) -> f32 {
    #[cfg(feature = "fast-math")]
    return F32Ext::exp(x);
    #[cfg(not(feature = "fast-math"))]
    libm::expf(x)
}

/// Natural logarithm.
pub(crate) fn ln(x: f32) -> f32 {
    #[cfg(feature = "fast-math")]
    return F32Ext::ln(x);
    #[cfg(not(feature = "fast-math"))]
    libm::logf(x)
}

/// Cosine of an angle in radians, 0 to 7; other angles count as 7. So the compiler can leave out
/// what `libm` does with large ones, which is more code than all the rest of the function.
pub(crate) fn cos(x: f32) -> f32 {
    // Positive floats are ordered as their bits are.
    let x = f32::from_bits(x.to_bits().min(7.0f32.to_bits()));
    #[cfg(feature = "fast-math")]
    return F32Ext::cos(x);
    #[cfg(not(feature = "fast-math"))]
    libm::cosf(x)
}

/// Natural logarithm of `1 + x`.
pub(crate) fn ln_1p(x: f32) -> f32 {
    libm::log1pf(x)
}
