//! Transforms of a band's maps, and their adjoints.
//!
//! Each goes along one axis and then along the other. Along an axis:
//!
//! ```text
//! B' d:  v0 = d0 - d2    v1 = d1 + d2    v2 = d2 - d1    v3 = d3 - d1
//! B v:   d0 = v0    d1 = (v1 - v2) - v3    d2 = (v1 + v2) - v0    d3 = v3
//! A' m:  y0 = m0 + (m1 + m2)    y1 = m3 + (m1 - m2)
//! A y:   m0 = y0    m1 = y0 + y1    m2 = y0 - y1    m3 = y1
//! ```
//!
//! Neighbouring patches share two rows and two columns. A row of tiles goes along the first axis as
//! a whole, and what comes out, a few pixels a tile, stays in the first-level cache for the second.
//! The loops run over fixed arrays, so that no bounds are checked in them.

use super::end::{End, ROW};
use super::{Band, Planes};
use crate::arch::{Kernel, Simd};
use crate::layers::max_pool2d::lanes::{code_plane, read_bits};
use crate::map::Frame;
use core::slice::ChunksMut;

/// Where a row of tiles begins in the plane of a channel, in floats.
pub(super) const fn row_of(
    band: &Band,
    planes: &Planes,
    channel: usize,
    row: usize,
    lanes: usize,
) -> usize {
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
                let v = &mut self.v.chunks_mut(planes.element);
                along_rows::<S, L, false>(simd, d0, d2, next_four(v, at, band.columns));
                along_rows::<S, L, true>(simd, d1, d2, next_four(v, at, band.columns));
                along_rows::<S, L, false>(simd, d2, d1, next_four(v, at, band.columns));
                along_rows::<S, L, false>(simd, d3, d1, next_four(v, at, band.columns));
            }
        }
    }
}

/// The tiles of the next four elements, from float `at` of their planes on. (An array of all 16
/// would lie on the stack, where the compiler reads it in vectors that wait for its parts.)
#[inline(always)]
fn next_four<'v, const L: usize>(
    planes: &mut ChunksMut<'v, f32>,
    at: usize,
    tiles: usize,
) -> [&'v mut [[f32; L]]; 4] {
    let mut next = || {
        let plane = planes.next().unwrap_or_default();
        plane[at..][..tiles * L].as_chunks_mut::<L>().0
    };
    [next(), next(), next(), next()]
}

/// Transforms the sum or the difference of two rows along the row.
#[inline(always)]
fn along_rows<S: Simd, const L: usize, const SUM: bool>(
    simd: S,
    a: &[[f32; L]],
    b: &[[f32; L]],
    [v0, v1, v2, v3]: [&mut [[f32; L]]; 4],
) {
    let ((a, a_odd), (b, b_odd)) = (a.as_chunks::<2>(), b.as_chunks::<2>());
    let targets = v0
        .iter_mut()
        .zip(v1.iter_mut())
        .zip(v2.iter_mut())
        .zip(v3.iter_mut());
    let mut targets = targets.map(|(((v0, v1), v2), v3)| [v0, v1, v2, v3]);
    let patches = a.iter().zip(b).zip(a[1..].iter().zip(&b[1..]));
    for (((a0, b0), (a2, b2)), v) in patches.zip(&mut targets) {
        patch_row::<S, L, SUM>(simd, [a0, a2], [b0, b2], v);
    }
    // Half a tile: its last column lies outside.
    if let (Some(v), [.., a0], [.., b0], [a2], [b2]) = (targets.next(), a, b, a_odd, b_odd) {
        let (a2, b2) = ([*a2, [0.0; L]], [*b2, [0.0; L]]);
        patch_row::<S, L, SUM>(simd, [a0, &a2], [b0, &b2], v);
    }
}

/// [`along_rows`] for one patch, given as two pairs of columns.
#[inline(always)]
fn patch_row<S: Simd, const L: usize, const SUM: bool>(
    simd: S,
    a: [&[[f32; L]; 2]; 2],
    b: [&[[f32; L]; 2]; 2],
    v: [&mut [f32; L]; 4],
) {
    let [v0, v1, v2, v3] = v;
    for part in 0..L / S::WIDTH {
        let lane = part * S::WIDTH;
        let d0 = combine::<S, L, SUM>(simd, &a[0][0], &b[0][0], lane);
        let d1 = combine::<S, L, SUM>(simd, &a[0][1], &b[0][1], lane);
        let d2 = combine::<S, L, SUM>(simd, &a[1][0], &b[1][0], lane);
        let d3 = combine::<S, L, SUM>(simd, &a[1][1], &b[1][1], lane);
        simd.store(v0, lane, simd.sub(d0, d2));
        simd.store(v1, lane, simd.add(d1, d2));
        simd.store(v2, lane, simd.sub(d2, d1));
        simd.store(v3, lane, simd.sub(d3, d1));
    }
}

