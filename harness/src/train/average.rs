//! The mean of a run's weights over its last part.
//!
//! After step `t` of a run, counted from 1,
//!
//! ```text
//! mean <- mean + c (w - mean),    c = 1 / (1 + (t - 1) share)
//! ```
//!
//! This is the polynomial-decay average: weights of step `s` count as `s^(1/share - 1)`, so that
//! their mean age is `t share / (1 + share)`, as in a plain mean over the last
//! `2 share / (1 + share)` of the run. It needs no end that is known beforehand, forgets the
//! beginning by itself, and is there wherever the run stops. With `share` 1 it is the plain mean of
//! all steps.
//!
//! Source: O. Shamir and T. Zhang, "Stochastic Gradient Descent for Non-smooth Optimization:
//! Convergence Results and Optimal Averaging Schemes", ICML 2013, section 4.
//!
//! The mean is held in 64 bits: after a million steps `c (w - mean)` would be lost in 32. Costs two
//! operations a weight and step, and eight bytes a weight.

use serde::Serialize;

use crate::digest::sha256;
use crate::score::Score;

/// A mean of weights on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Average {
    share: f64,
    /// Steps that it is of.
    steps: u64,
    mean: Vec<f64>,
}

impl Average {
    /// That of no step yet.
    pub fn new(share: f64, count: usize) -> Self {
        Self {
            share,
            steps: 0,
            mean: vec![0.0; count],
        }
    }

    /// Takes the weights after a step. Those that are not finite are left out: there is no mean
    /// with them.
    pub fn add(&mut self, weights: &[f32]) {
        if !weights.iter().all(|w| w.is_finite()) {
            return;
        }
        let c = 1.0 / (1.0 + self.steps as f64 * self.share);
        self.steps += 1;
        for (mean, w) in self.mean.iter_mut().zip(weights) {
            *mean += c * (f64::from(*w) - *mean);
        }
    }

    /// Begins anew: the weights so far were taken back.
    pub fn forget(&mut self) {
        self.steps = 0;
        self.mean.fill(0.0);
    }

    /// The mean; `None` before the first step.
    pub fn weights(&self) -> Option<Vec<f32>> {
        let mean = || self.mean.iter().map(|mean| *mean as f32).collect();
        (self.steps > 0).then(mean)
    }

    /// Steps and mean, for a checkpoint.
    pub fn state(&self) -> (u64, &[f64]) {
        (self.steps, &self.mean)
    }

    /// Goes on from what [`Average::state`] gave; `None` if that was of other weights, or cannot
    /// be.
    pub fn restore(&mut self, (steps, mean): (u64, &[f64])) -> Option<()> {
        let fits = mean.len() == self.mean.len() && mean.iter().all(|mean| mean.is_finite());
        self.steps = fits.then_some(steps)?;
        self.mean.copy_from_slice(mean);
        Some(())
    }
}

/// The averaged weights of a run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Averaged {
    /// The weights, those of frozen layers too.
    pub parameters: Vec<f32>,
    /// On the validation samples, if there are any.
    pub validation: Option<Score>,
    /// On the test samples.
    pub test: Score,
}

/// What is written of them.
#[derive(Debug, Serialize)]
pub struct AveragedRecord {
    validation_loss: Option<f64>,
    #[serde(flatten)]
    scores: crate::score::Numbers,
    /// SHA-256 of the averaged weights.
    pub sha256: String,
}

impl Averaged {
    /// As a part of a run's record.
    pub fn record(&self) -> AveragedRecord {
        let key = self.test.measure.key();
        let value = self.validation.map(|score| score.value);
        AveragedRecord {
            validation_loss: self.validation.map(|score| score.loss),
            scores: crate::score::Numbers(vec![
                (format!("validation_{key}"), value),
                ("test_loss".to_owned(), Some(self.test.loss)),
                (format!("test_{key}"), Some(self.test.value)),
            ]),
            sha256: sha256(&self.parameters),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights of some steps.
    fn steps(count: u32) -> Vec<[f32; 3]> {
        let value = |t: u32, i: u32| (f64::from(t * (i + 2)).sin() * 3.0) as f32;
        (1..=count)
            .map(|t| [value(t, 0), value(t, 1), 0.25])
            .collect()
    }

    /// Against the sum that the weights of the steps say: `s^(1/share - 1)` in its discrete form,
    /// the product of `1 - c` over the later steps.
    #[test]
    fn it_is_the_weighted_mean_that_it_says() {
        for (share, count) in [(1.0, 1), (1.0, 17), (0.1, 5), (0.1, 400), (0.25, 33)] {
            let all = steps(count);
            let mut average = Average::new(share, 3);
            all.iter().for_each(|weights| average.add(weights));
            let c = |t: usize| 1.0 / (1.0 + (t as f64 - 1.0) * share);
            let mut total = 0.0;
            let mut mean = [0.0; 3];
            for (i, weights) in all.iter().enumerate() {
                let later: f64 = (i + 2..=all.len()).map(|t| 1.0 - c(t)).product();
                total += c(i + 1) * later;
                for (mean, w) in mean.iter_mut().zip(weights) {
                    *mean += c(i + 1) * later * f64::from(*w);
                }
            }
            assert!((total - 1.0).abs() < 1e-12, "{total}");
            let found = average.weights().unwrap();
            for (found, mean) in found.iter().zip(mean) {
                assert!((f64::from(*found) - mean).abs() < 1e-6, "{found} {mean}");
            }
            // A share of 1 is the plain mean.
            if share == 1.0 {
                let plain = all.iter().map(|w| f64::from(w[0])).sum::<f64>() / f64::from(count);
                assert!((mean[0] - plain).abs() < 1e-12);
            }
            assert_eq!(found[2], 0.25);
        }
    }

    #[test]
    fn weights_that_are_not_finite_and_those_taken_back_do_not_count() {
        let mut average = Average::new(0.1, 2);
        assert_eq!(average.weights(), None);
        average.add(&[1.0, f32::NAN]);
        assert_eq!(average.weights(), None);
        average.add(&[1e30, 1.0]);
        average.forget();
        average.add(&[3.0, 4.0]);
        assert_eq!(average.weights(), Some(vec![3.0, 4.0]));
        average.add(&[f32::INFINITY, 0.0]);
        let (steps, mean) = average.state();
        assert_eq!((steps, mean), (1, &[3.0, 4.0][..]));
        let mut other = Average::new(0.1, 2);
        assert_eq!(other.restore((7, &[1.0])), None);
        assert_eq!(other.restore((7, &[1.0, f64::NAN])), None);
        assert_eq!(other.restore((1, mean)), Some(()));
        assert_eq!(other, average);
    }
}
