//! Convolution over blocks of lanes.
//!
//! Sums of the weight gradient are kept apart per lane and added by halving at the end; lane 0's
//! begins with the gradient that is there already.
//!
//! A register block is `B` output channels x `T` vectors. A row of pixels times lanes is one run of
//! floats, so that vectors run over it whatever the lanes; with stride 1 a step of the kernel to
//! the right is an offset of `lanes` floats.
//!
//! The usual kernels, 3 and 5 columns wide, are compiled with their width `K` known, so that the
//! loops over the taps unroll and their bounds are checked once per row; `K = 0` stands for any
//! width. Each block is a function of its own: the compiler then has all registers for one loop.

use super::Conv2d;
use crate::arch::{Kernel, Simd};
use crate::layers::max_pool2d::lanes as max_pool2d;
use crate::layers::max_pool2d::lanes::Spread;
use crate::layers::memory::{Backward, Forward};
use crate::layers::register_block::{add_parts, block};
use crate::map::Frame;

/// Output channels that are worked on together; a register block of channels divides it.
pub(super) const GROUP: usize = 8;

/// Floats of scratch for the forward pass and for the backward pass.
pub(crate) const fn scratch_len(layer: &Conv2d, frame: &Frame, lanes: usize) -> (usize, usize) {
    let weights = GROUP * frame.input.channels * layer.taps();
    let pool_rows = frame.window().size[0];
    (
        weights + GROUP * pool_rows * frame.columns * lanes,
        weights + GROUP * Spread::new(frame, layer.stride).plane() * lanes,
    )
}

/// The forward pass with the relu and the max-pool that follow, one row of the output at a time.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
    layer: &Conv2d,
    simd: S,
    frame: &Frame,
    memory: Forward<'_>,
) {
    let Forward {
        w,
        bias,
        x,
        y,
        codes,
        scratch,
        ..
    } = memory;
    let (inputs, outputs) = (frame.input.channels, frame.output.channels);
    let taps = layer.taps();
    let pool = frame.window();
    let (packed, rows) = scratch.split_at_mut(GROUP * inputs * taps);
    let mut first = 0;
    while first < outputs {
        let count = GROUP.min(outputs - first);
        pack_forward::<S>(w, inputs * taps, first, count, packed);
        let task = Rows::forward(layer, frame, count, L);
        let start = Start::Bias(&bias[first..][..count]);
        for r in 0..frame.output.live_rows {
            let x = &x[r * pool.stride[0] * layer.stride[0] * task.input_row..];
            task.run::<S, L>(simd, x, packed, start, rows);
            let source = window_rows(frame, rows);
            max_pool2d::forward_row::<S, L>(simd, frame, source, first, count, r, y, codes);
        }
        first += count;
    }
}

/// The rows of a pool's windows, as [`Rows::forward`] leaves them.
pub(super) fn window_rows<'r>(frame: &Frame, data: &'r [f32]) -> max_pool2d::Rows<'r> {
    max_pool2d::Rows {
        data,
        plane: frame.window().size[0] * frame.columns,
        row: frame.columns,
    }
}

/// The backward pass, a group of output channels at a time: through pool and relu, from there to
/// the weights and to the input.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
    layer: &Conv2d,
    simd: S,
    frame: &Frame,
    memory: Backward<'_>,
) {
    let Backward {
        w,
        dw,
        db,
        x,
        y,
        codes,
        dy,
        dx,
        passes,
        scratch,
        ..
    } = memory;
    let spread = Spread::new(frame, layer.stride);
    let (inputs, outputs) = (frame.input.channels, frame.output.channels);
    let taps = layer.taps();
    let (packed, dz) = scratch.split_at_mut(GROUP * inputs * taps);
    let mut first = 0;
    while first < outputs {
        let count = GROUP.min(outputs - first);
        max_pool2d::backward_rows::<S, L>(simd, frame, spread, first, count, y, codes, dy, dz);
        if passes.weight_gradient {
            let task = WeightGradient::new(layer, frame, spread, count);
            let (dw, db) = (&mut dw[first * inputs * taps..], &mut db[first..]);
            task.run::<S, L>(simd, x, dz, dw, db);
        }
        if passes.input_gradient {
            pack_backward::<S>(w, inputs, taps, first, count, packed);
            let task = Rows::backward(layer, frame, spread, count, L);
            let start = if first == 0 {
                Start::Zero
            } else {
                Start::Target
            };
            task.run::<S, L>(simd, dz, packed, start, dx);
        }
        first += count;
    }
}

