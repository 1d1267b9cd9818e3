//! One sample at a time (`LANES` = 1), in as little memory as possible: what a microcontroller runs.
//!
//! The same sums in the same order as in the lane blocks of [`crate::propagation`], so the same bits; but
//!
//! * only pixels whose gradient is not zero take part in the backward pass: after a max-pool and a relu those are few;
//! * the gradient of a map takes the place of the map, once its values have been used. What the backward pass needs to know of
//!   a stage's own output (which pixel won its window, and whether the activation let it through) was written down as a
//!   code of a few bits;
//! * the scratch memory of a stage is that of the stages behind it, which hold nothing yet, or nothing any more;
//! * nothing can panic: every length is checked, and one that does not fit ends the pass with `None`.
//!
//! The work comes in pieces, one stage forward or backward, so that other duties can be done in between: [`Progress`].

use crate::arch::single::{self, Windows, Winners, piece, piece_mut, read_code, write_code};
use crate::arch::{Kernel, Simd, dispatch_lanes};
use crate::inputs::{self, LayerInputs};
use crate::layers::depthwise::Depthwise;
use crate::layers::stage::split_parameters;
use crate::layers::{activation, average_pool, dropout};
use crate::loss::Loss;
use crate::network::Network;
use crate::plan::{Map, Op, Parts, Plan, Pool, Stage};
use crate::propagation::{Batch, PassError, Tally};

/// Output channels that a convolution's forward pass works on together.
const GROUP: usize = 4;

/// A stage without a pool pools windows of one pixel.
const NO_POOL: Pool = Pool { size: 1, stride: 1 };

impl Stage {
    /// Bits of the code that says which pixel of a window won, or that no gradient goes through: 0 where there is no choice.
    const fn code_width(&self) -> usize {
        let size = match self.pool {
            Some(pool) => pool.size,
            None => 1,
        };
        match size * size + self.relu as usize {
            ..=1 => 0,
            2 => 1,
            3..=4 => 2,
            5..=16 => 4,
            17..=256 => 8,
            _ => 16,
        }
    }

    /// Words of 32 bits for the codes of the stage's output.
    pub(crate) const fn codes_len(&self) -> usize {
        (self.output.alive_len() * self.code_width()).div_ceil(32)
    }

    /// The same for one row of it: where no backward pass comes, nothing reads the codes, and each row overwrites the last.
    const fn row_codes_len(&self) -> usize {
        (self.output.alive_columns * self.code_width()).div_ceil(32)
    }

    /// Floats of scratch.
    const fn scratch_len(&self) -> usize {
        match self.op {
            Op::Conv2d { .. } => {
                let rows = match self.pool {
                    Some(pool) => pool.size,
                    None => 1,
                };
                GROUP * rows * self.columns
            }
            _ => 0,
        }
    }

    /// The windows of a convolution of that kernel over the stage's input.
    fn windows(&self, kernel: usize) -> Windows {
        Windows {
            inputs: self.input.channels,
            rows: kernel,
            columns: kernel,
            plane: self.input.plane(),
            row: self.input.columns,
        }
    }
}

/// Floats of working memory: what the first trained stage reads, then for each trained stage its output and its codes; and
/// behind a stage its scratch. Before, the memory serves the other stages, one at a time.
pub(crate) const fn workspace_len(plan: &Plan<'_>) -> usize {
    let mut end = plan.kept_len();
    let (mut total, mut s) = (end, 0);
    while s < plan.stages.len() {
        let stage = &plan.stages[s];
        let needed = if s < plan.first_trained {
            stage.input.len() + stage.row_codes_len() + stage.output.len()
        } else {
            end += stage.codes_len() + stage.output.len();
            end
        };
        if needed + stage.scratch_len() > total {
            total = needed + stage.scratch_len();
        }
        s += 1;
    }
    total
}

