//! Products with some rows V, and with them the compact form of a layer's L-BFGS matrix.
//!
//! For pairs `s_j = v_j`, `y_j = v_j / d_j` over `H0 = rest I`, orthonormal v_j leave nothing of
//! the two loops but
//!
//! ```text
//! P g = rest g + sum over j of (d_j - rest) (v_j . g) v_j
//! ```
//!
//! for the product with v_j sees only what g has along v_j, and no other pair changes that. It is
//! half the multiply-adds, and no product waits for the one before: for the rows G of a gradient it
//! is two matrix products, `C = G V'` and `G = rest G + C diag(d - rest) V`.
//!
//! On a desktop both keep a block of sums in vector registers: two rows times some pairs in the
//! first, two rows times some columns in the second. A device takes a row after the other. The
//! order of sums is the same: that of [`vector`](crate::vector) in the first product, pair after
//! pair in the second.

use crate::arch::single::piece;
use crate::arch::{Kernel, Simd};
use crate::layers::register_block::add_parts;
use crate::vector::{Axpy, Dot, Scale};

/// Partial sums of a dot product, as in [`vector`](crate::vector).
const LANES: usize = 16;

/// Pairs in a block of the first product, and vectors of columns in a block of the second. With two
/// rows that makes eight sums, which keep two units for multiply-adds busy.
const TILE: usize = 4;

/// Most pairs of a layer.
pub(super) const MOST: usize = 16;

/// For each row of a basis, what is behind its last whole block of [`LANES`] columns, and zeros.
pub(super) type Tails = [[f32; LANES]; MOST];

/// Memory for [`Tails`].
pub(super) const TAILS: Tails = [[0.0; LANES]; MOST];

/// Rows that others are multiplied with.
pub(super) struct Basis<'a> {
    rows: &'a [f32],
    /// Length of a row.
    n: usize,
    /// Number of rows, at most [`MOST`].
    m: usize,
    /// Empty where there are no vectors.
    tails: &'a [[f32; LANES]],
}

impl<'a> Basis<'a> {
    /// All rows of length `n`, at most [`MOST`]. `tails` is scratch.
    #[inline(always)]
    pub fn new<S: Simd>(_simd: S, n: usize, rows: &'a [f32], tails: &'a mut Tails) -> Basis<'a> {
        let m = (rows.len() / n.max(1)).min(MOST);
        let mut basis = Basis {
            rows,
            n,
            m,
            tails: &[],
        };
        if S::WIDTH > 1 {
            for j in 0..m {
                tails[j] = tail(basis.row(j));
            }
            basis.tails = tails;
        }
        basis
    }

    #[inline(always)]
    fn row(&self, j: usize) -> &'a [f32] {
        piece(self.rows, j, self.n).unwrap_or_default()
    }

    /// `v_j . rows[r]` for all j; `rows` have length n. `tails` are theirs.
    #[inline(always)]
    pub fn products<S: Simd, const R: usize>(
        &self,
        simd: S,
        rows: [&[f32]; R],
        tails: &[[f32; LANES]; R],
    ) -> [[f32; MOST]; R] {
        let mut products = [[0.0; MOST]; R];
        if S::WIDTH == 1 {
            for (products, b) in products.iter_mut().zip(rows) {
                for (j, product) in products.iter_mut().enumerate().take(self.m) {
                    let a = self.row(j);
                    *product = Dot { a, b }.run(simd);
                }
            }
            return products;
        }
        let mut j = 0;
        while j < self.m {
            let left = self.m - j;
            j += if left >= TILE {
                products_tile::<S, R, TILE>(simd, self, j, &rows, tails, &mut products)
            } else if left >= 2 {
                products_tile::<S, R, 2>(simd, self, j, &rows, tails, &mut products)
            } else {
                products_tile::<S, R, 1>(simd, self, j, &rows, tails, &mut products)
            };
        }
        products
    }

    /// `rows[r] = rest rows[r] + sum over j of factors[r][j] v_j`; `rows` have length n. `tails` are
    /// theirs, and are spoilt.
    #[inline(always)]
    pub fn combine<S: Simd, const R: usize>(
        &self,
        simd: S,
        rest: f32,
        factors: &[[f32; MOST]; R],
        rows: &mut [&mut [f32]; R],
        tails: &mut [[f32; LANES]; R],
    ) {
        if S::WIDTH == 1 {
            for (factors, row) in factors.iter().zip(rows.iter_mut()) {
                Scale { a: rest, x: row }.run(simd);
                for (j, a) in factors.iter().enumerate().take(self.m) {
                    let (a, x) = (*a, self.row(j));
                    Axpy { a, x, y: row }.run(simd);
                }
            }
            return;
        }
        let (n, m) = (self.n, self.m);
        let whole = n / LANES * LANES;
        let mut at = 0;
        while at + TILE * S::WIDTH <= whole {
            let v = &self.rows[at..];
            combine_tile::<S, R, TILE>(simd, rest, factors, v, n, m, at, rows);
            at += TILE * S::WIDTH;
        }
        while at < whole {
            let v = &self.rows[at..];
            combine_tile::<S, R, 1>(simd, rest, factors, v, n, m, at, rows);
            at += S::WIDTH;
        }
        if whole < n {
            let v = self.tails.as_flattened();
            let mut ends = tails.each_mut().map(|tail| tail.as_mut_slice());
            let mut at = 0;
            while at < n - whole {
                let v = &v[at..];
                combine_tile::<S, R, 1>(simd, rest, factors, v, LANES, m, at, &mut ends);
                at += S::WIDTH;
            }
            for (row, tail) in rows.iter_mut().zip(tails) {
                for (x, new) in row[whole..].iter_mut().zip(tail) {
                    *x = *new;
                }
            }
        }
    }
}

