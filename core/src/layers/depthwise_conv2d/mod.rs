//! Depthwise convolution: each channel with a kernel of its own.
//!
//! ```text
//! forward          y[c][r][q]  = b[c] + sum over u, v of w[c][u][v] x[c][r s + u - p][q t + v - o]
//! weight gradient  dw[c][u][v] = sum over samples, r, q of dy[c][r][q] x[c][r s + u - p][q t + v - o]
//! bias gradient    db[c]       = sum over samples, r, q of dy[c][r][q]
//! input gradient   dx[c][i][j] = sum over r, q of w[c][i + p - r s][j + o - q t] dy[c][r][q],
//!                                where w has that tap
//! ```
//! with strides `s` and `t`, padding `p` and `o` (the zeros are stored around `x`). Every term is
//! one fused multiply-add in the order of the indices as written. Sums of the weight gradient are
//! kept apart per lane and added by halving at the end; lane 0's begins with the gradient that is
//! there already.

pub(crate) mod definition;
pub(crate) mod single;
pub(crate) mod tangent;

use super::memory::{Backward, Forward};
use super::register_block::add_parts;
use crate::arch::Simd;
use crate::map::{Frame, Map};
use crate::shape::{LayerError, Parameters, Shape, Window};

/// A depthwise convolution; see [`depthwise_conv2d`](crate::network::depthwise_conv2d).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DepthwiseConv2d {
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Step between output pixels, in input pixels, down and to the right.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, and columns to the left and to the right.
    pub padding: [usize; 2],
}

impl DepthwiseConv2d {
    /// Where the kernel goes.
    pub(crate) const fn window(&self) -> Window {
        Window {
            size: self.kernel,
            stride: self.stride,
        }
    }

    pub(crate) const fn output(&self, input: Shape) -> Result<Shape, LayerError> {
        let image = [input.rows, input.columns];
        match self.window().positions(image, self.padding) {
            Ok([rows, columns]) => Ok(Shape::new(input.channels, rows, columns)),
            Err(error) => Err(error),
        }
    }

    pub(crate) const fn parameters(&self, input: Shape) -> Parameters {
        Parameters {
            outputs: input.channels,
            inputs: self.taps(),
        }
    }

    /// Pixels of the kernel.
    const fn taps(&self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1])
    }

    /// Copies the inputs of an output pixel into `row`: see
    /// [`LayerInputs::row`](crate::LayerInputs::row).
    #[inline(always)]
    pub(crate) fn input_row(
        &self,
        frame: &Frame,
        position: usize,
        row: &mut [f32],
        copy: impl Fn(usize, &mut [f32]),
    ) {
        // `max(1)` shows the compiler that nothing divides by 0.
        let output = &frame.output;
        let (rows, columns) = (output.live_rows.max(1), output.live_columns.max(1));
        let (line, c) = (position / columns, position % columns);
        let (channel, r) = (line / rows, line % rows);
        for (u, values) in row.chunks_exact_mut(self.kernel[1].max(1)).enumerate() {
            copy(
                self.corner(&frame.input, channel, r, c) + u * frame.input.columns,
                values,
            );
        }
    }

    /// Where the pixel under tap (0, 0) of output (r, c) lies.
    fn corner(&self, input: &Map, channel: usize, r: usize, c: usize) -> usize {
        (channel * input.rows + r * self.stride[0]) * input.columns + c * self.stride[1]
    }
}

/// `sum + a x` for all lanes of a pixel, in place.
#[inline(always)]
fn add_scaled<S: Simd, const L: usize>(simd: S, a: f32, x: &[f32; L], sum: &mut [f32; L]) {
    let a = simd.splat(a);
    for lane in (0..L).step_by(S::WIDTH) {
        let v = simd.fma(simd.load(x, lane), a, simd.load(sum, lane));
        simd.store(sum, lane, v);
    }
}

/// The forward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
    layer: &DepthwiseConv2d,
    simd: S,
    frame: &Frame,
    memory: Forward<'_>,
) -> Option<()> {
    let Forward { w, bias, x, y, .. } = memory;
    let (x, y) = (x.as_chunks::<L>().0, y.as_chunks_mut::<L>().0);
    let (input, output) = (&frame.input, &frame.output);
    let kernels = w.chunks_exact(layer.taps().max(1));
    for (channel, (w, bias)) in kernels.zip(bias).enumerate() {
        for r in 0..output.live_rows {
            for c in 0..output.live_columns {
                let mut sum = [*bias; L];
                let corner = x.get(layer.corner(input, channel, r, c)..)?;
                for (u, w) in w.chunks_exact(layer.kernel[1].max(1)).enumerate() {
                    let row = corner.get(u * input.columns..)?;
                    for (w, x) in w.iter().zip(row) {
                        add_scaled(simd, *w, x, &mut sum);
                    }
                }
                *y.get_mut(output.at(channel, r, c))? = sum;
            }
        }
    }
    Some(())
}

