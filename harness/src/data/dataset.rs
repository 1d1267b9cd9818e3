//! A data set in memory: samples of one shape, with a class or with numbers to predict.

use std::sync::Arc;

use secant::network::Shape;
use secant::{Affine, Normalisation, Samples, Values};
use sha2::{Digest, Sha256};

use super::elements::{Elements, Targets, size};
use super::error::DataError;
use super::predict::Predict;
use super::scaling;

/// Samples with their targets: those to train on, or those to test with.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The samples.
    pub elements: Elements,
    /// What belongs to them.
    pub targets: Targets,
}

impl Part {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// As the library takes them, normalised by one scaling for all channels, or one for each.
    pub fn samples<'a>(&'a self, scalings: &'a [Affine]) -> Samples<'a> {
        Samples {
            values: match &self.elements {
                Elements::U8(values) => Values::U8(values),
                Elements::I8(values) => Values::I8(values),
                Elements::I16(values) => Values::I16(values),
                Elements::F32(values) => Values::F32(values),
            },
            targets: match &self.targets {
                Targets::Classes(labels) => secant::Targets::U16(labels),
                Targets::Values { values, .. } => secant::Targets::F32(values),
            },
            normalisation: match scalings {
                [scaling] => Normalisation::Same(*scaling),
                scalings => Normalisation::PerChannel(scalings),
            },
        }
    }

    /// The samples `indices`, in that order; a sample has `length` elements.
    ///
    /// # Panics
    /// When an index names no sample.
    pub fn select(&self, indices: &[u32], length: usize) -> Part {
        Part {
            elements: self.elements.select(indices, length),
            targets: self.targets.select(indices),
        }
    }
}

/// What a network for a data set takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Shape of a sample.
    pub input: Shape,
    /// Values of the network's output: classes, or numbers to predict.
    pub outputs: usize,
    /// Which of these they are.
    pub predicted: Predicted,
}

/// What a network's outputs mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predicted {
    /// An output for each class.
    Classes,
    /// An output for each number to predict.
    Numbers,
}

impl Task {
    /// That of Fashion-MNIST: grey images of 28 x 28, ten classes.
    pub const FASHION_MNIST: Task = Task {
        input: Shape::new(1, 28, 28),
        outputs: 10,
        predicted: Predicted::Classes,
    };
}

/// A data set in memory.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// `fashion-mnist`, `synthetic`, or as the file or folder is called.
    pub name: String,
    /// The file or folder that it came from, or `built-in`.
    pub source: String,
    /// Shape of a sample.
    pub shape: Shape,
    /// Names of the classes, by label; empty when numbers are predicted.
    pub names: Vec<String>,
    /// Samples to train on and to validate with.
    pub train: Arc<Part>,
    /// Samples that only the last table sees.
    pub test: Arc<Part>,
    /// Per channel, from elements to numbers of mean 0 and variance 1 over `train`.
    pub scalings: Vec<Affine>,
    /// Whether the targets are the samples themselves.
    pub autoencoder: bool,
    /// From numbers to predict, as the files have them, to the targets: one for each output; none
    /// where the targets are the files' numbers, or classes.
    pub target_scalings: Vec<Affine>,
    /// SHA-256, in hexadecimal digits, of the shape and of both parts: equal for the same content,
    /// whatever files it came from.
    pub digest: String,
    /// What a person should know, a line each: classes without samples, labels that were moved, a
    /// test part that was split off.
    pub notes: Vec<String>,
}

impl Dataset {
    /// A data set of checked parts: each has `shape.len()` elements a sample, both are of one kind,
    /// and labels are below `names.len()`.
    pub fn new(
        name: String,
        source: String,
        shape: Shape,
        names: Vec<String>,
        (train, test): (Part, Part),
        notes: Vec<String>,
    ) -> Dataset {
        let mut hash = Sha256::new();
        for size in [shape.channels, shape.rows, shape.columns] {
            hash.update((size as u64).to_le_bytes());
        }
        for part in [&train, &test] {
            part.elements.hash(&mut hash);
            part.targets.hash(&mut hash);
        }
        Dataset {
            name,
            source,
            shape,
            names,
            scalings: scaling::per_channel(&train.elements, shape),
            autoencoder: false,
            target_scalings: Vec::new(),
            train: Arc::new(train),
            test: Arc::new(test),
            digest: hex(&hash.finalize()),
            notes,
        }
    }

