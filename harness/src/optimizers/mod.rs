//! The optimisers by name: one variant of [`Optimizer`] and one file each.

mod adam;
mod defaults;
mod flat_lbfgs;
mod layer_lbfgs;
mod lbfgs;
mod lbfgs_seed;

pub use adam::AdamSettings;
pub use flat_lbfgs::FlatLbfgsSettings;
pub use layer_lbfgs::{LARGEST_PAIRS, LayerLbfgsSettings, default_rate};
pub use lbfgs::{CurvatureName, LARGEST_HISTORY, LbfgsSettings, LineSearchName, ScalingName};
pub use lbfgs_seed::LbfgsSeedSettings;

use std::time::{Duration, Instant};

use secant::network::Network;
use secant::objective::Objective;
use secant::optim::{Form, Misuse, Termination};
use secant::{DropoutKey, Metrics};
use serde::{Serialize, Serializer};

use crate::engine::{Engine, Observe};
use crate::model::MAX_LAYERS;

/// A network of the harness.
pub type Net = Network<'static, MAX_LAYERS>;

/// An optimiser and its settings, as the records show them.
#[derive(Debug, Clone, PartialEq)]
pub enum Optimizer {
    /// Adaptive moments.
    Adam(AdamSettings),
    /// Layer-wise stochastic L-BFGS.
    LayerLbfgs(LayerLbfgsSettings),
    /// Limited-memory BFGS with Armijo's line search.
    Lbfgs(LbfgsSettings),
    /// Stochastic L-BFGS over all parameters at once.
    FlatLbfgs(FlatLbfgsSettings),
    /// The method of the experiment behind this project.
    LbfgsSeed(LbfgsSeedSettings),
}

/// `{name, settings...}`.
impl Serialize for Optimizer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a, T> {
            name: &'static str,
            #[serde(flatten)]
            settings: &'a T,
        }
        let name = self.name();
        match self {
            Optimizer::Adam(settings) => Named { name, settings }.serialize(serializer),
            Optimizer::LayerLbfgs(settings) => Named { name, settings }.serialize(serializer),
            Optimizer::Lbfgs(settings) => Named { name, settings }.serialize(serializer),
            Optimizer::FlatLbfgs(settings) => Named { name, settings }.serialize(serializer),
            Optimizer::LbfgsSeed(settings) => Named { name, settings }.serialize(serializer),
        }
    }
}

impl Optimizer {
    /// The name on the command line and in records.
    pub fn name(&self) -> &'static str {
        match self {
            Optimizer::Adam(_) => "adam",
            Optimizer::LayerLbfgs(settings) => match settings.form {
                Form::Element => "lbfgs",
                Form::Row => "lbfgs-row",
                Form::Factored => "lbfgs-factored",
            },
            Optimizer::Lbfgs(settings) => settings.name(),
            Optimizer::FlatLbfgs(_) => "lbfgs-flat",
            Optimizer::LbfgsSeed(_) => "lbfgs-seed",
        }
    }

    /// Floats of memory for `network`.
    pub fn memory_len(&self, network: &Net) -> usize {
        match self {
            Optimizer::Adam(settings) => settings.memory_len(network.parameter_count()),
            Optimizer::LayerLbfgs(settings) => settings.memory_len(network),
            Optimizer::Lbfgs(settings) => settings.memory_len(network.parameter_count()),
            Optimizer::FlatLbfgs(settings) => settings.memory_len(network.parameter_count()),
            Optimizer::LbfgsSeed(_) => 0,
        }
    }

    /// The two-loop recursions of a step: how many, each on how many pairs of which length.
    pub fn two_loops(&self, network: &Net) -> Vec<TwoLoops> {
        let all = |count, pairs| {
            let length = network.parameter_count();
            vec![TwoLoops {
                count,
                pairs,
                length,
            }]
        };
        match self {
            Optimizer::Adam(_) => Vec::new(),
            Optimizer::LayerLbfgs(settings) => settings.two_loops(network),
            Optimizer::Lbfgs(settings) => all(1, settings.history),
            Optimizer::FlatLbfgs(settings) => all(1, settings.pairs()),
            Optimizer::LbfgsSeed(settings) => all(settings.inner as usize, settings.history),
        }
    }

    /// The optimiser before its first step. `memory` has [`Optimizer::memory_len`] zeros; `same_objective` says that every
    /// step will minimise the very same function, as with full batches and no dropout.
    ///
    /// # Errors
    /// [`Misuse`] when a setting is out of range.
    pub fn start<'m>(
        &self,
        network: &Net,
        same_objective: bool,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, Misuse> {
        let n = network.parameter_count();
        match self {
            Optimizer::Adam(settings) => Ok(settings.start(n, memory)),
            Optimizer::LayerLbfgs(settings) => settings.start(network, memory),
            Optimizer::Lbfgs(settings) => settings.start(n, same_objective, memory),
            Optimizer::FlatLbfgs(settings) => Ok(settings.start(n, memory)),
            Optimizer::LbfgsSeed(settings) => Ok(settings.start(n)),
        }
    }
}

