//! Both passes of a fully connected layer over blocks of lanes together with their tangents (see
//! [`curvature`](crate::Curvature)):
//!
//! ```text
//! forward   y = w x + b    ty = tw x + tb + w tx
//! backward  tdw += tdy x' + dy tx'    dx = w' dy    tdx = w' tdy + tw' dy
//! ```

use super::lanes::{
    biases_of, inputs_of, make_room, outputs_of, scratch_len, turned, weights_of, where_on,
};
use crate::arch::Simd;
use crate::layers::memory::{BackwardWithTangent, Forward, ForwardWithTangent};
use crate::layers::relu::relu_in_place;
use crate::map::Frame;

/// Floats of scratch.
pub(crate) const fn tangent_scratch_len(frame: &Frame, lanes: usize) -> usize {
    let (_, backward) = scratch_len(frame, lanes);
    backward.saturating_mul(2)
}

/// The forward pass.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
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
    let Forward { w, bias, x, y, .. } = values;
    let map = frame.output;
    let (outputs, tangents) = (&mut y[..map.channels * L], &mut ty[..map.channels * L]);
    outputs_of(simd, L, w, Some(bias), x, outputs);
    outputs_of(simd, L, tw, Some(tb), x, tangents);
    if let Some(tx) = tx {
        outputs_of(simd, L, w, None, tx, tangents);
    }
    if frame.relu {
        relu_in_place(simd, outputs);
    }
    make_room::<L>(&map, y);
    if frame.relu {
        where_on::<S, L>(simd, &map, y, &mut ty[..map.channels * L]);
    }
    make_room::<L>(&map, ty);
}

/// The backward pass to weights and input.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
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
        dy,
        tdy,
        dx,
        tdx,
        scratch,
        ..
    } = memory;
    let map = frame.output;
    let (dy, tdy) = (&mut dy[..map.channels * L], &mut tdy[..map.channels * L]);
    if frame.relu {
        where_on::<S, L>(simd, &map, y, dy);
        where_on::<S, L>(simd, &map, y, tdy);
    }
    let (one, other) = scratch.split_at_mut(scratch_len(frame, L).1);
    let pairs: [(&[f32], &[f32]); 2] = [
        (turned(simd, L, x, one), tdy),
        (turned(simd, L, tx, other), dy),
    ];
    biases_of(L, tdy, false, tdb);
    weights_of(simd, L, &pairs, x.len() / L, false, tdw);
    let (dx, tdx) = (&mut dx[..x.len()], &mut tdx[..x.len()]);
    inputs_of(simd, L, w, dy, false, dx);
    inputs_of(simd, L, w, tdy, false, tdx);
    inputs_of(simd, L, tw, dy, true, tdx);
}
