//! Depthwise convolution of one sample: the sums of the module above in the same order.
//!
//! The gradient of a map takes the map's place, with its margin; what is written into the margin
//! nobody reads.

use super::{DepthwiseConv2d, definition};
use crate::arch::Simd;
use crate::arch::single::{Rows, Windows, done_or, piece, piece_from, piece_mut};
use crate::layers::memory::{Forward, SingleBackward};
use crate::map::Frame;

/// The windows of one channel, and the rows of the output.
fn channel(layer: &DepthwiseConv2d, frame: &Frame) -> (Windows, Rows) {
    let (input, output) = (frame.input, frame.output);
    let windows = Windows {
        inputs: 1,
        rows: layer.kernel[0],
        columns: layer.kernel[1],
        plane: input.plane(),
        row: input.columns,
    };
    let rows = Rows {
        count: output.live_rows,
        columns: output.live_columns,
        step: layer.stride[0] * input.columns,
        pitch: output.columns,
    };
    (windows, rows)
}

/// The forward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn forward<S: Simd>(
    layer: &DepthwiseConv2d,
    simd: S,
    frame: &Frame,
    memory: Forward<'_>,
) -> Option<()> {
    let Forward { w, bias, x, y, .. } = memory;
    let ((windows, rows), stride) = (channel(layer, frame), layer.stride[1]);
    let taps = windows.terms()?;
    for (channel, bias) in bias.iter().enumerate() {
        let w = piece(w, channel, taps)?;
        let x = x.get(channel * windows.plane..)?;
        let y = y.get_mut(frame.output.at(channel, 0, 0)..)?;
        let done = simd.depthwise(windows, stride, rows, x, w, *bias, y);
        done_or(done, || {
            definition::depthwise(simd, windows, stride, rows, x, w, *bias, y)
        })?;
    }
    Some(())
}

/// The backward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward<S: Simd>(
    layer: &DepthwiseConv2d,
    simd: S,
    frame: &Frame,
    memory: SingleBackward<'_>,
) -> Option<()> {
    let SingleBackward {
        w, dw, db, x, dy, ..
    } = memory;
    let ((windows, rows), stride) = (channel(layer, frame), layer.stride[1]);
    let taps = windows.terms()?;
    for (channel, db) in db.iter_mut().enumerate() {
        let dw = piece_mut(dw, channel, taps)?;
        let x = piece(x, channel, windows.plane)?;
        let dy = dy.get(frame.output.at(channel, 0, 0)..)?;
        let mut sum = *db;
        for r in 0..rows.count {
            sum = simd.add_up(sum, piece_from(dy, r * rows.pitch, rows.columns)?);
        }
        *db = sum;
        let done = simd.depthwise_weight_gradient(windows, stride, rows, x, dy, dw);
        done_or(done, || {
            definition::depthwise_weight_gradient(simd, windows, stride, rows, x, dy, dw)
        })?;
    }
    if memory.input_gradient {
        x.get_mut(..frame.input.len())?.fill(0.0);
        for channel in 0..frame.output.channels {
            let w = piece(w, channel, taps)?;
            let dx = piece_mut(x, channel, windows.plane)?;
            let dy = dy.get(frame.output.at(channel, 0, 0)..)?;
            let done = simd.depthwise_input_gradient(windows, stride, rows, w, dy, dx);
            done_or(done, || {
                definition::depthwise_input_gradient(simd, windows, stride, rows, w, dy, dx)
            })?;
        }
    }
    Some(())
}
