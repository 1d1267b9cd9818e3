//! Depthwise convolution of one sample at a time: the sums of [`super::depthwise`] in the same order.
//!
//! The gradient of a map takes the map's place, with its margin; what is written into the margin nobody reads.

use super::depthwise::Depthwise;
use crate::arch::Simd;
use crate::arch::single::{self, Rows, Windows, piece, piece_mut};

impl Depthwise {
    /// The windows of one channel, its rows, and its part of a map's pixels and of the output's.
    fn channel(&self) -> (Windows, Rows) {
        let (input, output) = (self.input, self.output);
        let windows = Windows {
            inputs: 1,
            rows: self.kernel,
            columns: self.kernel,
            plane: input.plane(),
            row: input.columns,
        };
        let rows = Rows {
            count: output.alive_rows,
            columns: output.alive_columns,
            step: self.stride * input.columns,
            pitch: output.columns,
        };
        (windows, rows)
    }

    /// Overwrites `y`. `None` where lengths do not fit.
    #[inline(always)]
    pub(crate) fn forward_single<S: Simd>(
        &self,
        simd: S,
        w: &[f32],
        bias: &[f32],
        x: &[f32],
        y: &mut [f32],
    ) -> Option<()> {
        let ((windows, rows), stride) = (self.channel(), self.stride);
        for (channel, bias) in bias.iter().enumerate() {
            let w = piece(w, channel, self.kernel * self.kernel)?;
            let x = piece(x, channel, self.input.plane())?;
            let y = y.get_mut(self.output.at(channel, 0, 0)..)?;
            if !simd.depthwise(windows, stride, rows, x, w, *bias, y) {
                single::depthwise(simd, windows, stride, rows, x, w, *bias, y)?;
            }
        }
        Some(())
    }

    /// Adds to `dw` and `db`.
    #[inline(always)]
    pub(crate) fn weight_gradient_single<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
        db: &mut [f32],
    ) -> Option<()> {
        let ((windows, rows), stride) = (self.channel(), self.stride);
        for (channel, db) in db.iter_mut().enumerate() {
            let dw = piece_mut(dw, channel, self.kernel * self.kernel)?;
            let x = piece(x, channel, self.input.plane())?;
            let dy = dy.get(self.output.at(channel, 0, 0)..)?;
            let mut sum = *db;
            for r in 0..rows.count {
                for dy in dy.get(r * rows.pitch..)?.get(..rows.columns)? {
                    sum += dy;
                }
            }
            *db = sum;
            if !simd.depthwise_weight_gradient(windows, stride, rows, x, dy, dw) {
                single::depthwise_weight_gradient(simd, windows, stride, rows, x, dy, dw)?;
            }
        }
        Some(())
    }

    /// Overwrites `dx`, which is laid out as the input.
    #[inline(always)]
    pub(crate) fn input_gradient_single<S: Simd>(
        &self,
        simd: S,
        w: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Option<()> {
        let ((windows, rows), stride) = (self.channel(), self.stride);
        dx.get_mut(..self.input.len())?.fill(0.0);
        for channel in 0..self.output.channels {
            let w = piece(w, channel, self.kernel * self.kernel)?;
            let dx = piece_mut(dx, channel, self.input.plane())?;
            let dy = dy.get(self.output.at(channel, 0, 0)..)?;
            if !simd.depthwise_input_gradient(windows, stride, rows, w, dy, dx) {
                single::depthwise_input_gradient(simd, windows, stride, rows, w, dy, dx)?;
            }
        }
        Some(())
    }
}
