//! What follows a stage's operation: max-pool, then activation, forward and backward.
//!
//! Which input of a window won is kept as bit planes, one bit a lane: plane p holds bit p of the winner's number (row-major
//! in the window). The planes live in the `f32` workspace; words go in and out by `to_bits` and `from_bits`, which never
//! compute on them.

use crate::arch::Simd;
use crate::plan::{Map, Pool, Spread, Stage};

/// Where the rows of the operation's output lie that a stage's end reads: `plane` floats between channels, `row` between rows.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub data: &'a [f32],
    pub plane: usize,
    pub row: usize,
}

/// The bits of a bit plane that belong to the `WIDTH` lanes from float `at` on.
#[inline(always)]
fn read_bits<S: Simd>(plane: &[f32], at: usize) -> u32 {
    let mask = if S::WIDTH == 32 {
        u32::MAX
    } else {
        (1 << S::WIDTH) - 1
    };
    plane[at / 32].to_bits() >> (at % 32) & mask
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
pub(crate) fn forward_row<S: Simd>(
    simd: S,
    lanes: usize,
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
    let code_plane = stage.code_plane(lanes);
    for channel in 0..count {
        let data = &rows.data[channel * rows.plane..];
        let to = map.at(first + channel, r, 0) * lanes;
        let code = ((first + channel) * map.alive_rows + r) * map.alive_columns * lanes;
        let mut at = 0;
        while at < map.alive_columns * lanes {
            let from = at / lanes * pool.stride * lanes + at % lanes;
            let mut best = simd.load(data, from);
            for k in 1..pool.size * pool.size {
                let v = simd.load(
                    data,
                    from + k / pool.size * rows.row + k % pool.size * lanes,
                );
                let bits;
                (best, bits) = simd.first_max(best, v);
                for (p, plane) in codes.chunks_exact_mut(code_plane).enumerate() {
                    let old = read_bits::<S>(plane, code + at);
                    // The winner so far is k where the bits are set: bit p of k replaces what stood there.
                    let wanted = if k >> p & 1 == 1 { bits } else { 0 };
                    let change = (old ^ wanted) & bits;
                    let word = &mut plane[(code + at) / 32];
                    *word = f32::from_bits(word.to_bits() ^ change << ((code + at) % 32));
                }
            }
            if stage.relu {
                best = relu(simd, best);
            }
            simd.store(output, to + at, best);
            at += S::WIDTH;
        }
    }
}

/// The gradient of the operation's output from the gradient `dy` of the stage's output (alive pixels only), for `count`
/// channels from channel `first` on, laid out as `spread` says; all else in `target` becomes zero.
#[inline(always)]
pub(crate) fn backward<S: Simd>(
    simd: S,
    lanes: usize,
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
    let code_plane = stage.code_plane(lanes);
    target[..count * spread.plane() * lanes].fill(0.0);
    for channel in 0..count {
        let target = &mut target[channel * spread.plane() * lanes..];
        for r in 0..map.alive_rows {
            let from = map.at(first + channel, r, 0) * lanes;
            let alive = ((first + channel) * map.alive_rows + r) * map.alive_columns * lanes;
            let mut at = 0;
            while at < map.alive_columns * lanes {
                let mut g = simd.load(dy, alive + at);
                if stage.relu {
                    let on = simd.greater(simd.load(output, from + at), zero);
                    g = simd.select(on, g, zero);
                }
                let (column, lane) = (at / lanes, at % lanes);
                match stage.pool {
                    None => {
                        let to = (spread.margin + r * spread.dilation) * spread.columns
                            + spread.margin
                            + column * spread.dilation;
                        simd.store(target, to * lanes + lane, g);
                    }
                    Some(pool) => {
                        for k in 0..pool.size * pool.size {
                            let mut won = u32::MAX;
                            for (p, plane) in codes.chunks_exact(code_plane).enumerate() {
                                let bits = read_bits::<S>(plane, alive + at);
                                won &= if k >> p & 1 == 1 { bits } else { !bits };
                            }
                            let row =
                                spread.margin + (r * pool.stride + k / pool.size) * spread.dilation;
                            let column = spread.margin
                                + (column * pool.stride + k % pool.size) * spread.dilation;
                            let to = (row * spread.columns + column) * lanes + lane;
                            // Windows may overlap: a pixel gets the gradients of all that it won, row-major.
                            let sum = if pool.stride < pool.size {
                                simd.add(simd.load(target, to), simd.select(won, g, zero))
                            } else {
                                simd.select(won, g, zero)
                            };
                            simd.store(target, to, sum);
                        }
                    }
                }
                at += S::WIDTH;
            }
        }
    }
}
