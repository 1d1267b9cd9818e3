//! How well a fit knows its variables.

use super::levenberg_marquardt::LevenbergMarquardt;
use super::local_model::{LocalModel, element, first, put, variable};
use super::matrix::Matrix;
use super::residuals::Residuals;
use super::robust::Robust;
use crate::error::{ConfigError, check_length};
use crate::real::Real;
use crate::vector;

/// What goes with a covariance matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Covariance<R> {
    /// s^2, the estimate of the noise's variance. NaN without degrees of freedom.
    pub variance: R,
    /// The number of variables, or of combinations of them, that the data determine.
    pub rank: usize,
    /// Residuals less rank.
    pub degrees_of_freedom: usize,
}

impl<R: Real> LevenbergMarquardt<'_, R> {
    /// **Overwrites** `matrix`, of n^2 numbers, with the covariance of the estimate `x`; the square
    /// roots of its diagonal are standard deviations.
    ///
    /// ```text
    /// C = s^2 (J'J)^-1 = s^2 B R^-1 R'^-1 B     s^2 = |r|^2 / (m - rank)
    /// ```
    ///
    /// by the triangle of J, whose columns are divided by their norms first (`B = diag(1 /
    /// |J_j|)`), so that the rank does not depend on units: it ends where a diagonal element of R
    /// is at most `max(m, n) EPSILON`. A variable that the data leave open alone or in a
    /// combination has the variance infinity, and NaN beside it. One that stands at a bound counts
    /// as known: zeros.
    ///
    /// With a robust loss, P. Huber's estimate (*Robust Statistics* (1981), section 7.6): with
    /// `psi = rho' r`, psi' its derivative, and means over the residuals,
    ///
    /// ```text
    /// s^2 = k^2 sum(psi^2) / (m - rank) / mean(psi')^2
    /// k   = 1 + rank / m var(psi') / mean(psi')^2
    /// ```
    ///
    /// Evaluates the residuals once, and their Jacobian. What the fit knew is lost: another step
    /// begins anew. Derivatives by differences give half their digits; take
    /// [`Differences::Central`](super::Differences::Central) where a rank is in question.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong.
    pub fn covariance(
        &mut self,
        problem: &mut impl Residuals<R>,
        x: &[R],
        matrix: &mut [R],
    ) -> Result<Covariance<R>, ConfigError> {
        self.check_lengths(problem, x)?;
        check_length("matrix", self.n * self.n, matrix.len())?;
        self.stale = true;
        problem.residuals(x, self.residuals);
        self.evaluations = self.evaluations.saturating_add(1);
        self.differentiate(problem, x);
        let bounds = self.bounds;
        let at_bound = |j: usize| {
            let x = x.get(j).copied().unwrap_or(R::NAN);
            x <= bounds.lower(j) || x >= bounds.upper(j)
        };
        let rank = self.model.invert(at_bound, self.trial, matrix);
        let degrees_of_freedom = self.m.saturating_sub(rank);
        let variance = variance(self.config.robust, self.residuals, rank);
        vector::scale(variance, matrix);
        Ok(Covariance {
            variance,
            rank,
            degrees_of_freedom,
        })
    }
}

/// s^2.
fn variance<R: Real>(robust: Robust<R>, residuals: &[R], rank: usize) -> R {
    let m = residuals.len();
    if m <= rank {
        return R::NAN;
    }
    let count = R::of(m as f64);
    let (mut squares, mut slope, mut slopes) = (R::ZERO, R::ZERO, R::ZERO);
    for &r in residuals {
        let influence = robust.influence(r);
        let psi = influence.first * r;
        squares = psi.fma(psi, squares);
        slope += influence.curvature;
        slopes = influence.curvature.fma(influence.curvature, slopes);
    }
    let (mean, mean_square) = (slope / count, slopes / count);
    let scatter = (mean_square / (mean * mean) - R::ONE).larger(R::ZERO);
    let factor = (R::of(rank as f64) / count).fma(scatter, R::ONE) / mean;
    factor * factor * squares / R::of((m - rank) as f64)
}

impl<R: Real> LocalModel<'_, R> {
    /// **Overwrites** `inverse` with (J'J)^-1, J being what was written last, without the variables
    /// that are `known`. Returns the rank. `scratch` has m elements.
    fn invert(
        &mut self,
        known: impl Fn(usize) -> bool,
        scratch: &mut [R],
        inverse: &mut [R],
    ) -> usize {
        let (n, m) = (self.n, self.m);
        for j in 0..n {
            let mut jacobian = self.jacobian();
            let norm = vector::norm2(jacobian.column(j));
            if norm > R::ZERO {
                vector::scale(R::ONE / norm, jacobian.column_mut(j));
            }
            put(self.gradient, j, norm);
            put(self.fixed, j, if known(j) { R::ZERO } else { R::NAN });
        }
        self.reset();
        self.factor(Robust::Squares, &[], scratch);
        let selected = self.select(R::ONE).0;
        let triangle = Matrix::new(n, self.triangle);
        let least = R::EPSILON * R::of(m.max(n) as f64);
        let small = |&k: &usize| {
            let diagonal = triangle.get(k, k).abs();
            diagonal <= least || diagonal.is_nan()
        };
        let rank = (0..selected).find(small).unwrap_or(selected);
        // The columns of R^-1.
        let mut columns = Matrix::new(n, first(self.damped, n * n));
        columns.fill(R::ZERO);
        for k in 0..rank {
            columns.set(k, k, R::ONE);
            let column = columns.column_mut(k);
            triangle.solve_upper(k + 1, first(column, k + 1));
        }
        inverse.fill(R::ZERO);
        let mut inverse = Matrix::new(n, inverse);
        for a in 0..rank {
            for b in 0..=a {
                let mut sum = R::ZERO;
                for k in a..rank {
                    sum = columns.get(a, k).fma(columns.get(b, k), sum);
                }
                let (i, j) = (variable(self.names, a), variable(self.names, b));
                let norms = [element(self.gradient, i), element(self.gradient, j)];
                let element = sum / norms[0] / norms[1];
                inverse.set(i, j, element);
                inverse.set(j, i, element);
            }
        }
        // Combinations that the data leave open: a dependent column is that of those before it.
        for k in rank..selected {
            let open = variable(self.names, k);
            self.work.fill(R::ZERO);
            let above = triangle.column(k).get(..rank).unwrap_or_default();
            vector::copy(above, self.work);
            triangle.solve_upper(rank, first(self.work, rank));
            mark_open(&mut inverse, open);
            for a in 0..rank {
                if element(self.work, a).abs() > R::EPSILON.sqrt() {
                    mark_open(&mut inverse, variable(self.names, a));
                }
            }
        }
        rank
    }
}

/// Says that nothing is known of a variable.
fn mark_open<R: Real>(covariance: &mut Matrix<R>, j: usize) {
    for i in 0..covariance.rows() {
        let diagonal = covariance.get(i, i);
        covariance.set(i, j, R::NAN);
        covariance.set(j, i, R::NAN);
        covariance.set(i, i, if i == j { R::INFINITY } else { diagonal });
    }
}
