//! Layer-wise stochastic L-BFGS, with a learning-rate schedule and the guard.

use secant::optim::{
    Decay, Form, Guard, GuardConfig, LayerLbfgs, LayerLbfgsConfig, Misuse, Schedule, Watch,
};
use serde::{Serialize, Serializer};

use super::{BatchLoss, Net, Stepped, Stepper, TwoLoops};
use crate::config::ScheduleName;
use crate::engine::LANES;

/// Most pairs a layer that can be chosen.
pub const LARGEST_PAIRS: usize = 16;

/// Settings of the layer-wise L-BFGS; see [`LayerLbfgsConfig`] for their meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "documented where the library defines them")]
pub struct LayerLbfgsSettings {
    #[serde(serialize_with = "form_name")]
    pub form: Form,
    /// Pairs a layer, 0 to [`LARGEST_PAIRS`].
    pub history: usize,
    pub learning_rate: f32,
    pub schedule: ScheduleName,
    pub warm_up: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub damping: f32,
    pub keep: f32,
    pub refresh_every: u32,
    pub weight_decay: f32,
    pub decoupled: bool,
    /// Whether the guard watches.
    pub guard: bool,
}

fn form_name<S: Serializer>(form: &Form, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(form.name())
}

/// Calls `$body` with the constant `$m` equal to the run-time number `$history`, which is 0 to 16.
macro_rules! with_pairs {
    ($history:expr, $m:ident => $body:expr) => {
        with_pairs!(@ $history, $m => $body; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $history:expr, $m:ident => $body:expr; $($number:literal)*) => {
        match $history {
            $($number => { const $m: usize = $number; $body })*
            _ => { const $m: usize = LARGEST_PAIRS; $body }
        }
    };
}

/// The learning rate that suits `network` at `batch` images a step; see [`LayerLbfgs::learning_rate`].
pub fn default_rate(network: &Net, batch: usize) -> f32 {
    LayerLbfgs::<8>::learning_rate(network, batch)
}

impl LayerLbfgsSettings {
    /// The gradient, the guard's copy, and the optimiser's own.
    pub(super) fn memory_len(&self, network: &Net) -> usize {
        let n = network.parameter_count();
        let own = with_pairs!(self.history, M => LayerLbfgs::<M>::memory_len(network, self.form));
        n + Guard::memory_len(n) + own
    }

    /// Two for each row of each layer's weights, the bias with them.
    pub(super) fn two_loops(&self, network: &Net) -> Vec<TwoLoops> {
        let layers = (0..network.layers().len()).map(|i| network.parameter_ranges(i));
        let layers = layers.filter(|(_, biases)| !biases.is_empty());
        layers
            .map(|(weights, biases)| {
                let length = weights.len() / biases.len() + 1;
                TwoLoops {
                    count: 2 * biases.len(),
                    pairs: with_pairs!(self.history, M => LayerLbfgs::<M>::pairs(length)),
                    length,
                }
            })
            .collect()
    }

    pub(super) fn start<'m>(
        &self,
        network: &Net,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, Misuse> {
        let n = network.parameter_count();
        let config = LayerLbfgsConfig {
            form: self.form,
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            damping: self.damping,
            keep: self.keep,
            refresh_every: self.refresh_every,
            weight_decay: self.weight_decay,
            decay: if self.decoupled {
                Decay::Decoupled
            } else {
                Decay::Coupled
            },
            ..LayerLbfgsConfig::DEFAULT
        };
        let (gradient, memory) = memory.split_at_mut(n);
        let (saved, memory) = memory.split_at_mut(Guard::memory_len(n));
        Ok(with_pairs!(self.history, M => Box::new(Running {
            lbfgs: LayerLbfgs::<M>::new(config),
            guard: self.guard.then(|| Guard::new(GuardConfig::default())),
            network: *network,
            schedule: self.schedule.with_warm_up(self.warm_up),
            gradient,
            saved,
            memory,
        })))
    }
}

struct Running<'m, const M: usize> {
    lbfgs: LayerLbfgs<M>,
    guard: Option<Guard>,
    network: Net,
    schedule: Schedule,
    gradient: &'m mut [f32],
    saved: &'m mut [f32],
    memory: &'m mut [f32],
}

impl<const M: usize> Stepper for Running<'_, M> {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        (step, steps): (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, Misuse> {
        let Running {
            lbfgs,
            network,
            gradient,
            memory,
            ..
        } = self;
        let tally = if lbfgs.wants_inputs() {
            let workspace = LayerLbfgs::<M>::workspace_len(network, LANES);
            loss.gradient_observed(parameters, gradient, workspace, &mut |inputs, scratch| {
                lbfgs.observe(&inputs, memory, scratch);
            })
        } else {
            loss.gradient(parameters, gradient)
        };
        let mut stepped = Stepped {
            loss: tally.mean_loss(),
            ended: None,
        };
        let mut factor = self.schedule.factor(step, steps);
        if let Some(guard) = &mut self.guard {
            if let Watch::RolledBack(_) = guard.watch(stepped.loss, parameters, self.saved)? {
                self.lbfgs.restart(self.memory);
                if !stepped.loss.is_finite() {
                    // The parameters are good again; what the batch's loss would be there is not known.
                    stepped.loss = f64::from(f32::MAX);
                }
                return Ok(stepped);
            }
            factor *= guard.factor();
        }
        self.lbfgs.step(
            &self.network,
            factor,
            parameters,
            self.gradient,
            self.memory,
        )?;
        Ok(stepped)
    }

    fn rollbacks(&self) -> u32 {
        self.guard.map_or(0, |guard| guard.rollbacks())
    }
}
