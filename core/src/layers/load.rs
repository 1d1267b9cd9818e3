//! The input of a network: bytes to normalised lanes.

use crate::arch::{Kernel, Simd};
use crate::plan::Map;
use crate::propagation::Batch;
use crate::samples::Normalisation;

/// Bytes to normalised lanes.
pub(crate) struct Load<'a, const LANES: usize> {
    pub map: Map,
    /// Columns and pixels of a channel of a sample, dead ones too.
    pub columns: usize,
    pub plane: usize,
    pub block: &'a Batch<'a>,
    pub input: &'a mut [f32],
}

impl<const LANES: usize> Kernel for Load<'_, LANES> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Load {
            map,
            columns,
            plane,
            block,
            input,
        } = self;
        let samples = &block.samples;
        let mut bytes = [&samples.pixels[..0]; LANES];
        for (bytes, index) in bytes.iter_mut().zip(block.indices) {
            *bytes = samples.sample(*index, map.channels * plane);
        }
        let count = block.indices.len();
        for channel in 0..map.channels {
            for r in 0..map.alive_rows {
                let from = channel * plane + r * columns;
                let mut rows = [&samples.pixels[..0]; LANES];
                for lane in 0..count {
                    rows[lane] = &bytes[lane][from..][..map.alive_columns];
                }
                let to = map.at(channel, r, 0) * LANES;
                let pixels = &mut input[to..][..map.alive_columns * LANES];
                let (pixels, _) = pixels.as_chunks_mut::<LANES>();
                if LANES == 16 && count == LANES && pixels.len() >= 16 {
                    // The last square of 16 x 16 overlaps the one before.
                    for c in (0..pixels.len()).step_by(16) {
                        let c = c.min(pixels.len() - 16);
                        square(simd, samples.normalisation, &rows, c, &mut pixels[c..]);
                    }
                } else {
                    for (c, pixel) in pixels.iter_mut().enumerate() {
                        for lane in 0..count {
                            pixel[lane] = value(simd, samples.normalisation, rows[lane][c]);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn value<S: Simd>(simd: S, normalisation: Normalisation, byte: u8) -> f32 {
    simd.fma_f32(f32::from(byte), normalisation.scale, normalisation.offset)
}

/// 16 pixels of 16 samples from column `c` on. Turns the square of bytes in four rounds; each interleaves row i with row
/// i + 8, which moves one bit of an element's place from its row to its column.
#[inline(always)]
fn square<S: Simd, const L: usize>(
    simd: S,
    normalisation: Normalisation,
    rows: &[&[u8]; L],
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
            *pixel = value(simd, normalisation, *byte);
        }
    }
}
