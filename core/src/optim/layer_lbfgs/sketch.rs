//! The sketch: one step of subspace iteration on the second moment of a layer's inputs.

use super::eigen::{Square, jacobi, orthonormalise};
use super::layout::State;
use super::metric::Metric;
use super::settings::Refresh;
use crate::arch::single::{piece, piece_mut};
use crate::arch::{Kernel, Simd, dispatch};
use crate::math;
use crate::pass::LayerInputs;
use crate::random::Random;
use crate::vector::{self, Axpy, Dot};

/// About so many rows of a sample are looked at. A refresh costs in proportion.
const POSITIONS: usize = 25;

/// Step between the output pixels that a refresh looks at: an odd one, so that it visits all
/// columns, that leaves about [`POSITIONS`] of them; 27 for 26 x 26 pixels.
fn stride(positions: usize) -> usize {
    positions.div_ceil(POSITIONS) | 1
}

/// Replaces the layer's pairs by those of the second moment with the block's rows in it, of which
/// the past keeps the share `keep`, and carries the momentum over from the old metric to the new
/// one. Nothing has changed when something is not finite. `None` when `scratch` is shorter than
/// [`Block::scratch_len`](super::layout::Block::scratch_len).
///
/// With rows `F`:
///
/// ```text
/// Z = keep V diag(l) + (1 - keep) / rows F' (F V);   tr = keep tr + (1 - keep) mean |f|^2
/// U diag(L) U' = sym(V' Z);   V = orthonormal (Z U);   l = max(L, 0)
/// ```
///
/// With all n directions in V the projection is exact, and `V U` takes the place of `Z U`, whose
/// columns may vanish.
pub(super) fn refresh(
    inputs: &LayerInputs<'_>,
    keep: f32,
    lambda: f32,
    random: &mut Random,
    state: State<'_>,
    scratch: &mut [f32],
) -> Option<Refresh> {
    let State {
        v,
        l,
        trace,
        momentum,
        ..
    } = state;
    let (n, m) = (inputs.row_len().max(1), l.len());
    let Scratch { z, t, u, row } = Scratch::new(n, m, scratch)?;
    let (mut t, mut u) = (Square { m, elements: t }, Square { m, elements: u });
    if *trace == 0.0 {
        for x in v.iter_mut() {
            *x = random.uniform() - 0.5;
        }
        orthonormalise(n, v, random);
    }
    z.fill(0.0);
    let (squares, rows) = dispatch(Accumulate { inputs, v, z, row });
    let share = (1.0 - keep) / rows as f32;
    let new_trace = math::fma(keep, *trace, share * squares);
    for (j, l) in l.iter().enumerate() {
        if let (Some(z), Some(v)) = (piece_mut(z, j, n), piece(v, j, n)) {
            vector::scale(share, z);
            vector::axpy(keep * l, v, z);
        }
    }
    for (i, v) in v.chunks_exact(n).enumerate() {
        for (j, z) in z.chunks_exact(n).enumerate() {
            t.set(i, j, vector::dot(v, z));
        }
    }
    for i in 0..m {
        for j in 0..i {
            let mean = 0.5 * (t.get(i, j) + t.get(j, i));
            t.set(i, j, mean);
            t.set(j, i, mean);
        }
    }
    if !new_trace.is_finite() || !t.elements.iter().all(|x| x.is_finite()) {
        return Some(Refresh::NotFinite);
    }
    jacobi(&mut t, &mut u);
    if let Some(old) = Metric::root(n, l, *trace, lambda) {
        old.inverse().apply(n, v, momentum);
    }
    if m == n {
        vector::copy(v, z);
    }
    v.fill(0.0);
    for (i, v) in v.chunks_exact_mut(n).enumerate() {
        for (j, z) in z.chunks_exact(n).enumerate() {
            vector::axpy(u.get(i, j), z, v);
        }
    }
    for (i, l) in l.iter_mut().enumerate() {
        let value = t.get(i, i);
        *l = if value > 0.0 { value } else { 0.0 };
    }
    orthonormalise(n, v, random);
    *trace = new_trace;
    if let Some(new) = Metric::root(n, l, *trace, lambda) {
        new.apply(n, v, momentum);
    }
    Some(Refresh::Updated)
}

/// The parts of the scratch: the sketch, two small matrices, a row of inputs.
struct Scratch<'a> {
    z: &'a mut [f32],
    t: &'a mut [f32],
    u: &'a mut [f32],
    row: &'a mut [f32],
}

impl Scratch<'_> {
    fn new(n: usize, m: usize, scratch: &mut [f32]) -> Option<Scratch<'_>> {
        let (z, rest) = scratch.split_at_mut_checked(m * n)?;
        let (t, rest) = rest.split_at_mut_checked(m * m)?;
        let (u, rest) = rest.split_at_mut_checked(m * m)?;
        let row = rest.get_mut(..n)?;
        Some(Scratch { z, t, u, row })
    }
}

/// `Z = F' (F V)` over the block's rows (overwrites zeros); returns the sum of their squared
/// lengths and their number.
struct Accumulate<'a> {
    inputs: &'a LayerInputs<'a>,
    v: &'a [f32],
    z: &'a mut [f32],
    row: &'a mut [f32],
}

impl Kernel for Accumulate<'_> {
    type Output = (f32, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (f32, usize) {
        let Accumulate { inputs, v, z, row } = self;
        let n = row.len().max(1);
        let (mut squares, mut rows) = (0.0f32, 0);
        for position in (0..inputs.positions()).step_by(stride(inputs.positions())) {
            for sample in 0..inputs.samples() {
                inputs.row(position, sample, row);
                rows += 1;
                let row = &*row;
                squares += Dot { a: row, b: row }.run(simd);
                for (j, z) in z.chunks_exact_mut(n).enumerate() {
                    let v = piece(v, j, n).unwrap_or_default();
                    let a = Dot { a: row, b: v }.run(simd);
                    Axpy { a, x: row, y: z }.run(simd);
                }
            }
        }
        (squares, rows)
    }
}
