//! What every line-search method does, written once: evaluate, choose a direction, search along it,
//! judge the pair, keep the best point, restart or stop.
//!
//! The methods differ in their [`Metric`]: how a gradient becomes a direction, and what a pair
//! teaches.

use core::ops::ControlFlow;

use super::pair::{Moments, SecantCondition, Verdict};
use super::region::Region;
use super::termination::{First, Now, Report, Stopping, Termination, relative_length};
use crate::error::{ConfigError, check_length, check_range, split};
use crate::line_search::{LineSearch, Probe, Search};
use crate::objective::Objective;
use crate::real::Real;
use crate::vector;

/// An approximation H to the inverse Hessian.
pub(crate) trait Metric<R: Real> {
    /// **Overwrites** `direction` with `-H gradient`, or with what else minimises the model within
    /// the region's piece at `x`. The gradient is the reduced one.
    fn direction<G: Region<R>>(&mut self, x: &[R], region: &G, gradient: &[R], direction: &mut [R]);
    /// Learns from a pair. May damp `y` in place. `gradient_norm` is the norm at the start of the
    /// step. `None` if the method keeps no pairs.
    fn update(
        &mut self,
        s: &[R],
        y: &mut [R],
        moments: Moments<R>,
        gradient_norm: R,
    ) -> Option<Verdict<R>>;
    /// Whether nothing is known of H, so that the first direction has to be guessed.
    fn is_empty(&self) -> bool;
    /// Forgets everything: `H = scale I`.
    fn reset(&mut self, scale: R);
}

/// What happened in one iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Step<R> {
    /// Iterations so far, this one included.
    pub iteration: u32,
    /// Evaluations so far.
    pub evaluations: u32,
    /// f at the current point.
    pub value: R,
    /// Euclidean norm of the gradient there.
    pub gradient_norm: R,
    /// The multiple of the direction that was taken; 0 when no step was made.
    pub step_length: R,
    /// What became of the pair; `None` when no step was made or the method keeps no pairs.
    pub verdict: Option<Verdict<R>>,
    /// Why the run ended, if it did.
    pub termination: Option<Termination>,
}

/// The first direction, while no pair says how long a step should be. It is tried with step length
/// 1.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FirstStep<R> {
    /// `-min(1, length / |g|) g`. `length` is positive; 1 is the usual choice.
    Length(R),
    /// `-t w^2 g` with `w = max(1, |x|)` for each variable, so that large variables move in
    /// proportion, and `t = 1 / (2 max_j w_j |g_j|)`: the variable that promises most moves by half
    /// its size. Neither the units of f nor a constant added to it matter. Between two bounds a
    /// variable moves farther, see [`LbfgsB`](super::LbfgsB).
    Estimate,
}

impl<R: Real> FirstStep<R> {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Self::Length(length) = *self else {
            return Ok(());
        };
        let inside = length > R::ZERO && length.is_finite();
        check_range("first_step", length.to_f64(), "positive and finite", inside)
    }
}

/// The settings that all methods share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<R> {
    pub line_search: LineSearch<R>,
    pub first_step: FirstStep<R>,
    pub secant: SecantCondition,
    /// Of a step whose length is that of [`FirstStep`].
    pub first_secant: SecantCondition,
    pub stopping: Stopping<R>,
}

/// Iterations in a row that may bring neither a lower value nor a smaller gradient before the run
/// is at its noise level.
const STALL_LIMIT: u32 = 20;

/// The state of a run, and its four or five vectors.
#[derive(Debug)]
pub(crate) struct Descent<'m, R> {
    gradient: &'m mut [R],
    direction: &'m mut [R],
    /// The point before the step; after it, s.
    old_point: &'m mut [R],
    /// The gradient before the step; after it, y.
    old_gradient: &'m mut [R],
    /// The best point, while that is not the current one; empty if it is not to be kept.
    best: &'m mut [R],
    best_is_current: bool,
    best_value: R,
    best_norm: R,
    /// The smallest gradient seen, to tell a stall.
    smallest_norm: R,
    value: R,
    norm: R,
    first: First<R>,
    stale: bool,
    /// Whether the last search ended at a lower point that was not acceptable.
    failed: bool,
    stalled: u32,
    termination: Option<Termination>,
    counts: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    iterations: u32,
    evaluations: u32,
    restarts: u32,
    accepted: u32,
    damped: u32,
    skipped: u32,
}

