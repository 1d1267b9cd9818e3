//! The stages seen from outside: what reports and benches ask for.

use super::lanes::Pass;
use crate::batch::{Batch, PassError};
use crate::layers::memory::Passes;
use crate::network::Network;

/// A stage for reports: a convolution, linear or other layer with the activation and the pool that
/// are computed with it.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageInfo {
    /// Its layers.
    pub layers: core::ops::Range<usize>,
    /// Multiply-accumulates of one sample in each of its passes, those that no result needs left
    /// out.
    pub multiply_accumulates: usize,
    /// Those passes: forward and, unless it is frozen, weight gradient and, if an earlier one is
    /// trained, input gradient.
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

    /// Runs one pass of stage `s` on what the last call with the same workspace has left there. Not
    /// for single lanes, which have kernels of their own.
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
        // Twice the lanes of single samples, since this is not for them.
        let lanes = if LANES == 1 { 2 } else { LANES };
        let needed = (self.workspace_len(lanes), workspace.len());
        self.check::<LANES>(parameters, &batch, needed)?;
        self.check_gradient(gradient)?;
        let plan = self.plan();
        let mut blocks = Pass::<LANES>::new(plan, self.loss(), parameters, workspace);
        let first = plan.first_trained;
        let passes = |weight_gradient, input_gradient| Passes {
            weight_gradient,
            fresh: false,
            input_gradient,
        };
        match pass {
            StagePass::Forward => blocks.stage_forward(s, &batch),
            StagePass::WeightGradient if s >= first => {
                blocks.stage_backward(s, &batch, gradient, passes(true, false));
            }
            StagePass::InputGradient if s > first => {
                blocks.stage_backward(s, &batch, gradient, passes(false, true));
            }
            _ => {}
        }
        Ok(())
    }
}