/// Packs the weights of output channels `first..first + count` for [`Row::run`]: block by block,
/// and in a block `[input][u][v][channel]`, so that a block's next weights always lie side by side.
pub(super) fn pack_forward<S: Simd>(
    weights: &[f32],
    terms: usize,
    first: usize,
    count: usize,
    packed: &mut [f32],
) {
    let mut done = 0;
    while done < count {
        let size = block::<S>(count - done);
        let source = &weights[(first + done) * terms..][..size * terms];
        let target = &mut packed[done * terms..][..size * terms];
        pack(size, source, terms, false, target);
        done += size;
    }
}

/// Lays the rows of a block, each `length` weights, element by element side by side; each from its
/// end if they are to be `turned`.
#[inline(always)]
fn pack(size: usize, source: &[f32], length: usize, turned: bool, target: &mut [f32]) {
    match size {
        8 => pack_rows::<8>(source, length, turned, target),
        4 => pack_rows::<4>(source, length, turned, target),
        2 => pack_rows::<2>(source, length, turned, target),
        _ => pack_rows::<1>(source, length, turned, target),
    }
}

#[inline(always)]
fn pack_rows<const B: usize>(source: &[f32], length: usize, turned: bool, target: &mut [f32]) {
    let mut rows = [source; B];
    for b in 0..B {
        rows[b] = &source[b * length..][..length];
    }
    let target = &mut target.as_chunks_mut::<B>().0[..length];
    for t in 0..length {
        let from = if turned { length - 1 - t } else { t };
        for b in 0..B {
            target[t][b] = rows[b][from];
        }
    }
}

/// Packs the weights for the input gradient of the group of output channels `first..first + count`:
/// block by block of input channels, and in a block `[output][u][v][input]`, the kernel turned by
/// half a turn.
pub(super) fn pack_backward<S: Simd>(
    weights: &[f32],
    inputs: usize,
    taps: usize,
    first: usize,
    count: usize,
    packed: &mut [f32],
) {
    let mut done = 0;
    while done < inputs {
        let size = block::<S>(inputs - done);
        for o in 0..count {
            let source = &weights[((first + o) * inputs + done) * taps..][..size * taps];
            let target = &mut packed[(done * count + o * size) * taps..][..size * taps];
            pack(size, source, taps, true, target);
        }
        done += size;
    }
}

/// How the sums of a row begin.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    /// With these values, one a channel.
    Bias(&'a [f32]),
    /// With zero.
    Zero,
    /// With what the target holds.
    Target,
}

/// Rows of output pixels in some channels: the shape of the work, without the data. Distances are
/// in floats.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// Rows and columns of the kernel, and its steps.
    kernel: [usize; 2],
    stride: [usize; 2],
    /// Rows above and columns to the left of the input that are zero and not stored; so is all
    /// below and to the right of `input_rows` x `input_columns`. Terms with such zeros are left
    /// out.
    padding: [usize; 2],
    /// Input channels, their size, and the distance between them, between their rows and between
    /// their pixels. The last is the number of lanes, but a compiler that knew it would keep the
    /// vectors that two taps share in registers, which do not suffice.
    inputs: usize,
    input_rows: usize,
    input_columns: usize,
    input_plane: usize,
    input_row: usize,
    input_pixel: usize,
    /// Output channels, the distance between them, and the number of rows and of pixels in a row.
    outputs: usize,
    output_plane: usize,
    rows: usize,
    columns: usize,
}