/// Values and gradient norm where a step began.
#[derive(Clone, Copy)]
struct Before<R> {
    value: R,
    norm: R,
    /// The best value until then.
    best: R,
}

/// How a search along a direction ended.
enum Move<R> {
    /// At an acceptable point.
    Made(Probe<R>),
    /// At a lower point that is not acceptable.
    Lower(Probe<R>, Search<R>),
    /// Where it began.
    None(Search<R>),
}

impl<'m, R: Real> Descent<'m, R> {
    /// Numbers of memory for n variables, with the best point or without.
    pub const fn memory_len(n: usize, keep_best: bool) -> usize {
        n.saturating_mul(4 + keep_best as usize)
    }

    /// Takes the first `memory_len(n, keep_best)` numbers of `memory`, which has at least so many,
    /// and returns the rest.
    pub fn new(n: usize, keep_best: bool, memory: &'m mut [R]) -> (Self, &'m mut [R]) {
        let (gradient, memory) = split(memory, n);
        let (direction, memory) = split(memory, n);
        let (old_point, memory) = split(memory, n);
        let (old_gradient, memory) = split(memory, n);
        let (best, memory) = split(memory, if keep_best { n } else { 0 });
        let descent = Self {
            gradient,
            direction,
            old_point,
            old_gradient,
            best,
            best_is_current: true,
            best_value: R::INFINITY,
            best_norm: R::INFINITY,
            smallest_norm: R::INFINITY,
            value: R::NAN,
            norm: R::NAN,
            first: First::UNKNOWN,
            stale: true,
            failed: false,
            stalled: 0,
            termination: None,
            counts: Counts::default(),
        };
        (descent, memory)
    }

    /// Starts over: nothing is known and nothing was counted.
    pub fn reset(&mut self) {
        self.objective_changed();
        self.counts = Counts::default();
    }

    /// Forgets the value and the gradient, which belong to another function or another point, but
    /// not the counts.
    pub fn objective_changed(&mut self) {
        self.stale = true;
        self.failed = false;
        self.stalled = 0;
        self.termination = None;
    }

    /// Numbers of [`numbers`](Self::numbers).
    pub const NUMBERS: usize = 19;

    /// What a checkpoint needs beside the memory: the values, as `f64`; what is known of them; how
    /// the run ended; the counts.
    pub fn numbers(&self) -> [u64; 19] {
        let real = |value: R| value.to_f64().to_bits();
        let ended = |end| Termination::ALL.iter().position(|one| *one == end);
        let ended = self.termination.and_then(ended).map_or(0, |i| i as u64 + 1);
        let counts = &self.counts;
        [
            real(self.best_value),
            real(self.best_norm),
            real(self.smallest_norm),
            real(self.value),
            real(self.norm),
            real(self.first.value),
            real(self.first.promise),
            real(self.first.norm),
            u64::from(self.best_is_current),
            u64::from(self.stale),
            u64::from(self.failed),
            u64::from(self.stalled),
            ended,
            u64::from(counts.iterations),
            u64::from(counts.evaluations),
            u64::from(counts.restarts),
            u64::from(counts.accepted),
            u64::from(counts.damped),
            u64::from(counts.skipped),
        ]
    }

