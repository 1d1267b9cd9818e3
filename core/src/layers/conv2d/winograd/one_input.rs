//! With one input channel nothing is added up over channels: the products of transformed kernels and
//! maps are made where they are used, and `m` and `dm` are never stored.
//!
//! Along a column, with `p1 = u1 v1` and `p2 = u2 v2`, `y0 = u0 v0 + (p1 + p2)` and
//! `y1 = u3 v3 + (p1 - p2)`, where `u v + s` is fused; the bias is added to the first product of the
//! second column, from where it comes to all four pixels.

use super::end::{End, ROW};
use super::transform::{Elements, StageOutput, row_of, spread};
use super::{Band, ELEMENTS, Planes, weights};
use crate::arch::{Kernel, Simd};
use crate::layers::register_block::add_parts;
use crate::map::Frame;

/// `A' (u o v) A + bias` of all output channels; then pool and relu.
pub(super) struct Output<'a, const L: usize> {
    pub frame: &'a Frame,
    pub band: Band,
    /// Transformed kernels, `[element][output]`, elements [`weights::matrix_len`] and outputs
    /// `across` floats apart.
    pub u: &'a [f32],
    pub across: usize,
    pub bias: &'a [f32],
    pub planes: Planes,
    pub v: &'a [f32],
    pub end: End<'a>,
    /// Room for [`ROW`] pixels of each tile of a row.
    pub row: &'a mut [f32],
}

impl<const L: usize> Kernel for Output<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (frame, band, planes) = (self.frame, self.band, self.planes);
        let halves = &mut self.row.as_chunks_mut::<L>().0.as_chunks_mut::<ROW>().0[..band.columns];
        let matrix = weights::matrix_len(frame.output.channels, self.across);
        for row in band.row..band.row + band.rows {
            let at = row_of(&band, &planes, 0, row, L);
            let v = Elements::new(self.v, planes.element, at, band.columns);
            for (channel, bias) in self.bias.iter().enumerate() {
                let mut u = [0.0; ELEMENTS];
                for e in 0..ELEMENTS {
                    u[e] = self.u[e * matrix + channel * self.across];
                }
                half_output::<S, L, 0>(simd, &u, 0.0, v, halves);
                half_output::<S, L, 1>(simd, &u, *bias, v, halves);
                half_output::<S, L, 2>(simd, &u, 0.0, v, halves);
                half_output::<S, L, 3>(simd, &u, 0.0, v, halves);
                self.end
                    .row::<S, L>(simd, frame, &band, channel, row, halves);
            }
        }
    }
}

/// Column `C` of each tile: its upper half goes to pixel `C`, its lower half to pixel `4 + C`.
#[inline(always)]
fn half_output<S: Simd, const L: usize, const C: usize>(
    simd: S,
    u: &[f32; ELEMENTS],
    bias: f32,
    v: Elements<'_>,
    halves: &mut [[[f32; L]; ROW]],
) {
    let (u0, u1) = (simd.splat(u[C]), simd.splat(u[4 + C]));
    let (u2, u3) = (simd.splat(u[8 + C]), simd.splat(u[12 + C]));
    let bias = simd.splat(bias);
    let columns = v.of::<L>(C).iter().zip(v.of::<L>(4 + C));
    let columns = columns.zip(v.of::<L>(8 + C).iter().zip(v.of::<L>(12 + C)));
    for (half, ((v0, v1), (v2, v3))) in halves.iter_mut().zip(columns) {
        for part in 0..L / S::WIDTH {
            let lane = part * S::WIDTH;
            let v1 = simd.load(v1, lane);
            let p1 = if C == 1 {
                simd.fma(u1, v1, bias)
            } else {
                simd.mul(u1, v1)
            };
            let p2 = simd.mul(u2, simd.load(v2, lane));
            let upper = simd.fma(u0, simd.load(v0, lane), simd.add(p1, p2));
            let lower = simd.fma(u3, simd.load(v3, lane), simd.sub(p1, p2));
            simd.store(&mut half[C], lane, upper);
            simd.store(&mut half[4 + C], lane, lower);
        }
    }
}

/// Adds a row of tiles to each lane's sums of `dm[e][o] v[e]` and of the gradients of the biases.
pub(super) struct Gradient<'a, const L: usize> {
    pub stage: StageOutput<'a>,
    pub band: Band,
    pub planes: Planes,
    pub v: &'a [f32],
    /// Room for [`ROW`] pixels of each tile of a row.
    pub row: &'a mut [f32],
    /// Each lane's sums, [`SUMS`] pixels of each channel.
    pub sums: &'a mut [f32],
}

/// Sums of a channel: its elements and its bias.
pub(super) const SUMS: usize = ELEMENTS + 1;