/// How far a pass over a batch has come. A piece is one stage of one sample, forward or backward.
///
/// ```
/// use secant::presets::MICRO;
/// use secant::{Batch, Normalisation, Progress, Samples};
///
/// let samples = Samples { pixels: &[0; 2 * 784], labels: &[3, 1], normalisation: Normalisation::UNIT };
/// let batch = Batch { samples, indices: &[0, 1], weight: 0.5, dropout: None };
/// let parameters = [0.1; MICRO.parameter_count()];
/// let mut gradient = [0.0; MICRO.parameter_count()];
/// let mut workspace = [0.0; MICRO.workspace_len(1)];
///
/// let mut progress = Progress::new();
/// let tally = loop {
///     // A control loop's duties come here: a piece of MICRO is at most 115,200 multiply-accumulates.
///     if let Some(tally) = progress.advance(&MICRO, &parameters, batch, &mut gradient, &mut workspace)? {
///         break tally;
///     }
/// };
/// assert_eq!(tally.count, 2);
/// # Ok::<(), secant::PassError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Progress {
    sample: usize,
    piece: usize,
    tally: Tally,
}

impl Progress {
    /// Before the first piece.
    pub const fn new() -> Progress {
        Progress {
            sample: 0,
            piece: 0,
            tally: Tally {
                loss: 0.0,
                correct: 0,
                count: 0,
            },
        }
    }

    /// Does one piece of [`Network::accumulate_gradient`] with one lane: the same bits. Returns the sums over the batch when
    /// it was the last, and then starts over. Between two calls all arguments must stay as they are.
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a label do not fit.
    pub fn advance<const N: usize>(
        &mut self,
        network: &Network<'_, N>,
        parameters: &[f32],
        batch: Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<Option<Tally>, PassError> {
        if self.sample == 0 && self.piece == 0 {
            network.check::<1>(parameters, &batch, workspace)?;
            if gradient.len() != parameters.len() {
                return Err(PassError::Parameters);
            }
        }
        self.piece(network, parameters, &batch, gradient, workspace)
            .ok_or(PassError::Workspace)
    }

    fn piece<const N: usize>(
        &mut self,
        network: &Network<'_, N>,
        parameters: &[f32],
        batch: &Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
    ) -> Option<Option<Tally>> {
        let Some(index) = batch.indices.get(self.sample) else {
            let tally = self.tally;
            *self = Progress::new();
            return Some(Some(tally));
        };
        let plan = network.plan();
        let (count, first) = (plan.stages.len(), plan.first_trained);
        let sample = Sample {
            plan,
            loss: network.loss,
            parameters,
            batch,
            index: *index,
        };
        if self.piece < count {
            sample.forward(self.piece, workspace)?;
            self.piece += 1;
            if self.piece == count {
                self.tally += sample.finish(workspace, Some(batch.weight))?;
            }
        } else {
            sample.backward(
                (2 * count).checked_sub(self.piece + 1)?,
                gradient,
                workspace,
            )?;
            self.piece += 1;
        }
        if self.piece == 2 * count - first {
            (self.piece, self.sample) = (0, self.sample + 1);
        }
        if self.sample == batch.indices.len() {
            let tally = self.tally;
            *self = Progress::new();
            return Some(Some(tally));
        }
        Some(None)
    }
}

impl<const N: usize> Network<'_, N> {
    /// [`Network::accumulate_gradient`] with one lane; the arguments have been checked.
    pub(crate) fn gradient_of_singles(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
    ) -> Option<Tally> {
        let mut progress = Progress::new();
        loop {
            if let Some(tally) = progress.piece(self, parameters, batch, gradient, workspace)? {
                return Some(tally);
            }
        }
    }

    /// Forward pass of one sample; returns the network's output. The arguments have been checked.
    pub(crate) fn forward_single<'w>(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        index: u32,
        workspace: &'w mut [f32],
    ) -> Option<&'w mut [f32]> {
        let sample = Sample {
            plan: self.plan(),
            loss: self.loss,
            parameters,
            batch,
            index,
        };
        for s in 0..sample.plan.stages.len() {
            sample.forward(s, workspace)?;
        }
        sample.output(workspace)
    }

    /// [`Network::evaluate`] with one lane; the arguments have been checked.
    pub(crate) fn evaluate_singles(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        workspace: &mut [f32],
    ) -> Option<Tally> {
        let mut tally = Tally::default();
        for index in batch.indices {
            let logits = self.forward_single(parameters, batch, *index, workspace)?;
            tally += sample_loss(self.loss, batch, *index, logits, None)?;
        }
        Some(tally)
    }
}

