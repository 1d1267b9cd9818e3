//! What a training run is: every choice that its result depends on, resolved and checked.

use std::num::NonZeroUsize;

use secant::network::Init;
use secant::optim::{Decline, Schedule};
use serde::{Serialize, Serializer};

use crate::model::Model;
use crate::optimizers::Optimizer;
use crate::weights::Start;

/// Everything that a training run's result depends on, beside the data. (`threads` only changes its speed.)
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
    /// Training images a step.
    pub batch: Batch,
    /// The most passes over the training images, at least 1.
    pub epochs: u32,
    /// The most steps, if that is less.
    pub max_iterations: Option<u32>,
    /// Stop when the mean training loss of two epochs in a row differs by less; 0 never stops.
    pub tolerance: f64,
    /// Share of the training images, in [0, 1), that is set aside for validation.
    pub validation: f64,
    /// Whether the test images are evaluated in the course of the run: for benchmarks that publish such curves. Nothing may be
    /// chosen by them.
    pub watch_test: bool,
    /// Seed of all randomness: split, initial weights, order of the images, dropout.
    pub seed: u64,
    /// Threads that share a batch; the result does not depend on it.
    pub threads: NonZeroUsize,
}

/// Training images a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// This many; an epoch's last step takes what is left.
    Size(NonZeroUsize),
    /// All of them.
    Full,
}

impl Batch {
    /// Images a step when there are `count` in all.
    pub fn size(self, count: usize) -> usize {
        match self {
            Batch::Size(size) => size.get().min(count).max(1),
            Batch::Full => count.max(1),
        }
    }
}

impl std::str::FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Batch::Full),
            _ => match text.parse() {
                Ok(size) => Ok(Batch::Size(size)),
                Err(_) => Err("expected a number of images, at least 1, or 'full'".to_owned()),
            },
        }
    }
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Batch::Size(size) => size.serialize(serializer),
            Batch::Full => serializer.serialize_str("full"),
        }
    }
}

/// A [`Schedule`] as records show it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[derive(clap::ValueEnum)]
pub enum ScheduleName {
    /// The factor stays 1.
    Constant,
    /// It falls evenly to 0.
    Linear,
    /// It falls to 0 like half a cosine.
    Cosine,
}

impl ScheduleName {
    /// The schedule with this warm-up.
    pub fn with_warm_up(self, warm_up: f32) -> Schedule {
        let decline = match self {
            ScheduleName::Constant => Decline::Constant,
            ScheduleName::Linear => Decline::Linear,
            ScheduleName::Cosine => Decline::Cosine,
        };
        Schedule { decline, warm_up }
    }
}

/// Writes an initialisation as its name.
pub(crate) fn init_name<S: Serializer>(init: &Init, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(init.name())
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Model", 3)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("spec", &self.spec)?;
        fields.serialize_field("parameters", &self.parameter_count())?;
        fields.end()
    }
}
