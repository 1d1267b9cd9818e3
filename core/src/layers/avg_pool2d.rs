//! Average pool, over windows or over the whole map.
//!
//! ```text
//! forward          y[c][r][q]  = (sum over u, v of x[c][r s + u][q t + v]) / n
//! input gradient   dx[c][i][j] = sum over the windows that hold (i, j) of dy / n
//! ```
//! with strides `s` and `t` and `n` pixels in a window. Sums go row-major, over pixels and over
//! windows; they begin with the first term and with zero.

use super::memory::{Backward, Forward, SingleBackward};
use crate::arch::Simd;
use crate::map::{Frame, Map};
use crate::shape::{LayerError, Shape, Window};

/// An average pool; see [`avg_pool2d`](crate::network::avg_pool2d).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AvgPool2d {
    /// Rows and columns of a window.
    pub size: [usize; 2],
    /// Step between windows, down and to the right.
    pub stride: [usize; 2],
}

impl AvgPool2d {
    /// One window over a whole map. Rows without anything between them are one.
    pub(crate) const fn whole(map: &Map) -> AvgPool2d {
        let size = if map.has_zeros() {
            [map.live_rows, map.live_columns]
        } else {
            [1, map.plane()]
        };
        AvgPool2d { size, stride: size }
    }

    /// The windows.
    pub(crate) const fn window(&self) -> Window {
        Window {
            size: self.size,
            stride: self.stride,
        }
    }

    pub(crate) const fn output(&self, input: Shape) -> Result<Shape, LayerError> {
        match self.window().positions([input.rows, input.columns], [0; 2]) {
            Ok([rows, columns]) => Ok(Shape::new(input.channels, rows, columns)),
            Err(error) => Err(error),
        }
    }
}

/// The forward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
    pool: AvgPool2d,
    simd: S,
    frame: &Frame,
    memory: Forward<'_>,
) -> Option<()> {
    let Forward { x, y, .. } = memory;
    let (input, output) = (&frame.input, &frame.output);
    let (x, y) = (x.as_chunks::<L>().0, y.as_chunks_mut::<L>().0);
    let count = pool.window().len() as f32;
    for channel in 0..output.channels {
        for r in 0..output.live_rows {
            for c in 0..output.live_columns {
                // -0 + x is x, also where x is a zero of either sign.
                let mut sum = [-0.0; L];
                for u in 0..pool.size[0] {
                    let from = input.at(channel, r * pool.stride[0] + u, c * pool.stride[1]);
                    let row = x.get(from..)?.get(..pool.size[1])?;
                    if L == 1 {
                        sum[0] = simd.add_up(sum[0], row.as_flattened());
                        continue;
                    }
                    for x in row {
                        for lane in 0..L {
                            sum[lane] += x[lane];
                        }
                    }
                }
                let y = y.get_mut(output.at(channel, r, c))?;
                for lane in 0..L {
                    y[lane] = sum[lane] / count;
                }
            }
        }
    }
    Some(())
}

/// Overwrites `dx` from `dy`, laid out as the maps say; what no window holds becomes zero.
#[inline(always)]
fn input_gradient<const L: usize>(
    pool: AvgPool2d,
    input: Map,
    output: Map,
    dy: &[f32],
    dx: &mut [f32],
) -> Option<()> {
    let (dy, dx) = (dy.as_chunks::<L>().0, dx.as_chunks_mut::<L>().0);
    let count = pool.window().len() as f32;
    // Where no windows overlap, each sum has one term.
    let apart = pool.stride[0] >= pool.size[0] && pool.stride[1] >= pool.size[1];
    if !apart || output.live_len() * pool.window().len() < input.len() {
        dx.get_mut(..input.len())?.fill([0.0; L]);
    }
    for channel in 0..output.channels {
        for r in 0..output.live_rows {
            for c in 0..output.live_columns {
                let mut share = *dy.get(output.at(channel, r, c))?;
                for lane in 0..L {
                    share[lane] = share[lane] / count + 0.0;
                }
                for u in 0..pool.size[0] {
                    let from = input.at(channel, r * pool.stride[0] + u, c * pool.stride[1]);
                    let dx = dx.get_mut(from..)?.get_mut(..pool.size[1])?;
                    if apart {
                        dx.fill(share);
                        continue;
                    }
                    for dx in dx {
                        for lane in 0..L {
                            dx[lane] += share[lane];
                        }
                    }
                }
            }
        }
    }
    Some(())
}

/// The backward pass over a block of lanes. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward<const L: usize>(
    pool: AvgPool2d,
    frame: &Frame,
    memory: Backward<'_>,
) -> Option<()> {
    if !memory.passes.input_gradient {
        return Some(());
    }
    let (to, from) = (frame.input.dense(), frame.output.dense());
    input_gradient::<L>(pool, to, from, memory.dy, memory.dx)
}

/// The backward pass of one sample. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward_single(
    pool: AvgPool2d,
    frame: &Frame,
    memory: SingleBackward<'_>,
) -> Option<()> {
    if !memory.input_gradient {
        return Some(());
    }
    input_gradient::<1>(pool, frame.input, frame.output, memory.dy, memory.x)
}
