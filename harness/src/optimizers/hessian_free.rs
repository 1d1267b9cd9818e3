//! Hessian-free optimisation on mini-batches, with products of a part of each.

use secant::ConfigError;
use secant::optim::{HessianFree, HessianFreeConfig, Schedule};
use serde::Serialize;

use super::schedule::ScheduleName;
use super::settings::{DeviceMemory, Entry, Keys, Serves, Settings, names, set};
use super::step::{BatchLoss, Snapshot, Stepped, Stepper, WithProducts};
use super::tuning::{DAMPING, SHARE};
use super::values::{count, name, number, positive};
use crate::model::Net;

/// Stochastic Newton-CG.
pub const HESSIAN_FREE: Entry = Entry {
    name: "hessian-free",
    about: "Newton's method by conjugate gradients on Gauss-Newton products, damped",
    serves: Serves::Any,
    batch: 512,
    benched: true,
    keys: || names(KEYS),
    tuning: &[SHARE, DAMPING],
    defaults: |_| Box::new(HessianFreeSettings::default()),
};

/// Settings; see [`HessianFreeConfig`] for the meaning of those that are not explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HessianFreeSettings {
    pub learning_rate: f32,
    pub schedule: ScheduleName,
    pub damping: f32,
    pub iterations: u32,
    pub progress: f32,
    /// [`HessianFreeConfig::keep`]; `--keep` is another option of `train`.
    pub warm_start: f32,
    /// Samples of a product: the batch's first, and those that come next where it has fewer; 128.
    pub product_samples: u32,
}

impl Default for HessianFreeSettings {
    fn default() -> HessianFreeSettings {
        let config = HessianFreeConfig::DEFAULT;
        HessianFreeSettings {
            learning_rate: config.learning_rate,
            schedule: ScheduleName::Linear,
            damping: config.damping,
            iterations: config.iterations,
            progress: config.progress,
            warm_start: config.keep,
            product_samples: 128,
        }
    }
}

/// A number from 0, or above it, to 1.
fn up_to_one(text: &str, above: bool) -> Result<f32, String> {
    let expected = if above {
        "a number above 0, at most 1"
    } else {
        "a number from 0 to 1"
    };
    let inside = |x: f64| x <= 1.0 && if above { x > 0.0 } else { x >= 0.0 };
    number(text, inside, expected).map(|x| x as f32)
}

const KEYS: Keys<HessianFreeSettings> = &[
    ("learning-rate", |s, text| {
        up_to_one(text, true).map(|x| s.learning_rate = x)
    }),
    ("schedule", |s, text| name(text).map(|x| s.schedule = x)),
    ("damping", |s, text| positive(text).map(|x| s.damping = x)),
    ("iterations", |s, text| {
        count(text).map(|k| s.iterations = k)
    }),
    ("progress", |s, text| {
        super::values::share(text).map(|x| s.progress = x)
    }),
    ("warm-start", |s, text| {
        up_to_one(text, false).map(|x| s.warm_start = x)
    }),
    ("product-samples", |s, text| {
        count(text).map(|k| s.product_samples = k)
    }),
];

impl Settings for HessianFreeSettings {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        set(KEYS, self, key, value)
    }

    fn rate(&self) -> f32 {
        self.learning_rate
    }

    fn memory_len(&self, network: &Net) -> usize {
        HessianFree::memory_len(network.parameter_count())
    }

    fn wants_products(&self) -> bool {
        true
    }

    fn start<'m>(
        &self,
        network: &'m Net,
        _same_objective: bool,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, ConfigError> {
        let config = HessianFreeConfig {
            learning_rate: self.learning_rate,
            damping: self.damping,
            iterations: self.iterations,
            progress: self.progress,
            keep: self.warm_start,
        };
        Ok(Box::new(Running {
            method: HessianFree::new(config, network.parameter_count(), memory)?,
            schedule: self.schedule.with_warm_up(0.0),
            samples: self.product_samples as usize,
        }))
    }

    fn device(&self, network: &Net, lanes: usize) -> Option<DeviceMemory> {
        Some(DeviceMemory {
            gradient: 0,
            optimizer: self.memory_len(network),
            workspace: network.curvature_workspace_len(lanes),
        })
    }
}

struct Running<'m> {
    method: HessianFree<'m>,
    schedule: Schedule,
    samples: usize,
}

impl Stepper for Running<'_> {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        (step, steps): (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, ConfigError> {
        let factor = self.schedule.factor(step, steps);
        let mut loss = WithProducts {
            loss,
            samples: self.samples,
        };
        let found = self.method.step(factor, &mut loss, parameters)?;
        Ok(Stepped {
            loss: f64::from(found.loss),
            ended: None,
        })
    }

    fn snapshot(&self) -> Option<Snapshot<'_>> {
        Some(Snapshot::default().with(&self.method, [self.method.memory()]))
    }

    fn restore(&mut self, snapshot: &Snapshot<'_>) -> Result<(), ConfigError> {
        let mut reader = snapshot.reader();
        reader.state(&mut self.method)?;
        reader.memory(self.method.memory_mut())?;
        reader.end()
    }
}
