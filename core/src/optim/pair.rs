//! Whether a step teaches something about curvature: the verdict on a pair (s, y).

use crate::error::{ConfigError, check_range};
use crate::real::Real;
use crate::vector;

/// What became of the pair of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Verdict<R> {
    /// Stored as it is.
    Accepted,
    /// Stored with `y` moved towards `B0 s`: `theta` of y was kept.
    Damped {
        /// The share of y that was kept, in (0, 1).
        theta: R,
    },
    /// Not stored.
    Skipped(Skip),
}

/// Why a pair was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Skip {
    /// s = 0: the point did not move.
    NoStep,
    /// y = 0: the gradient did not change.
    NoChange,
    /// `s . y <= 0`: the function curves downwards along the step.
    NegativeCurvature,
    /// `s . y` is positive but too small beside |s| |y| (or, in cautious mode, beside |g| |s|^2) to
    /// be trusted.
    WeakCurvature,
    /// A sum overflowed or was a NaN.
    NotFinite,
}

/// Which pairs are stored, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Curvature<R> {
    /// Accept when `s . y > epsilon |s| |y|`, skip otherwise.
    ///
    /// The bound is on the cosine of the angle between s and y, so it means the same at any scale
    /// of f and x; an absolute bound such as 1e-10 rejects everything, or nothing, on a badly
    /// scaled problem.
    Skip {
        /// Default `8 EPSILON`, range [0, 1). Larger keeps H better conditioned and learns less.
        epsilon: R,
    },
    /// Accept when `s . y >= epsilon |g| |s|^2` and the test of [`Skip`](Self::Skip) holds with `8
    /// EPSILON`; skip otherwise.
    ///
    /// The rule of D. Li and M. Fukushima (SIAM J. Optim. 11, 2001), with which BFGS converges
    /// without convexity.
    Cautious {
        /// Default 1e-6, in units of curvature over gradient. Larger skips more.
        epsilon: R,
    },
    /// Accept when `s . y >= share s . B0 s` with `B0 = H0^-1`; otherwise store `y <- theta y +
    /// (1 - theta) B0 s` with the theta that makes this an equality.
    ///
    /// Powell's damping: every finite pair that moved is stored, and `s . y > 0` holds for each.
    /// For functions that are not convex, and for searches that do not look at the slope.
    Damp {
        /// Default 0.2, range (0, 1). Larger damps more.
        share: R,
    },
}

impl<R: Real> Curvature<R> {
    /// [`Skip`](Self::Skip) with its default.
    pub fn skip() -> Self {
        Self::Skip {
            epsilon: R::of(8.0) * R::EPSILON,
        }
    }
    /// [`Cautious`](Self::Cautious) with its default.
    pub fn cautious() -> Self {
        Self::Cautious {
            epsilon: R::of(1e-6),
        }
    }
    /// [`Damp`](Self::Damp) with its default.
    pub fn damp() -> Self {
        Self::Damp { share: R::of(0.2) }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match *self {
            Self::Skip { epsilon } => {
                let inside = epsilon >= R::ZERO && epsilon < R::ONE;
                check_range("epsilon", epsilon.to_f64(), "in [0, 1)", inside)
            }
            Self::Cautious { epsilon } => {
                let inside = epsilon >= R::ZERO && epsilon.is_finite();
                check_range("epsilon", epsilon.to_f64(), "at least 0 and finite", inside)
            }
            Self::Damp { share } => {
                let inside = share > R::ZERO && share < R::ONE;
                check_range("share", share.to_f64(), "in (0, 1)", inside)
            }
        }
    }
}

