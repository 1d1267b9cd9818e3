//! Transforms of a band's maps, and their adjoints.
//!
//! Each goes along one axis and then along the other. Along an axis:
//!
//! ```text
//! B' d:  v0 = d0 - d2    v1 = d1 + d2    v2 = d2 - d1    v3 = d3 - d1
//! B v:   d0 = v0    d1 = (v1 - v2) - v3    d2 = (v1 + v2) - v0    d3 = v3
//! A' m:  y0 = (m0 + m1) + m2    y1 = (m1 - m2) + m3
//! A y:   m0 = y0    m1 = y0 + y1    m2 = y0 - y1    m3 = y1
//! ```
//!
//! Neighbouring patches share two rows and two columns. Along a row of tiles, what two patches
//! share is computed or added up once, in registers.

use super::{Band, ELEMENTS, Planes};
use crate::arch::{Kernel, Simd};
use crate::layers::max_pool2d::lanes::{code_plane, read_bits, write_bits};
use crate::map::Frame;

/// Where a row of tiles begins in the plane of a channel, in floats.
const fn row_of(band: &Band, planes: &Planes, channel: usize, row: usize, lanes: usize) -> usize {
    channel * planes.channel + (row - band.row) * band.columns * lanes
}

/// `v = B' d B` of all input channels, columns first.
pub(super) struct InputTransform<'a, const L: usize> {
    pub frame: &'a Frame,
    pub band: Band,
    pub x: &'a [f32],
    /// A row of zeros: what lies below the map.
    pub zeros: &'a [f32],
    pub planes: Planes,
    pub v: &'a mut [f32],
}

impl<const L: usize> Kernel for InputTransform<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (band, planes, map) = (self.band, self.planes, self.frame.input);
        let x = self.x.as_chunks::<L>().0;
        let zeros = self.zeros.as_chunks::<L>().0;
        // The patches' columns; those of the last one may lack one.
        let first = 2 * band.column;
        let columns = (2 * band.columns + 2).min(map.columns - first);
        for channel in 0..map.channels {
            for row in band.row..band.row + band.rows {
                let mut d = [zeros; 4];
                for (r, d) in d.iter_mut().enumerate() {
                    let r = 2 * row + r;
                    let line = match r < map.rows {
                        true => &x[(channel * map.rows + r) * map.columns..][..map.columns],
                        false => zeros,
                    };
                    *d = &line[first..][..columns];
                }
                let [d0, d1, d2, d3] = d;
                let at = row_of(&band, &planes, channel, row, L);
                let mut elements = self.v.chunks_mut(planes.element);
                let mut four = || {
                    core::array::from_fn(|_| match elements.next() {
                        Some(v) => v[at..][..band.columns * L].as_chunks_mut::<L>().0,
                        None => &mut [],
                    })
                };
                along_rows::<S, L, false>(simd, d0, d2, four());
                along_rows::<S, L, true>(simd, d1, d2, four());
                along_rows::<S, L, false>(simd, d2, d1, four());
                along_rows::<S, L, false>(simd, d3, d1, four());
            }
        }
    }
}

