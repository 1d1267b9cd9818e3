//! Convolution of kernel 3 x 3 and stride 1 with fewer multiplications: Winograd's F(2 x 2, 3 x 3)
//! over blocks of lanes.
//!
//! The output is cut into tiles of 2 x 2 pixels. A tile `y` of one output channel reads a patch `d`
//! of 4 x 4 pixels of each input channel, and with the kernel `g`
//!
//! ```text
//! u = G g G'    v = B' d B    m = sum over inputs of u o v    y = A' m A
//!
//!      1   0   0          1  0 -1  0          1  1  1  0
//! G = 1/2 1/2 1/2    B' = 0  1  1  0     A' = 0  1 -1  1
//!     1/2 -1/2 1/2        0 -1  1  0
//!      0   0   1          0 -1  0  1
//! ```
//!
//! where `o` multiplies element by element: 16 multiplications for each pair of channels instead of
//! 36. The backward pass is the adjoint of each step, over the same tiles:
//!
//! ```text
//! dm = A dy A'    du = sum over tiles of dm o v    dg = G' du G    dv = sum over outputs of u o dm
//! dd = B dv B'    (patches overlap: a pixel of dx adds up what its patches bring)
//! ```
//!
//! With lanes innermost the transforms of maps add and subtract whole vectors, and the sums are 16
//! products of small matrices. The tile is the window of a max-pool of 2 x 2, which the output's
//! transform does as it goes.
//!
//! A band of tiles is worked on at a time, so that its `v` and `m` stay in the second-level cache.
//! No sum depends on the instruction set: terms of the products are fused multiply-adds in the
//! order of the channels, or (of `du`, see [`gradient`]) of tiles and lanes; the transforms' sums
//! are written out in [`transform`] and [`weights`].
//!
//! Results differ from direct convolution in the last bits. For data of unit size the forward error
//! is smaller: there are fewer roundings in a row.
//!
//! Sources: S. Winograd, *Arithmetic Complexity of Computations*, SIAM 1980; A. Lavin and S. Gray,
//! *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016.

mod end;
mod gradient;
mod one_input;
mod product;
pub(crate) mod tangent;
mod transform;
mod weights;

use super::Conv2d;
use crate::arch::Simd;
use crate::layers::memory::{Backward, Forward};
use crate::map::Frame;
use crate::shape::Window;
use end::{End, ROW};
use gradient::{Biases, Gradient};
use product::{Product, Start};
use transform::{InputGradient, InputTransform, OutputGradient, OutputTransform, StageOutput};

/// Elements of a transformed tile.
const ELEMENTS: usize = 16;

/// Floats of a band's transformed maps: half of a second-level cache.
const BAND: usize = 128 * 1024;

/// Whether a stage is computed so: a kernel of 3 x 3 with stride 1, and behind
/// it no pool or one whose windows are the tiles.
pub(crate) const fn serves(layer: &Conv2d, frame: &Frame) -> bool {
    let pool = match frame.pool {
        None => true,
        Some(Window { size, stride }) => {
            size[0] == 2 && size[1] == 2 && stride[0] == 2 && stride[1] == 2
        }
    };
    let [rows, columns] = layer.kernel;
    let unit = layer.stride[0] == 1 && layer.stride[1] == 1;
    rows == 3 && columns == 3 && unit && pool
}

/// The tiles of a stage and how they are cut into bands.
#[derive(Debug, Clone, Copy)]
struct Tiles {
    /// Tiles of the output.
    rows: usize,
    columns: usize,
    /// Most tiles of a band: several rows of all columns, or a part of one row.
    band_rows: usize,
    band_columns: usize,
}

impl Tiles {
    const fn new(frame: &Frame, lanes: usize) -> Tiles {
        let (rows, columns) = (frame.rows.div_ceil(2), frame.columns.div_ceil(2));
        // Of the whole stage: sums depend on the bands.
        let channels = frame.whole[0] + frame.whole[1];
        let most = most(1, BAND / (ELEMENTS * channels * lanes));
        // Bands of nearly the same size.
        let (band_rows, band_columns) = if most < columns {
            (1, columns.div_ceil(columns.div_ceil(most)))
        } else {
            (rows.div_ceil(rows.div_ceil(most / columns)), columns)
        };
        Tiles {
            rows,
            columns,
            band_rows,
            band_columns,
        }
    }

