//! The Levenberg-Marquardt method in Moré's form, with bounds and robust losses.

use core::fmt;
use core::ops::ControlFlow;

use super::bounds::Bounds;
use super::damped::{Model, Scratch};
use super::differences::Differences;
use super::matrix::Matrix;
use super::qr;
use super::residuals::Residuals;
use super::robust::Robust;
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
    /// See [`FitStatus::GradientConverged`]. Default 1e-8 for `f64`, `sqrt(EPSILON)` for `f32`.
    pub gradient_tolerance: R,
    /// See [`FitStatus::ValueConverged`]. Default as above.
    pub value_tolerance: R,
    /// See [`FitStatus::StepConverged`]. Default as above.
    pub step_tolerance: R,
    /// The first radius as a multiple of |D x|, or itself where that is zero. Positive, default 100.
    /// Less keeps a far start from being left by one wild step.
    pub radius: R,
    /// Most evaluations of the residuals, those of differences included: no point is tried once
    /// this many were made. Default 10,000.
    pub max_evaluations: u32,
}

impl<R: Real> Default for LevenbergMarquardtConfig<R> {
    fn default() -> Self {
        let tolerance = if R::EPSILON < R::of(1e-10) {
            R::of(1e-8)
        } else {
            R::EPSILON.sqrt()
        };
        Self {
            robust: Robust::Squares,
            differences: Differences::Forward,
            gradient_tolerance: tolerance,
            value_tolerance: tolerance,
            step_tolerance: tolerance,
            radius: R::of(100.0),
            max_evaluations: 10_000,
        }
    }
}

impl<R: Real> LevenbergMarquardtConfig<R> {
    fn check(&self) -> Result<(), ConfigError> {
        self.robust.check()?;
        let tolerances = [
            ("gradient_tolerance", self.gradient_tolerance),
            ("value_tolerance", self.value_tolerance),
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

/// Why a fit ended. Not converging is a status, not an error: the best point seen is returned in
/// every case.
///
/// All rules are free of scale: multiplying the residuals or a variable by a constant changes none.
/// J_j is column j of the Jacobian, |J_j| its norm, f^2 twice the value, D the scaling (the largest
/// |J_j| so far), p the step, "predicted" and "actual" its decrease of f^2 divided by f^2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FitStatus {
    /// `max_j |J_j . r| / (|J_j| f) <= gradient_tolerance`, over the variables that no bound holds:
    /// the cosine between the residuals and every column.
    GradientConverged,
    /// An undamped step brings little: predicted and |actual| are at most `value_tolerance`, and
    /// `actual <= 2 predicted`; or predicted alone is at most its square, and then the step is not
    /// tried. Also when `f <= EPSILON |(|J_j| x_j)_j|`: the residuals are zero, as near as x can be
    /// rounded.
    ValueConverged,
    /// The undamped step is short, `|D p| <= step_tolerance |D x|`. It is not tried.
    StepConverged,
    /// No step, however short, brings a decrease, though the model promises less than
    /// `sqrt(EPSILON)` of the value: nothing more can be had in this precision.
    NoiseLevel,
    /// No step, however short, brings the decrease that the model promises. Often a wrong Jacobian.
    NoDecrease,
    /// `max_evaluations` were made.
    EvaluationLimit,
    /// The start, its residuals, or the Jacobian there or at a later point, are not finite.
    NotFinite,
    /// The callback asked to stop.
    StoppedByCaller,
}

impl FitStatus {
    /// Whether one of the three convergence rules was met.
    pub const fn is_converged(self) -> bool {
        matches!(
            self,
            Self::GradientConverged | Self::StepConverged | Self::ValueConverged
        )
    }
}

impl fmt::Display for FitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GradientConverged => "converged: small gradient",
            Self::ValueConverged => "converged: small change of value",
            Self::StepConverged => "converged: short step",
            Self::NoiseLevel => "noise level reached",
            Self::NoDecrease => "no step brings a decrease",
            Self::EvaluationLimit => "evaluation limit",
            Self::NotFinite => "not finite",
            Self::StoppedByCaller => "stopped by the caller",
        })
    }
}

