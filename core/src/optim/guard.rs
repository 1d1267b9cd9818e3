//! The guard: takes a stochastic run that diverges back to its last good point.

use crate::checkpoint::{self, State};
use crate::error::{ConfigError, check_length, check_memory, check_range};
use crate::vector;

/// The settings of [`Guard`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GuardConfig {
    /// Steps per window, at least 1. Default 32: some hundred to some thousand samples, whose mean
    /// loss has little noise.
    pub every: u32,
    /// How many times the best mean a window's mean may be, at least 1. Default 2.
    pub growth: f64,
    /// Share of the run's first loss that is added to that, at least 0, so that tiny losses may
    /// vary. Default 0.1.
    pub slack: f64,
}

impl GuardConfig {
    /// The default settings, for constants.
    pub const DEFAULT: GuardConfig = GuardConfig {
        every: 32,
        growth: 2.0,
        slack: 0.1,
    };
}

impl Default for GuardConfig {
    fn default() -> GuardConfig {
        GuardConfig::DEFAULT
    }
}

/// What the guard did on a batch's loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "after a rollback the step must be left out and the optimiser reset"]
#[non_exhaustive]
pub enum GuardAction {
    /// Nothing.
    Continued,
    /// The window was good: the parameters were saved.
    Saved,
    /// The parameters are the saved ones again. Leave this step out, and reset the optimiser.
    RolledBack(Divergence),
}

/// The sign of a diverging run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Divergence {
    /// A loss is not finite.
    NotFinite,
    /// The mean loss of a window is above the bound.
    LossRose,
}

/// Watches the loss of one run, and takes the run back to its last good point when it diverges.
///
/// It costs no evaluation: it reads the batch losses that training computes anyway. After every
/// window of [`every`](GuardConfig::every) steps, with `mean` the window's mean loss and `best` the
/// lowest of these means so far,
///
/// ```text
/// bound = growth * best + slack * first                first: the run's first loss
/// mean > bound                      restore the saved parameters, halve the learning rate's factor
/// mean <= bound, last loss <= bound save the parameters
/// ```
///
/// A loss that is not finite is taken back at once. So a run that explodes falls back by at most
/// two windows, and a rate that is too high is halved until it is not. What the last steps did shows
/// in no batch's loss any more: [`finish`](Guard::finish) asks for one more.
///
/// ```
/// use secant::optim::{Divergence, Guard, GuardAction, GuardConfig};
///
/// let (mut w, mut memory) = ([1.0], [0.0; Guard::memory_len(1)]);
/// let mut guard = Guard::new(GuardConfig::default(), 1, &mut memory)?;
/// assert_eq!(guard.check(2.3, &mut w)?, GuardAction::Saved); // the start is good
/// w[0] = f32::NAN;
/// let action = guard.check(f64::NAN, &mut w)?;
/// assert_eq!(action, GuardAction::RolledBack(Divergence::NotFinite));
/// assert_eq!((w[0], guard.factor()), (1.0, 0.5));
/// // The run ends with a step that has made it worse: back to the start.
/// w[0] = 40.0;
/// let action = guard.finish(19.7, &mut w)?;
/// assert_eq!((action, w[0]), (GuardAction::RolledBack(Divergence::LossRose), 1.0));
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug, PartialEq)]
pub struct Guard<'m> {
    record: Record,
    saved: &'m mut [f32],
}

/// What the guard remembers beside the parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Record {
    config: GuardConfig,
    first: Option<f64>,
    best: f64,
    sum: f64,
    count: u32,
    factor: f32,
    rollbacks: u32,
}

impl Record {
    /// The highest mean loss of a good window, `first` being the run's first loss.
    fn bound(&self, first: f64) -> f64 {
        self.config.growth * self.best + self.config.slack * first
    }
}

