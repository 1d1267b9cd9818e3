//! Forward and backward passes: blocks of `LANES` samples through the stages of a network.

use crate::arch::{Kernel, Simd, dispatch_lanes};
use crate::inputs::{self, LayerInputs};
use crate::layers::dropout::{self, DropoutKey};
use crate::layers::{conv2d, linear, post};
use crate::loss;
use crate::network::Network;
use crate::plan::{self, GROUP, Map, Op, Spread, Stage};
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
    /// Parameters or gradient are not [`Network::parameter_count`] long.
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

impl<const N: usize> Network<N> {
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
            tally += pass.loss(&block, Some(batch.weight));
            pass.backward(&block, gradient);
        }
        Ok(tally)
    }

    /// [`accumulate_gradient`](Network::accumulate_gradient), with the same bits, that also shows the inputs of each layer with
    /// parameters to `observe`, first layer to last, as the forward pass of the first `LANES` samples left them.
    ///
    /// `observe` may use the slice that it gets: the part of the workspace that lies idle between the passes, of at least
    /// [`idle_len`](Network::idle_len) floats, and all that the caller has appended to the workspace, which has
    /// [`observed_len`](Network::observed_len) floats.
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
        if workspace.len() < self.observed_len(LANES) {
            return Err(PassError::Workspace);
        }
        let (first, rest) = batch.indices.split_at(batch.indices.len().min(LANES));
        let block = Batch {
            indices: first,
            ..batch
        };
        self.pass::<LANES>(parameters, workspace).forward(&block);
        let layout = plan::workspace(&self.stages, self.stage_count, self.input_map, LANES);
        let (maps, idle) = workspace.split_at_mut(layout.gradients);
        let stages = &self.stages[..self.stage_count];
        inputs::visit(stages, maps, LANES, first.len(), idle, observe);
        let mut pass = self.pass::<LANES>(parameters, workspace);
        let mut tally = pass.loss(&block, Some(batch.weight));
        pass.backward(&block, gradient);
        let others = Batch {
            indices: rest,
            ..batch
        };
        tally += self.accumulate_gradient::<LANES>(parameters, others, gradient, workspace)?;
        Ok(tally)
    }

    /// Floats of workspace for [`accumulate_gradient_observed`](Network::accumulate_gradient_observed): for one lane, whose
    /// usual pass keeps nothing to observe, more than [`workspace_len`](Network::workspace_len); else the same.
    pub const fn observed_len(&self, lanes: usize) -> usize {
        plan::workspace(&self.stages, self.stage_count, self.input_map, lanes).total
    }

    /// Floats of a workspace of [`observed_len(lanes)`](Network::observed_len) that lie idle between the passes.
    pub const fn idle_len(&self, lanes: usize) -> usize {
        let layout = plan::workspace(&self.stages, self.stage_count, self.input_map, lanes);
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
            tally += pass.loss(&block, None);
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
        let layout = plan::workspace(&self.stages, self.stage_count, self.input_map, LANES);
        let (maps, rest) = workspace.split_at_mut(layout.gradients);
        let (dy, rest) = rest.split_at_mut(layout.gradient_len);
        let (dx, rest) = rest.split_at_mut(layout.gradient_len);
        let scratch = &mut rest[..layout.total - layout.scratch];
        Pass {
            stages: &self.stages[..self.stage_count],
            input: self.input_map,
            shape: self.input(),
            parameters,
            maps,
            dy,
            dx,
            scratch,
        }
    }
}