    /// What a network for this data set takes and gives.
    pub fn task(&self) -> Task {
        let (outputs, predicted) = match &self.train.targets {
            Targets::Classes(_) => (self.names.len(), Predicted::Classes),
            Targets::Values { width, .. } => (*width, Predicted::Numbers),
        };
        Task {
            input: self.shape,
            outputs,
            predicted,
        }
    }

    /// The same with other targets, where they can be had without the files.
    ///
    /// # Errors
    /// [`DataError`] where they cannot.
    pub fn predicting(self, predict: &Predict) -> Result<Dataset, DataError> {
        let source = std::path::PathBuf::from(&self.source);
        predict.no_columns(&source)?;
        match predict {
            Predict::Input => Ok(self.reconstructed()),
            Predict::Numbers => Err(DataError::new(
                &source,
                "expected labels that are numbers, found the names of garments",
            )),
            _ => Ok(self),
        }
    }

    /// The same with each sample as its own target.
    pub(super) fn reconstructed(self) -> Dataset {
        let own = |part: Arc<Part>| {
            let part = Arc::unwrap_or_clone(part);
            let targets = Targets::Values {
                values: part.elements.to_floats(),
                width: self.shape.len(),
            };
            Part { targets, ..part }
        };
        let parts = (own(self.train), own(self.test));
        let (name, source, notes) = (self.name, self.source, self.notes);
        Dataset {
            autoencoder: true,
            ..Dataset::new(name, source, self.shape, Vec::new(), parts, notes)
        }
    }

    /// The map of each number to predict to mean 0 and variance 1 over `train`; where the targets
    /// are the samples, that of its channel.
    pub fn standard_targets(&self) -> Vec<Affine> {
        let Targets::Values { values, width } = &self.train.targets else {
            return Vec::new();
        };
        if self.autoencoder {
            let plane = self.shape.rows * self.shape.columns;
            let each = |map: &Affine| std::iter::repeat_n(*map, plane);
            return self.scalings.iter().flat_map(each).collect();
        }
        scaling::of_targets(values, *width)
    }

    /// The same with numbers to predict mapped so, one map for each; they become what the network
    /// learns.
    pub fn with_targets_scaled(self, maps: Vec<Affine>) -> Dataset {
        let mapped = |part: Arc<Part>| {
            let mut part = Arc::unwrap_or_clone(part);
            if let Targets::Values { values, width } = &mut part.targets {
                for row in values.chunks_exact_mut((*width).max(1)) {
                    for (value, map) in row.iter_mut().zip(&maps) {
                        *value = value.mul_add(map.scale, map.offset);
                    }
                }
            }
            Arc::new(part)
        };
        Dataset {
            train: mapped(self.train),
            test: mapped(self.test),
            target_scalings: maps,
            ..self
        }
    }

    /// The first number to predict outside 0 to 1, which no label is.
    pub fn not_a_label(&self) -> Option<f32> {
        let parts = [&self.train, &self.test].into_iter();
        let mut values = parts.flat_map(|part| match &part.targets {
            Targets::Values { values, .. } => values.as_slice(),
            Targets::Classes(_) => &[],
        });
        let found = values.find(|value| !(0.0..=1.0).contains(*value));
        found.copied()
    }

    /// The same elements as samples of another shape, for example the 840 columns of a table as
    /// 3 x 20 x 14.
    ///
    /// # Errors
    /// A line that says so when the shape has another number of elements.
    pub fn reshaped(self, shape: Shape) -> Result<Dataset, String> {
        let (expected, found) = (size(self.shape), size(shape));
        if expected.is_none() || expected != found {
            return Err(format!(
                "expected a shape of {} values like the {} of the data, found {}",
                expected.unwrap_or_default(),
                dimensions(self.shape),
                dimensions(shape),
            ));
        }
        let own = |part: Arc<Part>| Arc::try_unwrap(part).unwrap_or_else(|part| (*part).clone());
        let parts = (own(self.train), own(self.test));
        let (name, source, names, notes) = (self.name, self.source, self.names, self.notes);
        Ok(Dataset::new(name, source, shape, names, parts, notes))
    }
}

/// A shape as people write it: `3 x 20 x 14`.
pub fn dimensions(shape: Shape) -> String {
    format!("{} x {} x {}", shape.channels, shape.rows, shape.columns)
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
