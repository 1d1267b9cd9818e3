//! From elements to numbers of mean 0 and variance 1, per channel.

use secant::Affine;
use secant::network::Shape;

use super::elements::{self, Elements};

/// The map from elements to numbers of mean 0 and variance 1, for each channel of samples of shape
/// `shape`.
///
/// ```text
/// mean = sum x / n      variance = sum (x - mean)^2 / n      scale = 1 / sqrt(variance)      offset = -mean scale
/// ```
///
/// Sums of integers are exact until the end, and sums of floats run in the order of the samples in
/// double precision, so the result has the same bits everywhere. A channel whose elements are all
/// equal maps to zero.
pub fn per_channel(elements: &Elements, shape: Shape) -> Vec<Affine> {
    let plane = shape.rows * shape.columns;
    let length = elements::size(shape).unwrap_or_default();
    let channels = 0..shape.channels;
    match elements {
        Elements::U8(values) => channels
            .map(|c| of_bytes(channel(values, c, plane, length)))
            .collect(),
        Elements::I8(values) => channels
            .map(|c| of_integers(channel(values, c, plane, length).map(i16::from)))
            .collect(),
        Elements::I16(values) => channels
            .map(|c| of_integers(channel(values, c, plane, length)))
            .collect(),
        Elements::F32(values) => channels
            .map(|c| of_floats(channel(values, c, plane, length)))
            .collect(),
    }
}

/// The same for numbers to predict, `width` a sample: a regression learns targets of mean 0 and
/// variance 1, and what it predicts is mapped back with `value = (output - offset) / scale`.
pub fn of_targets(values: &[f32], width: usize) -> Vec<Affine> {
    (0..width)
        .map(|c| of_floats(channel(values, c, 1, width)))
        .collect()
}

/// The elements of one channel, sample after sample.
fn channel<T: Copy>(
    values: &[T],
    channel: usize,
    plane: usize,
    length: usize,
) -> impl Iterator<Item = T> + Clone {
    values
        .chunks_exact(length.max(1))
        .flat_map(move |sample| &sample[channel * plane..][..plane])
        .copied()
}

fn of_bytes(values: impl Iterator<Item = u8>) -> Affine {
    let mut histogram = [0u64; 256];
    for value in values {
        histogram[usize::from(value)] += 1;
    }
    let moment = |power: u32| -> u64 {
        (0u64..)
            .zip(&histogram)
            .map(|(value, count)| count * value.pow(power))
            .sum()
    };
    let count = moment(0).max(1) as f64;
    let mean = moment(1) as f64 / count;
    let variance = moment(2) as f64 / count - mean * mean;
    standard(mean, variance, 255.0)
}

fn of_integers(values: impl Iterator<Item = i16>) -> Affine {
    let (mut count, mut sum, mut squares) = (0i64, 0i64, 0i64);
    for value in values {
        let value = i64::from(value);
        count += 1;
        sum += value;
        squares += value * value;
    }
    // n sum x^2 - (sum x)^2 is n^2 times the variance, without a rounding error.
    let spread = i128::from(count) * i128::from(squares) - i128::from(sum) * i128::from(sum);
    let count = count.max(1) as f64;
    standard(sum as f64 / count, spread as f64 / (count * count), 1.0)
}

fn of_floats(values: impl Iterator<Item = f32> + Clone) -> Affine {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / count;
    let squares = values.map(|value| (f64::from(value) - mean) * (f64::from(value) - mean));
    standard(mean, squares.sum::<f64>() / count, 1.0)
}

/// `flat` is the deviation to assume where there is none.
fn standard(mean: f64, variance: f64, flat: f64) -> Affine {
    let deviation = variance.max(0.0).sqrt();
    // Less than a float can tell from the mean is a rounding error, not a deviation; and below the
    // smallest normal number the scale would not be finite.
    let least = f64::from(f32::EPSILON / 2.0) * mean.abs();
    let deviation = if deviation > least.max(f64::from(f32::MIN_POSITIVE)) {
        deviation
    } else {
        flat
    };
    Affine {
        scale: (1.0 / deviation) as f32,
        offset: (-mean / deviation) as f32,
    }
}
