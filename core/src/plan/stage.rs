//! A stage: an operation, and the relu and the max-pool that follow it.

use crate::layers::Layer;
use crate::layers::conv2d::Convolution;
use crate::map::{Frame, Map};
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

    /// Whether its outputs are sums of products of weights and inputs.
    pub const fn has_linear_weights(&self) -> bool {
        self.op.is_linear() && self.outputs() > 0
    }

    /// Columns of the weight matrix with the bias as its last: inputs of one output, and 1.
    pub const fn row_len(&self) -> usize {
        self.weights.inputs + 1
    }

    /// Multiply-accumulates of one sample in each pass of the operation, dead outputs left out.
    pub const fn multiply_accumulates(&self) -> usize {
        self.weights.weights() * self.frame.rows * self.frame.columns
    }

    /// Rows of the operation's own output that are computed at a time, of one sample: those of a
    /// window of the pool; all if there is none.
    pub const fn rows_of_own(&self) -> usize {
        match self.frame.pool {
            Some(pool) => pool.size[0],
            None => self.frame.rows,
        }
    }

    /// The operation alone, `rows` rows of its own output at a time, which are stored densely.
    pub const fn bare(&self, rows: usize) -> Stage {
        let columns = self.frame.columns;
        let output = Map {
            channels: self.frame.output.channels,
            rows,
            columns,
            margin: [0; 2],
            live_rows: rows,
            live_columns: columns,
        };
        let frame = Frame {
            rows,
            relu: false,
            pool: None,
            output,
            ..self.frame
        };
        // As the stage itself is computed.
        let op = match self.op {
            Layer::Conv2d(layer) if !layer.is_winograd(&self.frame) => {
                self.op.computed(Convolution::Direct)
            }
            op => op,
        };
        Stage { op, frame, ..*self }
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
