//! The guard: watches the loss of a stochastic run, and takes it back to its last good point when it goes wrong.
//!
//! It costs no evaluation: it reads the batch losses that training computes anyway. After every window of
//! [`every`](GuardConfig::every) steps, with `mean` the window's mean loss and `best` the lowest of such means so far,
//!
//! ```text
//! bound = growth * best + slack * first                            first: the run's first loss
//! mean > bound                      restore the saved parameters, halve the factor of the learning rate
//! mean <= bound, last loss <= bound save the parameters
//! ```
//!
//! and a loss that is not finite is taken back at once. So a run that explodes falls back by at most two windows, and a rate
//! that is too high is halved until it is not.

use super::Misuse;
use crate::checkpoint::{self, State};
use crate::vector;

/// Settings of [`Guard`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GuardConfig {
    /// Steps of a window, at least 1. Default 32: some hundred to thousand samples, whose mean loss has little noise.
    pub every: u32,
    /// How many times the best mean a window's mean may be, at least 1. Default 2.
    pub growth: f64,
    /// Share of the run's first loss that is added to that, at least 0, so that tiny losses may vary. Default 0.1.
    pub slack: f64,
}

impl Default for GuardConfig {
    fn default() -> GuardConfig {
        GuardConfig {
            every: 32,
            growth: 2.0,
            slack: 0.1,
        }
    }
}

/// What the guard made of a step's loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Watch {
    /// Nothing to decide: go on.
    Passed,
    /// The window was good; the parameters were saved.
    Saved,
    /// The parameters are the saved ones again. Leave this step out, and start the optimiser anew.
    RolledBack(Trouble),
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Trouble {
    /// A loss is not finite.
    NotFinite,
    /// The mean loss of a window is above the bound.
    LossRose,
}

/// The guard of one run. The caller keeps its memory, [`Guard::memory_len`] floats.
///
/// ```
/// use secant::optim::guard::{Guard, GuardConfig, Trouble, Watch};
///
/// let mut guard = Guard::new(GuardConfig::default());
/// let (mut w, mut memory) = ([1.0], [0.0; Guard::memory_len(1)]);
/// assert_eq!(guard.watch(2.3, &mut w, &mut memory)?, Watch::Saved); // the start is good
/// w[0] = f32::NAN;
/// assert_eq!(guard.watch(f64::NAN, &mut w, &mut memory)?, Watch::RolledBack(Trouble::NotFinite));
/// assert_eq!((w[0], guard.factor()), (1.0, 0.5));
/// # Ok::<(), secant::optim::Misuse>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Guard {
    config: GuardConfig,
    first: Option<f64>,
    best: f64,
    sum: f64,
    count: u32,
    factor: f32,
    rollbacks: u32,
}

impl Guard {
    /// The guard before the first step.
    pub const fn new(config: GuardConfig) -> Guard {
        Guard {
            config,
            first: None,
            best: f64::INFINITY,
            sum: 0.0,
            count: 0,
            factor: 1.0,
            rollbacks: 0,
        }
    }

    /// Floats of memory for `n` parameters.
    pub const fn memory_len(n: usize) -> usize {
        n
    }

    /// Factor of the learning rate: 1, halved at each rollback.
    pub const fn factor(&self) -> f32 {
        self.factor
    }

    /// Times that the run was taken back.
    pub const fn rollbacks(&self) -> u32 {
        self.rollbacks
    }

    /// Looks at the `loss` of a batch at `parameters`, before the step.
    ///
    /// # Errors
    /// [`Misuse`] when the memory is shorter than [`Guard::memory_len`]; nothing has changed then.
    pub fn watch(
        &mut self,
        loss: f64,
        parameters: &mut [f32],
        memory: &mut [f32],
    ) -> Result<Watch, Misuse> {
        let (needed, given) = (Guard::memory_len(parameters.len()), memory.len());
        let Some(saved) = memory.get_mut(..needed) else {
            return Err(Misuse::MemoryTooShort { needed, given });
        };
        let Some(first) = self.first else {
            // Wherever a run begins is the best that is known.
            vector::copy(parameters, saved);
            self.first = Some(if loss.is_finite() { loss } else { 0.0 });
            self.best = if loss.is_finite() { loss } else { f64::MAX };
            return Ok(Watch::Saved);
        };
        if !loss.is_finite() {
            return Ok(self.roll_back(Trouble::NotFinite, parameters, saved));
        }
        self.sum += loss;
        self.count += 1;
        if self.count < self.config.every {
            return Ok(Watch::Passed);
        }
        let mean = self.sum / f64::from(self.count);
        (self.sum, self.count) = (0.0, 0);
        let bound = self.config.growth * self.best + self.config.slack * first;
        if mean > bound {
            return Ok(self.roll_back(Trouble::LossRose, parameters, saved));
        }
        if mean < self.best {
            self.best = mean;
        }
        if loss > bound {
            return Ok(Watch::Passed);
        }
        vector::copy(parameters, saved);
        Ok(Watch::Saved)
    }

    fn roll_back(&mut self, trouble: Trouble, parameters: &mut [f32], saved: &[f32]) -> Watch {
        vector::copy(saved, parameters);
        (self.sum, self.count) = (0.0, 0);
        self.factor *= 0.5;
        self.rollbacks += 1;
        Watch::RolledBack(trouble)
    }
}

impl State for Guard {
    /// The first loss, if there was one; the best mean; sum and count of the window; the factor; the rollbacks.
    const NUMBERS: usize = 7;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), Misuse> {
        let values = [
            u64::from(self.first.is_some()),
            self.first.unwrap_or(0.0).to_bits(),
            self.best.to_bits(),
            self.sum.to_bits(),
            u64::from(self.count),
            u64::from(self.factor.to_bits()),
            u64::from(self.rollbacks),
        ];
        checkpoint::put(Self::NUMBERS, values, numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), Misuse> {
        let (values, _) = checkpoint::take::<7>(Self::NUMBERS, numbers)?;
        let number = |value: u64| u32::try_from(value).map_err(|_| checkpoint::NO_STATE);
        let [begun, first, best, sum, count, factor, rollbacks] = *values;
        *self = Guard {
            config: self.config,
            first: (begun != 0).then_some(f64::from_bits(first)),
            best: f64::from_bits(best),
            sum: f64::from_bits(sum),
            count: number(count)?,
            factor: f32::from_bits(number(factor)?),
            rollbacks: number(rollbacks)?,
        };
        Ok(())
    }
}
