//! The sketch: one step of subspace iteration on the second moment of a layer's inputs.

use super::eigen::{jacobi, orthonormalise};
use super::layout::State;
use super::metric::Metric;
use crate::arch::{Kernel, Simd, dispatch};
use crate::inputs::LayerInputs;
use crate::random::Random;
use crate::vector;

/// About so many rows of a sample are looked at. A refresh costs in proportion.
const POSITIONS: usize = 25;

/// Step between the output pixels that a refresh looks at: an odd one, so that it visits all columns, that leaves about
/// [`POSITIONS`] of them; 27 for 26 x 26 pixels.
fn stride(positions: usize) -> usize {
    positions.div_ceil(POSITIONS) | 1
}

/// Replaces the layer's pairs by those of the second moment with the block's rows in it, of which the past keeps the share
/// `keep`, and carries the momentum over from the old metric to the new one. False, and nothing has changed, when something is
/// not finite.
///
/// `scratch` is as long as the layout says. With rows `F`:
///
/// ```text
/// Z = keep V diag(l) + (1 - keep) / rows F' (F V);   tr = keep tr + (1 - keep) mean |f|^2
/// U diag(L) U' = sym(V' Z);   V = orthonormal (Z U);   l = max(L, 0)
/// ```
///
/// With all n directions in V the projection is exact, and `V U` takes the place of `Z U`, whose columns may vanish.
pub(super) fn refresh(
    inputs: &LayerInputs<'_>,
    keep: f32,
    lambda: f32,
    random: &mut Random,
    state: State<'_>,
    scratch: &mut [f32],
) -> bool {
    let State {
        v,
        l,
        trace,
        momentum,
        ..
    } = state;
    let (n, m) = (inputs.row_len(), l.len());
    let (z, rest) = scratch.split_at_mut(m * n);
    let (t, rest) = rest.split_at_mut(m * m);
    let (u, rest) = rest.split_at_mut(m * m);
    let row = &mut rest[..n];
    if *trace == 0.0 {
        for x in v.iter_mut() {
            *x = random.uniform() - 0.5;
        }
        orthonormalise(n, v, random);
    }
    z.fill(0.0);
    let (squares, rows) = dispatch(Accumulate { inputs, v, z, row });
    let share = (1.0 - keep) / rows as f32;
    let new_trace = libm::fmaf(keep, *trace, share * squares);
    for ((z, v), l) in z.chunks_exact_mut(n).zip(v.chunks_exact(n)).zip(&*l) {
        vector::scale(share, z);
        vector::axpy(keep * l, v, z);
    }
    for i in 0..m {
        for j in 0..m {
            t[i * m + j] = vector::dot(&v[i * n..][..n], &z[j * n..][..n]);
        }
    }
    for i in 0..m {
        for j in 0..i {
            let mean = 0.5 * (t[i * m + j] + t[j * m + i]);
            (t[i * m + j], t[j * m + i]) = (mean, mean);
        }
    }
    if !new_trace.is_finite() || !t.iter().all(|x| x.is_finite()) {
        return false;
    }
    jacobi(m, t, u);
    if let Some(old) = Metric::root(n, l, *trace, lambda) {
        old.inverse().apply(n, v, momentum);
    }
    if m == n {
        z.copy_from_slice(v);
    }
    v.fill(0.0);
    for i in 0..m {
        let value = t[i * m + i];
        l[i] = if value > 0.0 { value } else { 0.0 };
        for j in 0..m {
            vector::axpy(u[i * m + j], &z[j * n..][..n], &mut v[i * n..][..n]);
        }
    }
    orthonormalise(n, v, random);
    *trace = new_trace;
    if let Some(new) = Metric::root(n, l, *trace, lambda) {
        new.apply(n, v, momentum);
    }
    true
}

/// `Z = F' (F V)` over the block's rows (overwrites zeros); returns the sum of their squared lengths and their number.
struct Accumulate<'a> {
    inputs: &'a LayerInputs<'a>,
    v: &'a [f32],
    z: &'a mut [f32],
    row: &'a mut [f32],
}

/// Partial sums of a dot product, as in [`vector`].
const LANES: usize = 16;

/// The elements of a block of [`LANES`], copied, so that the compiler sees that nothing overlaps, and vectorises.
#[inline(always)]
fn block(x: &[f32]) -> [f32; LANES] {
    let mut block = [0.0; LANES];
    block.copy_from_slice(x);
    block
}

/// `y += a x`.
#[inline(always)]
fn axpy<S: Simd>(simd: S, a: f32, x: &[f32], y: &mut [f32]) {
    let (blocks, mut targets) = (x.chunks_exact(LANES), y.chunks_exact_mut(LANES));
    let tail = blocks.remainder();
    for (x, target) in blocks.zip(&mut targets) {
        let (x, mut y) = (block(x), block(target));
        for lane in 0..LANES {
            y[lane] = simd.fma_f32(a, x[lane], y[lane]);
        }
        target.copy_from_slice(&y);
    }
    for (x, y) in tail.iter().zip(targets.into_remainder()) {
        *y = simd.fma_f32(a, *x, *y);
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let mut partial = [0.0; LANES];
    let (blocks_a, blocks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tails = blocks_a.remainder().iter().zip(blocks_b.remainder());
    for (a, b) in blocks_a.zip(blocks_b) {
        let (a, b) = (block(a), block(b));
        for lane in 0..LANES {
            partial[lane] = simd.fma_f32(a[lane], b[lane], partial[lane]);
        }
    }
    for ((a, b), sum) in tails.zip(&mut partial) {
        *sum = simd.fma_f32(*a, *b, *sum);
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            partial[lane] += partial[lane + half];
        }
    }
    partial[0]
}

impl Kernel for Accumulate<'_> {
    type Output = (f32, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (f32, usize) {
        let Accumulate { inputs, v, z, row } = self;
        let n = row.len();
        let (mut squares, mut rows) = (0.0f32, 0);
        for position in (0..inputs.positions()).step_by(stride(inputs.positions())) {
            for sample in 0..inputs.samples() {
                inputs.row(position, sample, row);
                rows += 1;
                squares += dot(simd, row, row);
                for (v, z) in v.chunks_exact(n).zip(z.chunks_exact_mut(n)) {
                    axpy(simd, dot(simd, row, v), row, z);
                }
            }
        }
        (squares, rows)
    }
}
