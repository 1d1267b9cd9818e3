//! Published protocols, so that a result can be held against published ones.

use std::num::NonZeroUsize;

use clap::ValueEnum;
use secant::Normalisation;

use super::args::CompareArgs;
use crate::args::InitName;
use crate::config::Batch;
use crate::dataset::Dataset;
use crate::model::Model;

/// Names for `--protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// DeepOBS's fmnist_2c2d: the network 2c2d, batches of 128, pixels from 0 to 1, weights from a truncated normal, all 60,000
    /// images for training, test accuracy after each epoch
    #[value(name = "deepobs")]
    DeepObs,
}

/// Test accuracies of DeepOBS's table: its "convergence performance" is the last.
const DEEPOBS_TARGETS: [f64; 3] = [0.9, 0.91, 0.9198];

impl Protocol {
    /// The learning rate of Adam that DeepOBS's grid search chose, constant over the run.
    pub const DEEPOBS_ADAM_RATE: f32 = 2.5e-4;

    /// What the protocol settles. Targets can still be chosen.
    pub fn settle(self, args: &mut CompareArgs) {
        let Protocol::DeepObs = self;
        if let Ok(model) = "2c2d".parse::<Model>() {
            args.model = model;
        }
        args.init = InitName::Deepobs;
        args.batch = NonZeroUsize::new(128).map(Batch::Size);
        args.validation = 0.0;
        // Beside the one after each epoch.
        args.evaluations = 1;
        if args.targets == CompareArgs::TARGETS {
            args.targets = DEEPOBS_TARGETS.to_vec();
        }
    }

    /// The data as the protocol has it: pixels from 0 to 1.
    pub fn inputs(self, dataset: &Dataset) -> Dataset {
        let Protocol::DeepObs = self;
        Dataset {
            normalisation: Normalisation::UNIT,
            ..dataset.clone()
        }
    }
}
