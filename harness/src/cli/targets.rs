//! What is predicted, and what training makes small: options that `train` and `compare` share.

use clap::Args;
use secant::{Affine, Loss};

use crate::data::dataset::{Dataset, Predicted, Task};
use crate::data::predict::Predict;
use crate::error::Error;
use crate::loss::{ClassWeights, NamedLoss};

const HEADING: &str = "What to predict";

/// Options about targets.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// 'numbers' takes labels as numbers, also whole ones, 'classes' as classes; 'input' makes an
    /// autoencoder, whose targets are the samples; NAME,... are columns of a table [default: floats
    /// are numbers, all else classes]
    #[arg(long, value_name = "WHAT|NAME,...", help_heading = HEADING)]
    pub predict: Option<Predict>,

    /// What training makes small: cross-entropy or smoothed:S for classes, mse or huber:DELTA for
    /// numbers, bce for several labels at once [default: cross-entropy for classes, mse for
    /// numbers]
    #[arg(long, value_name = "LOSS", help_heading = HEADING)]
    pub loss: Option<NamedLoss>,

    /// 'balanced' makes each class count alike, however many samples it has; or a factor for each
    /// class
    #[arg(long, value_name = "balanced|W,...", help_heading = HEADING)]
    pub class_weights: Option<ClassWeights>,

    /// Learn numbers in the data's own units, not standardised to mean 0 and variance 1
    #[arg(long, help_heading = HEADING)]
    pub raw_targets: bool,
}

impl TargetArgs {
    /// What is predicted.
    pub fn predict(&self) -> Predict {
        self.predict.clone().unwrap_or_default()
    }

    /// The loss for such data.
    ///
    /// # Errors
    /// [`Error::Usage`] when an option does not fit the data.
    pub fn loss(&self, task: Task) -> Result<Loss, Error> {
        let loss = NamedLoss::fit(self.loss, task).map_err(Error::Usage)?;
        if let Some(weights) = &self.class_weights {
            weights.fit(task).map_err(Error::Usage)?;
        }
        if self.raw_targets && task.predicted == Predicted::Classes {
            return Err(Error::Usage(
                "--raw-targets: the data has classes, not numbers to predict".to_owned(),
            ));
        }
        Ok(loss.loss())
    }

    /// The data as the network learns it: numbers to predict standardised, unless they are labels
    /// or wanted raw, or in the units of `trained`, the weights that a run starts from.
    ///
    /// # Errors
    /// [`Error::Usage`] for labels that are none.
    pub fn prepare(
        &self,
        dataset: Dataset,
        loss: Loss,
        trained: Option<&[Affine]>,
    ) -> Result<Dataset, Error> {
        if dataset.task().predicted == Predicted::Classes {
            return Ok(dataset);
        }
        if !NamedLoss::from(loss).standardises() {
            return match dataset.not_a_label() {
                None => Ok(dataset),
                Some(value) => Err(Error::Usage(format!(
                    "--loss bce: it needs labels from 0 to 1 (there or not), and the data has \
                     {value}; choose mse or huber:DELTA"
                ))),
            };
        }
        let maps = match trained {
            Some([_, ..]) if self.raw_targets => {
                return Err(Error::Usage(
                    "--raw-targets: the weights of --weights were trained on standardised numbers"
                        .to_owned(),
                ));
            }
            Some(maps) => maps.to_vec(),
            None if self.raw_targets => Vec::new(),
            None => dataset.standard_targets(),
        };
        Ok(match maps.as_slice() {
            [] => dataset,
            _ => dataset.with_targets_scaled(maps),
        })
    }
}
