//! The same number of settings for each optimiser, drawn at random, scored on validation samples.
//!
//! The first is the default setting. The others draw the batch, 16, 32, 64 or 128 samples, and what
//! the optimiser's file says can be tuned; see [`crate::optimizers::tuning`].

use std::num::NonZeroUsize;

use secant::Random;
use serde::Serialize;

use super::arm::Arm;
use super::plan::Plan;
use super::runs::Runner;
use crate::batch::Batch;
use crate::error::Error;
use crate::optimizers::Optimizer;
use crate::score::Numbers;

/// Seeds of the tuning runs, far from the comparison's. One run says little: its accuracy scatters
/// by more than a good and a very good setting differ.
const SEEDS: [u64; 3] = [1_000_003, 1_000_004, 1_000_005];

/// What tuning one optimiser found.
#[derive(Debug, Serialize)]
pub struct Tuning {
    /// The arm.
    pub name: String,
    /// Passes over the training samples.
    pub epochs: f64,
    /// Every setting, in the order in which they were tried.
    pub trials: Vec<Trial>,
    /// Index of the one that was taken.
    pub best: usize,
}

/// One setting.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// The learning rate.
    pub learning_rate: f32,
    /// Samples a step.
    pub batch: Batch,
    /// The optimiser and all settings.
    pub optimizer: Optimizer,
    /// `validation_accuracy`: the share of the validation samples that came out right in the end, 0
    /// for a run that collapsed; the mean of three runs. For numbers `validation_rmse`, infinite
    /// (`null`) for a run that collapsed.
    #[serde(flatten)]
    score: Numbers,
}

impl Trial {
    /// The figure on the validation samples.
    pub fn validation(&self) -> f64 {
        let first = self.score.0.first();
        first.and_then(|(_, value)| *value).unwrap_or(f64::NAN)
    }
}

/// Runs that tuning an arm takes.
pub fn runs(plan: &Plan, arm: &Arm) -> u64 {
    match arm.tuned {
        true => u64::from(plan.tune) * SEEDS.len() as u64,
        false => 0,
    }
}

/// Tunes every arm in place that wants to be.
pub fn tune(plan: &Plan, arms: &mut [Arm], runner: &mut Runner<'_>) -> Result<Vec<Tuning>, Error> {
    let mut tunings: Vec<Tuning> = Vec::new();
    let mut candidates: Vec<(usize, Vec<Arm>)> = Vec::new();
    for (a, arm) in arms.iter().enumerate().filter(|(_, arm)| arm.tuned) {
        // The same draws for every length of an optimiser's runs.
        let optimizer = a % plan.optimizers.len();
        let mut random = Random::new(SEEDS[0], optimizer as u64);
        let drawn = (0..plan.tune).map(|i| {
            if i == 0 {
                Ok(arm.clone())
            } else {
                draw(arm, plan, &mut random)
            }
        });
        let drawn: Result<Vec<Arm>, String> = drawn.collect();
        candidates.push((a, drawn.map_err(Error::Usage)?));
        tunings.push(Tuning {
            name: arm.name.clone(),
            epochs: arm.epochs,
            trials: Vec::new(),
            best: 0,
        });
    }
    // Interleaved, as the runs of the comparison are.
    for i in 0..plan.tune as usize {
        for ((a, candidates), tuning) in candidates.iter_mut().zip(&mut tunings) {
            let candidate = &mut candidates[i];
            let (mut sum, worst) = (0.0, plan.measure.worst());
            for seed in SEEDS {
                let Some(run) = runner.run(*a, candidate, seed)? else {
                    return Ok(tunings);
                };
                sum += match run.summary.validation {
                    Some(value) if !run.summary.collapsed => value,
                    _ => worst,
                };
            }
            tuning.trials.push(Trial {
                learning_rate: candidate.optimizer.settings().rate(),
                batch: candidate.batch,
                optimizer: candidate.optimizer.clone(),
                score: Numbers(vec![(
                    format!("validation_{}", plan.measure.key()),
                    Some(sum / SEEDS.len() as f64),
                )]),
            });
        }
    }
    for ((a, candidates), tuning) in candidates.into_iter().zip(&mut tunings) {
        for (i, trial) in tuning.trials.iter().enumerate() {
            let best = tuning.trials[tuning.best].validation();
            if trial.validation() != best && plan.measure.reaches(trial.validation(), best) {
                tuning.best = i;
            }
        }
        arms[a] = candidates[tuning.best].clone();
    }
    Ok(tunings)
}

/// Another setting of the arm, drawn at random.
fn draw(arm: &Arm, plan: &Plan, random: &mut Random) -> Result<Arm, String> {
    let size = [16, 32, 64, 128][random.below(4) as usize];
    let batch = match (plan.batch, arm.batch) {
        (None, Batch::Size(_)) => NonZeroUsize::new(size).map_or(arm.batch, Batch::Size),
        _ => arm.batch,
    };
    let drawn = arm.tunables().iter().map(|tunable| {
        let value = (tunable.draw)(random);
        (tunable.key.to_owned(), value.to_string())
    });
    arm.with(drawn, batch, plan)
}
