//! The linear model of the residuals at a point, what is known of how they bend, and the step that
//! both advise.

use super::bounds::Bounds;
use super::damped::{Model, Scratch};
use super::matrix::Matrix;
use super::qr;
use super::robust::Robust;
use crate::error::split;
use crate::real::Real;
use crate::vector;

/// A bend counts when the step it was seen along and the step to be bent make a smaller angle than
/// this cosine's, in the scaling D: where they differ more, it says little of the new step.
const LEAST_COSINE: f64 = 0.8;

/// The longest bend, as a part of the step: the series whose second term it is must converge.
const LONGEST_BEND: f64 = 0.375;

/// A step p, apart from p itself. "Relative" means divided by the square of the residuals' size.
pub(super) struct Foreseen<R> {
    /// |D p|, before p was bent.
    pub length: R,
    /// The relative decrease of the sum of squares that the linear model predicts.
    pub predicted: R,
    /// Whether the step is that of Gauss and Newton.
    pub undamped: bool,
}

/// What a Jacobian says before it is factored.
pub(super) struct Slopes<R> {
    /// The largest cosine between the residuals and a column whose variable may move.
    pub cosine: R,
    /// The largest `|J_j| |x_j|`.
    pub reach: R,
    /// Whether every column is zero.
    pub flat: bool,
}

/// J, its factors, and the scaling, in memory that was lent.
#[derive(Debug)]
pub(super) struct LocalModel<'m, R> {
    pub(super) n: usize,
    pub(super) m: usize,
    /// J; once factored, R above the diagonal, reflections on and below it.
    jacobian: &'m mut [R],
    /// The diagonal of R.
    diagonal: &'m mut [R],
    /// Which variable each column of R belongs to.
    order: &'m mut [R],
    /// The diagonal of D; zero while a column was never anything else.
    scale: &'m mut [R],
    /// J'r, divided by the residuals' size: neither overflows nor underflows where r does not.
    pub(super) gradient: &'m mut [R],
    /// The first n elements of Q'r.
    projected: &'m mut [R],
    /// How far a variable goes that does not take part; NaN for the others.
    pub(super) fixed: &'m mut [R],
    /// The triangle of the variables that take part, in the order of `names`.
    pub(super) triangle: &'m mut [R],
    pub(super) names: &'m mut [R],
    /// Their elements of D, of p, of what Q'r and the bend have become.
    weights: &'m mut [R],
    part: &'m mut [R],
    rhs: &'m mut [R],
    bend: &'m mut [R],
    pub(super) damped: &'m mut [R],
    right: &'m mut [R],
    pub(super) work: &'m mut [R],
    /// p.
    pub step: &'m mut [R],
    /// A step, and Q' times half the second derivative of r along it, the first n elements.
    along: &'m mut [R],
    curve: &'m mut [R],
    /// r at the other end of that step, then the bend that follows from it.
    other: &'m mut [R],
    curved: bool,
    damping: R,
}

/// The variable that an element of `order` or `names` stands for.
pub(super) fn variable<R: Real>(list: &[R], k: usize) -> usize {
    list.get(k)
        .map_or(usize::MAX, |name| name.to_f64() as usize)
}

pub(super) fn element<R: Real>(list: &[R], j: usize) -> R {
    list.get(j).copied().unwrap_or(R::ZERO)
}

pub(super) fn put<R>(list: &mut [R], j: usize, value: R) {
    if let Some(element) = list.get_mut(j) {
        *element = value;
    }
}

pub(super) fn first<R>(list: &mut [R], n: usize) -> &mut [R] {
    list.get_mut(..n).unwrap_or_default()
}

impl<'m, R: Real> LocalModel<'m, R> {
    /// Numbers of memory.
    pub const fn memory_len(n: usize, m: usize) -> usize {
        let rows = m.saturating_mul(n).saturating_add(m);
        let squares = n.saturating_mul(n).saturating_mul(3);
        rows.saturating_add(squares)
            .saturating_add(n.saturating_mul(17))
    }

