//! The layers' kernels: forward, weight gradient and input gradient of each, one layer a file.
//!
//! Maps hold `lanes` samples innermost (`[channel][row][column][lane]`), so the inner loop of every kernel is the same
//! operation on independent samples. Lengths have been checked by the caller; a kernel never allocates and never fails.

pub(crate) mod conv2d;
pub(crate) mod dropout;
pub(crate) mod linear;
pub(crate) mod load;
pub(crate) mod post;
pub(crate) mod stage;

use crate::arch::Simd;

/// Most vectors that the lanes of one pixel fill: 16 lanes in vectors of 4.
const MOST_PARTS: usize = 16;

/// The sum over all lanes of one pixel, whose `parts` vectors are `v[..parts]`: lane i is added to lane i + h for
/// h = lanes/2, lanes/4, ... 1.
#[inline(always)]
fn sum_lanes<S: Simd>(simd: S, v: &mut [S::V; MOST_PARTS], parts: usize) -> f32 {
    let mut half = parts / 2;
    while half > 0 {
        for i in 0..half {
            v[i] = simd.add(v[i], v[i + half]);
        }
        half /= 2;
    }
    simd.sum(v[0])
}