impl Basis<'_> {
    /// Hands [`products`](Basis::products) of each row of `matrix` to `take`, with its number.
    #[inline(always)]
    pub fn each_products<S: Simd>(
        &self,
        simd: S,
        matrix: &[f32],
        mut take: impl FnMut(usize, &[f32; MOST]),
    ) {
        let mut rows = matrix.chunks_exact(self.n.max(1)).enumerate();
        if S::WIDTH > 1 {
            while rows.len() > 1
                && let (Some((i, a)), Some((k, b))) = (rows.next(), rows.next())
            {
                let [a, b] = self.products(simd, [a, b], &tails(simd, [a, b]));
                take(i, &a);
                take(k, &b);
            }
        }
        for (i, row) in rows {
            let [products] = self.products(simd, [row], &tails(simd, [row]));
            take(i, &products);
        }
    }

    /// [`combine`](Basis::combine) on each row i of `matrix` with the factors `factor(i, j)`.
    #[inline(always)]
    pub fn combine_each<S: Simd>(
        &self,
        simd: S,
        rest: f32,
        matrix: &mut [f32],
        factor: impl Fn(usize, usize) -> f32,
    ) {
        let factors = |i| {
            let mut factors = [0.0; MOST];
            for (j, x) in factors.iter_mut().enumerate().take(self.m) {
                *x = factor(i, j);
            }
            factors
        };
        let mut rows = matrix.chunks_exact_mut(self.n.max(1)).enumerate();
        if S::WIDTH > 1 {
            while rows.len() > 1
                && let (Some((i, a)), Some((k, b))) = (rows.next(), rows.next())
            {
                let mut tails = tails(simd, [a, b]);
                self.combine(
                    simd,
                    rest,
                    &[factors(i), factors(k)],
                    &mut [a, b],
                    &mut tails,
                );
            }
        }
        for (i, row) in rows {
            let mut tails = tails(simd, [row]);
            self.combine(simd, rest, &[factors(i)], &mut [row], &mut tails);
        }
    }
}

/// The tails of rows, for both products; without vectors none needs them.
#[inline(always)]
pub(super) fn tails<S: Simd, const R: usize>(_simd: S, rows: [&[f32]; R]) -> [[f32; LANES]; R] {
    let mut tails = [[0.0; LANES]; R];
    if S::WIDTH > 1 {
        for r in 0..R {
            tails[r] = tail(rows[r]);
        }
    }
    tails
}

/// The columns behind the last whole block of [`LANES`], and zeros.
#[inline(always)]
fn tail(row: &[f32]) -> [f32; LANES] {
    let mut tail = [0.0; LANES];
    for (to, x) in tail.iter_mut().zip(row.as_chunks::<LANES>().1) {
        *to = *x;
    }
    tail
}