impl<const N: usize> Network<'_, N> {
    /// Forward pass of the first sample of a batch, with one lane, that shows the inputs of each layer with parameters to
    /// `observe`, first layer to last, together with `scratch`.
    ///
    /// Where memory is short, this comes before the gradient of the batch is computed, and `scratch` is the memory of that
    /// gradient. The inputs are those of [`Network::accumulate_gradient_observed`], at the cost of one more forward pass.
    ///
    /// # Errors
    /// [`PassError`] when lengths, an index or a label do not fit, or the batch is empty.
    pub fn observe_inputs(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        workspace: &mut [f32],
        scratch: &mut [f32],
        observe: &mut dyn FnMut(LayerInputs<'_>, &mut [f32]),
    ) -> Result<(), PassError> {
        self.check::<1>(parameters, &batch, workspace)?;
        let index = batch.indices.first().ok_or(PassError::Samples)?;
        self.forward_single(parameters, &batch, *index, workspace)
            .ok_or(PassError::Workspace)?;
        inputs::visit(&self.plan(), workspace, 1, 1, scratch, observe);
        Ok(())
    }
}

/// Loss of a sample, whose logits become their gradient if there is a weight.
fn sample_loss(
    loss: Loss,
    batch: &Batch<'_>,
    index: u32,
    logits: &mut [f32],
    weight: Option<f32>,
) -> Option<Tally> {
    let label = usize::from(*batch.samples.labels.get(index as usize)?);
    let (loss, correct) = loss.of_lane(label, logits, 1, 0, weight);
    Some(Tally {
        loss: f64::from(loss),
        correct: u32::from(correct),
        count: 1,
    })
}

/// One sample on its way.
struct Sample<'a> {
    plan: Plan<'a>,
    loss: Loss,
    parameters: &'a [f32],
    batch: &'a Batch<'a>,
    index: u32,
}

impl Sample<'_> {
    /// Stage `s` and its memory.
    fn parts<'w>(&self, s: usize, workspace: &'w mut [f32]) -> Option<(&Stage, Parts<'w>)> {
        let stage = self.plan.stages.get(s)?;
        let first = self.plan.first_trained;
        if s < first {
            let lengths = (stage.input.len(), stage.row_codes_len(), stage.output.len());
            return Some((
                stage,
                Parts::alternating(first - 1 - s, lengths, workspace)?,
            ));
        }
        let mut rest = workspace;
        for stage in self.plan.stages.get(first..s)? {
            rest = rest.get_mut(stage.input.len() + stage.codes_len()..)?;
        }
        let (x, rest) = rest.split_at_mut_checked(stage.input.len())?;
        let (codes, rest) = rest.split_at_mut_checked(stage.codes_len())?;
        let (y, scratch) = rest.split_at_mut_checked(stage.output.len())?;
        Some((
            stage,
            Parts {
                x,
                codes,
                y,
                scratch,
            },
        ))
    }

    /// The network's output.
    fn output<'w>(&self, workspace: &'w mut [f32]) -> Option<&'w mut [f32]> {
        let (_, parts) = self.parts(self.plan.stages.len().checked_sub(1)?, workspace)?;
        Some(parts.y)
    }

    /// Stage `s` forward; the first one loads the sample.
    fn forward(&self, s: usize, workspace: &mut [f32]) -> Option<()> {
        let (stage, parts) = self.parts(s, workspace)?;
        dispatch_lanes::<1, _>(Forward {
            sample: self,
            stage,
            parameters: self.plan.parameters(s, self.parameters),
            load: s == 0,
            keep_codes: s >= self.plan.first_trained,
            parts,
        })
    }

    /// The tally; the logits become their gradient if there is a weight.
    fn finish(&self, workspace: &mut [f32], weight: Option<f32>) -> Option<Tally> {
        sample_loss(
            self.loss,
            self.batch,
            self.index,
            self.output(workspace)?,
            weight,
        )
    }

    /// Stage `s` backward.
    fn backward(&self, s: usize, gradient: &mut [f32], workspace: &mut [f32]) -> Option<()> {
        let (stage, parts) = self.parts(s, workspace)?;
        dispatch_lanes::<1, _>(Backward {
            sample: self,
            stage,
            input_gradient: s > self.plan.first_trained,
            gradient,
            parts,
        })
    }
}

/// Sets a code to 0 again.
fn clear_code(codes: &mut [f32], width: usize, index: usize) {
    let bit = index * width;
    if let Some(word) = codes.get_mut(bit / 32) {
        *word = f32::from_bits(word.to_bits() & !(((1 << width) - 1) << (bit % 32)));
    }
}

