//! Gradient descent: with a fixed step and momentum, or with Armijo's line search.

use core::ops::ControlFlow;

use super::descent::{
    Descent, FirstStep, Metric, Settings, Step, check_dimensions, descent_methods,
};
use super::pair::{Moments, SecantCondition, Verdict};
use super::region::{Everywhere, Region};
use super::termination::{Report, Stopping};
use crate::error::{ConfigError, check_length, check_memory, check_range};
use crate::line_search::{Backtracking, LineSearch};
use crate::objective::Objective;
use crate::real::Real;
use crate::vector;

/// How long the steps of [`GradientDescent`] are.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StepRule<R> {
    /// `x <- x - rate g + momentum (x - x_before)`: one evaluation a step.
    ///
    /// The momentum is dropped for a step when it would lead uphill, and after a step to where the
    /// function is not finite.
    Fixed {
        /// The step size, positive. There is no default: it has to be below 2 over the largest
        /// curvature, or the run diverges. Leaving it out, as if it were 1, is a known slip.
        rate: R,
        /// The share of the last step that is kept, in [0, 1). 0 is plain gradient descent, 0.9
        /// usual ("heavy ball").
        momentum: R,
    },
    /// Armijo's condition along `-g`, first trying twice the step that was taken last.
    Armijo(Backtracking<R>),
}

/// The settings of [`GradientDescent`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GradientDescentConfig<R> {
    /// How long the steps are. Default [`StepRule::Armijo`].
    pub step: StepRule<R>,
    /// When to stop.
    pub stopping: Stopping<R>,
}

impl<R: Real> Default for GradientDescentConfig<R> {
    fn default() -> Self {
        Self {
            step: StepRule::Armijo(Backtracking::default()),
            stopping: Stopping::default(),
        }
    }
}

/// Steepest descent. Converges linearly, at a rate that gets worse with the condition number: the
/// baseline of all others.
///
/// ```
/// use secant::objective;
/// use secant::optim::{GradientDescent, GradientDescentConfig, StepRule};
///
/// let mut bowl = objective::from_fn(2, |x: &[f32], g: &mut [f32]| {
///     (g[0], g[1]) = (x[0] - 1.0, 10.0 * x[1]);
///     0.5 * (x[0] - 1.0) * (x[0] - 1.0) + 5.0 * x[1] * x[1]
/// });
/// let step = StepRule::Fixed { rate: 0.1, momentum: 0.5 };
/// let config = GradientDescentConfig { step, ..GradientDescentConfig::default() };
/// let mut memory = [0.0; GradientDescent::<f32>::memory_len(2)];
/// let mut descent = GradientDescent::new(config, 2, &mut memory)?;
/// let mut x = [0.0, 1.0];
/// let report = descent.minimize(&mut bowl, &mut x)?;
/// assert!(report.termination.is_converged());
/// assert!((x[0] - 1.0).abs() < 2e-3);
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct GradientDescent<'m, R: Real = f32> {
    dimension: usize,
    settings: Settings<R>,
    descent: Descent<'m, R>,
    region: Everywhere,
    steepest: Steepest<'m, R>,
}

impl<'m, R: Real> GradientDescent<'m, R> {
    /// Numbers of memory for n variables: `6 n`.
    pub const fn memory_len(n: usize) -> usize {
        Descent::<R>::memory_len(n, true).saturating_add(n)
    }

    /// An optimiser of n variables. `memory` needs [`memory_len(n)`](Self::memory_len) numbers;
    /// what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: GradientDescentConfig<R>,
        dimension: usize,
        memory: &'m mut [R],
    ) -> Result<Self, ConfigError> {
        let line_search = match config.step {
            StepRule::Fixed { rate, momentum } => {
                let inside = rate > R::ZERO && rate.is_finite();
                check_range("rate", rate.to_f64(), "positive and finite", inside)?;
                let inside = momentum >= R::ZERO && momentum < R::ONE;
                check_range("momentum", momentum.to_f64(), "in [0, 1)", inside)?;
                LineSearch::Fixed
            }
            StepRule::Armijo(search) => LineSearch::Backtracking(search),
        };
        line_search.check()?;
        config.stopping.check()?;
        let memory = check_memory(memory, Self::memory_len(dimension))?;
        let (descent, last_step) = Descent::new(dimension, true, memory);
        let settings = Settings {
            line_search,
            first_step: FirstStep::Length(R::ONE),
            secant: SecantCondition::Gradients,
            first_secant: SecantCondition::Gradients,
            stopping: config.stopping,
        };
        let steepest = Steepest {
            rule: config.step,
            last_step,
            moved: false,
            rate: R::ONE,
        };
        Ok(Self {
            dimension,
            settings,
            descent,
            region: Everywhere,
            steepest,
        })
    }

    descent_methods!(steepest, R);
}

#[derive(Debug)]
struct Steepest<'m, R> {
    rule: StepRule<R>,
    last_step: &'m mut [R],
    /// Whether there is a last step.
    moved: bool,
    /// For Armijo: the rate to try next.
    rate: R,
}

impl<R: Real> Metric<R> for Steepest<'_, R> {
    fn direction<G: Region<R>>(
        &mut self,
        _x: &[R],
        _region: &G,
        gradient: &[R],
        direction: &mut [R],
    ) {
        vector::negate(gradient, direction);
        match self.rule {
            StepRule::Fixed { rate, momentum } => {
                vector::scale(rate, direction);
                if self.moved && momentum > R::ZERO {
                    vector::axpy(momentum, self.last_step, direction);
                }
            }
            StepRule::Armijo(_) => vector::scale(self.rate, direction),
        }
    }

    fn update(
        &mut self,
        s: &[R],
        _y: &mut [R],
        moments: Moments<R>,
        gradient_norm: R,
    ) -> Option<Verdict<R>> {
        vector::copy(s, self.last_step);
        self.moved = true;
        let rate = R::of(2.0) * (moments.ss.sqrt() / gradient_norm);
        if rate > R::ZERO && rate.is_finite() {
            self.rate = rate;
        }
        None
    }

    fn is_empty(&self) -> bool {
        // With a fixed rate there is nothing to learn before the first step.
        !self.moved && matches!(self.rule, StepRule::Armijo(_))
    }

    fn reset(&mut self, scale: R) {
        self.moved = false;
        self.rate = scale;
    }
}
