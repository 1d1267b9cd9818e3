//! Max-pool, then relu, over blocks of lanes.
//!
//! Which input of a window won is kept as bit planes, one bit per lane: plane p holds bit p of the
//! winner's number (row-major in the window). The planes live in the `f32` workspace; words go in
//! and out by `to_bits` and `from_bits`, which never compute on them.

use crate::arch::Simd;
use crate::layers::memory::{Backward, Forward};
use crate::map::{Frame, Map};
use crate::shape::Window;

/// Words of 32 bits in one bit plane of the pool's winners, those of the whole stage.
pub(crate) const fn code_plane(frame: &Frame, lanes: usize) -> usize {
    let map = &frame.output;
    (frame.whole[1] * map.live_rows * map.live_columns * lanes).div_ceil(32)
}

/// Bit planes of the pool's winners.
pub(crate) const fn planes(frame: &Frame) -> usize {
    match frame.pool {
        Some(pool) => code_bits(pool),
        None => 0,
    }
}

/// Words of 32 bits for the pool's winners: as many bit planes as a winner has bits, rounded up to
/// whole pixels, so that maps behind them begin at a cache line where the workspace does.
pub(crate) const fn codes_len(frame: &Frame, lanes: usize) -> usize {
    match frame.pool {
        Some(pool) => (code_bits(pool) * code_plane(frame, lanes)).next_multiple_of(lanes),
        None => 0,
    }
}

/// Bits that tell the winner of a window.
const fn code_bits(pool: Window) -> usize {
    let mut bits = 0;
    while 1 << bits < pool.len() {
        bits += 1;
    }
    bits
}

/// How the gradient of an operation's own output is laid out: with `dilation - 1` zeros between the
/// pixels, so that a convolution's input gradient is a convolution of stride 1, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub rows: usize,
    pub columns: usize,
    pub dilation: [usize; 2],
}

impl Spread {
    /// For an operation of that stride.
    pub const fn new(frame: &Frame, stride: [usize; 2]) -> Spread {
        Spread {
            rows: (frame.rows - 1) * stride[0] + 1,
            columns: (frame.columns - 1) * stride[1] + 1,
            dilation: stride,
        }
    }

    /// Pixels of a channel.
    pub const fn plane(&self) -> usize {
        self.rows * self.columns
    }
}

/// A pool, a relu or both that stand alone.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(simd: S, frame: &Frame, memory: Forward<'_>) {
    let Forward { x, y, codes, .. } = memory;
    let (input, step) = (frame.input, frame.window().stride[0]);
    for r in 0..frame.output.live_rows {
        let source = Rows {
            data: &x[input.at(0, r * step, 0) * L..],
            plane: input.plane(),
            row: input.columns,
        };
        let channels = frame.output.channels;
        forward_row::<S, L>(simd, frame, source, 0, channels, r, y, codes);
    }
}

/// The input gradient of a pool, a relu or both that stand alone.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(simd: S, frame: &Frame, memory: Backward<'_>) {
    let Backward {
        y, codes, dy, dx, ..
    } = memory;
    let spread = Spread::new(frame, [1; 2]);
    let channels = frame.output.channels;
    backward_rows::<S, L>(simd, frame, spread, 0, channels, y, codes, dy, dx);
}

/// Where the rows of the operation's output lie that a stage's end reads: `plane` pixels between
/// channels, `row` between rows.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub data: &'a [f32],
    pub plane: usize,
    pub row: usize,
}

/// Most bit planes of a winner: windows have at most 16 x 16 pixels.
const MOST_PLANES: usize = 8;

/// The bits of pixel `pixel` in a bit plane, one a lane.
#[inline(always)]
pub(crate) fn read_bits<const L: usize>(plane: &[f32], pixel: usize) -> u32 {
    let mask = u32::MAX >> (32 - L);
    plane[pixel * L / 32].to_bits() >> (pixel * L % 32) & mask
}

/// Sets those bits, which were zero.
#[inline(always)]
pub(crate) fn write_bits<const L: usize>(plane: &mut [f32], pixel: usize, bits: u32) {
    let word = &mut plane[pixel * L / 32];
    *word = f32::from_bits(word.to_bits() | bits << (pixel * L % 32));
}

