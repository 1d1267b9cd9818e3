//! Products with a curvature matrix over blocks of `LANES` samples.

use super::Curvature;
use crate::arch::{Kernel, Simd, dispatch_lanes};
use crate::batch::{Batch, Metrics};
use crate::layers::max_pool2d::lanes::select;
use crate::layers::memory::{self, Forward, TangentBackward, TangentForward, TangentInputs};
use crate::loss::Loss;
use crate::map::{Frame, Map};
use crate::pass::lanes::{
    At, Pass, StageBackward, StageForward, draw, fits, run_backward, run_forward,
};
use crate::pass::target::sample_curvature;
use crate::plan::Plan;
use crate::plan::stage::Stage;
use crate::plan::workspace::{self, Parts};

/// A block of samples on its way through the network and back, with its tangents.
pub(super) struct CurvaturePass<'a, const LANES: usize> {
    /// The passes whose tangents these are.
    base: Pass<'a, LANES>,
    plan: Plan<'a>,
    loss: Loss,
    parameters: &'a [f32],
    vector: &'a [f32],
    /// The tangents of the maps, laid out as the maps are.
    maps: &'a mut [f32],
    /// The tangents of the gradients of the output of the stage at hand, and of its input.
    tdy: &'a mut [f32],
    tdx: &'a mut [f32],
    temporary: &'a mut [f32],
    /// Room for a number for each output of a layer.
    outputs: &'a mut [f32],
}

