//! Forward and backward passes: blocks of `LANES` samples through the stages of a network.

use crate::arch::dispatch_lanes;
use crate::inputs::{self, LayerInputs};
use crate::layers::dropout::DropoutKey;
use crate::layers::load::Load;
use crate::layers::stage::{self, Backward, Forward};
use crate::loss::Loss;
use crate::network::Network;
use crate::plan::{self, Parts, Plan, Stage};
use crate::samples::Samples;

/// The samples of one pass, and what their loss counts.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The data set.
    pub samples: Samples<'a>,
    /// Which samples, in order.
    pub indices: &'a [u32],
    /// Factor of each sample's loss in the gradient: `1 / batch size` gives the gradient of the mean.
    pub weight: f32,
    /// Dropout's random choice; `None` leaves dropout layers out.
    pub dropout: Option<DropoutKey>,
}

/// Sums over the samples of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tally {
    /// Sum of the samples' losses, without the weight.
    pub loss: f64,
    /// Samples whose class came out right.
    pub correct: u32,
    /// Samples in all.
    pub count: u32,
}

impl Tally {
    /// Mean loss a sample.
    pub fn mean_loss(&self) -> f64 {
        self.loss / f64::from(self.count)
    }

    /// Share of samples whose class came out right.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.correct) / f64::from(self.count)
    }
}

impl core::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.loss += other.loss;
        self.correct += other.correct;
        self.count += other.count;
    }
}

/// Arguments of a pass that do not fit the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PassError {
    /// Parameters or gradient are not [`Network::parameter_count`] long: those of frozen layers do not belong to them.
    Parameters,
    /// The workspace is shorter than [`Network::workspace_len`].
    Workspace,
    /// The pixels are not the samples' number times the input's length.
    Samples,
    /// An index past the last sample.
    Index(u32),
    /// A label past the network's last class.
    Label(u8),
    /// The logits are not the number of samples times [`Network::output_len`] long.
    Logits,
}

impl core::fmt::Display for PassError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            PassError::Parameters => {
                f.write_str("parameters and gradient must have the network's parameter count")
            }
            PassError::Workspace => {
                f.write_str("the workspace is shorter than the network's workspace_len")
            }
            PassError::Samples => {
                f.write_str("the pixels are not the number of labels times the length of a sample")
            }
            PassError::Index(index) => write!(f, "there is no sample {index}"),
            PassError::Label(label) => write!(f, "the network has no class {label}"),
            PassError::Logits => f.write_str("the logits must have one value a sample and class"),
        }
    }
}

impl core::error::Error for PassError {}