    /// A model of nothing yet, in memory of that length.
    pub fn new(n: usize, m: usize, memory: &'m mut [R]) -> Self {
        let (jacobian, memory) = split(memory, m * n);
        let (other, memory) = split(memory, m);
        let (triangle, memory) = split(memory, n * n);
        let (damped, memory) = split(memory, 2 * n * n);
        let (right, memory) = split(memory, 2 * n);
        let (diagonal, memory) = split(memory, n);
        let (order, memory) = split(memory, n);
        let (scale, memory) = split(memory, n);
        let (gradient, memory) = split(memory, n);
        let (projected, memory) = split(memory, n);
        let (fixed, memory) = split(memory, n);
        let (names, memory) = split(memory, n);
        let (weights, memory) = split(memory, n);
        let (part, memory) = split(memory, n);
        let (rhs, memory) = split(memory, n);
        let (bend, memory) = split(memory, n);
        let (work, memory) = split(memory, n);
        let (step, memory) = split(memory, n);
        let (along, curve) = split(memory, n);
        Self {
            n,
            m,
            jacobian,
            diagonal,
            order,
            scale,
            gradient,
            projected,
            fixed,
            triangle,
            names,
            weights,
            part,
            rhs,
            bend,
            damped,
            right,
            work,
            step,
            along,
            curve: first(curve, n),
            other,
            curved: false,
            damping: R::ZERO,
        }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.scale.fill(R::ZERO);
        self.curved = false;
        self.damping = R::ZERO;
    }

