//! The derivatives of both passes of a group normalisation along a vector of the parameters.
//!
//! ```text
//! forward          th = s (tx - mean of tx - h a),  a = mean of h tx
//!                  ty = gamma th + tgamma h + tbeta
//! weight gradient  tdgamma = sum of tdy h + dy th,  tdbeta = sum of tdy
//! input gradient   tg  = gamma tdy + tgamma dy
//!                  tdx = s (tg - mean of tg - th (mean of g h) - h (mean of tg h + g th) - a dx)
//! ```
//! with what stands above for `h`, `s`, `g` and `dx`. (`ts = -s^2 a`, from the variance's derivative
//! `2 mean of (x - m) tx = 2 a / s`.)

use super::{GroupNorm, Means, Statistics, gradient_at};
use crate::arch::Simd;
use crate::layers::memory::{TangentBackward, TangentForward};
use crate::layers::register_block::add_parts;
use crate::map::{Frame, Map};
use core::ops::Range;

/// The means over a group of `tx` and of `h tx`, per lane.
struct Tangents<const L: usize> {
    mean: [f32; L],
    a: [f32; L],
}

impl<const L: usize> Tangents<L> {
    #[inline(always)]
    fn of<S: Simd>(
        simd: S,
        statistics: &Statistics<L>,
        map: &Map,
        channels: Range<usize>,
        (x, tx): (&[[f32; L]], &[[f32; L]]),
    ) -> Option<Tangents<L>> {
        let (mut mean, mut a) = ([0.0; L], [0.0; L]);
        for channel in channels {
            for r in 0..map.live_rows {
                let at = map.at(channel, r, 0);
                for (x, tx) in x
                    .get(at..)?
                    .iter()
                    .zip(tx.get(at..)?)
                    .take(map.live_columns)
                {
                    let h = statistics.normalised(x);
                    for lane in 0..L {
                        mean[lane] += tx[lane];
                        a[lane] = simd.fma_f32(h[lane], tx[lane], a[lane]);
                    }
                }
            }
        }
        for lane in 0..L {
            mean[lane] /= statistics.count;
            a[lane] /= statistics.count;
        }
        Some(Tangents { mean, a })
    }

    /// `th` of a pixel.
    #[inline(always)]
    fn normalised<S: Simd>(
        &self,
        simd: S,
        statistics: &Statistics<L>,
        h: &[f32; L],
        tx: &[f32; L],
    ) -> [f32; L] {
        let mut th = [0.0; L];
        for lane in 0..L {
            let centred = tx[lane] - self.mean[lane];
            th[lane] = statistics.scale[lane] * simd.fma_f32(-h[lane], self.a[lane], centred);
        }
        th
    }
}

/// The tangent of the forward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
    layer: &GroupNorm,
    simd: S,
    frame: &Frame,
    memory: TangentForward<'_>,
) -> Option<()> {
    let (input, output) = (&frame.input, &frame.output);
    let (x, tx) = (memory.x.as_chunks::<L>().0, memory.tx.as_chunks::<L>().0);
    let ty = memory.ty.as_chunks_mut::<L>().0;
    let size = layer.size(input);
    for group in 0..layer.groups {
        let channels = group * size..(group + 1) * size;
        let statistics = Statistics::<L>::of(simd, input, channels.start, size, x)?;
        let tangents = Tangents::of(simd, &statistics, input, channels.clone(), (x, tx))?;
        for channel in channels {
            let gamma = *memory.w.get(channel)?;
            let (tgamma, tbeta) = (*memory.tw.get(channel)?, *memory.tb.get(channel)?);
            for r in 0..output.live_rows {
                let at = input.at(channel, r, 0);
                let x = x.get(at..)?.iter().zip(tx.get(at..)?);
                let ty = ty.get_mut(output.at(channel, r, 0)..)?;
                for ((x, tx), ty) in x.zip(ty).take(output.live_columns) {
                    let h = statistics.normalised(x);
                    let th = tangents.normalised(simd, &statistics, &h, tx);
                    for lane in 0..L {
                        let own = simd.fma_f32(tgamma, h[lane], tbeta);
                        ty[lane] = simd.fma_f32(gamma, th[lane], own);
                    }
                }
            }
        }
    }
    Some(())
}

