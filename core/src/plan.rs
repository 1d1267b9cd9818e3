//! The execution plan of a network: layers joined into stages, and how much of each map is alive.
//!
//! A stage is one layer, or a convolution, linear layer or nothing with the relu and the max-pool that follow it. Max-pooling
//! and relu commute (relu never decreases), so a stage pools first and activates a quarter of the values.
//!
//! Outputs that a flooring pool drops are dead, and so is what only they need; the plan goes from the last layer to the first
//! and keeps just the alive rows and columns of every map. No result changes: a dead value reaches no output and its gradient
//! is zero.

use crate::layers::activation::Activation;
use crate::layers::average_pool::AveragePool;
use crate::network::{Layer, Shape};

/// Largest window of a pool: the position of its winner must fit into a byte.
pub(crate) const LARGEST_POOL: usize = 16;

/// Output channels that are worked on together; a register block of channels divides it.
pub(crate) const GROUP: usize = 8;

/// A stored map: `channels` x `rows` x `columns` pixels of `lanes` floats, with `margin` rows above and columns to the left of
/// zeros for the padding of the convolution that reads it. `alive_rows` x `alive_columns` pixels from there on hold values;
/// what lies below and to the right is zero, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Map {
    pub channels: usize,
    pub rows: usize,
    pub columns: usize,
    pub margin: usize,
    pub alive_rows: usize,
    pub alive_columns: usize,
}

impl Map {
    const EMPTY: Map = Map {
        channels: 0,
        rows: 0,
        columns: 0,
        margin: 0,
        alive_rows: 0,
        alive_columns: 0,
    };

    /// Pixels in all channels.
    pub const fn len(&self) -> usize {
        self.channels * self.rows * self.columns
    }

    /// Pixels of a channel.
    pub const fn plane(&self) -> usize {
        self.rows * self.columns
    }

    /// Alive pixels in all channels.
    pub const fn alive_len(&self) -> usize {
        self.channels * self.alive_rows * self.alive_columns
    }

    /// Where alive pixel (row, column) of a channel lies, in pixels.
    pub const fn at(&self, channel: usize, row: usize, column: usize) -> usize {
        (channel * self.rows + row + self.margin) * self.columns + column + self.margin
    }

    /// The alive pixels alone, as gradients are stored.
    pub const fn dense(&self) -> Map {
        Map {
            rows: self.alive_rows,
            columns: self.alive_columns,
            margin: 0,
            ..*self
        }
    }
}

/// The operation that a stage begins with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Op {
    /// Nothing: a pool or an activation that stands alone.
    Identity,
    /// Convolution; its padding is the margin of the stage's input.
    Conv2d { kernel: usize, stride: usize },
    /// Fully connected.
    Linear,
    /// Random zeros.
    Dropout { probability: f32 },
    /// Convolution of each channel by itself; its padding is the margin of the stage's input.
    Depthwise { kernel: usize, stride: usize },
    /// Mean of windows.
    AveragePool(AveragePool),
    /// An activation that is computed apart.
    Activation(Activation),
}

impl Op {
    /// Whether a relu, and without a pool in between a max-pool, can join the stage.
    const fn joins(&self) -> (bool, bool) {
        match self {
            Op::Identity | Op::Conv2d { .. } => (true, true),
            Op::Linear => (true, false),
            _ => (false, false),
        }
    }
}

/// A max-pool at the end of a stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    pub size: usize,
    pub stride: usize,
}

impl Pool {
    /// Bits that tell the winner of a window.
    pub const fn code_bits(&self) -> usize {
        let mut bits = 0;
        while 1 << bits < self.size * self.size {
            bits += 1;
        }
        bits
    }
}

/// An operation, the activation and the pool that follow it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage {
    pub op: Op,
    pub relu: bool,
    pub pool: Option<Pool>,
    /// What the operation reads.
    pub input: Map,
    /// Alive rows of the operation's own output, before the pool.
    pub rows: usize,
    /// Alive columns of the operation's own output, before the pool.
    pub columns: usize,
    /// What the stage writes.
    pub output: Map,
    /// Where the stage's parameters begin.
    pub parameters: usize,
    /// Index of the operation's layer.
    pub layer: usize,
}