/// The sum or the difference of some lanes of two pixels.
#[inline(always)]
fn combine<S: Simd, const L: usize, const SUM: bool>(
    simd: S,
    a: &[f32; L],
    b: &[f32; L],
    lane: usize,
) -> S::V {
    let (a, b) = (simd.load(a, lane), simd.load(b, lane));
    if SUM { simd.add(a, b) } else { simd.sub(a, b) }
}

/// `A' m A` of all output channels, columns first; then pool and relu.
pub(super) struct OutputTransform<'a, const L: usize> {
    pub frame: &'a Frame,
    pub band: Band,
    pub planes: Planes,
    pub m: &'a [f32],
    pub end: End<'a>,
    /// Room for [`ROW`] pixels of each tile of a row.
    pub row: &'a mut [f32],
}

impl<const L: usize> Kernel for OutputTransform<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (frame, band, planes) = (self.frame, self.band, self.planes);
        let halves = &mut self.row.as_chunks_mut::<L>().0.as_chunks_mut::<ROW>().0[..band.columns];
        for channel in 0..frame.output.channels {
            for row in band.row..band.row + band.rows {
                let at = row_of(&band, &planes, channel, row, L);
                let m = Elements::new(self.m, planes.element, at, band.columns);
                half_output::<S, L, 0>(simd, m, halves);
                half_output::<S, L, 1>(simd, m, halves);
                half_output::<S, L, 2>(simd, m, halves);
                half_output::<S, L, 3>(simd, m, halves);
                self.end
                    .row::<S, L>(simd, frame, &band, channel, row, halves);
            }
        }
    }
}

/// Some tiles of each element.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    /// From the first tile of the first element on.
    planes: &'a [f32],
    /// Floats from element to element.
    element: usize,
    tiles: usize,
}

impl<'a> Elements<'a> {
    /// `tiles` of each element from float `at` of its planes on.
    pub fn new(planes: &'a [f32], element: usize, at: usize, tiles: usize) -> Elements<'a> {
        Elements {
            planes: &planes[at..],
            element,
            tiles,
        }
    }

    /// Those of element `e`.
    #[inline(always)]
    pub fn of<const L: usize>(&self, e: usize) -> &'a [[f32; L]] {
        let tiles = &self.planes[e * self.element..][..self.tiles * L];
        tiles.as_chunks::<L>().0
    }
}

/// Transforms column `C` of each tile: its upper half goes to pixel `C`, its lower half to pixel
/// `4 + C`.
#[inline(always)]
fn half_output<S: Simd, const L: usize, const C: usize>(
    simd: S,
    m: Elements<'_>,
    halves: &mut [[[f32; L]; ROW]],
) {
    let columns = m.of::<L>(C).iter().zip(m.of::<L>(4 + C));
    let columns = columns.zip(m.of::<L>(8 + C).iter().zip(m.of::<L>(12 + C)));
    for (half, ((m0, m1), (m2, m3))) in halves.iter_mut().zip(columns) {
        for part in 0..L / S::WIDTH {
            let lane = part * S::WIDTH;
            let (m1, m2) = (simd.load(m1, lane), simd.load(m2, lane));
            let upper = simd.add(simd.load(m0, lane), simd.add(m1, m2));
            let lower = simd.add(simd.load(m3, lane), simd.sub(m1, m2));
            simd.store(&mut half[C], lane, upper);
            simd.store(&mut half[4 + C], lane, lower);
        }
    }
}

/// `dm = A dy' A'` of all output channels, columns first, where `dy'` is the gradient of the
/// convolution's own output: `dy` sent back through relu and pool.
pub(super) struct OutputGradient<'a, const L: usize> {
    pub stage: StageOutput<'a>,
    pub band: Band,
    pub planes: Planes,
    pub dm: &'a mut [f32],
    /// Room for [`ROW`] pixels of each tile of a row.
    pub row: &'a mut [f32],
}

