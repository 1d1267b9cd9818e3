//! The optimisers by name: one variant of [`Optimizer`] and one file each.

mod adam;
mod lbfgs;

pub use adam::AdamSettings;
pub use lbfgs::{CurvatureName, LARGEST_HISTORY, LbfgsSettings, LineSearchName, ScalingName};

use secant::objective::Objective;
use secant::optim::{Misuse, Termination};
use secant::{DropoutKey, Tally};
use serde::Serialize;

use crate::engine::Engine;

/// An optimiser and its settings, as the records show them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Optimizer {
    /// Adaptive moments.
    Adam(AdamSettings),
    /// Limited-memory BFGS with Armijo's line search.
    Lbfgs(LbfgsSettings),
}

impl Optimizer {
    /// The name on the command line and in records.
    pub fn name(&self) -> &'static str {
        match self {
            Optimizer::Adam(_) => "adam",
            Optimizer::Lbfgs(_) => "lbfgs",
        }
    }

    /// Floats of memory for `n` parameters.
    pub fn memory_len(&self, n: usize) -> usize {
        match self {
            Optimizer::Adam(settings) => settings.memory_len(n),
            Optimizer::Lbfgs(settings) => settings.memory_len(n),
        }
    }

    /// The optimiser before its first step. `memory` has [`Optimizer::memory_len`] zeros; `same_objective` says that every
    /// step will minimise the very same function, as with full batches and no dropout.
    ///
    /// # Errors
    /// [`Misuse`] when a setting is out of range.
    pub fn start<'m>(
        &self,
        n: usize,
        same_objective: bool,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, Misuse> {
        match self {
            Optimizer::Adam(settings) => Ok(settings.start(n, memory)),
            Optimizer::Lbfgs(settings) => settings.start(n, same_objective, memory),
        }
    }
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
            first_loss: None,
        }
    }

    /// Overwrites `gradient` with the gradient of the mean loss.
    pub fn gradient(&mut self, parameters: &[f32], gradient: &mut [f32]) -> Tally {
        self.evaluations += 1;
        let tally = self
            .engine
            .gradient(parameters, self.indices, self.dropout, gradient);
        self.first_loss.get_or_insert(tally.mean_loss());
        tally
    }

    /// The mean loss of the first evaluation.
    pub fn first_loss(&self) -> Option<f64> {
        self.first_loss
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
