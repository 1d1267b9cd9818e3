//! What training makes small: losses by name, and the weights of classes.

use std::fmt;
use std::str::FromStr;

use secant::Loss;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::data::dataset::{Predicted, Task};
use crate::data::elements::Targets;
use crate::optimizers::values::{positive, share};

/// A loss as the command line names it, and as `config.json` has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NamedLoss(Loss);

impl NamedLoss {
    /// The loss that fits such data: cross-entropy for classes, squared errors for numbers.
    pub fn default_for(task: Task) -> NamedLoss {
        NamedLoss(match task.predicted {
            Predicted::Classes => Loss::SoftmaxCrossEntropy,
            Predicted::Numbers => Loss::MeanSquaredError,
        })
    }

    /// `chosen`, or else the default, if it fits such data.
    ///
    /// # Errors
    /// One line that says which losses would.
    pub fn fit(chosen: Option<NamedLoss>, task: Task) -> Result<NamedLoss, String> {
        let Some(loss) = chosen else {
            return Ok(NamedLoss::default_for(task));
        };
        match (task.predicted, loss.0) {
            (Predicted::Classes, Loss::MeanSquaredError | Loss::Huber(_)) => Err(format!(
                "--loss {loss}: it needs numbers to predict, and the data has classes; choose \
                 cross-entropy, smoothed:S or bce, or take the labels as numbers with --predict \
                 numbers"
            )),
            (Predicted::Numbers, Loss::SoftmaxCrossEntropy | Loss::SmoothedCrossEntropy(_)) => {
                Err(format!(
                    "--loss {loss}: it needs a class for each sample, and the data has {} to \
                     predict; choose mse, huber:DELTA or bce",
                    match task.outputs {
                        1 => "a number".to_owned(),
                        many => format!("{many} numbers"),
                    }
                ))
            }
            _ => Ok(loss),
        }
    }

    /// The library's.
    pub fn loss(self) -> Loss {
        self.0
    }

    /// Whether numbers to predict are standardised for it: a label of binary cross-entropy is from
    /// 0 to 1 as it is.
    pub fn standardises(self) -> bool {
        matches!(self.0, Loss::MeanSquaredError | Loss::Huber(_))
    }
}

impl From<Loss> for NamedLoss {
    fn from(loss: Loss) -> NamedLoss {
        NamedLoss(loss)
    }
}

impl FromStr for NamedLoss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let loss = match (name, value) {
            ("cross-entropy", None) => Loss::SoftmaxCrossEntropy,
            ("smoothed", Some(value)) => Loss::SmoothedCrossEntropy(share(value)?),
            ("mse", None) => Loss::MeanSquaredError,
            ("huber", Some(value)) => Loss::Huber(positive(value)?),
            ("bce", None) => Loss::BinaryCrossEntropy,
            ("smoothed", None) => return Err("expected a share, as in smoothed:0.1".to_owned()),
            ("huber", None) => return Err("expected a size of errors, as in huber:1".to_owned()),
            ("cross-entropy" | "mse" | "bce", Some(_)) => {
                return Err(format!("expected {name} without a value"));
            }
            _ => {
                return Err(
                    "expected cross-entropy, smoothed:S, mse, huber:DELTA or bce".to_owned(),
                );
            }
        };
        Ok(NamedLoss(loss))
    }
}

impl fmt::Display for NamedLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Loss::SmoothedCrossEntropy(share) => write!(f, "smoothed:{share}"),
            Loss::MeanSquaredError => f.write_str("mse"),
            Loss::Huber(delta) => write!(f, "huber:{delta}"),
            Loss::BinaryCrossEntropy => f.write_str("bce"),
            _ => f.write_str("cross-entropy"),
        }
    }
}

impl Serialize for NamedLoss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How much the samples of each class count.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// `N / (C N_c)` for `N_c` of the `N` samples to train on in class `c` of `C`: each class
    /// counts alike. A class without samples has weight 1.
    Balanced,
    /// These, one for each class.
    Given(Vec<f32>),
}

impl ClassWeights {
    /// Whether they fit such data.
    ///
    /// # Errors
    /// One line that says why not.
    pub fn fit(&self, task: Task) -> Result<(), String> {
        if task.predicted == Predicted::Numbers {
            return Err("--class-weights: the data has numbers to predict, not classes".to_owned());
        }
        match self {
            ClassWeights::Given(weights) if weights.len() != task.outputs => Err(format!(
                "--class-weights: expected {} numbers, one for each class, found {}",
                task.outputs,
                weights.len()
            )),
            _ => Ok(()),
        }
    }

    /// The weights for the samples `indices` of `targets`.
    pub fn of(&self, targets: &Targets, indices: &[u32], classes: usize) -> Vec<f32> {
        match self {
            ClassWeights::Given(weights) => weights.clone(),
            ClassWeights::Balanced => {
                let counts = targets.select(indices).counts(classes);
                let all = indices.len() as f64;
                let weight = |count: &usize| match count {
                    0 => 1.0,
                    _ => (all / (classes as f64 * *count as f64)) as f32,
                };
                counts.iter().map(weight).collect()
            }
        }
    }
}

impl FromStr for ClassWeights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "balanced" {
            return Ok(ClassWeights::Balanced);
        }
        let weights: Result<Vec<f32>, String> = text.split(',').map(positive).collect();
        weights
            .map(ClassWeights::Given)
            .map_err(|_| "expected 'balanced', or a number above 0 for each class".to_owned())
    }
}

/// As it is read.
impl fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClassWeights::Balanced => f.write_str("balanced"),
            ClassWeights::Given(weights) => {
                let weights: Vec<String> = weights.iter().map(f32::to_string).collect();
                f.write_str(&weights.join(","))
            }
        }
    }
}

/// As it is written: a name, or a number for each class.
impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Name(String),
            Each(Vec<f32>),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Name(name) => name,
            Written::Each(weights) => ClassWeights::Given(weights).to_string(),
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ClassWeights::Balanced => serializer.serialize_str("balanced"),
            ClassWeights::Given(weights) => weights.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["cross-entropy", "smoothed:0.1", "mse", "huber:1.5", "bce"] {
            assert_eq!(name.parse::<NamedLoss>().unwrap().to_string(), name);
        }
        for name in [
            "",
            "l2",
            "mse:1",
            "huber",
            "huber:0",
            "huber:x",
            "smoothed",
            "smoothed:1",
            "huber:nan",
        ] {
            assert!(name.parse::<NamedLoss>().is_err(), "{name}");
        }
    }

    #[test]
    fn balanced_weights_make_classes_count_alike() {
        let targets = Targets::Classes(vec![0, 0, 0, 1, 3, 3, 1, 1]);
        // Of the first six: 3, 1, 0 and 2.
        let weights = ClassWeights::Balanced.of(&targets, &[0, 1, 2, 3, 4, 5], 4);
        assert_eq!(weights, [0.5, 1.5, 1.0, 0.75]);
        assert_eq!(
            "1,2.5".parse::<ClassWeights>(),
            Ok(ClassWeights::Given(vec![1.0, 2.5]))
        );
        for text in ["", "1,", "1,-2", "1,0", "1,nan", "even"] {
            assert!(text.parse::<ClassWeights>().is_err(), "{text}");
        }
    }
}