/// What the change of the gradient is taken to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SecantCondition {
    /// `y = g - g_before`: the curvature averaged over the step.
    Gradients,
    /// `y = t (g - g_before)`: the curvature at the *end* of the step, of the cubic through both
    /// values and slopes.
    ///
    /// ```text
    /// t = 1 + (6 (f_before - f) + 3 (g_before + g) . s) / (s . y), within [0.2, 10]
    /// ```
    ///
    /// For a quadratic t = 1. Saves about a tenth of the evaluations on functions that are not.
    /// Where the difference of the values is rounding error it has no effect. Not for noisy values,
    /// such as those of mini-batches. Source: M. Biggs, *A note on minimization algorithms which
    /// make use of non-quadratic properties of the objective function*, J. Inst. Maths Applics 12
    /// (1973).
    Values,
}

impl SecantCondition {
    /// Corrects y, and the moments with it. `slope` is `g . s` at the end of the step.
    pub(crate) fn correct<R: Real>(
        self,
        values: [R; 2],
        slope: R,
        moments: Moments<R>,
        y: &mut [R],
    ) -> Moments<R> {
        let [before, after] = values;
        let Moments { ss, sy, yy } = moments;
        let noise = R::of(240.0) * R::EPSILON * before.abs().larger(after.abs());
        if self == Self::Gradients || sy <= noise || sy.is_nan() {
            return moments;
        }
        let slope_before = slope - sy;
        let excess = R::of(6.0) * (before - after) + R::of(3.0) * (slope_before + slope);
        let t = (R::ONE + excess / sy)
            .larger(R::of(0.2))
            .smaller(R::of(10.0));
        vector::scale(t, y);
        Moments {
            ss,
            sy: t * sy,
            yy: t * t * yy,
        }
    }
}

/// The three sums that every judgement is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments<R> {
    pub ss: R,
    pub sy: R,
    pub yy: R,
}

/// Judges the pair, and damps `y` in place if that is the rule; the moments returned are those of
/// the pair to be stored.
///
/// `inverse_scale` is h of `H0 = h I`; `gradient_norm` is |g| at the start of the step.
pub(crate) fn judge<R: Real>(
    rule: &Curvature<R>,
    moments: Moments<R>,
    inverse_scale: R,
    gradient_norm: R,
    s: &[R],
    y: &mut [R],
) -> (Verdict<R>, Moments<R>) {
    let Moments { ss, sy, yy } = moments;
    let skip = |why| (Verdict::Skipped(why), moments);
    if !(ss.is_finite() && sy.is_finite() && yy.is_finite()) {
        return skip(Skip::NotFinite);
    }
    if ss == R::ZERO {
        return skip(Skip::NoStep);
    }
    let trusted = |epsilon: R| sy > epsilon * (ss.sqrt() * yy.sqrt());
    let doubt = if sy > R::ZERO {
        Skip::WeakCurvature
    } else {
        Skip::NegativeCurvature
    };
    match *rule {
        Curvature::Damp { share } => {
            let sbs = ss / inverse_scale;
            if !(sbs > R::ZERO && sbs.is_finite()) {
                return if yy == R::ZERO {
                    skip(Skip::NoChange)
                } else {
                    skip(Skip::NotFinite)
                };
            }
            if sy >= share * sbs {
                return (Verdict::Accepted, moments);
            }
            let theta = (R::ONE - share) * sbs / (sbs - sy);
            vector::scale(theta, y);
            vector::axpy((R::ONE - theta) / inverse_scale, s, y);
            let damped = Moments {
                ss,
                sy: vector::dot(s, y),
                yy: vector::dot(y, y),
            };
            if !(damped.sy > R::ZERO && damped.sy.is_finite() && damped.yy.is_finite()) {
                return skip(Skip::NotFinite);
            }
            (Verdict::Damped { theta }, damped)
        }
        _ if yy == R::ZERO => skip(Skip::NoChange),
        Curvature::Skip { epsilon } if trusted(epsilon) => (Verdict::Accepted, moments),
        Curvature::Cautious { epsilon }
            if trusted(R::of(8.0) * R::EPSILON) && sy >= epsilon * gradient_norm * ss =>
        {
            (Verdict::Accepted, moments)
        }
        _ => skip(doubt),
    }
}
