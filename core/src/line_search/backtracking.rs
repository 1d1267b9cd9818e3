//! Armijo backtracking with interpolation.

use super::conditions::Armijo;
use super::{Line, Probe, Search, interpolate};
use crate::real::Real;

/// Shrinks the step until [`Armijo`]'s condition holds.
///
/// ```text
/// while not armijo(a):  a = clamp(minimiser of the cubic through phi(0), phi'(0), phi(a), phi'(a), 0.1 a, 0.5 a)
/// ```
///
/// The step *shrinks* by a factor; adding a constant to it is a known slip. At a point where the
/// value or slope is not finite, the step is cut to a tenth.
///
/// **Worst case**: `max_evaluations` evaluations.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Backtracking<R> {
    /// c1 of [`Armijo`]. Default 1e-4, range (0, 1/2].
    pub c1: R,
    /// Most evaluations of one search. Default 20, at least 1: twenty cuts reach a step of 1e-6 at
    /// the slowest shrinking and 1e-20 at the fastest.
    pub max_evaluations: u32,
}

impl<R: Real> Default for Backtracking<R> {
    fn default() -> Self {
        Self {
            c1: R::of(1e-4),
            max_evaluations: 20,
        }
    }
}

impl<R: Real> Backtracking<R> {
    pub(crate) fn search(&self, start: Probe<R>, first: R, line: &mut impl Line<R>) -> Search<R> {
        let condition = Armijo { c1: self.c1 };
        let mut search = Search::new(start);
        let mut step = first;
        while search.evaluations < self.max_evaluations {
            let trial = search.probe(step, line);
            if condition.holds(&start, &trial) {
                return search.accept(trial);
            }
            let (shortest, longest) = (R::of(0.1) * step, R::HALF * step);
            step = if trial.is_finite() {
                let wanted = interpolate::cubic(&start, &trial);
                if wanted.is_finite() {
                    wanted.larger(shortest).smaller(longest)
                } else {
                    longest
                }
            } else {
                shortest
            };
        }
        search
    }
}
