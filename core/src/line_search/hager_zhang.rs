//! Hager and Zhang's search, by slopes, for a step that meets the Wolfe or the approximate Wolfe
//! conditions.

use super::conditions::{ApproximateWolfe, WeakWolfe};
use super::{Line, Probe, Search, interpolate};
use crate::real::Real;

/// Shrinks an interval whose slopes have opposite signs by secant steps in pairs, bisecting when
/// that is slow.
///
/// Stops at the first point that meets [`WeakWolfe`] or, where values are equal up to `epsilon
/// |phi(0)|`, [`ApproximateWolfe`]. It works with slopes where other searches compare values, so it
/// still converges when the values are equal to the last bit: the search to use for `f32` runs that
/// go on until the rounding error.
///
/// **Worst case**: `max_evaluations` evaluations.
///
/// Source: W. Hager and H. Zhang, *Algorithm 851: CG_DESCENT*, ACM Trans. Math. Softw. 32 (2006).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HagerZhang<R> {
    /// delta of the conditions (c1 of Wolfe's). Default 0.1, range (0, 1/2).
    pub delta: R,
    /// sigma of the conditions (c2 of Wolfe's). Default 0.9, range [delta, 1).
    pub sigma: R,
    /// The relative rounding error of a value, by which it may rise. Default `16 EPSILON`, at least
    /// 0.
    pub epsilon: R,
    /// Most evaluations of one search. Default 30, at least 1.
    pub max_evaluations: u32,
}

impl<R: Real> Default for HagerZhang<R> {
    fn default() -> Self {
        Self {
            delta: R::of(0.1),
            sigma: R::of(0.9),
            epsilon: R::of(16.0) * R::EPSILON,
            max_evaluations: 30,
        }
    }
}

impl<R: Real> HagerZhang<R> {
    pub(crate) fn search(&self, start: Probe<R>, first: R, line: &mut impl Line<R>) -> Search<R> {
        let slack = self.epsilon * start.value.abs();
        let mut run = Run {
            wolfe: WeakWolfe {
                c1: self.delta,
                c2: self.sigma,
            },
            approximate: ApproximateWolfe {
                delta: self.delta,
                sigma: self.sigma,
                slack,
            },
            start,
            highest: start.value + slack,
            budget: self.max_evaluations,
            line,
            search: Search::new(start),
        };
        run.interval(first)
            .and_then(|(low, high)| run.shrink(low, high));
        run.search
    }
}

/// A search under way. Its functions return `None` when it is over: accepted, out of budget, or
/// nothing left to try.
struct Run<'a, R, L> {
    wolfe: WeakWolfe<R>,
    approximate: ApproximateWolfe<R>,
    start: Probe<R>,
    /// The highest value that counts as no higher than the start's.
    highest: R,
    budget: u32,
    line: &'a mut L,
    search: Search<R>,
}

impl<R: Real, L: Line<R>> Run<'_, R, L> {
    fn probe(&mut self, step: R) -> Option<Probe<R>> {
        if self.search.evaluations >= self.budget {
            return None;
        }
        let trial = self.search.probe(step, self.line);
        if self.wolfe.holds(&self.start, &trial) || self.approximate.holds(&self.start, &trial) {
            self.search = self.search.accept(trial);
            return None;
        }
        Some(trial)
    }

    /// An interval whose lower end goes down from a low value, and whose upper end goes up.
    fn interval(&mut self, first: R) -> Option<(Probe<R>, Probe<R>)> {
        let mut low = self.start;
        let mut step = first;
        let mut limit = R::INFINITY;
        loop {
            let trial = self.probe(step)?;
            if !trial.is_finite() {
                limit = step;
                step = low.step + R::of(0.1) * (step - low.step);
            } else if trial.slope >= R::ZERO {
                return Some((low, trial));
            } else if trial.value > self.highest {
                return self.bisect(self.start, step);
            } else {
                low = trial;
                step = (R::of(5.0) * step).smaller(step + R::HALF * (limit - step));
            }
            if step == low.step || !step.is_finite() {
                return None;
            }
        }
    }

    /// Between `low` and a step where the value is too high, or is none.
    fn bisect(&mut self, mut low: Probe<R>, mut high: R) -> Option<(Probe<R>, Probe<R>)> {
        loop {
            let step = low.step + R::HALF * (high - low.step);
            if step == low.step || step == high {
                return None;
            }
            let trial = self.probe(step)?;
            if !trial.is_finite() {
                high = step;
            } else if trial.slope >= R::ZERO {
                return Some((low, trial));
            } else if trial.value <= self.highest {
                low = trial;
            } else {
                high = step;
            }
        }
    }

    /// Replaces one end of the interval by a trial inside it; the interval itself if the step is
    /// not inside.
    fn update(&mut self, low: Probe<R>, high: Probe<R>, step: R) -> Option<(Probe<R>, Probe<R>)> {
        if !(step > low.step && step < high.step) {
            return Some((low, high));
        }
        let trial = self.probe(step)?;
        if trial.is_finite() && trial.slope >= R::ZERO {
            Some((low, trial))
        } else if trial.is_finite() && trial.value <= self.highest {
            Some((trial, high))
        } else {
            self.bisect(low, step)
        }
    }

    fn shrink(&mut self, mut low: Probe<R>, mut high: Probe<R>) -> Option<()> {
        loop {
            let width = high.step - low.step;
            let step = interpolate::secant(&low, &high);
            let (mut a, mut b) = self.update(low, high, step)?;
            // The second of the pair: from the end that moved to where it was.
            if step == b.step {
                (a, b) = self.update(a, b, interpolate::secant(&high, &b))?;
            } else if step == a.step {
                (a, b) = self.update(a, b, interpolate::secant(&low, &a))?;
            }
            if b.step - a.step > R::of(0.66) * width {
                let middle = a.step + R::HALF * (b.step - a.step);
                if middle == a.step || middle == b.step {
                    return None;
                }
                (a, b) = self.update(a, b, middle)?;
            }
            (low, high) = (a, b);
        }
    }
}
