//! Moré and Thuente's search for a step that meets the weak or strong Wolfe conditions.

use super::conditions::{ApproximateWolfe, Armijo, StrongWolfe, WeakWolfe};
use super::{Line, Probe, Search, interpolate};
use crate::real::Real;

/// Which condition on the slope ends the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Slope {
    /// [`WeakWolfe`]: the slope has flattened or turned upwards. Cheapest, and enough for `s . y > 0`.
    Weak,
    /// [`StrongWolfe`]: the slope is flat from either side.
    Strong,
}

/// Interpolates inside a bracket that is known to hold an acceptable step, and grows it until there
/// is one.
///
/// Until the bracket is found, steps grow by a factor of up to 21. Where they grew to the last
/// evaluation, the function having fallen all the way, the last step is taken. Inside it, each trial
/// is the cubic's minimiser or a mean of it with the parabola's or the secant's, by which of value
/// and slope can be trusted; a bracket that does not shrink by a third in two trials is halved.
/// While no point has yet met the sufficient decrease with a rising slope, it is `phi(a) - c1 a
/// phi'(0)` whose minimum is sought.
///
/// Near a minimum, where the values are equal up to rounding, a step is also taken when it meets
/// [`ApproximateWolfe`] with a slack of `4 EPSILON |phi(0)|`.
///
/// **Worst case**: `max_evaluations` evaluations.
///
/// Source: J. Moré and D. Thuente, *Line search algorithms with guaranteed sufficient decrease*,
/// ACM Trans. Math. Softw. 20 (1994).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MoreThuente<R> {
    /// c1 of the Wolfe conditions. Default 1e-4, range (0, 1/2]. Larger demands more decrease.
    pub c1: R,
    /// c2 of the Wolfe conditions. Default 0.7, range (c1, 1). Smaller costs evaluations and saves
    /// iterations.
    pub c2: R,
    /// The condition on the slope. Default [`Slope::Weak`].
    pub slope: Slope,
    /// Most evaluations of one search. Default 20, at least 1.
    pub max_evaluations: u32,
}

impl<R: Real> Default for MoreThuente<R> {
    fn default() -> Self {
        Self {
            c1: R::of(1e-4),
            c2: R::of(0.7),
            slope: Slope::Weak,
            max_evaluations: 20,
        }
    }
}

impl<R: Real> MoreThuente<R> {
    fn accepts(&self, start: &Probe<R>, trial: &Probe<R>) -> bool {
        let &Self { c1, c2, slope, .. } = self;
        let met = match slope {
            Slope::Weak => WeakWolfe { c1, c2 }.holds(start, trial),
            Slope::Strong => StrongWolfe { c1, c2 }.holds(start, trial),
        };
        let slack = R::of(4.0) * R::EPSILON * start.value.abs();
        met || (trial.value - start.value).abs() <= slack
            && ApproximateWolfe {
                delta: R::of(0.1).larger(c1),
                sigma: c2,
                slack,
            }
            .holds(start, trial)
    }

    pub(crate) fn search(&self, start: Probe<R>, first: R, line: &mut impl Line<R>) -> Search<R> {
        let mut search = Search::new(start);
        let decrease = self.c1 * start.slope;
        let mut bracket = Bracket::new(start);
        let mut modified = true;
        let (mut width, mut width_before) = (R::INFINITY, R::INFINITY);
        // The longest step that may still be tried: half-way to where the function was not finite.
        let mut limit = R::INFINITY;
        let mut step = first;
        while search.evaluations < self.max_evaluations {
            let trial = search.probe(step, line);
            if self.accepts(&start, &trial) {
                return search.accept(trial);
            }
            let base = bracket.low.step;
            if !trial.is_finite() {
                limit = step;
                step = base + R::of(0.1) * (step - base);
                if step == base {
                    return search;
                }
                continue;
            }

            let enough = trial.value <= start.value + step * decrease;
            if modified && enough && trial.slope >= R::ZERO {
                modified = false;
            }
            let tilt = if modified && trial.value <= bracket.low.value && !enough {
                decrease
            } else {
                R::ZERO
            };
            step = bracket.update(trial, tilt);

            if let Some(high) = bracket.high {
                let now = (high.step - bracket.low.step).abs();
                if now >= R::of(0.66) * width_before {
                    step = bracket.low.step + R::HALF * (high.step - bracket.low.step);
                }
                (width_before, width) = (width, now);
                let (least, most) = ordered(bracket.low.step, high.step);
                if !(step > least && step < most) {
                    step = least + R::HALF * (most - least);
                }
                if step == least || step == most {
                    return search;
                }
            } else {
                let (last, advance) = (trial.step, trial.step - base);
                let (least, most) = (last + R::of(1.1) * advance, last + R::of(20.0) * advance);
                step = if step.is_finite() {
                    step.larger(least).smaller(most)
                } else {
                    most
                };
                step = step.smaller(last + R::HALF * (limit - last));
                if !step.is_finite() || step == last {
                    break;
                }
            }
        }
        // It fell as far as was looked.
        let last = search.last;
        let fell = Armijo { c1: self.c1 }.holds(&start, &last) && last.slope < R::ZERO;
        if fell && bracket.high.is_none() {
            search = search.accept(last);
        }
        search
    }
}

