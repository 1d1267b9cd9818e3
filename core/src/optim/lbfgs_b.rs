//! L-BFGS with bounds on the variables.

use core::ops::ControlFlow;

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

/// L-BFGS-B: L-BFGS for `lower <= x <= upper`.
///
/// Each iteration minimises the quadratic model of the pairs within the box, in two stages: along
/// the projected path of steepest descent to the first minimum (the generalised Cauchy point),
/// which finds the variables that stay at a bound; then over the free ones, projected. A line
/// search follows towards that point, and beyond it along the projection. Every point that is
/// evaluated is inside the box. A step costs about `3 M^2 n + 14 M n` fused multiply-adds beside
/// the evaluations, and `4 M^2` more for each bound that the path meets.
///
/// Convergence is judged as [`Stopping`](super::Stopping) says, a variable moving no farther than
/// to its bound; the norm in reports is that of `x - P(x - g)`, P being the projection.
///
/// The first step ([`FirstStep::Estimate`](super::FirstStep)) counts a variable between two bounds
/// as three times as large as it is, but no larger than four times the distance of the bounds: the
/// box says that far moves are meant. A cubic does not describe so long a step, so its pair is that
/// of [`SecantCondition::Gradients`].
///
/// Sources: R. Byrd, P. Lu, J. Nocedal, C. Zhu, *A limited memory algorithm for bound constrained
/// optimization*, SIAM J. Sci. Comput. 16 (1995); J. Morales, J. Nocedal, *Remark on Algorithm
/// 778*, ACM Trans. Math. Softw. 38 (2011). Other than there B0 is a diagonal, and the search may
/// go beyond a step of 1.
///
/// ```
/// use secant::objective;
/// use secant::optim::{LbfgsB, LbfgsConfig};
///
/// // The nearest point to (2, -1) in the unit square.
/// let mut distance = objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
///     (g[0], g[1]) = (x[0] - 2.0, x[1] + 1.0);
///     0.5 * (g[0] * g[0] + g[1] * g[1])
/// });
/// let (lower, upper) = ([0.0; 2], [1.0; 2]);
/// let mut memory = [0.0; LbfgsB::<4, f64>::memory_len(2)];
/// let mut lbfgs = LbfgsB::<4, f64>::new(LbfgsConfig::default(), &lower, &upper, &mut memory)?;
/// let mut x = [0.5, 0.5];
/// let report = lbfgs.minimize(&mut distance, &mut x)?;
/// assert!(report.termination.is_converged());
/// assert_eq!(x, [1.0, 0.0]);
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct LbfgsB<'m, const M: usize, R: Real = f32> {
    dimension: usize,
    settings: Settings<R>,
    descent: Descent<'m, R>,
    model: Compact<'m, M, R>,
    region: Bounds<'m, R>,
}

impl<'m, const M: usize, R: Real> LbfgsB<'m, M, R> {
    /// Numbers of memory for n variables: `(2 M + 11) n + 4 M^2`, beside the bounds.
    pub const fn memory_len(n: usize) -> usize {
        let own = Descent::<R>::memory_len(n, true).saturating_add(n);
        own.saturating_add(Compact::<M, R>::memory_len(n, true))
    }

    /// An optimiser of as many variables as there are bounds; an infinity is no bound, equal bounds
    /// fix a variable. A start outside the box is moved to the nearest point of it; a NaN is not.
    ///
    /// # Errors
    /// [`ConfigError`] when lengths differ, the memory is too short, no number lies between two
    /// bounds, a bound is a NaN, or a setting is out of range.
    pub fn new(
        config: LbfgsConfig<R>,
        lower: &'m [R],
        upper: &'m [R],
        memory: &'m mut [R],
    ) -> Result<Self, ConfigError> {
        let settings = Settings {
            // The first step may be a long one, which a cubic does not describe.
            first_secant: SecantCondition::Gradients,
            ..config.settings()?
        };
        let dimension = lower.len();
        check_length("upper", dimension, upper.len())?;
        for (lower, upper) in lower.iter().zip(upper) {
            let range = "at most the upper bound";
            check_range("lower", lower.to_f64(), range, lower <= upper)?;
            // Between (inf, inf) there is no number.
            let (low, high) = (*lower < R::INFINITY, *upper > -R::INFINITY);
            check_range("lower", lower.to_f64(), "below infinity", low)?;
            check_range("upper", upper.to_f64(), "above minus infinity", high)?;
        }
        let memory = check_memory(memory, Self::memory_len(dimension))?;
        let (descent, memory) = Descent::new(dimension, true, memory);
        let (reduced, memory) = split(memory, dimension);
        let model = Compact::new(dimension, memory, |memory| {
            History::new(config.curvature, config.scaling, dimension, memory)
        });
        Ok(Self {
            dimension,
            settings,
            descent,
            model,
            region: Bounds {
                lower,
                upper,
                reduced,
            },
        })
    }

