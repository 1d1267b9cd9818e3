//! Fully connected layer.
//!
//! ```text
//! forward          y[o]     = b[o] + sum over i of w[o][i] x[i]
//! weight gradient  dw[o][i] = sum over samples of dy[o] x[i]
//! bias gradient    db[o]    = sum over samples of dy[o]
//! input gradient   dx[i]    = sum over o of w[o][i] dy[o]
//! ```
//! Every term is one fused multiply-add in the order of the index. The weight gradient takes one
//! sample after the other and begins with what is there, so it does not depend on the number of
//! lanes.

pub(crate) mod definition;
pub(crate) mod lanes;
pub(crate) mod single;
pub(crate) mod tangent;

use crate::shape::{LayerError, Parameters, Shape};

/// A fully connected layer; see [`linear`](crate::network::linear).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Linear {
    /// Output values.
    pub outputs: usize,
}

impl Linear {
    pub(crate) const fn output(&self) -> Result<Shape, LayerError> {
        if self.outputs == 0 {
            return Err(LayerError::Zero("outputs"));
        }
        Ok(Shape::vector(self.outputs))
    }

    pub(crate) const fn parameters(&self, input: Shape) -> Parameters {
        Parameters {
            outputs: self.outputs,
            inputs: input.len(),
        }
    }
}
