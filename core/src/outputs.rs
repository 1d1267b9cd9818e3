//! What a network's output means: a class, and probabilities.

use crate::math;

/// The class of a sample's outputs: the largest, the first on a tie; a NaN counts as larger than
/// any number. 0 for no outputs.
pub fn argmax(outputs: &[f32]) -> usize {
    let (mut largest, mut winner) = (f32::NEG_INFINITY, 0);
    for (c, z) in outputs.iter().enumerate() {
        if *z > largest || z.is_nan() {
            (largest, winner) = (*z, c);
        }
    }
    winner
}

/// Turns one sample's logits into class probabilities, in place: `p_c = exp(z_c - z_max) / sum over
/// k of exp(z_k - z_max)`, the sum in order. They add up to 1 but for rounding; a NaN makes all of
/// them NaN.
pub fn softmax(logits: &mut [f32]) {
    let largest = match logits.get(argmax(logits)) {
        Some(z) => *z,
        None => return,
    };
    let mut sum = 0.0;
    for z in logits.iter_mut() {
        *z = math::exp(*z - largest);
        sum += *z;
    }
    for z in logits {
        *z /= sum;
    }
}