/// Pools and activates one output row of `count` channels from channel `first` on: reads the rows
/// of its windows, writes row `r` of the stage's output and the winners. `codes` was zero there.
#[inline(always)]
pub(crate) fn forward_row<S: Simd, const L: usize>(
    simd: S,
    frame: &Frame,
    rows: Rows<'_>,
    first: usize,
    count: usize,
    r: usize,
    output: &mut [f32],
    codes: &mut [f32],
) {
    match frame.pool {
        None => forward_sized::<S, L, 1>(simd, frame, rows, first, count, r, output, codes),
        Some(Window { size: [2, 2], .. }) => {
            forward_sized::<S, L, 2>(simd, frame, rows, first, count, r, output, codes);
        }
        _ => forward_sized::<S, L, 0>(simd, frame, rows, first, count, r, output, codes),
    }
}

/// [`forward_row`] for windows of `SIZE` rows and columns; 0 stands for any.
#[inline(always)]
fn forward_sized<S: Simd, const L: usize, const SIZE: usize>(
    simd: S,
    frame: &Frame,
    rows: Rows<'_>,
    first: usize,
    count: usize,
    r: usize,
    output: &mut [f32],
    codes: &mut [f32],
) {
    let map = frame.output;
    let mut pool = frame.window();
    if SIZE > 0 {
        pool.size = [SIZE; 2];
    }
    let (size, planes, code_plane) = (pool.size, code_bits(pool), code_plane(frame, L));
    let data = rows.data.as_chunks::<L>().0;
    let output = output.as_chunks_mut::<L>().0;
    for channel in 0..count {
        let data = &data[channel * rows.plane..];
        let output = &mut output[map.at(first + channel, r, 0)..][..map.live_columns];
        let code = ((first + channel) * map.live_rows + r) * map.live_columns;
        for (c, output) in output.iter_mut().enumerate() {
            let mut winners = [0; MOST_PLANES];
            let window = &data[c * pool.stride[1]..][..(size[0] - 1) * rows.row + size[1]];
            for part in 0..L / S::WIDTH {
                let lane = part * S::WIDTH;
                let load =
                    |k: usize| simd.load(&window[k / size[1] * rows.row + k % size[1]], lane);
                let mut best;
                if SIZE == 2 {
                    // Each row's winner, then the winning row: the same as in sequence, with
                    // shorter waits.
                    let (above, right_above) = simd.first_max(load(0), load(1));
                    let (below, right_below) = simd.first_max(load(2), load(3));
                    let row;
                    (best, row) = simd.first_max(above, below);
                    winners[0] |= (right_above & !row | right_below & row) << lane;
                    winners[1] |= row << lane;
                } else {
                    best = load(0);
                    for k in 1..pool.len() {
                        let bits;
                        (best, bits) = simd.first_max(best, load(k));
                        // The winner is k now where the bits are set.
                        for (p, plane) in winners.iter_mut().enumerate().take(planes) {
                            *plane = if k >> p & 1 == 1 {
                                *plane | bits << lane
                            } else {
                                *plane & !(bits << lane)
                            };
                        }
                    }
                }
                if frame.relu {
                    best = simd.relu(best);
                }
                simd.store(output, lane, best);
            }
            for p in 0..planes {
                write_bits::<L>(&mut codes[p * code_plane..], code + c, winners[p]);
            }
        }
    }
}

/// The gradient of the operation's output from the gradient `dy` of the stage's output (live pixels
/// only), for `count` channels from channel `first` on, laid out as `spread` says; all else in
/// `target` becomes zero.
#[inline(always)]
pub(crate) fn backward_rows<S: Simd, const L: usize>(
    simd: S,
    frame: &Frame,
    spread: Spread,
    first: usize,
    count: usize,
    output: &[f32],
    codes: &[f32],
    dy: &[f32],
    target: &mut [f32],
) {
    match frame.pool {
        None if spread.dilation == [1; 2] => {
            backward_sized::<S, L, 1>(simd, frame, spread, first, count, output, codes, dy, target);
        }
        Some(Window {
            size: [2, 2],
            stride: [2, 2],
        }) if spread.dilation == [1; 2] => {
            backward_sized::<S, L, 2>(simd, frame, spread, first, count, output, codes, dy, target);
        }
        _ => {
            backward_sized::<S, L, 0>(simd, frame, spread, first, count, output, codes, dy, target);
        }
    }
}

