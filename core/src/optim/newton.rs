//! Newton's method as it is first written: the whole Hessian, solved densely.

use core::ops::ControlFlow;

use super::descent::{Step, check_dimensions};
use super::ldl::{Inertia, ldl, ldl_solve};
use super::region::{Everywhere, Region};
use super::termination::{First, Now, Report, Stopping, Termination, relative_length};
use crate::error::{ConfigError, check_memory, split};
use crate::line_search::{LineSearch, MoreThuente, Probe};
use crate::objective::HessianProduct;
use crate::real::Real;
use crate::vector;

/// The settings of [`Newton`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NewtonConfig<R> {
    /// How far to go along each step; `None` takes it whole, whatever becomes of the value. Default
    /// [`MoreThuente`] with c2 = 0.9.
    pub line_search: Option<LineSearch<R>>,
    /// Whether a Hessian that is not positive definite gets a multiple of the identity added until
    /// it is. Without, the step leads to where the gradient of the quadratic model is zero, be that
    /// a saddle or a maximum. Default true.
    pub shift: bool,
    /// When to stop.
    pub stopping: Stopping<R>,
}

impl<R: Real> Default for NewtonConfig<R> {
    fn default() -> Self {
        Self {
            line_search: Some(LineSearch::MoreThuente(MoreThuente {
                c2: R::of(0.9),
                ..MoreThuente::default()
            })),
            shift: true,
            stopping: Stopping::default(),
        }
    }
}

impl<R: Real> NewtonConfig<R> {
    /// The textbook's first form, `x - H^-1 g`, and nothing else: quadratic convergence near a
    /// minimum, and no idea of where that is.
    pub fn pure() -> Self {
        Self {
            line_search: None,
            shift: false,
            ..Self::default()
        }
    }
}

/// Newton's method with a dense Hessian: `x - H^-1 g`, with and without what keeps it from going
/// astray.
///
/// ```text
/// H = [H e_1 ... H e_n]                          n products
/// H + t I = L D L',  t = 0, then (shift)  t = max(2 t, b, b - min h_jj)    until all pivots are > 0
/// p = -(H + t I)^-1 g                            b = 0.001 max_j |h_jj|
/// x = x + a p                                    a by a line search, or 1
/// ```
///
/// A step costs n products, `n^3 / 6` multiply-adds for each factorisation, and `n^2` numbers of
/// memory. That is why nobody trains networks with it: it is here so that this cost, and what an
/// indefinite Hessian does to the bare step, can be run and seen. For more than some hundred variables
/// take [`NewtonCg`](super::NewtonCg), which needs no matrix, or [`Lbfgs`](super::Lbfgs).
///
/// Products are not counted as evaluations. Source: J. Nocedal and S. Wright, *Numerical
/// Optimization*, 2nd ed. (2006), section 3.4, with root-free factors.
///
/// ```
/// use secant::objective;
/// use secant::optim::{Newton, NewtonConfig};
///
/// // f = x^4 / 4 - x^2 / 2 + y^2: a saddle at 0, minima at x = -1 and 1.
/// let mut wells = objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
///     (g[0], g[1]) = (x[0].powi(3) - x[0], 2.0 * x[1]);
///     x[0].powi(4) / 4.0 - x[0] * x[0] / 2.0 + x[1] * x[1]
/// })
/// .with_hessian_product(|x: &[f64], v: &[f64], product: &mut [f64]| {
///     (product[0], product[1]) = ((3.0 * x[0] * x[0] - 1.0) * v[0], 2.0 * v[1]);
/// });
/// let mut memory = [0.0; Newton::<f64>::memory_len(2)];
/// let mut ends = [0.0; 2];
/// for (end, config) in ends.iter_mut().zip([NewtonConfig::pure(), NewtonConfig::default()]) {
///     let mut x = [0.1, 1.0];
///     let mut newton = Newton::new(config, 2, &mut memory)?;
///     newton.minimize(&mut wells, &mut x)?;
///     *end = x[0];
/// }
/// assert!(ends[0].abs() < 1e-6, "the bare step goes up, to the saddle");
/// assert!((ends[1].abs() - 1.0).abs() < 1e-4, "shifted and searched, it goes down");
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Newton<'m, R: Real = f32> {
    config: NewtonConfig<R>,
    dimension: usize,
    /// H on and above the diagonal, L below.
    matrix: &'m mut [R],
    /// The diagonal of H + t I.
    diagonal: &'m mut [R],
    /// D.
    pivots: &'m mut [R],
    gradient: &'m mut [R],
    /// p.
    step: &'m mut [R],
    /// The gradient at the trial point; a unit vector.
    other: &'m mut [R],
    /// The point before the search.
    origin: &'m mut [R],
    inertia: Option<Inertia>,
    value: R,
    norm: R,
    first: First<R>,
    stale: bool,
    iterations: u32,
    evaluations: u32,
    termination: Option<Termination>,
}