impl Stage {
    const EMPTY: Stage = Stage {
        op: Op::Identity,
        relu: false,
        pool: None,
        input: Map::EMPTY,
        rows: 0,
        columns: 0,
        output: Map::EMPTY,
        parameters: 0,
        layer: 0,
    };

    /// Rows of the weight matrix: output channels of a convolution, outputs of a linear layer, 0 without parameters.
    pub const fn outputs(&self) -> usize {
        match self.op {
            Op::Conv2d { .. } | Op::Linear | Op::Depthwise { .. } => self.output.channels,
            _ => 0,
        }
    }

    /// Multiply-accumulates of one sample in each pass of the operation, dead outputs left out.
    pub const fn multiply_accumulates(&self) -> usize {
        match self.op {
            Op::Conv2d { kernel, .. } => {
                let terms = self.input.channels * kernel * kernel;
                self.output.channels * self.rows * self.columns * terms
            }
            Op::Linear => self.input.len() * self.output.channels,
            Op::Depthwise { kernel, .. } => self.output.alive_len() * kernel * kernel,
            _ => 0,
        }
    }

    /// Columns of the weight matrix with the bias as its last: inputs of one output, and 1.
    pub const fn row_len(&self) -> usize {
        match self.op {
            Op::Conv2d { kernel, .. } => self.input.channels * kernel * kernel + 1,
            Op::Linear => self.input.len() + 1,
            Op::Depthwise { kernel, .. } => kernel * kernel + 1,
            _ => 1,
        }
    }

    /// Words of 32 bits for the pool's winners: as many bit planes as a winner has bits.
    pub const fn code_len(&self, lanes: usize) -> usize {
        match self.pool {
            Some(pool) => pool.code_bits() * self.code_plane(lanes),
            None => 0,
        }
    }

    /// Words of 32 bits in one bit plane of the pool's winners.
    pub const fn code_plane(&self, lanes: usize) -> usize {
        (self.output.alive_len() * lanes).div_ceil(32)
    }
}

/// The stages of a network, without its number of layers: what a pass works with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub stages: &'a [Stage],
    /// The stage that the backward pass ends with. Those before it have frozen parameters or none, and what they read is not
    /// kept.
    pub first_trained: usize,
    /// The frozen parameters.
    pub frozen: &'a [f32],
    /// Shape of a sample.
    pub shape: Shape,
}

impl Plan<'_> {
    /// The stages that the backward pass goes through.
    pub fn trained(&self) -> &[Stage] {
        self.stages.get(self.first_trained..).unwrap_or_default()
    }

    /// The slice that the parameters of stage `s` are in.
    pub fn parameters<'p>(&'p self, s: usize, trained: &'p [f32]) -> &'p [f32] {
        if s < self.first_trained {
            self.frozen
        } else {
            trained
        }
    }

    /// Pixels of what the first trained stage reads; of the network's output if there is none.
    pub const fn kept_len(&self) -> usize {
        if self.first_trained < self.stages.len() {
            self.stages[self.first_trained].input.len()
        } else {
            self.stages[self.stages.len() - 1].output.len()
        }
    }
}

/// The memory of a stage.
pub(crate) struct Parts<'w> {
    /// What it reads; in the backward pass of a single sample, afterwards, the gradient of that.
    pub x: &'w mut [f32],
    /// What became of the pool's windows.
    pub codes: &'w mut [f32],
    /// What it writes; in the backward pass of a single sample the gradient of that.
    pub y: &'w mut [f32],
    /// What is left.
    pub scratch: &'w mut [f32],
}

