//! The passes of a stage: the kernels of its operation, its activation and its pool, one after the other.

use super::depthwise::Depthwise;
use super::{activation, average_pool, conv2d, dropout, linear, post};
use crate::arch::{Kernel, Simd, dispatch_lanes};
use crate::plan::{GROUP, Op, Spread, Stage};
use crate::propagation::Batch;

/// A pass at `L` lanes.
struct At<const L: usize, T>(T);

/// Runs a pass at `L` lanes on the best instruction set. The pass at 16 lanes, the number that desktops use, is compiled here
/// and not anew in every crate that trains a network: it is most of the time that building takes. Single samples have kernels
/// of their own and never come here.
pub(crate) fn forward<const L: usize>(pass: Forward<'_>) {
    match L {
        1 => {}
        16 => forward_16(pass),
        _ => dispatch_lanes::<L, _>(At::<L, _>(pass)),
    }
}

/// See [`forward`].
pub(crate) fn backward<const L: usize>(pass: Backward<'_>) {
    match L {
        1 => {}
        16 => backward_16(pass),
        _ => dispatch_lanes::<L, _>(At::<L, _>(pass)),
    }
}

// Devices go without: what is inline is compiled where it is called.
#[cfg_attr(target_os = "none", inline)]
#[cfg_attr(not(target_os = "none"), inline(never))]
fn forward_16(pass: Forward<'_>) {
    dispatch_lanes::<16, _>(At::<16, _>(pass));
}

#[cfg_attr(target_os = "none", inline)]
#[cfg_attr(not(target_os = "none"), inline(never))]
fn backward_16(pass: Backward<'_>) {
    dispatch_lanes::<16, _>(At::<16, _>(pass));
}

/// A stage's forward pass.
pub(crate) struct Forward<'a> {
    pub stage: &'a Stage,
    pub parameters: &'a [f32],
    pub block: &'a Batch<'a>,
    pub x: &'a [f32],
    pub y: &'a mut [f32],
    pub codes: &'a mut [f32],
    pub scratch: &'a mut [f32],
}

/// The weights and the biases of a stage in a flat slice of parameters.
pub(crate) fn split_parameters(
    stage: &Stage,
) -> (core::ops::Range<usize>, core::ops::Range<usize>) {
    let (inputs, outputs) = match stage.op {
        Op::Conv2d { kernel, .. } => (
            stage.input.channels * kernel * kernel,
            stage.output.channels,
        ),
        Op::Linear => (stage.input.len(), stage.output.channels),
        Op::Depthwise { kernel, .. } => (kernel * kernel, stage.output.channels),
        _ => (0, 0),
    };
    let biases = stage.parameters + inputs * outputs;
    (stage.parameters..biases, biases..biases + outputs)
}

/// What the kernels that single samples share say about lengths: the plan has made them fit.
#[inline(always)]
fn fits(done: Option<()>) {
    assert!(done.is_some(), "the plan and the workspace disagree");
}

impl<const L: usize> Kernel for At<L, Forward<'_>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Forward {
            stage,
            parameters,
            block,
            x,
            y,
            codes,
            scratch,
        } = self.0;
        let (weights, biases) = split_parameters(stage);
        let (w, bias) = (&parameters[weights], &parameters[biases]);
        let map = stage.output;
        codes.fill(0.0);
        if map.len() > map.alive_len() {
            y.fill(0.0);
        }
        match stage.op {
            Op::Conv2d { kernel, stride } => {
                let outputs = map.channels;
                let pool_rows = stage.pool.map_or(1, |pool| pool.size);
                let pool_step = stage.pool.map_or(1, |pool| pool.stride);
                let (packed, rows) =
                    scratch.split_at_mut(GROUP * stage.input.channels * kernel * kernel);
                let mut first = 0;
                while first < outputs {
                    let count = GROUP.min(outputs - first);
                    conv2d::pack_forward::<S>(
                        w,
                        stage.input.channels,
                        kernel,
                        first,
                        count,
                        packed,
                    );
                    let task = conv2d::Rows {
                        kernel,
                        stride,
                        // The zeros are stored.
                        padding: 0,
                        inputs: stage.input.channels,
                        input_rows: stage.input.rows,
                        input_columns: stage.input.columns,
                        input_plane: stage.input.plane() * L,
                        input_row: stage.input.columns * L,
                        input_pixel: L,
                        outputs: count,
                        output_plane: pool_rows * stage.columns * L,
                        rows: pool_rows,
                        columns: stage.columns,
                    };
                    let start = conv2d::Start::Bias(&bias[first..][..count]);
                    for r in 0..map.alive_rows {
                        let x = &x[r * pool_step * stride * task.input_row..];
                        task.run::<S, L>(simd, x, packed, start, rows);
                        let source = post::Rows {
                            data: rows,
                            plane: pool_rows * stage.columns,
                            row: stage.columns,
                        };
                        post::forward_row::<S, L>(simd, stage, source, first, count, r, y, codes);
                    }
                    first += count;
                }
            }
            Op::Linear => {
                let outputs = &mut y[..map.channels * L];
                linear::forward(simd, L, w, bias, x, outputs);
                if stage.relu {
                    post::relu_in_place(simd, outputs);
                }
                if map.margin > 0 {
                    // Makes room for the zeros around each value, from the last one on: no value moves down.
                    for o in (0..map.channels).rev() {
                        let from = o * L..(o + 1) * L;
                        y.copy_within(from.clone(), map.at(o, 0, 0) * L);
                        y[from].fill(0.0);
                    }
                }
            }
            Op::Identity => {
                let input = stage.input;
                let step = stage.pool.map_or(1, |pool| pool.stride);
                for r in 0..map.alive_rows {
                    let source = post::Rows {
                        data: &x[input.at(0, r * step, 0) * L..],
                        plane: input.plane(),
                        row: input.columns,
                    };
                    post::forward_row::<S, L>(simd, stage, source, 0, map.channels, r, y, codes);
                }
            }
            Op::Dropout { probability } => {
                let key = block.dropout;
                dropout::forward::<L>(key, stage, probability, block.indices, x, y);
            }
            Op::Depthwise { kernel, stride } => fits(
                Depthwise {
                    kernel,
                    stride,
                    input: stage.input,
                    output: map,
                }
                .forward::<S, L>(simd, w, bias, x, y),
            ),
            Op::AveragePool(pool) => {
                fits(average_pool::forward::<L>(pool, stage.input, map, x, y));
            }
            Op::Activation(kind) => fits(activation::forward::<S, L>(
                simd,
                kind,
                stage.input,
                map,
                x,
                y,
            )),
        }
    }
}