/// A stage's forward pass.
struct Forward<'a> {
    sample: &'a Sample<'a>,
    stage: &'a Stage,
    parameters: &'a [f32],
    load: bool,
    /// Whether there is room for the codes of all rows, or of one.
    keep_codes: bool,
    parts: Parts<'a>,
}

impl Kernel for Forward<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<()> {
        let Forward {
            sample,
            stage,
            parameters,
            load,
            keep_codes,
            parts,
        } = self;
        let Parts {
            x,
            codes,
            y,
            scratch,
        } = parts;
        if load {
            load_pixels(simd, sample, stage.input, x)?;
        }
        codes.fill(0.0);
        let map = stage.output;
        // The number of a row's first code.
        let first_code = |channel: usize, r: usize| {
            if keep_codes {
                (channel * map.alive_rows + r) * map.alive_columns
            } else {
                0
            }
        };
        if map.len() > map.alive_len() {
            y.fill(0.0);
        }
        let (weights, biases) = split_parameters(stage);
        let w = parameters.get(weights)?;
        let bias = parameters.get(biases)?;
        match stage.op {
            Op::Conv2d { kernel, stride } => {
                let windows = stage.windows(kernel);
                let pool = stage.pool.unwrap_or(NO_POOL);
                let row = GROUP * stage.columns;
                let rows = scratch.get_mut(..pool.size * row)?;
                let terms = windows.terms()?;
                for (group, bias) in bias.chunks(GROUP).enumerate() {
                    let w = w.get(GROUP * group * terms..)?;
                    for r in 0..map.alive_rows {
                        for k in 0..pool.size {
                            let rows = piece_mut(rows, k, row)?;
                            let from = (r * pool.stride + k) * stride * windows.row;
                            let (x, columns) = (x.get(from..)?, stage.columns);
                            if !simd.conv_row(windows, stride, x, w, bias, columns, rows) {
                                single::conv_row(simd, windows, stride, x, w, bias, columns, rows)?;
                            }
                        }
                        for b in 0..bias.len() {
                            let rows = rows.get(b * stage.columns..)?;
                            let channel = GROUP * group + b;
                            let first = first_code(channel, r);
                            finish_row(simd, stage, rows, row, channel, r, y, codes, first)?;
                        }
                    }
                }
            }
            Op::Linear => {
                let outputs = y.get_mut(..map.channels)?;
                if !simd.linear_rows(w, bias, x, outputs) {
                    single::linear_rows(simd, w, bias, x, outputs);
                }
                if stage.relu {
                    for (i, y) in outputs.iter_mut().enumerate() {
                        *y = if *y < 0.0 { 0.0 } else { *y };
                        write_code(codes, stage.code_width(), i, usize::from(*y > 0.0));
                    }
                }
                if map.margin > 0 {
                    // Makes room for the zeros around each value, from the last one on: no value moves down.
                    for o in (0..map.channels).rev() {
                        let value = core::mem::take(y.get_mut(o)?);
                        *y.get_mut(map.at(o, 0, 0))? = value;
                    }
                }
            }
            Op::Identity => {
                let input = stage.input;
                let step = stage.pool.unwrap_or(NO_POOL).stride;
                for channel in 0..map.channels {
                    for r in 0..map.alive_rows {
                        let rows = x.get(input.at(channel, r * step, 0)..)?;
                        let (pitch, first) = (input.columns, first_code(channel, r));
                        finish_row(simd, stage, rows, pitch, channel, r, y, codes, first)?;
                    }
                }
            }
            Op::Dropout { probability } => {
                for channel in 0..map.channels {
                    for r in 0..map.alive_rows {
                        let from = x.get(stage.input.at(channel, r, 0)..)?;
                        let to = y.get_mut(map.at(channel, r, 0)..)?;
                        copy_row(sample, stage, probability, channel, r, from, to)?;
                    }
                }
            }
            Op::Depthwise { kernel, stride } => Depthwise {
                kernel,
                stride,
                input: stage.input,
                output: map,
            }
            .forward_single(simd, w, bias, x, y)?,
            Op::AveragePool(pool) => average_pool::forward::<1>(pool, stage.input, map, x, y)?,
            Op::Activation(kind) => activation::forward::<1>(kind, stage.input, map, x, y)?,
        }
        Some(())
    }
}

