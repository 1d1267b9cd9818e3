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
        let label = usize::from(*label);
        let (mut largest, mut winner) = (logits[lane], 0);
        for (c, z) in logits.chunks_exact(lanes).enumerate() {
            // A NaN anywhere must reach the loss.
            if z[lane] > largest || z[lane].is_nan() {
                (largest, winner) = (z[lane], c);
            }
        }
        let target = logits[label * lanes + lane] - largest;
        let mut sum = 0.0;
        for z in logits.chunks_exact_mut(lanes) {
            let e = math::exp(z[lane] - largest);
            sum += e;
            if weight.is_some() {
                z[lane] = e;
            }
        }
        loss += f64::from(math::ln(sum) - target);
        correct += u32::from(winner == label);
        if let Some(weight) = weight {
            for (c, z) in logits.chunks_exact_mut(lanes).enumerate() {
                let p = z[lane] / sum;
                z[lane] = weight * if c == label { p - 1.0 } else { p };
            }
        }
    }
    if weight.is_some() {
        for z in logits.chunks_exact_mut(lanes) {
            z[labels.len()..].fill(0.0);
        }
    }
    (loss, correct)
}
