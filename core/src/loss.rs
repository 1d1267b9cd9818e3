//! Losses. Each turns a network's output for a block of lanes into the loss per sample and, in
//! place, the output's gradient.

use crate::math;
use crate::outputs::largest;
use crate::real::Real;
use crate::samples::Target;

/// What a network's output is held against: part of the [`Network`](crate::network::Network),
/// chosen by [`with_loss`](crate::network::Network::with_loss).
///
/// All are losses of one sample with outputs `z_c`, `c = 1..C`; a batch's is their sum times
/// [`Batch::weight`](crate::Batch). With class targets `y`, a sample counts as correct when its
/// largest output (the first, on a tie) is the label's, and `t_c = [c = y]` where a loss below
/// wants a value for each output.
///
/// ```
/// use secant::network::{Network, Shape, linear};
/// use secant::{Batch, Loss, Normalisation, Samples, Targets, Values};
///
/// const NET: Network<1> =
///     Network::new(Shape::vector(1), [linear(2)]).with_loss(Loss::MeanSquaredError);
/// // z = (3, 0) for an input of 1, whose targets are (1, 2): ((3 - 1)^2 + (0 - 2)^2) / 2.
/// let samples = Samples {
///     values: Values::F32(&[1.0]),
///     targets: Targets::F32(&[1.0, 2.0]),
///     normalisation: Normalisation::NONE,
/// };
/// let mut workspace = [0.0; NET.workspace_len(1)];
/// let batch = Batch::new(samples, &[0]);
/// let metrics = NET.evaluate::<1>(&[3.0, 0.0, 0.0, 0.0], batch, &mut workspace)?;
/// assert_eq!(metrics.loss, 4.0);
/// # Ok::<(), secant::PassError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Loss {
    /// For classes: `L = ln(sum over c of exp(z_c - z_max)) - (z_y - z_max)`, with the gradient
    /// `dL/dz_c = softmax(z)_c - [c = y]`.
    #[default]
    SoftmaxCrossEntropy,
    /// The same with smoothed labels (Szegedy and others, CVPR 2016): with `s` from 0 to below 1,
    /// the target of class `c` is `t_c = (1 - s) [c = y] + s / C`,
    /// `L = ln(sum over c of exp(z_c - z_max)) - sum over c of t_c (z_c - z_max)`, and
    /// `dL/dz_c = softmax(z)_c - t_c`.
    SmoothedCrossEntropy(f32),
    /// For values: `L = 1/C sum over c of (z_c - t_c)^2`, with the gradient
    /// `dL/dz_c = 2/C (z_c - t_c)`; the sum fused and in the order of the outputs.
    MeanSquaredError,
    /// For values, with outliers (Huber, 1964): `L = 1/C sum over c of h(z_c - t_c)`, with
    /// `h(e) = e^2 / 2` where `|e| <= delta`, else `delta (|e| - delta / 2)`, and
    /// `dL/dz_c = 1/C clamp(z_c - t_c, -delta, delta)`. `delta` is positive.
    Huber(f32),
    /// For several labels at once, each there or not: with `t_c` from 0 to 1,
    /// `L = 1/C sum over c of (max(z_c, 0) - z_c t_c + ln(1 + exp(-|z_c|)))`, with the gradient
    /// `dL/dz_c = 1/C (sigmoid(z_c) - t_c)`: binary cross-entropy on logits.
    BinaryCrossEntropy,
}

impl Loss {
    /// Whether the loss takes vectors as targets; if not, classes alone.
    pub(crate) const fn takes_values(&self) -> bool {
        !matches!(
            self,
            Loss::SoftmaxCrossEntropy | Loss::SmoothedCrossEntropy(_)
        )
    }

