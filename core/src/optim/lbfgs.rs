//! L-BFGS: quasi-Newton from the newest M pairs.

use core::ops::ControlFlow;

use super::descent::{Descent, Metric, Settings, Step, check_dimensions, check_memory};
use super::history::History;
use super::pair::Curvature;
use super::termination::{Misuse, Report, Stopping};
use super::two_loop::Pair;
use crate::line_search::{Backtracking, LineSearch};
use crate::objective::Objective;
use crate::real::Real;

/// The settings of [`Lbfgs`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LbfgsConfig<R> {
    /// How far to go along each direction.
    pub line_search: LineSearch<R>,
    /// Which pairs are stored.
    pub curvature: Curvature<R>,
    /// The length of the first step that is tried while there are no pairs, if it is shorter than the gradient: the
    /// direction is then `-min(1, first_step / |g|) g`. Default 1, positive.
    pub first_step: R,
    /// When to stop.
    pub stopping: Stopping<R>,
}

impl<R: Real> Default for LbfgsConfig<R> {
    fn default() -> Self {
        Self {
            line_search: LineSearch::Backtracking(Backtracking::default()),
            curvature: Curvature::skip(),
            first_step: R::ONE,
            stopping: Stopping::default(),
        }
    }
}

/// L-BFGS with at most M pairs, in memory that the caller lends.
///
/// Each iteration goes along `-H g`, where H is the [two-loop recursion](super::two_loop) over the newest M pairs with
/// `H0 = (s . y / y . y) I` of the newest; costs `4 M n` fused multiply-adds beside the evaluations; and allocates nothing.
///
/// If no acceptable step is found, the pairs are dropped and steepest descent is tried once before giving up.
///
/// ```
/// use secant::objective;
/// use secant::optim::{Lbfgs, LbfgsConfig};
///
/// // Rosenbrock's valley.
/// let mut valley = objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
///     let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
///     g[0] = -2.0 * a - 400.0 * x[0] * b;
///     g[1] = 200.0 * b;
///     a * a + 100.0 * b * b
/// });
/// let mut memory = [0.0; Lbfgs::<6, f64>::memory_len(2)];
/// let mut lbfgs = Lbfgs::<6, f64>::new(LbfgsConfig::default(), 2, &mut memory)?;
/// let mut x = [-1.2, 1.0];
/// let report = lbfgs.minimize(&mut valley, &mut x)?;
/// assert!(report.termination.is_converged());
/// assert!((x[0] - 1.0).abs() < 1e-4 && (x[1] - 1.0).abs() < 1e-4);
/// # Ok::<(), secant::optim::Misuse>(())
/// ```
///
/// # A step at a time, and an objective that changes
///
/// [`step`](Self::step) makes one iteration and returns, for firmware that has other things to do in between. Where the
/// objective or the point changes between two steps, as from one mini-batch to the next, say so with
/// [`objective_changed`](Self::objective_changed): the next step then evaluates anew at `x`, so that both gradients of its
/// pair come from the *same* objective. The pairs stay.
///
/// ```
/// use secant::objective;
/// use secant::optim::{Curvature, Lbfgs, LbfgsConfig, Stopping};
///
/// let config = LbfgsConfig { curvature: Curvature::damp(), stopping: Stopping::never(), ..LbfgsConfig::default() };
/// let mut memory = [0.0; Lbfgs::<4>::memory_len(1)];
/// let mut lbfgs = Lbfgs::<4>::new(config, 1, &mut memory)?;
/// let mut x = [5.0f32];
/// for batch in [0.9f32, 1.1, 1.0, 1.05, 0.95] {
///     let mut loss = objective::from_fn(1, |x: &[f32], g: &mut [f32]| {
///         g[0] = x[0] - batch;
///         0.5 * g[0] * g[0]
///     });
///     lbfgs.objective_changed();
///     lbfgs.step(&mut loss, &mut x)?;
/// }
/// assert!((x[0] - 1.0).abs() < 0.1);
/// # Ok::<(), secant::optim::Misuse>(())
/// ```
#[derive(Debug)]
pub struct Lbfgs<'m, const M: usize, R: Real = f32> {
    dimension: usize,
    settings: Settings<R>,
    descent: Descent<'m, R>,
    history: History<'m, M, R>,
}

