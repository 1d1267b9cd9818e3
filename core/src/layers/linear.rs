//! Fully connected layer.
//!
//! ```text
//! forward          y[o]     = b[o] + sum over i of w[o][i] x[i]
//! weight gradient  dw[o][i] = sum over samples of dy[o] x[i]
//! bias gradient    db[o]    = sum over samples of dy[o]
//! input gradient   dx[i]    = sum over o of w[o][i] dy[o]
//! ```
//! Every term is one fused multiply-add in the order of the index. The weight gradient takes one sample after the other and
//! begins with what is there, so it does not depend on the number of lanes.

use super::conv2d::block;
use crate::arch::Simd;

/// `y` (outputs x lanes) of `x` (inputs x lanes).
#[inline(always)]
pub(crate) fn forward<S: Simd>(
    simd: S,
    lanes: usize,
    w: &[f32],
    bias: &[f32],
    x: &[f32],
    y: &mut [f32],
) {
    let inputs = x.len() / lanes;
    let mut done = 0;
    while done < bias.len() {
        let size = block::<S>(bias.len() - done);
        let (w, bias, y) = (&w[done * inputs..], &bias[done..], &mut y[done * lanes..]);
        match size {
            8 => forward_block::<S, 8>(simd, lanes, w, bias, x, y),
            4 => forward_block::<S, 4>(simd, lanes, w, bias, x, y),
            2 => forward_block::<S, 2>(simd, lanes, w, bias, x, y),
            _ => forward_block::<S, 1>(simd, lanes, w, bias, x, y),
        }
        done += size;
    }
}

#[inline(always)]
fn forward_block<S: Simd, const B: usize>(
    simd: S,
    lanes: usize,
    w: &[f32],
    bias: &[f32],
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
    bias: &[f32],
    x: &[f32],
    y: &mut [f32],
) {
    let inputs = x.len() / lanes;
    let mut sums = [[simd.splat(0.0); T]; B];
    let mut rows = [w; B];
    for b in 0..B {
        sums[b] = [simd.splat(bias[b]); T];
        rows[b] = &w[b * inputs..][..inputs];
    }
    for (i, x) in x.chunks_exact(lanes).enumerate() {
        let mut vectors = [simd.splat(0.0); T];
        for t in 0..T {
            vectors[t] = simd.load(x, at + t * S::WIDTH);
        }
        for b in 0..B {
            let w = simd.splat(rows[b][i]);
            for t in 0..T {
                sums[b][t] = simd.fma(vectors[t], w, sums[b][t]);
            }
        }
    }
    for b in 0..B {
        for t in 0..T {
            simd.store(y, b * lanes + at + t * S::WIDTH, sums[b][t]);
        }
    }
}

/// `dx` (inputs x lanes) of `dy` (outputs x lanes); overwrites.
#[inline(always)]
pub(crate) fn input_gradient<S: Simd>(
    simd: S,
    lanes: usize,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let inputs = dx.len() / lanes;
    let mut done = 0;
    while done < inputs {
        let size = block::<S>(inputs - done);
        let (w, dx) = (&w[done..], &mut dx[done * lanes..]);
        match size {
            8 => input_gradient_block::<S, 8>(simd, lanes, inputs, w, dy, dx),
            4 => input_gradient_block::<S, 4>(simd, lanes, inputs, w, dy, dx),
            2 => input_gradient_block::<S, 2>(simd, lanes, inputs, w, dy, dx),
            _ => input_gradient_block::<S, 1>(simd, lanes, inputs, w, dy, dx),
        }
        done += size;
    }
}

#[inline(always)]
fn input_gradient_block<S: Simd, const B: usize>(
    simd: S,
    lanes: usize,
    inputs: usize,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let mut at = 0;
    while at + 2 * S::WIDTH <= lanes {
        input_gradient_tile::<S, B, 2>(simd, lanes, at, inputs, w, dy, dx);
        at += 2 * S::WIDTH;
    }
    if at < lanes {
        input_gradient_tile::<S, B, 1>(simd, lanes, at, inputs, w, dy, dx);
    }
}

