//! One sample on its way through the network: a stage forward or backward, with the memory that
//! the plan has for it.

use super::load::load_single;
use super::target::sample_loss;
use crate::arch::{Kernel, Simd, dispatch_lanes};
use crate::batch::{Batch, Metrics};
use crate::layers::draw::Draw;
use crate::layers::memory::{Forward, SingleBackward};
use crate::loss::Loss;
use crate::map::{Frame, Map};
use crate::plan::Plan;
use crate::plan::stage::Stage;
use crate::plan::workspace::Parts;

/// One sample on its way.
pub(super) struct Sample<'a> {
    pub plan: Plan<'a>,
    pub loss: Loss,
    pub parameters: &'a [f32],
    pub batch: &'a Batch<'a>,
    pub index: u32,
}

impl Sample<'_> {
    /// Stage `s` and its memory.
    fn parts<'w>(&self, s: usize, workspace: &'w mut [f32]) -> Option<(&Stage, Parts<'w>)> {
        let stage = self.plan.stages.get(s)?;
        Some((stage, Parts::of(&self.plan, s, 1, workspace)?))
    }

    /// The network's output.
    pub fn output<'w>(&self, workspace: &'w mut [f32]) -> Option<&'w mut [f32]> {
        let (_, parts) = self.parts(self.plan.stages.len().checked_sub(1)?, workspace)?;
        Some(parts.y)
    }

    /// Stage `s` forward; the first one loads the sample.
    pub fn forward(&self, s: usize, workspace: &mut [f32]) -> Option<()> {
        let (stage, parts) = self.parts(s, workspace)?;
        let frame = &stage.frame;
        let Parts { x, codes, y, rest } = parts;
        if s == 0 {
            if frame.input.has_zeros() {
                x.fill(0.0);
            }
            self.load(frame.input, 0, x)?;
        }
        codes.fill(0.0);
        if frame.output.has_zeros() {
            y.fill(0.0);
        }
        let keep_codes = s >= self.plan.first_kept;
        self.compute(s, frame, x, y, codes, keep_codes, rest)
    }

    /// Copies the sample's rows from `first` on, normalised, into the live rows of a map.
    pub fn load(&self, map: Map, first: usize, x: &mut [f32]) -> Option<()> {
        dispatch_lanes::<1, _>(Load {
            sample: self,
            map,
            first,
            x,
        })
    }

    /// The kernels of stage `s` on a frame that is the stage's own, or a strip of it.
    ///
    /// Not inline, since there are two callers.
    #[inline(never)]
    pub fn compute(
        &self,
        s: usize,
        frame: &Frame,
        x: &[f32],
        y: &mut [f32],
        codes: &mut [f32],
        keep_codes: bool,
        scratch: &mut [f32],
    ) -> Option<()> {
        let stage = self.plan.stages.get(s)?;
        let parameters = self.plan.parameters(s, self.parameters);
        let (weights, biases) = stage.ranges();
        let memory = Forward {
            w: parameters.get(weights)?,
            bias: parameters.get(biases)?,
            x,
            y,
            codes,
            keep_codes,
            scratch,
            draw: self.draw(stage),
        };
        run_forward(stage, frame, memory)
    }

    /// The metrics; the logits become their gradient if there is a weight.
    pub fn finish(&self, workspace: &mut [f32], weight: Option<f32>) -> Option<Metrics> {
        sample_loss(
            self.loss,
            self.batch,
            self.index,
            self.output(workspace)?,
            1,
            0,
            weight,
        )
    }

    /// Stage `s` backward.
    pub fn backward(&self, s: usize, gradient: &mut [f32], workspace: &mut [f32]) -> Option<()> {
        let (stage, parts) = self.parts(s, workspace)?;
        let Parts { x, codes, y, rest } = parts;
        let (weights, biases) = stage.ranges();
        let w = self.parameters.get(weights.clone())?;
        let (dw, db) = gradient
            .get_mut(weights.start..biases.end)?
            .split_at_mut_checked(weights.len())?;
        let memory = SingleBackward {
            w,
            dw,
            db,
            x,
            codes,
            dy: y,
            input_gradient: s > self.plan.first_kept,
            scratch: rest,
            draw: self.draw(stage),
        };
        run_backward(stage, memory)
    }

    /// What dropout's choice in a stage depends on.
    pub fn draw<'a>(&'a self, stage: &Stage) -> Draw<'a> {
        Draw {
            key: self.batch.dropout,
            layer: stage.layer,
            samples: core::slice::from_ref(&self.index),
        }
    }
}

/// The loading of some rows.
struct Load<'a> {
    sample: &'a Sample<'a>,
    map: Map,
    first: usize,
    x: &'a mut [f32],
}

impl Kernel for Load<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<()> {
        let Sample {
            plan, batch, index, ..
        } = self.sample;
        let (map, first) = (self.map, self.first);
        load_single(simd, &batch.samples, *index, plan.shape, map, first, self.x)
    }
}

/// A stage's forward pass.
struct StageForward<'a> {
    stage: &'a Stage,
    frame: &'a Frame,
    memory: Forward<'a>,
}

impl Kernel for StageForward<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<()> {
        self.stage.op.forward_single(simd, self.frame, self.memory)
    }
}

/// A stage's backward pass.
struct StageBackward<'a> {
    stage: &'a Stage,
    memory: SingleBackward<'a>,
}

impl Kernel for StageBackward<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<()> {
        let StageBackward { stage, memory } = self;
        stage.op.backward_single(simd, &stage.frame, memory)
    }
}

/// Runs a stage's forward pass: the forward kernels of all layers.
pub(super) fn run_forward(stage: &Stage, frame: &Frame, memory: Forward<'_>) -> Option<()> {
    dispatch_lanes::<1, _>(StageForward {
        stage,
        frame,
        memory,
    })
}

/// Runs a stage's backward pass.
pub(super) fn run_backward(stage: &Stage, memory: SingleBackward<'_>) -> Option<()> {
    dispatch_lanes::<1, _>(StageBackward { stage, memory })
}
