//! How good a network is on some samples: its loss, and the figure that people judge it by.
//!
//! | what is predicted | figure | better |
//! |---|---|---|
//! | classes | accuracy: share of samples whose class is right | higher |
//! | labels (`bce` on numbers) | share of labels that are right: an output above 0 against a target of 0.5 or more | higher |
//! | numbers | RMSE in the data's own units: root of the mean squared error over samples and outputs | lower |
//!
//! Beside the RMSE stands R squared, `1 - sum of squared errors / sum of squared deviations of the
//! targets from their mean over these samples`, both summed over the outputs in the units in which
//! they were trained, so that no output counts more for the size of its unit.

use secant::{Affine, Loss};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::data::dataset::{Dataset, Part};
use crate::data::elements::Targets;
use crate::engine::{Engine, Errors};

/// The figure that a network is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of samples whose class is right.
    #[default]
    Accuracy,
    /// Share of labels that are right.
    LabelsRight,
    /// Root of the mean squared error, in the data's own units.
    Rmse,
}

impl Measure {
    /// The one for such targets and such a loss.
    pub fn of(targets: &Targets, loss: Loss) -> Measure {
        match (targets, loss) {
            (Targets::Classes(_), _) => Measure::Accuracy,
            (Targets::Values { .. }, Loss::BinaryCrossEntropy) => Measure::LabelsRight,
            (Targets::Values { .. }, _) => Measure::Rmse,
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Accuracy => "accuracy",
            Measure::LabelsRight => "labels right",
            Measure::Rmse => "RMSE",
        }
    }

    /// As part of a key: `test_accuracy`.
    pub fn key(self) -> &'static str {
        match self {
            Measure::Accuracy => "accuracy",
            Measure::LabelsRight => "labels_right",
            Measure::Rmse => "rmse",
        }
    }

    /// With its unit, for the axis of a figure.
    pub fn axis(self) -> String {
        match self {
            Measure::Rmse => self.name().to_owned(),
            _ => format!("{} (%)", self.name()),
        }
    }

    /// 1 where higher is better, -1 where lower is.
    pub fn sign(self) -> f64 {
        match self {
            Measure::Rmse => -1.0,
            _ => 1.0,
        }
    }

    /// What a value is multiplied with to be shown.
    pub fn factor(self) -> f64 {
        match self {
            Measure::Rmse => 1.0,
            _ => 100.0,
        }
    }

    /// What a run gets that went wrong.
    pub fn worst(self) -> f64 {
        match self {
            Measure::Rmse => f64::INFINITY,
            _ => 0.0,
        }
    }

    /// Whether the value `a` is at least as good as `b`.
    pub fn reaches(self, a: f64, b: f64) -> bool {
        self.sign() * a >= self.sign() * b
    }

    /// A value as people read it: `89.74 %`, `0.1234`.
    pub fn show(self, value: f64) -> String {
        match self {
            Measure::Rmse => number(value),
            _ => format!("{:.2} %", 100.0 * value),
        }
    }
}

/// A number of any size, with four digits or so.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) && value.is_finite() {
        format!("{value:.3e}")
    } else if size < 100.0 {
        format!("{value:.4}")
    } else {
        format!("{value:.2}")
    }
}

/// How good a network is on some samples.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Score {
    /// Mean loss, in the units in which the network was trained.
    pub loss: f64,
    /// Samples.
    pub count: u32,
    /// What `value` is.
    pub measure: Measure,
    /// The figure to judge by.
    pub value: f64,
    /// R squared, with [`Measure::Rmse`]; none where the targets are all equal.
    pub r_squared: Option<f64>,
}

/// A score, and what is behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The score.
    pub score: Score,
    /// RMSE of each output, with [`Measure::Rmse`]; else empty.
    pub outputs: Vec<f64>,
    /// Of each sample the class that it was given; empty where numbers are predicted.
    pub classes: Vec<u32>,
}