/// Transforms the sum or the difference of two rows along the row.
#[inline(always)]
fn along_rows<S: Simd, const L: usize, const SUM: bool>(
    simd: S,
    a: &[[f32; L]],
    b: &[[f32; L]],
    [v0, v1, v2, v3]: [&mut [[f32; L]]; 4],
) {
    let combine = |a: &[f32; L], b: &[f32; L], lane| {
        let (a, b) = (simd.load(a, lane), simd.load(b, lane));
        if SUM { simd.add(a, b) } else { simd.sub(a, b) }
    };
    let ([a0, a1, a @ ..], [b0, b1, b @ ..]) = (a, b) else {
        return;
    };
    let ((a2, a3), (b2, b3)) = (a.as_chunks::<2>(), b.as_chunks::<2>());
    for lane in (0..L).step_by(S::WIDTH) {
        let (mut d0, mut d1) = (combine(a0, b0, lane), combine(a1, b1, lane));
        let pairs = a2.iter().zip(b2);
        let targets = v0
            .iter_mut()
            .zip(v1.iter_mut())
            .zip(v2.iter_mut().zip(v3.iter_mut()));
        let mut targets = targets.into_iter();
        for ((a, b), ((v0, v1), (v2, v3))) in pairs.zip(&mut targets) {
            let (d2, d3) = (combine(&a[0], &b[0], lane), combine(&a[1], &b[1], lane));
            simd.store(v0, lane, simd.sub(d0, d2));
            simd.store(v1, lane, simd.add(d1, d2));
            simd.store(v2, lane, simd.sub(d2, d1));
            simd.store(v3, lane, simd.sub(d3, d1));
            (d0, d1) = (d2, d3);
        }
        // Half a tile: one column.
        let at = a2.len();
        if let ([a], [b]) = (a3, b3)
            && let (Some(v0), Some(v1), Some(v2), Some(v3)) = (
                v0.get_mut(at),
                v1.get_mut(at),
                v2.get_mut(at),
                v3.get_mut(at),
            )
        {
            let d2 = combine(a, b, lane);
            simd.store(v0, lane, simd.sub(d0, d2));
            simd.store(v1, lane, simd.add(d1, d2));
            simd.store(v2, lane, simd.sub(d2, d1));
            simd.store(v3, lane, simd.sub(simd.splat(0.0), d1));
        }
    }
}

/// `y = A' m A` of all output channels, columns first; then pool and relu.
pub(super) struct OutputTransform<'a, const L: usize> {
    pub frame: &'a Frame,
    pub band: Band,
    pub planes: Planes,
    pub m: &'a [f32],
    pub y: &'a mut [f32],
    pub codes: &'a mut [f32],
}

impl<const L: usize> Kernel for OutputTransform<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (band, planes, map) = (self.band, self.planes, self.frame.output);
        let pools = self.frame.pool.is_some();
        let code_plane = code_plane(self.frame, L);
        let y = self.y.as_chunks_mut::<L>().0;
        for channel in 0..map.channels {
            for row in band.row..band.row + band.rows {
                let at = row_of(&band, &planes, channel, row, L);
                let mut m = [&[][..]; ELEMENTS];
                for (m, element) in m.iter_mut().zip(self.m.chunks(planes.element)) {
                    *m = element[at..][..band.columns * L].as_chunks::<L>().0;
                }
                for tile in 0..band.columns {
                    let column = band.column + tile;
                    let mut winners = [0; 2];
                    for lane in (0..L).step_by(S::WIDTH) {
                        let [[y00, y01], [y10, y11]] = output_tile(simd, &m, tile, lane);
                        if pools {
                            let (above, right_above) = simd.first_max(y00, y01);
                            let (below, right_below) = simd.first_max(y10, y11);
                            let (mut best, lower) = simd.first_max(above, below);
                            winners[0] |= (right_above & !lower | right_below & lower) << lane;
                            winners[1] |= lower << lane;
                            if self.frame.relu {
                                best = simd.relu(best);
                            }
                            simd.store(&mut y[map.at(channel, row, column)], lane, best);
                            continue;
                        }
                        for (r, pixels) in [[y00, y01], [y10, y11]].into_iter().enumerate() {
                            for (c, mut pixel) in pixels.into_iter().enumerate() {
                                let (r, c) = (2 * row + r, 2 * column + c);
                                if r < map.live_rows && c < map.live_columns {
                                    if self.frame.relu {
                                        pixel = simd.relu(pixel);
                                    }
                                    simd.store(&mut y[map.at(channel, r, c)], lane, pixel);
                                }
                            }
                        }
                    }
                    if pools {
                        let pixel = (channel * map.live_rows + row) * map.live_columns + column;
                        for (p, winners) in winners.into_iter().enumerate() {
                            write_bits::<L>(&mut self.codes[p * code_plane..], pixel, winners);
                        }
                    }
                }
            }
        }
    }
}

