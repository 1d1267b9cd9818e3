//! The step of the layers, once their pairs are known.

use core::slice;

use super::compact::{Basis, TAILS};
use super::layout::{Block, State};
use super::metric::Metric;
use super::row::{Divisor, Rows, take};
use super::settings::{LayerLbfgsConfig, SecondMoment};
use crate::arch::single::piece_mut;
use crate::arch::{Kernel, Simd, dispatch};
use crate::math;
use crate::optim::adam::AdamStep;
use crate::plan::stage::Stage;

/// A step of [`LayerLbfgs`](super::LayerLbfgs) as parts that may be applied in any order, and by
/// several threads: see [`LayerLbfgs::parts`](super::LayerLbfgs::parts). Compiled once for all `m`.
#[derive(Debug)]
#[must_use = "without its parts the step is not done"]
pub struct LayerParts<'a> {
    pub(super) m: usize,
    pub(super) config: LayerLbfgsConfig,
    pub(super) step: AdamStep,
    /// Parameters that a part should have.
    pub(super) len: usize,
    /// The stages whose rows nobody has, and what belongs to them.
    pub(super) stages: slice::Iter<'a, Stage>,
    pub(super) parameters: &'a mut [f32],
    pub(super) gradient: &'a mut [f32],
    pub(super) memory: &'a mut [f32],
    /// Where these parameters and their gradient begin.
    pub(super) begin: usize,
    /// What is left of a layer.
    pub(super) layer: Option<LayerPart<'a>>,
}

impl<'a> LayerParts<'a> {
    /// All rows of the next layer with parameters.
    fn next_layer(&mut self) -> Option<LayerPart<'a>> {
        let (m, kind) = (self.m, self.config.second_moment);
        let stage = self.stages.find(|stage| stage.outputs() > 0)?;
        let block = Block::of(stage, m, 0);
        let before = block.parameters.checked_sub(self.begin)?;
        let len = block.outputs * block.n;
        let state = take(&mut self.memory, 0, block.memory_len(kind))?;
        let parameters = take(&mut self.parameters, before, len)?;
        let gradient = take(&mut self.gradient, before, len)?;
        self.begin = block.parameters + len;
        let State {
            v,
            l,
            trace,
            momentum,
            second,
        } = block.state(kind, state)?;
        Some(LayerPart {
            kind,
            damping: self.config.damping,
            step: self.step,
            rows: block.outputs,
            n: block.n,
            v,
            l,
            trace: *trace,
            momentum,
            second,
            parameters: Rows::new(block.outputs, block.n, parameters)?,
            gradient: Rows::new(block.outputs, block.n, gradient)?,
        })
    }
}

impl<'a> Iterator for LayerParts<'a> {
    type Item = LayerPart<'a>;

    fn next(&mut self) -> Option<LayerPart<'a>> {
        if self.layer.is_none() {
            self.layer = Some(self.next_layer()?);
        }
        let layer = self.layer.as_mut()?;
        // A row alone has no place for its bias; moments of columns are sums over all rows.
        let count = (self.len / layer.n.max(1)).max(2);
        if layer.rows < count.saturating_add(2) || layer.kind == SecondMoment::Factored {
            return self.layer.take();
        }
        layer.cut(count)
    }
}

/// A part of a step: some rows of a layer.
#[derive(Debug)]
#[must_use = "without it the step is not done"]
pub struct LayerPart<'a> {
    kind: SecondMoment,
    damping: f32,
    step: AdamStep,
    rows: usize,
    /// Their length.
    n: usize,
    /// What all rows of the layer share: see [`State`].
    v: &'a [f32],
    l: &'a [f32],
    trace: f32,
    momentum: &'a mut [f32],
    second: &'a mut [f32],
    parameters: Rows<'a>,
    gradient: Rows<'a>,
}

