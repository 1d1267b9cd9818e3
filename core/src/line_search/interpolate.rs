//! Minimisers of the polynomials through two points of a line. All return a NaN or an infinity
//! where there is none, which the searches replace.

use super::Probe;
use crate::real::Real;

/// The minimiser of the cubic through both points' values and slopes.
///
/// ```text
/// d1 = a'.slope + b'.slope - 3 (a.value - b.value) / (a.step - b.step)
/// d2 = sign(b.step - a.step) sqrt(d1^2 - a.slope b.slope)
/// t  = b.step - (b.step - a.step) (b.slope + d2 - d1) / (b.slope - a.slope + 2 d2)
/// ```
///
/// Source: Nocedal and Wright (2006), equation 3.59. The root is taken of numbers divided by their
/// largest, so that it neither overflows nor underflows.
pub(crate) fn cubic<R: Real>(a: &Probe<R>, b: &Probe<R>) -> R {
    let width = b.step - a.step;
    let d1 = a.slope + b.slope - R::of(3.0) * ((b.value - a.value) / width);
    let size = d1.abs().larger(a.slope.abs()).larger(b.slope.abs());
    let inner = (d1 / size) * (d1 / size) - (a.slope / size) * (b.slope / size);
    // The root of a negative number is a NaN, and stays one.
    let root = size * inner.sqrt();
    let d2 = if width >= R::ZERO { root } else { -root };
    b.step - width * ((b.slope + d2 - d1) / (b.slope - a.slope + R::of(2.0) * d2))
}
/// The minimiser of the parabola through both values and `a`'s slope.
pub(crate) fn quadratic<R: Real>(a: &Probe<R>, b: &Probe<R>) -> R {
    let width = b.step - a.step;
    let secant = (b.value - a.value) / width;
    a.step + width * (R::HALF * a.slope / (a.slope - secant))
}

/// Where the line through both slopes crosses zero.
pub(crate) fn secant<R: Real>(a: &Probe<R>, b: &Probe<R>) -> R {
    a.step - a.slope * ((b.step - a.step) / (b.slope - a.slope))
}
