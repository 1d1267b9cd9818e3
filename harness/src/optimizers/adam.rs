//! Adam, with a learning-rate schedule.

use secant::optim::{Adam, AdamConfig, Decay, Misuse};
use serde::Serialize;

use super::{BatchLoss, Stepped, Stepper};
use crate::config::ScheduleName;

/// Settings of Adam; see [`AdamConfig`] for their meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "documented where the library defines them")]
pub struct AdamSettings {
    pub learning_rate: f32,
    pub schedule: ScheduleName,
    pub warm_up: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub weight_decay: f32,
    pub decoupled: bool,
    pub nesterov: bool,
}

impl AdamSettings {
    /// Moments, and the gradient.
    pub(super) fn memory_len(&self, n: usize) -> usize {
        Adam::memory_len(n) + n
    }

    pub(super) fn start<'m>(&self, n: usize, memory: &'m mut [f32]) -> Box<dyn Stepper + 'm> {
        let (gradient, moments) = memory.split_at_mut(n);
        let config = AdamConfig {
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            decay: if self.decoupled {
                Decay::Decoupled
            } else {
                Decay::Coupled
            },
            nesterov: self.nesterov,
        };
        let schedule = self.schedule.with_warm_up(self.warm_up);
        Box::new(Running {
            adam: Adam::new(config),
            schedule,
            gradient,
            moments,
        })
    }
}

struct Running<'m> {
    adam: Adam,
    schedule: secant::optim::Schedule,
    gradient: &'m mut [f32],
    moments: &'m mut [f32],
}

impl Stepper for Running<'_> {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        (step, steps): (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, Misuse> {
        let tally = loss.gradient(parameters, self.gradient);
        let factor = self.schedule.factor(step, steps);
        self.adam
            .step(factor, parameters, self.gradient, self.moments)?;
        Ok(Stepped {
            loss: tally.mean_loss(),
            ended: None,
        })
    }
}