    /// Takes on what [`numbers`](Self::numbers) gave.
    pub fn restore(&mut self, numbers: &[u64; 19]) {
        let real = |bits: u64| R::of(f64::from_bits(bits));
        let &[
            best_value,
            best_norm,
            smallest_norm,
            value,
            norm,
            first_value,
            first_promise,
            first_norm,
            ref others @ ..,
        ] = numbers;
        let &[
            best_is_current,
            stale,
            failed,
            stalled,
            ended,
            ref counts @ ..,
        ] = others;
        self.best_value = real(best_value);
        self.best_norm = real(best_norm);
        self.smallest_norm = real(smallest_norm);
        self.value = real(value);
        self.norm = real(norm);
        self.first = First {
            value: real(first_value),
            promise: real(first_promise),
            norm: real(first_norm),
        };
        self.best_is_current = best_is_current != 0;
        self.stale = stale != 0;
        self.failed = failed != 0;
        self.stalled = stalled as u32;
        self.termination = (ended as usize)
            .checked_sub(1)
            .and_then(|i| Termination::ALL.get(i).copied());
        let [iterations, evaluations, restarts, accepted, damped, skipped] =
            counts.map(|count| count as u32);
        self.counts = Counts {
            iterations,
            evaluations,
            restarts,
            accepted,
            damped,
            skipped,
        };
    }

    /// All memory: what a checkpoint needs beside the numbers.
    pub fn memory(&self) -> [&[R]; 5] {
        [
            self.gradient,
            self.direction,
            self.old_point,
            self.old_gradient,
            self.best,
        ]
    }

    /// All memory, to be loaded from a checkpoint.
    pub fn memory_mut(&mut self) -> [&mut [R]; 5] {
        [
            self.gradient,
            self.direction,
            self.old_point,
            self.old_gradient,
            self.best,
        ]
    }

    /// The gradient at the current point.
    pub fn gradient(&self) -> &[R] {
        self.gradient
    }

    /// One iteration.
    pub fn step<M: Metric<R>>(
        &mut self,
        settings: &Settings<R>,
        metric: &mut M,
        region: &mut impl Region<R>,
        objective: &mut impl Objective<R>,
        x: &mut [R],
    ) -> Step<R> {
        if self.termination.is_none() {
            self.begin(&settings.stopping, region, objective, x);
        }
        if self.termination.is_some() {
            return self.report_step(R::ZERO, None);
        }

        let before = Before {
            value: self.value,
            norm: self.norm,
            best: self.best_value,
        };
        // The smallest of the decreases that the attempts promise.
        let mut promise = R::INFINITY;
        let mut fresh = metric.is_empty();
        loop {
            if fresh {
                let reduced = region.reduced(self.gradient);
                let rule = settings.first_step;
                metric.reset(first_direction(
                    rule,
                    self.norm,
                    region,
                    x,
                    reduced,
                    self.direction,
                ));
            }
            if !metric.is_empty() {
                let reduced = region.reduced(self.gradient);
                metric.direction(x, region, reduced, self.direction);
            }
            region.trim(x, self.direction);
            let slope = vector::dot(region.reduced(self.gradient), self.direction);
            let downhill = slope < R::ZERO && slope.is_finite();
            if !downhill && !fresh {
                self.restart(&mut fresh);
                continue;
            }
            promise = promise.smaller(slope.abs());
            let (probe, failed) = match self.move_along(slope, settings, region, objective, x) {
                Move::Made(probe) => (probe, None),
                Move::Lower(probe, search) => (probe, Some(search)),
                Move::None(search) if fresh => {
                    let noise = settings.stopping.noise(self.value, x, self.gradient);
                    self.termination = Some(failure(promise, &search, noise));
                    return self.report_step(R::ZERO, None);
                }
                Move::None(_) => {
                    self.restart(&mut fresh);
                    continue;
                }
            };
            // A search that was exhausted, but went down as far as it should, is no failure.
            let enough = probe.value <= self.value + R::of(1e-4) * probe.step * slope;
            if let (Some(search), true) = (&failed, self.failed && !enough) {
                let noise = settings.stopping.noise(self.value, x, self.gradient);
                self.termination = Some(failure(promise, search, noise));
            }
            self.failed = failed.is_some() && !enough;
            let step = self.arrive(probe, metric, region, x, before, settings);
            if failed.is_some() {
                metric.reset(R::ONE);
            }
            return step;
        }
    }

