//! The seed's three statements about Newton's method on networks, each answered by a run.

use super::Point;
use super::spectrum::number;

/// What the statements are answered by.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Parameters.
    pub n: usize,
    /// Mean seconds of a product with the Hessian.
    pub product_seconds: f64,
    /// Mean seconds of a gradient of the same samples.
    pub gradient_seconds: f64,
}

/// A large count of bytes or operations.
fn large(x: f64, unit: &str) -> String {
    let steps = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match steps.iter().find(|(size, _)| x >= *size) {
        Some((size, prefix)) => format!("{:.1} {prefix}{unit}", x / size),
        None => format!("{x:.0} {unit}"),
    }
}

/// Names of places in a sentence.
fn listed<'a>(points: impl Iterator<Item = &'a Point>) -> String {
    let names: Vec<&str> = points.map(|point| point.place.name.as_str()).collect();
    names.join(", ")
}

/// "1. The Hessian is too expensive."
pub fn cost(cost: &Cost) -> String {
    let n = cost.n as f64;
    format!(
        "1. Too expensive? As a matrix, yes: {} parameters make a Hessian of {} (32-bit), {} products \
         to fill it and {} multiply-adds to solve with it, each step. As products, no: H v costs \
         {:.1} gradients of the same samples here ({} ms), and neither Newton-CG nor Lanczos needs \
         more than some of them.",
        cost.n,
        large(4.0 * n * n, "B"),
        cost.n,
        large(n * n * n / 6.0, ""),
        cost.product_seconds / cost.gradient_seconds,
        number(1e3 * cost.product_seconds),
    )
}

/// Whether the smallest eigenvalue is below 0 beyond doubt.
pub fn is_indefinite(point: &Point) -> bool {
    point.hessian.smallest + point.hessian.smallest_error < -point.hessian.floor
}

/// "2. The Hessian is not positive definite."
pub fn definiteness(points: &[Point]) -> String {
    let indefinite = || points.iter().filter(|point| is_indefinite(point));
    let others = || points.iter().filter(|point| !is_indefinite(point));
    let mut text = "2. Not positive definite? ".to_owned();
    if indefinite().next().is_some() {
        text += &format!("True at {}: ", listed(indefinite()));
        let each = indefinite().map(|point| {
            format!(
                "smallest {} beside a largest of {}, {}{} negative eigenvalues with {:.1} % of the \
                 sum of all magnitudes",
                number(point.hessian.smallest),
                number(point.hessian.largest),
                if point.negative.exact {
                    ""
                } else {
                    "at least "
                },
                point.negative.count,
                100.0 * point.negative.mass
            )
        });
        text += &each.collect::<Vec<_>>().join("; ");
        text += ". A bare Newton step goes up along these. It does not follow that there is no \
                 minimum: the Gauss-Newton matrix has none of them (it is positive semidefinite), and \
                 L-BFGS keeps only pairs of positive curvature.";
    }
    if others().next().is_some() {
        let also = if indefinite().next().is_some() {
            " "
        } else {
            ""
        };
        text += &format!(
            "{also}No negative eigenvalue was resolved at {}; many are as good as 0, so it is no more \
             than semidefinite there.",
            listed(others())
        );
    }
    text
}

/// "3. The Hessian is ill-conditioned."
pub fn conditioning(points: &[Point]) -> String {
    let mut text = "3. Ill-conditioned? ".to_owned();
    let resolved = points.iter().filter(|point| point.hessian.resolved > 0);
    let each = resolved.map(|point| {
        format!(
            "{}{} at {}",
            if point.exact { "" } else { "at least " },
            number(point.hessian.condition),
            point.place.name
        )
    });
    let each: Vec<String> = each.collect();
    text += &match each.as_slice() {
        [] => "No eigenvalue was resolved; a larger --lanczos resolves more.".to_owned(),
        each => format!(
            "The condition number is {} (|lambda|max / |lambda|min over the resolved eigenvalues).",
            each.join(", ")
        ),
    };
    if let Some(point) = points.last() {
        text += &format!(
            " At {} the curvature amounts to that of {:.0} equal directions of {}.",
            point.place.name, point.effective_rank, point.n
        );
    }
    let steep = points
        .iter()
        .filter_map(|p| Some((p.place.name.clone(), p.stability?)));
    let steep: Vec<String> = steep
        .map(|(name, s)| format!("{:.2} at {name}", s.sharpness / s.limit))
        .collect();
    if !steep.is_empty() {
        text += &format!(
            " What limits the step is the largest eigenvalue as the optimiser sees it, as a share of \
             its limit: {}.",
            steep.join(", ")
        );
    }
    for point in points {
        let plain = point.metrics.iter().find(|report| report.name == "none");
        let others = point.metrics.iter().filter(|report| report.name != "none");
        let best = others.min_by(|a, b| a.largest_over_mean.total_cmp(&b.largest_over_mean));
        if let (Some(plain), Some(best)) = (plain, best) {
            text += &format!(
                " At {}, {} brings the largest over the mean from {} to {}.",
                point.place.name,
                best.name,
                number(plain.largest_over_mean),
                number(best.largest_over_mean)
            );
        }
    }
    text
}

/// All three, a paragraph each.
pub fn all(points: &[Point], of: &Cost) -> [String; 3] {
    [cost(of), definiteness(points), conditioning(points)]
}