/// Where a fit stands, after a step and at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct FitReport<R> {
    /// Why the fit ended, if it did.
    pub status: Option<FitStatus>,
    /// Half the sum of squares, or of what [`Robust`] makes of them, at the current point.
    pub value: R,
    /// The measure of [`FitStatus::GradientConverged`] where the Jacobian was computed last.
    pub gradient: R,
    /// Steps made.
    pub iterations: u32,
    /// Evaluations of the residuals, those of differences included.
    pub evaluations: u32,
    /// Evaluations of the Jacobian.
    pub jacobians: u32,
    /// The damping of the last step; zero is a Gauss-Newton step.
    pub damping: R,
}

impl<R> FitReport<R> {
    /// Whether the fit has ended by one of the three convergence rules.
    pub fn is_converged(&self) -> bool {
        self.status.is_some_and(FitStatus::is_converged)
    }
}

impl<R: Real> fmt::Display for FitReport<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => status.fmt(f)?,
            None => f.write_str("running")?,
        }
        write!(
            f,
            " after {} steps, {} evaluations and {} Jacobians: value {}",
            self.iterations, self.evaluations, self.jacobians, self.value
        )
    }
}

/// Levenberg-Marquardt: the least sum of squares of residuals r(x), by a linear model of them that
/// is trusted in an ellipsoid.
///
/// ```text
/// F(x) = |r(x)|^2 / 2         p = argmin |r + J p|^2   with   |D p| <= radius,  lower <= x + p <= upper
/// ```
///
/// D holds the largest norm that each column of J has had, so the units of the variables do not
/// matter. J is factored once a step, by reflections with column pivoting; each radius then costs
/// some n^3 (`damped.rs`). A step is taken when F falls by at least 1e-4 of what the model
/// predicts. The radius doubles the step when three quarters of the decrease come true or the step
/// was undamped, and shrinks to between a tenth and a half of itself, by interpolation, when less
/// than a quarter does.
///
/// **Bounds.** Variables at a bound, with the gradient pushing outwards, stay. The model is solved
/// for the others; where its path meets a bound first, that variable is put there, and the model is
/// solved again for the rest, at most n times. Each such step lowers the model, every point that is
/// evaluated is inside, and a variable at its bound is there exactly. Source: Å. Björck, *Numerical
/// Methods for Least Squares Problems* (1996), section 5.2, inside Moré's trust region.
///
/// Memory: `m n + 2 m + 3 n^2 + 14 n` numbers for m residuals of n variables.
///
/// Source: J. Moré, *The Levenberg-Marquardt algorithm: implementation and theory*, Lecture Notes in
/// Mathematics 630 (1978), and MINPACK, for the radius and the stopping rules.
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
/// assert!((x[0] - 10.0).abs() < 0.2 && (x[1] - 0.33).abs() < 0.03);
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct LevenbergMarquardt<'m, R: Real = f32> {
    pub(super) config: LevenbergMarquardtConfig<R>,
    pub(super) n: usize,
    pub(super) m: usize,
    pub(super) bounds: Bounds<'m, R>,
    /// r.
    pub(super) residuals: &'m mut [R],
    /// r at the trial point; what the Jacobian is factored with.
    pub(super) trial: &'m mut [R],
    /// J; after the factorisation, R in its upper triangle.
    pub(super) jacobian: &'m mut [R],
    /// The triangle of the variables that move.
    pub(super) triangle: &'m mut [R],
    damped: &'m mut [R],
    right: &'m mut [R],
    /// Norms of J's columns, before the factorisation.
    columns: &'m mut [R],
    /// The diagonal of D; zero while a column was never anything else.
    scale: &'m mut [R],
    /// J'r.
    gradient: &'m mut [R],
    /// The first n elements of Q'r.
    pub(super) projected: &'m mut [R],
    /// Which variable each column of R belongs to.
    pub(super) order: &'m mut [R],
    /// The same for `triangle`.
    names: &'m mut [R],
    /// How far each variable that does not take part goes; NaN for the others.
    fixed: &'m mut [R],
    /// p.
    step: &'m mut [R],
    /// p in the order of `names`.
    part: &'m mut [R],
    /// x + p.
    pub(super) point: &'m mut [R],
    pub(super) work: [&'m mut [R]; 3],
    size: R,
    measure: R,
    radius: R,
    damping: R,
    stale: bool,
    iterations: u32,
    pub(super) evaluations: u32,
    jacobians: u32,
    status: Option<FitStatus>,
}

