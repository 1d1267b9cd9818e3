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
//!     stop if the best epoch on the validation samples is `patience` epochs ago
//! evaluate on the training samples; the guard takes a bad end back
//! evaluate on the test samples
//! ```
//!
//! A run is a value without global state: nothing is printed and no file is touched here. Runs with
//! the same seed share split, initial weights and order of samples, whatever their optimiser, so
//! that they can be compared in pairs. [`Trainer::checkpoint`] is all that a run has become, and
//! one that is made anew goes on from it to the same bits ([`Trainer::restore`]).

pub mod average;
pub mod checkpoint;
mod clock;
mod outcome;
mod record;

pub use clock::Clock;
pub use outcome::{Best, Outcome};
pub use record::{Observer, Record, RunStatus, StopReason};

use std::sync::Arc;
use std::time::{Duration, Instant};

use secant::ConfigError;
use secant::network::{Init, Layer};
use secant::optim::Termination;
use secant::{DropoutKey, Random};

use crate::batch::Batch;
use crate::config::RunConfig;
use crate::data::dataset::{Dataset, Part};
use crate::data::elements::Targets;
use crate::data::split::Split;
use crate::digest::sha256;
use crate::engine::Engine;
use crate::model::Net;
use crate::optimizers::step::{BatchLoss, Stepper};
use crate::ranks::Ranks;
use crate::score::{self, Guess, Judged, Measure, Score};
use average::{Average, Averaged};

/// Streams of random numbers under one seed. The order of epoch `e` is stream `ORDER + e`.
mod stream {
    pub const SPLIT: u64 = 0;
    pub const WEIGHTS: u64 = 1;
    /// Which training samples the last evaluation takes, where not all.
    pub const ENDING: u64 = 2;
    pub const ORDER: u64 = 1 << 32;
}

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