impl<const N: usize> Network<'_, N> {
    /// Forward and backward pass: **adds** the gradient of `weight` times the sum of the samples' losses to `gradient`.
    ///
    /// The samples go through in blocks of `LANES` (1, 2, 4, 8 or 16), in order. Cost: about three forward passes.
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a label do not fit; nothing has been written then.
    pub fn accumulate_gradient<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<Tally, PassError> {
        self.check::<LANES>(parameters, &batch, workspace)?;
        if gradient.len() != parameters.len() {
            return Err(PassError::Parameters);
        }
        if LANES == 1 {
            return self
                .gradient_of_singles(parameters, &batch, gradient, workspace)
                .ok_or(PassError::Workspace);
        }
        let mut pass = self.pass::<LANES>(parameters, workspace);
        let mut tally = Tally::default();
        for indices in batch.indices.chunks(LANES) {
            let block = Batch { indices, ..batch };
            pass.forward(&block);
            tally += pass.finish(&block, Some(batch.weight));
            pass.backward(&block, gradient);
        }
        Ok(tally)
    }

    /// [`accumulate_gradient`](Network::accumulate_gradient), with the same bits, that also shows the inputs of each layer with
    /// parameters to `observe`, first layer to last, as the forward pass of the first `LANES` samples left them.
    ///
    /// `observe` may use the slice that it gets: the part of the workspace that lies idle between the passes, of at least
    /// [`idle_len`](Network::idle_len) floats, and all that the caller has appended to the workspace, which has
    /// [`workspace_len`](Network::workspace_len) floats.
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a label do not fit; nothing has been written then.
    pub fn accumulate_gradient_observed<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
        observe: &mut dyn FnMut(LayerInputs<'_>, &mut [f32]),
    ) -> Result<Tally, PassError> {
        self.check::<LANES>(parameters, &batch, workspace)?;
        if gradient.len() != parameters.len() {
            return Err(PassError::Parameters);
        }
        if LANES == 1 {
            let length = self.workspace_len(1).min(workspace.len());
            let (workspace, idle) = workspace.split_at_mut(length);
            if !batch.indices.is_empty() {
                self.observe_inputs(parameters, batch, workspace, idle, observe)?;
            }
            return self.accumulate_gradient::<1>(parameters, batch, gradient, workspace);
        }
        let (first, rest) = batch.indices.split_at(batch.indices.len().min(LANES));
        let block = Batch {
            indices: first,
            ..batch
        };
        self.pass::<LANES>(parameters, workspace).forward(&block);
        let plan = self.plan();
        let layout = plan::workspace(&plan, LANES);
        let (maps, idle) = workspace.split_at_mut(layout.gradients);
        inputs::visit(&plan, maps, LANES, first.len(), idle, observe);
        let mut pass = self.pass::<LANES>(parameters, workspace);
        let mut tally = pass.finish(&block, Some(batch.weight));
        pass.backward(&block, gradient);
        let others = Batch {
            indices: rest,
            ..batch
        };
        tally += self.accumulate_gradient::<LANES>(parameters, others, gradient, workspace)?;
        Ok(tally)
    }

    /// Floats of a workspace of [`workspace_len(lanes)`](Network::workspace_len) that lie idle between the passes.
    pub const fn idle_len(&self, lanes: usize) -> usize {
        if lanes == 1 {
            // A pass of single samples leaves nothing idle.
            return 0;
        }
        let layout = plan::workspace(&self.plan(), lanes);
        layout.total - layout.gradients
    }

    /// Forward pass: the samples' losses and how many classes came out right.
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a label do not fit.
    pub fn evaluate<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        workspace: &mut [f32],
    ) -> Result<Tally, PassError> {
        self.check::<LANES>(parameters, &batch, workspace)?;
        if LANES == 1 {
            return self
                .evaluate_singles(parameters, &batch, workspace)
                .ok_or(PassError::Workspace);
        }
        let mut pass = self.pass::<LANES>(parameters, workspace);
        let mut tally = Tally::default();
        for indices in batch.indices.chunks(LANES) {
            let block = Batch { indices, ..batch };
            pass.forward(&block);
            tally += pass.finish(&block, None);
        }
        Ok(tally)
    }

    /// Forward pass: writes the network's output, sample by sample, to `logits` (samples x [`Network::output_len`]).
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a label do not fit.
    pub fn predict<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        logits: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<(), PassError> {
        self.check::<LANES>(parameters, &batch, workspace)?;
        let classes = self.output_len();
        if logits.len() != batch.indices.len() * classes {
            return Err(PassError::Logits);
        }
        if LANES == 1 {
            for (index, logits) in batch
                .indices
                .iter()
                .zip(logits.chunks_exact_mut(classes.max(1)))
            {
                let output = self
                    .forward_single(parameters, &batch, *index, workspace)
                    .ok_or(PassError::Workspace)?;
                for (z, output) in logits.iter_mut().zip(output) {
                    *z = *output;
                }
            }
            return Ok(());
        }
        let mut pass = self.pass::<LANES>(parameters, workspace);
        for (indices, logits) in batch
            .indices
            .chunks(LANES)
            .zip(logits.chunks_mut(LANES * classes))
        {
            pass.forward(&Batch { indices, ..batch });
            let output = pass.output();
            for (lane, logits) in logits.chunks_exact_mut(classes).enumerate() {
                for (c, z) in logits.iter_mut().enumerate() {
                    *z = output[c * LANES + lane];
                }
            }
        }
        Ok(())
    }

    pub(crate) fn check<const LANES: usize>(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        workspace: &[f32],
    ) -> Result<(), PassError> {
        const {
            assert!(
                LANES.is_power_of_two() && LANES <= 16,
                "LANES must be 1, 2, 4, 8 or 16"
            )
        };
        let samples = &batch.samples;
        if parameters.len() != self.parameter_count() {
            return Err(PassError::Parameters);
        }
        if workspace.len() < self.workspace_len(LANES) {
            return Err(PassError::Workspace);
        }
        if samples.pixels.len() != samples.len() * self.input().len() {
            return Err(PassError::Samples);
        }
        let classes = self.output_len();
        for index in batch.indices {
            match samples.labels.get(*index as usize) {
                None => return Err(PassError::Index(*index)),
                Some(label) if usize::from(*label) >= classes => {
                    return Err(PassError::Label(*label));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn pass<'a, const LANES: usize>(
        &'a self,
        parameters: &'a [f32],
        workspace: &'a mut [f32],
    ) -> Pass<'a, LANES> {
        let plan = self.plan();
        let layout = plan::workspace(&plan, LANES);
        let (memory, scratch) = workspace[..layout.total].split_at_mut(layout.scratch);
        Pass {
            plan,
            loss: self.loss,
            parameters,
            layout,
            memory,
            scratch,
            swapped: false,
        }
    }
}

/// A block of samples on its way through the network, and its memory.
struct Pass<'a, const LANES: usize> {
    plan: Plan<'a>,
    loss: Loss,
    parameters: &'a [f32],
    layout: plan::Workspace,
    /// What the first trained stage reads, then for each trained stage the winners of its pool and its output; then the
    /// gradient of the output of the stage at hand, and that of its input.
    memory: &'a mut [f32],
    scratch: &'a mut [f32],
    /// Whether those two gradients have changed places.
    swapped: bool,
}

