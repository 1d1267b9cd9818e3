//! BFGS with a dense inverse Hessian.

use core::ops::ControlFlow;

use super::descent::{
    Descent, FirstStep, Metric, Settings, Step, check_dimensions, descent_methods,
};
use super::pair::{Curvature, Moments, SecantCondition, Verdict, judge};
use super::region::{Everywhere, Region};
use super::termination::{Report, Stopping};
use crate::error::{ConfigError, check_length, check_memory, split};
use crate::line_search::{LineSearch, MoreThuente};
use crate::objective::Objective;
use crate::real::Real;
use crate::vector;

/// The settings of [`Bfgs`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BfgsConfig<R> {
    /// How far to go along each direction. Default [`MoreThuente`].
    pub line_search: LineSearch<R>,
    /// What y is. Default [`SecantCondition::Values`].
    pub secant: SecantCondition,
    /// Which pairs are learnt from. Default [`Curvature::skip`].
    pub curvature: Curvature<R>,
    /// The first direction. Default [`FirstStep::Estimate`].
    pub first_step: FirstStep<R>,
    /// When to stop.
    pub stopping: Stopping<R>,
}

impl<R: Real> Default for BfgsConfig<R> {
    fn default() -> Self {
        Self {
            line_search: LineSearch::MoreThuente(MoreThuente::default()),
            secant: SecantCondition::Values,
            curvature: Curvature::skip(),
            first_step: FirstStep::Estimate,
            stopping: Stopping::default(),
        }
    }
}

/// BFGS: keeps the whole matrix H, symmetric and positive definite, in memory that the caller
/// lends.
///
/// Each iteration goes along `-H g` and then updates H by the pair of the step,
///
/// ```text
/// H <- V H V' + rho s s'      V = I - rho s y'     rho = 1 / (s . y)
///    = H + (1 + rho y.Hy) rho s s' - rho (Hy s' + s (Hy)')
/// ```
///
/// so that `H y = s`. Before the first update, H is `(s . y / y . y) I`. An iteration costs `4 n^2`
/// fused multiply-adds, not n^3; for more than some hundred variables take [`Lbfgs`](super::Lbfgs),
/// whose cost is `4 M n`. The run returns the *point*; H stays in
/// [`inverse_hessian`](Self::inverse_hessian), where it approximates a covariance matrix for a fit.
///
/// Source: J. Nocedal and S. Wright, *Numerical Optimization*, 2nd ed. (2006), chapter 6.
///
/// ```
/// use secant::objective;
/// use secant::optim::{Bfgs, BfgsConfig};
///
/// // Beale's function.
/// let mut beale = objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
///     g.fill(0.0);
///     let mut value = 0.0;
///     for (i, target) in [1.5, 2.25, 2.625].into_iter().enumerate() {
///         let power = x[1].powi(i as i32);
///         let r = target - x[0] * (1.0 - power * x[1]);
///         value += r * r;
///         g[0] -= 2.0 * r * (1.0 - power * x[1]);
///         g[1] += 2.0 * r * x[0] * (i + 1) as f64 * power;
///     }
///     value
/// });
/// let mut memory = [0.0; Bfgs::<f64>::memory_len(2)];
/// let mut bfgs = Bfgs::new(BfgsConfig::default(), 2, &mut memory)?;
/// let mut x = [1.0, 1.0];
/// let report = bfgs.minimize(&mut beale, &mut x)?;
/// assert!(report.termination.is_converged());
/// assert!((x[0] - 3.0).abs() < 1e-4 && (x[1] - 0.5).abs() < 1e-4);
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Bfgs<'m, R: Real = f32> {
    dimension: usize,
    settings: Settings<R>,
    descent: Descent<'m, R>,
    region: Everywhere,
    matrix: Matrix<'m, R>,
}

