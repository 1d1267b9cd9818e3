//! One training run: split, steps, epochs, and when to stop.
//!
//! The protocol is that of the experiment behind this project: a random split of the training
//! samples into training and validation, decided by the seed; batches in a new random order each
//! epoch; an end when the mean training loss of two epochs in a row differs by less than a
//! tolerance, or at the maximum.
//!
//! ```text
//! choose the validation samples by the seed, from each class in proportion; the others train
//! draw the initial weights, or take those that were given
//! for each epoch:
//!     shuffle the training samples
//!     for each batch:  one step of the optimiser                     (counted in train_seconds)
//!     evaluate on the validation samples
//!     stop if |L - L of the epoch before| < tolerance
//!                                     (L: mean loss of the batches, each before its step)
//! evaluate on the training samples; the guard takes a bad end back
//! evaluate on the test samples
//! ```
//!
//! A run is a value without global state: nothing is printed and no file is touched here. Runs with
//! the same seed share split, initial weights and order of samples, whatever their optimiser, so
//! that they can be compared in pairs.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use secant::ConfigError;
use secant::network::{Init, Layer};
use secant::optim::Termination;
use secant::{DropoutKey, Random};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::batch::Batch;
use crate::config::RunConfig;
use crate::data::dataset::{Dataset, Part};
use crate::data::elements::Targets;
use crate::data::split::Split;
use crate::digest::sha256;
use crate::engine::Engine;
use crate::model::Net;
use crate::optimizers::step::{BatchLoss, Stepper};
use crate::score::{self, Guess, Measure, Score};

/// Streams of random numbers under one seed. The order of epoch `e` is stream `ORDER + e`.
mod stream {
    pub const SPLIT: u64 = 0;
    pub const WEIGHTS: u64 = 1;
    pub const ORDER: u64 = 1 << 32;
}

/// One line of a run's history, made after each epoch and where a run stops within one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Steps so far.
    pub iteration: u32,
    /// Gradients of single samples so far, over the number of training samples; line searches count
    /// in full.
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

/// What the seconds in steps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Those of a clock on the wall.
    #[default]
    Wall,
    /// Those that the processor spent on the run's own thread, so for runs on one thread.
    Cpu,
}

/// A moment on a [`Clock`].
enum Moment {
    Wall(Instant),
    Cpu(ThreadTime),
}

impl Clock {
    fn now(self) -> Moment {
        match self {
            Clock::Wall => Moment::Wall(Instant::now()),
            Clock::Cpu => Moment::Cpu(ThreadTime::now()),
        }
    }
}

impl Moment {
    fn elapsed(&self) -> Duration {
        match self {
            Moment::Wall(moment) => moment.elapsed(),
            Moment::Cpu(moment) => moment.elapsed(),
        }
    }
}

/// What is told about a run while it goes on.
pub trait Observer {
    /// After each step. [`ControlFlow::Break`] stops the run there; it can be continued.
    fn iteration(&mut self, status: &RunStatus) -> ControlFlow<()> {
        let _ = status;
        ControlFlow::Continue(())
    }

    /// After each epoch, and where a run stops within one.
    fn record(&mut self, record: &Record) {
        let _ = record;
    }
}

/// Watches nothing.
impl Observer for () {}

