//! The few functions beyond `+ - * /`: from `libm`, the same bits on every target, or from `micromath` with the feature
//! `fast-math`, which is faster on small cores, less accurate and outside the determinism contract.

#[cfg(feature = "fast-math")]
use micromath::F32Ext;

/// Square root; correctly rounded without `fast-math`.
pub(crate) fn sqrt(x: f32) -> f32 {
    libm::sqrtf(x)
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

/// Cosine of an angle in radians.
pub(crate) fn cos(x: f32) -> f32 {
    #[cfg(feature = "fast-math")]
    return F32Ext::cos(x);
    #[cfg(not(feature = "fast-math"))]
    libm::cosf(x)
}

/// Hyperbolic tangent.
pub(crate) fn tanh(x: f32) -> f32 {
    libm::tanhf(x)
}
