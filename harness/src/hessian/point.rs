//! One look at the Hessian, at one place of a run.

use secant::Random;
use secant::spectrum::{Ending, Known, Lanczos, Node, Trace, density, signs, trace};
use serde::{Deserialize, Serialize};

use super::metrics::{self, MetricReport};
use super::spectrum::{Place, Spectrum, floor, internal, not_finite};
use super::{Curvature, Settings, Subject, exact, stream};
use crate::error::Error;
use crate::model::Net;
use crate::optimizers::step::Stepper;

/// Random vectors of the trace.
pub(super) const TRACE_PROBES: u32 = 32;

/// Most eigenvectors that are taken out of what is estimated.
pub(super) const MOST_KNOWN: usize = 24;

/// Eigenvectors whose shares by layer are told.
const TOLD: usize = 3;

/// Eigenvalues count as known to all that follows where they are known to this share of themselves.
const KNOWN: f64 = 1e-3;

/// The eigenvalues below 0.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Negative {
    /// How many of the resolved eigenvalues are below minus the floor: with `--exact` all that are,
    /// else there may be more.
    pub count: usize,
    /// Their share of the sum of all magnitudes, by the density.
    pub mass: f64,
    /// Whether all were counted.
    pub exact: bool,
}

/// An eigenvector by layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VectorShares {
    /// Its eigenvalue.
    pub eigenvalue: f64,
    /// Of each layer with weights: its name, and its share of the squared length.
    pub layers: Vec<(String, f64)>,
}

/// The sharpness as the optimiser sees it, beside the limit of its stability.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Stability {
    /// The largest eigenvalue of M H, M being the optimiser's metric without its rate.
    pub sharpness: f64,
    /// Above which steps on a quadratic function grow.
    pub limit: f64,
}

/// One look.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Point {
    /// Where.
    pub place: Place,
    /// Parameters.
    pub n: usize,
    /// The mean loss.
    pub loss: f64,
    /// The length of its gradient.
    pub gradient_norm: f64,
    /// Of the Hessian.
    pub hessian: Spectrum,
    /// Of the Gauss-Newton matrix.
    pub gauss_newton: Spectrum,
    /// The trace of the Hessian.
    pub trace: f64,
    /// Its standard error: 0 with `--exact`.
    pub trace_error: f64,
    /// `(sum |lambda|)^2 / sum lambda^2`: how many eigenvalues of one size would have the same two
    /// sums.
    pub effective_rank: f64,
    /// The eigenvalues below 0.
    pub negative: Negative,
    /// Means of lambda, lambda^2, lambda^3 and lambda^4.
    pub moments: [f64; 4],
    /// The first eigenvectors, and the last.
    pub vectors: Vec<VectorShares>,
    /// In a run that trains along.
    pub stability: Option<Stability>,
    /// The Hessian through the eyes of each optimiser.
    pub metrics: Vec<MetricReport>,
    /// The density: places and shares.
    #[serde(skip)]
    pub nodes: Vec<Node<f64>>,
    /// Whether all eigenvalues are known.
    pub exact: bool,
}

/// The eigenvalues that Lanczos found well, with their vectors.
struct Converged {
    values: Vec<f64>,
    vectors: Vec<f64>,
}

impl Converged {
    /// Those of the largest magnitude, at most [`MOST_KNOWN`].
    fn of(lanczos: &Lanczos<'_, f64>, n: usize) -> Converged {
        let floor = floor(lanczos);
        let values = lanczos.values();
        let good = |i: &usize| {
            let size = values[*i].abs();
            size > floor && lanczos.bound(*i) <= KNOWN * size
        };
        let mut order: Vec<usize> = (0..values.len()).filter(good).collect();
        order.sort_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()));
        order.truncate(MOST_KNOWN);
        let mut vectors = vec![0.0; order.len() * n];
        for (vector, i) in vectors.chunks_exact_mut(n).zip(&order) {
            // Both fit: the length is n, and there is such a value.
            let _ = lanczos.vector(*i, vector);
        }
        Converged {
            values: order.iter().map(|i| values[*i]).collect(),
            vectors,
        }
    }

    fn known(&self) -> Known<'_, f64> {
        Known {
            values: &self.values,
            vectors: &self.vectors,
        }
    }
}