impl<'a> LayerPart<'a> {
    /// Takes the first `count` rows.
    fn cut(&mut self, count: usize) -> Option<LayerPart<'a>> {
        let moments = match self.kind {
            SecondMoment::Element => count * self.n,
            _ => count,
        };
        self.rows = self.rows.checked_sub(count)?;
        Some(LayerPart {
            rows: count,
            momentum: take(&mut self.momentum, 0, count * self.n)?,
            second: take(&mut self.second, 0, moments)?,
            parameters: self.parameters.cut(count)?,
            gradient: self.gradient.cut(count)?,
            ..*self
        })
    }

    /// Overwrites the gradient of its rows with the direction, along which the parameters move.
    pub fn apply(mut self) {
        if self.step.coupled != 0.0 {
            self.gradient.add(self.step.coupled, &self.parameters);
        }
        let metric = Metric::root(self.n, self.l, self.trace, self.damping);
        let done = dispatch(Step {
            metric: metric.as_ref(),
            part: self,
        });
        debug_assert!(done.is_some(), "it has the rows that it says");
    }
}

/// Multiplies `vector`, which lies as the parameters do, by the layers' matrices, as a step would
/// without momentum and with second moments as they are.
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
        let vector = self.vector.get_mut(self.block.parameters..)?;
        let mut rows = Rows::new(outputs, n, vector.get_mut(..outputs * n)?)?;
        let mut tails = TAILS;
        let v = Basis::new(simd, n, self.state.v, &mut tails);
        let kind = self.config.second_moment;
        let mut divisor = Divisor::new(kind, outputs, self.state.second);
        divisor.finish();
        for i in 0..outputs {
            let mut row = rows.open([i])?;
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
            rows.close([i])?;
        }
        Some(())
    }
}

/// [`LayerPart::apply`], once the metric is known.
struct Step<'a> {
    /// `None` stands for the identity.
    metric: Option<&'a Metric>,
    part: LayerPart<'a>,
}

impl Kernel for Step<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<()> {
        let Step { metric, part } = self;
        let LayerPart {
            kind,
            rows: outputs,
            n,
            ..
        } = part;
        let step = &part.step;
        let mut tails = TAILS;
        let mut layer = Layer {
            step,
            metric,
            v: Basis::new(simd, n, part.v, &mut tails),
            divisor: Divisor::new(kind, outputs, part.second),
            n,
            momentum: part.momentum,
            parameters: part.parameters,
        };
        let mut gradient = part.gradient;
        layer.divisor.begin(step);
        // Moments of columns are complete only after the last row.
        let turns: &[Turn] = if kind == SecondMoment::Factored {
            &[Turn::Learn, Turn::Divide]
        } else {
            &[Turn::Both]
        };
        // Two rows at a time, so far apart that neither reaches into the other when both are open.
        let apart = if S::WIDTH == 1 || outputs < 4 || n < 3 {
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
                layer.turn(simd, *turn, [i, i + apart], &mut gradient)?;
            }
            for i in 2 * apart..outputs {
                layer.turn(simd, *turn, [i], &mut gradient)?;
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
    metric: Option<&'a Metric>,
    v: Basis<'a>,
    divisor: Divisor<'a>,
    /// Length of a row.
    n: usize,
    momentum: &'a mut [f32],
    parameters: Rows<'a>,
}

impl Layer<'_> {
    #[inline(always)]
    fn turn<S: Simd, const R: usize>(
        &mut self,
        simd: S,
        turn: Turn,
        places: [usize; R],
        gradient: &mut Rows<'_>,
    ) -> Option<()> {
        let (step, n) = (self.step, self.n);
        let mut rows = gradient.open(places)?;
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
                self.parameters.advance(simd, step, i, row)?;
            }
        }
        gradient.close(places)
    }

    /// The rows times P.
    #[inline(always)]
    fn precondition<S: Simd, const R: usize>(&self, simd: S, rows: &mut [&mut [f32]; R]) {
        if let Some(metric) = self.metric {
            metric.apply(simd, &self.v, rows);
        }
    }
}