impl<const L: usize> Kernel for Gradient<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (band, planes) = (self.band, self.planes);
        let tiles = &mut self.row.as_chunks_mut::<L>().0.as_chunks_mut::<4>().0[..band.columns];
        let sums = self.sums.as_chunks_mut::<L>().0.as_chunks_mut::<SUMS>().0;
        for row in band.row..band.row + band.rows {
            let at = row_of(&band, &planes, 0, row, L);
            let v = Elements::new(self.v, planes.element, at, band.columns);
            for (channel, lanes) in sums.iter_mut().enumerate() {
                self.stage
                    .gradient_row::<S, L>(simd, &band, channel, row, tiles);
                for part in 0..L / S::WIDTH {
                    let lane = part * S::WIDTH;
                    add_rows::<S, L, 0>(simd, tiles, v, lane, lanes);
                    add_rows::<S, L, 2>(simd, tiles, v, lane, lanes);
                }
            }
        }
    }
}

/// Adds the lanes' sums of a band, by halving, to the gradients of transformed kernels and of
/// biases.
pub(super) struct AddLanes<'a, const L: usize> {
    /// [`SUMS`] pixels of each channel.
    pub sums: &'a [f32],
    /// `[element][output]`, elements [`weights::matrix_len`] apart.
    pub du: &'a mut [f32],
    pub db: &'a mut [f32],
}

impl<const L: usize> Kernel for AddLanes<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let outputs = self.db.len();
        let sums = self.sums.as_chunks::<L>().0.as_chunks::<SUMS>().0;
        for (channel, (lanes, db)) in sums.iter().zip(self.db).enumerate() {
            let mut sums = [simd.splat(0.0); SUMS];
            for (sum, lanes) in sums.iter_mut().zip(lanes) {
                *sum = add_parts(simd, lanes);
            }
            let mut totals = [0.0; SUMS];
            simd.sums(&sums, &mut totals);
            for e in 0..ELEMENTS {
                self.du[e * weights::matrix_len(outputs, 1) + channel] += totals[e];
            }
            *db += totals[ELEMENTS];
        }
    }
}

/// Rows `R` and `R + 1` (0 or 2) of the elements: adds a row of tiles to some lanes' sums; with
/// `R = 0` to that of the bias, too, which is a tile's sum.
#[inline(always)]
fn add_rows<S: Simd, const L: usize, const R: usize>(
    simd: S,
    tiles: &[[[f32; L]; 4]],
    v: Elements<'_>,
    lane: usize,
    lanes: &mut [[f32; L]; SUMS],
) {
    let first = 4 * R;
    let mut sums = [simd.splat(0.0); 8];
    for e in 0..8 {
        sums[e] = simd.load(&lanes[first + e], lane);
    }
    let mut total = simd.load(&lanes[ELEMENTS], lane);
    let pair = |e: usize| v.of::<L>(first + e).iter().zip(v.of::<L>(first + e + 1));
    let (upper, lower) = (pair(0).zip(pair(2)), pair(4).zip(pair(6)));
    for (tile, (((v0, v1), (v2, v3)), ((v4, v5), (v6, v7)))) in tiles.iter().zip(upper.zip(lower)) {
        let (y0, y1, y2, y3);
        if R == 0 {
            y0 = spread::<S, L, 0>(simd, &tile[0], &tile[2], lane);
            y1 = spread::<S, L, 0>(simd, &tile[1], &tile[3], lane);
            y2 = spread::<S, L, 1>(simd, &tile[0], &tile[2], lane);
            y3 = spread::<S, L, 1>(simd, &tile[1], &tile[3], lane);
            total = simd.add(total, simd.add(y2, y3));
        } else {
            y0 = spread::<S, L, 2>(simd, &tile[0], &tile[2], lane);
            y1 = spread::<S, L, 2>(simd, &tile[1], &tile[3], lane);
            y2 = spread::<S, L, 3>(simd, &tile[0], &tile[2], lane);
            y3 = spread::<S, L, 3>(simd, &tile[1], &tile[3], lane);
        }
        sums[0] = simd.fma(y0, simd.load(v0, lane), sums[0]);
        sums[1] = simd.fma(simd.add(y0, y1), simd.load(v1, lane), sums[1]);
        sums[2] = simd.fma(simd.sub(y0, y1), simd.load(v2, lane), sums[2]);
        sums[3] = simd.fma(y1, simd.load(v3, lane), sums[3]);
        sums[4] = simd.fma(y2, simd.load(v4, lane), sums[4]);
        sums[5] = simd.fma(simd.add(y2, y3), simd.load(v5, lane), sums[5]);
        sums[6] = simd.fma(simd.sub(y2, y3), simd.load(v6, lane), sums[6]);
        sums[7] = simd.fma(y3, simd.load(v7, lane), sums[7]);
    }
    for e in 0..8 {
        simd.store(&mut lanes[first + e], lane, sums[e]);
    }
    if R == 0 {
        simd.store(&mut lanes[ELEMENTS], lane, total);
    }
}
