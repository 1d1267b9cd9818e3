//! Both passes of a depthwise convolution over blocks of lanes together with their tangents (see
//! [`curvature`](crate::Curvature)): the passes themselves, with the tangents' part of a sum
//! computed apart and then added.

use super::{DepthwiseConv2d, forward as pass, input_gradient, weight_gradient};
use crate::arch::Simd;
use crate::layers::memory::{BackwardWithTangent, Forward, ForwardWithTangent};
use crate::map::Frame;

/// Floats of scratch.
pub(crate) const fn scratch_len(frame: &Frame, lanes: usize) -> usize {
    let (output, input) = (frame.output.len(), frame.input.live_len());
    let map = if output > input { output } else { input };
    frame.output.channels + map * lanes
}

/// The forward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
    layer: &DepthwiseConv2d,
    simd: S,
    frame: &Frame,
    memory: ForwardWithTangent<'_>,
) -> Option<()> {
    let Forward {
        w,
        bias,
        x,
        y,
        scratch,
        draw,
        ..
    } = memory.values;
    let (zeros, rest) = scratch.split_at_mut_checked(frame.output.channels)?;
    zeros.fill(0.0);
    let part = rest.get_mut(..memory.ty.len())?;
    part.fill(0.0);
    let passes = [
        (w, bias, Some(x), y),
        (memory.tw, memory.tb, Some(x), &mut *memory.ty),
        (w, zeros, memory.tx, &mut *part),
    ];
    for (w, bias, x, y) in passes {
        let Some(x) = x else { return Some(()) };
        let memory = Forward {
            w,
            bias,
            x,
            y,
            codes: &mut [],
            keep_codes: true,
            scratch: &mut [],
            draw,
        };
        pass::<S, L>(layer, simd, frame, memory)?;
    }
    add(simd, part, memory.ty);
    Some(())
}

/// The backward pass to weights and input. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
    layer: &DepthwiseConv2d,
    simd: S,
    frame: &Frame,
    memory: BackwardWithTangent<'_>,
) -> Option<()> {
    let BackwardWithTangent {
        w,
        tw,
        tdw,
        tdb,
        x,
        tx,
        dy,
        tdy,
        dx,
        tdx,
        scratch,
        ..
    } = memory;
    let (from, to) = (frame.output.dense(), frame.input.dense());
    let (biases, rest) = scratch.split_at_mut_checked(tdb.len())?;
    // The bias's gradient is no part of the product.
    for (x, dy, db) in [(x, &*tdy, tdb), (tx, &*dy, biases)] {
        weight_gradient::<S, L>(layer, simd, &frame.input, from, x, dy, tdw, db)?;
    }
    let part = rest.get_mut(..to.len() * L)?;
    for (w, dy, dx) in [(w, &*dy, dx), (w, &*tdy, &mut *tdx), (tw, &*dy, &mut *part)] {
        input_gradient::<S, L>(layer, simd, from, to, w, dy, dx)?;
    }
    add(simd, part, tdx);
    Some(())
}

/// `y += x`.
#[inline(always)]
fn add<S: Simd>(simd: S, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.chunks_exact_mut(S::WIDTH).zip(x.chunks_exact(S::WIDTH)) {
        simd.store(y, 0, simd.add(simd.load(y, 0), simd.load(x, 0)));
    }
}
