//! Dropout: which values become zero is a function of the seed, the step, the sample and the
//! value's place, so it depends on neither lanes nor threads, and the backward pass asks again
//! instead of remembering.

use super::draw::{Draw, DropoutKey};
use super::memory::{Backward, Forward, SingleBackward};
use crate::map::{Frame, Map};
use crate::random::philox4x32;
use crate::shape::LayerError;

/// Whether that probability can be had.
pub(crate) const fn check(probability: f32) -> Result<(), LayerError> {
    if probability >= 0.0 && probability < 1.0 {
        Ok(())
    } else {
        Err(LayerError::Probability)
    }
}

/// Copies the live values of `x` to `y`, laid out as the maps say, and drops some if there is a
/// key.
#[inline(always)]
fn apply<const L: usize>(
    probability: f32,
    draw: Draw<'_>,
    from: Map,
    to: Map,
    x: &[f32],
    y: &mut [f32],
) -> Option<()> {
    let (x, y) = (x.as_chunks::<L>().0, y.as_chunks_mut::<L>().0);
    let mut choice = Choice::<L>::new(draw, probability);
    for channel in 0..to.channels {
        for r in 0..to.live_rows {
            let x = x.get(from.at(channel, r, 0)..)?;
            let y = y.get_mut(to.at(channel, r, 0)..)?;
            for (x, y) in x.iter().zip(y).take(to.live_columns) {
                choice.apply(x, y);
            }
        }
    }
    Some(())
}

/// The forward pass. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn forward<const L: usize>(
    probability: f32,
    frame: &Frame,
    memory: Forward<'_>,
) -> Option<()> {
    let Forward { x, y, draw, .. } = memory;
    apply::<L>(probability, draw, frame.input, frame.output, x, y)
}

/// The backward pass over a block of lanes. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward<const L: usize>(
    probability: f32,
    frame: &Frame,
    memory: Backward<'_>,
) -> Option<()> {
    if !memory.passes.input_gradient {
        return Some(());
    }
    let (from, to) = (frame.output.dense(), frame.input.dense());
    apply::<L>(probability, memory.draw, from, to, memory.dy, memory.dx)
}

/// The backward pass of one sample. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn backward_single(
    probability: f32,
    frame: &Frame,
    memory: SingleBackward<'_>,
) -> Option<()> {
    if !memory.input_gradient {
        return Some(());
    }
    let (from, to) = (frame.output, frame.input);
    apply::<1>(probability, memory.draw, from, to, memory.dy, memory.x)
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
    fn new(draw: Draw<'_>, probability: f32) -> Self {
        let mut samples = [0; L];
        for (sample, index) in samples.iter_mut().zip(draw.samples) {
            *sample = *index;
        }
        Choice {
            key: draw.key,
            layer: draw.layer as u32,
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
