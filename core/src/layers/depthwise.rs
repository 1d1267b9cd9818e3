//! Depthwise convolution: each channel with a kernel of its own.
//!
//! ```text
//! forward          y[c][r][q]  = b[c] + sum over u, v of w[c][u][v] x[c][r s + u - p][q s + v - p]
//! weight gradient  dw[c][u][v] = sum over samples, r, q of dy[c][r][q] x[c][r s + u - p][q s + v - p]
//! bias gradient    db[c]       = sum over samples, r, q of dy[c][r][q]
//! input gradient   dx[c][i][j] = sum over r, q of w[c][i + p - r s][j + p - q s] dy[c][r][q], where w has that tap
//! ```
//! with stride `s` and padding `p` (the zeros are stored around `x`). Every term is one fused multiply-add in the order of the
//! indices as written. Sums of the weight gradient are kept apart a lane and added by halving at the end; lane 0's begins with
//! the gradient that is there already.

use super::add_parts;
use crate::arch::Simd;
use crate::plan::Map;

/// The shape of a depthwise convolution. The margin of `input` is the padding.
#[derive(Clone, Copy)]
pub(crate) struct Depthwise {
    pub kernel: usize,
    pub stride: usize,
    pub input: Map,
    pub output: Map,
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

impl Depthwise {
    /// Where the pixel under tap (0, 0) of output (r, c) lies.
    fn corner(&self, channel: usize, r: usize, c: usize) -> usize {
        (channel * self.input.rows + r * self.stride) * self.input.columns + c * self.stride
    }

    /// Overwrites `y`, laid out as `output` says. `None` where lengths do not fit.
    #[inline(always)]
    pub(crate) fn forward<S: Simd, const L: usize>(
        &self,
        simd: S,
        w: &[f32],
        bias: &[f32],
        x: &[f32],
        y: &mut [f32],
    ) -> Option<()> {
        let (x, y) = (x.as_chunks::<L>().0, y.as_chunks_mut::<L>().0);
        let (kernel, output) = (self.kernel, self.output);
        let kernels = w.chunks_exact((kernel * kernel).max(1));
        for (channel, (w, bias)) in kernels.zip(bias).enumerate() {
            for r in 0..output.alive_rows {
                for c in 0..output.alive_columns {
                    let mut sum = [*bias; L];
                    let corner = x.get(self.corner(channel, r, c)..)?;
                    for (u, w) in w.chunks_exact(kernel.max(1)).enumerate() {
                        let row = corner.get(u * self.input.columns..)?;
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
    pub(crate) fn weight_gradient<S: Simd, const L: usize>(
        &self,
        simd: S,
        gradient: Map,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
        db: &mut [f32],
    ) -> Option<()> {
        let (x, dy) = (x.as_chunks::<L>().0, dy.as_chunks::<L>().0);
        let kernel = self.kernel;
        let kernels = dw.chunks_exact_mut((kernel * kernel).max(1));
        for (channel, (dw, db)) in kernels.zip(db).enumerate() {
            let mut sum = [0.0; L];
            *sum.first_mut()? = *db;
            for r in 0..gradient.alive_rows {
                let row = dy.get(gradient.at(channel, r, 0)..)?;
                for dy in row.iter().take(gradient.alive_columns) {
                    add_scaled(simd, 1.0, dy, &mut sum);
                }
            }
            *db = simd.sum(add_parts(simd, &sum));
            for (tap, dw) in dw.iter_mut().enumerate() {
                let (u, v) = (tap / kernel.max(1), tap % kernel.max(1));
                let mut sum = [0.0; L];
                *sum.first_mut()? = *dw;
                for r in 0..gradient.alive_rows {
                    let row = dy.get(gradient.at(channel, r, 0)..)?;
                    let from = self.corner(channel, r, 0) + u * self.input.columns + v;
                    let pixels = x.get(from..)?.iter().step_by(self.stride.max(1));
                    for (dy, x) in row.iter().zip(pixels).take(gradient.alive_columns) {
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
    pub(crate) fn input_gradient<S: Simd, const L: usize>(
        &self,
        simd: S,
        gradient: Map,
        target: Map,
        w: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Option<()> {
        let (dy, dx) = (dy.as_chunks::<L>().0, dx.as_chunks_mut::<L>().0);
        let (kernel, padding) = (self.kernel, self.input.margin);
        dx.get_mut(..target.len())?.fill([0.0; L]);
        for (channel, w) in w.chunks_exact((kernel * kernel).max(1)).enumerate() {
            for r in 0..gradient.alive_rows {
                for c in 0..gradient.alive_columns {
                    let dy = dy.get(gradient.at(channel, r, c))?;
                    for (tap, w) in w.iter().enumerate() {
                        let (u, v) = (tap / kernel.max(1), tap % kernel.max(1));
                        let row = (r * self.stride + u).wrapping_sub(padding);
                        let column = (c * self.stride + v).wrapping_sub(padding);
                        if row < target.alive_rows && column < target.alive_columns {
                            let dx = dx.get_mut(target.at(channel, row, column))?;
                            add_scaled(simd, *w, dy, dx);
                        }
                    }
                }
            }
        }
        Some(())
    }
}
