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
    let factor = factor(batch, target);
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

/// The second derivative by the outputs of what [`sample_loss`] is the gradient of, times
/// `tangent`, in its place.
#[inline(always)]
pub(super) fn sample_curvature(
    loss: Loss,
    batch: &Batch<'_>,
    index: u32,
    outputs: &[f32],
    tangent: &mut [f32],
    lanes: usize,
    lane: usize,
) -> Option<()> {
    let target = batch.samples.targets.get(index, outputs.len() / lanes)?;
    let weight = match factor(batch, target) {
        Some(factor) => batch.weight * factor,
        None => batch.weight,
    };
    loss.curvature_of_lane(target, outputs, tangent, lanes, lane, weight);
    Some(())
}

/// The factor of a target's class.
fn factor(batch: &Batch<'_>, target: Target<'_>) -> Option<f32> {
    match target {
        Target::Class(class) => batch.class_weights.get(class).copied(),
        Target::Values(_) => None,
    }
}
