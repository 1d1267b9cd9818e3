//! Products with a curvature matrix of one sample at a time, without a panic.
//!
//! As in the gradient's pass, gradients take the places of maps that have been used: that of the
//! input, `dx`, the place of the input's tangent, and `tdx` that of the input itself.

use super::Curvature;
use crate::arch::{Kernel, Simd, dispatch_lanes};
use crate::batch::{Batch, Metrics};
use crate::layers::max_pool2d::single::select_row;
use crate::layers::memory::{
    Forward, SingleBackward, TangentBackward, TangentForward, TangentInputs,
};
use crate::network::Network;
use crate::pass::sample::{Sample, run_backward, run_forward};
use crate::pass::target::sample_curvature;
use crate::plan::stage::Stage;
use crate::plan::workspace::{CurvatureLayout, Parts};

impl<const N: usize> Network<'_, N> {
    /// [`Network::curvature_product`] with one lane; the arguments have been checked.
    pub(super) fn product_of_singles(
        &self,
        curvature: Curvature,
        parameters: &[f32],
        vector: &[f32],
        batch: &Batch<'_>,
        product: &mut [f32],
        workspace: &mut [f32],
    ) -> Option<Metrics> {
        let mut metrics = Metrics::NONE;
        for index in batch.indices {
            let sample = Sample {
                plan: self.plan(),
                loss: self.loss(),
                parameters,
                batch,
                index: *index,
            };
            let layout = &self.single_curvature;
            metrics += product_of(&sample, curvature, vector, product, layout, workspace)?;
        }
        Some(metrics)
    }
}

/// The working memory beside the maps.
struct Memory<'w> {
    maps: &'w mut [f32],
    /// The tangents of the maps, laid out as the maps are.
    tangents: &'w mut [f32],
    temporary: &'w mut [f32],
    /// Room for a number for each output of a layer.
    outputs: &'w mut [f32],
    scratch: &'w mut [f32],
}

/// Adds a sample's part to `product`.
fn product_of(
    sample: &Sample<'_>,
    curvature: Curvature,
    vector: &[f32],
    product: &mut [f32],
    layout: &CurvatureLayout,
    workspace: &mut [f32],
) -> Option<Metrics> {
    let plan = &sample.plan;
    let (first, count) = (plan.first_kept, plan.stages.len());
    for s in 0..count {
        sample.forward(s, workspace)?;
    }
    if first == count {
        // Nothing is trained.
        return sample.finish(workspace, None);
    }
    let (maps, rest) = workspace.split_at_mut_checked(layout.maps)?;
    let (tangents, rest) = rest.split_at_mut_checked(layout.maps)?;
    let (temporary, rest) = rest.split_at_mut_checked(layout.temporary)?;
    let (outputs, scratch) = rest.split_at_mut_checked(layout.outputs)?;
    let mut memory = Memory {
        maps,
        tangents,
        temporary,
        outputs,
        scratch,
    };
    for s in first..count {
        forward(sample, s, vector, &mut memory)?;
    }
    // The gradient by the outputs goes to the tangents' memory, its tangent to the maps'.
    let t = Parts::of(plan, count.checked_sub(1)?, 1, memory.tangents)?.y;
    let z = sample.output(memory.maps)?;
    sample_curvature(sample.loss, sample.batch, sample.index, z, t, 1, 0)?;
    let metrics = sample.finish(memory.maps, Some(sample.batch.weight))?;
    let z = sample.output(memory.maps)?;
    for (z, t) in z.iter_mut().zip(t) {
        core::mem::swap(z, t);
    }
    match curvature {
        Curvature::Hessian => {
            for s in (first..count).rev() {
                backward(sample, s, vector, product, &mut memory)?;
            }
        }
        Curvature::GaussNewton => {
            // All behind the maps is scratch now.
            for s in (first..count).rev() {
                sample.backward(s, product, workspace)?;
            }
        }
    }
    Some(metrics)
}