    fn restart(&mut self, fresh: &mut bool) {
        *fresh = true;
        self.counts.restarts += 1;
    }

    /// Evaluates at `x` if that is needed, and checks what can be checked before a step.
    fn begin(
        &mut self,
        stopping: &Stopping<R>,
        region: &mut impl Region<R>,
        objective: &mut impl Objective<R>,
        x: &mut [R],
    ) {
        if self.stale {
            region.enter(x);
            if !vector::norm_max(x).is_finite() {
                self.termination = Some(Termination::NotFinite);
                return;
            }
            self.value = region.total(x, objective.value_and_gradient(x, self.gradient));
            self.counts.evaluations = self.counts.evaluations.saturating_add(1);
            let (_, square) = region.path(x, self.gradient, x, self.gradient);
            self.norm = region.reduce(x, self.gradient, square);
            if !vector::norm2(self.gradient).is_finite() {
                self.norm = R::NAN;
            }
            self.best_is_current = true;
            (self.best_value, self.best_norm, self.smallest_norm) =
                (self.value, self.norm, self.norm);
            if !(self.value.is_finite() && self.norm.is_finite()) {
                self.termination = Some(Termination::NotFinite);
                return;
            }
            self.stale = false;
            self.first = First {
                value: self.value,
                promise: self.promise(stopping, region, x),
                norm: self.norm,
            };
            self.check_end(stopping, region, x, R::INFINITY);
        }
        if self.termination.is_none() {
            if self.counts.iterations >= stopping.max_iterations {
                self.termination = Some(Termination::IterationLimit);
            } else if self.counts.evaluations >= stopping.max_evaluations {
                self.termination = Some(Termination::EvaluationLimit);
            }
        }
    }

    /// What the gradient promises, where a rule asks for it.
    fn promise(&self, stopping: &Stopping<R>, region: &impl Region<R>, x: &[R]) -> R {
        if stopping.gradient_tolerance > R::ZERO {
            region.promise(x, self.gradient)
        } else {
            R::NAN
        }
    }

    /// Ends the run if it has converged. `moved` is the relative length of the last step.
    fn check_end(&mut self, stopping: &Stopping<R>, region: &impl Region<R>, x: &[R], moved: R) {
        let now = Now {
            value: self.value,
            norm: self.norm,
            promise: self.promise(stopping, region, x),
        };
        self.termination = stopping.reached(&self.first, &now, moved);
    }

    /// Searches along the direction. On return `x`, `gradient` and `norm` are those of the point
    /// where it ended, and `old_point`, `old_gradient` are those where it began.
    fn move_along(
        &mut self,
        slope: R,
        settings: &Settings<R>,
        region: &mut impl Region<R>,
        objective: &mut impl Objective<R>,
        x: &mut [R],
    ) -> Move<R> {
        vector::copy(x, self.old_point);
        vector::copy(self.gradient, self.old_gradient);
        let start = Probe {
            step: R::ZERO,
            value: self.value,
            slope,
        };
        let (mut square, mut lowest_value, mut lowest_square) = (R::ZERO, self.value, R::ZERO);
        let search: Search<R> = {
            let (gradient, direction, old_point) =
                (&mut *self.gradient, &*self.direction, &*self.old_point);
            let region = &*region;
            let mut line = |step: R| {
                region.trial(step, old_point, direction, x);
                let value = region.total(x, objective.value_and_gradient(x, gradient));
                let (mut slope, new_square) = region.path(old_point, direction, x, gradient);
                square = new_square;
                // The slope alone would miss a NaN beside a zero of the direction's.
                if !square.is_finite() && !vector::norm2(gradient).is_finite() {
                    slope = R::NAN;
                }
                if value < lowest_value && slope.is_finite() {
                    (lowest_value, lowest_square) = (value, square);
                }
                Probe { step, value, slope }
            };
            settings.line_search.search(start, R::ONE, &mut line)
        };
        self.counts.evaluations = self.counts.evaluations.saturating_add(search.evaluations);

        if let Some(accepted) = search.accepted {
            self.norm = region.reduce(x, self.gradient, square);
            self.keep_best(accepted.value, search.lowest, lowest_square, region);
            return Move::Made(accepted);
        }
        let lowest = search.lowest;
        if lowest.value < start.value {
            if lowest.step != search.last.step {
                region.trial(lowest.step, self.old_point, self.direction, x);
                objective.value_and_gradient(x, self.gradient);
                self.counts.evaluations = self.counts.evaluations.saturating_add(1);
                (_, square) = region.path(self.old_point, self.direction, x, self.gradient);
            }
            let norm = vector::norm2(self.gradient);
            if norm.is_finite() {
                self.norm = region.reduce(x, self.gradient, square);
                self.keep_best(lowest.value, lowest, lowest_square, region);
                return Move::Lower(lowest, search);
            }
        }
        vector::copy(self.old_point, x);
        vector::copy(self.old_gradient, self.gradient);
        Move::None(search)
    }

