//! The end of a stage: what becomes of a convolution's own output, a row of tiles at a time. The
//! tile is the window of the pool.

use super::Band;
use crate::arch::Simd;
use crate::layers::max_pool2d::lanes::{code_plane, either, read_bits, write_bits};
use crate::map::Frame;

/// Pixels that are kept of each tile of a row between the transform along one axis and that along
/// the other.
pub(super) const ROW: usize = 8;

/// What is left.
pub(super) enum End<'a> {
    /// The stage's output, and the pool's winners.
    Values {
        y: &'a mut [f32],
        codes: &'a mut [f32],
    },
    /// The tangent of the output, chosen as the values were.
    Tangents {
        y: &'a [f32],
        codes: &'a [f32],
        ty: &'a mut [f32],
    },
}

impl End<'_> {
    /// Transforms a row of tiles along the row, from what is left of each after the transform of
    /// its columns; then pool and relu.
    #[inline(always)]
    pub fn row<S: Simd, const L: usize>(
        &mut self,
        simd: S,
        frame: &Frame,
        band: &Band,
        channel: usize,
        row: usize,
        halves: &[[[f32; L]; ROW]],
    ) {
        let place = Place {
            frame,
            band,
            channel,
            row,
        };
        match self {
            End::Values { y, codes } => values_row::<S, L>(simd, place, halves, y, codes),
            End::Tangents { y, codes, ty } => {
                tangents_row::<S, L>(simd, place, halves, (y, codes), ty);
            }
        }
    }
}

/// Which row of tiles.
#[derive(Clone, Copy)]
struct Place<'a> {
    frame: &'a Frame,
    band: &'a Band,
    channel: usize,
    row: usize,
}

impl Place<'_> {
    /// The row's windows in the stage's output, and in a plane of winners, in pixels.
    #[inline(always)]
    fn windows(&self) -> (core::ops::Range<usize>, usize) {
        let (map, column) = (self.frame.output, self.band.column);
        let from = map.at(self.channel, self.row, column);
        let first = map.dense().at(self.channel, self.row, column);
        (from..from + self.band.columns, first)
    }

    /// Row `r`, 0 or 1, of the tiles' pixels where no pool follows; none beside the map.
    #[inline(always)]
    fn pixels(&self, r: usize) -> core::ops::Range<usize> {
        let (map, r) = (self.frame.output, 2 * self.row + r);
        let column = 2 * self.band.column;
        if r >= map.live_rows {
            return 0..0;
        }
        let from = map.at(self.channel, r, column);
        from..from + (2 * self.band.columns).min(map.live_columns - column)
    }
}

#[inline(always)]
fn values_row<S: Simd, const L: usize>(
    simd: S,
    place: Place<'_>,
    halves: &[[[f32; L]; ROW]],
    y: &mut [f32],
    codes: &mut [f32],
) {
    let (frame, y) = (place.frame, y.as_chunks_mut::<L>().0);
    if frame.pool.is_some() {
        let plane = code_plane(frame, L);
        let (windows, first) = place.windows();
        for (tile, (half, y)) in halves.iter().zip(&mut y[windows]).enumerate() {
            let winners = pooled::<S, L>(simd, half, frame.relu, y);
            for (p, winners) in winners.into_iter().enumerate() {
                write_bits::<L>(&mut codes[p * plane..], first + tile, winners);
            }
        }
        return;
    }
    for (r, half) in [0, 4].into_iter().enumerate() {
        let y = &mut y[place.pixels(r)];
        pixels_row::<S, L>(simd, halves, half, frame.relu, y);
    }
}

