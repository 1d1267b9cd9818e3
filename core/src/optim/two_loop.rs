//! The two-loop recursion: an inverse Hessian of m pairs, times a vector, without the matrix.
//!
//! Every pair (s, y) records that a step `s` changed the gradient by `y`; H is the matrix that BFGS
//! builds from `H0` and the pairs, oldest first, so `H y = s` for the newest. With `rho = 1 / (s .
//! y)`:
//!
//! ```text
//! q = g;  for i newest to oldest:  a_i = rho_i s_i . q ;  q -= a_i y_i
//! r = H0 q
//!         for i oldest to newest:  b   = rho_i y_i . r ;  r += (a_i - b) s_i
//! H g = r
//! ```
//!
//! The second loop runs from the *oldest* pair to the newest; the reverse is a known slip.
//!
//! **One pass a pair.** Each loop's update and the next loop's dot product share one pass over
//! memory (`q -= a_i y_i` with `s_(i-1) . q`, and so on), so a vector of n elements and m pairs
//! costs about `4 m n` loads from the history, `4 m n` fused multiply-adds and no other traffic but
//! q itself. The sums are those of [`vector`]: the bits do not depend on the machine.
//!
//! Source: J. Nocedal, *Updating quasi-Newton matrices with limited storage*, Math. Comp. 35
//! (1980).

use crate::arch::{Kernel, Simd, dispatch};
use crate::real::Real;
use crate::vector::{self, Axpy, AxpyDot, AxpyMultiplyDot, AxpyScaleDot, Dot, Multiply, Scale};

/// A step and the change of the gradient along it, in someone's memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair<'a, R> {
    /// The step, length n.
    pub s: &'a [R],
    /// The change of the gradient, length n.
    pub y: &'a [R],
    /// A factor of the stored `y`: the change of the gradient is `scale * y`. With it, `s` and `y`
    /// can share memory where the change is a multiple of the step. 1 otherwise, which changes no
    /// bit.
    pub scale: R,
    /// `1 / (s . scale y)`: positive, if H is to be positive definite.
    pub rho: R,
}

impl<'a, R: Real> Pair<'a, R> {
    /// The pair with its `rho` computed. `s . y` must not be zero.
    pub fn new(s: &'a [R], y: &'a [R]) -> Self {
        Self {
            s,
            y,
            scale: R::ONE,
            rho: R::ONE / vector::dot(s, y),
        }
    }

    /// The pair of a step of length 1, `v`, that changes the gradient by `curvature * v`: `v` is an
    /// eigenvector.
    pub fn eigen(v: &'a [R], curvature: R) -> Self {
        Self {
            s: v,
            y: v,
            scale: curvature,
            rho: R::ONE / curvature,
        }
    }
}

/// H0, the matrix that the pairs start from.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Initial<'a, R> {
    /// A number times the identity; `s . y / y . y` of the newest pair is the usual choice.
    Scalar(R),
    /// A diagonal matrix, length n.
    Diagonal(&'a [R]),
}

/// Overwrites `q` with `H q`.
///
/// `pairs` are ordered from oldest to newest; `coefficients` is scratch and holds at least one
/// number a pair. Should there be fewer, only the newest `coefficients.len()` pairs are used. With
/// no pairs, `H = H0`.
///
/// ```
/// use secant::optim::{Initial, Pair, two_loop};
///
/// let (s, y) = ([1.0f64, 0.0], [4.0, 1.0]);
/// let mut q = y;
/// two_loop(&[Pair::new(&s, &y)], Initial::Scalar(0.5), &mut q, &mut [0.0]);
/// assert_eq!(q, s); // H y = s, whatever H0 is
/// ```
pub fn two_loop<R: Real>(
    pairs: &[Pair<'_, R>],
    initial: Initial<'_, R>,
    q: &mut [R],
    coefficients: &mut [R],
) {
    two_loops(pairs, initial, [q], [coefficients]);
}

/// [`two_loop`] of several vectors at once, with the same bits: they do not wait for each other's
/// sums.
pub(crate) fn two_loops<R: Real, const V: usize>(
    pairs: &[Pair<'_, R>],
    initial: Initial<'_, R>,
    q: [&mut [R]; V],
    coefficients: [&mut [R]; V],
) {
    dispatch(TwoLoops {
        pairs,
        initial,
        q,
        coefficients,
    });
}

struct TwoLoops<'a, R, const V: usize> {
    pairs: &'a [Pair<'a, R>],
    initial: Initial<'a, R>,
    q: [&'a mut [R]; V],
    coefficients: [&'a mut [R]; V],
}

impl<R: Real, const V: usize> Kernel for TwoLoops<'_, R, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let TwoLoops {
            pairs,
            initial,
            q,
            coefficients,
        } = self;
        let room = coefficients.iter().map(|c| c.len()).min().unwrap_or(0);
        let pairs = pairs
            .get(pairs.len().saturating_sub(room)..)
            .unwrap_or_default();
        let Some(newest) = pairs.last() else {
            for x in q {
                match initial {
                    Initial::Scalar(a) => Scale { a, x }.run(simd),
                    Initial::Diagonal(d) => Multiply { d, x }.run(simd),
                }
            }
            return;
        };

        // Newest to oldest. `products` are s_i . q on entry to each turn.
        let mut products = [R::ZERO; V];
        for v in 0..V {
            products[v] = Dot {
                a: newest.s,
                b: q[v],
            }
            .run(simd);
        }
        let mut later = pairs.iter().enumerate().rev().peekable();
        while let Some((i, pair)) = later.next() {
            for v in 0..V {
                let coefficient = pair.rho * products[v];
                if let Some(kept) = coefficients[v].get_mut(i) {
                    *kept = coefficient;
                }
                let (a, x, y) = (-(coefficient * pair.scale), pair.y, &mut *q[v]);
                products[v] = match (later.peek(), initial) {
                    (Some((_, older)), _) => AxpyDot {
                        a,
                        x,
                        z: older.s,
                        y,
                    }
                    .run(simd),
                    // The oldest pair ends the first loop and starts the second: y is read once for
                    // both.
                    (None, Initial::Scalar(b)) => AxpyScaleDot { a, b, x, y }.run(simd),
                    (None, Initial::Diagonal(d)) => AxpyMultiplyDot { a, x, d, y }.run(simd),
                };
            }
        }

        // Oldest to newest. `products` are y_i . r on entry to each turn.
        let mut earlier = pairs.iter().enumerate().peekable();
        while let Some((i, pair)) = earlier.next() {
            for v in 0..V {
                let coefficient = coefficients[v].get(i).copied().unwrap_or(R::ZERO);
                let a = coefficient - pair.rho * (pair.scale * products[v]);
                let (x, y) = (pair.s, &mut *q[v]);
                match earlier.peek() {
                    Some((_, newer)) => {
                        products[v] = AxpyDot {
                            a,
                            x,
                            z: newer.y,
                            y,
                        }
                        .run(simd)
                    }
                    None => Axpy { a, x, y }.run(simd),
                }
            }
        }
    }
}

#[cfg(test)]
mod pair_tests {
    use super::Pair;

    #[test]
    fn an_eigenvector_is_step_and_change_at_once() {
        let v = [0.6_f64, 0.8];
        let pair = Pair::eigen(&v, 4.0);
        assert_eq!((pair.s, pair.y), (&v[..], &v[..]));
        assert_eq!((pair.scale, pair.rho), (4.0, 0.25));
    }
}