/// The memory of a trained stage: its maps, and the gradients of what it writes and of what it reads.
struct TrainedParts<'a> {
    maps: Parts<'a>,
    dy: &'a mut [f32],
    dx: &'a mut [f32],
}

impl<const LANES: usize> Pass<'_, LANES> {
    /// Stage `s`, trained, and its memory.
    fn trained(&mut self, s: usize) -> (&Stage, TrainedParts<'_>) {
        let (stage, layout) = (&self.plan.stages[s], self.layout);
        let before = &self.plan.stages[self.plan.first_trained..s];
        let floats = |stage: &Stage| stage.input.len() * LANES + stage.code_len(LANES);
        let (maps, gradients) = self.memory.split_at_mut(layout.gradients);
        let rest = &mut maps[before.iter().map(floats).sum()..];
        let (x, rest) = rest.split_at_mut(stage.input.len() * LANES);
        let (codes, rest) = rest.split_at_mut(stage.code_len(LANES));
        let (dy, rest_of_gradients) = gradients.split_at_mut(layout.gradient_len);
        let dx = &mut rest_of_gradients[..layout.gradient_len];
        let (dy, dx) = if self.swapped { (dx, dy) } else { (dy, dx) };
        let maps = Parts {
            x,
            codes,
            y: &mut rest[..stage.output.len() * LANES],
            scratch: self.scratch,
        };
        (stage, TrainedParts { maps, dy, dx })
    }

    /// Stage `s` and its maps.
    fn maps(&mut self, s: usize) -> (&Stage, Parts<'_>) {
        if s >= self.plan.first_trained {
            let (stage, parts) = self.trained(s);
            return (stage, parts.maps);
        }
        let stage = &self.plan.stages[s];
        let lengths = (
            stage.input.len() * LANES,
            stage.code_len(LANES),
            stage.output.len() * LANES,
        );
        let after = self.plan.first_trained - 1 - s;
        let parts = Parts::alternating(after, lengths, self.memory);
        let parts = parts.expect("the layout has room for every stage");
        let parts = Parts {
            scratch: self.scratch,
            ..parts
        };
        (stage, parts)
    }

    /// The network's output, classes x lanes.
    fn output(&mut self) -> &mut [f32] {
        self.maps(self.plan.stages.len() - 1).1.y
    }

    /// Copies the block's samples into the input map, normalised; lanes without a sample and the margin become zero.
    fn load(&mut self, block: &Batch<'_>) {
        let shape = self.plan.shape;
        let (stage, parts) = self.maps(0);
        let (map, input) = (stage.input, parts.x);
        if map.margin > 0 || block.indices.len() < LANES || map.alive_len() < map.len() {
            input.fill(0.0);
        }
        dispatch_lanes::<LANES, _>(Load::<LANES> {
            map,
            columns: shape.columns,
            plane: shape.rows * shape.columns,
            block,
            input,
        });
    }

    fn forward(&mut self, block: &Batch<'_>) {
        self.load(block);
        for s in 0..self.plan.stages.len() {
            self.stage_forward(s, block);
        }
    }

    fn stage_forward(&mut self, s: usize, block: &Batch<'_>) {
        let (plan, parameters) = (self.plan, self.parameters);
        let (stage, parts) = self.maps(s);
        stage::forward::<LANES>(Forward {
            stage,
            parameters: plan.parameters(s, parameters),
            block,
            x: parts.x,
            y: parts.y,
            codes: parts.codes,
            scratch: parts.scratch,
        });
    }

    /// The block's loss; with a weight, its gradient by the logits in place of the output's gradient.
    fn finish(&mut self, block: &Batch<'_>, weight: Option<f32>) -> Tally {
        let mut labels = [0; LANES];
        for (label, index) in labels.iter_mut().zip(block.indices) {
            *label = block.samples.labels[*index as usize];
        }
        let labels = &labels[..block.indices.len()];
        let kind = self.loss;
        let last = self.plan.stages.len() - 1;
        let (loss, correct) = if last < self.plan.first_trained {
            // Nothing goes back from here.
            kind.of_block(LANES, labels, self.output(), None)
        } else {
            let (_, parts) = self.trained(last);
            let logits = &mut parts.dy[..parts.maps.y.len()];
            logits.copy_from_slice(parts.maps.y);
            kind.of_block(LANES, labels, logits, weight)
        };
        Tally {
            loss,
            correct,
            count: labels.len() as u32,
        }
    }

    fn backward(&mut self, block: &Batch<'_>, gradient: &mut [f32]) {
        let first = self.plan.first_trained;
        for s in (first..self.plan.stages.len()).rev() {
            self.stage_backward(s, block, gradient, true, s > first);
            self.swapped = !self.swapped;
        }
    }

    /// From `dy` and what the forward pass has left: adds to `gradient`, overwrites `dx`, or both.
    fn stage_backward(
        &mut self,
        s: usize,
        block: &Batch<'_>,
        gradient: &mut [f32],
        weight_gradient: bool,
        input_gradient: bool,
    ) {
        let parameters = self.parameters;
        let (stage, parts) = self.trained(s);
        stage::backward::<LANES>(Backward {
            stage,
            parameters,
            block,
            x: parts.maps.x,
            y: parts.maps.y,
            codes: parts.maps.codes,
            dy: parts.dy,
            dx: parts.dx,
            weight_gradient,
            input_gradient,
            gradient,
            scratch: parts.maps.scratch,
        });
    }
}

