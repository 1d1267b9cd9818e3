//! Fully connected layer over blocks of lanes.
//!
//! Each pass is a matrix product `C = C0 + A X` whose rows of `C` lie in blocks of `B` rows x `T`
//! vectors of columns in registers; the passes differ in where `A` lies. The input gradient reads
//! the weights down their columns: it takes [`DEPTH`] rows at a time, so that a line of weights
//! that was fetched for some inputs is still there for the next.

use crate::arch::Simd;
use crate::layers::memory::{Backward, Forward};
use crate::layers::register_block::{add_products, block};
use crate::layers::relu::{relu_gradient, relu_in_place};
use crate::layers::turn::turn;
use crate::map::{Frame, Map};

/// Floats of scratch for the forward pass and for the backward pass.
pub(crate) const fn scratch_len(frame: &Frame, lanes: usize) -> (usize, usize) {
    (0, turned_row(frame.input.len()) * lanes)
}

/// Floats of a row of turned inputs: whole vectors of every instruction set.
const fn turned_row(inputs: usize) -> usize {
    inputs.next_multiple_of(16)
}

/// The forward pass with the relu that follows.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(simd: S, frame: &Frame, memory: Forward<'_>) {
    let Forward { w, bias, x, y, .. } = memory;
    let map = frame.output;
    let outputs = &mut y[..map.channels * L];
    outputs_of(simd, L, w, Some(bias), x, outputs);
    if frame.relu {
        relu_in_place(simd, outputs);
    }
    make_room::<L>(&map, y);
}

/// Makes room for the zeros around each value, from the last one on: no value moves down.
pub(super) fn make_room<const L: usize>(map: &Map, y: &mut [f32]) {
    if map.has_zeros() {
        for o in (0..map.channels).rev() {
            let from = o * L..(o + 1) * L;
            y.copy_within(from.clone(), map.at(o, 0, 0) * L);
            if map.at(o, 0, 0) != o {
                y[from].fill(0.0);
            }
        }
    }
}

/// The backward pass.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(simd: S, frame: &Frame, memory: Backward<'_>) {
    let Backward {
        w,
        dw,
        db,
        x,
        y,
        dy,
        dx,
        passes,
        scratch,
        ..
    } = memory;
    let map = frame.output;
    let dy = &mut dy[..map.channels * L];
    if frame.relu {
        where_on::<S, L>(simd, &map, y, dy);
    }
    if passes.weight_gradient {
        biases_of(L, dy, passes.fresh, db);
        let turned = turned(simd, L, x, scratch);
        weights_of(simd, L, &[(turned, dy)], x.len() / L, passes.fresh, dw);
    }
    if passes.input_gradient {
        inputs_of(simd, L, w, dy, false, &mut dx[..x.len()]);
    }
}

/// Makes a gradient or a tangent zero where the relu is off, whose output is `y`.
#[inline(always)]
pub(super) fn where_on<S: Simd, const L: usize>(simd: S, map: &Map, y: &[f32], dy: &mut [f32]) {
    for (o, dy) in dy.chunks_exact_mut(L).enumerate() {
        relu_gradient(simd, &y[map.at(o, 0, 0) * L..][..L], dy);
    }
}

/// Rows of weights that the input gradient takes at a time: they, their gradients and a block's
/// sums fit the first cache.
const DEPTH: usize = 32;

/// Rows of a block whose rows are a single vector.
const TALL: usize = 16;

/// Whether the next of `left` rows make such a block: eight sums are too few where there are 32
/// registers, since each multiply-add waits for the one before it.
#[inline(always)]
fn single_vectors<S: Simd>(lanes: usize, left: usize) -> bool {
    lanes == S::WIDTH && left >= TALL && const { S::BLOCK >= 8 }
}

/// Stores a block's sums from column `at` of `target` on, whose rows are `row` long.
#[inline(always)]
fn store<S: Simd, const B: usize, const T: usize>(
    simd: S,
    sums: [[S::V; T]; B],
    row: usize,
    at: usize,
    target: &mut [f32],
) {
    for b in 0..B {
        for t in 0..T {
            simd.store(target, b * row + at + t * S::WIDTH, sums[b][t]);
        }
    }
}

/// The sums that [`store`] left there.
#[inline(always)]
fn load<S: Simd, const B: usize, const T: usize>(
    simd: S,
    row: usize,
    at: usize,
    source: &[f32],
) -> [[S::V; T]; B] {
    let mut sums = [[simd.splat(0.0); T]; B];
    for b in 0..B {
        for t in 0..T {
            sums[b][t] = simd.load(source, b * row + at + t * S::WIDTH);
        }
    }
    sums
}

/// Calls `$tile` with `B` = the number of rows `$size` in a block.
macro_rules! with_block {
    ($size:expr, $tile:ident :: <$S:ident> $arguments:tt) => {
        match $size {
            8 if const { <$S>::BLOCK >= 8 } => $tile::<$S, 8> $arguments,
            4 => $tile::<$S, 4> $arguments,
            2 => $tile::<$S, 2> $arguments,
            _ => $tile::<$S, 1> $arguments,
        }
    };
}

