//! The runs: one after the other, each kept in a file, so that none has to be made twice.

use std::fs;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secant::Random;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::arm::Arm;
use super::plan::Plan;
use crate::config::RunConfig;
use crate::data::dataset::{Dataset, hex};
use crate::data::split::Split;
use crate::error::Error;
use crate::export::write_whole;
use crate::memory;
use crate::report::{RunRecord, say};
use crate::score::{Guess, Measure, Score};
use crate::train::{Observer, RunStatus, StopReason, Trainer};

/// A finished run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Index of the arm.
    pub arm: usize,
    /// The seed.
    pub seed: u64,
    /// What `train --json` would print.
    pub record: Value,
    /// The part of it that the table needs.
    pub summary: Summary,
}

/// What the table needs of a record. Figures are of the measure that the comparison judges by.
#[derive(Debug, Clone)]
pub struct Summary {
    /// On the test samples.
    pub test: f64,
    /// On the validation samples.
    pub validation: Option<f64>,
    /// Whether training went wrong.
    pub collapsed: bool,
    /// Times that the guard had to step in.
    pub rollbacks: u32,
    /// The run's course.
    pub history: Vec<Point>,
}

/// A point of a run's course.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// Gradients of single samples over the number of training samples.
    pub gradient_epochs: f64,
    /// Seconds in steps.
    pub train_seconds: f64,
    /// Mean loss of the epoch's batches so far.
    pub train_loss: Option<f64>,
    /// On the samples that the run watches: the validation samples, or the test samples where the
    /// protocol watches these.
    pub watched: Option<f64>,
}

impl Summary {
    /// Reads a record. A figure that is not finite, as a diverged run has, counts as `fallback`.
    fn read(record: &Value, measure: Measure, fallback: f64) -> Option<Summary> {
        let key = |part: &str| format!("{part}_{}", measure.key());
        let (validation, test) = (key("validation"), key("test"));
        let history = record["history"].as_array()?.iter();
        let point = |point: &Value| {
            Some(Point {
                gradient_epochs: point["gradient_epochs"].as_f64()?,
                train_seconds: point["train_seconds"].as_f64()?,
                train_loss: point["train_loss"].as_f64(),
                watched: point[&validation].as_f64().or(point[&test].as_f64()),
            })
        };
        // A number that is not finite is written as null.
        let value = match record.get(&test)? {
            Value::Null => fallback,
            value => value.as_f64()?,
        };
        Some(Summary {
            test: value,
            validation: record[&validation].as_f64(),
            collapsed: record["collapsed"].as_bool()?,
            rollbacks: u32::try_from(record["optimizer"]["rollbacks"].as_u64()?).ok()?,
            history: history.map(point).collect::<Option<_>>()?,
        })
    }
}

/// Makes runs.
pub struct Runner<'a> {
    /// What is compared.
    pub plan: &'a Plan,
    /// The data.
    pub dataset: &'a Dataset,
    /// Folder of finished runs.
    pub cache: &'a Path,
    /// Other than 0 when the user wants to stop.
    pub signal: &'a Arc<AtomicUsize>,
    /// The bar.
    pub display: ComparisonDisplay,
}

