//! What the layers with parameters read in a forward pass, for optimisers that learn from it.

use crate::plan::{Op, Stage};

/// The inputs of one layer with parameters, as the forward pass of a block of samples left them.
///
/// Seen from its weights, a layer multiplies *rows*: for a linear layer the values of a sample, for a convolution the patch
/// under the kernel at each output pixel (in one channel, if it is depthwise). A row here ends with a 1, the bias's input, so its length is
/// [`row_len`](LayerInputs::row_len) `n = inputs + 1`.
#[derive(Debug, Clone, Copy)]
pub struct LayerInputs<'a> {
    pub(crate) stages: &'a [Stage],
    pub(crate) index: usize,
    x: &'a [f32],
    lanes: usize,
    samples: usize,
}

impl LayerInputs<'_> {
    fn stage(&self) -> &Stage {
        &self.stages[self.index]
    }

    /// The layer, counted in [`Network::layers`](crate::Network::layers).
    pub fn layer(&self) -> usize {
        self.stage().layer
    }

    /// Length `n` of a row: inputs of one output, and 1 for the bias.
    pub fn row_len(&self) -> usize {
        self.stage().row_len()
    }

    /// Rows of one sample: output pixels that reach the network's output (of each channel, for a depthwise convolution). 1 for
    /// a linear layer.
    pub fn positions(&self) -> usize {
        match self.stage().op {
            Op::Depthwise { .. } => self.stage().output.alive_len(),
            Op::Conv2d { .. } => self.stage().rows * self.stage().columns,
            _ => 1,
        }
    }

    /// Samples in the block.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Writes the row of a position and a sample to `row`, whose length must be [`row_len`](LayerInputs::row_len).
    #[inline(always)]
    pub fn row(&self, position: usize, sample: usize, row: &mut [f32]) {
        let (stage, lanes) = (self.stage(), self.lanes);
        let Some((one, row)) = row.split_last_mut() else {
            return;
        };
        *one = 1.0;
        match stage.op {
            Op::Conv2d { kernel, stride } => {
                let (r, c) = (position / stage.columns, position % stage.columns);
                let map = &stage.input;
                for (segment, values) in row.chunks_exact_mut(kernel).enumerate() {
                    let (channel, u) = (segment / kernel, segment % kernel);
                    let pixel = (channel * map.rows + r * stride + u) * map.columns + c * stride;
                    let from = self.x[pixel * lanes + sample..].iter().step_by(lanes);
                    for (value, x) in values.iter_mut().zip(from) {
                        *value = *x;
                    }
                }
            }
            Op::Depthwise { kernel, stride } => {
                let (map, output) = (&stage.input, &stage.output);
                let (line, c) = (
                    position / output.alive_columns,
                    position % output.alive_columns,
                );
                let (channel, r) = (line / output.alive_rows, line % output.alive_rows);
                for (u, values) in row.chunks_exact_mut(kernel).enumerate() {
                    let pixel = (channel * map.rows + r * stride + u) * map.columns + c * stride;
                    let from = self.x[pixel * lanes + sample..].iter().step_by(lanes);
                    for (value, x) in values.iter_mut().zip(from) {
                        *value = *x;
                    }
                }
            }
            _ => {
                let from = self.x[sample..].iter().step_by(lanes);
                for (value, x) in row.iter_mut().zip(from) {
                    *value = *x;
                }
            }
        }
    }
}

/// Calls `observe` for each layer with parameters, first to last. `maps` holds the network's input and the maps of all stages.
pub(crate) fn visit(
    stages: &[Stage],
    maps: &[f32],
    lanes: usize,
    samples: usize,
    scratch: &mut [f32],
    observe: &mut dyn FnMut(LayerInputs<'_>, &mut [f32]),
) {
    let mut begin = 0;
    for (index, stage) in stages.iter().enumerate() {
        let len = stage.input.len() * lanes;
        if stage.outputs() > 0 {
            let x = &maps[begin..][..len];
            let inputs = LayerInputs {
                stages,
                index,
                x,
                lanes,
                samples,
            };
            observe(inputs, scratch);
        }
        begin += len
            + if lanes == 1 {
                stage.codes_len()
            } else {
                stage.code_len(lanes)
            };
    }
}