    /// The loss of the sample in lane `lane` of `outputs` (outputs x lanes), and whether its class
    /// came out right. Never panics when `lanes` is not zero.
    ///
    /// With `weight`, the outputs become the gradient of `weight * L`.
    #[inline(always)]
    pub(crate) fn of_lane(
        self,
        target: Target<'_>,
        outputs: &mut [f32],
        lanes: usize,
        lane: usize,
        weight: Option<f32>,
    ) -> (f32, bool) {
        let (largest, winner) = largest(outputs.iter().skip(lane).step_by(lanes));
        let label = match target {
            Target::Class(label) => label,
            Target::Values(_) => usize::MAX,
        };
        let count = (outputs.len() / lanes) as f32;
        let loss = match self {
            Loss::SoftmaxCrossEntropy => {
                softmax_cross_entropy(label, largest, outputs, lanes, lane, weight)
            }
            Loss::SmoothedCrossEntropy(smoothing) => {
                let rest = smoothing / count;
                let target = |c| {
                    if c == label {
                        1.0 - smoothing + rest
                    } else {
                        rest
                    }
                };
                smoothed_cross_entropy(target, largest, outputs, lanes, lane, weight)
            }
            Loss::MeanSquaredError => {
                let slope = weight.map(|weight| weight * (2.0 / count));
                let term = |z: f32, t: f32, sum: f32| {
                    let error = z - t;
                    (error.fma(error, sum), error)
                };
                mean_over_outputs(target, term, outputs, lanes, lane, slope) / count
            }
            Loss::Huber(delta) => {
                let slope = weight.map(|weight| weight / count);
                let term = |z: f32, t: f32, sum: f32| huber(delta, z - t, sum);
                mean_over_outputs(target, term, outputs, lanes, lane, slope) / count
            }
            Loss::BinaryCrossEntropy => {
                let slope = weight.map(|weight| weight / count);
                mean_over_outputs(target, binary_cross_entropy, outputs, lanes, lane, slope) / count
            }
        };
        (loss, winner == label)
    }
}

impl Loss {
    /// `weight` times the second derivative of the loss of lane `lane` by its outputs (outputs x
    /// lanes), times the vector `tangent`, in its place. With `p = softmax(z)`:
    ///
    /// ```text
    /// cross-entropy, smoothed or not   p_c (t_c - sum over k of p_k t_k)
    /// mean squared error               2/C t_c
    /// Huber                            1/C t_c where |z_c - target| <= delta, else 0
    /// binary cross-entropy             1/C s (1 - s) t_c,  s = sigmoid(z_c)
    /// ```
    /// None has a negative eigenvalue.
    #[inline(always)]
    pub(crate) fn curvature_of_lane(
        self,
        target: Target<'_>,
        outputs: &[f32],
        tangent: &mut [f32],
        lanes: usize,
        lane: usize,
        weight: f32,
    ) {
        let (largest, winner) = largest(outputs.iter().skip(lane).step_by(lanes));
        let share = weight / (outputs.len() / lanes) as f32;
        let (mut sum, mut mean, mut origin) = (0.0, 0.0f32, 0.0);
        if !self.takes_values() {
            // Counted from the tangent of the largest output, so that little is lost where its
            // probability is nearly 1 and the mean nearly its tangent.
            let largest_at = winner * lanes + lane;
            origin = tangent.get(largest_at).copied().unwrap_or(f32::NAN);
            let values = outputs.iter().zip(&*tangent).skip(lane).step_by(lanes);
            for (z, t) in values {
                let e = math::exp(*z - largest);
                sum += e;
                mean = e.fma(*t - origin, mean);
            }
            mean /= sum;
        }
        let values = outputs.iter().zip(tangent).skip(lane).step_by(lanes);
        for (c, (z, t)) in values.enumerate() {
            *t = match self {
                Loss::SoftmaxCrossEntropy | Loss::SmoothedCrossEntropy(_) => {
                    weight * (math::exp(*z - largest) / sum) * (*t - origin - mean)
                }
                Loss::MeanSquaredError => 2.0 * share * *t,
                Loss::Huber(delta) if (*z - value(target, c)).abs() > delta => 0.0,
                Loss::Huber(_) => share * *t,
                Loss::BinaryCrossEntropy => {
                    let e = math::exp(-z.abs());
                    share * (e / ((1.0 + e) * (1.0 + e))) * *t
                }
            };
        }
    }
}