/// How a run went.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Why it stopped.
    pub stop: StopReason,
    /// Whole epochs made.
    pub epochs: u32,
    /// Steps made.
    pub iterations: u32,
    /// As in [`Record`].
    pub gradient_epochs: f64,
    /// As in [`Record`].
    pub train_seconds: f64,
    /// What these seconds are.
    pub clock: Clock,
    /// Seconds in all, the last evaluations included.
    pub seconds: f64,
    /// On the training samples, with the last weights and without dropout.
    pub train: Score,
    /// The same on the validation samples, if there are any.
    pub validation: Option<Score>,
    /// The same on the test samples.
    pub test: Score,
    /// RMSE of each output on the test samples, with [`Measure::Rmse`].
    pub test_outputs: Vec<f64>,
    /// Test samples by class and by the class that the network gave them: a row a class; empty where
    /// numbers are predicted.
    pub confusion: Vec<Vec<u64>>,
    /// What the best constant answer gets on the training samples,
    pub train_guess: Guess,
    /// and on the validation samples, or else on the test samples.
    pub guess: Guess,
    /// Whether classes count by weights of their own, so that the accuracy is not what is trained.
    pub weighted: bool,
    /// A line for each epoch.
    pub history: Vec<Record>,
    /// The last weights, those of frozen layers too. Not to be used when [`Outcome::diverged`].
    pub parameters: Vec<f32>,
    /// The weights after the epoch that was best on the validation samples (without such, by the
    /// mean loss of its batches), if they are not the last ones.
    pub best: Option<Best>,
    /// Times that the guard took the run back to an earlier point.
    pub rollbacks: u32,
    /// SHA-256 of the initial weights, as little-endian bytes.
    pub initial_sha256: String,
    /// SHA-256 of the last weights.
    pub final_sha256: String,
}

/// The weights of an earlier epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The weights, those of frozen layers too.
    pub parameters: Vec<f32>,
}

impl Outcome {
    /// The weights to keep, and the epoch that they are from if it is not the last: the last ones,
    /// but the best ones of a run that collapsed. `None` where there are none of use.
    pub fn weights(&self) -> Option<(&[f32], Option<u32>)> {
        match &self.best {
            Some(best) if self.collapsed() => Some((&best.parameters, Some(best.epoch))),
            _ if self.diverged() => None,
            _ => Some((&self.parameters, None)),
        }
    }

    /// Whether the loss or a weight is not finite, so that the weights are of no use.
    pub fn diverged(&self) -> bool {
        self.stop == StopReason::Diverged || !self.train.loss.is_finite()
    }

    /// Why training counts as gone wrong, if it does, in words that go on from "the run
    /// collapsed:".
    ///
    /// * The loss or a weight is not finite.
    /// * The training loss is above that of the best constant answer ([`Guess`]): so is that of a
    ///   network that is sure and wrong.
    /// * On the validation samples (or else the test samples) the network has gone less than a
    ///   tenth of the way from the best constant answer to perfection: with two classes of one
    ///   size, an accuracy under 55 %, with a hundred under 10.9 %. With class weights this is not
    ///   asked, since they may well cost accuracy.
    /// * For numbers, its R squared on the training samples is under 0.01. (They may be noise for
    ///   the most part, so a good fit may be not far above 0, and one of few samples below 0 on
    ///   others.)
    /// * On the validation samples it ended more than ten points of accuracy under its own best, or
    ///   with more than 1.5 times the RMSE of it, and more than half of that of the mean.
    pub fn collapse(&self) -> Option<String> {
        if self.diverged() {
            return Some("its loss or a weight is not finite".to_owned());
        }
        let constant = self.train_guess.loss;
        if self.train.loss > constant && constant > 0.0 {
            return Some(format!(
                "its training loss, {}, is above the {} of a network that gives every sample the \
                 same answer",
                score::number(self.train.loss),
                score::number(constant)
            ));
        }
        let (last, part) = match self.validation {
            Some(score) => (score, "validation"),
            None => (self.test, "test"),
        };
        if last.value.is_nan() {
            return Some(format!("its {part} {} is not finite", last.measure.name()));
        }
        if last.measure == Measure::Rmse {
            if self.train_guess.skill(&self.train) < HUNDREDTH {
                return Some(format!(
                    "its training R squared, {:.3}, is hardly above the 0 of the mean",
                    self.train.r_squared.unwrap_or(f64::NAN)
                ));
            }
        } else if self.guess.skill(&last) < TENTH && !self.weighted {
            return Some(format!(
                "its {part} {}, {}, is less than a tenth of the way from {}, where the best \
                 constant answer is, to perfect",
                last.measure.name(),
                last.measure.show(last.value),
                last.measure.show(self.guess.value)
            ));
        }
        let seen = self.history.iter();
        let seen = seen.filter_map(|record| record.validation.or(record.test));
        let measure = last.measure;
        let best = seen.fold(last.value, |best, score| {
            if measure.reaches(score.value, best) {
                score.value
            } else {
                best
            }
        });
        let (fallen, words) = match measure {
            Measure::Rmse => {
                let mean = self.guess.value;
                let large = mean > 0.0 && last.value > 0.5 * mean;
                (large && last.value > HALF_MORE * best, "1.5 times")
            }
            _ => (last.value < best - TENTH, "10 points under"),
        };
        fallen.then(|| {
            format!(
                "its {part} {}, {}, is more than {words} its own best, {}",
                measure.name(),
                measure.show(last.value),
                measure.show(best)
            )
        })
    }

