//! The Levenberg-Marquardt method in Moré's form, with bounds and robust losses.

use core::ops::ControlFlow;

use super::bounds::Bounds;
use super::differences::Differences;
use super::local_model::{Foreseen, LocalModel};
use super::residuals::Residuals;
use super::robust::Robust;
use super::status::{FitReport, FitStatus};
use crate::error::{ConfigError, check_length, check_memory, check_range, split};
use crate::real::Real;
use crate::vector;

/// The settings of [`LevenbergMarquardt`]. A tolerance of zero switches its rule off.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LevenbergMarquardtConfig<R> {
    /// What is summed. Default [`Robust::Squares`].
    pub robust: Robust<R>,
    /// How derivatives are estimated where there are none. Default [`Differences::Forward`].
    pub differences: Differences,
    /// See [`FitStatus::GradientConverged`]. Default 1e-10 for `f64`, 1e-6 for `f32`.
    pub gradient_tolerance: R,
    /// See [`FitStatus::OffsetConverged`]. Default 1e-8 for `f64`, 1e-4 for `f32`.
    pub offset_tolerance: R,
    /// See [`FitStatus::StepConverged`]. Default 1e-8 for `f64`, 1e-5 for `f32`.
    pub step_tolerance: R,
    /// The first radius as a multiple of |D x|, or itself where that is zero. Positive, default 1:
    /// the first step changes x by about as much as it is. MINPACK's is 100, by which a far start
    /// may leave for a plateau at once.
    pub radius: R,
    /// Most evaluations of the residuals, those of differences included: no point is tried once
    /// this many were made. Default 10,000.
    pub max_evaluations: u32,
}

impl<R: Real> Default for LevenbergMarquardtConfig<R> {
    fn default() -> Self {
        let (gradient, offset, step) = if R::EPSILON < R::of(1e-10) {
            (1e-10, 1e-8, 1e-8)
        } else {
            (1e-6, 1e-4, 1e-5)
        };
        Self {
            robust: Robust::Squares,
            differences: Differences::Forward,
            gradient_tolerance: R::of(gradient),
            offset_tolerance: R::of(offset),
            step_tolerance: R::of(step),
            radius: R::ONE,
            max_evaluations: 10_000,
        }
    }
}

impl<R: Real> LevenbergMarquardtConfig<R> {
    fn check(&self) -> Result<(), ConfigError> {
        self.robust.check()?;
        let tolerances = [
            ("gradient_tolerance", self.gradient_tolerance),
            ("offset_tolerance", self.offset_tolerance),
            ("step_tolerance", self.step_tolerance),
        ];
        for (field, tolerance) in tolerances {
            let inside = tolerance >= R::ZERO && tolerance < R::ONE;
            check_range(field, tolerance.to_f64(), "in [0, 1)", inside)?;
        }
        let inside = self.radius > R::ZERO && self.radius.is_finite();
        check_range(
            "radius",
            self.radius.to_f64(),
            "positive and finite",
            inside,
        )
    }
}