    /// J, to be written.
    pub fn jacobian(&mut self) -> Matrix<'_, R> {
        Matrix::new(self.m, self.jacobian)
    }

    /// The damping of the last step.
    pub fn damping(&self) -> R {
        self.damping
    }

    /// Scales the damping, when the radius has changed.
    pub fn scale_damping(&mut self, factor: R) {
        self.damping *= factor;
    }

    /// The slope of the sum of squares along p, halved and relative.
    pub fn slope(&self, size: R) -> R {
        vector::dot(self.gradient, self.step) / size
    }

    /// Reads the Jacobian at `x`: gradient, scaling, and which variables a bound holds. `None` when
    /// it is not finite. Overwrites `scratch`, of m elements.
    pub fn read(
        &mut self,
        robust: Robust<R>,
        bounds: Bounds<R>,
        x: &[R],
        residuals: &[R],
        size: R,
        scratch: &mut [R],
    ) -> Option<Slopes<R>> {
        for (scratch, &r) in scratch.iter_mut().zip(residuals) {
            *scratch = robust.influence(r).first * (r / size);
        }
        let mut jacobian = Matrix::new(self.m, self.jacobian);
        let (mut cosine, mut reach) = (R::ZERO, R::ZERO);
        let mut flat = true;
        for (j, &x) in x.iter().enumerate() {
            let mut norm = vector::norm2(jacobian.column(j));
            if norm < R::MIN_POSITIVE / R::EPSILON {
                // Its elements have lost digits, and its reciprocal may overflow.
                jacobian.column_mut(j).fill(R::ZERO);
                norm = R::ZERO;
            }
            flat &= norm == R::ZERO;
            let gradient = vector::dot(jacobian.column(j), scratch);
            if !(norm.is_finite() && gradient.is_finite()) {
                return None;
            }
            let held = bounds.holds(j, x, gradient);
            put(self.fixed, j, if held { R::ZERO } else { R::NAN });
            put(self.gradient, j, gradient);
            put(self.scale, j, element(self.scale, j).larger(norm));
            if !held && gradient != R::ZERO {
                cosine = cosine.larger((gradient / norm).abs());
            }
            reach = reach.larger((norm * x).abs());
        }
        Some(Slopes {
            cosine,
            reach,
            flat,
        })
    }

    /// Factors the Jacobian, weighted as the loss demands. `bounds` says nothing here: all columns
    /// are factored. Overwrites `scratch`, of m elements.
    pub fn factor(&mut self, robust: Robust<R>, residuals: &[R], scratch: &mut [R]) {
        let mut jacobian = Matrix::new(self.m, self.jacobian);
        if self.curved {
            // r(x - s) = r - J s + the bend.
            vector::axpy(-R::ONE, residuals, self.other);
            for (j, &along) in self.along.iter().enumerate() {
                vector::axpy(along, jacobian.column(j), self.other);
            }
        }
        vector::copy(residuals, scratch);
        if !matches!(robust, Robust::Squares) {
            for (scratch, &r) in scratch.iter_mut().zip(residuals) {
                *scratch = robust.factors(r).0;
            }
            for j in 0..self.n {
                vector::multiply(scratch, jacobian.column_mut(j));
            }
            vector::multiply(scratch, self.other);
            for (scratch, &r) in scratch.iter_mut().zip(residuals) {
                *scratch = robust.factors(r).1 * r;
            }
        }
        for (j, order) in self.order.iter_mut().enumerate() {
            *order = R::of(j as f64);
        }
        qr::factor(
            &mut jacobian,
            self.diagonal,
            self.order,
            self.work,
            self.weights,
        );
        qr::rotate(&jacobian, self.diagonal, scratch);
        self.projected.fill(R::ZERO);
        vector::copy(scratch, self.projected);
        if self.curved {
            qr::rotate(&jacobian, self.diagonal, self.other);
            self.curve.fill(R::ZERO);
            vector::copy(self.other, self.curve);
        }
    }

    /// D_j.
    fn scale_of(&self, j: usize) -> R {
        let scale = element(self.scale, j);
        if scale > R::ZERO { scale } else { R::ONE }
    }

    /// |D x|.
    pub fn scaled_norm(&mut self, x: &[R]) -> R {
        for (j, &x) in x.iter().enumerate() {
            let scaled = self.scale_of(j) * x;
            put(self.work, j, scaled);
        }
        vector::norm2(self.work)
    }

    /// **Overwrites** [`step`](Self::step) with what the model advises at `x`. No step is longer
    /// than a tenth more than `radius` before it is bent, and none leaves the bounds before.
    pub fn foresee(&mut self, bounds: Bounds<R>, x: &[R], radius: R, size: R) -> Foreseen<R> {
        // Forget what an earlier radius has put at a bound.
        for fixed in self.fixed.iter_mut() {
            if *fixed != R::ZERO {
                *fixed = R::NAN;
            }
        }
        loop {
            let (selected, decrease) = self.select(size);
            let foreseen = self.solve(selected, decrease, radius, size);
            if !self.stop_at_bound(bounds, x) {
                self.bend(selected);
                return foreseen;
            }
        }
    }

    /// The exact move of a variable that was put at a bound; zero for the others.
    pub fn stopped(&self, j: usize) -> R {
        let fixed = element(self.fixed, j);
        if fixed.is_nan() { R::ZERO } else { fixed }
    }

    /// Scales up the variables that went by more than their size to where nothing is finite: within
    /// `radius`, none will again. Slopes say too little of them.
    pub fn restrain(&mut self, x: &[R], radius: R) {
        for (j, &x) in x.iter().enumerate() {
            let least = radius / x.abs();
            if element(self.step, j).abs() > x.abs() && least.is_finite() {
                put(self.scale, j, element(self.scale, j).larger(least));
            }
        }
    }

    /// Selects from R the columns of the variables that take part, and makes a triangle of them.
    /// Returns their number, and the relative decrease by what the other variables do.
    pub(super) fn select(&mut self, size: R) -> (usize, R) {
        let n = self.n;
        vector::copy(self.projected, self.rhs);
        vector::copy(self.curve, self.bend);
        let jacobian = Matrix::new(self.m, self.jacobian);
        let mut triangle = Matrix::new(n, self.triangle);
        let mut selected = 0;
        let mut moved = false;
        for k in 0..n {
            let above = jacobian.column(k).get(..k.min(self.m)).unwrap_or_default();
            let diagonal = element(self.diagonal, k);
            let fixed = element(self.fixed, variable(self.order, k));
            if fixed.is_nan() {
                triangle.column_mut(selected).fill(R::ZERO);
                vector::copy(above, triangle.column_mut(selected));
                triangle.set(k, selected, diagonal);
                put(self.names, selected, element(self.order, k));
                selected += 1;
            } else if fixed != R::ZERO {
                vector::axpy(fixed, above, self.rhs);
                let rhs = fixed.fma(diagonal, element(self.rhs, k));
                put(self.rhs, k, rhs);
                moved = true;
            }
        }
        let mut decrease = R::ZERO;
        if moved {
            let (before, after) = (vector::norm2(self.projected), vector::norm2(self.rhs));
            decrease = (before - after) / size * ((before + after) / size);
        }
        if selected < n {
            let mut triangle = Matrix::new(n, first(self.triangle, n * selected));
            let diagonal = first(self.part, selected);
            let names = first(self.names, selected);
            qr::factor(&mut triangle, diagonal, names, self.work, self.weights);
            qr::rotate(&triangle, diagonal, self.rhs);
            qr::rotate(&triangle, diagonal, self.bend);
            for (k, &diagonal) in diagonal.iter().enumerate() {
                triangle.set(k, k, diagonal);
            }
        }
        (selected, decrease)
    }

    /// Solves the model for the selected variables.
    fn solve(&mut self, selected: usize, decrease: R, radius: R, size: R) -> Foreseen<R> {
        let mut away = R::ZERO;
        for j in 0..self.n {
            let part = self.scale_of(j) * self.stopped(j) / radius;
            away = part.fma(part, away);
        }
        for k in 0..selected {
            let scale = self.scale_of(variable(self.names, k));
            put(self.weights, k, scale);
        }
        let triangle = Matrix::new(self.n, self.triangle);
        let part = first(self.part, selected);
        let model = Model {
            triangle: &triangle,
            rhs: first(self.rhs, selected),
            scale: first(self.weights, selected),
        };
        let mut scratch = Scratch {
            damped: &mut Matrix::new(2 * selected, first(self.damped, 2 * selected * selected)),
            right: first(self.right, 2 * selected),
            work: first(self.work, selected),
        };
        // What is left of the ellipsoid. Steps may be a tenth too long, so a little always is.
        let left = radius * (R::ONE - away).larger(R::of(0.01)).sqrt();
        let found = model.step(left, self.damping, part, &mut scratch);
        self.damping = found.damping;
        triangle.multiply_upper(part, scratch.work);
        let along = vector::norm2(scratch.work) / size;
        let across = found.damping.sqrt() * (found.length / size);
        let predicted = along.fma(along, R::of(2.0) * across * across) + decrease;
        vector::copy(self.fixed, self.step);
        for (k, &part) in part.iter().enumerate() {
            put(self.step, variable(self.names, k), part);
        }
        let share = found.length / radius;
        let length = if away > R::ZERO {
            radius * share.fma(share, away).sqrt()
        } else {
            found.length
        };
        Foreseen {
            length,
            predicted,
            undamped: found.damping == R::ZERO,
        }
    }

    /// Puts the variable whose bound the step meets first at that bound. False if it meets none.
    fn stop_at_bound(&mut self, bounds: Bounds<R>, x: &[R]) -> bool {
        if !bounds.exist() {
            return false;
        }
        let mut nearest = None;
        for (j, &x) in x.iter().enumerate() {
            if !element(self.fixed, j).is_nan() {
                continue;
            }
            let step = element(self.step, j);
            let (room, beyond) = if step < R::ZERO {
                let room = bounds.lower(j) - x;
                (room, step < room)
            } else {
                let room = bounds.upper(j) - x;
                (room, step > room)
            };
            let share = room / step;
            if beyond && nearest.is_none_or(|(least, _, _)| share < least) {
                nearest = Some((share, j, room));
            }
        }
        let Some((_, j, room)) = nearest else {
            return false;
        };
        put(self.fixed, j, room);
        true
    }

    /// Adds the bend to the step of the selected variables:
    ///
    /// ```text
    /// a = argmin |R P'a + t^2 c|^2 + d |D a|^2,     t = s.D^2 p / s.D^2 s
    /// ```
    ///
    /// c being half the second derivative of the residuals along s. It is known without an
    /// evaluation of its own, from the residuals at the other end of s: the last step, or one that
    /// was tried from here. Along a curved valley steps follow each other closely, so t s stands
    /// for p. A bend that is too long is shortened.
    fn bend(&mut self, selected: usize) {
        if !self.curved {
            return;
        }
        let (mut sp, mut pp, mut ss) = (R::ZERO, R::ZERO, R::ZERO);
        for (j, &along) in self.along.iter().enumerate() {
            let s = self.scale_of(j) * along;
            ss = s.fma(s, ss);
            if element(self.fixed, j).is_nan() {
                let p = self.scale_of(j) * element(self.step, j);
                sp = s.fma(p, sp);
                pp = p.fma(p, pp);
            }
        }
        let share = sp / ss;
        let cosine = sp / (ss.sqrt() * pp.sqrt());
        if !(share.is_finite() && cosine.abs() > R::of(LEAST_COSINE)) {
            return;
        }
        vector::scale(share * share, self.bend);
        let triangle = Matrix::new(self.n, self.triangle);
        let part = first(self.part, selected);
        let model = Model {
            triangle: &triangle,
            rhs: first(self.bend, selected),
            scale: first(self.weights, selected),
        };
        let mut scratch = Scratch {
            damped: &mut Matrix::new(2 * selected, first(self.damped, 2 * selected * selected)),
            right: first(self.right, 2 * selected),
            work: first(self.work, selected),
        };
        model.solve(self.damping, part, &mut scratch);
        let length = model.scaled_length(part, scratch.work);
        let longest = R::of(LONGEST_BEND) * pp.sqrt();
        let factor = if length > longest {
            longest / length
        } else {
            R::ONE
        };
        if !(length.is_finite() && factor.is_finite()) {
            return;
        }
        for (k, &part) in part.iter().enumerate() {
            let j = variable(self.names, k);
            let bent = factor.fma(part, element(self.step, j));
            put(self.step, j, bent);
        }
    }

    /// Remembers the residuals at the point that [`step`](Self::step) leads away from.
    pub fn follow(&mut self, left: &[R]) {
        vector::copy(left, self.other);
        vector::copy(self.step, self.along);
        self.curved = true;
    }

    /// Learns how the residuals bend from where they end along [`step`](Self::step), which was no
    /// better.
    pub fn learn(&mut self, robust: Robust<R>, residuals: &[R], end: &[R]) {
        if !end.iter().all(|r| r.is_finite()) {
            return;
        }
        for (other, (&end, &r)) in self.other.iter_mut().zip(end.iter().zip(residuals)) {
            *other = (end - r) * robust.factors(r).0;
        }
        let jacobian = Matrix::new(self.m, self.jacobian);
        qr::rotate(&jacobian, self.diagonal, self.other);
        self.curve.fill(R::ZERO);
        vector::copy(self.other, self.curve);
        // Q'J p = R P'p.
        for k in 0..self.n {
            let p = -element(self.step, variable(self.order, k));
            let above = jacobian.column(k).get(..k.min(self.m)).unwrap_or_default();
            vector::axpy(p, above, self.curve);
            let bent = p.fma(element(self.diagonal, k), element(self.curve, k));
            put(self.curve, k, bent);
        }
        vector::copy(self.step, self.along);
        self.curved = true;
    }
}
