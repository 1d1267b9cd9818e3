//! When a step along a direction is good enough: the conditions, apart from the searches that look
//! for such a step.
//!
//! With `phi(a) = f(x + a p)` and `phi'(a) = grad f(x + a p) . p`, a descent direction has
//! `phi'(0) < 0`. No condition holds for a NaN or an infinite value or slope.
//!
//! Source of all: J. Nocedal and S. Wright, *Numerical Optimization*, 2nd ed. (2006), section 3.1;
//! for the approximate condition W. Hager and H. Zhang, *A new conjugate gradient method with
//! guaranteed descent*, SIAM J. Optim. 16 (2005).

use super::Probe;
use crate::real::Real;

/// Sufficient decrease: `phi(a) <= phi(0) + c1 a phi'(0)`.
///
/// The right-hand side uses the *slope* `grad f . p`, a negative number; using the value of f there
/// is a known slip.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Armijo<R> {
    /// c1 in (0, 1/2]: the share of the predicted decrease that must come true. Larger is stricter.
    /// Default 1e-4.
    pub c1: R,
}

/// [`Armijo`] and `phi'(a) >= c2 phi'(0)`: the slope has flattened, so the step is not too short
/// and `s . y > 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WeakWolfe<R> {
    /// As in [`Armijo`].
    pub c1: R,
    /// c2 in (c1, 1): the share of the slope that may remain. Smaller is stricter. Default 0.9.
    pub c2: R,
}

/// [`Armijo`] and `|phi'(a)| <= c2 |phi'(0)|`: near a minimum along the line, from either side.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StrongWolfe<R> {
    /// As in [`Armijo`].
    pub c1: R,
    /// c2 in (c1, 1). Smaller is stricter. Default 0.9.
    pub c2: R,
}

/// `(2 delta - 1) phi'(0) >= phi'(a) >= sigma phi'(0)` and `phi(a) <= phi(0) + slack`.
///
/// For a quadratic, the first inequality is [`Armijo`] with `c1 = delta`, but written in slopes,
/// which near a minimum still carry half of the digits when the difference of two values carries
/// none. In `f32` that is where a run spends its last iterations.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ApproximateWolfe<R> {
    /// delta in (0, 1/2): plays c1. Default 0.1.
    pub delta: R,
    /// sigma in [delta, 1): plays c2. Default 0.9.
    pub sigma: R,
    /// By how much the value may rise, absolutely: an estimate of its rounding error.
    pub slack: R,
}

impl<R: Real> Armijo<R> {
    /// Whether the step from `start` (step 0) to `trial` is acceptable.
    pub fn holds(&self, start: &Probe<R>, trial: &Probe<R>) -> bool {
        trial.is_finite() && trial.value <= start.value + self.c1 * trial.step * start.slope
    }
}

impl<R: Real> WeakWolfe<R> {
    /// Whether the step from `start` (step 0) to `trial` is acceptable.
    pub fn holds(&self, start: &Probe<R>, trial: &Probe<R>) -> bool {
        Armijo { c1: self.c1 }.holds(start, trial) && trial.slope >= self.c2 * start.slope
    }
}

impl<R: Real> StrongWolfe<R> {
    /// Whether the step from `start` (step 0) to `trial` is acceptable.
    pub fn holds(&self, start: &Probe<R>, trial: &Probe<R>) -> bool {
        Armijo { c1: self.c1 }.holds(start, trial)
            && trial.slope.abs() <= self.c2 * start.slope.abs()
    }
}

impl<R: Real> ApproximateWolfe<R> {
    /// Whether the step from `start` (step 0) to `trial` is acceptable.
    pub fn holds(&self, start: &Probe<R>, trial: &Probe<R>) -> bool {
        let upper = (R::of(2.0) * self.delta - R::ONE) * start.slope;
        trial.is_finite()
            && trial.value <= start.value + self.slack
            && trial.slope <= upper
            && trial.slope >= self.sigma * start.slope
    }
}
