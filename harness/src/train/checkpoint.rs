//! All that a run has become, as bytes: from it a run that is made anew, of the same settings and
//! data, goes on to the same bits as if it had never stopped.
//!
//! ```text
//! "secantcp"           8 bytes
//! version              u32, little-endian
//! SHA-256              of what follows
//! build                the program that made it; then the checkpoint: both in the encoding `postcard`
//! ```
//! Weights, memory and counts are whole in it. What follows from the seed is not: the split, the
//! order of the epoch at work (made anew from its number) and the masks of dropout (by the number of
//! the step).

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Best, Record, Trainer};
use crate::config::RunConfig;
use crate::data::dataset::Dataset;
use crate::optimizers::step::Snapshot;
use crate::score::Score;

const MAGIC: &[u8; 8] = b"secantcp";

/// Version of the encoding; another one is refused.
const VERSION: u32 = 2;

/// Bytes before what the checksum is of.
const HEAD: usize = MAGIC.len() + 4 + 32;

/// More gradients than any run makes, and more seconds.
const MOST: u64 = 1 << 56;

/// A run between two steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint<'c> {
    /// What the run's bits depend on: its settings as JSON, and the SHA-256 of its data.
    settings: Cow<'c, str>,
    data: Cow<'c, str>,
    epochs: u32,
    position: u64,
    iterations: u32,
    sample_gradients: u64,
    loss: f64,
    counted: u64,
    previous_loss: Option<f64>,
    seconds: Duration,
    stepping: Duration,
    validation: Option<Score>,
    watched: Option<Score>,
    history: Vec<Row>,
    /// Epoch, value and weights of the best epoch.
    best: Option<(u32, f64, Cow<'c, [f32]>)>,
    /// Steps and mean of the averaged weights.
    average: Option<(u64, Cow<'c, [f64]>)>,
    parameters: Cow<'c, [f32]>,
    optimizer: Snapshot<'c>,
}

/// A [`Record`] with all its bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    epoch: u32,
    iteration: u32,
    gradient_epochs: f64,
    train_seconds: f64,
    seconds: f64,
    train_loss: f64,
    validation: Option<Score>,
    test: Option<Score>,
    average: Option<Score>,
}

impl Checkpoint<'_> {
    /// Whole epochs made.
    pub fn epochs(&self) -> u32 {
        self.epochs
    }

    /// Steps made.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// As bytes, made by the program `build`.
    pub fn encode(&self, build: &str) -> Vec<u8> {
        let floats = self.optimizer.floats.iter().map(|part| part.len());
        let best = self.best.as_ref().map_or(0, |(_, _, best)| best.len());
        let average = self.average.as_ref().map_or(0, |(_, mean)| 2 * mean.len());
        let floats = floats.sum::<usize>() + self.parameters.len() + best + average;
        let mut bytes = Vec::with_capacity(HEAD + 4 * floats + 256 * self.history.len() + 65_536);
        bytes.extend([0; HEAD]);
        let bytes = postcard::to_extend(&(build, self), bytes);
        Checkpoint::seal(bytes.expect("memory and numbers can always be written"))
    }

    /// Writes the head of what stands behind it.
    fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = Sha256::digest(&bytes[HEAD..]);
        let head = [&MAGIC[..], &VERSION.to_le_bytes(), &sum].concat();
        bytes[..HEAD].copy_from_slice(&head);
        bytes
    }

    /// The same bytes with a head that is right, where they are long enough for one: for tests
    /// that change what stands behind it.
    pub fn sealed(bytes: &[u8]) -> Vec<u8> {
        match bytes.len() < HEAD {
            true => bytes.to_vec(),
            false => Checkpoint::seal(bytes.to_vec()),
        }
    }

    /// The same, as if it were of a run with these settings and this data: for tests that change
    /// the rest.
    pub fn of(self, config: &RunConfig, dataset: &Dataset) -> Self {
        Checkpoint {
            settings: Cow::Owned(settings(config)),
            data: Cow::Owned(dataset.digest.clone()),
            ..self
        }
    }

    /// The build that made these bytes, and what they are a checkpoint of.
    ///
    /// # Errors
    /// What is wrong, as a phrase to go after the file's name.
    pub fn decode(bytes: &[u8]) -> Result<(String, Checkpoint<'static>), String> {
        let damaged = || "is damaged: its checksum does not match".to_owned();
        let foreign = || "is no checkpoint of 'secant train'".to_owned();
        if bytes.is_empty() {
            return Err("is empty".to_owned());
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(foreign)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(format!(
                "has version {version} of the format, and this program reads {VERSION}"
            ));
        }
        let (sum, payload) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
        if Sha256::digest(payload)[..] != sum[..] {
            return Err(damaged());
        }
        match postcard::take_from_bytes(payload) {
            Ok((found, [])) => Ok(found),
            _ => Err(foreign()),
        }
    }
}

/// What a run's bits depend on, as JSON: all settings but the number of threads and the place of
/// the weights that it starts from.
pub fn settings(config: &RunConfig) -> String {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.remove("threads");
        if let Some(start) = map.get_mut("start").and_then(|s| s.as_object_mut()) {
            start.remove("file");
        }
    }
    value.to_string()
}

/// The first setting in which two texts of [`settings`] differ.
fn difference(a: &str, b: &str) -> String {
    let parse = |text| serde_json::from_str::<serde_json::Map<_, _>>(text).unwrap_or_default();
    let (a, b): (_, serde_json::Map<String, serde_json::Value>) = (parse(a), parse(b));
    let keys = a.keys().chain(b.keys());
    let mut keys = keys.filter(|key| a.get(*key) != b.get(*key));
    keys.next().map_or("settings", String::as_str).to_owned()
}

