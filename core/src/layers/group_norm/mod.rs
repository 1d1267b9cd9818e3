//! Group normalisation, and with one group layer normalisation.
//!
//! ```text
//! statistics       m = 1/n sum of x,  v = 1/n sum of (x - m)^2,  s = 1 / sqrt(v + 1e-5)
//!                  over the n values of a group's channels in one sample
//! forward          h = (x - m) s,  y = gamma_c h + beta_c
//! weight gradient  dgamma_c = sum over samples, pixels of dy h,  dbeta_c = the same of dy
//! input gradient   g = gamma_c dy,  dx = s (g - mean of g - h (mean of g h))
//! ```
//! (Wu, He, "Group Normalization", ECCV 2018; Ba, Kiros, Hinton, "Layer Normalization", 2016.)
//! Statistics are those of a sample alone, in training and afterwards, so nothing depends on which
//! samples share a batch, and nothing is kept between passes: the backward pass computes them from
//! `x` anew, with the same bits.
//!
//! [`tangent`] has the derivatives of both passes along a vector of the parameters.
//!
//! Sums run over channels, rows and columns, the last fastest, and products in them are fused.
//! Those of the weight gradient are kept apart per lane and added by halving at the end; lane 0's
//! begins with the gradient that is there already.

pub(crate) mod tangent;

use super::memory::{Backward, Forward, SingleBackward};
use super::register_block::add_parts;
use crate::arch::Simd;
use crate::map::{Frame, Map};
use crate::shape::{LayerError, Parameters, Shape};

/// What is added to the variance, so that a constant map stays finite.
const EPSILON: f32 = 1e-5;

/// A group normalisation; see [`group_norm`](crate::network::group_norm).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GroupNorm {
    /// Groups that the channels are cut into.
    pub groups: usize,
}

impl GroupNorm {
    pub(crate) const fn output(&self, input: Shape) -> Result<Shape, LayerError> {
        if self.groups == 0 || !input.channels.is_multiple_of(self.groups) {
            return Err(LayerError::Groups {
                groups: self.groups,
                channels: input.channels,
            });
        }
        Ok(input)
    }

    pub(crate) const fn parameters(&self, input: Shape) -> Parameters {
        Parameters {
            outputs: input.channels,
            inputs: 1,
        }
    }

    /// Channels of a group.
    fn size(&self, map: &Map) -> usize {
        // `max(1)` shows the compiler that nothing divides by 0.
        map.channels / self.groups.max(1)
    }
}

/// The statistics of a group, per lane.
struct Statistics<const L: usize> {
    mean: [f32; L],
    /// One over the standard deviation.
    scale: [f32; L],
    /// Values in the group.
    count: f32,
}

impl<const L: usize> Statistics<L> {
    /// Of `size` channels from channel `first` on.
    #[inline(always)]
    fn of<S: Simd>(
        simd: S,
        map: &Map,
        first: usize,
        size: usize,
        x: &[[f32; L]],
    ) -> Option<Statistics<L>> {
        let count = (size * map.live_rows * map.live_columns) as f32;
        let (mut mean, mut scale) = ([0.0; L], [0.0; L]);
        for channel in first..first + size {
            for r in 0..map.live_rows {
                let row = x.get(map.at(channel, r, 0)..)?;
                for x in row.iter().take(map.live_columns) {
                    for lane in 0..L {
                        mean[lane] += x[lane];
                    }
                }
            }
        }
        for mean in &mut mean {
            *mean /= count;
        }
        for channel in first..first + size {
            for r in 0..map.live_rows {
                let row = x.get(map.at(channel, r, 0)..)?;
                for x in row.iter().take(map.live_columns) {
                    for lane in 0..L {
                        let d = x[lane] - mean[lane];
                        scale[lane] = simd.fma_f32(d, d, scale[lane]);
                    }
                }
            }
        }
        for scale in &mut scale {
            *scale = 1.0 / simd.sqrt_f32(*scale / count + EPSILON);
        }
        Some(Statistics { mean, scale, count })
    }

