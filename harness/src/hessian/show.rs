//! The tables for a person, within 80 columns.

use std::fmt::Write;

use super::Point;
use super::answers::{self, Cost};
use super::spectrum::number;

/// A number, with a mark where it is a lower bound.
fn at_least(value: f64, exact: bool) -> String {
    match exact || value.is_nan() {
        true => number(value),
        false => format!(">{}", number(value)),
    }
}

/// Breaks a paragraph into lines of at most 80 characters.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let more = word.chars().count() + usize::from(length > 0);
        if length + more > 80 {
            lines.push('\n');
            length = word.chars().count();
        } else {
            if length > 0 {
                lines.push(' ');
            }
            length += more;
        }
        lines.push_str(word);
    }
    lines
}

/// One line of what a point says of its spectra.
pub fn table(points: &[Point], of: &Cost) -> String {
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = write(&mut text, points);
    for answer in answers::all(points, of) {
        text.push('\n');
        text += &wrapped(&answer);
        text.push('\n');
    }
    text
}

fn write(text: &mut String, points: &[Point]) -> std::fmt::Result {
    writeln!(
        text,
        "{:<10}{:>9}{:>11}{:>9}{:>11}{:>10}{:>10}{:>10}",
        "Hessian", "loss", "largest", "(+-)", "smallest", "(+-)", "condition", "resolved"
    )?;
    for point in points {
        let h = &point.hessian;
        writeln!(
            text,
            "{:<10}{:>9}{:>11}{:>9}{:>11}{:>10}{:>10}{:>10}",
            point.place.name,
            number(point.loss),
            number(h.largest),
            number(h.largest_error),
            number(h.smallest),
            number(h.smallest_error),
            at_least(h.condition, point.exact),
            h.resolved
        )?;
    }
    writeln!(
        text,
        "\n{:<10}{:>10}{:>9}{:>10}{:>11}{:>11}{:>9}{:>10}",
        "", "trace", "(+-)", "eff. rank", "negative", "their mass", "GN larg.", "GN cond."
    )?;
    for point in points {
        let g = &point.gauss_newton;
        writeln!(
            text,
            "{:<10}{:>10}{:>9}{:>10.1}{:>11}{:>9.2} %{:>9}{:>10}",
            point.place.name,
            number(point.trace),
            number(point.trace_error),
            point.effective_rank,
            format!(
                "{}{}",
                if point.exact { "" } else { ">" },
                point.negative.count
            ),
            100.0 * point.negative.mass,
            number(g.largest),
            at_least(g.condition, false),
        )?;
    }
    let meaning = "condition: |lambda|max / |lambda|min over the eigenvalues that are resolved, which \
                   are known to a tenth of themselves and above the rounding of the products; '>': \
                   there are smaller ones. GN: the Gauss-Newton matrix.";
    writeln!(text, "\n{}", wrapped(meaning))?;
    if points.iter().any(|point| point.stability.is_some()) {
        writeln!(
            text,
            "\n{:<10}{:>22}{:>16}{:>10}",
            "stability", "largest, as it is seen", "limit at rate", "share"
        )?;
        for point in points {
            if let Some(s) = point.stability {
                writeln!(
                    text,
                    "{:<10}{:>22}{:>16}{:>10.2}",
                    point.place.name,
                    number(s.sharpness),
                    number(s.limit),
                    s.sharpness / s.limit
                )?;
            }
        }
    }
    vectors(text, points)?;
    metrics(text, points)
}

/// The top eigenvectors by layer.
fn vectors(text: &mut String, points: &[Point]) -> std::fmt::Result {
    let Some(point) = points.last() else {
        return Ok(());
    };
    writeln!(
        text,
        "\neigenvectors at {}, share of each layer in %",
        point.place.name
    )?;
    write!(text, "{:<22}", "layer")?;
    for vector in &point.vectors {
        write!(text, "{:>12}", number(vector.eigenvalue))?;
    }
    writeln!(text)?;
    let layers = point
        .vectors
        .first()
        .map_or(0, |vector| vector.layers.len());
    for layer in 0..layers {
        write!(text, "{:<22}", point.vectors[0].layers[layer].0)?;
        for vector in &point.vectors {
            write!(text, "{:>12.1}", 100.0 * vector.layers[layer].1)?;
        }
        writeln!(text)?;
    }
    Ok(())
}

/// The Hessian through the metrics.
fn metrics(text: &mut String, points: &[Point]) -> std::fmt::Result {
    if points.iter().all(|point| point.metrics.is_empty()) {
        return Ok(());
    }
    writeln!(
        text,
        "\n{:<10}{:<24}{:>11}{:>12}{:>10}{:>12}",
        "seen by", "metric", "condition", "largest/", "|MHs - s|", "best scale"
    )?;
    writeln!(
        text,
        "{:<34}{:>11}{:>12}{:>10}",
        "", "(resolved)", "mean", "/ |s|"
    )?;
    for point in points {
        for report in &point.metrics {
            writeln!(
                text,
                "{:<10}{:<24}{:>11}{:>12}{:>10}{:>12.3}",
                point.place.name,
                report.name,
                at_least(report.spectrum.condition, false),
                number(report.largest_over_mean),
                number(report.secant_error),
                report.secant_error_scaled
            )?;
        }
    }
    Ok(())
}