impl<'m, const M: usize, R: Real> Lbfgs<'m, M, R> {
    /// Numbers of memory for n variables: `(2 M + 5) n`.
    pub const fn memory_len(n: usize) -> usize {
        Descent::<R>::memory_len(n) + History::<M, R>::memory_len(n)
    }

    /// An optimiser of n variables without pairs. `memory` needs [`memory_len(n)`](Self::memory_len) numbers; what they
    /// are does not matter.
    ///
    /// # Errors
    /// [`Misuse`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: LbfgsConfig<R>,
        dimension: usize,
        memory: &'m mut [R],
    ) -> Result<Self, Misuse> {
        config.line_search.check()?;
        config.curvature.check()?;
        if !(config.first_step > R::ZERO && config.first_step.is_finite()) {
            return Err(Misuse::OutOfRange {
                setting: "first_step",
            });
        }
        let memory = check_memory(memory, Self::memory_len(dimension))?;
        let (descent, memory) = Descent::new(dimension, memory);
        let history = History::new(config.curvature, dimension, memory);
        let LbfgsConfig {
            line_search,
            first_step,
            stopping,
            ..
        } = config;
        Ok(Self {
            dimension,
            settings: Settings {
                line_search,
                first_step,
                stopping,
            },
            descent,
            history,
        })
    }

    /// Runs from `x` until a rule of [`Stopping`] ends it; `x` then is the best point seen. Starts without pairs.
    ///
    /// # Errors
    /// [`Misuse`] when a length is wrong. Not converging is not an error: see [`Report::termination`].
    pub fn minimize(
        &mut self,
        objective: &mut impl Objective<R>,
        x: &mut [R],
    ) -> Result<Report<R>, Misuse> {
        self.minimize_with(objective, x, |_, _| ControlFlow::Continue(()))
    }

    /// [`minimize`](Self::minimize), calling `callback` with each step and its point; [`ControlFlow::Break`] ends the run.
    ///
    /// # Errors
    /// As [`minimize`](Self::minimize).
    pub fn minimize_with(
        &mut self,
        objective: &mut impl Objective<R>,
        x: &mut [R],
        callback: impl FnMut(&Step<R>, &[R]) -> ControlFlow<()>,
    ) -> Result<Report<R>, Misuse> {
        check_dimensions(self.dimension, objective, x)?;
        Ok(self
            .descent
            .minimize(&self.settings, &mut self.history, objective, x, callback))
    }

    /// One iteration from `x`, which it moves. Once a step has ended the run, further steps do nothing until
    /// [`objective_changed`](Self::objective_changed) or [`reset`](Self::reset).
    ///
    /// Evaluates at most `2 (line search's worst case + 1) + 1` times: it may have to start anew at `x` and may try steepest
    /// descent as well.
    ///
    /// # Errors
    /// [`Misuse`] when a length is wrong.
    pub fn step(
        &mut self,
        objective: &mut impl Objective<R>,
        x: &mut [R],
    ) -> Result<Step<R>, Misuse> {
        check_dimensions(self.dimension, objective, x)?;
        Ok(self
            .descent
            .step(&self.settings, &mut self.history, objective, x))
    }

    /// Says that the next [`step`](Self::step) meets another objective, or another point, than the last one left. Keeps the
    /// pairs and the counts, and lifts a termination.
    pub fn objective_changed(&mut self) {
        self.descent.objective_changed();
    }

    /// Puts the best point since the last change of objective into `x`, and reports on all steps since the last reset.
    ///
    /// # Errors
    /// [`Misuse`] when the length is wrong.
    pub fn finish(&mut self, x: &mut [R]) -> Result<Report<R>, Misuse> {
        if x.len() != self.dimension {
            return Err(Misuse::WrongDimension {
                expected: self.dimension,
                found: x.len(),
            });
        }
        Ok(self.descent.finish(x))
    }

    /// Forgets pairs, counts and point.
    pub fn reset(&mut self) {
        self.descent.reset();
        self.history.reset(R::ONE);
    }

    /// Forgets the pairs only.
    pub fn forget_pairs(&mut self) {
        self.history.reset(R::ONE);
    }

    /// The pairs that are stored, from oldest to newest.
    pub fn pairs(&self) -> heapless::Vec<Pair<'_, R>, M> {
        self.history.pairs()
    }

    /// h of `H0 = h I`.
    pub fn initial_scale(&self) -> R {
        self.history.scale()
    }

    /// The gradient at the current point.
    pub fn gradient(&self) -> &[R] {
        self.descent.gradient()
    }
}
