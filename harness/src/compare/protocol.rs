//! Published protocols, so that a result can be held against published ones.

use std::num::NonZeroUsize;

use clap::ValueEnum;
use secant::Affine;
use secant::network::Init;

use super::plan::Plan;
use crate::batch::Batch;
use crate::data::dataset::{Dataset, Predicted, Task};
use crate::error::Error;
use crate::model::Description;

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
    ///
    /// # Errors
    /// [`Error::Usage`] when its network does not fit the data.
    pub fn settle(self, plan: &mut Plan, task: Task) -> Result<(), Error> {
        let Protocol::DeepObs = self;
        if task.predicted == Predicted::Numbers {
            return Err(Error::Usage(
                "--protocol deepobs: it is about classes, and the data has numbers to predict"
                    .to_owned(),
            ));
        }
        plan.model = "2c2d"
            .parse::<Description>()
            .and_then(|model| model.fit(task))
            .map_err(|why| Error::Usage(format!("--protocol deepobs: {why}")))?;
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
        Ok(())
    }

    /// The data as the protocol has it: pixels from 0 to 1.
    pub fn inputs(self, dataset: &Dataset) -> Dataset {
        let Protocol::DeepObs = self;
        Dataset {
            scalings: vec![Affine::UNIT],
            ..dataset.clone()
        }
    }
}
