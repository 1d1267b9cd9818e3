//! Lanczos' method with full reorthogonalisation.

use super::tridiagonal::tridiagonal;
use crate::error::{ConfigError, check_length, check_memory, check_range, split};
use crate::real::Real;
use crate::vector;

/// How a run of [`Lanczos`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Ending {
    /// All steps were made.
    Steps,
    /// The vectors so far span a space that the matrix maps into itself: what was found is exact,
    /// and the start has nothing along any other eigenvector.
    Invariant,
    /// A product, or the start, is not finite or zero. Nothing was found.
    Unusable,
}

/// The extreme eigenvalues and eigenvectors of a symmetric matrix A, from k products with vectors.
///
/// ```text
/// q_1 = start / |start|
/// for j = 1 to k:
///     w = A q_j
///     twice: for i = 1 to j:  c_i = q_i . w;  w -= c_i q_i      alpha_j = sum of both c_j
///     beta_j = |w|;  q_j+1 = w / beta_j
/// T = tridiagonal(alpha, beta) = S diag(theta) S'
/// ```
///
/// The theta are the *Ritz values*; the largest and the smallest converge first, to the largest and
/// the smallest eigenvalue. Each has the *Ritz vector* `sum_j S_ji q_j`, and for each there is an
/// eigenvalue no farther away than the length of its residual, `|beta_k S_ki|`: its
/// [`bound`](Self::bound). (Where the next eigenvalue is at a distance g, the error is at most
/// `bound^2 / g`.) Without reorthogonalisation rounding makes copies of eigenvalues that have
/// converged; with it each appears once. An eigenvalue of multiplicity above 1 appears once, too: a
/// single start cannot tell.
///
/// `beta_j = 0`, up to rounding, ends the run: [`Ending::Invariant`]. So more steps than the matrix
/// has rows do no harm.
///
/// Cost: k products, `4 k^2 n` multiply-adds, and `3 k^3` for the small matrix.
///
/// # In a metric
///
/// [`run_in_metric`](Self::run_in_metric) finds the eigenvalues of `M A`, M being symmetric and
/// positive definite and known by its products too: of a Hessian as a preconditioner M lets an
/// optimiser see it. `M A` is not symmetric, but its eigenvalues are those of `M^1/2 A M^1/2`. The
/// recursion keeps `z_j = M q_j` beside each q_j, takes `c_i = z_i . w`, `w = A z_j` and the length
/// `|w| = sqrt(w . M w)`, and needs no root of M. Ritz vectors then are those of `A M`, of length 1 by
/// that measure.
///
/// Source: C. Lanczos 1950; B. Parlett, *The Symmetric Eigenvalue Problem* (1998), chapter 13.
///
/// ```
/// use secant::spectrum::{Ending, Lanczos};
///
/// let diagonal = [-1.0f64, 0.5, 0.25, 4.0];
/// let mut memory = [0.0; Lanczos::<f64>::memory_len(4, 4)];
/// let mut lanczos = Lanczos::new(4, 4, &mut memory)?;
/// let product = |x: &[f64], y: &mut [f64]| {
///     for i in 0..4 {
///         y[i] = diagonal[i] * x[i];
///     }
/// };
/// let _ = lanczos.run(&[1.0; 4], product)?;
/// let found = lanczos.values();
/// assert!((found[0] + 1.0).abs() < 1e-14 && (found[3] - 4.0).abs() < 1e-14);
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Lanczos<'m, R: Real = f32> {
    dimension: usize,
    limit: usize,
    /// Steps of the last run.
    steps: usize,
    /// q_j, one after the other.
    basis: &'m mut [R],
    /// z_j in a metric; else empty.
    dual: &'m mut [R],
    /// w.
    residual: &'m mut [R],
    /// M w.
    image: &'m mut [R],
    alpha: &'m mut [R],
    beta: &'m mut [R],
    /// theta.
    values: &'m mut [R],
    /// S', row i being that of theta i.
    small: &'m mut [R],
    /// beta_k.
    last: R,
    noise: R,
}

impl<'m, R: Real> Lanczos<'m, R> {
    /// Numbers of memory for matrices of n rows and at most k steps: `(k + 2) n + k^2 + 3 k`.
    pub const fn memory_len(n: usize, k: usize) -> usize {
        let long = n.saturating_mul(k.saturating_add(2));
        long.saturating_add(k.saturating_mul(k.saturating_add(3)))
    }