impl Rows {
    /// The rows of a pool's window, of `count` output channels.
    pub const fn forward(layer: &Conv2d, frame: &Frame, count: usize, lanes: usize) -> Rows {
        let rows = frame.window().size[0];
        Rows {
            kernel: layer.kernel,
            stride: layer.stride,
            // The zeros are stored.
            padding: [0; 2],
            inputs: frame.input.channels,
            input_rows: frame.input.rows,
            input_columns: frame.input.columns,
            input_plane: frame.input.plane() * lanes,
            input_row: frame.input.columns * lanes,
            input_pixel: lanes,
            outputs: count,
            output_plane: rows * frame.columns * lanes,
            rows,
            columns: frame.columns,
        }
    }

    /// The input gradient, from `count` output channels.
    pub const fn backward(
        layer: &Conv2d,
        frame: &Frame,
        spread: Spread,
        count: usize,
        lanes: usize,
    ) -> Rows {
        Rows {
            kernel: layer.kernel,
            stride: [1; 2],
            padding: [
                layer.kernel[0] - 1 - frame.input.margin[0],
                layer.kernel[1] - 1 - frame.input.margin[1],
            ],
            inputs: count,
            input_rows: spread.rows,
            input_columns: spread.columns,
            input_plane: spread.plane() * lanes,
            input_row: spread.columns * lanes,
            input_pixel: lanes,
            outputs: frame.input.channels,
            output_plane: frame.input.live_rows * frame.input.live_columns * lanes,
            rows: frame.input.live_rows,
            columns: frame.input.live_columns,
        }
    }

    /// Reads the input from the beginning of `x` and writes each channel's rows to `y`. `packed`
    /// holds the weights as [`pack_forward`] or [`pack_backward`] left them.
    #[inline(always)]
    pub fn run<S: Simd, const L: usize>(
        &self,
        simd: S,
        x: &[f32],
        packed: &[f32],
        start: Start<'_>,
        y: &mut [f32],
    ) {
        match self.kernel[1] {
            3 if S::WIDTH > 1 => self.sized::<S, L, 3>(simd, x, packed, start, y),
            5 if S::WIDTH > 1 => self.sized::<S, L, 5>(simd, x, packed, start, y),
            _ => self.sized::<S, L, 0>(simd, x, packed, start, y),
        }
    }

    #[inline(always)]
    fn sized<S: Simd, const L: usize, const K: usize>(
        &self,
        simd: S,
        x: &[f32],
        packed: &[f32],
        start: Start<'_>,
        y: &mut [f32],
    ) {
        let terms = self.inputs * self.kernel[0] * self.kernel[1];
        let mut done = 0;
        while done < self.outputs {
            let size = block::<S>(self.outputs - done);
            let w = &packed[done * terms..][..size * terms];
            let start = match start {
                Start::Bias(bias) => Start::Bias(&bias[done..][..size]),
                other => other,
            };
            let y = &mut y[done * self.output_plane..];
            let task = RowsBlock::<L, K> {
                shape: self,
                x,
                w,
                start,
                y,
            };
            match size {
                8 if const { S::BLOCK >= 8 } => simd.apart(Channels::<_, 8>(task)),
                4 => simd.apart(Channels::<_, 4>(task)),
                2 => simd.apart(Channels::<_, 2>(task)),
                _ => simd.apart(Channels::<_, 1>(task)),
            }
            done += size;
        }
    }

    /// The taps along `axis` of output row or column `at` that lie on an input of `length` rows or
    /// columns.
    #[inline(always)]
    fn taps(&self, axis: usize, at: usize, length: usize) -> (usize, usize) {
        let from = at * self.stride[axis];
        let first = self.padding[axis].saturating_sub(from);
        let last = (length + self.padding[axis])
            .saturating_sub(from)
            .min(self.kernel[axis]);
        (first, last.max(first))
    }
}

/// A task on `B` output channels.
struct Channels<T, const B: usize>(T);

