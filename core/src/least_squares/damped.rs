//! The damped step of a given length: Moré's search for the damping.
//!
//! ```text
//! p(d) = argmin |R P'p + q|^2 + d |D p|^2,     d >= 0
//! ```
//!
//! is wanted with `|D p| = radius` to a tenth, or with d = 0 where that step is no longer. With
//! `f(d) = |D p(d)| - radius`, a decreasing convex function, Newton's method on `1 / (f + radius)`
//! gives
//!
//! ```text
//! d <- d + (f + radius) / radius * f / (|D p| |R_d'^-1 P'D^2 p / |D p||^2)
//! ```
//!
//! where `R_d` is the triangle of `[R; sqrt(d) D]`, made by reflections of n + 1 elements. It is
//! kept between bounds that every step narrows, and needs two or three steps.
//!
//! Source: J. Moré, *The Levenberg-Marquardt algorithm: implementation and theory*, Lecture Notes
//! in Mathematics 630 (1978).

use super::matrix::Matrix;
use super::qr;
use crate::real::Real;
use crate::vector;

/// Most steps of Newton's method.
const STEPS: u32 = 10;

/// The model, in the order of R's columns.
pub(super) struct Model<'a, 'b, R> {
    /// R.
    pub triangle: &'a Matrix<'b, R>,
    /// q.
    pub rhs: &'a [R],
    /// The diagonal of D.
    pub scale: &'a [R],
}

/// Scratch: `damped` has `2 n` rows and n columns, `right` `2 n` elements, `work` n.
pub(super) struct Scratch<'a, 'b, R> {
    pub damped: &'a mut Matrix<'b, R>,
    pub right: &'a mut [R],
    pub work: &'a mut [R],
}

/// What was found.
pub(super) struct Found<R> {
    /// d.
    pub damping: R,
    /// |D p|.
    pub length: R,
}

impl<R: Real> Model<'_, '_, R> {
    fn n(&self) -> usize {
        self.scale.len()
    }

    /// The number of columns before the first that depends on those to its left, up to rounding.
    fn rank(&self) -> usize {
        let depends = |&k: &usize| {
            let column = self.triangle.column(k).get(..=k).unwrap_or_default();
            self.triangle.get(k, k).abs() <= R::EPSILON * vector::norm2(column)
        };
        (0..self.n()).find(depends).unwrap_or(self.n())
    }

    /// |D p|, and D p in `out`.
    pub fn scaled_length(&self, step: &[R], out: &mut [R]) -> R {
        vector::copy(step, out);
        vector::multiply(self.scale, out);
        vector::norm2(out)
    }

    /// `1 / |U'^-1 P'D^2 p / |D p||^2`, from D p in `work`.
    fn slope(&self, triangle: &Matrix<R>, length: R, work: &mut [R]) -> R {
        vector::scale(R::ONE / length, work);
        vector::multiply(self.scale, work);
        triangle.solve_upper_transposed(self.n(), work);
        let norm = vector::norm2(work);
        R::ONE / (norm * norm)
    }

    /// **Overwrites** `step` with p(d). The undamped step leaves out columns from the first on that
    /// depends on those before it.
    pub fn solve(&self, damping: R, step: &mut [R], scratch: &mut Scratch<R>) {
        let n = self.n();
        if damping == R::ZERO {
            let rank = self.rank();
            step.fill(R::ZERO);
            vector::negate(self.rhs.get(..rank).unwrap_or_default(), step);
            let step = step.get_mut(..rank).unwrap_or_default();
            self.triangle.solve_upper(rank, step);
            return;
        }
        let root = damping.sqrt();
        scratch.damped.fill(R::ZERO);
        for (k, &scale) in self.scale.iter().enumerate() {
            let from = self.triangle.column(k).get(..=k).unwrap_or_default();
            vector::copy(from, scratch.damped.column_mut(k));
            scratch.damped.set(n + k, k, root * scale);
        }
        scratch.right.fill(R::ZERO);
        vector::negate(self.rhs, scratch.right);
        for k in 0..n {
            // Rows k + 1 to n - 1 are zero, and stay so.
            let rows = k..=n + k;
            let v = scratch.damped.column_mut(k);
            let diagonal = qr::make_reflection(v.get_mut(rows.clone()).unwrap_or_default());
            if diagonal != R::ZERO {
                for j in k + 1..n {
                    let (v, x) = scratch.damped.two_columns(k, j);
                    let v = v.get(rows.clone()).unwrap_or_default();
                    qr::reflect(v, x.get_mut(rows.clone()).unwrap_or_default());
                }
                let v = scratch.damped.column(k).get(rows.clone());
                let right = scratch.right.get_mut(rows);
                qr::reflect(v.unwrap_or_default(), right.unwrap_or_default());
            }
            scratch.damped.set(k, k, diagonal);
        }
        vector::copy(scratch.right, step);
        scratch.damped.solve_upper(n, step);
    }

    /// **Overwrites** `step` with the step for that radius. The search begins at `damping`.
    pub fn step(
        &self,
        radius: R,
        damping: R,
        step: &mut [R],
        scratch: &mut Scratch<R>,
    ) -> Found<R> {
        let (n, rank) = (self.n(), self.rank());
        self.solve(R::ZERO, step, scratch);
        let mut length = self.scaled_length(step, scratch.work);
        let slack = R::of(0.1) * radius;
        if length - radius <= slack {
            let damping = R::ZERO;
            return Found { damping, length };
        }
        // Bounds of the damping.
        let mut excess = length - radius;
        let mut lower = R::ZERO;
        if rank == n && length.is_finite() {
            let bound = excess / radius * self.slope(self.triangle, length, scratch.work);
            lower = if bound.is_finite() { bound } else { R::ZERO };
        }
        for (k, (work, &scale)) in scratch.work.iter_mut().zip(self.scale).enumerate() {
            let column = self.triangle.column(k).get(..=k).unwrap_or_default();
            *work = vector::dot(column, self.rhs.get(..=k).unwrap_or_default()) / scale;
        }
        let slope = vector::norm2(scratch.work);
        let mut upper = slope / radius;
        if upper <= R::ZERO || upper.is_nan() {
            upper = R::MIN_POSITIVE / radius.smaller(R::of(0.1));
        }
        let mut damping = damping.larger(lower).smaller(upper);
        if damping == R::ZERO && length.is_finite() {
            damping = slope / length;
        }
        for _ in 0..STEPS {
            if damping <= R::ZERO || damping.is_nan() {
                damping = R::MIN_POSITIVE.larger(R::of(1e-3) * upper);
            }
            self.solve(damping, step, scratch);
            length = self.scaled_length(step, scratch.work);
            let before = excess;
            excess = length - radius;
            let no_longer = lower == R::ZERO && excess <= before && before < R::ZERO;
            if excess.abs() <= slack || no_longer {
                break;
            }
            let change = excess / radius * self.slope(scratch.damped, length, scratch.work);
            if excess > R::ZERO {
                lower = lower.larger(damping);
            } else {
                upper = upper.smaller(damping);
            }
            // Unless the change is no number.
            let next = (damping + change).larger(lower);
            damping = if next.is_finite() { next } else { upper };
        }
        Found { damping, length }
    }
}
