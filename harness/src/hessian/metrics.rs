//! The Hessian through the eyes of an optimiser: the eigenvalues of M H, M being its metric.
//!
//! A step `x - r M g` sees the loss as if its Hessian were `M H`, whose eigenvalues are those of
//! `M^1/2 H M^1/2`. A good metric makes them alike. Two numbers say how much, neither of which
//! depends on M's scale:
//!
//! ```text
//! condition       |lambda|max / |lambda|min over the resolved eigenvalues
//! largest/mean    lambda_max / (trace / n)     of M G, G being the Gauss-Newton matrix: how much
//!                                              longer the mean direction takes than the steepest
//! ```
//!
//! And how well M knows the inverse: for a secant pair (s, y = H s), the length of `c M y - s` over
//! that of s, with c = 1 and with the best c. Where M were the inverse it would be 0.

use secant::Random;
use secant::spectrum::{Ending, Lanczos, signs};
use serde::{Deserialize, Serialize};

use super::spectrum::{Spectrum, internal};
use super::{Curvature, Settings, Subject, stream};
use crate::batch::Batch;
use crate::error::Error;
use crate::optimizers::Choice;
use crate::optimizers::step::BatchLoss;

/// What an optimiser makes of the Hessian.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MetricReport {
    /// Whose metric.
    pub name: String,
    /// Of M H.
    pub spectrum: Spectrum,
    /// The largest eigenvalue of M G over the mean one.
    pub largest_over_mean: f64,
    /// `|M H s - s| / |s|` of the gradient direction s = M g.
    pub secant_error: f64,
    /// The least of `|c M H s - s| / |s|` over all c.
    pub secant_error_scaled: f64,
}

/// Random vectors of the trace.
pub(super) const PROBES: u32 = 16;

/// Reports on the metric that `apply` multiplies by; none where it says that there is none, or where
/// the metric is not positive definite to the last digit.
///
/// # Errors
/// [`Error::Run`] when lengths do not fit, which cannot be.
pub fn report(
    subject: &mut Subject<'_>,
    settings: &Settings,
    lanczos: &mut Lanczos<'_, f64>,
    name: &str,
    apply: &mut dyn FnMut(&mut [f32]) -> bool,
) -> Result<Option<MetricReport>, Error> {
    let n = subject.parameters.len();
    let mut single = vec![0.0f32; n];
    let mut there = true;
    let mut metric = |x: &[f64], y: &mut [f64]| {
        // The metric works in single precision: a vector of length 1 is of a good size for it.
        let length = secant::vector::norm2(x);
        let factor = if length > 0.0 { length } else { 1.0 };
        for (s, x) in single.iter_mut().zip(x) {
            *s = (*x / factor) as f32;
        }
        there &= apply(&mut single);
        for (y, s) in y.iter_mut().zip(&single) {
            *y = f64::from(*s) * factor;
        }
    };
    let mut start = vec![0.0; n];
    let mut random = Random::new(settings.seed, stream::METRIC);
    signs(&mut random, &mut start);
    let mut run = |subject: &mut Subject<'_>, curvature| {
        let product = |x: &[f64], y: &mut [f64]| subject.multiply(curvature, x, y);
        lanczos
            .run_in_metric(&start, product, &mut metric)
            .map_err(internal)
    };
    let ending = run(subject, Curvature::GaussNewton)?;
    let largest = lanczos.values().last().copied().unwrap_or(f64::NAN);
    let mut run = |subject: &mut Subject<'_>, curvature| {
        let product = |x: &[f64], y: &mut [f64]| subject.multiply(curvature, x, y);
        lanczos
            .run_in_metric(&start, product, &mut metric)
            .map_err(internal)
    };
    if ending == Ending::Unusable || run(subject, Curvature::Hessian)? == Ending::Unusable {
        return Ok(None);
    }
    let spectrum = Spectrum::of(lanczos);
    // trace M G = mean of (M z) . (G z).
    let (mut z, mut mz, mut gz) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let mut sum = 0.0;
    for _ in 0..PROBES {
        signs(&mut random, &mut z);
        metric(&z, &mut mz);
        subject.multiply(Curvature::GaussNewton, &z, &mut gz);
        sum += secant::vector::dot(&mz, &gz);
    }
    let mean = sum / f64::from(PROBES) / n as f64;
    // The pair of the step that the metric would make.
    let mut gradient = vec![0.0f32; n];
    subject.gradient(&mut gradient);
    let g: Vec<f64> = gradient.iter().map(|g| f64::from(*g)).collect();
    let (mut s, mut y, mut my) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    metric(&g, &mut s);
    let length = secant::vector::norm2(&s);
    for s in &mut s {
        *s /= length;
    }
    subject.multiply(Curvature::Hessian, &s, &mut y);
    metric(&y, &mut my);
    if !there {
        return Ok(None);
    }
    let (product, square) = (secant::vector::dot(&my, &s), secant::vector::dot(&my, &my));
    Ok(Some(MetricReport {
        name: name.to_owned(),
        spectrum,
        largest_over_mean: largest / mean,
        secant_error: (square - 2.0 * product + 1.0).max(0.0).sqrt(),
        secant_error_scaled: (1.0 - product * product / square).max(0.0).sqrt(),
    }))
}