/// The products of `R` rows with `Q` of the basis, from row `first` on; returns `Q`. `tails` are
/// those of `rows`.
#[inline(always)]
fn products_tile<S: Simd, const R: usize, const Q: usize>(
    simd: S,
    basis: &Basis<'_>,
    first: usize,
    rows: &[&[f32]; R],
    tails: &[[f32; LANES]; R],
    products: &mut [[f32; MOST]; R],
) -> usize {
    let blocks = basis.n / LANES;
    let (mut x, mut v) = ([&[][..]; R], [&[][..]; Q]);
    for r in 0..R {
        x[r] = &rows[r].as_chunks::<LANES>().0[..blocks];
    }
    for q in 0..Q {
        v[q] = &basis.row(first + q).as_chunks::<LANES>().0[..blocks];
    }
    let mut partial = [[[0.0; LANES]; Q]; R];
    for part in 0..LANES / S::WIDTH {
        let at = part * S::WIDTH;
        let mut sums = [[simd.splat(0.0); Q]; R];
        for b in 0..blocks {
            let mut vectors = [simd.splat(0.0); Q];
            for q in 0..Q {
                vectors[q] = simd.load(&v[q][b], at);
            }
            for r in 0..R {
                let x = simd.load(&x[r][b], at);
                for q in 0..Q {
                    sums[r][q] = simd.fma(x, vectors[q], sums[r][q]);
                }
            }
        }
        for r in 0..R {
            let x = simd.load(&tails[r], at);
            for q in 0..Q {
                let v = simd.load(&basis.tails[first + q], at);
                sums[r][q] = simd.fma(x, v, sums[r][q]);
                simd.store(&mut partial[r][q], at, sums[r][q]);
            }
        }
    }
    for r in 0..R {
        let mut sums = [simd.splat(0.0); Q];
        for q in 0..Q {
            sums[q] = add_parts(simd, &partial[r][q]);
        }
        simd.sums(&sums, &mut products[r][first..first + Q]);
    }
    Q
}