/// Two-loop recursions of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoLoops {
    /// How many a step.
    pub count: usize,
    /// Pairs of each.
    pub pairs: usize,
    /// Length of a pair's vectors.
    pub length: usize,
}

/// An optimiser at work.
pub trait Stepper {
    /// One step on one batch: moves `parameters`. `progress` is the number of this step, from 0, and of all steps.
    ///
    /// # Errors
    /// [`Misuse`] when lengths do not fit.
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        progress: (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, Misuse>;

    /// Times that the guard took the run back to an earlier point.
    fn rollbacks(&self) -> u32 {
        0
    }
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// The batch's mean loss before the step.
    pub loss: f64,
    /// Why no further step is of use, if so.
    pub ended: Option<Termination>,
}

/// The mean loss of one batch as a function of the parameters.
pub struct BatchLoss<'e> {
    engine: &'e mut Engine,
    indices: &'e [u32],
    dropout: Option<DropoutKey>,
    dimension: usize,
    evaluations: u64,
    observed: bool,
    gradient_time: Duration,
    first_loss: Option<f64>,
}

impl<'e> BatchLoss<'e> {
    /// The loss of the images `indices`, `dimension` being the number of parameters.
    pub fn new(
        engine: &'e mut Engine,
        indices: &'e [u32],
        dropout: Option<DropoutKey>,
        dimension: usize,
    ) -> Self {
        Self {
            engine,
            indices,
            dropout,
            dimension,
            evaluations: 0,
            observed: false,
            gradient_time: Duration::ZERO,
            first_loss: None,
        }
    }

    /// Overwrites `gradient` with the gradient of the mean loss.
    pub fn gradient(&mut self, parameters: &[f32], gradient: &mut [f32]) -> Metrics {
        self.evaluations += 1;
        let start = Instant::now();
        let tally = self
            .engine
            .gradient(parameters, self.indices, self.dropout, gradient);
        self.gradient_time += start.elapsed();
        self.first_loss.get_or_insert(tally.mean_loss());
        tally
    }

    /// [`gradient`](BatchLoss::gradient) that shows the layers' inputs to `observe`, with at least `workspace_len` floats of
    /// workspace.
    pub fn gradient_observed(
        &mut self,
        parameters: &[f32],
        gradient: &mut [f32],
        workspace_len: usize,
        observe: Observe<'_>,
    ) -> Metrics {
        self.evaluations += 1;
        self.observed = true;
        let start = Instant::now();
        let tally = self.engine.gradient_observed(
            parameters,
            self.indices,
            self.dropout,
            gradient,
            workspace_len,
            observe,
        );
        self.gradient_time += start.elapsed();
        self.first_loss.get_or_insert(tally.mean_loss());
        tally
    }

    /// The mean loss of the first evaluation.
    pub fn first_loss(&self) -> Option<f64> {
        self.first_loss
    }

    /// Gradients of the batch that were computed so far, and whether the inputs of the layers were shown.
    pub fn evaluations(&self) -> (u64, bool) {
        (self.evaluations, self.observed)
    }

    /// The time that this took, on the caller's clock.
    pub fn gradient_time(&self) -> Duration {
        self.gradient_time
    }

    /// Gradients of single images that were computed so far.
    pub fn sample_gradients(&self) -> u64 {
        self.evaluations * self.indices.len() as u64
    }
}

impl Objective<f32> for BatchLoss<'_> {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn value_and_gradient(&mut self, x: &[f32], gradient: &mut [f32]) -> f32 {
        self.gradient(x, gradient).mean_loss() as f32
    }
}
