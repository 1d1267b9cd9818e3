//! A stage: an operation, and the relu and the max-pool that follow it.

use crate::layers::Layer;
use crate::map::Frame;
use crate::shape::Parameters;

/// An operation, the relu and the max-pool that follow it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Stage {
    /// The operation. A relu or a pool stands here if it has nothing to follow.
    pub op: Layer,
    /// What it reads, computes and leaves.
    pub frame: Frame,
    /// The operation's weights.
    pub weights: Parameters,
    /// Where they begin.
    pub parameters: usize,
    /// Index of the operation's layer.
    pub layer: usize,
    /// Whether a forward pass of one sample that keeps no map hands the output on row by row.
    pub streams: bool,
    /// Rows of its output that such a pass computes at once, if there are as many and no other
    /// number is better.
    pub at_once: usize,
}

impl Stage {
    pub const EMPTY: Stage = Stage {
        op: Layer::Relu,
        frame: Frame::EMPTY,
        weights: Parameters::NONE,
        parameters: 0,
        layer: 0,
        streams: false,
        at_once: 1,
    };

    /// Rows of the weight matrix: output channels of a convolution, outputs of a linear layer, 0
    /// without parameters.
    pub const fn outputs(&self) -> usize {
        self.weights.outputs
    }

    /// Columns of the weight matrix with the bias as its last: inputs of one output, and 1.
    pub const fn row_len(&self) -> usize {
        self.weights.inputs + 1
    }

    /// Multiply-accumulates of one sample in each pass of the operation, dead outputs left out.
    pub const fn multiply_accumulates(&self) -> usize {
        self.weights.weights() * self.frame.rows * self.frame.columns
    }

    /// The weights and the biases in a flat slice of parameters.
    pub fn ranges(&self) -> (core::ops::Range<usize>, core::ops::Range<usize>) {
        let biases = self.parameters + self.weights.weights();
        (
            self.parameters..biases,
            biases..biases + self.weights.outputs,
        )
    }
}
