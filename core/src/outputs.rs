//! What a network's output means: a class, and probabilities.

use crate::math;

/// The class of a sample's outputs: the largest, the first on a tie; a NaN counts as larger than
/// any number. 0 for no outputs.
pub fn argmax(outputs: &[f32]) -> usize {
    largest(outputs.iter()).1
}

/// The largest of a sample's outputs and its class: the first on a tie. A NaN anywhere must reach
/// the loss, so it counts as larger than any number.
#[inline(always)]
pub(crate) fn largest<'a>(outputs: impl Iterator<Item = &'a f32>) -> (f32, usize) {
    let (mut largest, mut winner) = (f32::NEG_INFINITY, 0);
    for (c, z) in outputs.enumerate() {
        if *z > largest || z.is_nan() {
            (largest, winner) = (*z, c);
        }
    }
    (largest, winner)
}

/// Turns one sample's logits into class probabilities, in place: `p_c = exp(z_c - z_max) / sum over
/// k of exp(z_k - z_max)`, the sum in order. They add up to 1 but for rounding; a NaN makes all of
/// them NaN.
pub fn softmax(logits: &mut [f32]) {
    let (largest, _) = largest(logits.iter());
    let mut sum = 0.0;
    for z in logits.iter_mut() {
        *z = math::exp(*z - largest);
        sum += *z;
    }
    for z in logits {
        *z /= sum;
    }
}
