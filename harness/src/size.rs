//! The memory that training on a device needs, before anything runs.
//!
//! Every figure is one of the library's constants, the same that firmware declares its statics
//! with. A test of the firmware compares them with the linker's map.

use serde::Serialize;

use crate::error::Error;
use crate::model::Model;
use crate::optimizers::Choice;

/// What the stack of a training step takes, as measured on an emulated Cortex-M7 and rounded up.
pub const STACK: usize = 4_096;

/// The figures, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Weights and biases of frozen layers, in flash.
    pub frozen: usize,
    /// The other weights and biases.
    pub parameters: usize,
    /// Their gradient; 0 where the optimiser's memory holds it.
    pub gradient: usize,
    /// The optimiser's memory.
    pub optimizer: usize,
    /// Activations, and gradients of activations.
    pub workspace: usize,
}

impl Size {
    /// All statics in RAM.
    pub fn total(&self) -> usize {
        self.parameters + self.gradient + self.optimizer + self.workspace
    }

    /// All statics and the stack.
    pub fn with_stack(&self) -> usize {
        self.total() + STACK
    }

    /// The figures for a network whose first `freeze` layers are frozen.
    ///
    /// # Errors
    /// [`Error::Usage`] for a setting, a number of lanes or of frozen layers that there is not, and
    /// for an optimiser that no device can run.
    pub fn new(model: &Model, choice: &Choice, lanes: usize, freeze: usize) -> Result<Size, Error> {
        if ![1, 2, 4, 8, 16].contains(&lanes) {
            return Err(Error::Usage(format!(
                "--lanes {lanes}: choose 1, 2, 4, 8 or 16"
            )));
        }
        // The optimisers know networks that live as long as the program.
        let frozen: &'static [f32] = vec![0.0; model.network.parameter_offset(freeze)].leak();
        let network = &model
            .network
            .try_freeze(freeze, frozen)
            .map_err(|error| Error::Usage(format!("--freeze {freeze}: {error}")))?;
        crate::weights::something_to_train(network, freeze)?;
        let optimizer = choice
            .resolve(network, choice.default_batch())
            .map_err(|refusal| Error::Usage(refusal.describe(|key| format!("--{key}"))))?;
        let device = optimizer.settings().device(network, lanes);
        let device = device.ok_or_else(|| {
            let name = optimizer.name();
            Error::Usage(format!(
                "--optimizer {name}: it needs a heap, so no device can run it; choose another one"
            ))
        })?;
        Ok(Size {
            frozen: 4 * frozen.len(),
            parameters: 4 * network.parameter_count(),
            gradient: 4 * device.gradient,
            optimizer: 4 * device.optimizer,
            workspace: 4 * device.workspace,
        })
    }
}