impl Trainer<'_> {
    /// All that the run has become, between two steps ([`super::Observer::between`]); `None` where
    /// its optimiser cannot tell what it knows.
    pub fn checkpoint(&self) -> Option<Checkpoint<'_>> {
        Some(Checkpoint {
            settings: Cow::Owned(settings(self.config)),
            data: Cow::Borrowed(&self.dataset.digest),
            epochs: self.epochs,
            position: self.position as u64,
            iterations: self.iterations,
            sample_gradients: self.sample_gradients,
            loss: self.loss,
            counted: self.counted as u64,
            previous_loss: self.previous_loss,
            seconds: self.elapsed(),
            stepping: self.stepping,
            validation: self.validation,
            watched: self.watched,
            history: self.history.iter().map(row).collect(),
            best: self
                .best
                .as_ref()
                .map(|(best, value)| (best.epoch, *value, Cow::from(&best.parameters))),
            average: self.average.as_ref().map(|average| {
                let (steps, mean) = average.state();
                (steps, Cow::from(mean))
            }),
            parameters: Cow::from(&self.parameters),
            optimizer: self.stepper.snapshot()?,
        })
    }

    /// Goes on from a checkpoint of a run with these settings and data; this one has made no step.
    ///
    /// # Errors
    /// What is wrong, as a phrase to go after the file's name: it is of another run, or no state.
    /// This run is of no use then.
    pub fn restore(&mut self, checkpoint: Checkpoint<'_>) -> Result<(), String> {
        let own = settings(self.config);
        if checkpoint.data != self.dataset.digest {
            return Err("is of a run on other data (another SHA-256)".to_owned());
        }
        if checkpoint.settings != own {
            return Err(format!(
                "is of a run with other settings: '{}' differs",
                difference(&checkpoint.settings, &own)
            ));
        }
        self.take(checkpoint)
            .ok_or_else(|| "does not fit its run: it is no state of it".to_owned())
    }

    /// `None` for what cannot be a state of this run.
    fn take(&mut self, checkpoint: Checkpoint<'_>) -> Option<()> {
        let count = self.split.train.len();
        let position = usize::try_from(checkpoint.position).ok()?;
        let counted = usize::try_from(checkpoint.counted).ok()?;
        let n = self.parameters.len();
        let lengths = checkpoint.parameters.len() == n
            && checkpoint.best.as_ref().is_none_or(|b| b.2.len() == n);
        let whole = u64::from(checkpoint.epochs) * u64::from(self.steps_per_epoch());
        let size = self.config.batch.size(count);
        let counts = checkpoint.iterations <= self.planned_iterations()
            && checkpoint.epochs <= self.config.epochs
            && position < count
            && position.is_multiple_of(size)
            && counted <= count
            && u64::from(checkpoint.iterations) == whole + (position / size) as u64
            && checkpoint.sample_gradients < MOST
            && checkpoint.seconds.max(checkpoint.stepping).as_secs() < MOST;
        let mut history = Vec::with_capacity(checkpoint.history.len());
        for row in &checkpoint.history {
            history.push(self.record_of(row)?);
        }
        let scores = [checkpoint.validation, checkpoint.watched];
        let judged = scores.iter().flatten().all(|s| s.measure == self.measure);
        if !(lengths && counts && judged) {
            return None;
        }
        match (&mut self.average, &checkpoint.average) {
            (Some(average), Some((steps, mean))) => average.restore((*steps, mean))?,
            (None, None) => {}
            _ => return None,
        }
        self.stepper.restore(&checkpoint.optimizer).ok()?;
        self.epochs = checkpoint.epochs;
        self.position = position;
        self.iterations = checkpoint.iterations;
        self.sample_gradients = checkpoint.sample_gradients;
        self.loss = checkpoint.loss;
        self.counted = counted;
        self.previous_loss = checkpoint.previous_loss;
        self.earlier = checkpoint.seconds;
        self.stepping = checkpoint.stepping;
        self.validation = checkpoint.validation;
        self.watched = checkpoint.watched;
        self.history = history;
        self.best = checkpoint.best.map(|(epoch, value, parameters)| {
            let parameters = parameters.into_owned();
            (Best { epoch, parameters }, value)
        });
        self.parameters = checkpoint.parameters.into_owned();
        if position > 0 {
            self.shuffle();
        }
        Some(())
    }

    /// The record that a row stands for, if it can be one of this run.
    fn record_of(&self, row: &Row) -> Option<Record> {
        let scores = [row.validation, row.test, row.average];
        let fits = scores.iter().flatten().all(|s| s.measure == self.measure);
        fits.then_some(Record {
            epoch: row.epoch,
            iteration: row.iteration,
            gradient_epochs: row.gradient_epochs,
            train_seconds: row.train_seconds,
            seconds: row.seconds,
            train_loss: row.train_loss,
            measure: self.measure,
            validation: row.validation,
            test: row.test,
            average: row.average,
        })
    }
}

fn row(record: &Record) -> Row {
    Row {
        epoch: record.epoch,
        iteration: record.iteration,
        gradient_epochs: record.gradient_epochs,
        train_seconds: record.train_seconds,
        seconds: record.seconds,
        train_loss: record.train_loss,
        validation: record.validation,
        test: record.test,
        average: record.average,
    }
}
