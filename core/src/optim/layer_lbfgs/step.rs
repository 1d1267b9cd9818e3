//! The step of the layers, once their pairs are known.

use heapless::Vec;

use super::layout::{Block, State};
use super::metric::{MOST, Metric};
use super::row;
use super::settings::LayerLbfgsConfig;
use crate::optim::adam::AdamStep;
use crate::optim::two_loop::{two_loop, two_loops};
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
    let State {
        v,
        l,
        trace,
        momentum,
        second,
    } = state;
    let metric = Metric::root(n, l, *trace, config.damping);
    let mut pairs = Vec::new();
    if let Some(metric) = &metric {
        metric.pairs(n, v, &mut pairs);
    }
    let biases = begin + outputs * (n - 1);
    // All rows times P. Two at a time, which lie apart, so that their sums do not wait for each
    // other; on a device, which does one thing at a time, that would only take memory.
    let precondition = |gradient: &mut [f32]| {
        let Some(metric) = &metric else {
            return Some(());
        };
        let initial = metric.initial();
        let apart = if cfg!(target_os = "none") || outputs < 4 {
            0
        } else {
            outputs / 2
        };
        for i in 0..apart {
            row::with_biases(gradient, begin, biases, n, [i, i + apart], |rows| {
                let [mut a, mut b] = [[0.0; MOST]; 2];
                two_loops(&pairs, initial, rows, [&mut a, &mut b]);
            })?;
        }
        for i in 2 * apart..outputs {
            row::with_biases(gradient, begin, biases, n, [i], |[row]| {
                two_loop(&pairs, initial, row, &mut [0.0; MOST]);
            })?;
        }
        Some(())
    };
    if step.coupled != 0.0 {
        let range = begin..biases + outputs;
        vector::axpy(
            step.coupled,
            parameters.get(range.clone())?,
            gradient.get_mut(range)?,
        );
    }
    precondition(gradient)?;
    let mut divisor = row::Divisor::new(config.second_moment, outputs, second);
    divisor.begin(step);
    for i in 0..outputs {
        row::with_biases(gradient, begin, biases, n, [i], |[row]| {
            divisor.learn(step, i, row);
        })?;
    }
    divisor.finish(step);
    for (i, momentum) in momentum.chunks_exact_mut(n.max(1)).enumerate() {
        row::with_biases(gradient, begin, biases, n, [i], |[row]| {
            divisor.divide(step, i, row, momentum);
        })?;
    }
    precondition(gradient)?;
    let range = begin..biases + outputs;
    row::advance(
        step,
        parameters.get_mut(range.clone())?,
        gradient.get(range)?,
    );
    Some(())
}