/// The network with these parameters on the samples `indices` of `part`, which belongs to `dataset`
/// and is the engine's. One forward pass.
pub fn score(
    engine: &mut Engine,
    parameters: &[f32],
    (part, indices): (&Part, &[u32]),
    dataset: &Dataset,
    measure: Measure,
) -> Judged {
    let (metrics, errors) = engine.evaluate(parameters, indices);
    let mut score = Score {
        loss: metrics.mean_loss(),
        count: metrics.count,
        measure,
        value: metrics.accuracy(),
        r_squared: None,
    };
    let mut outputs = Vec::new();
    if let Targets::Values { values, width } = &part.targets {
        let count = indices.len() as f64;
        let all = count * *width as f64;
        if measure == Measure::LabelsRight {
            score.value = errors.right as f64 / all;
        } else {
            let squares = in_own_units(&errors, &dataset.target_scalings);
            let deviations: f64 = deviations(values, *width, indices).iter().sum();
            let left = errors.squares.iter().sum::<f64>() / deviations;
            score.value = (squares.iter().sum::<f64>() / all).sqrt();
            score.r_squared = (deviations > 0.0).then_some(1.0 - left);
            outputs = squares.iter().map(|sum| (sum / count).sqrt()).collect();
        }
    }
    Judged {
        score,
        outputs,
        classes: errors.classes,
    }
}

/// The outputs' sums of squares, each in the unit of its target.
fn in_own_units(errors: &Errors, scalings: &[Affine]) -> Vec<f64> {
    let scale = |c: usize| scalings.get(c).map_or(1.0, |map| f64::from(map.scale));
    let squares = errors.squares.iter().enumerate();
    squares
        .map(|(c, sum)| sum / (scale(c) * scale(c)))
        .collect()
}

/// Of each output the mean over the samples `indices`.
fn means(values: &[f32], width: usize, indices: &[u32]) -> Vec<f64> {
    let mut sums = vec![0.0; width];
    for &index in indices {
        let row = &values[index as usize * width..][..width];
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    let count = indices.len().max(1) as f64;
    sums.iter().map(|sum| sum / count).collect()
}

/// Of each output the sum of squared deviations from the mean.
fn deviations(values: &[f32], width: usize, indices: &[u32]) -> Vec<f64> {
    let means = means(values, width, indices);
    let mut sums = vec![0.0; width];
    for &index in indices {
        let row = &values[index as usize * width..][..width];
        for ((sum, value), mean) in sums.iter_mut().zip(row).zip(&means) {
            *sum += (f64::from(*value) - mean) * (f64::from(*value) - mean);
        }
    }
    sums
}

/// What the best constant answer would get on some samples: always the most frequent class, the
/// mean, the frequency of each label. A network that is no better has learned nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// Its mean loss.
    pub loss: f64,
    /// Its figure.
    pub value: f64,
}