/// A run that can be stopped and continued.
pub struct Trainer<'a> {
    config: &'a RunConfig,
    dataset: &'a Dataset,
    engine: Engine,
    ranks: Ranks,
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
    /// The training samples of the last evaluation, rising; none where these are all.
    ending: Option<Vec<u32>>,
    /// The mean of the weights, where it is wanted.
    average: Option<Average>,
    started: Instant,
    /// Seconds of the run before it was resumed.
    earlier: Duration,
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
            ranks: Ranks::alone(),
            class_weights,
            measure: Measure::of(targets, network.loss()),
            stepper: (config.optimizer.settings()).start(
                &config.model.network,
                same_objective,
                memory,
            )?,
            split,
            initial_sha256: sha256(&all_weights(&network, &parameters)),
            average: (config.average).map(|share| Average::new(share, parameters.len())),
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
            ending: None,
            started,
            earlier: Duration::ZERO,
            clock: Clock::Wall,
            stepping: Duration::ZERO,
            validation: None,
            watched: None,
            history: Vec::new(),
            stop: None,
        })
    }

    /// Divides the batches among `ranks`, which all make this run, with the same settings and data.
    pub fn on(mut self, ranks: &Ranks) -> Self {
        self.engine = self.engine.on(ranks);
        self.ranks = ranks.clone();
        self
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

    /// Takes `most` of the training samples for the last evaluation, drawn by the run's seed, where
    /// there are more.
    pub fn ending_on(mut self, most: usize) -> Self {
        if self.split.train.len() > most {
            let mut some = self.split.train.clone();
            Random::new(self.config.seed, stream::ENDING).shuffle(&mut some);
            some.truncate(most);
            some.sort_unstable();
            self.ending = Some(some);
        }
        self
    }

    /// Time since the start of the run, that before it was resumed too.
    fn elapsed(&self) -> Duration {
        self.earlier.saturating_add(self.started.elapsed())
    }

    /// Whole epochs made.
    pub fn epochs(&self) -> u32 {
        self.epochs
    }

    /// Steps made.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// A line for each epoch so far.
    pub fn history(&self) -> &[Record] {
        &self.history
    }

    /// How the training samples were divided.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The factor of each class; empty where samples count alike.
    pub fn class_weights(&self) -> &[f32] {
        &self.class_weights
    }

    /// The weights of the trained layers, where the run stands.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
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
            self.stop = ended;
            // Lines of the history that every run makes, stopped on its way or not.
            let whole = self.position == count;
            let due = whole || self.stop.is_some() || self.iterations >= planned;
            if due {
                if !self.parameters.iter().all(|w| w.is_finite()) {
                    match self.stepper.recover(f64::NAN, &mut self.parameters)? {
                        true => restart(&mut self.average, &self.parameters),
                        false => self.stop = Some(StopReason::Diverged),
                    }
                }
                self.add_record(mean, observer);
            }
            if whole {
                self.end_epoch(mean);
            }
            if self.stop.is_none() {
                observer.between(self, interrupted);
            }
            if interrupted && self.stop.is_none() {
                self.stop = Some(StopReason::Interrupted);
                if !due {
                    self.add_record(mean, observer);
                }
            }
        }
    }

    /// Evaluates, and adds a line to the history.
    fn add_record(&mut self, mean: f64, observer: &mut dyn Observer) {
        self.evaluate();
        let mut record = self.record(mean);
        record.average = (self.averaged()).and_then(|weights| self.validate(Some(&weights)));
        self.keep_best(&record);
        self.history.push(record);
        observer.record(&record);
    }

    /// Counts the epoch, and asks whether it was the last.
    fn end_epoch(&mut self, mean: f64) {
        self.epochs += 1;
        self.position = 0;
        let change = self.previous_loss.map(|before| (mean - before).abs());
        let level = change.is_some_and(|change| change < self.config.tolerance);
        let best = self.best.as_ref().map_or(0, |(best, _)| best.epoch);
        let waited = self.epochs.saturating_sub(best);
        let tired = self.config.patience.is_some_and(|most| waited >= most);
        if self.stop.is_none() && level {
            self.stop = Some(StopReason::Tolerance);
        } else if self.stop.is_none() && tired {
            self.stop = Some(StopReason::Patience);
        }
        self.previous_loss = mean.is_finite().then_some(mean);
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

    /// The order of the samples in the epoch at work.
    fn shuffle(&mut self) {
        self.order.clone_from(&self.split.train);
        if self.config.batch != Batch::Full {
            let stream = stream::ORDER + u64::from(self.epochs);
            Random::new(self.config.seed, stream).shuffle(&mut self.order);
        }
    }

    /// One step on the next batch.
    fn step(&mut self, planned: u32) -> Result<Option<StopReason>, ConfigError> {
        let begun = self.clock.now();
        if self.position == 0 {
            self.shuffle();
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
        let mut loss = BatchLoss::new(&mut self.engine, batch, dropout, self.parameters.len())
            .among(&self.order, self.position);
        let stepped =
            self.stepper
                .step(&mut loss, (self.iterations, planned), &mut self.parameters)?;
        self.sample_gradients += loss.sample_gradients();
        let count = batch.len();
        self.position = end;
        self.iterations += 1;
        match &mut self.average {
            average if self.stepper.rollbacks() > rollbacks => restart(average, &self.parameters),
            Some(average) => average.add(&self.parameters),
            None => {}
        }
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
        let finite = self.parameters.iter().all(|w| w.is_finite());
        let usable = finite && self.stop != Some(StopReason::Diverged);
        self.validation = match usable {
            true => self.validate(None),
            false => None,
        };
        let watch = self.config.watch_test && usable;
        self.watched = watch.then(|| {
            let (mut engine, all) = self.test_engine();
            self.test(&self.parameters, &mut engine, &all).score
        });
    }

    /// The averaged weights, where they are wanted and there are any.
    fn averaged(&self) -> Option<Vec<f32>> {
        self.average.as_ref().and_then(Average::weights)
    }

    /// Evaluates these weights, or else those where the run stands, on the validation samples, if
    /// there are any.
    fn validate(&mut self, parameters: Option<&[f32]>) -> Option<Score> {
        let samples = (&*self.dataset.train, self.split.validation.as_slice());
        let parameters = parameters.unwrap_or(&self.parameters);
        let judge = |engine| score::score(engine, parameters, samples, self.dataset, self.measure);
        (!samples.1.is_empty()).then(|| judge(&mut self.engine).score)
    }

    /// Evaluates on the training samples of the last evaluation.
    fn training_score(&mut self) -> Score {
        let indices = self.ending.as_ref().unwrap_or(&self.split.train);
        let samples = (&*self.dataset.train, indices.as_slice());
        let engine = &mut self.engine;
        score::score(
            engine,
            &self.parameters,
            samples,
            self.dataset,
            self.measure,
        )
        .score
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
        )
        .on(&self.ranks);
        (engine, (0..part.len() as u32).collect())
    }

    /// Test samples by class and by the class that they were given.
    fn confusion(&self, given: &[u32]) -> Vec<Vec<u64>> {
        let Targets::Classes(classes) = &self.dataset.test.targets else {
            return Vec::new();
        };
        let width = self.config.model.network.output_len();
        let mut counts = vec![vec![0; width]; width];
        for (class, given) in classes.iter().zip(given) {
            counts[usize::from(*class)][*given as usize] += 1;
        }
        counts
    }

    /// Evaluates weights on the test samples.
    fn test(&self, parameters: &[f32], engine: &mut Engine, all: &[u32]) -> Judged {
        score::score(
            engine,
            parameters,
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
            seconds: self.elapsed().as_secs_f64(),
            train_loss,
            measure: self.measure,
            validation: self.validation,
            test: self.watched,
            average: None,
        }
    }

    fn gradient_epochs(&self) -> f64 {
        self.sample_gradients as f64 / self.split.train.len() as f64
    }

    /// Evaluates on the training and test samples, and hands everything over. The guard sees what
    /// the last steps did, which no batch has shown.
    pub fn finish(mut self) -> Outcome {
        let mut train = self.training_score();
        let recovered = self.stepper.recover(train.loss, &mut self.parameters);
        if recovered.unwrap_or(false) {
            train = self.training_score();
            if self.validation.is_some() {
                self.validation = self.validate(None);
            }
            restart(&mut self.average, &self.parameters);
        }
        let (mut engine, all) = self.test_engine();
        let test = self.test(&self.parameters, &mut engine, &all);
        let average = self.averaged().map(|parameters| Averaged {
            validation: self.validate(Some(&parameters)),
            test: self.test(&parameters, &mut engine, &all).score,
            parameters: all_weights(&self.config.model.network, &parameters),
        });
        let confusion = self.confusion(&test.classes);
        let train_guess = self.guess(&self.dataset.train, &self.split.train);
        let guess = match self.validation {
            Some(_) => self.guess(&self.dataset.train, &self.split.validation),
            None => self.guess(&self.dataset.test, &all),
        };
        let parameters = all_weights(&self.config.model.network, &self.parameters);
        let best = self.best.take().map(|(best, _)| Best {
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
            seconds: self.elapsed().as_secs_f64(),
            train,
            validation: self.validation,
            test: test.score,
            test_outputs: test.outputs,
            confusion,
            train_guess,
            guess,
            weighted: !self.class_weights.is_empty(),
            history: self.history,
            rollbacks: self.stepper.rollbacks(),
            final_sha256: sha256(&parameters),
            initial_sha256: self.initial_sha256,
            best: best.filter(|best| best.parameters != parameters),
            average,
            parameters,
        }
    }
}

/// Begins the mean anew at the weights that the guard went back to.
fn restart(average: &mut Option<Average>, parameters: &[f32]) {
    if let Some(average) = average {
        average.forget();
        average.add(parameters);
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