/// The rows of one block of output channels.
struct RowsBlock<'a, const L: usize, const K: usize> {
    shape: &'a Rows,
    x: &'a [f32],
    w: &'a [f32],
    start: Start<'a>,
    y: &'a mut [f32],
}

/// Where a register block lies: first input float under the first tap, which taps, first output
/// float.
#[derive(Clone, Copy)]
struct Place {
    from: usize,
    u: (usize, usize),
    v: (usize, usize),
    to: usize,
}

impl<const L: usize, const K: usize, const B: usize> Kernel for Channels<RowsBlock<'_, L, K>, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let shape = self.0.shape;
        // The columns that all taps serve, side by side if the stride is 1.
        let (mut first, mut last) = (0, 0);
        if shape.stride[1] == 1 {
            first = shape.padding[1].min(shape.columns);
            last = (shape.input_columns + shape.padding[1] + 1).saturating_sub(shape.kernel[1]);
            last = last.clamp(first, shape.columns);
        }
        for r in 0..shape.rows {
            let u = shape.taps(0, r, shape.input_rows);
            // From here on `from` is where the kernel's first row would begin, were all taps
            // stored.
            let row = r * shape.stride[0];
            let to = r * shape.columns * L;
            for c in (0..first).chain(last..shape.columns) {
                let v = shape.taps(1, c, shape.input_columns);
                let column = c * shape.stride[1];
                let mut lane = 0;
                let mut place = Place {
                    from: 0,
                    u,
                    v,
                    to: 0,
                };
                while lane < L {
                    place.from = (row + u.0 - shape.padding[0]) * shape.input_row
                        + (column + v.0 - shape.padding[1]) * shape.input_pixel
                        + lane;
                    place.to = to + c * L + lane;
                    if lane + 2 * S::WIDTH <= L {
                        self.edge::<S, 2>(simd, place);
                        lane += 2 * S::WIDTH;
                    } else {
                        self.edge::<S, 1>(simd, place);
                        lane += S::WIDTH;
                    }
                }
            }
            let (mut at, end) = (first * L, last * L);
            let v = (0, shape.kernel[1]);
            let from = (row + u.0 - shape.padding[0]) * shape.input_row;
            let place = |at: usize| Place {
                from: from + at - shape.padding[1] * shape.input_pixel,
                u,
                v,
                to: to + at,
            };
            // Of five unrolled steps with three vectors the compiler does not keep all sums in 16
            // registers.
            let three = K != 5 || S::BLOCK > 4;
            while three && at + 3 * S::WIDTH <= end && at + 4 * S::WIDTH != end {
                self.tile::<S, 3, K>(simd, place(at));
                at += 3 * S::WIDTH;
            }
            // Four as two and two: the sums of a single vector wait for each other.
            while at + 2 * S::WIDTH <= end {
                self.tile::<S, 2, K>(simd, place(at));
                at += 2 * S::WIDTH;
            }
            if at < end {
                self.tile::<S, 1, K>(simd, place(at));
            }
        }
    }
}