impl Guess {
    /// On the samples `indices` of `part`; `outputs` are the network's.
    ///
    /// ```text
    /// classes   q_k = sum of w_c f_c t_k(c) / W     loss = -W sum of q_k ln q_k            value = max f_c
    /// labels    m_k = mean of t_k                   loss = mean of H(m_k)                  value = mean of max(p_k, 1 - p_k)
    /// numbers   m_k = mean of t_k                   loss of the constant m                 value = RMSE of the constant m
    /// ```
    ///
    /// with `f_c` the share of class `c`, `w_c` its weight, `W` the sum of `w_c f_c`, `t_k(c)` the
    /// target of output `k`, `H` the entropy of a coin, and `p_k` the share of labels of 0.5 or
    /// more.
    pub fn new(
        loss: Loss,
        (part, indices): (&Part, &[u32]),
        (outputs, class_weights): (usize, &[f32]),
        scalings: &[Affine],
    ) -> Guess {
        let count = indices.len().max(1) as f64;
        match &part.targets {
            Targets::Classes(_) => {
                let counts = part.targets.select(indices).counts(outputs);
                let most = counts.iter().max().map_or(0.0, |most| *most as f64 / count);
                let weight = |c: usize| class_weights.get(c).map_or(1.0, |w| f64::from(*w));
                let shares = counts.iter().enumerate();
                let shares: Vec<f64> = shares.map(|(c, n)| weight(c) * *n as f64 / count).collect();
                let total: f64 = shares.iter().sum();
                let smoothing = match loss {
                    Loss::SmoothedCrossEntropy(smoothing) => f64::from(smoothing),
                    _ => 0.0,
                };
                let rest = smoothing / outputs.max(1) as f64;
                let answers = shares.iter().map(|x| (1.0 - smoothing) * x / total + rest);
                let loss = if loss == Loss::BinaryCrossEntropy {
                    answers.map(coin).sum::<f64>() / outputs.max(1) as f64
                } else {
                    -answers.map(x_ln_x).sum::<f64>()
                };
                Guess {
                    loss: total * loss,
                    value: most,
                }
            }
            Targets::Values { values, width } => {
                let means = means(values, *width, indices);
                let outputs = (*width).max(1) as f64;
                let each = |term: &dyn Fn(f64, f64) -> f64| {
                    let rows = indices
                        .iter()
                        .map(|i| &values[*i as usize * width..][..*width]);
                    let sum: f64 = rows
                        .flat_map(|row| row.iter().zip(&means))
                        .map(|(value, mean)| term(f64::from(*value), *mean))
                        .sum();
                    sum / (count * outputs)
                };
                if loss == Loss::BinaryCrossEntropy {
                    let yes = |value: &f32| if *value >= 0.5 { 1.0 } else { 0.0 };
                    let labels: Vec<f32> = values.iter().map(yes).collect();
                    let shares = self::means(&labels, *width, indices);
                    return Guess {
                        loss: means.into_iter().map(coin).sum::<f64>() / outputs,
                        value: shares.iter().map(|p| p.max(1.0 - p)).sum::<f64>() / outputs,
                    };
                }
                let loss = match loss {
                    Loss::Huber(delta) => each(&|value, mean| {
                        let (error, delta) = ((value - mean).abs(), f64::from(delta));
                        if error <= delta {
                            0.5 * error * error
                        } else {
                            delta * (error - 0.5 * delta)
                        }
                    }),
                    _ => each(&|value, mean| (value - mean) * (value - mean)),
                };
                let squares = Errors {
                    squares: deviations(values, *width, indices),
                    ..Errors::default()
                };
                let squares: f64 = in_own_units(&squares, scalings).iter().sum();
                Guess {
                    loss,
                    value: (squares / (count * outputs)).sqrt(),
                }
            }
        }
    }

    /// How much of the way from the guess to perfection a score has gone: 0 is no better, 1 is all
    /// right. For numbers that is R squared.
    pub fn skill(&self, score: &Score) -> f64 {
        match score.measure {
            Measure::Rmse => score.r_squared.unwrap_or(1.0),
            _ if self.value >= 1.0 => 1.0 + (score.value - self.value),
            _ => (score.value - self.value) / (1.0 - self.value),
        }
    }
}

/// `x ln x`, 0 at 0.
fn x_ln_x(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}

/// The entropy of a coin that shows its face with probability `p`.
fn coin(p: f64) -> f64 {
    -x_ln_x(p) - x_ln_x(1.0 - p)
}

