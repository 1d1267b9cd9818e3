//! Where the variables may be: what bounds and L1 change about a descent.
//!
//! Both make the function smooth on pieces only. A step keeps to one piece: it starts from a
//! *reduced* gradient, which is zero for variables that must stay, and bends where a variable meets
//! the end of the piece.

use crate::real::Real;
use crate::vector;

/// The set of points, and what is added to the value there.
pub(crate) trait Region<R: Real> {
    /// Moves `x` to the nearest point of the set.
    fn enter(&self, x: &mut [R]);
    /// The value of the whole function, of which `value` is the smooth part.
    fn total(&self, x: &[R], value: R) -> R;
    /// Finds the reduced gradient at `x`, and returns the norm by which convergence is judged.
    /// `square` is what [`path`](Self::path) returned with it.
    fn reduce(&mut self, x: &[R], gradient: &[R], square: R) -> R;
    /// The reduced gradient that was found last.
    fn reduced<'a>(&'a self, gradient: &'a [R]) -> &'a [R];
    /// The ends of the piece for variable j at `x`: a step of this iteration stays between them.
    fn ends(&self, j: usize, x: R) -> (R, R);
    /// The largest decrease, to first order, that moving one variable by its own size (at least 1)
    /// promises: `max_j |g_j| max(1, |x_j|)` of the reduced gradient g. It does not depend on the
    /// units of x, nor on a constant added to f.
    fn promise(&self, x: &[R], gradient: &[R]) -> R {
        let mut largest = R::ZERO;
        for (x, g) in x.iter().zip(self.reduced(gradient)) {
            largest = largest.larger(g.abs() * R::ONE.larger(x.abs()));
        }
        largest
    }
    /// By how much variable j, at `x`, may be moved while nothing is known of curvature.
    fn reach(&self, _j: usize, x: R) -> R {
        R::ONE.larger(x.abs())
    }
    /// Sets those elements of the direction to zero that the variable must not follow: it stands at
    /// the end that they lead to.
    fn trim(&self, x: &[R], direction: &mut [R]) {
        for (j, (x, direction)) in x.iter().zip(direction).enumerate() {
            let (lower, upper) = self.ends(j, *x);
            if *x <= lower && *direction < R::ZERO || *x >= upper && *direction > R::ZERO {
                *direction = R::ZERO;
            }
        }
    }
    /// The point of the bent path at `step`: **overwrites** `x`.
    fn trial(&self, step: R, origin: &[R], direction: &[R], x: &mut [R]);
    /// The slope of the path at `x`, and the square of the norm that [`reduce`](Self::reduce) would
    /// return.
    fn path(&self, origin: &[R], direction: &[R], x: &[R], gradient: &[R]) -> (R, R);
}

/// No constraint: the reduced gradient is the gradient, the path is straight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Everywhere;

impl<R: Real> Region<R> for Everywhere {
    fn enter(&self, _x: &mut [R]) {}
    fn total(&self, _x: &[R], value: R) -> R {
        value
    }
    fn reduce(&mut self, _x: &[R], gradient: &[R], square: R) -> R {
        vector::norm_from_square(square, gradient)
    }
    fn reduced<'a>(&'a self, gradient: &'a [R]) -> &'a [R] {
        gradient
    }
    fn ends(&self, _j: usize, _x: R) -> (R, R) {
        (-R::INFINITY, R::INFINITY)
    }
    fn trim(&self, _x: &[R], _direction: &mut [R]) {}
    fn trial(&self, step: R, origin: &[R], direction: &[R], x: &mut [R]) {
        vector::add_scaled(step, origin, direction, x);
    }
    fn path(&self, _origin: &[R], direction: &[R], _x: &[R], gradient: &[R]) -> (R, R) {
        vector::dot_and_square(gradient, direction)
    }
}
