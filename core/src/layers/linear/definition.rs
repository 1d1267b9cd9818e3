//! Rows of a fully connected layer of one sample in plain Rust: the definitions, and what runs
//! where there is no assembly. As in [`conv2d`](crate::layers::conv2d::definition), [`Simd`] has a
//! hook for each.

use crate::arch::Simd;
use crate::arch::single::piece;

/// `y[o] = bias[o] + sum over i of w[o][i] x[i]`.
#[inline(always)]
pub fn linear_rows<S: Simd>(simd: S, w: &[f32], bias: &[f32], x: &[f32], y: &mut [f32]) {
    for (o, (y, bias)) in y.iter_mut().zip(bias).enumerate() {
        let Some(w) = piece(w, o, x.len()) else {
            return;
        };
        let mut sum = *bias;
        for (x, w) in x.iter().zip(w) {
            sum = simd.fma_f32(*x, *w, sum);
        }
        *y = sum;
    }
}

/// `y[i] += a x[i]`.
#[inline(always)]
pub fn add_scaled<S: Simd>(simd: S, a: f32, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.iter().zip(y) {
        *y = simd.fma_f32(a, *x, *y);
    }
}
