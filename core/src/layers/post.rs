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

/// `0` where `x < 0`, in place.
#[inline(always)]
pub(crate) fn relu_in_place<S: Simd>(simd: S, x: &mut [f32]) {
    for x in x.chunks_exact_mut(S::WIDTH) {
        let y = simd.relu(simd.load(x, 0));
        simd.store(x, 0, y);
    }
}

/// The gradient of the activation's input, in place of that of its output `y`: 0 where `y` is not positive.
#[inline(always)]
pub(crate) fn relu_gradient<S: Simd>(simd: S, y: &[f32], dy: &mut [f32]) {
    for (dy, y) in dy.chunks_exact_mut(S::WIDTH).zip(y.chunks_exact(S::WIDTH)) {
        let g = simd.where_positive(simd.load(y, 0), simd.load(dy, 0));
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
    match stage.pool {
        None => forward_sized::<S, L, 1>(simd, stage, rows, first, count, r, output, codes),
        Some(Pool { size: 2, .. }) => {
            forward_sized::<S, L, 2>(simd, stage, rows, first, count, r, output, codes);
        }
        _ => forward_sized::<S, L, 0>(simd, stage, rows, first, count, r, output, codes),
    }
}

/// [`forward_row`] for windows of `SIZE` rows and columns; 0 stands for any.
#[inline(always)]
fn forward_sized<S: Simd, const L: usize, const SIZE: usize>(
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
    let mut pool = stage.pool.unwrap_or(Pool { size: 1, stride: 1 });
    if SIZE > 0 {
        pool.size = SIZE;
    }
    let (size, planes, code_plane) = (pool.size, pool.code_bits(), stage.code_plane(L));
    let data = rows.data.as_chunks::<L>().0;
    let output = output.as_chunks_mut::<L>().0;
    for channel in 0..count {
        let data = &data[channel * rows.plane..];
        let output = &mut output[map.at(first + channel, r, 0)..][..map.alive_columns];
        let code = ((first + channel) * map.alive_rows + r) * map.alive_columns;
        for (c, output) in output.iter_mut().enumerate() {
            let mut winners = [0; MOST_PLANES];
            let window = &data[c * pool.stride..][..(size - 1) * rows.row + size];
            for part in 0..L / S::WIDTH {
                let lane = part * S::WIDTH;
                let load = |k: usize| simd.load(&window[k / size * rows.row + k % size], lane);
                let mut best;
                if SIZE == 2 {
                    // Each row's winner, then the winning row: the same as in sequence, with shorter waits.
                    let (above, right_above) = simd.first_max(load(0), load(1));
                    let (below, right_below) = simd.first_max(load(2), load(3));
                    let row;
                    (best, row) = simd.first_max(above, below);
                    winners[0] |= (right_above & !row | right_below & row) << lane;
                    winners[1] |= row << lane;
                } else {
                    best = load(0);
                    for k in 1..size * size {
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
                if stage.relu {
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
    match stage.pool {
        None if spread.dilation == 1 => {
            backward_sized::<S, L, 1>(simd, stage, spread, first, count, output, codes, dy, target);
        }
        Some(Pool { size: 2, stride: 2 }) if spread.dilation == 1 => {
            backward_sized::<S, L, 2>(simd, stage, spread, first, count, output, codes, dy, target);
        }
        _ => {
            backward_sized::<S, L, 0>(simd, stage, spread, first, count, output, codes, dy, target);
        }
    }
}

/// [`backward`] for windows of `SIZE` rows and columns side by side, without zeros between pixels; 0 stands for any.
#[inline(always)]
fn backward_sized<S: Simd, const L: usize, const SIZE: usize>(
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
    let mut pool = stage.pool.unwrap_or(Pool { size: 1, stride: 1 });
    if SIZE > 0 {
        pool = Pool {
            size: SIZE,
            stride: SIZE,
        };
    }
    let dilation = if SIZE > 0 { 1 } else { spread.dilation };
    let (size, step) = (pool.size, pool.stride * dilation);
    let (planes, code_plane) = (pool.code_bits(), stage.code_plane(L));
    let (output, dy) = (output.as_chunks::<L>().0, dy.as_chunks::<L>().0);
    let target = target.as_chunks_mut::<L>().0;
    for channel in 0..count {
        let target = &mut target[channel * spread.plane()..][..spread.plane()];
        // Windows side by side write every pixel.
        if SIZE == 0 {
            target.fill([0.0; L]);
        }
        for r in 0..map.alive_rows {
            let output = &output[map.at(first + channel, r, 0)..][..map.alive_columns];
            let alive = ((first + channel) * map.alive_rows + r) * map.alive_columns;
            let dy = &dy[alive..][..map.alive_columns];
            let target = &mut target[r * step * spread.columns..];
            for (c, (dy, output)) in dy.iter().zip(output).enumerate() {
                let mut winners = [0; MOST_PLANES];
                for p in 0..planes {
                    winners[p] = read_bits::<L>(&codes[p * code_plane..], alive + c);
                }
                let window =
                    &mut target[c * step..][..(size - 1) * dilation * (spread.columns + 1) + 1];
                for part in 0..L / S::WIDTH {
                    let lane = part * S::WIDTH;
                    let mut g = simd.load(dy, lane);
                    if stage.relu {
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
                            for k in 0..size * size {
                                let mut won = u32::MAX;
                                for (p, plane) in winners.iter().enumerate().take(planes) {
                                    won &= if k >> p & 1 == 1 { *plane } else { !*plane };
                                }
                                let (row, column) = (k / size, k % size);
                                let pixel = (row * spread.columns + column) * dilation;
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
