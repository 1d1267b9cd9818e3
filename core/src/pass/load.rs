//! The input of a network: elements to normalised values, for blocks of lanes and for one sample.

use crate::arch::{Kernel, Simd, dispatch_lanes};
use crate::batch::Batch;
use crate::map::Map;
use crate::samples::{Affine, Normalisation, Samples, Values};
use crate::shape::Shape;

/// The value of an element.
#[inline(always)]
fn value<S: Simd>(simd: S, scaling: Affine, element: impl Into<f32>) -> f32 {
    simd.fma_f32(element.into(), scaling.scale, scaling.offset)
}

/// Copies a block's samples into the input map, normalised; lanes without a sample and the margin
/// become zero.
pub(super) fn load_block<const LANES: usize>(
    block: &Batch<'_>,
    shape: Shape,
    map: Map,
    input: &mut [f32],
) {
    if block.indices.len() < LANES || map.has_zeros() {
        input.fill(0.0);
    }
    dispatch_lanes::<LANES, _>(Load::<LANES> {
        shape,
        map,
        samples: &block.samples,
        indices: block.indices,
        input,
    });
}

/// Elements to normalised lanes.
struct Load<'a, const LANES: usize> {
    /// Shape of a sample, dead rows and columns too.
    shape: Shape,
    map: Map,
    samples: &'a Samples<'a>,
    indices: &'a [u32],
    input: &'a mut [f32],
}

impl<const LANES: usize> Kernel for Load<'_, LANES> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.samples.values {
            Values::U8(bytes) => self.rows(bytes, |scaling, rows, pixels| {
                if LANES == 16 && rows.len() == LANES && pixels.len() >= 16 {
                    // The last square of 16 x 16 overlaps the one before.
                    for c in (0..pixels.len()).step_by(16) {
                        let c = c.min(pixels.len() - 16);
                        square(simd, scaling, rows, c, &mut pixels[c..]);
                    }
                } else {
                    scattered(simd, scaling, rows, pixels);
                }
            }),
            Values::I8(values) => self.rows(values, |scaling, rows, pixels| {
                scattered(simd, scaling, rows, pixels);
            }),
            Values::I16(values) => self.rows(values, |scaling, rows, pixels| {
                scattered(simd, scaling, rows, pixels);
            }),
            Values::F32(values) => self.rows(values, |scaling, rows, pixels| {
                scattered(simd, scaling, rows, pixels);
            }),
        }
    }
}

impl<const LANES: usize> Load<'_, LANES> {
    /// Calls `fill` for each row of each channel with its scaling, its elements in each sample, and
    /// its pixels.
    #[inline(always)]
    fn rows<T>(self, values: &[T], mut fill: impl FnMut(Affine, &[&[T]], &mut [[f32; LANES]])) {
        let (map, shape) = (self.map, self.shape);
        let length = shape.len();
        for channel in 0..map.channels {
            let scaling = self.samples.normalisation.channel(channel);
            for r in 0..map.live_rows {
                let from = (channel * shape.rows + r) * shape.columns;
                let mut rows = [&values[..0]; LANES];
                for (row, index) in rows.iter_mut().zip(self.indices) {
                    *row = &values[*index as usize * length + from..][..map.live_columns];
                }
                let rows = &rows[..self.indices.len()];
                let to = map.at(channel, r, 0) * LANES;
                let pixels = &mut self.input[to..][..map.live_columns * LANES];
                fill(scaling, rows, pixels.as_chunks_mut::<LANES>().0);
            }
        }
    }
}

/// A row of each sample, one element after the other.
#[inline(always)]
fn scattered<S: Simd, T: Copy + Into<f32>, const L: usize>(
    simd: S,
    scaling: Affine,
    rows: &[&[T]],
    pixels: &mut [[f32; L]],
) {
    for (lane, row) in rows.iter().enumerate() {
        for (pixel, element) in pixels.iter_mut().zip(*row) {
            pixel[lane] = value(simd, scaling, *element);
        }
    }
}

/// 16 pixels of 16 samples from column `c` on. Turns the square of bytes in four rounds; each
/// interleaves row i with row i + 8, which moves one bit of an element's place from its row to its
/// column.
#[inline(always)]
fn square<S: Simd, const L: usize>(
    simd: S,
    scaling: Affine,
    rows: &[&[u8]],
    c: usize,
    pixels: &mut [[f32; L]],
) {
    let mut bytes = [[0; 16]; 16];
    for (bytes, row) in bytes.iter_mut().zip(rows) {
        bytes.copy_from_slice(&row[c..c + 16]);
    }
    for _ in 0..4 {
        let mut next = [[0; 16]; 16];
        for i in 0..8 {
            [next[2 * i], next[2 * i + 1]] = simd.interleave(bytes[i], bytes[i + 8]);
        }
        bytes = next;
    }
    for (pixel, bytes) in pixels.iter_mut().zip(&bytes) {
        for (pixel, byte) in pixel.iter_mut().zip(bytes) {
            *pixel = value(simd, scaling, *byte);
        }
    }
}

/// Copies the rows of sample `index` from `first` on into the live rows of a map, normalised.
/// `None` where lengths do not fit.
#[inline(always)]
pub(super) fn load_single<S: Simd>(
    simd: S,
    samples: &Samples<'_>,
    index: u32,
    shape: Shape,
    map: Map,
    first: usize,
    x: &mut [f32],
) -> Option<()> {
    let place = Place {
        index: index as usize,
        shape,
        map,
        first,
        normalisation: samples.normalisation,
    };
    match samples.values {
        Values::U8(bytes) => place.rows(bytes, x, |scaling, bytes, x| {
            let done = simd.load_row(bytes, scaling.scale, scaling.offset, x);
            if done.is_none() {
                elements(simd, scaling, bytes, x);
            }
        }),
        Values::I8(values) => place.rows(values, x, |scaling, values, x| {
            elements(simd, scaling, values, x);
        }),
        Values::I16(values) => place.rows(values, x, |scaling, values, x| {
            elements(simd, scaling, values, x);
        }),
        Values::F32(values) => place.rows(values, x, |scaling, values, x| {
            elements(simd, scaling, values, x);
        }),
    }
}

/// One sample and the map that its rows from `first` on go to.
struct Place<'a> {
    index: usize,
    shape: Shape,
    map: Map,
    first: usize,
    normalisation: Normalisation<'a>,
}

impl Place<'_> {
    /// Calls `fill` for each row of each channel with its scaling, its elements and its pixels.
    #[inline(always)]
    fn rows<T>(
        &self,
        values: &[T],
        x: &mut [f32],
        mut fill: impl FnMut(Affine, &[T], &mut [f32]),
    ) -> Option<()> {
        let (map, shape) = (self.map, self.shape);
        let values = values.get(self.index * shape.len()..)?.get(..shape.len())?;
        for channel in 0..map.channels {
            let scaling = self.normalisation.channel(channel);
            for r in 0..map.live_rows {
                let from = values.get((channel * shape.rows + self.first + r) * shape.columns..)?;
                let to = x.get_mut(map.at(channel, r, 0)..)?;
                fill(scaling, from, to.get_mut(..map.live_columns)?);
            }
        }
        Some(())
    }
}

/// A row of one sample.
#[inline(always)]
fn elements<S: Simd, T: Copy + Into<f32>>(simd: S, scaling: Affine, row: &[T], x: &mut [f32]) {
    for (x, element) in x.iter_mut().zip(row) {
        *x = value(simd, scaling, *element);
    }
}
