//! What follows a stage's operation: max-pool, then activation, forward and backward.
//!
//! Which input of a window won is kept as bit planes, one bit a lane: plane p holds bit p of the winner's number (row-major
//! in the window). The planes live in the `f32` workspace; words go in and out by `to_bits` and `from_bits`, which never
//! compute on them.

use crate::arch::Simd;
use crate::plan::{Map, Pool, Spread, Stage};

/// Where the rows of the operation's output lie that a stage's end reads: `plane` pixels between channels, `row` between rows.
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
fn read_bits<const L: usize>(plane: &[f32], pixel: usize) -> u32 {
    let mask = u32::MAX >> (32 - L);
    plane[pixel * L / 32].to_bits() >> (pixel * L % 32) & mask
}

/// Sets those bits, which were zero.
#[inline(always)]
fn write_bits<const L: usize>(plane: &mut [f32], pixel: usize, bits: u32) {
    let word = &mut plane[pixel * L / 32];
    *word = f32::from_bits(word.to_bits() | bits << (pixel * L % 32));
}

/// `0` where `x < 0`, else `x`.
#[inline(always)]
fn relu<S: Simd>(simd: S, x: S::V) -> S::V {
    let zero = simd.splat(0.0);
    simd.select(simd.greater(zero, x), zero, x)
}

/// `0` where `x < 0`, in place.
#[inline(always)]
pub(crate) fn relu_in_place<S: Simd>(simd: S, x: &mut [f32]) {
    for x in x.chunks_exact_mut(S::WIDTH) {
        let y = relu(simd, simd.load(x, 0));
        simd.store(x, 0, y);
    }
}

/// The gradient of the activation's input, in place of that of its output `y`: 0 where `y` is not positive.
#[inline(always)]
pub(crate) fn relu_gradient<S: Simd>(simd: S, y: &[f32], dy: &mut [f32]) {
    let zero = simd.splat(0.0);
    for (dy, y) in dy.chunks_exact_mut(S::WIDTH).zip(y.chunks_exact(S::WIDTH)) {
        let on = simd.greater(simd.load(y, 0), zero);
        let g = simd.select(on, simd.load(dy, 0), zero);
        simd.store(dy, 0, g);
    }
}

/// Pools and activates one output row of `count` channels from channel `first` on: reads the rows of its windows, writes
/// row `r` of the stage's output and the winners. `codes` was zero there.
#[inline(always)]
pub(crate) fn forward_row<S: Simd, const L: usize>(
    simd: S,
    stage: &Stage,
    rows: Rows<'_>,
    first: usize,
    count: usize,
    r: usize,
    output: &mut [f32],
    codes: &mut [f32],
) {
    let map = stage.output;
    let pool = stage.pool.unwrap_or(Pool { size: 1, stride: 1 });
    let code_plane = stage.code_plane(L);
    let data = rows.data.as_chunks::<L>().0;
    let output = output.as_chunks_mut::<L>().0;
    for channel in 0..count {
        let data = &data[channel * rows.plane..];
        let output = &mut output[map.at(first + channel, r, 0)..][..map.alive_columns];
        let code = ((first + channel) * map.alive_rows + r) * map.alive_columns;
        for (c, output) in output.iter_mut().enumerate() {
            let mut winners = [0; MOST_PLANES];
            let window = &data[c * pool.stride..];
            for part in 0..L / S::WIDTH {
                let lane = part * S::WIDTH;
                let mut best = simd.load(&window[0], lane);
                let mut k = 0;
                for row in 0..pool.size {
                    for v in &window[row * rows.row..][..pool.size] {
                        if k > 0 {
                            let bits;
                            (best, bits) = simd.first_max(best, simd.load(v, lane));
                            for (p, plane) in winners.iter_mut().enumerate().take(pool.code_bits())
                            {
                                // The winner is k now where the bits are set.
                                *plane = if k >> p & 1 == 1 {
                                    *plane | bits << lane
                                } else {
                                    *plane & !(bits << lane)
                                };
                            }
                        }
                        k += 1;
                    }
                }
                if stage.relu {
                    best = relu(simd, best);
                }
                simd.store(output, lane, best);
            }
            for (plane, bits) in codes.chunks_exact_mut(code_plane).zip(winners) {
                write_bits::<L>(plane, code + c, bits);
            }
        }
    }
}

