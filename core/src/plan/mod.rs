//! The execution plan of a network: layers joined into stages, and how much of each map is live.
//!
//! A stage is one layer, or a convolution, linear layer or nothing with the relu and the max-pool
//! that follow it. Max-pooling and relu commute (relu never decreases), so a stage pools first and
//! activates a quarter of the values. The other activations never decrease either, but for the last
//! bit of a tanh, and are stages that come after the pool.
//!
//! Outputs that a flooring pool drops are dead, and so is what only they need; the plan goes from
//! the last layer to the first and keeps just the live rows and columns of every map. No result
//! changes: a dead value reaches no output and its gradient is zero.

pub(crate) mod chain;
pub(crate) mod stage;
pub(crate) mod workspace;

use crate::layers::Layer;
use crate::map::Map;
use crate::shape::Shape;
use stage::Stage;

/// The stages of a network, without its number of layers: what a pass works with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub stages: &'a [Stage],
    /// The first stage whose parameters are trained. Those before it have frozen parameters or
    /// none.
    pub first_trained: usize,
    /// The first stage whose maps are kept for a backward pass, which ends with it. What those
    /// before it read is not kept. The number of stages where no backward pass follows.
    pub first_kept: usize,
    /// The frozen parameters.
    pub frozen: &'a [f32],
    /// Shape of a sample.
    pub shape: Shape,
}

impl<'a> Plan<'a> {
    /// The stages that the backward pass goes through.
    pub fn trained(&self) -> &'a [Stage] {
        self.stages.get(self.first_trained..).unwrap_or_default()
    }

    /// The same stages for a forward pass alone.
    pub const fn without_backward(self) -> Plan<'a> {
        Plan {
            first_kept: self.stages.len(),
            ..self
        }
    }

    /// The slice that the parameters of stage `s` are in.
    pub fn parameters<'p>(&'p self, s: usize, trained: &'p [f32]) -> &'p [f32] {
        if s < self.first_trained {
            self.frozen
        } else {
            trained
        }
    }
}

/// Joins layers into stages and finds the live part of every map. The shapes have been checked.
pub(crate) const fn plan<const N: usize>(
    input: Shape,
    layers: &[Layer; N],
    count: usize,
) -> ([Stage; N], usize) {
    let mut stages = [Stage::EMPTY; N];
    // Forward: join layers; `shapes[s]` is the nominal shape that reaches stage s.
    let mut shapes = [input; N];
    let (mut shape, mut parameters, mut stage_count, mut i) = (input, 0, 0, 0);
    while i < count {
        let (relu, pool) = layers[i].tail();
        let joins = if stage_count == 0 {
            false
        } else {
            let last = &stages[stage_count - 1];
            let (joins_relu, joins_pool) = last.op.joins();
            relu && joins_relu || pool.is_some() && joins_pool && last.frame.pool.is_none()
        };
        // Pool first, activate after, also where the activation is a stage of its own: it then has
        // less to do. That takes a stage before it that the pool can join.
        let mut swapped = false;
        if stage_count > 0 && layers[i].is_monotone() && i + 1 < count {
            let last = &mut stages[stage_count - 1];
            let (_, pool) = layers[i + 1].tail();
            if pool.is_some() && last.op.joins().1 && last.frame.pool.is_none() {
                last.frame.pool = pool;
                swapped = true;
                if let Ok(pooled) = layers[i + 1].output(shape) {
                    shape = pooled;
                }
            }
        }
        if !joins {
            shapes[stage_count] = shape;
            stages[stage_count].op = layers[i];
            stages[stage_count].layer = i;
            stages[stage_count].parameters = parameters;
            stages[stage_count].weights = layers[i].weights(shape);
            parameters += layers[i].weights(shape).len();
            stage_count += 1;
        }
        let frame = &mut stages[stage_count - 1].frame;
        frame.relu = frame.relu || relu;
        if pool.is_some() {
            frame.pool = pool;
        }
        if let Ok(next) = layers[i].output(shape) {
            shape = next;
        }
        i += if swapped { 2 } else { 1 };
    }
    // Backward: everything of the network's output is live; from there, what each stage needs.
    let mut map = Map {
        channels: shape.channels,
        rows: shape.rows,
        columns: shape.columns,
        margin: [0; 2],
        live_rows: shape.rows,
        live_columns: shape.columns,
    };
    let mut s = stage_count;
    while s > 0 {
        s -= 1;
        let stage = &mut stages[s];
        let reaching = shapes[s];
        let live = [map.live_rows, map.live_columns];
        let [rows, columns] = stage.frame.window().cover(live);
        stage.frame.rows = rows;
        stage.frame.columns = columns;
        stage.frame.output = map;
        stage.frame.whole = [reaching.channels, map.channels];
        let (stored, margin) = stage.op.reads([rows, columns], reaching);
        map = Map {
            channels: reaching.channels,
            rows: stored[0],
            columns: stored[1],
            margin,
            live_rows: min(reaching.rows, stored[0] - margin[0]),
            live_columns: min(reaching.columns, stored[1] - margin[1]),
        };
        stage.frame.input = map;
    }
    let training = workspace::len(
        &Plan {
            stages: stages.split_at(stage_count).0,
            first_trained: 0,
            first_kept: 0,
            frozen: &[],
            shape: input,
        },
        1,
    );
    chain::join(&mut stages, stage_count, training);
    (stages, stage_count)
}

const fn min(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}