    /// Whether training went wrong: see [`Outcome::collapse`].
    pub fn collapsed(&self) -> bool {
        self.collapse().is_some()
    }
}

/// What a network must gain over a constant answer in classes, and may lose of its own best.
const TENTH: f64 = 0.1;

/// What a network must gain over the mean in numbers.
const HUNDREDTH: f64 = 0.01;

/// How many times its least error a network may end with.
const HALF_MORE: f64 = 1.5;

/// Trains from start to end. Equal to a [`Trainer`] that runs once.
///
/// # Errors
/// [`ConfigError`] when a setting of the optimiser is out of range. A run that diverges is no error
/// but an outcome.
pub fn train(
    config: &RunConfig,
    dataset: &Dataset,
    observer: &mut dyn Observer,
) -> Result<Outcome, ConfigError> {
    let mut memory = Trainer::memory(config);
    let mut trainer = Trainer::new(config, dataset, &mut memory)?;
    trainer.run(observer)?;
    Ok(trainer.finish())
}

/// What the training part is divided into.
#[derive(Debug, Clone, Copy)]
enum Portion {
    Train,
    Validation,
}

/// A run that can be stopped and continued.
pub struct Trainer<'a> {
    config: &'a RunConfig,
    dataset: &'a Dataset,
    engine: Engine,
    stepper: Box<dyn Stepper + 'a>,
    split: Split,
    /// Those of the layers that are trained.
    parameters: Vec<f32>,
    initial_sha256: String,
    has_dropout: bool,
    class_weights: Vec<f32>,
    measure: Measure,

    /// The training samples in the order of the epoch at work.
    order: Vec<u32>,
    /// Whole epochs made.
    epochs: u32,
    /// Samples of the epoch at work that have been used.
    position: usize,
    iterations: u32,
    sample_gradients: u64,
    /// Sum over those samples of the epoch at work whose loss is known,
    loss: f64,
    /// and how many they are.
    counted: usize,
    /// Mean loss of the epoch before.
    previous_loss: Option<f64>,
    /// The weights of the best epoch so far, and by which value it is that.
    best: Option<(Best, f64)>,
    started: Instant,
    clock: Clock,
    stepping: Duration,
    validation: Option<Score>,
    watched: Option<Score>,
    history: Vec<Record>,
    stop: Option<StopReason>,
}

impl<'a> Trainer<'a> {
    /// Memory for the optimiser of this run.
    pub fn memory(config: &RunConfig) -> Vec<f32> {
        vec![
            0.0;
            config
                .optimizer
                .settings()
                .memory_len(&config.model.network)
        ]
    }

