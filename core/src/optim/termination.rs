//! When a run ends, and what it reports.

use core::fmt;

use crate::error::{ConfigError, check_range};
use crate::real::Real;

/// When to stop. A tolerance of zero switches its rule off.
///
/// # When a run has converged
///
/// What is judged is the *promise* of the gradient: the largest decrease, to first order, that
/// moving one variable by its own size would bring,
///
/// ```text
/// D = max_j |g_j| max(1, |x_j|)
/// ```
///
/// With bounds a variable moves no farther than to its bound, with L1 the pseudo-gradient counts.
/// With the tolerance t, a run has converged when one of these holds:
///
/// ```text
/// g = 0 exactly
/// D <= t min(1, D at the start)
/// D <= t   and   max_j |s_j| / max(1, |x_j|) <= t   for the last step s
/// ```
///
/// So a large x cannot hide a large gradient, a constant added to f changes nothing, and a function
/// of small values is not taken for solved where it begins: a small gradient at the start is
/// believed once a step was short as well. Where f is of another size than 1 the tolerance should
/// be, too.
///
/// ```
/// use secant::optim::Stopping;
///
/// let patient = Stopping { max_iterations: 100_000, ..Stopping::<f64>::default() };
/// assert_eq!(patient.gradient_tolerance, 1e-5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stopping<R> {
    /// t above. Default 1e-5 for `f64`, 1e-4 for `f32`; range [0, inf), as of all tolerances.
    pub gradient_tolerance: R,
    /// Converged when the gradient has become small beside the first one: `|g| <=
    /// relative_gradient |g at the start|`, Euclidean norms (for bounds and L1: the projected or
    /// pseudo-gradient). Default 0.
    pub relative_gradient: R,
    /// Converged when a step is short: `max_j |s_j| / max(1, |x_j|) <= step_tolerance`. Default 0.
    pub step_tolerance: R,
    /// Converged when a step changes little: `|f - f_before| <= value_tolerance * max(1, |f|)`. A
    /// single short step meets this as well as a minimum does. Default 0.
    pub value_tolerance: R,
    /// Converged when f is at most this. Default `None`.
    pub target_value: Option<R>,
    /// The absolute error of f, where it is known. A search along a line that fails while all is
    /// within this error ends the run with [`Termination::NoiseLevel`]. Without it (0, the default)
    /// it is taken to be `sqrt(EPSILON) (|f| + sum_j |x_j g_j|)`.
    pub noise: R,
    /// Most iterations. Default 10,000.
    pub max_iterations: u32,
    /// Most evaluations: no iteration starts once this many were made, so a run may exceed it by
    /// one iteration's worst case. Default 100,000.
    pub max_evaluations: u32,
}

impl<R: Real> Default for Stopping<R> {
    fn default() -> Self {
        let gradient_tolerance = R::of(1e-5).larger(R::of(800.0) * R::EPSILON);
        Self {
            gradient_tolerance,
            max_iterations: 10_000,
            max_evaluations: 100_000,
            ..Self::never()
        }
    }
}

impl<R: Real> Stopping<R> {
    /// Never stops of its own accord: for step-at-a-time use, where the caller decides.
    pub const fn never() -> Self {
        Self {
            gradient_tolerance: R::ZERO,
            relative_gradient: R::ZERO,
            step_tolerance: R::ZERO,
            value_tolerance: R::ZERO,
            target_value: None,
            noise: R::ZERO,
            max_iterations: u32::MAX,
            max_evaluations: u32::MAX,
        }
    }

    /// Refuses what no run could mean: a tolerance that is negative, infinite or a NaN.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (field, tolerance) in [
            ("gradient_tolerance", self.gradient_tolerance),
            ("relative_gradient", self.relative_gradient),
            ("step_tolerance", self.step_tolerance),
            ("value_tolerance", self.value_tolerance),
            ("noise", self.noise),
        ] {
            let inside = tolerance >= R::ZERO && tolerance.is_finite();
            check_range(field, tolerance.to_f64(), "at least 0 and finite", inside)?;
        }
        let target = self.target_value.unwrap_or(R::ZERO);
        check_range(
            "target_value",
            target.to_f64(),
            "a number",
            !target.is_nan(),
        )
    }

    /// How far the value may be wrong: what the caller says, or else an estimate. Rounding a sum of
    /// the value's size and rounding each variable, which terms that cancel multiply: hence the
    /// square root.
    pub(crate) fn noise(&self, value: R, x: &[R], gradient: &[R]) -> R {
        if self.noise > R::ZERO {
            return self.noise;
        }
        let mut shifts = value.abs();
        for (x, g) in x.iter().zip(gradient) {
            shifts += (*x * *g).abs();
        }
        R::EPSILON.sqrt() * shifts + R::MIN_POSITIVE
    }

    /// Whether a run has converged, by its gradient or its value. `moved` is the last step's
    /// length, each variable's relative to its size; infinite before the first step.
    pub(crate) fn reached(&self, first: &First<R>, now: &Now<R>, moved: R) -> Option<Termination> {
        let (tolerance, relative) = (self.gradient_tolerance, self.relative_gradient);
        let small = tolerance > R::ZERO
            && (now.promise <= tolerance * R::ONE.smaller(first.promise)
                || now.promise <= tolerance && moved <= tolerance);
        let smaller = relative > R::ZERO && now.norm <= relative * first.norm;
        if now.norm == R::ZERO || small || smaller {
            Some(Termination::GradientConverged)
        } else if self.target_value.is_some_and(|target| now.value <= target) {
            Some(Termination::TargetReached)
        } else {
            None
        }
    }

    /// Whether a step of this length (as in [`reached`](Self::reached)) is too short to go on, or
    /// changed too little.
    pub(crate) fn small_change(&self, before: R, value: R, moved: R) -> Option<Termination> {
        let (by_value, by_step) = (self.value_tolerance, self.step_tolerance);
        if by_value > R::ZERO && (value - before).abs() <= by_value * R::ONE.larger(value.abs()) {
            Some(Termination::ValueConverged)
        } else if by_step > R::ZERO && moved <= by_step {
            Some(Termination::StepConverged)
        } else {
            None
        }
    }
}

