//! L-BFGS: quasi-Newton from the newest M pairs.

use core::ops::ControlFlow;

use super::descent::{
    Descent, FirstStep, Metric, Settings, Step, check_dimensions, descent_methods,
};
use super::history::{History, Scaling};
use super::pair::{Curvature, SecantCondition};
use super::region::Everywhere;
use super::termination::{Report, Stopping};
use super::two_loop::{Initial, Pair};
use crate::checkpoint::{self, State};
use crate::error::{ConfigError, check_length, check_memory};
use crate::line_search::{Backtracking, LineSearch, MoreThuente};
use crate::objective::Objective;
use crate::real::Real;

/// The settings of [`Lbfgs`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LbfgsConfig<R> {
    /// How far to go along each direction.
    pub line_search: LineSearch<R>,
    /// What y is. Default [`SecantCondition::Values`].
    pub secant: SecantCondition,
    /// H0. Default [`Scaling::Diagonal`].
    pub scaling: Scaling,
    /// Which pairs are stored. Default [`Curvature::skip`].
    pub curvature: Curvature<R>,
    /// The first direction. Default [`FirstStep::Estimate`].
    pub first_step: FirstStep<R>,
    /// Whether [`Lbfgs::finish`] and [`Lbfgs::minimize`] end at the best point seen (default), or
    /// else at the last one, which takes a vector less. A rejected trial may have been a little
    /// lower; on mini-batches that means nothing.
    pub keep_best: bool,
    /// When to stop.
    pub stopping: Stopping<R>,
}

impl<R: Real> Default for LbfgsConfig<R> {
    /// For deterministic functions: fewest evaluations.
    fn default() -> Self {
        Self {
            line_search: LineSearch::MoreThuente(MoreThuente::default()),
            secant: SecantCondition::Values,
            scaling: Scaling::Diagonal,
            curvature: Curvature::skip(),
            first_step: FirstStep::Estimate,
            keep_best: true,
            stopping: Stopping::default(),
        }
    }
}

impl<R: Real> LbfgsConfig<R> {
    /// The textbook's method: weak Wolfe with c2 = 0.9, `y` the difference of gradients, `H0 = (s .
    /// y / y . y) I`, a first step of length 1.
    pub fn classic() -> Self {
        Self {
            line_search: LineSearch::MoreThuente(MoreThuente {
                c2: R::of(0.9),
                ..MoreThuente::default()
            }),
            secant: SecantCondition::Gradients,
            scaling: Scaling::Scalar,
            first_step: FirstStep::Length(R::ONE),
            ..Self::default()
        }
    }

    /// For one step on each of many noisy objectives: [`classic`](Self::classic) with Armijo
    /// backtracking (one evaluation a step, mostly), Powell damping, no best point, and no rule to
    /// stop. The least memory: [`Lbfgs::mini_batch_memory_len`]. See [`Lbfgs::objective_changed`].
    pub fn mini_batch() -> Self {
        Self {
            line_search: LineSearch::Backtracking(Backtracking::default()),
            curvature: Curvature::damp(),
            keep_best: false,
            stopping: Stopping::never(),
            ..Self::classic()
        }
    }
}

impl<R: Real> LbfgsConfig<R> {
    /// Checks all of it, and returns what concerns the descent.
    pub(crate) fn settings(&self) -> Result<Settings<R>, ConfigError> {
        self.line_search.check()?;
        self.curvature.check()?;
        self.first_step.check()?;
        self.stopping.check()?;
        Ok(self.unchecked_settings())
    }

    fn unchecked_settings(&self) -> Settings<R> {
        let &Self {
            line_search,
            first_step,
            secant,
            stopping,
            ..
        } = self;
        Settings {
            line_search,
            first_step,
            secant,
            first_secant: secant,
            stopping,
        }
    }
}

/// L-BFGS with at most M pairs, in memory that the caller lends.
///
/// Each iteration goes along `-H g`, where H is the [two-loop recursion](super::two_loop) over the
/// newest M pairs and the H0 of [`Scaling`]; costs `4 M n` fused multiply-adds beside the
/// evaluations; and allocates nothing.
///
/// If no acceptable step is found, the pairs are dropped and steepest descent is tried once before
/// giving up.
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
/// # Ok::<(), secant::ConfigError>(())
/// ```
///
/// # A step at a time, and an objective that changes
///
/// [`step`](Self::step) makes one iteration and returns, for firmware that has other things to do
/// in between. Where the objective or the point changes between two steps, as from one mini-batch
/// to the next, say so with [`objective_changed`](Self::objective_changed): the next step then
/// evaluates anew at `x`, so that both gradients of its pair come from the *same* objective. The
/// pairs stay.
///
/// ```
/// use secant::objective;
/// use secant::optim::{Lbfgs, LbfgsConfig};
///
/// let mut memory = [0.0; Lbfgs::<4>::memory_len(1)];
/// let mut lbfgs = Lbfgs::<4>::new(LbfgsConfig::mini_batch(), 1, &mut memory)?;
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
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Lbfgs<'m, const M: usize, R: Real = f32> {
    dimension: usize,
    settings: Settings<R>,
    descent: Descent<'m, R>,
    region: Everywhere,
    history: History<'m, M, R>,
}