/// The tangent of what stage `s` writes.
fn forward(sample: &Sample<'_>, s: usize, vector: &[f32], memory: &mut Memory<'_>) -> Option<()> {
    let plan = &sample.plan;
    let stage = plan.stages.get(s)?;
    let first = s == plan.first_kept;
    let own = Parts::of(plan, s, 1, memory.maps)?;
    let tangents = Parts::of(plan, s, 1, memory.tangents)?;
    let (weights, biases) = stage.ranges();
    let w = sample.parameters.get(weights.clone())?;
    let (tw, tb) = (vector.get(weights)?, vector.get(biases)?);
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
            x: own.x,
            tx: tangents.x,
            ty,
        };
        return run(TangentOf::Forward(stage, memory));
    }
    let draw = sample.draw(stage);
    let pool = frame.window();
    if stage.outputs() == 0 {
        if stage.op.joins() == (false, false) {
            let memory = Forward {
                w,
                bias: &[],
                x: tangents.x,
                y: ty,
                codes: &mut [],
                keep_codes: true,
                scratch: memory.scratch,
                draw,
            };
            return run_forward(stage, frame, memory);
        }
        // A relu, a pool or both.
        let map = frame.input;
        for r in 0..frame.output.live_rows {
            let rows = tangents.x.get(map.at(0, r * pool.stride[0], 0)..)?;
            let source = (rows, map.plane(), map.columns);
            select_row(frame, r, source, own.codes, ty, false)?;
        }
        return Some(());
    }
    let bare = stage.bare(stage.rows_of_own());
    let map = bare.frame.output;
    let times = match frame.pool {
        Some(_) => frame.output.live_rows,
        None => 1,
    };
    // From the inputs of a row of windows to those of the next.
    let step = stage.op.rows().map_or(0, |[_, stride]| stride) * frame.input.columns;
    let no_bias = memory.outputs.get_mut(..tb.len())?;
    no_bias.fill(0.0);
    let parts = [(tw, tb, &*own.x), (w, no_bias, &*tangents.x)];
    for (i, (w, bias, x)) in parts.into_iter().enumerate() {
        if i > 0 && first {
            return Some(());
        }
        for r in 0..times {
            let values = memory.temporary.get_mut(..map.len())?;
            let memory = Forward {
                w,
                bias,
                x: x.get(r * pool.stride[0] * step..)?,
                y: values,
                codes: &mut [],
                keep_codes: false,
                scratch: memory.scratch,
                draw,
            };
            run_forward(&bare, &bare.frame, memory)?;
            if frame.pool.is_some() {
                let source = (&*values, map.plane(), map.columns);
                select_row(frame, r, source, own.codes, ty, i > 0)?;
                continue;
            }
            for r in 0..frame.rows {
                let rows = values.get(r * map.columns..)?;
                let source = (rows, map.plane(), map.columns);
                select_row(frame, r, source, own.codes, ty, i > 0)?;
            }
        }
    }
    Some(())
}

/// From the gradient of the output, in the tangents' memory, and its tangent, in the maps': adds to
/// `product` and puts the same of the input into the input's places.
fn backward(
    sample: &Sample<'_>,
    s: usize,
    vector: &[f32],
    product: &mut [f32],
    memory: &mut Memory<'_>,
) -> Option<()> {
    let plan = &sample.plan;
    let stage = plan.stages.get(s)?;
    let wanted = s > plan.first_kept;
    let own = Parts::of(plan, s, 1, memory.maps)?;
    let tangents = Parts::of(plan, s, 1, memory.tangents)?;
    let (weights, biases) = stage.ranges();
    let w = sample.parameters.get(weights.clone())?;
    let tw = vector.get(weights.clone())?;
    let length = weights.len();
    let (tdw, tdb) = product
        .get_mut(weights.start..biases.end)?
        .split_at_mut_checked(length)?;
    let (x, tx, dy, tdy) = (own.x, tangents.x, tangents.y, own.y);
    if !stage.op.is_linear() {
        let (old, rest) = memory.temporary.split_at_mut_checked(x.len())?;
        let told = rest.get_mut(..tx.len())?;
        for (old, x) in old.iter_mut().chain(&mut *told).zip(x.iter().chain(&*tx)) {
            *old = *x;
        }
        let memory = TangentBackward {
            from: stage.frame.output,
            to: stage.frame.input,
            w,
            tw,
            tdw,
            tdb,
            x: old,
            tx: told,
            dy,
            tdy,
            inputs: wanted.then_some(TangentInputs { dx: tx, tdx: x }),
        };
        return run(TangentOf::Backward(stage, memory));
    }
    let draw = sample.draw(stage);
    let (part, rest) = memory.temporary.split_at_mut_checked(x.len())?;
    let with_weights = wanted && stage.outputs() > 0;
    if with_weights {
        // A kernel may overwrite its gradient, which is needed once more.
        let copy = rest.get_mut(..dy.len())?;
        for (copy, dy) in copy.iter_mut().zip(&*dy) {
            *copy = *dy;
        }
        let memory = SingleBackward {
            w: tw,
            dw: &mut [],
            db: &mut [],
            x: part,
            codes: own.codes,
            dy: copy,
            input_gradient: true,
            scratch: memory.scratch,
            draw,
        };
        run_backward(stage, memory)?;
    }
    let memory_of = SingleBackward {
        w,
        dw: tdw,
        db: tdb,
        x,
        codes: own.codes,
        dy: tdy,
        input_gradient: wanted,
        scratch: memory.scratch,
        draw,
    };
    run_backward(stage, memory_of)?;
    if wanted {
        let memory = SingleBackward {
            w,
            dw: tdw,
            // Its bias's gradient is no part of the product.
            db: memory.outputs.get_mut(..biases.len())?,
            x: tx,
            codes: own.codes,
            dy,
            input_gradient: true,
            scratch: memory.scratch,
            draw,
        };
        run_backward(stage, memory)?;
    }
    if with_weights {
        for (tdx, part) in x.iter_mut().zip(part) {
            *tdx += *part;
        }
    }
    Some(())
}

/// What is computed for tangents alone.
enum TangentOf<'a> {
    Forward(&'a Stage, TangentForward<'a>),
    Backward(&'a Stage, TangentBackward<'a>),
}

impl Kernel for TangentOf<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<()> {
        match self {
            TangentOf::Forward(stage, memory) => {
                stage.op.tangent_forward::<S, 1>(simd, &stage.frame, memory)
            }
            TangentOf::Backward(stage, memory) => {
                stage
                    .op
                    .tangent_backward::<S, 1>(simd, &stage.frame, memory)
            }
        }
    }
}

fn run(task: TangentOf<'_>) -> Option<()> {
    dispatch_lanes::<1, _>(task)
}