/// The tangent of the backward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
    layer: &GroupNorm,
    simd: S,
    frame: &Frame,
    memory: TangentBackward<'_>,
) -> Option<()> {
    let TangentBackward {
        from,
        to,
        w,
        tw,
        tdw,
        tdb,
        mut inputs,
        ..
    } = memory;
    let input = &frame.input;
    let (x, tx) = (memory.x.as_chunks::<L>().0, memory.tx.as_chunks::<L>().0);
    let (dy, tdy) = (memory.dy.as_chunks::<L>().0, memory.tdy.as_chunks::<L>().0);
    let size = layer.size(input);
    for group in 0..layer.groups {
        let channels = group * size..(group + 1) * size;
        let statistics = Statistics::<L>::of(simd, input, channels.start, size, x)?;
        let tangents = Tangents::of(simd, &statistics, input, channels.clone(), (x, tx))?;
        // Of the weights, and the means of `tg` and of `tg h + g th` on the way.
        let (mut tg, mut tgh) = ([0.0; L], [0.0; L]);
        for channel in channels.clone() {
            let (gamma, tgamma) = (*w.get(channel)?, *tw.get(channel)?);
            let (own, beta) = (tdw.get_mut(channel)?, tdb.get_mut(channel)?);
            let (mut products, mut sums) = ([0.0; L], [0.0; L]);
            *products.first_mut()? = *own;
            *sums.first_mut()? = *beta;
            for r in 0..from.live_rows {
                let at = input.at(channel, r, 0);
                let x = x.get(at..)?.iter().zip(tx.get(at..)?);
                let at = from.at(channel, r, 0);
                let dy = dy.get(at..)?.iter().zip(tdy.get(at..)?);
                for ((x, tx), (dy, tdy)) in x.zip(dy).take(from.live_columns) {
                    let h = statistics.normalised(x);
                    let th = tangents.normalised(simd, &statistics, &h, tx);
                    for lane in 0..L {
                        let sum = simd.fma_f32(tdy[lane], h[lane], products[lane]);
                        products[lane] = simd.fma_f32(dy[lane], th[lane], sum);
                        sums[lane] += tdy[lane];
                        let g = gamma * dy[lane];
                        let own = simd.fma_f32(gamma, tdy[lane], tgamma * dy[lane]);
                        tg[lane] += own;
                        let sum = simd.fma_f32(own, h[lane], tgh[lane]);
                        tgh[lane] = simd.fma_f32(g, th[lane], sum);
                    }
                }
            }
            *own = simd.sum(add_parts(simd, &products));
            *beta = simd.sum(add_parts(simd, &sums));
        }
        let Some(inputs) = &mut inputs else {
            continue;
        };
        for lane in 0..L {
            tg[lane] /= statistics.count;
            tgh[lane] /= statistics.count;
        }
        let dx = inputs.dx.as_chunks_mut::<L>().0;
        let tdx = inputs.tdx.as_chunks_mut::<L>().0;
        let maps = (input, &from);
        let means = Means::of(simd, &statistics, maps, channels.clone(), w, (x, dy))?;
        for channel in channels {
            let (gamma, tgamma) = (*w.get(channel)?, *tw.get(channel)?);
            for r in 0..to.live_rows {
                for c in 0..to.live_columns {
                    let dy = gradient_at(&from, channel, r, c, dy)?;
                    let tdy = gradient_at(&from, channel, r, c, tdy)?;
                    let at = input.at(channel, r, c);
                    let h = statistics.normalised(x.get(at)?);
                    let th = tangents.normalised(simd, &statistics, &h, tx.get(at)?);
                    let at = to.at(channel, r, c);
                    let (dx, tdx) = (dx.get_mut(at)?, tdx.get_mut(at)?);
                    *dx = means.input_gradient(simd, &statistics, gamma, &h, &dy);
                    for lane in 0..L {
                        let own = simd.fma_f32(gamma, tdy[lane], tgamma * dy[lane]);
                        let sum = simd.fma_f32(-th[lane], means.gh[lane], own - tg[lane]);
                        let sum = simd.fma_f32(-h[lane], tgh[lane], sum);
                        let sum = simd.fma_f32(-tangents.a[lane], dx[lane], sum);
                        tdx[lane] = statistics.scale[lane] * sum;
                    }
                }
            }
        }
    }
    Some(())
}
