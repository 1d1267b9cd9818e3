//! The curves of one run as a figure.

use crate::chart::{Axis, Chart, Joined, Point, Scale, Series, Style, Unit, side_by_side};
use crate::score::Measure;
use crate::train::Record;

/// Pixels.
const WIDTH: f64 = 1000.0;

/// The axis of what a network is judged by, of the samples of `part`.
pub fn judged(part: &str, measure: Measure) -> Axis {
    let (column, unit) = match measure {
        Measure::Rmse => (measure.key().to_owned(), Unit::None),
        _ => (format!("{}_percent", measure.key()), Unit::Percent),
    };
    Axis {
        label: format!("{part} {}", measure.axis()),
        column: format!("{part}_{column}"),
        scale: Scale::Linear,
        unit,
    }
}

/// The value of perfection on the axis of [`judged`].
pub fn ideal(measure: Measure) -> f64 {
    match measure {
        Measure::Rmse => 0.0,
        _ => 100.0,
    }
}

/// How losses are laid out: by ratio where all are above 0 and they differ much.
pub fn scale_of_losses<'a>(losses: impl Iterator<Item = &'a Point>) -> Scale {
    let losses = losses.map(|point| point.y).filter(|y| y.is_finite());
    let (low, high) = losses.fold((f64::INFINITY, 0.0), |(low, high), y| {
        (f64::min(low, y), f64::max(high, y))
    });
    match low > 0.0 && high > 3.0 * low {
        true => Scale::Log,
        false => Scale::Linear,
    }
}

/// Losses on the left, what the network is judged by on the right, over gradient epochs.
pub fn curves(title: &str, history: &[Record]) -> String {
    side_by_side(&charts(history), title, WIDTH)
}

/// The two as charts of their own.
pub fn charts(history: &[Record]) -> Vec<Chart> {
    let series = |i: usize, name: &str, value: &dyn Fn(&Record) -> Option<f64>| Series {
        name: name.to_owned(),
        remark: String::new(),
        style: Style::of(i),
        joined: Joined::Lines,
        points: history
            .iter()
            .filter_map(|record| Some(Point::new(record.gradient_epochs, value(record)?)))
            .collect(),
        taken: None,
    };
    let measure = history.first().map_or(Measure::default(), |r| r.measure);
    let averaged = history.iter().any(|record| record.average.is_some());
    let mut losses = vec![
        series(0, "training, mean over the epoch", &|record| {
            Some(record.train_loss)
        }),
        series(1, "validation", &|record| {
            record.validation.map(|score| score.loss)
        }),
    ];
    let mut judged_by = vec![series(1, "validation", &|record| {
        let value = record.validation.map(|score| score.value);
        value.map(|value| value * measure.factor())
    })];
    if averaged {
        let name = "validation, averaged weights";
        losses.push(series(2, name, &|record| {
            record.average.map(|score| score.loss)
        }));
        judged_by.push(series(2, name, &|record| {
            record.average.map(|score| score.value * measure.factor())
        }));
    }
    let scale = scale_of_losses(losses.iter().flat_map(|series| &series.points));
    let chart = |name, title: &str, y: Axis, ideal: f64, series: Vec<Series>| Chart {
        name,
        title: title.to_owned(),
        subtitle: String::new(),
        x: Axis::new("gradient epochs", "gradient_epochs", Scale::Linear),
        y,
        ideal,
        series,
        targets: Vec::new(),
    };
    let loss = Axis::new("loss", "loss", scale);
    let mut charts = vec![chart("loss", "Loss", loss, 0.0, losses)];
    // A run without validation samples has nothing else.
    if history.iter().any(|record| record.validation.is_some()) {
        let name = format!("Validation {}", measure.name());
        let axis = judged("validation", measure);
        charts.push(chart("judged", &name, axis, ideal(measure), judged_by));
    }
    charts
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
            average: None,
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
            let svg = curves("a <title> & \u{1}more", &history);
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
            assert!(!svg.contains("<title> &"), "text is escaped");
            assert!(!svg.contains('\u{1}'), "XML has no control characters");
        }
    }
}
