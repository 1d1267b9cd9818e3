//! Products of small matrices: `Y = A X`, with the rows of `Y` in blocks of `B` rows x `T` vectors
//! of columns in registers.

use crate::arch::{Kernel, Simd};
use crate::layers::register_block::block;

/// `Y = S + A X`, where `X` has `terms` rows of `columns` floats and column `i` of `S` is `start`
/// or zero.
pub(super) struct Product<'a> {
    /// `A` in blocks of rows, in a block column by column: what
    /// [`weights::transform`](super::weights::transform) leaves of one element.
    pub a: &'a [f32],
    pub terms: usize,
    /// One value for each row of `Y`; none for zero.
    pub start: &'a [f32],
    pub x: &'a [f32],
    pub y: &'a mut [f32],
    pub columns: usize,
}

/// `B` rows of a product.
struct Rows<'a, const B: usize>(Product<'a>);

impl Product<'_> {
    /// Computes all rows. `columns` must be a multiple of the vectors' width.
    #[inline(always)]
    pub fn run<S: Simd>(self, simd: S) {
        let rows = self.y.len() / self.columns;
        let mut done = 0;
        while done < rows {
            let size = block::<S>(rows - done);
            let part = Product {
                a: &self.a[done * self.terms..][..size * self.terms],
                start: match self.start {
                    [] => &[],
                    start => &start[done..][..size],
                },
                x: self.x,
                y: &mut self.y[done * self.columns..][..size * self.columns],
                ..self
            };
            match size {
                8 => simd.apart(Rows::<8>(part)),
                4 => simd.apart(Rows::<4>(part)),
                2 => simd.apart(Rows::<2>(part)),
                _ => simd.apart(Rows::<1>(part)),
            }
            done += size;
        }
    }
}

impl<const B: usize> Kernel for Rows<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (mut at, end) = (0, self.0.columns);
        while at + 3 * S::WIDTH <= end && at + 4 * S::WIDTH != end {
            self.tile::<S, 3>(simd, at);
            at += 3 * S::WIDTH;
        }
        // Four as two and two: the sums of a single vector wait for each other.
        while at + 2 * S::WIDTH <= end {
            self.tile::<S, 2>(simd, at);
            at += 2 * S::WIDTH;
        }
        if at < end {
            self.tile::<S, 1>(simd, at);
        }
    }
}

impl<const B: usize> Rows<'_, B> {
    /// `B` rows x `T` vectors from column `at` on.
    #[inline(always)]
    fn tile<S: Simd, const T: usize>(&mut self, simd: S, at: usize) {
        let Product {
            a,
            start,
            x,
            y,
            columns,
            ..
        } = &mut self.0;
        let mut sums = [[simd.splat(0.0); T]; B];
        if let Some(start) = start.first_chunk::<B>() {
            for b in 0..B {
                sums[b] = [simd.splat(start[b]); T];
            }
        }
        for (a, x) in a.as_chunks::<B>().0.iter().zip(x.chunks_exact(*columns)) {
            let x = &x[at..][..T * S::WIDTH];
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
        for b in 0..B {
            let y = &mut y[b * *columns + at..][..T * S::WIDTH];
            for t in 0..T {
                simd.store(y, t * S::WIDTH, sums[b][t]);
            }
        }
    }
}