/// Levenberg-Marquardt: the least sum of squares of residuals r(x), by a linear model of them that
/// is trusted in an ellipsoid.
///
/// ```text
/// F(x) = |r(x)|^2 / 2
/// p = argmin |r + J p|^2   with   |D p| <= radius,  lower <= x + p <= upper
/// ```
///
/// D holds the largest norm that each column of J has had, so the units of the variables do not
/// matter. J is factored once a step, by reflections with column pivoting; each radius then costs
/// some n^3 (Moré's search for the damping). A step is taken when F falls by at least 1e-4 of what
/// the model predicts. The radius becomes twice the step when three quarters of the decrease come
/// true, or a quarter of an undamped step's, and shrinks to between a tenth and a half, by
/// interpolation, when no more than a quarter does.
///
/// **Bent steps.** Where the valley of F is curved, the straight model allows short steps only. How
/// r bends along the last step (or along a trial that was no better) follows from values that are
/// known anyway, `r(x - s) - r(x) + J s`, so p gets a second-order term at no evaluation. It is the
/// geodesic acceleration of M. Transtrum and J. Sethna (*Improvements to the Levenberg-Marquardt
/// algorithm for nonlinear least-squares minimization*, arXiv:1201.5885), whose source of the bend
/// is one more evaluation a step. It is left out where p and s differ by more than 37 degrees.
///
/// **Bounds.** Variables at a bound, with the gradient pushing outwards, stay. The model is solved
/// for the others; where its path meets a bound first, that variable is put there, and the model is
/// solved again for the rest, at most n times. Each time the model's value falls. What bends beyond
/// a bound is projected onto it. Every point that is evaluated is inside, those of differences too,
/// and a variable at its bound is there exactly. This is an active-set method (Å. Björck,
/// *Numerical Methods for Least Squares Problems* (1996), section 5.2) inside Moré's trust region.
///
/// Source: J. Moré, *The Levenberg-Marquardt algorithm: implementation and theory*, Lecture Notes
/// in Mathematics 630 (1978), whose rules for the radius MINPACK has.
///
/// ```
/// use secant::least_squares::{self, LevenbergMarquardt, LevenbergMarquardtConfig};
///
/// // y = a (1 - exp(-b t)), from five measurements.
/// let (t, y) = ([1.0, 2.0, 4.0, 6.0, 9.0], [2.9, 4.8, 7.2, 8.4, 9.4]);
/// let mut growth = least_squares::from_fn(2, 5, |x: &[f64], residuals: &mut [f64]| {
///     for (r, (t, y)) in residuals.iter_mut().zip(t.iter().zip(y)) {
///         *r = x[0] * (1.0 - libm::exp(-x[1] * t)) - y;
///     }
/// });
/// let mut memory = [0.0; LevenbergMarquardt::<f64>::memory_len(2, 5)];
/// let config = LevenbergMarquardtConfig::default();
/// let mut method = LevenbergMarquardt::new(config, 2, 5, &mut memory)?;
/// let mut x = [5.0, 1.0];
/// let report = method.fit(&mut growth, &mut x)?;
/// assert!(report.is_converged());
/// assert!((x[0] - 9.794804).abs() < 1e-5 && (x[1] - 0.336109).abs() < 1e-5);
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct LevenbergMarquardt<'m, R: Real = f32> {
    pub(super) config: LevenbergMarquardtConfig<R>,
    pub(super) n: usize,
    pub(super) m: usize,
    pub(super) bounds: Bounds<'m, R>,
    pub(super) model: LocalModel<'m, R>,
    /// r.
    pub(super) residuals: &'m mut [R],
    /// r at the trial point, and scratch.
    pub(super) trial: &'m mut [R],
    /// The trial point.
    point: &'m mut [R],
    /// f.
    size: R,
    cosine: R,
    /// The largest |J_j| |x_j|: what rounding x changes the residuals by, divided by `EPSILON`.
    reach: R,
    radius: R,
    pub(super) stale: bool,
    iterations: u32,
    pub(super) evaluations: u32,
    jacobians: u32,
    status: Option<FitStatus>,
}

impl<'m, R: Real> LevenbergMarquardt<'m, R> {
    /// Numbers of memory for m residuals of n variables: `m n + 3 m + 3 n^2 + 18 n`.
    pub const fn memory_len(n: usize, m: usize) -> usize {
        let own = m.saturating_mul(2).saturating_add(n);
        own.saturating_add(LocalModel::<R>::memory_len(n, m))
    }

