//! Forward and backward passes over blocks of `LANES` samples.

use super::load::load_block;
use super::share::{self, Share};
use super::target::sample_loss;
use crate::arch::{Kernel, Simd, dispatch_lanes};
use crate::batch::{Batch, Metrics};
use crate::layers::draw::Draw;
use crate::layers::memory::{self, Forward, Passes};
use crate::loss::Loss;
use crate::plan::Plan;
use crate::plan::stage::Stage;
use crate::plan::workspace::{self, Layout, Parts};

/// A block of samples on its way through the network, and its memory.
pub(super) struct Pass<'a, const LANES: usize> {
    plan: Plan<'a>,
    loss: Loss,
    parameters: &'a [f32],
    layout: Layout,
    /// The maps of the kept stages; then the gradient of the output of the stage at hand, and that
    /// of its input.
    memory: &'a mut [f32],
    scratch: &'a mut [f32],
    /// Whether those two gradients have changed places.
    swapped: bool,
}

/// The memory of a kept stage: its maps, and the gradients of what it writes and of what it reads.
pub(super) struct KeptParts<'a> {
    pub maps: Parts<'a>,
    pub dy: &'a mut [f32],
    pub dx: &'a mut [f32],
}

/// What the kernels that single samples share say about lengths: the plan has made them fit.
#[inline(always)]
pub(super) fn fits<T>(done: Option<T>) -> T {
    done.expect("the plan and the workspace disagree")
}