/// [`backward`] for windows of `SIZE` rows and columns side by side, without zeros between pixels;
/// 0 stands for any.
#[inline(always)]
fn backward_sized<S: Simd, const L: usize, const SIZE: usize>(
    simd: S,
    frame: &Frame,
    spread: Spread,
    first: usize,
    count: usize,
    output: &[f32],
    codes: &[f32],
    dy: &[f32],
    target: &mut [f32],
) {
    let map: Map = frame.output;
    let mut pool = frame.window();
    if SIZE > 0 {
        pool = Window {
            size: [SIZE; 2],
            stride: [SIZE; 2],
        };
    }
    let dilation = if SIZE > 0 { [1; 2] } else { spread.dilation };
    let (size, stride) = (pool.size, pool.stride);
    let step = [stride[0] * dilation[0], stride[1] * dilation[1]];
    let reach = (size[0] - 1) * dilation[0] * spread.columns + (size[1] - 1) * dilation[1] + 1;
    let (planes, code_plane) = (code_bits(pool), code_plane(frame, L));
    let (output, dy) = (output.as_chunks::<L>().0, dy.as_chunks::<L>().0);
    let target = target.as_chunks_mut::<L>().0;
    for channel in 0..count {
        let target = &mut target[channel * spread.plane()..][..spread.plane()];
        // Windows side by side write every pixel.
        if SIZE == 0 {
            target.fill([0.0; L]);
        }
        for r in 0..map.live_rows {
            let output = &output[map.at(first + channel, r, 0)..][..map.live_columns];
            let live = ((first + channel) * map.live_rows + r) * map.live_columns;
            let dy = &dy[live..][..map.live_columns];
            let target = &mut target[r * step[0] * spread.columns..];
            for (c, (dy, output)) in dy.iter().zip(output).enumerate() {
                let mut winners = [0; MOST_PLANES];
                for p in 0..planes {
                    winners[p] = read_bits::<L>(&codes[p * code_plane..], live + c);
                }
                let window = &mut target[c * step[1]..][..reach];
                for part in 0..L / S::WIDTH {
                    let lane = part * S::WIDTH;
                    let mut g = simd.load(dy, lane);
                    if frame.relu {
                        g = simd.where_positive(simd.load(output, lane), g);
                    }
                    match SIZE {
                        1 => simd.store(&mut window[0], lane, g),
                        2 => {
                            let (above, below) = simd.split(winners[1] >> lane, g);
                            let columns = winners[0] >> lane;
                            for (row, g) in [above, below].into_iter().enumerate() {
                                let (left, right) = simd.split(columns, g);
                                simd.store(&mut window[row * spread.columns], lane, left);
                                simd.store(&mut window[row * spread.columns + 1], lane, right);
                            }
                        }
                        _ => {
                            for k in 0..pool.len() {
                                let mut won = u32::MAX;
                                for (p, plane) in winners.iter().enumerate().take(planes) {
                                    won &= if k >> p & 1 == 1 { *plane } else { !*plane };
                                }
                                let (row, column) = (k / size[1], k % size[1]);
                                let pixel =
                                    row * dilation[0] * spread.columns + column * dilation[1];
                                // A pixel gets the gradients of all windows that it won, row-major.
                                let (_, g) = simd.split(won >> lane, g);
                                let sum = simd.add(simd.load(&window[pixel], lane), g);
                                simd.store(&mut window[pixel], lane, sum);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The tangent `ty` of a pool, a relu or both that stand alone, from that of the input.
#[inline(always)]
pub(crate) fn select<S: Simd, const L: usize>(
    simd: S,
    frame: &Frame,
    tx: &[f32],
    chosen: (&[f32], &[f32]),
    ty: &mut [f32],
) {
    let (input, step) = (frame.input, frame.window().stride[0]);
    for r in 0..frame.output.live_rows {
        let source = Rows {
            data: &tx[input.at(0, r * step, 0) * L..],
            plane: input.plane(),
            row: input.columns,
        };
        select_row::<S, L>(simd, frame, source, 0, frame.output.channels, r, chosen, ty);
    }
}

/// The tangent of pool and relu, of one output row of `count` channels from channel `first` on: the
/// pixels that won their windows, 0 where the relu is off. Reads the rows of the windows and the
/// stage's output with the winners; writes row `r` of `target`.
#[inline(always)]
pub(crate) fn select_row<S: Simd, const L: usize>(
    simd: S,
    frame: &Frame,
    rows: Rows<'_>,
    first: usize,
    count: usize,
    r: usize,
    chosen: (&[f32], &[f32]),
    target: &mut [f32],
) {
    match frame.pool {
        None => select_sized::<S, L, 1>(simd, frame, rows, first, count, r, chosen, target),
        Some(Window { size: [2, 2], .. }) => {
            select_sized::<S, L, 2>(simd, frame, rows, first, count, r, chosen, target);
        }
        _ => select_sized::<S, L, 0>(simd, frame, rows, first, count, r, chosen, target),
    }
}

/// [`select_row`] for windows of `SIZE` rows and columns; 0 stands for any.
#[inline(always)]
fn select_sized<S: Simd, const L: usize, const SIZE: usize>(
    simd: S,
    frame: &Frame,
    rows: Rows<'_>,
    first: usize,
    count: usize,
    r: usize,
    (output, codes): (&[f32], &[f32]),
    target: &mut [f32],
) {
    let map = frame.output;
    let mut pool = frame.window();
    if SIZE > 0 {
        pool.size = [SIZE; 2];
    }
    let (size, planes, code_plane) = (pool.size, code_bits(pool), code_plane(frame, L));
    let (data, output) = (rows.data.as_chunks::<L>().0, output.as_chunks::<L>().0);
    let target = target.as_chunks_mut::<L>().0;
    for channel in 0..count {
        let data = &data[channel * rows.plane..];
        let row = map.at(first + channel, r, 0)..map.at(first + channel, r, map.live_columns);
        let code = ((first + channel) * map.live_rows + r) * map.live_columns;
        let pixels = target[row.clone()].iter_mut().zip(&output[row]);
        for (c, (target, output)) in pixels.enumerate() {
            let mut winners = [0; MOST_PLANES];
            for p in 0..planes {
                winners[p] = read_bits::<L>(&codes[p * code_plane..], code + c);
            }
            let window = &data[c * pool.stride[1]..][..(size[0] - 1) * rows.row + size[1]];
            for part in 0..L / S::WIDTH {
                let lane = part * S::WIDTH;
                let mut chosen = simd.load(&window[0], lane);
                if SIZE == 2 {
                    let right = winners[0] >> lane;
                    let beside = simd.load(&window[1], lane);
                    let below = simd.load(&window[rows.row], lane);
                    let across = simd.load(&window[rows.row + 1], lane);
                    let above = either(simd, right, chosen, beside);
                    let below = either(simd, right, below, across);
                    chosen = either(simd, winners[1] >> lane, above, below);
                } else {
                    for k in 1..pool.len() {
                        let mut won = u32::MAX;
                        for (p, plane) in winners.iter().enumerate().take(planes) {
                            won &= if k >> p & 1 == 1 { *plane } else { !*plane };
                        }
                        let pixel = &window[k / size[1] * rows.row + k % size[1]];
                        chosen = either(simd, won >> lane, chosen, simd.load(pixel, lane));
                    }
                }
                if frame.relu {
                    chosen = simd.where_positive(simd.load(output, lane), chosen);
                }
                simd.store(target, lane, chosen);
            }
        }
    }
}

/// `a` where the bit is 0, `b` where it is 1.
#[inline(always)]
pub(crate) fn either<S: Simd>(simd: S, bits: u32, a: S::V, b: S::V) -> S::V {
    simd.add(simd.split(bits, a).0, simd.split(bits, b).1)
}