impl Runner<'_> {
    /// Training samples: as many for every seed.
    fn samples(plan: &Plan, dataset: &Dataset) -> usize {
        let targets = &dataset.train.targets;
        let split = Split::stratified(targets, plan.validation, &mut Random::new(0, 0));
        split.train.len()
    }

    /// Steps of one run.
    pub fn iterations(plan: &Plan, dataset: &Dataset, arm: &Arm) -> u64 {
        let samples = Runner::samples(plan, dataset);
        let all = samples.div_ceil(arm.batch.size(samples)) as f64;
        (all * arm.epochs).ceil().max(1.0) as u64
    }

    /// The run of an arm and a seed; `None` when the user stopped it. `index` is the arm's.
    pub fn run(&mut self, index: usize, arm: &Arm, seed: u64) -> Result<Option<Run>, Error> {
        let plan = self.plan;
        let iterations = Runner::iterations(plan, self.dataset, arm) as u32;
        let config = RunConfig {
            model: plan.model.clone(),
            start: None,
            init: arm.init,
            optimizer: arm.optimizer.clone(),
            class_weights: plan.class_weights.clone(),
            raw_targets: plan.raw_targets,
            batch: arm.batch,
            epochs: arm.epochs.ceil().max(1.0) as u32,
            max_iterations: Some(iterations),
            tolerance: 0.0,
            validation: plan.validation,
            watch_test: plan.watch_test,
            seed,
            threads: plan.threads,
        };
        let path = self.cache.join(self.file_name(arm, &config)?);
        let kept = fs::read_to_string(&path).ok();
        let text = match kept.filter(|text| serde_json::from_str::<Value>(text).is_ok()) {
            Some(text) => {
                self.display.skip(u64::from(iterations));
                text
            }
            None => match self.train(arm, &config, iterations)? {
                Some(text) => {
                    write_whole(&path, text.as_bytes())?;
                    text
                }
                None => return Ok(None),
            },
        };
        // Always from the text, so that a run that is read again is the same to the last digit.
        let record: Value =
            serde_json::from_str(&text).map_err(|error| Error::Run(error.to_string()))?;
        let constant = self.constant();
        let summary = Summary::read(&record, plan.measure, constant).ok_or_else(|| {
            Error::Run(format!(
                "{}: not the record of a run; delete the file to run it again",
                path.display()
            ))
        })?;
        Ok(Some(Run {
            arm: index,
            seed,
            record,
            summary,
        }))
    }

    /// What the best constant answer gets on the test samples: a run that diverged is no better.
    fn constant(&self) -> f64 {
        let (network, test) = (&self.plan.model.network, &self.dataset.test);
        let all: Vec<u32> = (0..test.len() as u32).collect();
        let scalings = &self.dataset.target_scalings;
        let outputs = (network.output_len(), &[][..]);
        Guess::new(network.loss(), (test, &all), outputs, scalings).value
    }

    /// A name that depends on everything that the result depends on.
    fn file_name(&self, arm: &Arm, config: &RunConfig) -> Result<String, Error> {
        let mut config = config.clone();
        config.threads = NonZeroUsize::MIN;
        let text = serde_json::to_string(&config).map_err(|e| Error::Run(e.to_string()))?;
        let mut hash = Sha256::new();
        hash.update(text);
        hash.update(format!(
            "{} {} {:?} {:?} {} {}",
            self.dataset.name,
            self.dataset.digest,
            self.dataset.scalings,
            self.dataset.target_scalings,
            self.plan.evaluations,
            env!("CARGO_PKG_VERSION")
        ));
        let hash = hex(&hash.finalize());
        let name: String = arm
            .name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || ".-".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .take(60)
            .collect();
        Ok(format!("{name}-s{}-{}.json", config.seed, &hash[..16]))
    }

    /// Trains; what `train --json` would print, or `None` when the user stopped it.
    fn train(
        &mut self,
        arm: &Arm,
        config: &RunConfig,
        iterations: u32,
    ) -> Result<Option<String>, Error> {
        let misuse = |error: secant::ConfigError| Error::Usage(format!("{}: {error}", arm.name));
        memory::check(config.memory(), "a run").map_err(Error::Usage)?;
        let mut memory = Trainer::memory(config);
        let mut trainer = Trainer::new(config, self.dataset, &mut memory).map_err(misuse)?;
        let split = trainer.split().clone();
        let every = (iterations / self.plan.evaluations).max(1);
        self.display.start(arm, config.seed);
        loop {
            let mut watch = Watch {
                every,
                signal: self.signal,
                display: &self.display,
            };
            let stop = trainer.run(&mut watch).map_err(misuse)?;
            if self.signal.load(Ordering::Relaxed) != 0 {
                return Ok(None);
            }
            if stop != StopReason::Interrupted {
                break;
            }
        }
        let outcome = trainer.finish();
        self.display
            .done(arm, config.seed, iterations, &outcome.test);
        let record = RunRecord::new(config, self.dataset, &split, &outcome);
        let text = serde_json::to_string(&record).map_err(|error| Error::Run(error.to_string()))?;
        Ok(Some(text))
    }
}

/// Stops a run where it is to be evaluated, and when the user wants to.
struct Watch<'a> {
    every: u32,
    signal: &'a AtomicUsize,
    display: &'a ComparisonDisplay,
}

impl Observer for Watch<'_> {
    fn iteration(&mut self, status: &RunStatus) -> ControlFlow<()> {
        if let Some(bar) = &self.display.bar {
            bar.set_position(self.display.before + u64::from(status.iteration));
        }
        let pause =
            status.iteration.is_multiple_of(self.every) && status.iteration < status.iterations;
        if pause || self.signal.load(Ordering::Relaxed) != 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Shows how far all runs are: a bar on a terminal, a line for each run elsewhere.
pub struct ComparisonDisplay {
    json: bool,
    bar: Option<ProgressBar>,
    total: u64,
    before: u64,
    computed: u64,
    started: Instant,
}

impl ComparisonDisplay {
    /// A display of `total` steps.
    pub fn new(json: bool, total: u64) -> ComparisonDisplay {
        let bar = io::stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
            if let Ok(style) = ProgressStyle::with_template(
                "{msg} {wide_bar:.cyan/dim} {elapsed} gone, {eta} left",
            ) {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar
        });
        ComparisonDisplay {
            json,
            bar,
            total,
            before: 0,
            computed: 0,
            started: Instant::now(),
        }
    }

    /// A run was there already.
    fn skip(&mut self, iterations: u64) {
        self.before += iterations;
    }

    fn start(&self, arm: &Arm, seed: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}, seed {seed}", arm.name));
        }
    }

    fn done(&mut self, arm: &Arm, seed: u64, iterations: u32, test: &Score) {
        self.before += u64::from(iterations);
        self.computed += u64::from(iterations);
        let left = self.total.saturating_sub(self.before) as f64;
        let pace = self.started.elapsed().as_secs_f64() / self.computed as f64;
        let left = Duration::from_secs_f64((left * pace).clamp(0.0, 1e9));
        let line = format!(
            "{:<28} seed {seed:<4} test {}   {} s left",
            arm.name,
            test.measure.show(test.value),
            left.as_secs()
        );
        match &self.bar {
            Some(bar) => bar.suspend(|| say(self.json, &line)),
            None => say(self.json, &line),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
