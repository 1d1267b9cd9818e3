//! Losses. Each turns a network's output for a block of lanes into the loss a sample and, in place, the output's gradient.

use crate::math;
use crate::real::Real;

/// What a network's output is held against: part of the [`Network`](crate::Network), chosen by
/// [`with_loss`](crate::Network::with_loss).
///
/// Both are losses of one sample with outputs `z` and label `y`; a batch's is their sum times [`Batch::weight`](crate::Batch).
/// A sample counts as correct when its largest output (the first, on a tie) is the label's.
///
/// ```
/// use secant::network::{Network, Shape, linear};
/// use secant::{Batch, Loss, Normalisation, Samples};
///
/// const NET: Network<1> =
///     Network::new(Shape::vector(1), [linear(2)]).with_loss(Loss::MeanSquaredError);
/// // z = (3, 0) for a pixel of 1, whose class is 1: ((3 - 0)^2 + (0 - 1)^2) / 2.
/// let samples = Samples { pixels: &[255], labels: &[1], normalisation: Normalisation::UNIT };
/// let batch = Batch { samples, indices: &[0], weight: 1.0, dropout: None };
/// let mut workspace = [0.0; NET.workspace_len(1)];
/// let tally = NET.evaluate::<1>(&[3.0, 0.0, 0.0, 0.0], batch, &mut workspace)?;
/// assert_eq!((tally.loss, tally.correct), (5.0, 0));
/// # Ok::<(), secant::PassError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Loss {
    /// `L = ln(sum over c of exp(z_c - z_max)) - (z_y - z_max)`, with the gradient `dL/dz_c = softmax(z)_c - [c = y]`.
    #[default]
    SoftmaxCrossEntropy,
    /// `L = 1/C sum over c of (z_c - [c = y])^2` over the `C` outputs, with the gradient `dL/dz_c = 2/C (z_c - [c = y])`: the
    /// squared distance from the label's unit vector, the sum fused and in the order of the outputs.
    MeanSquaredError,
}

impl Loss {
    /// The losses of the samples in the first lanes of `outputs` (classes x lanes), added in double precision, and how many
    /// samples are right.
    ///
    /// With `weight`, the outputs become the gradient of `weight * L`, and zero in lanes without a sample.
    pub(crate) fn of_block(
        self,
        lanes: usize,
        labels: &[u8],
        outputs: &mut [f32],
        weight: Option<f32>,
    ) -> (f64, u32) {
        let (mut loss, mut correct) = (0.0, 0);
        for (lane, label) in labels.iter().enumerate() {
            let (l, right) = self.of_lane(usize::from(*label), outputs, lanes, lane, weight);
            loss += f64::from(l);
            correct += u32::from(right);
        }
        if weight.is_some() {
            for z in outputs.chunks_exact_mut(lanes) {
                z[labels.len()..].fill(0.0);
            }
        }
        (loss, correct)
    }

    /// The same for the sample in lane `lane` alone. Never panics when `lanes` is not zero.
    #[inline(always)]
    pub(crate) fn of_lane(
        self,
        label: usize,
        outputs: &mut [f32],
        lanes: usize,
        lane: usize,
        weight: Option<f32>,
    ) -> (f32, bool) {
        let (mut largest, mut winner) = (f32::NEG_INFINITY, 0);
        for (c, z) in outputs.iter().skip(lane).step_by(lanes).enumerate() {
            // A NaN anywhere must reach the loss.
            if *z > largest || z.is_nan() {
                (largest, winner) = (*z, c);
            }
        }
        let loss = match self {
            Loss::SoftmaxCrossEntropy => {
                softmax_cross_entropy(label, largest, outputs, lanes, lane, weight)
            }
            Loss::MeanSquaredError => mean_squared_error(label, outputs, lanes, lane, weight),
        };
        (loss, winner == label)
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

/// [`Loss::MeanSquaredError`] of lane `lane`.
#[inline(always)]
fn mean_squared_error(
    label: usize,
    outputs: &mut [f32],
    lanes: usize,
    lane: usize,
    weight: Option<f32>,
) -> f32 {
    let count = (outputs.len() / lanes) as f32;
    let slope = weight.map(|weight| weight * (2.0 / count));
    let mut sum = 0.0f32;
    for (c, z) in outputs.iter_mut().skip(lane).step_by(lanes).enumerate() {
        let error = if c == label { *z - 1.0 } else { *z };
        sum = error.fma(error, sum);
        if let Some(slope) = slope {
            *z = slope * error;
        }
    }
    sum / count
}
