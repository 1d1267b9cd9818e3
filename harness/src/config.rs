//! What a training run is: every choice that its result depends on, resolved and checked.

use std::num::NonZeroUsize;

use secant::network::Init;
use serde::{Serialize, Serializer};

use crate::batch::Batch;
use crate::engine;
use crate::loss::{ClassWeights, NamedLoss};
use crate::model::Model;
use crate::optimizers::Optimizer;
use crate::weights::Start;

/// Everything that a training run's result depends on, beside the data. (`threads` only changes its
/// speed.)
#[derive(Debug, Clone, Serialize)]
pub struct RunConfig {
    /// The network, its first layers frozen if the run is to leave them as they are.
    pub model: Model,
    /// The weights that it starts from; without, they are drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// How its initial weights are drawn, if they are.
    #[serde(serialize_with = "init_name")]
    pub init: Init,
    /// How they are updated.
    pub optimizer: Optimizer,
    /// How much the samples of each class count, if not alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// Whether numbers to predict are learned in the data's own units, not standardised.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub raw_targets: bool,
    /// Training samples a step.
    pub batch: Batch,
    /// The most passes over the training samples, at least 1.
    pub epochs: u32,
    /// The most steps, if that is less.
    pub max_iterations: Option<u32>,
    /// Stop when the mean training loss of two epochs in a row differs by less; 0 never stops.
    pub tolerance: f64,
    /// Stop when the best epoch on the validation samples is so many epochs ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// Average the weights over about this share of the run, counted from its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
    /// Share of the training samples, in [0, 1), that is set aside for validation.
    pub validation: f64,
    /// Whether the test samples are evaluated in the course of the run: for benchmarks that publish
    /// such curves. Nothing may be chosen by them.
    pub watch_test: bool,
    /// Seed of all randomness: split, initial weights, order of the samples, dropout.
    pub seed: u64,
    /// Threads that share a batch; the result does not depend on it.
    pub threads: NonZeroUsize,
}

impl RunConfig {
    /// Bytes of the run beside its data, at most: the workspaces and gradients of all threads, twice
    /// at its end, the optimiser, and a few copies of the weights.
    pub fn memory(&self) -> u64 {
        let network = &self.model.network;
        let settings = self.optimizer.settings();
        let pairs = settings.two_loops(network);
        let pairs = pairs.iter().map(|t| 2 * (t.pairs + 2) * t.length).max();
        let threads = self.threads.get();
        let engine = match settings.wants_products() {
            true => engine::product_floats(network, threads),
            false => engine::floats(network, threads),
        };
        let floats = [
            engine.saturating_mul(2),
            settings.memory_len(network) as u64,
            pairs.unwrap_or(0) as u64,
            8 * network.parameter_count() as u64,
            self.average_floats().saturating_mul(2),
        ];
        let floats = floats.into_iter().fold(0, u64::saturating_add);
        floats.saturating_mul(4)
    }

    /// The averaged weights as floats of 32 bits: two a weight.
    fn average_floats(&self) -> u64 {
        match self.average {
            Some(_) => 2 * self.model.network.parameter_count() as u64,
            None => 0,
        }
    }

    /// Bytes that a checkpoint takes while it is written: the weights, the best and averaged ones,
    /// and what the optimiser keeps.
    pub fn checkpoint_memory(&self) -> u64 {
        let network = &self.model.network;
        let memory = self.optimizer.settings().memory_len(network) as u64;
        let weights = 2 * network.parameter_count() as u64 + self.average_floats();
        memory.saturating_add(weights).saturating_mul(4)
    }
}

/// Writes an initialisation as its name.
pub(crate) fn init_name<S: Serializer>(init: &Init, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(init.name())
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Model", 5)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("spec", &self.spec)?;
        fields.serialize_field("parameters", &self.parameter_count())?;
        fields.serialize_field("loss", &NamedLoss::from(self.network.loss()))?;
        fields.serialize_field("convolution", self.network.convolution().name())?;
        fields.end()
    }
}
