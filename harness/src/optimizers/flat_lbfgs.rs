//! Flat stochastic L-BFGS, with a learning-rate schedule.

use secant::optim::{AdamConfig, FlatLbfgs, FlatLbfgsConfig, IterateAverages, Schedule};
use secant::{ConfigError, Curvature};
use serde::Serialize;

use super::layer_lbfgs::default_rate;
use super::schedule::ScheduleName;
use super::settings::{DeviceMemory, Entry, Keys, Serves, Settings, TwoLoops, names, set};
use super::step::{BatchLoss, Snapshot, Stepped, Stepper, momentum_limit};
use super::tuning::RATE;
use super::values::{count, name, positive, share};
use crate::model::Net;

/// Over all parameters at once.
pub const LBFGS_FLAT: Entry = Entry {
    name: "lbfgs-flat",
    about: "Stochastic L-BFGS over all parameters at once, on Adam's diagonal",
    serves: Serves::Any,
    batch: 32,
    benched: true,
    keys: || names(KEYS),
    tuning: &[RATE],
    defaults: |context| Box::new(FlatLbfgsSettings::new(context.network)),
};

/// Pairs kept.
const PAIRS: usize = 8;

/// Where a pair's `y` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PairSource {
    /// The difference of two gradients of one batch
    Gradients,
    /// The Hessian of some samples times a step between averages of iterates
    Products,
}

/// Settings of the flat L-BFGS; see [`FlatLbfgsConfig`] for their meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlatLbfgsSettings {
    pub learning_rate: f32,
    pub schedule: ScheduleName,
    pub warm_up: f32,
    pub beta2: f32,
    pub pair_every: u32,
    pub share: f32,
    /// Where pairs come from; `gradients`.
    pub pairs: PairSource,
    /// Samples of a product, where they come from products; 256.
    pub product_samples: u32,
}

const KEYS: Keys<FlatLbfgsSettings> = &[
    ("learning-rate", |s, text| {
        positive(text).map(|x| s.learning_rate = x)
    }),
    ("rate-factor", |s, text| {
        positive(text).map(|x| s.learning_rate *= x)
    }),
    ("schedule", |s, text| name(text).map(|x| s.schedule = x)),
    ("warm-up", |s, text| share(text).map(|x| s.warm_up = x)),
    ("beta2", |s, text| share(text).map(|x| s.beta2 = x)),
    ("pair-every", |s, text| {
        count(text).map(|k| s.pair_every = k)
    }),
    ("share", |s, text| share(text).map(|x| s.share = x)),
    ("pairs", |s, text| name(text).map(|x| s.pairs = x)),
    ("product-samples", |s, text| {
        count(text).map(|k| s.product_samples = k)
    }),
];

impl FlatLbfgsSettings {
    /// Those of a strong Adam, and a pair every 16 steps.
    fn new(network: &Net) -> FlatLbfgsSettings {
        FlatLbfgsSettings {
            learning_rate: 0.75 * default_rate(network, 32),
            schedule: ScheduleName::Linear,
            warm_up: 0.05,
            beta2: 0.98,
            pair_every: 16,
            share: 0.5,
            pairs: PairSource::Gradients,
            product_samples: 256,
        }
    }

    /// Floats of the averages of iterates, if there are any.
    fn averages_len(&self, n: usize) -> usize {
        match self.pairs {
            PairSource::Gradients => 0,
            PairSource::Products => IterateAverages::memory_len(n),
        }
    }
}

