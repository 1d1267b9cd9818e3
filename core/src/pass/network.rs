//! What a network can do with samples: the gradient of their loss, the loss, the outputs.

use super::inputs::{self, LayerInputs};
use super::lanes::Pass;
use super::share::{self, Share};
use super::target::sample_loss;
use crate::batch::{Batch, Metrics, PassError};
use crate::network::Network;
use crate::plan::workspace;

/// Is shown the inputs of the layers, with memory to work in.
type Observe<'o> = &'o mut dyn FnMut(LayerInputs<'_>, &mut [f32]);

impl<const N: usize> Network<'_, N> {
    /// Forward and backward pass: **adds** the gradient of `weight` times the sum of the samples'
    /// losses to `gradient`.
    ///
    /// The samples go through in blocks of `LANES` (1, 2, 4, 8 or 16), in order. Cost: about three
    /// forward passes.
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a target do not fit; nothing has been written then.
    pub fn accumulate_gradient<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<Metrics, PassError> {
        self.gradient_of::<LANES>(parameters, batch, gradient, workspace, false, None, None)
    }

    /// [`accumulate_gradient`](Network::accumulate_gradient) that **overwrites** `gradient`, as if
    /// it had been zero. Large linear layers, whose gradient no cache holds, take less time so.
    ///
    /// # Errors
    /// As for [`accumulate_gradient`](Network::accumulate_gradient).
    pub fn gradient<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<Metrics, PassError> {
        self.gradient_of::<LANES>(parameters, batch, gradient, workspace, true, None, None)
    }

    /// The gradient of the samples, added or, if it is to be `fresh`, written.
    fn gradient_of<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
        fresh: bool,
        mut share: Option<Share<'_>>,
        mut observe: Option<Observe<'_>>,
    ) -> Result<Metrics, PassError> {
        let count = share.as_ref().map_or(1, Share::count);
        let needed = (self.shared_workspace_len(LANES, count), workspace.len());
        self.check::<LANES>(parameters, &batch, needed)?;
        self.check_gradient(gradient)?;
        if fresh && (LANES == 1 || batch.indices.is_empty()) {
            gradient.fill(0.0);
        }
        if LANES == 1 {
            return self
                .gradient_of_singles(parameters, &batch, gradient, workspace)
                .ok_or(too_short(needed));
        }
        let (plan, loss) = (self.plan(), self.loss());
        let mut metrics = Metrics::NONE;
        for (b, indices) in batch.indices.chunks(LANES).enumerate() {
            let block = Batch { indices, ..batch };
            let mut pass = Pass::<LANES>::new(plan, loss, parameters, workspace);
            pass.forward(&block, share.as_mut());
            if let Some(observe) = observe.take() {
                let layout = workspace::layout(&plan, LANES);
                let (maps, idle) = workspace.split_at_mut(layout.gradients);
                inputs::visit(&plan, maps, LANES, indices.len(), idle, observe);
                pass = Pass::<LANES>::new(plan, loss, parameters, workspace);
            }
            metrics += pass.finish(&block, Some(batch.weight));
            pass.backward(&block, gradient, fresh && b == 0, share.as_mut());
        }
        Ok(metrics)
    }

    /// The gradient, with the same bits as [`gradient`](Network::gradient), that several callers
    /// compute together, each with a workspace of its own: all of them call this with the same
    /// arguments but their [`Share`]. **Overwrites** those elements of `gradient` that are the
    /// caller's by [`gradient_shares`](Network::gradient_shares). Every caller gets the metrics of
    /// the whole batch. With `observe` it also shows the layers' inputs, as
    /// [`accumulate_gradient_observed`](Network::accumulate_gradient_observed) does.
    ///
    /// Each layer is shared that has weights and enough work. What remains whole is the transforms
    /// of what a caller reads, and all else. `LANES` is 2, 4, 8 or 16.
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a target do not fit; then nothing has been written
    /// or exchanged. The workspace has [`shared_workspace_len`](Network::shared_workspace_len)
    /// floats.
    pub fn shared_gradient<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
        share: Share<'_>,
        observe: Option<Observe<'_>>,
    ) -> Result<Metrics, PassError> {
        const { assert!(LANES > 1, "single samples are not shared") };
        let share = Some(share).filter(|share| share.count() > 1);
        self.gradient_of::<LANES>(parameters, batch, gradient, workspace, true, share, observe)
    }

    /// Floats of working memory of each of `count` callers of
    /// [`shared_gradient`](Network::shared_gradient).
    pub const fn shared_workspace_len(&self, lanes: usize, count: usize) -> usize {
        let whole = self.workspace_len(lanes);
        if count < 2 || lanes < 2 {
            return whole;
        }
        whole.saturating_add(share::gathered_len(&self.plan(), lanes, count))
    }

    /// [`accumulate_gradient`](Network::accumulate_gradient), with the same bits, that also shows
    /// the inputs of each layer with parameters to `observe`, first layer to last, as the forward
    /// pass of the first `LANES` samples left them.
    ///
    /// `observe` may use the slice that it gets: the part of the workspace that lies idle between
    /// the passes, of at least [`idle_len`](Network::idle_len) floats, and all that the caller has
    /// appended to the workspace, which has [`workspace_len`](Network::workspace_len) floats.
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a target do not fit; nothing has been written then.
    pub fn accumulate_gradient_observed<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
        observe: Observe<'_>,
    ) -> Result<Metrics, PassError> {
        if LANES == 1 {
            let needed = (self.workspace_len(LANES), workspace.len());
            self.check::<LANES>(parameters, &batch, needed)?;
            self.check_gradient(gradient)?;
            let length = self.workspace_len(1).min(workspace.len());
            let (workspace, idle) = workspace.split_at_mut(length);
            if !batch.indices.is_empty() {
                self.observe_inputs(parameters, batch, workspace, idle, observe)?;
            }
            return self.accumulate_gradient::<1>(parameters, batch, gradient, workspace);
        }
        let observe = Some(observe);
        self.gradient_of::<LANES>(parameters, batch, gradient, workspace, false, None, observe)
    }

    /// Floats of a workspace of [`workspace_len(lanes)`](Network::workspace_len) that lie idle
    /// between the passes.
    pub const fn idle_len(&self, lanes: usize) -> usize {
        if lanes == 1 {
            // A pass of single samples leaves nothing idle.
            return 0;
        }
        let layout = workspace::layout(&self.plan(), lanes);
        layout.total - layout.gradients
    }

    /// Forward pass: the samples' losses and how many classes came out right. Takes a workspace of
    /// [`inference_workspace_len`](Network::inference_workspace_len).
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a target do not fit.
    pub fn evaluate<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        workspace: &mut [f32],
    ) -> Result<Metrics, PassError> {
        let needed = (self.inference_workspace_len(LANES), workspace.len());
        self.check::<LANES>(parameters, &batch, needed)?;
        if LANES == 1 {
            return self
                .evaluate_singles(parameters, &batch, workspace)
                .ok_or(too_short(needed));
        }
        let plan = self.plan().without_backward();
        let mut pass = Pass::<LANES>::new(plan, self.loss(), parameters, workspace);
        let mut metrics = Metrics::NONE;
        for indices in batch.indices.chunks(LANES) {
            let block = Batch { indices, ..batch };
            pass.forward(&block, None);
            metrics += pass.finish(&block, None);
        }
        Ok(metrics)
    }

    /// Forward pass that needs no targets: writes the network's output, sample by sample, to
    /// `outputs` (samples x [`Network::output_len`]): logits, or what a regression predicts. Takes
    /// a workspace of [`inference_workspace_len`](Network::inference_workspace_len).
    /// [`softmax`](crate::softmax) and [`argmax`](crate::argmax) turn logits into probabilities and
    /// a class.
    ///
    /// ```
    /// use secant::network::{Network, Shape, conv1d, linear, relu};
    /// use secant::{Batch, Normalisation, Samples, Values, argmax, softmax};
    ///
    /// const NET: Network<3> = Network::new(Shape::signal(1, 5), [conv1d(1, 3), relu(), linear(2)]);
    /// static WEIGHTS: [f32; NET.parameter_count()] = [0.5; NET.parameter_count()];
    /// let mut workspace = [0.0; NET.inference_workspace_len(1)];
    ///
    /// let signal = Samples::unlabelled(Values::I16(&[1, 2, 3, 2, 1]), Normalisation::NONE);
    /// let mut outputs = [0.0; 2];
    /// NET.predict::<1>(&WEIGHTS, Batch::new(signal, &[0]), &mut outputs, &mut workspace)?;
    /// assert_eq!(argmax(&outputs), 0);
    /// softmax(&mut outputs);
    /// assert_eq!(outputs, [0.5, 0.5]);
    /// # Ok::<(), secant::PassError>(())
    /// ```
    ///
    /// # Errors
    /// [`PassError`] when lengths or an index do not fit.
    pub fn predict<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        outputs: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<(), PassError> {
        let needed = (self.inference_workspace_len(LANES), workspace.len());
        let count = self.check_samples::<LANES>(parameters, &batch.samples, needed)?;
        let indices = batch.indices;
        if let Some(index) = indices.iter().find(|index| **index as usize >= count) {
            return Err(PassError::Index(*index));
        }
        let width = self.output_len();
        if outputs.len() != indices.len() * width {
            return Err(PassError::Outputs {
                expected: indices.len() * width,
                found: outputs.len(),
            });
        }
        if LANES == 1 {
            let rows = outputs.chunks_exact_mut(width.max(1));
            for (index, row) in indices.iter().zip(rows) {
                let output = self
                    .forward_single(parameters, &batch, *index, workspace)
                    .ok_or(too_short(needed))?;
                for (z, output) in row.iter_mut().zip(output) {
                    *z = *output;
                }
            }
            return Ok(());
        }
        let plan = self.plan().without_backward();
        let mut pass = Pass::<LANES>::new(plan, self.loss(), parameters, workspace);
        let blocks = outputs.chunks_mut(LANES * width);
        for (indices, rows) in indices.chunks(LANES).zip(blocks) {
            pass.forward(&Batch { indices, ..batch }, None);
            let output = pass.output();
            for (lane, row) in rows.chunks_exact_mut(width).enumerate() {
                for (c, z) in row.iter_mut().enumerate() {
                    *z = output[c * LANES + lane];
                }
            }
        }
        Ok(())
    }

    /// [`evaluate`](Network::evaluate), with the same bits, that also writes the network's output to
    /// `outputs`, as [`predict`](Network::predict) does: loss and predictions from one forward pass.
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a target do not fit.
    pub fn evaluate_outputs<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        outputs: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<Metrics, PassError> {
        let needed = (self.inference_workspace_len(LANES), workspace.len());
        self.check::<LANES>(parameters, &batch, needed)?;
        self.predict::<LANES>(parameters, batch, outputs, workspace)?;
        let width = self.output_len();
        let blocks = outputs.chunks_mut(LANES * width.max(1));
        let mut metrics = Metrics::NONE;
        for (indices, rows) in batch.indices.chunks(LANES).zip(blocks) {
            // Block by block, as `evaluate` adds.
            let mut block = Metrics::NONE;
            for (index, row) in indices.iter().zip(rows.chunks_exact_mut(width.max(1))) {
                let own = sample_loss(self.loss(), &batch, *index, row, 1, 0, None);
                block += own.ok_or(PassError::Index(*index))?;
            }
            metrics += block;
        }
        Ok(metrics)
    }

    /// Forward pass of the first sample of a batch, with one lane, that shows the inputs of each
    /// layer with parameters to `observe`, first layer to last, together with `scratch`.
    ///
    /// Where memory is short, this comes before the gradient of the batch is computed, and
    /// `scratch` is the memory of that gradient. The inputs are those of
    /// [`accumulate_gradient_observed`](Network::accumulate_gradient_observed), at the cost of one
    /// more forward pass.
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a target do not fit, or the batch is empty.
    pub fn observe_inputs(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        workspace: &mut [f32],
        scratch: &mut [f32],
        observe: &mut dyn FnMut(LayerInputs<'_>, &mut [f32]),
    ) -> Result<(), PassError> {
        let needed = (self.workspace_len(1), workspace.len());
        self.check::<1>(parameters, &batch, needed)?;
        let index = batch.indices.first().ok_or(PassError::Empty)?;
        self.kept_single(parameters, &batch, *index, workspace)
            .ok_or(too_short(needed))?;
        inputs::visit(&self.plan(), workspace, 1, 1, scratch, observe);
        Ok(())
    }
}

/// What cannot be once the lengths have been checked.
fn too_short((expected, found): (usize, usize)) -> PassError {
    PassError::Workspace { expected, found }
}