impl<const L: usize> Kernel for OutputGradient<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (band, planes) = (self.band, self.planes);
        let tiles = &mut self.row.as_chunks_mut::<L>().0.as_chunks_mut::<4>().0[..band.columns];
        for channel in 0..self.stage.frame.output.channels {
            for row in band.row..band.row + band.rows {
                self.stage
                    .gradient_row::<S, L>(simd, &band, channel, row, tiles);
                let at = row_of(&band, &planes, channel, row, L);
                let dm = &mut self.dm.chunks_mut(planes.element);
                spread_row::<S, L, 0>(simd, tiles, next_four(dm, at, band.columns));
                spread_row::<S, L, 1>(simd, tiles, next_four(dm, at, band.columns));
                spread_row::<S, L, 2>(simd, tiles, next_four(dm, at, band.columns));
                spread_row::<S, L, 3>(simd, tiles, next_four(dm, at, band.columns));
            }
        }
    }
}

/// What a stage has written, and its gradient.
#[derive(Clone, Copy)]
pub(super) struct StageOutput<'a> {
    pub frame: &'a Frame,
    pub y: &'a [f32],
    /// The pool's winners.
    pub codes: &'a [f32],
    pub dy: &'a [f32],
}

impl StageOutput<'_> {
    /// The gradient of the convolution's own output, sent back through relu and pool, of a row of
    /// tiles: four pixels a tile, row-major.
    #[inline(always)]
    pub fn gradient_row<S: Simd, const L: usize>(
        &self,
        simd: S,
        band: &Band,
        channel: usize,
        row: usize,
        tiles: &mut [[[f32; L]; 4]],
    ) {
        let StageOutput { frame, codes, .. } = *self;
        let (map, dense, relu) = (frame.output, frame.output.dense(), frame.relu);
        let (y, dy) = (self.y.as_chunks::<L>().0, self.dy.as_chunks::<L>().0);
        if frame.pool.is_some() {
            let plane = code_plane(frame, L);
            let first = dense.at(channel, row, band.column);
            let dy = &dy[first..][..tiles.len()];
            let y = &y[map.at(channel, row, band.column)..][..tiles.len()];
            for (t, (tile, (dy, y))) in tiles.iter_mut().zip(dy.iter().zip(y)).enumerate() {
                let right = read_bits::<L>(codes, first + t);
                let lower = read_bits::<L>(&codes[plane..], first + t);
                for part in 0..L / S::WIDTH {
                    let lane = part * S::WIDTH;
                    let g = activated(simd, relu, y, dy, lane);
                    let (above, below) = simd.split(lower >> lane, g);
                    let (y00, y01) = simd.split(right >> lane, above);
                    let (y10, y11) = simd.split(right >> lane, below);
                    simd.store(&mut tile[0], lane, y00);
                    simd.store(&mut tile[1], lane, y01);
                    simd.store(&mut tile[2], lane, y10);
                    simd.store(&mut tile[3], lane, y11);
                }
            }
            return;
        }
        for (t, tile) in tiles.iter_mut().enumerate() {
            for (pixel, target) in tile.iter_mut().enumerate() {
                let (r, c) = (2 * row + pixel / 2, 2 * (band.column + t) + pixel % 2);
                if r >= map.live_rows || c >= map.live_columns {
                    *target = [0.0; L];
                    continue;
                }
                let (y, dy) = (&y[map.at(channel, r, c)], &dy[dense.at(channel, r, c)]);
                for part in 0..L / S::WIDTH {
                    let lane = part * S::WIDTH;
                    let g = activated(simd, relu, y, dy, lane);
                    simd.store(target, lane, g);
                }
            }
        }
    }
}

/// The gradient of some lanes of a pixel, sent back through the relu.
#[inline(always)]
fn activated<S: Simd, const L: usize>(
    simd: S,
    relu: bool,
    y: &[f32; L],
    dy: &[f32; L],
    lane: usize,
) -> S::V {
    let g = simd.load(dy, lane);
    if relu {
        simd.where_positive(simd.load(y, lane), g)
    } else {
        g
    }
}