    /// A run before its first step; `memory` comes from [`Trainer::memory`].
    ///
    /// # Errors
    /// [`ConfigError`] when a setting of the optimiser is out of range.
    pub fn new(
        config: &'a RunConfig,
        dataset: &'a Dataset,
        memory: &'a mut [f32],
    ) -> Result<Self, ConfigError> {
        let started = Instant::now();
        let network = config.model.network;
        let parameters = match &config.start {
            Some(start) => start.parameters.clone(),
            None => initial_weights(&network, config.init, config.seed),
        };
        let has_dropout = network
            .layers()
            .iter()
            .any(|layer| matches!(layer, Layer::Dropout(_)));
        let same_objective = config.batch == Batch::Full && !has_dropout;
        let targets = &dataset.train.targets;
        let split = split(targets, config.validation, config.seed);
        let class_weights = match &config.class_weights {
            Some(weights) => weights.of(targets, &split.train, network.output_len()),
            None => Vec::new(),
        };
        Ok(Self {
            config,
            dataset,
            engine: Engine::new(
                network,
                Arc::clone(&dataset.train),
                dataset.scalings.clone(),
                class_weights.clone(),
                config.threads.get(),
            ),
            class_weights,
            measure: Measure::of(targets, network.loss()),
            stepper: (config.optimizer.settings()).start(
                &config.model.network,
                same_objective,
                memory,
            )?,
            split,
            initial_sha256: sha256(&all_weights(&network, &parameters)),
            parameters,
            has_dropout,
            order: Vec::new(),
            epochs: 0,
            position: 0,
            iterations: 0,
            sample_gradients: 0,
            loss: 0.0,
            counted: 0,
            previous_loss: None,
            best: None,
            started,
            clock: Clock::Wall,
            stepping: Duration::ZERO,
            validation: None,
            watched: None,
            history: Vec::new(),
            stop: None,
        })
    }

    /// Counts `seconds` from `started`, where loading the data began before.
    pub fn since(mut self, started: Instant) -> Self {
        self.started = started;
        self
    }

    /// Counts the seconds in steps on `clock`.
    pub fn on_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// How the training samples were divided.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The weights of the trained layers, where the run stands.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Steps so far.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The optimiser at work.
    pub fn stepper(&mut self) -> &mut (dyn Stepper + 'a) {
        &mut *self.stepper
    }

    /// Steps of a whole epoch.
    fn steps_per_epoch(&self) -> u32 {
        let count = self.split.train.len();
        count.div_ceil(self.config.batch.size(count)) as u32
    }

    /// Steps of the whole run, if nothing stops it before.
    pub fn planned_iterations(&self) -> u32 {
        let all = self.steps_per_epoch().saturating_mul(self.config.epochs);
        self.config.max_iterations.map_or(all, |most| most.min(all))
    }

