//! What several layers' register blocks share.

use crate::arch::Simd;

/// Output channels in the next register block, of `left`: the largest of 8, 4, 2, 1 that fits and
/// that the registers hold.
///
/// Whoever matches on it takes 8 `if const { S::BLOCK >= 8 }`: else the compiler would make blocks of
/// eight, the largest of all, for instruction sets that never use them.
pub(crate) fn block<S: Simd>(left: usize) -> usize {
    let mut size = S::BLOCK;
    while size > left {
        size /= 2;
    }
    size
}

/// The first steps of a sum over the lanes of one pixel: lane i is added to lane i + h for
/// h = L/2, L/4, ... down to one vector, which [`Simd::sum`] goes on with in the same way.
#[inline(always)]
pub(crate) fn add_parts<S: Simd, const L: usize>(simd: S, lanes: &[f32; L]) -> S::V {
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

/// `sums[b][t] += a[b] x[t]`, fused.
#[inline(always)]
pub(crate) fn add_products<S: Simd, const B: usize, const T: usize>(
    simd: S,
    a: &[f32; B],
    x: &[f32],
    sums: &mut [[S::V; T]; B],
) {
    let mut vectors = [simd.splat(0.0); T];
    for t in 0..T {
        vectors[t] = simd.load(x, t * S::WIDTH);
    }
    for b in 0..B {
        let a = simd.splat(a[b]);
        for t in 0..T {
            sums[b][t] = simd.fma(vectors[t], a, sums[b][t]);
        }
    }
}