impl<const L: usize, const K: usize, const B: usize> Channels<RowsBlock<'_, L, K>, B> {
    /// A register block that not all columns of the kernel serve.
    #[inline(always)]
    fn edge<S: Simd, const T: usize>(&mut self, simd: S, place: Place) {
        match (K, place.v.1 - place.v.0) {
            (3 | 5, 1) => self.tile::<S, T, 1>(simd, place),
            (3 | 5, 2) => self.tile::<S, T, 2>(simd, place),
            (5, 3) => self.tile::<S, T, 3>(simd, place),
            (5, 4) => self.tile::<S, T, 4>(simd, place),
            _ => self.tile::<S, T, 0>(simd, place),
        }
    }

    /// One register block: `B` channels x `T` adjacent vectors. `V` columns of the kernel count; 0
    /// stands for any number.
    #[inline(always)]
    fn tile<S: Simd, const T: usize, const V: usize>(&mut self, simd: S, place: Place) {
        let RowsBlock {
            shape,
            x,
            w,
            start,
            y,
        } = &mut self.0;
        let w = w.as_chunks::<B>().0;
        let rows = shape.kernel[0];
        let columns = if K == 0 { shape.kernel[1] } else { K };
        let first = place.v.0;
        let count = if V == 0 { place.v.1 - first } else { V };
        let mut sums = [[simd.splat(0.0); T]; B];
        match start {
            Start::Zero => {}
            Start::Bias(bias) => {
                let bias = &bias[..B];
                for b in 0..B {
                    sums[b] = [simd.splat(bias[b]); T];
                }
            }
            Start::Target => {
                for b in 0..B {
                    let y = &y[place.to + b * shape.output_plane..][..T * S::WIDTH];
                    for t in 0..T {
                        sums[b][t] = simd.load(y, t * S::WIDTH);
                    }
                }
            }
        }
        for i in 0..shape.inputs {
            let mut from = place.from + i * shape.input_plane;
            for u in place.u.0..place.u.1 {
                let w = &w[(i * rows + u) * columns + first..][..count];
                let x = &x[from..];
                from += shape.input_row;
                for v in 0..count {
                    let x = &x[v * shape.input_pixel..][..T * S::WIDTH];
                    let mut vectors = [simd.splat(0.0); T];
                    for t in 0..T {
                        vectors[t] = simd.load(x, t * S::WIDTH);
                    }
                    for b in 0..B {
                        let w = simd.splat(w[v][b]);
                        for t in 0..T {
                            sums[b][t] = simd.fma(vectors[t], w, sums[b][t]);
                        }
                    }
                }
            }
        }
        for b in 0..B {
            // One check of the bounds for all of the row's stores.
            let y = &mut y[place.to + b * shape.output_plane..][..T * S::WIDTH];
            for t in 0..T {
                simd.store(y, t * S::WIDTH, sums[b][t]);
            }
        }
    }
}

/// The shape of a weight gradient. Lengths are in pixels.
#[derive(Clone, Copy)]
pub(super) struct WeightGradient {
    /// Rows and columns of the kernel, and its steps.
    kernel: [usize; 2],
    stride: [usize; 2],
    inputs: usize,
    /// Distance between input channels and between their rows.
    input_plane: usize,
    input_row: usize,
    /// Output channels in `dy`, the distance between them, and between the rows and pixels that
    /// hold gradients.
    outputs: usize,
    gradient_plane: usize,
    gradient_row: usize,
    gradient_pixel: usize,
    /// Output rows and columns.
    rows: usize,
    columns: usize,
}

impl WeightGradient {
    /// Of `count` output channels.
    pub const fn new(layer: &Conv2d, frame: &Frame, spread: Spread, count: usize) -> Self {
        WeightGradient {
            kernel: layer.kernel,
            stride: layer.stride,
            inputs: frame.input.channels,
            input_plane: frame.input.plane(),
            input_row: frame.input.columns,
            outputs: count,
            gradient_plane: spread.plane(),
            gradient_row: spread.dilation[0] * spread.columns,
            gradient_pixel: spread.dilation[1],
            rows: frame.rows,
            columns: frame.columns,
        }
    }

    /// Adds to `dw` (outputs x inputs x kernel rows x columns) and `db` (outputs).
    #[inline(always)]
    pub fn run<S: Simd, const L: usize>(
        &self,
        simd: S,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
        db: &mut [f32],
    ) {
        let unit = self.stride == [1; 2] && self.gradient_pixel == 1;
        match self.kernel {
            [3, 3] if unit && S::WIDTH > 1 => self.sized::<S, L, 3>(simd, x, dy, dw, db),
            [5, 5] if unit && S::WIDTH > 1 => self.sized::<S, L, 5>(simd, x, dy, dw, db),
            _ => self.sized::<S, L, 0>(simd, x, dy, dw, db),
        }
    }

