//! Relu in place, for layers that take it along: `y = 0` where `x < 0`, else `y = x`.

use crate::arch::Simd;

/// `0` where `x < 0`, in place.
#[inline(always)]
pub(crate) fn relu_in_place<S: Simd>(simd: S, x: &mut [f32]) {
    for x in x.chunks_exact_mut(S::WIDTH) {
        let y = simd.relu(simd.load(x, 0));
        simd.store(x, 0, y);
    }
}

/// The gradient of the activation's input, in place of that of its output `y`: 0 where `y` is not
/// positive.
#[inline(always)]
pub(crate) fn relu_gradient<S: Simd>(simd: S, y: &[f32], dy: &mut [f32]) {
    for (dy, y) in dy.chunks_exact_mut(S::WIDTH).zip(y.chunks_exact(S::WIDTH)) {
        let g = simd.where_positive(simd.load(y, 0), simd.load(dy, 0));
        simd.store(dy, 0, g);
    }
}
