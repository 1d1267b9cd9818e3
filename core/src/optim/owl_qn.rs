//! L-BFGS with an L1 penalty.

use core::ops::{ControlFlow, Range};

use super::compact::Compact;
use super::descent::{Descent, Metric, Settings, Step, check_dimensions, descent_methods};
use super::history::History;
use super::lbfgs::LbfgsConfig;
use super::pair::SecantCondition;
use super::region::Region;
use super::termination::Report;
use crate::error::{ConfigError, check_length, check_memory, check_range, split};
use crate::objective::Objective;
use crate::real::Real;
use crate::vector;

/// L-BFGS for `f(x) + weight sum_j |x_j|`: sparse solutions, whose zeros are exact.
///
/// OWL-QN. The penalty has a kink at zero. Each iteration works with the *pseudo-gradient*, the
/// one-sided derivative of the steepest descent,
///
/// ```text
/// x_j != 0:            g_j + weight sign(x_j)
/// x_j = 0:             g_j + weight if that is negative, g_j - weight if that is positive, else 0
/// ```
///
/// which says on which side of zero each variable may move; a variable at zero whose
/// pseudo-gradient is zero stays. On that orthant the penalty is linear, so the step is that of
/// [`LbfgsB`](super::LbfgsB): the model's minimum on the orthant, with zero as a bound. The search
/// towards it, and beyond, stops every variable that would cross zero at zero. The pairs are those
/// of f alone. Convergence is judged by the pseudo-gradient. The objective is f without the
/// penalty; the report's value is with it.
///
/// The textbook's method goes along `-H` times the pseudo-gradient instead and drops the elements
/// whose sign disagrees, which loses what the pairs know of how variables act together: up to six
/// times as many evaluations.
///
/// Sources: G. Andrew and J. Gao, *Scalable training of L1-regularized log-linear models*, ICML
/// 2007, for orthants and pseudo-gradient; those of [`LbfgsB`](super::LbfgsB) for the step.
///
/// ```
/// use secant::objective;
/// use secant::optim::{LbfgsConfig, OwlQn};
///
/// // Soft thresholding: the minimum of (x - b)^2 / 2 + |x| is b moved towards zero by 1.
/// let b = [3.0, 0.5, -2.0];
/// let mut distance = objective::from_fn(3, |x: &[f64], g: &mut [f64]| {
///     let mut value = 0.0;
///     for j in 0..3 {
///         g[j] = x[j] - b[j];
///         value += 0.5 * g[j] * g[j];
///     }
///     value
/// });
/// let mut memory = [0.0; OwlQn::<4, f64>::memory_len(3)];
/// let mut owl = OwlQn::<4, f64>::new(LbfgsConfig::default(), 1.0, 0..3, 3, &mut memory)?;
/// let mut x = [0.0; 3];
/// let report = owl.minimize(&mut distance, &mut x)?;
/// assert!(report.termination.is_converged());
/// assert!((x[0] - 2.0).abs() < 1e-5 && x[1] == 0.0 && (x[2] + 1.0).abs() < 1e-5);
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct OwlQn<'m, const M: usize, R: Real = f32> {
    dimension: usize,
    settings: Settings<R>,
    descent: Descent<'m, R>,
    model: Compact<'m, M, R>,
    region: Orthants<'m, R>,
}

impl<'m, const M: usize, R: Real> OwlQn<'m, M, R> {
    /// Numbers of memory for n variables: `(2 M + 11) n + 4 M^2`.
    pub const fn memory_len(n: usize) -> usize {
        let own = Descent::<R>::memory_len(n, true).saturating_add(n);
        own.saturating_add(Compact::<M, R>::memory_len(n, true))
    }