/// The optimisers whose metrics are held against each other: a name for the table, and what
/// `--optimizer` would say. The linear schedule ends at the rate 0, at which a step moves nothing.
const COMPARED: [(&str, &str); 4] = [
    ("Adam's diagonal", "adam:schedule=linear"),
    (
        "layer-wise, rows alike",
        "lbfgs-row:schedule=linear:guard=no",
    ),
    ("layer-wise and diagonal", "lbfgs:schedule=linear:guard=no"),
    ("L-BFGS's history", "lbfgs:history=10"),
];

/// How many metrics [`compare`] looks through, no metric among them.
pub(super) const COUNT: u64 = COMPARED.len() as u64 + 1;

/// Steps in which a metric is learned.
const LEARNING: u32 = 300;

/// Steps in which a history is filled.
const PAIRS: u32 = 10;

/// Reports on every metric of `COMPARED`, each learned where `subject` stands: the stochastic ones
/// by `LEARNING` steps of rate 0 on batches of the subject's samples, the history by `PAIRS` steps
/// of L-BFGS from here on all of them: more would lead it away from here.
///
/// # Errors
/// [`Error::Run`] when lengths do not fit, which cannot be.
pub fn compare(
    subject: &mut Subject<'_>,
    settings: &Settings,
    lanczos: &mut Lanczos<'_, f64>,
) -> Result<Vec<MetricReport>, Error> {
    let mut reports = Vec::new();
    let identity = report(subject, settings, lanczos, "none", &mut |_| true)?;
    reports.extend(identity);
    let wrong = |why: String| Error::Run(why);
    for (name, text) in COMPARED {
        let full = text.contains("history");
        let choice: Choice = text.parse().map_err(wrong)?;
        let batch = match full {
            true => Batch::Full,
            false => choice.default_batch(),
        };
        let network = *subject.network;
        let optimizer = choice.resolve(&network, batch);
        let optimizer = optimizer.map_err(|refusal| wrong(refusal.describe(str::to_owned)))?;
        let mut memory = vec![0.0; optimizer.settings().memory_len(&network)];
        let started = optimizer.settings().start(&network, full, &mut memory);
        let mut stepper = started.map_err(internal)?;
        let mut parameters = subject.parameters.clone();
        let mut order = subject.indices.clone();
        let mut random = Random::new(settings.seed, stream::METRIC);
        let size = batch.size(order.len());
        for step in 0..if full { PAIRS } else { LEARNING } {
            if !full && step as usize * size % order.len() < size {
                random.shuffle(&mut order);
            }
            let from = step as usize * size % order.len();
            let indices = &order[from..order.len().min(from + size)];
            let n = parameters.len();
            let mut loss = BatchLoss::new(&mut subject.engine, indices, None, n);
            let stepped = stepper.step(&mut loss, (1, 1), &mut parameters);
            if stepped.map_err(internal)?.ended.is_some() {
                break;
            }
        }
        let apply = &mut |x: &mut [f32]| stepper.precondition(x);
        reports.extend(report(subject, settings, lanczos, name, apply)?);
    }
    Ok(reports)
}
