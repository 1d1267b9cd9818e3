//! What is told of a run on its way: a line an epoch, where it stands, why it ended.

use std::ops::ControlFlow;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Trainer;
use crate::score::{Measure, Score};

/// One line of a run's history, made after each epoch and where a run stops within one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Steps so far.
    pub iteration: u32,
    /// Gradients of single samples so far, over the number of training samples; line searches count
    /// in full, values and products as `BatchLoss::sample_gradients` says.
    pub gradient_epochs: f64,
    /// Seconds in steps so far.
    pub train_seconds: f64,
    /// Seconds since the start, evaluation and start-up included.
    pub seconds: f64,
    /// Mean loss of the epoch's batches, each before its step; without those at which the guard
    /// found no finite loss, and a NaN where none is left.
    pub train_loss: f64,
    /// What the network is judged by.
    pub measure: Measure,
    /// On the validation samples, if there are any.
    pub validation: Option<Score>,
    /// On the test samples, where the run watches them.
    pub test: Option<Score>,
    /// The averaged weights on the validation samples, where there are both.
    pub average: Option<Score>,
}

/// As an object; the keys of the scores are `validation_loss` and, for example,
/// `validation_accuracy`.
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = self.measure.key();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("epoch", &self.epoch)?;
        map.serialize_entry("iteration", &self.iteration)?;
        map.serialize_entry("gradient_epochs", &self.gradient_epochs)?;
        map.serialize_entry("train_seconds", &self.train_seconds)?;
        map.serialize_entry("seconds", &self.seconds)?;
        map.serialize_entry("train_loss", &self.train_loss)?;
        map.serialize_entry("validation_loss", &self.validation.map(|score| score.loss))?;
        let value = self.validation.map(|score| score.value);
        map.serialize_entry(&format!("validation_{key}"), &value)?;
        if let Some(score) = self.average {
            map.serialize_entry("average_validation_loss", &score.loss)?;
            map.serialize_entry(&format!("average_validation_{key}"), &score.value)?;
        }
        if let Some(score) = self.test {
            map.serialize_entry(&format!("test_{key}"), &score.value)?;
        }
        map.end()
    }
}

/// Why a run stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All epochs were made.
    Epochs,
    /// All iterations were made.
    MaxIterations,
    /// The training loss changed by less than the tolerance.
    Tolerance,
    /// The best epoch on the validation samples is too long ago.
    Patience,
    /// The optimiser is at a minimum.
    Converged,
    /// The optimiser found no way down.
    LineSearchFailed,
    /// The observer asked to stop.
    Interrupted,
    /// The loss or a weight is not finite.
    Diverged,
}

impl StopReason {
    /// In words, to go after "stopped:".
    pub fn describe(self) -> &'static str {
        match self {
            StopReason::Epochs => "all epochs done",
            StopReason::MaxIterations => "all iterations done",
            StopReason::Tolerance => "the training loss no longer changes",
            StopReason::Patience => "the validation samples show no gain any more",
            StopReason::Converged => "converged",
            StopReason::LineSearchFailed => "no step lowers the loss any more",
            StopReason::Interrupted => "interrupted",
            StopReason::Diverged => "diverged",
        }
    }
}

/// Where a run stands, after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunStatus {
    /// The epoch at work, from 1.
    pub epoch: u32,
    /// Steps so far.
    pub iteration: u32,
    /// Steps in all, if nothing stops the run before.
    pub iterations: u32,
    /// Mean loss of the epoch's batches so far.
    pub loss: f64,
}

/// What is told about a run while it goes on.
pub trait Observer {
    /// After each step. [`ControlFlow::Break`] stops the run there; it can be continued.
    fn iteration(&mut self, status: &RunStatus) -> ControlFlow<()> {
        let _ = status;
        ControlFlow::Continue(())
    }

    /// Between two steps, after all that belongs to the first: the place to take
    /// [`Trainer::checkpoint`]. `stopping` says that the run stops here because
    /// [`iteration`](Observer::iteration) asked for it; the line that it then adds to its history
    /// is not there yet, since a run that is not stopped has none.
    fn between(&mut self, run: &Trainer<'_>, stopping: bool) {
        let _ = (run, stopping);
    }

    /// After each epoch, and where a run stops within one.
    fn record(&mut self, record: &Record) {
        let _ = record;
    }
}

/// Watches nothing.
impl Observer for () {}
