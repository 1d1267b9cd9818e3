//! Two-dimensional convolution.
//!
//! ```text
//! forward          y[o][r][c]     = b[o] + sum over i, u, v of  w[o][i][u][v] x[i][r s + u][c s + v]
//! weight gradient  dw[o][i][u][v] = sum over samples, r, c of   dy[o][r][c]   x[i][r s + u][c s + v]
//! bias gradient    db[o]          = sum over samples, r, c of   dy[o][r][c]
//! input gradient   dx[i][r][c]    = sum over o, u, v of         w[o][i][k-1-u][k-1-v] dy'[o][r + p + u][c + p + v]
//! ```
//! with stride `s`, kernel `k`, padding `p` (the zeros are stored around `x`), and `dy'` the output gradient with `s - 1` zeros
//! between its pixels and a frame of `k - 1` zeros: so the input gradient is a forward pass with stride 1 and turned weights.
//!
//! Every term is one fused multiply-add, in the order of the indices as written (the last one runs fastest). Sums of the weight
//! gradient are kept apart a lane and added by halving at the end; lane 0's begins with the gradient that is there already.
//!
//! A register block is `B` output channels x `T` vectors. A row of pixels times lanes is one run of floats, so that vectors
//! run over it whatever the lanes; with stride 1 a step of the kernel to the right is an offset of `lanes` floats.

use super::{MOST_PARTS, sum_lanes};
use crate::arch::Simd;

/// Output channels in the next register block, of `left`: the largest of 8, 4, 2, 1 that fits and that the registers hold.
pub(crate) fn block<S: Simd>(left: usize) -> usize {
    let mut size = S::BLOCK;
    while size > left {
        size /= 2;
    }
    size
}

/// Packs the weights of output channels `first..first + count` for [`Row::run`]: block by block, and in a block
/// `[input][u][v][channel]`, so that a block's next weights always lie side by side.
pub(crate) fn pack_forward<S: Simd>(
    weights: &[f32],
    inputs: usize,
    kernel: usize,
    first: usize,
    count: usize,
    packed: &mut [f32],
) {
    let terms = inputs * kernel * kernel;
    let mut done = 0;
    while done < count {
        let size = block::<S>(count - done);
        for b in 0..size {
            let source = &weights[(first + done + b) * terms..][..terms];
            let target = packed[done * terms..][..size * terms]
                .iter_mut()
                .skip(b)
                .step_by(size);
            for (target, source) in target.zip(source) {
                *target = *source;
            }
        }
        done += size;
    }
}

/// Packs the weights for the input gradient of the group of output channels `first..first + count`: block by block of input
/// channels, and in a block `[output][u][v][input]`, the kernel turned by half a turn.
pub(crate) fn pack_backward<S: Simd>(
    weights: &[f32],
    inputs: usize,
    kernel: usize,
    first: usize,
    count: usize,
    packed: &mut [f32],
) {
    let taps = kernel * kernel;
    let mut done = 0;
    while done < inputs {
        let size = block::<S>(inputs - done);
        let target = &mut packed[done * count * taps..][..size * count * taps];
        for o in 0..count {
            for b in 0..size {
                let source = &weights[((first + o) * inputs + done + b) * taps..][..taps];
                let target = target[o * taps * size..][..taps * size]
                    .iter_mut()
                    .skip(b)
                    .step_by(size);
                for (target, source) in target.zip(source.iter().rev()) {
                    *target = *source;
                }
            }
        }
        done += size;
    }
}

/// How the sums of a row begin.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// With these values, one a channel.
    Bias(&'a [f32]),
    /// With zero.
    Zero,
    /// With what the target holds.
    Target,
}

/// One row of output pixels in some channels: the shape of the work, without the data. All lengths are in floats.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub kernel: usize,
    pub stride: usize,
    /// Input channels, and the distance between them and between their rows.
    pub inputs: usize,
    pub input_plane: usize,
    pub input_row: usize,
    /// Output channels, the distance between them, and the length of the row.
    pub outputs: usize,
    pub output_plane: usize,
    pub output_len: usize,
}