/// The sample's bytes as normalised values; what is outside the image becomes zero.
#[inline(always)]
fn load_pixels<S: Simd>(simd: S, sample: &Sample<'_>, map: Map, x: &mut [f32]) -> Option<()> {
    let samples = &sample.batch.samples;
    let (shape, normalisation) = (sample.plan.shape, samples.normalisation);
    let bytes = samples
        .pixels
        .get(sample.index as usize * shape.len()..)?
        .get(..shape.len())?;
    if map.margin > 0 || map.alive_len() < map.len() {
        x.fill(0.0);
    }
    for channel in 0..map.channels {
        for r in 0..map.alive_rows {
            let from = bytes.get((channel * shape.rows + r) * shape.columns..)?;
            let to = x.get_mut(map.at(channel, r, 0)..)?;
            let (scale, offset) = (normalisation.scale, normalisation.offset);
            let to = to.get_mut(..map.alive_columns)?;
            if !simd.load_row(from, scale, offset, to) {
                single::load_row(simd, from, scale, offset, to);
            }
        }
    }
    Some(())
}

/// Pools and activates row `r` of a channel's output: `rows` begins with the first window's first pixel and goes on after
/// `pitch` floats with the next row of the windows. Its codes begin with number `first`.
#[inline(always)]
fn finish_row<S: Simd>(
    simd: S,
    stage: &Stage,
    rows: &[f32],
    pitch: usize,
    channel: usize,
    r: usize,
    y: &mut [f32],
    codes: &mut [f32],
    first: usize,
) -> Option<()> {
    let map = stage.output;
    let pool = stage.pool.unwrap_or(NO_POOL);
    let y = y
        .get_mut(map.at(channel, r, 0)..)?
        .get_mut(..map.alive_columns)?;
    if pool.size == 2 && pool.stride == 2 && stage.relu {
        let lower = rows.get(pitch..)?;
        if simd.pool_positive(rows, lower, y, codes, first) {
            return Some(());
        }
        // A NaN: once more, and let it win.
        for c in 0..y.len() {
            clear_code(codes, stage.code_width(), first + c);
        }
    }
    if stage.pool.is_none() && stage.relu {
        if simd.relu_row(rows.get(..y.len())?, y, codes, first) {
            return Some(());
        }
        for c in 0..y.len() {
            clear_code(codes, stage.code_width(), first + c);
        }
    }
    let width = stage.code_width();
    let mut finish = |c: usize, y: &mut f32, best: f32, winner: usize| {
        *y = if stage.relu && best < 0.0 { 0.0 } else { best };
        if !stage.relu {
            write_code(codes, width, first + c, winner);
        } else if *y > 0.0 {
            write_code(codes, width, first + c, winner + 1);
        }
    };
    if pool.size == 1 {
        for (c, (y, value)) in y
            .iter_mut()
            .zip(rows.iter().step_by(pool.stride.max(1)))
            .enumerate()
        {
            finish(c, y, *value, 0);
        }
    } else {
        for (c, y) in y.iter_mut().enumerate() {
            let (mut best, mut winner) = (*rows.get(c * pool.stride)?, 0);
            for u in 0..pool.size {
                let row = rows.get(u * pitch + c * pool.stride..)?.get(..pool.size)?;
                for (v, value) in row.iter().enumerate() {
                    if u + v > 0 && (*value > best || value.is_nan()) {
                        (best, winner) = (*value, u * pool.size + v);
                    }
                }
            }
            finish(c, y, best, winner);
        }
    }
    Some(())
}

/// One row through dropout, either way.
fn copy_row(
    sample: &Sample<'_>,
    stage: &Stage,
    probability: f32,
    channel: usize,
    r: usize,
    from: &[f32],
    to: &mut [f32],
) -> Option<()> {
    let map = stage.output;
    let to = to.get_mut(..map.alive_columns)?;
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    if let Some(key) = sample.batch.dropout {
        let first = (channel * map.alive_rows + r) * map.alive_columns;
        let index = [sample.index];
        dropout::scale(key, stage.layer, probability, 1, &index, first, to);
    }
    Some(())
}

/// A stage's backward pass.
struct Backward<'a> {
    sample: &'a Sample<'a>,
    stage: &'a Stage,
    /// Whether anything reads the gradient of the stage's input.
    input_gradient: bool,
    gradient: &'a mut [f32],
    parts: Parts<'a>,
}

