//! Learning-rate schedules: a factor between 0 and 1 for each step.

use core::f64::consts::PI;

/// How the learning rate is annealed after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Annealing {
    /// Not at all: the factor stays 1.
    Constant,
    /// `1 - x`, to zero at the end.
    #[default]
    Linear,
    /// `(1 + cos(pi x)) / 2`, to zero at the end.
    Cosine,
}

/// Warm-up and annealing over a run of known length.
///
/// ```
/// use secant::optim::{Annealing, Schedule};
///
/// let schedule = Schedule { annealing: Annealing::Linear, warm_up: 0.1 };
/// assert_eq!(schedule.factor(0, 100), 0.1);
/// assert_eq!(schedule.factor(10, 100), 1.0);
/// assert_eq!(schedule.factor(55, 100), 0.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Schedule {
    /// What follows the warm-up.
    pub annealing: Annealing,
    /// Share of the run, in [0, 1), in which the factor rises linearly to 1. Default 0.
    pub warm_up: f32,
}

impl Schedule {
    /// The factor of step `step` (from 0) of `total`. In the warm-up of `w = warm_up * total` steps
    /// it is `(step + 1) / w`, at most 1; then the annealing at `x = (step - w) / (total - w)`.
    pub fn factor(&self, step: u32, total: u32) -> f32 {
        let (t, n) = (f64::from(step), f64::from(total.max(1)));
        let w = f64::from(self.warm_up) * n;
        if t < w {
            let factor = (t + 1.0) / w;
            return if factor < 1.0 { factor as f32 } else { 1.0 };
        }
        let x = (t - w) / (n - w);
        let x = if x < 1.0 { x } else { 1.0 };
        match self.annealing {
            Annealing::Constant => 1.0,
            Annealing::Linear => (1.0 - x) as f32,
            Annealing::Cosine => (0.5 * (1.0 + libm::cos(PI * x))) as f32,
        }
    }
}