/// A stage for reports: a convolution, linear or dropout layer with the activation and the pool that are computed with it.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageInfo {
    /// Its layers.
    pub layers: core::ops::Range<usize>,
    /// Multiply-accumulates of one sample in each of its passes, those that no result needs left out.
    pub multiply_accumulates: usize,
    /// Those passes: forward and, unless it is frozen, weight gradient and, if an earlier one is trained, input gradient.
    pub passes: usize,
}

/// A pass of a stage, to be timed.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StagePass {
    /// Operation, activation and pool.
    Forward,
    /// Gradient through pool and activation, and that of the weights.
    WeightGradient,
    /// Gradient through pool and activation, and that of the input.
    InputGradient,
}

impl<const N: usize> Network<'_, N> {
    /// The network's stages.
    #[doc(hidden)]
    pub fn stages(&self) -> impl Iterator<Item = StageInfo> + '_ {
        let (stages, first) = (self.plan().stages, self.plan().first_trained);
        stages.iter().enumerate().map(move |(s, stage)| StageInfo {
            layers: stage.layer
                ..stages
                    .get(s + 1)
                    .map_or(self.layers().len(), |next| next.layer),
            multiply_accumulates: stage.multiply_accumulates(),
            passes: 1 + usize::from(s >= first) + usize::from(s > first),
        })
    }

    /// Runs one pass of stage `s` on what the last call with the same workspace has left there. Not for single lanes, which
    /// have kernels of their own.
    ///
    /// # Errors
    /// [`PassError`] as for [`Network::accumulate_gradient`].
    #[doc(hidden)]
    pub fn run_stage<const LANES: usize>(
        &self,
        s: usize,
        pass: StagePass,
        parameters: &[f32],
        batch: Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<(), PassError> {
        self.check::<LANES>(parameters, &batch, workspace)?;
        if gradient.len() != parameters.len() {
            return Err(PassError::Parameters);
        }
        let plan = self.plan();
        if workspace.len() < plan::workspace(&plan, LANES).total {
            return Err(PassError::Workspace);
        }
        let mut blocks = self.pass::<LANES>(parameters, workspace);
        let first = plan.first_trained;
        match pass {
            StagePass::Forward => blocks.stage_forward(s, &batch),
            StagePass::WeightGradient if s >= first => {
                blocks.stage_backward(s, &batch, gradient, true, false);
            }
            StagePass::InputGradient if s > first => {
                blocks.stage_backward(s, &batch, gradient, false, true);
            }
            _ => {}
        }
        Ok(())
    }
}
