//! Dropout: which values become zero is a function of the seed, the step, the sample and the value's place, so it depends on
//! neither lanes nor threads, and the backward pass asks again instead of remembering.

use crate::plan::Stage;
use crate::random::philox4x32;

/// What dropout's random choice depends on beside the sample: the same key gives the same zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DropoutKey {
    /// The run's seed.
    pub seed: u64,
    /// The optimisation step, counted from 0.
    pub step: u32,
}

/// `y = x / (1 - probability)` or 0 for the samples in the first lanes; a copy without a key.
pub(crate) fn forward(
    key: Option<DropoutKey>,
    stage: &Stage,
    probability: f32,
    lanes: usize,
    samples: &[u32],
    x: &[f32],
    y: &mut [f32],
) {
    let (input, output) = (stage.input, stage.output);
    let row = output.alive_columns * lanes;
    for channel in 0..output.channels {
        for r in 0..output.alive_rows {
            let from = input.at(channel, r, 0) * lanes;
            let to = output.at(channel, r, 0) * lanes;
            y[to..][..row].copy_from_slice(&x[from..][..row]);
        }
    }
    if let Some(key) = key {
        for channel in 0..output.channels {
            for r in 0..output.alive_rows {
                let first = (channel * output.alive_rows + r) * output.alive_columns;
                let to = output.at(channel, r, 0) * lanes;
                scale(
                    key,
                    stage.layer,
                    probability,
                    lanes,
                    samples,
                    first,
                    &mut y[to..][..row],
                );
            }
        }
    }
}

/// `dx` of `dy`, both alive pixels only.
pub(crate) fn backward(
    key: Option<DropoutKey>,
    stage: &Stage,
    probability: f32,
    lanes: usize,
    samples: &[u32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let length = stage.output.alive_len() * lanes;
    dx[..length].copy_from_slice(&dy[..length]);
    if let Some(key) = key {
        scale(
            key,
            stage.layer,
            probability,
            lanes,
            samples,
            0,
            &mut dx[..length],
        );
    }
}

/// Multiplies values number `first`, `first + 1`, ... of each sample by their factor, 0 or `1 / (1 - probability)`.
#[inline(always)]
pub(crate) fn scale(
    key: DropoutKey,
    layer: usize,
    probability: f32,
    lanes: usize,
    samples: &[u32],
    first: usize,
    values: &mut [f32],
) {
    let keep = 1.0 / (1.0 - probability);
    // A value is dropped when its random 32 bits are below this.
    let threshold = (f64::from(probability) * 4_294_967_296.0) as u32;
    let seed = [key.seed as u32, (key.seed >> 32) as u32];
    for (lane, sample) in samples.iter().enumerate() {
        let mut random = [0; 4];
        for (i, value) in values.iter_mut().skip(lane).step_by(lanes).enumerate() {
            let place = first + i;
            if i == 0 || place.is_multiple_of(4) {
                random = philox4x32([*sample, key.step, layer as u32, (place / 4) as u32], seed);
            }
            *value = if random[place % 4] < threshold {
                0.0
            } else {
                *value * keep
            };
        }
    }
}