/// Row `R` of `A dy A'` of each tile of a row.
#[inline(always)]
fn spread_row<S: Simd, const L: usize, const R: usize>(
    simd: S,
    tiles: &[[[f32; L]; 4]],
    [m0, m1, m2, m3]: [&mut [[f32; L]]; 4],
) {
    let targets = m0
        .iter_mut()
        .zip(m1.iter_mut())
        .zip(m2.iter_mut().zip(m3.iter_mut()));
    for (tile, ((m0, m1), (m2, m3))) in tiles.iter().zip(targets) {
        for part in 0..L / S::WIDTH {
            let lane = part * S::WIDTH;
            let y0 = spread::<S, L, R>(simd, &tile[0], &tile[2], lane);
            let y1 = spread::<S, L, R>(simd, &tile[1], &tile[3], lane);
            simd.store(m0, lane, y0);
            simd.store(m1, lane, simd.add(y0, y1));
            simd.store(m2, lane, simd.sub(y0, y1));
            simd.store(m3, lane, y1);
        }
    }
}

/// Element `R` of `A y`.
#[inline(always)]
pub(super) fn spread<S: Simd, const L: usize, const R: usize>(
    simd: S,
    y0: &[f32; L],
    y1: &[f32; L],
    lane: usize,
) -> S::V {
    match R {
        0 => simd.load(y0, lane),
        1 => simd.add(simd.load(y0, lane), simd.load(y1, lane)),
        2 => simd.sub(simd.load(y0, lane), simd.load(y1, lane)),
        _ => simd.load(y1, lane),
    }
}

/// Adds `B dv B'` of all input channels to `dx`, columns first.
pub(super) struct InputGradient<'a, const L: usize> {
    pub frame: &'a Frame,
    pub band: Band,
    pub planes: Planes,
    pub dv: &'a [f32],
    pub dx: &'a mut [f32],
    /// Room for [`ROW`] pixels of each tile of a row.
    pub row: &'a mut [f32],
}

impl<const L: usize> Kernel for InputGradient<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (band, planes, map) = (self.band, self.planes, self.frame.input);
        let inner = &mut self.row.as_chunks_mut::<L>().0.as_chunks_mut::<ROW>().0[..band.columns];
        let dx = self.dx.as_chunks_mut::<L>().0;
        let place = Place {
            first: 2 * band.column,
            margin: map.margin[1],
        };
        for channel in 0..map.channels {
            for row in band.row..band.row + band.rows {
                let at = row_of(&band, &planes, channel, row, L);
                let dv = Elements::new(self.dv, planes.element, at, band.columns);
                for c in 0..4 {
                    gather_inner::<S, L>(simd, dv, c, inner);
                }
                for r in 0..4 {
                    // What lies in the margin has no gradient.
                    let Some(line) = (2 * row + r).checked_sub(map.margin[0]) else {
                        continue;
                    };
                    if line >= map.live_rows {
                        continue;
                    }
                    let line = channel * map.live_rows + line;
                    let dx = &mut dx[line * map.live_columns..][..map.live_columns];
                    for part in 0..L / S::WIDTH {
                        let lane = part * S::WIDTH;
                        match r {
                            0 => add_outer::<S, L, 0>(simd, dv, place, dx, lane),
                            1 => add_inner::<S, L, 0>(simd, inner, place, dx, lane),
                            2 => add_inner::<S, L, 4>(simd, inner, place, dx, lane),
                            _ => add_outer::<S, L, 12>(simd, dv, place, dx, lane),
                        }
                    }
                }
            }
        }
    }
}

/// Where a row of patches lies in a row of the map.
#[derive(Clone, Copy)]
struct Place {
    /// Column of the first patch, in the map with its margin.
    first: usize,
    /// Columns of the margin, which are not stored.
    margin: usize,
}

/// Column `c` of the inner rows of `B dv` of each patch of a row: that of row 1 goes to pixel `c`,
/// that of row 2 to pixel `4 + c`. (Rows 0 and 3 are those of `dv`.)
#[inline(always)]
fn gather_inner<S: Simd, const L: usize>(
    simd: S,
    dv: Elements<'_>,
    c: usize,
    inner: &mut [[[f32; L]; ROW]],
) {
    let columns = dv.of::<L>(c).iter().zip(dv.of::<L>(4 + c));
    let columns = columns.zip(dv.of::<L>(8 + c).iter().zip(dv.of::<L>(12 + c)));
    for (inner, ((v0, v1), (v2, v3))) in inner.iter_mut().zip(columns) {
        for part in 0..L / S::WIDTH {
            let lane = part * S::WIDTH;
            let (v1, v2) = (simd.load(v1, lane), simd.load(v2, lane));
            let (v0, v3) = (simd.load(v0, lane), simd.load(v3, lane));
            let [d1, d2] = gather(simd, v0, v1, v2, v3);
            simd.store(&mut inner[c], lane, d1);
            simd.store(&mut inner[4 + c], lane, d2);
        }
    }
}

