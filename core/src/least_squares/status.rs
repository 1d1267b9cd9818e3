//! Why a fit ended, and what it reports.

use core::fmt;

use crate::real::Real;

/// Why a fit ended. Not converging is a status, not an error: the best point seen is returned in
/// every case.
///
/// All rules are free of scale: multiplying the residuals or a variable by a constant changes none.
/// J_j is column j of the Jacobian, |J_j| its norm, f^2 twice the value, D the scaling (the largest
/// |J_j| so far). The undamped step p is that of Gauss and Newton, where the radius allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FitStatus {
    /// `max_j |J_j . r| / (|J_j| f) <= gradient_tolerance`, over the variables that no bound holds:
    /// the cosine between the residuals and every column (MINPACK's gtol).
    GradientConverged,
    /// `|J p| <= offset_tolerance f` for an undamped step: the part of the residuals that a step
    /// can still take away. Bates and Watts call it the relative offset; times the square root of
    /// `m - n` it is about the distance to the answer in standard deviations. The step is not
    /// tried.
    OffsetConverged,
    /// `|D p| <= step_tolerance |D x|` for an undamped step (MINPACK's xtol, asked before the step
    /// is tried, not after).
    StepConverged,
    /// `f <= EPSILON max_j |J_j| |x_j|`: the residuals are zero, as nearly as x can be rounded.
    ZeroResiduals,
    /// Promised and actual change of f^2 are below `EPSILON` f^2; or no step, however short, brings
    /// a decrease, where the first one promised less than `sqrt(EPSILON)` f^2, or moved the
    /// residuals by less than 64 times what rounding x does. Nothing more can be had in this
    /// precision.
    NoiseLevel,
    /// No step, however short, brings the decrease that the model promises. Often a wrong Jacobian.
    NoDecrease,
    /// No residual depends on any variable: the Jacobian is zero, and the residuals are not. Often
    /// a start from which exponentials underflow.
    Flat,
    /// `max_evaluations` were made.
    EvaluationLimit,
    /// The start, its residuals, or the Jacobian there or at a later point, are not finite.
    NotFinite,
    /// The callback asked to stop.
    StoppedByCaller,
}

impl FitStatus {
    /// Whether one of the four convergence rules was met.
    pub const fn is_converged(self) -> bool {
        matches!(
            self,
            Self::GradientConverged
                | Self::OffsetConverged
                | Self::StepConverged
                | Self::ZeroResiduals
        )
    }
}

impl fmt::Display for FitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GradientConverged => "converged: small gradient",
            Self::OffsetConverged => "converged: small relative offset",
            Self::StepConverged => "converged: short step",
            Self::ZeroResiduals => "converged: no residuals left",
            Self::NoiseLevel => "noise level reached",
            Self::NoDecrease => "no step brings the decrease expected",
            Self::Flat => "no residual depends on any variable",
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
    /// Half the sum of squares, or of what [`Robust`](super::Robust) makes of them, at the current
    /// point. NaN before the first evaluation.
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
    /// Whether the fit has ended by one of the four convergence rules.
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