fn ordered<R: Real>(a: R, b: R) -> (R, R) {
    if a <= b { (a, b) } else { (b, a) }
}

/// An interval that holds an acceptable step: `low` has the lowest value so far, and its slope
/// points at `high`.
struct Bracket<R> {
    low: Probe<R>,
    high: Option<Probe<R>>,
    /// The end that is not `low`, before the interval is a bracket.
    other: Probe<R>,
}

impl<R: Real> Bracket<R> {
    fn new(start: Probe<R>) -> Self {
        Self {
            low: start,
            high: None,
            other: start,
        }
    }

    /// Takes in a trial and returns the next step. Values and slopes are judged after subtracting a
    /// line of slope `tilt`.
    fn update(&mut self, trial: Probe<R>, tilt: R) -> R {
        let tilted = |p: Probe<R>| Probe {
            step: p.step,
            value: p.value - p.step * tilt,
            slope: p.slope - tilt,
        };
        let (low, trial_tilted) = (tilted(self.low), tilted(trial));
        let high = tilted(self.high.unwrap_or(self.other));
        let step = next_step(&low, self.high.is_some(), &high, &trial_tilted);

        let opposite = (trial_tilted.slope < R::ZERO) != (low.slope < R::ZERO);
        if trial_tilted.value > low.value {
            self.high = Some(trial);
        } else {
            if opposite {
                self.high = Some(self.low);
            }
            self.other = self.low;
            self.low = trial;
        }
        step
    }
}

/// The next trial, by the four cases of Moré and Thuente.
fn next_step<R: Real>(low: &Probe<R>, bracketed: bool, high: &Probe<R>, trial: &Probe<R>) -> R {
    let cubic = interpolate::cubic(low, trial);
    let opposite = (trial.slope < R::ZERO) != (low.slope < R::ZERO);
    let nearer = |a: R, b: R| {
        if (a - trial.step).abs() < (b - trial.step).abs() {
            a
        } else {
            b
        }
    };
    let farther = |a: R, b: R| {
        if (a - trial.step).abs() < (b - trial.step).abs() {
            b
        } else {
            a
        }
    };
    if trial.value > low.value {
        // A higher value: the minimum lies between.
        let quadratic = interpolate::quadratic(low, trial);
        if !cubic.is_finite() {
            quadratic
        } else if (cubic - low.step).abs() < (quadratic - low.step).abs() {
            cubic
        } else {
            cubic + R::HALF * (quadratic - cubic)
        }
    } else if opposite {
        // A lower value and the slope has turned: between, too, and the farther guess is the safer.
        let secant = interpolate::secant(low, trial);
        if cubic.is_finite() {
            farther(cubic, secant)
        } else {
            secant
        }
    } else if trial.slope.abs() <= low.slope.abs() {
        // A lower value and a flatter slope: beyond. The cubic counts only if it has a minimum
        // there.
        let secant = interpolate::secant(low, trial);
        let beyond = cubic.is_finite() && (cubic - trial.step) * (trial.step - low.step) > R::ZERO;
        if bracketed {
            let step = if beyond {
                nearer(cubic, secant)
            } else {
                secant
            };
            let most = trial.step + R::of(0.66) * (high.step - trial.step);
            if trial.step > low.step {
                step.smaller(most)
            } else {
                step.larger(most)
            }
        } else if beyond {
            farther(cubic, secant)
        } else {
            secant
        }
    } else if bracketed {
        // A lower value and a steeper slope.
        interpolate::cubic(high, trial)
    } else {
        R::INFINITY
    }
}