impl Row {
    /// Reads the input from `x[from..]` on (first channel, first row and column under the kernel) and writes each channel's
    /// row to `y[to..]`. `packed` holds the weights as [`pack_forward`] or [`pack_backward`] left them.
    #[inline(always)]
    pub(crate) fn run<S: Simd, const L: usize>(
        &self,
        simd: S,
        x: &[f32],
        from: usize,
        packed: &[f32],
        start: Start<'_>,
        y: &mut [f32],
        to: usize,
    ) {
        let terms = self.inputs * self.kernel * self.kernel;
        let mut done = 0;
        while done < self.outputs {
            let size = block::<S>(self.outputs - done);
            let weights = &packed[done * terms..][..size * terms];
            let start = match start {
                Start::Bias(bias) => Start::Bias(&bias[done..][..size]),
                other => other,
            };
            let to = to + done * self.output_plane;
            match size {
                8 => self.block::<S, L, 8>(simd, x, from, weights.as_chunks().0, start, y, to),
                4 => self.block::<S, L, 4>(simd, x, from, weights.as_chunks().0, start, y, to),
                2 => self.block::<S, L, 2>(simd, x, from, weights.as_chunks().0, start, y, to),
                _ => self.block::<S, L, 1>(simd, x, from, weights.as_chunks().0, start, y, to),
            }
            done += size;
        }
    }

    #[inline(always)]
    fn block<S: Simd, const L: usize, const B: usize>(
        &self,
        simd: S,
        x: &[f32],
        from: usize,
        w: &[[f32; B]],
        start: Start<'_>,
        y: &mut [f32],
        to: usize,
    ) {
        let mut at = 0;
        if self.stride == 1 {
            while at + 3 * S::WIDTH <= self.output_len {
                self.tile::<S, L, B, 3>(simd, x, from + at, w, start, y, to + at);
                at += 3 * S::WIDTH;
            }
            if at + 2 * S::WIDTH <= self.output_len {
                self.tile::<S, L, B, 2>(simd, x, from + at, w, start, y, to + at);
                at += 2 * S::WIDTH;
            }
        }
        while at + S::WIDTH <= self.output_len {
            // With another stride a vector stays inside a pixel: its width divides the lanes.
            let (pixel, lane) = (at / L, at % L);
            self.tile::<S, L, B, 1>(
                simd,
                x,
                from + pixel * self.stride * L + lane,
                w,
                start,
                y,
                to + at,
            );
            at += S::WIDTH;
        }
    }

    /// One register block: `B` channels x `T` adjacent vectors.
    #[inline(always)]
    fn tile<S: Simd, const L: usize, const B: usize, const T: usize>(
        &self,
        simd: S,
        x: &[f32],
        from: usize,
        w: &[[f32; B]],
        start: Start<'_>,
        y: &mut [f32],
        to: usize,
    ) {
        let mut sums = [[simd.splat(0.0); T]; B];
        match start {
            Start::Zero => {}
            Start::Bias(bias) => {
                for b in 0..B {
                    sums[b] = [simd.splat(bias[b]); T];
                }
            }
            Start::Target => {
                for b in 0..B {
                    for t in 0..T {
                        sums[b][t] = simd.load(y, to + b * self.output_plane + t * S::WIDTH);
                    }
                }
            }
        }
        let mut rows = w.chunks_exact(self.kernel);
        for i in 0..self.inputs {
            for (u, w) in rows.by_ref().take(self.kernel).enumerate() {
                let row = from + i * self.input_plane + u * self.input_row;
                let x = &x[row..][..(self.kernel - 1) * L + T * S::WIDTH];
                for (x, w) in x.windows(T * S::WIDTH).step_by(L).zip(w) {
                    let mut vectors = [simd.splat(0.0); T];
                    for t in 0..T {
                        vectors[t] = simd.load(x, t * S::WIDTH);
                    }
                    for b in 0..B {
                        let w = simd.splat(w[b]);
                        for t in 0..T {
                            sums[b][t] = simd.fma(vectors[t], w, sums[b][t]);
                        }
                    }
                }
            }
        }
        for b in 0..B {
            for t in 0..T {
                simd.store(y, to + b * self.output_plane + t * S::WIDTH, sums[b][t]);
            }
        }
    }
}

/// The shape of a weight gradient. Lengths are in pixels.
#[derive(Clone, Copy)]
pub(crate) struct WeightGradient {
    pub kernel: usize,
    pub stride: usize,
    pub inputs: usize,
    /// Distance between input channels and between their rows.
    pub input_plane: usize,
    pub input_row: usize,
    /// Output channels in `dy`, the distance between them, and between the rows and pixels that hold gradients.
    pub outputs: usize,
    pub gradient_plane: usize,
    pub gradient_row: usize,
    pub gradient_pixel: usize,
    /// First pixel of `dy` that holds a gradient.
    pub gradient_from: usize,
    /// Output rows and columns.
    pub rows: usize,
    pub columns: usize,
}

