//! How a run went, and whether it went wrong.

use super::average::Averaged;
use super::clock::Clock;
use super::record::{Record, StopReason};
use crate::score::{self, Guess, Measure, Score};

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
    /// On the training samples, or as many as [`super::Trainer::ending_on`] says, with the last
    /// weights and without dropout.
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
    /// The mean of the weights over the last part of the run, where that was wanted.
    pub average: Option<Averaged>,
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

    /// The weights of the best epoch, if there are any of use, and which it is.
    pub fn best_weights(&self) -> Option<(&[f32], u32)> {
        match &self.best {
            Some(best) => Some((&best.parameters, best.epoch)),
            None if self.diverged() => None,
            None => Some((&self.parameters, self.history.last().map_or(0, |r| r.epoch))),
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