/// Adds to `dw` and `db`; `dy` is laid out as `gradient` says.
#[inline(always)]
fn weight_gradient<S: Simd, const L: usize>(
    layer: &DepthwiseConv2d,
    simd: S,
    input: &Map,
    gradient: Map,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: &mut [f32],
) -> Option<()> {
    let (x, dy) = (x.as_chunks::<L>().0, dy.as_chunks::<L>().0);
    let width = layer.kernel[1].max(1);
    let kernels = dw.chunks_exact_mut(layer.taps().max(1));
    for (channel, (dw, db)) in kernels.zip(db).enumerate() {
        let mut sum = [0.0; L];
        *sum.first_mut()? = *db;
        for r in 0..gradient.live_rows {
            let row = dy.get(gradient.at(channel, r, 0)..)?;
            for dy in row.iter().take(gradient.live_columns) {
                add_scaled(simd, 1.0, dy, &mut sum);
            }
        }
        *db = simd.sum(add_parts(simd, &sum));
        for (tap, dw) in dw.iter_mut().enumerate() {
            let (u, v) = (tap / width, tap % width);
            let mut sum = [0.0; L];
            *sum.first_mut()? = *dw;
            for r in 0..gradient.live_rows {
                let row = dy.get(gradient.at(channel, r, 0)..)?;
                let from = layer.corner(input, channel, r, 0) + u * input.columns + v;
                let pixels = x.get(from..)?.iter().step_by(layer.stride[1].max(1));
                for (dy, x) in row.iter().zip(pixels).take(gradient.live_columns) {
                    for lane in (0..L).step_by(S::WIDTH) {
                        let (a, b) = (simd.load(dy, lane), simd.load(x, lane));
                        let v = simd.fma(a, b, simd.load(&sum, lane));
                        simd.store(&mut sum, lane, v);
                    }
                }
            }
            *dw = simd.sum(add_parts(simd, &sum));
        }
    }
    Some(())
}

/// Overwrites `dx`; `dy` and `dx` are laid out as `gradient` and `target` say.
#[inline(always)]
fn input_gradient<S: Simd, const L: usize>(
    layer: &DepthwiseConv2d,
    simd: S,
    gradient: Map,
    target: Map,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Option<()> {
    let (dy, dx) = (dy.as_chunks::<L>().0, dx.as_chunks_mut::<L>().0);
    let (width, padding) = (layer.kernel[1].max(1), layer.padding);
    dx.get_mut(..target.len())?.fill([0.0; L]);
    for (channel, w) in w.chunks_exact(layer.taps().max(1)).enumerate() {
        for r in 0..gradient.live_rows {
            for c in 0..gradient.live_columns {
                let dy = dy.get(gradient.at(channel, r, c))?;
                for (tap, w) in w.iter().enumerate() {
                    let (u, v) = (tap / width, tap % width);
                    let row = (r * layer.stride[0] + u).wrapping_sub(padding[0]);
                    let column = (c * layer.stride[1] + v).wrapping_sub(padding[1]);
                    if row < target.live_rows && column < target.live_columns {
                        let dx = dx.get_mut(target.at(channel, row, column))?;
                        add_scaled(simd, *w, dy, dx);
                    }
                }
            }
        }
    }
    Some(())
}

/// The backward pass over a block of lanes. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
    layer: &DepthwiseConv2d,
    simd: S,
    frame: &Frame,
    memory: Backward<'_>,
) -> Option<()> {
    let Backward {
        w,
        dw,
        db,
        x,
        dy,
        dx,
        ..
    } = memory;
    let (from, to) = (frame.output.dense(), frame.input.dense());
    if memory.passes.weight_gradient {
        weight_gradient::<S, L>(layer, simd, &frame.input, from, x, dy, dw, db)?;
    }
    if memory.passes.input_gradient {
        input_gradient::<S, L>(layer, simd, from, to, w, dy, dx)?;
    }
    Some(())
}