impl<'m, R: Real> Bfgs<'m, R> {
    /// Numbers of memory for n variables: `n^2 + 6 n`.
    pub const fn memory_len(n: usize) -> usize {
        let matrix = n.saturating_mul(n).saturating_add(n);
        matrix.saturating_add(Descent::<R>::memory_len(n, true))
    }

    /// An optimiser of n variables that knows nothing yet. `memory` needs
    /// [`memory_len(n)`](Self::memory_len) numbers; what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: BfgsConfig<R>,
        dimension: usize,
        memory: &'m mut [R],
    ) -> Result<Self, ConfigError> {
        config.line_search.check()?;
        config.curvature.check()?;
        config.first_step.check()?;
        config.stopping.check()?;
        let memory = check_memory(memory, Self::memory_len(dimension))?;
        let (descent, memory) = Descent::new(dimension, true, memory);
        let (product, h) = split(memory, dimension);
        let BfgsConfig {
            line_search,
            secant,
            curvature,
            first_step,
            stopping,
        } = config;
        let settings = Settings {
            line_search,
            first_step,
            secant,
            first_secant: secant,
            stopping,
        };
        let matrix = Matrix {
            rule: curvature,
            dimension,
            h,
            product,
            empty: true,
            scale: R::ONE,
        };
        Ok(Self {
            dimension,
            settings,
            descent,
            region: Everywhere,
            matrix,
        })
    }

    descent_methods!(matrix, R);

    /// H, row-major, exactly symmetric; `None` before the first pair.
    pub fn inverse_hessian(&self) -> Option<&[R]> {
        if self.matrix.empty {
            None
        } else {
            Some(self.matrix.h)
        }
    }
}

#[derive(Debug)]
struct Matrix<'m, R> {
    rule: Curvature<R>,
    dimension: usize,
    /// Row-major.
    h: &'m mut [R],
    /// H y.
    product: &'m mut [R],
    empty: bool,
    scale: R,
}

impl<R: Real> Matrix<'_, R> {
    fn multiply(h: &[R], x: &[R], product: &mut [R]) {
        for (row, out) in h.chunks_exact(x.len().max(1)).zip(product) {
            *out = vector::dot(row, x);
        }
    }

    fn update_matrix(&mut self, s: &[R], y: &[R], rho: R) {
        let n = self.dimension;
        Self::multiply(self.h, y, self.product);
        let curvature = R::ONE + rho * vector::dot(y, self.product);
        for i in 0..n {
            let row = &mut self.h[i * n + i..(i + 1) * n];
            vector::axpy(rho * (curvature * s[i] - self.product[i]), &s[i..], row);
            vector::axpy(-rho * s[i], &self.product[i..], row);
            for j in i + 1..n {
                self.h[j * n + i] = self.h[i * n + j];
            }
        }
    }
}

impl<R: Real> Metric<R> for Matrix<'_, R> {
    fn direction<G: Region<R>>(
        &mut self,
        _x: &[R],
        _region: &G,
        gradient: &[R],
        direction: &mut [R],
    ) {
        Self::multiply(self.h, gradient, direction);
        vector::scale(-R::ONE, direction);
    }

    fn update(
        &mut self,
        s: &[R],
        y: &mut [R],
        moments: Moments<R>,
        gradient_norm: R,
    ) -> Option<Verdict<R>> {
        let (verdict, moments) = judge(&self.rule, moments, self.scale, gradient_norm, s, y);
        if !matches!(verdict, Verdict::Skipped(_)) {
            self.scale = moments.sy / moments.yy;
            if self.empty {
                self.h.fill(R::ZERO);
                for diagonal in self.h.iter_mut().step_by(self.dimension + 1) {
                    *diagonal = self.scale;
                }
                self.empty = false;
            }
            self.update_matrix(s, y, R::ONE / moments.sy);
        }
        Some(verdict)
    }

    fn is_empty(&self) -> bool {
        self.empty
    }

    fn reset(&mut self, scale: R) {
        self.empty = true;
        self.scale = scale;
    }
}