/// A stage's backward pass.
pub(crate) struct Backward<'a> {
    pub stage: &'a Stage,
    pub parameters: &'a [f32],
    pub block: &'a Batch<'a>,
    pub x: &'a [f32],
    pub y: &'a [f32],
    pub codes: &'a [f32],
    pub dy: &'a mut [f32],
    pub dx: &'a mut [f32],
    /// Whether `gradient` grows.
    pub weight_gradient: bool,
    /// Whether anything reads `dx`.
    pub input_gradient: bool,
    pub gradient: &'a mut [f32],
    pub scratch: &'a mut [f32],
}

impl<const L: usize> Kernel for At<L, Backward<'_>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Backward {
            stage,
            parameters,
            block,
            x,
            y,
            codes,
            dy,
            dx,
            weight_gradient,
            input_gradient,
            gradient,
            scratch,
        } = self.0;
        let (weights, biases) = split_parameters(stage);
        let w = &parameters[weights.clone()];
        let (dw, db) = gradient[weights.start..biases.end].split_at_mut(weights.len());
        let map = stage.output;
        match stage.op {
            Op::Conv2d { kernel, stride } => {
                let spread = Spread::new(stage);
                let (inputs, outputs) = (stage.input.channels, map.channels);
                let (packed, dz) = scratch.split_at_mut(GROUP * inputs * kernel * kernel);
                let mut first = 0;
                while first < outputs {
                    let count = GROUP.min(outputs - first);
                    post::backward::<S, L>(simd, stage, spread, first, count, y, codes, dy, dz);
                    let task = conv2d::WeightGradient {
                        kernel,
                        stride,
                        inputs,
                        input_plane: stage.input.plane(),
                        input_row: stage.input.columns,
                        outputs: count,
                        gradient_plane: spread.plane(),
                        gradient_row: spread.dilation * spread.columns,
                        gradient_pixel: spread.dilation,
                        rows: stage.rows,
                        columns: stage.columns,
                    };
                    let terms = inputs * kernel * kernel;
                    if weight_gradient {
                        task.run::<S, L>(simd, x, dz, &mut dw[first * terms..], &mut db[first..]);
                    }
                    if input_gradient {
                        conv2d::pack_backward::<S>(w, inputs, kernel, first, count, packed);
                        let task = conv2d::Rows {
                            kernel,
                            stride: 1,
                            padding: kernel - 1 - stage.input.margin,
                            inputs: count,
                            input_rows: spread.rows,
                            input_columns: spread.columns,
                            input_plane: spread.plane() * L,
                            input_row: spread.columns * L,
                            input_pixel: L,
                            outputs: inputs,
                            output_plane: stage.input.alive_rows * stage.input.alive_columns * L,
                            rows: stage.input.alive_rows,
                            columns: stage.input.alive_columns,
                        };
                        let start = if first == 0 {
                            conv2d::Start::Zero
                        } else {
                            conv2d::Start::Target
                        };
                        task.run::<S, L>(simd, dz, packed, start, dx);
                    }
                    first += count;
                }
            }
            Op::Linear => {
                let dy = &mut dy[..map.channels * L];
                if stage.relu {
                    for (o, dy) in dy.chunks_exact_mut(L).enumerate() {
                        post::relu_gradient(simd, &y[map.at(o, 0, 0) * L..][..L], dy);
                    }
                }
                if weight_gradient {
                    linear::weight_gradient(simd, L, x, dy, dw, db, &mut scratch[..x.len()]);
                }
                if input_gradient {
                    linear::input_gradient(simd, L, w, dy, &mut dx[..x.len()]);
                }
            }
            Op::Depthwise { kernel, stride } => {
                let task = Depthwise {
                    kernel,
                    stride,
                    input: stage.input,
                    output: map,
                };
                let (from, to) = (map.dense(), stage.input.dense());
                if weight_gradient {
                    fits(task.weight_gradient::<S, L>(simd, from, x, dy, dw, db));
                }
                if input_gradient {
                    fits(task.input_gradient::<S, L>(simd, from, to, w, dy, dx));
                }
            }
            _ if !input_gradient => {}
            Op::AveragePool(pool) => {
                let (from, to) = (map.dense(), stage.input.dense());
                fits(average_pool::backward::<L>(pool, to, from, dy, dx));
            }
            Op::Activation(kind) => {
                fits(activation::backward::<S, L>(simd, kind, map, y, dy, dx));
            }
            Op::Identity => {
                let spread = Spread::new(stage);
                post::backward::<S, L>(simd, stage, spread, 0, map.channels, y, codes, dy, dx);
            }
            Op::Dropout { probability } => {
                dropout::backward::<L>(block.dropout, stage, probability, block.indices, dy, dx)
            }
        }
    }
}