    /// Most tiles of a band.
    const fn band(&self) -> usize {
        self.band_rows * self.band_columns
    }

    /// The bands in order: from the top down, each row from the left.
    fn bands(self) -> impl Iterator<Item = Band> {
        (0..self.rows).step_by(self.band_rows).flat_map(move |row| {
            (0..self.columns)
                .step_by(self.band_columns)
                .map(move |column| Band {
                    row,
                    column,
                    rows: self.band_rows.min(self.rows - row),
                    columns: self.band_columns.min(self.columns - column),
                })
        })
    }
}

/// Tiles that are worked on at a time.
#[derive(Debug, Clone, Copy)]
struct Band {
    /// The first tile.
    row: usize,
    column: usize,
    /// How many tiles there are, row by row.
    rows: usize,
    columns: usize,
}

impl Band {
    const fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Its rows of tiles, each as a band.
    fn each_row(self) -> impl Iterator<Item = Band> {
        (self.row..self.row + self.rows).map(move |row| Band {
            row,
            rows: 1,
            ..self
        })
    }
}

/// Transformed maps of a band, `[element][channel][tile][lane]`: floats of a channel, and of an
/// element. One more pixel lies between elements, so that they do not compete for the same lines of
/// the first-level cache.
#[derive(Debug, Clone, Copy)]
struct Planes {
    channel: usize,
    element: usize,
}

impl Planes {
    const fn new(channels: usize, tiles: usize, lanes: usize) -> Planes {
        let channel = tiles * lanes;
        Planes {
            channel,
            element: channels * channel + lanes,
        }
    }

    const fn len(&self) -> usize {
        ELEMENTS * self.element
    }
}

/// Floats of what lies between the two axes of a transform.
const fn row_len(tiles: &Tiles, lanes: usize) -> usize {
    ROW * tiles.band_columns * lanes
}

/// Floats of scratch for the forward pass and for the backward pass.
pub(crate) const fn scratch_len(frame: &Frame, lanes: usize) -> (usize, usize) {
    let (inputs, outputs) = (frame.input.channels, frame.output.channels);
    let tiles = Tiles::new(frame, lanes);
    let band = tiles.band();
    let zeros = frame.input.columns * lanes;
    let row = row_len(&tiles, lanes);
    let u = ELEMENTS * weights::matrix_len(inputs, outputs);
    let v = Planes::new(inputs, band, lanes).len();
    let m = Planes::new(outputs, band, lanes).len();
    let gradient = gradient::scratch_len(inputs, outputs, band, lanes);
    (zeros + row + u + v + m, zeros + row + u + v + m + gradient)
}

/// The forward pass with the relu and the max-pool that follow.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(simd: S, frame: &Frame, memory: Forward<'_>) {
    let Forward {
        w,
        bias,
        x,
        y,
        codes,
        scratch,
        ..
    } = memory;
    let (inputs, outputs) = (frame.input.channels, frame.output.channels);
    let tiles = Tiles::new(frame, L);
    let (zeros, rest) = scratch.split_at_mut(frame.input.columns * L);
    let (row, rest) = rest.split_at_mut(row_len(&tiles, L));
    let (u, rest) = rest.split_at_mut(ELEMENTS * weights::matrix_len(inputs, outputs));
    zeros.fill(0.0);
    simd.apart(weights::Transform {
        w,
        rows: outputs,
        row: inputs,
        terms: inputs,
        term: 1,
        u,
        across: inputs,
    });
    for band in tiles.bands() {
        if inputs == 1 {
            // A row's map goes no further than the first-level cache.
            for band in band.each_row() {
                let planes = Planes::new(1, band.len(), L);
                let v = &mut rest[..planes.len()];
                simd.apart(InputTransform::<L> {
                    frame,
                    band,
                    x,
                    zeros,
                    planes,
                    v,
                });
                simd.apart(one_input::Output::<L> {
                    frame,
                    band,
                    u,
                    across: inputs,
                    bias,
                    planes,
                    v,
                    end: End::Values { y, codes },
                    row,
                });
            }
            continue;
        }
        let v_planes = Planes::new(inputs, band.len(), L);
        let m_planes = Planes::new(outputs, band.len(), L);
        let (v, rest) = rest.split_at_mut(v_planes.len());
        let m = &mut rest[..m_planes.len()];
        simd.apart(InputTransform::<L> {
            frame,
            band,
            x,
            zeros,
            planes: v_planes,
            v,
        });
        for e in 0..ELEMENTS {
            let product = Product {
                a: &u[e * weights::matrix_len(inputs, outputs)..][..inputs * outputs],
                row: inputs,
                terms: inputs,
                // What is added to this element comes out in every pixel of the tile.
                start: match e {
                    5 => Start::Rows(bias),
                    _ => Start::Zero,
                },
                x: &v[e * v_planes.element..][..inputs * v_planes.channel],
                y: &mut m[e * m_planes.element..][..outputs * m_planes.channel],
                columns: v_planes.channel,
            };
            product.run::<S>(simd);
        }
        simd.apart(OutputTransform::<L> {
            frame,
            band,
            planes: m_planes,
            m,
            end: End::Values { y, codes },
            row,
        });
    }
}

