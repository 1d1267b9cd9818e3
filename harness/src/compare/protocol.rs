//! Published protocols, so that a result can be held against published ones.

use std::num::NonZeroUsize;

use clap::ValueEnum;
use secant::Scaling;
use secant::network::Init;

use super::plan::Plan;
use crate::batch::Batch;
use crate::dataset::Dataset;
use crate::model::Model;

/// Names for `--protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// DeepOBS's fmnist_2c2d: the network 2c2d, batches of 128, pixels from 0 to 1, weights from a
    /// truncated normal, all 60,000 images for training, test accuracy after each epoch
    #[value(name = "deepobs")]
    DeepObs,
}

/// Test accuracies of DeepOBS's table: its "convergence performance" is the last.
const DEEPOBS_TARGETS: [f64; 3] = [0.9, 0.91, 0.9198];

/// The benchmark's own Adam: the rate that its grid search chose, constant over the run.
const DEEPOBS_GIVEN: &[(&str, &str, &str)] = &[
    ("adam-plain", "learning-rate", "2.5e-4"),
    ("adam-plain", "weight-decay", "0"),
];

impl Protocol {
    /// What the protocol settles. Targets can still be chosen.
    pub fn settle(self, plan: &mut Plan) {
        let Protocol::DeepObs = self;
        if let Ok(model) = "2c2d".parse::<Model>() {
            plan.model = model;
        }
        plan.init = Init::DeepObs;
        plan.batch = NonZeroUsize::new(128).map(Batch::Size);
        plan.validation = 0.0;
        // Beside the one after each epoch.
        plan.evaluations = 1;
        plan.watch_test = true;
        plan.given = DEEPOBS_GIVEN;
        if plan.targets == Plan::TARGETS {
            plan.targets = DEEPOBS_TARGETS.to_vec();
        }
    }

    /// The data as the protocol has it: pixels from 0 to 1.
    pub fn inputs(self, dataset: &Dataset) -> Dataset {
        let Protocol::DeepObs = self;
        Dataset {
            normalisation: Scaling::UNIT,
            ..dataset.clone()
        }
    }
}