impl<'a, const LANES: usize> CurvaturePass<'a, LANES> {
    /// A pass over the stages of a network. The lengths have been checked.
    pub fn new(
        plan: Plan<'a>,
        loss: Loss,
        parameters: &'a [f32],
        vector: &'a [f32],
        workspace: &'a mut [f32],
    ) -> CurvaturePass<'a, LANES> {
        let layout = workspace::curvature_layout(&plan, LANES);
        let passes = workspace::layout(&plan, LANES);
        let (maps, rest) = workspace.split_at_mut(layout.maps);
        let (tdy, rest) = rest.split_at_mut(passes.gradient_len);
        let (tdx, rest) = rest.split_at_mut(passes.gradient_len);
        let (temporary, rest) = rest.split_at_mut(layout.temporary);
        let (own, rest) = rest.split_at_mut(passes.total);
        CurvaturePass {
            base: Pass::new(plan, loss, parameters, own),
            plan,
            loss,
            parameters,
            vector,
            maps,
            tdy,
            tdx,
            temporary,
            outputs: &mut rest[..layout.outputs],
        }
    }

    /// One block: adds its part to `product`.
    pub fn block(
        &mut self,
        curvature: Curvature,
        block: &Batch<'_>,
        product: &mut [f32],
    ) -> Metrics {
        self.base.forward(block);
        let (first, count) = (self.plan.first_kept, self.plan.stages.len());
        if first == count {
            // Nothing is trained.
            return self.base.finish(block, None);
        }
        for s in first..count {
            self.forward(s, block);
        }
        // The gradient by the outputs, and its tangent in the place of theirs.
        let metrics = self.base.finish(block, Some(block.weight));
        let (_, own) = self.base.kept(count - 1);
        let tangents = fits(Parts::of(&self.plan, count - 1, LANES, self.maps)).y;
        for (lane, index) in block.indices.iter().enumerate() {
            let z = &*own.maps.y;
            fits(sample_curvature(
                self.loss, block, *index, z, tangents, LANES, lane,
            ));
        }
        for t in tangents.as_chunks_mut::<LANES>().0 {
            t[block.indices.len()..].fill(0.0);
        }
        match curvature {
            Curvature::Hessian => {
                self.tdy[..tangents.len()].copy_from_slice(tangents);
                for s in (first..count).rev() {
                    self.backward(s, block, product);
                    self.base.swap();
                    core::mem::swap(&mut self.tdy, &mut self.tdx);
                }
            }
            Curvature::GaussNewton => {
                own.dy[..tangents.len()].copy_from_slice(tangents);
                self.base.backward(block, product);
            }
        }
        metrics
    }

    /// The tangent of what stage `s` writes.
    fn forward(&mut self, s: usize, block: &Batch<'_>) {
        let first = s == self.plan.first_kept;
        let (stage, own) = self.base.kept(s);
        let tangents = fits(Parts::of(&self.plan, s, LANES, self.maps));
        let (weights, biases) = stage.ranges();
        let w = &self.parameters[weights.clone()];
        let (tw, tb) = (&self.vector[weights], &self.vector[biases]);
        let (frame, ty) = (&stage.frame, tangents.y);
        if frame.output.has_zeros() {
            ty.fill(0.0);
        }
        if !stage.op.is_linear() {
            if first {
                tangents.x.fill(0.0);
            }
            let memory = TangentForward {
                w,
                tw,
                tb,
                x: own.maps.x,
                tx: tangents.x,
                ty,
            };
            run::<LANES>(TangentOf::Forward(stage, memory));
            return;
        }
        let draw = draw(block, stage);
        let chosen = (&*own.maps.y, &*own.maps.codes);
        if stage.outputs() == 0 && matches!(stage.op.joins(), (false, false)) {
            let memory = Forward {
                w,
                bias: &[],
                x: tangents.x,
                y: ty,
                codes: &mut [],
                keep_codes: true,
                scratch: own.maps.rest,
                draw,
            };
            run_forward::<LANES>(StageForward { stage, memory });
            return;
        }
        if stage.outputs() == 0 {
            // A relu, a pool or both.
            run::<LANES>(TangentOf::Select(Select {
                frame,
                source: (&frame.input, tangents.x),
                chosen,
                target: ty,
                add: false,
            }));
            return;
        }
        let bare = stage.bare(frame.rows);
        let map = bare.frame.output;
        let length = map.len() * LANES;
        let scratch = own.maps.rest;
        let no_bias = &mut self.outputs[..tb.len()];
        no_bias.fill(0.0);
        let all = [(tw, tb, &*own.maps.x), (w, no_bias, &*tangents.x)];
        for (i, (w, bias, x)) in all.into_iter().enumerate().take(if first { 1 } else { 2 }) {
            let values = &mut self.temporary[..length];
            let memory = Forward {
                w,
                bias,
                x,
                y: values,
                codes: &mut [],
                keep_codes: true,
                scratch,
                draw,
            };
            run_forward::<LANES>(StageForward {
                stage: &bare,
                memory,
            });
            run::<LANES>(TangentOf::Select(Select {
                frame,
                source: (&map, values),
                chosen,
                target: ty,
                add: i > 0,
            }));
        }
    }

    /// From `dy` and `tdy`: adds to `product`, overwrites `dx` and `tdx`.
    fn backward(&mut self, s: usize, block: &Batch<'_>, product: &mut [f32]) {
        let inputs_wanted = s > self.plan.first_kept;
        let (stage, own) = self.base.kept(s);
        let tangents = fits(Parts::of(&self.plan, s, LANES, self.maps));
        let (weights, biases) = stage.ranges();
        let w = &self.parameters[weights.clone()];
        let tw = &self.vector[weights.clone()];
        let (tdw, tdb) = product[weights.start..biases.end].split_at_mut(weights.len());
        if !stage.op.is_linear() {
            let inputs = TangentInputs {
                dx: own.dx,
                tdx: self.tdx,
            };
            let memory = TangentBackward {
                from: stage.frame.output.dense(),
                to: stage.frame.input.dense(),
                w,
                tw,
                tdw,
                tdb,
                x: own.maps.x,
                tx: tangents.x,
                dy: own.dy,
                tdy: self.tdy,
                inputs: inputs_wanted.then_some(inputs),
            };
            run::<LANES>(TangentOf::Backward(stage, memory));
            return;
        }
        let memory = memory::Backward {
            w,
            dw: tdw,
            db: tdb,
            x: own.maps.x,
            y: own.maps.y,
            codes: own.maps.codes,
            dy: self.tdy,
            dx: self.tdx,
            weight_gradient: true,
            input_gradient: inputs_wanted,
            scratch: own.maps.rest,
            draw: draw(block, stage),
        };
        run_backward::<LANES>(StageBackward { stage, memory });
        if !inputs_wanted {
            return;
        }
        let has_weights = stage.outputs() > 0;
        // Its bias's gradient is no part of the product.
        let (tdw, _) = product[weights.start..biases.end].split_at_mut(weights.len());
        let memory = memory::Backward {
            w,
            dw: tdw,
            db: &mut self.outputs[..biases.len()],
            x: tangents.x,
            y: own.maps.y,
            codes: own.maps.codes,
            dy: own.dy,
            dx: own.dx,
            weight_gradient: true,
            input_gradient: true,
            scratch: own.maps.rest,
            draw: draw(block, stage),
        };
        run_backward::<LANES>(StageBackward { stage, memory });
        if !has_weights {
            return;
        }
        let part = &mut self.temporary[..stage.frame.input.live_len() * LANES];
        let memory = memory::Backward {
            w: tw,
            dw: &mut [],
            db: &mut [],
            x: own.maps.x,
            y: own.maps.y,
            codes: own.maps.codes,
            dy: own.dy,
            dx: part,
            weight_gradient: false,
            input_gradient: true,
            scratch: own.maps.rest,
            draw: draw(block, stage),
        };
        run_backward::<LANES>(StageBackward { stage, memory });
        for (tdx, part) in self.tdx.iter_mut().zip(&*part) {
            *tdx += part;
        }
    }
}

/// What is computed for tangents alone.
enum TangentOf<'a> {
    Forward(&'a Stage, TangentForward<'a>),
    Backward(&'a Stage, TangentBackward<'a>),
    Select(Select<'a>),
}

/// The tangent of relu and pool; see [`select`].
struct Select<'a> {
    frame: &'a Frame,
    source: (&'a Map, &'a [f32]),
    /// The stage's output and the winners of its windows.
    chosen: (&'a [f32], &'a [f32]),
    target: &'a mut [f32],
    add: bool,
}

impl<const L: usize> Kernel for At<L, TangentOf<'_>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.0 {
            TangentOf::Forward(stage, memory) => {
                fits(stage.op.tangent_forward::<S, L>(simd, &stage.frame, memory));
            }
            TangentOf::Backward(stage, memory) => {
                fits(
                    stage
                        .op
                        .tangent_backward::<S, L>(simd, &stage.frame, memory),
                );
            }
            TangentOf::Select(Select {
                frame,
                source,
                chosen,
                target,
                add,
            }) => select::<S, L>(simd, frame, source, chosen, target, add),
        }
    }
}

/// Computes it on the best instruction set. Single samples never come here.
fn run<const L: usize>(task: TangentOf<'_>) {
    if L > 1 {
        dispatch_lanes::<L, _>(At::<L, _>(task));
    }
}