/// One tile of `A' m A`, some lanes.
#[inline(always)]
fn output_tile<S: Simd, const L: usize>(
    simd: S,
    m: &[&[[f32; L]]; ELEMENTS],
    tile: usize,
    lane: usize,
) -> [[S::V; 2]; 2] {
    let mut half = [[simd.splat(0.0); 4]; 2];
    for c in 0..4 {
        let m = |r: usize| simd.load(&m[4 * r + c][tile], lane);
        let (m1, m2) = (m(1), m(2));
        half[0][c] = simd.add(simd.add(m(0), m1), m2);
        half[1][c] = simd.add(simd.sub(m1, m2), m(3));
    }
    half.map(|[m0, m1, m2, m3]| {
        [
            simd.add(simd.add(m0, m1), m2),
            simd.add(simd.sub(m1, m2), m3),
        ]
    })
}

/// `dm = A dy' A'` of all output channels, columns first, where `dy'` is the gradient of the
/// convolution's own output: `dy` sent back through relu and pool.
pub(super) struct OutputGradient<'a, const L: usize> {
    pub frame: &'a Frame,
    pub band: Band,
    /// The stage's output, the pool's winners and the gradient of the output.
    pub y: &'a [f32],
    pub codes: &'a [f32],
    pub dy: &'a [f32],
    pub planes: Planes,
    pub dm: &'a mut [f32],
}

impl<const L: usize> Kernel for OutputGradient<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (band, planes, map) = (self.band, self.planes, self.frame.output);
        let pools = self.frame.pool.is_some();
        let code_plane = code_plane(self.frame, L);
        let (y, dy) = (self.y.as_chunks::<L>().0, self.dy.as_chunks::<L>().0);
        let dense = map.dense();
        for channel in 0..map.channels {
            for row in band.row..band.row + band.rows {
                let at = row_of(&band, &planes, channel, row, L);
                let mut elements = self.dm.chunks_mut(planes.element);
                let dm: [&mut [[f32; L]]; ELEMENTS] =
                    core::array::from_fn(|_| match elements.next() {
                        Some(dm) => dm[at..][..band.columns * L].as_chunks_mut::<L>().0,
                        None => &mut [],
                    });
                for tile in 0..band.columns {
                    let column = band.column + tile;
                    for lane in (0..L).step_by(S::WIDTH) {
                        let gradient = |r: usize, c: usize| {
                            let dy = simd.load(&dy[dense.at(channel, r, c)], lane);
                            match self.frame.relu {
                                true => {
                                    let y = simd.load(&y[map.at(channel, r, c)], lane);
                                    simd.where_positive(y, dy)
                                }
                                false => dy,
                            }
                        };
                        let pixels = if pools {
                            let pixel = dense.at(channel, row, column);
                            let right = read_bits::<L>(self.codes, pixel) >> lane;
                            let lower = read_bits::<L>(&self.codes[code_plane..], pixel) >> lane;
                            let (above, below) = simd.split(lower, gradient(row, column));
                            [simd.split(right, above), simd.split(right, below)]
                        } else {
                            let pixel = |r: usize, c: usize| {
                                let (r, c) = (2 * row + r, 2 * column + c);
                                match r < map.live_rows && c < map.live_columns {
                                    true => gradient(r, c),
                                    false => simd.splat(0.0),
                                }
                            };
                            [(pixel(0, 0), pixel(0, 1)), (pixel(1, 0), pixel(1, 1))]
                        };
                        let [(y00, y01), (y10, y11)] = pixels;
                        let left = [y00, simd.add(y00, y10), simd.sub(y00, y10), y10];
                        let right = [y01, simd.add(y01, y11), simd.sub(y01, y11), y11];
                        for r in 0..4 {
                            let (y0, y1) = (left[r], right[r]);
                            simd.store(&mut dm[4 * r][tile], lane, y0);
                            simd.store(&mut dm[4 * r + 1][tile], lane, simd.add(y0, y1));
                            simd.store(&mut dm[4 * r + 2][tile], lane, simd.sub(y0, y1));
                            simd.store(&mut dm[4 * r + 3][tile], lane, y1);
                        }
                    }
                }
            }
        }
    }
}