    /// The normalised value of a pixel.
    #[inline(always)]
    fn normalised(&self, x: &[f32; L]) -> [f32; L] {
        let mut h = [0.0; L];
        for lane in 0..L {
            h[lane] = (x[lane] - self.mean[lane]) * self.scale[lane];
        }
        h
    }
}

/// The forward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
    layer: &GroupNorm,
    simd: S,
    frame: &Frame,
    memory: Forward<'_>,
) -> Option<()> {
    let (input, output) = (&frame.input, &frame.output);
    let (x, y) = (memory.x.as_chunks::<L>().0, memory.y.as_chunks_mut::<L>().0);
    let size = layer.size(input);
    for group in 0..layer.groups {
        let statistics = Statistics::<L>::of(simd, input, group * size, size, x)?;
        for channel in group * size..(group + 1) * size {
            let (gamma, beta) = (*memory.w.get(channel)?, *memory.bias.get(channel)?);
            for r in 0..output.live_rows {
                let x = x.get(input.at(channel, r, 0)..)?;
                let y = y.get_mut(output.at(channel, r, 0)..)?;
                for (x, y) in x.iter().zip(y).take(output.live_columns) {
                    let h = statistics.normalised(x);
                    for lane in 0..L {
                        y[lane] = simd.fma_f32(gamma, h[lane], beta);
                    }
                }
            }
        }
    }
    Some(())
}

/// The means over a group of `g` and of `g h`, per lane.
struct Means<const L: usize> {
    g: [f32; L],
    gh: [f32; L],
}

impl<const L: usize> Means<L> {
    /// Of `size` channels from channel `first` on; `dy` is laid out as `from` says, and zero where
    /// the output is dead.
    #[inline(always)]
    fn of<S: Simd>(
        simd: S,
        statistics: &Statistics<L>,
        (input, from): (&Map, &Map),
        channels: core::ops::Range<usize>,
        w: &[f32],
        (x, dy): (&[[f32; L]], &[[f32; L]]),
    ) -> Option<Means<L>> {
        let (mut g, mut gh) = ([0.0; L], [0.0; L]);
        for channel in channels {
            let gamma = *w.get(channel)?;
            for r in 0..from.live_rows {
                let x = x.get(input.at(channel, r, 0)..)?;
                let dy = dy.get(from.at(channel, r, 0)..)?;
                for (x, dy) in x.iter().zip(dy).take(from.live_columns) {
                    let h = statistics.normalised(x);
                    for lane in 0..L {
                        let own = gamma * dy[lane];
                        g[lane] += own;
                        gh[lane] = simd.fma_f32(own, h[lane], gh[lane]);
                    }
                }
            }
        }
        for lane in 0..L {
            g[lane] /= statistics.count;
            gh[lane] /= statistics.count;
        }
        Some(Means { g, gh })
    }

    /// `dx` of a pixel with the normalised value `h` and the output gradient `dy`.
    #[inline(always)]
    fn input_gradient<S: Simd>(
        &self,
        simd: S,
        statistics: &Statistics<L>,
        gamma: f32,
        h: &[f32; L],
        dy: &[f32; L],
    ) -> [f32; L] {
        let mut dx = [0.0; L];
        for lane in 0..L {
            let centred = gamma * dy[lane] - self.g[lane];
            dx[lane] = statistics.scale[lane] * simd.fma_f32(-h[lane], self.gh[lane], centred);
        }
        dx
    }
}

/// Adds to the gradients of a channel's gamma and beta.
#[inline(always)]
fn weight_gradient<S: Simd, const L: usize>(
    simd: S,
    statistics: &Statistics<L>,
    (input, from): (&Map, &Map),
    channel: usize,
    (x, dy): (&[[f32; L]], &[[f32; L]]),
    (dgamma, dbeta): (&mut f32, &mut f32),
) -> Option<()> {
    let (mut products, mut sums) = ([0.0; L], [0.0; L]);
    *products.first_mut()? = *dgamma;
    *sums.first_mut()? = *dbeta;
    for r in 0..from.live_rows {
        let x = x.get(input.at(channel, r, 0)..)?;
        let dy = dy.get(from.at(channel, r, 0)..)?;
        for (x, dy) in x.iter().zip(dy).take(from.live_columns) {
            let h = statistics.normalised(x);
            for lane in 0..L {
                products[lane] = simd.fma_f32(dy[lane], h[lane], products[lane]);
                sums[lane] += dy[lane];
            }
        }
    }
    *dgamma = simd.sum(add_parts(simd, &products));
    *dbeta = simd.sum(add_parts(simd, &sums));
    Some(())
}