impl WeightGradient {
    /// Adds to `dw` (outputs x inputs x kernel x kernel) and `db` (outputs).
    #[inline(always)]
    pub(crate) fn run<S: Simd, const L: usize>(
        &self,
        simd: S,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
        db: &mut [f32],
    ) {
        let (x, dy) = (
            x.as_chunks::<L>().0,
            &dy.as_chunks::<L>().0[self.gradient_from..],
        );
        let terms = self.inputs * self.kernel * self.kernel;
        for (o, db) in db.iter_mut().enumerate().take(self.outputs) {
            *db = self.bias(simd, &dy[o * self.gradient_plane..], *db);
        }
        let mut done = 0;
        while done < self.outputs {
            let size = block::<S>(self.outputs - done);
            let dw = &mut dw[done * terms..][..size * terms];
            let dy = &dy[done * self.gradient_plane..];
            match size {
                8 => self.block::<S, L, 8>(simd, x, dy, dw),
                4 => self.block::<S, L, 4>(simd, x, dy, dw),
                2 => self.block::<S, L, 2>(simd, x, dy, dw),
                _ => self.block::<S, L, 1>(simd, x, dy, dw),
            }
            done += size;
        }
    }

    #[inline(always)]
    fn bias<S: Simd, const L: usize>(&self, simd: S, dy: &[[f32; L]], start: f32) -> f32 {
        let parts = L / S::WIDTH;
        let mut sums = [simd.splat(0.0); MOST_PARTS];
        sums[0] = simd.first(start);
        for r in 0..self.rows {
            let row = &dy[r * self.gradient_row..][..(self.columns - 1) * self.gradient_pixel + 1];
            for dy in row.iter().step_by(self.gradient_pixel) {
                for part in 0..parts {
                    sums[part] = simd.add(sums[part], simd.load(dy, part * S::WIDTH));
                }
            }
        }
        sum_lanes(simd, &mut sums, parts)
    }

    #[inline(always)]
    fn block<S: Simd, const L: usize, const B: usize>(
        &self,
        simd: S,
        x: &[[f32; L]],
        dy: &[[f32; L]],
        dw: &mut [f32],
    ) {
        for i in 0..self.inputs {
            for u in 0..self.kernel {
                let mut v = 0;
                while v < self.kernel {
                    let x = &x[i * self.input_plane + u * self.input_row + v..];
                    let dw = &mut dw[(i * self.kernel + u) * self.kernel + v..];
                    match self.kernel - v {
                        1 => self.tile::<S, L, B, 1>(simd, x, dy, dw),
                        2 => self.tile::<S, L, B, 2>(simd, x, dy, dw),
                        _ => self.tile::<S, L, B, 3>(simd, x, dy, dw),
                    }
                    v += 3;
                }
            }
        }
    }

    /// One register block: `B` output channels x `T` columns of the kernel, one input channel, one row of the kernel.
    #[inline(always)]
    fn tile<S: Simd, const L: usize, const B: usize, const T: usize>(
        &self,
        simd: S,
        x: &[[f32; L]],
        dy: &[[f32; L]],
        dw: &mut [f32],
    ) {
        let terms = self.inputs * self.kernel * self.kernel;
        let parts = L / S::WIDTH;
        let mut all = [[[simd.splat(0.0); MOST_PARTS]; T]; B];
        for part in 0..parts {
            let lane = part * S::WIDTH;
            let mut sums = [[simd.splat(0.0); T]; B];
            if part == 0 {
                for b in 0..B {
                    for t in 0..T {
                        sums[b][t] = simd.first(dw[b * terms + t]);
                    }
                }
            }
            for r in 0..self.rows {
                let x =
                    &x[r * self.stride * self.input_row..][..(self.columns - 1) * self.stride + T];
                let mut rows = [dy; B];
                for b in 0..B {
                    rows[b] = &dy[b * self.gradient_plane + r * self.gradient_row..]
                        [..(self.columns - 1) * self.gradient_pixel + 1];
                }
                for (c, x) in x.windows(T).step_by(self.stride).enumerate() {
                    let mut vectors = [simd.splat(0.0); T];
                    for t in 0..T {
                        vectors[t] = simd.load(&x[t], lane);
                    }
                    for b in 0..B {
                        let dy = simd.load(&rows[b][c * self.gradient_pixel], lane);
                        for t in 0..T {
                            sums[b][t] = simd.fma(dy, vectors[t], sums[b][t]);
                        }
                    }
                }
            }
            for b in 0..B {
                for t in 0..T {
                    all[b][t][part] = sums[b][t];
                }
            }
        }
        for b in 0..B {
            for t in 0..T {
                dw[b * terms + t] = sum_lanes(simd, &mut all[b][t], parts);
            }
        }
    }
}