    /// Keeps the best point seen, which may be a rejected one, before `old_point` turns into s.
    fn keep_best(&mut self, value: R, lowest: Probe<R>, lowest_square: R, region: &impl Region<R>) {
        if lowest.value < value && lowest.value < self.best_value {
            region.trial(lowest.step, self.old_point, self.direction, self.best);
            self.best_is_current = false;
            (self.best_value, self.best_norm) = (lowest.value, lowest_square.sqrt());
        } else if value <= self.best_value {
            self.best_is_current = true;
            (self.best_value, self.best_norm) = (value, self.norm);
        } else if self.best_is_current {
            vector::copy(self.old_point, self.best);
            self.best_is_current = false;
        }
        self.best_is_current |= self.best.is_empty();
    }

    /// Learns from the step that ended at `probe`, and checks whether it was the last.
    fn arrive<M: Metric<R>>(
        &mut self,
        probe: Probe<R>,
        metric: &mut M,
        region: &impl Region<R>,
        x: &[R],
        before: Before<R>,
        settings: &Settings<R>,
    ) -> Step<R> {
        let stopping = &settings.stopping;
        self.value = probe.value;
        self.counts.iterations = self.counts.iterations.saturating_add(1);
        let (ss, sy, yy) = vector::difference(x, self.gradient, self.old_point, self.old_gradient);
        let moments = Moments { ss, sy, yy };
        let slope = vector::dot(self.gradient, self.old_point);
        let values = [before.value, self.value];
        let secant = if metric.is_empty() {
            settings.first_secant
        } else {
            settings.secant
        };
        let moments = secant.correct(values, slope, moments, self.old_gradient);
        let verdict = metric.update(self.old_point, self.old_gradient, moments, before.norm);
        let count = match verdict {
            Some(Verdict::Accepted) => Some(&mut self.counts.accepted),
            Some(Verdict::Damped { .. }) => Some(&mut self.counts.damped),
            Some(Verdict::Skipped(_)) => Some(&mut self.counts.skipped),
            None => None,
        };
        if let Some(count) = count {
            *count = count.saturating_add(1);
        }

        if self.value < before.best || self.norm < self.smallest_norm {
            self.stalled = 0;
        } else {
            self.stalled += 1;
        }
        self.smallest_norm = self.smallest_norm.smaller(self.norm);

        // That the search failed counts only where nothing else is known of the point.
        let failed = self.termination.take();
        let asked = stopping.gradient_tolerance > R::ZERO || stopping.step_tolerance > R::ZERO;
        let moved = if asked {
            relative_length(self.old_point, x)
        } else {
            vector::norm_from_square(ss, self.old_point)
        };
        self.check_end(stopping, region, x, moved);
        let stands = moved == R::ZERO || self.stalled >= STALL_LIMIT;
        self.termination = match self.termination {
            None if asked && self.first.is_unbounded(self.value, x, self.old_point) => {
                Some(Termination::Unbounded)
            }
            None if failed.is_some() => failed,
            None => stopping
                .small_change(before.value, self.value, moved)
                .or(stands.then_some(Termination::NoiseLevel)),
            ended => ended,
        };
        self.report_step(probe.step, verdict)
    }

