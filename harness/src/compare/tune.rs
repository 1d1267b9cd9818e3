//! The same number of settings for each optimiser, drawn at random, scored on validation samples.
//!
//! The first is the default setting. The others draw the batch, 16, 32, 64 or 128 samples, and what
//! the optimiser's file says can be tuned; see [`crate::optimizers::tuning`].

use std::num::NonZeroUsize;

use secant::Random;
use serde::Serialize;

use super::arm::Arm;
use super::plan::{Plan, TUNING_SEEDS};
use super::runs::Run;
use super::schedule::Task;
use crate::batch::Batch;
use crate::error::Error;
use crate::optimizers::Optimizer;
use crate::score::{Measure, Numbers};
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
    /// What was drawn, as it can be written after the optimiser's name; nothing for the defaults.
    pub drawn: Vec<(String, String)>,
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
        true => u64::from(plan.tune) * TUNING_SEEDS.len() as u64,
        false => 0,
    }
}

/// The settings that an arm tries.
#[derive(Debug)]
pub struct Candidates {
    /// Index of the arm.
    pub arm: usize,
    /// The arm with each of them.
    pub settings: Vec<Arm>,
}

/// Arm `arm` with this of the settings that it tries; as it is among `arms` where it tries none, or
/// none is asked for.
pub fn with_setting<'a>(
    candidates: &'a [Candidates],
    arms: &'a [Arm],
    arm: usize,
    setting: Option<usize>,
) -> &'a Arm {
    let own = candidates.iter().find(|own| own.arm == arm);
    match (own, setting) {
        (Some(own), Some(setting)) => &own.settings[setting],
        _ => &arms[arm],
    }
}

/// The settings of every arm that wants to be tuned.
pub fn candidates(plan: &Plan, arms: &[Arm]) -> Result<Vec<Candidates>, Error> {
    let tuned = arms.iter().enumerate().filter(|(_, arm)| arm.tuned);
    let of_arm = |(a, arm): (usize, &Arm)| {
        // The same draws for every length of an optimiser's runs.
        let optimizer = a % plan.optimizers.len();
        let mut random = Random::new(TUNING_SEEDS[0], optimizer as u64);
        let drawn = (0..plan.tune).map(|i| match i {
            0 => Ok(arm.clone()),
            _ => draw(arm, plan, &mut random),
        });
        let settings: Result<Vec<Arm>, String> = drawn.collect();
        Ok(Candidates {
            arm: a,
            settings: settings.map_err(Error::Usage)?,
        })
    };
    tuned.map(of_arm).collect()
}

/// The runs of all settings.
pub fn tasks(candidates: &[Candidates], cost: impl Fn(&Arm) -> f64) -> Vec<Task> {
    let mut tasks = Vec::new();
    for own in candidates {
        for (i, arm) in own.settings.iter().enumerate() {
            tasks.extend(TUNING_SEEDS.map(|seed| Task {
                arm: own.arm,
                trial: Some(i),
                seed,
                cost: cost(arm),
            }));
        }
    }
    tasks
}

/// The scores of an arm's settings, and the best of them: the first one where several are. `made`
/// holds setting, seed and run.
pub fn judge(measure: Measure, own: &Candidates, mut made: Vec<(usize, u64, &Run)>) -> Tuning {
    // Sums do not depend on who was done first.
    made.sort_by_key(|(trial, seed, _)| (*trial, *seed));
    let mut tuning = Tuning {
        name: own.settings[0].name.clone(),
        epochs: own.settings[0].epochs,
        trials: Vec::new(),
        best: 0,
    };
    for (i, arm) in own.settings.iter().enumerate() {
        let scores = made.iter().filter(|(trial, ..)| *trial == i);
        let score = |run: &Run| match run.summary.validation {
            Some(value) if !run.summary.collapsed => value,
            _ => measure.worst(),
        };
        let sum: f64 = scores.map(|(.., run)| score(run)).sum();
        tuning.trials.push(Trial {
            learning_rate: arm.optimizer.settings().rate(),
            batch: arm.batch,
            optimizer: arm.optimizer.clone(),
            drawn: arm.drawn.clone(),
            score: Numbers(vec![(
                format!("validation_{}", measure.key()),
                Some(sum / TUNING_SEEDS.len() as f64),
            )]),
        });
        let best = tuning.trials[tuning.best].validation();
        let value = tuning.trials[i].validation();
        if value != best && measure.reaches(value, best) {
            tuning.best = i;
        }
    }
    tuning
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
    arm.with(drawn.collect(), batch, plan)
}
