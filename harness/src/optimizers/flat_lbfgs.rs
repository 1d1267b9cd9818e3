//! Flat stochastic L-BFGS, with a learning-rate schedule.

use secant::optim::{AdamConfig, FlatLbfgs, FlatLbfgsConfig, Misuse, Schedule};
use serde::Serialize;

use super::{BatchLoss, Stepped, Stepper};
use crate::config::ScheduleName;

/// Pairs kept.
const PAIRS: usize = 8;

/// Settings of the flat L-BFGS; see [`FlatLbfgsConfig`] for their meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "documented where the library defines them")]
pub struct FlatLbfgsSettings {
    pub learning_rate: f32,
    pub schedule: ScheduleName,
    pub warm_up: f32,
    pub beta2: f32,
    pub pair_every: u32,
    pub share: f32,
}

impl FlatLbfgsSettings {
    pub(super) fn pairs(&self) -> usize {
        PAIRS
    }

    /// The gradient, the one at the anchor, and the optimiser's own.
    pub(super) fn memory_len(&self, n: usize) -> usize {
        2 * n + FlatLbfgs::<PAIRS>::memory_len(n)
    }

    pub(super) fn start<'m>(&self, n: usize, memory: &'m mut [f32]) -> Box<dyn Stepper + 'm> {
        let (gradient, memory) = memory.split_at_mut(n);
        let (other, memory) = memory.split_at_mut(n);
        let adam = AdamConfig {
            learning_rate: self.learning_rate,
            beta2: self.beta2,
            nesterov: true,
            ..AdamConfig::default()
        };
        let config = FlatLbfgsConfig {
            adam,
            pair_every: self.pair_every,
            share: self.share,
        };
        Box::new(Running {
            flat: FlatLbfgs::new(config),
            schedule: self.schedule.with_warm_up(self.warm_up),
            gradient,
            other,
            memory,
        })
    }
}

struct Running<'m> {
    flat: FlatLbfgs<PAIRS>,
    schedule: Schedule,
    gradient: &'m mut [f32],
    other: &'m mut [f32],
    memory: &'m mut [f32],
}

impl Stepper for Running<'_> {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        (step, steps): (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, Misuse> {
        let tally = loss.gradient(parameters, self.gradient);
        let pair = self.flat.wants_anchor_gradient();
        if pair {
            loss.gradient(self.flat.anchor(parameters.len(), self.memory), self.other);
        }
        let factor = self.schedule.factor(step, steps);
        let other = pair.then_some(&*self.other);
        self.flat
            .step(factor, parameters, self.gradient, other, self.memory)?;
        Ok(Stepped {
            loss: tally.mean_loss(),
            ended: None,
        })
    }
}