    #[inline(always)]
    fn sized<S: Simd, const L: usize, const K: usize>(
        &self,
        simd: S,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
        db: &mut [f32],
    ) {
        let (x, dy) = (x.as_chunks::<L>().0, dy.as_chunks::<L>().0);
        let terms = self.inputs * self.kernel[0] * self.kernel[1];
        let mut done = 0;
        while done < self.outputs {
            let size = block::<S>(self.outputs - done);
            let task = WeightBlock::<L, K> {
                shape: self,
                x,
                dy: &dy[done * self.gradient_plane..],
                dw: &mut dw[done * terms..][..size * terms],
                db: &mut db[done..][..size],
            };
            match size {
                8 if const { S::BLOCK >= 8 } => simd.apart(Channels::<_, 8>(task)),
                4 => simd.apart(Channels::<_, 4>(task)),
                2 => simd.apart(Channels::<_, 2>(task)),
                _ => simd.apart(Channels::<_, 1>(task)),
            }
            done += size;
        }
    }
}

/// The weight gradient of one block of output channels. With a known kernel size both strides are
/// 1.
struct WeightBlock<'a, const L: usize, const K: usize> {
    shape: &'a WeightGradient,
    x: &'a [[f32; L]],
    dy: &'a [[f32; L]],
    dw: &'a mut [f32],
    db: &'a mut [f32],
}

impl<const L: usize, const K: usize, const B: usize> Kernel for Channels<WeightBlock<'_, L, K>, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let shape = self.0.shape;
        let [rows, columns] = if K == 0 { shape.kernel } else { [K; 2] };
        let taps = rows * columns;
        let mut lanes = [[[0.0; L]; TAPS]; B];
        self.bias(simd, &mut lanes);
        for i in 0..self.0.shape.inputs {
            let mut first = 0;
            while first < taps {
                // All taps of a usual kernel; of a larger one a row, or a piece of it.
                let count = if taps <= TAPS {
                    taps
                } else {
                    TAPS.min(columns - first % columns)
                };
                self.taps(simd, i, first, count, &mut lanes);
                first += count;
            }
        }
    }
}

/// Taps of a kernel whose sums are kept at a time.
const TAPS: usize = 25;

/// Floats of output gradients that stay in the first-level cache while all taps use them, beside
/// the input: 16 KiB.
const BAND: usize = 4096;

