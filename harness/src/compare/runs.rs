//! One run: its configuration, its course, and what the table needs of its record.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use secant::Random;
use serde_json::Value;

use super::arm::Arm;
use super::cache::Place;
use super::display::ComparisonDisplay;
use super::events::Events;
use super::plan::{Plan, Timing};
use crate::config::RunConfig;
use crate::data::dataset::Dataset;
use crate::data::split::Split;
use crate::error::Error;
use crate::memory;
use crate::report::RunRecord;
use crate::score::{Guess, Measure};
use crate::train::{Clock, Observer, Record, RunStatus, StopReason, Trainer};

/// The most training samples that the evaluation at the end of a run takes: their loss is known to
/// a hundredth, and a pass over all of them would be a tenth of a short run.
const ENDING: usize = 6000;

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

/// Makes runs, from several threads at once.
pub struct Runner<'a> {
    /// What is compared.
    pub plan: &'a Plan,
    /// Who is told of every run.
    pub events: &'a Events,
    /// The data.
    pub dataset: &'a Dataset,
    /// Other than 0 when the user wants to stop.
    pub signal: &'a AtomicUsize,
    /// Whether a run has failed, so that the others need not go on.
    pub failed: &'a AtomicBool,
    /// The bar.
    pub display: &'a ComparisonDisplay,
    /// What the best constant answer gets on the test samples: a run that diverged is no better.
    pub constant: f64,
}

impl Runner<'_> {
    /// What the best constant answer gets on the test samples.
    pub fn constant(plan: &Plan, dataset: &Dataset) -> f64 {
        let (network, test) = (&plan.model.network, &dataset.test);
        let all: Vec<u32> = (0..test.len() as u32).collect();
        let scalings = &dataset.target_scalings;
        let outputs = (network.output_len(), &[][..]);
        Guess::new(network.loss(), (test, &all), outputs, scalings).value
    }

    /// Training samples: as many for every seed.
    pub fn samples(plan: &Plan, dataset: &Dataset) -> usize {
        let targets = &dataset.train.targets;
        let split = Split::stratified(targets, plan.validation, &mut Random::new(0, 0));
        split.train.len()
    }

    /// Steps of one run on `samples` training samples.
    pub fn iterations(samples: usize, arm: &Arm) -> u64 {
        let all = samples.div_ceil(arm.batch.size(samples)) as f64;
        (all * arm.epochs).ceil().max(1.0) as u64
    }

    /// The configuration of the run of an arm and a seed.
    pub fn config(&self, arm: &Arm, seed: u64, steps: u64) -> RunConfig {
        let plan = self.plan;
        RunConfig {
            model: plan.model.clone(),
            start: None,
            init: arm.init,
            optimizer: arm.optimizer.clone(),
            class_weights: plan.class_weights.clone(),
            raw_targets: plan.raw_targets,
            batch: arm.batch,
            epochs: arm.epochs.ceil().max(1.0) as u32,
            max_iterations: Some(u32::try_from(steps).unwrap_or(u32::MAX)),
            tolerance: 0.0,
            patience: None,
            average: None,
            validation: plan.validation,
            watch_test: plan.watch_test,
            seed,
            threads: plan.threads,
        }
    }

    /// The finished run of an arm and a seed, from the text of its record. Always from the text, so
    /// that a run that is read again is the same to the last digit.
    pub fn read(&self, arm: usize, seed: u64, text: &str, place: &Place) -> Result<Run, Error> {
        let record: Value =
            serde_json::from_str(text).map_err(|error| Error::Run(error.to_string()))?;
        let summary =
            Summary::read(&record, self.plan.measure, self.constant).ok_or_else(|| {
                Error::Run(format!(
                    "{}: not the record of a run; delete the file to run it again",
                    place.path().display()
                ))
            })?;
        Ok(Run {
            arm,
            seed,
            record,
            summary,
        })
    }

    /// Trains; what `train --json` would print, or `None` when the user stopped it.
    pub fn train(&self, arm: &Arm, config: &RunConfig) -> Result<Option<String>, Error> {
        let misuse = |error: secant::ConfigError| Error::Usage(format!("{}: {error}", arm.name));
        memory::check(config.memory(), "a run").map_err(Error::Usage)?;
        let clock = match self.plan.timing {
            Timing::Cpu => Clock::Cpu,
            Timing::Exclusive => Clock::Wall,
        };
        let mut memory = Trainer::memory(config);
        let trainer = Trainer::new(config, self.dataset, &mut memory).map_err(misuse)?;
        let mut trainer = trainer.on_clock(clock).ending_on(ENDING);
        let split = trainer.split().clone();
        let pauses = Pauses {
            steps: trainer.planned_iterations(),
            of_epoch: split
                .train
                .len()
                .div_ceil(arm.batch.size(split.train.len())) as u32,
            count: self.plan.evaluations,
        };
        self.display.start(arm, config.seed);
        self.events
            .start(arm, config.seed, trainer.planned_iterations());
        loop {
            let stop = trainer
                .run(&mut Watch {
                    pauses,
                    runner: self,
                    run: (arm, config.seed),
                })
                .map_err(misuse)?;
            if self.stopped() {
                return Ok(None);
            }
            if stop != StopReason::Interrupted {
                break;
            }
        }
        let outcome = trainer.finish();
        let steps = u64::from(outcome.iterations);
        let test = outcome.test.measure.show(outcome.test.value);
        self.display.done(arm, config.seed, steps, &test);
        let record = RunRecord::new(config, self.dataset, &split, &outcome);
        let text = serde_json::to_string(&record).map_err(|error| Error::Run(error.to_string()))?;
        Ok(Some(text))
    }

    /// Whether runs that are under way should end.
    pub fn stopped(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0 || self.failed.load(Ordering::Relaxed)
    }
}