    /// The same with [`run_in_metric`](Self::run_in_metric): `k n` more.
    pub const fn metric_memory_len(n: usize, k: usize) -> usize {
        Self::memory_len(n, k).saturating_add(n.saturating_mul(k))
    }

    /// For matrices of `dimension` rows and at most `steps` steps. `memory` needs
    /// [`memory_len`](Self::memory_len) numbers, or [`metric_memory_len`](Self::metric_memory_len);
    /// what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short, or either number is 0.
    pub fn new(dimension: usize, steps: usize, memory: &'m mut [R]) -> Result<Self, ConfigError> {
        for (field, found) in [("dimension", dimension), ("steps", steps)] {
            check_range(field, found as f64, "at least 1", found > 0)?;
        }
        let with_metric = Self::metric_memory_len(dimension, steps);
        let (needed, dual_len) = match memory.len() >= with_metric {
            true => (with_metric, dimension * steps),
            false => (Self::memory_len(dimension, steps), 0),
        };
        let memory = check_memory(memory, needed)?;
        let (basis, memory) = split(memory, dimension * steps);
        let (dual, memory) = split(memory, dual_len);
        let (residual, memory) = split(memory, dimension);
        let (image, memory) = split(memory, dimension);
        let (alpha, memory) = split(memory, steps);
        let (beta, memory) = split(memory, steps);
        let (values, small) = split(memory, steps);
        Ok(Self {
            dimension,
            limit: steps,
            steps: 0,
            basis,
            dual,
            residual,
            image,
            alpha,
            beta,
            values,
            small,
            last: R::ZERO,
            noise: R::ZERO,
        })
    }

    /// Most steps.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Runs from `start`, which decides what can be found: an eigenvector that is orthogonal to it
    /// cannot. A random start has something of each.
    ///
    /// # Errors
    /// [`ConfigError`] when the length of `start` is wrong.
    pub fn run(
        &mut self,
        start: &[R],
        product: impl FnMut(&[R], &mut [R]),
    ) -> Result<Ending, ConfigError> {
        check_length("start", self.dimension, start.len())?;
        Ok(self.iterate(start, product, None::<fn(&[R], &mut [R])>))
    }

    /// Runs in the metric M: `metric` **overwrites** its second argument with M times its first.
    ///
    /// # Errors
    /// [`ConfigError`] when the length of `start` is wrong, or the memory is not that of
    /// [`metric_memory_len`](Self::metric_memory_len).
    pub fn run_in_metric(
        &mut self,
        start: &[R],
        product: impl FnMut(&[R], &mut [R]),
        metric: impl FnMut(&[R], &mut [R]),
    ) -> Result<Ending, ConfigError> {
        check_length("start", self.dimension, start.len())?;
        check_length("memory", self.basis.len(), self.dual.len())?;
        Ok(self.iterate(start, product, Some(metric)))
    }

    fn iterate(
        &mut self,
        start: &[R],
        mut product: impl FnMut(&[R], &mut [R]),
        mut metric: Option<impl FnMut(&[R], &mut [R])>,
    ) -> Ending {
        (self.steps, self.noise) = (0, R::ZERO);
        vector::copy(start, self.residual);
        let mut length = self.length(metric.as_mut());
        if !(length > R::ZERO && length.is_finite()) {
            return Ending::Unusable;
        }
        let mut size = R::ZERO;
        let mut ending = Ending::Steps;
        for j in 0..self.limit {
            let Some(()) = self.append(j, R::ONE / length, metric.is_some()) else {
                return self.fail();
            };
            let n = self.dimension;
            let z = if metric.is_some() {
                &*self.dual
            } else {
                &*self.basis
            };
            product(row(z, j, n), self.residual);
            let alpha = self.orthogonalise(j, metric.is_some());
            length = self.length(metric.as_mut());
            if !(alpha.is_finite() && length.is_finite()) {
                return self.fail();
            }
            self.steps = j + 1;
            for (target, value) in [(&mut *self.alpha, alpha), (&mut *self.beta, length)] {
                if let Some(target) = target.get_mut(j) {
                    *target = value;
                }
            }
            size = size.larger(alpha.abs() + length);
            if length <= R::of(8.0) * R::EPSILON * size {
                ending = Ending::Invariant;
                break;
            }
        }
        if self.solve() { ending } else { self.fail() }
    }