/// `y` (outputs x lanes) of `x` (inputs x lanes). Without a bias it is added to what is there.
#[inline(always)]
pub(super) fn outputs_of<S: Simd>(
    simd: S,
    lanes: usize,
    w: &[f32],
    bias: Option<&[f32]>,
    x: &[f32],
    y: &mut [f32],
) {
    let (inputs, outputs) = (x.len() / lanes, y.len() / lanes);
    let mut done = 0;
    while done < outputs {
        let (w, y) = (&w[done * inputs..], &mut y[done * lanes..]);
        let bias = bias.map(|bias| &bias[done..]);
        if single_vectors::<S>(lanes, outputs - done) {
            forward_tile::<S, TALL, 1>(simd, lanes, 0, w, bias, x, y);
            done += TALL;
            continue;
        }
        let size = block::<S>(outputs - done);
        with_block!(size, forward_block::<S>(simd, lanes, w, bias, x, y));
        done += size;
    }
}

#[inline(always)]
fn forward_block<S: Simd, const B: usize>(
    simd: S,
    lanes: usize,
    w: &[f32],
    bias: Option<&[f32]>,
    x: &[f32],
    y: &mut [f32],
) {
    let mut at = 0;
    while at + 2 * S::WIDTH <= lanes {
        forward_tile::<S, B, 2>(simd, lanes, at, w, bias, x, y);
        at += 2 * S::WIDTH;
    }
    if at < lanes {
        forward_tile::<S, B, 1>(simd, lanes, at, w, bias, x, y);
    }
}

/// `B` outputs x `T` vectors of lanes from lane `at` on.
#[inline(always)]
fn forward_tile<S: Simd, const B: usize, const T: usize>(
    simd: S,
    lanes: usize,
    at: usize,
    w: &[f32],
    bias: Option<&[f32]>,
    x: &[f32],
    y: &mut [f32],
) {
    let inputs = x.len() / lanes;
    let mut sums = [[simd.splat(0.0); T]; B];
    match bias {
        Some(bias) => {
            let bias = &bias[..B];
            for b in 0..B {
                sums[b] = [simd.splat(bias[b]); T];
            }
        }
        None => sums = load(simd, lanes, at, y),
    }
    let mut rows = [w; B];
    for b in 0..B {
        rows[b] = &w[b * inputs..][..inputs];
    }
    for (i, x) in x.chunks_exact(lanes).enumerate().take(inputs) {
        let mut weights = [0.0; B];
        for b in 0..B {
            weights[b] = rows[b][i];
        }
        add_products(simd, &weights, &x[at..][..T * S::WIDTH], &mut sums);
    }
    store(simd, sums, lanes, at, y);
}

/// `dx` (inputs x lanes) of `dy` (outputs x lanes): overwrites, or is added.
#[inline(always)]
pub(super) fn inputs_of<S: Simd>(
    simd: S,
    lanes: usize,
    w: &[f32],
    dy: &[f32],
    add: bool,
    dx: &mut [f32],
) {
    let inputs = dx.len() / lanes;
    let rows = w.chunks(DEPTH * inputs).zip(dy.chunks(DEPTH * lanes));
    for (part, (w, dy)) in rows.enumerate() {
        let mut done = 0;
        while done < inputs {
            let (w, dx) = (&w[done..], &mut dx[done * lanes..]);
            let first = part == 0 && !add;
            if single_vectors::<S>(lanes, inputs - done) {
                input_gradient_tile::<S, TALL, 1>(simd, lanes, 0, inputs, first, w, dy, dx);
                done += TALL;
                continue;
            }
            let size = block::<S>(inputs - done);
            with_block!(
                size,
                input_gradient_block::<S>(simd, lanes, inputs, first, w, dy, dx)
            );
            done += size;
        }
    }
}

#[inline(always)]
fn input_gradient_block<S: Simd, const B: usize>(
    simd: S,
    lanes: usize,
    inputs: usize,
    first: bool,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let mut at = 0;
    while at + 2 * S::WIDTH <= lanes {
        input_gradient_tile::<S, B, 2>(simd, lanes, at, inputs, first, w, dy, dx);
        at += 2 * S::WIDTH;
    }
    if at < lanes {
        input_gradient_tile::<S, B, 1>(simd, lanes, at, inputs, first, w, dy, dx);
    }
}

/// `B` inputs x `T` vectors of lanes from lane `at` on. The sums begin with zero or go on.
#[inline(always)]
fn input_gradient_tile<S: Simd, const B: usize, const T: usize>(
    simd: S,
    lanes: usize,
    at: usize,
    inputs: usize,
    first: bool,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let mut sums = if first {
        [[simd.splat(0.0); T]; B]
    } else {
        load(simd, lanes, at, dx)
    };
    for (o, dy) in dy.chunks_exact(lanes).enumerate() {
        if let Some(weights) = w[o * inputs..].first_chunk::<B>() {
            add_products(simd, weights, &dy[at..][..T * S::WIDTH], &mut sums);
        }
    }
    store(simd, sums, lanes, at, dx);
}