    /// An optimiser of n variables, of which those in `penalised` pay `weight` times their
    /// magnitude. Leave out intercepts.
    ///
    /// The configuration's `secant` is not used: y is the change of f's gradient.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short, the range does not fit, the weight is negative
    /// or not finite, or a setting is out of range.
    pub fn new(
        config: LbfgsConfig<R>,
        weight: R,
        penalised: Range<usize>,
        dimension: usize,
        memory: &'m mut [R],
    ) -> Result<Self, ConfigError> {
        let settings = Settings {
            secant: SecantCondition::Gradients,
            first_secant: SecantCondition::Gradients,
            ..config.settings()?
        };
        let inside = weight >= R::ZERO && weight.is_finite();
        check_range("weight", weight.to_f64(), "at least 0 and finite", inside)?;
        let (start, end) = (penalised.start, penalised.end);
        let range = "at most the dimension";
        check_range("penalised.end", end as f64, range, end <= dimension)?;
        let range = "at most penalised.end";
        check_range("penalised.start", start as f64, range, start <= end)?;
        let memory = check_memory(memory, Self::memory_len(dimension))?;
        let (descent, memory) = Descent::new(dimension, true, memory);
        let (reduced, memory) = split(memory, dimension);
        let model = Compact::new(dimension, memory, |memory| {
            History::new(config.curvature, config.scaling, dimension, memory)
        });
        let region = Orthants {
            weight,
            penalised,
            reduced,
        };
        Ok(Self {
            dimension,
            settings,
            descent,
            model,
            region,
        })
    }

    descent_methods!(model, R);
}

#[derive(Debug)]
struct Orthants<'m, R> {
    weight: R,
    penalised: Range<usize>,
    /// The pseudo-gradient.
    reduced: &'m mut [R],
}

impl<R: Real> Orthants<'_, R> {
    fn weight(&self, j: usize) -> R {
        if self.penalised.contains(&j) {
            self.weight
        } else {
            R::ZERO
        }
    }

    fn pseudo_gradient(&self, j: usize, x: R, gradient: R) -> R {
        let weight = self.weight(j);
        if weight == R::ZERO || x > R::ZERO {
            gradient + weight
        } else if x < R::ZERO {
            gradient - weight
        } else if gradient + weight < R::ZERO {
            gradient + weight
        } else if gradient - weight > R::ZERO {
            gradient - weight
        } else if gradient.is_nan() {
            gradient
        } else {
            R::ZERO
        }
    }

    /// The sign that variable j keeps during a step: its own, or that of descent if it is zero.
    fn is_positive(&self, j: usize, origin: R) -> bool {
        origin > R::ZERO || origin == R::ZERO && self.reduced[j] < R::ZERO
    }
}

impl<R: Real> Region<R> for Orthants<'_, R> {
    fn enter(&self, _x: &mut [R]) {}

    fn total(&self, x: &[R], value: R) -> R {
        value + self.weight * vector::norm1(&x[self.penalised.clone()])
    }

    fn reduce(&mut self, x: &[R], gradient: &[R], square: R) -> R {
        for j in 0..x.len() {
            self.reduced[j] = self.pseudo_gradient(j, x[j], gradient[j]);
        }
        vector::norm_from_square(square, self.reduced)
    }

    fn reduced<'a>(&'a self, _gradient: &'a [R]) -> &'a [R] {
        self.reduced
    }

    /// A variable stays on its side of zero; at zero it may move down the pseudo-gradient only.
    fn ends(&self, j: usize, x: R) -> (R, R) {
        if self.weight(j) == R::ZERO {
            (-R::INFINITY, R::INFINITY)
        } else if x == R::ZERO && self.reduced[j] == R::ZERO {
            (R::ZERO, R::ZERO)
        } else if self.is_positive(j, x) {
            (R::ZERO, R::INFINITY)
        } else {
            (-R::INFINITY, R::ZERO)
        }
    }

    fn trial(&self, step: R, origin: &[R], direction: &[R], x: &mut [R]) {
        vector::add_scaled(step, origin, direction, x);
        for j in self.penalised.clone() {
            let crossed = if self.is_positive(j, origin[j]) {
                x[j] < R::ZERO
            } else {
                x[j] > R::ZERO
            };
            if crossed && self.weight > R::ZERO {
                x[j] = R::ZERO;
            }
        }
    }

    fn path(&self, origin: &[R], direction: &[R], x: &[R], gradient: &[R]) -> (R, R) {
        let (mut slope, mut square) = (R::ZERO, R::ZERO);
        for j in 0..x.len() {
            let weight = self.weight(j);
            if weight == R::ZERO || x[j] != R::ZERO {
                let kink = if self.is_positive(j, origin[j]) {
                    weight
                } else {
                    -weight
                };
                slope = (gradient[j] + kink).fma(direction[j], slope);
            }
            let pseudo = self.pseudo_gradient(j, x[j], gradient[j]);
            square = pseudo.fma(pseudo, square);
        }
        (slope, square)
    }
}