/// Where a run is evaluated beside the ends of its epochs.
#[derive(Debug, Clone, Copy)]
struct Pauses {
    /// Steps of the run.
    steps: u32,
    /// Steps of an epoch.
    of_epoch: u32,
    /// Evaluations that are wanted, at even distances.
    count: u32,
}

impl Pauses {
    /// Whether the run pauses after step `step`. Not within half a distance of an epoch's end, where
    /// it is evaluated anyway.
    fn at(&self, step: u32) -> bool {
        let [step, steps, of_epoch, count] =
            [step, self.steps, self.of_epoch.max(1), self.count].map(u64::from);
        let due = step * count / steps != (step - 1) * count / steps;
        let since = step % of_epoch;
        let until = (of_epoch - since).min(steps - step);
        let near = |distance: u64| 2 * distance * count < steps;
        let after = since != step && near(since);
        due && step < steps && !near(until) && !after
    }
}

/// Stops a run where it is to be evaluated, and when the user wants to.
struct Watch<'a> {
    pauses: Pauses,
    runner: &'a Runner<'a>,
    run: (&'a Arm, u64),
}

impl Observer for Watch<'_> {
    fn iteration(&mut self, status: &RunStatus) -> ControlFlow<()> {
        self.runner.display.step();
        if self.pauses.at(status.iteration) || self.runner.stopped() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn record(&mut self, record: &Record) {
        let (arm, seed) = self.run;
        self.runner.events.evaluation(arm, seed, record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All steps after which a run is evaluated, those at the ends of its epochs among them.
    fn evaluated(steps: u32, of_epoch: u32, count: u32) -> Vec<u32> {
        let pauses = Pauses {
            steps,
            of_epoch,
            count,
        };
        let all = 1..=steps;
        all.filter(|step| pauses.at(*step) || step % of_epoch == 0 || *step == steps)
            .collect()
    }

    #[test]
    fn a_run_is_evaluated_as_often_as_asked_and_at_even_distances() {
        for (steps, of_epoch, count) in [
            (3376, 1688, 20),
            (844, 1688, 20),
            (5064, 1688, 20),
            (2532, 1688, 20),
            (9, 9, 3),
            (100, 10, 7),
            (7, 7, 20),
            (24, 8, 5),
            (1, 1, 1),
        ] {
            let all = evaluated(steps, of_epoch, count);
            let ends = steps.div_ceil(of_epoch);
            assert!(all.len() as u32 <= count.max(ends) + ends, "{all:?}");
            assert!(all.len() as u32 >= count.min(steps).max(ends).saturating_sub(ends));
            let mut before = 0;
            for step in all {
                let most = 3 * steps.div_ceil(count) / 2 + 1;
                assert!(step - before <= most, "{step} after {before} of {steps}");
                before = step;
            }
        }
        // The README's run: ten an epoch, the last of which is its end.
        assert_eq!(evaluated(3376, 1688, 20).len(), 20);
    }
}
