//! One sample at a time (`LANES` = 1), in as little memory as possible: what a microcontroller
//! runs.
//!
//! The same sums in the same order as in blocks of lanes, so the same bits; but
//!
//! * only pixels whose gradient is not zero take part in the backward pass: after a max-pool and a
//!   relu those are few;
//! * the gradient of a map takes the place of the map, once its values have been used. What the
//!   backward pass needs to know of a stage's own output (which pixel won its window, and whether
//!   the activation let it through) was written down as a code of a few bits;
//! * the scratch memory of a stage is that of the stages behind it, which hold nothing yet, or
//!   nothing any more;
//! * nothing can panic: every length is checked, and one that does not fit ends the pass with
//!   `None`.
//!
//! The work comes in pieces, one stage forward or backward, so that other duties can be done in
//! between: [`SteppedGradient`].

use super::sample::Sample;
use super::stream::Turn;
use super::target::sample_loss;
use crate::batch::{Batch, Metrics, PassError};
use crate::network::Network;

/// How far a pass over a batch has come. A piece is one stage of one sample, forward or backward.
///
/// ```
/// use secant::network::presets::MICRO;
/// use secant::{Batch, Normalisation, SteppedGradient, Samples};
///
/// let samples = Samples::bytes(&[0; 2 * 784], &[3, 1], Normalisation::UNIT);
/// let batch = Batch::new(samples, &[0, 1]).weight(0.5);
/// let parameters = [0.1; MICRO.parameter_count()];
/// let mut gradient = [0.0; MICRO.parameter_count()];
/// let mut workspace = [0.0; MICRO.workspace_len(1)];
///
/// let mut steps = SteppedGradient::new();
/// let metrics = loop {
///     // A control loop's duties come here: a piece of MICRO is at most 115,200 multiply-accumulates.
///     if let Some(metrics) = steps.advance(&MICRO, &parameters, batch, &mut gradient, &mut workspace)? {
///         break metrics;
///     }
/// };
/// assert_eq!(metrics.count, 2);
/// # Ok::<(), secant::PassError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SteppedGradient {
    sample: usize,
    piece: usize,
    metrics: Metrics,
}

impl SteppedGradient {
    /// Before the first piece.
    pub const fn new() -> SteppedGradient {
        SteppedGradient {
            sample: 0,
            piece: 0,
            metrics: Metrics::NONE,
        }
    }

    /// Does one piece of [`Network::accumulate_gradient`] with one lane: the same bits. Returns the
    /// sums over the batch when it was the last, and then starts over. Between two calls all
    /// arguments must stay as they are.
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
    ) -> Result<Option<Metrics>, PassError> {
        let needed = (network.workspace_len(1), workspace.len());
        if self.sample == 0 && self.piece == 0 {
            network.check::<1>(parameters, &batch, needed)?;
            network.check_gradient(gradient)?;
        }
        self.piece(network, parameters, &batch, gradient, workspace)
            .ok_or(PassError::Workspace {
                expected: needed.0,
                found: needed.1,
            })
    }

    fn piece<const N: usize>(
        &mut self,
        network: &Network<'_, N>,
        parameters: &[f32],
        batch: &Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
    ) -> Option<Option<Metrics>> {
        let Some(index) = batch.indices.get(self.sample) else {
            let metrics = self.metrics;
            *self = SteppedGradient::new();
            return Some(Some(metrics));
        };
        let plan = network.plan();
        let (count, first) = (plan.stages.len(), plan.first_kept);
        let sample = Sample {
            plan,
            loss: network.loss(),
            parameters,
            batch,
            index: *index,
        };
        if self.piece < count {
            sample.forward(self.piece, workspace)?;
            self.piece += 1;
            if self.piece == count {
                self.metrics += sample.finish(workspace, Some(batch.weight))?;
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
            let metrics = self.metrics;
            *self = SteppedGradient::new();
            return Some(Some(metrics));
        }
        Some(None)
    }
}

impl<const N: usize> Network<'_, N> {
    /// [`Network::accumulate_gradient`] with one lane; the arguments have been checked.
    pub(super) fn gradient_of_singles(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
    ) -> Option<Metrics> {
        let mut steps = SteppedGradient::new();
        loop {
            if let Some(metrics) = steps.piece(self, parameters, batch, gradient, workspace)? {
                return Some(metrics);
            }
        }
    }

    /// Forward pass of one sample, without what a backward pass would need; returns the network's
    /// output. The arguments have been checked.
    pub(super) fn forward_single<'w>(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        index: u32,
        workspace: &'w mut [f32],
    ) -> Option<&'w mut [f32]> {
        self.sample(parameters, batch, index)
            .stream(&mut [Turn::NONE; N], workspace)
    }

    /// The same, with all maps kept.
    pub(super) fn kept_single<'w>(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        index: u32,
        workspace: &'w mut [f32],
    ) -> Option<&'w mut [f32]> {
        let sample = self.sample(parameters, batch, index);
        for s in 0..sample.plan.stages.len() {
            sample.forward(s, workspace)?;
        }
        sample.output(workspace)
    }

    /// A sample on its way.
    fn sample<'a>(&'a self, parameters: &'a [f32], batch: &'a Batch<'a>, index: u32) -> Sample<'a> {
        Sample {
            plan: self.plan(),
            loss: self.loss(),
            parameters,
            batch,
            index,
        }
    }

    /// [`Network::evaluate`] with one lane; the arguments have been checked.
    pub(super) fn evaluate_singles(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        workspace: &mut [f32],
    ) -> Option<Metrics> {
        let mut metrics = Metrics::default();
        for index in batch.indices {
            let logits = self.forward_single(parameters, batch, *index, workspace)?;
            metrics += sample_loss(self.loss(), batch, *index, logits, 1, 0, None)?;
        }
        Some(metrics)
    }
}