/// Numbers under names that are known only at run time, as part of a JSON object.
#[derive(Debug, Clone, Default)]
pub struct Numbers(pub Vec<(String, Option<f64>)>);

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::elements::Elements;

    fn part(targets: Targets) -> Part {
        Part {
            elements: Elements::U8(vec![0; targets.len()]),
            targets,
        }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    /// The least mean loss of a constant output, found by trying many.
    fn least(loss: impl Fn(f64) -> f64) -> f64 {
        let tried = (-8000..8000).map(|i| loss(f64::from(i) / 1000.0));
        tried.fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn no_constant_answer_beats_the_guess_on_classes() {
        let part = part(Targets::Classes(vec![0, 0, 0, 1]));
        let all = [0, 1, 2, 3];
        let weighted = |weights: &[f32], loss| Guess::new(loss, (&part, &all), (2, weights), &[]);
        let guess = weighted(&[], Loss::SoftmaxCrossEntropy);
        close(guess.value, 0.75);
        // Two logits are one, z: the loss of class 0 is ln(1 + exp(-z)).
        let softplus = |z: f64| z.exp().ln_1p();
        let best = least(|z| 0.75 * softplus(-z) + 0.25 * softplus(z));
        assert!((guess.loss - best).abs() < 1e-6);
        let guess = weighted(&[1.0, 4.0], Loss::SoftmaxCrossEntropy);
        let best = least(|z| 0.75 * softplus(-z) + 4.0 * 0.25 * softplus(z));
        assert!((guess.loss - best).abs() < 1e-6);
        let guess = weighted(&[], Loss::SmoothedCrossEntropy(0.2));
        let smooth = |z: f64| 0.9 * softplus(-z) + 0.1 * softplus(z);
        let best = least(|z| 0.75 * smooth(z) + 0.25 * smooth(-z));
        assert!((guess.loss - best).abs() < 1e-6);
        let guess = weighted(&[], Loss::BinaryCrossEntropy);
        let best = least(|z| 0.75 * softplus(-z) + 0.25 * softplus(z));
        assert!((guess.loss - best).abs() < 1e-6, "both outputs alike");
    }

    #[test]
    fn the_guess_on_numbers_is_the_mean() {
        let values = vec![1.0, 10.0, 3.0, 30.0, 5.0, 50.0, 99.0, 99.0];
        let part = part(Targets::Values { values, width: 2 });
        // The last sample does not count. Variances 8/3 and 800/3.
        let guess =
            |loss, scalings: &[Affine]| Guess::new(loss, (&part, &[0, 1, 2]), (2, &[]), scalings);
        let mse = guess(Loss::MeanSquaredError, &[]);
        close(mse.loss, 404.0 / 3.0);
        close(mse.value, (404f64 / 3.0).sqrt());
        // In units of a tenth, the second output's error is a tenth.
        let scalings = [1.0, 10.0].map(|scale| Affine { scale, offset: 0.0 });
        close(
            guess(Loss::MeanSquaredError, &scalings).value,
            (8.0f64 / 3.0).sqrt(),
        );
        // |e| = 2, 0, 2 and 20, 0, 20.
        close(
            guess(Loss::Huber(2.0), &[]).loss,
            (2.0 * 2.0 + 2.0 * 38.0) / 6.0,
        );
    }

    #[test]
    fn skill_runs_from_the_guess_to_perfection() {
        let score = |measure, value, r_squared| Score {
            loss: 0.0,
            count: 10,
            measure,
            value,
            r_squared,
        };
        let guess = |value| Guess { loss: 1.0, value };
        close(
            guess(0.5).skill(&score(Measure::Accuracy, 0.52, None)),
            0.04,
        );
        close(
            guess(0.01).skill(&score(Measure::Accuracy, 0.3, None)),
            0.29 / 0.99,
        );
        close(guess(1.0).skill(&score(Measure::Accuracy, 1.0, None)), 1.0);
        close(guess(1.0).skill(&score(Measure::Accuracy, 0.5, None)), 0.5);
        close(guess(7.0).skill(&score(Measure::Rmse, 3.0, Some(0.8))), 0.8);
        close(guess(0.0).skill(&score(Measure::Rmse, 3.0, None)), 1.0);
    }

    #[test]
    fn numbers_are_short_at_any_size() {
        for (value, text) in [
            (0.0, "0.0000"),
            (0.12345, "0.1235"),
            (123.456, "123.46"),
            (1.5e7, "1.500e7"),
            (-2.5e-5, "-2.500e-5"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
