//! The layers' kernels: forward, weight gradient and input gradient of each, one layer a file.
//!
//! Maps hold `lanes` samples innermost (`[channel][row][column][lane]`), so the inner loop of every kernel is the same
//! operation on independent samples. Lengths have been checked by the caller; a kernel never allocates and never fails.

pub(crate) mod activation;
pub(crate) mod average_pool;
pub(crate) mod conv2d;
pub(crate) mod depthwise;
mod depthwise_single;
pub(crate) mod dropout;
pub(crate) mod linear;
pub(crate) mod load;
pub(crate) mod post;
pub(crate) mod stage;

use crate::arch::Simd;

/// The first steps of a sum over the lanes of one pixel: lane i is added to lane i + h for h = L/2, L/4, ... down to one
/// vector, which [`Simd::sum`] goes on with in the same way.
#[inline(always)]
fn add_parts<S: Simd, const L: usize>(simd: S, lanes: &[f32; L]) -> S::V {
    match L / S::WIDTH {
        1 => simd.load(lanes, 0),
        2 => simd.add(simd.load(lanes, 0), simd.load(lanes, S::WIDTH)),
        _ => {
            let mut lanes = *lanes;
            let mut half = L / 2;
            while half >= S::WIDTH {
                for at in (0..half).step_by(S::WIDTH) {
                    let v = simd.add(simd.load(&lanes, at), simd.load(&lanes, at + half));
                    simd.store(&mut lanes, at, v);
                }
                half /= 2;
            }
            simd.load(&lanes, 0)
        }
    }
}
