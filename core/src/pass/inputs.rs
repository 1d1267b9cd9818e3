//! What the layers with parameters read in a forward pass, for optimisers that learn from it.

use crate::arch::single::{piece_from, piece_mut};
use crate::plan::Plan;
use crate::plan::stage::Stage;
use crate::plan::workspace::codes_len;

/// The inputs of one layer with parameters, as the forward pass of a block of samples left them.
///
/// Seen from its weights, a layer multiplies *rows*: for a linear layer the values of a sample, for
/// a convolution the patch under the kernel at each output pixel (in one channel, if it is
/// depthwise). A row here ends with a 1, the bias's input, so its length is
/// [`row_len`](LayerInputs::row_len) `n = inputs + 1`.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LayerInputs<'a> {
    /// Number of the stage.
    pub(crate) index: usize,
    /// The stages before it, back to the first trained one.
    pub(crate) before: &'a [Stage],
    pub(crate) stage: &'a Stage,
    x: &'a [f32],
    lanes: usize,
    samples: usize,
}

impl LayerInputs<'_> {
    /// The layer, counted in [`Network::layers`](crate::network::Network::layers).
    pub fn layer(&self) -> usize {
        self.stage.layer
    }

    /// Length `n` of a row: inputs of one output, and 1 for the bias.
    pub fn row_len(&self) -> usize {
        self.stage.row_len()
    }

    /// Rows of one sample: output pixels that reach the network's output (of each channel, for a
    /// depthwise convolution). 1 for a linear layer.
    pub fn positions(&self) -> usize {
        self.stage.op.positions(&self.stage.frame)
    }

    /// Samples in the block.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Writes the row of a position and a sample to `row`, whose length must be
    /// [`row_len`](LayerInputs::row_len).
    #[inline(always)]
    pub fn row(&self, position: usize, sample: usize, row: &mut [f32]) {
        let (stage, lanes) = (self.stage, self.lanes);
        let Some((one, row)) = row.split_last_mut() else {
            return;
        };
        *one = 1.0;
        // The values of the sample from a pixel on. (`max(1)` shows the compiler that nothing
        // divides by 0.)
        let copy = |pixel: usize, values: &mut [f32]| {
            let from = self.x.get(pixel * lanes + sample..).unwrap_or_default();
            for (value, x) in values.iter_mut().zip(from.iter().step_by(lanes.max(1))) {
                *value = *x;
            }
        };
        stage.op.input_row(&stage.frame, position, row, copy);
    }

    /// Writes the rows of a position and of the samples from `first` on, as many as fit, to
    /// `rows`, one after the other: [`row`](LayerInputs::row) of each, but where a value lies is
    /// found once for all samples, which lie side by side.
    #[inline(always)]
    pub(crate) fn rows(&self, position: usize, first: usize, rows: &mut [f32]) {
        let (stage, n) = (self.stage, self.row_len().max(1));
        let samples = rows.len() / n;
        let Some(last) = samples.checked_sub(1) else {
            return;
        };
        // The pixels, as bit patterns, wait in the last row for their values.
        let Some((one, pixels)) = piece_mut(rows, last, n).and_then(|row| row.split_last_mut())
        else {
            return;
        };
        *one = 1.0;
        let list = |pixel: usize, values: &mut [f32]| {
            for (value, pixel) in values.iter_mut().zip(pixel as u32..) {
                *value = f32::from_bits(pixel);
            }
        };
        stage.op.input_row(&stage.frame, position, pixels, list);
        for i in 0..n - 1 {
            let pixel = rows.get(last * n + i).map_or(0, |pixel| pixel.to_bits());
            let from = pixel as usize * self.lanes + first;
            let values = piece_from(self.x, from, samples).unwrap_or_default();
            for (sample, x) in values.iter().enumerate() {
                if let Some(value) = rows.get_mut(sample * n + i) {
                    *value = *x;
                }
            }
        }
        for row in rows.chunks_exact_mut(n) {
            if let Some(one) = row.last_mut() {
                *one = 1.0;
            }
        }
    }
}

/// Calls `observe` for each trained layer, first to last. `maps` holds what the first of them reads
/// and what each writes.
pub(super) fn visit(
    plan: &Plan<'_>,
    maps: &[f32],
    lanes: usize,
    samples: usize,
    scratch: &mut [f32],
    observe: &mut dyn FnMut(LayerInputs<'_>, &mut [f32]),
) {
    let mut maps = maps;
    for (i, stage) in plan.trained().iter().enumerate() {
        let (Some((x, rest)), Some(before)) = (
            maps.split_at_checked(stage.frame.input.len() * lanes),
            plan.trained().get(..i),
        ) else {
            return;
        };
        if stage.outputs() > 0 && stage.op.positions(&stage.frame) > 0 {
            let inputs = LayerInputs {
                index: plan.first_trained + i,
                before,
                stage,
                x,
                lanes,
                samples,
            };
            observe(inputs, scratch);
        }
        maps = rest
            .get(codes_len(stage, lanes, true)..)
            .unwrap_or_default();
    }
}
