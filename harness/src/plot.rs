//! Curves of a run as SVG, without fonts of the system: the viewer draws the text.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::score::Measure;
use crate::train::Record;

const SIZE: (u32, u32) = (1000, 420);
/// Blue and vermilion of the Okabe-Ito palette, which colour-blind people can tell apart.
const FIRST: RGBColor = RGBColor(0, 114, 178);
const SECOND: RGBColor = RGBColor(213, 94, 0);

/// A named line of points.
struct Curve {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Losses on the left, what the network is judged by on the right, over gradient epochs.
///
/// # Errors
/// Whatever the drawing library reports.
pub fn curves(title: &str, history: &[Record]) -> Result<String, Box<dyn Error>> {
    let curve = |name, colour, value: fn(&Record) -> Option<f64>| Curve {
        name,
        colour,
        points: history
            .iter()
            .filter_map(|record| Some((record.gradient_epochs, value(record)?)))
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .collect(),
    };
    let losses = [
        curve("training", FIRST, |record| Some(record.train_loss)),
        curve("validation", SECOND, |record| {
            record.validation.map(|score| score.loss)
        }),
    ];
    let figures = [curve("validation", SECOND, |record| {
        let value = record.validation.map(|score| score.value);
        value.map(|value| value * record.measure.factor())
    })];
    let measure = history.first().map_or(Measure::default(), |r| r.measure);

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let root = root.titled(title, ("sans-serif", 18))?;
        let (left, right) = root.split_horizontally(SIZE.0 / 2);
        panel(&left, "loss", &losses)?;
        panel(&right, &format!("validation {}", measure.axis()), &figures)?;
        root.present()?;
    }
    Ok(svg)
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    label: &str,
    curves: &[Curve],
) -> Result<(), Box<dyn Error>> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    if points().next().is_none() {
        return Ok(());
    }
    let longest = points().fold(0.0, |longest: f64, point| longest.max(point.0));
    let heights = range_of(points().map(|point| point.1));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..longest.max(1e-3) * 1.02, heights)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc("gradient epochs")
        .y_desc(label)
        .x_label_formatter(&|x| {
            if x.fract() == 0.0 {
                format!("{x:.0}")
            } else {
                format!("{x}")
            }
        })
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .draw()?;
    for Curve {
        name,
        colour,
        points,
    } in curves
    {
        let colour = *colour;
        if points.is_empty() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(
                points.iter().copied(),
                colour.stroke_width(2),
            ))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        // A single point makes no line.
        if points.len() <= 60 {
            let dots = points
                .iter()
                .map(|point| Circle::new(*point, 3, colour.filled()));
            chart.draw_series(dots)?;
        }
    }
    if curves.len() > 1 {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .label_font(("sans-serif", 13))
            .draw()?;
    }
    Ok(())
}

/// The values' range with a little air around it.
fn range_of(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let air = ((high - low) * 0.06).max(high.abs() * 1e-3).max(1e-6);
    low - air..high + air
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Score;

    fn record(epoch: u32, loss: f64, accuracy: Option<f64>) -> Record {
        Record {
            epoch,
            iteration: epoch,
            gradient_epochs: f64::from(epoch),
            train_seconds: 0.0,
            seconds: 0.0,
            train_loss: loss,
            measure: Measure::Accuracy,
            validation: accuracy.map(|value| Score {
                loss,
                count: 1,
                measure: Measure::Accuracy,
                value,
                r_squared: None,
            }),
            test: None,
        }
    }

    #[test]
    fn any_history_can_be_drawn() {
        let nan = f64::NAN;
        for history in [
            vec![],
            vec![record(1, 0.5, None)],
            vec![record(1, nan, Some(nan))],
            vec![
                record(1, 0.5, Some(0.5)),
                record(2, f64::INFINITY, None),
                record(3, 0.5, Some(0.5)),
            ],
            (1..1000)
                .map(|epoch| record(epoch, 1.0 / f64::from(epoch), Some(0.9)))
                .collect(),
        ] {
            let svg = curves("a <title> & more", &history).unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
            assert!(!svg.contains("<title>"), "text is escaped");
        }
    }
}