/// Looks at the Hessian where `subject` stands. `optimizer` is the one that trains, if any, with the
/// number of its step and of all.
///
/// # Errors
/// [`Error::Run`] when the loss or a product is not finite.
pub fn look(
    subject: &mut Subject<'_>,
    settings: &Settings,
    place: Place,
    optimizer: Option<(&mut dyn Stepper, (u32, u32))>,
) -> Result<Point, Error> {
    let n = subject.parameters.len();
    let mut gradient = vec![0.0f32; n];
    let loss = subject.gradient(&mut gradient);
    if !loss.is_finite() || !gradient.iter().all(|g| g.is_finite()) {
        return Err(Error::Run(format!(
            "at '{}' the loss or its gradient is not finite: there is no Hessian to look at",
            place.name
        )));
    }
    let steps = settings.lanczos.get().min(n);
    let mut memory = vec![0.0; Lanczos::<f64>::metric_memory_len(n, steps)];
    let mut probe = vec![0.0; n];
    let mut lanczos = Lanczos::new(n, steps, &mut memory).map_err(internal)?;
    let mut run = |subject: &mut Subject<'_>, curvature| {
        signs(&mut Random::new(settings.seed, stream::START), &mut probe);
        let ending = lanczos.run(&probe, |x, y| subject.multiply(curvature, x, y));
        match ending.map_err(internal)? {
            Ending::Unusable => Err(not_finite(&place)),
            _ => Ok(Spectrum::of(&lanczos)),
        }
    };
    let gauss_newton = run(subject, Curvature::GaussNewton)?;
    let mut hessian = run(subject, Curvature::Hessian)?;
    let converged = Converged::of(&lanczos, n);
    let vectors = vectors_by_layer(subject.network, &lanczos);

    let (nodes, traced) = if settings.exact {
        let (values, asymmetry) = exact::eigenvalues(subject, &place)?;
        let found: Vec<(f64, f64)> = values.iter().map(|value| (*value, 0.0)).collect();
        hessian = Spectrum::new(&found, f64::max(hessian.floor, asymmetry));
        let one = 1.0 / n as f64;
        let sum = values.iter().sum();
        let nodes = values.into_iter().map(|value| Node { value, weight: one });
        (
            nodes.collect(),
            Trace {
                value: sum,
                error: 0.0,
            },
        )
    } else {
        estimate(subject, settings, &mut lanczos, &converged, &place)?
    };
    let negative = negative(&nodes, &hessian, settings.exact);
    let moments = moments(&nodes);
    let mut stability = None;
    let mut reports = match settings.metrics {
        true => metrics::compare(subject, settings, &mut lanczos)?,
        false => Vec::new(),
    };
    if let Some((stepper, progress)) = optimizer {
        let report = metrics::report(
            subject,
            settings,
            &mut lanczos,
            "the optimiser's",
            &mut |x| stepper.precondition(x),
        )?;
        if let Some(report) = report {
            stability = stepper.stability_limit(progress).map(|limit| Stability {
                sharpness: report.spectrum.largest,
                limit,
            });
            reports.push(report);
        }
    }
    Ok(Point {
        place,
        n,
        loss,
        gradient_norm: f64::from(secant::vector::norm2(&gradient)),
        hessian,
        gauss_newton,
        trace: traced.value,
        trace_error: traced.error,
        effective_rank: effective_rank(&nodes, n),
        negative,
        moments,
        vectors,
        stability,
        metrics: reports,
        nodes,
        exact: settings.exact,
    })
}