/// Adds to `db` (outputs), or overwrites it with `fresh` sums.
#[inline(always)]
pub(super) fn biases_of(lanes: usize, dy: &[f32], fresh: bool, db: &mut [f32]) {
    for (db, dy) in db.iter_mut().zip(dy.chunks_exact(lanes)) {
        if fresh {
            *db = 0.0;
        }
        for dy in dy {
            *db += dy;
        }
    }
}

/// `x` (inputs x lanes) turned to lanes x [`turned_row`], in scratch of that length.
#[inline(always)]
pub(super) fn turned<'t, S: Simd>(
    simd: S,
    lanes: usize,
    x: &[f32],
    scratch: &'t mut [f32],
) -> &'t [f32] {
    let row = turned_row(x.len() / lanes);
    let turned = &mut scratch[..lanes * row];
    turn(simd, x, lanes, turned, row);
    turned
}

/// Adds to `dw` (outputs x inputs), or overwrites it with `fresh` sums: a large matrix is not read
/// then, which takes as long as writing it. Each pair of inputs, turned, and gradients brings its
/// products.
#[inline(always)]
pub(super) fn weights_of<S: Simd>(
    simd: S,
    lanes: usize,
    pairs: &[(&[f32], &[f32])],
    inputs: usize,
    fresh: bool,
    dw: &mut [f32],
) {
    let outputs = dw.len() / inputs;
    let mut done = 0;
    while done < outputs {
        let size = block::<S>(outputs - done);
        let dw = &mut dw[done * inputs..];
        with_block!(
            size,
            weight_gradient_block::<S>(simd, lanes, inputs, done, fresh, pairs, dw)
        );
        done += size;
    }
}

#[inline(always)]
fn weight_gradient_block<S: Simd, const B: usize>(
    simd: S,
    lanes: usize,
    inputs: usize,
    first: usize,
    fresh: bool,
    pairs: &[(&[f32], &[f32])],
    dw: &mut [f32],
) {
    let mut at = 0;
    while at + 2 * S::WIDTH <= inputs {
        weight_gradient_tile::<S, B, 2>(simd, lanes, inputs, first, at, fresh, pairs, dw);
        at += 2 * S::WIDTH;
    }
    while at + S::WIDTH <= inputs {
        weight_gradient_tile::<S, B, 1>(simd, lanes, inputs, first, at, fresh, pairs, dw);
        at += S::WIDTH;
    }
    if at < inputs {
        // The last inputs, as whole vectors beside the matrix.
        let mut ends = [[0.0; WIDEST]; B];
        let ends = ends.as_flattened_mut();
        if !fresh {
            for (end, dw) in ends.chunks_exact_mut(S::WIDTH).zip(dw.chunks(inputs)) {
                end[..inputs - at].copy_from_slice(&dw[at..inputs]);
            }
        }
        let mut sums = load::<S, B, 1>(simd, S::WIDTH, 0, ends);
        for (turned, dy) in pairs {
            weight_gradient_sums(simd, lanes, at, turned, &dy[first * lanes..], &mut sums);
        }
        store(simd, sums, S::WIDTH, 0, ends);
        for (end, dw) in ends
            .chunks_exact(S::WIDTH)
            .zip(dw.chunks_mut(inputs).take(B))
        {
            dw[at..inputs].copy_from_slice(&end[..inputs - at]);
        }
    }
}

/// Floats of the longest vector.
const WIDEST: usize = 16;

/// `B` outputs from output `first` on x `T` vectors of inputs from input `at` on.
#[inline(always)]
fn weight_gradient_tile<S: Simd, const B: usize, const T: usize>(
    simd: S,
    lanes: usize,
    inputs: usize,
    first: usize,
    at: usize,
    fresh: bool,
    pairs: &[(&[f32], &[f32])],
    dw: &mut [f32],
) {
    let mut sums = if fresh {
        [[simd.splat(0.0); T]; B]
    } else {
        load::<S, B, T>(simd, inputs, at, dw)
    };
    for (turned, dy) in pairs {
        weight_gradient_sums(simd, lanes, at, turned, &dy[first * lanes..], &mut sums);
    }
    store(simd, sums, inputs, at, dw);
}

/// Adds to such a block's sums.
#[inline(always)]
fn weight_gradient_sums<S: Simd, const B: usize, const T: usize>(
    simd: S,
    lanes: usize,
    at: usize,
    turned: &[f32],
    dy: &[f32],
    sums: &mut [[S::V; T]; B],
) {
    let mut rows = [dy; B];
    for b in 0..B {
        rows[b] = &dy[b * lanes..][..lanes];
    }
    let row = turned.len() / lanes;
    for (lane, x) in turned.chunks_exact(row).enumerate().take(lanes) {
        let mut gradients = [0.0; B];
        for b in 0..B {
            gradients[b] = rows[b][lane];
        }
        add_products(simd, &gradients, &x[at..][..T * S::WIDTH], sums);
    }
}