    fn fail(&mut self) -> Ending {
        self.steps = 0;
        Ending::Unusable
    }

    /// The length of w; leaves M w in `image`.
    fn length(&mut self, metric: Option<&mut impl FnMut(&[R], &mut [R])>) -> R {
        let Some(metric) = metric else {
            return vector::norm2(self.residual);
        };
        metric(self.residual, self.image);
        let square = vector::dot(self.residual, self.image);
        // Less than 0 only by rounding, where w is as good as zero.
        if square < R::ZERO {
            R::ZERO
        } else {
            square.sqrt()
        }
    }

    /// Makes w, `factor` times as long, row j of the basis.
    fn append(&mut self, j: usize, factor: R, in_metric: bool) -> Option<()> {
        let place = j * self.dimension..(j + 1) * self.dimension;
        let q = self.basis.get_mut(place.clone())?;
        vector::copy(self.residual, q);
        vector::scale(factor, q);
        if in_metric {
            let z = self.dual.get_mut(place)?;
            vector::copy(self.image, z);
            vector::scale(factor, z);
        }
        Some(())
    }

    /// Takes out of w what lies along rows 0 to j of the basis, twice; returns alpha.
    fn orthogonalise(&mut self, j: usize, in_metric: bool) -> R {
        let n = self.dimension;
        let duals = if in_metric { &*self.dual } else { &*self.basis };
        let mut alpha = R::ZERO;
        for pass in 0..2 {
            for i in 0..=j {
                let c = vector::dot(row(duals, i, n), self.residual);
                vector::axpy(-c, row(self.basis, i, n), self.residual);
                if i == j {
                    alpha += c;
                } else if pass == 0 && i + 1 < j {
                    self.noise = self.noise.larger(c.abs());
                }
            }
        }
        alpha
    }

    /// Finds the Ritz values.
    fn solve(&mut self) -> bool {
        let k = self.steps;
        let (Some(values), Some(small)) = (self.values.get_mut(..k), self.small.get_mut(..k * k))
        else {
            return false;
        };
        let (Some(alpha), Some(beta)) = (self.alpha.get(..k), self.beta.get_mut(..k)) else {
            return false;
        };
        self.last = beta.last().copied().unwrap_or(R::ZERO);
        vector::copy(alpha, values);
        tridiagonal(values, beta, small)
    }

    /// The Ritz values, in ascending order: as many as steps were made.
    pub fn values(&self) -> &[R] {
        self.values.get(..self.steps).unwrap_or_default()
    }

    /// Row i of S'.
    fn coefficients(&self, i: usize) -> &[R] {
        let k = self.steps;
        let whole = self.small.get(..k * k).unwrap_or_default();
        row(whole, i, k)
    }

    /// How far the i-th Ritz value is from an eigenvalue at most, but for rounding.
    pub fn bound(&self, i: usize) -> R {
        let last = self.coefficients(i).last().copied().unwrap_or(R::NAN);
        (self.last * last).abs()
    }

    /// The share of the start along the i-th Ritz vector, `S_1i^2`: the weight of Gauss'
    /// quadrature. The weights of all add up to 1.
    pub fn weight(&self, i: usize) -> R {
        let first = self.coefficients(i).first().copied().unwrap_or(R::NAN);
        first * first
    }

    /// **Overwrites** `vector` with the i-th Ritz vector.
    ///
    /// # Errors
    /// [`ConfigError`] when its length is wrong, or there is no such Ritz value.
    pub fn vector(&self, i: usize, vector: &mut [R]) -> Result<(), ConfigError> {
        check_length("vector", self.dimension, vector.len())?;
        check_range("i", i as f64, "the number of a value", i < self.steps)?;
        vector.fill(R::ZERO);
        for (j, c) in self.coefficients(i).iter().enumerate() {
            vector::axpy(*c, row(self.basis, j, self.dimension), vector);
        }
        Ok(())
    }

    /// The largest `|q_i . A q_j|` with i < j - 1, which would be 0 if the matrix were symmetric and
    /// its products exact: how far eigenvalues may be wrong for want of that.
    pub const fn noise(&self) -> R {
        self.noise
    }
}

/// Row i of rows of length n.
fn row<R>(rows: &[R], i: usize, n: usize) -> &[R] {
    rows.get(i * n..(i + 1) * n).unwrap_or_default()
}