impl<'m> Guard<'m> {
    /// The guard of a run of `n` parameters, before its first step. `memory` needs
    /// [`memory_len(n)`](Self::memory_len) floats; what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: GuardConfig,
        n: usize,
        memory: &'m mut [f32],
    ) -> Result<Guard<'m>, ConfigError> {
        let GuardConfig {
            every,
            growth,
            slack,
        } = config;
        check_range("every", every, "at least 1", every > 0)?;
        let inside = growth >= 1.0 && growth.is_finite();
        check_range("growth", growth, "at least 1 and finite", inside)?;
        let inside = slack >= 0.0 && slack.is_finite();
        check_range("slack", slack, "at least 0 and finite", inside)?;
        let saved = check_memory(memory, Guard::memory_len(n))?;
        saved.fill(0.0);
        let record = Record {
            config,
            first: None,
            best: f64::INFINITY,
            sum: 0.0,
            count: 0,
            factor: 1.0,
            rollbacks: 0,
        };
        Ok(Guard { record, saved })
    }

    /// Floats of memory for `n` parameters.
    pub const fn memory_len(n: usize) -> usize {
        n
    }

    /// Factor of the learning rate: 1, halved at each rollback.
    pub const fn factor(&self) -> f32 {
        self.record.factor
    }

    /// Times that the run was taken back.
    pub const fn rollbacks(&self) -> u32 {
        self.record.rollbacks
    }

    /// Checks the `loss` of a batch at `parameters`, before the step.
    ///
    /// # Errors
    /// [`ConfigError`] when the length is wrong; nothing has changed then.
    pub fn check(&mut self, loss: f64, parameters: &mut [f32]) -> Result<GuardAction, ConfigError> {
        check_length("parameters", self.saved.len(), parameters.len())?;
        let Guard { record, saved } = self;
        let Some(first) = record.first else {
            // Wherever a run begins is the best point known.
            vector::copy(parameters, saved);
            record.first = Some(if loss.is_finite() { loss } else { 0.0 });
            record.best = if loss.is_finite() { loss } else { f64::MAX };
            return Ok(GuardAction::Saved);
        };
        if !loss.is_finite() {
            return Ok(self.roll_back(Divergence::NotFinite, parameters));
        }
        record.sum += loss;
        record.count = record.count.saturating_add(1);
        if record.count < record.config.every {
            return Ok(GuardAction::Continued);
        }
        let mean = record.sum / f64::from(record.count);
        (record.sum, record.count) = (0.0, 0);
        let bound = record.bound(first);
        if mean > bound {
            return Ok(self.roll_back(Divergence::LossRose, parameters));
        }
        if mean < record.best {
            record.best = mean;
        }
        if loss > bound {
            return Ok(GuardAction::Continued);
        }
        vector::copy(parameters, saved);
        Ok(GuardAction::Saved)
    }

    /// Checks where a run has come to after its last step: `loss` is the mean loss of training
    /// samples there, the more the better. Above the bound of a window, or not finite, it takes the
    /// parameters back to the saved ones. A run may go on after that.
    ///
    /// # Errors
    /// [`ConfigError`] when the length is wrong; nothing has changed then.
    pub fn finish(
        &mut self,
        loss: f64,
        parameters: &mut [f32],
    ) -> Result<GuardAction, ConfigError> {
        check_length("parameters", self.saved.len(), parameters.len())?;
        let Some(first) = self.record.first else {
            // There was no step.
            return Ok(GuardAction::Continued);
        };
        if !loss.is_finite() {
            return Ok(self.roll_back(Divergence::NotFinite, parameters));
        }
        if loss > self.record.bound(first) {
            return Ok(self.roll_back(Divergence::LossRose, parameters));
        }
        Ok(GuardAction::Continued)
    }

    fn roll_back(&mut self, divergence: Divergence, parameters: &mut [f32]) -> GuardAction {
        vector::copy(self.saved, parameters);
        (self.record.sum, self.record.count) = (0.0, 0);
        self.record.factor *= 0.5;
        self.record.rollbacks = self.record.rollbacks.saturating_add(1);
        GuardAction::RolledBack(divergence)
    }

    /// The saved parameters: what a checkpoint needs beside [`State::numbers`].
    pub const fn memory(&self) -> &[f32] {
        self.saved
    }

    /// The saved parameters, to be loaded from a checkpoint.
    pub const fn memory_mut(&mut self) -> &mut [f32] {
        self.saved
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Guard<'_> {
    /// All but the saved parameters.
    fn format(&self, f: defmt::Formatter<'_>) {
        self.record.format(f);
    }
}

impl State for Guard<'_> {
    /// The first loss, if there was one; the best mean; sum and count of the window; the factor;
    /// the rollbacks.
    const NUMBERS: usize = 7;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        let record = &self.record;
        let values = [
            u64::from(record.first.is_some()),
            record.first.unwrap_or(0.0).to_bits(),
            record.best.to_bits(),
            record.sum.to_bits(),
            u64::from(record.count),
            u64::from(record.factor.to_bits()),
            u64::from(record.rollbacks),
        ];
        checkpoint::put(Self::NUMBERS, values, numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        let (values, _) = checkpoint::take::<7>(Self::NUMBERS, numbers)?;
        let [begun, first, best, sum, count, factor, rollbacks] = *values;
        self.record = Record {
            config: self.record.config,
            first: (begun != 0).then_some(f64::from_bits(first)),
            best: f64::from_bits(best),
            sum: f64::from_bits(sum),
            count: checkpoint::small(count)?,
            factor: f32::from_bits(checkpoint::small(factor)?),
            rollbacks: checkpoint::small(rollbacks)?,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_steps_are_checked_too() {
        let mut memory = [0.0; 2];
        let config = GuardConfig {
            every: 2,
            ..GuardConfig::DEFAULT
        };
        let mut guard = Guard::new(config, 2, &mut memory).unwrap();
        let mut w = [1.0, 2.0];
        // Before the first step there is nothing to go back to.
        assert_eq!(guard.finish(f64::NAN, &mut w), Ok(GuardAction::Continued));
        assert_eq!(guard.check(2.0, &mut w), Ok(GuardAction::Saved));
        // The bound is 2 * 2 + 0.1 * 2.
        w = [3.0, 4.0];
        assert_eq!(guard.finish(4.2, &mut w), Ok(GuardAction::Continued));
        assert_eq!(w, [3.0, 4.0]);
        let rose = GuardAction::RolledBack(Divergence::LossRose);
        assert_eq!(guard.finish(4.3, &mut w), Ok(rose));
        assert_eq!((w, guard.factor(), guard.rollbacks()), ([1.0, 2.0], 0.5, 1));
        // A window that was good moves both bound and point: 2 * 1 + 0.1 * 2.
        w = [5.0, 6.0];
        assert_eq!(guard.check(1.0, &mut w), Ok(GuardAction::Continued));
        assert_eq!(guard.check(1.0, &mut w), Ok(GuardAction::Saved));
        w = [f32::NAN; 2];
        let broken = GuardAction::RolledBack(Divergence::NotFinite);
        assert_eq!(guard.finish(f64::INFINITY, &mut w), Ok(broken));
        assert_eq!((w, guard.factor()), ([5.0, 6.0], 0.25));
        assert_eq!(guard.finish(2.3, &mut w), Ok(rose));
        assert!(guard.finish(1.0, &mut [0.0]).is_err());
    }
}