/// Elements 1 and 2 of `B v`.
#[inline(always)]
fn gather<S: Simd>(simd: S, v0: S::V, v1: S::V, v2: S::V, v3: S::V) -> [S::V; 2] {
    [
        simd.sub(simd.sub(v1, v2), v3),
        simd.sub(simd.add(v1, v2), v0),
    ]
}

/// Adds an outer row of patches, whose elements begin at `FROM`, to a row of the map.
#[inline(always)]
fn add_outer<S: Simd, const L: usize, const FROM: usize>(
    simd: S,
    dv: Elements<'_>,
    place: Place,
    dx: &mut [[f32; L]],
    lane: usize,
) {
    let mut shared = [simd.splat(0.0); 2];
    let patches = dv.of::<L>(FROM).iter().zip(dv.of::<L>(FROM + 1));
    let patches = patches.zip(dv.of::<L>(FROM + 2).iter().zip(dv.of::<L>(FROM + 3)));
    for (at, ((v0, v1), (v2, v3))) in patches.enumerate() {
        let v = [
            simd.load(v0, lane),
            simd.load(v1, lane),
            simd.load(v2, lane),
            simd.load(v3, lane),
        ];
        shared = add_patch(simd, v, shared, place, at, dx, lane);
    }
    add_pair(simd, shared, place, dv.tiles, dx, lane);
}

/// Adds an inner row of patches, whose pixels begin at `FROM`, to a row of the map.
#[inline(always)]
fn add_inner<S: Simd, const L: usize, const FROM: usize>(
    simd: S,
    inner: &[[[f32; L]; ROW]],
    place: Place,
    dx: &mut [[f32; L]],
    lane: usize,
) {
    let mut shared = [simd.splat(0.0); 2];
    for (at, inner) in inner.iter().enumerate() {
        let v = [
            simd.load(&inner[FROM], lane),
            simd.load(&inner[FROM + 1], lane),
            simd.load(&inner[FROM + 2], lane),
            simd.load(&inner[FROM + 3], lane),
        ];
        shared = add_patch(simd, v, shared, place, at, dx, lane);
    }
    add_pair(simd, shared, place, inner.len(), dx, lane);
}

/// Adds some lanes of a row of patch `at`: its first two columns together with what the patch
/// before brings to them. Returns its last two, which it shares with the patch behind.
#[inline(always)]
fn add_patch<S: Simd, const L: usize>(
    simd: S,
    [v0, v1, v2, v3]: [S::V; 4],
    shared: [S::V; 2],
    place: Place,
    at: usize,
    dx: &mut [[f32; L]],
    lane: usize,
) -> [S::V; 2] {
    let [d1, d2] = gather(simd, v0, v1, v2, v3);
    let own = [simd.add(shared[0], v0), simd.add(shared[1], d1)];
    add_pair(simd, own, place, at, dx, lane);
    [d2, v3]
}

/// Adds to the first two columns of patch `at`, as far as they lie in the map.
#[inline(always)]
fn add_pair<S: Simd, const L: usize>(
    simd: S,
    pair: [S::V; 2],
    place: Place,
    at: usize,
    dx: &mut [[f32; L]],
    lane: usize,
) {
    let column = (place.first + 2 * at).wrapping_sub(place.margin);
    // Both, nearly always.
    if let Some(dx) = dx.get_mut(column..column.wrapping_add(2)) {
        for c in 0..2 {
            let sum = simd.add(simd.load(&dx[c], lane), pair[c]);
            simd.store(&mut dx[c], lane, sum);
        }
        return;
    }
    for c in 0..2 {
        if let Some(dx) = dx.get_mut(column.wrapping_add(c)) {
            let sum = simd.add(simd.load(dx, lane), pair[c]);
            simd.store(dx, lane, sum);
        }
    }
}