    /// A fit of `n` variables to `m` residuals, without bounds. `memory` needs
    /// [`memory_len(n, m)`](Self::memory_len) numbers; what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: LevenbergMarquardtConfig<R>,
        n: usize,
        m: usize,
        memory: &'m mut [R],
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let memory = check_memory(memory, Self::memory_len(n, m))?;
        let (residuals, memory) = split(memory, m);
        let (trial, memory) = split(memory, m);
        let (point, memory) = split(memory, n);
        Ok(Self {
            config,
            n,
            m,
            bounds: Bounds::NONE,
            model: LocalModel::new(n, m, memory),
            residuals,
            trial,
            point,
            size: R::NAN,
            cosine: R::NAN,
            reach: R::NAN,
            radius: R::NAN,
            stale: true,
            iterations: 0,
            evaluations: 0,
            jacobians: 0,
            status: None,
        })
    }

    /// Adds bounds; an infinity is none, equal bounds fix a variable.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is not n, a lower bound is above its upper one or a NaN, or
    /// both are the same infinity.
    pub fn with_bounds(mut self, lower: &'m [R], upper: &'m [R]) -> Result<Self, ConfigError> {
        self.bounds = Bounds::new(self.n, lower, upper)?;
        Ok(self)
    }

    /// Runs from `x` until a rule of [`FitStatus`] ends it; `x` then is the best point seen, and
    /// the report's value belongs to it.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong. Not converging is not an error: see
    /// [`FitReport::status`].
    pub fn fit(
        &mut self,
        problem: &mut impl Residuals<R>,
        x: &mut [R],
    ) -> Result<FitReport<R>, ConfigError> {
        self.fit_with(problem, x, |_, _| ControlFlow::Continue(()))
    }

    /// [`fit`](Self::fit), calling `callback` after each step, with the point it led to;
    /// [`ControlFlow::Break`] ends the run.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_with(
        &mut self,
        problem: &mut impl Residuals<R>,
        x: &mut [R],
        mut callback: impl FnMut(&FitReport<R>, &[R]) -> ControlFlow<()>,
    ) -> Result<FitReport<R>, ConfigError> {
        self.reset();
        loop {
            let before = self.iterations;
            let report = self.step(problem, x)?;
            let stopped = report.iterations > before && callback(&report, x).is_break();
            if stopped && self.status.is_none() {
                self.status = Some(FitStatus::StoppedByCaller);
            }
            if self.status.is_some() {
                return Ok(self.report());
            }
        }
    }

    /// Forgets point, scaling, radius and counts, and lifts a status.
    pub fn reset(&mut self) {
        self.stale = true;
        self.status = None;
        (self.iterations, self.evaluations, self.jacobians) = (0, 0, 0);
    }

    /// One step from `x`, which it moves: a Jacobian, and trial points until one is better. Once
    /// the fit has ended, further steps do nothing until [`reset`](Self::reset).
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong.
    pub fn step(
        &mut self,
        problem: &mut impl Residuals<R>,
        x: &mut [R],
    ) -> Result<FitReport<R>, ConfigError> {
        self.check_lengths(problem, x)?;
        if self.status.is_none() && self.stale {
            self.status = self.begin(problem, x).err();
        }
        if self.status.is_none() {
            let linear = self.linearise(problem, x);
            self.status = linear.and_then(|()| self.advance(problem, x)).err();
        }
        Ok(self.report())
    }

    /// Where the fit stands.
    pub fn report(&self) -> FitReport<R> {
        FitReport {
            status: self.status,
            value: R::HALF * self.size * self.size,
            gradient: self.cosine,
            iterations: self.iterations,
            evaluations: self.evaluations,
            jacobians: self.jacobians,
            damping: self.model.damping(),
        }
    }

    pub(super) fn check_lengths(
        &self,
        problem: &impl Residuals<R>,
        x: &[R],
    ) -> Result<(), ConfigError> {
        check_length("x", self.n, x.len())?;
        check_length("variables", self.n, problem.variables())?;
        check_length("residuals", self.m, problem.count())
    }

    /// Evaluates the start, the nearest point to `x` within the bounds.
    fn begin(&mut self, problem: &mut impl Residuals<R>, x: &mut [R]) -> Result<(), FitStatus> {
        self.bounds.enter(x);
        self.model.reset();
        (self.size, self.cosine, self.radius) = (R::NAN, R::NAN, R::NAN);
        if !x.iter().all(|x| x.is_finite()) {
            return Err(FitStatus::NotFinite);
        }
        problem.residuals(x, self.residuals);
        self.evaluations = self.evaluations.saturating_add(1);
        self.size = self.config.robust.size(self.residuals);
        if !self.size.is_finite() {
            return Err(FitStatus::NotFinite);
        }
        self.stale = false;
        Ok(())
    }

    /// Writes J at `x`, where the residuals are known.
    pub(super) fn differentiate(&mut self, problem: &mut impl Residuals<R>, x: &[R]) {
        let mut jacobian = self.model.jacobian();
        jacobian.fill(R::ZERO);
        if !problem.jacobian(x, &mut jacobian) {
            let evaluations = self.config.differences.jacobian(
                problem,
                self.bounds,
                x,
                self.residuals,
                &mut jacobian,
                self.point,
                self.trial,
            );
            self.evaluations = self.evaluations.saturating_add(evaluations);
        }
        self.jacobians = self.jacobians.saturating_add(1);
    }

    /// The linear model at `x`, and the rules that need no step.
    fn linearise(&mut self, problem: &mut impl Residuals<R>, x: &[R]) -> Result<(), FitStatus> {
        if self.size == R::ZERO {
            self.cosine = R::ZERO;
            return Err(FitStatus::ZeroResiduals);
        }
        self.differentiate(problem, x);
        let robust = self.config.robust;
        let (residuals, size) = (&*self.residuals, self.size);
        let slopes = self
            .model
            .read(robust, self.bounds, x, residuals, size, self.trial)
            .ok_or(FitStatus::NotFinite)?;
        (self.cosine, self.reach) = (slopes.cosine, slopes.reach);
        if slopes.flat && self.n > 0 {
            return Err(FitStatus::Flat);
        }
        if slopes.cosine <= self.config.gradient_tolerance {
            return Err(FitStatus::GradientConverged);
        }
        if size <= R::EPSILON * slopes.reach {
            return Err(FitStatus::ZeroResiduals);
        }
        self.model.factor(robust, residuals, self.trial);
        if self.radius.is_nan() {
            let length = self.model.scaled_norm(x);
            self.radius = self.config.radius * if length > R::ZERO { length } else { R::ONE };
        }
        Ok(())
    }

    /// The point that the step leads to, inside the bounds; the step becomes what that is.
    fn go(&mut self, x: &[R]) {
        vector::add_scaled(R::ONE, x, self.model.step, self.point);
        for (j, point) in self.point.iter_mut().enumerate() {
            let stopped = self.model.stopped(j);
            if stopped < R::ZERO {
                *point = self.bounds.lower(j);
            } else if stopped > R::ZERO {
                *point = self.bounds.upper(j);
            }
        }
        self.bounds.enter(self.point);
        vector::add_scaled(-R::ONE, self.point, x, self.model.step);
    }

    /// Tries steps until one is better, and the rules that judge a step.
    fn advance(&mut self, problem: &mut impl Residuals<R>, x: &mut [R]) -> Result<(), FitStatus> {
        let robust = self.config.robust;
        let size_of_x = self.model.scaled_norm(x);
        let mut failure = None;
        loop {
            let foreseen = self.model.foresee(self.bounds, x, self.radius, self.size);
            let Foreseen {
                length,
                predicted,
                undamped,
            } = foreseen;
            let tolerance = self.config.offset_tolerance;
            if undamped && predicted <= tolerance * tolerance {
                return Err(FitStatus::OffsetConverged);
            }
            if undamped && length <= self.config.step_tolerance * size_of_x {
                return Err(FitStatus::StepConverged);
            }
            // What it means if nothing comes of all trials from here: decided by the first.
            let noise = predicted <= R::EPSILON.sqrt()
                || predicted.sqrt() * self.size <= R::of(64.0) * R::EPSILON * self.reach;
            let failure = *failure.get_or_insert(if noise {
                FitStatus::NoiseLevel
            } else {
                FitStatus::NoDecrease
            });
            self.go(x);
            if *self.point == *x {
                return Err(failure);
            }
            if self.evaluations >= self.config.max_evaluations {
                return Err(FitStatus::EvaluationLimit);
            }
            problem.residuals(self.point, self.trial);
            self.evaluations = self.evaluations.saturating_add(1);
            if self.iterations == 0 {
                self.radius = self.radius.smaller(length);
            }
            let size = robust.size(self.trial);
            let far = size.is_nan() || R::of(0.1) * size >= self.size;
            let actual = if far {
                -R::ONE
            } else {
                (self.size - size) / self.size * ((self.size + size) / self.size)
            };
            let ratio = actual / predicted;
            self.adapt(length, actual, ratio, far, undamped);
            if !size.is_finite() {
                self.model.restrain(x, self.radius);
            }
            let taken = ratio >= R::of(1e-4);
            if taken {
                self.model.follow(self.residuals);
                vector::copy(self.point, x);
                core::mem::swap(&mut self.residuals, &mut self.trial);
                self.size = size;
                self.iterations = self.iterations.saturating_add(1);
            }
            if predicted <= R::EPSILON || predicted.is_nan() {
                let seen = actual.abs() > R::EPSILON;
                return match (taken, seen) {
                    (true, true) => Ok(()),
                    (false, true) => Err(failure),
                    (_, false) => Err(FitStatus::NoiseLevel),
                };
            }
            if taken {
                return Ok(());
            }
            self.model.learn(robust, self.residuals, self.trial);
        }
    }

    /// The radius for the next trial.
    fn adapt(&mut self, length: R, actual: R, ratio: R, far: bool, undamped: bool) {
        let quarter = R::of(0.25);
        if ratio >= R::of(0.75) || undamped && ratio > quarter {
            self.radius = length + length;
            self.model.scale_damping(R::HALF);
        } else if ratio <= quarter || ratio.is_nan() {
            let mut factor = R::HALF;
            if actual < R::ZERO {
                let slope = self.model.slope(self.size);
                factor = R::HALF * slope / (slope + R::HALF * actual);
            }
            if far || factor < R::of(0.1) || factor.is_nan() {
                factor = R::of(0.1);
            }
            self.radius = factor * self.radius.smaller(R::of(10.0) * length);
            self.model.scale_damping(R::ONE / factor);
        }
    }
}
