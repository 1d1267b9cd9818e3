//! Bounds on the variables of a fit.

use crate::error::{ConfigError, check_length, check_range};
use crate::real::Real;

/// `lower <= x <= upper`; no bounds where the slices are empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'m, R> {
    lower: &'m [R],
    upper: &'m [R],
}

impl<'m, R: Real> Bounds<'m, R> {
    /// No bounds.
    pub const NONE: Self = Self {
        lower: &[],
        upper: &[],
    };

    /// Bounds for n variables.
    pub fn new(n: usize, lower: &'m [R], upper: &'m [R]) -> Result<Self, ConfigError> {
        check_length("lower", n, lower.len())?;
        check_length("upper", n, upper.len())?;
        for (&lower, &upper) in lower.iter().zip(upper) {
            let inside = lower <= upper && lower < R::INFINITY && upper > -R::INFINITY;
            let range = "at most the upper bound, and not both infinite alike";
            check_range("lower", lower.to_f64(), range, inside)?;
        }
        Ok(Self { lower, upper })
    }

    /// Whether there are any.
    pub fn exist(&self) -> bool {
        !self.lower.is_empty()
    }

    /// The lower bound of a variable.
    pub fn lower(&self, j: usize) -> R {
        self.lower.get(j).copied().unwrap_or(-R::INFINITY)
    }

    /// The upper bound of a variable.
    pub fn upper(&self, j: usize) -> R {
        self.upper.get(j).copied().unwrap_or(R::INFINITY)
    }

    /// Moves `x` into the box. A NaN stays one.
    pub fn enter(&self, x: &mut [R]) {
        for (j, x) in x.iter_mut().enumerate() {
            if *x < self.lower(j) {
                *x = self.lower(j);
            } else if *x > self.upper(j) {
                *x = self.upper(j);
            }
        }
    }

    /// Whether a variable at `x` stands at a bound and the gradient pushes it outwards.
    pub fn holds(&self, j: usize, x: R, gradient: R) -> bool {
        let (lower, upper) = (self.lower(j), self.upper(j));
        lower == upper || x <= lower && gradient >= R::ZERO || x >= upper && gradient <= R::ZERO
    }
}
