//! The same number of settings for each optimiser, drawn at random, scored on validation images.
//!
//! Ranges, around the optimiser's default setting (which is the first that is tried):
//!
//! ```text
//! learning rate    log-uniform, default / 8 to default * 8
//! batch            16, 32, 64 or 128
//! 1 - beta2        log-uniform, 0.001 to 0.05                  (adam, lbfgs)
//! warm-up          0, 0.05, 0.1 or 0.2 of the run              (adam, lbfgs)
//! ```

use secant::Random;
use serde::Serialize;

use super::args::CompareArgs;
use super::arm::Arm;
use super::runs::Runner;
use crate::error::Error;
use crate::optimizers::Optimizer;

/// Seeds of the tuning runs, far from the comparison's. One run says little: its accuracy scatters by more than a good and
/// a very good setting differ.
const SEEDS: [u64; 3] = [1_000_003, 1_000_004, 1_000_005];

/// What tuning one optimiser found.
#[derive(Debug, Serialize)]
pub struct Tuning {
    /// The arm.
    pub name: String,
    /// Passes over the training images.
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
    /// Images a step.
    pub batch: usize,
    /// The optimiser and all settings.
    pub optimizer: Optimizer,
    /// Share of the validation images that came out right in the end, 0 for a run that collapsed: the mean of three runs.
    pub validation_accuracy: f64,
}

/// A number between `low` and `high` whose logarithm is uniform.
fn log_uniform(random: &mut Random, low: f64, high: f64) -> f64 {
    low * (high / low).powf(f64::from(random.uniform()))
}

/// Runs that tuning an arm takes.
pub fn runs(args: &CompareArgs, arm: &Arm) -> u64 {
    match arm.tuned {
        true => u64::from(args.tune) * SEEDS.len() as u64,
        false => 0,
    }
}

/// Tunes every arm in place that wants to be.
pub fn tune(
    args: &CompareArgs,
    arms: &mut [Arm],
    runner: &mut Runner<'_>,
) -> Result<Vec<Tuning>, Error> {
    let mut tunings: Vec<Tuning> = Vec::new();
    let mut candidates: Vec<(usize, Vec<Arm>)> = Vec::new();
    for (a, arm) in arms.iter().enumerate().filter(|(_, arm)| arm.tuned) {
        // The same draws for every length of an optimiser's runs.
        let optimizer = a % args.optimizers.len();
        let mut random = Random::new(SEEDS[0], optimizer as u64);
        let drawn = (0..args.tune).map(|i| {
            if i == 0 {
                arm.clone()
            } else {
                draw(arm, args, &mut random)
            }
        });
        candidates.push((a, drawn.collect()));
        tunings.push(Tuning {
            name: arm.name.clone(),
            epochs: arm.epochs,
            trials: Vec::new(),
            best: 0,
        });
    }
    // Interleaved, as the runs of the comparison are.
    for i in 0..args.tune as usize {
        for ((a, candidates), tuning) in candidates.iter_mut().zip(&mut tunings) {
            let candidate = &mut candidates[i];
            let mut sum = 0.0;
            for seed in SEEDS {
                let Some(run) = runner.run(*a, candidate, seed)? else {
                    return Ok(tunings);
                };
                if !run.summary.collapsed {
                    sum += run.summary.validation_accuracy.unwrap_or(0.0);
                }
            }
            tuning.trials.push(Trial {
                learning_rate: candidate.rate().copied().unwrap_or(0.0),
                batch: candidate.batch,
                optimizer: candidate.optimizer.clone(),
                validation_accuracy: sum / SEEDS.len() as f64,
            });
        }
    }
    for ((a, candidates), tuning) in candidates.into_iter().zip(&mut tunings) {
        for (i, trial) in tuning.trials.iter().enumerate() {
            if trial.validation_accuracy > tuning.trials[tuning.best].validation_accuracy {
                tuning.best = i;
            }
        }
        arms[a] = candidates[tuning.best].clone();
    }
    Ok(tunings)
}

fn draw(arm: &Arm, args: &CompareArgs, random: &mut Random) -> Arm {
    let mut arm = arm.clone();
    let batch = [16, 32, 64, 128][random.below(4) as usize];
    let factor = log_uniform(random, 0.125, 8.0) as f32;
    let beta2 = (1.0 - log_uniform(random, 1e-3, 5e-2)) as f32;
    let warm_up = [0.0, 0.05, 0.1, 0.2][random.below(4) as usize];
    if args.batch.is_none() {
        arm.batch = batch;
    }
    if let Some(rate) = arm.rate() {
        *rate *= factor;
    }
    match &mut arm.optimizer {
        Optimizer::Adam(settings) => (settings.beta2, settings.warm_up) = (beta2, warm_up),
        Optimizer::LayerLbfgs(settings) => (settings.beta2, settings.warm_up) = (beta2, warm_up),
        _ => {}
    }
    arm
}
