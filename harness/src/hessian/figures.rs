//! The spectrum as pictures.

use secant::spectrum::Node;

use super::Point;
use crate::chart::{Axis, Chart, Joined, Point as Dot, Scale, Series, Style};

/// Pixels.
pub const WIDTH: f64 = 760.0;

/// Width of the smoothing, in decades.
const WIDTH_OF_KERNEL: f64 = 0.12;

/// Places a decade at which the density is drawn.
const PLACES: f64 = 16.0;

fn series(i: usize, name: String, points: Vec<Dot>) -> Series {
    Series {
        name,
        remark: String::new(),
        style: Style::of(i),
        joined: Joined::Lines,
        points,
        taken: None,
    }
}

/// Eigenvalues a decade of magnitude, those of one sign: each node is spread over a normal
/// distribution in the logarithm.
fn per_decade(nodes: &[Node<f64>], n: usize, sign: f64, floor: f64) -> Vec<Dot> {
    let sized = nodes.iter().filter(|node| sign * node.value > floor);
    let sized: Vec<(f64, f64)> = sized
        .map(|node| (node.value.abs().log10(), node.weight))
        .collect();
    let most = sized
        .iter()
        .map(|(x, _)| *x)
        .fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return Vec::new();
    }
    let (from, to) = (floor.log10(), most + 3.0 * WIDTH_OF_KERNEL);
    let count = ((to - from) * PLACES).ceil().clamp(1.0, 400.0) as usize;
    let places = (0..=count).map(|i| from + (to - from) * i as f64 / count as f64);
    let scale = n as f64 / (WIDTH_OF_KERNEL * std::f64::consts::TAU.sqrt());
    let density = |x: f64| {
        let near = |(at, weight): &(f64, f64)| {
            weight * (-0.5 * ((x - at) / WIDTH_OF_KERNEL).powi(2)).exp()
        };
        scale * sized.iter().map(near).sum::<f64>()
    };
    let dots = places.map(|x| Dot::new(10f64.powf(x), density(x)));
    dots.filter(|dot| dot.y >= 0.02).collect()
}

/// The density of one point: how many eigenvalues there are at each magnitude.
pub fn spectrum(point: &Point, subtitle: &str) -> Chart {
    let floor = point.hessian.floor;
    let signs = [(1.0, "positive"), (-1.0, "negative")];
    let lines = signs.into_iter().enumerate().map(|(i, (sign, name))| {
        series(
            i,
            name.to_owned(),
            per_decade(&point.nodes, point.n, sign, floor),
        )
    });
    let estimate = if point.exact {
        "every eigenvalue"
    } else {
        "stochastic Lanczos quadrature"
    };
    Chart {
        name: "spectrum",
        title: format!("Eigenvalues of the Hessian at {}", point.place.name),
        subtitle: format!(
            "{subtitle}; {estimate}; those under the rounding of {floor:.1e} left out"
        ),
        x: Axis::new("magnitude of the eigenvalue", "magnitude", Scale::Log),
        y: Axis::new("eigenvalues a decade", "eigenvalues_per_decade", Scale::Log),
        // The frame then holds all of it: see the rule of the charts.
        ideal: 1e9,
        series: lines.collect(),
        targets: Vec::new(),
    }
}

/// The sharpness as the optimiser sees it along the run, beside its limit.
pub fn sharpness(points: &[Point], subtitle: &str) -> Option<Chart> {
    let at = |value: &dyn Fn(&Point) -> Option<f64>| -> Vec<Dot> {
        let dots = points.iter();
        dots.filter_map(|p| Some(Dot::new(f64::from(p.place.step?), value(p)?)))
            .collect()
    };
    let seen = at(&|p| Some(p.stability?.sharpness));
    if seen.is_empty() {
        return None;
    }
    Some(Chart {
        name: "sharpness",
        title: "Sharpness along the run".to_owned(),
        subtitle: format!("{subtitle}; above the limit, steps on a quadratic function grow"),
        x: Axis::new("step", "step", Scale::Linear),
        y: Axis::new("largest eigenvalue", "largest_eigenvalue", Scale::Log),
        ideal: 1e12,
        series: vec![
            series(
                0,
                "of the Hessian".to_owned(),
                at(&|p| Some(p.hessian.largest)),
            ),
            series(1, "in the optimiser's metric".to_owned(), seen),
            series(
                2,
                "limit of its stability".to_owned(),
                at(&|p| Some(p.stability?.limit)),
            ),
        ],
        targets: Vec::new(),
    })
}

/// The eigenvalues of each metric times the Hessian, by rank, over the largest.
pub fn metrics(point: &Point, subtitle: &str) -> Option<Chart> {
    let lines: Vec<Series> = point
        .metrics
        .iter()
        .enumerate()
        .map(|(i, report)| {
            let mut sizes: Vec<f64> = report
                .spectrum
                .eigenvalues
                .iter()
                .map(|x| x.abs())
                .collect();
            sizes.sort_by(|a, b| b.total_cmp(a));
            let most = sizes.first().copied().unwrap_or(1.0);
            let ranked = sizes.iter().enumerate();
            let dots = ranked.map(|(rank, size)| Dot::new(rank as f64 + 1.0, size / most));
            series(i, report.name.clone(), dots.collect())
        })
        .collect();
    if lines.len() < 2 {
        return None;
    }
    Some(Chart {
        name: "metrics",
        title: format!("The Hessian through each metric at {}", point.place.name),
        subtitle: format!("{subtitle}; resolved eigenvalues by rank: the flatter, the better"),
        x: Axis::new("rank of the eigenvalue", "rank", Scale::Log),
        y: Axis::new("magnitude over the largest", "over_largest", Scale::Log),
        ideal: 1e9,
        series: lines,
        targets: Vec::new(),
    })
}
