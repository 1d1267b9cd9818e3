//! Both passes of a direct convolution over blocks of lanes together with their tangents (see
//! [`curvature`](crate::Curvature)). They are the kernels of [`lanes`](super::lanes), one after the
//! other on the same rows:
//!
//! ```text
//! forward   y = w x + b    ty = tw x + tb + w tx
//! backward  tdw += tdy x' + dy tx'    dx = w' dy    tdx = w' tdy + tw' dy
//! ```

use super::Conv2d;
use super::lanes::{
    GROUP, Rows, Start, WeightGradient, pack_backward, pack_forward, scratch_len, window_rows,
};
use crate::arch::Simd;
use crate::layers::max_pool2d::lanes as max_pool2d;
use crate::layers::max_pool2d::lanes::Spread;
use crate::layers::memory::{BackwardWithTangent, Forward, ForwardWithTangent};
use crate::map::Frame;

/// Floats of scratch: twice that of the passes without tangents.
pub(crate) const fn tangent_scratch_len(layer: &Conv2d, frame: &Frame, lanes: usize) -> usize {
    let (forward, backward) = scratch_len(layer, frame, lanes);
    let larger = if forward > backward {
        forward
    } else {
        backward
    };
    larger.saturating_mul(2)
}

/// The forward pass, one row of the output at a time.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
    layer: &Conv2d,
    simd: S,
    frame: &Frame,
    memory: ForwardWithTangent<'_>,
) {
    let ForwardWithTangent {
        values,
        tw,
        tb,
        tx,
        ty,
    } = memory;
    let Forward {
        w,
        bias,
        x,
        y,
        codes,
        scratch,
        ..
    } = values;
    let outputs = frame.output.channels;
    let pool = frame.window();
    let terms = frame.input.channels * layer.taps();
    let (packed, rest) = scratch.split_at_mut(GROUP * terms);
    let (tpacked, rows) = rest.split_at_mut(GROUP * terms);
    let mut first = 0;
    while first < outputs {
        let count = GROUP.min(outputs - first);
        pack_forward::<S>(w, terms, first, count, packed);
        pack_forward::<S>(tw, terms, first, count, tpacked);
        let task = Rows::forward(layer, frame, count, L);
        let start = Start::Bias(&bias[first..][..count]);
        let tstart = Start::Bias(&tb[first..][..count]);
        for r in 0..frame.output.live_rows {
            let from = r * pool.stride[0] * layer.stride[0] * frame.input.columns * L;
            let x = &x[from..];
            task.run::<S, L>(simd, x, packed, start, rows);
            max_pool2d::forward_row::<S, L>(
                simd,
                frame,
                window_rows(frame, rows),
                first,
                count,
                r,
                y,
                codes,
            );
            task.run::<S, L>(simd, x, tpacked, tstart, rows);
            if let Some(tx) = tx {
                task.run::<S, L>(simd, &tx[from..], packed, Start::Target, rows);
            }
            let (source, chosen) = (window_rows(frame, rows), (&*y, &*codes));
            max_pool2d::select_row::<S, L>(simd, frame, source, first, count, r, chosen, ty);
        }
        first += count;
    }
}

/// The backward pass to weights and input, a group of output channels at a time.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
    layer: &Conv2d,
    simd: S,
    frame: &Frame,
    memory: BackwardWithTangent<'_>,
) {
    let BackwardWithTangent {
        w,
        tw,
        tdw,
        tdb,
        x,
        tx,
        y,
        codes,
        dy,
        tdy,
        dx,
        tdx,
        scratch,
    } = memory;
    let spread = Spread::new(frame, layer.stride);
    let (inputs, outputs) = (frame.input.channels, frame.output.channels);
    let taps = layer.taps();
    let (packed, rest) = scratch.split_at_mut(GROUP * inputs * taps);
    let (dz, rest) = rest.split_at_mut(GROUP * spread.plane() * L);
    let tdz = &mut rest[..GROUP * spread.plane() * L];
    let mut first = 0;
    while first < outputs {
        let count = GROUP.min(outputs - first);
        for (dy, dz) in [(&*dy, &mut *dz), (&*tdy, &mut *tdz)] {
            max_pool2d::backward_rows::<S, L>(simd, frame, spread, first, count, y, codes, dy, dz);
        }
        let task = WeightGradient::new(layer, frame, spread, count);
        let (tdw, tdb) = (&mut tdw[first * inputs * taps..], &mut tdb[first..]);
        task.run::<S, L>(simd, x, tdz, tdw, tdb);
        // The bias's gradient is no part of the product.
        task.run::<S, L>(simd, tx, dz, tdw, &mut [0.0; GROUP]);
        let task = Rows::backward(layer, frame, spread, count, L);
        let start = if first == 0 {
            Start::Zero
        } else {
            Start::Target
        };
        pack_backward::<S>(w, inputs, taps, first, count, packed);
        task.run::<S, L>(simd, dz, packed, start, dx);
        task.run::<S, L>(simd, tdz, packed, start, tdx);
        pack_backward::<S>(tw, inputs, taps, first, count, packed);
        task.run::<S, L>(simd, dz, packed, Start::Target, tdx);
        first += count;
    }
}