impl<'a, const LANES: usize> Pass<'a, LANES> {
    /// A pass over stages with those parameters. The lengths have been checked; all of the
    /// workspace that is left is scratch.
    pub fn new(
        plan: Plan<'a>,
        loss: Loss,
        parameters: &'a [f32],
        workspace: &'a mut [f32],
    ) -> Pass<'a, LANES> {
        let layout = workspace::layout(&plan, LANES);
        let (memory, scratch) = workspace.split_at_mut(layout.scratch);
        Pass {
            plan,
            loss,
            parameters,
            layout,
            memory,
            scratch,
            swapped: false,
        }
    }

    /// Stage `s`, kept, and its memory.
    pub(super) fn kept(&mut self, s: usize) -> (&Stage, KeptParts<'_>) {
        let layout = self.layout;
        let (maps, gradients) = self.memory.split_at_mut(layout.gradients);
        let maps = fits(Parts::of(&self.plan, s, LANES, maps));
        let (dy, rest) = gradients.split_at_mut(layout.gradient_len);
        let dx = &mut rest[..layout.gradient_len];
        let (dy, dx) = if self.swapped { (dx, dy) } else { (dy, dx) };
        let rest = &mut *self.scratch;
        let maps = Parts { rest, ..maps };
        (&self.plan.stages[s], KeptParts { maps, dy, dx })
    }

    /// Stage `s` and its maps, with the kernels' scratch behind them.
    fn maps(&mut self, s: usize) -> (&Stage, Parts<'_>) {
        if s >= self.plan.first_kept {
            let (stage, parts) = self.kept(s);
            return (stage, parts.maps);
        }
        let parts = fits(Parts::of(&self.plan, s, LANES, self.memory));
        let rest = &mut *self.scratch;
        (&self.plan.stages[s], Parts { rest, ..parts })
    }

    /// The network's output, outputs x lanes.
    pub fn output(&mut self) -> &mut [f32] {
        self.maps(self.plan.stages.len() - 1).1.y
    }

    /// What the first stage reads.
    pub fn load(&mut self, block: &Batch<'_>) {
        let shape = self.plan.shape;
        let (stage, parts) = self.maps(0);
        load_block::<LANES>(block, shape, stage.frame.input, parts.x);
    }

    /// All stages forward.
    pub fn forward(&mut self, block: &Batch<'_>, mut share: Option<&mut Share<'_>>) {
        self.load(block);
        for s in 0..self.plan.stages.len() {
            match &mut share {
                Some(share) if share::is_shared(&self.plan, s) => {
                    self.share_forward(s, block, share);
                }
                _ => self.stage_forward(s, block),
            }
        }
    }

    /// The caller's output channels of stage `s`; then those of the others come in.
    fn share_forward(&mut self, s: usize, block: &Batch<'_>, share: &mut Share<'_>) {
        let (plan, parameters) = (self.plan, self.parameters);
        let (stage, parts) = self.maps(s);
        let (own, channels) = share.own(stage.frame.output.channels, LANES);
        if !own.is_empty() {
            let (weights, biases) = stage.ranges();
            let parameters = plan.parameters(s, parameters);
            let row = stage.weights.inputs;
            let plane = stage.frame.output.plane() * LANES;
            let memory = Forward {
                w: &parameters[weights][own.start * row..own.end * row],
                bias: &parameters[biases][own.clone()],
                x: parts.x,
                y: &mut parts.y[own.start * plane..own.end * plane],
                codes: share::codes_from(&stage.frame, LANES, own.start, parts.codes),
                keep_codes: true,
                scratch: parts.rest,
                draw: draw(block, stage),
            };
            let stage = &stage.of_outputs(&own);
            run_forward::<LANES>(StageForward { stage, memory });
        }
        share.output(&stage.frame, LANES, channels, parts.codes, parts.y);
    }

    /// Stage `s` forward.
    pub fn stage_forward(&mut self, s: usize, block: &Batch<'_>) {
        let (plan, parameters) = (self.plan, self.parameters);
        let (stage, parts) = self.maps(s);
        let (weights, biases) = stage.ranges();
        let parameters = plan.parameters(s, parameters);
        let memory = Forward {
            w: &parameters[weights],
            bias: &parameters[biases],
            x: parts.x,
            y: parts.y,
            codes: parts.codes,
            keep_codes: true,
            scratch: parts.rest,
            draw: draw(block, stage),
        };
        run_forward::<LANES>(StageForward { stage, memory });
    }

    /// The block's loss; with a weight, its gradient by the logits in place of the output's
    /// gradient.
    pub fn finish(&mut self, block: &Batch<'_>, weight: Option<f32>) -> Metrics {
        let loss = self.loss;
        let last = self.plan.stages.len() - 1;
        if last < self.plan.first_kept {
            // Nothing goes back from here.
            return block_loss::<LANES>(loss, block, self.output(), None);
        }
        let (_, parts) = self.kept(last);
        let logits = &mut parts.dy[..parts.maps.y.len()];
        logits.copy_from_slice(parts.maps.y);
        block_loss::<LANES>(loss, block, logits, weight)
    }

    /// The gradient of a stage's input becomes that of an output: of the stage before.
    pub fn swap(&mut self) {
        self.swapped = !self.swapped;
    }

    /// The kept stages backward: adds to `gradient`, or overwrites it if it is to be `fresh`. Of
    /// several callers each does so in its share of it.
    pub fn backward(
        &mut self,
        block: &Batch<'_>,
        gradient: &mut [f32],
        fresh: bool,
        mut share: Option<&mut Share<'_>>,
    ) {
        let first = self.plan.first_kept;
        for s in (first..self.plan.stages.len()).rev() {
            let mut passes = Passes {
                weight_gradient: true,
                fresh,
                input_gradient: s > first,
            };
            match &mut share {
                Some(share) if share::is_shared(&self.plan, s) => {
                    self.share_weight_gradient(s, block, gradient, fresh, share);
                    if passes.input_gradient {
                        self.share_input_gradient(s, block, share);
                    }
                }
                other => {
                    passes.weight_gradient = other.as_ref().is_none_or(|share| share.is_first());
                    self.stage_backward(s, block, gradient, passes);
                }
            }
            self.swap();
        }
    }

    /// The gradient of the weights of the caller's output channels of stage `s`.
    fn share_weight_gradient(
        &mut self,
        s: usize,
        block: &Batch<'_>,
        gradient: &mut [f32],
        fresh: bool,
        share: &Share<'_>,
    ) {
        let parameters = self.parameters;
        let (stage, KeptParts { maps, dy, dx }) = self.kept(s);
        let (own, _) = share.own(stage.frame.output.channels, LANES);
        if own.is_empty() {
            return;
        }
        let (weights, biases) = stage.ranges();
        let row = stage.weights.inputs;
        let (dw, db) = gradient[weights.start..biases.end].split_at_mut(weights.len());
        let dw = &mut dw[own.start * row..own.end * row];
        let db = &mut db[own.clone()];
        if fresh && !stage.op.writes_fresh_gradients() {
            dw.fill(0.0);
            db.fill(0.0);
        }
        let output = &stage.frame.output;
        let (plane, dense) = (output.plane() * LANES, output.dense().plane() * LANES);
        let memory = memory::Backward {
            w: &parameters[weights][own.start * row..own.end * row],
            dw,
            db,
            x: maps.x,
            y: &maps.y[own.start * plane..own.end * plane],
            codes: share::codes_from(&stage.frame, LANES, own.start, maps.codes),
            dy: &mut dy[own.start * dense..own.end * dense],
            dx,
            passes: Passes {
                weight_gradient: true,
                fresh,
                input_gradient: false,
            },
            scratch: maps.rest,
            draw: draw(block, stage),
        };
        let stage = &stage.of_outputs(&own);
        run_backward::<LANES>(StageBackward { stage, memory });
    }

    /// The gradient of the caller's input channels of stage `s`; then those of the others come in.
    fn share_input_gradient(&mut self, s: usize, block: &Batch<'_>, share: &mut Share<'_>) {
        let (plan, parameters) = (self.plan, self.parameters);
        let (stage, KeptParts { maps, dy, dx }) = self.kept(s);
        let input = &stage.frame.input;
        let (own, channels) = share.own(input.channels, LANES);
        if !own.is_empty() {
            let gathered = share::gathered_len(&plan, LANES, share.count());
            let (scratch, w) = maps.rest.split_at_mut(maps.rest.len() - gathered);
            let w = share::gather(stage, &parameters[stage.ranges().0], &own, w);
            let (plane, dense) = (input.plane() * LANES, input.dense().plane() * LANES);
            let memory = memory::Backward {
                w,
                dw: &mut [],
                db: &mut [],
                x: &maps.x[own.start * plane..own.end * plane],
                y: maps.y,
                codes: maps.codes,
                dy,
                dx: &mut dx[own.start * dense..own.end * dense],
                passes: Passes {
                    weight_gradient: false,
                    fresh: false,
                    input_gradient: true,
                },
                scratch,
                draw: draw(block, stage),
            };
            let stage = &stage.of_inputs(&own);
            run_backward::<LANES>(StageBackward { stage, memory });
        }
        share.input(&stage.frame, LANES, channels, dx);
    }

    /// From `dy` and what the forward pass has left: the gradient of the weights, of the input, or
    /// both.
    pub fn stage_backward(
        &mut self,
        s: usize,
        block: &Batch<'_>,
        gradient: &mut [f32],
        passes: Passes,
    ) {
        let parameters = self.parameters;
        let (stage, parts) = self.kept(s);
        let (weights, biases) = stage.ranges();
        let w = &parameters[weights.clone()];
        let gradient = &mut gradient[weights.start..biases.end];
        if passes.weight_gradient && passes.fresh && !stage.op.writes_fresh_gradients() {
            gradient.fill(0.0);
        }
        let (dw, db) = gradient.split_at_mut(weights.len());
        let memory = memory::Backward {
            w,
            dw,
            db,
            x: parts.maps.x,
            y: parts.maps.y,
            codes: parts.maps.codes,
            dy: parts.dy,
            dx: parts.dx,
            passes,
            scratch: parts.maps.rest,
            draw: draw(block, stage),
        };
        run_backward::<LANES>(StageBackward { stage, memory });
    }
}

