//! Derivatives of residuals by differences, where the caller has none.

use super::bounds::Bounds;
use super::matrix::Matrix;
use super::residuals::Residuals;
use crate::real::Real;
use crate::vector;

/// How derivatives are estimated where [`Residuals::jacobian`] has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Differences {
    /// `(r(x + h e_j) - r(x)) / h` with `h = sqrt(EPSILON) |x_j|`, or `sqrt(EPSILON)` where x_j is
    /// zero: n evaluations, half the digits.
    Forward,
    /// `(r(x + h e_j) - r(x - h e_j)) / 2 h` with the cube root of `EPSILON` instead: 2 n
    /// evaluations, two thirds of the digits. Where a bound is in the way, a forward difference.
    Central,
}

impl Differences {
    /// The Jacobian at `x`, where the residuals are `here`. No point outside the bounds is
    /// evaluated; the column of a variable that has no room is zero. `point`, of n elements, and
    /// `there`, of m, are scratch. Returns the number of evaluations.
    pub(super) fn jacobian<R: Real>(
        self,
        problem: &mut impl Residuals<R>,
        bounds: Bounds<R>,
        x: &[R],
        here: &[R],
        jacobian: &mut Matrix<R>,
        point: &mut [R],
        there: &mut [R],
    ) -> u32 {
        let relative = match self {
            Self::Forward => R::EPSILON.sqrt(),
            Self::Central => R::of(libm::cbrt(R::EPSILON.to_f64())),
        };
        let mut evaluations = 0u32;
        for (j, &middle) in x.iter().enumerate() {
            let (lower, upper) = (bounds.lower(j), bounds.upper(j));
            let size = middle.abs();
            let h = relative * if size > R::ZERO { size } else { R::ONE };
            let right = (middle + h).smaller(upper);
            let left = (middle - h).larger(lower);
            let room = middle + h <= upper && middle - h >= lower;
            let both = matches!(self, Self::Central) && room;
            let end = if right - middle >= middle - left {
                right
            } else {
                left
            };
            let column = jacobian.column_mut(j);
            let mut at = |value: R, out: &mut [R]| {
                vector::copy(x, point);
                if let Some(x) = point.get_mut(j) {
                    *x = value;
                }
                problem.residuals(point, out);
                evaluations = evaluations.saturating_add(1);
            };
            let (first, second) = if both { (left, right) } else { (middle, end) };
            if first == second {
                column.fill(R::ZERO);
                continue;
            }
            at(second, column);
            let start = if both {
                at(first, there);
                &*there
            } else {
                here
            };
            for (column, &start) in column.iter_mut().zip(start) {
                *column = (*column - start) / (second - first);
            }
        }
        evaluations
    }
}