/// The output gradient of pixel (r, c), zero where the output is dead.
#[inline(always)]
fn gradient_at<const L: usize>(
    from: &Map,
    channel: usize,
    r: usize,
    c: usize,
    dy: &[[f32; L]],
) -> Option<[f32; L]> {
    if r < from.live_rows && c < from.live_columns {
        dy.get(from.at(channel, r, c)).copied()
    } else {
        Some([0.0; L])
    }
}

/// The backward pass over a block of lanes. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
    layer: &GroupNorm,
    simd: S,
    frame: &Frame,
    memory: Backward<'_>,
) -> Option<()> {
    let (input, from, to) = (&frame.input, &frame.output.dense(), &frame.input.dense());
    let (x, dy) = (memory.x.as_chunks::<L>().0, memory.dy.as_chunks::<L>().0);
    let dx = memory.dx.as_chunks_mut::<L>().0;
    let size = layer.size(input);
    for group in 0..layer.groups {
        let statistics = Statistics::<L>::of(simd, input, group * size, size, x)?;
        let channels = group * size..(group + 1) * size;
        if memory.weight_gradient {
            for channel in channels.clone() {
                let own = (memory.dw.get_mut(channel)?, memory.db.get_mut(channel)?);
                weight_gradient(simd, &statistics, (input, from), channel, (x, dy), own)?;
            }
        }
        if !memory.input_gradient {
            continue;
        }
        let maps = (input, from);
        let means = Means::of(simd, &statistics, maps, channels.clone(), memory.w, (x, dy))?;
        for channel in channels {
            let gamma = *memory.w.get(channel)?;
            for r in 0..to.live_rows {
                for c in 0..to.live_columns {
                    let dy = gradient_at(from, channel, r, c, dy)?;
                    let h = statistics.normalised(x.get(input.at(channel, r, c))?);
                    let dx = dx.get_mut(to.at(channel, r, c))?;
                    *dx = means.input_gradient(simd, &statistics, gamma, &h, &dy);
                }
            }
        }
    }
    Some(())
}

/// The backward pass of one sample. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward_single<S: Simd>(
    layer: &GroupNorm,
    simd: S,
    frame: &Frame,
    memory: SingleBackward<'_>,
) -> Option<()> {
    let (input, from) = (&frame.input, &frame.output);
    let dy = memory.dy.as_chunks::<1>().0;
    let x = memory.x.as_chunks_mut::<1>().0;
    let size = layer.size(input);
    for group in 0..layer.groups {
        let statistics = Statistics::<1>::of(simd, input, group * size, size, x)?;
        let channels = group * size..(group + 1) * size;
        for channel in channels.clone() {
            let own = (memory.dw.get_mut(channel)?, memory.db.get_mut(channel)?);
            weight_gradient(simd, &statistics, (input, from), channel, (&*x, dy), own)?;
        }
        if !memory.input_gradient {
            continue;
        }
        let maps = (input, from);
        let means = Means::of(
            simd,
            &statistics,
            maps,
            channels.clone(),
            memory.w,
            (&*x, dy),
        )?;
        for channel in channels {
            let gamma = *memory.w.get(channel)?;
            for r in 0..input.live_rows {
                for c in 0..input.live_columns {
                    let dy = gradient_at(from, channel, r, c, dy)?;
                    let x = x.get_mut(input.at(channel, r, c))?;
                    let h = statistics.normalised(x);
                    *x = means.input_gradient(simd, &statistics, gamma, &h, &dy);
                }
            }
        }
    }
    Some(())
}
