//! Products with a curvature matrix over blocks of `LANES` samples.

use super::Curvature;
use crate::arch::{Kernel, Simd, dispatch_lanes};
use crate::batch::{Batch, Metrics};
use crate::layers::max_pool2d::lanes::select;
use crate::layers::memory::{
    self, BackwardWithTangent, Forward, ForwardWithTangent, Passes, TangentBackward,
    TangentForward, TangentInputs,
};
use crate::loss::Loss;
use crate::map::Frame;
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
        let layout = workspace::layout(&plan, LANES);
        let (maps, rest) = workspace.split_at_mut(layout.gradients);
        let (tdy, rest) = rest.split_at_mut(layout.gradient_len);
        let (tdx, own) = rest.split_at_mut(layout.gradient_len);
        CurvaturePass {
            base: Pass::new(plan, loss, parameters, own),
            plan,
            loss,
            parameters,
            vector,
            maps,
            tdy,
            tdx,
        }
    }

    /// One block: adds its part to `product`.
    pub fn block(
        &mut self,
        curvature: Curvature,
        block: &Batch<'_>,
        product: &mut [f32],
    ) -> Metrics {
        let (first, count) = (self.plan.first_kept, self.plan.stages.len());
        self.base.load(block);
        for s in 0..count {
            if s < first {
                self.base.stage_forward(s, block);
            } else {
                self.forward(s, block);
            }
        }
        if first == count {
            // Nothing is trained.
            return self.base.finish(block, None);
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
                self.base.backward(block, product, false, None);
            }
        }
        metrics
    }

    /// Stage `s` forward, and the tangent of what it writes.
    fn forward(&mut self, s: usize, block: &Batch<'_>) {
        let first = s == self.plan.first_kept;
        let joint = self.plan.stages[s].has_linear_weights();
        if !joint {
            self.base.stage_forward(s, block);
        }
        let (stage, own) = self.base.kept(s);
        let maps = own.maps;
        let tangents = fits(Parts::of(&self.plan, s, LANES, self.maps));
        let (weights, biases) = stage.ranges();
        let w = &self.parameters[weights.clone()];
        let (tw, tb) = (&self.vector[weights], &self.vector[biases.clone()]);
        let (frame, ty) = (&stage.frame, tangents.y);
        if joint {
            let memory = ForwardWithTangent {
                values: Forward {
                    w,
                    bias: &self.parameters[biases],
                    x: maps.x,
                    y: maps.y,
                    codes: maps.codes,
                    keep_codes: true,
                    scratch: maps.rest,
                    draw: draw(block, stage),
                },
                tw,
                tb,
                tx: (!first).then_some(&*tangents.x),
                ty,
            };
            run::<LANES>(TangentOf::ForwardWith(stage, memory));
            return;
        }
        if frame.output.has_zeros() {
            ty.fill(0.0);
        }
        if first {
            tangents.x.fill(0.0);
        }
        if !stage.op.is_linear() {
            let memory = TangentForward {
                w,
                tw,
                tb,
                x: maps.x,
                tx: tangents.x,
                ty,
            };
            run::<LANES>(TangentOf::Forward(stage, memory));
            return;
        }
        if matches!(stage.op.joins(), (false, false)) {
            let memory = Forward {
                w,
                bias: &[],
                x: tangents.x,
                y: ty,
                codes: &mut [],
                keep_codes: true,
                scratch: maps.rest,
                draw: draw(block, stage),
            };
            run_forward::<LANES>(StageForward { stage, memory });
            return;
        }
        // A relu, a pool or both.
        run::<LANES>(TangentOf::Select(Select {
            frame,
            tx: tangents.x,
            chosen: (maps.y, maps.codes),
            ty,
        }));
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
        let maps = own.maps;
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
                x: maps.x,
                tx: tangents.x,
                dy: own.dy,
                tdy: self.tdy,
                inputs: inputs_wanted.then_some(inputs),
            };
            run::<LANES>(TangentOf::Backward(stage, memory));
            return;
        }
        if inputs_wanted && stage.has_linear_weights() {
            let memory = BackwardWithTangent {
                w,
                tw,
                tdw,
                tdb,
                x: maps.x,
                tx: tangents.x,
                y: maps.y,
                codes: maps.codes,
                dy: own.dy,
                tdy: self.tdy,
                dx: own.dx,
                tdx: self.tdx,
                scratch: maps.rest,
            };
            run::<LANES>(TangentOf::BackwardWith(stage, memory));
            return;
        }
        // The first stage's weights have no part in the tangent of its gradient: it is the gradient
        // for the output's `tdy`. Without weights `dx` and `tdx` come of `dy` and `tdy` alike.
        let [gradients, tangents] = [(own.dy, own.dx), (&mut *self.tdy, &mut *self.tdx)];
        for (i, (dy, dx)) in [tangents, gradients].into_iter().enumerate() {
            if i > 0 && !inputs_wanted {
                return;
            }
            let memory = memory::Backward {
                w,
                dw: &mut *tdw,
                db: &mut *tdb,
                x: maps.x,
                y: maps.y,
                codes: maps.codes,
                dy,
                dx,
                passes: Passes {
                    weight_gradient: true,
                    fresh: false,
                    input_gradient: inputs_wanted,
                },
                scratch: &mut *maps.rest,
                draw: draw(block, stage),
            };
            run_backward::<LANES>(StageBackward { stage, memory });
        }
    }
}