    fn report_step(&self, step_length: R, verdict: Option<Verdict<R>>) -> Step<R> {
        Step {
            iteration: self.counts.iterations,
            evaluations: self.counts.evaluations,
            value: self.value,
            gradient_norm: self.norm,
            step_length,
            verdict,
            termination: self.termination,
        }
    }

    /// Puts the best point into `x`, if it is kept, and reports on the run.
    pub fn finish(&mut self, x: &mut [R]) -> Report<R> {
        let (mut value, mut gradient_norm) = (self.value, self.norm);
        if !self.best.is_empty() {
            (value, gradient_norm) = (self.best_value, self.best_norm);
        }
        if !self.best_is_current {
            vector::copy(self.best, x);
            self.stale = true;
        }
        Report {
            termination: self.termination.unwrap_or(Termination::StoppedByCaller),
            value,
            gradient_norm,
            iterations: self.counts.iterations,
            evaluations: self.counts.evaluations,
            restarts: self.counts.restarts,
            accepted: self.counts.accepted,
            damped: self.counts.damped,
            skipped: self.counts.skipped,
        }
    }

    /// Runs until a rule or `callback` stops it.
    pub fn minimize<M: Metric<R>>(
        &mut self,
        settings: &Settings<R>,
        metric: &mut M,
        region: &mut impl Region<R>,
        objective: &mut impl Objective<R>,
        x: &mut [R],
        mut callback: impl FnMut(&Step<R>, &[R]) -> ControlFlow<()>,
    ) -> Report<R> {
        self.reset();
        metric.reset(R::ONE);
        loop {
            let before = self.counts.iterations;
            let step = self.step(settings, metric, region, objective, x);
            // Every step that was made, the last one as well.
            if self.counts.iterations != before && callback(&step, x).is_break() {
                self.termination.get_or_insert(Termination::StoppedByCaller);
            }
            if self.termination.is_some() {
                return self.finish(x);
            }
        }
    }
}

/// What it means that nothing acceptable was found, where this much decrease was to be expected. A
/// wrong gradient contradicts the values by more than their noise.
fn failure<R: Real>(promise: R, search: &Search<R>, noise: R) -> Termination {
    let small = promise <= noise || search.stands_still(noise);
    if small && search.contradiction <= noise {
        Termination::NoiseLevel
    } else {
        Termination::LineSearchFailed
    }
}

/// Writes the first direction, and returns the h for which it is most like `-h g`.
fn first_direction<R: Real>(
    rule: FirstStep<R>,
    norm: R,
    region: &impl Region<R>,
    x: &[R],
    gradient: &[R],
    direction: &mut [R],
) -> R {
    let careful = |length: R| R::ONE.smaller(length / norm);
    let mut t = match rule {
        FirstStep::Length(length) => careful(length),
        FirstStep::Estimate => {
            let mut steepest = R::ZERO;
            for (j, (x, g)) in x.iter().zip(gradient).enumerate() {
                steepest = steepest.larger(g.abs() * region.reach(j, *x));
            }
            R::HALF / steepest
        }
    };
    let usable = t > R::ZERO && t.is_finite();
    if let (FirstStep::Estimate, true) = (rule, usable) {
        for (j, (d, (x, g))) in direction.iter_mut().zip(x.iter().zip(gradient)).enumerate() {
            let reach = region.reach(j, *x);
            *d = -t * reach * (reach * *g);
        }
    } else {
        t = if usable { t } else { careful(R::ONE) };
        vector::negate(gradient, direction);
        vector::scale(t, direction);
    }
    t
}

/// Refuses slices and objectives of another dimension than n.
pub(crate) fn check_dimensions<R: Real>(
    n: usize,
    objective: &impl Objective<R>,
    x: &[R],
) -> Result<(), ConfigError> {
    check_length("the objective's gradient", n, objective.dimension())?;
    check_length("x", n, x.len())
}