/// What a run began with: the size of what follows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct First<R> {
    pub value: R,
    pub promise: R,
    pub norm: R,
}

impl<R: Real> First<R> {
    /// Before anything is known.
    pub const UNKNOWN: Self = Self {
        value: R::NAN,
        promise: R::NAN,
        norm: R::NAN,
    };

    /// Whether this value is lower than any minimum could be: below what the start promised, and
    /// its own value, by more than the digits of a number and half as many again.
    fn is_far_below(&self, value: R) -> bool {
        let size = R::ONE.larger(self.value.abs()).larger(self.promise);
        value < -size / (R::EPSILON * R::EPSILON.sqrt())
    }

    /// Whether the objective has no minimum, as far as a run can see: its value is
    /// [far below](Self::is_far_below), or it fell in a step that led a variable outwards where
    /// numbers end. A run that began out there may come back.
    pub fn is_unbounded(&self, value: R, x: &[R], step: &[R]) -> bool {
        let far = R::ONE / (R::EPSILON * R::EPSILON);
        let runs_off = |(x, s): (&R, &R)| x.abs() > far && x.abs() > (*x - *s).abs();
        self.is_far_below(value) || value < self.value && x.iter().zip(step).any(runs_off)
    }
}

/// What is known of the current point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now<R> {
    pub value: R,
    pub promise: R,
    pub norm: R,
}

/// The length of a step, each variable's relative to its size: `max_j |s_j| / max(1, |x_j|)`.
pub(crate) fn relative_length<R: Real>(step: &[R], x: &[R]) -> R {
    let mut largest = R::ZERO;
    for (s, x) in step.iter().zip(x) {
        largest = largest.larger(s.abs() / R::ONE.larger(x.abs()));
    }
    largest
}

/// Why a run ended. Not converging is a status, not an error: the best point seen is returned in
/// every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Termination {
    /// The gradient is as small as asked for, or exactly zero.
    GradientConverged,
    /// The last step was shorter than asked for.
    StepConverged,
    /// The last step changed the value less than asked for.
    ValueConverged,
    /// `max_iterations` were made.
    IterationLimit,
    /// `max_evaluations` were made.
    EvaluationLimit,
    /// No acceptable step was found, along the model's direction or along steepest descent. Often a
    /// wrong gradient.
    LineSearchFailed,
    /// No acceptable step was found, and what was to be expected is below the error of the value:
    /// nothing more can be had in this precision. See the `noise` of
    /// [`Stopping`].
    NoiseLevel,
    /// Value or gradient is not finite at the starting point.
    NotFinite,
    /// The callback asked to stop.
    StoppedByCaller,
    /// The value is as low as asked for.
    TargetReached,
    /// The value fell below any that a minimum could have, or falls while a variable grows beyond
    /// all measure (`1 / EPSILON^2`): the objective has no minimum. Looked for where there is a
    /// tolerance of the gradient or the step.
    Unbounded,
    /// The gradient is as small as asked for, but the curvature is negative in some direction.
    SaddleOrMaximum,
}

impl Termination {
    /// Every one, in the order in which checkpoints count them.
    pub(crate) const ALL: [Self; 12] = [
        Self::GradientConverged,
        Self::StepConverged,
        Self::ValueConverged,
        Self::IterationLimit,
        Self::EvaluationLimit,
        Self::LineSearchFailed,
        Self::NoiseLevel,
        Self::NotFinite,
        Self::StoppedByCaller,
        Self::TargetReached,
        Self::Unbounded,
        Self::SaddleOrMaximum,
    ];

    /// Whether a rule was met that says "done": small gradient, short step, small change, or the
    /// target value.
    pub const fn is_converged(self) -> bool {
        matches!(
            self,
            Self::GradientConverged
                | Self::StepConverged
                | Self::ValueConverged
                | Self::TargetReached
        )
    }
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GradientConverged => "converged: small gradient",
            Self::StepConverged => "converged: short step",
            Self::ValueConverged => "converged: small change of value",
            Self::IterationLimit => "iteration limit",
            Self::EvaluationLimit => "evaluation limit",
            Self::LineSearchFailed => "line search failed",
            Self::NoiseLevel => "noise level reached",
            Self::NotFinite => "not finite at the start",
            Self::StoppedByCaller => "stopped by the caller",
            Self::TargetReached => "target value reached",
            Self::Unbounded => "unbounded: the value falls without end",
            Self::SaddleOrMaximum => "saddle or maximum: negative curvature",
        })
    }
}

/// The outcome of a run. `value` belongs to the point that was returned: the best one seen.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Report<R> {
    /// Why the run ended.
    pub termination: Termination,
    /// f at the returned point.
    pub value: R,
    /// Euclidean norm of the gradient there.
    pub gradient_norm: R,
    /// Steps made.
    pub iterations: u32,
    /// Evaluations made, of value and gradient together.
    pub evaluations: u32,
    /// Restarts along steepest descent after a failure.
    pub restarts: u32,
    /// Pairs stored as they were.
    pub accepted: u32,
    /// Pairs stored after damping.
    pub damped: u32,
    /// Pairs not stored.
    pub skipped: u32,
}

impl<R: Real> fmt::Display for Report<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} after {} iterations and {} evaluations: f = {}, |g| = {}",
            self.termination, self.iterations, self.evaluations, self.value, self.gradient_norm
        )
    }
}
