//! The gradient of transformed kernels: `du[e][o][i] = sum over tiles and lanes of dm[e][o] v[e][i]`.
//!
//! A band's sums begin with zero and are then added to those of the bands before it. With few
//! inputs each lane has a sum of its own, and the lanes are added by halving. From [`TURNED`] inputs
//! on, where adding up lanes would take longer than the sums themselves, the inputs of a band are
//! turned to lie innermost, and a sum goes from tile to tile and in a tile from lane to lane.

use super::product::{Product, Start};
use super::{Band, ELEMENTS, Planes, one_input, weights};
use crate::arch::{Kernel, Simd};
use crate::layers::register_block::{add_parts, block};
use crate::layers::turn::turn;

/// Inputs from which on they are turned.
const TURNED: usize = 16;

/// Floats that a row of inputs is made a multiple of: no instruction set has longer vectors.
const ROW: usize = 16;

/// Floats of a row of inputs.
const fn row_len(inputs: usize) -> usize {
    if inputs < TURNED {
        inputs
    } else {
        inputs.next_multiple_of(ROW)
    }
}

/// Floats of scratch.
pub(super) const fn scratch_len(inputs: usize, outputs: usize, band: usize, lanes: usize) -> usize {
    let row = row_len(inputs);
    let rest = match inputs {
        1 => outputs * one_input::SUMS * lanes,
        2..TURNED => 0,
        _ => band * lanes * row,
    };
    ELEMENTS * weights::matrix_len(outputs, row) + rest
}

/// The sums so far.
pub(super) struct Gradient<'a> {
    inputs: usize,
    outputs: usize,
    /// `[element][output][input]`, the inputs of an output in a row of [`row_len`].
    du: &'a mut [f32],
    /// One element of a band's inputs, `[tile][lane][input]`; of one input, the lanes' sums of a
    /// band.
    rest: &'a mut [f32],
    /// Whether turned inputs' `du` holds nothing yet.
    fresh: bool,
}

impl<'a> Gradient<'a> {
    /// Of nothing yet. `scratch` is of [`scratch_len`].
    pub fn new([outputs, inputs]: [usize; 2], scratch: &'a mut [f32]) -> Gradient<'a> {
        let row = row_len(inputs);
        let (du, rest) = scratch.split_at_mut(ELEMENTS * weights::matrix_len(outputs, row));
        if inputs < TURNED {
            du.fill(0.0);
        } else if inputs < row {
            // Ends of rows, which no input fills.
            rest.fill(0.0);
        }
        Gradient {
            inputs,
            outputs,
            du,
            rest,
            fresh: true,
        }
    }

    /// The sums of one input, `[element][output]`, and room for those of the lanes.
    pub fn of_one_input(&mut self) -> (&mut [f32], &mut [f32]) {
        (self.du, self.rest)
    }

    /// Adds a band's terms.
    #[inline(always)]
    pub fn add<S: Simd, const L: usize>(
        &mut self,
        simd: S,
        band: Band,
        (v, v_planes): (&[f32], Planes),
        (dm, m_planes): (&[f32], Planes),
    ) {
        let row = row_len(self.inputs);
        for e in 0..ELEMENTS {
            let v = &v[e * v_planes.element..][..self.inputs * v_planes.channel];
            let dm = &dm[e * m_planes.element..][..self.outputs * m_planes.channel];
            let du =
                &mut self.du[e * weights::matrix_len(self.outputs, row)..][..self.outputs * row];
            if self.inputs < TURNED {
                let (inputs, tiles) = (self.inputs, band.len());
                let task = PerLane::<L> {
                    inputs,
                    tiles,
                    v,
                    dm,
                    du,
                };
                task.run::<S>(simd);
            } else {
                let terms = v_planes.channel;
                let turned = &mut self.rest[..terms * row];
                simd.apart(Turn {
                    v,
                    terms,
                    row,
                    turned,
                });
                let product = Product {
                    a: dm,
                    row: terms,
                    terms,
                    start: match self.fresh {
                        true => Start::Zero,
                        false => Start::Target,
                    },
                    x: turned,
                    y: du,
                    columns: row,
                };
                product.run::<S>(simd);
            }
        }
        self.fresh = false;
    }

    /// Adds the gradient of the kernels to `dw` (outputs x inputs x 9).
    #[inline(always)]
    pub fn finish<S: Simd>(self, simd: S, dw: &mut [f32]) {
        let row = row_len(self.inputs);
        let kernels = dw.as_chunks_mut::<9>().0.chunks_exact_mut(self.inputs);
        for (o, dw) in kernels.enumerate() {
            simd.apart(weights::AddKernels {
                du: &self.du[o * row..],
                matrix: weights::matrix_len(self.outputs, row),
                dw,
            });
        }
    }
}

/// Adds the sum over tiles and lanes of each channel to `db`.
pub(super) struct Biases<'a, const L: usize> {
    pub planes: Planes,
    pub dm: &'a [f32],
    pub band: Band,
    pub db: &'a mut [f32],
}

