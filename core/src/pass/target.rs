//! What a sample's output is held against, and the factor of its class.

use crate::batch::{Batch, Metrics};
use crate::loss::Loss;
use crate::samples::Target;

/// The loss of the sample in lane `lane` of `outputs` (outputs x lanes), whose number is `index`.
/// With `weight`, the outputs become the gradient of that times the loss. `None` where there is no
/// such sample, which has been checked.
#[inline(always)]
pub(super) fn sample_loss(
    loss: Loss,
    batch: &Batch<'_>,
    index: u32,
    outputs: &mut [f32],
    lanes: usize,
    lane: usize,
    weight: Option<f32>,
) -> Option<Metrics> {
    let target = batch.samples.targets.get(index, outputs.len() / lanes)?;
    let factor = match target {
        Target::Class(class) => batch.class_weights.get(class),
        Target::Values(_) => None,
    };
    let weight = match (weight, factor) {
        (Some(weight), Some(factor)) => Some(weight * factor),
        _ => weight,
    };
    let (mut value, correct) = loss.of_lane(target, outputs, lanes, lane, weight);
    if let Some(factor) = factor {
        value *= factor;
    }
    Some(Metrics {
        loss: f64::from(value),
        correct: u32::from(correct),
        count: 1,
    })
}
