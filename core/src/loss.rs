//! Losses. Each turns a network's output for a block of lanes into the loss a sample and, in place, the output's gradient.

use crate::math;

/// Softmax cross-entropy of the samples in the first lanes of `logits` (classes x lanes):
/// `L = ln(sum over c of exp(z_c - z_max)) - (z_y - z_max)` with the label `y`, added over the samples in double precision;
/// and the number of samples whose largest logit (the first, on a tie) is the label's.
///
/// With `weight`, the logits become the gradient of `weight * L`: `weight * (softmax(z)_c - [c = y])`, and zero in lanes
/// without a sample.
pub(crate) fn softmax_cross_entropy(
    lanes: usize,
    labels: &[u8],
    logits: &mut [f32],
    weight: Option<f32>,
) -> (f64, u32) {
    let (mut loss, mut correct) = (0.0, 0);
    for (lane, label) in labels.iter().enumerate() {
        let (l, right) = softmax_cross_entropy_of(usize::from(*label), logits, lanes, lane, weight);
        loss += f64::from(l);
        correct += u32::from(right);
    }
    if weight.is_some() {
        for z in logits.chunks_exact_mut(lanes) {
            z[labels.len()..].fill(0.0);
        }
    }
    (loss, correct)
}

/// The same for the sample in lane `lane` alone. Never panics when `lanes` is not zero.
#[inline(always)]
pub(crate) fn softmax_cross_entropy_of(
    label: usize,
    logits: &mut [f32],
    lanes: usize,
    lane: usize,
    weight: Option<f32>,
) -> (f32, bool) {
    let (mut largest, mut winner, mut target) = (f32::NEG_INFINITY, 0, f32::NAN);
    for (c, z) in logits.iter().skip(lane).step_by(lanes).enumerate() {
        // A NaN anywhere must reach the loss.
        if *z > largest || z.is_nan() {
            (largest, winner) = (*z, c);
        }
        if c == label {
            target = *z;
        }
    }
    target -= largest;
    let mut sum = 0.0;
    for z in logits.iter_mut().skip(lane).step_by(lanes) {
        let e = math::exp(*z - largest);
        sum += e;
        if weight.is_some() {
            *z = e;
        }
    }
    if let Some(weight) = weight {
        for (c, z) in logits.iter_mut().skip(lane).step_by(lanes).enumerate() {
            let p = *z / sum;
            *z = weight * if c == label { p - 1.0 } else { p };
        }
    }
    (math::ln(sum) - target, winner == label)
}