impl<const L: usize, const K: usize, const B: usize> Channels<WeightBlock<'_, L, K>, B> {
    /// The output gradients of row `r` in each of the block's channels.
    #[inline(always)]
    fn gradient_rows(&self, r: usize) -> [&[[f32; L]]; B] {
        let (shape, dy) = (self.0.shape, self.0.dy);
        let pixel = if K == 0 { shape.gradient_pixel } else { 1 };
        let mut rows = [dy; B];
        for b in 0..B {
            rows[b] = &dy[b * shape.gradient_plane + r * shape.gradient_row..]
                [..(shape.columns - 1) * pixel + 1];
        }
        rows
    }

    /// Adds to the bias gradients. `lanes` is room for sums.
    #[inline(always)]
    fn bias<S: Simd>(&mut self, simd: S, lanes: &mut [[[f32; L]; TAPS]; B]) {
        let shape = self.0.shape;
        let pixel = if K == 0 { shape.gradient_pixel } else { 1 };
        for part in 0..L / S::WIDTH {
            let mut sums = [simd.splat(0.0); B];
            if part == 0 {
                for b in 0..B {
                    sums[b] = simd.first(self.0.db[b]);
                }
            }
            for r in 0..shape.rows {
                let rows = self.gradient_rows(r);
                for c in 0..shape.columns {
                    for b in 0..B {
                        let dy = simd.load(&rows[b][c * pixel], part * S::WIDTH);
                        sums[b] = simd.add(sums[b], dy);
                    }
                }
            }
            for b in 0..B {
                simd.store(&mut lanes[b][0], part * S::WIDTH, sums[b]);
            }
        }
        for b in 0..B {
            self.0.db[b] = simd.sum(add_parts(simd, &lanes[b][0]));
        }
    }

    /// `count` taps from tap `first` on of input channel `i`: bands of rows that stay in the cache,
    /// one after the other. `lanes` is room for sums.
    #[inline(always)]
    fn taps<S: Simd>(
        &mut self,
        simd: S,
        i: usize,
        first: usize,
        count: usize,
        lanes: &mut [[[f32; L]; TAPS]; B],
    ) {
        let shape = self.0.shape;
        let [rows, columns] = if K == 0 { shape.kernel } else { [K; 2] };
        let terms = shape.inputs * rows * columns;
        let from = i * rows * columns + first;
        for b in 0..B {
            for (t, lanes) in lanes[b][..count].iter_mut().enumerate() {
                *lanes = [0.0; L];
                lanes[0] = self.0.dw[b * terms + from + t];
            }
        }
        let band = (BAND / (B * shape.columns * L)).max(1);
        let mut r = 0;
        while r < shape.rows {
            let rows = r..(r + band).min(shape.rows);
            let mut t = 0;
            while t < count {
                let (u, v) = ((first + t) / columns, (first + t) % columns);
                let width = (columns - v).min(count - t).min(3);
                match width {
                    1 => self.tile::<S, 1>(simd, i, u, v, rows.clone(), t, lanes),
                    2 => self.tile::<S, 2>(simd, i, u, v, rows.clone(), t, lanes),
                    _ => self.tile::<S, 3>(simd, i, u, v, rows.clone(), t, lanes),
                }
                t += width;
            }
            r = rows.end;
        }
        let mut sums = [[simd.splat(0.0); TAPS]; B];
        for b in 0..B {
            for t in 0..count {
                sums[b][t] = add_parts(simd, &lanes[b][t]);
            }
            simd.sums(
                &sums[b][..count],
                &mut self.0.dw[b * terms + from..][..count],
            );
        }
    }

    /// One register block: `B` output channels x `T` columns of the kernel from column `v` on, one
    /// input channel `i`, one row `u` of the kernel, over some rows of the output. Its sums are
    /// those from `tap` on.
    #[inline(always)]
    fn tile<S: Simd, const T: usize>(
        &self,
        simd: S,
        i: usize,
        u: usize,
        v: usize,
        output_rows: core::ops::Range<usize>,
        tap: usize,
        lanes: &mut [[[f32; L]; TAPS]; B],
    ) {
        let shape = self.0.shape;
        let ([row_stride, stride], pixel) = if K == 0 {
            (shape.stride, shape.gradient_pixel)
        } else {
            ([1; 2], 1)
        };
        let x = &self.0.x[i * shape.input_plane + u * shape.input_row + v..];
        for part in 0..L / S::WIDTH {
            let lane = part * S::WIDTH;
            let mut sums = [[simd.splat(0.0); T]; B];
            for b in 0..B {
                for t in 0..T {
                    sums[b][t] = simd.load(&lanes[b][tap + t], lane);
                }
            }
            for r in output_rows.clone() {
                // Slices of one length, so that bounds are checked once a row.
                let x = &x[r * row_stride * shape.input_row..];
                let length = (shape.columns - 1) * stride + 1;
                let mut columns = [x; T];
                for t in 0..T {
                    columns[t] = &x[t..][..length];
                }
                let rows = self.gradient_rows(r);
                for c in 0..shape.columns {
                    let mut vectors = [simd.splat(0.0); T];
                    for t in 0..T {
                        vectors[t] = simd.load(&columns[t][c * stride], lane);
                    }
                    for b in 0..B {
                        let dy = simd.load(&rows[b][c * pixel], lane);
                        for t in 0..T {
                            sums[b][t] = simd.fma(dy, vectors[t], sums[b][t]);
                        }
                    }
                }
            }
            for b in 0..B {
                for t in 0..T {
                    simd.store(&mut lanes[b][tap + t], lane, sums[b][t]);
                }
            }
        }
    }
}
