//! Newton's method with conjugate gradients: exact curvature, without a matrix.

use core::ops::ControlFlow;

use super::descent::{Step, check_dimensions};
use super::region::{Everywhere, Region};
use super::termination::{First, Now, Report, Stopping, Termination, relative_length};
use crate::error::{ConfigError, check_memory, check_range, split};
use crate::line_search::{LineSearch, MoreThuente, Probe};
use crate::objective::HessianProduct;
use crate::real::Real;
use crate::vector;

/// Which matrix stands for the curvature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CurvatureMatrix {
    /// The Hessian. Where it is not positive definite, a Newton step may go uphill; that says
    /// nothing about whether there is a minimum. The method notices such directions and uses them
    /// to go down.
    Hessian,
    /// The Gauss-Newton matrix: positive semidefinite, and close to the Hessian where residuals are
    /// small.
    GaussNewton,
}

/// What keeps a Newton step from going too far.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Safeguard<R> {
    /// A ball in which the quadratic model is trusted; conjugate gradients stop at its edge.
    TrustRegion {
        /// Its first radius, positive. Default 1.
        radius: R,
    },
    /// A line search along the step; conjugate gradients stop at a direction of negative curvature,
    /// and the step goes on along it.
    Damped(LineSearch<R>),
}

/// The settings of [`NewtonCg`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NewtonCgConfig<R> {
    /// Default [`CurvatureMatrix::Hessian`].
    pub curvature: CurvatureMatrix,
    /// Default [`Safeguard::TrustRegion`].
    pub safeguard: Safeguard<R>,
    /// Most products with the matrix in one iteration. Default 200, at least 1.
    pub max_products: u32,
    /// When to stop.
    pub stopping: Stopping<R>,
}

impl<R: Real> Default for NewtonCgConfig<R> {
    fn default() -> Self {
        Self {
            curvature: CurvatureMatrix::Hessian,
            safeguard: Safeguard::TrustRegion { radius: R::ONE },
            max_products: 200,
            stopping: Stopping::default(),
        }
    }
}

impl<R: Real> NewtonCgConfig<R> {
    /// The default with a line search instead of a trust region.
    pub fn damped() -> Self {
        let search = MoreThuente {
            c2: R::of(0.9),
            ..MoreThuente::default()
        };
        Self {
            safeguard: Safeguard::Damped(LineSearch::MoreThuente(search)),
            ..Self::default()
        }
    }
}

/// Truncated Newton: solves `B p = -g` by conjugate gradients, as exactly as the distance to the
/// minimum deserves.
///
/// ```text
/// p = 0, r = g, d = -r
/// until |r| <= min(1/2, sqrt|g|) |g|:
///     d.Bd <= 0:            negative curvature: along d to the edge (damped: as before)
///     a = r.r / d.Bd
///     |p + a d| >= radius:  along d to the edge
///     p += a d;  r += a Bd;  d = -r + (r.r / r.r before) d
/// ```
///
/// The trust region grows twofold when the model foresaw the decrease to three quarters and the
/// step reached the edge, and shrinks to a quarter when less than a quarter came true. Values never
/// rise. Products with the matrix come from [`HessianProduct`] and are not counted as evaluations.
///
/// Source: T. Steihaug, SIAM J. Numer. Anal. 20 (1983); Nocedal and Wright, *Numerical
/// Optimization*, 2nd ed. (2006), chapters 4 and 7.
///
/// ```
/// use secant::objective;
/// use secant::optim::{NewtonCg, NewtonCgConfig};
///
/// // f = x^4 / 4 - x^2 / 2 + y^2: a saddle at 0, minima at x = -1 and 1.
/// let mut wells = objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
///     (g[0], g[1]) = (x[0].powi(3) - x[0], 2.0 * x[1]);
///     x[0].powi(4) / 4.0 - x[0] * x[0] / 2.0 + x[1] * x[1]
/// })
/// .with_hessian_product(|x: &[f64], v: &[f64], product: &mut [f64]| {
///     (product[0], product[1]) = ((3.0 * x[0] * x[0] - 1.0) * v[0], 2.0 * v[1]);
/// });
/// let mut memory = [0.0; NewtonCg::<f64>::memory_len(2)];
/// let mut newton = NewtonCg::new(NewtonCgConfig::default(), 2, &mut memory)?;
/// let mut x = [0.1, 1.0];
/// let report = newton.minimize(&mut wells, &mut x)?;
/// assert!(report.termination.is_converged());
/// assert!((x[0].abs() - 1.0).abs() < 1e-4);
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct NewtonCg<'m, R: Real = f32> {
    config: NewtonCgConfig<R>,
    dimension: usize,
    gradient: &'m mut [R],
    /// p.
    step: &'m mut [R],
    /// r.
    residual: &'m mut [R],
    /// d.
    direction: &'m mut [R],
    /// B d; the gradient at the trial point.
    product: &'m mut [R],
    /// The trial point; after a search, the point before it.
    trial: &'m mut [R],
    value: R,
    norm: R,
    first: First<R>,
    /// Of the trust region; damped, how far a step goes along a direction of negative curvature.
    radius: R,
    stale: bool,
    iterations: u32,
    evaluations: u32,
    termination: Option<Termination>,
}