/// A block of samples on its way through the network, and its memory.
struct Pass<'a, const LANES: usize> {
    stages: &'a [Stage],
    input: Map,
    shape: crate::network::Shape,
    parameters: &'a [f32],
    /// The input, then for each stage the winners of its pool and its output.
    maps: &'a mut [f32],
    /// Gradient of the output of the stage at hand.
    dy: &'a mut [f32],
    /// Gradient of its input.
    dx: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl<const LANES: usize> Pass<'_, LANES> {
    /// The network's output, classes x lanes.
    fn output(&mut self) -> &mut [f32] {
        let last = self.stages[self.stages.len() - 1];
        let begin = self.maps.len() - last.output.len() * LANES;
        &mut self.maps[begin..]
    }

    /// Copies the block's samples into the input map, normalised; lanes without a sample and the margin become zero.
    fn load(&mut self, block: &Batch<'_>) {
        let (map, shape) = (self.input, self.shape);
        let input = &mut self.maps[..map.len() * LANES];
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
        let mut begin = 0;
        for stage in self.stages {
            let (x, rest) = self.maps[begin..].split_at_mut(stage.input.len() * LANES);
            let (codes, rest) = rest.split_at_mut(stage.code_len(LANES));
            let y = &mut rest[..stage.output.len() * LANES];
            begin += x.len() + codes.len();
            dispatch_lanes::<LANES, _>(Forward::<LANES> {
                stage,
                parameters: self.parameters,
                block,
                x,
                y,
                codes,
                scratch: self.scratch,
            });
        }
    }

    /// The block's loss; with a weight, its gradient by the logits in `dy`.
    fn loss(&mut self, block: &Batch<'_>, weight: Option<f32>) -> Tally {
        let mut labels = [0; LANES];
        for (label, index) in labels.iter_mut().zip(block.indices) {
            *label = block.samples.labels[*index as usize];
        }
        let labels = &labels[..block.indices.len()];
        let classes = self.stages[self.stages.len() - 1].output.len() * LANES;
        let begin = self.maps.len() - classes;
        let logits = &mut self.dy[..classes];
        logits.copy_from_slice(&self.maps[begin..]);
        let (loss, correct) = loss::softmax_cross_entropy(LANES, labels, logits, weight);
        Tally {
            loss,
            correct,
            count: labels.len() as u32,
        }
    }

    fn backward(&mut self, block: &Batch<'_>, gradient: &mut [f32]) {
        let mut end = self.maps.len();
        for (s, stage) in self.stages.iter().enumerate().rev() {
            let (rest, y) = self.maps[..end].split_at(end - stage.output.len() * LANES);
            let (rest, codes) = rest.split_at(rest.len() - stage.code_len(LANES));
            let (_, x) = rest.split_at(rest.len() - stage.input.len() * LANES);
            end = rest.len();
            dispatch_lanes::<LANES, _>(Backward::<LANES> {
                stage,
                parameters: self.parameters,
                block,
                x,
                y,
                codes,
                dy: self.dy,
                dx: self.dx,
                input_gradient: s > 0,
                gradient,
                scratch: self.scratch,
            });
            core::mem::swap(&mut self.dy, &mut self.dx);
        }
    }
}

/// Bytes to normalised lanes.
struct Load<'a, const LANES: usize> {
    map: Map,
    /// Columns and pixels of a channel of a sample, dead ones too.
    columns: usize,
    plane: usize,
    block: &'a Batch<'a>,
    input: &'a mut [f32],
}

impl<const LANES: usize> Kernel for Load<'_, LANES> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Load {
            map,
            columns,
            plane,
            block,
            input,
        } = self;
        let samples = &block.samples;
        let normalisation = samples.normalisation;
        let mut bytes = [&samples.pixels[..0]; LANES];
        for (bytes, index) in bytes.iter_mut().zip(block.indices) {
            *bytes = samples.sample(*index, map.channels * plane);
        }
        let count = block.indices.len();
        for channel in 0..map.channels {
            for r in 0..map.alive_rows {
                let from = channel * plane + r * columns;
                let to = map.at(channel, r, 0) * LANES;
                let mut rows = [&samples.pixels[..0]; LANES];
                for lane in 0..count {
                    rows[lane] = &bytes[lane][from..][..map.alive_columns];
                }
                for (c, pixel) in input[to..][..map.alive_columns * LANES]
                    .chunks_exact_mut(LANES)
                    .enumerate()
                {
                    for lane in 0..count {
                        pixel[lane] = simd.fma_f32(
                            f32::from(rows[lane][c]),
                            normalisation.scale,
                            normalisation.offset,
                        );
                    }
                }
            }
        }
    }
}

