//! Adam, with a learning-rate schedule and three sets of defaults: a strong baseline for short
//! runs, the usual settings for long ones, and those of the original experiment.

use secant::ConfigError;
use secant::optim::{Adam, AdamConfig, AdamPart, Decay};
use serde::Serialize;

use super::layer_lbfgs::default_rate;
use super::schedule::ScheduleName;
use super::settings::{Context, DeviceMemory, Entry, Keys, Serves, Settings, names, set};
use super::step::{Scheduled, Snapshot, Stepper, Update, momentum_limit};
use super::tuning::{BETA2, DECAY, RATE, WARM_UP};
use super::values::{name, not_negative, positive, share, yes};
use crate::engine::Engine;
use crate::model::Net;

/// Parameters that are moved in about the time that it takes threads to meet.
const LEAST: usize = 8 * 1024;

/// Adam as a strong baseline of short runs.
pub const ADAM: Entry = Entry {
    name: "adam",
    about: "Adaptive moments, Nesterov's momentum and warm-up: strong in short runs",
    serves: Serves::Any,
    batch: 32,
    benched: true,
    keys: || names(KEYS),
    tuning: &[RATE, BETA2, WARM_UP],
    defaults: |context| Box::new(AdamSettings::strong(context.network)),
};

/// Adam for runs of many epochs.
pub const ADAM_CLASSIC: Entry = Entry {
    name: "adam-classic",
    about: "Adam with its usual settings, batch 64 and a falling rate: for runs of many epochs",
    batch: 64,
    benched: false,
    defaults: |context| Box::new(AdamSettings::classic(context)),
    ..ADAM
};

/// Adam as the original experiment ran it.
pub const ADAM_PLAIN: Entry = Entry {
    name: "adam-plain",
    about: "Adam as the experiment behind this project ran it: one rate, weight decay, batch 64",
    batch: 64,
    benched: false,
    defaults: |context| Box::new(AdamSettings::plain(context)),
    ..ADAM
};

/// Adam with decoupled weight decay, as it is used most.
pub const ADAMW: Entry = Entry {
    name: "adamw",
    about: "Adam with decoupled weight decay (AdamW) and warm-up",
    benched: false,
    tuning: &[RATE, BETA2, WARM_UP, DECAY],
    defaults: |context| Box::new(AdamSettings::decoupled(context.network)),
    ..ADAM
};

/// Settings of Adam; see [`AdamConfig`] for their meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
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

const KEYS: Keys<AdamSettings> = &[
    ("learning-rate", |s, text| {
        positive(text).map(|x| s.learning_rate = x)
    }),
    ("rate-factor", |s, text| {
        positive(text).map(|x| s.learning_rate *= x)
    }),
    ("schedule", |s, text| name(text).map(|x| s.schedule = x)),
    ("warm-up", |s, text| share(text).map(|x| s.warm_up = x)),
    ("beta1", |s, text| share(text).map(|x| s.beta1 = x)),
    ("beta2", |s, text| share(text).map(|x| s.beta2 = x)),
    ("epsilon", |s, text| positive(text).map(|x| s.epsilon = x)),
    ("weight-decay", |s, text| {
        not_negative(text).map(|x| s.weight_decay = x)
    }),
    ("decoupled", |s, text| yes(text).map(|x| s.decoupled = x)),
    ("nesterov", |s, text| yes(text).map(|x| s.nesterov = x)),
];

impl AdamSettings {
    /// Tuned on `micro` (rate 0.012, beta2 0.99, warm-up 0.1 for an epoch at batch 32); the rate of
    /// larger networks falls faster than the layer-wise method's, as tuning on `seed` showed
    /// (0.0015 at batch 16).
    fn strong(network: &Net) -> AdamSettings {
        let size = default_rate(network, 32) / 0.0101;
        AdamSettings {
            learning_rate: 0.012 * size * size.sqrt(),
            schedule: ScheduleName::Linear,
            warm_up: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            nesterov: true,
        }
    }

    /// Tuned as the strong baseline was.
    fn decoupled(network: &Net) -> AdamSettings {
        AdamSettings {
            weight_decay: 0.01,
            decoupled: true,
            nesterov: false,
            ..AdamSettings::strong(network)
        }
    }

    fn classic(context: &Context<'_>) -> AdamSettings {
        AdamSettings {
            learning_rate: 0.005,
            warm_up: 0.0,
            beta2: 0.999,
            nesterov: false,
            ..AdamSettings::strong(context.network)
        }
    }

    fn plain(context: &Context<'_>) -> AdamSettings {
        AdamSettings {
            learning_rate: 1e-3,
            schedule: ScheduleName::Constant,
            weight_decay: 2.5e-3,
            ..AdamSettings::classic(context)
        }
    }
}

impl Settings for AdamSettings {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        set(KEYS, self, key, value)
    }

    fn missing(&self) -> Option<[&'static str; 2]> {
        let idle = self.decoupled && self.weight_decay == 0.0;
        idle.then_some(["decoupled", "weight-decay"])
    }

    fn rate(&self) -> f32 {
        self.learning_rate
    }

    /// The gradient, and the moments.
    fn memory_len(&self, network: &Net) -> usize {
        let n = network.parameter_count();
        n + Adam::memory_len(n)
    }

    fn start<'m>(
        &self,
        network: &'m Net,
        _same_objective: bool,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, ConfigError> {
        let n = network.parameter_count();
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
        let adam = Adam::new(config, n, moments)?;
        Ok(Box::new(Scheduled {
            schedule: self.schedule.with_warm_up(self.warm_up),
            gradient,
            update: adam,
        }))
    }

    fn device(&self, network: &Net, lanes: usize) -> Option<DeviceMemory> {
        let n = network.parameter_count();
        Some(DeviceMemory {
            gradient: n,
            optimizer: Adam::memory_len(n),
            workspace: network.workspace_len(lanes),
        })
    }
}

impl Update for Adam<'_> {
    fn update(
        &mut self,
        engine: &mut Engine,
        factor: f32,
        parameters: &mut [f32],
        gradient: &[f32],
    ) -> Result<(), ConfigError> {
        let len = engine.part_len(gradient.len(), LEAST);
        let parts = self.parts(factor, parameters, gradient, len)?;
        engine.share(parts, AdamPart::apply);
        Ok(())
    }

    fn snapshot(&self) -> Option<Snapshot<'_>> {
        Some(Snapshot::default().with(self, [self.memory()]))
    }

    fn restore(&mut self, snapshot: &Snapshot<'_>) -> Result<(), ConfigError> {
        let mut reader = snapshot.reader();
        reader.state(self)?;
        reader.memory(self.memory_mut())?;
        reader.end()
    }

    fn precondition(&self, vector: &mut [f32]) -> bool {
        Adam::precondition(self, vector).is_ok()
    }

    fn stability_limit(&self) -> Option<f64> {
        let config = self.config();
        let limit = momentum_limit(f64::from(config.beta1), true, config.nesterov);
        Some(limit / f64::from(config.learning_rate))
    }
}