impl<const L: usize> Kernel for Biases<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // This element is the sum of a tile's gradients.
        let sums = self.dm[5 * self.planes.element..].as_chunks::<L>().0;
        for (db, tiles) in self.db.iter_mut().zip(sums.chunks_exact(self.band.len())) {
            let mut lanes = [0.0; L];
            for part in (0..L).step_by(S::WIDTH) {
                let mut sum = simd.splat(0.0);
                for tile in tiles {
                    sum = simd.add(sum, simd.load(tile, part));
                }
                simd.store(&mut lanes, part, sum);
            }
            *db += simd.sum(add_parts(simd, &lanes));
        }
    }
}

/// Adds to `du` (outputs x inputs) with a sum for each lane.
struct PerLane<'a, const L: usize> {
    inputs: usize,
    tiles: usize,
    v: &'a [f32],
    dm: &'a [f32],
    du: &'a mut [f32],
}

/// A task on `B` rows.
struct Block<T, const B: usize>(T);

impl<const L: usize> PerLane<'_, L> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let outputs = self.du.len() / self.inputs;
        let mut done = 0;
        while done < outputs {
            // The sums of a single input wait for each other unless there are many.
            let size = match outputs - done {
                8.. if self.inputs == 1 => 8,
                left => block::<S>(left),
            };
            let part = PerLane::<L> {
                dm: &self.dm[done * self.tiles * L..][..size * self.tiles * L],
                du: &mut self.du[done * self.inputs..][..size * self.inputs],
                ..self
            };
            match size {
                8 => simd.apart(Block::<_, 8>(part)),
                4 => simd.apart(Block::<_, 4>(part)),
                2 => simd.apart(Block::<_, 2>(part)),
                _ => simd.apart(Block::<_, 1>(part)),
            }
            done += size;
        }
    }
}

impl<const L: usize, const B: usize> Kernel for Block<PerLane<'_, L>, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let inputs = self.0.inputs;
        let mut i = 0;
        while i < inputs {
            match inputs - i {
                1 => self.tile::<S, 1>(simd, i),
                2 | 4 => self.tile::<S, 2>(simd, i),
                _ => self.tile::<S, 3>(simd, i),
            }
            i += match inputs - i {
                1 => 1,
                2 | 4 => 2,
                _ => 3,
            };
        }
    }
}

impl<const L: usize, const B: usize> Block<PerLane<'_, L>, B> {
    /// `B` outputs x `T` inputs from input `i` on.
    #[inline(always)]
    fn tile<S: Simd, const T: usize>(&mut self, simd: S, i: usize) {
        let PerLane {
            inputs,
            tiles,
            v,
            dm,
            du,
        } = &mut self.0;
        let (v, dm) = (v.as_chunks::<L>().0, dm.as_chunks::<L>().0);
        let (mut inputs_of, mut outputs_of) = ([v; T], [dm; B]);
        for t in 0..T {
            inputs_of[t] = &v[(i + t) * *tiles..][..*tiles];
        }
        for b in 0..B {
            outputs_of[b] = &dm[b * *tiles..][..*tiles];
        }
        let mut parts = [[simd.splat(0.0); T]; B];
        if L == S::WIDTH {
            parts = lane_sums(simd, *tiles, 0, inputs_of, outputs_of);
        } else {
            let mut lanes = [[[0.0; L]; T]; B];
            for part in (0..L).step_by(S::WIDTH) {
                let sums = lane_sums(simd, *tiles, part, inputs_of, outputs_of);
                for b in 0..B {
                    for t in 0..T {
                        simd.store(&mut lanes[b][t], part, sums[b][t]);
                    }
                }
            }
            for b in 0..B {
                for t in 0..T {
                    parts[b][t] = add_parts(simd, &lanes[b][t]);
                }
            }
        }
        // All at once: several take less time together.
        let mut sums = [[0.0; T]; B];
        simd.sums(parts.as_flattened(), sums.as_flattened_mut());
        for b in 0..B {
            for (du, sum) in du[b * *inputs + i..].iter_mut().zip(sums[b]) {
                *du += sum;
            }
        }
    }
}

/// The sums over tiles of the lanes from `part` on, of `B` outputs x `T` inputs.
#[inline(always)]
fn lane_sums<S: Simd, const L: usize, const B: usize, const T: usize>(
    simd: S,
    tiles: usize,
    part: usize,
    inputs: [&[[f32; L]]; T],
    outputs: [&[[f32; L]]; B],
) -> [[S::V; T]; B] {
    let mut sums = [[simd.splat(0.0); T]; B];
    for tile in 0..tiles {
        let mut vectors = [simd.splat(0.0); T];
        for t in 0..T {
            vectors[t] = simd.load(&inputs[t][tile], part);
        }
        for b in 0..B {
            let dm = simd.load(&outputs[b][tile], part);
            for t in 0..T {
                sums[b][t] = simd.fma(dm, vectors[t], sums[b][t]);
            }
        }
    }
    sums
}

/// Turns `v` (inputs x terms) to rows of inputs.
struct Turn<'a> {
    v: &'a [f32],
    terms: usize,
    row: usize,
    turned: &'a mut [f32],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        turn(simd, self.v, self.terms, self.turned, self.row);
    }
}
