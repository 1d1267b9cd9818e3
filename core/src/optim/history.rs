//! The newest M pairs of L-BFGS, in a ring over the caller's memory.

use core::ops::Range;

use heapless::{Deque, Vec};

use super::descent::{Metric, split};
use super::pair::{Curvature, Moments, Verdict, judge};
use super::two_loop::{Initial, Pair, two_loop};
use crate::real::Real;
use crate::vector;

/// Where a pair lives, and its scalar.
#[derive(Debug, Clone, Copy)]
struct Entry<R> {
    slot: usize,
    rho: R,
}

/// H0, the matrix that the pairs start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Scaling {
    /// `h I` with `h = s . y / y . y` of the newest pair.
    Scalar,
    /// A diagonal matrix that starts as `h I` and then learns from every pair: it is scaled so that `y . D y = s . y`, and
    /// becomes the diagonal of its own BFGS update, `1/d <- 1/d + y^2 / s.y - (s/d)^2 / sum(s^2/d)`.
    ///
    /// Worth about as much as twice the pairs on badly scaled problems. Source: J. Gilbert and C. Lemaréchal, *Some
    /// numerical experiments with variable-storage quasi-Newton algorithms*, Math. Programming 45 (1989).
    Diagonal,
}

/// At most M pairs, oldest first. The order and the scalars are here; the vectors are in the caller's memory.
#[derive(Debug)]
pub(crate) struct History<'m, const M: usize, R> {
    rule: Curvature<R>,
    scaling: Scaling,
    /// Whether gradients are reduced: variables with an exact zero stay, and the pairs count without them.
    on_a_face: bool,
    dimension: usize,
    /// M slots of s, then M slots of y.
    steps: &'m mut [R],
    changes: &'m mut [R],
    /// The diagonal of H0, when that is the scaling.
    diagonal: &'m mut [R],
    order: Deque<Entry<R>, M>,
    /// h of `H0 = h I`.
    scale: R,
}

impl<'m, const M: usize, R: Real> History<'m, M, R> {
    /// Numbers of memory for vectors of length n.
    pub const fn memory_len(n: usize) -> usize {
        (2 * M + 1) * n
    }

    /// `memory` has `memory_len(dimension)` numbers.
    pub fn new(
        rule: Curvature<R>,
        scaling: Scaling,
        dimension: usize,
        memory: &'m mut [R],
    ) -> Self {
        let (steps, memory) = split(memory, M * dimension);
        let (changes, diagonal) = split(memory, M * dimension);
        Self {
            rule,
            scaling,
            on_a_face: false,
            dimension,
            steps,
            changes,
            diagonal,
            order: Deque::new(),
            scale: R::ONE,
        }
    }

    /// The same, for reduced gradients.
    pub fn on_a_face(self) -> Self {
        Self {
            on_a_face: true,
            ..self
        }
    }

    /// `q = H q` on the face of the variables whose `gradient` is not zero: the two-loop recursion of the pairs without the
    /// other elements. Pairs without positive curvature on the face are left out.
    fn multiply_on_face(&self, gradient: &[R], q: &mut [R]) {
        let pairs = self.pairs();
        let mut coefficients = [R::ZERO; M];
        let mut rho = [R::ZERO; M];
        for ((pair, rho), coefficient) in pairs.iter().zip(&mut rho).zip(&mut coefficients).rev() {
            let sy = vector::dot_where(gradient, pair.s, pair.y);
            // The square root of the rounding error: a face may cut all but noise off a pair.
            if sy * pair.rho > R::EPSILON.sqrt() {
                *rho = R::ONE / sy;
            }
            *coefficient = *rho * vector::dot(pair.s, q);
            vector::axpy_where(-*coefficient, gradient, pair.y, q);
        }
        match self.initial() {
            Initial::Scalar(factor) => vector::scale(factor, q),
            Initial::Diagonal(diagonal) => vector::multiply(diagonal, q),
        }
        for ((pair, &rho), &coefficient) in pairs.iter().zip(&rho).zip(&coefficients) {
            let factor = coefficient - rho * vector::dot(pair.y, q);
            if rho > R::ZERO {
                vector::axpy_where(factor, gradient, pair.s, q);
            }
        }
    }

