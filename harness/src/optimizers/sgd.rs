//! Stochastic gradient descent with Nesterov's momentum, and a learning-rate schedule.

use secant::ConfigError;
use secant::optim::{Decay, Sgd, SgdConfig, SgdPart};
use serde::Serialize;

use super::layer_lbfgs::default_rate;
use super::schedule::ScheduleName;
use super::settings::{Context, DeviceMemory, Entry, Keys, Serves, Settings, names, set};
use super::step::{Scheduled, Snapshot, Stepper, Update, momentum_limit};
use super::tuning::{MOMENTUM, RATE, WARM_UP};
use super::values::{name, not_negative, positive, share, yes};
use crate::engine::Engine;
use crate::model::Net;

/// Parameters that are moved in about the time that it takes threads to meet.
const LEAST: usize = 16 * 1024;

/// Gradient descent with momentum.
pub const SGD: Entry = Entry {
    name: "sgd",
    about: "Gradient descent with Nesterov's momentum and warm-up",
    serves: Serves::Any,
    batch: 32,
    benched: true,
    keys: || names(KEYS),
    tuning: &[RATE, MOMENTUM, WARM_UP],
    defaults: |context| Box::new(SgdSettings::new(context)),
};

/// Settings of gradient descent; see [`SgdConfig`] for their meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SgdSettings {
    pub learning_rate: f32,
    pub schedule: ScheduleName,
    pub warm_up: f32,
    pub momentum: f32,
    pub nesterov: bool,
    pub weight_decay: f32,
    pub decoupled: bool,
}

const KEYS: Keys<SgdSettings> = &[
    ("learning-rate", |s, text| {
        positive(text).map(|x| s.learning_rate = x)
    }),
    ("rate-factor", |s, text| {
        positive(text).map(|x| s.learning_rate *= x)
    }),
    ("schedule", |s, text| name(text).map(|x| s.schedule = x)),
    ("warm-up", |s, text| share(text).map(|x| s.warm_up = x)),
    ("momentum", |s, text| share(text).map(|x| s.momentum = x)),
    ("nesterov", |s, text| yes(text).map(|x| s.nesterov = x)),
    ("weight-decay", |s, text| {
        not_negative(text).map(|x| s.weight_decay = x)
    }),
    ("decoupled", |s, text| yes(text).map(|x| s.decoupled = x)),
];

impl SgdSettings {
    /// The rate that did best on `micro` for two epochs at batch 32 (0.025 to 0.05 were level, 0.1
    /// ended a point lower, 0.2 ten or more).
    fn new(context: &Context<'_>) -> SgdSettings {
        let size = default_rate(context.network, 32) / 0.0101;
        SgdSettings {
            learning_rate: 0.03 * size,
            schedule: ScheduleName::Linear,
            warm_up: 0.1,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.0,
            decoupled: false,
        }
    }
}

impl Settings for SgdSettings {
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

    /// The gradient, and the velocities.
    fn memory_len(&self, network: &Net) -> usize {
        let n = network.parameter_count();
        n + Sgd::memory_len(n)
    }

    fn start<'m>(
        &self,
        network: &'m Net,
        _same_objective: bool,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, ConfigError> {
        let n = network.parameter_count();
        let (gradient, velocities) = memory.split_at_mut(n);
        let config = SgdConfig {
            learning_rate: self.learning_rate,
            momentum: self.momentum,
            nesterov: self.nesterov,
            weight_decay: self.weight_decay,
            decay: if self.decoupled {
                Decay::Decoupled
            } else {
                Decay::Coupled
            },
        };
        let sgd = Sgd::new(config, n, velocities)?;
        Ok(Box::new(Scheduled {
            schedule: self.schedule.with_warm_up(self.warm_up),
            gradient,
            update: sgd,
        }))
    }

    fn device(&self, network: &Net, lanes: usize) -> Option<DeviceMemory> {
        let n = network.parameter_count();
        Some(DeviceMemory {
            gradient: n,
            optimizer: Sgd::memory_len(n),
            workspace: network.workspace_len(lanes),
        })
    }
}

impl Update for Sgd<'_> {
    fn update(
        &mut self,
        engine: &mut Engine,
        factor: f32,
        parameters: &mut [f32],
        gradient: &[f32],
    ) -> Result<(), ConfigError> {
        let len = engine.part_len(gradient.len(), LEAST);
        let parts = self.parts(factor, parameters, gradient, len)?;
        engine.share(parts, SgdPart::apply);
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

    /// The identity.
    fn precondition(&self, _vector: &mut [f32]) -> bool {
        true
    }

    fn stability_limit(&self) -> Option<f64> {
        let config = self.config();
        let limit = momentum_limit(f64::from(config.momentum), false, config.nesterov);
        Some(limit / f64::from(config.learning_rate))
    }
}