/// `B` inputs x `T` vectors of lanes from lane `at` on.
#[inline(always)]
fn input_gradient_tile<S: Simd, const B: usize, const T: usize>(
    simd: S,
    lanes: usize,
    at: usize,
    inputs: usize,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let mut sums = [[simd.splat(0.0); T]; B];
    for (o, dy) in dy.chunks_exact(lanes).enumerate() {
        let mut vectors = [simd.splat(0.0); T];
        for t in 0..T {
            vectors[t] = simd.load(dy, at + t * S::WIDTH);
        }
        let w = &w[o * inputs..][..B];
        for b in 0..B {
            let w = simd.splat(w[b]);
            for t in 0..T {
                sums[b][t] = simd.fma(vectors[t], w, sums[b][t]);
            }
        }
    }
    for b in 0..B {
        for t in 0..T {
            simd.store(dx, b * lanes + at + t * S::WIDTH, sums[b][t]);
        }
    }
}

/// Adds to `dw` (outputs x inputs) and `db` (outputs). `turned` is scratch as long as `x`.
#[inline(always)]
pub(crate) fn weight_gradient<S: Simd>(
    simd: S,
    lanes: usize,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: &mut [f32],
    turned: &mut [f32],
) {
    let inputs = x.len() / lanes;
    for (i, x) in x.chunks_exact(lanes).enumerate() {
        for (lane, x) in x.iter().enumerate() {
            turned[lane * inputs + i] = *x;
        }
    }
    for (db, dy) in db.iter_mut().zip(dy.chunks_exact(lanes)) {
        for dy in dy {
            *db += dy;
        }
    }
    let outputs = db.len();
    let mut done = 0;
    while done < outputs {
        let size = block::<S>(outputs - done);
        let (dy, dw) = (&dy[done * lanes..], &mut dw[done * inputs..]);
        match size {
            8 => weight_gradient_block::<S, 8>(simd, lanes, inputs, turned, dy, dw),
            4 => weight_gradient_block::<S, 4>(simd, lanes, inputs, turned, dy, dw),
            2 => weight_gradient_block::<S, 2>(simd, lanes, inputs, turned, dy, dw),
            _ => weight_gradient_block::<S, 1>(simd, lanes, inputs, turned, dy, dw),
        }
        done += size;
    }
}

#[inline(always)]
fn weight_gradient_block<S: Simd, const B: usize>(
    simd: S,
    lanes: usize,
    inputs: usize,
    turned: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let mut at = 0;
    while at + 3 * S::WIDTH <= inputs {
        weight_gradient_tile::<S, B, 3>(simd, lanes, inputs, at, turned, dy, dw);
        at += 3 * S::WIDTH;
    }
    while at + S::WIDTH <= inputs {
        weight_gradient_tile::<S, B, 1>(simd, lanes, inputs, at, turned, dy, dw);
        at += S::WIDTH;
    }
    for b in 0..B {
        for i in at..inputs {
            let mut sum = dw[b * inputs + i];
            for lane in 0..lanes {
                sum = simd.fma_f32(dy[b * lanes + lane], turned[lane * inputs + i], sum);
            }
            dw[b * inputs + i] = sum;
        }
    }
}

/// `B` outputs x `T` vectors of inputs from input `at` on.
#[inline(always)]
fn weight_gradient_tile<S: Simd, const B: usize, const T: usize>(
    simd: S,
    lanes: usize,
    inputs: usize,
    at: usize,
    turned: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let mut sums = [[simd.splat(0.0); T]; B];
    for b in 0..B {
        for t in 0..T {
            sums[b][t] = simd.load(dw, b * inputs + at + t * S::WIDTH);
        }
    }
    for (lane, x) in turned.chunks_exact(inputs).enumerate() {
        let mut vectors = [simd.splat(0.0); T];
        for t in 0..T {
            vectors[t] = simd.load(x, at + t * S::WIDTH);
        }
        for b in 0..B {
            let dy = simd.splat(dy[b * lanes + lane]);
            for t in 0..T {
                sums[b][t] = simd.fma(vectors[t], dy, sums[b][t]);
            }
        }
    }
    for b in 0..B {
        for t in 0..T {
            simd.store(dw, b * inputs + at + t * S::WIDTH, sums[b][t]);
        }
    }
}