    /// Runs, or goes on after an interruption, until something stops it.
    ///
    /// # Errors
    /// [`ConfigError`] cannot come from a run that [`Trainer::new`] accepted.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<StopReason, ConfigError> {
        let planned = self.planned_iterations();
        self.stop = self.stop.filter(|stop| *stop != StopReason::Interrupted);
        loop {
            if let Some(stop) = self.stop {
                return Ok(stop);
            }
            if self.iterations >= planned {
                let all = self.epochs >= self.config.epochs;
                self.stop = Some(if all {
                    StopReason::Epochs
                } else {
                    StopReason::MaxIterations
                });
                continue;
            }
            let ended = self.step(planned)?;
            let count = self.split.train.len();
            let mean = self.loss / self.counted as f64;
            let status = RunStatus {
                epoch: self.epochs + 1,
                iteration: self.iterations,
                iterations: planned,
                loss: mean,
            };
            let interrupted = observer.iteration(&status).is_break();
            let whole = self.position == count;
            self.stop = match ended {
                Some(stop) => Some(stop),
                None if interrupted => Some(StopReason::Interrupted),
                None => None,
            };
            if whole || self.stop.is_some() || self.iterations >= planned {
                if !self.parameters.iter().all(|w| w.is_finite())
                    && !self.stepper.recover(f64::NAN, &mut self.parameters)?
                {
                    self.stop = Some(StopReason::Diverged);
                }
                self.evaluate();
                let record = self.record(mean);
                self.keep_best(&record);
                self.history.push(record);
                observer.record(&record);
            }
            if whole {
                self.epochs += 1;
                self.position = 0;
                let change = self.previous_loss.map(|before| (mean - before).abs());
                if self.stop.is_none()
                    && change.is_some_and(|change| change < self.config.tolerance)
                {
                    self.stop = Some(StopReason::Tolerance);
                }
                self.previous_loss = mean.is_finite().then_some(mean);
            }
        }
    }

    /// Keeps the weights if they are the best so far.
    fn keep_best(&mut self, record: &Record) {
        let (value, better): (f64, fn(Measure, f64, f64) -> bool) = match record.validation {
            Some(score) => (score.value, |measure, a, b| !measure.reaches(b, a)),
            None => (record.train_loss, |_, a, b| a < b),
        };
        let judged = self.split.validation.is_empty() || record.validation.is_some();
        let best = self.best.as_ref();
        if judged
            && value.is_finite()
            && self.stop != Some(StopReason::Diverged)
            && best.is_none_or(|(_, best)| better(self.measure, value, *best))
        {
            let best = Best {
                epoch: record.epoch,
                parameters: self.parameters.clone(),
            };
            self.best = Some((best, value));
        }
    }

    /// One step on the next batch.
    fn step(&mut self, planned: u32) -> Result<Option<StopReason>, ConfigError> {
        let begun = self.clock.now();
        if self.position == 0 {
            self.order.clone_from(&self.split.train);
            if self.config.batch != Batch::Full {
                let stream = stream::ORDER + u64::from(self.epochs);
                Random::new(self.config.seed, stream).shuffle(&mut self.order);
            }
            (self.loss, self.counted) = (0.0, 0);
        }
        let size = self.config.batch.size(self.order.len());
        let end = self.order.len().min(self.position + size);
        let dropout = self.has_dropout.then_some(DropoutKey {
            seed: self.config.seed,
            step: self.iterations,
        });
        let batch = &self.order[self.position..end];
        let rollbacks = self.stepper.rollbacks();
        let mut loss = BatchLoss::new(&mut self.engine, batch, dropout, self.parameters.len());
        let stepped =
            self.stepper
                .step(&mut loss, (self.iterations, planned), &mut self.parameters)?;
        self.sample_gradients += loss.sample_gradients();
        let count = batch.len();
        self.position = end;
        self.iterations += 1;
        self.stepping += begun.elapsed();
        if !stepped.loss.is_finite() && self.stepper.rollbacks() > rollbacks {
            // The weights are good again; what the batch's loss would be there is not known.
            return Ok(None);
        }
        self.loss += stepped.loss * count as f64;
        self.counted += count;
        if !stepped.loss.is_finite() {
            return Ok(Some(StopReason::Diverged));
        }
        Ok(stepped.ended.map(|termination| match termination {
            Termination::NotFinite => StopReason::Diverged,
            reason if reason.is_converged() => StopReason::Converged,
            _ => StopReason::LineSearchFailed,
        }))
    }

    fn evaluate(&mut self) {
        let usable = self.stop != Some(StopReason::Diverged);
        if self.split.validation.is_empty() || !usable {
            self.validation = None;
        } else {
            self.validation = Some(self.score_of(Portion::Validation));
        }
        let watch = self.config.watch_test && usable;
        self.watched = watch.then(|| {
            let (mut engine, all) = self.test_engine();
            self.test(&mut engine, &all).0
        });
    }

    /// Evaluates on a portion of the training part.
    fn score_of(&mut self, portion: Portion) -> Score {
        let indices = match portion {
            Portion::Train => &self.split.train,
            Portion::Validation => &self.split.validation,
        };
        let samples = (&*self.dataset.train, indices.as_slice());
        let engine = &mut self.engine;
        score::score(
            engine,
            &self.parameters,
            samples,
            self.dataset,
            self.measure,
        )
        .0
    }

    /// An engine for the test samples, and all their indices.
    fn test_engine(&self) -> (Engine, Vec<u32>) {
        let part = &self.dataset.test;
        let engine = Engine::new(
            self.config.model.network,
            Arc::clone(part),
            self.dataset.scalings.clone(),
            self.class_weights.clone(),
            self.config.threads.get(),
        );
        (engine, (0..part.len() as u32).collect())
    }

    /// Test samples by class and by the class that the network gives them.
    fn confusion(&self, engine: &mut Engine, all: &[u32]) -> Vec<Vec<u64>> {
        if !matches!(self.dataset.test.targets, Targets::Classes(_)) {
            return Vec::new();
        }
        let counts = engine.errors(&self.parameters, all).confusion;
        let width = self.config.model.network.output_len();
        counts.chunks(width).map(<[u64]>::to_vec).collect()
    }

    /// Evaluates on the test samples: their score, and the RMSE of each output.
    fn test(&self, engine: &mut Engine, all: &[u32]) -> (Score, Vec<f64>) {
        score::score(
            engine,
            &self.parameters,
            (&self.dataset.test, all),
            self.dataset,
            self.measure,
        )
    }

    /// What the best constant answer gets on these samples.
    fn guess(&self, part: &Part, indices: &[u32]) -> Guess {
        let network = &self.config.model.network;
        Guess::new(
            network.loss(),
            (part, indices),
            (network.output_len(), &self.class_weights),
            &self.dataset.target_scalings,
        )
    }

    fn record(&self, train_loss: f64) -> Record {
        Record {
            epoch: self.epochs + 1,
            iteration: self.iterations,
            gradient_epochs: self.gradient_epochs(),
            train_seconds: self.stepping.as_secs_f64(),
            seconds: self.started.elapsed().as_secs_f64(),
            train_loss,
            measure: self.measure,
            validation: self.validation,
            test: self.watched,
        }
    }

    fn gradient_epochs(&self) -> f64 {
        self.sample_gradients as f64 / self.split.train.len() as f64
    }

    /// Evaluates on the training and test samples, and hands everything over. The guard sees what
    /// the last steps did, which no batch has shown.
    pub fn finish(mut self) -> Outcome {
        let mut train = self.score_of(Portion::Train);
        let recovered = self.stepper.recover(train.loss, &mut self.parameters);
        if recovered.unwrap_or(false) {
            train = self.score_of(Portion::Train);
            if self.validation.is_some() {
                self.validation = Some(self.score_of(Portion::Validation));
            }
        }
        let (mut engine, all) = self.test_engine();
        let (test, test_outputs) = self.test(&mut engine, &all);
        let confusion = self.confusion(&mut engine, &all);
        let train_guess = self.guess(&self.dataset.train, &self.split.train);
        let guess = match self.validation {
            Some(_) => self.guess(&self.dataset.train, &self.split.validation),
            None => {
                let all: Vec<u32> = (0..self.dataset.test.len() as u32).collect();
                self.guess(&self.dataset.test, &all)
            }
        };
        let parameters = all_weights(&self.config.model.network, &self.parameters);
        let best = self.best.map(|(best, _)| Best {
            parameters: all_weights(&self.config.model.network, &best.parameters),
            ..best
        });
        Outcome {
            stop: self.stop.unwrap_or(StopReason::Interrupted),
            epochs: self.epochs,
            iterations: self.iterations,
            gradient_epochs: self.sample_gradients as f64 / self.split.train.len() as f64,
            train_seconds: self.stepping.as_secs_f64(),
            clock: self.clock,
            seconds: self.started.elapsed().as_secs_f64(),
            train,
            validation: self.validation,
            test,
            test_outputs,
            confusion,
            train_guess,
            guess,
            weighted: !self.class_weights.is_empty(),
            history: self.history,
            rollbacks: self.stepper.rollbacks(),
            final_sha256: sha256(&parameters),
            initial_sha256: self.initial_sha256,
            best: best.filter(|best| best.parameters != parameters),
            parameters,
        }
    }
}

/// The weights that a run of this seed begins with.
pub fn initial_weights(network: &Net, init: Init, seed: u64) -> Vec<f32> {
    let mut parameters = vec![0.0; network.parameter_count()];
    let mut random = Random::new(seed, stream::WEIGHTS);
    network.initialise(init, &mut random, &mut parameters);
    parameters
}

/// How a run of this seed divides its training samples.
pub fn split(targets: &Targets, validation: f64, seed: u64) -> Split {
    Split::stratified(targets, validation, &mut Random::new(seed, stream::SPLIT))
}

/// The weights of frozen and trained layers.
fn all_weights(network: &Net, parameters: &[f32]) -> Vec<f32> {
    [network.frozen_weights(), parameters].concat()
}

#[cfg(test)]
mod tests;