/// The public face of a method whose state is `dimension`, `settings`, `descent`, `region` and the
/// metric named here.
macro_rules! descent_methods {
    ($metric:ident, $real:ident) => {
        /// Runs from `x` until a rule of [`Stopping`](crate::optim::Stopping) ends it; `x` then is
        /// the best point seen, where that is kept. Forgets all that earlier runs taught.
        ///
        /// # Errors
        /// [`ConfigError`] when a length is wrong. Not converging is not an error: see
        /// [`Report::termination`].
        pub fn minimize(
            &mut self,
            objective: &mut impl Objective<$real>,
            x: &mut [$real],
        ) -> Result<Report<$real>, ConfigError> {
            self.minimize_with(objective, x, |_, _| ControlFlow::Continue(()))
        }

        /// [`minimize`](Self::minimize), calling `callback` with each step and its point;
        /// [`ControlFlow::Break`] ends the run. So a run is watched, kept (a [`Step`] is a plain
        /// value), or ended by a clock.
        ///
        /// # Errors
        /// As [`minimize`](Self::minimize).
        pub fn minimize_with(
            &mut self,
            objective: &mut impl Objective<$real>,
            x: &mut [$real],
            callback: impl FnMut(&Step<$real>, &[$real]) -> ControlFlow<()>,
        ) -> Result<Report<$real>, ConfigError> {
            check_dimensions(self.dimension, objective, x)?;
            Ok(self.run(objective, x, callback))
        }

        /// [`minimize_with`](Self::minimize_with) of an objective and a point that fit.
        pub(crate) fn run(
            &mut self,
            objective: &mut impl Objective<$real>,
            x: &mut [$real],
            callback: impl FnMut(&Step<$real>, &[$real]) -> ControlFlow<()>,
        ) -> Report<$real> {
            let Self {
                settings,
                descent,
                $metric,
                region,
                ..
            } = self;
            descent.minimize(settings, $metric, region, objective, x, callback)
        }

        /// One iteration from `x`, which it moves. Once a step has ended the run, further steps do
        /// nothing until [`objective_changed`](Self::objective_changed) or [`reset`](Self::reset).
        ///
        /// Evaluates at most `2 (w + 1) + 1` times, w being the line search's worst case: it may
        /// have to start anew at `x`, may try steepest descent as well, and may return to the
        /// lowest point of either search.
        ///
        /// # Errors
        /// [`ConfigError`] when a length is wrong.
        pub fn step(
            &mut self,
            objective: &mut impl Objective<$real>,
            x: &mut [$real],
        ) -> Result<Step<$real>, ConfigError> {
            check_dimensions(self.dimension, objective, x)?;
            let Self {
                settings,
                descent,
                $metric,
                region,
                ..
            } = self;
            Ok(descent.step(settings, $metric, region, objective, x))
        }

        /// Says that the next [`step`](Self::step) meets another objective, or another point, than
        /// the last one left: it evaluates anew at `x`, so that both gradients of its pair come
        /// from the same objective. Keeps what earlier steps taught, and the counts, and lifts a
        /// termination.
        pub fn objective_changed(&mut self) {
            self.descent.objective_changed();
        }

        /// Puts the best point since the last change of objective, if it is kept, into `x`, and
        /// reports on all steps since the last reset.
        ///
        /// # Errors
        /// [`ConfigError`] when the length is wrong.
        pub fn finish(&mut self, x: &mut [$real]) -> Result<Report<$real>, ConfigError> {
            check_length("x", self.dimension, x.len())?;
            Ok(self.descent.finish(x))
        }

        /// Forgets what was learnt, the counts and the point.
        pub fn reset(&mut self) {
            self.descent.reset();
            self.$metric.reset($real::ONE);
        }

        /// The gradient at the point that the last step left.
        pub fn gradient(&self) -> &[$real] {
            self.descent.gradient()
        }
    };
}
pub(crate) use descent_methods;