/// The gradient of the operation's output from the gradient `dy` of the stage's output (alive pixels only), for `count`
/// channels from channel `first` on, laid out as `spread` says; all else in `target` becomes zero.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
    simd: S,
    stage: &Stage,
    spread: Spread,
    first: usize,
    count: usize,
    output: &[f32],
    codes: &[f32],
    dy: &[f32],
    target: &mut [f32],
) {
    let map: Map = stage.output;
    let zero = simd.splat(0.0);
    let pool = stage.pool.unwrap_or(Pool { size: 1, stride: 1 });
    let planes = pool.code_bits();
    let code_plane = stage.code_plane(L);
    let (output, dy) = (output.as_chunks::<L>().0, dy.as_chunks::<L>().0);
    let target = target.as_chunks_mut::<L>().0;
    // Windows side by side write every pixel but the frame once.
    let side_by_side = pool.stride == pool.size && spread.dilation == 1;
    for channel in 0..count {
        let target = &mut target[channel * spread.plane()..][..spread.plane()];
        if side_by_side {
            clear_frame(spread, stage.rows, stage.columns, target);
        } else {
            target.fill([0.0; L]);
        }
        for r in 0..map.alive_rows {
            let output = &output[map.at(first + channel, r, 0)..][..map.alive_columns];
            let alive = ((first + channel) * map.alive_rows + r) * map.alive_columns;
            let dy = &dy[alive..][..map.alive_columns];
            for (c, (dy, output)) in dy.iter().zip(output).enumerate() {
                let mut winners = [0; MOST_PLANES];
                for p in 0..planes {
                    winners[p] = read_bits::<L>(&codes[p * code_plane..], alive + c);
                }
                let window = (spread.margin + r * pool.stride * spread.dilation) * spread.columns
                    + spread.margin
                    + c * pool.stride * spread.dilation;
                let mut k = 0;
                for row in 0..pool.size {
                    for column in 0..pool.size {
                        let mut won = u32::MAX;
                        for (p, plane) in winners.iter().enumerate().take(planes) {
                            won &= if k >> p & 1 == 1 { *plane } else { !*plane };
                        }
                        let target =
                            &mut target[window + (row * spread.columns + column) * spread.dilation];
                        for part in 0..L / S::WIDTH {
                            let lane = part * S::WIDTH;
                            let mut won = won >> lane;
                            if stage.relu {
                                won &= simd.greater(simd.load(output, lane), zero);
                            }
                            let mut g = simd.select(won, simd.load(dy, lane), zero);
                            if pool.stride < pool.size {
                                // A pixel gets the gradients of all windows that it won, row-major.
                                g = simd.add(simd.load(target, lane), g);
                            }
                            simd.store(target, lane, g);
                        }
                        k += 1;
                    }
                }
            }
        }
    }
}

/// Sets the frame around `rows` x `columns` pixels to zero.
fn clear_frame<const L: usize>(
    spread: Spread,
    rows: usize,
    columns: usize,
    target: &mut [[f32; L]],
) {
    if spread.margin == 0 && spread.rows == rows && spread.columns == columns {
        return;
    }
    let (inside, below) = target.split_at_mut((spread.margin + rows) * spread.columns);
    below.fill([0.0; L]);
    let (above, inside) = inside.split_at_mut(spread.margin * spread.columns);
    above.fill([0.0; L]);
    for row in inside.chunks_exact_mut(spread.columns) {
        row[..spread.margin].fill([0.0; L]);
        row[spread.margin + columns..].fill([0.0; L]);
    }
}