    descent_methods!(model, R);
}

#[derive(Debug)]
struct Bounds<'m, R> {
    lower: &'m [R],
    upper: &'m [R],
    reduced: &'m mut [R],
}

impl<R: Real> Bounds<'_, R> {
    /// A NaN stays one.
    fn clamp(&self, j: usize, x: R) -> R {
        if x < self.lower[j] {
            self.lower[j]
        } else if x > self.upper[j] {
            self.upper[j]
        } else {
            x
        }
    }
}

impl<R: Real> Region<R> for Bounds<'_, R> {
    fn enter(&self, x: &mut [R]) {
        for (j, x) in x.iter_mut().enumerate() {
            *x = self.clamp(j, *x);
        }
    }

    fn total(&self, _x: &[R], value: R) -> R {
        value
    }

    fn reduce(&mut self, x: &[R], gradient: &[R], square: R) -> R {
        for j in 0..x.len() {
            let stays = x[j] <= self.lower[j] && gradient[j] > R::ZERO
                || x[j] >= self.upper[j] && gradient[j] < R::ZERO;
            self.reduced[j] = if stays { R::ZERO } else { gradient[j] };
        }
        if square.is_finite() {
            square.sqrt()
        } else {
            vector::norm2(self.reduced)
        }
    }

    fn reduced<'a>(&'a self, _gradient: &'a [R]) -> &'a [R] {
        self.reduced
    }

    fn ends(&self, j: usize, _x: R) -> (R, R) {
        (self.lower[j], self.upper[j])
    }

    /// A variable moves no farther than to its bound.
    fn promise(&self, x: &[R], _gradient: &[R]) -> R {
        let mut largest = R::ZERO;
        for j in 0..x.len() {
            let g = self.reduced[j];
            let room = if g > R::ZERO {
                x[j] - self.lower[j]
            } else {
                self.upper[j] - x[j]
            };
            largest = largest.larger(g.abs() * R::ONE.larger(x[j].abs()).smaller(room));
        }
        largest
    }

    /// Between two bounds three times the size: the half of it that the first step takes crosses
    /// zero. No more than four times the width of the box: with that, the variable that promises
    /// most reaches its bound from anywhere, and so do those that promise half as much.
    fn reach(&self, j: usize, x: R) -> R {
        let (size, width) = (R::ONE.larger(x.abs()), self.upper[j] - self.lower[j]);
        if width.is_finite() {
            let far = (R::of(4.0) * width).smaller(R::of(3.0) * size);
            size.larger(far)
        } else {
            size
        }
    }

    fn trial(&self, step: R, origin: &[R], direction: &[R], x: &mut [R]) {
        vector::add_scaled(step, origin, direction, x);
        self.enter(x);
    }

    fn path(&self, _origin: &[R], direction: &[R], x: &[R], gradient: &[R]) -> (R, R) {
        let (mut slope, mut square) = (R::ZERO, R::ZERO);
        for j in 0..x.len() {
            let outwards = x[j] <= self.lower[j] && direction[j] < R::ZERO
                || x[j] >= self.upper[j] && direction[j] > R::ZERO;
            if !outwards {
                slope = gradient[j].fma(direction[j], slope);
            }
            let projected = x[j] - self.clamp(j, x[j] - gradient[j]);
            square = projected.fma(projected, square);
        }
        (slope, square)
    }
}
