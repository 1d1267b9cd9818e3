//! Transforms of kernels: `u = G g G'`, and of their gradients: `dg = G' du G`.
//!
//! Down the columns first, then along the rows:
//!
//! ```text
//! forward   t0 = g0    t1 = ((g0 + g2) + g1) / 2    t2 = ((g0 + g2) - g1) / 2    t3 = g2
//! adjoint   g0 = t0 + (t1 + t2) / 2    g1 = (t1 - t2) / 2    g2 = (t1 + t2) / 2 + t3
//! ```

use super::ELEMENTS;
use crate::arch::{Kernel, Simd};
use crate::layers::register_block::block;

/// Which product the transformed weights are for: its rows are outputs, or inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// Transforms weights `w` (outputs x inputs x 9) into 16 matrices, one for each element, in blocks
/// of rows as [`Product`](super::product::Product) reads them.
#[inline(always)]
pub(super) fn transform<S: Simd>(
    simd: S,
    direction: Direction,
    w: &[f32],
    [outputs, inputs]: [usize; 2],
    u: &mut [f32],
) {
    let w = w.as_chunks::<9>().0;
    // Rows of a matrix and their terms, and the distances between kernels.
    let ((rows, row), (terms, term)) = match direction {
        Direction::Forward => ((outputs, inputs), (inputs, 1)),
        Direction::Backward => ((inputs, 1), (outputs, inputs)),
    };
    let mut done = 0;
    while done < rows {
        let size = block::<S>(rows - done);
        let w = &w[done * row..];
        let u = &mut u[done * terms..];
        let matrix = rows * terms;
        match size {
            8 => simd.apart(Rows::<8> {
                w,
                row,
                terms,
                term,
                u,
                matrix,
            }),
            4 => simd.apart(Rows::<4> {
                w,
                row,
                terms,
                term,
                u,
                matrix,
            }),
            2 => simd.apart(Rows::<2> {
                w,
                row,
                terms,
                term,
                u,
                matrix,
            }),
            _ => simd.apart(Rows::<1> {
                w,
                row,
                terms,
                term,
                u,
                matrix,
            }),
        }
        done += size;
    }
}

/// `B` rows of each matrix: those of the kernels `w[b row + k term]`, term after term.
struct Rows<'a, const B: usize> {
    w: &'a [[f32; 9]],
    row: usize,
    terms: usize,
    term: usize,
    u: &'a mut [f32],
    /// Distance between the matrices of two elements.
    matrix: usize,
}

impl<const B: usize> Kernel for Rows<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for k in 0..self.terms {
            let mut g = [[0.0; B]; 9];
            for b in 0..B {
                let kernel = &self.w[b * self.row + k * self.term];
                for (g, value) in g.iter_mut().zip(kernel) {
                    g[b] = *value;
                }
            }
            let mut down = [[[0.0; B]; 3]; 4];
            for c in 0..3 {
                let t = quarter([g[c], g[3 + c], g[6 + c]]);
                for (r, t) in t.into_iter().enumerate() {
                    down[r][c] = t;
                }
            }
            for (r, row) in down.into_iter().enumerate() {
                for (c, t) in quarter(row).into_iter().enumerate() {
                    let at = (4 * r + c) * self.matrix + k * B;
                    self.u[at..at + B].copy_from_slice(&t);
                }
            }
        }
    }
}

/// `G g`.
#[inline(always)]
fn quarter<const B: usize>([g0, g1, g2]: [[f32; B]; 3]) -> [[f32; B]; 4] {
    let (mut t1, mut t2) = ([0.0; B], [0.0; B]);
    for b in 0..B {
        let outer = g0[b] + g2[b];
        t1[b] = 0.5 * (outer + g1[b]);
        t2[b] = 0.5 * (outer - g1[b]);
    }
    [g0, t1, t2, g2]
}

/// Adds `G' du G` to the gradients of kernels, which lie side by side; element `e` of their
/// transformed gradients from `e matrix` on, side by side as well.
pub(super) struct AddKernels<'a> {
    pub du: &'a [f32],
    pub matrix: usize,
    pub dw: &'a mut [[f32; 9]],
}

impl Kernel for AddKernels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        const B: usize = 8;
        let (blocks, rest) = self.dw.as_chunks_mut::<B>();
        let done = B * blocks.len();
        for (i, dw) in blocks.iter_mut().enumerate() {
            add_kernels::<B>(&self.du[i * B..], self.matrix, dw);
        }
        for (i, dw) in rest.iter_mut().enumerate() {
            add_kernels::<1>(&self.du[done + i..], self.matrix, core::array::from_mut(dw));
        }
    }
}

#[inline(always)]
fn add_kernels<const B: usize>(du: &[f32], matrix: usize, dw: &mut [[f32; 9]; B]) {
    let mut t = [[0.0; B]; ELEMENTS];
    for (e, t) in t.iter_mut().enumerate() {
        t.copy_from_slice(&du[e * matrix..][..B]);
    }
    let mut down = [[[0.0; B]; 4]; 3];
    for c in 0..4 {
        let g = third([t[c], t[4 + c], t[8 + c], t[12 + c]]);
        for (r, g) in g.into_iter().enumerate() {
            down[r][c] = g;
        }
    }
    for (r, row) in down.into_iter().enumerate() {
        for (c, g) in third(row).into_iter().enumerate() {
            for b in 0..B {
                dw[b][3 * r + c] += g[b];
            }
        }
    }
}

/// `G' t`.
#[inline(always)]
fn third<const B: usize>([t0, t1, t2, t3]: [[f32; B]; 4]) -> [[f32; B]; 3] {
    let (mut g0, mut g1, mut g2) = ([0.0; B], [0.0; B], [0.0; B]);
    for b in 0..B {
        let both = 0.5 * (t1[b] + t2[b]);
        g0[b] = t0[b] + both;
        g1[b] = 0.5 * (t1[b] - t2[b]);
        g2[b] = both + t3[b];
    }
    [g0, g1, g2]
}