impl<'w> Parts<'w> {
    /// The memory of a stage that the backward pass does not reach, and that has `after` more such stages behind it: maps
    /// alternate between the two ends of `memory`, each taking the place of the last but one, so that the one that is kept
    /// comes to lie at the beginning. The lengths are those of `x`, `codes` and `y`.
    pub fn alternating(
        after: usize,
        (x, codes, y): (usize, usize, usize),
        memory: &'w mut [f32],
    ) -> Option<Parts<'w>> {
        let y_is_low = after.is_multiple_of(2);
        let (low, high) = if y_is_low { (y, x) } else { (x, y) };
        let (low, rest) = memory.split_at_mut_checked(low)?;
        let (rest, high) = rest.split_at_mut_checked(rest.len().checked_sub(high)?)?;
        let (codes, scratch) = rest.split_at_mut_checked(codes)?;
        let (x, y) = if y_is_low { (high, low) } else { (low, high) };
        Some(Parts {
            x,
            codes,
            y,
            scratch,
        })
    }
}

/// Joins layers into stages and finds the alive part of every map. The shapes have been checked.
pub(crate) const fn plan<const N: usize>(
    input: Shape,
    layers: &[Layer; N],
    count: usize,
) -> ([Stage; N], usize) {
    let mut stages = [Stage::EMPTY; N];
    // Forward: join layers; `shapes[s]` is the nominal shape that reaches stage s.
    let mut shapes = [input; N];
    let (mut last, mut shape, mut parameters, mut i) = (0, input, 0, 0);
    let mut stage_count = 0;
    while i < count {
        let op = match layers[i] {
            Layer::Conv2d { kernel, stride, .. } => Some(Op::Conv2d { kernel, stride }),
            Layer::Linear { .. } => Some(Op::Linear),
            Layer::Dropout { probability } => Some(Op::Dropout { probability }),
            Layer::DepthwiseConv2d { kernel, stride, .. } => Some(Op::Depthwise { kernel, stride }),
            Layer::AvgPool2d { size, stride } => Some(Op::AveragePool(AveragePool {
                rows: size,
                columns: size,
                stride,
            })),
            Layer::GlobalAvgPool2d => Some(Op::AveragePool(AveragePool {
                rows: shape.rows,
                columns: shape.columns,
                stride: 1,
            })),
            Layer::LeakyRelu { slope } => Some(Op::Activation(Activation::LeakyRelu { slope })),
            Layer::Tanh => Some(Op::Activation(Activation::Tanh)),
            Layer::Relu if stage_count == 0 || !stages[last].op.joins().0 => Some(Op::Identity),
            Layer::MaxPool2d { .. }
                if stage_count == 0
                    || stages[last].pool.is_some()
                    || !stages[last].op.joins().1 =>
            {
                Some(Op::Identity)
            }
            Layer::Relu | Layer::MaxPool2d { .. } => None,
        };
        if let Some(op) = op {
            last = stage_count;
            stage_count += 1;
            shapes[last] = shape;
            stages[last].op = op;
            stages[last].layer = i;
            stages[last].parameters = parameters;
        }
        match layers[i] {
            Layer::Relu => stages[last].relu = true,
            Layer::MaxPool2d { size, stride } => stages[last].pool = Some(Pool { size, stride }),
            _ => {}
        }
        let (weights, biases) = layers[i].parameters(shape);
        parameters += weights + biases;
        if let Ok(next) = layers[i].output(shape) {
            shape = next;
        }
        i += 1;
    }
    // Backward: everything of the network's output is alive; from there, what each stage needs.
    let mut map = Map {
        channels: shape.channels,
        rows: shape.rows,
        columns: shape.columns,
        margin: 0,
        alive_rows: shape.rows,
        alive_columns: shape.columns,
    };
    let mut s = stage_count;
    while s > 0 {
        s -= 1;
        let reaching = shapes[s];
        let (mut rows, mut columns) = (map.alive_rows, map.alive_columns);
        if let Some(pool) = stages[s].pool {
            rows = (rows - 1) * pool.stride + pool.size;
            columns = (columns - 1) * pool.stride + pool.size;
        }
        stages[s].rows = rows;
        stages[s].columns = columns;
        stages[s].output = map;
        let (stored_rows, stored_columns, margin) = match stages[s].op {
            Op::Identity | Op::Dropout { .. } | Op::Activation(_) => (rows, columns, 0),
            Op::AveragePool(pool) => (
                (rows - 1) * pool.stride + pool.rows,
                (columns - 1) * pool.stride + pool.columns,
                0,
            ),
            Op::Linear => (reaching.rows, reaching.columns, 0),
            Op::Conv2d { kernel, stride } | Op::Depthwise { kernel, stride } => {
                let padding = match layers[stages[s].layer] {
                    Layer::Conv2d { padding, .. } | Layer::DepthwiseConv2d { padding, .. } => {
                        padding
                    }
                    _ => 0,
                };
                (
                    (rows - 1) * stride + kernel,
                    (columns - 1) * stride + kernel,
                    padding,
                )
            }
        };
        map = Map {
            channels: reaching.channels,
            rows: stored_rows,
            columns: stored_columns,
            margin,
            alive_rows: min(reaching.rows, stored_rows - margin),
            alive_columns: min(reaching.columns, stored_columns - margin),
        };
        stages[s].input = map;
    }
    (stages, stage_count)
}