/// Adds `B dv B'` of all input channels to `dx`, columns first.
pub(super) struct InputGradient<'a, const L: usize> {
    pub frame: &'a Frame,
    pub band: Band,
    pub planes: Planes,
    pub dv: &'a [f32],
    pub dx: &'a mut [f32],
}

impl<const L: usize> Kernel for InputGradient<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (band, planes, map) = (self.band, self.planes, self.frame.input);
        let dx = self.dx.as_chunks_mut::<L>().0;
        for channel in 0..map.channels {
            let dx = &mut dx[channel * map.live_rows * map.live_columns..]
                [..map.live_rows * map.live_columns];
            for row in band.row..band.row + band.rows {
                let at = row_of(&band, &planes, channel, row, L);
                let mut dv = [&[][..]; ELEMENTS];
                for (dv, element) in dv.iter_mut().zip(self.dv.chunks(planes.element)) {
                    *dv = element[at..][..band.columns * L].as_chunks::<L>().0;
                }
                for r in 0..4 {
                    // What lies in the margin has no gradient.
                    let Some(line) = (2 * row + r).checked_sub(map.margin[0]) else {
                        continue;
                    };
                    if line < map.live_rows {
                        let dx = &mut dx[line * map.live_columns..][..map.live_columns];
                        let (first, margin) = (2 * band.column, map.margin[1]);
                        match r {
                            0 => add_row::<S, L, 0>(simd, &dv, first, margin, dx),
                            1 => add_row::<S, L, 1>(simd, &dv, first, margin, dx),
                            2 => add_row::<S, L, 2>(simd, &dv, first, margin, dx),
                            _ => add_row::<S, L, 3>(simd, &dv, first, margin, dx),
                        }
                    }
                }
            }
        }
    }
}

/// Adds row `R` of the patches of a row of tiles to a row of the map, whose margin of so many
/// columns is not stored. The first patch begins at column `first`.
#[inline(always)]
fn add_row<S: Simd, const L: usize, const R: usize>(
    simd: S,
    dv: &[&[[f32; L]]; ELEMENTS],
    first: usize,
    margin: usize,
    dx: &mut [[f32; L]],
) {
    let tiles = dv[0].len();
    for lane in (0..L).step_by(S::WIDTH) {
        let mut add = |column: usize, v: S::V| {
            if let Some(dx) = (first + column)
                .checked_sub(margin)
                .and_then(|column| dx.get_mut(column))
            {
                let sum = simd.add(simd.load(dx, lane), v);
                simd.store(dx, lane, sum);
            }
        };
        // What the patch before has for the two columns that it shares with the next.
        let mut shared = [simd.splat(0.0); 2];
        for tile in 0..tiles {
            let mut v = [simd.splat(0.0); 4];
            for c in 0..4 {
                let dv = |r: usize| simd.load(&dv[4 * r + c][tile], lane);
                v[c] = match R {
                    0 => dv(0),
                    1 => simd.sub(simd.sub(dv(1), dv(2)), dv(3)),
                    2 => simd.sub(simd.add(dv(1), dv(2)), dv(0)),
                    _ => dv(3),
                };
            }
            let [v0, v1, v2, v3] = v;
            let d1 = simd.sub(simd.sub(v1, v2), v3);
            let d2 = simd.sub(simd.add(v1, v2), v0);
            add(2 * tile, simd.add(shared[0], v0));
            add(2 * tile + 1, simd.add(shared[1], d1));
            shared = [d2, v3];
        }
        add(2 * tiles, shared[0]);
        add(2 * tiles + 1, shared[1]);
    }
}
