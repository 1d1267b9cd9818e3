//! When a run ends, and what it reports.

use core::fmt;

use crate::real::Real;
use crate::vector;

/// When to stop. A tolerance of zero switches its rule off.
///
/// ```
/// use secant::optim::Stopping;
///
/// let patient = Stopping { max_iterations: 10_000, ..Stopping::<f64>::default() };
/// assert_eq!(patient.gradient_tolerance, 1e-5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stopping<R> {
    /// Converged when `|g| <= gradient_tolerance * max(1, |x|)`, Euclidean norms (for bounds and
    /// L1: the projected or pseudo-gradient). Default 1e-5 for `f64`, 1e-4 for `f32`.
    pub gradient_tolerance: R,
    /// Converged when a step is short: `|s| <= step_tolerance * max(1, |x|)`. Default 0.
    pub step_tolerance: R,
    /// Converged when a step changes little: `|f - f_before| <= value_tolerance * max(1, |f|)`.
    /// Default 0.
    pub value_tolerance: R,
    /// Most iterations. Default 1000.
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
            step_tolerance: R::ZERO,
            value_tolerance: R::ZERO,
            max_iterations: 1000,
            max_evaluations: 100_000,
        }
    }
}

impl<R: Real> Stopping<R> {
    /// Never stops of its own accord: for step-at-a-time use, where the caller decides.
    pub const fn never() -> Self {
        Self {
            gradient_tolerance: R::ZERO,
            step_tolerance: R::ZERO,
            value_tolerance: R::ZERO,
            max_iterations: u32::MAX,
            max_evaluations: u32::MAX,
        }
    }

    /// Whether a gradient of this norm at `x` is small enough to stop; an exact zero always is.
    pub(crate) fn gradient_is_small(&self, norm: R, x: &[R]) -> bool {
        let tolerance = self.gradient_tolerance;
        norm == R::ZERO
            || (tolerance > R::ZERO && norm <= tolerance * R::ONE.larger(vector::norm2(x)))
    }

    /// Whether a step of this length to `x`, with these values before and after, is small enough to
    /// stop.
    pub(crate) fn small_change(
        &self,
        before: R,
        value: R,
        length: R,
        x: &[R],
    ) -> Option<Termination> {
        let (by_value, by_step) = (self.value_tolerance, self.step_tolerance);
        if by_value > R::ZERO && (value - before).abs() <= by_value * R::ONE.larger(value.abs()) {
            Some(Termination::ValueConverged)
        } else if by_step > R::ZERO && length <= by_step * R::ONE.larger(vector::norm2(x)) {
            Some(Termination::StepConverged)
        } else {
            None
        }
    }
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
    /// No acceptable step was found, and the decrease to be expected is below the rounding error of
    /// the value: nothing more can be had in this precision.
    NoiseLevel,
    /// Value or gradient is not finite at the starting point.
    NotFinite,
    /// The callback asked to stop.
    StoppedByCaller,
}

impl Termination {
    /// Every one, in the order in which checkpoints count them.
    pub(crate) const ALL: [Self; 9] = [
        Self::GradientConverged,
        Self::StepConverged,
        Self::ValueConverged,
        Self::IterationLimit,
        Self::EvaluationLimit,
        Self::LineSearchFailed,
        Self::NoiseLevel,
        Self::NotFinite,
        Self::StoppedByCaller,
    ];

    /// Whether one of the three convergence rules was met.
    pub const fn is_converged(self) -> bool {
        matches!(
            self,
            Self::GradientConverged | Self::StepConverged | Self::ValueConverged
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
