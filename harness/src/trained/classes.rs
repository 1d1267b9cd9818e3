//! How well a network tells classes apart: which are taken for which, and how far its probabilities
//! can be believed.

use secant::{argmax, softmax};
use serde::Serialize;

/// Groups of probabilities in a calibration: 0 to .1, .1 to .2, ...
const GROUPS: usize = 10;

/// What became of some samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    /// Samples.
    pub samples: usize,
    /// Share of samples whose class is right.
    pub accuracy: f64,
    /// Mean negative logarithm of the probability of the right class.
    pub log_loss: f64,
    /// Of the samples of a class the share that is right, by class; NaN where there are none.
    pub class_accuracy: Vec<f64>,
    /// Samples by class (row) and by the class that the network says (column).
    pub confusion: Vec<Vec<usize>>,
    /// Samples by the probability of the class that the network says.
    pub calibration: Vec<Group>,
    /// Expected calibration error: the mean distance between probability and share of right ones
    /// over the groups, weighted by their samples. (Guo, Pleiss, Sun, Weinberger, ICML 2017.)
    pub calibration_error: f64,
}

/// Samples whose largest probability is about the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Group {
    /// Samples.
    pub samples: usize,
    /// Their mean largest probability; 0 for none.
    pub probability: f64,
    /// Share of them whose class is right; 0 for none.
    pub right: f64,
}

impl ClassReport {
    /// From the logits of samples, sample by sample, and the samples' classes.
    pub fn new(logits: &[f32], classes: usize, labels: impl Iterator<Item = u16>) -> ClassReport {
        let mut confusion = vec![vec![0; classes]; classes];
        let mut groups = [Group::default(); GROUPS];
        let (mut samples, mut correct, mut log_loss) = (0, 0, 0.0);
        let mut probabilities = vec![0.0; classes];
        for (logits, label) in logits.chunks_exact(classes).zip(labels) {
            let label = usize::from(label);
            let said = argmax(logits);
            probabilities.copy_from_slice(logits);
            softmax(&mut probabilities);
            let right = said == label;
            let probability = f64::from(probabilities[said]);
            let group = (probability * GROUPS as f64) as usize;
            let group = &mut groups[group.min(GROUPS - 1)];
            group.samples += 1;
            group.probability += probability;
            group.right += f64::from(u8::from(right));
            confusion[label][said] += 1;
            samples += 1;
            correct += usize::from(right);
            log_loss -= log_probability(logits, label);
        }
        let share = |part: f64, whole: usize| part / whole as f64;
        let mut calibration_error = 0.0;
        for group in groups.iter_mut().filter(|group| group.samples > 0) {
            group.probability = share(group.probability, group.samples);
            group.right = share(group.right, group.samples);
            let distance = (group.probability - group.right).abs();
            calibration_error += distance * share(group.samples as f64, samples);
        }
        let own = |(class, row): (usize, &Vec<usize>)| share(row[class] as f64, row.iter().sum());
        ClassReport {
            samples,
            accuracy: share(correct as f64, samples),
            log_loss: share(log_loss, samples),
            class_accuracy: confusion.iter().enumerate().map(own).collect(),
            confusion,
            calibration: groups.to_vec(),
            calibration_error,
        }
    }

    /// The pairs of classes (the sample's, the one said) that are mistaken most often, and how
    /// often; at most `count`.
    pub fn mistakes(&self, count: usize) -> Vec<(usize, usize, usize)> {
        let mut mistakes = Vec::new();
        for (class, row) in self.confusion.iter().enumerate() {
            for (said, times) in row.iter().enumerate() {
                if class != said && *times > 0 {
                    mistakes.push((class, said, *times));
                }
            }
        }
        mistakes.sort_by_key(|(class, said, times)| (std::cmp::Reverse(*times), *class, *said));
        mistakes.truncate(count);
        mistakes
    }
}

/// The logarithm of the probability of a class, in double precision.
fn log_probability(logits: &[f32], class: usize) -> f64 {
    let wide = |z: &f32| f64::from(*z);
    let largest = logits.iter().map(wide).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|z| (wide(z) - largest).exp()).sum();
    wide(&logits[class]) - largest - sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three classes, four samples: by hand.
    #[test]
    fn figures_are_those_by_hand() {
        let ln = f32::ln;
        let logits = [
            // .5, .25, .25: class 0, right.
            [ln(2.0), 0.0, 0.0],
            // .8, .1, .1: class 0, wrong.
            [ln(8.0), 0.0, 0.0],
            // .125, .75, .125: class 1, right.
            [0.0, ln(6.0), 0.0],
            // .1, .1, .8: class 2, right.
            [0.0, 0.0, ln(8.0)],
        ];
        let report = ClassReport::new(logits.as_flattened(), 3, [0, 1, 1, 2].into_iter());
        assert_eq!((report.samples, report.accuracy), (4, 0.75));
        assert_eq!(report.confusion, [[1, 0, 0], [1, 1, 0], [0, 0, 1]]);
        assert_eq!(report.class_accuracy, [1.0, 0.5, 1.0]);
        assert_eq!(report.mistakes(9), [(1, 0, 1)]);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
        close(report.log_loss, -(0.5_f64 * 0.1 * 0.75 * 0.8).ln() / 4.0);
        // .5 alone is in the sixth group, .75 in the eighth, both of .8 in the ninth, half right.
        close(
            report.calibration_error,
            (0.5 + 0.25 + 2.0 * (0.8 - 0.5)) / 4.0,
        );
        assert_eq!(report.calibration[5].samples, 1);
        close(report.calibration[8].right, 0.5);
    }

    #[test]
    fn a_class_without_samples_has_no_accuracy() {
        let report = ClassReport::new(&[1.0, 0.0], 2, [0].into_iter());
        assert!(report.class_accuracy[1].is_nan());
        assert_eq!(report.mistakes(3), []);
        // Logits that exp would overflow on.
        let report = ClassReport::new(&[1e4, -1e4], 2, [1].into_iter());
        assert_eq!((report.log_loss, report.accuracy), (2e4, 0.0));
    }
}