/// A stage's forward pass.
struct Forward<'a, const L: usize> {
    stage: &'a Stage,
    parameters: &'a [f32],
    block: &'a Batch<'a>,
    x: &'a [f32],
    y: &'a mut [f32],
    codes: &'a mut [f32],
    scratch: &'a mut [f32],
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
        Op::Identity | Op::Dropout { .. } => (0, 0),
    };
    let biases = stage.parameters + inputs * outputs;
    (stage.parameters..biases, biases..biases + outputs)
}

impl<const L: usize> Kernel for Forward<'_, L> {
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
        } = self;
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
                let row = stage.columns * L;
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
                    let task = conv2d::Row {
                        kernel,
                        stride,
                        inputs: stage.input.channels,
                        input_plane: stage.input.plane() * L,
                        input_row: stage.input.columns * L,
                        outputs: count,
                        output_plane: pool_rows * row,
                        output_len: row,
                    };
                    let start = conv2d::Start::Bias(&bias[first..][..count]);
                    for r in 0..map.alive_rows {
                        for k in 0..pool_rows {
                            let from = (r * pool_step + k) * stride * task.input_row;
                            task.run::<S, L>(simd, x, from, packed, start, rows, k * row);
                        }
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
                dropout::forward(key, stage, probability, L, block.indices, x, y);
            }
        }
    }
}

/// A stage's backward pass.
struct Backward<'a, const L: usize> {
    stage: &'a Stage,
    parameters: &'a [f32],
    block: &'a Batch<'a>,
    x: &'a [f32],
    y: &'a [f32],
    codes: &'a [f32],
    dy: &'a mut [f32],
    dx: &'a mut [f32],
    /// Whether anything reads `dx`.
    input_gradient: bool,
    gradient: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl<const L: usize> Kernel for Backward<'_, L> {
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
            input_gradient,
            gradient,
            scratch,
        } = self;
        let (weights, biases) = split_parameters(stage);
        let w = &parameters[weights.clone()];
        let (dw, db) = gradient[weights.start..biases.end].split_at_mut(weights.len());
        let map = stage.output;
        match stage.op {
            Op::Conv2d { kernel, stride } => {
                let spread = Spread::new(stage, input_gradient);
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
                        gradient_from: spread.margin * (spread.columns + 1),
                        rows: stage.rows,
                        columns: stage.columns,
                    };
                    let terms = inputs * kernel * kernel;
                    task.run::<S, L>(simd, x, dz, &mut dw[first * terms..], &mut db[first..]);
                    if input_gradient {
                        conv2d::pack_backward::<S>(w, inputs, kernel, first, count, packed);
                        let row = stage.input.alive_columns * L;
                        let task = conv2d::Row {
                            kernel,
                            stride: 1,
                            inputs: count,
                            input_plane: spread.plane() * L,
                            input_row: spread.columns * L,
                            outputs: inputs,
                            output_plane: stage.input.alive_rows * row,
                            output_len: row,
                        };
                        let start = if first == 0 {
                            conv2d::Start::Zero
                        } else {
                            conv2d::Start::Target
                        };
                        let padding = stage.input.margin;
                        for r in 0..stage.input.alive_rows {
                            let from = ((r + padding) * spread.columns + padding) * L;
                            task.run::<S, L>(simd, dz, from, packed, start, dx, r * row);
                        }
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
                linear::weight_gradient(simd, L, x, dy, dw, db, &mut scratch[..x.len()]);
                if input_gradient {
                    linear::input_gradient(simd, L, w, dy, &mut dx[..x.len()]);
                }
            }
            _ if !input_gradient => {}
            Op::Identity => {
                let spread = Spread::new(stage, false);
                post::backward::<S, L>(simd, stage, spread, 0, map.channels, y, codes, dy, dx);
            }
            Op::Dropout { probability } => {
                dropout::backward(block.dropout, stage, probability, L, block.indices, dy, dx)
            }
        }
    }
}