impl Settings for FlatLbfgsSettings {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        set(KEYS, self, key, value)
    }

    fn rate(&self) -> f32 {
        self.learning_rate
    }

    /// The gradient, the one at the anchor or a product, the averages of iterates, and the
    /// optimiser's own.
    fn memory_len(&self, network: &Net) -> usize {
        let n = network.parameter_count();
        2 * n + self.averages_len(n) + FlatLbfgs::<PAIRS>::memory_len(n)
    }

    fn wants_products(&self) -> bool {
        self.pairs == PairSource::Products
    }

    fn two_loops(&self, network: &Net) -> Vec<TwoLoops> {
        vec![TwoLoops {
            count: 1,
            pairs: PAIRS,
            length: network.parameter_count(),
        }]
    }

    fn start<'m>(
        &self,
        network: &'m Net,
        _same_objective: bool,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, ConfigError> {
        let n = network.parameter_count();
        let (gradient, memory) = memory.split_at_mut(n);
        let (other, memory) = memory.split_at_mut(n);
        let (averages, memory) = memory.split_at_mut(self.averages_len(n));
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
        Ok(Box::new(Running {
            flat: FlatLbfgs::new(config, n, memory)?,
            schedule: self.schedule.with_warm_up(self.warm_up),
            averages: match self.pairs {
                PairSource::Gradients => None,
                PairSource::Products => Some(IterateAverages::new(self.pair_every, n, averages)?),
            },
            product_samples: self.product_samples as usize,
            gradient,
            other,
        }))
    }

    fn device(&self, network: &Net, lanes: usize) -> Option<DeviceMemory> {
        let n = network.parameter_count();
        Some(DeviceMemory {
            gradient: 2 * n,
            optimizer: self.averages_len(n) + FlatLbfgs::<PAIRS>::memory_len(n),
            workspace: match self.pairs {
                PairSource::Gradients => network.workspace_len(lanes),
                PairSource::Products => network.curvature_workspace_len(lanes),
            },
        })
    }
}

struct Running<'m> {
    flat: FlatLbfgs<'m, PAIRS>,
    schedule: Schedule,
    /// Where pairs come from products.
    averages: Option<IterateAverages<'m>>,
    product_samples: usize,
    gradient: &'m mut [f32],
    /// The gradient at the anchor, or a product.
    other: &'m mut [f32],
}

impl Stepper for Running<'_> {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        (step, steps): (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, ConfigError> {
        let tally = loss.gradient(parameters, self.gradient);
        if self.averages.is_none() && self.flat.wants_anchor_gradient() {
            loss.gradient(self.flat.anchor(), self.other);
            self.flat.observe(parameters, self.gradient, self.other)?;
        }
        let factor = self.schedule.factor(step, steps);
        // A pair was made if one was due; of averages there is none in the first two windows.
        let _ = self.flat.step(factor, parameters, self.gradient)?;
        if let Some(averages) = &mut self.averages
            && averages.add(parameters)?
        {
            let (point, step) = (averages.point(), averages.step());
            let samples = self.product_samples;
            loss.curvature_product(Curvature::Hessian, samples, point, step, self.other);
            self.flat.observe_product(step, self.other)?;
        }
        Ok(Stepped {
            loss: tally.mean_loss(),
            ended: None,
        })
    }

    fn snapshot(&self) -> Option<Snapshot<'_>> {
        let snapshot = Snapshot::default().with(&self.flat, [self.flat.memory()]);
        Some(match &self.averages {
            Some(averages) => snapshot.with(averages, [averages.memory()]),
            None => snapshot,
        })
    }

    fn restore(&mut self, snapshot: &Snapshot<'_>) -> Result<(), ConfigError> {
        let mut reader = snapshot.reader();
        reader.state(&mut self.flat)?;
        reader.memory(self.flat.memory_mut())?;
        if let Some(averages) = &mut self.averages {
            reader.state(averages)?;
            reader.memory(averages.memory_mut())?;
        }
        reader.end()
    }

    fn precondition(&mut self, vector: &mut [f32]) -> bool {
        self.flat.precondition(vector).is_ok()
    }

    fn stability_limit(&self, (step, steps): (u32, u32)) -> Option<f64> {
        let adam = self.flat.config().adam;
        let rate = f64::from(adam.learning_rate * self.schedule.factor(step, steps));
        let limit = momentum_limit(f64::from(adam.beta1), true, adam.nesterov);
        (rate > 0.0).then(|| limit / rate)
    }
}
