//! Where the state of each layer lies in the caller's memory.

use super::settings::SecondMoment;
use crate::plan::Plan;
use crate::plan::stage::Stage;

/// Rows of at most this length keep the whole eigenbasis of their second moment.
pub(super) const SMALL: usize = 16;

/// One layer with parameters: sizes, and where its state begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// Rows of the weight matrix.
    pub outputs: usize,
    /// Columns with the bias: `n`.
    pub n: usize,
    /// Pairs.
    pub m: usize,
    /// Where the parameters begin.
    pub parameters: usize,
    /// Where the state begins in the memory.
    pub memory: usize,
}

/// The parts of a layer's state.
pub(super) struct State<'a> {
    /// m rows of length n, orthonormal.
    pub v: &'a mut [f32],
    /// m eigenvalues.
    pub l: &'a mut [f32],
    /// Trace of the second moment, one number.
    pub trace: &'a mut f32,
    /// Momentum of the preconditioned gradient, outputs x n.
    pub momentum: &'a mut [f32],
    /// Second moments: outputs; outputs x n; or outputs, then n.
    pub second: &'a mut [f32],
}

impl Block {
    /// Pairs of a layer of row length n under a limit of `m`, at most [`SMALL`].
    pub const fn pairs(n: usize, m: usize) -> usize {
        if m == 0 {
            0
        } else if n <= SMALL {
            n
        } else {
            m
        }
    }

    /// That of `stage`, whose state begins at `memory`.
    pub const fn of(stage: &Stage, m: usize, memory: usize) -> Block {
        let n = stage.row_len();
        Block {
            outputs: stage.outputs(),
            n,
            m: Block::pairs(n, m),
            parameters: stage.parameters,
            memory,
        }
    }

    const fn second_len(&self, kind: SecondMoment) -> usize {
        match kind {
            SecondMoment::Row => self.outputs,
            SecondMoment::Element => self.outputs * self.n,
            SecondMoment::Factored => self.outputs + self.n,
        }
    }

    /// Floats of state.
    pub const fn memory_len(&self, kind: SecondMoment) -> usize {
        // Parameters are at most 2^28; 32 bits may not hold a multiple of them.
        let pairs = self.m.saturating_mul(self.n.saturating_add(1));
        let momentum = self.outputs * self.n + 1 + self.second_len(kind);
        pairs.saturating_add(momentum)
    }

    /// Floats of scratch that a refresh needs: the sketch, two m x m matrices, a row.
    pub const fn scratch_len(&self) -> usize {
        if self.m == 0 {
            0
        } else {
            let sketch = self.m.saturating_mul(self.n).saturating_add(self.n);
            sketch.saturating_add(2 * self.m * self.m)
        }
    }

    /// The layer's state within the whole memory.
    pub fn state<'a>(&self, kind: SecondMoment, memory: &'a mut [f32]) -> Option<State<'a>> {
        let memory = memory.get_mut(self.memory..)?;
        let (v, memory) = memory.split_at_mut_checked(self.m * self.n)?;
        let (l, memory) = memory.split_at_mut_checked(self.m)?;
        let (trace, memory) = memory.split_first_mut()?;
        let (momentum, memory) = memory.split_at_mut_checked(self.outputs * self.n)?;
        let second = memory.get_mut(..self.second_len(kind))?;
        Some(State {
            v,
            l,
            trace,
            momentum,
            second,
        })
    }

    /// The blocks of the layers with parameters, in order.
    pub fn all(stages: &[Stage], kind: SecondMoment, m: usize) -> impl Iterator<Item = Block> {
        let mut memory = 0;
        let layers = stages.iter().filter(|stage| stage.outputs() > 0);
        layers.map(move |stage| {
            let block = Block::of(stage, m, memory);
            memory += block.memory_len(kind);
            block
        })
    }

    /// The block of stage `index` of `stages`, which has parameters.
    pub fn of_stage(stages: &[Stage], index: usize, kind: SecondMoment, m: usize) -> Option<Block> {
        let (before, rest) = stages.split_at_checked(index)?;
        let stage = rest.first().filter(|stage| stage.outputs() > 0)?;
        let memory = Block::all(before, kind, m).map(|block| block.memory_len(kind));
        Some(Block::of(stage, m, memory.sum()))
    }
}

/// Floats of state for a network's trained layers.
pub(super) const fn memory_len(plan: &Plan<'_>, kind: SecondMoment, m: usize) -> usize {
    let (mut total, mut s) = (0, plan.first_trained);
    while s < plan.stages.len() {
        if plan.stages[s].outputs() > 0 {
            let own = Block::of(&plan.stages[s], m, 0).memory_len(kind);
            total = usize::saturating_add(total, own);
        }
        s += 1;
    }
    total
}

/// The most floats of scratch that a trained layer's refresh needs.
pub(super) const fn scratch_len(plan: &Plan<'_>, m: usize) -> usize {
    let (mut most, mut s) = (0, plan.first_trained);
    while s < plan.stages.len() {
        if plan.stages[s].outputs() > 0 {
            let len = Block::of(&plan.stages[s], m, 0).scratch_len();
            most = if len > most { len } else { most };
        }
        s += 1;
    }
    most
}
