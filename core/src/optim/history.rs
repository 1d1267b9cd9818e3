//! The newest M pairs of L-BFGS, in a ring over the caller's memory.

use core::ops::Range;

use heapless::Vec;

use super::descent::Metric;
use super::pair::{Curvature, Moments, Verdict, judge};
use super::region::Region;
use super::two_loop::{Initial, Pair, two_loop};
use crate::error::split;
use crate::real::Real;
use crate::vector;

/// H0, the matrix that the pairs start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Scaling {
    /// `h I` with `h = s . y / y . y` of the newest pair.
    Scalar,
    /// A diagonal matrix that starts as `h I` and then learns from every pair: it is scaled so that
    /// `y . D y = s . y`, and becomes the diagonal of its own BFGS update, `1/d <- 1/d + y^2 /
    /// s.y - (s/d)^2 / sum(s^2/d)`. Then elements below h forget a fiftieth, `d <- d + (h - d) /
    /// 50`: one that a steep place made tiny would stay so, and its variable with it.
    ///
    /// Worth about as much as twice the pairs on badly scaled problems. Source: J. Gilbert and C.
    /// Lemaréchal, *Some numerical experiments with variable-storage quasi-Newton algorithms*,
    /// Math. Programming 45 (1989).
    Diagonal,
}

/// The share that each pair replaces by `h` where the diagonal is below it.
const FORGET: f64 = 0.02;

/// At most M pairs. The order and the scalars are here; the vectors are in the caller's memory.
#[derive(Debug)]
pub(crate) struct History<'m, const M: usize, R> {
    rule: Curvature<R>,
    scaling: Scaling,
    dimension: usize,
    /// M slots of s, then M slots of y.
    steps: &'m mut [R],
    changes: &'m mut [R],
    /// The diagonal of H0, when that is the scaling.
    diagonal: &'m mut [R],
    /// `1 / (s . y)` of each slot in use.
    rho: Vec<R, M>,
    /// The slot of the next pair: the oldest one's, once all are in use.
    next: usize,
    /// h of `H0 = h I`.
    scale: R,
}

impl<'m, const M: usize, R: Real> History<'m, M, R> {
    /// Numbers of memory for vectors of length n, with [`Scaling::Diagonal`] or without.
    pub const fn memory_len(n: usize, diagonal: bool) -> usize {
        n.saturating_mul(2 * M + diagonal as usize)
    }

    /// `memory` has `memory_len(dimension, scaling == Scaling::Diagonal)` numbers, or more.
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
            dimension,
            steps,
            changes,
            diagonal,
            rho: Vec::new(),
            next: 0,
            scale: R::ONE,
        }
    }

    /// H0.
    pub fn initial(&self) -> Initial<'_, R> {
        match self.scaling {
            Scaling::Diagonal if !self.rho.is_empty() => Initial::Diagonal(self.diagonal),
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
                for h in self.diagonal.iter_mut() {
                    if *h < self.scale {
                        *h += R::of(FORGET) * (self.scale - *h);
                    }
                }
                return;
            }
        }
        self.diagonal.fill(self.scale);
    }

    /// All memory: what a checkpoint needs beside the numbers.
    pub fn memory(&self) -> [&[R]; 3] {
        [self.steps, self.changes, self.diagonal]
    }

    /// All memory, to be loaded from a checkpoint.
    pub fn memory_mut(&mut self) -> [&mut [R]; 3] {
        [self.steps, self.changes, self.diagonal]
    }

    /// Where a slot's vector lies.
    fn range(&self, slot: usize) -> Range<usize> {
        slot * self.dimension..(slot + 1) * self.dimension
    }

    /// The pairs, oldest first.
    pub fn pairs(&self) -> Vec<Pair<'_, R>, M> {
        let mut pairs = Vec::new();
        for (slot, rho) in self.slots() {
            let range = self.range(slot);
            let pair = Pair {
                s: self.steps.get(range.clone()).unwrap_or_default(),
                y: self.changes.get(range).unwrap_or_default(),
                scale: R::ONE,
                rho,
            };
            // There is room: there are as many slots.
            let _ = pairs.push(pair);
        }
        pairs
    }

    /// The slot of the oldest pair, which also is the number of slots before it that hold newer
    /// ones.
    fn oldest(&self) -> usize {
        if self.rho.is_full() { self.next } else { 0 }
    }

    /// Slot and scalar of each pair, oldest first.
    fn slots(&self) -> impl Iterator<Item = (usize, R)> {
        let slots = self.rho.iter().copied().enumerate();
        let oldest = self.oldest();
        slots.clone().skip(oldest).chain(slots.take(oldest))
    }

    /// Numbers of [`numbers`](Self::numbers).
    pub const NUMBERS: usize = 3 + M;

    /// What a checkpoint needs beside the memory: h, the slot of the oldest pair, the number of
    /// pairs, and `1 / s.y` of each, oldest first. Slots are used in turn, so that says all of the
    /// order.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        let real = |value: R| value.to_f64().to_bits();
        let (oldest, count) = (self.oldest() as u64, self.rho.len() as u64);
        let own = [real(self.scale), oldest, count];
        own.into_iter()
            .chain(self.slots().map(move |(_, rho)| real(rho)))
    }

    /// Takes on what [`numbers`](Self::numbers) gave. False when that is impossible; nothing has
    /// changed then.
    pub fn restore(&mut self, numbers: &[u64]) -> bool {
        let real = |bits: &u64| R::of(f64::from_bits(*bits));
        let Some(([scale, oldest, count], rho)) = numbers.split_first_chunk::<3>() else {
            return false;
        };
        let (oldest, count) = (*oldest as usize, *count as usize);
        let full = count == M;
        let (Some(rho), true) = (rho.get(..count), count <= M) else {
            return false;
        };
        // The oldest is in slot 0 until all are in use.
        if oldest > 0 && !(full && oldest < M) {
            return false;
        }
        self.scale = real(scale);
        self.rho.clear();
        // By slot: those before the oldest's hold the newest.
        let newer = rho.iter().skip(count - oldest);
        for rho in newer.chain(rho.iter().take(count - oldest)) {
            // There is room for M.
            let _ = self.rho.push(real(rho));
        }
        self.next = if full { oldest } else { count };
        true
    }

    fn push(&mut self, s: &[R], y: &[R], rho: R) {
        let slot = self.next;
        match self.rho.get_mut(slot) {
            Some(oldest) => *oldest = rho,
            // There is room, unless M = 0.
            None => {
                let _ = self.rho.push(rho);
            }
        }
        let range = self.range(slot);
        vector::copy(s, self.steps.get_mut(range.clone()).unwrap_or_default());
        vector::copy(y, self.changes.get_mut(range).unwrap_or_default());
        self.next = if slot + 1 < M { slot + 1 } else { 0 };
    }
}

impl<const M: usize, R: Real> Metric<R> for History<'_, M, R> {
    fn direction<G: Region<R>>(
        &mut self,
        _x: &[R],
        _region: &G,
        gradient: &[R],
        direction: &mut [R],
    ) {
        vector::negate(gradient, direction);
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
            self.rescale(self.rho.is_empty(), s, y, moments);
            self.push(s, y, R::ONE / moments.sy);
        }
        Some(verdict)
    }

    fn is_empty(&self) -> bool {
        self.rho.is_empty()
    }

    fn reset(&mut self, scale: R) {
        self.rho.clear();
        self.next = 0;
        self.scale = scale;
    }
}
