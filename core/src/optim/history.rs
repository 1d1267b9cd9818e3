//! The newest M pairs of L-BFGS, in a ring over the caller's memory.

use heapless::{Deque, Vec};

use super::descent::Metric;
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

/// At most M pairs, oldest first. The order and the scalars are here; the vectors are in the caller's memory.
#[derive(Debug)]
pub(crate) struct History<'m, const M: usize, R> {
    rule: Curvature<R>,
    dimension: usize,
    /// M slots of s, then M slots of y.
    steps: &'m mut [R],
    changes: &'m mut [R],
    order: Deque<Entry<R>, M>,
    /// h of `H0 = h I`.
    scale: R,
}

impl<'m, const M: usize, R: Real> History<'m, M, R> {
    /// Numbers of memory for vectors of length n.
    pub const fn memory_len(n: usize) -> usize {
        2 * M * n
    }

    /// `memory` has at least `memory_len(dimension)` numbers.
    pub fn new(rule: Curvature<R>, dimension: usize, memory: &'m mut [R]) -> Self {
        let (steps, rest) = memory.split_at_mut(M * dimension);
        Self {
            rule,
            dimension,
            steps,
            changes: rest,
            order: Deque::new(),
            scale: R::ONE,
        }
    }

    /// The pairs, oldest first.
    pub fn pairs(&self) -> Vec<Pair<'_, R>, M> {
        let slot = |memory: &'_ [R], slot: usize| {
            slot * self.dimension..((slot + 1) * self.dimension).min(memory.len())
        };
        self.order
            .iter()
            .map(|entry| Pair {
                s: &self.steps[slot(self.steps, entry.slot)],
                y: &self.changes[slot(self.changes, entry.slot)],
                scale: R::ONE,
                rho: entry.rho,
            })
            .collect()
    }

    /// h of `H0 = h I`.
    pub fn scale(&self) -> R {
        self.scale
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
        let range = slot * self.dimension..(slot + 1) * self.dimension;
        vector::copy(s, &mut self.steps[range.clone()]);
        vector::copy(y, &mut self.changes[range]);
        // There is room: one was taken out if it was full.
        let _ = self.order.push_back(Entry { slot, rho });
    }
}

impl<const M: usize, R: Real> Metric<R> for History<'_, M, R> {
    fn direction(&mut self, gradient: &[R], direction: &mut [R]) {
        let mut coefficients = [R::ZERO; M];
        vector::negate(gradient, direction);
        two_loop(
            &self.pairs(),
            Initial::Scalar(self.scale),
            direction,
            &mut coefficients,
        );
    }

    fn update(
        &mut self,
        s: &[R],
        y: &mut [R],
        moments: Moments<R>,
        gradient_norm: R,
    ) -> Verdict<R> {
        let (verdict, moments) = judge(&self.rule, moments, self.scale, gradient_norm, s, y);
        if !matches!(verdict, Verdict::Skipped(_)) {
            self.push(s, y, R::ONE / moments.sy);
            self.scale = moments.sy / moments.yy;
        }
        verdict
    }

    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn reset(&mut self, scale: R) {
        self.order.clear();
        self.scale = scale;
    }
}
