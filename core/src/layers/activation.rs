//! Activations that are computed apart: leaky relu, the hyperbolic tangent, the logistic function.
//! (A relu belongs to the stage before it.)
//!
//! ```text
//! leaky relu   y = slope x where x < 0, else x    dx = dy where x > 0, else slope dy
//! tanh         y = tanh x                         dx = (1 - y^2) dy
//! sigmoid      y = 1 / (1 + e^-x)                 dx = (y - y^2) dy
//! ```
//! `1 - y^2` and `y - y^2` are rounded once. A block of lanes has kept `y`; one sample, whose
//! gradient takes the place of `y`, computes it from `x` anew, with the same bits.
//!
//! Tangents, with the slope `f'` by which `dy` is multiplied above:
//!
//! ```text
//! ty = f' tx    tdx = f' (tdy + (f'' / f') tx dy),  f'' / f' = 0, -2 y, 1 - 2 y
//! ```

use super::memory::{Backward, Forward, SingleBackward, TangentBackward, TangentForward};
use crate::arch::Simd;
use crate::map::Frame;
use crate::math;
use crate::shape::LayerError;

/// Which activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Activation {
    /// A small slope for negative values.
    LeakyRelu(f32),
    /// The hyperbolic tangent.
    Tanh,
    /// The logistic function.
    Sigmoid,
}

/// Whether a leaky relu can have that slope.
pub(crate) const fn check_slope(slope: f32) -> Result<(), LayerError> {
    if slope >= 0.0 && slope <= 1.0 {
        Ok(())
    } else {
        Err(LayerError::Slope)
    }
}

impl Activation {
    /// `y` of `x`.
    #[inline(always)]
    fn value<S: Simd>(self, simd: S, x: f32) -> f32 {
        match self {
            Activation::LeakyRelu(slope) => {
                if x < 0.0 {
                    slope * x
                } else {
                    x
                }
            }
            Activation::Tanh => math::tanh(simd, x),
            Activation::Sigmoid => math::sigmoid(simd, x),
        }
    }

    /// `dx` of `x`, `y` and `dy`.
    #[inline(always)]
    fn gradient<S: Simd>(self, simd: S, x: f32, y: f32, dy: f32) -> f32 {
        match self {
            Activation::LeakyRelu(slope) => {
                if x > 0.0 {
                    dy
                } else {
                    slope * dy
                }
            }
            Activation::Tanh => simd.fma_f32(-y, y, 1.0) * dy,
            Activation::Sigmoid => simd.fma_f32(-y, y, y) * dy,
        }
    }

    /// The second derivative over the first, of `y`.
    #[inline(always)]
    fn bend<S: Simd>(self, simd: S, y: f32) -> f32 {
        match self {
            Activation::LeakyRelu(_) => 0.0,
            Activation::Tanh => -2.0 * y,
            Activation::Sigmoid => simd.fma_f32(-2.0, y, 1.0),
        }
    }
}

/// The forward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
    activation: Activation,
    simd: S,
    frame: &Frame,
    memory: Forward<'_>,
) -> Option<()> {
    // The choice outside, so that the loops inside become vectors.
    match activation {
        Activation::LeakyRelu(_) => values::<S, L>(activation, simd, frame, memory),
        Activation::Tanh => values::<S, L>(Activation::Tanh, simd, frame, memory),
        Activation::Sigmoid => values::<S, L>(Activation::Sigmoid, simd, frame, memory),
    }
}

#[inline(always)]
fn values<S: Simd, const L: usize>(
    activation: Activation,
    simd: S,
    frame: &Frame,
    memory: Forward<'_>,
) -> Option<()> {
    let (input, output) = (&frame.input, &frame.output);
    let (x, y) = (memory.x.as_chunks::<L>().0, memory.y.as_chunks_mut::<L>().0);
    for channel in 0..output.channels {
        for r in 0..output.live_rows {
            let x = x.get(input.at(channel, r, 0)..)?;
            let y = y.get_mut(output.at(channel, r, 0)..)?;
            for (x, y) in x.iter().zip(y).take(output.live_columns) {
                for lane in 0..L {
                    y[lane] = activation.value(simd, x[lane]);
                }
            }
        }
    }
    Some(())
}

/// The backward pass over a block of lanes. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
    activation: Activation,
    simd: S,
    frame: &Frame,
    memory: Backward<'_>,
) -> Option<()> {
    if !memory.input_gradient {
        return Some(());
    }
    match activation {
        Activation::LeakyRelu(_) => gradients::<S, L>(activation, simd, frame, memory),
        Activation::Tanh => gradients::<S, L>(Activation::Tanh, simd, frame, memory),
        Activation::Sigmoid => gradients::<S, L>(Activation::Sigmoid, simd, frame, memory),
    }
}

