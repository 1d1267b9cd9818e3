//! What a pass is given beside network and parameters, and what it returns.

use crate::layers::draw::DropoutKey;
use crate::samples::Samples;

/// The samples of one pass, and what their loss counts. Make one with [`Batch::new`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Batch<'a> {
    /// The data set.
    pub samples: Samples<'a>,
    /// Which samples, in order.
    pub indices: &'a [u32],
    /// Factor of each sample's loss in the gradient: `1 / batch size` gives the gradient of the
    /// mean.
    pub weight: f32,
    /// A factor for each class, of the losses of its samples; empty for none.
    pub class_weights: &'a [f32],
    /// Dropout's random choice; `None` leaves dropout layers out.
    pub dropout: Option<DropoutKey>,
}

impl<'a> Batch<'a> {
    /// These samples, with the weight `1 / indices.len()`, without class weights and dropout.
    pub const fn new(samples: Samples<'a>, indices: &'a [u32]) -> Batch<'a> {
        Batch {
            samples,
            indices,
            weight: 1.0 / indices.len() as f32,
            class_weights: &[],
            dropout: None,
        }
    }

    /// The same with another factor of each sample's loss in the gradient.
    #[must_use]
    pub const fn weight(self, weight: f32) -> Batch<'a> {
        Batch { weight, ..self }
    }

    /// The same with a factor for each class: the losses of its samples, and their gradients, are
    /// multiplied with it. `N / (classes * N_c)`, with `N_c` of `N` samples in class `c`, makes up
    /// for classes of unequal size.
    #[must_use]
    pub const fn class_weights(self, class_weights: &'a [f32]) -> Batch<'a> {
        Batch {
            class_weights,
            ..self
        }
    }

    /// The same with that random choice of dropout; `None` leaves dropout layers out.
    #[must_use]
    pub const fn dropout(self, dropout: Option<DropoutKey>) -> Batch<'a> {
        Batch { dropout, ..self }
    }
}

/// Sums over the samples of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Metrics {
    /// Sum of the samples' losses, without the batch's weight.
    pub loss: f64,
    /// Samples whose class came out right; 0 where targets are vectors.
    pub correct: u32,
    /// Samples in all.
    pub count: u32,
}

impl Metrics {
    /// Of no samples.
    pub const NONE: Metrics = Metrics {
        loss: 0.0,
        correct: 0,
        count: 0,
    };

    /// Mean loss per sample.
    pub fn mean_loss(&self) -> f64 {
        self.loss / f64::from(self.count)
    }

    /// Share of samples whose class came out right.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.correct) / f64::from(self.count)
    }
}

impl core::ops::AddAssign for Metrics {
    fn add_assign(&mut self, other: Metrics) {
        self.loss += other.loss;
        self.correct += other.correct;
        self.count += other.count;
    }
}

/// Arguments of a pass that do not fit the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PassError {
    /// The parameters are not [`parameter_count`](crate::network::Network::parameter_count) long:
    /// those of frozen layers do not belong to them.
    Parameters {
        /// The network's number.
        expected: usize,
        /// The slice's length.
        found: usize,
    },
    /// The gradient is not as long as the parameters.
    Gradient {
        /// The network's number.
        expected: usize,
        /// The slice's length.
        found: usize,
    },
    /// The vector of a product with a curvature matrix, or the product, is not as long as the
    /// parameters.
    Product {
        /// The network's number.
        expected: usize,
        /// The slice's length.
        found: usize,
    },
    /// The workspace is too short.
    Workspace {
        /// Floats that the pass needs.
        expected: usize,
        /// The slice's length.
        found: usize,
    },
    /// The values are not a number of whole samples, or not as many as there are targets.
    Values {
        /// Values of one sample.
        sample: usize,
        /// Values there are.
        found: usize,
    },
    /// The normalisation has a scaling for each channel, but not for each of this network's.
    Channels {
        /// Channels of the network's input.
        expected: usize,
        /// Scalings there are.
        found: usize,
    },
    /// An index past the last sample.
    Index(u32),
    /// A label past the network's last class.
    Label {
        /// The label.
        label: u16,
        /// Classes of the network.
        classes: usize,
    },
    /// The loss needs targets of another kind: there are none, or vectors for a softmax.
    Targets,
    /// There is not one class weight for each class.
    ClassWeights {
        /// Classes of the network.
        expected: usize,
        /// Weights there are.
        found: usize,
    },
    /// The outputs are not the number of samples times the network's outputs long.
    Outputs {
        /// Floats needed.
        expected: usize,
        /// The slice's length.
        found: usize,
    },
    /// There is no sample in the batch.
    Empty,
}

impl core::fmt::Display for PassError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            PassError::Parameters { expected, found } => {
                write!(f, "the network has {expected} parameters, not {found}")
            }
            PassError::Gradient { expected, found } => {
                write!(f, "the gradient must have {expected} floats, not {found}")
            }
            PassError::Product { expected, found } => write!(
                f,
                "the vector and its product must have {expected} floats, not {found}"
            ),
            PassError::Workspace { expected, found } => {
                write!(f, "the workspace must have {expected} floats, not {found}")
            }
            PassError::Values { sample, found } => write!(
                f,
                "{found} values are not the number of targets times the {sample} of a sample"
            ),
            PassError::Channels { expected, found } => write!(
                f,
                "the network's input has {expected} channels, the normalisation {found}"
            ),
            PassError::Index(index) => write!(f, "there is no sample {index}"),
            PassError::Label { label, classes } => {
                write!(
                    f,
                    "label {label} is not one of the network's {classes} classes, 0 to "
                )?;
                write!(f, "{}", classes.saturating_sub(1))
            }
            PassError::Targets => f.write_str(
                "the loss needs other targets: a class per sample, or for losses other than \
                 cross-entropy a value per output",
            ),
            PassError::ClassWeights { expected, found } => {
                write!(
                    f,
                    "the network has {expected} classes, not {found} class weights"
                )
            }
            PassError::Outputs { expected, found } => {
                write!(f, "the outputs must have {expected} floats, not {found}")
            }
            PassError::Empty => f.write_str("the batch has no sample"),
        }
    }
}

impl core::error::Error for PassError {}