impl<'m, R: Real> Newton<'m, R> {
    /// Numbers of memory for n variables: `n^2 + 6 n`.
    pub const fn memory_len(n: usize) -> usize {
        n.saturating_mul(n).saturating_add(n.saturating_mul(6))
    }

    /// An optimiser of n variables. `memory` needs [`memory_len(n)`](Self::memory_len) numbers;
    /// what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: NewtonConfig<R>,
        dimension: usize,
        memory: &'m mut [R],
    ) -> Result<Self, ConfigError> {
        if let Some(search) = &config.line_search {
            search.check()?;
        }
        config.stopping.check()?;
        let memory = check_memory(memory, Self::memory_len(dimension))?;
        let (matrix, memory) = split(memory, dimension * dimension);
        let (diagonal, memory) = split(memory, dimension);
        let (pivots, memory) = split(memory, dimension);
        let (gradient, memory) = split(memory, dimension);
        let (step, memory) = split(memory, dimension);
        let (other, origin) = split(memory, dimension);
        Ok(Self {
            config,
            dimension,
            matrix,
            diagonal,
            pivots,
            gradient,
            step,
            other,
            origin,
            inertia: None,
            value: R::NAN,
            norm: R::NAN,
            first: First::UNKNOWN,
            stale: true,
            iterations: 0,
            evaluations: 0,
            termination: None,
        })
    }

    /// Runs from `x` until a rule of [`Stopping`] ends it. With a line search, `x` then is the best
    /// point seen; without, the last one.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong. Not converging is not an error: see
    /// [`Report::termination`].
    pub fn minimize(
        &mut self,
        objective: &mut impl HessianProduct<R>,
        x: &mut [R],
    ) -> Result<Report<R>, ConfigError> {
        self.minimize_with(objective, x, |_, _| ControlFlow::Continue(()))
    }

    /// [`minimize`](Self::minimize), calling `callback` with each step and its point;
    /// [`ControlFlow::Break`] ends the run.
    ///
    /// # Errors
    /// As [`minimize`](Self::minimize).
    pub fn minimize_with(
        &mut self,
        objective: &mut impl HessianProduct<R>,
        x: &mut [R],
        mut callback: impl FnMut(&Step<R>, &[R]) -> ControlFlow<()>,
    ) -> Result<Report<R>, ConfigError> {
        self.objective_changed();
        (self.iterations, self.evaluations) = (0, 0);
        loop {
            let before = self.iterations;
            let step = self.step(objective, x)?;
            if self.iterations != before && callback(&step, x).is_break() {
                self.termination.get_or_insert(Termination::StoppedByCaller);
            }
            if self.termination.is_some() {
                return Ok(self.report());
            }
        }
    }

    /// Says that the next [`step`](Self::step) meets another objective or point. Keeps the counts,
    /// and lifts a termination.
    pub fn objective_changed(&mut self) {
        self.stale = true;
        self.termination = None;
    }

    /// One iteration from `x`, which it moves. Once a step has ended the run, further steps do
    /// nothing until [`objective_changed`](Self::objective_changed).
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong.
    pub fn step(
        &mut self,
        objective: &mut impl HessianProduct<R>,
        x: &mut [R],
    ) -> Result<Step<R>, ConfigError> {
        check_dimensions(self.dimension, objective, x)?;
        if self.termination.is_none() {
            self.begin(objective, x);
        }
        let mut length = R::ZERO;
        if self.termination.is_none() {
            let before = self.value;
            if self.solve(objective, x)? {
                length = match self.config.line_search {
                    Some(search) => self.search(&search, objective, x),
                    None => self.whole_step(objective, x),
                };
            } else {
                self.termination = Some(Termination::LineSearchFailed);
            }
            if length > R::ZERO && self.termination.is_none() {
                self.iterations = self.iterations.saturating_add(1);
                self.check_end(Some(before), x);
            }
        }
        Ok(Step {
            iteration: self.iterations,
            evaluations: self.evaluations,
            value: self.value,
            gradient_norm: self.norm,
            step_length: length,
            verdict: None,
            termination: self.termination,
        })
    }

    fn begin(&mut self, objective: &mut impl HessianProduct<R>, x: &[R]) {
        let stopping = self.config.stopping;
        if self.stale {
            self.value = objective.value_and_gradient(x, self.gradient);
            self.evaluations = self.evaluations.saturating_add(1);
            self.norm = vector::norm2(self.gradient);
            if !(self.value.is_finite() && self.norm.is_finite()) {
                self.termination = Some(Termination::NotFinite);
                return;
            }
            self.stale = false;
            self.first = First {
                value: self.value,
                promise: Everywhere.promise(x, self.gradient),
                norm: self.norm,
            };
            self.check_end(None, x);
        }
        if self.termination.is_none() && self.iterations >= stopping.max_iterations {
            self.termination = Some(Termination::IterationLimit);
        }
        if self.termination.is_none() && self.evaluations >= stopping.max_evaluations {
            self.termination = Some(Termination::EvaluationLimit);
        }
    }

    /// Ends the run if it has converged, or never will.
    fn check_end(&mut self, before: Option<R>, x: &[R]) {
        let now = Now {
            value: self.value,
            norm: self.norm,
            promise: Everywhere.promise(x, self.gradient),
        };
        let moved = before.map_or(R::INFINITY, |_| relative_length(self.step, x));
        let stopping = self.config.stopping;
        let ended = stopping.reached(&self.first, &now, moved);
        self.termination = ended.or_else(|| {
            let before = before?;
            if self.first.is_unbounded(self.value, x, self.step) {
                return Some(Termination::Unbounded);
            }
            stopping.small_change(before, self.value, moved)
        });
    }

    /// Finds H and p. False where there is none: the Hessian is singular, or not finite.
    fn solve(
        &mut self,
        objective: &mut impl HessianProduct<R>,
        x: &[R],
    ) -> Result<bool, ConfigError> {
        let n = self.dimension;
        for (j, row) in self.matrix.chunks_exact_mut(n.max(1)).enumerate() {
            self.other.fill(R::ZERO);
            if let Some(one) = self.other.get_mut(j) {
                *one = R::ONE;
            }
            objective.hessian_product(x, self.other, row);
        }
        let (mut size, mut least) = (R::ZERO, R::INFINITY);
        for h in self.matrix.iter().step_by(n + 1) {
            size = size.larger(h.abs());
            least = least.smaller(*h);
        }
        let shortest = R::of(1e-3) * size;
        let mut shift = R::ZERO;
        // Each try doubles the shift, which need not go beyond n times the largest element.
        for _ in 0..64 {
            let own = self.matrix.iter().step_by(n + 1);
            for (target, h) in self.diagonal.iter_mut().zip(own) {
                *target = *h + shift;
            }
            let inertia = ldl(self.matrix, self.diagonal, self.pivots)?;
            if shift == R::ZERO {
                self.inertia = Some(inertia);
            }
            let usable = match inertia {
                Inertia::PositiveDefinite => true,
                Inertia::Indefinite(_) => !self.config.shift,
                Inertia::Breakdown => false,
            };
            if usable {
                vector::negate(self.gradient, self.step);
                ldl_solve(self.matrix, self.pivots, self.step)?;
                return Ok(vector::norm2(self.step).is_finite());
            }
            if !self.config.shift || !size.is_finite() {
                return Ok(false);
            }
            let tiny = R::MIN_POSITIVE.sqrt();
            shift = (shift + shift)
                .larger(shortest)
                .larger(shortest - least)
                .larger(tiny);
        }
        Ok(false)
    }

    /// `x + p`. Returns its length.
    fn whole_step(&mut self, objective: &mut impl HessianProduct<R>, x: &mut [R]) -> R {
        vector::axpy(R::ONE, self.step, x);
        self.value = objective.value_and_gradient(x, self.gradient);
        self.evaluations = self.evaluations.saturating_add(1);
        self.norm = vector::norm2(self.gradient);
        if !(self.value.is_finite() && self.norm.is_finite()) {
            self.termination = Some(Termination::NotFinite);
        }
        vector::norm2(self.step)
    }

    /// Searches along p. Returns the length of the step.
    fn search(
        &mut self,
        search: &LineSearch<R>,
        objective: &mut impl HessianProduct<R>,
        x: &mut [R],
    ) -> R {
        let mut slope = vector::dot(self.gradient, self.step);
        if !(slope < R::ZERO && slope.is_finite()) {
            // Only without the shift, or where rounding is all that is left.
            vector::negate(self.gradient, self.step);
            slope = -self.norm * self.norm;
        }
        vector::copy(x, self.origin);
        let start = Probe {
            step: R::ZERO,
            value: self.value,
            slope,
        };
        let (origin, direction, gradient) = (&*self.origin, &*self.step, &mut *self.other);
        let found = search.search(start, R::ONE, &mut |step: R| {
            vector::add_scaled(step, origin, direction, x);
            let value = objective.value_and_gradient(x, gradient);
            Probe {
                step,
                value,
                slope: vector::dot(gradient, direction),
            }
        });
        self.evaluations = self.evaluations.saturating_add(found.evaluations);
        // Nor is a NaN lower.
        let lower = found.lowest.value < self.value;
        if !lower {
            vector::copy(self.origin, x);
            let noise = self.config.stopping.noise(self.value, x, self.gradient);
            let small = slope.abs() <= noise || found.stands_still(noise);
            self.termination = Some(match small {
                true => Termination::NoiseLevel,
                false => Termination::LineSearchFailed,
            });
            return R::ZERO;
        }
        if found.lowest.step != found.last.step {
            vector::add_scaled(found.lowest.step, self.origin, self.step, x);
            objective.value_and_gradient(x, self.other);
            self.evaluations = self.evaluations.saturating_add(1);
        }
        self.value = found.lowest.value;
        vector::copy(self.other, self.gradient);
        self.norm = vector::norm2(self.gradient);
        vector::scale(found.lowest.step, self.step);
        vector::norm2(self.step)
    }

    /// What the last step found of the Hessian, before any shift.
    pub const fn inertia(&self) -> Option<Inertia> {
        self.inertia
    }

    /// The report on the run.
    pub fn report(&self) -> Report<R> {
        Report {
            termination: self.termination.unwrap_or(Termination::StoppedByCaller),
            value: self.value,
            gradient_norm: self.norm,
            iterations: self.iterations,
            evaluations: self.evaluations,
            restarts: 0,
            accepted: 0,
            damped: 0,
            skipped: 0,
        }
    }
}