#[inline(always)]
fn gradients<S: Simd, const L: usize>(
    activation: Activation,
    simd: S,
    frame: &Frame,
    memory: Backward<'_>,
) -> Option<()> {
    let (input, output) = (&frame.input, &frame.output);
    let (x, y) = (memory.x.as_chunks::<L>().0, memory.y.as_chunks::<L>().0);
    let (dy, dx) = (
        memory.dy.as_chunks::<L>().0,
        memory.dx.as_chunks_mut::<L>().0,
    );
    let mut gradients = dy.iter().zip(dx);
    for channel in 0..input.channels {
        for r in 0..input.live_rows {
            let x = x.get(input.at(channel, r, 0)..)?;
            let y = y.get(output.at(channel, r, 0)..)?;
            for (x, y) in x.iter().zip(y).take(input.live_columns) {
                let (dy, dx) = gradients.next()?;
                for lane in 0..L {
                    dx[lane] = activation.gradient(simd, x[lane], y[lane], dy[lane]);
                }
            }
        }
    }
    Some(())
}

/// The backward pass of one sample. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward_single<S: Simd>(
    activation: Activation,
    simd: S,
    frame: &Frame,
    memory: SingleBackward<'_>,
) -> Option<()> {
    if !memory.input_gradient {
        return Some(());
    }
    let (from, to) = (&frame.output, &frame.input);
    for channel in 0..to.channels {
        for r in 0..to.live_rows {
            let dy = memory.dy.get(from.at(channel, r, 0)..)?;
            let x = memory.x.get_mut(to.at(channel, r, 0)..)?;
            for (x, dy) in x.iter_mut().zip(dy).take(to.live_columns) {
                let y = match activation {
                    // Its gradient does not depend on `y`.
                    Activation::LeakyRelu(_) => 0.0,
                    other => other.value(simd, *x),
                };
                *x = activation.gradient(simd, *x, y, *dy);
            }
        }
    }
    Some(())
}

/// The tangent of the forward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn tangent_forward<S: Simd, const L: usize>(
    activation: Activation,
    simd: S,
    frame: &Frame,
    memory: TangentForward<'_>,
) -> Option<()> {
    let (input, output) = (&frame.input, &frame.output);
    let (x, tx) = (memory.x.as_chunks::<L>().0, memory.tx.as_chunks::<L>().0);
    let ty = memory.ty.as_chunks_mut::<L>().0;
    for channel in 0..output.channels {
        for r in 0..output.live_rows {
            let from = input.at(channel, r, 0);
            let x = x.get(from..)?.iter().zip(tx.get(from..)?);
            let ty = ty.get_mut(output.at(channel, r, 0)..)?;
            for ((x, tx), ty) in x.zip(ty).take(output.live_columns) {
                for lane in 0..L {
                    let y = activation.value(simd, x[lane]);
                    ty[lane] = activation.gradient(simd, x[lane], y, tx[lane]);
                }
            }
        }
    }
    Some(())
}

/// The tangent of the backward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn tangent_backward<S: Simd, const L: usize>(
    activation: Activation,
    simd: S,
    frame: &Frame,
    memory: TangentBackward<'_>,
) -> Option<()> {
    let Some(inputs) = memory.inputs else {
        return Some(());
    };
    let (from, to) = (memory.from, memory.to);
    let (x, tx) = (memory.x.as_chunks::<L>().0, memory.tx.as_chunks::<L>().0);
    let (dy, tdy) = (memory.dy.as_chunks::<L>().0, memory.tdy.as_chunks::<L>().0);
    let dx = inputs.dx.as_chunks_mut::<L>().0;
    let tdx = inputs.tdx.as_chunks_mut::<L>().0;
    for channel in 0..to.channels {
        for r in 0..to.live_rows {
            let at = frame.input.at(channel, r, 0);
            let x = x.get(at..)?.iter().zip(tx.get(at..)?);
            let at = from.at(channel, r, 0);
            let dy = dy.get(at..)?.iter().zip(tdy.get(at..)?);
            let at = to.at(channel, r, 0);
            let dx = dx.get_mut(at..)?.iter_mut().zip(tdx.get_mut(at..)?);
            for (((x, tx), (dy, tdy)), (dx, tdx)) in x.zip(dy).zip(dx).take(to.live_columns) {
                for lane in 0..L {
                    let y = activation.value(simd, x[lane]);
                    let bend = activation.bend(simd, y) * tx[lane];
                    let own = simd.fma_f32(bend, dy[lane], tdy[lane]);
                    dx[lane] = activation.gradient(simd, x[lane], y, dy[lane]);
                    tdx[lane] = activation.gradient(simd, x[lane], y, own);
                }
            }
        }
    }
    Some(())
}
