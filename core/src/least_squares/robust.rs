//! Losses that a few wild measurements cannot rule.

use crate::error::{ConfigError, check_range};
use crate::real::Real;
use crate::vector;

/// What is summed instead of squares: `2 F = sum_i s^2 rho((r_i / s)^2)`, s being the residual from
/// which on a measurement counts as wild, a few times the noise.
///
/// The method then works with weighted residuals and rows, such that gradient and curvature of F
/// are those of the weighted sum of squares:
///
/// ```text
/// z = (r / s)^2           w  = max(rho' + 2 rho'' z, rho' / 8)
/// J~ = sqrt(w) J          r~ = rho' / sqrt(w) r
/// ```
///
/// Source: B. Triggs and others, *Bundle adjustment: a modern synthesis* (2000), section 4.3, in
/// the form of scipy's `least_squares`, which bounds w from below by `EPSILON`. Here a residual
/// that is wild at the start keeps an eighth of its weight, so that a start from which all look
/// wild is none from which the model is flat.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Robust<R> {
    /// The sum of squares: `rho = z`.
    Squares,
    /// Huber's: squares up to s, the absolute value beyond. `rho = z` where z <= 1, else
    /// `2 sqrt(z) - 1`. Convex, so it adds no minima.
    Huber {
        /// s, positive.
        scale: R,
    },
    /// Cauchy's: `rho = ln(1 + z)`. The influence of a measurement falls with its distance, so
    /// there may be several minima.
    Cauchy {
        /// s, positive.
        scale: R,
    },
}

/// What a loss makes of one residual.
pub(super) struct Influence<R> {
    /// `s^2 rho`.
    pub value: R,
    /// `rho'`.
    pub first: R,
    /// `rho' + 2 rho'' z`.
    pub curvature: R,
}

impl<R: Real> Robust<R> {
    pub(super) fn check(self) -> Result<(), ConfigError> {
        let (Self::Huber { scale } | Self::Cauchy { scale }) = self else {
            return Ok(());
        };
        let inside = scale > R::ZERO && scale.is_finite();
        check_range("scale", scale.to_f64(), "positive and finite", inside)
    }

    /// Value, first derivative and curvature.
    pub(super) fn influence(self, r: R) -> Influence<R> {
        match self {
            Self::Huber { scale } if r.abs() > scale => Influence {
                value: scale * (r.abs() + (r.abs() - scale)),
                first: scale / r.abs(),
                curvature: R::ZERO,
            },
            Self::Squares | Self::Huber { .. } => Influence {
                value: r * r,
                first: R::ONE,
                curvature: R::ONE,
            },
            Self::Cauchy { scale } => {
                let t = r / scale;
                let first = R::ONE / t.fma(t, R::ONE);
                let t = t.to_f64();
                Influence {
                    value: scale * scale * R::of(libm::log1p(t * t)),
                    first,
                    curvature: first * (first + first - R::ONE),
                }
            }
        }
    }

    /// `sqrt(2 F)`: the norm of the residuals, where the loss is the square.
    pub(super) fn size(self, residuals: &[R]) -> R {
        if matches!(self, Self::Squares) {
            return vector::norm2(residuals);
        }
        let mut sum = R::ZERO;
        for &r in residuals {
            sum += self.influence(r).value;
        }
        sum.sqrt()
    }

    /// The factors `(sqrt(w), rho' / sqrt(w))` of a residual's row and of the residual itself.
    pub(super) fn factors(self, r: R) -> (R, R) {
        let Influence {
            first, curvature, ..
        } = self.influence(r);
        let root = curvature.larger(R::of(0.125) * first).sqrt();
        (
            root,
            if root > R::ZERO {
                first / root
            } else {
                R::ZERO
            },
        )
    }
}
