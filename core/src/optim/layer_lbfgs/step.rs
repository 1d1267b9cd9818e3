//! The step of the layers, once their pairs are known.

use super::compact::{Basis, TAILS};
use super::layout::{Block, State};
use super::metric::Metric;
use super::row::{Divisor, Rows};
use super::settings::{LayerLbfgsConfig, SecondMoment};
use crate::arch::single::piece_mut;
use crate::arch::{Kernel, Simd, dispatch};
use crate::math;
use crate::optim::adam::AdamStep;
use crate::plan::stage::Stage;
use crate::vector;

/// The step of all layers, compiled once for all `m`.
pub(super) fn step_layers(
    m: usize,
    config: &LayerLbfgsConfig,
    step: &AdamStep,
    stages: &[Stage],
    parameters: &mut [f32],
    gradient: &mut [f32],
    memory: &mut [f32],
) {
    for block in Block::all(stages, config.second_moment, m) {
        // Lengths were checked, so there is a state, and a row for each output.
        let _ = block
            .state(config.second_moment, memory)
            .and_then(|state| step_layer(config, step, &block, state, parameters, gradient));
    }
}

fn step_layer(
    config: &LayerLbfgsConfig,
    step: &AdamStep,
    block: &Block,
    state: State<'_>,
    parameters: &mut [f32],
    gradient: &mut [f32],
) -> Option<()> {
    let (n, outputs, begin) = (block.n, block.outputs, block.parameters);
    let rows = Rows {
        begin,
        biases: begin + outputs * (n - 1),
        n,
    };
    let range = begin..begin + outputs * n;
    if step.coupled != 0.0 {
        let decayed = parameters.get(range.clone())?;
        vector::axpy(step.coupled, decayed, gradient.get_mut(range)?);
    }
    let metric = Metric::root(n, state.l, *state.trace, config.damping);
    dispatch(Step {
        kind: config.second_moment,
        step,
        outputs,
        rows,
        metric: metric.as_ref(),
        state,
        parameters,
        gradient,
    })
}

/// Multiplies `vector`, which lies as the parameters do, by the layers' matrices, as
/// [`step_layers`] would without momentum and with second moments as they are.
pub(super) fn precondition_layers(
    m: usize,
    config: &LayerLbfgsConfig,
    correction: f32,
    stages: &[Stage],
    vector: &mut [f32],
    memory: &mut [f32],
) {
    for block in Block::all(stages, config.second_moment, m) {
        // Lengths were checked, so there is a state, and a row for each output.
        let _ = block.state(config.second_moment, memory).and_then(|state| {
            let metric = Metric::root(block.n, state.l, *state.trace, config.damping);
            dispatch(Precondition {
                config,
                correction,
                block: &block,
                metric: metric.as_ref(),
                state,
                vector,
            })
        });
    }
}

/// Multiplies a layer's part of a vector by the layer's matrix.
struct Precondition<'a> {
    config: &'a LayerLbfgsConfig,
    correction: f32,
    block: &'a Block,
    /// `None` stands for the identity.
    metric: Option<&'a Metric>,
    state: State<'a>,
    vector: &'a mut [f32],
}

impl Kernel for Precondition<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<()> {
        let Block { outputs, n, .. } = *self.block;
        let begin = self.block.parameters;
        let rows = Rows {
            begin,
            biases: begin + outputs * (n - 1),
            n,
        };
        let mut tails = TAILS;
        let v = Basis::new(simd, n, self.state.v, &mut tails);
        let kind = self.config.second_moment;
        let mut divisor = Divisor::new(kind, outputs, self.state.second);
        divisor.finish();
        for i in 0..outputs {
            let mut row = rows.open(self.vector, [i])?;
            if let Some(metric) = self.metric {
                metric.apply(simd, &v, &mut row);
            }
            for (k, x) in row[0].iter_mut().enumerate() {
                let moment = self.correction * divisor.moment(i, k, n);
                *x /= math::sqrt(moment) + self.config.epsilon;
            }
            if let Some(metric) = self.metric {
                metric.apply(simd, &v, &mut row);
            }
            rows.close(self.vector, [i])?;
        }
        Some(())
    }
}