/// Where the parts of the working memory begin, in floats, for some number of lanes: first what the first trained stage reads,
/// then for each trained stage the winners of its pool and its output, then two gradients (of a stage's output and of its
/// input), then scratch. Before the scratch there is room for any frozen stage, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workspace {
    /// First of the two gradients.
    pub gradients: usize,
    /// Length of each of the two gradients.
    pub gradient_len: usize,
    /// Scratch of the kernels.
    pub scratch: usize,
    /// Length of the whole.
    pub total: usize,
}

/// The layout of the working memory.
pub(crate) const fn workspace(plan: &Plan<'_>, lanes: usize) -> Workspace {
    let mut maps = plan.kept_len() * lanes;
    let (mut gradient, mut frozen, mut scratch, mut s) = (0, 0, 0, 0);
    while s < plan.stages.len() {
        let stage = &plan.stages[s];
        let (forward, backward) = scratch_len(stage, lanes);
        let behind = stage.output.len() * lanes + stage.code_len(lanes);
        scratch = max(scratch, forward);
        if s < plan.first_trained {
            frozen = max(frozen, stage.input.len() * lanes + behind);
        } else {
            maps += behind;
            gradient = max(gradient, stage.output.alive_len() * lanes);
            scratch = max(scratch, backward);
        }
        s += 1;
    }
    if plan.first_trained == plan.stages.len() {
        // The loss works on a copy of the output.
        gradient = maps;
    }
    let begin = max(maps + 2 * gradient, frozen);
    Workspace {
        gradients: maps,
        gradient_len: gradient,
        scratch: begin,
        total: begin + scratch,
    }
}

/// The output gradient of a convolution as its backward pass wants it: `GROUP` channels, `stride - 1` zeros between pixels, so
/// that the input gradient is a convolution of stride 1, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub rows: usize,
    pub columns: usize,
    pub dilation: usize,
}

impl Spread {
    /// For the output gradient of `stage`.
    pub const fn new(stage: &Stage) -> Spread {
        let dilation = match stage.op {
            Op::Conv2d { stride, .. } => stride,
            _ => 1,
        };
        Spread {
            rows: (stage.rows - 1) * dilation + 1,
            columns: (stage.columns - 1) * dilation + 1,
            dilation,
        }
    }

    /// Pixels of a channel.
    pub const fn plane(&self) -> usize {
        self.rows * self.columns
    }
}

/// Floats of scratch that a stage's forward pass needs, and its backward pass.
const fn scratch_len(stage: &Stage, lanes: usize) -> (usize, usize) {
    match stage.op {
        Op::Conv2d { kernel, .. } => {
            let pool_rows = match stage.pool {
                Some(pool) => pool.size,
                None => 1,
            };
            let weights = GROUP * stage.input.channels * kernel * kernel;
            (
                weights + GROUP * pool_rows * stage.columns * lanes,
                weights + GROUP * Spread::new(stage).plane() * lanes,
            )
        }
        Op::Linear => (0, stage.input.len() * lanes),
        _ => (0, 0),
    }
}

const fn min(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