/// What dropout's choice in a stage depends on.
pub(super) fn draw<'a>(block: &Batch<'a>, stage: &Stage) -> Draw<'a> {
    Draw {
        key: block.dropout,
        layer: stage.layer,
        samples: block.indices,
    }
}

/// The losses of a block, added in double precision. With `weight`, the outputs become the gradient
/// of `weight` times the losses, and zero in lanes without a sample.
fn block_loss<const LANES: usize>(
    loss: Loss,
    block: &Batch<'_>,
    outputs: &mut [f32],
    weight: Option<f32>,
) -> Metrics {
    let mut metrics = Metrics::NONE;
    for (lane, index) in block.indices.iter().enumerate() {
        metrics += fits(sample_loss(
            loss, block, *index, outputs, LANES, lane, weight,
        ));
    }
    if weight.is_some() {
        for z in outputs.as_chunks_mut::<LANES>().0 {
            z[block.indices.len()..].fill(0.0);
        }
    }
    metrics
}

/// A stage's forward pass.
pub(super) struct StageForward<'a> {
    pub stage: &'a Stage,
    pub memory: Forward<'a>,
}

/// A stage's backward pass.
pub(super) struct StageBackward<'a> {
    pub stage: &'a Stage,
    pub memory: memory::Backward<'a>,
}

/// A pass at `L` lanes.
pub(super) struct At<const L: usize, T>(pub T);

impl<const L: usize> Kernel for At<L, StageForward<'_>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let StageForward { stage, memory } = self.0;
        memory.codes.fill(0.0);
        if stage.frame.output.has_zeros() {
            memory.y.fill(0.0);
        }
        fits(stage.op.forward::<S, L>(simd, &stage.frame, memory));
    }
}

impl<const L: usize> Kernel for At<L, StageBackward<'_>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let StageBackward { stage, memory } = self.0;
        fits(stage.op.backward::<S, L>(simd, &stage.frame, memory));
    }
}

// Passes at 16 lanes, the number that desktops use, are compiled here and not anew in every crate
// that trains a network: they are most of the time that building takes. Single samples have kernels
// of their own and never come here. Devices go without: what is inline is compiled where it is
// called.

/// Runs a stage's forward pass on the best instruction set.
pub(super) fn run_forward<const L: usize>(pass: StageForward<'_>) {
    match L {
        1 => {}
        16 => forward_16(pass),
        _ => dispatch_lanes::<L, _>(At::<L, _>(pass)),
    }
}

/// Runs a stage's backward pass on the best instruction set.
pub(super) fn run_backward<const L: usize>(pass: StageBackward<'_>) {
    match L {
        1 => {}
        16 => backward_16(pass),
        _ => dispatch_lanes::<L, _>(At::<L, _>(pass)),
    }
}

#[cfg_attr(target_os = "none", inline)]
#[cfg_attr(not(target_os = "none"), inline(never))]
fn forward_16(pass: StageForward<'_>) {
    dispatch_lanes::<16, _>(At::<16, _>(pass));
}

#[cfg_attr(target_os = "none", inline)]
#[cfg_attr(not(target_os = "none"), inline(never))]
fn backward_16(pass: StageBackward<'_>) {
    dispatch_lanes::<16, _>(At::<16, _>(pass));
}
