//! Transforms of kernels: `u = G g G'`, and of their gradients: `dg = G' du G`.
//!
//! Down the columns first, then along the rows:
//!
//! ```text
//! G g:   t0 = g0    t1 = ((g0 + g2) + g1) / 2    t2 = ((g0 + g2) - g1) / 2    t3 = g2
//! G' t:  g0 = t0 + (t1 + t2) / 2    g1 = (t1 - t2) / 2    g2 = (t1 + t2) / 2 + t3
//! ```
//!
//! Eight kernels at a time are turned, so that the same element of each lies side by side. Turning
//! and transforming are functions of their own: a compiler that sees both at once takes the vectors
//! apart again and gathers their floats one by one.

use super::ELEMENTS;
use crate::arch::{Kernel, Simd};

/// Kernels that are transformed at a time.
const SIDE: usize = 8;

/// Groups of that many kernels that are turned at a time: some 2 KB.
const GROUPS: usize = 8;

/// [`SIDE`] kernels, or what becomes of them, element by element.
type Group = [[f32; SIDE]; 9];

/// Floats from the matrix of one element to that of the next: its own and those of a line of the
/// cache more, so that the 16 elements of a kernel do not compete for the same lines.
pub(super) const fn matrix_len(rows: usize, terms: usize) -> usize {
    rows * terms + 16
}

/// The matrices that are multiplied with transformed maps, one for each element: row `r` and term
/// `k` of element `e` is that element of kernel `r row + k term`.
pub(super) struct Transform<'a> {
    pub w: &'a [f32],
    pub rows: usize,
    pub row: usize,
    pub terms: usize,
    pub term: usize,
    /// `[element][row][term]`, elements [`matrix_len`] apart, with [`across`](Transform::across)
    /// terms in a row, of which these are the first.
    pub u: &'a mut [f32],
    pub across: usize,
}

impl Kernel for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Transform {
            rows, terms, term, ..
        } = self;
        let matrix = matrix_len(rows, self.across);
        let mut turned = [[[0.0; SIDE]; 9]; GROUPS];
        for r in 0..rows {
            let w = &self.w[9 * r * self.row..];
            let mut k = 0;
            while k + SIDE <= terms {
                let groups = &mut turned[..GROUPS.min((terms - k) / SIDE)];
                simd.apart(Turn {
                    w: &w[9 * k * term..],
                    term,
                    groups,
                });
                for g in groups {
                    transform::<SIDE>(g, r * self.across + k, matrix, self.u);
                    k += SIDE;
                }
            }
            for k in k..terms {
                if let Some(g) = w[9 * k * term..].first_chunk::<9>() {
                    let at = r * self.across + k;
                    transform::<1>(&g.map(|g| [g]), at, matrix, self.u);
                }
            }
        }
    }
}

/// Turns kernels, `term` kernels apart, to groups.
struct Turn<'a> {
    w: &'a [f32],
    term: usize,
    groups: &'a mut [Group],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let step = 9 * self.term;
        for (i, group) in self.groups.iter_mut().enumerate() {
            let w = &self.w[i * SIDE * step..];
            simd.turn(w, step, group.as_flattened_mut(), SIDE);
            for b in 0..SIDE {
                group[8][b] = w[b * step + 8];
            }
        }
    }
}

/// Transforms `B` kernels, and writes element `e` to `u[e matrix + at..]`.
#[inline(always)]
fn transform<const B: usize>(g: &[[f32; B]; 9], at: usize, matrix: usize, u: &mut [f32]) {
    let mut down = [[[0.0; B]; 3]; 4];
    for c in 0..3 {
        let t = spread([g[c], g[3 + c], g[6 + c]]);
        for r in 0..4 {
            down[r][c] = t[r];
        }
    }
    for r in 0..4 {
        let t = spread(down[r]);
        for c in 0..4 {
            u[(4 * r + c) * matrix + at..][..B].copy_from_slice(&t[c]);
        }
    }
}

/// `G g`.
#[inline(always)]
fn spread<const B: usize>([g0, g1, g2]: [[f32; B]; 3]) -> [[f32; B]; 4] {
    let (mut t1, mut t2) = ([0.0; B], [0.0; B]);
    for b in 0..B {
        let outer = g0[b] + g2[b];
        t1[b] = 0.5 * (outer + g1[b]);
        t2[b] = 0.5 * (outer - g1[b]);
    }
    [g0, t1, t2, g2]
}

/// Adds `G' du G` to the gradients of kernels that lie side by side. Element `e` of their
/// transformed gradients lies from `du[e matrix]` on.
pub(super) struct AddKernels<'a> {
    pub du: &'a [f32],
    pub matrix: usize,
    pub dw: &'a mut [[f32; 9]],
}

impl Kernel for AddKernels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (blocks, rest) = self.dw.as_chunks_mut::<SIDE>();
        let done = SIDE * blocks.len();
        let mut du = self.du;
        let mut groups = [[[0.0; SIDE]; 9]; GROUPS];
        for blocks in blocks.chunks_mut(GROUPS) {
            let groups = &mut groups[..blocks.len()];
            for g in &mut *groups {
                *g = gather_kernels::<SIDE>(du, self.matrix);
                du = &du[SIDE..];
            }
            simd.apart(AddTurned { groups, blocks });
        }
        for (i, dw) in rest.iter_mut().enumerate() {
            let g = gather_kernels::<1>(&self.du[done + i..], self.matrix);
            for (dw, [g]) in dw.iter_mut().zip(g) {
                *dw += g;
            }
        }
    }
}

/// Adds groups, turned, to the kernels that they belong to.
struct AddTurned<'a> {
    groups: &'a [Group],
    blocks: &'a mut [[[f32; 9]; SIDE]],
}

impl Kernel for AddTurned<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (g, block) in self.groups.iter().zip(self.blocks) {
            let mut turned = [[0.0; SIDE]; SIDE];
            simd.turn(g.as_flattened(), SIDE, turned.as_flattened_mut(), SIDE);
            for b in 0..SIDE {
                for k in 0..SIDE {
                    block[b][k] += turned[b][k];
                }
                block[b][8] += g[8][b];
            }
        }
    }
}

/// `G' du G` of `B` kernels.
#[inline(always)]
fn gather_kernels<const B: usize>(du: &[f32], matrix: usize) -> [[f32; B]; 9] {
    let mut t = [[0.0; B]; ELEMENTS];
    for e in 0..ELEMENTS {
        t[e].copy_from_slice(&du[e * matrix..][..B]);
    }
    let mut down = [[[0.0; B]; 4]; 3];
    for c in 0..4 {
        let g = gather([t[c], t[4 + c], t[8 + c], t[12 + c]]);
        for r in 0..3 {
            down[r][c] = g[r];
        }
    }
    let mut kernels = [[0.0; B]; 9];
    for r in 0..3 {
        let g = gather(down[r]);
        for c in 0..3 {
            kernels[3 * r + c] = g[c];
        }
    }
    kernels
}

/// `G' t`.
#[inline(always)]
fn gather<const B: usize>([t0, t1, t2, t3]: [[f32; B]; 4]) -> [[f32; B]; 3] {
    let (mut g0, mut g1, mut g2) = ([0.0; B], [0.0; B], [0.0; B]);
    for b in 0..B {
        let both = 0.5 * (t1[b] + t2[b]);
        g0[b] = t0[b] + both;
        g1[b] = 0.5 * (t1[b] - t2[b]);
        g2[b] = both + t3[b];
    }
    [g0, g1, g2]
}