/// `T` vectors of `R` rows, from column `at` on. Row j of `v` begins at `j n`.
#[inline(always)]
fn combine_tile<S: Simd, const R: usize, const T: usize>(
    simd: S,
    rest: f32,
    factors: &[[f32; MOST]; R],
    v: &[f32],
    n: usize,
    m: usize,
    at: usize,
    rows: &mut [&mut [f32]; R],
) {
    let mut sums = [[simd.splat(0.0); T]; R];
    let rest = simd.splat(rest);
    for r in 0..R {
        let row = &rows[r][at..][..T * S::WIDTH];
        for t in 0..T {
            sums[r][t] = simd.mul(rest, simd.load(row, t * S::WIDTH));
        }
    }
    for j in 0..m.min(MOST) {
        let v = &v[j * n..][..T * S::WIDTH];
        let mut vectors = [simd.splat(0.0); T];
        for t in 0..T {
            vectors[t] = simd.load(v, t * S::WIDTH);
        }
        for r in 0..R {
            let factor = simd.splat(factors[r][j]);
            for t in 0..T {
                sums[r][t] = simd.fma(factor, vectors[t], sums[r][t]);
            }
        }
    }
    for r in 0..R {
        let row = &mut rows[r][at..][..T * S::WIDTH];
        for t in 0..T {
            simd.store(row, t * S::WIDTH, sums[r][t]);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::arch::{Isa, dispatch_lanes};
    use crate::optim::layer_lbfgs::eigen::orthonormalise;
    use crate::optim::layer_lbfgs::metric::{ApplyToAll, Metric};
    use crate::optim::two_loop::{Initial, Pair, two_loop};
    use crate::random::Random;
    use crate::vector;
    use core::array;

    /// Rows of the largest matrix, and their length.
    const ROWS: usize = 5;
    const LONGEST: usize = 401;

    /// Lengths of rows, and pairs: tails of every kind, all directions, none.
    const SIZES: [(usize, usize); 14] = [
        (1, 1),
        (5, 5),
        (10, 10),
        (15, 8),
        (16, 16),
        (17, 1),
        (31, 2),
        (32, 3),
        (73, 8),
        (80, 7),
        (95, 13),
        (129, 4),
        (289, 8),
        (LONGEST, 16),
    ];

    /// A matrix of `ROWS` rows, directions, and a metric whose values lie as far apart as those of
    /// images do.
    fn draw(n: usize, m: usize) -> ([f32; ROWS * LONGEST], [f32; 16 * LONGEST], Metric) {
        let mut random = Random::new(11, (32 * n + m) as u64);
        let matrix = array::from_fn(|_| random.uniform() - 0.5);
        let mut v = array::from_fn(|_| random.uniform() - 0.5);
        orthonormalise(n, &mut v[..m * n], &mut random);
        let l: [f32; 16] = array::from_fn(|j| n as f32 / (1 << j) as f32);
        let trace = 2.0 * n as f32 + 1.0;
        let metric = Metric::root(n, &l[..m], trace, 0.3).expect("the trace is known");
        (matrix, v, metric)
    }

    /// What makes the matrices L-BFGS's: the compact form is the two-loop recursion with the pairs
    /// that the module's documentation names, here in double precision, but for rounding.
    #[test]
    fn it_is_the_two_loop_recursion() {
        for (n, m) in SIZES {
            let (mut matrix, v, metric) = draw(n, m);
            let v = &v[..m * n];
            for metric in [&metric, &metric.inverse()] {
                let before = matrix;
                metric.apply_to_all(n, v, &mut matrix[..ROWS * n]);
                let wide: [f64; 16 * LONGEST] =
                    array::from_fn(|i| v.get(i).map_or(0.0, |v| f64::from(*v)));
                let pairs: [Pair<'_, f64>; 16] = array::from_fn(|j| {
                    let value = metric
                        .values()
                        .get(j)
                        .map_or(1.0, |value| f64::from(*value));
                    Pair::eigen(wide.get(j * n..(j + 1) * n).unwrap_or(&[]), 1.0 / value)
                });
                let initial = Initial::Scalar(f64::from(metric.rest()));
                let (along, rest) = (vector::norm_max(metric.values()), metric.rest());
                let largest = if along < rest { rest } else { along };
                for i in 0..ROWS {
                    let mut row: [f64; LONGEST] = array::from_fn(|k| {
                        let inside = k < n;
                        if inside {
                            f64::from(before[i * n + k])
                        } else {
                            0.0
                        }
                    });
                    let size = vector::norm_max(&row[..n]);
                    two_loop(&pairs[..m], initial, &mut row[..n], &mut [0.0; 16]);
                    for (found, expected) in matrix[i * n..].iter().zip(&row[..n]) {
                        let error = (f64::from(*found) - expected).abs();
                        let allowed = TOLERANCE * f64::from(largest) * size;
                        assert!(error <= allowed, "{n} x {m}: {error:e} over {allowed:e}");
                    }
                }
            }
        }
    }

    /// Of the largest element times the largest factor that the matrix stretches by.
    const TOLERANCE: f64 = 4e-7;

    /// Two rows at a time in vectors, and one after the other without: the same bits.
    #[test]
    fn the_bits_depend_on_no_instruction_set_and_no_block() {
        for (n, m) in SIZES {
            let (matrix, v, metric) = draw(n, m);
            for rows in 0..=ROWS {
                let applied = |run: &dyn Fn(ApplyToAll<'_>)| {
                    let mut matrix = matrix;
                    run(ApplyToAll {
                        metric: &metric,
                        n,
                        v: &v[..m * n],
                        matrix: &mut matrix[..rows * n],
                    });
                    matrix.map(f32::to_bits)
                };
                let single = applied(&|kernel| dispatch_lanes::<1, _>(kernel));
                for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                    Isa::force(isa).expect("it is available");
                    let found = applied(&|kernel| dispatch_lanes::<16, _>(kernel));
                    assert!(found == single, "{n} x {m}, {rows} rows, {}", isa.name());
                }
                assert_eq!(
                    single[rows * n..],
                    matrix.map(f32::to_bits)[rows * n..],
                    "what is behind the rows stays"
                );
                assert!(rows == 0 || single[..n] != matrix.map(f32::to_bits)[..n]);
            }
        }
    }
}