impl Kernel for Backward<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<()> {
        let Backward {
            sample,
            stage,
            input_gradient,
            gradient,
            parts,
        } = self;
        let Parts {
            x,
            codes,
            y: dy,
            scratch,
        } = parts;
        let (weights, biases) = split_parameters(stage);
        let w = sample.parameters.get(weights.clone())?;
        let (dw, db) = gradient
            .get_mut(weights.start..biases.end)?
            .split_at_mut_checked(weights.len())?;
        match stage.op {
            Op::Conv2d { kernel, stride } => {
                let windows = stage.windows(kernel);
                let terms = windows.terms()?;
                let pixels = Pixels {
                    stage,
                    stride,
                    dy,
                    codes,
                };
                for (o, db) in db.iter_mut().enumerate() {
                    let dw = piece_mut(dw, o, terms)?;
                    pixels.visit(simd, o, scratch, |pixels| {
                        for pixel in pixels.as_chunks::<2>().0 {
                            *db += pixel[1];
                        }
                        if simd.conv_weight_gradient(windows, pixels, x, dw) {
                            return Some(());
                        }
                        single::conv_weight_gradient(simd, windows, pixels, x, dw)
                    })?;
                }
                if input_gradient {
                    x.fill(0.0);
                    for o in 0..stage.output.channels {
                        let w = piece(w, o, terms)?;
                        pixels.visit(simd, o, scratch, |pixels| {
                            if simd.conv_input_gradient(windows, pixels, w, x) {
                                return Some(());
                            }
                            single::conv_input_gradient(simd, windows, pixels, w, x)
                        })?;
                    }
                }
            }
            Op::Linear => {
                let inputs = x.len();
                let map = stage.output;
                if map.margin > 0 {
                    for o in 0..map.channels {
                        *dy.get_mut(o)? = *dy.get(map.at(o, 0, 0))?;
                    }
                }
                let dy = dy.get_mut(..map.channels)?;
                if stage.relu {
                    for (i, dy) in dy.iter_mut().enumerate() {
                        if read_code(codes, stage.code_width(), i) == 0 {
                            *dy = 0.0;
                        }
                    }
                }
                for (o, (db, dy)) in db.iter_mut().zip(dy.iter()).enumerate() {
                    if *dy != 0.0 {
                        *db += dy;
                        add_scaled(simd, *dy, x, piece_mut(dw, o, inputs)?);
                    }
                }
                if input_gradient {
                    x.fill(0.0);
                    for (o, dy) in dy.iter().enumerate() {
                        if *dy != 0.0 {
                            add_scaled(simd, *dy, piece(w, o, inputs)?, x);
                        }
                    }
                }
            }
            Op::Depthwise { kernel, stride } => {
                let task = Depthwise {
                    kernel,
                    stride,
                    input: stage.input,
                    output: stage.output,
                };
                task.weight_gradient_single(simd, x, dy, dw, db)?;
                if input_gradient {
                    task.input_gradient_single(simd, w, dy, x)?;
                }
            }
            _ if !input_gradient => {}
            Op::AveragePool(pool) => {
                average_pool::backward::<1>(pool, stage.input, stage.output, dy, x)?;
            }
            Op::Activation(kind) => {
                let (from, to) = (stage.output, stage.input);
                for channel in 0..to.channels {
                    for r in 0..to.alive_rows {
                        let dy = dy.get(from.at(channel, r, 0)..)?;
                        let x = x.get_mut(to.at(channel, r, 0)..)?;
                        for (x, dy) in x.iter_mut().zip(dy).take(to.alive_columns) {
                            *x = kind.gradient(simd, *x, *dy);
                        }
                    }
                }
            }
            Op::Identity => {
                x.fill(0.0);
                let (map, input, width) = (stage.output, stage.input, stage.code_width());
                let pool = stage.pool.unwrap_or(NO_POOL);
                for channel in 0..map.channels {
                    for r in 0..map.alive_rows {
                        for c in 0..map.alive_columns {
                            let place = (channel * map.alive_rows + r) * map.alive_columns + c;
                            let g = *dy.get(map.at(channel, r, c))?;
                            for u in 0..pool.size {
                                if let Some(v) =
                                    winner(codes, width, stage.relu, pool.size, u, place)
                                {
                                    let (row, column) = (r * pool.stride + u, c * pool.stride + v);
                                    *x.get_mut(input.at(channel, row, column))? += g;
                                }
                            }
                        }
                    }
                }
            }
            Op::Dropout { probability } => {
                let map = stage.output;
                for channel in 0..map.channels {
                    for r in 0..map.alive_rows {
                        let from = dy.get(map.at(channel, r, 0)..)?;
                        let to = x.get_mut(stage.input.at(channel, r, 0)..)?;
                        copy_row(sample, stage, probability, channel, r, from, to)?;
                    }
                }
            }
        }
        Some(())
    }
}