/// What is computed for tangents: alone, or with what they are the tangents of.
enum TangentOf<'a> {
    ForwardWith(&'a Stage, ForwardWithTangent<'a>),
    BackwardWith(&'a Stage, BackwardWithTangent<'a>),
    Forward(&'a Stage, TangentForward<'a>),
    Backward(&'a Stage, TangentBackward<'a>),
    Select(Select<'a>),
}

/// The tangent of relu and pool that stand alone; see [`select`].
struct Select<'a> {
    frame: &'a Frame,
    tx: &'a [f32],
    /// The stage's output and the winners of its windows.
    chosen: (&'a [f32], &'a [f32]),
    ty: &'a mut [f32],
}

impl<const L: usize> Kernel for At<L, TangentOf<'_>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.0 {
            TangentOf::ForwardWith(stage, memory) => {
                memory.values.codes.fill(0.0);
                if stage.frame.output.has_zeros() {
                    memory.values.y.fill(0.0);
                    memory.ty.fill(0.0);
                }
                let (op, frame) = (&stage.op, &stage.frame);
                fits(op.forward_with_tangent::<S, L>(simd, frame, memory));
            }
            TangentOf::BackwardWith(stage, memory) => {
                let (op, frame) = (&stage.op, &stage.frame);
                fits(op.backward_with_tangent::<S, L>(simd, frame, memory));
            }
            TangentOf::Forward(stage, memory) => {
                fits(stage.op.tangent_forward::<S, L>(simd, &stage.frame, memory));
            }
            TangentOf::Backward(stage, memory) => {
                let (op, frame) = (&stage.op, &stage.frame);
                fits(op.tangent_backward::<S, L>(simd, frame, memory));
            }
            TangentOf::Select(Select {
                frame,
                tx,
                chosen,
                ty,
            }) => select::<S, L>(simd, frame, tx, chosen, ty),
        }
    }
}

/// Computes it on the best instruction set. Single samples never come here. As the passes
/// themselves, 16 lanes are compiled here.
fn run<const L: usize>(task: TangentOf<'_>) {
    match L {
        1 => {}
        16 => run_16(task),
        _ => dispatch_lanes::<L, _>(At::<L, _>(task)),
    }
}

#[cfg_attr(target_os = "none", inline)]
#[cfg_attr(not(target_os = "none"), inline(never))]
fn run_16(task: TangentOf<'_>) {
    dispatch_lanes::<16, _>(At::<16, _>(task));
}
