//! Activations that are computed apart: leaky relu and the hyperbolic tangent. (A relu belongs to the stage before it.)
//!
//! ```text
//! leaky relu   y = slope x where x < 0, else x    dx = dy where x > 0, else slope dy
//! tanh         y = tanh x                         dx = (1 - y^2) dy
//! ```
//! `1 - y^2` is rounded once. The gradient needs only y: the lane blocks keep it, the pass of one sample computes it anew.

use crate::arch::Simd;
use crate::math::tanh;
use crate::plan::Map;

/// Which activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Activation {
    /// A small slope for negative values.
    LeakyRelu { slope: f32 },
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// `y` of `x`.
    #[inline(always)]
    pub(crate) fn value<S: Simd>(self, simd: S, x: f32) -> f32 {
        match self {
            Activation::LeakyRelu { slope } if x < 0.0 => slope * x,
            Activation::LeakyRelu { .. } => x,
            Activation::Tanh => tanh(simd, x),
        }
    }

    /// `dx` of `y` and `dy`. A leaky relu's slope is at least 0, so that `y` is positive where `x` is.
    #[inline(always)]
    pub(crate) fn gradient<S: Simd>(self, simd: S, y: f32, dy: f32) -> f32 {
        match self {
            Activation::LeakyRelu { .. } if y > 0.0 => dy,
            Activation::LeakyRelu { slope } => slope * dy,
            Activation::Tanh => simd.fma_f32(-y, y, 1.0) * dy,
        }
    }
}

/// `y` of `x`, laid out as `output` and `input` say. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
    simd: S,
    activation: Activation,
    input: Map,
    output: Map,
    x: &[f32],
    y: &mut [f32],
) -> Option<()> {
    let (x, y) = (x.as_chunks::<L>().0, y.as_chunks_mut::<L>().0);
    for channel in 0..output.channels {
        for r in 0..output.alive_rows {
            let x = x.get(input.at(channel, r, 0)..)?;
            let y = y.get_mut(output.at(channel, r, 0)..)?;
            for (x, y) in x.iter().zip(y).take(output.alive_columns) {
                for lane in 0..L {
                    y[lane] = activation.value(simd, x[lane]);
                }
            }
        }
    }
    Some(())
}

/// Overwrites `dx` (alive pixels only) from `y`, laid out as `output` says, and `dy` (alive pixels only).
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
    simd: S,
    activation: Activation,
    output: Map,
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Option<()> {
    let (y, dy) = (y.as_chunks::<L>().0, dy.as_chunks::<L>().0);
    let mut gradients = dy.iter().zip(dx.as_chunks_mut::<L>().0);
    for channel in 0..output.channels {
        for r in 0..output.alive_rows {
            let y = y.get(output.at(channel, r, 0)..)?;
            for y in y.iter().take(output.alive_columns) {
                let (dy, dx) = gradients.next()?;
                for lane in 0..L {
                    dx[lane] = activation.gradient(simd, y[lane], dy[lane]);
                }
            }
        }
    }
    Some(())
}
