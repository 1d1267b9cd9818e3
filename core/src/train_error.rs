//! Whatever can be wrong with the arguments of a training step.

use core::fmt;

use crate::batch::PassError;
use crate::error::ConfigError;

/// An error of a pass through a network or of an optimiser: what a training loop returns with `?`.
///
/// ```
/// use secant::optim::Adam;
/// use secant::network::presets::MICRO;
/// use secant::{Batch, TrainError};
///
/// /// One step on one batch.
/// fn train(
///     adam: &mut Adam<'_>,
///     batch: Batch<'_>,
///     [parameters, gradient, workspace]: [&mut [f32]; 3],
/// ) -> Result<(), TrainError> {
///     gradient.fill(0.0);
///     MICRO.accumulate_gradient::<1>(parameters, batch, gradient, workspace)?;
///     adam.step(1.0, parameters, gradient)?;
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TrainError {
    /// Of a pass.
    Pass(PassError),
    /// Of an optimiser.
    Config(ConfigError),
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrainError::Pass(error) => error.fmt(f),
            TrainError::Config(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for TrainError {}

impl From<PassError> for TrainError {
    fn from(error: PassError) -> TrainError {
        TrainError::Pass(error)
    }
}

impl From<ConfigError> for TrainError {
    fn from(error: ConfigError) -> TrainError {
        TrainError::Config(error)
    }
}