    /// H0.
    pub fn initial(&self) -> Initial<'_, R> {
        match self.scaling {
            Scaling::Diagonal if !self.order.is_empty() => Initial::Diagonal(self.diagonal),
            _ => Initial::Scalar(self.scale),
        }
    }

    /// Learns a new H0 from the newest pair.
    fn rescale(&mut self, first: bool, s: &[R], y: &[R], moments: Moments<R>) {
        self.scale = moments.sy / moments.yy;
        if self.scaling == Scaling::Scalar {
            return;
        }
        if !first {
            let (dyy, ssd) = vector::diagonal_moments(self.diagonal, s, y);
            let w = dyy / moments.sy;
            let sbs = w * ssd;
            if w.is_finite() && w > R::ZERO && sbs.is_finite() && sbs > R::ZERO {
                vector::update_diagonal(w, R::ONE / moments.sy, sbs, s, y, self.diagonal);
                return;
            }
        }
        self.diagonal.fill(self.scale);
    }

    /// Where a slot's vector lies.
    fn range(&self, slot: usize) -> Range<usize> {
        slot * self.dimension..(slot + 1) * self.dimension
    }

    /// The pairs, oldest first.
    pub fn pairs(&self) -> Vec<Pair<'_, R>, M> {
        let mut pairs = Vec::new();
        for entry in &self.order {
            let range = self.range(entry.slot);
            let pair = Pair {
                s: self.steps.get(range.clone()).unwrap_or_default(),
                y: self.changes.get(range).unwrap_or_default(),
                scale: R::ONE,
                rho: entry.rho,
            };
            // There is room: the ring has the same capacity.
            let _ = pairs.push(pair);
        }
        pairs
    }

    /// Numbers of [`numbers`](Self::numbers).
    pub const NUMBERS: usize = 3 + M;

    /// What a checkpoint needs beside the memory: h, the slot of the oldest pair, the number of pairs, and `1 / s.y` of each,
    /// oldest first. Slots are used in turn, so that says all of the order.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        let real = |value: R| value.to_f64().to_bits();
        let first = self.order.front().map_or(0, |entry| entry.slot as u64);
        let own = [real(self.scale), first, self.order.len() as u64];
        own.into_iter()
            .chain(self.order.iter().map(move |entry| real(entry.rho)))
    }

    /// Takes on what [`numbers`](Self::numbers) gave. False when that is impossible; nothing has changed then.
    pub fn restore(&mut self, numbers: &[u64]) -> bool {
        let real = |bits: u64| R::of(f64::from_bits(bits));
        let Some(([scale, first, count], rho)) = numbers.split_first_chunk::<3>() else {
            return false;
        };
        let (first, count) = (*first as usize, *count as usize);
        if count > M.min(rho.len()) || (count > 0 && first >= M) {
            return false;
        }
        self.scale = real(*scale);
        self.order.clear();
        for (i, rho) in rho.iter().take(count).enumerate() {
            let entry = Entry {
                slot: (first + i) % M.max(1),
                rho: real(*rho),
            };
            // There is room for M.
            let _ = self.order.push_back(entry);
        }
        true
    }

    fn push(&mut self, s: &[R], y: &[R], rho: R) {
        let slot = if self.order.is_full() {
            match self.order.pop_front() {
                Some(oldest) => oldest.slot,
                None => return,
            }
        } else {
            self.order.len()
        };
        let range = self.range(slot);
        vector::copy(s, self.steps.get_mut(range.clone()).unwrap_or_default());
        vector::copy(y, self.changes.get_mut(range).unwrap_or_default());
        // There is room: one was taken out if it was full.
        let _ = self.order.push_back(Entry { slot, rho });
    }
}

impl<const M: usize, R: Real> Metric<R> for History<'_, M, R> {
    fn direction(&mut self, gradient: &[R], direction: &mut [R]) {
        vector::negate(gradient, direction);
        if self.on_a_face {
            self.multiply_on_face(gradient, direction);
            return;
        }
        let mut coefficients = [R::ZERO; M];
        two_loop(&self.pairs(), self.initial(), direction, &mut coefficients);
    }

    fn update(
        &mut self,
        s: &[R],
        y: &mut [R],
        moments: Moments<R>,
        gradient_norm: R,
    ) -> Option<Verdict<R>> {
        let (verdict, moments) = judge(&self.rule, moments, self.scale, gradient_norm, s, y);
        if !matches!(verdict, Verdict::Skipped(_)) {
            self.rescale(self.order.is_empty(), s, y, moments);
            self.push(s, y, R::ONE / moments.sy);
        }
        Some(verdict)
    }

    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn reset(&mut self, scale: R) {
        self.order.clear();
        self.scale = scale;
    }
}