/// A layer's step: its gradient becomes the direction, along which its parameters move.
struct Step<'a> {
    kind: SecondMoment,
    step: &'a AdamStep,
    outputs: usize,
    rows: Rows,
    /// `None` stands for the identity.
    metric: Option<&'a Metric>,
    state: State<'a>,
    parameters: &'a mut [f32],
    gradient: &'a mut [f32],
}

impl Kernel for Step<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<()> {
        let Step {
            kind,
            step,
            outputs,
            rows,
            metric,
            state,
            parameters,
            gradient,
        } = self;
        let State {
            v,
            momentum,
            second,
            ..
        } = state;
        let mut tails = TAILS;
        let mut layer = Layer {
            step,
            rows,
            metric,
            v: Basis::new(simd, rows.n, v, &mut tails),
            divisor: Divisor::new(kind, outputs, second),
            momentum,
            parameters,
        };
        layer.divisor.begin(step);
        // Moments of columns are complete only after the last row.
        let turns: &[Turn] = if kind == SecondMoment::Factored {
            &[Turn::Learn, Turn::Divide]
        } else {
            &[Turn::Both]
        };
        // Two rows at a time, which lie apart.
        let apart = if S::WIDTH == 1 || outputs < 4 {
            0
        } else {
            outputs / 2
        };
        for turn in turns {
            if *turn == Turn::Divide {
                layer.divisor.finish();
            }
            // The sums of the columns take the rows in order.
            let apart = if *turn == Turn::Learn { 0 } else { apart };
            for i in 0..apart {
                layer.turn(simd, *turn, [i, i + apart], gradient)?;
            }
            for i in 2 * apart..outputs {
                layer.turn(simd, *turn, [i], gradient)?;
            }
        }
        Some(())
    }
}

/// What is done to the rows before going on to the next.
#[derive(Clone, Copy, PartialEq)]
enum Turn {
    /// All up to the second moments.
    Learn,
    /// All from them on.
    Divide,
    Both,
}

struct Layer<'a> {
    step: &'a AdamStep,
    rows: Rows,
    metric: Option<&'a Metric>,
    v: Basis<'a>,
    divisor: Divisor<'a>,
    momentum: &'a mut [f32],
    parameters: &'a mut [f32],
}

impl Layer<'_> {
    #[inline(always)]
    fn turn<S: Simd, const R: usize>(
        &mut self,
        simd: S,
        turn: Turn,
        places: [usize; R],
        gradient: &mut [f32],
    ) -> Option<()> {
        let (step, n) = (self.step, self.rows.n);
        let mut rows = self.rows.open(gradient, places)?;
        if turn != Turn::Divide {
            self.precondition(simd, &mut rows);
            for (i, row) in places.into_iter().zip(&rows) {
                self.divisor.learn(simd, step, i, row);
            }
        }
        if turn != Turn::Learn {
            for (i, row) in places.into_iter().zip(&mut rows) {
                let momentum = piece_mut(self.momentum, i, n)?;
                self.divisor.divide(simd, step, i, row, momentum);
            }
            self.precondition(simd, &mut rows);
            for (i, row) in places.into_iter().zip(&rows) {
                // While the row is in the first cache.
                self.rows.advance(simd, step, i, row, self.parameters)?;
            }
        }
        self.rows.close(gradient, places)
    }

    /// The rows times P.
    #[inline(always)]
    fn precondition<S: Simd, const R: usize>(&self, simd: S, rows: &mut [&mut [f32]; R]) {
        if let Some(metric) = self.metric {
            metric.apply(simd, &self.v, rows);
        }
    }
}
