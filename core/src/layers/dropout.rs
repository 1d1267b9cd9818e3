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

/// `y = x / (1 - probability)` or 0; a copy without a key.
#[inline(always)]
pub(crate) fn forward<const L: usize>(
    key: Option<DropoutKey>,
    stage: &Stage,
    probability: f32,
    samples: &[u32],
    x: &[f32],
    y: &mut [f32],
) {
    let (input, output) = (stage.input, stage.output);
    let (x, y) = (x.as_chunks::<L>().0, y.as_chunks_mut::<L>().0);
    let mut choice = Choice::<L>::new(key, stage.layer, probability, samples);
    for channel in 0..output.channels {
        for r in 0..output.alive_rows {
            let x = &x[input.at(channel, r, 0)..][..output.alive_columns];
            let y = &mut y[output.at(channel, r, 0)..][..output.alive_columns];
            for (x, y) in x.iter().zip(y) {
                choice.apply(x, y);
            }
        }
    }
}

/// `dx` of `dy`, both alive pixels only.
#[inline(always)]
pub(crate) fn backward<const L: usize>(
    key: Option<DropoutKey>,
    stage: &Stage,
    probability: f32,
    samples: &[u32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let (dy, dx) = (dy.as_chunks::<L>().0, dx.as_chunks_mut::<L>().0);
    let mut choice = Choice::<L>::new(key, stage.layer, probability, samples);
    for (dy, dx) in dy.iter().zip(dx).take(stage.output.alive_len()) {
        choice.apply(dy, dx);
    }
}

/// The random choice for one value after the other, all lanes of a value at a time.
struct Choice<const L: usize> {
    key: Option<DropoutKey>,
    layer: u32,
    samples: [u32; L],
    keep: f32,
    /// A value is dropped when its random 32 bits are below this.
    threshold: u32,
    /// Number of the next value.
    place: usize,
    /// Random bits of four values: one call of the generator gives as many.
    bits: [[u32; L]; 4],
}

impl<const L: usize> Choice<L> {
    #[inline(always)]
    fn new(key: Option<DropoutKey>, layer: usize, probability: f32, indices: &[u32]) -> Self {
        let mut samples = [0; L];
        samples[..indices.len()].copy_from_slice(indices);
        Choice {
            key,
            layer: layer as u32,
            samples,
            keep: keep(probability),
            threshold: threshold(probability),
            place: 0,
            bits: [[0; L]; 4],
        }
    }

    #[inline(always)]
    fn apply(&mut self, x: &[f32; L], y: &mut [f32; L]) {
        let Some(key) = self.key else {
            *y = *x;
            return;
        };
        if self.place.is_multiple_of(4) {
            let group = (self.place / 4) as u32;
            for lane in 0..L {
                let counter = [self.samples[lane], key.step, self.layer, group];
                let [a, b, c, d] = philox4x32(counter, halves(key.seed));
                self.bits[0][lane] = a;
                self.bits[1][lane] = b;
                self.bits[2][lane] = c;
                self.bits[3][lane] = d;
            }
        }
        let bits = &self.bits[self.place % 4];
        for lane in 0..L {
            y[lane] = if bits[lane] < self.threshold {
                0.0
            } else {
                x[lane] * self.keep
            };
        }
        self.place += 1;
    }
}

fn keep(probability: f32) -> f32 {
    1.0 / (1.0 - probability)
}

fn threshold(probability: f32) -> u32 {
    (f64::from(probability) * 4_294_967_296.0) as u32
}

fn halves(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
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
    let (keep, threshold, seed) = (keep(probability), threshold(probability), halves(key.seed));
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