impl<'m, const M: usize, R: Real> Lbfgs<'m, M, R> {
    /// Numbers of memory for n variables, enough for all settings: `(2 M + 6) n`.
    pub const fn memory_len(n: usize) -> usize {
        let own = Descent::<R>::memory_len(n, true);
        own.saturating_add(History::<M, R>::memory_len(n, true))
    }

    /// Numbers of memory for n variables with [`LbfgsConfig::mini_batch`]: `(2 M + 4) n`. Neither a
    /// diagonal ([`Scaling::Diagonal`]) nor the best point ([`keep_best`](LbfgsConfig::keep_best))
    /// is kept; each takes n.
    pub const fn mini_batch_memory_len(n: usize) -> usize {
        let own = Descent::<R>::memory_len(n, false);
        own.saturating_add(History::<M, R>::memory_len(n, false))
    }

    /// An optimiser of n variables without pairs. `memory` needs
    /// [`memory_len(n)`](Self::memory_len) numbers, or less where the settings need less; what they
    /// are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: LbfgsConfig<R>,
        dimension: usize,
        memory: &'m mut [R],
    ) -> Result<Self, ConfigError> {
        config.settings()?;
        let diagonal = config.scaling == Scaling::Diagonal;
        let needed = Descent::<R>::memory_len(dimension, config.keep_best)
            .saturating_add(History::<M, R>::memory_len(dimension, diagonal));
        let memory = check_memory(memory, needed)?;
        Ok(Self::assemble(config, dimension, memory))
    }

    /// [`new`](Self::new) with settings and memory that are known to be right.
    pub(crate) fn assemble(config: LbfgsConfig<R>, dimension: usize, memory: &'m mut [R]) -> Self {
        let (descent, memory) = Descent::new(dimension, config.keep_best, memory);
        let history = History::new(config.curvature, config.scaling, dimension, memory);
        Self {
            dimension,
            settings: config.unchecked_settings(),
            descent,
            region: Everywhere,
            history,
        }
    }

    descent_methods!(history, R);

    /// Forgets the pairs only.
    pub fn forget_pairs(&mut self) {
        self.history.reset(R::ONE);
    }

    /// The pairs that are stored, from oldest to newest.
    pub fn pairs(&self) -> heapless::Vec<Pair<'_, R>, M> {
        self.history.pairs()
    }

    /// H0: what [`pairs`](Self::pairs) start from.
    pub fn initial(&self) -> Initial<'_, R> {
        self.history.initial()
    }

    /// All memory, in parts, some of which may be empty: what a checkpoint needs beside
    /// [`State::numbers`].
    pub fn memory(&self) -> [&[R]; 8] {
        let [gradient, direction, point, before, best] = self.descent.memory();
        let [steps, changes, diagonal] = self.history.memory();
        [
            gradient, direction, point, before, best, steps, changes, diagonal,
        ]
    }

    /// All memory, in the same parts, to be loaded from a checkpoint.
    pub fn memory_mut(&mut self) -> [&mut [R]; 8] {
        let [gradient, direction, point, before, best] = self.descent.memory_mut();
        let [steps, changes, diagonal] = self.history.memory_mut();
        [
            gradient, direction, point, before, best, steps, changes, diagonal,
        ]
    }
}

/// Beside these numbers a checkpoint needs all of the memory: load it into
/// [`memory_mut`](Lbfgs::memory_mut), or before the optimiser is made, since [`new`](Lbfgs::new)
/// leaves the memory as it is; then restore.
impl<const M: usize, R: Real> State for Lbfgs<'_, M, R> {
    /// The descent's 19, and the history's.
    const NUMBERS: usize = Descent::<R>::NUMBERS + History::<M, R>::NUMBERS;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        let values = self.descent.numbers().into_iter();
        checkpoint::put(Self::NUMBERS, values.chain(self.history.numbers()), numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        let (descent, history) = checkpoint::take::<19>(Self::NUMBERS, numbers)?;
        if !self.history.restore(history) {
            return Err(ConfigError::NotAState);
        }
        self.descent.restore(descent);
        Ok(())
    }
}
