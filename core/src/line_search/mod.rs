//! How far to go along a direction: conditions apart from the searches that look for a step that
//! meets them.
//!
//! | Search | Stops when | Worst case (evaluations) | For |
//! |---|---|---|---|
//! | [`Backtracking`] | Armijo | `max_evaluations` | mini-batches, firmware: one evaluation a step almost always |
//! | [`MoreThuente`] | weak or strong Wolfe | `max_evaluations` | deterministic functions: fewest evaluations |
//! | [`HagerZhang`] | Wolfe or approximate Wolfe | `max_evaluations` | `f32` down to the rounding error |
//!
//! Every search survives a NaN or an infinity at a trial point: it goes closer.

mod backtracking;
pub mod conditions;
mod hager_zhang;
mod interpolate;
mod more_thuente;

pub use backtracking::Backtracking;
pub use hager_zhang::HagerZhang;
pub use more_thuente::{MoreThuente, Slope};

use crate::error::{ConfigError, check_range};
use crate::real::Real;

/// One point of a line: `phi(a) = f(x + a p)` and `phi'(a) = grad f(x + a p) . p` at `a = step`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Probe<R> {
    /// a.
    pub step: R,
    /// phi(a).
    pub value: R,
    /// phi'(a).
    pub slope: R,
}

impl<R: Real> Probe<R> {
    /// Whether value and slope are both finite.
    pub fn is_finite(&self) -> bool {
        self.value.is_finite() && self.slope.is_finite()
    }
}

/// A function of one step length.
pub(crate) trait Line<R> {
    /// Evaluates the line at `step`.
    fn at(&mut self, step: R) -> Probe<R>;
}

impl<R, F: FnMut(R) -> Probe<R>> Line<R> for F {
    fn at(&mut self, step: R) -> Probe<R> {
        self(step)
    }
}

/// What a search found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search<R> {
    /// The step that meets the condition: always the last one evaluated.
    pub accepted: Option<Probe<R>>,
    /// The lowest finite point seen, the start (step 0) if nothing was lower.
    pub lowest: Probe<R>,
    /// The last point evaluated.
    pub last: Probe<R>,
    /// Evaluations made.
    pub evaluations: u32,
    /// By how much a value contradicts the slopes, at most: where they say that the line falls,
    /// nearly straight, and the value does not. Rounding of the value, or a wrong gradient.
    pub contradiction: R,
    start: Probe<R>,
}

impl<R: Real> Search<R> {
    fn new(start: Probe<R>) -> Self {
        Self {
            accepted: None,
            lowest: start,
            last: start,
            evaluations: 0,
            contradiction: R::ZERO,
            start,
        }
    }

    fn probe(&mut self, step: R, line: &mut impl Line<R>) -> Probe<R> {
        let trial = line.at(step);
        self.evaluations += 1;
        self.last = trial;
        if trial.is_finite() && trial.value < self.lowest.value {
            self.lowest = trial;
        }
        let (least, most) = (R::of(2.0) * self.start.slope, R::HALF * self.start.slope);
        let straight = trial.slope > least && trial.slope < most;
        if trial.is_finite() && straight && trial.value >= self.start.value {
            let fall = -R::HALF * step * (self.start.slope + trial.slope);
            let contradiction = trial.value - self.start.value + fall;
            self.contradiction = self.contradiction.larger(contradiction);
        }
        trial
    }

    /// Whether neither the last trial nor the lowest one differs from the start by more than noise.
    pub fn stands_still(&self, noise: R) -> bool {
        let near = |trial: &Probe<R>| (trial.value - self.start.value).abs() <= noise;
        self.last.is_finite() && near(&self.last) && near(&self.lowest)
    }

    fn accept(mut self, trial: Probe<R>) -> Self {
        self.accepted = Some(trial);
        self
    }
}

/// A line search and its settings.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LineSearch<R> {
    /// No search: the step is the direction itself, wherever it leads, unless the function is not
    /// finite there. One evaluation.
    Fixed,
    /// [`Backtracking`].
    Backtracking(Backtracking<R>),
    /// [`MoreThuente`].
    MoreThuente(MoreThuente<R>),
    /// [`HagerZhang`].
    HagerZhang(HagerZhang<R>),
}

impl<R: Real> LineSearch<R> {
    /// The most evaluations that one search makes.
    pub const fn max_evaluations(&self) -> u32 {
        match self {
            Self::Fixed => 1,
            Self::Backtracking(search) => search.max_evaluations,
            Self::MoreThuente(search) => search.max_evaluations,
            Self::HagerZhang(search) => search.max_evaluations,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Fixed => return Ok(()),
            Self::Backtracking(Backtracking { c1, .. }) => {
                check_first("c1", *c1, *c1 <= R::HALF, "in (0, 1/2]")?;
            }
            Self::MoreThuente(MoreThuente { c1, c2, .. }) => {
                check_first("c1", *c1, *c1 <= R::HALF, "in (0, 1/2]")?;
                let inside = c2 > c1 && *c2 < R::ONE;
                check_range("c2", c2.to_f64(), "in (c1, 1)", inside)?;
            }
            Self::HagerZhang(HagerZhang {
                delta,
                sigma,
                epsilon,
                ..
            }) => {
                check_first("delta", *delta, *delta < R::HALF, "in (0, 1/2)")?;
                let inside = sigma >= delta && *sigma < R::ONE;
                check_range("sigma", sigma.to_f64(), "in [delta, 1)", inside)?;
                let inside = *epsilon >= R::ZERO;
                check_range("epsilon", epsilon.to_f64(), "at least 0", inside)?;
            }
        }
        let most = self.max_evaluations();
        check_range("max_evaluations", most, "at least 1", most > 0)
    }

    /// Looks along `line` from `start`, at step 0 with a negative slope, trying `first` first.
    pub(crate) fn search(&self, start: Probe<R>, first: R, line: &mut impl Line<R>) -> Search<R> {
        match self {
            Self::Fixed => {
                let mut search = Search::new(start);
                let trial = search.probe(first, line);
                if trial.is_finite() {
                    search.accept(trial)
                } else {
                    search
                }
            }
            Self::Backtracking(search) => search.search(start, first, line),
            Self::MoreThuente(search) => search.search(start, first, line),
            Self::HagerZhang(search) => search.search(start, first, line),
        }
    }
}

/// Refuses a first constant that is not positive, or not below its upper bound.
fn check_first<R: Real>(
    field: &'static str,
    found: R,
    below: bool,
    range: &'static str,
) -> Result<(), ConfigError> {
    check_range(field, found.to_f64(), range, below && found > R::ZERO)
}
