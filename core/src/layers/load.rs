//! The input of a network: bytes to normalised lanes.

use crate::arch::{Kernel, Simd};
use crate::plan::Map;
use crate::propagation::Batch;

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
        let normalisation = samples.normalisation;
        let mut bytes = [&samples.pixels[..0]; LANES];
        for (bytes, index) in bytes.iter_mut().zip(block.indices) {
            *bytes = samples.sample(*index, map.channels * plane);
        }
        let count = block.indices.len();
        for channel in 0..map.channels {
            for r in 0..map.alive_rows {
                let from = channel * plane + r * columns;
                let to = map.at(channel, r, 0) * LANES;
                let mut rows = [&samples.pixels[..0]; LANES];
                for lane in 0..count {
                    rows[lane] = &bytes[lane][from..][..map.alive_columns];
                }
                for (c, pixel) in input[to..][..map.alive_columns * LANES]
                    .chunks_exact_mut(LANES)
                    .enumerate()
                {
                    for lane in 0..count {
                        pixel[lane] = simd.fma_f32(
                            f32::from(rows[lane][c]),
                            normalisation.scale,
                            normalisation.offset,
                        );
                    }
                }
            }
        }
    }
}