/// What output `c` is held against.
#[inline(always)]
fn value(target: Target<'_>, c: usize) -> f32 {
    match target {
        Target::Class(label) if c == label => 1.0,
        Target::Class(_) => 0.0,
        // Lengths have been checked; a NaN would show that they have not.
        Target::Values(values) => values.get(c).copied().unwrap_or(f32::NAN),
    }
}

/// [`Loss::SoftmaxCrossEntropy`] of lane `lane`, whose largest logit is `largest`.
#[inline(always)]
fn softmax_cross_entropy(
    label: usize,
    largest: f32,
    logits: &mut [f32],
    lanes: usize,
    lane: usize,
    weight: Option<f32>,
) -> f32 {
    let (mut sum, mut target) = (0.0, f32::NAN);
    for (c, z) in logits.iter_mut().skip(lane).step_by(lanes).enumerate() {
        if c == label {
            target = *z - largest;
        }
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
    math::ln(sum) - target
}

/// [`Loss::SmoothedCrossEntropy`] of lane `lane`, whose largest logit is `largest`.
#[inline(always)]
fn smoothed_cross_entropy(
    target: impl Fn(usize) -> f32,
    largest: f32,
    logits: &mut [f32],
    lanes: usize,
    lane: usize,
    weight: Option<f32>,
) -> f32 {
    let (mut sum, mut products) = (0.0, 0.0f32);
    for (c, z) in logits.iter_mut().skip(lane).step_by(lanes).enumerate() {
        products = target(c).fma(*z - largest, products);
        let e = math::exp(*z - largest);
        sum += e;
        if weight.is_some() {
            *z = e;
        }
    }
    if let Some(weight) = weight {
        for (c, z) in logits.iter_mut().skip(lane).step_by(lanes).enumerate() {
            *z = weight * (*z / sum - target(c));
        }
    }
    math::ln(sum) - products
}

/// The sum over the outputs `z` of lane `lane`, with their targets `t`, of terms: `term(z, t, sum)`
/// is the sum so far with one term more, and the term's derivative by `z`, which is stored times
/// `slope` if there is one.
#[inline(always)]
fn mean_over_outputs(
    target: Target<'_>,
    term: impl Fn(f32, f32, f32) -> (f32, f32),
    outputs: &mut [f32],
    lanes: usize,
    lane: usize,
    slope: Option<f32>,
) -> f32 {
    let mut sum = 0.0f32;
    for (c, z) in outputs.iter_mut().skip(lane).step_by(lanes).enumerate() {
        let t = value(target, c);
        let (next, derivative) = term(*z, t, sum);
        sum = next;
        if let Some(slope) = slope {
            *z = slope * derivative;
        }
    }
    sum
}

/// A term of [`Loss::Huber`] for an error `e`.
#[inline(always)]
fn huber(delta: f32, e: f32, sum: f32) -> (f32, f32) {
    let size = e.abs();
    if size > delta {
        let slope = if e > 0.0 { delta } else { -delta };
        (delta.fma(size - 0.5 * delta, sum), slope)
    } else {
        ((0.5 * e).fma(e, sum), e)
    }
}

/// A term of [`Loss::BinaryCrossEntropy`] for a logit `z` and a target `t`.
#[inline(always)]
fn binary_cross_entropy(z: f32, t: f32, sum: f32) -> (f32, f32) {
    // Never overflows, and keeps a NaN.
    let e = math::exp(-z.abs());
    let (positive, sigmoid) = if z < 0.0 {
        (0.0, e / (1.0 + e))
    } else {
        (z, 1.0 / (1.0 + e))
    };
    let term = (-z).fma(t, positive) + math::ln_1p(e);
    (sum + term, sigmoid - t)
}