/// The backward pass: through pool and relu, from there to the weights and to the input.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(simd: S, frame: &Frame, memory: Backward<'_>) {
    let Backward {
        w,
        dw,
        db,
        x,
        y,
        codes,
        dy,
        dx,
        passes,
        scratch,
        ..
    } = memory;
    let (inputs, outputs) = (frame.input.channels, frame.output.channels);
    let tiles = Tiles::new(frame, L);
    let (zeros, rest) = scratch.split_at_mut(frame.input.columns * L);
    let (row, rest) = rest.split_at_mut(row_len(&tiles, L));
    let (u, rest) = rest.split_at_mut(ELEMENTS * weights::matrix_len(inputs, outputs));
    let (gradient_scratch, rest) =
        rest.split_at_mut(gradient::scratch_len(inputs, outputs, tiles.band(), L));
    zeros.fill(0.0);
    if passes.input_gradient {
        simd.apart(weights::Transform {
            w,
            rows: inputs,
            row: 1,
            terms: outputs,
            term: inputs,
            u,
            across: outputs,
        });
        dx[..frame.input.live_len() * L].fill(0.0);
    }
    let mut gradient = Gradient::new([outputs, inputs], gradient_scratch);
    let stage = StageOutput {
        frame,
        y,
        codes,
        dy,
    };
    for band in tiles.bands() {
        if inputs == 1 && passes.weight_gradient && !passes.input_gradient {
            let (du, sums) = gradient.of_one_input();
            sums.fill(0.0);
            for band in band.each_row() {
                let planes = Planes::new(1, band.len(), L);
                let v = &mut rest[..planes.len()];
                simd.apart(InputTransform::<L> {
                    frame,
                    band,
                    x,
                    zeros,
                    planes,
                    v,
                });
                simd.apart(one_input::Gradient::<L> {
                    stage,
                    band,
                    planes,
                    v,
                    row,
                    sums,
                });
            }
            simd.apart(one_input::AddLanes::<L> { sums, du, db });
            continue;
        }
        let v_planes = Planes::new(inputs, band.len(), L);
        let m_planes = Planes::new(outputs, band.len(), L);
        let (v, rest) = rest.split_at_mut(v_planes.len());
        let dm = &mut rest[..m_planes.len()];
        simd.apart(OutputGradient::<L> {
            stage,
            band,
            planes: m_planes,
            dm,
            row,
        });
        if passes.weight_gradient {
            simd.apart(InputTransform::<L> {
                frame,
                band,
                x,
                zeros,
                planes: v_planes,
                v,
            });
            simd.apart(Biases::<L> {
                planes: m_planes,
                dm,
                band,
                db,
            });
            gradient.add::<S, L>(simd, band, (v, v_planes), (dm, m_planes));
        }
        if passes.input_gradient {
            // In the place of v, which is not needed any more.
            let dv = v;
            for e in 0..ELEMENTS {
                let product = Product {
                    a: &u[e * weights::matrix_len(inputs, outputs)..][..inputs * outputs],
                    row: outputs,
                    terms: outputs,
                    start: Start::Zero,
                    x: &dm[e * m_planes.element..][..outputs * m_planes.channel],
                    y: &mut dv[e * v_planes.element..][..inputs * v_planes.channel],
                    columns: v_planes.channel,
                };
                product.run::<S>(simd);
            }
            simd.apart(InputGradient::<L> {
                frame,
                band,
                planes: v_planes,
                dv,
                dx,
                row,
            });
        }
    }
    if passes.weight_gradient {
        gradient.finish(simd, dw);
    }
}

const fn most(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
