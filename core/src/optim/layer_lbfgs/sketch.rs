//! The sketch: one step of subspace iteration on the second moment of a layer's inputs.

use super::compact::{Basis, MOST, TAILS};
use super::eigen::{Square, jacobi, orthonormalise};
use super::layout::State;
use super::metric::Metric;
use super::settings::Refresh;
use crate::arch::single::{piece, piece_mut};
use crate::arch::{Kernel, Simd, dispatch};
use crate::math;
use crate::pass::LayerInputs;
use crate::random::Random;
use crate::vector::{self, Dot};

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
    let Scratch { z, t, u, rows } = Scratch::new(n, m, scratch)?;
    let (mut t, mut u) = (Square { m, elements: t }, Square { m, elements: u });
    if *trace == 0.0 {
        for x in v.iter_mut() {
            *x = random.uniform() - 0.5;
        }
        orthonormalise(n, v, random);
    }
    z.fill(0.0);
    let (squares, count) = dispatch(Accumulate {
        inputs,
        n,
        v,
        z,
        rows,
    });
    let share = (1.0 - keep) / count as f32;
    let new_trace = math::fma(keep, *trace, share * squares);
    for (j, l) in l.iter().enumerate() {
        if let (Some(z), Some(v)) = (piece_mut(z, j, n), piece(v, j, n)) {
            vector::scale(share, z);
            vector::axpy(keep * l, v, z);
        }
    }
    dispatch(Project { n, v, z, t: &mut t });
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
        old.inverse().apply_to_all(n, v, momentum);
    }
    if m == n {
        vector::copy(v, z);
    }
    v.fill(0.0);
    dispatch(Turn { n, u: &u, z, v });
    for (i, l) in l.iter_mut().enumerate() {
        let value = t.get(i, i);
        *l = if value > 0.0 { value } else { 0.0 };
    }
    orthonormalise(n, v, random);
    *trace = new_trace;
    if let Some(new) = Metric::root(n, l, *trace, lambda) {
        new.apply_to_all(n, v, momentum);
    }
    Some(Refresh::Updated)
}

/// The parts of the scratch: the sketch, two small matrices, and all that is left for rows of
/// inputs, at least one.
struct Scratch<'a> {
    z: &'a mut [f32],
    t: &'a mut [f32],
    u: &'a mut [f32],
    rows: &'a mut [f32],
}

impl Scratch<'_> {
    fn new(n: usize, m: usize, scratch: &mut [f32]) -> Option<Scratch<'_>> {
        let (z, rest) = scratch.split_at_mut_checked(m * n)?;
        let (t, rest) = rest.split_at_mut_checked(m * m)?;
        let (u, rows) = rest.split_at_mut_checked(m * m)?;
        (rows.len() >= n).then_some(Scratch { z, t, u, rows })
    }
}

/// `Z = F' (F V)` over the block's rows (overwrites zeros); returns the sum of their squared
/// lengths and their number.
///
/// Takes as many rows at a time as there is memory for, which changes no sum.
struct Accumulate<'a> {
    inputs: &'a LayerInputs<'a>,
    n: usize,
    v: &'a [f32],
    z: &'a mut [f32],
    rows: &'a mut [f32],
}

impl Kernel for Accumulate<'_> {
    type Output = (f32, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (f32, usize) {
        if S::WIDTH == 1 {
            self.rows::<S, 1>(simd)
        } else {
            self.rows::<S, MOST>(simd)
        }
    }
}

impl Accumulate<'_> {
    /// At most `ROWS` at a time.
    #[inline(always)]
    fn rows<S: Simd, const ROWS: usize>(self, simd: S) -> (f32, usize) {
        let Accumulate {
            inputs,
            n,
            v,
            z,
            rows,
        } = self;
        let n = n.max(1);
        let most = (rows.len() / n).clamp(1, ROWS);
        let mut tails = TAILS;
        let v = Basis::new(simd, n, v, &mut tails);
        let (mut squares, mut count) = (0.0f32, 0);
        for position in (0..inputs.positions()).step_by(stride(inputs.positions())) {
            let mut sample = 0;
            while sample < inputs.samples() {
                let some = most.min(inputs.samples() - sample);
                let rows = rows.get_mut(..some * n).unwrap_or_default();
                if ROWS == 1 {
                    inputs.row(position, sample, rows);
                } else {
                    inputs.rows(position, sample, rows);
                }
                for row in rows.chunks_exact(n) {
                    squares += Dot { a: row, b: row }.run(simd);
                }
                sample += some;
                count += some;
                let mut products = [[0.0; MOST]; ROWS];
                v.each_products(simd, rows, |i, of_row| {
                    if let Some(products) = products.get_mut(i) {
                        *products = *of_row;
                    }
                });
                let mut tails = TAILS;
                let f = Basis::new(simd, n, rows, &mut tails);
                f.combine_each(simd, 1.0, z, |j, i| {
                    products
                        .get(i)
                        .and_then(|of_row| of_row.get(j))
                        .copied()
                        .unwrap_or(0.0)
                });
            }
        }
        (squares, count)
    }
}

/// `T = V' Z`.
struct Project<'a, 't> {
    n: usize,
    v: &'a [f32],
    z: &'a [f32],
    t: &'a mut Square<'t>,
}

impl Kernel for Project<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Project { n, v, z, t } = self;
        let mut tails = TAILS;
        Basis::new(simd, n, v, &mut tails).each_products(simd, z, |j, products| {
            for (i, product) in products.iter().enumerate().take(t.m) {
                t.set(i, j, *product);
            }
        });
    }
}

/// `V = Z U` (overwrites zeros).
struct Turn<'a, 'u> {
    n: usize,
    u: &'a Square<'u>,
    z: &'a [f32],
    v: &'a mut [f32],
}

impl Kernel for Turn<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Turn { n, u, z, v } = self;
        let mut tails = TAILS;
        Basis::new(simd, n, z, &mut tails).combine_each(simd, 1.0, v, |i, j| u.get(i, j));
    }
}