/// How conjugate gradients ended.
struct Solved<R> {
    /// `-(g.p + p.Bp / 2)`: the decrease that the model foresees.
    predicted: R,
    /// Whether p ends at the edge of the trust region.
    at_edge: bool,
    /// Whether d is a direction of negative curvature, which ended it.
    is_negative: bool,
}

impl<'m, R: Real> NewtonCg<'m, R> {
    /// Numbers of memory for n variables: `6 n`.
    pub const fn memory_len(n: usize) -> usize {
        n.saturating_mul(6)
    }

    /// An optimiser of n variables. `memory` needs [`memory_len(n)`](Self::memory_len) numbers;
    /// what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: NewtonCgConfig<R>,
        dimension: usize,
        memory: &'m mut [R],
    ) -> Result<Self, ConfigError> {
        let products = config.max_products;
        check_range("max_products", products, "at least 1", products > 0)?;
        config.stopping.check()?;
        let radius = match config.safeguard {
            Safeguard::TrustRegion { radius } => {
                let inside = radius > R::ZERO && radius.is_finite();
                check_range("radius", radius.to_f64(), "positive and finite", inside)?;
                radius
            }
            Safeguard::Damped(search) => {
                search.check()?;
                R::ONE
            }
        };
        let memory = check_memory(memory, Self::memory_len(dimension))?;
        let (gradient, memory) = split(memory, dimension);
        let (step, memory) = split(memory, dimension);
        let (residual, memory) = split(memory, dimension);
        let (direction, memory) = split(memory, dimension);
        let (product, trial) = split(memory, dimension);
        Ok(Self {
            config,
            dimension,
            gradient,
            step,
            residual,
            direction,
            product,
            trial,
            value: R::NAN,
            norm: R::NAN,
            first: First::UNKNOWN,
            radius,
            stale: true,
            iterations: 0,
            evaluations: 0,
            termination: None,
        })
    }

    /// Runs from `x` until a rule of [`Stopping`] ends it; `x` then is the best point seen.
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
        self.reset();
        loop {
            let before = self.iterations;
            let step = self.step(objective, x)?;
            // Every step that was made, the last one as well.
            if self.iterations != before && callback(&step, x).is_break() {
                self.termination.get_or_insert(Termination::StoppedByCaller);
            }
            if self.termination.is_some() {
                return Ok(self.report());
            }
        }
    }

    /// Forgets counts, trust region and point.
    pub fn reset(&mut self) {
        self.objective_changed();
        self.radius = match self.config.safeguard {
            Safeguard::TrustRegion { radius } => radius,
            Safeguard::Damped(_) => R::ONE,
        };
        (self.iterations, self.evaluations) = (0, 0);
    }

    /// Says that the next [`step`](Self::step) meets another objective or point: it evaluates anew.
    /// Keeps the trust region and the counts, and lifts a termination.
    pub fn objective_changed(&mut self) {
        self.stale = true;
        self.termination = None;
    }

    /// One iteration from `x`, which it moves. Once a step has ended the run, further steps do
    /// nothing until [`objective_changed`](Self::objective_changed) or [`reset`](Self::reset).
    ///
    /// Evaluates at most 42 times with a trust region, or `2 + ` the line search's worst case.
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
        if self.termination.is_some() {
            return Ok(self.report_step(R::ZERO));
        }
        let before = self.value;
        let length = match self.config.safeguard {
            Safeguard::TrustRegion { .. } => self.trust_region_step(objective, x),
            Safeguard::Damped(search) => self.damped_step(&search, objective, x),
        };
        if length > R::ZERO {
            self.iterations = self.iterations.saturating_add(1);
            self.check_end(Some(before), objective, x);
        }
        Ok(self.report_step(length))
    }

    fn begin(&mut self, objective: &mut impl HessianProduct<R>, x: &[R]) {
        if self.stale {
            if !vector::norm_max(x).is_finite() {
                self.termination = Some(Termination::NotFinite);
                return;
            }
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
            self.check_end(None, objective, x);
        }
        if self.termination.is_none() {
            if self.iterations >= self.config.stopping.max_iterations {
                self.termination = Some(Termination::IterationLimit);
            } else if self.evaluations >= self.config.stopping.max_evaluations {
                self.termination = Some(Termination::EvaluationLimit);
            }
        }
    }

    /// Ends the run if it has converged, or never will. `before` is the value before the last step,
    /// which is in `step`, if there was one.
    fn check_end(&mut self, before: Option<R>, objective: &mut impl HessianProduct<R>, x: &[R]) {
        let now = Now {
            value: self.value,
            norm: self.norm,
            promise: Everywhere.promise(x, self.gradient),
        };
        let stopping = self.config.stopping;
        let moved = before.map_or(R::INFINITY, |_| relative_length(self.step, x));
        let mut ended = stopping.reached(&self.first, &now, moved);
        if ended == Some(Termination::GradientConverged)
            || ended.is_none() && now.promise <= stopping.gradient_tolerance
        {
            // A small gradient says nothing of the curvature, which this method can ask for.
            if self.curves_down(objective, x) {
                ended = Some(Termination::SaddleOrMaximum);
            }
        }
        if let (None, Some(before)) = (ended, before) {
            ended = if self.first.is_unbounded(self.value, x, self.step) {
                Some(Termination::Unbounded)
            } else {
                stopping.small_change(before, self.value, moved)
            };
        }
        self.termination = ended;
    }

    /// Whether negative curvature is found on the way to the solution of `B p = -g`; where the
    /// gradient is zero, of `B p = (1, -1/2, 1/3, -1/4, ...)`.
    fn curves_down(&mut self, objective: &mut impl HessianProduct<R>, x: &[R]) -> bool {
        for (j, (r, &g)) in self.residual.iter_mut().zip(&*self.gradient).enumerate() {
            let sign = if j % 2 == 0 { 1.0 } else { -1.0 };
            let probe = R::of(sign / (j + 1) as f64);
            *r = if self.norm == R::ZERO { probe } else { g };
        }
        let size = vector::norm2(self.residual);
        vector::scale(R::ONE / size, self.residual);
        self.conjugate_gradients(R::INFINITY, R::of(1e-3), objective, x)
            .is_negative
    }

    fn multiply(&mut self, objective: &mut impl HessianProduct<R>, x: &[R]) {
        match self.config.curvature {
            CurvatureMatrix::Hessian => objective.hessian_product(x, self.direction, self.product),
            CurvatureMatrix::GaussNewton => {
                objective.gauss_newton_product(x, self.direction, self.product);
            }
        }
    }

    /// Solves for p. Products that are not finite end it where it is.
    fn solve(&mut self, objective: &mut impl HessianProduct<R>, x: &[R]) -> Solved<R> {
        vector::copy(self.gradient, self.residual);
        let tolerance = R::HALF.smaller(self.norm.sqrt()) * self.norm;
        let radius = match self.config.safeguard {
            Safeguard::TrustRegion { .. } => self.radius,
            Safeguard::Damped(_) => R::INFINITY,
        };
        self.conjugate_gradients(radius, tolerance, objective, x)
    }

    /// Solves `B p = -r` within the radius, r being in `residual`, until what remains of it is no
    /// longer than the tolerance.
    fn conjugate_gradients(
        &mut self,
        radius: R,
        tolerance: R,
        objective: &mut impl HessianProduct<R>,
        x: &[R],
    ) -> Solved<R> {
        self.step.fill(R::ZERO);
        vector::negate(self.residual, self.direction);
        let mut square = vector::dot(self.residual, self.residual);
        let mut solved = Solved {
            predicted: R::ZERO,
            at_edge: false,
            is_negative: false,
        };
        for _ in 0..self.config.max_products {
            self.multiply(objective, x);
            let curvature = vector::dot(self.direction, self.product);
            if !curvature.is_finite() {
                break;
            }
            let (pp, pd, dd) = (
                vector::dot(self.step, self.step),
                vector::dot(self.step, self.direction),
                vector::dot(self.direction, self.direction),
            );
            let flat =
                curvature <= R::EPSILON * dd * R::MIN_POSITIVE.sqrt() || curvature <= R::ZERO;
            // Beyond the rounding error of the sum.
            let error = R::of(16.0) * R::EPSILON * vector::norm2(self.product) * dd.sqrt();
            solved.is_negative = curvature < -error;
            if flat && !radius.is_finite() {
                break;
            }
            let ideal = square / curvature;
            // The positive root of |p + a d| = radius.
            let room = radius * radius - pp;
            let edge = room / (pd + (pd * pd + dd * room).sqrt());
            let at_edge = flat || ideal >= edge || !ideal.is_finite();
            let a = if at_edge { edge } else { ideal };
            if !a.is_finite() || a <= R::ZERO {
                break;
            }
            vector::axpy(a, self.direction, self.step);
            // r.d = -r.r for conjugate gradients: the model falls by a r.r - a^2 d.Bd / 2.
            solved.predicted += a * square - R::HALF * a * a * curvature;
            if at_edge {
                solved.at_edge = true;
                break;
            }
            vector::axpy(a, self.product, self.residual);
            let next = vector::dot(self.residual, self.residual);
            if !(next.is_finite() && next.sqrt() > tolerance) {
                break;
            }
            vector::scale(next / square, self.direction);
            vector::axpy(-R::ONE, self.residual, self.direction);
            square = next;
        }
        solved
    }

    /// Tries p, shrinking the region until it goes down. Returns the length of the step.
    fn trust_region_step(&mut self, objective: &mut impl HessianProduct<R>, x: &mut [R]) -> R {
        for attempt in 0..40 {
            let solved = self.solve(objective, x);
            let length = vector::norm2(self.step);
            if !(length > R::ZERO && length.is_finite()) {
                break;
            }
            vector::add_scaled(R::ONE, x, self.step, self.trial);
            // After a rejection another is likely: ask for the value alone first.
            let mut value = R::NAN;
            let lower = attempt == 0 || {
                value = objective.value(self.trial, self.product);
                self.evaluations = self.evaluations.saturating_add(1);
                value < self.value
            };
            let mut norm = R::NAN;
            if lower {
                value = objective.value_and_gradient(self.trial, self.product);
                self.evaluations = self.evaluations.saturating_add(1);
                norm = vector::norm2(self.product);
            }
            let finite = value.is_finite() && norm.is_finite();
            let decrease = if finite { self.value - value } else { R::NAN };
            let noise = R::of(8.0) * R::EPSILON * self.value.abs();
            // Where both are rounding error, the model is believed if the gradient shrinks.
            let believed = decrease >= R::ZERO
                && decrease <= noise
                && solved.predicted <= noise
                && norm < self.norm;
            let share = if believed {
                R::ONE
            } else {
                decrease / solved.predicted
            };
            if share > R::of(0.75) && solved.at_edge {
                self.radius = (self.radius * R::of(2.0)).smaller(R::MAX.sqrt());
            } else if share < R::of(0.25) || share.is_nan() {
                self.radius = length * R::of(if finite { 0.25 } else { 0.1 });
            }
            if share > R::of(1e-4) && (value < self.value || believed) {
                self.value = value;
                self.norm = norm;
                vector::copy(self.trial, x);
                vector::copy(self.product, self.gradient);
                return length;
            }
            if length <= R::EPSILON * vector::norm2(x) || solved.predicted <= noise {
                self.termination = Some(Termination::NoiseLevel);
                return R::ZERO;
            }
        }
        self.termination = Some(Termination::LineSearchFailed);
        R::ZERO
    }

    /// Searches along p, or along `-g` if p is of no use. Returns the length of the step.
    fn damped_step(
        &mut self,
        search: &LineSearch<R>,
        objective: &mut impl HessianProduct<R>,
        x: &mut [R],
    ) -> R {
        let solved = self.solve(objective, x);
        if solved.is_negative {
            // The function bends down along d, so p is not where the model is lowest: from there
            // on along d, as far as such steps went before.
            let size = R::ONE.larger(vector::norm2(x));
            let reach = self.radius * size / vector::norm2(self.direction);
            if reach.is_finite() {
                vector::axpy(reach, self.direction, self.step);
            }
        }
        let mut slope = vector::dot(self.gradient, self.step);
        if !(slope < R::ZERO && slope.is_finite()) {
            vector::negate(self.gradient, self.step);
            vector::scale(R::ONE.smaller(R::ONE / self.norm), self.step);
            slope = vector::dot(self.gradient, self.step);
        }
        vector::copy(x, self.trial);
        let start = Probe {
            step: R::ZERO,
            value: self.value,
            slope,
        };
        let found = {
            let (origin, direction, gradient) = (&*self.trial, &*self.step, &mut *self.product);
            search.search(start, R::ONE, &mut |step: R| {
                vector::add_scaled(step, origin, direction, x);
                let value = objective.value_and_gradient(x, gradient);
                let slope = vector::dot(gradient, direction);
                let finite = vector::norm2(gradient).is_finite();
                Probe {
                    step,
                    value,
                    slope: if finite { slope } else { R::NAN },
                }
            })
        };
        self.evaluations = self.evaluations.saturating_add(found.evaluations);
        let end = if found.lowest.value < self.value {
            found.lowest
        } else {
            start
        };
        if end.step != found.last.step || end.step == R::ZERO {
            vector::add_scaled(end.step, self.trial, self.step, x);
            if end.step > R::ZERO {
                objective.value_and_gradient(x, self.product);
                self.evaluations = self.evaluations.saturating_add(1);
            }
        }
        if end.step == R::ZERO {
            vector::copy(self.trial, x);
            let stopping = self.config.stopping;
            let noise = stopping.noise(self.value, x, self.gradient);
            let small = slope.abs() <= noise || found.stands_still(noise);
            let in_noise = small && found.contradiction <= noise;
            self.termination = Some(if in_noise {
                Termination::NoiseLevel
            } else {
                Termination::LineSearchFailed
            });
            return R::ZERO;
        }
        self.value = end.value;
        vector::copy(self.product, self.gradient);
        self.norm = vector::norm2(self.gradient);
        vector::scale(end.step, self.step);
        let length = vector::norm2(self.step);
        if solved.is_negative {
            let most = R::of(4.0) * length / R::ONE.larger(vector::norm2(x));
            self.radius = most.smaller(R::ONE);
        }
        length
    }

    fn report_step(&self, step_length: R) -> Step<R> {
        Step {
            iteration: self.iterations,
            evaluations: self.evaluations,
            value: self.value,
            gradient_norm: self.norm,
            step_length,
            verdict: None,
            termination: self.termination,
        }
    }

    /// The report on all steps since the last reset. The current point is the best one seen.
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
