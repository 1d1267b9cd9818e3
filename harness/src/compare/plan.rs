//! What is compared, and how.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use secant::network::Init;

use crate::batch::Batch;
use crate::loss::ClassWeights;
use crate::model::Model;
use crate::score::Measure;

/// A comparison.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The optimisers as the user wrote them, `NAME[:KEY=VALUE]...`; the first is what the others
    /// are held against.
    pub optimizers: Vec<String>,
    /// One run of each for every seed.
    pub seeds: Vec<u64>,
    /// Settings to try for each optimiser and length of run first.
    pub tune: u32,
    /// The network.
    pub model: Model,
    /// How the initial weights are drawn.
    pub init: Init,
    /// Lengths of the runs, in passes over the training samples.
    pub epochs: Vec<f64>,
    /// What runs are judged by.
    pub measure: Measure,
    /// How much the samples of each class count, if not alike.
    pub class_weights: Option<ClassWeights>,
    /// Whether numbers to predict are learned in the data's own units.
    pub raw_targets: bool,
    /// Accuracies, or errors, to reach.
    pub targets: Vec<f64>,
    /// Evaluations in a run.
    pub evaluations: u32,
    /// Share of the training samples set aside for validation.
    pub validation: f64,
    /// Samples a step, for all optimisers.
    pub batch: Option<Batch>,
    /// Whether the test samples are evaluated in the course of a run.
    pub watch_test: bool,
    /// Optimiser, setting and value that a protocol gives; the user's own come after them.
    pub given: &'static [(&'static str, &'static str, &'static str)],
    /// Threads of a run.
    pub threads: NonZeroUsize,
    /// An earlier result to hold this one against.
    pub reference: Option<PathBuf>,
    /// Folder for the result.
    pub out: Option<PathBuf>,
    /// Whether standard output is for one JSON object.
    pub json: bool,
}

impl Plan {
    /// Accuracies to reach where none are given. For errors there are none: their size is a matter
    /// of the data.
    pub const TARGETS: [f64; 3] = [0.86, 0.87, 0.88];
}
