//! Products of small matrices: `Y = A X`, with the rows of `Y` in blocks of `B` rows x `T` vectors
//! of columns in registers.

use crate::arch::{Kernel, Simd};
use crate::layers::register_block::{add_products, block};

/// What a product is added to.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    Zero,
    /// One value for each row; the sums begin with it.
    Rows(&'a [f32]),
    /// What the target holds; it is added in the end.
    Target,
}

/// `Y = S + A X`, where `X` has rows of `columns` floats and `S` is `start`.
pub(super) struct Product<'a> {
    /// Its rows begin `row` floats apart, and are `terms` long.
    pub a: &'a [f32],
    pub row: usize,
    pub terms: usize,
    pub start: Start<'a>,
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
                a: &self.a[done * self.row..],
                start: match self.start {
                    Start::Rows(start) => Start::Rows(&start[done..][..size]),
                    other => other,
                },
                x: &self.x[..self.terms * self.columns],
                y: &mut self.y[done * self.columns..][..size * self.columns],
                ..self
            };
            match size {
                8 if const { S::BLOCK >= 8 } => simd.apart(Rows::<8>(part)),
                4 => simd.apart(Rows::<4>(part)),
                2 => simd.apart(Rows::<2>(part)),
                _ => simd.apart(Rows::<1>(part)),
            }
            done += size;
        }
    }
}

/// How the columns of a block of rows are shared out: runs of three vectors, then of two or one. (Of
/// four left over, two and two: the sums of a single vector wait for each other.)
#[inline(always)]
fn vectors<S: Simd>(left: usize) -> usize {
    match left / S::WIDTH {
        0 | 1 => 1,
        2 | 4 => 2,
        _ => 3,
    }
}

impl<const B: usize> Kernel for Rows<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let mut rows = [self.0.a; B];
        for b in 0..B {
            rows[b] = &self.0.a[b * self.0.row..][..self.0.terms];
        }
        let mut at = 0;
        while at < self.0.columns {
            let count = vectors::<S>(self.0.columns - at);
            match count {
                3 => rows_tile::<S, B, 3>(simd, &mut self.0, rows, at),
                2 => rows_tile::<S, B, 2>(simd, &mut self.0, rows, at),
                _ => rows_tile::<S, B, 1>(simd, &mut self.0, rows, at),
            }
            at += count * S::WIDTH;
        }
    }
}

/// `B` rows x `T` vectors from column `at` on.
#[inline(always)]
fn rows_tile<S: Simd, const B: usize, const T: usize>(
    simd: S,
    product: &mut Product<'_>,
    rows: [&[f32]; B],
    at: usize,
) {
    let mut sums = begin::<S, B, T>(simd, product.start);
    let x = product.x.chunks_exact(product.columns);
    for (k, x) in x.enumerate().take(product.terms) {
        let mut a = [0.0; B];
        for b in 0..B {
            a[b] = rows[b][k];
        }
        add_products(simd, &a, &x[at..][..T * S::WIDTH], &mut sums);
    }
    if let Start::Target = product.start {
        add_target(simd, &mut sums, product.columns, at, product.y);
    }
    finish(simd, sums, product.columns, at, product.y);
}

/// What a block's sums begin with.
#[inline(always)]
fn begin<S: Simd, const B: usize, const T: usize>(simd: S, start: Start<'_>) -> [[S::V; T]; B] {
    let mut sums = [[simd.splat(0.0); T]; B];
    if let Start::Rows(start) = start
        && let Some(start) = start.first_chunk::<B>()
    {
        for b in 0..B {
            sums[b] = [simd.splat(start[b]); T];
        }
    }
    sums
}

/// Adds a block's sums to what the target holds.
#[inline(always)]
fn add_target<S: Simd, const B: usize, const T: usize>(
    simd: S,
    sums: &mut [[S::V; T]; B],
    columns: usize,
    at: usize,
    y: &[f32],
) {
    for b in 0..B {
        let y = &y[b * columns + at..][..T * S::WIDTH];
        for t in 0..T {
            sums[b][t] = simd.add(simd.load(y, t * S::WIDTH), sums[b][t]);
        }
    }
}

/// Stores a block's sums.
#[inline(always)]
fn finish<S: Simd, const B: usize, const T: usize>(
    simd: S,
    sums: [[S::V; T]; B],
    columns: usize,
    at: usize,
    y: &mut [f32],
) {
    for b in 0..B {
        let y = &mut y[b * columns + at..][..T * S::WIDTH];
        for t in 0..T {
            simd.store(y, t * S::WIDTH, sums[b][t]);
        }
    }
}