/// `y += a x`.
#[inline(always)]
fn add_scaled<S: Simd>(simd: S, a: f32, x: &[f32], y: &mut [f32]) {
    if !simd.add_scaled(a, x, y) {
        single::add_scaled(simd, a, x, y);
    }
}

/// The column, in row `u` of its window, of the pixel that output `place` has its value from; `None` if that is in another
/// row or the activation is off.
#[inline(always)]
fn winner(
    codes: &[f32],
    width: usize,
    relu: bool,
    size: usize,
    u: usize,
    place: usize,
) -> Option<usize> {
    let code = if width > 0 {
        read_code(codes, width, place)
    } else {
        0
    };
    let column = code.wrapping_sub(usize::from(relu) + u * size);
    (column < size).then_some(column)
}

/// The pixels of a convolution's own output that have a gradient.
struct Pixels<'a> {
    stage: &'a Stage,
    stride: usize,
    dy: &'a [f32],
    codes: &'a [f32],
}

impl Pixels<'_> {
    /// Calls `work` with lists of the pixels of a channel, row-major: as many in a list as fit into `scratch`.
    #[inline(always)]
    fn visit<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        scratch: &mut [f32],
        mut work: impl FnMut(&[f32]) -> Option<()>,
    ) -> Option<()> {
        let Pixels {
            stage,
            stride,
            dy,
            codes,
        } = *self;
        let map = stage.output;
        let pool = stage.pool.unwrap_or(NO_POOL);
        // Windows that overlap: a pixel has the gradients of all that it won, added first.
        let overlap = pool.stride < pool.size;
        let (line, list) = scratch.split_at_mut_checked(if overlap { stage.columns } else { 0 })?;
        let list = list.as_chunks_mut::<2>().0;
        let (width, relu) = (stage.code_width(), stage.relu);
        let mut count = 0;
        if overlap {
            let mut push =
                |list: &mut [[f32; 2]], row: usize, column: usize, g: f32| -> Option<()> {
                    let place = row * stride * stage.input.columns + column * stride;
                    if count == list.len() {
                        work(list.as_flattened())?;
                        count = 0;
                    }
                    *list.get_mut(count)? = [f32::from_bits(place as u32), g];
                    count += 1;
                    Some(())
                };
            for row in 0..stage.rows {
                line.fill(0.0);
                for r in 0..map.alive_rows {
                    let Some(k) = row.checked_sub(r * pool.stride) else {
                        continue;
                    };
                    if k >= pool.size {
                        continue;
                    }
                    for c in 0..map.alive_columns {
                        let place = (channel * map.alive_rows + r) * map.alive_columns + c;
                        if let Some(v) = winner(codes, width, relu, pool.size, k, place) {
                            *line.get_mut(c * pool.stride + v)? += dy.get(map.at(channel, r, c))?;
                        }
                    }
                }
                for (column, g) in line.iter().enumerate() {
                    if *g != 0.0 {
                        push(list, row, column, *g)?;
                    }
                }
            }
        } else {
            for r in 0..map.alive_rows {
                let dy = dy.get(map.at(channel, r, 0)..)?.get(..map.alive_columns)?;
                let first = (channel * map.alive_rows + r) * map.alive_columns;
                if list.len() - count < pool.size * dy.len() {
                    work(list.get(..count)?.as_flattened())?;
                    count = 0;
                }
                let winners = Winners {
                    width,
                    first,
                    base: usize::from(relu),
                    rows: pool.size,
                    columns: pool.size,
                    place: r * pool.stride * stride * stage.input.columns,
                    row: stride * stage.input.columns,
                    step: pool.stride * stride,
                    pixel: stride,
                };
                let free = list.get_mut(count..)?;
                count += match simd.pixels(winners, dy, codes, free) {
                    Some(count) => count,
                    None => single::pixels(winners, dy, codes, free)?,
                };
            }
        }
        if count > 0 {
            work(list.get(..count)?.as_flattened())?;
        }
        Some(())
    }
}