/// Density and trace, by random vectors.
fn estimate(
    subject: &mut Subject<'_>,
    settings: &Settings,
    lanczos: &mut Lanczos<'_, f64>,
    converged: &Converged,
    place: &Place,
) -> Result<(Vec<Node<f64>>, Trace<f64>), Error> {
    let (n, probes) = (subject.parameters.len(), settings.probes.get());
    let known = converged.known();
    let mut nodes = vec![Node::default(); known.values.len() + probes * lanczos.limit()];
    let mut random = Random::new(settings.seed, stream::PROBES);
    let mut probe = vec![0.0; n];
    let count = density(
        lanczos,
        known,
        probes,
        &mut random,
        &mut probe,
        |x, y| subject.multiply(Curvature::Hessian, x, y),
        &mut nodes,
    );
    nodes.truncate(count.map_err(internal)?);
    if nodes.is_empty() {
        return Err(not_finite(place));
    }
    let mut random = Random::new(settings.seed, stream::TRACE);
    let traced = trace(
        known,
        TRACE_PROBES,
        &mut random,
        &mut vec![0.0; 2 * n],
        |x, y| {
            subject.multiply(Curvature::Hessian, x, y);
        },
    );
    Ok((nodes, traced.map_err(internal)?))
}

/// Number and mass of the eigenvalues below minus the floor. The density says little of signs next to
/// 0, where most eigenvalues are and where its places are no finer than a step of Lanczos can tell, so
/// without all eigenvalues those are counted that are resolved.
fn negative(nodes: &[Node<f64>], hessian: &Spectrum, exact: bool) -> Negative {
    let below = |value: f64| value < -hessian.floor;
    let counted = hessian.eigenvalues.iter();
    let size = |node: &Node<f64>| node.weight * node.value.abs();
    let all: f64 = nodes.iter().map(size).sum();
    let negative = nodes.iter().filter(|node| below(node.value));
    let mass: f64 = negative.map(size).sum();
    Negative {
        count: counted.filter(|value| below(**value)).count(),
        // An empty sum is -0.
        mass: if all > 0.0 { (mass / all).abs() } else { 0.0 },
        exact,
    }
}

/// Means of the first four powers.
fn moments(nodes: &[Node<f64>]) -> [f64; 4] {
    [1, 2, 3, 4].map(|power| {
        nodes
            .iter()
            .map(|node| node.weight * node.value.powi(power))
            .sum()
    })
}

/// `(sum |lambda|)^2 / sum lambda^2`.
fn effective_rank(nodes: &[Node<f64>], n: usize) -> f64 {
    let sizes: f64 = nodes
        .iter()
        .map(|node| node.weight * node.value.abs())
        .sum();
    let squares: f64 = nodes
        .iter()
        .map(|node| node.weight * node.value * node.value)
        .sum();
    if squares > 0.0 {
        n as f64 * sizes * sizes / squares
    } else {
        0.0
    }
}

/// The largest eigenvalues' vectors and the smallest one's, by layer.
fn vectors_by_layer(network: &Net, lanczos: &Lanczos<'_, f64>) -> Vec<VectorShares> {
    let count = lanczos.values().len();
    let mut places: Vec<usize> = (0..count).rev().take(TOLD).collect();
    if count > TOLD {
        places.push(0);
    }
    let mut vector = vec![0.0; network.parameter_count()];
    let mut told = Vec::new();
    for i in places {
        if lanczos.vector(i, &mut vector).is_ok() {
            told.push(VectorShares {
                eigenvalue: lanczos.values()[i],
                layers: by_layer(network, &vector),
            });
        }
    }
    told
}

/// The share of each layer in the squared length of `vector`.
pub fn by_layer(network: &Net, vector: &[f64]) -> Vec<(String, f64)> {
    let all: f64 = vector.iter().map(|x| x * x).sum();
    let mut shares = Vec::new();
    for (i, layer) in network.layers().iter().enumerate() {
        let (weights, biases) = network.parameter_ranges(i);
        let (from, to) = (weights.start.min(biases.start), weights.end.max(biases.end));
        if to <= from {
            continue;
        }
        let part = vector.get(from..to).unwrap_or_default();
        let own: f64 = part.iter().map(|x| x * x).sum();
        shares.push((format!("{i} {}", layer.name()), own / all));
    }
    shares
}