#[inline(always)]
fn tangents_row<S: Simd, const L: usize>(
    simd: S,
    place: Place<'_>,
    halves: &[[[f32; L]; ROW]],
    (y, codes): (&[f32], &[f32]),
    ty: &mut [f32],
) {
    let (y, ty) = (y.as_chunks::<L>().0, ty.as_chunks_mut::<L>().0);
    let frame = place.frame;
    if frame.pool.is_some() {
        let plane = code_plane(frame, L);
        let (windows, first) = place.windows();
        let pixels = ty[windows.clone()].iter_mut().zip(&y[windows]);
        for (tile, (half, (ty, y))) in halves.iter().zip(pixels).enumerate() {
            let right = read_bits::<L>(codes, first + tile);
            let lower = read_bits::<L>(&codes[plane..], first + tile);
            for part in 0..L / S::WIDTH {
                let lane = part * S::WIDTH;
                let [t00, t01] = two_pixels::<S, L>(simd, half, 0, lane);
                let [t10, t11] = two_pixels::<S, L>(simd, half, 4, lane);
                let above = either(simd, right >> lane, t00, t01);
                let below = either(simd, right >> lane, t10, t11);
                let t = either(simd, lower >> lane, above, below);
                simd.store(ty, lane, where_on(simd, frame.relu, y, t, lane));
            }
        }
        return;
    }
    for (r, half) in [0, 4].into_iter().enumerate() {
        let (y, ty) = (&y[place.pixels(r)], &mut ty[place.pixels(r)]);
        let pixels = ty.chunks_mut(2).zip(y.chunks(2));
        for (values, (ty, y)) in halves.iter().zip(pixels) {
            for part in 0..L / S::WIDTH {
                let lane = part * S::WIDTH;
                let two = two_pixels::<S, L>(simd, values, half, lane);
                for (t, (ty, y)) in two.into_iter().zip(ty.iter_mut().zip(y)) {
                    simd.store(ty, lane, where_on(simd, frame.relu, y, t, lane));
                }
            }
        }
    }
}

/// Some lanes of a pixel's tangent: 0 where a relu is off.
#[inline(always)]
fn where_on<S: Simd, const L: usize>(
    simd: S,
    relu: bool,
    y: &[f32; L],
    t: S::V,
    lane: usize,
) -> S::V {
    if relu {
        simd.where_positive(simd.load(y, lane), t)
    } else {
        t
    }
}

/// The two pixels of half a tile whose four values begin at pixel `half`.
#[inline(always)]
fn two_pixels<S: Simd, const L: usize>(
    simd: S,
    values: &[[f32; L]; ROW],
    half: usize,
    lane: usize,
) -> [S::V; 2] {
    let (m1, m2) = (
        simd.load(&values[half + 1], lane),
        simd.load(&values[half + 2], lane),
    );
    [
        simd.add(simd.load(&values[half], lane), simd.add(m1, m2)),
        simd.add(simd.load(&values[half + 3], lane), simd.sub(m1, m2)),
    ]
}

/// The largest of a tile's pixels, activated, and its winners.
#[inline(always)]
fn pooled<S: Simd, const L: usize>(
    simd: S,
    values: &[[f32; L]; ROW],
    relu: bool,
    y: &mut [f32; L],
) -> [u32; 2] {
    let mut winners = [0; 2];
    for part in 0..L / S::WIDTH {
        let lane = part * S::WIDTH;
        let [y00, y01] = two_pixels::<S, L>(simd, values, 0, lane);
        let [y10, y11] = two_pixels::<S, L>(simd, values, 4, lane);
        let (above, right_above) = simd.first_max(y00, y01);
        let (below, right_below) = simd.first_max(y10, y11);
        let (mut best, lower) = simd.first_max(above, below);
        winners[0] |= (right_above & !lower | right_below & lower) << lane;
        winners[1] |= lower << lane;
        if relu {
            best = simd.relu(best);
        }
        simd.store(y, lane, best);
    }
    winners
}

/// A row of pixels, activated, from the halves of tiles whose values begin at pixel `half`.
#[inline(always)]
fn pixels_row<S: Simd, const L: usize>(
    simd: S,
    halves: &[[[f32; L]; ROW]],
    half: usize,
    relu: bool,
    y: &mut [[f32; L]],
) {
    for (values, y) in halves.iter().zip(y.chunks_mut(2)) {
        for part in 0..L / S::WIDTH {
            let lane = part * S::WIDTH;
            for (mut pixel, y) in two_pixels::<S, L>(simd, values, half, lane)
                .into_iter()
                .zip(&mut *y)
            {
                if relu {
                    pixel = simd.relu(pixel);
                }
                simd.store(y, lane, pixel);
            }
        }
    }
}
