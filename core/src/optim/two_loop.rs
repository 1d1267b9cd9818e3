//! The two-loop recursion: an inverse Hessian of m pairs, times a vector, without the matrix.
//!
//! Every pair (s, y) records that a step `s` changed the gradient by `y`; H is the matrix that BFGS builds from `H0` and the
//! pairs, oldest first, so `H y = s` for the newest. With `rho = 1 / (s . y)`:
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
//! **One pass a pair.** Each loop's update and the next loop's dot product share one pass over memory (`q -= a_i y_i` with
//! `s_(i-1) . q`, and so on), so a vector of n elements and m pairs costs about `4 m n` loads from the history, `4 m n` fused
//! multiply-adds and no other traffic but q itself. The sums are those of [`vector`]: the bits do not depend on the machine.
//!
//! Source: J. Nocedal, *Updating quasi-Newton matrices with limited storage*, Math. Comp. 35 (1980).

use crate::real::Real;
use crate::vector;

/// A step and the change of the gradient along it, in someone's memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair<'a, R> {
    /// The step, length n.
    pub s: &'a [R],
    /// The change of the gradient, length n.
    pub y: &'a [R],
    /// A factor of the stored `y`: the change of the gradient is `scale * y`. With it, `s` and `y` can share memory where the
    /// change is a multiple of the step. 1 otherwise, which changes no bit.
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

    /// The pair of a step of length 1, `v`, that changes the gradient by `curvature * v`: `v` is an eigenvector.
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
pub enum Initial<'a, R> {
    /// A number times the identity; `s . y / y . y` of the newest pair is the usual choice.
    Scalar(R),
    /// A diagonal matrix, length n.
    Diagonal(&'a [R]),
}

/// Overwrites `q` with `H q`.
///
/// `pairs` are ordered from oldest to newest; `coefficients` is scratch and holds at least one number a pair. Should there be
/// fewer, only the newest `coefficients.len()` pairs are used. With no pairs, `H = H0`.
///
/// ```
/// use secant::optim::two_loop::{Initial, Pair, two_loop};
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
    let pairs = pairs
        .get(pairs.len().saturating_sub(coefficients.len())..)
        .unwrap_or_default();
    let Some(newest) = pairs.last() else {
        match initial {
            Initial::Scalar(factor) => vector::scale(factor, q),
            Initial::Diagonal(diagonal) => vector::multiply(diagonal, q),
        }
        return;
    };

    // Newest to oldest. `product` is s_i . q on entry to each turn.
    let mut product = vector::dot(newest.s, q);
    let mut later = pairs.iter().zip(coefficients.iter_mut()).rev().peekable();
    while let Some((pair, coefficient)) = later.next() {
        *coefficient = pair.rho * product;
        let step = -(*coefficient * pair.scale);
        product = match (later.peek(), initial) {
            (Some((older, _)), _) => vector::axpy_dot(step, pair.y, older.s, q),
            // The oldest pair ends the first loop and starts the second: y is read once for both.
            (None, Initial::Scalar(factor)) => vector::axpy_scale_dot(step, factor, pair.y, q),
            (None, Initial::Diagonal(diagonal)) => {
                vector::axpy_multiply_dot(step, pair.y, diagonal, q)
            }
        };
    }

    // Oldest to newest. `product` is y_i . r on entry to each turn.
    let mut earlier = pairs.iter().zip(coefficients.iter()).peekable();
    while let Some((pair, &coefficient)) = earlier.next() {
        let factor = coefficient - pair.rho * (pair.scale * product);
        match earlier.peek() {
            Some((newer, _)) => product = vector::axpy_dot(factor, pair.s, newer.y, q),
            None => vector::axpy(factor, pair.s, q),
        }
    }
}