/// What the model says of a step. Decreases and slope are relative to f^2.
struct Foreseen<R> {
    /// |D p|.
    length: R,
    predicted: R,
}

/// The variable that an element of `order` or `names` stands for.
pub(super) fn variable<R: Real>(list: &[R], k: usize) -> usize {
    list.get(k)
        .map_or(usize::MAX, |name| name.to_f64() as usize)
}

fn element<R: Real>(list: &[R], j: usize) -> R {
    list.get(j).copied().unwrap_or(R::ZERO)
}

impl<'m, R: Real> LevenbergMarquardt<'m, R> {
    /// Numbers of memory for m residuals of n variables: `m n + 2 m + 3 n^2 + 15 n`.
    pub const fn memory_len(n: usize, m: usize) -> usize {
        m * n + 2 * m + 3 * n * n + 15 * n
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
        let (jacobian, memory) = split(memory, m * n);
        let (triangle, memory) = split(memory, n * n);
        let (damped, memory) = split(memory, 2 * n * n);
        let (right, memory) = split(memory, 2 * n);
        let (columns, memory) = split(memory, n);
        let (scale, memory) = split(memory, n);
        let (gradient, memory) = split(memory, n);
        let (projected, memory) = split(memory, n);
        let (order, memory) = split(memory, n);
        let (names, memory) = split(memory, n);
        let (fixed, memory) = split(memory, n);
        let (step, memory) = split(memory, n);
        let (part, memory) = split(memory, n);
        let (point, memory) = split(memory, n);
        let (work, memory) = split(memory, n);
        let (more, last) = split(memory, n);
        Ok(Self {
            config,
            n,
            m,
            bounds: Bounds::NONE,
            residuals,
            trial,
            jacobian,
            triangle,
            damped,
            right,
            columns,
            scale,
            gradient,
            projected,
            order,
            names,
            fixed,
            step,
            part,
            point,
            work: [work, more, last],
            size: R::NAN,
            measure: R::NAN,
            radius: R::NAN,
            damping: R::ZERO,
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

    /// Runs from `x` until a rule of [`FitStatus`] ends it; `x` then is the best point seen, and the
    /// report's value belongs to it.
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

    /// [`fit`](Self::fit), calling `callback` after each step, the last included, with the point it
    /// led to; [`ControlFlow::Break`] ends the run.
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
            if report.iterations > before
                && callback(&report, x).is_break()
                && report.status.is_none()
            {
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

    /// One step from `x`, which it moves: a Jacobian, and trial points until one is better. Once the
    /// fit has ended, further steps do nothing until [`reset`](Self::reset).
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
            let ended = self.linearise(problem, x);
            self.status = ended.and_then(|()| self.advance(problem, x)).err();
        }
        Ok(self.report())
    }

    /// Where the fit stands.
    pub fn report(&self) -> FitReport<R> {
        FitReport {
            status: self.status,
            value: R::HALF * self.size * self.size,
            gradient: self.measure,
            iterations: self.iterations,
            evaluations: self.evaluations,
            jacobians: self.jacobians,
            damping: self.damping,
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

    fn begin(&mut self, problem: &mut impl Residuals<R>, x: &mut [R]) -> Result<(), FitStatus> {
        self.bounds.enter(x);
        self.scale.fill(R::ZERO);
        (self.size, self.measure) = (R::NAN, R::NAN);
        (self.radius, self.damping) = (R::NAN, R::ZERO);
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

    /// Writes J at `x`, whose residuals are known.
    pub(super) fn derive(&mut self, problem: &mut impl Residuals<R>, x: &[R]) {
        let mut jacobian = Matrix::new(self.m, self.jacobian);
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
    }

    /// The Jacobian at `x`: its scaling, its gradient, whether to stop; its factors.
    fn linearise(&mut self, problem: &mut impl Residuals<R>, x: &[R]) -> Result<(), FitStatus> {
        self.derive(problem, x);
        self.jacobians = self.jacobians.saturating_add(1);
        let robust = self.config.robust;
        let squares = matches!(robust, Robust::Squares);
        for (trial, &r) in self.trial.iter_mut().zip(&*self.residuals) {
            *trial = if squares {
                r
            } else {
                robust.influence(r).first * r
            };
        }
        let mut jacobian = Matrix::new(self.m, self.jacobian);
        let (mut measure, mut weighted) = (R::ZERO, R::ZERO);
        for j in 0..self.n {
            let column = jacobian.column(j);
            let norm = vector::norm2(column);
            let gradient = vector::dot(column, self.trial);
            if !(norm.is_finite() && gradient.is_finite()) {
                return Err(FitStatus::NotFinite);
            }
            let x = element(x, j);
            let held = self.bounds.holds(j, x, gradient);
            if let Some(fixed) = self.fixed.get_mut(j) {
                *fixed = if held { R::ZERO } else { R::NAN };
            }
            if let Some(g) = self.gradient.get_mut(j) {
                *g = gradient;
            }
            if let Some(column) = self.columns.get_mut(j) {
                *column = norm;
            }
            if let Some(scale) = self.scale.get_mut(j) {
                *scale = scale.larger(norm);
            }
            if !held && norm > R::ZERO && gradient != R::ZERO {
                measure = measure.larger((gradient / norm / self.size).abs());
            }
            // A norm of norms: the largest is close enough.
            weighted = weighted.larger((norm * x).abs());
        }
        self.measure = measure;
        if measure <= self.config.gradient_tolerance || self.size == R::ZERO {
            return Err(FitStatus::GradientConverged);
        }
        if self.size <= R::EPSILON * weighted {
            return Err(FitStatus::ValueConverged);
        }
        if !squares {
            for (trial, &r) in self.trial.iter_mut().zip(&*self.residuals) {
                *trial = robust.factors(r).0;
            }
            for j in 0..self.n {
                vector::multiply(self.trial, jacobian.column_mut(j));
            }
            for (trial, &r) in self.trial.iter_mut().zip(&*self.residuals) {
                *trial = robust.factors(r).1 * r;
            }
        }
        for (j, order) in self.order.iter_mut().enumerate() {
            *order = R::of(j as f64);
        }
        let [norms, reference, _] = &mut self.work;
        qr::factor(&mut jacobian, self.trial, self.order, norms, reference);
        self.projected.fill(R::ZERO);
        vector::copy(self.trial, self.projected);
        if self.radius.is_nan() {
            let length = self.scaled_norm(x);
            self.radius = self.config.radius * if length > R::ZERO { length } else { R::ONE };
        }
        Ok(())
    }

    /// D_j.
    fn scale_of(&self, j: usize) -> R {
        let scale = element(self.scale, j);
        if scale > R::ZERO { scale } else { R::ONE }
    }

    /// |D x|.
    fn scaled_norm(&mut self, x: &[R]) -> R {
        for j in 0..self.n {
            let scaled = self.scale_of(j) * element(x, j);
            if let Some(work) = self.work[0].get_mut(j) {
                *work = scaled;
            }
        }
        vector::norm2(self.work[0])
    }

    /// Selects from R the columns of the variables that take part, and makes a triangle of them.
    /// Returns their number. The right-hand side goes into the third work vector, and the decrease
    /// by what the other variables do is returned.
    fn select(&mut self) -> (usize, R) {
        let (n, top) = (self.n, self.n.min(self.m));
        let [norms, reference, rhs] = &mut self.work;
        vector::copy(self.projected, rhs);
        let jacobian = Matrix::new(self.m, self.jacobian);
        let mut selected = 0;
        let mut moved = false;
        for k in 0..n {
            let j = variable(self.order, k);
            let rows = top.min(k + 1);
            let column = jacobian.column(k).get(..rows).unwrap_or_default();
            let fixed = element(self.fixed, j);
            if fixed.is_nan() {
                let mut triangle = Matrix::new(n, self.triangle);
                triangle.column_mut(selected).fill(R::ZERO);
                vector::copy(column, triangle.column_mut(selected));
                if let Some(name) = self.names.get_mut(selected) {
                    *name = element(self.order, k);
                }
                selected += 1;
            } else if fixed != R::ZERO {
                vector::axpy(fixed, column, rhs);
                moved = true;
            }
        }
        let mut decrease = R::ZERO;
        if moved {
            let (before, after) = (vector::norm2(self.projected), vector::norm2(rhs));
            decrease = (before - after) / self.size * ((before + after) / self.size);
        }
        if selected < n {
            let triangle = self.triangle.get_mut(..n * selected).unwrap_or_default();
            let names = self.names.get_mut(..selected).unwrap_or_default();
            let mut triangle = Matrix::new(n, triangle);
            qr::factor(&mut triangle, rhs, names, norms, reference);
        }
        (selected, decrease)
    }

    /// The step that the model advises, and its promise.
    fn foresee(&mut self, x: &[R]) -> Foreseen<R> {
        // Forget what an earlier radius has put at a bound.
        for j in 0..self.n {
            if let Some(fixed) = self.fixed.get_mut(j)
                && *fixed != R::ZERO
            {
                *fixed = R::NAN;
            }
        }
        loop {
            let (selected, decrease) = self.select();
            let foreseen = self.solve(selected, decrease);
            if !(self.bounds.exist() && self.stop_at_bound(x)) {
                return foreseen;
            }
        }
    }

    /// Solves the model for the selected variables.
    fn solve(&mut self, selected: usize, decrease: R) -> Foreseen<R> {
        let n = self.n;
        let mut away = R::ZERO;
        for j in 0..n {
            let fixed = element(self.fixed, j);
            if !fixed.is_nan() {
                let part = self.scale_of(j) * fixed / self.radius;
                away = part.fma(part, away);
            }
        }
        // What is left of the ellipsoid. Steps may be a tenth too long, so a little always is.
        let radius = self.radius * (R::ONE - away).larger(R::of(0.01)).sqrt();
        for k in 0..selected {
            let scale = self.scale_of(variable(self.names, k));
            if let Some(column) = self.work[1].get_mut(k) {
                *column = scale;
            }
        }
        let [work, scale, rhs] = &mut self.work;
        let triangle = Matrix::new(n, self.triangle);
        let scale = scale.get(..selected).unwrap_or_default();
        let rhs = rhs.get(..selected).unwrap_or_default();
        let part = self.part.get_mut(..selected).unwrap_or_default();
        let work = work.get_mut(..selected).unwrap_or_default();
        let model = Model {
            triangle: &triangle,
            rhs,
            scale,
        };
        let damped = self.damped.get_mut(..2 * selected * selected);
        let mut scratch = Scratch {
            damped: &mut Matrix::new(2 * selected, damped.unwrap_or_default()),
            right: self.right.get_mut(..2 * selected).unwrap_or_default(),
            work: &mut *work,
        };
        let found = model.step(radius, self.damping, part, &mut scratch);
        self.damping = found.damping;
        triangle.multiply_upper(part, work);
        let along = vector::norm2(work) / self.size;
        let across = found.damping.sqrt() * (found.length / self.size);
        let predicted = along * along + R::of(2.0) * across * across + decrease;
        for (step, &fixed) in self.step.iter_mut().zip(&*self.fixed) {
            *step = fixed;
        }
        for (k, &part) in part.iter().enumerate() {
            if let Some(step) = self.step.get_mut(variable(self.names, k)) {
                *step = part;
            }
        }
        let length = found.length;
        let share = length / self.radius;
        Foreseen {
            length: if away > R::ZERO {
                self.radius * share.fma(share, away).sqrt()
            } else {
                length
            },
            predicted,
        }
    }

    /// Puts the variable whose bound the step meets first at that bound. False if it meets none.
    fn stop_at_bound(&mut self, x: &[R]) -> bool {
        let mut first = None;
        let mut nearest = R::ONE;
        for (j, &x) in x.iter().enumerate() {
            if !element(self.fixed, j).is_nan() {
                continue;
            }
            let step = element(self.step, j);
            let bound = if step < R::ZERO {
                self.bounds.lower(j)
            } else {
                self.bounds.upper(j)
            };
            let room = bound - x;
            let beyond = if step < R::ZERO {
                step < room
            } else {
                step > room
            };
            if beyond && (first.is_none() || room / step < nearest) {
                nearest = room / step;
                first = Some((j, room));
            }
        }
        let Some((j, room)) = first else {
            return false;
        };
        if let Some(fixed) = self.fixed.get_mut(j) {
            *fixed = room;
        }
        true
    }

    /// x + p, exactly at the bound for a variable that was put there.
    fn go(&mut self, x: &[R]) {
        vector::add_scaled(R::ONE, x, self.step, self.point);
        for (j, point) in self.point.iter_mut().enumerate() {
            let fixed = element(self.fixed, j);
            if fixed < R::ZERO {
                *point = self.bounds.lower(j);
            } else if fixed > R::ZERO {
                *point = self.bounds.upper(j);
            }
        }
        self.bounds.enter(self.point);
    }

    /// Tries steps until one is better.
    fn advance(&mut self, problem: &mut impl Residuals<R>, x: &mut [R]) -> Result<(), FitStatus> {
        let LevenbergMarquardtConfig {
            robust,
            value_tolerance,
            step_tolerance,
            max_evaluations,
            ..
        } = self.config;
        let size_of_x = self.scaled_norm(x);
        let mut promise = None;
        loop {
            let Foreseen { length, predicted } = self.foresee(x);
            let undamped = self.damping == R::ZERO;
            if undamped && length <= step_tolerance * size_of_x {
                return Err(FitStatus::StepConverged);
            }
            if undamped && predicted <= value_tolerance * value_tolerance {
                return Err(FitStatus::ValueConverged);
            }
            let promise = *promise.get_or_insert(predicted);
            let failed = if promise <= R::EPSILON.sqrt() {
                FitStatus::NoiseLevel
            } else {
                FitStatus::NoDecrease
            };
            self.go(x);
            if !(length > R::EPSILON * size_of_x) || *self.point == *x {
                return Err(failed);
            }
            if self.evaluations >= max_evaluations {
                return Err(FitStatus::EvaluationLimit);
            }
            problem.residuals(self.point, self.trial);
            self.evaluations = self.evaluations.saturating_add(1);
            if self.iterations == 0 {
                self.radius = self.radius.smaller(length);
            }
            let size = robust.size(self.trial);
            let actual = if R::of(0.1) * size < self.size {
                (self.size - size) / self.size * ((self.size + size) / self.size)
            } else {
                -R::ONE
            };
            let ratio = actual / predicted;
            if ratio >= R::of(0.75) || undamped && ratio > R::of(0.25) {
                self.radius = length + length;
                self.damping *= R::HALF;
            } else if !(ratio > R::of(0.25)) {
                let slope = vector::dot(self.gradient, self.step) / self.size / self.size;
                let mut factor = R::HALF;
                if !(actual >= R::ZERO) {
                    factor = R::HALF * slope / (slope + R::HALF * actual);
                }
                if !(size * R::of(0.1) < self.size && factor >= R::of(0.1)) {
                    factor = R::of(0.1);
                }
                self.radius = factor * self.radius.smaller(R::of(10.0) * length);
                self.damping /= factor;
            }
            let taken = ratio >= R::of(1e-4);
            if taken {
                vector::copy(self.point, x);
                core::mem::swap(&mut self.residuals, &mut self.trial);
                self.size = size;
                self.iterations = self.iterations.saturating_add(1);
            }
            let small = actual.abs() <= value_tolerance && predicted <= value_tolerance;
            if undamped && small && R::HALF * ratio <= R::ONE {
                return Err(FitStatus::ValueConverged);
            }
            if actual.abs() <= R::EPSILON && predicted <= R::EPSILON {
                return Err(FitStatus::NoiseLevel);
            }
            if taken {
                return Ok(());
            }
        }
    }
}
